"""Every resource type of the API is listed, opened and deleted in the portal; those that nobody has named here fail the test."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from api import estate

from .conftest import Visit
from .places import EXAMPLES, Estate, build, remove, settled

Make = Callable[..., Visit]
SUBSCRIPTION = "Microsoft.Resources/subscriptions"
ORDER = (
    "Microsoft.Authorization/roleAssignments",
    "Microsoft.Authorization/roleDefinitions",
    "Microsoft.Resources/deployments",
    "Microsoft.Network/bastionHosts",
    "Microsoft.Compute/virtualMachines",
    "Microsoft.Network/networkInterfaces",
    "Microsoft.Network/publicIPAddresses",
    "Microsoft.Compute/disks",
    "Microsoft.Network/networkSecurityGroups/securityRules",
    "Microsoft.Network/routeTables/routes",
    "Microsoft.Network/virtualNetworks/virtualNetworkPeerings",
    "Microsoft.Network/virtualNetworks/subnets",
    "Microsoft.Network/networkSecurityGroups",
    "Microsoft.Network/applicationSecurityGroups",
    "Microsoft.Network/routeTables",
    "Microsoft.Network/virtualNetworks",
    "Microsoft.Network/networkWatchers",
    "Microsoft.Resources/resourceGroups",
)
"""In which they can be deleted: what refers to others goes first."""
MENU = {
    "Microsoft.Network/networkSecurityGroups/securityRules": "Inbound security rules",
    "Microsoft.Network/routeTables/routes": "Routes",
    "Microsoft.Network/virtualNetworks/virtualNetworkPeerings": "Peerings",
    "Microsoft.Network/virtualNetworks/subnets": "Subnets",
}
"""Where the page of the parent lists them, in Azure's words."""


def test_every_type_is_listed_opened_and_deleted(visit: Make) -> None:
    there = visit()
    page = there.open("/")
    declared = page.evaluate(
        """async () => (await fetch("/portal/types", {headers: {"X-Azlan-Portal": "1"}})).json()"""
    )
    types = {one["type"]: one for one in declared["value"]}
    assert set(types) == set(EXAMPLES) == set(ORDER)
    made = build(there.cloud, "types-rg")
    # What else of the estate refers to the examples.
    remove(there.cloud, "types-rg", f"{estate.NICS}/nic-free", f"{estate.VNETS}/vnet-1/subnets/routed")
    for type in ORDER:
        listed(there, made, types[type]["parent"], type)
        deleted(page, made, type)
        answer = page.evaluate(
            """async (url) => (await fetch(url, {headers: {"X-Azlan-Portal": "1"}})).status""",
            f"/portal/arm{made.ids[type]}?api-version={types[type]['apiVersion']}",
        )
        assert answer == 404, type
    assert there.reported() == 0


def listed(there: Visit, made: Estate, parent: str | None, type: str) -> None:
    """It stands in the list of its type: the subscription's, or that on the page of what it lies in; then open it."""
    page, id = there.page, made.ids[type]
    name = id.rpartition("/")[2]
    if parent is not None:
        there.open(f"/resource{made.ids[parent]}")
        page.get_by_role("navigation", name="Menu of").get_by_role("link", name=MENU[type], exact=True).click()
    elif type == "Microsoft.Resources/deployments":
        there.open(f"/resource{made.ids['Microsoft.Resources/resourceGroups']}/deployments")
    else:
        there.open(f"/browse/{type}?filter={name}")
    settled(page)
    expect(page.get_by_role("main").get_by_role("cell", name=name).first).to_be_visible()
    there.open(f"/resource{id}")
    settled(page)
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def deleted(page: Page, made: Estate, type: str) -> None:
    """Press Delete, and wait until it is done."""
    page.get_by_role("toolbar", name="Commands").get_by_role("button", name="Delete").click()
    if type == "Microsoft.Resources/resourceGroups":
        page.get_by_label("Enter resource group name to confirm deletion").fill(made.group)
        page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    else:
        page.get_by_role("dialog").get_by_role("button", name="Yes", exact=True).click()
    page.get_by_role("button", name="Notifications").click()
    expect(page.get_by_role("dialog").get_by_text(re.compile("^Deleted "))).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()

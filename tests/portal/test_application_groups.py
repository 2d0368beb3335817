"""Application security groups in a browser: made, named by a security rule, joined by a machine's interface, parted from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from .conftest import Visit
from .test_settings import choose, make, make_machine, make_network, provider, read, row
from .test_wizards import create

Make = Callable[..., Visit]
TYPE = "Microsoft.Network/applicationSecurityGroups"


def make_groups(there: Visit, group: str, *names: str) -> list[str]:
    """Ids of new application security groups of a resource group."""
    there.arm("PUT", f"/resourceGroups/{group}", {"location": "eastus2"})
    return [make(there, provider(group, "applicationSecurityGroups", name), {}) for name in names]


def pick(page: Page, label: str, *names: str) -> None:
    """Groups of the picker; the list of options is the page's, and stays open until it is closed."""
    page.get_by_role("combobox", name=label, exact=True).click()
    for name in names:
        page.get_by_role("menuitemcheckbox", name=name, exact=True).click()
    page.get_by_role("combobox", name=label, exact=True).press("Escape")


def ids(references: list[dict[str, Any]]) -> list[str]:
    return [reference["id"] for reference in references]


def test_a_group_is_found_by_the_search_box_and_made(visit: Make) -> None:
    there = visit()
    page = there.open("/")
    there.arm("PUT", "/resourceGroups/asg-made-rg", {"location": "eastus2"})
    page.get_by_role("combobox", name="Search").fill("application sec")
    page.get_by_role("option", name="Application security groups").first.click()
    page.get_by_role("main").get_by_role("button", name="Create", exact=True).first.click()
    expect(page.get_by_role("heading", name="Create an application security group")).to_be_visible()
    choose(page, "Resource group", "asg-made-rg")
    page.get_by_role("textbox", name="Name", exact=True).fill("asg-web")
    there.picture("asg-wizard")
    for theme in ("dark", "light"):
        there.theme(theme)
        page.mouse.move(700, 700)
        expect(page.get_by_role("tooltip")).to_have_count(0)
        assert there.axe() == [], theme
    create(page)
    page.get_by_role("button", name="Go to resource").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("asg-web")
    there.picture("asg")
    made = read(there, f"{there.subscription}{provider('asg-made-rg', 'applicationSecurityGroups', 'asg-web')}")
    assert (made["type"], made["location"]) == (TYPE, "eastus2")
    assert there.violations() == []


def test_a_rule_names_groups_on_both_sides_and_keeps_them(visit: Make) -> None:
    there = visit()
    page = there.open("/")
    front, logic, data = make_groups(there, "asg-rule-rg", "asg-Front", "asg-logic", "asg-data")
    group = make(there, provider("asg-rule-rg", "networkSecurityGroups", "nsg-1"), {})
    there.open(f"/resource{group}/inboundSecurityRules")
    page.get_by_role("button", name="Add", exact=True).click()
    form = page.get_by_role("dialog", name="Add inbound security rule")
    choose(form, "Source", "Application security group")
    choose(form, "Destination", "Application security group")
    form.get_by_role("button", name="Add", exact=True).click()
    expect(form.get_by_text("The value must not be empty.")).to_have_count(2)
    pick(page, "Source application security groups", "asg-Front", "asg-logic")
    pick(page, "Destination application security groups", "asg-data")
    there.picture("asg-rule-form")
    choose(form, "Service", "MS SQL")
    form.get_by_label("Name").fill("to-data")
    assert there.axe() == []
    form.get_by_role("button", name="Add", exact=True).click()
    expect(form).to_have_count(0)
    expect(row(page, "Inbound security rules", "to-data")).to_contain_text("asg-Front, asg-logic")
    expect(row(page, "Inbound security rules", "to-data")).to_contain_text("asg-data")
    there.picture("asg-rules")

    page.get_by_role("button", name="to-data", exact=True).click()
    edit = page.get_by_role("dialog", name="to-data")
    choose(edit, "Destination", "Any")
    edit.get_by_role("button", name="Save").click()
    expect(edit).to_have_count(0)
    rule = read(there, f"{group}/securityRules/to-data")["properties"]
    assert ids(rule["sourceApplicationSecurityGroups"]) == [front, logic]
    assert rule["destinationAddressPrefix"] == "*"
    assert "sourceAddressPrefix" not in rule
    assert data not in str(rule)
    assert there.violations() == []


def test_a_machine_joins_groups_of_its_network_alone_and_leaves_them(visit: Make) -> None:
    there = visit()
    page = there.open("/")
    near, far = make_groups(there, "asg-vm-rg", "asg-near", "asg-far")
    other = make_network(there, "asg-vm-rg", "vnet-far", "10.1")
    subnet = {"subnet": {"id": f"{other}/subnets/subnet-1"}, "applicationSecurityGroups": [{"id": far}]}
    elsewhere = {"properties": {"ipConfigurations": [{"name": "one", "properties": subnet}]}}
    make(there, provider("asg-vm-rg", "networkInterfaces", "nic-far"), elsewhere)
    machine, nic = make_machine(there, "asg-vm-rg", "vm-a")
    there.open(f"/resource{machine}")
    there.theme("dark")
    menu = page.get_by_role("navigation", name="Menu of vm-a")
    menu.get_by_role("link", name="Application security groups").click()
    page.get_by_role("button", name="Add application security groups").click()
    form = page.get_by_role("dialog", name="Add application security groups")
    pick(page, "Application security groups", "asg-near", "asg-far")
    there.picture("asg-add")
    assert there.axe() == []
    form.get_by_role("button", name="Add", exact=True).click()
    expect(form).to_contain_text("must be from the same virtual network")
    there.picture("asg-refused")
    pick(page, "Application security groups", "asg-far")
    form.get_by_role("button", name="Add", exact=True).click()
    expect(form).to_have_count(0)
    expect(row(page, "Application security groups", "asg-near")).to_contain_text("asg-vm-rg")
    there.picture("asg-of-machine")
    config = read(there, nic)["properties"]["ipConfigurations"][0]["properties"]
    assert ids(config["applicationSecurityGroups"]) == [near]

    page.get_by_label("Select asg-near").check()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_text("The network interface is in no application security group")).to_be_visible()
    assert "asg-near" not in str(read(there, nic))
    assert there.violations() == []

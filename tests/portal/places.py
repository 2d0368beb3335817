"""Every kind of page the portal has, of a cloud with one of each type: found by its menus, so that a new page is among them.

lists ─ wizards ─ tools ─ of each type one resource: every entry of its menu (what all types share: once)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID, uuid5

from playwright.sync_api import Page, expect

from api import estate
from client import ArmClient
from standing import Standing

from .conftest import Visit

EXAMPLES = {
    "Microsoft.Compute/disks": f"{estate.DISKS}/disk-free",
    "Microsoft.Network/publicIPAddresses": f"{estate.ADDRESSES}/ip-1",
    "Microsoft.Network/routeTables": f"{estate.ROUTES}/routes-1",
    "Microsoft.Network/routeTables/routes": f"{estate.ROUTES}/routes-1/routes/default",
    "Microsoft.Network/networkSecurityGroups": f"{estate.GROUPS}/nsg-1",
    "Microsoft.Network/networkSecurityGroups/securityRules": f"{estate.GROUPS}/nsg-1/securityRules/ssh",
    "Microsoft.Network/applicationSecurityGroups": f"{estate.ASGS}/asg-1",
    "Microsoft.Network/virtualNetworks": f"{estate.VNETS}/vnet-1",
    "Microsoft.Network/virtualNetworks/subnets": f"{estate.VNETS}/vnet-1/subnets/subnet-1",
    "Microsoft.Network/virtualNetworks/virtualNetworkPeerings": f"{estate.VNETS}/vnet-1/virtualNetworkPeerings/to-2",
    "Microsoft.Network/networkInterfaces": f"{estate.NICS}/nic-1",
    "Microsoft.Network/bastionHosts": f"{estate.BASTIONS}/bastion",
    "Microsoft.Compute/virtualMachines": f"{estate.VMS}/vm-1",
    "Microsoft.Resources/deployments": f"{estate.DEPLOYMENTS}/deployment-1",
    "Microsoft.Resources/resourceGroups": "",
    "Microsoft.Authorization/roleAssignments": "",
    "Microsoft.Authorization/roleDefinitions": "",
    "Microsoft.Network/networkWatchers": "",
}
"""Type → one of the estate, below its group; the empty ones have ids of their own (`Estate.ids`).

A disk has no page but those that all types have: it comes first, and they are looked at there."""
T = TypeVar("T")
_NAMESPACE = UUID("5f2c1c1e-0c65-4f0c-8f0c-0d5a3a1a7a11")


@dataclass(frozen=True)
class Estate:
    """One resource of each type, in a group of its own."""

    group: str
    ids: dict[str, str]
    """Type → id."""


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run it beside Playwright, whose loop has this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


def build(cloud: Standing, group: str, words: str = "") -> Estate:
    """Make the estate; `words` are put wherever Azure takes any text: tags, descriptions, the name of a role."""
    return run(lambda: _build(cloud, group, words))


def remove(cloud: Standing, group: str, *paths: str) -> None:
    """Delete some of a group's resources, one after the other."""

    async def work() -> None:
        async with cloud.client() as arm:
            arm.group = group
            for path in paths:
                await arm.delete(path)

    run(work)


async def _build(cloud: Standing, group: str, words: str) -> Estate:
    async with cloud.client() as arm:
        arm.group = group
        tags = {"note": words, words[:100].translate(_NOT_IN_TAGS): "x"} if words else {"env": "test"}
        await arm.put("", {"location": estate.LOCATION, "tags": tags})
        for path, body in estate.ESTATE:
            placed = estate.placed(arm, body)
            if "location" in placed:
                placed["tags"] = tags
            for rule in placed["properties"].get("securityRules", []):
                rule["properties"]["description"] = words[:140]
            await arm.put(path, placed)
        await arm.put(f"{estate.DEPLOYMENTS}/deployment-1", estate.deployment(outputs(words)))
        subscription = f"/subscriptions/{arm.subscription}"
        watchers = await arm.get(f"{subscription}/providers/Microsoft.Network/networkWatchers")
        ids = {type: arm.id(path) for type, path in EXAMPLES.items() if path}
        ids["Microsoft.Resources/resourceGroups"] = arm.id("")
        ids["Microsoft.Network/networkWatchers"] = watchers["value"][0]["id"]
        ids |= await _roles(arm, words)
        return Estate(group, ids)


_NOT_IN_TAGS = str.maketrans("", "", "<>%&\\?/")


def outputs(words: str) -> dict[str, Any]:
    """A template that makes nothing and says the words."""
    return {**estate.TEMPLATE, "outputs": {"said": {"type": "string", "value": f"said: {words}"}}}


async def _roles(arm: ArmClient, words: str) -> dict[str, str]:
    """A role of the user's own, and an assignment of it."""
    names = {kind: str(uuid5(_NAMESPACE, f"{arm.group} {kind}")) for kind in ("definition", "assignment", "principal")}
    subscription = f"/subscriptions/{arm.subscription}"
    definition = f"{subscription}/providers/{estate.DEFINITIONS}/{names['definition']}"
    properties: dict[str, Any] = {
        "roleName": f"{arm.group} {words}".strip(),
        "description": words or "Reads networks",
        "assignableScopes": [subscription],
        "permissions": [{"actions": ["Microsoft.Network/*/read"], "notActions": []}],
    }
    await arm.put(definition, {"properties": properties})
    assignment = f"{arm.id('')}/providers/{estate.ASSIGNMENTS}/{names['assignment']}"
    properties = {"roleDefinitionId": definition, "principalId": names["principal"], "principalType": "User"}
    await arm.put(assignment, {"properties": {**properties, "description": words}})
    return {
        "Microsoft.Authorization/roleDefinitions": definition,
        "Microsoft.Authorization/roleAssignments": assignment,
    }


def settled(page: Page) -> None:
    """Nothing on the page says that it is being loaded."""
    expect(page.get_by_role("main").locator(".blade, .home, .empty, .list").first).to_be_visible()
    expect(page.get_by_role("main").get_by_role("progressbar")).to_have_count(0)


def pages(there: Visit, made: Estate) -> Iterator[str]:
    """Open one page of each kind after the other; its address without ids, when it has all it shows."""
    page = there.page
    there.open("/")
    page.get_by_role("button", name="Show portal menu").click()
    page.mouse.move(0, 0)  # away from the button and its tooltip
    listed = page.get_by_role("navigation", name="Portal menu").get_by_role("link")
    tools = [href for href in _addresses(listed) if href.startswith("/tools/")]
    for path in ("/", "/create", "/browse/all", *_some_lists()):
        yield _open(there, path)
    _open(there, "/create")
    for path in sorted(
        {href for href in _addresses(page.get_by_role("main").get_by_role("link")) if "/create/" in href}
    ):
        yield _open(there, path)
    for path in tools:
        yield _open(there, path)
    yield from _resources(there, made)


def _some_lists() -> list[str]:
    return [f"/browse/{type}" for type in (estate.VNETS, estate.VMS, "Microsoft.Resources/resourceGroups")]


def _addresses(links: Any) -> list[str]:
    return [str(href) for href in links.evaluate_all("found => found.map((one) => one.getAttribute('href'))")]


_GO = """(path) => new Promise((done) => {
    history.pushState({position: 1000}, "", path);
    dispatchEvent(new PopStateEvent("popstate", {state: {position: 1000}}));
    requestAnimationFrame(() => requestAnimationFrame(done));
})"""
"""As Back and Forward do it: without loading the page anew, which is most of a page's time."""


def _open(there: Visit, path: str) -> str:
    there.page.evaluate(_GO, path)
    settled(there.page)
    return path


def _resources(there: Visit, made: Estate) -> Iterator[str]:
    page = there.page
    seen: set[str] = set()
    for type in EXAMPLES:
        _open(there, f"/resource{made.ids[type]}")
        links = page.get_by_role("navigation", name="Menu of").get_by_role("link")
        keys = [address.rpartition("/")[2] for address in _addresses(links)]
        yield type
        for number, key in enumerate(keys[1:], 1):
            if key in seen:
                continue
            links.nth(number).click()
            expect(links.nth(number)).to_have_attribute("aria-current", "page")
            settled(page)
            yield f"{type} {key}"
        seen = seen or set(keys)

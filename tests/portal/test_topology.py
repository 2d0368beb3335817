"""The topology and Network Watcher's pages: what is drawn, whether a flow passes, what is exported, and the docs' pictures.

Each network is one deployment in a group of its own, and looked at as that group's part of the topology.
    pytest tests/portal/test_topology.py     writes build/portal-screenshots/topology-*.png, from which docs/images come
"""

from __future__ import annotations

import json
import struct
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from network import template

from .conftest import PASSWORD, Visit

Make = Callable[..., Visit]

NETWORKS = "Microsoft.Network/virtualNetworks"
SVG = "{http://www.w3.org/2000/svg}"
Pair = tuple[str, str]


def peering(one: str, two: str) -> dict[str, Any]:
    properties = {
        "remoteVirtualNetwork": {"id": f"[resourceId('{NETWORKS}', '{two}')]"},
        "allowVirtualNetworkAccess": True,
        "allowForwardedTraffic": True,
    }
    return {
        "type": f"{NETWORKS}/virtualNetworkPeerings",
        "apiVersion": "2024-05-01",
        "name": f"{one}/to-{two}",
        "dependsOn": [f"[resourceId('{NETWORKS}', '{name}')]" for name in (one, two)],
        "properties": properties,
    }


def bastion(network: str) -> list[dict[str, Any]]:
    ip = "[resourceId('Microsoft.Network/publicIPAddresses', 'public-ip-bastion')]"
    subnet = f"[resourceId('{NETWORKS}/subnets', '{network}', 'AzureBastionSubnet')]"
    configuration = {"name": "config", "properties": {"subnet": {"id": subnet}, "publicIPAddress": {"id": ip}}}
    address = {
        "type": "Microsoft.Network/publicIPAddresses",
        "apiVersion": "2024-05-01",
        "name": "public-ip-bastion",
        "location": "eastus2",
        "sku": {"name": "Standard"},
        "properties": {"publicIPAllocationMethod": "Static"},
    }
    host = {
        "type": "Microsoft.Network/bastionHosts",
        "apiVersion": "2024-05-01",
        "name": "bastion",
        "location": "eastus2",
        "dependsOn": [ip, f"[resourceId('{NETWORKS}', '{network}')]"],
        "sku": {"name": "Basic"},
        "properties": {"ipConfigurations": [configuration]},
    }
    return [address, host]


def address_of(there: Visit, group: str) -> str:
    return f"/portal/arm{there.subscription}/resourceGroups/{group}?api-version=2024-11-01"


def deploy(there: Visit, group: str, network: dict[str, Any], *more: dict[str, Any]) -> str:
    """Make a network by one deployment and wait for it, unless a test before did. Returns the group's id."""
    if there.page.evaluate(
        "path => fetch(path, {headers: {'X-Azlan-Portal': '1'}}).then(found => found.ok)", address_of(there, group)
    ):
        return f"{there.subscription}/resourceGroups/{group}"
    there.arm("PUT", f"/resourceGroups/{group}", {"location": "eastus2"})
    made = template(network)
    made["resources"] += more
    parameters = {"password": {"value": PASSWORD}}
    body = {"properties": {"mode": "Incremental", "template": made, "parameters": parameters}}
    path = f"/resourceGroups/{group}/providers/Microsoft.Resources/deployments/network"
    there.arm("PUT", path, body)
    deadline = time.monotonic() + 120
    while (state := (found := there.arm("GET", path))["properties"]["provisioningState"]) != "Succeeded":
        assert state not in ("Failed", "Canceled"), found["properties"].get("error")
        assert time.monotonic() < deadline, "the deployment takes too long"
        time.sleep(0.3)
    return f"{there.subscription}/resourceGroups/{group}"


def rule(priority: int, access: str, ports: str, protocol: str = "Tcp") -> dict[str, Any]:
    return {
        "priority": priority, "direction": "Inbound", "access": access, "protocol": protocol, "source": "*",
        "destination": "*", "ports": ports,
    }  # fmt: skip


TUTORIAL: dict[str, Any] = {
    "security_groups": {"nsg-1": {}, "nsg-2": {"deny-telnet": rule(200, "Deny", "23")}},
    "vnets": {
        "vnet-1": {
            "space": "10.0.0.0/16",
            "subnets": {"subnet-1": "10.0.0.0/24", "AzureBastionSubnet": "10.0.1.0/26"},
        },
        "vnet-2": {"space": "10.1.0.0/16", "subnets": {"subnet-1": "10.1.0.0/24"}},
    },
    "machines": {
        "vm-1": {"subnet": "vnet-1/subnet-1", "security_group": "nsg-1"},
        "vm-2": {"subnet": "vnet-2/subnet-1", "security_group": "nsg-2"},
    },
}
_BACK = {"spokes": {"prefix": "10.0.0.0/8", "hop": "VirtualAppliance", "address": "10.10.1.4"}}
HUB: dict[str, Any] = {
    "security_groups": {"nsg-web": {"web": rule(100, "Allow", "443")}, "nsg-data": {"closed": rule(100, "Deny", "*", "*")}},
    "route_tables": {"rt-spokes": _BACK},
    "vnets": {
        "hub": {"space": "10.10.0.0/16", "subnets": {"appliances": "10.10.1.0/24", "shared": "10.10.2.0/24"}},
        "spoke-app": {"space": "10.11.0.0/16", "subnets": {"app": {"prefix": "10.11.0.0/24", "route_table": "rt-spokes"}}},
        "spoke-data": {
            "space": "10.12.0.0/16",
            "subnets": {"data": {"prefix": "10.12.0.0/24", "route_table": "rt-spokes", "security_group": "nsg-data"}},
        },
        "spoke-web": {
            "space": "10.13.0.0/16",
            "subnets": {"web": {"prefix": "10.13.0.0/24", "route_table": "rt-spokes", "security_group": "nsg-web"}},
        },
    },
    "machines": {
        "nva": {"subnet": "hub/appliances", "forwarding": True, "public": True},
        "dns": "hub/shared",
        "app-1": "spoke-app/app",
        "app-2": "spoke-app/app",
        "data-1": "spoke-data/data",
        "web-1": "spoke-web/web",
    },
}  # fmt: skip


@pytest.fixture
def tutorial(visit: Make) -> tuple[Visit, str]:
    there = visit()
    there.open("/")
    pair = [peering("vnet-1", "vnet-2"), peering("vnet-2", "vnet-1")]
    return there, deploy(there, "tutorial-rg", TUTORIAL, *bastion("vnet-1"), *pair)


def show(there: Visit, group: str) -> Page:
    """The topology of one group."""
    page = there.open(f"/tools/topology?scope={group}")
    expect(page.get_by_role("group", name="Topology")).to_be_visible()
    expect(page.get_by_role("button", name="Virtual network ").first).to_be_visible()
    return page


def place(page: Page, name: str) -> Any:
    """A place of the drawing, by the beginning of what it is called."""
    return page.get_by_role("group", name="Topology").get_by_role("button", name=name)


def themed(there: Visit, theme: str) -> None:
    """In a theme, and with no tooltip left over the page."""
    there.theme(theme)
    there.page.mouse.move(640, 780)
    expect(there.page.get_by_role("tooltip")).to_have_count(0)


def check(page: Page, source: str, destination: str, port: str) -> None:
    """Click two machines, and ask."""
    page.get_by_role("button", name="Check a flow").click()
    place(page, f"Virtual machine {source}").click()
    place(page, f"Virtual machine {destination}").click()
    page.get_by_label("Destination port").fill(port)
    page.get_by_role("button", name="Check", exact=True).click()


def test_the_tutorials_network_is_drawn_checked_and_exported(tutorial: tuple[Visit, str], tmp_path: Path) -> None:
    there, group = tutorial
    page = show(there, group)
    expect(place(page, "Virtual network vnet-1, 10.0.0.0/16")).to_be_visible()
    expect(place(page, "Subnet subnet-1, 10.0.0.0/24")).to_be_visible()
    expect(place(page, "Virtual machine vm-2, 10.1.0.4, network security group nsg-2")).to_be_visible()
    expect(place(page, "Bastion bastion")).to_be_visible()
    expect(place(page, "Internet")).to_be_visible()
    expect(place(page, "Peering vnet-1 – vnet-2: Connected")).to_be_visible()
    there.picture("topology-tutorial")
    for theme in ("dark", "light"):
        themed(there, theme)
        assert there.axe() == []
    check(page, "vm-1", "vm-2", "22")
    expect(page.get_by_text("Reachable", exact=True)).to_be_visible()
    hops = page.get_by_role("list", name="Hops")
    expect(hops).to_contain_text("10.1.0.0/16 → VNetPeering")
    expect(page.get_by_role("img", name="The way of the flow, which passes")).to_be_visible()
    there.picture("topology-flow-allowed")
    page.get_by_label("Destination port").fill("23")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_text("Unreachable", exact=True)).to_be_visible()
    expect(hops).to_contain_text("Dropped by the network security group rule deny-telnet")
    expect(page.get_by_role("img", name="Dropped here")).to_be_visible()
    assert there.axe() == []
    there.picture("topology-flow-denied")
    themed(there, "dark")
    there.picture("topology-flow-denied-dark")
    exported(page, tmp_path)
    assert there.violations() == []


def exported(page: Page, folder: Path) -> None:
    """Both files of what is shown: whole, and without anything that acts or lies elsewhere."""
    files = {}
    for kind in ("SVG", "PNG"):
        page.get_by_role("button", name="Export").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name=kind).click()
        files[kind] = folder / download.value.suggested_filename
        download.value.save_as(files[kind])
    text = files["SVG"].read_text()
    root = ET.fromstring(text)
    assert root.tag == f"{SVG}svg"
    words = {element.text for element in root.iter(f"{SVG}text")}
    assert {"vnet-1", "vnet-2", "vm-1", "vm-2", "bastion", "Connected"} <= words
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "g", "path", "rect", "circle", "text", "title"}, tags
    names = {name for element in root.iter() for name in element.attrib}
    assert not [name for name in names if name.lower().startswith("on") or "href" in name or name in ("style", "class")]
    assert "url(" not in text
    assert "var(" not in text
    head = files["PNG"].read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    assert (width, height) == (2 * int(root.attrib["width"]), 2 * int(root.attrib["height"]))


def test_a_hub_with_three_spokes_shows_where_a_flow_goes(visit: Make) -> None:
    there = visit()
    there.open("/")
    spokes = [("hub", name) for name in ("spoke-app", "spoke-data", "spoke-web")]
    group = deploy(there, "hub-rg", HUB, *(peering(*ends) for pair in spokes for ends in (pair, pair[::-1])))
    page = show(there, group)
    expect(place(page, "Virtual appliance nva, 10.10.1.4, public IP")).to_be_visible()
    expect(place(page, "Subnet data")).to_have_accessible_name(
        "Subnet data, 10.12.0.0/24, network security group nsg-data, route table rt-spokes, 10.0.0.0/8 → nva (10.10.1.4)"
    )
    expect(page.get_by_role("button", name="Peering hub – spoke-")).to_have_count(3)
    there.picture("topology-hub")
    themed(there, "dark")
    there.picture("topology-hub-dark")
    there.theme("light")
    check(page, "app-1", "data-1", "5432")
    hops = page.get_by_role("list", name="Hops")
    expect(hops.get_by_role("listitem")).to_have_count(3)
    expect(hops).to_contain_text("User route spokes: 10.0.0.0/8 → VirtualAppliance 10.10.1.4")
    expect(hops).to_contain_text("Dropped by the network security group rule closed")
    there.picture("topology-hub-flow")
    page.get_by_role("button", name="Other direction").click()
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_text("Reachable", exact=True)).to_be_visible()

    # It is live: what somebody else changes is seen, and the view stays.
    page.get_by_role("button", name="Close panel").click()
    page.get_by_role("button", name="Zoom in").click()
    before = page.locator("[data-drawing]").get_attribute("transform")
    away = f"/resourceGroups/hub-rg/providers/{NETWORKS}/spoke-web/virtualNetworkPeerings/to-hub"
    there.arm("DELETE", away, version="2024-05-01")
    expect(place(page, "Peering hub – spoke-web: Disconnected")).to_be_visible()
    assert page.locator("[data-drawing]").get_attribute("transform") == before

    # And by keyboard alone.
    place(page, "Virtual network hub").focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "button"
    place(page, "Virtual machine data-1").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="data-1")).to_be_visible()
    there.open(f"/resource{group}/providers/{NETWORKS}/spoke-app/diagram")
    expect(place(page, "Virtual network ")).to_have_count(2)
    there.picture("topology-diagram")
    assert there.violations() == []


def fifty() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Two hubs that are peered, 22 spokes and 18; eight networks by themselves."""
    vnets: dict[str, Any] = {}
    pairs: list[Pair] = [("hub-east", "hub-west")]
    for number in range(50):
        name = (
            "hub-east"
            if number == 0
            else "hub-west"
            if number == 1
            else f"spoke-{number:02}"
            if number < 42
            else f"lab-{number:02}"
        )
        subnets = {f"subnet-{n}": f"10.{number}.{n}.0/24" for n in range(1 + number % 3)}
        vnets[name] = {"space": f"10.{number}.0.0/16", "subnets": subnets}
        if name.startswith("spoke"):
            pairs.append(("hub-east" if number < 24 else "hub-west", name))
    halves = [ends for pair in pairs for ends in (pair, pair[::-1])]
    halves.remove(("spoke-07", "hub-east"))
    machines = {f"node-{n}": f"spoke-{n:02}/subnet-0" for n in range(2, 8)}
    return {"vnets": vnets, "machines": machines}, [peering(*ends) for ends in halves]


def overlaps(page: Page) -> list[str]:
    """Pairs of networks' boxes, or of anything's within a network, that lie over each other without one holding the other."""
    return list(
        page.evaluate(
            """() => {
                const boxes = [...document.querySelectorAll('[data-key] > rect:first-of-type')]
                    .filter((one) => !one.closest('[data-key]').getAttribute('aria-label').startsWith('Peering'))
                    .map((one) => [one.closest('[data-key]').getAttribute('aria-label'), one.getBoundingClientRect()]);
                const within = (a, b) => a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom;
                const found = [];
                boxes.forEach(([name, a], n) => boxes.slice(n + 1).forEach(([other, b]) => {
                    const apart = a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
                    if (!apart && !within(a, b) && !within(b, a)) found.push(`${name} / ${other}`);
                }));
                return found;
            }"""
        )
    )


def smallest_text(page: Page) -> float:
    """In pixels of the screen."""
    return float(
        page.evaluate(
            """() => Math.min(...[...document.querySelectorAll('[data-drawing] text')].map((one) =>
                Number(one.getAttribute('font-size')) * one.getScreenCTM().a))"""
        )
    )


def test_fifty_networks_are_readable_at_first_sight(visit: Make) -> None:
    there = visit()
    there.open("/")
    network, peerings = fifty()
    group = deploy(there, "fifty-rg", network, *peerings)
    page = show(there, group)
    expect(place(page, "Virtual network ")).to_have_count(50)
    expect(page.get_by_text("41 peerings")).to_be_visible()
    expect(place(page, "Peering hub-east – spoke-07: Initiated")).to_be_visible()
    there.picture("topology-fifty")
    assert smallest_text(page) >= 9
    assert overlaps(page) == []
    themed(there, "dark")
    there.picture("topology-fifty-dark")
    there.theme("light")
    place(page, "Virtual network spoke-02").click()
    page.get_by_role("button", name="Expand", exact=True).click()
    expect(place(page, "Virtual machine node-2")).to_be_visible()
    page.get_by_role("button", name="Close panel").click()
    there.picture("topology-fifty-one-open")
    page.get_by_role("button", name="Expand all").click()
    expect(place(page, "Subnet subnet-0")).to_have_count(50)
    assert overlaps(page) == []
    page.get_by_role("button", name="Fit").click()
    there.picture("topology-fifty-open")
    assert there.violations() == []


HOSTILE = '<img src=x onerror=alert(1)>\u202e"&amp;\u0007{{7*7}}'
SHOWN = '<img src=x onerror=alert(1)>⟨U+202E⟩"&amp;⟨U+0007⟩{{7*7}}'


def test_hostile_names_are_text_in_the_drawing_and_in_the_file(tutorial: tuple[Visit, str], tmp_path: Path) -> None:
    """The API lets no such name be; a page that trusted it would still be wrong."""
    there, group = tutorial
    page = there.page

    def answer(route: Route) -> None:
        found = route.fetch()
        text = found.text().replace('"name":"vnet-1"', f'"name":{json.dumps(HOSTILE)}')
        route.fulfill(response=found, body=text)

    page.route("**/virtualNetworks?*", answer)
    show(there, group)
    network = place(page, f"Virtual network {SHOWN}")
    expect(network).to_be_visible()
    network.press("Space")
    expect(page.get_by_role("complementary", name="Details")).to_contain_text(SHOWN)
    assert page.locator("img[src=x]").count() == 0
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="SVG").click()
    download.value.save_as(tmp_path / "hostile.svg")
    root = ET.parse(tmp_path / "hostile.svg").getroot()
    assert any((element.text or "").startswith(f"Virtual network {SHOWN}") for element in root.iter(f"{SVG}title"))
    assert not list(root.iter(f"{SVG}img"))
    page.unroute_all()
    assert there.violations() == []


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label, exact=True).click()
    page.get_by_role("option", name=option).click()


def test_network_watchers_tools_answer(tutorial: tuple[Visit, str]) -> None:
    there, _ = tutorial
    page = there.open("/tools/network-watcher")
    expect(page.get_by_role("link", name="NetworkWatcher_eastus2")).to_be_visible()
    menu = page.get_by_role("navigation", name="Menu of Network Watcher")
    results = page.get_by_role("region", name="Results")

    menu.get_by_role("link", name="IP flow verify").click()
    choose(page, "Virtual machine", "vm-2")
    expect(page.get_by_label("Local IP address")).to_have_value("10.1.0.4")
    page.get_by_label("Local port").fill("23")
    page.get_by_label("Remote IP address").fill("10.0.0.4")
    page.get_by_label("Remote port").fill("*")
    page.get_by_role("button", name="Verify IP flow").click()
    expect(results).to_contain_text("Access denied")
    expect(results).to_contain_text("deny-telnet")
    expect(results.get_by_role("link", name="nsg-2")).to_be_visible()
    there.picture("watcher-ip-flow-verify")
    page.get_by_label("Local port").fill("22")
    page.get_by_role("button", name="Verify IP flow").click()
    expect(results).to_contain_text("Access allowed")

    menu.get_by_role("link", name="Next hop").click()
    choose(page, "Virtual machine", "vm-1")
    page.get_by_label("Destination IP address").fill("10.1.0.4")
    page.get_by_role("main").get_by_role("button", name="Next hop").click()
    expect(results).to_contain_text("VNetPeering")
    expect(results).to_contain_text("System Route")
    there.picture("watcher-next-hop")

    menu.get_by_role("link", name="Connection troubleshoot").click()
    choose(page, "Virtual machine", "vm-1")
    choose(page, "Destination virtual machine", "vm-2")
    page.get_by_label("Destination port").fill("23")
    page.get_by_role("button", name="Run diagnostic tests").click()
    expect(results).to_contain_text("Unreachable")
    expect(results.get_by_role("list", name="Hops")).to_contain_text("deny-telnet")
    there.picture("watcher-connection-troubleshoot")
    for theme in ("dark", "light"):
        themed(there, theme)
        assert there.axe() == []
    assert there.violations() == []


def test_a_reader_sees_the_network_and_may_not_check(tutorial: tuple[Visit, str], visit: Make) -> None:
    _, group = tutorial
    reader = visit("Reader")
    page = show(reader, group)
    expect(place(page, "Virtual machine vm-1")).to_be_visible()
    expect(page.get_by_role("button", name="Export")).to_be_visible()
    expect(page.get_by_role("button", name="Check a flow")).to_have_count(0)
    reader.open("/tools/network-watcher")
    expect(page.get_by_role("link", name="NetworkWatcher_eastus2")).to_be_visible()
    expect(page.get_by_role("link", name="Next hop")).to_have_count(0)

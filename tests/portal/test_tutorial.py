"""The tutorial's Portal tab in a browser, under the labels it prints, against real packets and real machines.

Tutorial: Connect virtual networks with virtual network peering (learn.microsoft.com/azure/virtual-network). Each step
leaves a picture in `build/portal-screenshots/tutorial-*.png`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from standing import Standing, short_folder, standing

from .conftest import Visit, build_module, visitors

pytestmark = pytest.mark.root

SECRET = "Tut0rial-Passw0rd"
SOON = 20_000
MADE = 120_000
"""Milliseconds for what the cloud makes: machines start beside whatever else the computer does."""


@pytest.fixture(scope="module")
def real() -> Iterator[Standing]:
    """A cloud as `azlan up` brings it: the bpf engine, and machines in containers."""
    build_module().build()
    with short_folder() as folder, standing(folder) as up:
        yield up


def test_the_portal_tab_verbatim(real: Standing, chromium: Browser) -> None:
    with visitors(real, chromium) as visit:
        there = visit(name="ann")
        there.open("/")
        first_network(there)
        second_network(there)
        peering(there)
        machine(there, "vm-1", "vnet-1", "10.0.0.0/24", "nsg-1")
        machine(there, "vm-2", "vnet-2", "10.1.0.0/24", "nsg-2")
        ping(there, "vm-1", "10.1.0.4")
        ping(there, "vm-2", "10.0.0.4")
        look_around(there)
        clean_up(there)
        assert there.violations() == []
        assert there.reported() == 0
    assert real.status()["runningMachines"] == 0


def search_for_and_select(page: Page, service: str) -> None:
    """In the portal, search for and select …"""
    page.get_by_role("combobox", name="Search resources").fill(service)
    page.get_by_role("option", name=service, exact=True).click()
    expect(page.get_by_role("heading", name=service, exact=True)).to_be_visible()


def choose(page: Page | Locator, label: str, option: str) -> None:
    root = page if isinstance(page, Page) else page.page
    page.get_by_role("combobox", name=label).click()
    root.get_by_role("option", name=option).click()


def create(there: Visit, name: str) -> None:
    """Select Review + create at the bottom of the window. When validation passes, select Create."""
    page = there.page
    page.get_by_role("button", name="Review + create").click()
    expect(page.get_by_text("Validation passed")).to_be_visible()
    there.picture(f"{name}-review")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("heading", name="Your deployment is complete")).to_be_visible(timeout=MADE)
    there.picture(f"{name}-complete")


def edit_default_subnet(there: Visit, start: str, picture: str) -> None:
    """In the address space box in Subnets, select the default subnet; in Edit subnet, enter subnet-1; Save."""
    page = there.page
    page.get_by_role("button", name="default", exact=True).click()
    edit = page.get_by_role("dialog").filter(has=page.get_by_role("heading", name="Edit subnet"))
    expect(edit.get_by_role("combobox", name="Subnet purpose")).to_contain_text("Default")
    edit.get_by_role("textbox", name="Name", exact=True).fill("subnet-1")
    expect(edit.get_by_role("combobox", name="IPv4 address range")).to_contain_text(f"{start}/16")
    expect(edit.get_by_label("Starting address")).to_have_value(start)
    expect(edit.get_by_role("combobox", name="Size")).to_contain_text("/24 (256 addresses)")
    there.picture(picture)
    edit.get_by_role("button", name="Save").click()
    expect(edit).to_have_count(0)


def first_network(there: Visit) -> None:
    """Create a virtual network and an Azure Bastion host."""
    page = there.page
    search_for_and_select(page, "Virtual networks")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("button", name="Create new").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("test-rg")
    page.get_by_role("button", name="OK").click()
    page.get_by_label("Virtual network name").fill("vnet-1")
    choose(page, "Region", "East US 2")
    there.picture("tutorial-01-basics")
    page.get_by_role("button", name="Next").click()
    page.get_by_label("Enable Azure Bastion").check()
    page.get_by_label("Azure Bastion host name").fill("bastion")
    page.get_by_role("button", name="Create a public IP address").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("public-ip-bastion")
    page.get_by_role("button", name="OK").click()
    there.picture("tutorial-02-security")
    page.get_by_role("button", name="Next").click()
    edit_default_subnet(there, "10.0.0.0", "tutorial-03-edit-subnet")
    there.picture("tutorial-04-addresses")
    create(there, "tutorial-05-vnet-1")


def second_network(there: Visit) -> None:
    """Repeat the previous steps to create a second virtual network."""
    page = there.page
    search_for_and_select(page, "Virtual networks")
    page.get_by_role("button", name="Create").click()
    choose(page, "Resource group", "test-rg")
    page.get_by_label("Virtual network name").fill("vnet-2")
    choose(page, "Region", "East US 2")
    page.get_by_role("tab", name="IP Addresses").click()
    edit_default_subnet(there, "10.1.0.0", "tutorial-06-second-subnet")
    create(there, "tutorial-07-vnet-2")


def peering(there: Visit) -> None:
    """Create a virtual network peering: all thirteen settings of Add peering."""
    page = there.page
    search_for_and_select(page, "Virtual networks")
    page.get_by_role("link", name="vnet-1").click()
    page.get_by_role("navigation", name="Menu of vnet-1").get_by_role("link", name="Peerings").click()
    page.get_by_role("button", name="Add", exact=True).click()
    form = page.get_by_role("dialog").filter(has=page.get_by_role("heading", name="Add peering"))
    remote = form.get_by_role("group", name="Remote virtual network summary")
    remote.get_by_label("Peering link name").fill("vnet-2-to-vnet-1")
    expect(remote.get_by_role("radio", name="Resource Manager")).to_be_checked()
    expect(remote.get_by_label("I know my resource ID")).not_to_be_checked()
    expect(remote.get_by_role("combobox", name="Subscription")).to_contain_text("Azlan")
    choose(remote, "Virtual network", "vnet-2")
    for mine, other, settings in (("vnet-2", "vnet-1", "Remote"), ("vnet-1", "vnet-2", "Local")):
        group = form.get_by_role("group", name=f"{settings} virtual network peering settings")
        forwarded = f"Allow '{mine}' to receive forwarded traffic from '{other}'"
        gateway = f"Allow gateway or route server in '{mine}' to forward traffic to '{other}'"
        use = f"Enable '{mine}' to use '{other}'s' remote gateway or route server"
        expect(group.get_by_label(f"Allow '{mine}' to access '{other}'")).to_be_checked()
        group.get_by_label(forwarded).check()
        expect(group.get_by_label(gateway)).not_to_be_checked()
        expect(group.get_by_label(use)).not_to_be_checked()
        if settings == "Remote":
            there.picture("tutorial-08-peering-remote")
            local = form.get_by_role("group", name="Local virtual network peering summary")
            local.get_by_label("Peering link name").fill("vnet-1-to-vnet-2")
    there.picture("tutorial-09-peering-local")
    form.get_by_role("button", name="Add", exact=True).click()
    expect(form).to_have_count(0)
    row = page.get_by_role("row").filter(has_text="vnet-1-to-vnet-2")
    expect(row).to_contain_text("Connected")
    expect(row).to_contain_text("Fully Synchronized")
    there.picture("tutorial-10-peerings")


def machine(there: Visit, name: str, network: str, prefix: str, security_group: str) -> None:
    """Create test virtual machines."""
    page = there.page
    search_for_and_select(page, "Virtual machines")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("menuitem", name="Azure virtual machine").click()
    choose(page, "Resource group", "test-rg")
    page.get_by_label("Virtual machine name").fill(name)
    choose(page, "Region", "East US 2")
    choose(page, "Availability options", "No infrastructure redundancy required")
    choose(page, "Security type", "Standard")
    choose(page, "Image", "Ubuntu Server 22.04 LTS - x64 Gen2")
    expect(page.get_by_role("radio", name="x64")).to_be_checked()
    page.get_by_role("radio", name="Password").check()
    page.get_by_role("textbox", name="Username").fill("azureuser")
    page.get_by_role("textbox", name="Password", exact=True).fill(SECRET)
    page.get_by_role("textbox", name="Confirm password").fill(SECRET)
    page.get_by_role("radio", name="None").check()
    there.picture(f"tutorial-11-{name}-basics")
    page.get_by_role("tab", name="Networking").click()
    choose(page, "Virtual network", network)
    choose(page, "Subnet", f"subnet-1 ({prefix})")
    choose(page, "Public IP", "None")
    page.get_by_role("radio", name="Advanced").check()
    page.get_by_role("button", name="Create new network security group").click()
    group = page.get_by_role("dialog").filter(has=page.get_by_role("heading", name="Create network security group"))
    group.get_by_role("textbox", name="Name", exact=True).fill(security_group)
    group.get_by_role("button", name="OK").click()
    expect(group).to_have_count(0)
    there.picture(f"tutorial-12-{name}-networking")
    create(there, f"tutorial-13-{name}")


def ping(there: Visit, name: str, address: str) -> None:
    """Connect to a virtual machine by Bastion; at its bash prompt, enter ping -c 4; close the Bastion connection."""
    page = there.page
    search_for_and_select(page, "Virtual machines")
    page.get_by_role("link", name=name, exact=True).click()
    page.get_by_role("toolbar", name="Commands").get_by_role("button", name="Connect").click()
    expect(page.get_by_role("heading", name="Connect to virtual machine")).to_be_visible()
    page.get_by_role("tab", name="Bastion").click()
    there.picture(f"tutorial-14-{name}-connect")
    page.get_by_role("button", name="Use Bastion").click()
    page.get_by_label("Username").fill("azureuser")
    page.get_by_role("textbox", name="Password", exact=True).fill(SECRET)
    there.picture(f"tutorial-15-{name}-bastion")
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Connect", exact=True).click()
    tab = opened.value
    session = tab.get_by_role("region", name=f"Bastion session to {name}")
    expect(session).to_contain_text(f"azureuser@{name}:~$", timeout=MADE)
    tab.keyboard.type(f"ping -c 4 {address}\n")
    rows = session.get_by_role("list")  # what a screen reader is given: the rows of the terminal
    expect(rows).to_contain_text("4 packets transmitted, 4 received, 0% packet loss", timeout=MADE)
    said = rows.inner_text().replace("\u00a0", " ")
    assert re.findall(rf"64 bytes from {re.escape(address)}: icmp_seq=(\d) ttl=(\d+)", said) == [
        (str(number), "64") for number in (1, 2, 3, 4)
    ]
    tab.screenshot(path=pictures(there) / f"tutorial-16-{name}-ping.png")
    assert SECRET not in tab.url + page.url + tab.content()
    tab.get_by_role("button", name="Close", exact=True).click()
    expect(session).to_contain_text("The session has ended", timeout=SOON)
    tab.close()


def pictures(there: Visit) -> Path:
    return there.picture("tutorial-last").parent


def look_around(there: Visit) -> None:
    """What is there now, as a list and as a diagram."""
    page = there.page
    search_for_and_select(page, "Resource groups")
    page.get_by_role("link", name="test-rg", exact=True).click()
    expect(page.get_by_role("main").get_by_role("link", name="vm-2", exact=True)).to_be_visible()
    there.picture("tutorial-17-group")
    page.get_by_role("navigation", name="Menu of test-rg").get_by_role("link", name="Diagram").click()
    for name in ("vm-1", "vm-2"):
        expect(page.get_by_role("main").get_by_text(name, exact=True).first).to_be_visible()
    there.picture("tutorial-17-topology")


def clean_up(there: Visit) -> None:
    """Clean up resources."""
    page = there.page
    search_for_and_select(page, "Resource groups")
    page.get_by_role("link", name="test-rg", exact=True).click()
    page.get_by_role("button", name="Delete resource group").click()
    page.get_by_label("Enter resource group name to confirm deletion").fill("test-rg")
    there.picture("tutorial-18-delete")
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Notifications").click()
    expect(page.get_by_role("dialog").get_by_text("Deleted resource group")).to_be_visible(timeout=MADE)
    there.picture("tutorial-19-deleted")
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(page.get_by_role("main").get_by_role("link", name="test-rg", exact=True)).to_have_count(0)

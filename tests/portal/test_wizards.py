"""The create wizards, by the labels of the tutorial's Portal tab; what they made is read through the API."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import Visit

Make = Callable[..., Visit]

NETWORK = "Microsoft.Network/virtualNetworks"
MACHINE = "Microsoft.Compute/virtualMachines"
VERSION = "2024-05-01"


def choose(page: Page, label: str, option: str) -> None:
    """Open a field's list and take an entry."""
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option).click()


def panel(page: Page, title: str) -> Locator:
    """The form beside the page."""
    return page.get_by_role("dialog").filter(has=page.get_by_role("heading", name=title))


def create(page: Page) -> None:
    """Review + create, Create, and the deployment's end."""
    page.get_by_role("button", name="Review + create").click()
    expect(page.get_by_text("Validation passed")).to_be_visible()
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("heading", name="Your deployment is complete")).to_be_visible()


def below(there: Visit, group: str, type_and_name: str, version: str = VERSION) -> dict[str, Any]:
    return dict(there.arm("GET", f"/resourceGroups/{group}/providers/{type_and_name}", version=version))


def free(there: Visit) -> str:
    """`10.0`: the first half of the first /16 that no network of the subscription touches."""
    networks = there.arm("GET", f"/providers/{NETWORK}", version=VERSION)["value"]
    taken = [ip_network(prefix) for one in networks for prefix in one["properties"]["addressSpace"]["addressPrefixes"]]
    ranges = (ip_network(f"10.{number}.0.0/16") for number in range(256))
    found = next(space for space in ranges if not any(space.overlaps(other) for other in taken))
    return ".".join(str(found.network_address).split(".")[:2])


def test_the_tutorials_networks_are_made_with_bastion_and_beside_each_other(visit: Make) -> None:
    there = visit()
    page = there.open(f"/browse/{NETWORK}")
    first = free(there)
    page.get_by_role("button", name="Create").click()
    page.get_by_role("button", name="Create new").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("wizard-rg")
    page.get_by_role("button", name="OK").click()
    page.get_by_label("Virtual network name").fill("vnet-1")
    choose(page, "Region", "East US 2")
    there.picture("vnet-basics")
    page.get_by_role("button", name="Next").click()

    page.get_by_label("Enable Azure Bastion").check()
    page.get_by_label("Azure Bastion host name").fill("bastion")
    page.get_by_role("button", name="Create a public IP address").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("public-ip-bastion")
    there.picture("vnet-bastion-address")
    page.get_by_role("button", name="OK").click()
    there.picture("vnet-security")
    page.get_by_role("button", name="Next").click()

    expect(page.get_by_role("row", name="AzureBastionSubnet")).to_contain_text("/26 (64 addresses)")
    there.picture("vnet-addresses")
    page.get_by_role("button", name="default", exact=True).click()
    edit = panel(page, "Edit subnet")
    expect(edit.get_by_role("combobox", name="Subnet purpose")).to_contain_text("Default")
    expect(edit.get_by_label("Starting address")).to_have_value(f"{first}.0.0")
    expect(edit.get_by_role("combobox", name="Size")).to_contain_text("/24 (256 addresses)")
    edit.get_by_role("textbox", name="Name", exact=True).fill("AzureBastionSubnet")
    expect(edit.get_by_text("is already used")).to_be_visible()
    edit.get_by_role("textbox", name="Name", exact=True).fill("subnet-1")
    there.picture("vnet-edit-subnet")
    edit.get_by_role("button", name="Save").click()
    expect(edit).to_have_count(0)
    page.get_by_role("tab", name="Tags").click()
    page.get_by_label("Name of tag 1").fill("env")
    page.get_by_label("Value of tag 1").fill("[concat('a')]")
    create(page)
    there.picture("vnet-complete")
    page.get_by_role("button", name="Go to resource").click()
    expect(page.get_by_role("heading", name="vnet-1")).to_be_visible()

    network = below(there, "wizard-rg", f"{NETWORK}/vnet-1")
    assert network["location"] == "eastus2"
    assert network["tags"] == {"env": "[concat('a')]"}
    assert network["properties"]["addressSpace"]["addressPrefixes"] == [f"{first}.0.0/16"]
    subnets = {subnet["name"]: subnet["properties"]["addressPrefix"] for subnet in network["properties"]["subnets"]}
    assert subnets == {"subnet-1": f"{first}.0.0/24", "AzureBastionSubnet": f"{first}.1.0/26"}
    bastion = below(there, "wizard-rg", "Microsoft.Network/bastionHosts/bastion")["properties"]["ipConfigurations"][0]
    assert bastion["properties"]["publicIPAddress"]["id"].endswith("/public-ip-bastion")

    second = free(there)
    assert second != first
    there.open(f"/create/{NETWORK}")
    choose(page, "Resource group", "wizard-rg")
    page.get_by_label("Virtual network name").fill("VNET-1")
    page.get_by_label("Virtual network name").blur()
    expect(page.get_by_text("The name 'VNET-1' is already used.")).to_be_visible()
    page.get_by_label("Virtual network name").fill("vnet-2")
    page.get_by_role("tab", name="IP Addresses").click()
    expect(page.get_by_label("IPv4 address space")).to_have_value(f"{second}.0.0")
    page.get_by_label("IPv4 address space").fill(f"{first}.0.0")
    expect(page.get_by_text("overlaps with that of 'vnet-1'")).to_be_visible()
    expect(page.get_by_role("row", name="default")).to_contain_text("not within the address space")
    there.picture("vnet-overlap")
    page.get_by_label("IPv4 address space").fill(f"{second}.0.0")
    page.get_by_role("button", name="default", exact=True).click()
    panel(page, "Edit subnet").get_by_role("textbox", name="Name", exact=True).fill("subnet-1")
    panel(page, "Edit subnet").get_by_role("button", name="Save").click()
    # What lies behind a panel is hidden from assistive technology until the panel has gone.
    expect(page.get_by_role("banner")).to_be_visible()
    there.theme("dark")
    there.picture("vnet-addresses-dark")
    create(page)
    network = below(there, "wizard-rg", f"{NETWORK}/vnet-2")
    assert network["properties"]["subnets"][0]["properties"]["addressPrefix"] == f"{second}.0.0/24"
    assert there.violations() == []
    assert there.reported() == 0


def fill_machine(page: Page, group: str, name: str, password: str) -> None:
    """Basics, as the tutorial has it."""
    choose(page, "Resource group", group)
    page.get_by_label("Virtual machine name").fill(name)
    choose(page, "Region", "East US 2")
    choose(page, "Availability options", "No infrastructure redundancy required")
    expect(page.get_by_role("combobox", name="Security type")).to_contain_text("Standard")
    choose(page, "Image", "Ubuntu Server 24.04 LTS - x64 Gen2")
    choose(page, "Size", "Standard_D2s_v5 -")
    page.get_by_role("radio", name="Password").check()
    page.get_by_role("textbox", name="Username").fill("azureuser")
    page.get_by_role("textbox", name="Password", exact=True).fill(password)
    page.get_by_role("textbox", name="Confirm password").fill(password)
    page.get_by_role("radio", name="None").check()


def network(there: Visit, group: str, name: str, prefix: str) -> None:
    there.arm("PUT", f"/resourceGroups/{group}", {"location": "eastus2"})
    subnets = [{"name": "subnet-1", "properties": {"addressPrefix": prefix.replace("/16", "/24")}}]
    properties = {"addressSpace": {"addressPrefixes": [prefix]}, "subnets": subnets}
    path = f"/resourceGroups/{group}/providers/{NETWORK}/{name}"
    there.arm("PUT", path, {"location": "eastus2", "properties": properties}, VERSION)


SECRET = "Tut0rial-Passw0rd"


def test_the_tutorials_machine_is_made_with_a_security_group_of_its_own(visit: Make) -> None:
    there = visit()
    page = there.open(f"/browse/{MACHINE}")
    network(there, "machine-rg", "vnet-1", "10.64.0.0/16")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("menuitem", name="Azure virtual machine").click()
    fill_machine(page, "machine-rg", "vm-1", "short")
    page.get_by_role("textbox", name="Confirm password").blur()
    expect(page.get_by_text("between 12 and 72 characters")).to_be_visible()
    page.get_by_role("textbox", name="Password", exact=True).fill(SECRET)
    page.get_by_role("textbox", name="Confirm password").fill(SECRET + "!")
    expect(page.get_by_text("must match")).to_be_visible()
    page.get_by_role("textbox", name="Confirm password").fill(SECRET)
    there.picture("vm-basics")
    page.get_by_role("tab", name="Networking").click()
    choose(page, "Virtual network", "vnet-1 machine-rg")
    choose(page, "Subnet", "subnet-1 (10.64.0.0/24)")
    choose(page, "Public IP", "None")
    page.get_by_role("radio", name="Advanced").check()
    page.get_by_role("button", name="Create new network security group").click()
    group = panel(page, "Create network security group")
    group.get_by_role("textbox", name="Name", exact=True).fill("nsg-1")
    there.picture("vm-security-group")
    group.get_by_role("button", name="OK").click()
    expect(page.get_by_role("banner")).to_be_visible()
    expect(page.get_by_role("combobox", name="Configure network security group")).to_contain_text("(New) nsg-1")
    expect(page.get_by_label("Delete NIC when VM is deleted")).to_be_checked()
    there.picture("vm-networking")
    there.theme("dark")
    there.picture("vm-networking-dark")
    create(page)
    there.picture("vm-complete-dark")
    page.get_by_role("button", name="Go to resource").click()
    expect(page.get_by_role("heading", name="vm-1")).to_be_visible()

    machine = below(there, "machine-rg", f"{MACHINE}/vm-1", "2024-11-01")["properties"]
    assert machine["hardwareProfile"]["vmSize"] == "Standard_D2s_v5"
    assert machine["osProfile"]["adminUsername"] == "azureuser"
    assert machine["storageProfile"]["imageReference"]["offer"] == "ubuntu-24_04-lts"
    assert machine["storageProfile"]["osDisk"]["deleteOption"] == "Delete"
    nic = machine["networkProfile"]["networkInterfaces"][0]
    assert nic["properties"]["deleteOption"] == "Delete"
    nic = below(there, "machine-rg", f"Microsoft.Network/networkInterfaces/{nic['id'].split('/')[-1]}")["properties"]
    assert nic["networkSecurityGroup"]["id"].endswith("/nsg-1")
    configuration = nic["ipConfigurations"][0]["properties"]
    assert configuration["privateIPAddress"] == "10.64.0.4"
    assert "publicIPAddress" not in configuration
    rules = below(there, "machine-rg", "Microsoft.Network/networkSecurityGroups/nsg-1")["properties"]["securityRules"]
    assert rules == []
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, history.state, location.href])")
    assert SECRET not in kept
    assert SECRET not in page.content()
    deployments = there.arm("GET", "/resourceGroups/machine-rg/providers/Microsoft.Resources/deployments")["value"]
    assert SECRET not in str(deployments)
    assert there.violations() == []


def test_a_machine_brings_its_network_address_and_rules_and_a_refusal_is_said(visit: Make) -> None:
    there = visit()
    page = there.open(f"/create/{MACHINE}")
    there.arm("PUT", "/resourceGroups/whole-rg", {"location": "eastus2"})
    page.get_by_role("button", name="Review + create").click()
    expect(page.get_by_text("Validation failed")).to_be_visible()
    page.get_by_role("tab", name="Basics").click()
    fill_machine(page, "whole-rg", "web", "P@ssw0rd1234")
    page.get_by_role("radio", name="SSH public key").check()
    page.get_by_role("textbox", name="SSH public key").fill(KEY)
    page.get_by_role("radio", name="Allow selected ports").check()
    page.get_by_role("combobox", name="Select inbound ports").click()
    page.get_by_role("menuitemcheckbox", name="HTTP (80)").click()
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Networking").click()
    expect(page.get_by_role("combobox", name="Virtual network")).to_contain_text("(New) web-vnet")
    expect(page.get_by_role("combobox", name="Public IP")).to_contain_text("(New) web-ip")
    there.arm("PUT", f"/resourceGroups/whole-rg/providers/{ADDRESS}/web-ip", BASIC, VERSION)
    page.get_by_role("button", name="Review + create").click()
    expect(page.get_by_text("Validation passed")).to_be_visible()
    there.picture("vm-review")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("heading", name="Your deployment failed")).to_be_visible()
    expect(page.get_by_role("row", name="web-vnet")).to_contain_text("Created")
    expect(page.get_by_role("row", name="web-ip")).to_contain_text("Failed")
    expect(page.get_by_role("row", name="Virtual machine")).to_contain_text("Waiting")
    there.picture("vm-failed")
    page.get_by_role("button", name="Back to the form").click()
    page.get_by_role("tab", name="Networking").click()
    choose(page, "Public IP", "None")
    create(page)
    machine = below(there, "whole-rg", f"{MACHINE}/web", "2024-11-01")["properties"]
    assert machine["osProfile"]["linuxConfiguration"]["ssh"]["publicKeys"][0]["keyData"] == KEY
    rules = below(there, "whole-rg", "Microsoft.Network/networkSecurityGroups/web-nsg")["properties"]["securityRules"]
    ports = {rule["name"]: rule["properties"]["destinationPortRange"] for rule in rules}
    assert ports == {"default-allow-ssh": "22", "AllowAnyHTTPInbound": "80"}


ADDRESS = "Microsoft.Network/publicIPAddresses"
BASIC = {"location": "westus", "sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}}
"""An address elsewhere, under the name that the wizard has proposed."""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me"


def begin(page: Page, there: Visit, type: str, group: str, name: str) -> None:
    there.open(f"/create/{type}?group={group}")
    page.get_by_role("textbox", name="Name", exact=True).fill(name)


def test_what_networks_and_machines_refer_to_is_made_by_itself(visit: Make) -> None:
    there = visit()
    page = there.open("/")
    network(there, "parts-rg", "vnet-p", "10.65.0.0/16")

    begin(page, there, "Microsoft.Network/networkSecurityGroups", "parts-rg", "nsg-p")
    create(page)
    begin(page, there, "Microsoft.Network/routeTables", "parts-rg", "routes-p")
    page.get_by_role("radio", name="No").check()
    create(page)
    assert below(there, "parts-rg", "Microsoft.Network/routeTables/routes-p")["properties"][
        "disableBgpRoutePropagation"
    ]

    begin(page, there, ADDRESS, "parts-rg", "ip-p")
    page.get_by_label("Idle timeout (minutes)").fill("3")
    expect(page.get_by_text("between 4 and 30")).to_be_visible()
    page.get_by_label("Idle timeout (minutes)").fill("10")
    page.get_by_label("DNS name label").fill("parts-of-it")
    there.picture("ip-basics")
    create(page)
    address = below(there, "parts-rg", f"{ADDRESS}/ip-p")
    assert address["properties"]["dnsSettings"]["domainNameLabel"] == "parts-of-it"
    assert (address["sku"]["name"], address["properties"]["idleTimeoutInMinutes"]) == ("Standard", 10)

    begin(page, there, "Microsoft.Network/networkInterfaces", "parts-rg", "nic-p")
    choose(page, "Virtual network", "vnet-p parts-rg")
    page.get_by_role("radio", name="Static").check()
    page.get_by_label("Private IP address", exact=False).last.fill("10.66.0.10")
    page.get_by_label("Private IP address", exact=False).last.blur()
    expect(page.get_by_text("not within the subnet's range 10.65.0.0/24")).to_be_visible()
    page.get_by_label("Private IP address", exact=False).last.fill("10.65.0.10")
    page.get_by_role("button", name="Create new").last.click()
    page.get_by_role("dialog").get_by_role("textbox", name="Name", exact=True).fill("nsg-q")
    page.get_by_role("button", name="OK").click()
    there.picture("nic-basics")
    create(page)
    nic = below(there, "parts-rg", "Microsoft.Network/networkInterfaces/nic-p")["properties"]
    assert nic["networkSecurityGroup"]["id"].endswith("/nsg-q")
    assert nic["ipConfigurations"][0]["properties"]["privateIPAddress"] == "10.65.0.10"

    begin(page, there, "Microsoft.Network/bastionHosts", "parts-rg", "bastion-p")
    choose(page, "Tier", "Standard")
    choose(page, "Virtual network", "vnet-p parts-rg")
    expect(page.get_by_text("(New) AzureBastionSubnet (10.65.1.0/26)")).to_be_visible()
    page.get_by_role("tab", name="Advanced").click()
    page.get_by_role("checkbox", name="Native client support").check()
    there.picture("bastion-advanced")
    create(page)
    bastion = below(there, "parts-rg", "Microsoft.Network/bastionHosts/bastion-p")
    assert bastion["sku"]["name"] == "Standard"
    assert bastion["properties"]["enableTunneling"]
    assert there.violations() == []


def test_a_reader_is_told_before_anything_is_sent(visit: Make) -> None:
    owner = visit()
    owner.open("/")
    owner.arm("PUT", "/resourceGroups/told-rg", {"location": "eastus2"})
    reader = visit("Reader")
    page = reader.open("/")
    begin(page, reader, "Microsoft.Network/routeTables", "told-rg", "refused")
    page.get_by_role("button", name="Review + create").click()
    expect(page.get_by_text("AuthorizationFailed")).to_be_visible()
    expect(page.get_by_role("button", name="Create", exact=True)).to_be_disabled()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_wizards_are_accessible(visit: Make, theme: str) -> None:
    there = visit()
    page = there.open(f"/create/{NETWORK}")
    there.theme(theme)
    for tab in ("Basics", "Security", "IP Addresses", "Tags", "Review + create"):
        page.get_by_role("tab", name=tab).click()
        assert there.axe() == [], tab
    page.get_by_role("tab", name="IP Addresses").click()
    page.get_by_role("button", name="Edit default").click()
    expect(panel(page, "Edit subnet")).to_be_visible()
    there.picture(f"vnet-edit-subnet-{theme}")
    assert there.axe() == []
    there.open(f"/create/{MACHINE}")
    for tab in ("Basics", "Disks", "Networking"):
        page.get_by_role("tab", name=tab).click()
        there.picture(f"vm-{tab.lower()}-{theme}")
        assert there.axe() == [], tab

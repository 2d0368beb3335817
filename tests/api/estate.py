"""One of everything that users of Azure make, in one group, and what a refusal must leave as it was.

vnet-1 10.0/16 ◀── peered ──▶ vnet-2 10.1/16        vnet-3 10.0/16   vnet-4 10.2/16   vnet-5 10.1.128/17
  subnet-1 (nsg-1): nic-1 ▶ vm-1, nic-free          vnet-6 10.6/16   of their own; vnet-4's Bastion subnet is
  AzureBastionSubnet: bastion (ip-bastion)                           too small, vnet-6's is not
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from client import ArmClient
from kit import Cloud

LOCATION = "eastus2"
PASSWORD = "Correct-Horse7Battery"
IMAGE = {
    "publisher": "Canonical",
    "offer": "0001-com-ubuntu-server-jammy",
    "sku": "22_04-lts-gen2",
    "version": "latest",
}

NETWORK = "Microsoft.Network"
VNETS = f"{NETWORK}/virtualNetworks"
GROUPS = f"{NETWORK}/networkSecurityGroups"
ASGS = f"{NETWORK}/applicationSecurityGroups"
ROUTES = f"{NETWORK}/routeTables"
NICS = f"{NETWORK}/networkInterfaces"
ADDRESSES = f"{NETWORK}/publicIPAddresses"
BASTIONS = f"{NETWORK}/bastionHosts"
VMS = "Microsoft.Compute/virtualMachines"
DISKS = "Microsoft.Compute/disks"
DEPLOYMENTS = "Microsoft.Resources/deployments"
ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
DEFINITIONS = "Microsoft.Authorization/roleDefinitions"

READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"

Json = dict[str, Any]


def ref(path: str) -> Json:
    """A reference; `@/` stands for the group's `…/providers/`."""
    return {"id": f"@/{path}"}


def vnet(*space: str, subnets: Json | None = None, **properties: Any) -> Json:
    """`subnets`: name → prefix, or its whole properties."""
    made = [
        {"name": name, "properties": {"addressPrefix": given} if isinstance(given, str) else given}
        for name, given in (subnets or {}).items()
    ]
    if subnets is not None:
        properties["subnets"] = made
    return {"location": LOCATION, "properties": {"addressSpace": {"addressPrefixes": list(space)}, **properties}}


def subnet(prefix: str, **properties: Any) -> Json:
    return {"properties": {"addressPrefix": prefix, **properties}}


def half(remote: str, **properties: Any) -> Json:
    """A half of a peering to the network of that name."""
    return {"properties": {"remoteVirtualNetwork": ref(f"{VNETS}/{remote}"), **properties}}


def rule(priority: int = 200, **properties: Any) -> Json:
    return {
        "properties": {
            "priority": priority,
            "direction": "Inbound",
            "access": "Allow",
            "protocol": "Tcp",
            "sourceAddressPrefix": "*",
            "sourcePortRange": "*",
            "destinationAddressPrefix": "*",
            "destinationPortRange": "22",
            **properties,
        }
    }


def security_group(**rules: Json) -> Json:
    return {
        "location": LOCATION,
        "properties": {"securityRules": [{"name": name, **given} for name, given in rules.items()]},
    }


def application_group() -> Json:
    return {"location": LOCATION, "properties": {}}


def route_table(**routes: str) -> Json:
    """Routes: name → prefix, all to an appliance."""
    made = [{"name": name, **route(prefix)} for name, prefix in routes.items()]
    return {"location": LOCATION, "properties": {"routes": made}}


def route(prefix: str, hop: str = "VirtualAppliance", address: str | None = "10.0.0.9") -> Json:
    properties = {"addressPrefix": prefix, "nextHopType": hop}
    return {"properties": properties if address is None else {**properties, "nextHopIpAddress": address}}


def address(sku: str = "Standard", method: str = "Static", **properties: Any) -> Json:
    return {
        "location": LOCATION,
        "sku": {"name": sku},
        "properties": {"publicIPAllocationMethod": method, **properties},
    }


def nic(at: str = "vnet-1/subnets/subnet-1", public: str | None = None, **properties: Any) -> Json:
    config: Json = {"subnet": ref(f"{VNETS}/{at}")}
    if public:
        config["publicIPAddress"] = ref(f"{ADDRESSES}/{public}")
    return {
        "location": LOCATION,
        "properties": {"ipConfigurations": [{"name": "ipconfig1", "properties": config}], **properties},
    }


def bastion(at: str = "vnet-1/subnets/AzureBastionSubnet", public: str | None = "ip-bastion") -> Json:
    config: Json = {"subnet": ref(f"{VNETS}/{at}")}
    if public:
        config["publicIPAddress"] = ref(f"{ADDRESSES}/{public}")
    return {
        "location": LOCATION,
        "sku": {"name": "Basic"},
        "properties": {"ipConfigurations": [{"name": "IpConf", "properties": config}]},
    }


def vm(nic_name: str = "nic-free", *, profile: Json | None = None, **properties: Any) -> Json:
    """`profile` is merged into `osProfile`; a None in it removes a member."""
    account: Json = {"computerName": "vm", "adminUsername": "azureuser", "adminPassword": PASSWORD, **(profile or {})}
    return {
        "location": LOCATION,
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_B1s"},
            "storageProfile": {"imageReference": IMAGE, "osDisk": {"createOption": "FromImage"}},
            "osProfile": {name: value for name, value in account.items() if value is not None},
            "networkProfile": {"networkInterfaces": [ref(f"{NICS}/{nic_name}")]},
            **properties,
        },
    }


def disk(gib: int = 4) -> Json:
    return {"location": LOCATION, "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": gib}}


def deployment(template: Json | None = None, **properties: Any) -> Json:
    return {"properties": {"mode": "Incremental", "template": template or TEMPLATE, "parameters": {}, **properties}}


TEMPLATE: Json = {
    "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
    "contentVersion": "1.0.0.0",
    "resources": [],
}

ESTATE: tuple[tuple[str, Json], ...] = (
    (f"{GROUPS}/nsg-1", security_group(ssh=rule(1000))),
    (f"{GROUPS}/nsg-free", security_group()),
    (f"{ASGS}/asg-1", application_group()),
    (f"{ROUTES}/routes-1", route_table(default="0.0.0.0/0")),
    (
        f"{VNETS}/vnet-1",
        vnet(
            "10.0.0.0/16",
            subnets={
                "subnet-1": {"addressPrefix": "10.0.0.0/24", "networkSecurityGroup": ref(f"{GROUPS}/nsg-1")},
                "AzureBastionSubnet": "10.0.1.0/26",
                "routed": {"addressPrefix": "10.0.2.0/29", "routeTable": ref(f"{ROUTES}/routes-1")},
            },
        ),
    ),
    (f"{VNETS}/vnet-2", vnet("10.1.0.0/16", subnets={"subnet-1": "10.1.0.0/24"})),
    (f"{VNETS}/vnet-3", vnet("10.0.0.0/16")),
    (f"{VNETS}/vnet-4", vnet("10.2.0.0/16", subnets={"AzureBastionSubnet": "10.2.0.0/27", "subnet-1": "10.2.1.0/24"})),
    (f"{VNETS}/vnet-5", vnet("10.1.128.0/17")),
    (f"{VNETS}/vnet-6", vnet("10.6.0.0/16", subnets={"AzureBastionSubnet": "10.6.0.0/26"})),
    (f"{VNETS}/vnet-1/virtualNetworkPeerings/to-2", half("vnet-2")),
    (f"{VNETS}/vnet-2/virtualNetworkPeerings/to-1", half("vnet-1")),
    (f"{ADDRESSES}/ip-bastion", address()),
    (f"{ADDRESSES}/ip-basic", address("Basic", "Dynamic")),
    (f"{ADDRESSES}/ip-1", address()),
    (f"{ADDRESSES}/ip-free", address()),
    (f"{BASTIONS}/bastion", bastion()),
    (f"{NICS}/nic-1", nic(public="ip-1")),
    (f"{NICS}/nic-free", nic()),
    (f"{VMS}/vm-1", vm("nic-1")),
    (f"{DISKS}/disk-free", disk()),
)


def placed(arm: ArmClient, value: Any) -> Any:
    """JSON or text with `@/` made absolute."""
    if isinstance(value, str):
        return value.replace("@/", f"{arm.id('')}/providers/")
    if isinstance(value, list):
        return [placed(arm, item) for item in value]
    if isinstance(value, dict):
        return {name: placed(arm, item) for name, item in value.items()}
    return value


async def build(arm: ArmClient) -> None:
    """Make the estate, in its order."""
    await arm.put("", {"location": LOCATION})
    for path, body in ESTATE:
        await arm.put(path, placed(arm, body))


async def request(arm: ArmClient, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
    """A request whose body may hold `@/`."""
    return await arm.request(method, path, placed(arm, body), **more)


OF_ARM_ITSELF = ("ResourceNotFound", "ResourceGroupNotFound", "ParentResourceNotFound", "AuthorizationFailed")
"""Answered before a provider is asked, and without details."""


def problem(response: httpx.Response) -> Json:
    """The error object of an answer; its envelope and types are checked on the way."""
    document = response.json()
    assert set(document) == {"error"}, document
    error: Json = document["error"]
    whole = {"code", "message"} if error["code"] in OF_ARM_ITSELF else {"code", "message", "details"}
    assert whole <= set(error) <= {"code", "message", "details", "target"}, error
    assert error["code"], error
    assert error["message"], error
    assert isinstance(error.get("details", []), list)
    return error


@asynccontextmanager
async def untouched(cloud: Cloud) -> AsyncIterator[None]:
    """What happens inside leaves nothing behind: no row, no operation under way, no fact, nothing in the lists."""
    core = cloud.process.core
    before, facts = core.store.snapshot, core.store.facts().by_owner
    assert not before.unsettled, "the cloud was not at rest"
    listed = await cloud.arm.get(f"/subscriptions/{cloud.arm.subscription}/resources")
    yield
    after = core.store.snapshot
    assert dict(after.rows) == dict(before.rows)
    assert not after.unsettled, dict(after.unsettled)
    assert core.store.facts().by_owner == facts
    assert await cloud.arm.get(f"/subscriptions/{cloud.arm.subscription}/resources") == listed

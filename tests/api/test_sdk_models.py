"""What the API answers, held against the models of Azure's SDK for Python: no member that they do not know, none of another kind.

The SDK's own clients would not notice: they read past what they do not know.
"""

from __future__ import annotations

import datetime
import enum
import json
import typing
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from azure.mgmt.compute import models as compute
from azure.mgmt.network import models as network

from api.estate import ADDRESSES, ASGS, GROUPS, NICS, VMS, VNETS, build, placed, ref, rule
from api.surface import EXAMPLES, absolute
from azlan.arm.registry import Registry
from client import ArmClient

REGISTRY = Registry.discover()
WATCHER = "networkWatchers/NetworkWatcher_eastus2"

TYPES: dict[str, tuple[ModuleType, str]] = {
    VNETS: (network, "VirtualNetwork"),
    f"{VNETS}/subnets": (network, "Subnet"),
    f"{VNETS}/virtualNetworkPeerings": (network, "VirtualNetworkPeering"),
    GROUPS: (network, "NetworkSecurityGroup"),
    f"{GROUPS}/securityRules": (network, "SecurityRule"),
    ASGS: (network, "ApplicationSecurityGroup"),
    "Microsoft.Network/routeTables": (network, "RouteTable"),
    "Microsoft.Network/routeTables/routes": (network, "Route"),
    NICS: (network, "NetworkInterface"),
    ADDRESSES: (network, "PublicIPAddress"),
    "Microsoft.Network/bastionHosts": (network, "BastionHost"),
    "Microsoft.Network/networkWatchers": (network, "NetworkWatcher"),
    VMS: (compute, "VirtualMachine"),
    "Microsoft.Compute/disks": (compute, "Disk"),
}
"""The model of each type of Network and Compute."""

MORE_THAN_THE_MODELS = {
    # Answered by real Azure, in recordings or in what its documentation prints, and in no model of the SDK.
    "ConnectivityInformation.connectionStatus: 'Reachable'",
    "EffectiveRoute.destinationServiceTags",
    "EffectiveRoute.hasBgpOverride",
    "EffectiveRoute.nextHopType: 'VNetPeering'",
    "EffectiveRoute.tagMap",
    "NetworkInterface.kind",
    "NetworkInterfacePropertiesFormat.allowPort25Out",
    "NetworkWatcherPropertiesFormat.runningOperationIds",
    "NextHopResult.nextHopType: 'VNetPeering'",
    "ServiceTagInformationPropertiesFormat.networkFeatures",
    "TopologyResource.properties",
    "VerificationIPFlowResult.ruleId",
    "VirtualNetworkPeeringPropertiesFormat.routeServiceVips",
}

RICH: tuple[tuple[str, dict[str, Any]], ...] = (
    (f"{GROUPS}/nsg-1/securityRules/by-group", rule(1100, sourceAddressPrefix=None, sourceApplicationSecurityGroups=[
        ref(f"{ASGS}/asg-1")
    ])),
    (f"{NICS}/nic-rich", {
        "location": "eastus2",
        "tags": {"team": "blue"},
        "properties": {
            "enableAcceleratedNetworking": True,
            "enableIPForwarding": True,
            "dnsSettings": {"dnsServers": ["10.0.0.9"], "internalDnsNameLabel": "rich"},
            "networkSecurityGroup": ref(f"{GROUPS}/nsg-1"),
            "ipConfigurations": [{"name": "c", "properties": {
                "subnet": ref(f"{VNETS}/vnet-1/subnets/subnet-1"),
                "applicationSecurityGroups": [ref(f"{ASGS}/asg-1")],
            }}],
        },
    }),
    (f"{VMS}/vm-rich", {
        "location": "eastus2",
        "zones": ["1"],
        "tags": {"team": "blue"},
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_B1s"},
            "storageProfile": {
                "imageReference": {
                    "publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest",
                },
                "osDisk": {"createOption": "FromImage", "managedDisk": {"storageAccountType": "Premium_LRS"}},
                "dataDisks": [{"lun": 0, "createOption": "Empty", "diskSizeGB": 4}],
            },
            "osProfile": {
                "computerName": "rich",
                "adminUsername": "azureuser",
                "linuxConfiguration": {"disablePasswordAuthentication": True, "ssh": {"publicKeys": [{
                    "path": "/home/azureuser/.ssh/authorized_keys",
                    "keyData": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5uSlb2f6fXlU+f3cH3HhX5R0lQ6dNn8oV6vFm0aHqV a@b",
                }]}},
            },
            "securityProfile": {
                "securityType": "TrustedLaunch", "uefiSettings": {"secureBootEnabled": True, "vTpmEnabled": True},
            },
            "diagnosticsProfile": {"bootDiagnostics": {"enabled": True}},
            "networkProfile": {"networkInterfaces": [ref(f"{NICS}/nic-rich")]},
        },
    }),
)  # fmt: skip
"""With as many members as users set."""


def differences(value: Any, kind: Any, models: ModuleType, at: str) -> Iterator[str]:
    """How JSON differs from a type annotation of the SDK, `at` naming the member in the words of its model."""
    if isinstance(kind, str | typing.ForwardRef):
        text = kind if isinstance(kind, str) else kind.__forward_arg__
        names = {**vars(typing), **vars(models), "_models": models, "datetime": datetime}
        kind = eval(text, names)  # the SDK's own words
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind is None:
        return
    if origin is typing.Union:
        kinds = [one for one in inner if one is not type(None)]
        found = [list(differences(value, one, models, at)) for one in kinds if one is not str or len(kinds) == 1]
        yield from min(found, key=len)
    elif origin is list:
        if not isinstance(value, list):
            yield f"{at}: {value!r} is no list"
            return
        for item in value:
            yield from differences(item, inner[0], models, at)
    elif origin is dict:
        for item in value.values():
            yield from differences(item, inner[1], models, at)
    elif issubclass(kind, enum.Enum):
        if value not in {member.value for member in kind}:
            yield f"{at}: {value!r}"
    elif kind.__module__.startswith("azure."):
        yield from _of_model(value, kind, models, at)
    elif not isinstance(value, {datetime.datetime: str, float: (int, float)}.get(kind, kind)) or (
        kind is int and isinstance(value, bool)
    ):
        yield f"{at}: {value!r} is no {getattr(kind, '__name__', kind)}"


def _of_model(value: Any, kind: Any, models: ModuleType, at: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{at}: {value!r} is no {kind.__name__}"
        return
    kind()  # fills the table that is read next
    annotations: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        annotations |= vars(base).get("__annotations__", {})
    known = {field._rest_name: annotations.get(name) for name, field in kind._attr_to_rest_field.items()}
    for name, member in value.items():
        if name not in known:
            yield f"{kind.__name__}.{name}"
        else:
            yield from differences(member, known[name], models, f"{kind.__name__}.{name}")


Answer = tuple[ModuleType, str, Any]
"""Models, the name of one of them, JSON."""


def newest(kind: str) -> str:
    return REGISTRY.types[kind.lower()].api_versions[0]


async def lists(arm: ArmClient) -> list[Answer]:
    """All that is there of every type."""
    found: list[Answer] = []
    for kind, (models, name) in TYPES.items():
        above = f"/subscriptions/{arm.subscription}/providers/{kind}"
        if REGISTRY.types[kind.lower()].parent is not None:
            above = absolute(arm, EXAMPLES[kind]).rpartition("/")[0]
        listed = (await arm.get(above, api=newest(kind)))["value"]
        assert listed, kind
        found += [(models, name, document) for document in listed]
    skus = f"/subscriptions/{arm.subscription}/providers/Microsoft.Compute/skus"
    return found + [(compute, "ResourceSku", sku) for sku in (await arm.get(skus, api="2021-07-01"))["value"]]


async def of_machines(arm: ArmClient) -> list[Answer]:
    found: list[Answer] = []
    for machine in ("vm-1", "vm-rich"):
        view = await arm.get(f"{VMS}/{machine}/instanceView", api=newest(VMS))
        found.append((compute, "VirtualMachineInstanceView", view))
        seen = await arm.get(f"{VMS}/{machine}", query={"$expand": "instanceView"}, api=newest(VMS))
        found.append((compute, "VirtualMachine", seen))
    return found


async def of_networks(arm: ArmClient) -> list[Answer]:
    """What says how a network is used, and what it does."""
    vnet, nic, version = f"{VNETS}/vnet-1", f"{NICS}/nic-1", newest(NICS)
    place = f"/subscriptions/{arm.subscription}/providers/Microsoft.Network/locations/eastus2"
    watcher = f"/subscriptions/{arm.subscription}/resourceGroups/NetworkWatcherRG/providers/Microsoft.Network/{WATCHER}"
    target = {"targetResourceId": arm.id(f"{VMS}/vm-1")}
    ends = {"sourceIPAddress": "10.0.0.4", "destinationIPAddress": "10.1.0.4"}
    flow = {
        "direction": "Inbound", "protocol": "TCP", "localIPAddress": "10.0.0.4", "localPort": "22",
        "remoteIPAddress": "10.1.0.4", "remotePort": "1024",
    }  # fmt: skip
    one, other = ({"resourceId": arm.id(f"{VMS}/{name}")} for name in ("vm-1", "vm-rich"))
    reach = {"source": one, "destination": {**other, "port": 22}}
    check = await arm.get(f"{vnet}/checkIpAddressAvailability", query={"ipAddress": "10.0.0.4"}, api=version)
    usages = await arm.get(f"{vnet}/usages", api=version)
    return [
        (network, "IPAddressAvailabilityResult", check),
        *((network, "VirtualNetworkUsage", usage) for usage in usages["value"]),
        (network, "ServiceTagsListResult", await arm.get(f"{place}/serviceTags", api=version)),
        *[
            (network, model, await arm.post(path, body, api=version))
            for model, path, body in (
                ("EffectiveRouteListResult", f"{nic}/effectiveRouteTable", None),
                ("EffectiveNetworkSecurityGroupListResult", f"{nic}/effectiveNetworkSecurityGroups", None),
                ("NextHopResult", f"{watcher}/nextHop", {**target, **ends}),
                ("VerificationIPFlowResult", f"{watcher}/ipFlowVerify", {**target, **flow}),
                ("ConnectivityInformation", f"{watcher}/connectivityCheck", reach),
                ("Topology", f"{watcher}/topology", {"targetResourceGroupName": arm.group}),
            )
        ],
    ]


def test_every_type_of_network_and_compute_has_its_model() -> None:
    served = {
        kind.type
        for kind in REGISTRY.types.values()
        if kind.type.startswith(("Microsoft.Network/", "Microsoft.Compute/"))
    }
    assert served == set(TYPES)


def test_differences_are_noticed() -> None:
    subnet = {
        "name": 5,
        "properties": {"addressPrefix": "10.0.0.0/24", "adressPrefixes": [], "provisioningState": "Done"},
    }
    body = {"location": "eastus2", "properties": {"subnets": [subnet], "flowTimeoutInMinutes": True}}
    assert list(differences(body, network.VirtualNetwork, network, "VirtualNetwork")) == [
        "Subnet.name: 5 is no str",
        "SubnetPropertiesFormat.adressPrefixes",
        "SubnetPropertiesFormat.provisioningState: 'Done'",
        "VirtualNetworkPropertiesFormat.flowTimeoutInMinutes: True is no int",
    ]


async def test_answers_are_what_the_sdk_knows(arm: ArmClient) -> None:
    await build(arm)
    for path, body in RICH:
        await arm.put(path, placed(arm, body))
    found: dict[str, str] = {}
    for models, name, document in [*await lists(arm), *await of_machines(arm), *await of_networks(arm)]:
        for difference in differences(document, getattr(models, name), models, name):
            found.setdefault(difference, json.dumps(document)[:300])
    assert set(found) == MORE_THAN_THE_MODELS, {key: found[key] for key in set(found) - MORE_THAN_THE_MODELS}

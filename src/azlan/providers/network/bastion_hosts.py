"""Microsoft.Network/bastionHosts: a Bastion host and its own network interface in AzureBastionSubnet.

Follows the specification's bastionHost.json and bastion/configuration-settings (subnet, public IP, SKUs).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal
from uuid import uuid4

from azlan.arm.resource import Json, Read, Reference, ResourceType, Row, View, Write
from azlan.base.ids import key_of, parse_id
from azlan.base.nets import network
from azlan.contract.facts import Fact, IpConfig, Machine, Nic
from azlan.providers.network.address_space import prefixes_of
from azlan.providers.network.allocation import fact_mac, new_mac, next_free, taken_in
from azlan.providers.network.shapes import (
    API_VERSIONS,
    BASTION,
    PUBLIC_ADDRESS,
    SUBNET,
    Document,
    Item,
    Ref,
    Shape,
    decorate,
    fold,
    invalid,
    items,
    public_address_taken,
    ref_key,
    resource_guid,
    same_region,
    settle,
)

SUBNET_NAME = "AzureBastionSubnet"
SMALLEST_SUBNET = 26
SCALE_UNITS = range(2, 51)
MEMORY_MIB = 128
CONFIGURATIONS = "ipConfigurations"
SKUS = ("Basic", "Standard", "Developer", "Premium")
FLAGS = {
    "disableCopyPaste": "2021-02-01",
    "enableTunneling": "2021-02-01",
    "enableIpConnect": "2021-02-01",
    "enableFileCopy": "2021-02-01",
    "enableShareableLink": "2021-02-01",
    "enableKerberos": "2022-09-01",
    "enableSessionRecording": "2023-11-01",
    "enablePrivateOnlyBastion": "2024-05-01",
}
"""Features, all off unless asked for, and about when they came to be shown."""


class BastionHostIPConfigurationPropertiesFormat(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset({"provisioningState"})
    subnet: Ref | None = None
    publicIPAddress: Ref | None = None
    privateIPAllocationMethod: Annotated[Literal["Dynamic", "Static"], fold("Dynamic", "Static")] | None = None
    provisioningState: Any = None


class BastionHostIPConfiguration(Item):
    properties: BastionHostIPConfigurationPropertiesFormat | None = None


class IPRule(Shape):
    addressPrefix: str | None = None


class NetworkAcls(Shape):
    ipRules: list[IPRule] | None = None


class BastionHostPropertiesFormat(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset({"dnsName", "provisioningState", "resourceGuid"})
    ipConfigurations: list[BastionHostIPConfiguration] | None = None
    virtualNetwork: Ref | None = None
    networkAcls: NetworkAcls | None = None
    scaleUnits: int | None = None
    disableCopyPaste: bool | None = None
    enableFileCopy: bool | None = None
    enableIpConnect: bool | None = None
    enableShareableLink: bool | None = None
    enableTunneling: bool | None = None
    enableKerberos: bool | None = None
    enableSessionRecording: bool | None = None
    enablePrivateOnlyBastion: bool | None = None
    sessionRecordingConfiguration: Any = None
    dnsName: Any = None
    provisioningState: Any = None
    resourceGuid: Any = None


class Sku(Shape):
    name: Annotated[Literal["Basic", "Standard", "Developer", "Premium"], fold(*SKUS)] | None = None


class BastionHost(Document):
    sku: Sku | None = None
    zones: list[str] | None = None
    identity: Any = None
    properties: BastionHostPropertiesFormat | None = None


def accept(write: Write) -> None:
    settle(write, BastionHost)
    resource_guid(write)
    write.state.setdefault("dnsGuid", str(uuid4()))
    sku = write.body.setdefault("sku", {}).setdefault("name", "Basic")
    if sku == "Developer":
        raise invalid(
            "BastionHostSkuNotSupported",
            f"Bastion host {write.id} cannot have the Developer SKU: it has no host of its own in the virtual network. Use "
            "Basic, Standard or Premium.",
        )
    properties = write.properties
    properties.setdefault("scaleUnits", SCALE_UNITS.start)
    if properties["scaleUnits"] not in SCALE_UNITS:
        raise invalid(
            "BastionHostInvalidScaleUnits",
            f"Bastion host {write.id} has invalid scale units {properties['scaleUnits']}. Valid range "
            f"{SCALE_UNITS.start}-{SCALE_UNITS.stop - 1}.",
        )
    config = _configuration(write)
    _check_unchanged(write, config)
    _check_public_address(write, config)
    _place(write, config)


def _configuration(write: Write) -> Json:
    configs = items(write.properties, CONFIGURATIONS)
    if len(configs) != 1 or not configs[0].get("name"):
        raise invalid("BastionHostIpConfigurationRequired", f"Bastion host {write.id} must have one IP configuration.")
    properties: Json = configs[0].setdefault("properties", {})
    properties.setdefault("privateIPAllocationMethod", "Dynamic")
    if not ref_key(properties.get("subnet")):
        raise invalid("SubnetRequired", f"IP configuration {configs[0]['name']} of {write.id} must reference a subnet.")
    return configs[0]


def _check_unchanged(write: Write, config: Json) -> None:
    for before in items((write.before or {}).get("properties") or {}, CONFIGURATIONS):
        for member in ("subnet", "publicIPAddress"):
            if ref_key(before["properties"].get(member)) != ref_key(config["properties"].get(member)):
                raise invalid(
                    "BastionHostIpConfigurationCannotBeChanged",
                    f"The {member} of Bastion host {write.id} cannot be changed. Delete it and create it again.",
                )


def _check_public_address(write: Write, config: Json) -> None:
    """A Standard static public IP in the same region, used by nothing else."""
    target = (config["properties"].get("publicIPAddress") or {}).get("id")
    if not target:
        if write.properties.get("enablePrivateOnlyBastion") and write.body["sku"]["name"] == "Premium":
            return
        raise invalid(
            "BastionHostPublicIpRequired",
            f"Bastion host {write.id} must reference a Standard static public IP address.",
        )
    same_region(write, target, write.location)
    row = write.get(key_of(target))
    if row is None:
        return  # the declaration's reference refuses it
    sku = (row.body.get("sku") or {}).get("name")
    method = row.properties.get("publicIPAllocationMethod")
    if sku == "Basic" or method != "Static":
        raise invalid(
            "BastionHostPublicIpSkuNotSupported",
            f"Bastion host {write.id} cannot use public IP address {target} with SKU {sku} and allocation method {method}. "
            "A Bastion host needs a Standard static public IP address.",
        )
    public_address_taken(write, config["name"], target)


def _place(write: Write, config: Json) -> None:
    """Check the subnet and take an address in it, once for the life of the host."""
    target = str(config["properties"]["subnet"]["id"])
    key = key_of(target)
    id = parse_id(target)
    if id.name != SUBNET_NAME:
        raise invalid(
            "BastionHostSubnetNameInvalid",
            f"Bastion host {write.id} cannot be deployed in subnet {id.name}. The subnet must be named {SUBNET_NAME}.",
        )
    same_region(write, target, write.location)
    found = write.child(key)
    if found is None:
        return  # the declaration's reference refuses it
    prefixes = prefixes_of(found[0].get("properties") or {})
    for prefix in prefixes:
        if write.before is None and network(prefix).prefixlen > SMALLEST_SUBNET:
            raise invalid(
                "BastionHostSubnetTooSmall",
                f"Bastion host {write.id} cannot be deployed in subnet {target} with address prefix {prefix}. The subnet "
                f"{SUBNET_NAME} must have a prefix of /{SMALLEST_SUBNET} or larger.",
            )
    for row, _ in write.referrers(key, BASTION):
        if row.key != write.id.key:
            raise invalid(
                "BastionHostAlreadyExistsInSubnet",
                f"Bastion host {write.id} cannot be deployed in subnet {target}, which is in use by Bastion host {row.id}. "
                "A virtual network has one Bastion host.",
            )
    name = config["name"].lower()
    if name not in (write.state.get(CONFIGURATIONS) or {}):
        held = next(iter((write.state.get(CONFIGURATIONS) or {}).values()), None)
        ip = held["privateIPAddress"] if held else next_free(id, prefixes, taken_in(write, key, but=write.id.key))
        write.state[CONFIGURATIONS] = {name: {"privateIPAddress": ip, "subnet": key}}
    if "macAddress" not in write.state:
        write.state["macAddress"] = new_mac(write)


def facts(row: Row, _read: Read) -> Iterable[Fact]:
    held = row.state.get(CONFIGURATIONS) or {}
    for config in items(row.properties, CONFIGURATIONS):
        given = held.get(config["name"].lower())
        if given is None:
            continue
        nic = f"{row.key}/bastionhostipconfigurations/{config['name'].lower()}"
        public = ref_key(config["properties"].get("publicIPAddress"))
        yield Nic(
            nic,
            given["subnet"],
            fact_mac(row.state["macAddress"]),
            (IpConfig(nic, given["privateIPAddress"], public),),
            machine=row.key,
        )
        yield Machine(row.key, "bastion", row.id.name, "", MEMORY_MIB, 1, (nic,))


def view(view: View) -> None:
    properties = view.properties
    # What az puts `https://` before. Azure's is a name below bastion.azure.com, to which Azlan has no right; this one
    # needs no resolver and no certificate of its own.
    if not view.creating:
        properties["dnsName"] = f"{view.endpoint.partition('://')[2]}/_azlan/bst-{view.state['dnsGuid']}"
    for name, since in FLAGS.items():
        if view.api_version >= since:
            properties.setdefault(name, False)
    for config in decorate(view, CONFIGURATIONS, f"{BASTION}/bastionHostIpConfigurations"):
        config["properties"].setdefault("privateIPAllocationMethod", "Dynamic")
        config["properties"]["provisioningState"] = properties["provisioningState"]


RESOURCE = ResourceType(
    type=BASTION,
    api_versions=tuple(version for version in API_VERSIONS if version >= "2019-04-01"),
    model=BastionHost,
    read_only=("properties.dnsName",),
    shown_since={"sku": "2021-02-01"},
    references=(
        Reference(
            "properties.ipConfigurations[].properties.subnet.id",
            (SUBNET,),
            permission="Microsoft.Network/virtualNetworks/subnets/join/action",
        ),
        Reference(
            "properties.ipConfigurations[].properties.publicIPAddress.id",
            (PUBLIC_ADDRESS,),
            permission="Microsoft.Network/publicIPAddresses/join/action",
        ),
    ),
    accept=accept,
    facts=facts,
    view=view,
    waits=("network", "machines"),
    display={"singular": "Bastion host", "plural": "Bastion hosts"},
)

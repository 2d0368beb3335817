"""Microsoft.Network/virtualNetworks/subnets, kept in their virtual network's row.

Follows the specification's virtualNetwork.json, virtual-networks-faq, and default-outbound-access (private subnets).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from azlan.arm.resource import Json, Reference, ResourceType, View, Write
from azlan.base.nets import overlaps
from azlan.providers.network import peering
from azlan.providers.network.address_space import (
    check_subnet_size,
    check_subnets,
    parse_prefix,
    prefixes_of,
    ranges_overlap,
    space_of,
)
from azlan.providers.network.allocation import taken_in
from azlan.providers.network.services import delegated_actions
from azlan.providers.network.shapes import (
    API_VERSIONS,
    PUBLIC_ADDRESS,
    SECURITY_GROUP,
    SUBNET,
    VNET,
    Item,
    OnOff,
    Ref,
    Shape,
    decorate,
    fold,
    invalid,
    items,
    referring,
    same_region,
    settle,
    subnet_in_use,
)

SUBNETS_A_NETWORK = 3000
BASTION_SUBNET = "azurebastionsubnet"

PRIVATE_ENDPOINT_POLICIES = ("Enabled", "Disabled", "NetworkSecurityGroupEnabled", "RouteTableEnabled")
DISABLED_POLICIES_FROM = "2022-05-01"
"""From here on `privateEndpointNetworkPolicies` defaults to Disabled; recordings up to 2021-05-01 show Enabled."""


class ServiceEndpoint(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset({"provisioningState"})
    service: str | None = None
    networkIdentifier: Ref | None = None
    locations: list[str] | None = None
    provisioningState: Any = None


class ServiceDelegation(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset({"provisioningState", "actions"})
    serviceName: str | None = None
    actions: Any = None
    provisioningState: Any = None


class Delegation(Item):
    properties: ServiceDelegation | None = None


class SubnetPropertiesFormat(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset(
        {
            "privateEndpoints",
            "ipConfigurations",
            "ipConfigurationProfiles",
            "resourceNavigationLinks",
            "serviceAssociationLinks",
            "purpose",
            "provisioningState",
            "resourceGuid",
            "networkIntentPolicies",
        }
    )
    unless_empty: ClassVar[frozenset[str]] = frozenset(
        {"addressPrefixes", "serviceEndpointPolicies", "ipAllocations", "applicationGatewayIPConfigurations"}
    )
    addressPrefix: str | None = None
    addressPrefixes: list[str] | None = None
    networkSecurityGroup: Ref | None = None
    routeTable: Ref | None = None
    natGateway: Ref | None = None
    serviceEndpoints: list[ServiceEndpoint] | None = None
    serviceEndpointPolicies: list[Ref] | None = None
    ipAllocations: list[Ref] | None = None
    delegations: list[Delegation] | None = None
    privateEndpointNetworkPolicies: (
        Annotated[
            Literal["Enabled", "Disabled", "NetworkSecurityGroupEnabled", "RouteTableEnabled"],
            fold(*PRIVATE_ENDPOINT_POLICIES),
        ]
        | None
    ) = None
    privateLinkServiceNetworkPolicies: OnOff | None = None
    applicationGatewayIPConfigurations: list[Ref] | None = None
    sharingScope: Annotated[Literal["Tenant", "DelegatedServices"], fold("Tenant", "DelegatedServices")] | None = None
    defaultOutboundAccess: bool | None = None
    ipamPoolPrefixAllocations: list[Any] | None = None
    serviceGateway: Ref | None = None
    privateEndpoints: Any = None
    ipConfigurations: Any = None
    ipConfigurationProfiles: Any = None
    resourceNavigationLinks: Any = None
    serviceAssociationLinks: Any = None
    purpose: Any = None
    provisioningState: Any = None
    resourceGuid: Any = None
    networkIntentPolicies: Any = None


class Subnet(Item):
    properties: SubnetPropertiesFormat | None = None


def accept(write: Write) -> None:
    assert write.parent is not None
    settle(write, Subnet)
    properties = write.properties
    if len(items(write.parent.properties, "subnets")) > SUBNETS_A_NETWORK:
        raise invalid(
            "SubnetCountLimitReached",
            f"Cannot create more than {SUBNETS_A_NETWORK} subnets for virtual network {write.parent.id}.",
        )
    before = (write.before or {}).get("properties") or {}
    prefixes = prefixes_of(properties)
    if not prefixes or items(properties, "ipamPoolPrefixAllocations"):
        raise invalid(
            "NoAddressPrefixOrPoolProvided", f"No address prefix or IPAM pool is provided for resource {write.id}."
        )
    nets = [str(parse_prefix(prefix, write.id)) for prefix in prefixes]
    check_subnet_size(write.id, write.parent.id, nets)
    if write.addressed:
        _check_place(write, nets)
    _check_allocations(write, before, nets)
    if "addressPrefixes" in properties:
        properties["addressPrefixes"] = nets
    if "addressPrefix" in properties:
        properties["addressPrefix"] = nets[0]
    _fill(write, before)
    location = write.parent.location
    same_region(write, (properties.get("networkSecurityGroup") or {}).get("id"), location)
    same_region(write, (properties.get("routeTable") or {}).get("id"), location)
    if write.addressed:
        peering.subnet_changed(write.parent)
    if write.id.name.lower() == BASTION_SUBNET and "routeTable" in properties:
        raise invalid(
            "RouteTableCannotBeAttachedForAzureBastionSubnet",
            f"Route table {properties['routeTable']['id']} cannot be attached to subnet {write.id}.",
        )


def _check_place(write: Write, nets: list[str]) -> None:
    """Within the virtual network and clear of its other subnets (where subnets come inline, their network checks)."""
    assert write.parent is not None
    vnet = write.parent
    check_subnets(
        vnet.id, space_of(vnet.properties), [{"name": write.id.name, "properties": {"addressPrefixes": nets}}]
    )
    for other in items(vnet.properties, "subnets"):
        if str(other["name"]).lower() != write.id.name.lower() and overlaps(nets, prefixes_of(other["properties"])):
            raise ranges_overlap(write.id.name, vnet.id)


def _check_allocations(write: Write, before: Json, nets: list[str]) -> None:
    """A prefix with addresses in use stays: `InUsePrefixCannotBeDeleted`."""
    gone = [prefix for prefix in prefixes_of(before) if prefix not in nets]
    if not gone:
        return
    taken = taken_in(write, write.id.key)
    for prefix in gone:
        if overlaps([prefix], taken):
            raise invalid(
                "InUsePrefixCannotBeDeleted",
                f"IpPrefix {prefix} on Subnet {write.id.name} has active allocations and cannot be deleted.",
            )


def _fill(write: Write, before: Json) -> None:
    """What Azure fills in; a subnet's outbound access is its network's default, and stays as it is when not mentioned."""
    assert write.parent is not None
    properties = write.properties
    properties.setdefault("delegations", [])
    policies = "Disabled" if write.api_version >= DISABLED_POLICIES_FROM else "Enabled"
    properties.setdefault("privateEndpointNetworkPolicies", before.get("privateEndpointNetworkPolicies") or policies)
    properties.setdefault("privateLinkServiceNetworkPolicies", "Enabled")
    if "defaultOutboundAccess" not in properties:
        if write.before is not None:
            if "defaultOutboundAccess" in before:
                properties["defaultOutboundAccess"] = before["defaultOutboundAccess"]
        elif write.parent.state.get("privateSubnets"):
            properties["defaultOutboundAccess"] = False
    for endpoint in items(properties, "serviceEndpoints"):
        endpoint.setdefault("locations", ["*"])


def removed(write: Write) -> None:
    if write.addressed and write.parent is not None:
        peering.subnet_changed(write.parent, gone=write.id.name)


def view(view: View) -> None:
    properties = view.properties
    decorate(view, "delegations", f"{SUBNET}/delegations")
    for delegation in items(properties, "delegations"):
        delegated = delegation["properties"]
        delegated.setdefault("actions", delegated_actions(str(delegated.get("serviceName", ""))))
    for endpoint in items(properties, "serviceEndpoints"):
        endpoint.setdefault("provisioningState", properties["provisioningState"])
    users = [{"id": referring(row, path)} for row, path in view.referrers(view.id.key)]
    if users:
        properties["ipConfigurations"] = users


RESOURCE = ResourceType(
    type=SUBNET,
    api_versions=API_VERSIONS,
    model=Subnet,
    parent=VNET,
    inline="subnets",
    location="none",
    tags=False,
    name_pattern=r"[A-Za-z0-9]([A-Za-z0-9._-]{0,78}[A-Za-z0-9_])?",
    read_only=(
        "properties.ipConfigurations",
        "properties.ipConfigurationProfiles",
        "properties.privateEndpoints",
        "properties.resourceNavigationLinks",
        "properties.serviceAssociationLinks",
        "properties.purpose",
    ),
    elements=("resourceNavigationLinks", "serviceAssociationLinks"),
    references=(
        Reference(
            "properties.networkSecurityGroup.id",
            (SECURITY_GROUP,),
            permission="Microsoft.Network/networkSecurityGroups/join/action",
        ),
        Reference(
            "properties.routeTable.id",
            ("Microsoft.Network/routeTables",),
            permission="Microsoft.Network/routeTables/join/action",
        ),
        Reference(
            "properties.natGateway.id",
            ("Microsoft.Network/natGateways",),
            permission="Microsoft.Network/natGateways/join/action",
        ),
        Reference(
            "properties.serviceEndpointPolicies[].id",
            ("Microsoft.Network/serviceEndpointPolicies",),
            permission="Microsoft.Network/serviceEndpointPolicies/join/action",
        ),
        Reference(
            "properties.serviceEndpoints[].networkIdentifier.id",
            (PUBLIC_ADDRESS,),
            permission="Microsoft.Network/publicIPAddresses/join/action",
        ),
        Reference("properties.serviceGateway.id", ("Microsoft.Network/serviceGateways",)),
        Reference("properties.ipAllocations[].id", ("Microsoft.Network/IpAllocations",)),
        Reference(
            "properties.applicationGatewayIPConfigurations[].id",
            ("Microsoft.Network/applicationGateways/gatewayIPConfigurations",),
        ),
    ),
    accept=accept,
    in_use=subnet_in_use,
    removed=removed,
    view=view,
    display={"singular": "subnet", "plural": "subnets"},
)

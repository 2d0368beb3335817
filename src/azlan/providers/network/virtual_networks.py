"""Microsoft.Network/virtualNetworks: address space, DNS servers, and the row that holds subnets and peerings.

Follows the specification's virtualNetwork.json; limits and sizes from virtual-networks-faq and
azure-subscription-service-limits.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Annotated, Any, ClassVar, Literal

from azlan.arm.resource import Action, ActionContext, Json, Read, Reference, ResourceType, Row, View, Write
from azlan.base.nets import address, network
from azlan.contract.facts import Fact, Peering, PeeringState, Space, Subnet
from azlan.providers.network import bgp_communities, peering
from azlan.providers.network.address_space import check_space, check_subnets, prefixes_of, space_of
from azlan.providers.network.allocation import free_addresses, is_reserved, taken_in, usable
from azlan.providers.network.shapes import (
    API_VERSIONS,
    VNET,
    Document,
    Ref,
    Shape,
    fold,
    internal_suffix,
    invalid,
    items,
    location_of,
    ref_key,
    resource_guid,
    settle,
    subnet_in_use,
)
from azlan.providers.network.watchers import watch

NETWORKS_A_REGION = 1000

KEEPS_SUBNETS_FROM = "2023-09-01"
"""From here on a PUT without `subnets` keeps them; before, it deletes them."""

PRIVATE_SUBNETS_FROM = "2025-07-01"
"""Virtual networks created by this version or a later one have private subnets by default."""


class AddressSpace(Shape):
    addressPrefixes: list[str] | None = None
    ipamPoolPrefixAllocations: list[Any] | None = None


class DhcpOptions(Shape):
    dnsServers: list[str] | None = None


class BgpCommunities(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset({"regionalCommunity"})
    virtualNetworkCommunity: str | None = None
    regionalCommunity: Any = None


class Encryption(Shape):
    enabled: bool
    enforcement: (
        Annotated[Literal["DropUnencrypted", "AllowUnencrypted"], fold("DropUnencrypted", "AllowUnencrypted")] | None
    ) = None


class VirtualNetworkPropertiesFormat(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset(
        {"resourceGuid", "provisioningState", "flowLogs", "defaultPublicNatGateway"}
    )
    unless_empty: ClassVar[frozenset[str]] = frozenset({"ipAllocations"})
    addressSpace: AddressSpace | None = None
    dhcpOptions: DhcpOptions | None = None
    flowTimeoutInMinutes: int | None = None
    subnets: list[Any] | None = None
    virtualNetworkPeerings: list[Any] | None = None
    enableDdosProtection: bool | None = None
    enableVmProtection: bool | None = None
    ddosProtectionPlan: Ref | None = None
    bgpCommunities: BgpCommunities | None = None
    encryption: Encryption | None = None
    ipAllocations: list[Ref] | None = None
    privateEndpointVNetPolicies: Annotated[Literal["Disabled", "Basic"], fold("Disabled", "Basic")] | None = None
    summarizedGatewayPrefixes: AddressSpace | None = None
    resourceGuid: Any = None
    provisioningState: Any = None
    flowLogs: Any = None
    defaultPublicNatGateway: Any = None


class VirtualNetwork(Document):
    extendedLocation: Any = None
    properties: VirtualNetworkPropertiesFormat | None = None


def accept(write: Write) -> None:
    settle(write, VirtualNetwork, children=("subnets", "virtualNetworkPeerings"))
    properties = write.properties
    if write.before is None:
        _check_count(write)
        write.state["privateSubnets"] = write.api_version >= PRIVATE_SUBNETS_FROM
    elif write.addressed:
        _keep_children(write, write.before.get("properties") or {})
    resource_guid(write)
    space = space_of(properties)
    if not space:
        raise invalid(
            "NoAddressPrefixOrPoolProvided", f"No address prefix or IPAM pool is provided for resource {write.id}."
        )
    if items(properties.get("addressSpace") or {}, "ipamPoolPrefixAllocations"):
        raise invalid("IpamPoolNotFound", f"The IPAM pool that resource {write.id} refers to was not found.")
    check_space(write.id, space)
    properties["addressSpace"] = {"addressPrefixes": [str(network(prefix)) for prefix in space]}
    check_subnets(write.id, space, items(properties, "subnets"))
    if write.before is not None:
        peering.network_changed(write, properties)
    _check_options(write)
    properties.setdefault("enableDdosProtection", False)
    if write.addressed:
        watch(write)


def _keep_children(write: Write, before: Json) -> None:
    """A PUT that omits peerings keeps them [unsure which versions]; one that omits subnets keeps them by its version."""
    names = ["virtualNetworkPeerings"]
    if write.api_version >= KEEPS_SUBNETS_FROM:
        names.append("subnets")
    for name in names:
        if name not in write.properties and before.get(name):
            write.properties[name] = deepcopy(before[name])


def _check_count(write: Write) -> None:
    if write.count(VNET) >= NETWORKS_A_REGION:
        raise invalid(
            "VnetCountLimitReached",
            f"Cannot create more than {NETWORKS_A_REGION} virtual networks for this subscription in this region.",
        )


def _check_options(write: Write) -> None:
    properties = write.properties
    for server in items(properties.get("dhcpOptions") or {}, "dnsServers"):
        try:
            address(str(server))
        except ValueError:
            raise invalid(
                "InvalidIPAddressFormat", f"The DNS server {server} of resource {write.id} is not an IP address."
            ) from None
    if "dhcpOptions" in properties:
        properties["dhcpOptions"].setdefault("dnsServers", [])
    timeout = properties.get("flowTimeoutInMinutes")
    if timeout is not None and not 4 <= timeout <= 30:
        raise invalid(
            "FlowTimeoutInMinutesInvalid",
            f"The flow timeout {timeout} of virtual network {write.id} is not valid. It must be between 4 and 30 minutes.",
        )
    bgp_communities.check(write)
    _check_encryption(write)


def _check_encryption(write: Write) -> None:
    """Turned on, encryption must say what becomes of the rest; turned off, it need not [both recorded]."""
    encryption = write.properties.get("encryption")
    if encryption is None:
        return
    if encryption["enabled"] and "enforcement" not in encryption:
        raise invalid(
            "MustSpecifyBothEncryptionIntentAndEnforcementPolicy",
            f"Cannot encrypt VirtualNetwork {write.id} unless both encryption intent (Enabled true or false) and "
            "enforcement policy (AllowUnencrypted or DropUnencrypted) are specified.",
        )
    encryption.setdefault("enforcement", "AllowUnencrypted")


def view(view: View) -> None:
    properties = view.properties
    properties["resourceGuid"] = view.state["resourceGuid"]
    if "bgpCommunities" in properties:
        properties["bgpCommunities"] = bgp_communities.shown(view.row)
    properties.setdefault("subnets", [])
    properties.setdefault("virtualNetworkPeerings", [])
    if "2017-10-01" <= view.api_version <= "2020-06-01":  # recorded of these
        properties.setdefault("enableVmProtection", False)
    elif not properties.get("enableVmProtection"):  # and of none from 2021-05-01 on, whatever the request said
        properties.pop("enableVmProtection", None)
    if view.api_version >= "2024-03-01":
        properties.setdefault("privateEndpointVNetPolicies", "Disabled")


def facts(row: Row, _read: Read) -> Iterable[Fact]:
    properties = row.properties
    yield Space(
        row.key,
        tuple(space_of(properties)),
        location_of(row),
        tuple(str(server) for server in items(properties.get("dhcpOptions") or {}, "dnsServers")),
        properties.get("flowTimeoutInMinutes"),
        internal_suffix(row.state["resourceGuid"], location_of(row)),
    )
    for subnet in items(properties, "subnets"):
        has = subnet.get("properties") or {}
        yield Subnet(
            row.id.child("subnets", subnet["name"]).key,
            row.key,
            tuple(prefixes_of(has)),
            ref_key(has.get("networkSecurityGroup")),
            ref_key(has.get("routeTable")),
            has.get("defaultOutboundAccess", True),
        )
    flags = {half["name"]: half.get("properties") or {} for half in items(properties, "virtualNetworkPeerings")}
    for half in peering.halves_of(row):
        if half.state is not None:
            state = row.state[f"virtualnetworkpeerings/{half.id.name.lower()}"]
            yield Peering(
                half.id.key,
                row.key,
                half.remote,
                PeeringState(half.state),
                half.remembered,
                flags[half.id.name].get("allowVirtualNetworkAccess", True),
                flags[half.id.name].get("allowForwardedTraffic", False),
                state.get("remoteLocation") != location_of(row),
                half.share.local if half.share.local is None else _subnet_keys(row, half.share.local),
            )


def _subnet_keys(row: Row, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(row.id.child("subnets", name).key for name in names)


async def check_ip_address(context: ActionContext) -> Json:
    """`checkIpAddressAvailability`: whether a private address is free, and if not, the next five that are."""
    text = context.query.get("ipaddress", "")
    try:
        ip = address(text)
    except ValueError:
        raise invalid("InvalidIPAddressFormat", f"The IP address {text} is not formatted correctly.") from None
    for subnet in items(context.row.properties, "subnets"):
        prefixes = prefixes_of(subnet.get("properties") or {})
        home = next((prefix for prefix in prefixes if ip in network(prefix)), None)
        if home is None:
            continue
        taken = taken_in(context, context.row.id.child("subnets", subnet["name"]).key)
        reserved = is_reserved(ip, home)
        if not reserved and str(ip) not in taken:
            return {"available": True, "isPlatformReserved": False}
        free = [found for found, _ in zip(free_addresses(prefixes, taken, ip), range(5), strict=False)]
        return {"available": False, "availableIPAddresses": free, "isPlatformReserved": reserved}
    raise invalid(
        "PrivateIPAddressNotInAnySubnet",
        f"Private static IP address {text} does not belong to the range of any subnet in virtual network {context.row.id}.",
    )


async def usages(context: ActionContext) -> Json:
    """How many addresses of each subnet are in use."""
    value = []
    for subnet in items(context.row.properties, "subnets"):
        id = context.row.id.child("subnets", subnet["name"])
        prefixes = prefixes_of(subnet.get("properties") or {})
        value.append(
            {
                "currentValue": float(len(taken_in(context, id.key))),
                "id": str(id),
                "limit": float(sum(usable(prefix) for prefix in prefixes if network(prefix).version == 4)),
                "name": {"localizedValue": "Subnet size and usage", "value": "SubnetSpace"},
                "unit": "Count",
            }
        )
    return {"value": value}


RESOURCE = ResourceType(
    type=VNET,
    api_versions=API_VERSIONS,
    model=VirtualNetwork,
    name_pattern=r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9_])?",
    read_only=("properties.resourceGuid", "properties.flowLogs", "properties.defaultPublicNatGateway"),
    references=(
        Reference(
            "properties.ddosProtectionPlan.id",
            ("Microsoft.Network/ddosProtectionPlans",),
            permission="Microsoft.Network/ddosProtectionPlans/join/action",
        ),
        Reference("properties.ipAllocations[].id", ("Microsoft.Network/IpAllocations",)),
    ),
    accept=accept,
    removed=peering.network_removed,
    in_use=subnet_in_use,
    facts=facts,
    view=view,
    actions={
        "checkIpAddressAvailability": Action(
            check_ip_address, method="GET", permission=f"{VNET}/checkIpAddressAvailability/read"
        ),
        "usages": Action(usages, method="GET", permission=f"{VNET}/usages/read"),
    },
    display={"singular": "virtual network", "plural": "virtual networks"},
)

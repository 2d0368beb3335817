"""Microsoft.Network/virtualNetworks/virtualNetworkPeerings: one half of a peering, kept in its network's row.

What follows from what is in `peering.py`; here are the document, its checks and how it is shown. Follows the
specification's virtualNetwork.json and virtual-network-manage-peering.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from azlan.arm.resource import Reference, ResourceType, Row, View, Write
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId, key_of
from azlan.base.nets import overlaps
from azlan.providers.network import bgp_communities, peering
from azlan.providers.network.address_space import space_of
from azlan.providers.network.shapes import (
    API_VERSIONS,
    VNET,
    Item,
    Ref,
    Shape,
    invalid,
    items,
    location_of,
    not_found_there,
    ref_key,
    settle,
)

PEERINGS_A_NETWORK = 500

SUBNETS_A_SIDE = 200
"""How many subnets a half may link on either side."""

GATEWAY = "Microsoft.Network/virtualNetworkGateways"


class VirtualNetworkPeeringPropertiesFormat(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset(
        {
            "localAddressSpace",
            "localVirtualNetworkAddressSpace",
            "remoteAddressSpace",
            "remoteVirtualNetworkAddressSpace",
            "remoteBgpCommunities",
            "remoteVirtualNetworkEncryption",
            "remoteGateways",
            "routeServiceVips",
            "peeringState",
            "peeringSyncLevel",
            "provisioningState",
            "resourceGuid",
            "syncRemoteAddressSpace",
        }
    )
    remoteVirtualNetwork: Ref | None = None
    allowVirtualNetworkAccess: bool | None = None
    allowForwardedTraffic: bool | None = None
    allowGatewayTransit: bool | None = None
    useRemoteGateways: bool | None = None
    doNotVerifyRemoteGateways: bool | None = None
    peerCompleteVnets: bool | None = None
    enableOnlyIPv6Peering: bool | None = None
    localSubnetNames: list[str] | None = None
    remoteSubnetNames: list[str] | None = None
    localAddressSpace: Any = None
    localVirtualNetworkAddressSpace: Any = None
    remoteAddressSpace: Any = None
    remoteVirtualNetworkAddressSpace: Any = None
    remoteBgpCommunities: Any = None
    remoteVirtualNetworkEncryption: Any = None
    remoteGateways: Any = None
    routeServiceVips: Any = None
    peeringState: Any = None
    peeringSyncLevel: Any = None
    provisioningState: Any = None
    resourceGuid: Any = None
    syncRemoteAddressSpace: Any = None


class VirtualNetworkPeering(Item):
    properties: VirtualNetworkPeeringPropertiesFormat | None = None


DEFAULTS = {
    "allowVirtualNetworkAccess": True,
    "allowForwardedTraffic": False,
    "allowGatewayTransit": False,
    "useRemoteGateways": False,
    "doNotVerifyRemoteGateways": False,
    "peerCompleteVnets": True,
}
"""Of a PUT that leaves them out; access on is unsure, all the others are recorded."""


def accept(write: Write) -> None:
    assert write.parent is not None
    settle(write, VirtualNetworkPeering)
    properties = write.properties
    remote_id = (properties.get("remoteVirtualNetwork") or {}).get("id")
    if not remote_id:
        raise invalid("MissingRemoteVirtualNetwork", f"Peering {write.id} must reference a remote virtual network.")
    for name, value in DEFAULTS.items():
        properties.setdefault(name, value)
    share = _check_share(write)
    if len(items(write.parent.properties, peering.COLLECTION)) > PEERINGS_A_NETWORK:
        raise invalid(
            "PeeringCountLimitReached",
            f"Cannot create more than {PEERINGS_A_NETWORK} peerings for virtual network {write.parent.id}.",
        )
    _check_remote(write, remote_id)
    if key_of(remote_id) == write.parent.id.key:
        space = space_of(write.parent.properties)
        raise peering.spaces_overlap(write.id, write.parent.id, write.parent.id, overlaps(space, space))
    remote = write.get(key_of(remote_id))
    if not write.addressed and write.before is not None:
        _network_written(write, share, remote)
        return
    if remote is None or remote.deleting:
        if write.before is not None:
            raise missing(write.id, remote_id)
        return  # the declaration's reference refuses it, once the caller's right to know is checked
    _check_subnets(write, write.parent.id, write.parent.properties, share.local or ())
    _check_subnets(write, remote.id, remote.properties, share.remote or ())
    peering.check_overlaps(write, write.id, write.parent.id, write.parent.properties, share, remote)
    _check_gateways(write, remote)
    sync = write.addressed and write.query.get("syncremoteaddressspace", "").lower() == "true"
    peering.put(write, write.parent.state["resourceGuid"], remote, sync=sync)
    write.state["remoteLocation"] = location_of(remote)


def _network_written(write: Write, share: peering.Share, remote: Row | None) -> None:
    """The half was there before and its network was written: only a changed address space changes anything."""
    assert write.parent is not None
    space = space_of(write.parent.properties)
    before = space_of((write.parent.before or {}).get("properties") or {})
    if remote is not None and not peering.same_space(space, before):
        peering.check_overlaps(write, write.id, write.parent.id, write.parent.properties, share, remote)
    peering.refresh(write, remote)


def _check_share(write: Write) -> peering.Share:
    """What the half links, having checked what its document says of that. Codes and words are unsure."""
    properties = write.properties
    share = peering.share_of(properties)
    if share.complete:
        if items(properties, "localSubnetNames") or items(properties, "remoteSubnetNames"):
            raise invalid(
                "SubnetNamesNotAllowedForCompleteVnetPeering",
                f"Peering {write.id} peers complete virtual networks and cannot name subnets. Set peerCompleteVnets to "
                "false to peer subnets.",
            )
        for name in ("localSubnetNames", "remoteSubnetNames", "enableOnlyIPv6Peering"):
            properties.pop(name, None)
    for names, side in ((share.local, "local"), (share.remote, "remote")):
        if names is not None and not 0 < len(names) <= SUBNETS_A_SIDE:
            raise invalid(
                "InvalidSubnetPeering",
                f"Peering {write.id} must name 1 to {SUBNETS_A_SIDE} {side} subnets, because it does not peer complete "
                "virtual networks.",
            )
    before = (write.before or {}).get("properties")
    if before is not None and peering.share_of(before).complete is not share.complete:
        raise invalid(
            "PeeringTypeCannotBeChanged",
            f"peerCompleteVnets of peering {write.id} cannot be changed. Delete the peering and create it again.",
        )
    return share


def _check_subnets(write: Write, vnet: ResourceId, network: Mapping[str, Any], names: Iterable[str]) -> None:
    present = {str(subnet["name"]).lower() for subnet in items(network, "subnets")}
    for name in names:
        if name.lower() not in present:
            raise not_found_there(write.id, str(vnet.child("subnets", name)))


def _check_remote(write: Write, remote_id: str) -> None:
    """A half keeps its remote network, and no other half of the same network points there."""
    assert write.parent is not None
    key = key_of(remote_id)
    before = ref_key(((write.before or {}).get("properties") or {}).get("remoteVirtualNetwork"))
    if before is not None and before != key:
        raise invalid(
            "RemoteVirtualNetworkCannotBeChanged",
            f"Remote virtual network of peering {write.id} cannot be changed to {remote_id}. Delete the peering and create "
            "it again.",
        )
    for other in items(write.parent.properties, peering.COLLECTION):
        same = str(other.get("name")).lower() == write.id.name.lower()
        if not same and ref_key((other.get("properties") or {}).get("remoteVirtualNetwork")) == key:
            existing = write.parent.id.child(peering.COLLECTION, str(other["name"]))
            raise invalid(
                "AnotherPeeringAlreadyReferencesRemoteVnet",
                f"Peering {existing} already references remote virtual network {remote_id}. Cannot add another peering "
                f"{write.id} referencing the same remote virtual network.",
            )


def _check_gateways(write: Write, remote: Row) -> None:
    if not write.properties["useRemoteGateways"]:
        return
    if not any(write.referrers(remote.id.child("subnets", "GatewaySubnet").key, GATEWAY)):
        raise invalid(
            "RemoteVnetHasNoGateways",
            f"Peering {write.id} cannot have UseRemoteGateway flag set to true because remote virtual network {remote.id} "
            "referenced by the peering does not have any gateways.",
        )


def removed(write: Write) -> None:
    remote = ref_key(write.properties.get("remoteVirtualNetwork"))
    if remote:
        peering.removed(write, remote)


def view(view: View) -> None:
    properties, state = view.properties, view.state
    remote = view.get(ref_key(properties["remoteVirtualNetwork"]) or "")
    share = peering.share_of(properties)
    present = share.theirs(remote.properties) if remote is not None else state.get("remoteAddressSpace", [])
    properties["resourceGuid"] = state.get("resourceGuid")
    properties["peeringState"] = state.get("peeringState")
    properties["peeringSyncLevel"] = state.get("peeringSyncLevel")
    properties["remoteAddressSpace"] = peering.shown(state.get("remoteAddressSpace", []))
    properties["remoteVirtualNetworkAddressSpace"] = peering.shown(present)
    if not share.complete:
        own = share.ours(view.row.properties)
        properties["localAddressSpace"] = peering.shown(own)
        properties["localVirtualNetworkAddressSpace"] = peering.shown(own)
    if remote is not None:
        if "bgpCommunities" in remote.properties:
            properties["remoteBgpCommunities"] = bgp_communities.shown(remote)
        if "encryption" in remote.properties:
            properties["remoteVirtualNetworkEncryption"] = remote.properties["encryption"]
    properties["routeServiceVips"] = {}


def missing(referring: ResourceId, target: str) -> ArmError:
    return invalid(
        "InvalidGlobalResourceReference",
        f"Resource {target} referenced by resource {referring} was not found. Please make sure that the referenced "
        "resource exists.",
    )


RESOURCE = ResourceType(
    type=f"{VNET}/virtualNetworkPeerings",
    api_versions=API_VERSIONS,
    model=VirtualNetworkPeering,
    parent=VNET,
    inline=peering.COLLECTION,
    shown_since={
        "properties.doNotVerifyRemoteGateways": "2020-06-01",
        "properties.resourceGuid": "2020-06-01",
        "properties.peeringSyncLevel": "2021-02-01",
        "properties.remoteVirtualNetworkAddressSpace": "2021-02-01",
        "properties.peerCompleteVnets": "2021-02-01",
    },
    location="none",
    tags=False,
    read_only=(
        "properties.peeringState",
        "properties.peeringSyncLevel",
        "properties.resourceGuid",
        "properties.remoteAddressSpace",
        "properties.remoteVirtualNetworkAddressSpace",
        "properties.routeServiceVips",
    ),
    references=(
        Reference(
            "properties.remoteVirtualNetwork.id",
            (VNET,),
            permission="Microsoft.Network/virtualNetworks/peer/action",
            holds=False,
            missing=missing,
        ),
    ),
    accept=accept,
    removed=removed,
    view=view,
    display={"singular": "peering", "plural": "peerings"},
)

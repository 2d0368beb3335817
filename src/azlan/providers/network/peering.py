"""The state machine of virtual network peering: one table, and what both halves remember of each other.

A peering is two halves, each a child of its own virtual network. Every row of TABLE cites its source or is marked
unsure. Follows virtual-network-manage-peering, virtual-network-troubleshoot-peering-issues,
how-to-configure-subnet-peering and Microsoft's recordings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from azlan.arm.resource import Read, Row, Write
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.base.nets import network, overlaps
from azlan.contract.facts import PeeringState
from azlan.providers.network.address_space import prefixes_of, space_of
from azlan.providers.network.shapes import VNET, invalid, items, ref_key

INITIATED, CONNECTED, DISCONNECTED = PeeringState.INITIATED, PeeringState.CONNECTED, PeeringState.DISCONNECTED
State = PeeringState | None
"""State of a half; None where it does not exist."""

COLLECTION = "virtualNetworkPeerings"


class Event(StrEnum):
    """What happens to a half."""

    PUT = "PUT"
    DELETE = "DELETE"
    REMOTE_GONE = "the remote virtual network is deleted"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row: (event, this half, the other half) → both afterwards, or the code of the refusal."""

    event: Event
    mine: State
    other: State
    mine_after: State
    other_after: State
    source: str
    error: str | None = None


_RECORDED = "azure-cli, recordings/test_network_vnet_peering.yaml"
_USERS = "reported by users: deleting one half, then re-creating it"
_DOC = "virtual-network-troubleshoot-peering-issues: a half is Disconnected when the remote half or network is deleted"

TABLE: tuple[Transition, ...] = (
    Transition(Event.PUT, None, None, INITIATED, None, _RECORDED),
    Transition(Event.PUT, None, INITIATED, CONNECTED, CONNECTED, _RECORDED),
    Transition(Event.PUT, None, DISCONNECTED, None, DISCONNECTED, _USERS, error="RemotePeeringIsDisconnected"),
    Transition(Event.PUT, INITIATED, None, INITIATED, None, "unsure: an update before the other half exists"),
    Transition(Event.PUT, CONNECTED, CONNECTED, CONNECTED, CONNECTED, _RECORDED),
    Transition(Event.PUT, DISCONNECTED, None, INITIATED, None, _USERS),
    Transition(Event.DELETE, INITIATED, None, None, None, _RECORDED),
    Transition(Event.DELETE, CONNECTED, CONNECTED, None, DISCONNECTED, _USERS),
    Transition(Event.DELETE, DISCONNECTED, None, None, None, _USERS),
    Transition(Event.REMOTE_GONE, INITIATED, None, DISCONNECTED, None, f"unsure: {_DOC}, said of connected halves"),
    Transition(Event.REMOTE_GONE, CONNECTED, CONNECTED, DISCONNECTED, None, _DOC),
    Transition(Event.REMOTE_GONE, DISCONNECTED, None, DISCONNECTED, None, "unsure: nothing left to change"),
)

_BY_CASE = {(row.event, row.mine, row.other): row for row in TABLE}


def transition(event: Event, mine: State, other: State) -> Transition:
    """The row for that case. Raises KeyError for a pair of halves that no sequence of events leads to."""
    return _BY_CASE[event, mine, other]


class SyncLevel(StrEnum):
    """Azure's `peeringSyncLevel`, as seen from one half."""

    FULL = "FullyInSync"
    REMOTE_STALE = "RemoteNotInSync"
    LOCAL_STALE = "LocalNotInSync"
    BOTH_STALE = "LocalAndRemoteNotInSync"


def sync_level(*, knows_remote: bool, known_there: bool) -> SyncLevel:
    """`knows_remote`: this half remembers the remote's present address space. `known_there`: the other half exists and
    remembers ours. Where both are stale, Azure's word is unsure."""
    if knows_remote:
        return SyncLevel.FULL if known_there else SyncLevel.REMOTE_STALE
    return SyncLevel.LOCAL_STALE if known_there else SyncLevel.BOTH_STALE


SUBNETS_LINKED = 0xA << 96
"""What is XORed to the resourceGuid of a peering of subnets [recorded once]."""


def resource_guid(one: str, other: str, *, complete: bool = True) -> str:
    """A peering's resourceGuid: the XOR of both virtual networks' [recorded]; the same on both halves."""
    return str(UUID(int=UUID(one).int ^ UUID(other).int ^ (0 if complete else SUBNETS_LINKED)))


@dataclass(frozen=True, slots=True)
class Share:
    """What a half links: both networks whole, or the subnets of either side that it names (subnet peering)."""

    local: tuple[str, ...] | None = None
    """Names of subnets of the half's own network, None for all of the network."""
    remote: tuple[str, ...] | None = None
    only_ipv6: bool = False

    @property
    def complete(self) -> bool:
        return self.local is None

    def ours(self, network: Mapping[str, Any]) -> list[str]:
        """The prefixes of the half's own network, by its properties, that are linked."""
        return self._linked(network, self.local)

    def theirs(self, network: Mapping[str, Any]) -> list[str]:
        """The prefixes of the remote network, by its properties, that are linked."""
        return self._linked(network, self.remote)

    def _linked(self, properties: Mapping[str, Any], names: tuple[str, ...] | None) -> list[str]:
        if names is None:
            return space_of(properties)
        subnets = {str(each["name"]).lower(): each.get("properties") or {} for each in items(properties, "subnets")}
        prefixes = [p for name in names for p in prefixes_of(subnets.get(name.lower(), {}))]
        return [p for p in prefixes if not self.only_ipv6 or network(p).version == 6]


def share_of(properties: Mapping[str, Any]) -> Share:
    """What a half's document says it links."""
    if properties.get("peerCompleteVnets", True):
        return Share()
    return Share(
        tuple(properties.get("localSubnetNames") or ()),
        tuple(properties.get("remoteSubnetNames") or ()),
        bool(properties.get("enableOnlyIPv6Peering")),
    )


@dataclass(frozen=True, slots=True)
class Half:
    """A stored half, as its virtual network's row holds it."""

    id: ResourceId
    remote: str
    """Key of the virtual network it points to."""
    state: State
    remembered: tuple[str, ...]
    """The remote address space as this half knows it: `remoteAddressSpace`."""
    share: Share


def halves_of(row: Row) -> Iterator[Half]:
    """The halves a virtual network's row holds."""
    for body in items(row.properties, COLLECTION):
        name = str(body["name"])
        properties = body.get("properties") or {}
        state = row.state.get(f"{COLLECTION.lower()}/{name.lower()}") or {}
        yield Half(
            row.id.child(COLLECTION, name),
            ref_key(properties.get("remoteVirtualNetwork")) or "",
            PeeringState(state["peeringState"]) if "peeringState" in state else None,
            tuple(state.get("remoteAddressSpace") or ()),
            share_of(properties),
        )


def half_towards(read: Read, vnet: str, remote: str) -> Half | None:
    """The half on the virtual network `vnet` that points to `remote`, both keys. A network on its way out has none."""
    row = read.get(vnet)
    if row is None or row.type != VNET or row.deleting:
        return None
    return next((half for half in halves_of(row) if half.remote == remote), None)


def halves_towards(read: Read, remote: str) -> Iterator[Half]:
    """Every half, on any virtual network, that points to `remote`."""
    seen: set[str] = set()
    for row, _ in read.referrers(remote, VNET):
        if row.key not in seen and not row.deleting:
            seen.add(row.key)
            yield from (half for half in halves_of(row) if half.remote == remote)


def same_space(one: Sequence[str], other: Sequence[str]) -> bool:
    return sorted(one) == sorted(other)


def put(write: Write, guid: str, remote: Row, *, sync: bool) -> None:
    """A PUT of the half `write`, whose virtual network has `guid`; `remote` is the other network's row.

    Changes the state of this half and of the other one. Raises `RemotePeeringIsDisconnected`.
    """
    assert write.parent is not None
    state, mine_now = write.state, write.parent.properties
    share = share_of(write.properties)
    other = half_towards(write, remote.key, write.parent.id.key)
    mine = PeeringState(state["peeringState"]) if "peeringState" in state else None
    row = transition(Event.PUT, mine, other.state if other else None)
    if row.error is not None and other is not None:
        raise remote_is_disconnected(write.id, other.id, remote.id)
    connects = row.mine_after is CONNECTED and mine is not CONNECTED
    renamed = share != share_of((write.before or {}).get("properties") or {})
    if sync or connects or renamed or row.mine_after is not mine or mine is INITIATED:
        state["remoteAddressSpace"] = share.theirs(remote.properties)
    state["peeringState"] = str(row.mine_after)
    state["resourceGuid"] = resource_guid(guid, remote.state["resourceGuid"], complete=share.complete)
    settle_levels(write, mine_now, remote, other, connects=connects)


def settle_levels(
    write: Write, mine: Mapping[str, Any], remote: Row, other: Half | None, *, connects: bool = False
) -> None:
    """Write the sync levels of both halves, and the other half's state where this write connects them.

    `mine`: the properties of this half's network, as they will be.
    """
    knows = same_space(
        write.state.get("remoteAddressSpace") or (), share_of(write.properties).theirs(remote.properties)
    )
    known = other is not None and (connects or same_space(other.remembered, other.share.theirs(mine)))
    write.state["peeringSyncLevel"] = str(sync_level(knows_remote=knows, known_there=known))
    if other is None:
        return
    found = write.child(other.id.key)
    level = str(sync_level(knows_remote=known, known_there=knows))
    if not connects and found is not None and found[1].get("peeringSyncLevel") == level:
        return
    change = write.change(other.id.key).state
    change["peeringSyncLevel"] = level
    if connects:
        change["peeringState"] = str(CONNECTED)
        change["remoteAddressSpace"] = other.share.theirs(mine)
        change["resourceGuid"] = write.state["resourceGuid"]


def refresh(write: Write, remote: Row | None, mine: Mapping[str, Any] | None = None) -> None:
    """The virtual network of the half `write` was written, maybe with other prefixes (`mine`: its properties, where they
    are not what its document says yet): settle both sync levels."""
    assert write.parent is not None
    if remote is None or write.state.get("peeringState") == DISCONNECTED:
        return
    other = half_towards(write, remote.key, write.parent.id.key)
    settle_levels(write, write.parent.properties if mine is None else mine, remote, other)


def network_changed(write: Write, mine: Mapping[str, Any]) -> None:
    """The virtual network `write` now has the properties `mine`: halves that wait for their other half on it learn
    whether what they remember is stale [unsure]. Those of connected pairs are settled by their other half, in `refresh`."""
    for half in list(halves_towards(write, write.id.key)):
        if half.state is not INITIATED:
            continue
        level = str(sync_level(knows_remote=same_space(half.remembered, half.share.theirs(mine)), known_there=False))
        found = write.child(half.id.key)
        if found is not None and found[1].get("peeringSyncLevel") != level:
            write.change(half.id.key).state["peeringSyncLevel"] = level


def subnet_changed(network: Write, gone: str | None = None) -> None:
    """A subnet of the virtual network `network` was written, or (`gone`) goes: halves that link it may be stale."""
    mine: Mapping[str, Any] = network.properties
    if gone is not None:
        mine = {
            **mine,
            "subnets": [each for each in items(mine, "subnets") if str(each["name"]).lower() != gone.lower()],
        }
    network_changed(network, mine)
    for body in items(mine, COLLECTION):
        half = network.change(network.id.child(COLLECTION, str(body["name"])).key)
        remote = network.get(ref_key(half.properties.get("remoteVirtualNetwork")) or "")
        refresh(half, remote, mine)


def removed(write: Write, remote: str) -> None:
    """The half `write` goes away: its other half, on the virtual network with key `remote`, becomes Disconnected."""
    assert write.parent is not None
    other = half_towards(write, remote, write.parent.id.key)
    if other is None or "peeringState" not in write.state:
        return
    row = transition(Event.DELETE, PeeringState(write.state["peeringState"]), other.state)
    if row.other_after is not other.state:
        _disconnect(write, other)


def network_removed(write: Write) -> None:
    """The virtual network `write` goes away: every half that points to it becomes Disconnected."""
    for half in list(halves_towards(write, write.id.key)):
        if half.state not in (None, DISCONNECTED):
            other = CONNECTED if half.state is CONNECTED else None
            assert transition(Event.REMOTE_GONE, half.state, other).mine_after is DISCONNECTED
            _disconnect(write, half)


def _disconnect(write: Write, half: Half) -> None:
    state = write.change(half.id.key).state
    state["peeringState"] = str(DISCONNECTED)
    state["peeringSyncLevel"] = str(SyncLevel.REMOTE_STALE)


# Refusals


def check_overlaps(
    write: Read, peering: ResourceId, vnet: ResourceId, mine: Mapping[str, Any], share: Share, remote: Row
) -> None:
    """Raise `VnetAddressSpacesOverlap`, or `VnetAddressSpaceOverlapsWithAlreadyPeeredVnet` for a third network.

    `mine`: the properties of the network `vnet`, as they will be. Of networks that link subnets, only the address prefixes
    that those belong to must be the network's own. A Disconnected half still counts. The third network counts by what is
    remembered of it and by what it has now.
    """
    ours, theirs = share.ours(mine), share.theirs(remote.properties)
    if clash := _shared(space_of(mine), ours, space_of(remote.properties), theirs):
        raise spaces_overlap(peering, vnet, remote.id, clash)
    own = write.get(vnet.key)
    first_over_second = ((ours, vnet, remote, remote.id), (theirs, remote.id, own, vnet))
    for prefixes, one, second, second_id in first_over_second:
        for half in halves_of(second) if second is not None else ():
            if half.remote == one.key:
                continue
            third = write.get(half.remote)
            present = half.share.theirs(third.properties) if third is not None else []
            if clash := overlaps(prefixes, dict.fromkeys([*half.remembered, *present])):
                shared = dict.fromkeys(prefix for prefix, _ in clash)
                raise invalid(
                    "VnetAddressSpaceOverlapsWithAlreadyPeeredVnet",
                    f"Cannot create or update peering {peering}. Virtual networks {one} and {second_id} cannot be peered "
                    "because address space of the first virtual network overlaps with address space of virtual network "
                    f"{third.id if third is not None else _remote_text(second, half)} already peered with the second "
                    f"virtual network. Overlapping address prefixes: {', '.join(shared)}",
                )


def _shared(
    space: Sequence[str], ours: Sequence[str], remote_space: Sequence[str], theirs: Sequence[str]
) -> list[tuple[str, str]]:
    """Pairs of prefixes that both networks have, of those that what is linked belongs to."""
    found = dict.fromkeys(overlaps(_around(space, ours), remote_space))
    found.update(dict.fromkeys(overlaps(space, _around(remote_space, theirs))))
    return list(found)


def _around(space: Sequence[str], linked: Sequence[str]) -> list[str]:
    return [prefix for prefix in space if overlaps([prefix], linked)]


def spaces_overlap(
    peering: ResourceId, vnet: ResourceId, remote: ResourceId, clash: Sequence[tuple[str, str]]
) -> ArmError:
    pairs = ", ".join(prefix for pair in clash for prefix in pair)
    return invalid(
        "VnetAddressSpacesOverlap",
        f"Cannot create or update peering {peering}. Virtual networks {vnet} and {remote} cannot be peered because their "
        f"address spaces overlap. Overlapping address prefixes: {pairs}",
    )


def _remote_text(row: Row | None, half: Half) -> str:
    """The id of a network that is gone, as the half that points to it was given it."""
    for body in items(row.properties, COLLECTION) if row is not None else ():
        if body["name"] == half.id.name:
            return str(body["properties"]["remoteVirtualNetwork"]["id"])
    return half.remote


def remote_is_disconnected(peering: ResourceId, other: ResourceId, remote: ResourceId) -> ArmError:
    return invalid(
        "RemotePeeringIsDisconnected",
        f"Cannot create or update peering {peering} because remote peering {other} referencing parent virtual network "
        f"{peering.parent} is in Disconnected state. Update or re-create the remote peering to get it back to Initiated "
        "state. Peering gets Disconnected when remote vnet or remote peering is deleted and re-created.",
    )


def shown(prefixes: Sequence[str]) -> dict[str, Any]:
    """An address space as JSON."""
    return {"addressPrefixes": list(prefixes)}

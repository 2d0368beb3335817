"""World part → map entries. Pure: what a part becomes depends on its content alone; `program/layout.h` says what the
bytes mean. IPv6 prefixes and addresses are left out: the program carries IPv4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Network

from azlan.base.nets import contains, network
from azlan.contract.world import (
    AddressSet,
    Machine,
    NextHop,
    Nic,
    PartKey,
    Route,
    RouteGroup,
    RuleSet,
    SecurityRule,
    Tag,
    TagPrefix,
    Vnet,
)

NetworkPart = Vnet | RouteGroup | RuleSet | Nic
"""The parts an engine keeps: all but machines."""

Entries = dict[str, dict[bytes, bytes]]
"""Map name → key → value."""

TAG_SPACE = 0x8000_0000
"""Beside the bits of `Tag`: the address is in the VNet's own space, so ARP for it is answered."""

NIC_FORWARDING = 1
NIC_DEFAULT_OUTBOUND = 2

HOP_NONE, HOP_NIC, HOP_APPLIANCE, HOP_INTERNET, HOP_NO_ROUTE = range(5)
_HOPS = {
    NextHop.NONE: HOP_NONE,
    NextHop.VNET_LOCAL: HOP_NIC,
    NextHop.PEER: HOP_NIC,
    NextHop.GLOBAL_PEER: HOP_NIC,
    NextHop.APPLIANCE: HOP_APPLIANCE,
    NextHop.INTERNET: HOP_INTERNET,
    NextHop.GATEWAY: HOP_NO_ROUTE,  # there is no virtual network gateway to take it
}

MAX_RULES = 8192
_INLINE_PREFIXES = 2
_SOURCE_RANGES = 2
_DESTINATION_RANGES = 4
_NEVER_PREFIX = (1, 0)
_NEVER_RANGE = (1, 0)
_ANY_RANGE = ((0, 65535),)

_RULE = struct.Struct("<4I8I12H3B5x")
_NIC = struct.Struct("<4QI6sH4x")


class RenderError(ValueError):
    """A part the program cannot carry; the message is for the user."""


def is_network_part(part: object) -> bool:
    return not isinstance(part, Machine)


def part_id(key: PartKey | None) -> int:
    """The 64-bit name of a part in the maps; 0 for none."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little") if key else 0


def content_id(digest: bytes) -> int:
    """The 64-bit name of a part's content in the maps."""
    return int.from_bytes(digest[:8], "little")


@lru_cache(maxsize=65536)
def address_bytes(text: str) -> bytes | None:
    """Four bytes in network order; None for IPv6."""
    net = network(text)
    return net.network_address.packed if isinstance(net, IPv4Network) else None


def _prefix(text: str) -> tuple[int, bytes] | None:
    net = network(text)
    return (net.prefixlen, net.network_address.packed) if isinstance(net, IPv4Network) else None


def prefix_key(content: int, prefix: tuple[int, bytes]) -> bytes:
    return struct.pack("<IQ4s", 64 + prefix[0], content, prefix[1])


def set_key(content: int, number: int, prefix: tuple[int, bytes]) -> bytes:
    return struct.pack("<IQI4s", 96 + prefix[0], content, number, prefix[1])


def plain_prefix(text: str) -> bytes:
    """Key of the `unreachable` map."""
    found = _prefix(text)
    if found is None:
        raise RenderError(f"{text} is no IPv4 prefix")
    return struct.pack("<I4s", *found)


def keyed_address(number: int, address: bytes) -> bytes:
    """Key of the maps that look up (part or content id, address)."""
    return struct.pack("<Q4s4x", number, address)


# VNets


def space_tags(vnet: Vnet) -> list[TagPrefix]:
    """The VNet's tags with TAG_SPACE where an address is its own: on each of its prefixes and on those within."""
    tags = {tag.prefix: tag.tags for tag in vnet.tags if ":" not in tag.prefix}
    nets = [(network(prefix), bits) for prefix, bits in tags.items()]
    own = [network(prefix) for prefix in vnet.prefixes if ":" not in prefix]
    for net in own:
        covering = [(outer.prefixlen, bits) for outer, bits in nets if contains(outer, net)]
        tags.setdefault(str(net), max(covering, default=(0, 0))[1])
    return [
        TagPrefix(prefix, bits | (TAG_SPACE if any(contains(outer, network(prefix)) for outer in own) else 0))
        for prefix, bits in sorted(tags.items())
    ]


def render_vnet(vnet: Vnet, content: int) -> Entries:
    withheld = int(any(tag.tags & Tag.WITHHELD for tag in vnet.tags))
    tags = {}
    for tag in space_tags(vnet):
        prefix = _prefix(tag.prefix)
        assert prefix is not None
        tags[prefix_key(content, prefix)] = struct.pack("<I", tag.tags)
    return {
        "vnets": {struct.pack("<Q", content): struct.pack("<II", vnet.flow_timeout_seconds, withheld)},
        "tags": tags,
    }


# Routes


def _route(route: Route) -> bytes:
    address = address_bytes(route.address) if route.address else None
    return struct.pack("<QI4s", part_id(route.vnet), _HOPS[route.next_hop], address or b"\0\0\0\0")


def render_routes(group: RouteGroup, content: int) -> Entries:
    entries = {}
    for route in group.routes:
        prefix = _prefix(route.prefix)
        if route.active and prefix is not None:
            entries[prefix_key(content, prefix)] = _route(route)
    return {"routes": entries}


# Rules


def _chunks(ranges: Sequence[tuple[int, int]], size: int) -> Iterator[Sequence[tuple[int, int]]]:
    for start in range(0, len(ranges), size):
        yield ranges[start : start + size]


class _Sets:
    """The address sets of one table that are too long to stand in a rule, each numbered."""

    def __init__(self, content: int) -> None:
        self._content = content
        self._numbers: dict[frozenset[tuple[int, bytes]], int] = {}
        self.entries: dict[bytes, bytes] = {}

    def place(self, addresses: AddressSet) -> tuple[int, list[tuple[int, int]]]:
        """(number of the set or 0, two inline prefixes as (address, mask))."""
        prefixes = {prefix for text in addresses.prefixes if (prefix := _prefix(text)) is not None}
        if any(length == 0 for length, _ in prefixes):
            prefixes = {(0, b"\0\0\0\0")}
        number = 0
        if len(prefixes) > _INLINE_PREFIXES:
            number = self._numbers.setdefault(frozenset(prefixes), len(self._numbers) + 1)
            for prefix in prefixes:
                self.entries[set_key(self._content, number, prefix)] = struct.pack("<I", 1)
            prefixes = set()
        inline = [(int.from_bytes(address, "little"), _mask(length)) for length, address in sorted(prefixes)]
        return number, inline + [_NEVER_PREFIX] * (_INLINE_PREFIXES - len(inline))


def _mask(length: int) -> int:
    """A prefix length as a mask on an address read in the order of memory."""
    return int.from_bytes(((0xFFFF_FFFF << (32 - length)) & 0xFFFF_FFFF).to_bytes(4, "big"), "little")


def _render_rule(rule: SecurityRule, sets: _Sets) -> Iterator[bytes]:
    """One entry, or several with the same outcome where the rule has more port ranges than an entry holds."""
    source_set, sources = sets.place(rule.sources)
    destination_set, destinations = sets.place(rule.destinations)
    by_port = bool(rule.source_ports or rule.destination_ports)
    for source_ports in _chunks(rule.source_ports or _ANY_RANGE, _SOURCE_RANGES):
        for destination_ports in _chunks(rule.destination_ports or _ANY_RANGE, _DESTINATION_RANGES):
            ports = [*source_ports, *[_NEVER_RANGE] * (_SOURCE_RANGES - len(source_ports))]
            ports += [*destination_ports, *[_NEVER_RANGE] * (_DESTINATION_RANGES - len(destination_ports))]
            yield _RULE.pack(
                source_set,
                destination_set,
                rule.sources.tags,
                rule.destinations.tags,
                *_flat(sources),
                *_flat(destinations),
                *_flat(ports),
                rule.protocol,
                rule.allow,
                by_port,
            )


def _flat(pairs: Iterable[tuple[int, int]]) -> Iterator[int]:
    for one, other in pairs:
        yield one
        yield other


def render_rules(group: RuleSet, content: int) -> Entries:
    """Raises RenderError where a direction has more entries than the program looks through."""
    sets = _Sets(content)
    rules: dict[bytes, bytes] = {}
    for outbound, direction in ((0, group.inbound), (1, group.outbound)):
        index = 0
        for rule in direction:
            for entry in _render_rule(rule, sets):
                rules[struct.pack("<QII", content, outbound, index)] = entry
                index += 1
        if index > MAX_RULES:
            raise RenderError(f"{group.id} needs {index} rule entries in one direction, and {MAX_RULES} is the most")
    return {"rules": rules, "sets": sets.entries}


# NICs


def render_nic(nic: Nic, content: int) -> Entries:
    """Raises RenderError where the MAC or gateway is none."""
    try:
        mac = bytes.fromhex(nic.mac.replace(":", "").replace("-", ""))
        gateway = address_bytes(nic.gateway) or b"\0\0\0\0"
    except ValueError as error:
        raise RenderError(f"{nic.id}: {error}") from None
    if len(mac) != 6:
        raise RenderError(f"{nic.id}: {nic.mac} is no MAC address")
    flags = NIC_FORWARDING * nic.forwarding | NIC_DEFAULT_OUTBOUND * nic.default_outbound
    body = _NIC.pack(
        part_id(nic.vnet),
        part_id(nic.routes),
        part_id(nic.nic_rules),
        part_id(nic.subnet_rules),
        int.from_bytes(gateway, "little"),
        mac,
        flags,
    )
    addresses = {}
    for entry in nic.addresses:
        private = address_bytes(entry.private)
        public = address_bytes(entry.public) if entry.public else None
        if private is not None:
            value = struct.pack("<4sI", public or b"\0\0\0\0", entry.idle_timeout_seconds if public else 0)
            addresses[keyed_address(content, private)] = value
    return {"nics": {struct.pack("<Q", content): body}, "nic_addresses": addresses}


def render_part(part: NetworkPart, content: int) -> Entries:
    """The immutable table entries of a part. Raises RenderError."""
    match part:
        case Vnet():
            return render_vnet(part, content)
        case RouteGroup():
            return render_routes(part, content)
        case RuleSet():
            return render_rules(part, content)
        case Nic():
            return render_nic(part, content)


def private_addresses(nic: Nic) -> list[bytes]:
    return [private for entry in nic.addresses if (private := address_bytes(entry.private)) is not None]


def places(nic: Nic, number: int) -> dict[bytes, tuple[int, bytes]]:
    """Key of `places` → (NIC's part id, unused): who has an address of the VNet."""
    vnet = part_id(nic.vnet)
    return {keyed_address(vnet, private): (number, b"\0\0\0\0") for private in private_addresses(nic)}


def publics(nic: Nic, number: int) -> dict[bytes, tuple[int, bytes]]:
    """Key of `publics` → (NIC's part id, private address)."""
    found = {}
    for entry in nic.addresses:
        private = address_bytes(entry.private)
        public = address_bytes(entry.public) if entry.public else None
        if private is not None and public is not None:
            found[public] = (number, private)
    return found

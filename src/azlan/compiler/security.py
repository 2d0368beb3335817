"""Security rules and what an address is to a VNet: `VirtualNetwork`, `Internet`, `AzureLoadBalancer`; and the tags of
the platform's own services, which are the same to every VNet.

Follows service-tags-overview, network-security-groups-overview and virtual-network-manage-peering (the flags of a
peering change "the definition of the VirtualNetwork service tag" and nothing else).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_network
from operator import attrgetter
from types import MappingProxyType

from azlan.base.nets import network
from azlan.compiler.routes import is_prefix
from azlan.contract import facts
from azlan.contract.world import AddressSet, RuleSet, SecurityRule, Tag, TagPrefix

PLATFORM = "168.63.129.16/32"
"""The virtual public IP of the host: DNS, DHCP and the load balancer's probes come from it."""

NOT_PUBLIC = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/3",
)
NOT_PUBLIC_V6 = ("fc00::/7", "fe80::/10", "ff00::/8")
"""What the public internet does not reach, so that the tag `Internet` leaves it out."""

_SERVICE_TAGS = {
    "virtualnetwork": Tag.VIRTUAL_NETWORK,
    "internet": Tag.INTERNET,
    "azureloadbalancer": Tag.LOAD_BALANCER,
    "azureplatformdns": Tag.PLATFORM_DNS,
    "azureplatformimds": Tag.PLATFORM_IMDS,
}
_PROTOCOLS = {"*": 0, "icmp": 1, "tcp": 6, "udp": 17, "esp": 50, "ah": 51}
_ANY_PORT = (0, 65535)
_ANYWHERE = ("0.0.0.0/0", "::/0")

_INSIDE = 1 << 16
"""Not `Internet`: private, or part of the virtual network. Never leaves this file."""

_EVERYWHERE: dict[str, int] = {
    "0.0.0.0/0": 0,
    **dict.fromkeys(NOT_PUBLIC, _INSIDE),
    PLATFORM: int(_INSIDE | Tag.VIRTUAL_NETWORK | Tag.LOAD_BALANCER),
}
"""What addresses are to every VNet, before it says anything of its own."""
_INTERNET = int(Tag.INTERNET)


Members = Mapping[facts.Key, Sequence[str]]
"""Application security group → its members' addresses in one VNet."""
_NOBODY: Members = MappingProxyType({})


def application_groups(group: facts.SecurityGroup) -> frozenset[facts.Key]:
    """The application security groups that a network security group's rules name."""
    return frozenset(
        entry
        for rule in group.rules
        for entry in (*rule.sources, *rule.destinations)
        if entry.startswith("/")  # a key, as no prefix or service tag does
    )


def address_set(entries: Iterable[str], members: Members = _NOBODY) -> AddressSet:
    """Rule addresses → AddressSet. An application security group is its members' addresses. Other service tags match
    nothing: Azlan has no service behind them."""
    prefixes: dict[str, None] = {}
    tags = 0
    for entry in entries:
        tag = _SERVICE_TAGS.get(entry.lower())
        if entry == "*" or entry.lower() == "any":
            prefixes.update(dict.fromkeys(_ANYWHERE))
        elif tag is not None:
            tags |= tag
        elif entry.startswith("/"):
            prefixes.update((str(ip_network(address)), None) for address in members.get(entry, ()))
        else:
            try:
                prefixes[str(ip_network(entry, strict=False))] = None
            except ValueError:
                continue
    return AddressSet(prefixes=tuple(prefixes), tags=tags)


def _ports(ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    return () if _ANY_PORT in ranges else ranges


def security_rule(rule: facts.Rule, members: Members = _NOBODY) -> SecurityRule:
    return SecurityRule(
        name=rule.name,
        priority=rule.priority,
        allow=rule.allow,
        protocol=_PROTOCOLS[rule.protocol.lower()],
        sources=address_set(rule.sources, members),
        destinations=address_set(rule.destinations, members),
        source_ports=_ports(rule.source_ports),
        destination_ports=_ports(rule.destination_ports),
        default=rule.default,
    )


def rule_set(group: facts.SecurityGroup, vnet: facts.Key | None = None, members: Members = _NOBODY) -> RuleSet:
    """A network security group, each direction in the order of its priorities; with `vnet`, as it guards that VNet."""
    ranked = sorted(group.rules, key=lambda rule: rule.priority)
    return RuleSet(
        id=rules_id(group.id, vnet),
        inbound=tuple(security_rule(rule, members) for rule in ranked if rule.direction == "Inbound"),
        outbound=tuple(security_rule(rule, members) for rule in ranked if rule.direction == "Outbound"),
    )


def rules_id(group: facts.Key, vnet: facts.Key | None) -> str:
    """Id of a group's rule set: of its own, or as it guards a VNet."""
    return f"{group}|{vnet}" if vnet else group


def user_route_prefixes(tables: Iterable[facts.RouteTable]) -> list[str]:
    """The user routes that count as virtual network: those that keep traffic in it, be it 0.0.0.0/0.

    Azure's document says "address prefixes used on user-defined routes"; what users saw are routes to appliances.
    Routes to Internet or None lead out of it and stay out.
    """
    inward = {"VirtualAppliance", "VirtualNetworkGateway", "VnetLocal"}
    return [route.prefix for table in tables for route in table.routes if route.next_hop in inward]


def classify(
    space: facts.Space,
    peers: Sequence[facts.Peering],
    beyond: Iterable[facts.Peering],
    tables: Iterable[facts.RouteTable],
) -> tuple[TagPrefix, ...]:
    """What each address is to the VNet, by longest prefix; sorted by prefix text.

    `peers`: the VNet's halves in effect. `beyond`: the halves in effect of those peers from which this VNet's half
    takes forwarded traffic. `tables`: the route tables of its subnets. The one place where the flags of a peering act:

    - access on: the peer's remembered prefixes are `VirtualNetwork`; off: they are withheld instead. [documented]
    - forwarded on, with access: what the peer may forward, the prefixes of its own peers, is `VirtualNetwork` too;
      off: only the peer's own. [documented that the tag changes; by exactly which prefixes is unconfirmed]
    """
    flags = dict(_EVERYWHERE)

    def mark(prefixes: Iterable[str], bits: int) -> None:
        plain = int(bits)  # an IntFlag makes an object at every |
        for prefix in prefixes:
            flags[prefix] = flags.get(prefix, 0) | plain

    mark(space.prefixes, _INSIDE | Tag.VIRTUAL_NETWORK)
    for half in peers:
        mark(half.remote_prefixes, _INSIDE | (Tag.VIRTUAL_NETWORK if half.access else Tag.WITHHELD))
    for half in beyond:
        mark(half.remote_prefixes, _INSIDE | Tag.VIRTUAL_NETWORK)
    mark((p for p in user_route_prefixes(tables) if is_prefix(p)), Tag.VIRTUAL_NETWORK)
    if any(":" in prefix for prefix in flags):
        mark(("::/0",), 0)
        mark(NOT_PUBLIC_V6, _INSIDE)
    return _inherit(flags)


def _inherit(flags: dict[str, int]) -> tuple[TagPrefix, ...]:
    """Give every prefix the bits of those that contain it, so that one look-up by longest prefix finds them all."""
    covering: list[tuple[int, int, int]] = []  # version, last address, bits
    tags = []
    for version, first, _, prefix, last in sorted(map(_span, flags)):
        while covering and (covering[-1][0] != version or covering[-1][1] < first):
            covering.pop()
        bits = flags[prefix] | (covering[-1][2] if covering else 0)
        covering.append((version, last, bits))
        tags.append(TagPrefix(prefix, (bits & ~_INSIDE) | (0 if bits & _INSIDE else _INTERNET)))
    return tuple(sorted(tags, key=attrgetter("prefix")))


@lru_cache(maxsize=65536)
def _span(prefix: str) -> tuple[int, int, int, str, int]:
    """(version, first address, length, the prefix, last address): in this order, what contains comes before the contained."""
    net = network(prefix)
    return net.version, int(net.network_address), net.prefixlen, prefix, int(net.broadcast_address)

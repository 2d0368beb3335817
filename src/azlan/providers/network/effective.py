"""What is in force at a network interface: its effective routes and security rules, read from the World.

Shapes follow the specification's networkInterface.json and answers recorded from Azure; the World says what is
effective, so that nothing is worked out a second time here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, summarize_address_range

from azlan.arm.resource import ActionContext, Json, Later, Row
from azlan.base.ids import key_of
from azlan.base.nets import network
from azlan.contract.platform import DNS_ADDRESS, METADATA_ADDRESS
from azlan.contract.world import (
    AddressSet,
    NextHop,
    Nic,
    Route,
    RouteGroup,
    RuleSet,
    SecurityRule,
    Tag,
    TagPrefix,
    Vnet,
    World,
    security_group_of,
)
from azlan.providers.network.shapes import VIRTUAL_MACHINE, invalid, items
from azlan.providers.network.watchers import SPEAKS, named, nic_part, runs

TAGS = {
    "VirtualNetwork": Tag.VIRTUAL_NETWORK,
    "Internet": Tag.INTERNET,
    "AzureLoadBalancer": Tag.LOAD_BALANCER,
    "AzurePlatformDNS": Tag.PLATFORM_DNS,
    "AzurePlatformIMDS": Tag.PLATFORM_IMDS,
}
"""The service tags that stand for addresses here; all others match nothing."""

_ANYWHERE_THE_SAME = {Tag.PLATFORM_DNS: f"{DNS_ADDRESS}/32", Tag.PLATFORM_IMDS: f"{METADATA_ADDRESS}/32"}
"""What Azure expands these two to is unconfirmed."""

PROBES_V6 = "fe80::1234:5678:9abc/128"
"""Where the load balancer's probes come from in IPv6, which `AzureLoadBalancer` stands for as well [recorded]."""

PROTOCOLS = {0: "All", 1: "Icmp", 6: "Tcp", 17: "Udp", 50: "Esp", 51: "Ah"}


async def effective_routes(context: ActionContext) -> Later:
    """`effectiveRouteTable` of a running machine's interface."""
    _require_running(context, "route table", "NicMustBeAttachedToRunningVmToGetEffectiveRoutes")
    world = context.runtime.world()
    nic = nic_part(world, context.row)
    value = route_table(context, world, nic)

    async def answer() -> Json:
        return {"value": value}

    return Later(answer())


async def effective_security(context: ActionContext) -> Later:
    """`effectiveNetworkSecurityGroups` of a running machine's interface; nothing where no group applies."""
    _require_running(context, "security groups", "NicMustBeAttachedToRunningVmToGetEffectiveSecurityGroups")
    world = context.runtime.world()
    nic = nic_part(world, context.row)
    value = [
        _group(context, world, nic, rules, association)
        for rules, association in (
            (nic.nic_rules, {"networkInterface": {"id": str(context.row.id)}}),
            (nic.subnet_rules, {"subnet": {"id": _subnet_id(context.row)}}),
        )
        if rules is not None
    ]

    async def answer() -> Json:
        return {"value": value}

    return Later(answer())


def _require_running(context: ActionContext, what: str, code: str) -> None:
    machine = next(iter(context.referrers(context.row.key, VIRTUAL_MACHINE)), None)
    if machine is None or not runs(context, machine[0].key):
        # The words are recorded for security groups; for routes only the code is.
        words = f"The network interface {context.row.id} is not attached to a running virtual machine."
        raise invalid(code, f"{SPEAKS.format(what=what)} {words}")


def _subnet_id(row: Row) -> str:
    """As the interface's document has it."""
    return str(items(row.properties, "ipConfigurations")[0]["properties"]["subnet"]["id"])


# -- routes -----------------------------------------------------------------------------------------------------------


def route_table(context: ActionContext, world: World, nic: Nic) -> list[Json]:
    """An interface's routes, those that another one of the same prefix beats included."""
    group = world.parts.get(nic.routes)
    if not isinstance(group, RouteGroup):
        return []
    table = context.get(table_key(nic)) if table_key(nic) else None
    off = bool(table.properties.get("disableBgpRoutePropagation")) if table is not None else False
    return [_route(route, off) for route in group.routes]


def table_key(nic: Nic) -> str:
    """Key of the route table behind an interface's routes; empty where there is none."""
    return nic.routes.partition(":")[2].split("|")[1]


def _route(route: Route, propagation_off: bool) -> Json:
    shown: Json = {"name": route.name} if route.name else {}
    return shown | {
        "disableBgpRoutePropagation": propagation_off,
        "source": route.source,
        "state": "Active" if route.active else "Invalid",
        "hasBgpOverride": False,
        "addressPrefix": [route.prefix],
        "nextHopType": str(route.next_hop),
        "nextHopIpAddress": [route.address] if route.next_hop is NextHop.APPLIANCE and route.address else [],
        "destinationServiceTags": [],
        "tagMap": {},
    }


# -- rules ------------------------------------------------------------------------------------------------------------


def _group(context: ActionContext, world: World, nic: Nic, rules: str, association: Json) -> Json:
    key = security_group_of(rules)
    part = world.parts.get(rules)
    vnet = world.parts.get(nic.vnet)
    shown: list[Json] = []
    used = 0
    if isinstance(part, RuleSet) and isinstance(vnet, Vnet):
        stored = _stored(context.get(key))
        for direction, ranked in (("Inbound", part.inbound), ("Outbound", part.outbound)):
            for rule in ranked:
                used |= rule.sources.tags | rule.destinations.tags
                shown.append(_rule(rule, direction, vnet, stored.get(rule.name.lower(), {})))
    tag_map = {
        name: _stands_for(vnet, bit) for name, bit in TAGS.items() if used & bit and isinstance(vnet, Vnet)
    }  # fmt: skip
    return {
        "networkSecurityGroup": {"id": named(context, key)},
        "association": association,
        "effectiveSecurityRules": shown,
        "tagMap": tag_map,
    }


def _stored(row: Row | None) -> dict[str, Json]:
    """A group's own rules by name in lower case."""
    rules = items(row.properties, "securityRules") if row is not None else []
    return {str(rule["name"]).lower(): rule.get("properties") or {} for rule in rules}


def rule_name(rule: str | None, default: bool) -> str:
    """`securityRules/allow-ssh`, `defaultSecurityRules/DenyAllInBound`: how Azure names a rule in what it answers."""
    return f"{'defaultSecurityRules' if default else 'securityRules'}/{rule}" if rule else ""


def _rule(rule: SecurityRule, direction: str, vnet: Vnet, stored: Json) -> Json:
    sources, source_expanded = _addresses(rule.sources, vnet, stored, "source")
    destinations, destination_expanded = _addresses(rule.destinations, vnet, stored, "destination")
    source_ports, destination_ports = _ports(rule.source_ports), _ports(rule.destination_ports)
    shown: Json = {"name": rule_name(rule.name, rule.default), "protocol": PROTOCOLS[rule.protocol]}
    for side, addresses, expanded, ports in (
        ("source", sources, source_expanded, source_ports),
        ("destination", destinations, destination_expanded, destination_ports),
    ):
        # One value is shown in both forms; of several, Azure's singular form is unconfirmed and left out. Any address is
        # IPv4's and IPv6's: the same words twice in the list [recorded].
        if len(ports) == 1:
            shown[f"{side}PortRange"] = ports[0]
        shown[f"{side}PortRanges"] = ports
        if len(set(addresses)) == 1:
            shown[f"{side}AddressPrefix"] = addresses[0]
        shown[f"{side}AddressPrefixes"] = addresses
        if expanded:
            shown[f"expanded{side[0].upper()}{side[1:]}AddressPrefix"] = expanded
    return shown | {
        "access": "Allow" if rule.allow else "Deny",
        "priority": rule.priority,
        "direction": direction,
    }


def _addresses(addresses: AddressSet, vnet: Vnet, stored: Json, side: str) -> tuple[list[str], list[str]]:
    """(as written, what its service tags stand for in this network)."""
    tags = [name for name, bit in TAGS.items() if addresses.tags & bit]
    written = [
        "0.0.0.0/0" if prefix == "::/0" and "0.0.0.0/0" in addresses.prefixes else prefix
        for prefix in addresses.prefixes
    ]
    expanded = [prefix for name in tags for prefix in _stands_for(vnet, TAGS[name])]
    if not written and not tags:  # a service tag behind which there is nothing
        one, many = stored.get(f"{side}AddressPrefix"), stored.get(f"{side}AddressPrefixes")
        written = [str(text) for text in ([one] if one else many or ())]
    return [*written, *tags], expanded


def _ports(ranges: Iterable[tuple[int, int]]) -> list[str]:
    return [f"{low}-{high}" for low, high in ranges] or ["0-65535"]


def expand(vnet: Vnet, tag: Tag) -> list[str]:
    """The prefixes that a service tag stands for in a network: what its longest-prefix classification comes to."""
    if tag in _ANYWHERE_THE_SAME:
        return [_ANYWHERE_THE_SAME[tag]]
    return list(_expanded(vnet.tags, tag))


def _stands_for(vnet: Vnet, tag: Tag) -> list[str]:
    """As Azure shows what a service tag stands for."""
    return [*expand(vnet, tag), *([PROBES_V6] if tag is Tag.LOAD_BALANCER else [])]


@lru_cache(maxsize=64)
def _expanded(tags: tuple[TagPrefix, ...], tag: int) -> tuple[str, ...]:
    entries = [(network(entry.prefix), bool(entry.tags & tag)) for entry in tags]
    found: list[str] = []
    for kind, address in ((IPv4Network, IPv4Address), (IPv6Network, IPv6Address)):
        mine = [
            (int(n.network_address), int(n.broadcast_address), wanted) for n, wanted in entries if isinstance(n, kind)
        ]
        for first, last in _merged(_flat(sorted(mine, key=lambda entry: (entry[0], -entry[1])))):
            found += map(str, summarize_address_range(address(first), address(last)))
    return tuple(found)


Range = tuple[int, int, bool]


def _flat(nested: Iterable[Range]) -> Iterator[Range]:
    """Ranges that lie within one another, outer ones first → the same without overlap, where the innermost counts."""
    open_: list[Range] = []
    at = 0
    for entry in nested:
        while open_ and open_[-1][1] < entry[0]:
            _, last, wanted = open_.pop()
            yield at, last, wanted
            at = max(at, last + 1)
        if open_:
            yield at, entry[0] - 1, open_[-1][2]
        open_.append(entry)
        at = entry[0]
    while open_:
        _, last, wanted = open_.pop()
        yield at, last, wanted
        at = max(at, last + 1)


def _merged(flat: Iterable[Range]) -> Iterator[tuple[int, int]]:
    """The wanted ones, those that touch as one."""
    current: tuple[int, int] | None = None
    for first, last, wanted in flat:
        if not wanted or last < first:
            continue
        if current is not None and first == current[1] + 1:
            current = current[0], last
        else:
            if current is not None:
                yield current
            current = first, last
    if current is not None:
        yield current


def group_id(context: ActionContext, rules: str) -> str:
    """Id of the security group behind a rule set."""
    return named(context, key_of(security_group_of(rules)))

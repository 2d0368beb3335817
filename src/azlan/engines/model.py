"""The model engine: any flow's fate and its reasons, from the World alone, in the order in which a port decides.

A port asks who sends, where to, and only then the rules: sender known and plugged, protocol carried, source its own,
not multicast; platform addresses (past routes, and all rules but those that name them); the gateway; route; who answers
there; four gates, each independent. Follows the VFP order of virtual-networks-udr-overview and
network-security-groups-overview.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple, TypeVar, cast

from azlan.base.nets import Address, address, network
from azlan.contract.engine import Digest, Drop, Flow, Gate, Report, Verdict
from azlan.contract.platform import ADDRESSES, service_tag
from azlan.contract.world import (
    EMPTY,
    AddressSet,
    AnyPart,
    Machine,
    NextHop,
    Nic,
    NicAddress,
    PartKey,
    Route,
    RouteGroup,
    RuleSet,
    SecurityRule,
    Tag,
    Vnet,
    World,
    differing,
    digest,
    part_key,
    root_of,
)

NOT_CARRIED = frozenset({4, 47})
"""IP-in-IP and GRE, which Azure blocks (virtual-networks-faq)."""

MULTICAST = tuple(map(network, ("224.0.0.0/4", "255.255.255.255/32", "ff00::/8")))

NOT_PUBLIC = tuple(
    map(
        network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "240.0.0.0/4",
            "fc00::/7",
            "fe80::/10",
        ),
    )
)
"""Where nothing leaves to, whatever the routes say."""

DEFAULT_OUTBOUND_SOURCE = "192.0.2.0"
"""What a receiver sees, across a hairpin, of a sender that has no public IP of its own. Azure's default outbound
address is one of Microsoft's that no customer knows: here the first documentation address, which no NIC is given."""

T = TypeVar("T")


class PrefixTable(dict[tuple[int, int], dict[int, T]]):
    """Longest-prefix match: (version, length) → network number → value."""

    def __init__(self, entries: Iterable[tuple[str, T]]) -> None:
        super().__init__()
        for prefix, value in entries:
            net = network(prefix)
            shift = net.max_prefixlen - net.prefixlen
            self.setdefault((net.version, net.prefixlen), {})[int(net.network_address) >> shift] = value
        self._order = sorted(self, reverse=True)

    def find(self, ip: Address) -> T | None:
        number = int(ip)
        for version, length in self._order:
            if version == ip.version:
                value = self[version, length].get(number >> (ip.max_prefixlen - length))
                if value is not None:
                    return value
        return None


class Packet(NamedTuple):
    """What a gate sees."""

    source: Address
    destination: Address
    protocol: int
    source_port: int
    destination_port: int


class View:
    """A World with the look-ups that flows need. What belongs to a part is built once, and kept while the part is."""

    def __init__(self, world: World, before: View | None = None) -> None:
        self.world = world
        self.parts = world.parts
        self.at: dict[tuple[PartKey, str], Nic] = {}
        """(VNet, private address) → NIC."""
        self.public: dict[str, tuple[Nic, NicAddress]] = {}
        for part in world.parts.values():
            if isinstance(part, Nic):
                for entry in part.addresses:
                    self.at[part.vnet, entry.private] = part
                    if entry.public:
                        self.public[entry.public] = (part, entry)
        kept = before._tables if before else {}
        self._tables: dict[PartKey, tuple[AnyPart, PrefixTable[object]]] = {
            key: entry for key, entry in kept.items() if world.parts.get(key) is entry[0]
        }

    def _table(self, key: PartKey) -> PrefixTable[object] | None:
        found = self._tables.get(key)
        if found is not None:
            return found[1]
        part = self.parts.get(key)
        table: PrefixTable[object]
        match part:
            case RouteGroup():
                table = PrefixTable((route.prefix, route) for route in part.routes if route.active)
            case Vnet():
                table = PrefixTable((tag.prefix, tag.tags) for tag in part.tags)
            case _:
                return None
        self._tables[key] = (part, table)
        return table

    def route(self, nic: Nic, destination: Address) -> Route | None:
        """The active route with the longest prefix, by which this NIC sends."""
        table = self._table(nic.routes)
        return cast("Route | None", table.find(destination)) if table else None

    def tags(self, vnet: PartKey, ip: Address) -> Tag:
        """What the address is to the VNet."""
        table = self._table(vnet)
        return Tag(cast("int | None", table.find(ip)) or 0) if table else Tag(0)

    def plugged(self, nic: Nic) -> bool:
        """True where the NIC is attached and its machine is not known to be off."""
        if nic.machine is None:
            return False
        machine = self.parts.get(nic.machine)
        return not isinstance(machine, Machine) or machine.power == "running"

    # Gates

    def _in(self, addresses: AddressSet, ip: Address, vnet: PartKey) -> bool:
        if addresses.tags and addresses.tags & self.tags(vnet, ip):
            return True
        return any(_contains(prefix, ip) for prefix in addresses.prefixes)

    def _matches(self, rule: SecurityRule, packet: Packet, vnet: PartKey, service: Tag | None) -> bool:
        if rule.protocol not in (0, packet.protocol):
            return False
        if rule.source_ports or rule.destination_ports:
            if packet.protocol not in (6, 17):
                return False
            if not _port_in(rule.source_ports, packet.source_port):
                return False
            if not _port_in(rule.destination_ports, packet.destination_port):
                return False
        if service is not None:
            return bool(rule.destinations.tags & service) and self._in(rule.sources, packet.source, vnet)
        return self._in(rule.sources, packet.source, vnet) and self._in(rule.destinations, packet.destination, vnet)

    def gate(self, gate: Drop, nic: Nic, packet: Packet, service: Tag | None = None) -> Gate:
        """Ask one of a NIC's four gates. A rule set that the World lacks denies: fail closed. To a platform service only
        rules that name its tag say anything, and what none of them denies passes."""
        key = nic.nic_rules if gate in (Drop.NIC_OUT, Drop.NIC_IN) else nic.subnet_rules
        if key is None:
            return Gate(gate=gate, allow=True)
        rules = self.parts.get(key)
        if not isinstance(rules, RuleSet):
            return Gate(gate=gate, allow=False, rules=key)
        for rule in rules.inbound if gate in (Drop.NIC_IN, Drop.SUBNET_IN) else rules.outbound:
            if self._matches(rule, packet, nic.vnet, service):
                return Gate(gate=gate, allow=rule.allow, rules=key, rule=rule.name, default=rule.default)
        return Gate(gate=gate, allow=service is not None, rules=key)

    def platform_gates(self, nic: Nic, packet: Packet) -> tuple[Gate, ...]:
        """A NIC's outbound gates for what goes to one of the platform's addresses. Of every packet: no flow is held."""
        service = service_tag(str(packet.destination), packet.protocol, packet.destination_port)
        asked = (Drop.NIC_OUT, Drop.SUBNET_OUT) if service else ()
        return tuple(self.gate(gate, nic, packet, service) for gate in asked)

    def gates(self, nic: Nic, outbound: bool, packet: Packet, established: bool) -> tuple[Gate, ...]:
        """A NIC's two gates in one direction, and what a half of a peering with access off does where there is no
        rule at all to ask: it stops both directions at its own VNet's NICs, and, being no rule, what runs, too."""
        order = (Drop.NIC_OUT, Drop.SUBNET_OUT) if outbound else (Drop.SUBNET_IN, Drop.NIC_IN)
        asked = () if established else tuple(self.gate(gate, nic, packet) for gate in order)
        unguarded = nic.nic_rules is None and nic.subnet_rules is None
        remote = packet.destination if outbound else packet.source
        if unguarded and self.tags(nic.vnet, remote) & Tag.WITHHELD:
            return (*asked, Gate(gate=Drop.PEER_ACCESS, allow=False))
        return asked


def _contains(prefix: str, ip: Address) -> bool:
    net = network(prefix)
    return net.version == ip.version and ip in net


def _private(nic: Nic) -> set[str]:
    return {entry.private for entry in nic.addresses}


def _port_in(ranges: tuple[tuple[int, int], ...], port: int) -> bool:
    return not ranges or any(low <= port <= high for low, high in ranges)


class _Delivery(NamedTuple):
    """Where a packet goes: to a NIC, or to the internet (None), and what it looks like there."""

    drop: Drop | None
    to: Nic | None = None
    seen: Packet | None = None


def _to_internet(view: View, sender: Nic, packet: Packet) -> _Delivery:
    """Out by the address that stands for the source, or, where the destination is a NIC's public IP, back in."""
    public = view.public.get(str(packet.destination))
    if public is None and any(_contains(str(net), packet.destination) for net in NOT_PUBLIC):
        return _Delivery(Drop.PRIVATE_DESTINATION)
    own = {entry.private: entry.public for entry in sender.addresses}
    source = str(packet.source)
    if source not in own or not (own[source] or sender.default_outbound):
        return _Delivery(Drop.NO_OUTBOUND)  # what an appliance forwards is not translated either
    if public is None:
        return _Delivery(None)
    nic, entry = public
    if not view.plugged(nic):
        return _Delivery(Drop.NOT_PLUGGED, nic)
    translated = address(own[source] or DEFAULT_OUTBOUND_SOURCE)
    return _Delivery(None, nic, packet._replace(source=translated, destination=address(entry.private)))


def _to_nic(view: View, route: Route, packet: Packet) -> _Delivery:
    """To the NIC that has the destination, or the appliance's address, in the route's VNet."""
    appliance = route.next_hop is NextHop.APPLIANCE
    wanted = route.address if appliance else str(packet.destination)
    nic = view.at.get((route.vnet, wanted)) if route.vnet and wanted else None
    if nic is None:
        return _Delivery(Drop.NO_NIC)
    if not view.plugged(nic):
        return _Delivery(Drop.NOT_PLUGGED, nic)
    if appliance and not nic.forwarding and str(packet.destination) not in _private(nic):
        return _Delivery(Drop.NOT_FORWARDING, nic)
    return _Delivery(None, nic, packet)


def _refusal(view: View, nic: Nic | None, flow: Flow) -> Drop | Packet:
    """What a port checks of a packet by itself."""
    if nic is None:
        return Drop.UNKNOWN_PORT
    if not view.plugged(nic):
        return Drop.NOT_PLUGGED
    try:
        packet = Packet(
            address(flow.source), address(flow.destination), flow.protocol, flow.source_port, flow.destination_port
        )
    except ValueError:
        return Drop.MALFORMED
    if packet.source.version != packet.destination.version:
        return Drop.MALFORMED
    if flow.protocol in NOT_CARRIED:
        return Drop.PROTOCOL
    if not nic.forwarding and str(packet.source) not in _private(nic):
        return Drop.SPOOFED
    if any(net.version == packet.destination.version and packet.destination in net for net in MULTICAST):
        return Drop.MULTICAST
    return packet


def judge(view: View, flow: Flow) -> Verdict:
    """A flow's fate. To the platform's addresses: allowed, without route or NIC, but for rules that name their tags."""
    return _judge(view, flow)[0]


def _judge(view: View, flow: Flow) -> tuple[Verdict, PartKey]:
    """A flow's fate and the NIC that counts it: the sender, or the receiver where one of its gates decides."""
    part = view.parts.get(flow.nic)
    sender = part if isinstance(part, Nic) else None
    packet = _refusal(view, sender, flow)
    if sender is None or not isinstance(packet, Packet):
        return Verdict(drop=cast(Drop, packet)), flow.nic
    if str(packet.destination) in ADDRESSES:  # known there by the source, which has to be the NIC's own
        if str(packet.source) not in _private(sender):
            return Verdict(drop=Drop.SPOOFED), flow.nic
        gates = view.platform_gates(sender, packet)
        return Verdict(drop=next((gate.gate for gate in gates if not gate.allow), None), gates=gates), flow.nic
    if str(packet.destination) == sender.gateway:
        return Verdict(drop=Drop.GATEWAY), flow.nic
    route = view.route(sender, packet.destination)
    if route is None:
        return Verdict(drop=Drop.NO_ROUTE), flow.nic
    delivery = _delivery(view, sender, route, packet)
    out: tuple[Gate, ...] = ()
    into: tuple[Gate, ...] = ()
    if delivery.drop is None:
        out = view.gates(sender, True, packet, flow.established)
        if delivery.to is not None and delivery.seen is not None:
            into = view.gates(delivery.to, False, delivery.seen, flow.established)
    refused_out = next((gate.gate for gate in out if not gate.allow), None)
    refused_in = next((gate.gate for gate in into if not gate.allow), None)
    to = part_key(delivery.to) if delivery.to else None
    verdict = Verdict(
        drop=delivery.drop or refused_out or refused_in,
        next_hop=route.next_hop,
        next_hop_address=route.address,
        route=route.prefix,
        to=to,
        gates=out + into,
    )
    return verdict, to if to and refused_in and not refused_out else flow.nic


def _delivery(view: View, sender: Nic, route: Route, packet: Packet) -> _Delivery:
    match route.next_hop:
        case NextHop.NONE:
            return _Delivery(Drop.ROUTE_NONE)
        case NextHop.GATEWAY:  # there is no virtual network gateway to take it
            return _Delivery(Drop.NO_ROUTE)
        case NextHop.INTERNET:
            return _to_internet(view, sender, packet)
        case _:
            return _to_nic(view, route, packet)


_last: View | None = None


def view_of(world: World) -> View:
    """The look-ups of a World; those of the last one asked for are kept."""
    global _last
    if _last is None or _last.world is not world:
        _last = View(world, _last)
    return _last


def probe(world: World, flow: Flow) -> Verdict:
    """A flow's fate in a World, whichever engine is live."""
    return judge(view_of(world), flow)


class ModelEngine:
    """An engine without packets: applying a World is holding it. Machines are not its business."""

    name = "model"

    def __init__(self) -> None:
        self._world = EMPTY
        self._judged = View(EMPTY)
        self._counters: dict[PartKey, Counter[str]] = {}
        self._digests: dict[PartKey, tuple[AnyPart, bytes]] = {}

    async def apply(self, world: World) -> Report:
        changed, gone = differing(self._world, world)
        self._world = world
        for key in gone:
            self._counters.pop(key, None)
        written = sum(not key.startswith("machine:") for key in (*changed, *gone))
        return Report(revision=world.revision, parts_written=written)

    @property
    def _view(self) -> View:
        """Of the World held; made when a flow is judged, because most Worlds see none."""
        if self._judged.world is not self._world:
            self._judged = View(self._world, self._judged)
        return self._judged

    async def observe(self) -> Digest:
        """The root over the network parts held."""
        held = {key: part for key, part in self._world.parts.items() if not isinstance(part, Machine)}
        kept = self._digests
        self._digests = {
            key: kept[key] if key in kept and kept[key][0] is part else (part, digest(part))
            for key, part in held.items()
        }
        return Digest(root=root_of(value for _, value in self._digests.values()))

    async def probe(self, flow: Flow) -> Verdict:
        """Judge a flow and count it."""
        verdict, counting = _judge(self._view, flow)
        if counting in self._view.parts:
            self._counters.setdefault(counting, Counter())[verdict.drop or "delivered"] += 1
        return verdict

    async def counters(self) -> dict[PartKey, dict[str, int]]:
        """NIC → result → probes; `bytes` are not counted, for there are none."""
        return {nic: {str(name): total for name, total in counts.items()} for nic, counts in self._counters.items()}

"""The naive evaluator: from facts straight to a flow's fate, as the Azure documents and the design (§3) put it.

It shares no code with the compiler or an engine, and searches every list from the start each time. Where it and they
disagree, one of them is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from azlan.contract import facts
from azlan.contract.engine import Drop, Flow
from azlan.contract.facts import Facts, PeeringState

PLATFORM = {IPv4Address("168.63.129.16"), IPv4Address("169.254.169.254")}
PRIVATE = [IPv4Network(p) for p in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]
UNREACHABLE = [*PRIVATE, *(IPv4Network(p) for p in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"))]
NOWHERE = [
    *PRIVATE,
    *(IPv4Network(p) for p in ("127.0.0.0/8", "198.18.0.0/15", "157.59.0.0/16", "104.146.0.0/17", "104.147.0.0/16")),
    *(IPv4Network(p) for p in ("20.35.252.0/22", "23.103.0.0/18", "25.4.0.0/14", "25.148.0.0/15", "25.150.0.0/16")),
    *(IPv4Network(p) for p in ("25.152.0.0/14", "25.156.0.0/16", "25.159.0.0/16", "25.176.0.0/13", "25.184.0.0/14")),
    *(IPv4Network(p) for p in ("40.108.0.0/17", "40.109.0.0/16")),
]
"""Routed to None by default: the private ranges (documented), the others as users have published them."""
DEFAULT_OUTBOUND_SOURCE = IPv4Address("192.0.2.0")
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "esp": 50, "ah": 51}


@dataclass(frozen=True)
class Fate:
    """`to` is the receiving NIC's resource key, None for the internet, the platform and drops before a NIC is known."""

    drop: Drop | None
    to: str | None = None
    hop: str | None = None


@dataclass(frozen=True)
class Packet:
    source: IPv4Address
    destination: IPv4Address
    protocol: int
    source_port: int
    destination_port: int


@dataclass(frozen=True)
class Hop:
    """A route as it counts here: `vnet` where the next hop's NIC is looked up."""

    prefix: IPv4Network
    kind: str
    user: bool = False
    vnet: str | None = None
    address: str | None = None


class Reference:
    """All facts of one revision, in one list."""

    def __init__(self, everything: Facts) -> None:
        self.all = [fact for owned in everything.by_owner.values() for fact in owned]

    def _of(self, kind: type) -> Iterator:  # type: ignore[type-arg]
        return (fact for fact in self.all if isinstance(fact, kind))

    def _one(self, kind: type, key: str | None):  # type: ignore[no-untyped-def]
        return next((fact for fact in self._of(kind) if fact.id == key), None)

    def _space(self, vnet: str) -> facts.Space | None:
        return next((space for space in self._of(facts.Space) if space.vnet == vnet), None)

    # Peerings

    def _connected(self, vnet: str) -> list[facts.Peering]:
        """Halves that work: both ends Connected. In order of id."""
        halves = sorted(self._of(facts.Peering), key=lambda half: half.id)
        return [
            half
            for half in halves
            if half.vnet == vnet
            and half.state == PeeringState.CONNECTED
            and any(
                other.vnet == half.remote_vnet and other.remote_vnet == vnet and other.state == PeeringState.CONNECTED
                for other in halves
            )
        ]

    # What an address is to a VNet

    def _route_tables(self, vnet: str) -> list[facts.RouteTable]:
        named = {subnet.route_table for subnet in self._of(facts.Subnet) if subnet.vnet == vnet}
        return [table for table in self._of(facts.RouteTable) if table.id in named]

    def _part_of(self, ip: IPv4Address, vnet: str) -> bool:
        """Own space, platform, peers with access, and what peers forward where both flags allow it."""
        space = self._space(vnet)
        if ip == IPv4Address("168.63.129.16") or (space and _within(ip, space.prefixes)):
            return True
        for half in self._connected(vnet):
            if not half.access:
                continue
            if _within(ip, half.remote_prefixes):
                return True
            if half.forwarded and any(
                further.access and further.remote_vnet != vnet and _within(ip, further.remote_prefixes)
                for further in self._connected(half.remote_vnet)
            ):
                return True
        return False

    def _withheld(self, ip: IPv4Address, vnet: str) -> bool:
        return any(not half.access and _within(ip, half.remote_prefixes) for half in self._connected(vnet))

    def _is(self, tag: str, ip: IPv4Address, vnet: str) -> bool:
        match tag.lower():
            case "virtualnetwork":
                routes = [route for table in self._route_tables(vnet) for route in table.routes]
                inward = [r.prefix for r in routes if r.next_hop not in ("Internet", "None")]
                return self._part_of(ip, vnet) or _within(ip, inward)
            case "azureloadbalancer":
                return ip == IPv4Address("168.63.129.16")
            case "internet":
                private = any(ip in prefix for prefix in UNREACHABLE)
                return not (private or self._part_of(ip, vnet) or self._withheld(ip, vnet))
        return False

    # Rules

    def _matches_address(self, entries: Iterable[str], ip: IPv4Address, vnet: str) -> bool:
        return any(
            entry == "*"
            or self._is(entry, ip, vnet)
            or self._member(entry, ip, vnet)
            or (not entry.startswith("/") and _within(ip, [entry]))
            for entry in entries
        )

    def _member(self, group: str, ip: IPv4Address, vnet: str) -> bool:
        """Whether the address is one of an application security group's, in the VNet of the NIC that is guarded."""
        return any(
            config.address == str(ip) and group in config.application_groups
            for nic in self._of(facts.Nic)
            for config in nic.ip_configs
            if getattr(self._one(facts.Subnet, nic.subnet), "vnet", None) == vnet
        )

    def _matches(self, rule: facts.Rule, packet: Packet, vnet: str) -> bool:
        if rule.protocol != "*" and PROTOCOLS[rule.protocol.lower()] != packet.protocol:
            return False
        for ranges, port in (
            (rule.source_ports, packet.source_port),
            (rule.destination_ports, packet.destination_port),
        ):
            if not ranges or (0, 65535) in ranges:
                continue
            if packet.protocol not in (6, 17) or not any(low <= port <= high for low, high in ranges):
                return False
        return self._matches_address(rule.sources, packet.source, vnet) and self._matches_address(
            rule.destinations, packet.destination, vnet
        )

    def _allows(self, group: str | None, direction: str, packet: Packet, vnet: str) -> bool:
        if group is None:
            return True
        found = self._one(facts.SecurityGroup, group)
        rules = sorted(found.rules, key=lambda rule: rule.priority) if found else []
        for rule in rules:
            if rule.direction == direction and self._matches(rule, packet, vnet):
                return rule.allow
        return False

    def _service(self, nic: facts.Nic, packet: Packet) -> Drop | None:
        """Rules that name a platform service's tag may keep a NIC from it; no other rule does."""
        named = {"169.254.169.254": "azureplatformimds"}
        if packet.protocol in (6, 17) and packet.destination_port == 53:
            named["168.63.129.16"] = "azureplatformdns"
        tag = named.get(str(packet.destination))
        subnet = self._one(facts.Subnet, nic.subnet)
        for group, drop in ((nic.security_group, Drop.NIC_OUT), (subnet.security_group, Drop.SUBNET_OUT)):
            if group is None or tag is None:
                continue
            found = self._one(facts.SecurityGroup, group)
            if found is None:
                return drop
            for rule in sorted(found.rules, key=lambda rule: rule.priority):
                if rule.direction != "Outbound" or tag not in [entry.lower() for entry in rule.destinations]:
                    continue
                if self._matches(replace(rule, destinations=("*",)), packet, subnet.vnet):
                    if rule.allow:
                        break
                    return drop
        return None

    def _gates(self, nic: facts.Nic, outbound: bool, packet: Packet, established: bool) -> Drop | None:
        subnet = self._one(facts.Subnet, nic.subnet)
        gates = [
            (nic.security_group, Drop.NIC_OUT if outbound else Drop.NIC_IN),
            (subnet.security_group, Drop.SUBNET_OUT if outbound else Drop.SUBNET_IN),
        ]
        for group, drop in gates if outbound else reversed(gates):
            if not established and not self._allows(group, "Outbound" if outbound else "Inbound", packet, subnet.vnet):
                return drop
        remote = packet.destination if outbound else packet.source
        if nic.security_group is None and subnet.security_group is None and self._withheld(remote, subnet.vnet):
            return Drop.PEER_ACCESS
        return None

    # Routes

    def _hops(self, subnet: facts.Subnet) -> list[Hop]:
        space = self._space(subnet.vnet)
        peers = self._connected(subnet.vnet)
        hops = [Hop(IPv4Network(p), "VnetLocal", vnet=subnet.vnet) for p in space.prefixes]
        linked = [h for h in peers if h.local_subnets is None or subnet.id in h.local_subnets]
        hops += [
            Hop(IPv4Network(p), "VNetPeering", vnet=h.remote_vnet if h in linked else None)
            for h in peers
            for p in h.remote_prefixes
        ]
        hops += [
            Hop(prefix, "None")
            for prefix in NOWHERE
            if not any(prefix.subnet_of(hop.prefix) for hop in hops if hop.kind != "None")
        ]
        hops.append(Hop(IPv4Network("0.0.0.0/0"), "Internet"))
        table = self._one(facts.RouteTable, subnet.route_table)
        for route in table.routes if table else ():
            vnet = subnet.vnet if route.next_hop == "VnetLocal" else None
            if route.next_hop == "VirtualAppliance":
                vnet = self._home(IPv4Address(route.next_hop_address), space, linked)
            hops.append(Hop(IPv4Network(route.prefix), route.next_hop, True, vnet, route.next_hop_address))
        return hops

    def _home(self, ip: IPv4Address, space: facts.Space, peers: list[facts.Peering]) -> str | None:
        """The VNet, here or peered, with the longest prefix around an address; the first among equals."""
        spaces = [(space.vnet, p) for p in space.prefixes]
        spaces += [(half.remote_vnet, p) for half in peers for p in half.remote_prefixes]
        around = [(vnet, IPv4Network(p).prefixlen) for vnet, p in spaces if ip in IPv4Network(p)]
        return max(around, key=lambda item: item[1])[0] if around else None

    def _chosen(self, subnet: facts.Subnet, ip: IPv4Address) -> Hop:
        """Longest prefix, a user's before the system's, VnetLocal before a peer's, the first of what is left."""
        return max(
            (hop for hop in self._hops(subnet) if ip in hop.prefix), key=lambda hop: (hop.prefix.prefixlen, hop.user)
        )

    # Fate

    def _there(self, nic: facts.Nic) -> bool:
        """The NIC exists for the network: its subnet, its VNet and its address in the subnet do."""
        subnet = self._one(facts.Subnet, nic.subnet)
        return bool(
            subnet
            and self._space(subnet.vnet)
            and nic.ip_configs
            and _within(IPv4Address(nic.ip_configs[0].address), subnet.prefixes)
        )

    def _running(self, nic: facts.Nic) -> bool:
        machine = self._one(facts.Machine, nic.machine)
        return nic.machine is not None and (machine is None or machine.power == "running")

    def _nic_at(self, vnet: str | None, address: str | None) -> facts.Nic | None:
        for nic in self._of(facts.Nic):
            if not self._there(nic) or self._one(facts.Subnet, nic.subnet).vnet != vnet:
                continue
            if any(config.address == address for config in nic.ip_configs):
                return nic
        return None

    def fate(self, flow: Flow) -> Fate:
        nic = self._one(facts.Nic, flow.nic.removeprefix("nic:"))
        if nic is None or not self._there(nic):
            return Fate(Drop.UNKNOWN_PORT)
        if not self._running(nic):
            return Fate(Drop.NOT_PLUGGED)
        packet = Packet(
            IPv4Address(flow.source),
            IPv4Address(flow.destination),
            flow.protocol,
            flow.source_port,
            flow.destination_port,
        )
        if flow.protocol in (4, 47):
            return Fate(Drop.PROTOCOL)
        own = flow.source in [config.address for config in nic.ip_configs]
        if not own and not nic.forwarding:
            return Fate(Drop.SPOOFED)
        if packet.destination.is_multicast or packet.destination == IPv4Address("255.255.255.255"):
            return Fate(Drop.MULTICAST)
        if packet.destination in PLATFORM:
            return Fate(self._service(nic, packet) if own else Drop.SPOOFED)
        subnet = self._one(facts.Subnet, nic.subnet)
        for prefix in subnet.prefixes:
            if IPv4Address(nic.ip_configs[0].address) in IPv4Network(prefix):
                if packet.destination == IPv4Network(prefix).network_address + 1:
                    return Fate(Drop.GATEWAY)
                break
        hop = self._chosen(subnet, packet.destination)
        match hop.kind:
            case "None":
                return Fate(Drop.ROUTE_NONE, hop=hop.kind)
            case "VirtualNetworkGateway":
                return Fate(Drop.NO_ROUTE, hop=hop.kind)
            case "Internet":
                return self._outward(nic, subnet, packet, flow.established)
        return self._inward(nic, hop, packet, flow.established)

    def _outward(self, nic: facts.Nic, subnet: facts.Subnet, packet: Packet, established: bool) -> Fate:
        public = self._public(packet.destination)
        if public is None and any(packet.destination in prefix for prefix in UNREACHABLE):
            return Fate(Drop.PRIVATE_DESTINATION, hop="Internet")
        own = next((config for config in nic.ip_configs if config.address == str(packet.source)), None)
        address = self._one(facts.PublicAddress, own.public_address) if own else None
        if own is None or not (address or subnet.default_outbound):
            return Fate(Drop.NO_OUTBOUND, hop="Internet")
        if public is None:
            return Fate(self._gates(nic, True, packet, established), hop="Internet")
        receiver, private = public
        if not self._running(receiver):
            return Fate(Drop.NOT_PLUGGED, receiver.id, "Internet")
        seen = Packet(
            IPv4Address(address.address) if address else DEFAULT_OUTBOUND_SOURCE,
            IPv4Address(private),
            packet.protocol,
            packet.source_port,
            packet.destination_port,
        )
        drop = self._gates(nic, True, packet, established) or self._gates(receiver, False, seen, established)
        return Fate(drop, receiver.id, "Internet")

    def _public(self, ip: IPv4Address) -> tuple[facts.Nic, str] | None:
        """The NIC and the private address behind a public one."""
        for nic in self._of(facts.Nic):
            for config in nic.ip_configs if self._there(nic) else ():
                public = self._one(facts.PublicAddress, config.public_address)
                if public and public.address == str(ip):
                    return nic, config.address
        return None

    def _inward(self, nic: facts.Nic, hop: Hop, packet: Packet, established: bool) -> Fate:
        appliance = hop.kind == "VirtualAppliance"
        receiver = self._nic_at(hop.vnet, hop.address if appliance else str(packet.destination))
        if receiver is None:
            return Fate(Drop.NO_NIC, hop=hop.kind)
        if not self._running(receiver):
            return Fate(Drop.NOT_PLUGGED, receiver.id, hop.kind)
        meant = str(packet.destination) in [config.address for config in receiver.ip_configs]
        if appliance and not receiver.forwarding and not meant:
            return Fate(Drop.NOT_FORWARDING, receiver.id, hop.kind)
        drop = self._gates(nic, True, packet, established) or self._gates(receiver, False, packet, established)
        return Fate(drop, receiver.id, hop.kind)


def _within(ip: IPv4Address, prefixes: Iterable[str]) -> bool:
    for prefix in prefixes:
        try:
            if ip in IPv4Network(prefix):
                return True
        except ValueError:
            continue
    return False

"""Azure-provided names: what Azure's DNS answers to a machine, from the World alone. No I/O.

Follows virtual-networks-name-resolution-for-vms-and-role-instances ("Azure-provided name resolution", "Reverse DNS
considerations"): names of a VNet's own machines, within that VNet only. What is nobody's here is left to be forwarded;
nothing that could be the name or address of a machine ever is.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from azlan.base.nets import Network, contains, network
from azlan.contract.world import Machine, Nic, PartKey, Vnet, World

TTL = 10
"""Seconds. Of the records of a private zone that Azure registers; of these names no document says it."""

PAYLOAD = 1232
"""Most bytes of a UDP answer: what fits a packet anywhere (DNS Flag Day 2020)."""

ZONE = dns.name.from_text("internal.cloudapp.net.")
"""Above the suffixes of all VNets. A machine's name directly below it is what reverse look-ups show."""

PLACEHOLDER = dns.name.from_text("reddog.microsoft.com.")
"""The suffix of guests that ask servers of their own: nothing is below it."""

_SOA = "azureprivatedns.net. azureprivatedns-host.microsoft.com. 1 3600 300 2419200 10"
_REVERSE = (dns.name.from_text("in-addr.arpa."), dns.name.from_text("ip6.arpa."))
_LOCAL = tuple(
    map(
        network,
        (
            *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8"),
            *("168.63.129.16/32", "fc00::/7", "fe80::/10", "::1/128"),
        ),
    )
)
"""Reverse zones that are nobody's business beyond this computer (RFC 6303)."""

_NIBBLES = frozenset(f"{digit:{case}}".encode() for digit in range(16) for case in "xX")
_TRANSFERS = frozenset({dns.rdatatype.AXFR, dns.rdatatype.IXFR})
_OF_DOMAINS = frozenset({dns.rdatatype.NS, dns.rdatatype.DS, dns.rdatatype.DNSKEY, dns.rdatatype.SOA})
"""What is asked of top-level domains, and of no machine."""


class Zone:
    """One VNet's names."""

    def __init__(self, vnet: Vnet) -> None:
        self.suffix = dns.name.from_text(vnet.dns_suffix) if vnet.dns_suffix else None
        self.spaces: tuple[Network, ...] = tuple(map(network, vnet.prefixes))
        self.addresses: dict[str, str] = {}
        """Label in lower case → address."""
        self.labels: dict[str, str] = {}
        """Address → label of the machine that has it."""

    def add(self, label: str, ip: str) -> None:
        """Of two machines of one name, the first by its NIC's id has it."""
        self.addresses.setdefault(label.lower(), ip)
        self.labels.setdefault(ip, label.lower())


class Names:
    """All names of a World."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._zones = {key: Zone(part) for key, part in world.parts.items() if isinstance(part, Vnet)}
        nics = sorted((key, part) for key, part in world.parts.items() if isinstance(part, Nic))
        for key, nic in nics:
            machine = world.parts.get(nic.machine) if nic.machine else None
            zone = self._zones.get(nic.vnet)
            if zone is None or not isinstance(machine, Machine) or machine.role != "vm":
                continue
            ip = nic.addresses[0].private
            if machine.nics[:1] == (key,):
                zone.add(machine.computer_name, ip)
            if nic.dns_label:
                zone.add(nic.dns_label, ip)

    def answer(self, nic: PartKey, query: dns.message.Message) -> dns.message.Message | None:
        """What the machine behind `nic` is answered; None where the question is to be forwarded."""
        asked = query.question
        if query.opcode() != dns.opcode.QUERY:
            return reply(query, dns.rcode.NOTIMP)
        if len(asked) != 1:
            return reply(query, dns.rcode.FORMERR)
        if asked[0].rdclass != dns.rdataclass.IN or asked[0].rdtype in _TRANSFERS:
            return reply(query, dns.rcode.REFUSED)
        part = self.world.parts.get(nic)
        zone = self._zones.get(part.vnet) if isinstance(part, Nic) else None
        if zone is None:
            return reply(query, dns.rcode.REFUSED)
        name = asked[0].name
        if zone.suffix is not None and name.is_subdomain(zone.suffix):
            return _answer_below(query, zone, zone.suffix)
        if name.is_subdomain(ZONE):
            return _answer_below(query, zone, ZONE)
        if name.is_subdomain(PLACEHOLDER):
            return _nothing(query, PLACEHOLDER, exists=name == PLACEHOLDER)
        if any(name.is_subdomain(reverse) for reverse in _REVERSE):
            return _answer_reverse(query, zone)
        if len(name) == 2 and asked[0].rdtype not in _OF_DOMAINS:
            return reply(query, dns.rcode.NXDOMAIN)  # a bare name, which somebody's search list did not complete
        return None


def reply(query: dns.message.Message, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> dns.message.Message:
    """An answer without records."""
    made = dns.message.make_response(query, recursion_available=True, our_payload=PAYLOAD)
    made.set_rcode(rcode)
    return made


def _answer_below(query: dns.message.Message, zone: Zone, origin: dns.name.Name) -> dns.message.Message:
    """Of a name at or below a suffix."""
    name, kind = query.question[0].name, query.question[0].rdtype
    labels = name.relativize(origin).labels
    if not labels:
        if kind == dns.rdatatype.SOA:
            made = reply(query)
            made.answer.append(dns.rrset.from_text(origin, TTL, "IN", "SOA", _SOA))
            return made
        return _nothing(query, origin, exists=True)
    ip = zone.addresses.get(labels[0].decode("ascii", "replace").lower()) if len(labels) == 1 else None
    if ip is None or kind not in (dns.rdatatype.A, dns.rdatatype.ANY):
        return _nothing(query, origin, exists=ip is not None)
    made = reply(query)
    made.answer.append(dns.rrset.from_text(name, TTL, "IN", "A", ip))
    return made


def _nothing(query: dns.message.Message, origin: dns.name.Name, *, exists: bool) -> dns.message.Message:
    """No such record, or no such name, with what makes resolvers remember that for a while (RFC 2308)."""
    made = reply(query, dns.rcode.NOERROR if exists else dns.rcode.NXDOMAIN)
    made.authority.append(dns.rrset.from_text(origin, TTL, "IN", "SOA", _SOA))
    return made


def _answer_reverse(query: dns.message.Message, zone: Zone) -> dns.message.Message | None:
    """Of the VNet's own addresses, whose machine it is; of others that are private, nothing."""
    name, kind = query.question[0].name, query.question[0].rdtype
    found = reverse_network(name)
    if found is None:
        return None
    net, whole = found
    if not any(contains(outer, net) for outer in (*zone.spaces, *_LOCAL)):
        return None
    label = zone.labels.get(str(net.network_address)) if whole and net.prefixlen == net.max_prefixlen else None
    if label is None or kind not in (dns.rdatatype.PTR, dns.rdatatype.ANY):
        exists = label is not None or (whole and net.prefixlen < net.max_prefixlen)
        return reply(query, dns.rcode.NOERROR if exists else dns.rcode.NXDOMAIN)
    made = reply(query)
    made.answer.append(dns.rrset.from_text(name, TTL, "IN", "PTR", f"{label}.{ZONE}"))
    return made


def reverse_network(name: dns.name.Name) -> tuple[Network, bool] | None:
    """The addresses a name below in-addr.arpa or ip6.arpa stands for, and whether all its labels say so (`x.10` does
    not); None where there are none."""
    v4 = name.is_subdomain(_REVERSE[0])
    base, most, bits = (10, 4, 8) if v4 else (16, 32, 4)
    digits = []
    labels = name.relativize(_REVERSE[0] if v4 else _REVERSE[1]).labels
    for label in reversed(labels[-most:]):
        if not (label.isdigit() if v4 else label in _NIBBLES) or int(label, base) >= 1 << bits:
            break
        digits.append(int(label, base))
    if not digits:
        return None
    value = 0
    for digit in digits:
        value = value << bits | digit
    length = len(digits) * bits
    value <<= most * bits - length
    net = IPv4Network((value, length)) if v4 else IPv6Network((value, length))
    return net, len(digits) == len(labels)

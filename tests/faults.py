"""The faults that mutations.py seeds: each one line or expression of compiler, model, kernel program or what feeds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PURE = ("tests/unit/compiler", "tests/unit/engines/test_model.py", "tests/property/test_worlds.py")
_BPF = "tests/unit/engines/bpf"
REFERENCE, OUTSIDE, MEMOS = "tests/soak/test_reference.py", f"{_BPF}/test_outside.py", f"{_BPF}/test_memos.py"
PORT = tuple(f"{_BPF}/test_port{of}.py" for of in ("_refusals", "_errors", "_flows", "_rules", ""))
FEED = (f"{_BPF}/test_render.py", f"{_BPF}/test_tables.py", f"{_BPF}/test_engine.py", REFERENCE)
TESTS = {"compiler": PURE, "model": PURE, "render": FEED, "engine": FEED}
PROGRAM = {
    "gates.h": (f"{_BPF}/test_gates.py", REFERENCE, *PORT, OUTSIDE),
    "flows.h": (f"{_BPF}/test_flows.py", *PORT, REFERENCE, OUTSIDE),
    "packet.h": (*PORT, REFERENCE, OUTSIDE),
    "translate.h": (OUTSIDE, REFERENCE, *PORT),
    "port.bpf.c": (REFERENCE, MEMOS, *PORT, OUTSIDE),
}
"""By the source, so that what is closest to it comes first."""


@dataclass(frozen=True)
class Fault:
    """`before` stands once in `file` (below src/azlan) and becomes `after`."""

    name: str
    file: str
    before: str
    after: str

    @property
    def kind(self) -> str:
        if self.file.startswith("compiler"):
            return "compiler"
        if "program/" in self.file:
            return "program"
        return {"model.py": "model", "render.py": "render"}.get(Path(self.file).name, "engine")

    @property
    def tests(self) -> tuple[str, ...]:
        return PROGRAM[Path(self.file).name] if self.kind == "program" else TESTS[self.kind]

    def seed(self, source: Path) -> None:
        path = source / "azlan" / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.before) != 1:
            raise LookupError(f"{self.name}: {self.before!r} stands {text.count(self.before)} times in {self.file}")
        path.write_text(text.replace(self.before, self.after), encoding="utf-8")


_ROUTES, _SECURITY = "compiler/routes.py", "compiler/security.py"
_TRANSLATION, _INDEX, _COMPILE = "compiler/translation.py", "compiler/index.py", "compiler/compile.py"
_MODEL, _RENDER = "engines/model.py", "engines/bpf/render.py"
_TABLES, _ENGINE = "engines/bpf/tables.py", "engines/bpf/engine.py"
_PROGRAM = "engines/bpf/program"
_PORT, _GATES, _FLOWS = f"{_PROGRAM}/port.bpf.c", f"{_PROGRAM}/gates.h", f"{_PROGRAM}/flows.h"
_PACKET, _TRANSLATE = f"{_PROGRAM}/packet.h", f"{_PROGRAM}/translate.h"

FAULTS = (
    # What facts mean
    Fault(
        "a None route goes with any prefix inside it",
        _ROUTES,
        "contains(outer, network(prefix)) for outer in virtual",
        "contains(network(prefix), outer) for outer in virtual",
    ),
    Fault(
        "a system route stays active beside a user's",
        _ROUTES,
        "if route.prefix in active:",
        'if route.prefix in active and route.source == "User":',
    ),
    Fault(
        "an appliance is sought by the shortest prefix", _ROUTES, "net.prefixlen > best[0]", "net.prefixlen < best[0]"
    ),
    Fault("global peerings are taken for regional ones", _ROUTES, "if half.global_ else", "if not half.global_ else"),
    Fault(
        "a user route to VnetLocal leads to no network",
        _ROUTES,
        "if hop is NextHop.VNET_LOCAL:",
        "if hop is NextHop.INTERNET:",
    ),
    Fault(
        "access off withholds nothing",
        _SECURITY,
        "(Tag.VIRTUAL_NETWORK if half.access else Tag.WITHHELD)",
        "Tag.VIRTUAL_NETWORK",
    ),
    Fault(
        "forwarded traffic is never VirtualNetwork",
        _SECURITY,
        "    for half in beyond:\n        mark(half.remote_prefixes, _INSIDE | Tag.VIRTUAL_NETWORK)",
        "    for half in beyond:\n        mark(half.remote_prefixes, _INSIDE)",
    ),
    Fault(
        "a prefix forgets what contains it",
        _SECURITY,
        "bits = flags[prefix] | (covering[-1][2] if covering else 0)",
        "bits = flags[prefix]",
    ),
    Fault(
        "rules are asked in the order of their writing",
        _SECURITY,
        "sorted(group.rules, key=lambda rule: rule.priority)",
        "list(group.rules)",
    ),
    Fault(
        "many port ranges are taken for any port",
        _SECURITY,
        "return () if _ANY_PORT in ranges",
        "return () if _ANY_PORT in ranges or len(ranges) > 4",
    ),
    Fault(
        "source ports are read from destination ports",
        _SECURITY,
        "source_ports=_ports(rule.source_ports)",
        "source_ports=_ports(rule.destination_ports)",
    ),
    Fault(
        "user routes to Internet count as VirtualNetwork",
        _SECURITY,
        'inward = {"VirtualAppliance",',
        'inward = {"Internet", "VirtualAppliance",',
    ),
    Fault(
        "the platform is no load balancer",
        _SECURITY,
        "_INSIDE | Tag.VIRTUAL_NETWORK | Tag.LOAD_BALANCER",
        "_INSIDE | Tag.VIRTUAL_NETWORK",
    ),
    Fault(
        "a subnet's security group is left out",
        _TRANSLATION,
        "subnet_rules=gates[1]",
        "subnet_rules=None",
    ),
    Fault("IP forwarding is never on", _TRANSLATION, "forwarding=nic.forwarding", "forwarding=False"),
    Fault(
        "default outbound access is always on",
        _TRANSLATION,
        "default_outbound=subnet.default_outbound",
        "default_outbound=True",
    ),
    Fault("the gateway is the second address", _TRANSLATION, "net.network_address + 1", "net.network_address + 2"),
    # What a change touches
    Fault(
        "a subnet's change reaches none of its NICs",
        _INDEX,
        "touched.nics.update(self.nics_in.get(fact.id, ()))",
        "pass",
    ),
    Fault(
        "a subnet that is not linked reaches the peer",
        _ROUTES,
        "if half.id not in closed else None",
        "if half.id or closed else None",
    ),
    Fault(
        "what a peering links is not looked at again at the NICs",
        _INDEX,
        "self._touch_nics_of_vnet(fact.vnet, touched)",
        "pass",
    ),
    Fault(
        "one Connected half is enough",
        _INDEX,
        "other.remote_vnet == half.vnet and other.state is PeeringState.CONNECTED",
        "other.remote_vnet == half.vnet",
    ),
    Fault(
        "a peering's change reaches one of its networks",
        _INDEX,
        "touched.vnets.update((fact.vnet, fact.remote_vnet))",
        "touched.vnets.add(fact.vnet)",
    ),
    Fault(
        "a peering's change does not reach those beyond",
        _INDEX,
        "if half.access and half.forwarded and self._in_effect(half):",
        "if False:",
    ),
    Fault(
        "forwarded traffic is taken unasked",
        _INDEX,
        "            if half.access and half.forwarded\n",
        "            if half.access\n",
    ),
    Fault(
        "claims are not made anew when a route group comes",
        _COMPILE,
        "if self._named(vnet, parts) != named[vnet]:",
        "if not self._named(vnet, parts):",
    ),
    Fault(
        "an equal part becomes another object",
        _COMPILE,
        "value = before if before == value else value",
        "value = None if value is None else value",
    ),
    # The model
    Fault(
        "the model takes the shortest prefix",
        _MODEL,
        "self._order = sorted(self, reverse=True)",
        "self._order = sorted(self)",
    ),
    Fault(
        "the model lets no appliance forward",
        _MODEL,
        "if not nic.forwarding and str(packet.source) not in _private(nic):",
        "if str(packet.source) not in _private(nic):",
    ),
    Fault(
        "the model asks the outbound gates in the wrong order",
        _MODEL,
        "(Drop.NIC_OUT, Drop.SUBNET_OUT) if outbound",
        "(Drop.SUBNET_OUT, Drop.NIC_OUT) if outbound",
    ),
    Fault(
        "the model withholds where one gate stands",
        _MODEL,
        "nic.nic_rules is None and nic.subnet_rules is None",
        "nic.nic_rules is None or nic.subnet_rules is None",
    ),
    Fault(
        "the model looks at the wrong end for access",
        _MODEL,
        "remote = packet.destination if outbound else packet.source",
        "remote = packet.source if outbound else packet.destination",
    ),
    Fault(
        "the model's hairpin keeps the private source",
        _MODEL,
        "packet._replace(source=translated, destination=",
        "packet._replace(destination=",
    ),
    Fault(
        "the model passes where the rule set is missing",
        _MODEL,
        "return Gate(gate=gate, allow=False, rules=key)",
        "return Gate(gate=gate, allow=True, rules=key)",
    ),
    Fault(
        "the model matches ICMP by ports",
        _MODEL,
        "            if packet.protocol not in (6, 17):",
        "            if packet.protocol not in (1, 6, 17):",
    ),
    Fault(
        "the model sends through NICs that do not forward",
        _MODEL,
        "if appliance and not nic.forwarding and",
        "if appliance and nic.forwarding and",
    ),
    Fault(
        "the model takes stopped machines for running",
        _MODEL,
        'machine.power == "running"',
        'machine.power != "deallocated"',
    ),
    Fault(
        "the model carries GRE",
        _MODEL,
        "NOT_CARRIED = frozenset({4, 47})",
        "NOT_CARRIED = frozenset({4})",
    ),
    # World → map entries → one flip
    Fault(
        "an inactive route is rendered",
        _RENDER,
        "if route.active and prefix is not None:",
        "if prefix is not None and route.source != 'User' or prefix is not None and route.active:",
    ),
    Fault(
        "inbound and outbound rules change places",
        _RENDER,
        "((0, group.inbound), (1, group.outbound))",
        "((1, group.inbound), (0, group.outbound))",
    ),
    Fault(
        "all long address sets get one number",
        _RENDER,
        "setdefault(frozenset(prefixes), len(self._numbers) + 1)",
        "setdefault(frozenset(prefixes), 1)",
    ),
    Fault(
        "default outbound access is not rendered",
        _RENDER,
        "NIC_FORWARDING * nic.forwarding | NIC_DEFAULT_OUTBOUND * nic.default_outbound",
        "NIC_FORWARDING * nic.forwarding | NIC_DEFAULT_OUTBOUND",
    ),
    Fault(
        "pointers turn before the flip",
        _TABLES,
        "Pointer(following, self.target(name, key), target)",
        "Pointer(self.epoch, self.target(name, key), target)",
    ),
    Fault(
        "content that is led to again is deleted",
        _TABLES,
        "if content not in spared]",
        "if content not in ()]",
    ),
    Fault(
        "a removed part stays in force",
        _ENGINE,
        'change.pointers["pointers"].update(dict.fromkeys(gone))',
        'change.pointers["pointers"].update({})',
    ),
    Fault(
        "an address given up keeps its NIC",
        _ENGINE,
        "self._owners[name].pop(place, None)\n",
        "self._owners[name].get(place)\n",
    ),
    # The program
    Fault(
        "a part turns one epoch late",
        _GATES,
        "if (READ_ONCE(p->self) == part)\n\t\t\treturn at >= since",
        "if (READ_ONCE(p->self) == part)\n\t\t\treturn at > since",
    ),
    Fault(
        "the last port range of a rule is not looked at",
        _GATES,
        "in_range(r->destination_ports[3], q->destination_port)",
        "0",
    ),
    Fault("every matching rule allows", _GATES, "q->allow = r->allow;", "q->allow = 1;"),
    Fault(
        "a long set of sources is not looked at",
        _GATES,
        "!(r->source_set && in_set(q->content, r->source_set, q->source))",
        "1",
    ),
    Fault(
        "the receiver's own gate is not asked",
        _GATES,
        "if (!ask(&q, s->outbound ? s->subnet_rules : s->nic_rules, p->epoch))",
        "if (s->outbound && !ask(&q, s->subnet_rules, p->epoch))",
    ),
    Fault(
        "the subnet's inbound gate is counted as the NIC's",
        _GATES,
        "return s->outbound ? DROP_NIC_OUT : DROP_SUBNET_IN;",
        "return s->outbound ? DROP_NIC_OUT : DROP_NIC_IN;",
    ),
    Fault(
        "the program looks at the wrong end for access",
        _GATES,
        "s->outbound ? s->destination : s->source",
        "s->outbound ? s->source : s->destination",
    ),
    Fault(
        "a flow never expires",
        _FLOWS,
        "if (!f || p->now - f->seen > idle_limit(f, key->tuple.protocol))\n\t\treturn 0;\n\tif (p->quoting)",
        "if (!f)\n\t\treturn 0;\n\tif (p->quoting)",
    ),
    Fault(
        "a half-open handshake is held like an established flow",
        _FLOWS,
        "seconds = OPENING_SECONDS;",
        "seconds = f->seconds;",
    ),
    Fault(
        "a new handshake rides on an old flow",
        _FLOWS,
        "if (is_opening(p) && f->state &",
        "if (0 && f->state &",
    ),
    Fault("all NICs share one quota", _FLOWS, "slot->nic = nic;", "slot->nic = 0;"),
    Fault(
        "spoofed sources pass",
        _PORT,
        "if (!(n->flags & NIC_FORWARDING) && !own_address(content, p->source))",
        "if (!n->flags && !own_address(content, p->source))",
    ),
    Fault("a foreign MAC passes", _PORT, "if (!same_mac(eth.h_source, n->mac))", "if (!eth.h_proto)"),
    Fault(
        "the gateway takes packets",
        _PORT,
        "if (p->destination == n->gateway)",
        "if (!p->destination)",
    ),
    Fault(
        "an appliance is passed by",
        _PORT,
        "r->next_hop == HOP_APPLIANCE ? r->address : p->destination",
        "p->destination",
    ),
    Fault(
        "NICs that do not forward are given what is not theirs",
        _PORT,
        "!(n->flags & NIC_FORWARDING) && !own_address(content, p->destination))",
        "!n->flags && !own_address(content, p->destination))",
    ),
    Fault(
        "no outbound access is needed",
        _PORT,
        "if (!a || (!a->public_address && !(flags & NIC_DEFAULT_OUTBOUND)))",
        "if (!a)",
    ),
    Fault(
        "what comes in from outside is not judged",
        _PORT,
        "if (!is_platform(p.source)) {\n\t\tlook(",
        "if (!p.source) {\n\t\tlook(",
    ),
    Fault(
        "the sender holds no flow",
        _PORT,
        "if (hold(p, sender))\n\t\treturn drop(skb, from, DROP_FLOW_QUOTA);\n\tif (hold(p, receiver))\n"
        "\t\treturn drop(skb, to, DROP_FLOW_QUOTA);\n\tremember",
        "if (hold(p, receiver))\n\t\treturn drop(skb, to, DROP_FLOW_QUOTA);\n\tremember",
    ),
    Fault("what was remembered outlives its World", _PORT, "!m || m->epoch != p->epoch ||", "!m ||"),
    Fault("what was remembered outlives a port", _PORT, "|| m->plugs != p->plugs ||", "||"),
    Fault(
        "a foreign MAC passes by what was remembered",
        _PORT,
        "p->now > m->until ||\n\t    !same_mac(eth->h_source, m->from_mac))",
        "p->now > m->until)",
    ),
    Fault(
        "what was remembered lets new flows pass at the receiver",
        _PORT,
        "!know_flow(p, &far, 0) || write_macs",
        "write_macs",
    ),
    Fault(
        "what was remembered of one destination serves another",
        _PORT,
        "m->source != ip->saddr || m->destination != ip->daddr ||",
        "m->source != ip->saddr ||",
    ),
    Fault(
        "the receiver's MAC is not written",
        _PORT,
        "if (write_macs(skb, mac))\n\t\treturn drop(skb, from, DROP_MALFORMED);\n\tcount(",
        "count(",
    ),
    Fault(
        "GRE is carried",
        _PACKET,
        "ip.protocol == IPPROTO_IPIP || ip.protocol == IPPROTO_GRE",
        "ip.protocol == IPPROTO_IPIP",
    ),
    Fault(
        "IP options pass",
        _PACKET,
        "if (ip.ihl > 5)",
        "if (ip.ihl == 15)",
    ),
    Fault("fragments may overlap", _PACKET, "if (start < f->end || start + bytes > 65515", "if (start + bytes > 65515"),
    Fault(
        "a tiny first fragment passes",
        _PACKET,
        "return p->fragment_bits & MORE_FRAGMENTS ? DROP_FRAGMENT : DROP_MALFORMED;",
        "return p->fragment_bits & MORE_FRAGMENTS ? 0 : DROP_MALFORMED;",
    ),
    Fault(
        "an echo and its reply are one flow",
        _PACKET,
        "*source = id;\n\t\t*destination = type;\n",
        "*source = *destination = id;\n",
    ),
    Fault(
        "an ICMP error belongs to whatever it quotes",
        _GATES,
        "if (p->quoting)\n\t\treturn DROP_ICMP_ERROR;",
        "if (p->quoting)\n\t\treturn 0;",
    ),
    Fault(
        "an IP header's checksum is left as it was",
        _TRANSLATE,
        "return bpf_l3_csum_replace(skb, IP_AT + 10, from, to, 4) || bpf_skb_store_bytes(skb, at, &to, 4, 0);",
        "return bpf_skb_store_bytes(skb, at, &to, 4, 0) != 0;",
    ),
    Fault(
        "a quoted header is not translated",
        _TRANSLATE,
        "if (p->quoting && translate_quoted(skb, at, from, to))",
        "if (0 && translate_quoted(skb, at, from, to))",
    ),
)

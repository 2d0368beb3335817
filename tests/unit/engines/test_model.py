"""The model engine's verdicts and their reasons, on one small network.

a ══════════ b      a: 10.0.0.0/16, halves Connected both ways      n1, n2, nva in a; n3 in b; n4 free in a
└ route table: 20.0.0.0/8 → nva, 30.0.0.0/8 → n2 (no forwarding), 40.0.0.0/8 → nobody, 10.5.0.0/16 → Internet
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from azlan.base.nets import address
from azlan.compiler.compile import Compiler
from azlan.contract import facts
from azlan.contract.engine import Drop, Flow, Gate
from azlan.contract.facts import Fact, Facts, PeeringState
from azlan.contract.world import Machine, NextHop, World, digest, root_of
from azlan.engines.model import DEFAULT_OUTBOUND_SOURCE, ModelEngine, PrefixTable, probe
from worlds import ANY_PORT, default_rules

CONNECTED = PeeringState.CONNECTED


def nic(name: str, vnet: str, ip: str, **more: object) -> facts.Nic:
    public = more.pop("public", None)
    configs = (facts.IpConfig(f"/{name}/c", ip, public),)  # type: ignore[arg-type]
    given = {"machine": f"/m-{name}", **more}
    return facts.Nic(f"/{name}", f"/{vnet}/s", "00:0d:3a:00:00:01", configs, **given)  # type: ignore[arg-type]


def half(one: str, other: str, prefix: str, access: bool = True) -> facts.Peering:
    return facts.Peering(f"/{one}/p", f"/{one}", f"/{other}", CONNECTED, (prefix,), access)


def rule(name: str, direction: str, allow: bool, **more: object) -> facts.Rule:
    given = {"protocol": "*", "sources": ("*",), "destinations": ("*",), "destination_ports": ANY_PORT, **more}
    return facts.Rule(name, 100, direction, allow, source_ports=ANY_PORT, **given)  # type: ignore[arg-type]


TABLE = facts.RouteTable(
    "/t",
    (
        facts.UserRoute("nva", "20.0.0.0/8", "VirtualAppliance", "10.0.0.9"),
        facts.UserRoute("deaf", "30.0.0.0/8", "VirtualAppliance", "10.0.0.5"),
        facts.UserRoute("nobody", "40.0.0.0/8", "VirtualAppliance", "10.0.0.77"),
        facts.UserRoute("astray", "10.5.0.0/16", "Internet"),
        facts.UserRoute("vpn", "50.0.0.0/8", "VirtualNetworkGateway"),
        facts.UserRoute("hole", "60.0.0.0/8", "None"),
    ),
)


def network(
    *,
    access: bool = True,
    groups: tuple[facts.SecurityGroup, ...] = (),
    nics: dict[str, dict[str, object]] | None = None,
) -> World:
    """The network above; `nics` overrides what a NIC is given."""
    subnet = facts.Subnet("/a/s", "/a", ("10.0.0.0/24",), route_table="/t")
    rows: list[tuple[Fact, ...]] = [
        (facts.Space("/a", ("10.0.0.0/16",), "eastus2"), subnet, half("a", "b", "10.1.0.0/16", access)),
        (
            facts.Space("/b", ("10.1.0.0/16",), "eastus2"),
            facts.Subnet("/b/s", "/b", ("10.1.0.0/24",), default_outbound=False),
            half("b", "a", "10.0.0.0/16"),
        ),
        (TABLE,),
        (facts.PublicAddress("/p1", "203.0.113.1"),),
        (facts.PublicAddress("/p3", "203.0.113.3"),),
        *((group,) for group in groups),
    ]
    given: dict[str, dict[str, object]] = {
        "n1": {"vnet": "a", "ip": "10.0.0.4", "public": "/p1"},
        "n2": {"vnet": "a", "ip": "10.0.0.5"},
        "nva": {"vnet": "a", "ip": "10.0.0.9", "forwarding": True},
        "n4": {"vnet": "a", "ip": "10.0.0.8", "machine": None},
        "n3": {"vnet": "b", "ip": "10.1.0.4", "public": "/p3"},
    }
    for name, more in (nics or {}).items():
        given[name] = {**given[name], **more}
    rows += [(nic(name, **more),) for name, more in given.items()]  # type: ignore[arg-type]
    rows += [
        (facts.Machine(f"/m-{name}", "vm", name, "ubuntu-22.04", 512, 1, (f"/{name}",)),)
        for name in given
        if name != "n4"
    ]
    return Compiler().compile(Facts(1, {f"/{i}": row for i, row in enumerate(rows)}))


def flow(destination: str, sender: str = "n1", source: str = "10.0.0.4", **more: object) -> Flow:
    return Flow(nic=f"nic:/{sender}", source=source, destination=destination, destination_port=80, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sent", "drop", "hop", "to"),
    [
        (flow("10.0.0.5"), None, NextHop.VNET_LOCAL, "nic:/n2"),
        (flow("10.1.0.4"), None, NextHop.PEER, "nic:/n3"),
        (flow("8.8.8.8"), None, NextHop.INTERNET, None),
        (flow("20.1.1.1"), None, NextHop.APPLIANCE, "nic:/nva"),
        (flow("30.1.1.1"), Drop.NOT_FORWARDING, NextHop.APPLIANCE, "nic:/n2"),
        (flow("40.1.1.1"), Drop.NO_NIC, NextHop.APPLIANCE, None),
        (flow("50.1.1.1"), Drop.NO_ROUTE, NextHop.GATEWAY, None),
        (flow("60.1.1.1"), Drop.ROUTE_NONE, NextHop.NONE, None),
        (flow("10.9.0.4"), Drop.ROUTE_NONE, NextHop.NONE, None),
        (flow("10.5.0.4"), Drop.PRIVATE_DESTINATION, NextHop.INTERNET, None),
        (flow("10.0.0.6"), Drop.NO_NIC, NextHop.VNET_LOCAL, None),
        (flow("10.0.0.8"), Drop.NOT_PLUGGED, NextHop.VNET_LOCAL, "nic:/n4"),
        (flow("203.0.113.3"), None, NextHop.INTERNET, "nic:/n3"),
        (flow("203.0.113.99"), None, NextHop.INTERNET, None),
        (flow("10.0.0.1"), Drop.GATEWAY, None, None),
        (flow("168.63.129.16"), None, None, None),
        (flow("169.254.169.254"), None, None, None),
        (flow("169.254.1.1"), Drop.PRIVATE_DESTINATION, NextHop.INTERNET, None),
        (flow("224.0.0.251"), Drop.MULTICAST, None, None),
        (flow("255.255.255.255"), Drop.MULTICAST, None, None),
        (flow("10.0.0.5", protocol=47), Drop.PROTOCOL, None, None),
        (flow("10.0.0.5", protocol=4), Drop.PROTOCOL, None, None),
        (flow("10.0.0.5", source="10.0.0.6"), Drop.SPOOFED, None, None),
        (flow("10.0.0.5", sender="nva", source="10.1.0.4"), None, NextHop.VNET_LOCAL, "nic:/n2"),
        (flow("8.8.8.8", sender="nva", source="10.1.0.4"), Drop.NO_OUTBOUND, NextHop.INTERNET, None),
        (flow("168.63.129.16", sender="nva", source="10.1.0.4"), Drop.SPOOFED, None, None),
        (flow("8.8.8.8", sender="n3", source="10.1.0.4"), None, NextHop.INTERNET, None),
        (flow("10.0.0.5", sender="n4", source="10.0.0.8"), Drop.NOT_PLUGGED, None, None),
        (flow("10.0.0.5", sender="nobody"), Drop.UNKNOWN_PORT, None, None),
        (flow("10.0.0.256"), Drop.MALFORMED, None, None),
        (flow("fd00::1"), Drop.MALFORMED, None, None),
    ],
)
def test_fates(sent: Flow, drop: Drop | None, hop: NextHop | None, to: str | None) -> None:
    verdict = probe(network(), sent)
    assert (verdict.drop, verdict.next_hop, verdict.to) == (drop, hop, to)
    assert verdict.allowed is (drop is None)


def test_the_route_that_decided_is_told() -> None:
    verdict = probe(network(), flow("20.1.1.1"))
    assert (verdict.route, verdict.next_hop_address) == ("20.0.0.0/8", "10.0.0.9")
    assert probe(network(), flow("10.1.0.4")).route == "10.1.0.0/16"


def test_no_way_out_without_public_ip_and_default_outbound() -> None:
    world = network(nics={"n3": {"public": None}})
    assert probe(world, flow("8.8.8.8", sender="n3", source="10.1.0.4")).drop is Drop.NO_OUTBOUND
    assert probe(world, flow("203.0.113.1", sender="n3", source="10.1.0.4")).drop is Drop.NO_OUTBOUND
    assert probe(world, flow("8.8.8.8", sender="n2", source="10.0.0.5")).allowed


def test_a_machine_that_is_off_takes_and_sends_nothing() -> None:
    world = network()
    machine = world.parts["machine:/m-n2"]
    assert isinstance(machine, Machine)
    stopped = World(revision=2, parts={**world.parts, "machine:/m-n2": structs.replace(machine, power="stopped")})
    assert probe(stopped, flow("10.0.0.5")).drop is Drop.NOT_PLUGGED
    assert probe(stopped, flow("10.0.0.4", sender="n2", source="10.0.0.5")).drop is Drop.NOT_PLUGGED


# Gates

GUARD = facts.SecurityGroup("/g", default_rules())


def guarded(*rules: facts.Rule, at: str = "n3") -> World:
    group = facts.SecurityGroup("/g", (*rules, *default_rules()))
    return network(groups=(group,), nics={at: {"security_group": "/g"}})


def test_gates_are_told_with_the_rule_that_decided() -> None:
    verdict = probe(guarded(), flow("10.1.0.4"))
    assert verdict.gates == (
        Gate(gate=Drop.NIC_OUT, allow=True),
        Gate(gate=Drop.SUBNET_OUT, allow=True),
        Gate(gate=Drop.SUBNET_IN, allow=True),
        Gate(gate=Drop.NIC_IN, allow=True, rules="rules:/g", rule="AllowVnetInBound", default=True),
    )
    assert verdict.allowed


@pytest.mark.parametrize(
    ("given", "protocol", "drop"),
    [
        ({}, 6, Drop.NIC_IN),
        ({"protocol": "Tcp"}, 6, Drop.NIC_IN),
        ({"protocol": "Udp"}, 6, None),
        ({"protocol": "Icmp"}, 1, Drop.NIC_IN),
        ({"destination_ports": ((80, 80),)}, 6, Drop.NIC_IN),
        ({"destination_ports": ((79, 79), (81, 90))}, 6, None),
        ({"destination_ports": ((0, 100),)}, 1, None),
        ({"sources": ("10.0.0.4",)}, 6, Drop.NIC_IN),
        ({"sources": ("10.0.0.5",)}, 6, None),
        ({"sources": ("VirtualNetwork",)}, 6, Drop.NIC_IN),
        ({"sources": ("Internet",)}, 6, None),
        ({"sources": ("Storage",)}, 6, None),
        ({"destinations": ("10.1.0.0/24",)}, 6, Drop.NIC_IN),
    ],
)
def test_a_deny_rule_matches_or_not(given: dict[str, object], protocol: int, drop: Drop | None) -> None:
    sent = Flow(
        nic="nic:/n1",
        source="10.0.0.4",
        destination="10.1.0.4",
        protocol=protocol,
        destination_port=80 * (protocol == 6),
    )
    assert probe(guarded(rule("deny", "Inbound", False, **given)), sent).drop is drop


def test_each_gate_decides_by_itself() -> None:
    out, into = rule("out", "Outbound", False), rule("in", "Inbound", False)
    assert probe(guarded(out, at="n1"), flow("10.1.0.4")).drop is Drop.NIC_OUT
    assert probe(guarded(into, at="n1"), flow("10.1.0.4")).allowed
    assert probe(guarded(into), flow("10.1.0.4")).drop is Drop.NIC_IN
    assert probe(guarded(out), flow("10.1.0.4")).allowed
    verdict = probe(guarded(replace(out, direction="Inbound")), flow("10.1.0.4", established=True))
    assert verdict.allowed
    assert verdict.gates == ()


def test_a_rule_set_that_is_missing_denies() -> None:
    verdict = probe(network(nics={"n2": {"security_group": "/gone"}}), flow("10.0.0.5"))
    assert verdict.drop is Drop.NIC_IN
    assert verdict.gates[-1] == Gate(gate=Drop.NIC_IN, allow=False, rules="rules:/gone")


@pytest.mark.parametrize(
    ("given", "names", "metadata"),
    [
        ({}, True, True),  # a rule about everything is not about the platform
        ({"destinations": ("168.63.129.16", "169.254.169.254", "VirtualNetwork")}, True, True),
        ({"destinations": ("AzurePlatformDNS",)}, False, True),
        ({"destinations": ("azureplatformimds",)}, True, False),
        ({"destinations": ("AzurePlatformLKM",)}, True, True),
        ({"destinations": ("10.9.0.0/16", "AzurePlatformIMDS"), "sources": ("10.0.0.0/24",)}, True, False),
        ({"destinations": ("AzurePlatformIMDS",), "sources": ("10.0.9.0/24",)}, True, True),
        ({"destinations": ("AzurePlatformIMDS",), "destination_ports": ((80, 80),)}, True, False),
        ({"destinations": ("AzurePlatformIMDS",), "destination_ports": ((443, 443),)}, True, True),
        ({"destinations": ("AzurePlatformDNS",), "protocol": "Udp"}, True, True),
        ({"destinations": ("AzurePlatformIMDS",), "direction": "Inbound"}, True, True),
    ],
)
def test_only_rules_that_name_a_platform_service_keep_from_it(
    given: dict[str, object], names: bool, metadata: bool
) -> None:
    world = guarded(replace(rule("no", "Outbound", False), **given), at="n1")  # type: ignore[arg-type]
    assert probe(world, replace_port(flow("168.63.129.16"), 53)).allowed is names
    assert probe(world, flow("169.254.169.254", established=True)).allowed is metadata
    assert probe(world, flow("168.63.129.16")).allowed, "the tag is that of names alone"


def replace_port(sent: Flow, port: int) -> Flow:
    return structs.replace(sent, destination_port=port)


def test_the_first_rule_that_names_a_platform_service_decides() -> None:
    imds = {"destinations": ("AzurePlatformIMDS",)}
    first, then = rule("yes", "Outbound", True, **imds), replace(rule("no", "Outbound", False, **imds), priority=101)
    assert probe(guarded(first, then, at="n1"), flow("169.254.169.254")).allowed
    verdict = probe(guarded(replace(first, priority=102), then, at="n1"), flow("169.254.169.254"))
    assert verdict.gates == (
        Gate(gate=Drop.NIC_OUT, allow=False, rules="rules:/g", rule="no"),
        Gate(gate=Drop.SUBNET_OUT, allow=True),
    )
    assert verdict.drop is Drop.NIC_OUT
    gone = probe(network(nics={"n1": {"security_group": "/gone"}}), flow("169.254.169.254"))
    assert gone.drop is Drop.NIC_OUT


def test_a_hairpin_is_seen_from_the_senders_public_address() -> None:
    def allowed_from(source: str, sender: str = "n1", ip: str = "10.0.0.4") -> bool:
        world = guarded(rule("from", "Inbound", True, sources=(source,)))
        return probe(world, flow("203.0.113.3", sender=sender, source=ip)).allowed

    assert allowed_from("203.0.113.1")
    assert not allowed_from("10.0.0.4")
    assert not allowed_from("VirtualNetwork")
    assert allowed_from("Internet")
    assert allowed_from("Internet", "n2", "10.0.0.5")
    assert allowed_from(DEFAULT_OUTBOUND_SOURCE, "n2", "10.0.0.5")


# A half of a peering with access off

BACK = flow("10.0.0.4", sender="n3", source="10.1.0.4")


@pytest.mark.parametrize("established", [False, True])
def test_access_off_stops_both_directions_where_there_is_no_rule(established: bool) -> None:
    world = network(access=False)
    for sent in (flow("10.1.0.4", established=established), replace_established(BACK, established)):
        verdict = probe(world, sent)
        assert verdict.drop is Drop.PEER_ACCESS
        assert Gate(gate=Drop.PEER_ACCESS, allow=False) in verdict.gates
        assert verdict.next_hop is NextHop.PEER, "the route stays"


def replace_established(sent: Flow, established: bool) -> Flow:
    return Flow(nic=sent.nic, source=sent.source, destination=sent.destination, established=established)


def test_access_off_is_left_to_the_rules_where_there_are_any() -> None:
    def world(*rules: facts.Rule) -> World:
        group = facts.SecurityGroup("/g", (*rules, *default_rules()))
        return network(access=False, groups=(group,), nics={"n1": {"security_group": "/g"}})

    assert probe(world(), flow("10.1.0.4")).drop is Drop.NIC_OUT
    assert probe(world(), BACK).drop is Drop.NIC_IN
    explicit = world(
        rule("out", "Outbound", True, destinations=("10.1.0.0/16",)), rule("in", "Inbound", True, sources=("10.1.0.4",))
    )
    assert probe(explicit, flow("10.1.0.4")).allowed
    assert probe(explicit, BACK).allowed


# The engine


async def test_apply_counts_the_parts_that_differ() -> None:
    engine = ModelEngine()
    first = network()
    network_parts = [part for part in first.parts.values() if not isinstance(part, Machine)]
    report = await engine.apply(first)
    assert (report.revision, report.parts_written, report.failed) == (1, len(network_parts), {})
    assert (await engine.apply(first)).parts_written == 0
    assert (await engine.apply(network())).parts_written == 0, "equal, though not the same objects"
    assert (await engine.apply(network(access=False))).parts_written == 1
    fewer = World(revision=3, parts={key: part for key, part in first.parts.items() if key != "nic:/n2"})
    assert (await engine.apply(fewer)).parts_written == 2


async def test_observe_reads_the_root_of_what_is_held() -> None:
    engine = ModelEngine()
    for world in (network(), network(access=False)):
        await engine.apply(world)
        expected = root_of(digest(part) for part in world.parts.values() if not isinstance(part, Machine))
        assert (await engine.observe()).root == expected
        assert (await engine.observe()).foreign == ()


async def test_probes_are_counted_where_they_end() -> None:
    engine = ModelEngine()
    await engine.apply(guarded(rule("deny", "Inbound", False)))
    for destination in ("10.0.0.5", "10.0.0.5", "10.9.0.4", "10.1.0.4"):
        await engine.probe(flow(destination))
    await engine.probe(flow("10.0.0.5", sender="nobody"))
    counters = await engine.counters()
    assert counters == {"nic:/n1": {"delivered": 2, "route_none": 1}, "nic:/n3": {"nic_inbound_rule": 1}}
    await engine.apply(World(revision=2, parts={}))
    assert await engine.counters() == {}
    assert (await engine.probe(flow("10.0.0.5"))).drop is Drop.UNKNOWN_PORT


async def test_a_world_applied_later_is_judged_anew() -> None:
    engine = ModelEngine()
    await engine.apply(network())
    assert (await engine.probe(flow("10.1.0.4"))).allowed
    await engine.apply(network(access=False))
    assert (await engine.probe(flow("10.1.0.4"))).drop is Drop.PEER_ACCESS
    await engine.apply(network())
    assert (await engine.probe(flow("10.1.0.4"))).allowed


def test_longest_prefix() -> None:
    table = PrefixTable([("0.0.0.0/0", "all"), ("10.0.0.0/8", "ten"), ("10.0.0.4/32", "one"), ("fd00::/8", "six")])
    found = [table.find(address(ip)) for ip in ("10.0.0.4", "10.0.0.5", "11.0.0.1", "fd00::1", "2001:db8::1")]
    assert found == ["one", "ten", "all", "six", None]

"""Random worlds: the naive reference and the model engine agree, and the World depends on the facts alone."""

from __future__ import annotations

import random
from itertools import product

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from azlan.compiler.compile import Compiler
from azlan.contract import facts
from azlan.contract.facts import Facts, PeeringState
from azlan.contract.world import World, decode_part, encode_part
from azlan.engines.model import View, judge
from counts import SEED, times
from reference import Reference
from worlds import Network, Owners, facts_of, networks

worlds_settings = settings(
    max_examples=times(60, 1500), deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)


def compiled(owners: Owners) -> World:
    return Compiler().compile(facts_of(owners))


def test_two_hundred_networks_hold_everything_that_can_meet() -> None:
    peerings, hops, protocols, gates, sizes, spaces = set(), set(), set(), set(), set(), set()
    named: set[bool] = set()
    flows: set[int] = set()
    for number in range(200):
        network = Network(number, wild=number % 2 == 1)
        owners = network.owners
        every = [fact for row in owners.values() for fact in row]
        peerings |= {(f.state, f.access, f.forwarded) for f in every if isinstance(f, facts.Peering)}
        hops |= {route.next_hop for f in every if isinstance(f, facts.RouteTable) for route in f.routes}
        rules = [rule for f in every if isinstance(f, facts.SecurityGroup) for rule in f.rules]
        protocols |= {rule.protocol.lower() for rule in rules}
        sizes |= {"long set" for rule in rules if len(rule.sources) > 2}
        members = {g for f in every if isinstance(f, facts.Nic) for c in f.ip_configs for g in c.application_groups}
        named |= {end in members for rule in rules for end in rule.sources if "applicationsecuritygroups" in end}
        sizes |= {"many ranges" for rule in rules if len(rule.destination_ports) > 4}
        subnets = {f.id: f for f in every if isinstance(f, facts.Subnet)}
        for nic in (f for f in every if isinstance(f, facts.Nic) and f.subnet in subnets):
            gates.add((nic.security_group is not None, subnets[nic.subnet].security_group is not None, nic.forwarding))
        prefixes = [prefix for f in every if isinstance(f, facts.Space) for prefix in f.prefixes]
        spaces.add(len(prefixes) > len(set(prefixes)))
        flows |= {flow.protocol for flow in network.flows(owners, 30)}
    assert peerings == set(product(PeeringState, (True, False), (True, False)))
    assert hops == {"VnetLocal", "VirtualAppliance", "Internet", "None", "VirtualNetworkGateway"}
    assert protocols == {"*", "tcp", "udp", "icmp", "esp", "ah"}
    assert gates == set(product((True, False), repeat=3))
    assert (sizes, spaces) == ({"long set", "many ranges"}, {True, False})
    assert named == {True, False}
    assert flows == {1, 4, 6, 17, 47, 50, 51}


@given(networks())
@worlds_settings
@seed(SEED)
def test_reference_and_model_agree(network: Network) -> None:
    owners = network.owners
    reference = Reference(facts_of(owners))
    view = View(compiled(owners))
    for flow in network.flows(owners, 40):
        verdict = judge(view, flow)
        fate = reference.fate(flow)
        hop = verdict.next_hop.replace("VNetGlobalPeering", "VNetPeering") if verdict.next_hop else None
        to = verdict.to.removeprefix("nic:") if verdict.to else None
        assert (verdict.drop, to, hop) == (fate.drop, fate.to, fate.hop), (flow, verdict)


@given(networks(), st.integers(0, 2**32))
@worlds_settings
@seed(SEED)
def test_the_order_of_owners_does_not_matter(network: Network, order: int) -> None:
    owners = network.owners
    names = list(owners)
    random.Random(order).shuffle(names)
    assert compiled({name: owners[name] for name in names}) == compiled(owners)


@given(networks(), networks(), networks(), st.integers(0, 2**32))
@worlds_settings
@seed(SEED)
def test_any_way_there_ends_in_the_same_world(first: Network, second: Network, third: Network, draw: int) -> None:
    order = random.Random(draw)
    compiler = Compiler()
    current: Owners = {}
    world = compiler.compile(Facts(revision=0, by_owner=current))
    revision = 0
    for goal in (first.owners, second.owners, third.owners):
        differing = [name for name in current.keys() | goal.keys() if current.get(name) != goal.get(name)]
        differing.sort()
        order.shuffle(differing)
        while differing:
            step, differing = differing[: (size := order.randint(1, 6))], differing[size:]
            current = {name: row for name, row in current.items() if name not in step}
            current |= {name: goal[name] for name in step if name in goal}
            revision += 1
            before = world
            world = compiler.compile(
                Facts(revision=revision, by_owner=current, base=revision - 1, changed=frozenset(step))
            )
            for key, part in world.parts.items():
                assert before.parts.get(key) is part or before.parts.get(key) != part
    fresh = Compiler().compile(Facts(revision=revision, by_owner=current))
    assert dict(world.parts) == dict(fresh.parts)
    assert dict(world.claims) == dict(fresh.claims)
    assert world == fresh


@given(networks())
@worlds_settings
@seed(SEED)
def test_parts_survive_the_wire_and_claims_name_parts(network: Network) -> None:
    owners = network.owners
    world = compiled(owners)
    for part in world.parts.values():
        assert decode_part(encode_part(part)) == part
    assert set(world.claims) == owners.keys()
    assert {key for keys in world.claims.values() for key in keys} <= set(world.parts)

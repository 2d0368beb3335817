"""The reference, the model engine and the kernel agree on random Worlds; the kernel is asked by real packets.

Every World has a seed, and every run says which it used: `AZLAN_WORLD=SEED` before the same command replays that one.
Each World is run twice: as it is; then with every rule set denying everything and every peering's access turned over,
when what was let through before is an established flow.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import IPv4Address

import msgspec
import pytest

from azlan.compiler.compile import Compiler
from azlan.contract import facts
from azlan.contract.engine import Flow, Verdict
from azlan.contract.world import Nic, World
from azlan.engines.bpf.outside import TRANSIT
from azlan.engines.model import View, judge
from counts import SEED, figures, times
from fabric_kit import Cloud
from reference import Fate, Reference
from wires import FABRIC_MAC, OUTSIDE, TTL, Outcome, Wires, counted_at, packets, sound
from worlds import Maker, Network, Owners, facts_of

pytestmark = pytest.mark.root

WORLDS = times(8, 200)
FLOWS = 120 if "AZLAN_WORLD" in os.environ else times(40, 120)
"""A World at most, each sent once new and once after the turn, and twice each time where it passes."""
EXPIRY_SECONDS = 10
"""Half of the time after which a flow that nobody answers is forgotten, for the one half of a World."""
NAMES = {1: "ICMP", 6: "TCP", 17: "UDP", 50: "ESP", 51: "AH"}


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    made = Cloud()
    try:
        yield made
    finally:
        await made.remove()


def seeds() -> list[int]:
    """Even: neat networks; odd: wild ones."""
    given = os.environ.get("AZLAN_WORLD")
    if given:
        return [int(given)]
    first = times(4000, random.Random(SEED).randrange(1 << 31))
    return list(range(first, first + WORLDS))


def turned(owners: Owners) -> Owners:
    """The same network, with every gate shut and every peering's access the other way."""

    def turn(fact: facts.Fact) -> facts.Fact:
        if isinstance(fact, facts.SecurityGroup):
            return replace(fact, rules=tuple(rule for rule in fact.rules if not rule.allow and rule.default))
        return replace(fact, access=not fact.access) if isinstance(fact, facts.Peering) else fact

    return {owner: tuple(turn(fact) for fact in row) for owner, row in owners.items()}


def chosen(maker: Maker, owners: Owners, world: World) -> list[Flow]:
    """New flows of NICs that have a port, no two of which could be taken for one, there or on the way back."""
    view = View(world)
    behind = {public: nic.addresses[0].private for public, (nic, _) in view.public.items()}
    taken: set[object] = set()
    flows: list[Flow] = []
    for _ in range(FLOWS * 60):
        flow = msgspec.structs.replace(maker.flow(owners), established=False)
        if flow.protocol in (6, 17) and maker.often(0.7):
            flow = msgspec.structs.replace(flow, source_port=maker.random.randint(10000, 60000))
        nic = world.parts.get(flow.nic)
        ends = frozenset(behind.get(end, end) for end in (flow.source, flow.destination))
        ports = frozenset((flow.source_port, flow.destination_port))
        names: list[object] = [(ends, flow.protocol, ports)] if flow.protocol != 1 else []
        if flow.destination in behind:  # may pass a NAT that would tell two senders apart by their ports
            names.append((flow.destination, flow.protocol, ports))
        if not isinstance(nic, Nic) or not view.plugged(nic) or taken.intersection(names):
            continue
        taken.update(names)
        flows.append(flow)
        if len(flows) == FLOWS:
            break
    return flows


class Run:
    """One run over many Worlds."""

    def __init__(self, wires: Wires) -> None:
        self._wires = wires
        self.flows = 0
        """Sent new in the Worlds so far."""
        self._serial = 0
        """Of the packet sent last."""
        self.fates: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()

    async def world(self, seed: int) -> None:
        network = Network(seed, wild=seed % 2 == 1)
        owners = network.owners
        maker = Maker(random.Random(seed + 1), network.wild)
        before, after = (Compiler().compile(facts_of(given)) for given in (owners, turned(owners)))
        flows = chosen(maker, owners, before)
        chance = random.Random(seed + 2)
        shapes = [chance.choice(("small", "small", "small", "large", "fragments")) for _ in flows]
        await self._wires.settle(before)
        first, self.flows = self.flows, self.flows + len(flows)
        sides = Reference(facts_of(owners)), View(before)
        passed: list[bool | None] = []
        began = time.monotonic()
        for at, (flow, shape) in enumerate(zip(flows, shapes, strict=True)):
            passed.append(self._flow(seed, flow, shape, first + at, sides))
        if (
            time.monotonic() - began > EXPIRY_SECONDS
        ):  # others keep the processors: what was let through may be forgotten
            self.kinds["worlds not turned"] += 1
            return
        report = await self._wires.cloud.engine.apply(after)
        assert report.failed == {}, report.failed
        sides = Reference(facts_of(turned(owners))), View(after)
        for at, (flow, shape) in enumerate(zip(flows, shapes, strict=True)):
            if passed[at] is None:
                continue
            again = msgspec.structs.replace(flow, established=passed[at])
            self._flow(seed, again, shape, first + at, sides, again=True)
        assert not self._wires.arrivals(), f"world {seed}: packets came out that nobody sent"

    def _flow(
        self, seed: int, flow: Flow, shape: str, number: int, sides: tuple[Reference, View], again: bool = False
    ) -> bool | None:
        """Whether all three let the flow pass; None where it was refused beyond a NAT, known to its sender alone."""
        reference, view = sides
        fate, verdict = reference.fate(flow), judge(view, flow)
        what = f"AZLAN_WORLD={seed}{', turned' if again else ''}\n{flow}\n{fate}\n{verdict}"
        hop = verdict.next_hop.replace("VNetGlobalPeering", "VNetPeering") if verdict.next_hop else None
        said = Fate(verdict.drop, verdict.to.removeprefix("nic:") if verdict.to else None, hop)
        assert said == fate, f"the model differs from the reference: {what}"
        nic = view.parts[flow.nic]
        assert isinstance(nic, Nic)
        public = {entry.private: entry.public for entry in nic.addresses}.get(flow.source)
        by_nat = verdict.next_hop == "Internet" and verdict.to is not None and not public
        if shape == "fragments" and (by_nat or verdict.to is None):  # the kernel out there writes into what a tap holds
            shape = "large"
        outcome = Outcome((), {})
        one_or_two = (again, True) if verdict.drop is None else (again,)  # a second packet may go a shorter way
        for middle in one_or_two:
            self._serial += 1
            sent = packets(flow, nic.mac, number, self._serial, shape, middle=middle and not by_nat)
            counted = self._wires.reasons()
            self._wires.send(flow.nic, sent)
            outcome = self._wires.outcome(sent, counted, verdict.to or OUTSIDE)
            told = f"the kernel differs: {what}\n{shape} {outcome}"
            if verdict.drop is None:
                assert not outcome.drops, told
                self._arrived(told, flow, verdict, outcome, view, public, by_nat, len(sent.frames))
            else:
                assert {arrival.at for arrival in outcome.arrived} <= ({OUTSIDE} if by_nat else set()), told
                assert sum(outcome.drops.values()) == len(sent.frames), told
                where = counted_at(verdict, flow.nic)
                assert all(n in where and name == verdict.drop for n, name in outcome.drops), told
        self.fates[verdict.drop or f"delivered by {verdict.next_hop or 'the platform'}"] += 1
        self.kinds[f"{'known' if flow.established else 'new'} of {NAMES.get(flow.protocol, 'other protocols')}"] += 1
        self.kinds[shape] += 1
        return None if by_nat and verdict.drop and outcome.arrived else verdict.drop is None

    @staticmethod
    def _arrived(
        what: str, flow: Flow, verdict: Verdict, outcome: Outcome, view: View, public: str | None, by_nat: bool, n: int
    ) -> None:
        """As many as were sent, in one place, untouched but for what public IPs and NAT change."""
        at = verdict.to or OUTSIDE
        final = [arrival for arrival in outcome.arrived if arrival.at == at]
        assert len(final) == n, what
        assert {arrival.at for arrival in outcome.arrived} == ({at, OUTSIDE} if by_nat else {at}), what
        receiver = view.parts.get(verdict.to or "")
        hairpin = verdict.next_hop == "Internet" and isinstance(receiver, Nic)
        privates = {entry.public: entry.private for entry in receiver.addresses} if isinstance(receiver, Nic) else {}
        for arrival in final:
            source, destination = arrival.ends
            assert arrival.macs[1] == FABRIC_MAC, what
            assert arrival.ttl == (TTL - 1 if by_nat else TTL), what
            assert sound(arrival.frame), what
            assert destination == (privates[flow.destination] if hairpin else flow.destination), what
            if isinstance(receiver, Nic):
                assert arrival.macs[0] == receiver.mac, what
            if by_nat:
                assert source.startswith("192.88.99."), what
            elif isinstance(receiver, Nic) and not hairpin:
                assert source == flow.source, what
            elif public and verdict.next_hop:
                assert source == public, what
            else:
                assert IPv4Address(source) in TRANSIT, what


async def test_reference_model_and_kernel_agree(cloud: Cloud) -> None:
    chosen_seeds = seeds()
    figures.append(f"reference = model = kernel: worlds {chosen_seeds[0]} to {chosen_seeds[-1]}")
    wires = Wires(cloud)
    run = Run(wires)
    try:
        await wires.open()
        for seed in chosen_seeds:
            await run.world(seed)
    finally:
        wires.close()
    figures.append(
        f"  {run.flows} new flows; with the turned Worlds {run.fates.total()}: "
        + ", ".join(f"{n} {name}" for name, n in run.fates.most_common())
    )
    figures.append("  " + ", ".join(f"{n} {name}" for name, n in sorted(run.kinds.items())))
    if len(chosen_seeds) > 1:
        assert run.flows > times(250, 20_000)
        assert len(run.fates) >= times(15, 20), run.fates

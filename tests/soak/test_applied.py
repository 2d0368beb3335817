"""Succeeded means applied: the instant an operation answers Succeeded, every packet obeys it.

vm-1 ═ 500 packets a second each way ═ peering ═ vm-2          created ─▶ none lost      deleted ─▶ none delivered
internet ═════════════════════ public IP ═════════ vm-1
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from client import ArmClient
from counts import spread, times
from fabric_kit import Namespace
from network import GROUPS, NICS, PUBLIC_IPS, rule
from streams import Flow, Record, Stream
from twins import carry_out, half, peering, twins

pytestmark = pytest.mark.root

REPETITIONS = times(10, 100)
PACE = 500
HOLD = 0.02
"""Seconds for which each state is watched."""
MARGIN = 5_000_000
"""Nanoseconds before a request in which a packet may still be on its way."""


@dataclass
class Span:
    """While a state was certain: from the answer Succeeded to the next request."""

    begin: int
    end: int = 0


@dataclass
class Watched:
    """One subject that is created and deleted under running streams."""

    arm: ArmClient
    stream: Stream
    shots: tuple[int, ...]
    """Flows of which packets are sent at the very instant."""
    there: list[Span] = field(default_factory=list)
    gone: list[Span] = field(default_factory=list)
    took: dict[str, list[float]] = field(default_factory=lambda: {"create": [], "delete": []})

    async def state(self, spans: list[Span], kind: str, method: str, path: str, body: Any = None) -> None:
        """Carry out what brings the state about, and watch it for a while."""
        began = time.monotonic()
        await carry_out(self.arm, method, path, body)
        spans.append(Span(time.monotonic_ns()))
        for index in self.shots:
            self.stream.shoot(index)
        self.took[kind].append(time.monotonic() - began)
        await asyncio.sleep(HOLD)
        spans[-1].end = time.monotonic_ns()

    async def end(self, what: str) -> list[Record]:
        records = await self.stream.end()
        for kind, seconds in self.took.items():
            spread(f"{what}, {kind} to Succeeded", seconds)
        return records


def judge(watched: Watched, record: Record) -> int:
    """Check a flow against the spans; how many packets were judged."""
    judged = 0
    for span in watched.there:
        seen = list(record.between(span.begin, span.end - MARGIN))
        lost = [packet for packet in seen if not packet.arrived]
        assert not lost, (
            f"{len(lost)} lost after create's Succeeded, the first {(lost[0].before - span.begin) / 1e6} ms"
        )
        judged += len(seen)
    for span in watched.gone:
        seen = list(record.between(span.begin, span.end))
        passed = [packet for packet in seen if packet.arrived]
        assert not passed, (
            f"{len(passed)} delivered after delete's Succeeded, the last {(passed[-1].before - span.begin) / 1e6} ms"
        )
        judged += len(seen)
    # Each state was seen by what was sent at its very beginning and by the stream.
    assert judged > (len(watched.there) + len(watched.gone)) * 3
    return judged


async def test_peerings(tmp_path: Path) -> None:
    """Whichever half is deleted, all flows end both ways; whichever is created last, all pass both ways."""
    async with twins(tmp_path) as two:
        stream = await Stream.start([two.flow(4000), two.flow(4000, back=True)], PACE)
        watched = Watched(two.arm, stream, (0, 1))
        for number in range(REPETITIONS):
            first, second = ((1, 2), (2, 1)) if number % 2 else ((2, 1), (1, 2))
            await carry_out(two.arm, "PUT", half(*first), peering(two.arm, first[1]))
            await watched.state(watched.there, "create", "PUT", half(*second), peering(two.arm, second[1]))
            last = first if number % 4 < 2 else second
            await watched.state(watched.gone, "delete", "DELETE", half(*last))
            await carry_out(two.arm, "DELETE", half(*(second if last is first else first)))
        for record in await watched.end("peering"):
            judge(watched, record)
            assert record.duplicates == 0


async def test_security_rules(tmp_path: Path) -> None:
    """A rule decides of new flows from its Succeeded on; a flow that was established while it stood goes on."""
    deny = {"priority": 4000, "direction": "Inbound", "access": "Deny", "protocol": "Udp",
            "source": "*", "destination": "*", "ports": "4000-4999"}  # fmt: skip
    async with twins(tmp_path, security_groups={"nsg": {"closed": deny}}) as two:
        await two.guard("vm-2-nic", "nsg")
        await two.peer()
        path = f"{GROUPS}/nsg/securityRules/opened"
        body = {"properties": rule({**deny, "priority": 100, "access": "Allow"})}

        await two.arm.put(path, body)
        established = await Stream.start([two.flow(4001)], PACE)
        await asyncio.sleep(0.1)
        await two.arm.delete(path)

        watched = Watched(two.arm, await Stream.start([two.flow(4000, fresh=True)], PACE), (0,))
        for _ in range(REPETITIONS):
            await watched.state(watched.there, "create", "PUT", path, body)
            await watched.state(watched.gone, "delete", "DELETE", path)
        (fresh,) = await watched.end("NSG rule")
        judge(watched, fresh)
        (old,) = await established.end()
        assert not old.lost(), f"{len(old.lost())} packets of the established flow were lost"
        assert len(old.packets) > REPETITIONS


async def test_public_addresses(tmp_path: Path) -> None:
    """Associated, the internet reaches the machine at once; dissociated, nothing of any flow arrives any more."""
    computer = Namespace(tmp_path / "computer")
    try:
        async with twins(tmp_path, computer.path) as two:
            await two.arm.put(
                f"{PUBLIC_IPS}/ip",
                {"location": "eastus2", "sku": {"name": "Standard"},
                 "properties": {"publicIPAllocationMethod": "Static"}},
            )  # fmt: skip
            public = await two.arm.get(f"{PUBLIC_IPS}/ip")
            path = f"{NICS}/vm-1-nic"
            bare = await two.arm.get(path)
            reached = await two.arm.get(path)
            config = reached["properties"]["ipConfigurations"][0]["properties"]
            config["publicIPAddress"] = {"id": public["id"]}
            address = public["properties"]["ipAddress"]
            inward = Flow(str(computer.path), "0.0.0.0", str(two.vm_1), address, 4000)
            watched = Watched(two.arm, await Stream.start([inward], PACE), (0,))
            for _ in range(REPETITIONS):
                await watched.state(watched.there, "create", "PUT", path, reached)
                await watched.state(watched.gone, "delete", "PUT", path, bare)
            (record,) = await watched.end("public IP")
            judge(watched, record)
    finally:
        computer.remove()

"""While rules and peerings flip, every packet obeys the World before or the World after: never a third.

vm-1 ═ four kinds of new flows ═▶ vm-3 ◀═ two kinds ═ (peering) ═ vm-2          1,000 packets a second together

vm-1 and vm-3 are in one subnet, whose security group has rules A or rules B and is exchanged for another one: a write
changes a gate of the sender and one of the receiver, at two NICs.

    port      under rules A                  under rules B
    swap-a    in allow  out allow  passes    in deny   out deny
    swap-b    in deny   out deny             in allow  out allow  passes
    always    by rule 110          passes    by rule 120          passes      lost under some mixture
    never     in deny   out allow            in allow  out deny               passes under some mixture
    tagged    passes where the peering has access: the default rule for VirtualNetwork
    untagged  passes where it has not: a rule denies VirtualNetwork, the next allows the prefix
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from counts import spread, times
from network import GROUPS, VNETS, security_group
from streams import Flow, Packet, Stream
from twins import carry_out, half, peering, twins

pytestmark = pytest.mark.root

FLIPS = times(100, 1000)
PACE = 170
PORTS = {"swap-a": 4000, "swap-b": 4001, "always": 4002, "never": 4003, "tagged": 4004, "untagged": 4005}


@dataclass(frozen=True)
class State:
    rules: str
    access: bool

    def passes(self, flow: str) -> bool:
        return {
            "swap-a": self.rules == "A",
            "swap-b": self.rules == "B",
            "always": True,
            "never": False,
            "tagged": self.access,
            "untagged": not self.access,
        }[flow]


@dataclass(frozen=True)
class Step:
    """One write, from its request to the answer Succeeded."""

    asked: int
    succeeded: int
    before: State
    after: State


def rules(kind: str) -> dict[str, Any]:
    """The security group's rules: A or B."""
    first = kind == "A"
    given = {}

    def add(name: str, priority: int, direction: str, allow: bool, flow: str, source: str = "*") -> None:
        given[name] = {
            "priority": priority, "direction": direction, "access": "Allow" if allow else "Deny", "protocol": "Udp",
            "source": source, "destination": "*", "ports": PORTS[flow],
        }  # fmt: skip

    for direction in ("Inbound", "Outbound"):
        add(f"SwapA{direction}", 100, direction, first, "swap-a")
        add(f"SwapB{direction}", 101, direction, not first, "swap-b")
        add(f"Always{direction}", 110 if first else 120, direction, True, "always", "10.0.0.0/16" if first else "*")
        add(f"Never{direction}", 130, direction, first is (direction == "Outbound"), "never")
    add("Untagged", 200, "Inbound", False, "untagged", "VirtualNetwork")
    add("UntaggedPrefix", 210, "Inbound", True, "untagged", "10.1.0.0/16")
    return given


def judge(steps: list[Step], packets: list[tuple[str, Packet]], start: State) -> int:
    """Check every packet, in the order of their sending; how many were sent while something changed."""
    during = 0
    position = 0
    flipped: Packet | None = None
    """The first packet of the present step that was judged by its World after."""
    for flow, packet in packets:
        while position < len(steps) and packet.before >= steps[position].succeeded:
            position, flipped = position + 1, None
        step = steps[position] if position < len(steps) else None
        now = steps[position - 1].after if position else start
        passed = bool(packet.arrived)
        if step is None or packet.after < step.asked:
            assert passed is now.passes(flow), f"{flow} passed={passed} in {now}, nothing changing"
            continue
        during += 1
        # A packet may span the answer Succeeded and the request after it.
        allowed = {step.before.passes(flow), step.after.passes(flow)}
        if packet.after > step.succeeded and position + 1 < len(steps):
            allowed.add(steps[position + 1].after.passes(flow))
        assert passed in allowed, f"{flow} passed={passed} while {step.before} became {step.after}: a third state"
        if len(allowed) == 2 and packet.after <= step.succeeded:
            if passed is step.after.passes(flow):
                flipped = flipped or packet
            else:
                assert flipped is None, (
                    f"{flow} obeyed {step.before} {(packet.before - flipped.before) / 1e6} ms after another packet "
                    f"had obeyed {step.after}"
                )
    return during


async def test_every_packet_obeys_the_world_before_or_after(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    subnet = f"{VNETS}/vnet-1/subnets/subnet-1"
    held = {"one": "A", "other": "B"}
    """Group → which rules it has."""
    attached = "one"
    state = start = State("A", True)
    machines = {"vm-1": "vnet-1/subnet-1", "vm-3": "vnet-1/subnet-1", "vm-2": "vnet-2/subnet-1"}
    groups = {name: rules(kind) for name, kind in held.items()}
    async with twins(tmp_path, machines=machines, security_groups=groups) as two:
        await two.peer()
        shown = await two.arm.get(subnet)
        shown["properties"]["networkSecurityGroup"] = {"id": two.arm.id(f"{GROUPS}/one")}
        await two.arm.put(subnet, shown)
        target = str(two.namespace("vm-3"))
        stream = await Stream.start(
            [
                Flow(str(two.vm_2), "10.1.0.4", target, "10.0.0.5", port, fresh=True)
                if flow.endswith("tagged")
                else Flow(str(two.vm_1), "10.0.0.4", target, "10.0.0.5", port, fresh=True)
                for flow, port in PORTS.items()
            ],
            PACE,
        )
        await asyncio.sleep(0.1)
        steps = []
        for _ in range(FLIPS):
            before = state
            kind = chance.choice(("rules", "group", "access"))
            if kind == "rules":
                held[attached] = "B" if held[attached] == "A" else "A"
                whole = security_group(attached, rules(held[attached]))
                path, body = f"{GROUPS}/{attached}", {name: whole[name] for name in ("location", "properties")}
            elif kind == "group":
                attached = "other" if attached == "one" else "one"
                shown["properties"]["networkSecurityGroup"]["id"] = two.arm.id(f"{GROUPS}/{attached}")
                path, body = subnet, shown
            else:
                path, body = half(1, 2), peering(two.arm, 2, not state.access)
            state = State(held[attached], state.access is not (kind == "access"))
            asked = time.monotonic_ns()
            await carry_out(two.arm, "PUT", path, body)
            steps.append(Step(asked, time.monotonic_ns(), before, state))
            await asyncio.sleep(chance.random() * 0.005)
        records = await stream.end()
    packets = [(flow, packet) for flow, record in zip(PORTS, records, strict=True) for packet in record.packets]
    packets.sort(key=lambda pair: pair[1].before)
    during = judge(steps, packets, start)
    spread(f"a flip under {len(packets)} packets, {during} of them while it went on", [
        (step.succeeded - step.asked) / 1e9 for step in steps
    ])  # fmt: skip
    assert during > FLIPS

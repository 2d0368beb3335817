"""Operations end when what they wait for is in force, and only then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from azlan.arm.resource import Operation
from azlan.contract.engine import Digest, Flow, Report, Verdict
from azlan.contract.facts import Facts
from azlan.contract.machine import CommandResult, MachineStatus, StatusListener
from azlan.contract.world import Machine, Vnet, World, part_key
from azlan.control import loop as loop_module
from azlan.control.loop import Loops


class Cloud:
    """Store, operations, compiler, engine and machines in one, each as dumb as can be."""

    name = "fake"

    def __init__(self) -> None:
        self.revision = 0
        self.parts: dict[str, Any] = {}
        self.claims: dict[str, tuple[str, ...]] = {}
        self.callbacks: list[Callable[[], None]] = []
        self.waiting: dict[str, Operation] = {}
        self.ended: dict[str, dict[str, Any] | None] = {}
        self.failed: dict[str, str] = {}
        self.broken = 0
        self.applied: list[int] = []
        self.statuses: dict[str, MachineStatus] = {}
        self.listeners: list[StatusListener] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def prepare(self) -> None: ...

    def facts(self, since: Facts | None = None) -> Facts:
        return Facts(revision=self.revision, by_owner={})

    def subscribe(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def set_status(self, status: MachineStatus) -> None: ...

    def forget_status(self, machine: str) -> None: ...

    def pending(self) -> tuple[Operation, ...]:
        return tuple(self.waiting.values())

    async def settle(self, operation: str, error: dict[str, Any] | None = None) -> None:
        del self.waiting[operation]
        self.ended[operation] = error

    def compile(self, facts: Facts) -> World:
        return World(revision=facts.revision, parts=dict(self.parts), claims=self.claims)

    async def observe(self) -> Any:
        return tuple(self.statuses.values())

    async def probe(self, flow: Flow) -> Verdict:
        raise NotImplementedError

    async def counters(self) -> dict[str, dict[str, int]]:
        return {}

    async def apply(self, world: World) -> Report:
        await self.gate.wait()
        if self.broken:
            self.broken -= 1
            raise ConnectionError("away")
        self.applied.append(world.revision)
        return Report(revision=world.revision, failed=dict(self.failed))

    def listen(self, listener: StatusListener) -> None:
        self.listeners.append(listener)

    async def run(self, machine: str, script: str, timeout: float) -> CommandResult:
        raise NotImplementedError

    async def close(self) -> None: ...

    def write(self, name: str, *parts: Any, waits: tuple[str, ...] = ("network",), kind: Any = "PUT") -> None:
        self.revision += 1
        for part in parts:
            self.parts[part_key(part)] = part
        self.claims[f"/{name}"] = tuple(part_key(part) for part in parts)
        self.waiting[name] = Operation(
            id=name, key=f"/{name}", generation=1, revision=self.revision, kind=kind, name="Put", location="eastus2",
            namespace="Microsoft.Network", subscription="s", waits=waits, others=(), status="InProgress", started="",
        )  # fmt: skip
        for callback in self.callbacks:
            callback()

    async def until_ended(self, name: str) -> dict[str, Any] | None:
        async with asyncio.timeout(5):
            while name not in self.ended:
                await asyncio.sleep(0.005)
        return self.ended[name]


class Machines(Cloud):
    pass


def vnet(name: str) -> Vnet:
    return Vnet(id=f"/{name}", location="eastus2", prefixes=(), tags=())


def machine(name: str, **more: Any) -> Machine:
    return Machine(
        id=f"/{name}", role="vm", computer_name=name, image="debian-12", memory_mib=1, cpus=1, nics=(), **more
    )


async def started(cloud: Cloud, machines: Cloud) -> Loops:
    loops = Loops(cloud, cloud, cloud, cloud, machines)
    await loops.start()
    return loops


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not found():
            await asyncio.sleep(0.005)


async def test_succeeds_once_applied_and_not_before() -> None:
    cloud, machines = Cloud(), Machines()
    loops = await started(cloud, machines)
    cloud.gate.clear()
    cloud.write("a", vnet("a"))
    await asyncio.sleep(0.05)
    assert cloud.ended == {}
    cloud.gate.set()
    assert await cloud.until_ended("a") is None
    assert cloud.applied[-1] >= 1
    await loops.stop()


async def test_a_failed_part_fails_its_owners_operation_only() -> None:
    cloud, machines = Cloud(), Machines()
    loops = await started(cloud, machines)
    cloud.failed = {"vnet:/a": "no room in the kernel's table"}
    cloud.write("a", vnet("a"))
    cloud.write("b", vnet("b"))
    assert (await cloud.until_ended("a") or {})["message"] == "no room in the kernel's table"
    assert await cloud.until_ended("b") is None
    await loops.stop()


async def test_what_owners_claim_is_in_force_once_applied_and_unless_it_failed() -> None:
    cloud, machines = Cloud(), Machines()
    loops = Loops(cloud, cloud, cloud, cloud, machines)
    assert not loops.in_force(("/a",))
    await loops.start()
    cloud.failed = {"vnet:/a": "no room in the kernel's table"}
    cloud.write("a", vnet("a"))
    cloud.write("b", vnet("b"))
    await cloud.until_ended("a")
    await cloud.until_ended("b")
    assert loops.in_force(("/b", "/unknown"))
    assert not loops.in_force(("/b", "/a"))
    await loops.stop()


async def test_an_engine_that_is_away_is_asked_again() -> None:
    cloud, machines = Cloud(), Machines()
    cloud.broken = 3
    loops = await started(cloud, machines)
    cloud.write("a", vnet("a"))
    assert await cloud.until_ended("a") is None
    await loops.stop()


async def test_a_vm_waits_for_its_machine_and_no_network_operation_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "OBSERVE_WHILE_WAITING", 0.02)
    cloud, machines = Cloud(), Machines()
    loops = await started(cloud, machines)
    cloud.write("vm", machine("vm"), waits=("network", "machines"))
    machines.statuses["machine:/vm"] = MachineStatus(machine="machine:/vm", power="starting")
    cloud.write("a", vnet("a"))
    assert await cloud.until_ended("a") is None
    assert "vm" not in cloud.ended
    ready = MachineStatus(machine="machine:/vm", power="running", ready=True, boots=1)
    machines.statuses["machine:/vm"] = ready
    assert await cloud.until_ended("vm") is None
    await loops.stop()


async def test_a_machine_that_never_boots_fails_with_its_code() -> None:
    cloud, machines = Cloud(), Machines()
    loops = await started(cloud, machines)
    cloud.write("vm", machine("vm"), waits=("network", "machines"))
    dead = MachineStatus(machine="machine:/vm", power="failed", code="OSProvisioningTimedOut", why="no banner in 120 s")
    machines.statuses["machine:/vm"] = dead
    machines.listeners[0](dead)
    assert await cloud.until_ended("vm") == {"code": "OSProvisioningTimedOut", "message": "no banner in 120 s"}
    await loops.stop()


@pytest.mark.parametrize(
    ("desired", "status", "ends"),
    [
        ({"boot": 1}, {"power": "running", "ready": True, "boots": 1, "boot": 0}, False),
        ({"boot": 1}, {"power": "running", "ready": True, "boots": 2, "boot": 1}, True),
        ({"power": "stopped"}, {"power": "running", "ready": True, "boots": 1}, False),
        ({"power": "stopped"}, {"power": "stopped", "boots": 1}, True),
        ({"power": "deallocated"}, {"power": "stopped", "boots": 1}, False),
        ({"power": "deallocated"}, {"power": "deallocated", "boots": 1}, True),
        ({}, {"power": "stopped", "boots": 1}, True),
        ({}, {"power": "starting"}, False),
    ],
)
async def test_what_each_power_state_waits_for(desired: dict[str, Any], status: dict[str, Any], ends: bool) -> None:
    cloud, machines = Cloud(), Machines()
    machines.statuses["machine:/vm"] = MachineStatus(machine="machine:/vm", **status)
    loops = await started(cloud, machines)
    cloud.write("vm", machine("vm", **desired), waits=("network", "machines"))
    if ends:
        assert await cloud.until_ended("vm") is None
    else:
        await asyncio.sleep(0.1)
        assert cloud.ended == {}
    await loops.stop()


async def test_a_deleted_machine_is_waited_for_until_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "OBSERVE_WHILE_WAITING", 0.02)
    cloud, machines = Cloud(), Machines()
    machines.statuses["machine:/vm"] = MachineStatus(machine="machine:/vm", power="running", ready=True)
    loops = await started(cloud, machines)
    cloud.write("vm", waits=("network", "machines"), kind="DELETE")
    await asyncio.sleep(0.1)
    assert cloud.ended == {}
    del machines.statuses["machine:/vm"]
    assert await cloud.until_ended("vm") is None
    await loops.stop()


async def test_drift_is_repaired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "AUDIT_EVERY", 0.02)
    cloud, machines = Cloud(), Machines()

    async def drifted() -> Digest:
        return Digest(root=b"\x01" * 16)

    cloud.observe = drifted  # type: ignore[method-assign]
    loops = await started(cloud, machines)
    cloud.write("a", vnet("a"))
    await cloud.until_ended("a")
    before = len(cloud.applied)
    await asyncio.sleep(0.2)
    assert len(cloud.applied) > before
    await loops.stop()


async def test_machines_are_told_only_what_is_new_to_them() -> None:
    cloud, machines = Cloud(), Machines()
    loops = await started(cloud, machines)
    try:
        cloud.write("v", vnet("v"))
        await cloud.until_ended("v")
        await until(lambda: loops.machines_report.revision == 1)
        told = len(machines.applied)
        cloud.write("v", vnet("v"))
        await until(lambda: loops.machines_report.revision == 2)
        assert len(machines.applied) == told
        cloud.write("w", vnet("w"))
        await until(lambda: loops.machines_report.revision == 3)
        assert len(machines.applied) == told + 1
    finally:
        await loops.stop()


async def test_machines_are_told_again_when_their_process_lost_its_memory_meanwhile() -> None:
    cloud, machines = Cloud(), Machines()
    loops = await started(cloud, machines)
    try:
        await until(lambda: bool(machines.applied))
        loops.reconcile()
        await until(lambda: len(machines.applied) == 2)
        machines.gate.clear()
        loops.reconcile()
        await asyncio.sleep(0.05)
        loops.reconcile()  # while they are being told
        machines.gate.set()
        await until(lambda: len(machines.applied) == 4)
    finally:
        await loops.stop()


async def test_machines_that_failed_are_told_at_every_change() -> None:
    cloud, machines = Cloud(), Machines()
    machines.failed = {"machine:/m": "It failed."}
    loops = await started(cloud, machines)
    try:
        await until(lambda: bool(machines.applied))
        told = len(machines.applied)
        cloud.write("v")
        await until(lambda: loops.machines_report.revision == 1)
        assert len(machines.applied) == told + 1
    finally:
        await loops.stop()


async def test_machines_are_told_again_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "AUDIT_EVERY", 0.02)
    cloud, machines = Cloud(), Machines()

    async def nothing_there() -> Digest:
        return Digest(root=bytes(16))

    cloud.observe = nothing_there  # type: ignore[method-assign]
    loops = await started(cloud, machines)
    try:
        await until(lambda: len(machines.applied) >= 3)
    finally:
        await loops.stop()

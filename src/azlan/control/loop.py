"""Two loops, network and machines: facts → World → engine / machines → operations ended.

An operation has Succeeded when every loop it waits for has applied a revision that contains it and no part its owners
claim has failed there: Succeeded means applied. The loops never wait for one another, and neither for a machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import structlog
from msgspec.structs import replace

from azlan.arm.resource import Operation
from azlan.base.garbage import making_what_stays
from azlan.contract.engine import Engine, Report
from azlan.contract.facts import Facts
from azlan.contract.machine import Machines, MachineStatus
from azlan.contract.world import EMPTY, Machine, World, differing, digest, root_of

log = structlog.get_logger(__name__)

RETRY_FIRST = 0.05
RETRY_MOST = 2.0
RETRY_FAILED_PARTS = 5.0
AUDIT_EVERY = 60.0
OBSERVE_WHILE_WAITING = 0.5


class Source(Protocol):
    """Where the facts come from: the store."""

    async def prepare(self) -> None: ...

    def facts(self, since: Facts | None = None) -> Facts: ...

    def subscribe(self, callback: Callable[[], None]) -> None: ...

    def set_status(self, status: MachineStatus) -> None: ...

    def forget_status(self, machine: str) -> None: ...


class Pending(Protocol):
    """The operations that wait for the loops."""

    def pending(self) -> tuple[Operation, ...]: ...

    async def settle(self, operation: str, error: dict[str, Any] | None = None) -> None: ...


class Compile(Protocol):
    def compile(self, facts: Facts) -> World: ...


class Loops:
    """Both loops over one compiled World. `world` is the latest compiled, `network` and `machines_report` what is in force."""

    def __init__(
        self, source: Source, operations: Pending, compiler: Compile, engine: Engine, machines: Machines
    ) -> None:
        self._source = source
        self._operations = operations
        self._compiler = compiler
        self.engine = engine
        self.machines = machines
        self.world: World = EMPTY
        self.network = Report(revision=-1)
        self.machines_report = Report(revision=-1)
        self.statuses: dict[str, MachineStatus] = {}
        self._told: tuple[World, int] | None = None
        """What the machines were last told without an error, and the `_anew` of that time."""
        self._anew = 0
        """How often the machines were to be told anew, whatever they had been told."""
        self._facts: Facts | None = None
        self._compiling = asyncio.Lock()
        self._wake = {"network": asyncio.Event(), "machines": asyncio.Event(), "settle": asyncio.Event()}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Learn what the machines are, then begin. Nothing is changed before the full desired state is known."""
        self._source.subscribe(self._changed)
        self.machines.listen(self._status)
        self._tasks = [
            asyncio.create_task(self._turn("network", self._apply_network), name="network loop"),
            asyncio.create_task(self._turn("machines", self._apply_machines), name="machines loop"),
            asyncio.create_task(self._settle_forever(), name="settling"),
            asyncio.create_task(self._audit(), name="audit"),
        ]
        self._changed()

    async def stop(self) -> None:
        """Stop reconciling; nothing that runs is touched."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    @property
    def desired(self) -> int:
        """The revision of the newest facts: when both reports have come to it, all of them are in force."""
        return self._source.facts(self._facts).revision if self._facts is not None else 0

    def _changed(self) -> None:
        for event in self._wake.values():
            event.set()

    def reconcile(self) -> None:
        """Apply everything once more: the other side has lost its memory, or something drifted."""
        self._anew += 1
        self._changed()

    async def _compiled(self) -> World:
        """The World of the newest facts. The first is made of all there is, beside the event loop: requests are answered
        meanwhile."""
        async with self._compiling:
            if self._facts is None:
                with making_what_stays():
                    await self._source.prepare()
                    facts = self._source.facts()
                    self.world = await asyncio.to_thread(self._compiler.compile, facts)
                self._facts = facts
            facts = self._source.facts(self._facts)
            if facts is not self._facts:
                self.world = self._compiler.compile(facts)
                self._facts = facts
        return self.world

    async def _turn(self, name: str, apply: Callable[[World], Awaitable[Report]]) -> None:
        """One loop: wait for a change, apply the newest World, retry with a growing pause while that raises."""
        pause = RETRY_FIRST
        event = self._wake[name]
        failed: Mapping[str, str] = {}
        while True:
            try:
                # Not wait_for: before Python 3.12 it can lose a cancellation that comes with the event.
                async with asyncio.timeout(RETRY_FAILED_PARTS if failed else None):
                    await event.wait()
            except TimeoutError:
                pass
            event.clear()
            try:
                report = await apply(await self._compiled())
            except Exception as error:
                log.warning("apply failed, retrying", loop=name, error=repr(error), pause=pause)
                event.set()
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_MOST)
                continue
            pause = RETRY_FIRST
            if report.failed and report.failed != failed:
                log.warning("parts failed", loop=name, parts=report.failed)
            failed = report.failed
            self._wake["settle"].set()

    async def _apply_network(self, world: World) -> Report:
        self.network = await self.engine.apply(world)
        return self.network

    async def _apply_machines(self, world: World) -> Report:
        """Tell them, unless nothing is new to them: what becomes of them they say by themselves."""
        told, self._told, anew = self._told, None, self._anew
        if told and told[1] == anew and not self.machines_report.failed and not any(differing(told[0], world)):
            report = replace(self.machines_report, revision=world.revision, parts_written=0)
        else:
            report = await self.machines.apply(world)
            await self._observe_machines()
        self._told = world, anew
        self.machines_report = report
        return report

    async def _observe_machines(self) -> None:
        seen = {status.machine: status for status in await self.machines.observe()}
        for gone in self.statuses.keys() - seen.keys():
            self._source.forget_status(gone)
        for machine, status in seen.items():
            if self.statuses.get(machine) != status:
                self._source.set_status(status)
        self.statuses = seen

    def _status(self, status: MachineStatus) -> None:
        """A machine changed: remember it, and end what waited for it."""
        if status.power == "gone":
            self.statuses.pop(status.machine, None)
            self._source.forget_status(status.machine)
        else:
            self.statuses[status.machine] = status
            self._source.set_status(status)
        self._wake["settle"].set()

    async def _settle_forever(self) -> None:
        event = self._wake["settle"]
        waiting = False
        while True:
            try:
                async with asyncio.timeout(OBSERVE_WHILE_WAITING if waiting else None):
                    await event.wait()
            except TimeoutError:
                # A notification can be lost with the process that would have sent it; what is seen cannot.
                await self._observe_quietly()
            event.clear()
            pending = self._operations.pending()
            waiting = any("machines" in operation.waits for operation in pending)
            # All at once: those whose end waits for the disk wait for one commit.
            await asyncio.gather(*(self._settle(operation) for operation in pending))

    async def _settle(self, operation: Operation) -> None:
        try:
            outcome = self._outcome(operation)
            if outcome is not None:
                await self._operations.settle(operation.id, outcome or None)
        except Exception:
            log.exception("an operation could not be ended", operation=operation.id)

    async def _observe_quietly(self) -> None:
        try:
            await self._observe_machines()
        except Exception as error:
            log.debug("machines could not be observed", error=repr(error))

    def _outcome(self, operation: Operation) -> dict[str, Any] | None:
        """None while it goes on, {} when it has Succeeded, else the error it Failed with."""
        owners = (operation.key, *operation.others)
        if "network" in operation.waits:
            if self.network.revision < operation.revision:
                return None
            error = self._failure(owners, self.network)
            if error:
                return error
        if "machines" in operation.waits:
            if self.machines_report.revision < operation.revision:
                return None
            error = self._failure(owners, self.machines_report)
            if error:
                return error
            return self._machines_outcome(operation)
        return {}

    def in_force(self, owners: tuple[str, ...]) -> bool:
        """Whether the engine has applied what these owners claimed when their last operations ended, and still has it."""
        return self.network.revision >= 0 and self._failure(owners, self.network) is None

    def _failure(self, owners: tuple[str, ...], report: Report) -> dict[str, Any] | None:
        if not report.failed:  # a virtual network claims all its NICs
            return None
        for owner in owners:
            for part in self.world.claims.get(owner, ()):
                if part in report.failed:
                    return {"code": "InternalExecutionError", "message": report.failed[part]}
        return None

    def _machines_outcome(self, operation: Operation) -> dict[str, Any] | None:
        machine = f"machine:{operation.key}"
        part = self.world.parts.get(machine)
        status = self.statuses.get(machine)
        if not isinstance(part, Machine):
            return {} if status is None else None
        if status is None or status.boot < part.boot:
            return None
        if status.power == "failed":
            return {"code": status.code or "VMStartFailed", "message": status.why or "The machine failed to start."}
        if part.power == "running":
            return {} if status.ready or (status.power == "stopped" and status.boots > 0) else None
        return {} if status.power in ("stopped", "deallocated") and status.power == part.power else None

    async def _audit(self) -> None:
        """Slowly compare what is in force with what should be; a difference is repaired by applying again. Machines are
        told again in any case."""
        while True:
            await asyncio.sleep(AUDIT_EVERY)
            self._anew += 1
            self._wake["machines"].set()
            try:
                seen = await self.engine.observe()
            except Exception as error:
                log.warning("audit could not read back", error=repr(error))
                continue
            world = self.world
            if self.network.revision == world.revision and not self.network.failed and seen.root != network_root(world):
                log.warning("what is in force has drifted", foreign=seen.foreign)
                self._wake["network"].set()


def network_root(world: World) -> bytes:
    """Root over the parts an engine keeps: all but machines."""
    return root_of(digest(part) for part in world.parts.values() if not isinstance(part, Machine))

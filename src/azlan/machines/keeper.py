"""Keeps one machine as it is desired: looks at what is there and does the next thing, again after every change.

What runs was made by this process or by one before it: both look the same from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from azlan.contract.machine import MachineStatus
from azlan.contract.world import PartKey, part_key
from azlan.machines.guest import Desired, Guest, VirtualMachine
from azlan.machines.images import Image
from azlan.machines.places import MachineError, Record

log = structlog.get_logger(__name__)

PROVISIONING_SECONDS = 120.0
"""How long Azure's guest agent may take; then `OSProvisioningTimedOut`."""
_RETRY_MOST = 600.0
_POWERED_OFF = (0, 130)
"""Statuses a guest ends with that was powered off."""


class Driver(Protocol):
    """What a keeper needs of all machines together."""

    def tell(self, status: MachineStatus) -> None: ...

    async def image(self, name: str, progress: Callable[[float, str], None]) -> Image: ...

    def admit(self, name: str, memory_mib: int) -> None: ...

    def booted(self, name: str) -> None: ...

    def gone(self, keeper: Keeper) -> None: ...


@dataclass
class Keeper:
    """Keeps one machine as it is desired."""

    driver: Driver
    key: PartKey
    guest: Guest
    status: MachineStatus | None = None
    settled: bool = False
    """What is desired now is done, or has failed."""
    _desired: Desired | None = None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _failures: int = 0
    _launched_boots: int = 0
    """`boots` when it was started last, by us: a later one is a restart from inside."""

    def desire(self, desired: Desired | None) -> bool:
        """Returns whether that is something new."""
        if self._task is not None and desired == self._desired:
            return False
        self._desired = desired
        self.settled = False
        self._failures = 0
        self._wake.set()
        if self._task is None:
            self._task = asyncio.create_task(self._keep(), name=f"machine {self.key}")
        return True

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # -- the task ----------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            self._wake.clear()
            desired = self._desired
            retry: float | None = None
            try:
                if desired is None:
                    await self.guest.remove(self.guest.place.load())
                    if self._desired is None:
                        self.driver.gone(self)
                        return
                    continue  # deleted and created again meanwhile
                await self._converge(desired)
                self._failures = 0
            except MachineError as error:
                retry = self._fail(desired, error)
            except Exception as error:
                log.exception("machine cannot be kept", machine=self.key)
                retry = self._fail(desired, MachineError("InternalExecutionError", str(error) or repr(error)))
            finally:
                self.driver.booted(self.guest.place.name)
            if self._desired is desired:
                self.settled = True
            try:
                # Not wait_for: before Python 3.12 it can lose a cancellation that comes with the change.
                async with asyncio.timeout(retry):
                    await self._changed(desired)
            except TimeoutError:
                pass

    def _fail(self, desired: Desired | None, error: MachineError) -> float | None:
        self._failures += 1
        log.warning("machine failed", machine=self.key, code=error.code, why=error.why)
        if desired is not None:
            self._tell(desired, power="failed", code=error.code, why=error.why)
        return None if error.retry is None else min(error.retry * 2 ** (self._failures - 1), _RETRY_MOST)

    async def _changed(self, desired: Desired | None) -> None:
        """Until something else is desired, or the machine has ended or restarted; tells if it becomes ready after
        all."""
        waking = asyncio.ensure_future(self._wake.wait())
        changing = asyncio.ensure_future(self.guest.changed())
        try:
            while True:
                late = desired is not None and self.status is not None and not self.status.ready
                late = late and self.guest.init() is not None
                done, _ = await asyncio.wait(
                    {waking, changing}, timeout=2.0 if late else None, return_when=asyncio.FIRST_COMPLETED
                )
                if done:
                    return
                assert desired is not None
                if await self.guest.answers(desired, 1.0):
                    self._answered(desired)
        finally:
            for task in (waking, changing):
                task.cancel()
            await asyncio.gather(waking, changing, return_exceptions=True)

    async def _converge(self, desired: Desired) -> None:
        guest, part = self.guest, desired.machine
        record = guest.place.load() or Record(key=self.key, role=part.role, power=part.power, boot=part.boot)
        alive = guest.monitor() is not None
        if part.power != "running":
            await self._turn_off(desired, record, alive)
            return
        asked = record.boot != part.boot or record.power != "running"
        if alive and (asked or not guest.in_place()):
            await guest.stop()
            alive = False
        if not alive:
            ended = guest.place.number(guest.place.run, "exit")
            if not asked and (record.off or ended in _POWERED_OFF):
                record.off = True
                await self._off(desired, record, "stopped")
                return
            if ended is not None and not asked and not record.off:
                (guest.place.run / "exit").unlink()
                await guest.release(record)
                raise _broken(ended)
            await self._start(desired, record)
        else:
            await self._plug(desired, record)
            record.memory_mib = part.memory_mib
            guest.place.save(record)
        await self._until_ready(desired)

    async def _turn_off(self, desired: Desired, record: Record, alive: bool) -> None:
        if alive:
            await self.guest.stop()
        record.boot, record.off = desired.machine.boot, True
        await self._off(desired, record, desired.machine.power)

    async def _off(self, desired: Desired, record: Record, power: str) -> None:
        record.power = desired.machine.power
        record.memory_mib = desired.machine.memory_mib
        self.guest.place.save(record)
        await self.guest.release(record)
        self._tell(desired, power=power)

    async def _start(self, desired: Desired, record: Record) -> None:
        guest, part = self.guest, desired.machine
        self._tell(desired, power="starting")
        record.power, record.boot, record.off = "running", part.boot, False
        record.memory_mib, record.since = part.memory_mib, time.time()
        if len(desired.nics) != len(part.nics):
            raise MachineError("NetworkInterfaceNotFound", "a network interface of the machine is missing", retry=None)
        if isinstance(guest, VirtualMachine):
            if not record.provisioned:
                image = await self._image(part.image)
                if image is None:
                    return
            self.driver.admit(guest.place.name, part.memory_mib)
            guest.place.save(record)
            if not record.provisioned:
                assert image is not None
                await guest.provision(desired, record, image)
        await guest.release(record)
        try:
            await guest.prepare(desired, record)
            self._launched_boots = guest.boots() + 1
            await guest.launch(desired, record)
        except OSError as error:
            raise MachineError("NetworkingInternalOperationError", str(error), retry=2.0) from error

    async def _image(self, name: str) -> Image | None:
        """The machine's image; None where something else is desired before it is there."""
        told = ""

        def progress(fraction: float, phase: str) -> None:
            nonlocal told
            if phase != told:
                told = phase
                log.info("building image", image=name, percent=round(fraction * 100), phase=phase)

        building = asyncio.ensure_future(self.driver.image(name, progress))
        waking = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait({building, waking}, return_when=asyncio.FIRST_COMPLETED)
            return building.result() if building.done() else None
        finally:
            building.cancel()
            waking.cancel()

    async def _plug(self, desired: Desired, record: Record) -> None:
        try:
            await self.guest.plug(desired, record)
        except OSError as error:
            raise MachineError("NetworkingInternalOperationError", str(error), retry=2.0) from error

    async def _until_ready(self, desired: Desired) -> None:
        """Wait for the machine to answer, for as long as Azure does when it provisions."""
        guest = self.guest
        record = guest.place.load()
        provisioning = record is not None and not record.answered
        ours = provisioning or guest.boots() <= self._launched_boots
        deadline = time.monotonic() + PROVISIONING_SECONDS
        pause = 0.02
        while not self._wake.is_set():
            if await guest.answers(desired, 1.0):
                self._answered(desired)
                return
            if guest.monitor() is None:
                await self._ended(desired)
                return
            if not ours:  # it restarted from inside, which Azure's power state does not show
                self._tell(desired, power="running")
            if time.monotonic() > deadline:
                if provisioning:
                    raise MachineError(
                        "OSProvisioningTimedOut",
                        f"OS Provisioning for VM '{desired.machine.computer_name}' did not finish in the allotted time. "
                        "The VM may still finish provisioning successfully. Please check provisioning state later.",
                        retry=None,
                    )
                self._tell(desired, power="running")
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, 0.25)

    def _answered(self, desired: Desired) -> None:
        record = self.guest.place.load()
        if record is not None and not record.answered:
            record.answered = True
            self.guest.place.save(record)
        self._tell(desired, power="running", ready=True)

    async def _ended(self, desired: Desired) -> None:
        """It ended before it answered: powered off from inside, or broken."""
        place = self.guest.place
        record = place.load()
        if record is not None and place.number(place.run, "exit") in _POWERED_OFF:
            record.off = True
            await self._off(desired, record, "stopped")
            return
        status = place.number(place.run, "exit")
        said = ""
        for name in ("monitor.log", "crun.log", "bastion.log"):
            with contextlib.suppress(OSError):
                said = said or (place.run / name).read_text(errors="replace").strip()[-300:]
        (place.run / "exit").unlink(missing_ok=True)
        await self.guest.release(record)
        if record is not None and record.answered:
            raise _broken(status)
        raise MachineError("InternalExecutionError", f"the machine could not be started: {said or 'it ended'}")

    def _tell(
        self, desired: Desired, *, power: str, ready: bool = False, why: str | None = None, code: str | None = None
    ) -> None:
        before = self.status
        same = before is not None and before.power == power
        status = MachineStatus(
            machine=part_key(desired.machine),
            power=power,
            ready=ready,
            boots=self.guest.boots(),
            boot=desired.machine.boot,
            since=before.since if same and before is not None else time.time(),
            why=why,
            code=code,
        )
        if status != before:
            self.status = status
            self.driver.tell(status)


def _broken(status: int | None) -> MachineError:
    """It ran and ended by neither its own power-off nor ours: it is started again soon, as after a reset."""
    return MachineError("InternalExecutionError", f"the machine broke down (status {status})", retry=1.0)

"""Machines as containers: makes the World's machine parts true on this computer, each machine on its own.

A machine has one task here that knows what is desired of it, looks at what is there and does the next thing; a task
that hangs holds up no other. What is there is read from cgroups and disk, so that a fresh process adopts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from azlan.base import linux
from azlan.contract.engine import Report
from azlan.contract.machine import CommandResult, MachineStatus, NicPorts, StatusListener
from azlan.contract.world import Machine, Nic, PartKey, World, part_key
from azlan.machines.bastionhost import BastionHost, Interpreter
from azlan.machines.cgroups import Cgroups
from azlan.machines.guest import Desired, Guest, Tools, VirtualMachine
from azlan.machines.images import Image, ImageError, ImageNotFoundError, ImageStore
from azlan.machines.places import MachineError, Place, Record, name_of
from azlan.machines.uidranges import UidRanges

log = structlog.get_logger(__name__)

PROVISIONING_SECONDS = 120.0
"""How long Azure's guest agent may take; then `OSProvisioningTimedOut`."""
_RETRY_MOST = 600.0
_FOOTPRINT_MIB = 64
"""What a machine that boots takes for sure, before it uses any of the memory of its size."""
_POWERED_OFF = (0, 130)


@dataclass(frozen=True)
class Limits:
    """When a machine is refused for want of memory."""

    reserve_mib: int = 256
    """Memory that stays free on this computer."""
    committed_mib: int | None = None
    """Bound on the sum of the sizes of all running machines; None: sizes may exceed what there is."""


class ContainerMachines:
    """contract.machine.Machines for this computer. `run_dir` is gone after a reboot, `state_dir` stays; both of root.

    `mark` tells this cloud's objects from another's. `client_uid` may talk to the Bastion hosts.
    """

    name = "containers"

    def __init__(
        self,
        run_dir: Path,
        state_dir: Path,
        images: ImageStore,
        ports: NicPorts,
        mark: str,
        *,
        client_uid: int = 0,
        uids: UidRanges | None = None,
        limits: Limits | None = None,
        interpreter: Interpreter | None = None,
        host: str = "local",
    ) -> None:
        self._run_dir = run_dir
        self._state_dir = state_dir
        self._host = host
        self._client_uid = client_uid
        self._limits = limits or Limits()
        self._interpreter = interpreter or Interpreter()
        self._threads = ThreadPoolExecutor(max_workers=16, thread_name_prefix="machines")
        self._tools = Tools(mark, Cgroups(mark), images, ports, uids or UidRanges(), self._threads)
        self._listeners: list[StatusListener] = []
        self._keepers: dict[str, _Keeper] = {}
        self._builds: dict[str, asyncio.Future[Image]] = {}
        self._booting: dict[str, int] = {}

    # -- contract.machine.Machines -----------------------------------------------------------------------------------

    async def apply(self, world: World) -> Report:
        """Tell every machine what is desired of it. The first call also adopts what is there, and removes what no
        part accounts for."""
        self._make_directories()
        wanted = {
            key: part for key, part in world.parts.items() if isinstance(part, Machine) and part.host == self._host
        }
        written = 0
        for key, part in wanted.items():
            nics = tuple(nic for ref in part.nics if isinstance(nic := world.parts.get(ref), Nic))
            written += self._keeper(key, part.role).desire(Desired(part, nics))
        for name, record in self._present().items():
            if name not in self._keepers:
                key = record.key if record else name
                self._keepers[name] = _Keeper(self, key, self._guest(name, record.role if record else "vm"))
        for keeper in self._keepers.values():
            if keeper.key not in wanted:
                written += keeper.desire(None)
        now = {k.key: k for k in self._keepers.values() if k.key in wanted}
        return Report(
            revision=world.revision,
            failed={key: k.status.why or "" for key, k in now.items() if k.status and k.status.power == "failed"},
            pending=frozenset(key for key, k in now.items() if not k.settled),
            parts_written=written,
        )

    async def observe(self) -> tuple[MachineStatus, ...]:
        known = {k.guest.place.name: k.status for k in self._keepers.values() if k.status is not None}
        found = []
        for name, record in self._present().items():
            if name in known:
                found.append(known[name])
            elif record is not None:
                found.append(self._seen(record, self._guest(name, record.role)))
        return tuple(found)

    def listen(self, listener: StatusListener) -> None:
        self._listeners.append(listener)

    async def run(self, machine: PartKey, script: str, timeout: float) -> CommandResult:
        guest = self._guest(name_of(self._tools.mark, machine), "vm")
        assert isinstance(guest, VirtualMachine)
        return await guest.run(script, timeout)

    async def close(self) -> None:
        await self._forget_keepers()
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    # -- beyond the contract -----------------------------------------------------------------------------------------

    async def halt(self) -> None:
        """End every machine that bears our mark, and remove all of them that is gone after a restart of the computer.
        Disks stay; what ran runs again at the next `apply`."""
        await self._forget_keepers()
        present = self._present()

        async def end(name: str, record: Record | None) -> None:
            guest = self._guest(name, record.role if record else "vm")
            await guest.stop()
            await guest.release(record)

        await asyncio.gather(*(end(name, record) for name, record in present.items()))
        await self._tools.thread(self._remove_run_directories)

    async def destroy(self) -> None:
        """Remove every machine that bears our mark, and all that was made for them. Images stay."""
        await self._forget_keepers()
        present = self._present()
        guests = {name: self._guest(name, record.role if record else "vm") for name, record in present.items()}
        await asyncio.gather(*(guest.remove(present[name]) for name, guest in guests.items()))
        await self._tools.thread(self._remove_run_directories)
        await self._tools.thread(lambda: shutil.rmtree(self._state_dir / "machines", ignore_errors=True))

    async def _forget_keepers(self) -> None:
        await asyncio.gather(*(keeper.close() for keeper in self._keepers.values()))
        self._keepers.clear()

    def socket(self, machine: PartKey) -> Path:
        """The Unix socket of a Bastion host (`bastion_wire`)."""
        return Place(self._run_dir, self._state_dir, name_of(self._tools.mark, machine)).socket

    def namespace(self, machine: PartKey) -> Path:
        """Where the network namespace of a running machine is bound."""
        return Place(self._run_dir, self._state_dir, name_of(self._tools.mark, machine)).network_namespace

    # -- for the keepers ---------------------------------------------------------------------------------------------

    def tell(self, status: MachineStatus) -> None:
        for listener in self._listeners:
            listener(status)

    async def image(self, name: str, progress: Callable[[float, str], None]) -> Image:
        """The image, built if need be, once for all machines that wait for it, in a thread of its own."""
        build = self._builds.get(name)
        if build is None or build.done():
            build = asyncio.get_running_loop().create_future()
            self._builds[name] = build
            # A thread that nobody waits for at exit: an archive that hangs does not hold up the end of this process.
            work = (self._tools.images, name, progress, asyncio.get_running_loop(), build)
            threading.Thread(target=_build, args=work, name=f"image {name}", daemon=True).start()
        try:
            return await asyncio.shield(build)
        except ImageNotFoundError as error:
            raise MachineError("ImageNotFound", str(error), retry=None) from error
        except ImageError as error:
            raise MachineError("AllocationFailed", str(error), retry=60.0) from error

    def admit(self, name: str, memory_mib: int) -> None:
        """Count a machine in that is about to boot. Raises MachineError where memory does not suffice."""
        records = [r for n, r in self._present().items() if r is not None and n != name and not r.off]
        committed = sum(r.memory_mib for r in records)
        most = self._limits.committed_mib
        if most is not None and committed + memory_mib > most:
            raise MachineError(
                "AllocationFailed",
                f"Allocation failed. The machine needs {memory_mib} MiB; {committed} of {most} MiB are given to other "
                "machines. Deallocate one, choose a smaller size, or raise the limit.",
            )
        booting = sum(size for n, size in self._booting.items() if n != name)
        available = _memory_available_mib() - booting - self._limits.reserve_mib
        if available < _FOOTPRINT_MIB:
            raise MachineError(
                "AllocationFailed",
                f"Allocation failed. This computer has {max(available, 0)} MiB of memory left for machines and one "
                f"needs {_FOOTPRINT_MIB} MiB to boot. Deallocate a machine or free memory.",
            )
        self._booting[name] = _FOOTPRINT_MIB

    def booted(self, name: str) -> None:
        self._booting.pop(name, None)

    def gone(self, keeper: _Keeper) -> None:
        self._keepers.pop(keeper.guest.place.name, None)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _keeper(self, key: PartKey, role: str) -> _Keeper:
        name = name_of(self._tools.mark, key)
        if name not in self._keepers:
            self._keepers[name] = _Keeper(self, key, self._guest(name, role))
        return self._keepers[name]

    def _guest(self, name: str, role: str) -> Guest:
        place = Place(self._run_dir, self._state_dir, name)
        if role == "bastion":
            return BastionHost(place, self._tools, self._client_uid, self._interpreter)
        return VirtualMachine(place, self._tools)

    def _present(self) -> dict[str, Record | None]:
        """Every machine of which anything is left: files, namespaces or cgroups."""
        names = self._tools.cgroups.machines()
        for directory in (self._state_dir / "machines", self._run_dir / "machines", self._run_dir / "guests"):
            with contextlib.suppress(FileNotFoundError):
                names |= {p.name for p in directory.iterdir() if p.is_dir()}
        return {name: Place(self._run_dir, self._state_dir, name).load() for name in sorted(names)}

    def _seen(self, record: Record, guest: Guest) -> MachineStatus:
        running = guest.monitor() is not None
        power = "running" if running else "deallocated" if record.power == "deallocated" else "stopped"
        return MachineStatus(machine=record.key, power=power, boots=guest.boots(), boot=record.boot, since=record.since)

    def _make_directories(self) -> None:
        for directory in (self._run_dir / "machines", self._state_dir / "machines", self._run_dir / "guests"):
            directory.mkdir(parents=True, exist_ok=True)
        (self._run_dir / "machines").chmod(0o700)
        (self._state_dir / "machines").chmod(0o700)
        namespaces = self._run_dir / "guests"
        if not os.path.ismount(namespaces):
            # Shared, so that what is unmounted here is unmounted in the mount namespaces of monitors, Bastion hosts
            # and the control process, too: else they would keep the namespaces of removed machines alive.
            linux.mount("tmpfs", namespaces, "tmpfs", linux.MS_NOSUID | linux.MS_NOEXEC, "mode=0700,size=1m")
            linux.mount("none", namespaces, "none", linux.MS_SHARED)

    def _remove_run_directories(self) -> None:
        namespaces = self._run_dir / "guests"
        while os.path.ismount(namespaces):
            linux.unmount(namespaces)
        for directory in ("machines", "guests", "crun", "bastion"):
            shutil.rmtree(self._run_dir / directory, ignore_errors=True)


@dataclass
class _Keeper:
    """Keeps one machine as it is desired."""

    driver: ContainerMachines
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
                await asyncio.wait_for(self._changed(desired), retry)
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


def _build(
    store: ImageStore,
    name: str,
    progress: Callable[[float, str], None],
    loop: asyncio.AbstractEventLoop,
    result: asyncio.Future[Image],
) -> None:
    """Build an image in this thread and settle `result` on its loop."""
    settle: Callable[[], None]
    try:
        image = store.build(name, progress)
        settle = lambda: result.set_result(image)  # noqa: E731
    except Exception as error:
        failure = error
        settle = lambda: result.set_exception(failure)  # noqa: E731
    with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
        loop.call_soon_threadsafe(settle)


def _memory_available_mib() -> int:
    """MemAvailable of proc(5)."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) >> 10
    return 0

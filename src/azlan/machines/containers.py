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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import structlog

from azlan.base import linux
from azlan.contract.engine import Report
from azlan.contract.machine import CommandResult, MachineStatus, NicPorts, StatusListener
from azlan.contract.world import Machine, Nic, PartKey, Vnet, World
from azlan.machines.bastionhost import BastionHost, Interpreter
from azlan.machines.cgroups import Cgroups
from azlan.machines.guest import Desired, Guest, Tools, VirtualMachine
from azlan.machines.identity import resolv_conf
from azlan.machines.images import Image, ImageError, ImageNotFoundError, ImageStore
from azlan.machines.keeper import Keeper
from azlan.machines.places import MachineError, Place, Record, name_of
from azlan.machines.uidranges import UidRanges

log = structlog.get_logger(__name__)

_FOOTPRINT_MIB = 64
"""What a machine that boots takes for sure, before it uses any of the memory of its size."""


@dataclass(frozen=True)
class Limits:
    """When a machine is refused for want of memory or of room for its disk."""

    reserve_mib: int = 256
    """Memory that stays free on this computer."""
    room_mib: int = 512
    """Room that stays free where the disks are: sparse disks of machines that run find none when it is used up."""
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
        self._keepers: dict[str, Keeper] = {}
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
        vnets = {key: part for key, part in world.parts.items() if isinstance(part, Vnet)}
        written = 0
        for key, part in wanted.items():
            nics = tuple(nic for ref in part.nics if isinstance(nic := world.parts.get(ref), Nic))
            written += self._keeper(key, part.role).desire(Desired(part, nics, resolv_conf(nics, vnets)))
        for name, record in self._present().items():
            if name not in self._keepers:
                key = record.key if record else name
                self._keepers[name] = Keeper(self, key, self._guest(name, record.role if record else "vm"))
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
        """Count a machine in that is about to boot. Raises MachineError where memory or room does not suffice."""
        room = shutil.disk_usage(self._state_dir).free >> 20
        if room < self._limits.room_mib:
            raise MachineError(
                "AllocationFailed",
                f"Allocation failed. {room} MiB are left on the file system of {self._state_dir}, where the disks of "
                f"machines are; {self._limits.room_mib} MiB stay free. Delete machines or files there, or keep the cloud "
                "elsewhere (--state DIR).",
            )
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

    def gone(self, keeper: Keeper) -> None:
        self._keepers.pop(keeper.guest.place.name, None)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _keeper(self, key: PartKey, role: str) -> Keeper:
        name = name_of(self._tools.mark, key)
        if name not in self._keepers:
            self._keepers[name] = Keeper(self, key, self._guest(name, role))
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

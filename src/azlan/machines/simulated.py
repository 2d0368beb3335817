"""Simulated machines: honest power states and no guest. Alone they need no privilege; given the bpf engine's ports and
a folder, each has a bare network namespace with its NICs in it, as packets see a machine. It forwards, as the guest of an
appliance is set up to: the fabric hands it nothing to forward unless its NIC has IP forwarding.

    {folder}/{name}.net     the namespace, bound while the machine runs
    {folder}/{name}.json    what is remembered of it, so that a fresh process adopts it

The folder bears the cloud's mark. A name is a hash of the part key; what is adopted is the namespace whose inode the
record names, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from hashlib import blake2b
from pathlib import Path

import msgspec
import structlog

from azlan.base import linux
from azlan.contract.engine import Report
from azlan.contract.machine import CommandResult, MachineStatus, NicPorts, StatusListener
from azlan.contract.world import EMPTY, Machine, Nic, PartKey, World, differing, part_key
from azlan.machines import netns

log = structlog.get_logger(__name__)

RETRY_SECONDS = 2.0
"""After a machine could not be started: until it is tried again."""


class NoGuest(LookupError):
    """A simulated machine has no guest in which a command could run."""


class MissingNic(LookupError):
    """A machine cannot start: the World lacks one of its NICs."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a machine that has a namespace, written before anything is plugged into it."""

    machine: PartKey
    inode: int
    """Of the namespace."""
    nics: tuple[PartKey, ...] = ()
    """What is plugged, or about to be."""
    ready: bool = False
    boots: int = 0
    boot: int = 0
    since: float = 0.0


class Namespaces:
    """The bare network namespaces of the machines, and their NICs in them. Privileged; knows no power states."""

    def __init__(self, ports: NicPorts, folder: Path) -> None:
        self._ports = ports
        self._folder = folder
        self._held: dict[PartKey, Record] = {}

    def adopt(self) -> dict[PartKey, tuple[Record, bool]]:
        """The machines of a process before this one, and whether their namespaces are still there."""
        for file in sorted(self._folder.glob("*.json")):
            with contextlib.suppress(OSError, msgspec.DecodeError):
                record = msgspec.json.decode(file.read_bytes(), type=Record)
                if file == self._record(record.machine):
                    self._held[record.machine] = record
        return {key: (record, record.inode == self._inode(key)) for key, record in self._held.items()}

    async def raise_(self, machine: PartKey, nics: tuple[Nic, ...]) -> None:
        """Have a namespace with these NICs as eth0, eth1 …, their addresses and routes; others are unplugged."""
        path = self._path(machine)
        known = self._held.get(machine)
        if known is None or known.inode != self._inode(machine):
            await self.remove(machine)
            await asyncio.to_thread(_make_namespace, path)
            known = Record(machine=machine, inode=self._inode(machine) or 0)
        wanted = tuple(part_key(nic) for nic in nics)
        both = (*known.nics, *(nic for nic in wanted if nic not in known.nics))
        self._remember(msgspec.structs.replace(known, nics=both))
        for gone in known.nics:
            if gone not in wanted:
                await self._ports.unplug(gone)
        names = [f"eth{number}" for number in range(len(nics))]
        for nic, name in zip(nics, names, strict=True):
            await self._ports.plug(nic, path, name)
        links = tuple(
            netns.Link(
                name, tuple(a.private for a in nic.addresses), nic.prefix_length, nic.gateway if at == 0 else None
            )
            for at, (nic, name) in enumerate(zip(nics, names, strict=True))
        )
        await asyncio.to_thread(netns.configure, path, links)
        await asyncio.to_thread(netns.forward, path, names)
        self._remember(msgspec.structs.replace(known, nics=wanted))

    async def remove(self, machine: PartKey) -> None:
        """Unplug what is plugged and let the namespace go; nothing where there is none."""
        record = self._held.get(machine)
        for nic in record.nics if record else ():
            await self._ports.unplug(nic)
        await asyncio.to_thread(_remove_namespace, self._path(machine))
        self._record(machine).unlink(missing_ok=True)
        self._held.pop(machine, None)

    async def destroy(self) -> None:
        """Remove every namespace in the folder, recorded or not, and the folder. What cannot be unplugged does not
        stop it: a link goes with the namespace it is in."""
        for machine in list(self._held):
            try:
                await self.remove(machine)
            except Exception as error:
                log.warning("a machine could not be unplugged", machine=machine, error=repr(error))
        for path in sorted(self._folder.glob("*")):
            await asyncio.to_thread(_remove_namespace, path)
        if self._folder.is_dir():
            self._folder.rmdir()

    def note(self, status: MachineStatus) -> None:
        """Remember the status of a machine that has a namespace."""
        if status.machine in self._held:
            known = self._held[status.machine]
            facts = {"ready": status.ready, "boots": status.boots, "boot": status.boot, "since": status.since}
            self._remember(msgspec.structs.replace(known, **facts))

    def path(self, machine: PartKey) -> Path:
        """Where the machine's namespace is bound while it runs."""
        return self._path(machine)

    def _remember(self, record: Record) -> None:
        file = self._record(record.machine)
        partial = file.with_suffix(".new")
        partial.write_bytes(msgspec.json.encode(record))
        partial.replace(file)
        self._held[record.machine] = record

    def _inode(self, machine: PartKey) -> int | None:
        """Of the namespace bound; None where none is."""
        path = self._path(machine)
        return path.stat().st_ino if os.path.ismount(path) else None

    def _path(self, machine: PartKey) -> Path:
        return self._folder / f"{_name(machine)}.net"

    def _record(self, machine: PartKey) -> Path:
        return self._folder / f"{_name(machine)}.json"


def _name(machine: PartKey) -> str:
    return "m" + blake2b(machine.encode(), digest_size=8).hexdigest()


def _make_namespace(path: Path) -> None:
    """Bind a fresh network namespace at `path`. A namespace belongs to a thread: one that ends here makes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    failed: list[BaseException] = []

    def make() -> None:
        try:
            linux.unshare(linux.CLONE_NEWNET)
            linux.mount("/proc/thread-self/ns/net", path, "none", linux.MS_BIND)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=make, name=f"make {path.name}")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def _remove_namespace(path: Path) -> None:
    while os.path.ismount(path):
        linux.unmount(path)
    path.unlink(missing_ok=True)


class SimulatedMachines:
    """Machines whose power states are true and whose guests are not there.

    One task a machine brings it to what is desired, so that `apply` returns at once; a machine that cannot start is
    `failed` and tried again. `boot_seconds`: how long `starting` lasts. `ports` and `folder` belong together.
    """

    name = "simulated"

    def __init__(self, ports: NicPorts | None = None, folder: Path | None = None, *, boot_seconds: float = 0.0) -> None:
        if (ports is None) is not (folder is None):
            raise ValueError("ports need a folder for the namespaces, and a folder needs ports")
        self._namespaces = Namespaces(ports, folder) if ports and folder else None
        self._boot_seconds = boot_seconds
        self._world = EMPTY
        self._wanted: dict[PartKey, Machine] = {}
        self._nics: dict[PartKey, Nic] = {}
        self._raised: dict[PartKey, tuple[Nic, ...]] = {}
        """Machine → NICs as its namespace has them."""
        self._status: dict[PartKey, MachineStatus] = {}
        self._listeners: list[StatusListener] = []
        self._tasks: dict[PartKey, asyncio.Task[None]] = {}
        adopted = self._namespaces.adopt() if self._namespaces else {}
        for key, (record, alive) in adopted.items():
            self._status[key] = MachineStatus(
                machine=key,
                power="stopped" if not alive else "running" if record.ready else "starting",
                ready=record.ready and alive,
                boots=record.boots,
                boot=record.boot,
                since=record.since,
            )

    def listen(self, listener: StatusListener) -> None:
        self._listeners.append(listener)

    async def observe(self) -> tuple[MachineStatus, ...]:
        return tuple(self._status.values())

    async def run(self, machine: PartKey, script: str, timeout: float) -> CommandResult:
        """Raises NoGuest, a LookupError: nothing runs a script here."""
        raise NoGuest(f"{machine} is simulated and has no guest to run a command in: use --machines containers.")

    async def close(self) -> None:
        """End the tasks; namespaces and NICs stay for the next process to adopt."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def destroy(self) -> None:
        """Remove every machine, of whichever process, without a word to the listeners: the cloud goes down."""
        await self.close()
        self._world, self._wanted, self._nics, self._raised, self._status = EMPTY, {}, {}, {}, {}
        if self._namespaces is not None:
            await self._namespaces.destroy()

    def namespace(self, machine: PartKey) -> Path:
        """Where the machine's network namespace is bound while it runs. Raises NoGuest where machines have none."""
        if self._namespaces is None:
            raise NoGuest("Without ports a simulated machine has no network namespace.")
        return self._namespaces.path(machine)

    async def apply(self, world: World) -> Report:
        before = self._wanted
        self._wanted = dict(before)
        changed, gone = differing(self._world, world)
        for key in gone:
            self._wanted.pop(key, None)
            self._nics.pop(key, None)
        for key in changed:
            part = world.parts[key]
            if isinstance(part, Machine):
                self._wanted[key] = part
            elif isinstance(part, Nic):
                self._nics[key] = part
        self._world = world
        keys = self._wanted.keys() | self._status.keys()
        for key in keys:
            if key not in self._tasks and not self._settled(key):
                self._tasks[key] = asyncio.create_task(self._drive(key), name=f"machine {key}")
        failed = {key: s.why or "It failed." for key, s in self._status.items() if s.power == "failed"}
        return Report(
            revision=world.revision,
            failed=failed,
            pending=frozenset(key for key in self._tasks if key not in failed),
            parts_written=sum(before.get(key) != self._wanted.get(key) for key in before.keys() | self._wanted.keys()),
        )

    # One machine

    def _settled(self, key: PartKey) -> bool:
        """True where the machine is what is desired of it."""
        wanted, status = self._wanted.get(key), self._status.get(key)
        if wanted is None or status is None:
            return wanted is None and status is None
        if status.power != wanted.power or status.boot < wanted.boot:
            return False
        if wanted.power != "running":
            return True
        return status.ready and (self._namespaces is None or self._raised.get(key) == self._nics_of(wanted))

    async def _drive(self, key: PartKey) -> None:
        """Bring one machine to what is desired, however often that changes meanwhile."""
        try:
            while not self._settled(key):
                try:
                    await self._step(key)
                except Exception as error:
                    log.warning("a simulated machine failed", machine=key, error=repr(error))
                    self._tell(key, "failed", why=str(error) or repr(error), code="AllocationFailed")
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            del self._tasks[key]  # here and at once: an apply right after it has to start another

    async def _step(self, key: PartKey) -> None:
        wanted, status = self._wanted.get(key), self._status.get(key)
        if wanted is None:
            await self._lower(key)
            self._status.pop(key, None)
            self._announce(MachineStatus(machine=key, power="gone", since=time.time()))
        elif wanted.power != "running":
            await self._lower(key)
            self._tell(key, wanted.power, boot=wanted.boot)
        elif status is not None and status.ready and status.boot >= wanted.boot:
            await self._raise(key, wanted)  # it runs: only its NICs changed
        else:
            self._tell(key, "starting")
            await asyncio.sleep(self._boot_seconds)
            await self._raise(key, wanted)
            boots = self._status[key].boots + 1
            self._tell(key, "running", ready=True, boots=boots, boot=wanted.boot)

    def _nics_of(self, machine: Machine) -> tuple[Nic, ...] | None:
        """The machine's NICs; None where the World lacks one."""
        found = tuple(self._nics[nic] for nic in machine.nics if nic in self._nics)
        return found if len(found) == len(machine.nics) else None

    async def _raise(self, key: PartKey, machine: Machine) -> None:
        if self._namespaces is None:
            return
        nics = self._nics_of(machine)
        if nics is None:
            raise MissingNic(f"{machine.computer_name} has a network interface that does not exist yet.")
        await self._namespaces.raise_(key, nics)
        self._raised[key] = nics

    async def _lower(self, key: PartKey) -> None:
        self._raised.pop(key, None)
        if self._namespaces is not None:
            await self._namespaces.remove(key)

    def _tell(
        self,
        key: PartKey,
        power: str,
        *,
        ready: bool = False,
        boots: int | None = None,
        boot: int | None = None,
        why: str | None = None,
        code: str | None = None,
    ) -> None:
        """Change the status; what is not given of the counts stays."""
        old = self._status.get(key, MachineStatus(machine=key, power=""))
        self._status[key] = MachineStatus(
            machine=key,
            power=power,
            ready=ready,
            boots=old.boots if boots is None else boots,
            boot=old.boot if boot is None else boot,
            since=old.since if old.power == power else time.time(),
            why=why,
            code=code,
        )
        self._announce(self._status[key])

    def _announce(self, status: MachineStatus) -> None:
        if self._namespaces is not None:
            self._namespaces.note(status)
        for listener in self._listeners:
            listener(status)

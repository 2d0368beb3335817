"""One machine on this computer: its namespaces, its NICs, its processes. A virtual machine is crun with systemd in it.

Every step may be done again: a step that is interrupted, by a kill -9 too, is completed or undone by the next process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import stat
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog

from azlan.base import linux
from azlan.contract.machine import CommandResult, NicPorts
from azlan.contract.world import Machine, Nic
from azlan.machines import disk, identity, launch, netns, oci, requirements
from azlan.machines.cgroups import Cgroups
from azlan.machines.images import Image, ImageStore
from azlan.machines.places import MachineError, Place, Record
from azlan.machines.uidranges import SIZE, UidRanges

T = TypeVar("T")

log = structlog.get_logger(__name__)

STOP_SECONDS = 20.0
"""How long a guest may take to shut down before it is ended."""
OUTPUT_LIMIT = 1 << 20
_HALT = signal.SIGRTMIN + 3
"""systemd(1): halts the machine."""


@dataclass(frozen=True)
class Desired:
    """What is wanted of a machine: its part, the parts of its NICs, in order, and its resolv.conf."""

    machine: Machine
    nics: tuple[Nic, ...]
    resolv_conf: str = ""


@dataclass(frozen=True)
class Tools:
    """What every machine of one driver uses."""

    mark: str
    cgroups: Cgroups
    images: ImageStore
    ports: NicPorts
    uids: UidRanges
    threads: ThreadPoolExecutor

    async def thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)


class Guest:
    """What virtual machines and Bastion hosts have in common."""

    def __init__(self, place: Place, tools: Tools) -> None:
        self.place = place
        self.tools = tools
        self.cgroups = tools.cgroups

    # -- what runs ---------------------------------------------------------------------------------------------------

    def monitor(self) -> int | None:
        """Pid of the process that is this machine, by its cgroup: the leader of the session there."""
        leaders = []
        for pid in self.cgroups.leaf(self.place.name, "monitor"):
            with contextlib.suppress(OSError):
                if os.getsid(pid) == pid and _start_time(pid) is not None:
                    leaders.append((_start_time(pid), pid))
        return min(leaders)[1] if leaders else None

    def in_place(self) -> bool:
        """Whether the namespaces it was started in are the ones that are bound."""
        return _is_namespace(self.place.network_namespace) and _is_namespace(self.place.user_namespace)

    def boots(self) -> int:
        return self.place.number(self.place.state, "boots") or 0

    def init(self) -> int | None:
        """Pid of what ends when the machine restarts from inside: here, the process itself."""
        return self.monitor()

    async def changed(self) -> None:
        """Until what runs now has ended; for ever where nothing runs."""
        watched = {self.init(), self.monitor()}
        if None in watched:
            # Between two boots of a guest, or off. A guest that boots is looked for; one that is off stays off.
            while self.init() is None:  # noqa: ASYNC110 - what is waited for happens in another process
                await asyncio.sleep(0.25 if self.monitor() is not None else 5.0)
            return
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        handles = []
        try:
            for pid in watched:
                with contextlib.suppress(OSError):
                    handles.append(os.pidfd_open(pid or 0))
                    loop.add_reader(handles[-1], ended.set)
            if watched == {self.init(), self.monitor()}:
                await ended.wait()
        finally:
            for handle in handles:
                loop.remove_reader(handle)
                os.close(handle)

    # -- namespaces and NICs -----------------------------------------------------------------------------------------

    async def make_namespaces(self, record: Record) -> None:
        """Fresh namespaces, the ids shifted by the machine's own range."""
        place = self.place
        await self.drop_namespaces()
        place.namespaces.mkdir(parents=True)
        user, network = str(place.user_namespace), str(place.network_namespace)
        await launch_program(launch.Namespaces(user, network, record.first_id, SIZE))

    async def drop_namespaces(self) -> None:
        await self.tools.thread(self._drop_namespaces)

    def _drop_namespaces(self) -> None:
        for bound in (self.place.network_namespace, self.place.user_namespace):
            while _is_namespace(bound):
                linux.unmount(bound)
        shutil.rmtree(self.place.namespaces, ignore_errors=True)

    async def plug(self, desired: Desired, record: Record) -> None:
        """Plug the NICs that are to be there, unplug the others, and set addresses and routes."""
        ports = self.tools.ports
        wanted = {f"nic:{nic.id}" for nic in desired.nics}
        for key in [k for k in record.nics if k not in wanted]:
            await ports.unplug(key)
            del record.nics[key]
        for nic in desired.nics:
            if f"nic:{nic.id}" not in record.nics:
                taken = set(record.nics.values())
                name = next(n for n in (f"eth{i}" for i in range(64)) if n not in taken)
                record.nics[f"nic:{nic.id}"] = name
        self.place.save(record)
        links = []
        for position, nic in enumerate(desired.nics):
            name = record.nics[f"nic:{nic.id}"]
            try:
                await ports.plug(nic, self.place.network_namespace, name)
            except Exception as error:
                raise MachineError("NetworkingInternalOperationError", str(error) or repr(error), retry=2.0) from error
            addresses = tuple(a.private for a in nic.addresses)
            links.append(netns.Link(name, addresses, nic.prefix_length, nic.gateway if position == 0 else None))
        await self.tools.thread(lambda: netns.configure(self.place.network_namespace, tuple(links)))

    async def unplug(self, record: Record | None) -> None:
        for key in list(record.nics) if record else []:
            await self.tools.ports.unplug(key)

    # -- life --------------------------------------------------------------------------------------------------------

    async def prepare(self, desired: Desired, record: Record) -> None:
        """Everything up to the point where its process can start."""
        place = self.place
        for directory in (place.run, place.state):
            directory.mkdir(parents=True, exist_ok=True)
        for left in ("exit", "stop", "pid"):
            (place.run / left).unlink(missing_ok=True)
        if not record.first_id:
            record.first_id = await self.tools.thread(lambda: self.tools.uids.claim(place.state, record.key))
        place.save(record)
        await self.make_namespaces(record)
        await self.plug(desired, record)

    async def launch(self, desired: Desired, record: Record) -> None:
        raise NotImplementedError

    async def answers(self, desired: Desired, timeout: float) -> bool:
        """Whether the machine is ready for its users."""
        raise NotImplementedError

    async def stop(self) -> None:
        """End it. Nothing of it runs afterwards."""
        await self.tools.thread(lambda: self.cgroups.kill(self.place.name))

    async def release(self, record: Record | None) -> None:
        """Give back what a machine that is off does not hold: NICs, namespaces, cgroups."""
        await self.tools.thread(lambda: self.cgroups.kill(self.place.name))
        await self.unplug(record)
        await self.drop_namespaces()
        await self.tools.thread(lambda: self.cgroups.remove(self.place.name))

    async def remove(self, record: Record | None) -> None:
        """Leave nothing of the machine, its disk included."""
        await self.release(record)
        await self.tools.thread(self._remove_files)

    def _remove_files(self) -> None:
        place = self.place
        place.socket.unlink(missing_ok=True)
        shutil.rmtree(place.run, ignore_errors=True)
        if place.state.is_dir():
            shutil.rmtree(place.state)
        self.tools.uids.release(place.state)


class VirtualMachine(Guest):
    """A guest of an image."""

    def init(self) -> int | None:
        """Pid of the guest's init, of the boot that runs now."""
        pid = self.place.number(self.place.run, "pid")
        return pid if pid is not None and self.cgroups.holds(self.place.name, "guest", pid) else None

    async def provision(self, desired: Desired, record: Record, image: Image) -> None:
        """Give it a disk: the image beneath, its identity on top."""
        if record.provisioned:
            return
        await self.tools.thread(lambda: self._provision(desired, record, image))

    def _provision(self, desired: Desired, record: Record, image: Image) -> None:
        machine, place = desired.machine, self.place
        if not record.first_id:
            place.state.mkdir(parents=True, exist_ok=True)
            record.first_id = self.tools.uids.claim(place.state, record.key)
        seed = place.state / "seed"
        shutil.rmtree(seed, ignore_errors=True)
        for name in ("upper", "work"):
            (seed / name).mkdir(parents=True)
            os.chown(seed / name, record.first_id, record.first_id)
        self.tools.images.claim(image, place.state)
        read = lambda path: (image.tree / path).read_bytes()  # noqa: E731
        try:
            files = identity.guest_files(machine.computer_name, machine.login, secrets.token_hex(16), read)
        except identity.IdentityError as error:
            raise MachineError("OSProvisioningClientError", str(error), retry=None) from error
        files += identity.host_keys(machine.computer_name)
        identity.lay(seed / "upper", image.tree, files, record.first_id)
        try:
            disk.make(place.disk, seed, machine.disk_gib)
        except OSError as error:
            raise MachineError("AllocationFailed", str(error)) from error
        finally:
            shutil.rmtree(seed, ignore_errors=True)
        record.image, record.build, record.provisioned = image.name, image.build, True
        place.save(record)

    async def launch(self, desired: Desired, record: Record) -> None:
        place, machine = self.place, desired.machine
        crun = shutil.which("crun")
        lacking = await self.tools.thread(lambda: requirements.runtime_problem() or disk.problem())
        if crun is None or lacking is not None:
            raise MachineError("AllocationFailed", lacking or "crun is missing")
        image = await self.tools.thread(lambda: self.tools.images.find(record.image, record.build))
        if image is None:
            raise MachineError(
                "ImageNotFound", f"the image {record.image} ({record.build}) this machine was made from is gone"
            )
        cpus = machine.cpus if machine.cpus < (os.cpu_count() or 1) else None
        shape = oci.Shape(
            computer_name=machine.computer_name,
            user_namespace=place.user_namespace,
            network_namespace=place.network_namespace,
            cgroup=self.cgroups.path(place.name, "guest"),
            memory_bytes=machine.memory_mib << 20,
            cpus=cpus,
        )
        (place.run / "config.json").write_text(json.dumps(oci.config(shape)))
        delegated = self.cgroups.delegated(place.name)
        hidden = self.cgroups.hierarchies.hidden
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "CRUN": crun,
            "CRUN_ROOT": str(place.crun_root),
            "ID": place.name,
            "ROOT": oci.ROOT,
            "NETWORK": str(place.network_namespace),
            "RUN": str(place.run),
            "STATE": str(place.state),
            "DELEGATED": str(delegated or ""),
            "FIRST_ID": str(record.first_id),
        }
        files = await self.tools.thread(lambda: self.cgroups.prepare(place.name))
        await launch_program(
            launch.Guest(
                cgroups=tuple(str(f) for f in files),
                tree=str(image.tree),
                disk=str(place.disk),
                disk_gib=machine.disk_gib,
                first_id=record.first_id,
                resolv_conf=desired.resolv_conf if record.resolv_conf != desired.resolv_conf else None,
                root=oci.ROOT,
                user_namespace=str(place.user_namespace),
                log=str(place.run / "monitor.log"),
                environment=environment,
                hidden=str(hidden) if hidden else None,
            )
        )
        # Laid at the first start, and at a later one where something else is to be asked for names; in between the file
        # is the guest's to edit.
        record.resolv_conf = desired.resolv_conf
        place.save(record)

    async def answers(self, desired: Desired, timeout: float) -> bool:
        if not desired.nics:
            return self.init() is not None
        try:
            said = await netns.banner(self.place.network_namespace, desired.nics[0].addresses[0].private, timeout)
        except OSError:
            return False
        return said.startswith(b"SSH-")

    async def stop(self) -> None:
        """Shut it down as its power button would, and end it where that takes too long."""
        monitor = self.monitor()
        if monitor is not None:
            (self.place.run / "stop").touch()
            await self._halt(monitor)
        await super().stop()
        (self.place.run / "exit").unlink(missing_ok=True)
        await self._forget_container()

    async def _halt(self, monitor: int) -> None:
        told: int | None = None
        deadline = asyncio.get_running_loop().time() + STOP_SECONDS
        while self.monitor() == monitor and asyncio.get_running_loop().time() < deadline:
            init = self.init()
            if init is not None and init != told:
                with contextlib.suppress(OSError):
                    os.kill(init, _HALT)
                told = init
            await asyncio.sleep(0.02)

    async def _forget_container(self) -> None:
        """crun's own notes, where the monitor was ended before it could remove them."""
        crun = shutil.which("crun")
        if crun and (self.place.crun_root / self.place.name).exists():
            await _finish(
                [crun, "--root", str(self.place.crun_root), "delete", "--force", self.place.name], timeout=20.0
            )
            shutil.rmtree(self.place.crun_root / self.place.name, ignore_errors=True)

    async def release(self, record: Record | None) -> None:
        await super().release(record)
        await self._forget_container()

    async def run(self, script: str, timeout: float) -> CommandResult:
        """Run a script as root in the guest, by its own first line or else by sh. LookupError where it does not run."""
        monitor = self.monitor()
        crun = shutil.which("crun")
        if monitor is None or self.init() is None or crun is None:
            raise LookupError("the machine is not running")
        inner = (
            'f=$(mktemp /run/azlan-command.XXXXXX) && cat >"$f" && chmod 700 "$f" && '
            f'{{ timeout -k 5 {timeout:g} "$f" </dev/null; c=$?; rm -f "$f"; exit $c; }}'
        )
        # In the monitor's mount namespace: crun sees the same cgroup mounts there as when it made the container.
        argv = ["nsenter", f"--mount=/proc/{monitor}/ns/mnt", crun, "--root", str(self.place.crun_root)]
        argv += ["--cgroup-manager", "cgroupfs", "exec", "--cwd", "/root", "--env", "HOME=/root", self.place.name]
        return await _finish([*argv, "/bin/sh", "-c", inner], script.encode(), timeout + 15.0)


async def launch_program(program: launch.Namespaces | launch.Guest | launch.Process, fds: Sequence[int] = ()) -> None:
    """Run one of launch.py's programs until it is on its way. Raises MachineError with what it said."""
    process = await asyncio.create_subprocess_exec(
        *launch.command(program),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=tuple(fds),
    )
    try:
        _, said = await asyncio.wait_for(process.communicate(), 30.0)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
    if process.returncode:
        why = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise MachineError("AllocationFailed", f"this computer cannot start the machine: {why}")


async def _finish(argv: Sequence[str], stdin: bytes = b"", timeout: float = 30.0) -> CommandResult:
    """Run a program to its end with bounded output; ended after `timeout` seconds with status 124."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(stdin)
    process.stdin.close()
    work: Coroutine[Any, Any, Any] = asyncio.wait_for(
        asyncio.gather(_bounded(process.stdout), _bounded(process.stderr), process.wait()), timeout
    )
    try:
        out, err, status = await work
    except TimeoutError:
        out, err, status = b"", f"the command did not end within {timeout:g} seconds".encode(), 124
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return CommandResult(exit_status=status, stdout=out.decode(errors="replace"), stderr=err.decode(errors="replace"))


async def _bounded(stream: asyncio.StreamReader) -> bytes:
    """The first OUTPUT_LIMIT bytes; the rest is read and dropped so that the writer does not block."""
    kept = bytearray()
    while chunk := await stream.read(65536):
        kept += chunk[: OUTPUT_LIMIT - len(kept)]
    return bytes(kept)


def _start_time(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None where it is gone or has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _is_namespace(path: Path) -> bool:
    """Whether a namespace is bound at `path`: then its file is of the kernel's nsfs, not of the tmpfs around it."""
    try:
        return path.stat().st_dev != path.parent.stat().st_dev and stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False

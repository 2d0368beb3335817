"""The cgroups that bear our mark: what limits a machine, and what its processes are recognised by after a restart.

`azlan-{mark}/{machine}/monitor` and `…/guest`, in the unified hierarchy (cgroup v2), or in each v1 hierarchy.
Follows cgroups(7). No cgroup outside `azlan-{mark}` is changed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_JOINED = {"memory", "pids", "name=systemd"}
_DELEGATED = ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "tasks")


@dataclass(frozen=True)
class Hierarchies:
    """The hierarchies of this computer."""

    joined: tuple[Path, ...]
    """Mount points of those a machine's processes are put in by us; crun puts the guest into the others."""
    all: tuple[Path, ...]
    delegated: Path | None
    """Where the guest's systemd manages cgroups of its own."""
    hidden: Path | None
    """A v2 mount beside v1 ones: crun refuses the mixture, so it is covered where crun runs."""
    unified: bool

    @classmethod
    def detect(cls, mountinfo: str | None = None) -> Hierarchies:
        """Read from /proc/self/mountinfo, or from text in its form."""
        text = Path("/proc/self/mountinfo").read_text() if mountinfo is None else mountinfo
        v1: dict[Path, set[str]] = {}
        v2: list[Path] = []
        for line in text.splitlines():
            left, _, right = line.partition(" - ")
            kind, _, options = right.split(" ", 2)
            at = Path(left.split(" ")[4])
            if kind == "cgroup2":
                v2.append(at)
            elif kind == "cgroup":
                v1[at] = set(options.split(","))
        if not v1:
            return cls(tuple(v2[:1]), tuple(v2[:1]), v2[0] if v2 else None, None, unified=True)
        joined = tuple(at for at, controllers in v1.items() if controllers & _JOINED)
        delegated = next((at for at, controllers in v1.items() if "name=systemd" in controllers), None)
        return cls(joined + tuple(v2), tuple(v1) + tuple(v2), delegated, v2[0] if v2 else None, unified=False)


class Cgroups:
    """All cgroups of one mark."""

    def __init__(self, mark: str, hierarchies: Hierarchies | None = None) -> None:
        self.top = f"azlan-{mark}"
        self.hierarchies = hierarchies or Hierarchies.detect()

    def path(self, machine: str, leaf: str) -> str:
        """As crun's `cgroupsPath`."""
        return f"/{self.top}/{machine}/{leaf}"

    def prepare(self, machine: str) -> tuple[Path, ...]:
        """Make the cgroup of the machine's monitor; returns the files a process writes its pid to, to join it."""
        if self.hierarchies.unified:
            self._enable_controllers(machine)
        leaves = [root / self.top / machine / "monitor" for root in self.hierarchies.joined]
        for leaf in leaves:
            leaf.mkdir(parents=True, exist_ok=True)
        return tuple(leaf / "cgroup.procs" for leaf in leaves)

    def _enable_controllers(self, machine: str) -> None:
        root = self.hierarchies.joined[0]
        at = root / self.top / machine
        at.mkdir(parents=True, exist_ok=True)
        for group in (root, root / self.top, at):
            missing = {"memory", "pids", "cpu"} - set((group / "cgroup.subtree_control").read_text().split())
            missing &= set((group / "cgroup.controllers").read_text().split())
            for controller in missing:
                (group / "cgroup.subtree_control").write_text(f"+{controller}")

    def delegated(self, machine: str) -> Path | None:
        """Directory of the guest's cgroup that is its systemd's own, to be made and handed over before each boot."""
        root = self.hierarchies.delegated
        return root / self.top / machine / "guest" if root is not None else None

    def limit(self, machine: str, memory_bytes: int, pids: int) -> None:
        """Limit what runs in the machine's `monitor` cgroup (a Bastion host; a guest is limited by crun)."""
        for root in self.hierarchies.joined:
            group = root / self.top / machine / "monitor"
            for name, value in (
                ("memory.max", memory_bytes),
                ("memory.limit_in_bytes", memory_bytes),
                ("pids.max", pids),
            ):
                if (group / name).exists():
                    (group / name).write_text(str(value))

    def machines(self) -> set[str]:
        """Names of the machines that have a cgroup."""
        found: set[str] = set()
        for root in self.hierarchies.all:
            with contextlib.suppress(FileNotFoundError):
                found |= {p.name for p in (root / self.top).iterdir() if p.is_dir()}
        return found

    def leaf(self, machine: str, leaf: str) -> set[int]:
        """Pids in one leaf, as the first hierarchy has it: a guest's processes are in `guest`, its monitor is not."""
        found: set[int] = set()
        for group in _below(self.hierarchies.joined[0] / self.top / machine / leaf):
            with contextlib.suppress(OSError):
                found |= {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
        return found

    def holds(self, machine: str, leaf: str, pid: int) -> bool:
        """Whether a process is in that leaf or below, as `leaf` counts."""
        try:
            lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        except OSError:
            return False
        wanted = self.path(machine, leaf).rstrip("/")
        at = {line.split(":", 2)[2] for line in lines if self.hierarchies.unified or not line.startswith("0::")}
        return any(path == wanted or path.startswith(wanted + "/") for path in at)

    def processes(self, machine: str, leaf: str = "") -> set[int]:
        """Pids in the machine's cgroup and below."""
        found: set[int] = set()
        for root in self.hierarchies.joined:
            for group in _below(root / self.top / machine / leaf):
                with contextlib.suppress(OSError):
                    found |= {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
        return found

    def kill(self, machine: str, leaf: str = "", *, timeout: float = 20.0) -> None:
        """End every process in the machine's cgroup. Blocks until they are gone; TimeoutError where they stay.

        The oldest first: with a guest's init its whole PID namespace ends, however fast the others fork.
        """
        deadline = time.monotonic() + timeout
        while pids := self.processes(machine, leaf):
            for pid in sorted(pids, key=lambda pid: (_started(pid), pid)):
                with contextlib.suppress(OSError):
                    handle = os.pidfd_open(pid)
                    try:
                        if self.holds(machine, leaf, pid):  # still ours: the handle is not a reused pid's
                            signal.pidfd_send_signal(handle, signal.SIGKILL)
                    finally:
                        os.close(handle)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(pids)} processes of {machine} do not end: {sorted(pids)[:10]}")
            time.sleep(0.01)

    def remove(self, machine: str) -> None:
        """Remove the machine's cgroups, and the mark's own with the last of them. No process may be left."""
        for root in self.hierarchies.all:
            for group in _below(root / self.top / machine):
                _rmdir(group)
            with contextlib.suppress(OSError):  # not empty: other machines
                (root / self.top).rmdir()


def _started(pid: int) -> int:
    """Start time in clock ticks; that of a process which is gone is the last."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return sys.maxsize


def _below(group: Path) -> Iterator[Path]:
    """The group and all below it, children first."""
    for at, _, _ in os.walk(group, topdown=False):
        yield Path(at)


def _rmdir(group: Path) -> None:
    for _ in range(100):
        try:
            group.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:  # EBUSY for a moment after the last process has gone
            time.sleep(0.01)
    group.rmdir()

"""Which processes belong to a cloud, told by what they hold and when they started, never by a pid or a name alone.

Each role has a lock file in the run folder. The supervisor locks it and hands it down to the process it starts, so the lock
lasts as long as the process, whoever is left to remember its pid.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """A process for sure: its pid and when it started, in clock ticks since boot."""

    pid: int
    start: int

    @property
    def alive(self) -> bool:
        return start_of(self.pid) == self.start

    def watch(self) -> int | None:
        """A pidfd that turns readable when this process ends; None where it has ended already."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if not self.alive:  # the pid was given to another in between
            os.close(descriptor)
            return None
        return descriptor

    def stop(self, patience: float, tell: int = signal.SIGTERM) -> None:
        """Ask it to end, kill it after `patience` seconds, return when it is gone."""
        descriptor = self.watch()
        if descriptor is None:
            return
        try:
            for number, seconds in ((tell, patience), (signal.SIGKILL, 5.0)):
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, number)
                if select.select([descriptor], [], [], seconds)[0]:
                    return
        finally:
            os.close(descriptor)


def start_of(pid: int) -> int | None:
    """When a living process started, None where there is none (a zombie has ended)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


class Lock:
    """A lock file. Whoever holds an open descriptor of it, once locked, keeps it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def take(self) -> int | None:
        """Lock it; the descriptor to keep open or to hand down, or None where somebody holds it."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            return None
        return descriptor

    def held(self) -> bool:
        descriptor = None
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        if descriptor is None:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def holders(self) -> list[Process]:
        """The living processes that have it open, oldest first; those of other users are seen by root alone."""
        try:
            wanted = self.path.stat()
        except FileNotFoundError:
            return []
        found = []
        for pid in _pids():
            with contextlib.suppress(OSError):
                for entry in Path(f"/proc/{pid}/fd").iterdir():
                    with contextlib.suppress(OSError):
                        info = entry.stat()
                        if (info.st_dev, info.st_ino) == (wanted.st_dev, wanted.st_ino) and pid != os.getpid():
                            start = start_of(pid)
                            if start is not None:
                                found.append(Process(pid, start))
                            break
        return sorted(found, key=lambda process: process.start)


def runs(process: Process, *words: str) -> bool:
    """Whether the command line of a process contains these words in a row."""
    try:
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    wanted = [word.encode() for word in words]
    return any(line[i : i + len(wanted)] == wanted for i in range(len(line)))


@dataclass(frozen=True, slots=True)
class Seen:
    """What the supervisor last wrote down of one role."""

    process: Process | None
    restarts: int
    """How often it was started again since the supervisor began to watch."""
    why: str
    """How it ended last, in words; empty if it never did."""


def write_seen(path: Path, roles: dict[str, Seen]) -> None:
    """Publish the supervisor's view, whole or not at all; readable by all."""
    document = {
        role: {
            "pid": seen.process.pid if seen.process else None,
            "start": seen.process.start if seen.process else None,
            "restarts": seen.restarts,
            "why": seen.why,
        }
        for role, seen in roles.items()
    }
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".state-", delete=False) as out:
        json.dump(document, out)
        os.fchmod(out.fileno(), 0o644)
    Path(out.name).replace(path)


def read_seen(path: Path) -> dict[str, Seen]:
    """The supervisor's last view; empty where there is none."""
    try:
        document = json.loads(path.read_text())
        return {
            role: Seen(Process(entry["pid"], entry["start"]) if entry["pid"] else None, entry["restarts"], entry["why"])
            for role, entry in document.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def wait_until(done: float, step: float = 0.05) -> Iterator[None]:
    """Yield every `step` seconds until the monotonic time `done`."""
    while time.monotonic() < done:
        yield
        time.sleep(step)


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]

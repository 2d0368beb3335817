"""Who may talk to the fabric process: the control process that the supervisor started, and no other process of its user.

The supervisor locks the run folder's `control.lock`, root's own, and hands the open descriptor down: the control process has
it open for writing as long as it lives, and nobody else can open it so. SO_PEERCRED names the process that connected.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

from azlan.fabric.wire import peer_pid_of, peer_uid_of

Admits = Callable[[socket.socket], bool]


def of_user(uid: int) -> Admits:
    """Any process of a user."""
    return lambda sock: peer_uid_of(sock) == uid


def holder_of(lock: Path, uid: int) -> Admits:
    """The process of that user that has `lock` open for writing."""
    return lambda sock: peer_uid_of(sock) == uid and holds(lock, peer_pid_of(sock))


def holds(lock: Path, pid: int) -> bool:
    """Whether a process has the file at `lock` open for writing."""
    try:
        wanted = lock.stat()
        handles = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
    for handle in handles:
        with contextlib.suppress(OSError, ValueError, StopIteration):
            found = handle.stat()
            if (found.st_dev, found.st_ino) != (wanted.st_dev, wanted.st_ino):
                continue
            lines = Path(f"/proc/{pid}/fdinfo/{handle.name}").read_text().splitlines()
            flags = int(next(line.split()[1] for line in lines if line.startswith("flags:")), 8)
            if flags & os.O_ACCMODE in (os.O_RDWR, os.O_WRONLY):
                return True
    return False

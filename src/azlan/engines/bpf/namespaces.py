"""Network namespaces that outlive processes: bound at a path, entered by one thread at a time.

Follows namespaces(7): the binding at a path keeps a namespace alive; setns acts on the calling thread alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from azlan.base.linux import CLONE_NEWNET, MS_BIND, mount, setns, unmount, unshare

_OWN = Path("/proc/thread-self/ns/net")


def is_bound(path: Path) -> bool:
    """Whether a namespace (any mount) is bound at the path."""
    return os.path.ismount(path)


def make_namespace(path: Path) -> None:
    """Bind a fresh network namespace at `path`, its loopback down, IPv6 off; nothing where one is bound already."""
    if is_bound(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    failed: list[BaseException] = []

    def make() -> None:
        try:
            unshare(CLONE_NEWNET)
            for which in ("all", "default"):
                sysctl(f"net/ipv6/conf/{which}/disable_ipv6", "1")
            mount(str(_OWN), path, "none", MS_BIND)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=make, name="make namespace")  # the thread's namespace goes with it
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def remove_namespace(path: Path) -> None:
    """Take the binding away; the namespace ends with its last user."""
    while is_bound(path):
        unmount(path)
    path.unlink(missing_ok=True)


@contextmanager
def inside(path: Path) -> Iterator[None]:
    """Run the calling thread, and what it starts, in the network namespace at `path`."""
    own = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(path, CLONE_NEWNET)
        try:
            yield
        finally:
            setns(Path(f"/proc/self/fd/{own}"), CLONE_NEWNET)
    finally:
        os.close(own)


def sysctl(name: str, value: str) -> None:
    """Write a setting of the calling thread's network namespace; where the kernel lacks it, nothing."""
    path = Path("/proc/sys") / name
    if path.exists() and path.read_text(encoding="ascii").strip() != value:
        path.write_text(value, encoding="ascii")

"""Run a program as an unprivileged user who can still read our interpreter and code, wherever those are installed.

`sudo azlan up` may run from below /root (mode 0700): in a mount namespace of the program's own, each closed
directory on the way to a path it needs is covered by an empty one in which only that path is bound, at the same
place. So virtual environments work unchanged, and nothing else below the closed directory is seen.

Use `command()` with any spawner, asyncio's included (nothing runs between fork and exec)::

    confined = Confinement(uid=uid, gid=gid, readable=needed_by_python(), writable=(state_dir,))
    process = await asyncio.create_subprocess_exec(*command([sys.executable, "-m", "azlan", …], confined), pass_fds=…)

The pid is the program's own: the launcher execs it. Needs root; as any other user the program keeps that user.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from azlan.base import linux

_SOURCE = Path(__file__).resolve().parents[2]
_BARE_ROOT_DIRECTORIES = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_BARE_ROOT_FILES = ("etc/ld.so.cache", "etc/ssl/openssl.cnf", "etc/localtime")
_BARE_ROOT_DEVICES = ("dev/null", "dev/zero", "dev/urandom", "dev/random")


@dataclass(frozen=True)
class Confinement:
    """Who the program runs as and what it reaches.

    `readable` and `writable` are absolute paths of existing files or directories. With `bare` they are all it
    reaches, besides the system's libraries (/usr read-only): a root directory of its own. Without it the program
    sees the computer as that user does, and they only open what lies behind a closed directory.
    `readable` is bound read-only where a bind is needed; `writable` must belong to the user already.
    """

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    bare: bool = False
    network_namespace: str | None = None
    """Path of a bound network namespace to join; it also gets IPC and host name namespaces of its own."""
    detach: bool = False
    """Become a child of PID 1 in a session of its own; the launcher itself exits at once."""


def needed_by_python() -> tuple[str, ...]:
    """The paths this interpreter, its environment and this code are read from."""
    paths = {Path(p).resolve() for p in (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)}
    paths |= {Path(sys.prefix), Path(sys.executable).resolve().parent.parent, _SOURCE}
    # Packages elsewhere, that a .pth file names; not the rest of sys.path, the current directory among it.
    paths |= {Path(p) for p in sys.path if Path(p).name in ("site-packages", "dist-packages")}
    outermost = [p for p in paths if p.exists() and not any(q in p.parents for q in paths)]
    return tuple(sorted(str(p) for p in outermost if p != Path("/usr")))


def command(argv: Sequence[str], confinement: Confinement) -> list[str]:
    """The argument list that runs `argv` confined. argv[0] is an absolute path. File descriptors that the caller
    passes on and the environment reach the program unchanged."""
    spec = json.dumps({"argv": list(argv), **asdict(confinement)})
    start = f"import sys; sys.path.insert(0, {str(_SOURCE)!r}); from azlan.base.confine import main; main()"
    return [sys.executable, "-I", "-S", "-c", start, spec]


def spawn(
    argv: Sequence[str], confinement: Confinement, *, env: Mapping[str, str], pass_fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start `argv` confined, with no terminal and in a session of its own. With `detach` the process returned is the
    launcher alone: wait for it, and find the program by what it does."""
    return subprocess.Popen(
        command(argv, confinement),
        env=dict(env),
        pass_fds=tuple(pass_fds),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def main() -> None:
    """The launcher: `sys.argv[1]` is what `command` wrote. Never returns."""
    spec: dict[str, Any] = json.loads(sys.argv[1])
    argv: list[str] = spec.pop("argv")
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in spec.items()}
    confinement = Confinement(**fields)
    if confinement.detach:
        if os.fork():
            os._exit(0)
        os.setsid()
    enter(confinement)
    os.execv(argv[0], argv)  # noqa: S606 - a list, no shell


def enter(confinement: Confinement) -> None:
    """Confine the calling process, for good. It must have one thread and, unless it is that user already, be root."""
    if os.geteuid() == 0:
        if confinement.network_namespace is not None:
            linux.setns(Path(confinement.network_namespace), linux.CLONE_NEWNET)
            linux.unshare(linux.CLONE_NEWIPC | linux.CLONE_NEWUTS)
        linux.unshare(linux.CLONE_NEWNS)
        linux.keep_mounts()
        if confinement.bare:
            _bare_root(confinement)
        else:
            _open_paths(confinement)
        os.setgroups(confinement.groups)
        os.setresgid(confinement.gid, confinement.gid, confinement.gid)
        os.setresuid(confinement.uid, confinement.uid, confinement.uid)
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)


def _open_paths(confinement: Confinement) -> None:
    """Cover each closed directory on the way to a needed path, then bind every needed path that was below one."""
    needed = [(Path(p), False) for p in confinement.readable] + [(Path(p), True) for p in confinement.writable]
    needed = _outermost(needed)
    closed = {barrier for path, _ in needed if (barrier := _first_closed(path, confinement)) is not None}
    closed = {d for d in closed if not any(other in d.parents for other in closed)}
    hidden = [(path, writable) for path, writable in needed if any(d == path or d in path.parents for d in closed)]
    _bind_over(hidden, closed)


def _bind_over(paths: Iterable[tuple[Path, bool]], closed: Iterable[Path]) -> None:
    """Cover the `closed` directories, binding `paths` (below them, or one of them) back at the same place."""
    handles = [(path, writable, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path, writable in paths]
    for directory in closed:
        linux.mount("tmpfs", directory, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=0755,size=1m")
    for path, writable, handle in handles:
        _bind(handle, path, writable)
        os.close(handle)


def _bind(handle: int, target: Path, writable: bool) -> None:
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    linux.mount(f"/proc/self/fd/{handle}", target, "none", linux.MS_BIND | linux.MS_REC)
    readonly = 0 if writable else linux.MOUNT_ATTR_RDONLY
    linux.set_mount_attributes(target, readonly | linux.MOUNT_ATTR_NOSUID)


def _bare_root(confinement: Confinement) -> None:
    root = Path("/tmp")  # noqa: S108 - a mount point that every system has; covered, never written to
    binds = [(Path(p), Path(p), False) for p in ("/usr", *confinement.readable)]
    binds += [(Path(p), Path(p), True) for p in confinement.writable]
    binds += [(Path("/", p), Path("/", p), False) for p in _BARE_ROOT_FILES if Path("/", p).exists()]
    binds += [(Path("/", p), Path("/", p), True) for p in _BARE_ROOT_DEVICES]
    links: list[tuple[str, str]] = []
    for name in _BARE_ROOT_DIRECTORIES:
        at = Path("/", name)
        if at.is_symlink():
            links.append((name, str(at.readlink())))
        elif at.is_dir():
            binds.append((at, at, False))
    handles = [(os.open(source, os.O_PATH | os.O_CLOEXEC), target, writable) for source, target, writable in binds]
    linux.mount("tmpfs", root, "tmpfs", linux.MS_NOSUID, "mode=0755,size=1m")
    scratch = root / "tmp"
    scratch.mkdir()
    linux.mount("tmpfs", scratch, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC, "mode=1777,size=1m")
    for handle, target, writable in handles:
        _bind(handle, root / target.relative_to("/"), writable)
        os.close(handle)
    for name, to in links:
        (root / name).symlink_to(to)
    linux.pivot_root(root)
    linux.set_mount_attributes(Path("/"), linux.MOUNT_ATTR_RDONLY, recursive=False)


def _outermost(paths: Iterable[tuple[Path, bool]]) -> list[tuple[Path, bool]]:
    """Parents before children, so that a bind never covers one made before it."""
    return sorted(set(paths), key=lambda item: (len(item[0].parts), item))


def _first_closed(path: Path, confinement: Confinement) -> Path | None:
    """The outermost directory on the way to `path` (itself included) that the user may not enter."""
    for directory in (*reversed(path.parents), path):
        if directory.is_dir() and directory != Path("/") and not _may_enter(directory, confinement):
            return directory
    return None


def _may_enter(directory: Path, confinement: Confinement) -> bool:
    """By the mode bits alone: an access list that opens more only makes a bind that was not needed."""
    info = directory.stat()
    if info.st_uid == confinement.uid:
        return bool(info.st_mode & stat.S_IXUSR)
    if info.st_gid == confinement.gid or info.st_gid in confinement.groups:
        return bool(info.st_mode & stat.S_IXGRP)
    return bool(info.st_mode & stat.S_IXOTH)


if __name__ == "__main__":
    main()

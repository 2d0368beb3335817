"""The Linux system calls that Python 3.11 lacks: namespaces and mounts, as thin ctypes bindings that raise OSError.

Follows namespaces(7), mount(2), open_tree(2), mount_setattr(2), pivot_root(2), prctl(2).
"""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_NOATIME = 0x400
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MNT_DETACH = 2

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_IDMAP = 0x00100000

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_MOUNT_SETATTR = 442
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """Leave the calling thread's namespaces named by CLONE_NEW* flags for new ones."""
    _checked(_libc.unshare(flags), "unshare")


def setns(path: Path, kind: int) -> None:
    """Join the namespace bound at `path`; `kind` is its CLONE_NEW* flag."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc.setns(fd, kind), f"setns {path}")
    finally:
        os.close(fd)


def mount(source: str, target: Path, kind: str, flags: int = 0, options: str = "") -> None:
    _checked(
        _libc.mount(source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), options.encode()),
        f"mount {target}",
    )


def unmount(target: Path, *, lazy: bool = True) -> None:
    _checked(_libc.umount2(os.fsencode(target), MNT_DETACH if lazy else 0), f"unmount {target}")


def keep_mounts() -> None:
    """Nothing mounted from here on in this mount namespace reaches another one; what is unmounted elsewhere on a
    shared mount goes here too, so that this process keeps no namespace of a removed machine alive."""
    mount("none", Path("/"), "none", MS_REC | MS_SLAVE)


def set_mount_attributes(target: Path, attributes: int, *, recursive: bool = True) -> None:
    """Set MOUNT_ATTR_* on the mount at `target` and those below it."""
    attr = _MountAttr(attributes, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    _checked(
        _libc.syscall(
            _SYS_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(target), flags, ctypes.byref(attr), ctypes.sizeof(attr)
        ),
        f"mount_setattr {target}",
    )


def mount_idmapped(source: Path, target: Path, user_namespace: Path, attributes: int = 0) -> None:
    """Mount the tree at `source` on `target` as the user namespace bound at `user_namespace` sees ids (Linux 5.12,
    as an overlay's lower layer 5.19)."""
    tree = _checked(
        _libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(source), _OPEN_TREE_CLONE | os.O_CLOEXEC),
        f"open_tree {source}",
    )
    try:
        namespace = os.open(user_namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            attr = _MountAttr(MOUNT_ATTR_IDMAP | attributes, 0, 0, namespace)
            _checked(
                _libc.syscall(_SYS_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, ctypes.byref(attr), ctypes.sizeof(attr)),
                f"idmapped mount of {source}",
            )
        finally:
            os.close(namespace)
        _checked(
            _libc.syscall(_SYS_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH),
            f"move_mount {target}",
        )
    finally:
        os.close(tree)


def pivot_root(new_root: Path) -> None:
    """Make `new_root` (a mount point) the root of this mount namespace and drop the old one."""
    number = _SYS_PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(f"pivot_root is not known for {platform.machine()}")
    os.chdir(new_root)
    _checked(_libc.syscall(number, b".", b"."), f"pivot_root {new_root}")
    unmount(Path(), lazy=True)  # Path() is ".": the old root, stacked over the new one
    os.chdir("/")


def prctl(option: int, value: int) -> None:
    _checked(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), "prctl")

"""A machine's disk: a sparse file of its size with an ext4 in it, mounted where the machine runs and nowhere else.

    {state}/machines/{name}/disk.ext4 ── loop device ── ext4 in the monitor's mount namespace: upper, work of the overlay

The file system is what bounds a machine's bytes and inodes: full is ENOSPC inside, and nothing outside. Nothing has to be
undone after a kill -9: the loop device clears itself with the last mount, which goes with the last process of the machine.
`attach` runs in launch.py's bare interpreter: the standard library alone. Follows loop(4), mke2fs(8), resize2fs(8), ext4(5).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import stat
import struct
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from azlan.base import linux

FILE = "disk.ext4"
PROGRAM, CHECK, GROW = "mke2fs", "e2fsck", "resize2fs"
_GIB = 1 << 30
_BLOCK = 4096
_LOCK_SECONDS = 20.0
_OPTIONS = "discard,noinit_itable,errors=remount-ro"
"""What a guest deletes is given back to the computer. Inode tables of a sparse file are zero without being written."""

_CONTROL = os.makedev(10, 237)
_LOOP_MAJOR = 7
_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_AUTOCLEAR = 4
_DIRECT_IO = 16
_FRESH = ".resolv.conf.azlan"


class _Info(ctypes.Structure):
    """struct loop_info64"""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("device", "inode", "rdevice", "offset", "sizelimit")),
        *((name, ctypes.c_uint32) for name in ("number", "encrypt_type", "encrypt_key_size", "flags")),
        ("file_name", ctypes.c_char * 64),
        ("crypt_name", ctypes.c_char * 64),
        ("encrypt_key", ctypes.c_char * 32),
        ("init", ctypes.c_uint64 * 2),
    )


class _Config(ctypes.Structure):
    """struct loop_config"""

    _fields_ = (
        ("fd", ctypes.c_uint32),
        ("block_size", ctypes.c_uint32),
        ("info", _Info),
        ("reserved", ctypes.c_uint64 * 8),
    )


def problem() -> str | None:
    """What this computer lacks for disks, with what to do."""
    if shutil.which(PROGRAM) is None:
        return f"{PROGRAM} is missing, which makes the disks of machines: install the package e2fsprogs."
    blocks = Path("/proc/devices").read_text().partition("Block devices:")[2].split()
    if "loop" not in blocks and not Path("/dev/loop-control").exists() and not _module("loop"):
        return "This kernel has no loop devices, which bound the disks of machines: modprobe loop."
    return None


def _module(name: str) -> bool:
    """Whether the kernel can load a module when it is asked for."""
    folder = Path("/lib/modules", os.uname().release)
    with suppress(OSError):
        return f"/{name}.ko" in (folder / "modules.dep").read_text()
    return False


def make(file: Path, content: Path, gib: int) -> None:
    """Make the disk of `content` (owners, modes and extended attributes are kept) in a sparse file of `gib` GiB, whole
    or not at all. Raises OSError with what mke2fs said."""
    partial = file.with_name(f"{file.name}.new")
    partial.unlink(missing_ok=True)
    made = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(made, gib * _GIB)
        # A journal, for a loss of power; the smallest one, and nothing that the file, being sparse, is without writing.
        extended = "nodiscard,lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0"
        argv = [PROGRAM, "-q", "-F", "-t", "ext4", "-b", str(_BLOCK), "-m", "0", "-J", "size=4", "-E", extended]
        done = subprocess.run(
            [*argv, "-d", str(content), str(partial)], stdin=subprocess.DEVNULL, capture_output=True, timeout=120
        )
        if done.returncode:
            raise OSError(f"{PROGRAM} could not make the disk: {done.stderr.decode(errors='replace').strip()[-300:]}")
        os.fsync(made)
    finally:
        os.close(made)
    partial.replace(file)


def attach(file: Path, at: Path, gib: int) -> None:
    """Mount the disk at `at`, which this mount namespace must have for itself, and let it grow to `gib` GiB.

    Nobody else has it meanwhile: the lock is the loop device's as long as that lives, so that a machine which is ending
    somewhere else is waited for, at most _LOCK_SECONDS. `at` is covered first: device nodes of our own lie there, as
    /dev may be anybody's. Raises OSError.
    """
    linux.mount("tmpfs", at, "tmpfs", linux.MS_NOSUID | linux.MS_NOEXEC, "mode=0700,size=64k")
    with ExitStack() as handles:
        backing = os.open(file, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        handles.callback(os.close, backing)
        _lock(backing)
        _grow(file, backing, gib)
        node, device = _loop(backing, at, file.parent.name)
        handles.callback(os.close, device)
        (at / "disk").mkdir()
        flags = linux.MS_NOATIME | linux.MS_NOSUID | linux.MS_NODEV
        linux.mount(str(node), at / "disk", "ext4", flags, _OPTIONS)


def mounted(at: Path) -> Path:
    """Where the disk's files are, of a disk attached at `at`."""
    return at / "disk"


def _lock(backing: int) -> None:
    until = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(backing, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise OSError(errno.EBUSY, "the disk is still in use by what ran before") from None
            time.sleep(0.01)


def _loop(backing: int, at: Path, name: str) -> tuple[Path, int]:
    """A loop device over the file; its node and an open descriptor. Gone with the last who uses it."""
    os.mknod(at / "control", stat.S_IFCHR | 0o600, _CONTROL)
    try:
        control = os.open(at / "control", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise OSError(error.errno, f"no loop devices ({error.strerror}): modprobe loop") from error
    with ExitStack() as handles:
        handles.callback(os.close, control)
        # Direct I/O where the file's own file system has it: else every page of a disk is cached twice.
        flags = _AUTOCLEAR | _DIRECT_IO
        while True:
            number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
            node = at / f"loop{number}"
            if not node.exists():
                os.mknod(node, stat.S_IFBLK | 0o600, os.makedev(_LOOP_MAJOR, number))
            device = os.open(node, os.O_RDWR | os.O_CLOEXEC)
            info = _Info(flags=flags, file_name=f"azlan {name}".encode())
            try:
                fcntl.ioctl(device, _LOOP_CONFIGURE, bytes(_Config(fd=backing, block_size=_BLOCK, info=info)))
                return node, device
            except OSError as error:
                os.close(device)
                if error.errno == errno.EINVAL and flags & _DIRECT_IO:
                    flags &= ~_DIRECT_IO
                elif error.errno != errno.EBUSY:  # busy: somebody else was faster
                    raise


def _grow(file: Path, backing: int, gib: int) -> None:
    """While it is off, as Azure grows OS disks; a disk never shrinks. Not online: that would need CAP_SYS_RESOURCE."""
    (blocks,) = struct.unpack("<I", os.pread(backing, 4, 1024 + 4))
    if blocks >= gib * _GIB // _BLOCK:
        return
    os.ftruncate(backing, gib * _GIB)
    # resize2fs wants it checked; e2fsck says 1 where it corrected something, a journal after a loss of power say.
    for argv, fine in (((CHECK, "-f", "-p"), (0, 1)), ((GROW,), (0,))):
        done = subprocess.run([*argv, str(file)], stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
        if done.returncode not in fine:
            raise OSError(
                f"the disk cannot grow: {(done.stderr or done.stdout).decode(errors='replace').strip()[-300:]}"
            )


def lay_resolv_conf(upper: Path, text: str, first_id: int) -> None:
    """Put /etc/resolv.conf in place in the upper layer of a machine that is off. The layer is the guest's own: no
    symbolic link in it is followed. Raises OSError where /etc is no directory of the guest any more, or its disk full."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with ExitStack() as handles:
        top = os.open(upper, flags)
        handles.callback(os.close, top)
        etc = os.open("etc", flags, dir_fd=top)
        handles.callback(os.close, etc)
        with suppress(FileNotFoundError):
            os.unlink(_FRESH, dir_fd=etc)
        made = os.open(_FRESH, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=etc)
        with os.fdopen(made, "w", encoding="ascii") as file:
            file.write(text)
            os.fchown(made, first_id, first_id)
            os.fchmod(made, 0o644)
        os.rename(_FRESH, "resolv.conf", src_dir_fd=etc, dst_dir_fd=etc)

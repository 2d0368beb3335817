"""A machine's disk: as large as asked for, bounded in bytes and inodes, seen by nobody else, kept over every end."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from azlan.machines import disk
from azlan.machines.disk import lay_resolv_conf

GIB = 1 << 30


def test_resolv_conf_is_laid_without_following_the_guest_anywhere(tmp_path: Path) -> None:
    upper, outside = tmp_path / "upper", tmp_path / "outside"
    (upper / "etc").mkdir(parents=True)
    outside.mkdir()
    (outside / "resolv.conf").write_text("mine")
    (upper / "etc" / "resolv.conf").symlink_to(outside / "resolv.conf")
    (upper / "etc" / ".resolv.conf.azlan").symlink_to(outside / "new")
    lay_resolv_conf(upper, "nameserver 10.0.0.9\n", os.getuid())
    laid = upper / "etc" / "resolv.conf"
    assert (laid.read_text(), laid.is_symlink(), stat.S_IMODE(laid.stat().st_mode)) == (
        "nameserver 10.0.0.9\n",
        False,
        0o644,
    )
    assert [(p.name, p.read_text()) for p in outside.iterdir()] == [("resolv.conf", "mine")]
    (upper / "etc").rename(upper / "gone")
    (upper / "etc").symlink_to(outside)
    with pytest.raises(OSError):
        lay_resolv_conf(upper, "nameserver 10.0.0.9\n", os.getuid())
    assert (outside / "resolv.conf").read_text() == "mine"


def test_what_is_lacking_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(disk.shutil, "which", lambda _: None)
    assert "package e2fsprogs" in (disk.problem() or "")
    monkeypatch.setattr(disk.shutil, "which", lambda name: f"/usr/sbin/{name}")
    empty = tmp_path / "devices"
    empty.write_text("Character devices:\n  1 mem\n\nBlock devices:\n254 virtblk\n")
    monkeypatch.setattr(disk, "Path", lambda *parts: empty if parts == ("/proc/devices",) else tmp_path / "nothing")
    assert "modprobe loop" in (disk.problem() or "")
    empty.write_text("Block devices:\n  7 loop\n")
    assert disk.problem() is None


@pytest.fixture
def made() -> Iterator[Path]:
    """A disk of 1 GiB with a file, and a place to mount it at."""
    with tempfile.TemporaryDirectory(prefix="azlan-disk-") as name:
        folder = Path(name)
        (folder / "seed" / "upper").mkdir(parents=True)
        (folder / "seed" / "upper" / "file").write_text("kept")
        os.chown(folder / "seed" / "upper" / "file", 0x7000_0001, 0x7000_0002)
        (folder / "at").mkdir()
        disk.make(folder / "disk.ext4", folder / "seed", 1)
        yield folder


def within(folder: Path, script: str, gib: int = 1) -> subprocess.Popen[str]:
    """A process that has the disk attached in a mount namespace of its own, and does something there."""
    lines = f"""
        import os, sys
        from pathlib import Path
        from azlan.base import linux
        from azlan.machines import disk
        linux.unshare(linux.CLONE_NEWNS)
        linux.keep_mounts()
        at = Path({str(folder / "at")!r})
        disk.attach(Path({str(folder / "disk.ext4")!r}), at, {gib})
        os.chdir(disk.mounted(at))
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(lines) + textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(folder: Path, script: str, gib: int = 1) -> str:
    process = within(folder, script, gib)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out


def attached(folder: Path) -> list[str]:
    """Loop devices over the disk, by what the kernel says they are made of."""
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            found += [backing.parts[3]] if backing.read_text().startswith(str(folder)) else []
        except OSError:
            continue
    return found


@pytest.mark.root
def test_content_and_owners_are_kept_and_no_bytes_wasted(made: Path) -> None:
    file = made / "disk.ext4"
    assert (file.stat().st_size, stat.S_IMODE(file.stat().st_mode)) == (GIB, 0o600)
    assert file.stat().st_blocks * 512 < 16 << 20
    script = """
        info, vfs = os.stat("upper/file"), os.statvfs(".")
        print(Path("upper/file").read_text(), info.st_uid, info.st_gid, vfs.f_frsize * vfs.f_blocks >> 20, vfs.f_files)
    """
    text, uid, gid, mib, inodes = said(made, script).split()
    assert (text, int(uid), int(gid)) == ("kept", 0x7000_0001, 0x7000_0002)
    assert 950 < int(mib) <= 1024
    assert int(inodes) == 65536


@pytest.mark.root
def test_full_is_enospc_inside_and_room_comes_back_to_the_computer(made: Path) -> None:
    script = """
        import time
        taken = lambda: os.stat({file!r}).st_blocks >> 11
        block, written = bytes(1 << 20), 0
        with open("upper/large", "wb", buffering=0) as file:
            try:
                while True:
                    written += file.write(block)
            except OSError as error:
                print(error.errno, written >> 20)
        os.sync()
        print(taken())
        os.unlink("upper/large")
        until = time.monotonic() + 30
        while taken() > 100 and time.monotonic() < until:
            os.sync()
            time.sleep(0.05)
        print(taken())
    """
    number, written, taken, after = said(made, script.format(file=str(made / "disk.ext4"))).split()
    assert int(number) == errno.ENOSPC
    assert 900 < int(written) < 1024
    assert 900 < int(taken) < 1024
    assert int(after) <= 100


@pytest.mark.root
def test_it_grows_and_does_not_shrink(made: Path) -> None:
    size = "vfs = os.statvfs('.'); print(Path('upper/file').read_text(), vfs.f_frsize * vfs.f_blocks >> 20)"
    for gib, least in ((3, 2900), (1, 2900), (40, 39000)):
        text, mib = said(made, size, gib).split()
        assert text == "kept"
        assert least < int(mib) <= 40 << 10
    assert (made / "disk.ext4").stat().st_blocks * 512 < 64 << 20


@pytest.mark.root
def test_one_at_a_time_and_nothing_is_left_after_a_kill(made: Path) -> None:
    first = within(made, "print('in', flush=True); Path('upper/new').write_text('x'); os.sync(); sys.stdin.read()")
    assert first.stdout is not None
    assert first.stdout.readline() == "in\n"
    assert len(attached(made)) == 1
    assert str(made / "at") not in Path("/proc/self/mountinfo").read_text(), "mounted where it is used alone"
    second = within(made, "print(Path('upper/new').read_text(), flush=True)")
    time.sleep(0.3)
    assert second.poll() is None, "it waits for the first to be gone"
    assert len(attached(made)) == 1
    first.kill()
    first.wait()
    assert second.communicate(timeout=30)[0] == "x\n"
    deadline = time.monotonic() + 10
    while attached(made):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for pipe in (first.stdin, first.stdout):
        assert pipe is not None
        pipe.close()

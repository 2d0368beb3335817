"""An unprivileged program reads what it was given behind a closed directory, and nothing else there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from azlan.base import confine
from azlan.base.confine import Confinement, command

UID = 61_234


def test_needed_by_python_covers_the_interpreter_and_this_code() -> None:
    needed = [Path(p) for p in confine.needed_by_python()]
    for wanted in (Path(confine.__file__).resolve(), Path(json.__file__).resolve()):
        assert wanted.is_relative_to("/usr") or any(wanted.is_relative_to(p) for p in needed), wanted
    assert not any(a != b and a in b.parents for a in needed for b in needed)


def test_command_carries_the_whole_confinement() -> None:
    confinement = Confinement(uid=1, gid=2, readable=("/a b",), writable=("/c",), bare=True)
    argv = command(["/bin/true", "--x=ü"], confinement)
    assert argv[0] == sys.executable
    assert json.loads(argv[-1])["argv"] == ["/bin/true", "--x=ü"]
    assert json.loads(argv[-1])["readable"] == ["/a b"]


@pytest.fixture
def closed() -> Iterator[Path]:
    """A closed directory (0700, root's) with something to give and something to hide."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name) / "closed"
        directory.mkdir(mode=0o700)
        Path(name).chmod(0o755)
        (directory / "given").mkdir()
        (directory / "given" / "file").write_text("given")
        (directory / "state").mkdir()
        os.chown(directory / "state", UID, UID)
        (directory / "secret").write_text("secret")
        yield directory


def _run(confinement: Confinement, code: str) -> subprocess.CompletedProcess[str]:
    argv = command([sys.executable, "-c", code], confinement)
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def _confinement(closed: Path, bare: bool) -> Confinement:
    return Confinement(
        uid=UID,
        gid=UID,
        readable=(*confine.needed_by_python(), str(closed / "given")),
        writable=(str(closed / "state"),),
        bare=bare,
    )


@pytest.mark.root
@pytest.mark.parametrize("bare", [False, True])
def test_the_program_reaches_what_it_was_given_and_no_more(closed: Path, bare: bool) -> None:
    code = f"""
import os, azlan.base.confine, asyncssh
assert os.getresuid() == ({UID},) * 3 and os.getresgid() == ({UID},) * 3 and os.getgroups() == []
assert open({str(closed / "given" / "file")!r}).read() == "given"
open({str(closed / "state" / "made")!r}, "w").write("made")
assert not os.path.exists({str(closed / "secret")!r})
try:
    open({str(closed / "given" / "new")!r}, "w")
except OSError:
    pass
else:
    raise SystemExit("could write to what is read-only")
if {bare}:
    assert sorted(os.listdir("/etc")) == ["ld.so.cache", "localtime", "ssl"] or not os.path.exists("/etc/passwd")
    assert not os.path.exists("/proc/1") and not os.path.exists("/home")
    os.urandom(4)
print("ok")
"""
    result = _run(_confinement(closed, bare), code)
    assert result.stdout == "ok\n", result.stderr
    assert (closed / "state" / "made").read_text() == "made"
    assert (closed / "state" / "made").stat().st_uid == UID


@pytest.mark.root
def test_nothing_is_mounted_outside_and_the_pid_is_the_programs(closed: Path) -> None:
    def ours() -> list[str]:
        """Mounts that could be of this: others come and go by other work on this computer."""
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        near = (str(closed), *confine.needed_by_python())
        return [line for line in lines if line.split()[4].startswith(near) or line.split()[4] == "/tmp"]

    before = ours()
    process = confine.spawn(
        [sys.executable, "-c", f"import os; open({str(closed / 'state' / 'pid')!r}, 'w').write(str(os.getpid()))"],
        _confinement(closed, bare=False),
        env={},
    )
    assert process.wait(60) == 0
    assert (closed / "state" / "pid").read_text() == str(process.pid)
    assert ours() == before


@pytest.mark.root
def test_detached_it_is_a_child_of_pid_1(closed: Path) -> None:
    out = closed / "state" / "ppid"
    code = f"""
import os, time
while os.getppid() != 1: time.sleep(0.01)
open({str(out)!r}, "w").write(f"{{os.getppid()}} {{os.getsid(0) != {os.getsid(0)}}}")
"""
    confinement = Confinement(**{**_confinement(closed, bare=False).__dict__, "detach": True})
    launcher = confine.spawn([sys.executable, "-c", code], confinement, env={})
    assert launcher.wait(60) == 0
    for _ in range(500):
        if out.exists() and out.read_text():
            break
        subprocess.run(["sleep", "0.02"], check=True)
    assert out.read_text() == "1 True"

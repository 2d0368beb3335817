"""The supervisor with real, tiny processes: restarts, pauses, adoption, and nothing stops with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from azlan.commands import lifecycle, supervisor
from azlan.commands.processes import Lock, Process, read_seen, runs, start_of
from azlan.config import Config, new_config

APP = """
import pathlib, sys, time
role, config = sys.argv[3:]
with open(pathlib.Path(config).parent / "starts", "a") as out:
    out.write(role + "\\n")
if (pathlib.Path(config).parent / "fail").exists():
    sys.exit(3)
time.sleep(600)
"""
"""Stands in for the control process: the same words on its command line, and nothing to do."""

DRIVER = """
import sys
from azlan.commands import supervisor
app = sys.argv.pop(1)
supervisor.command_of = lambda config, role: [sys.executable, "-c", app, "-m", "azlan.app", role, str(config.file)]
supervisor.main()
"""


@dataclass
class Bench:
    """A cloud whose processes only sleep."""

    config: Config
    supervisors: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> subprocess.Popen[bytes]:
        started = subprocess.Popen(
            [sys.executable, "-c", DRIVER, APP, "--config", str(self.config.file)],
            stdout=subprocess.DEVNULL,
        )
        self.supervisors.append(started)
        return started

    def control(self) -> Process | None:
        seen = read_seen(supervisor.state_file(self.config)).get("control")
        return seen.process if seen else None

    def running(self, other_than: Process | None = None) -> Process:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = self.control()
            if found is not None and found != other_than and found.alive and self.starts():
                return found
            time.sleep(0.02)
        raise AssertionError("the control process does not run")

    def starts(self) -> int:
        path = self.config.state / "starts"
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    fresh = new_config(tmp_path / "state", uid=os.geteuid(), gid=os.getegid(), engine="model", machines="simulated")
    config = replace(fresh, run=tmp_path / "run")
    lifecycle.make_folders(config)
    config.save()
    made = Bench(config)
    yield made
    for process in made.supervisors:
        process.kill()
        process.wait()
    found = supervisor.find(config, "control")
    if found is not None:
        found.stop(1.0, signal.SIGKILL)


def test_what_ends_is_started_again_within_a_second(bench: Bench) -> None:
    bench.start()
    first = bench.running()
    for _ in range(2):
        began = time.monotonic()
        os.kill(first.pid, signal.SIGKILL)
        second = bench.running(first)
        assert time.monotonic() - began < 1.0
        first = second
    seen = read_seen(supervisor.state_file(bench.config))["control"]
    assert (seen.restarts, seen.why) == (2, "was ended by SIGKILL")


def test_nothing_stops_with_the_supervisor_and_the_next_one_adopts(bench: Bench) -> None:
    for end in (signal.SIGKILL, signal.SIGTERM):
        watching = bench.start()
        process = bench.running()
        watching.send_signal(end)
        watching.wait(10)
        assert process.alive
    adopting = bench.start()
    time.sleep(0.5)
    assert bench.running() == process
    assert bench.starts() == 1
    os.kill(process.pid, signal.SIGKILL)
    assert bench.running(process) != process
    assert adopting.poll() is None


def test_adopted_without_anything_written_down(bench: Bench) -> None:
    """Killed between starting a process and noting it: the lock that the process holds tells."""
    watching = bench.start()
    process = bench.running()
    watching.kill()
    watching.wait()
    supervisor.state_file(bench.config).unlink()
    assert supervisor.find(bench.config, "control") == process
    bench.start()
    time.sleep(0.5)
    assert bench.running() == process


def test_a_second_supervisor_leaves_at_once(bench: Bench) -> None:
    bench.start()
    bench.running()
    assert bench.start().wait(10) == 0
    assert bench.starts() == 1


def test_what_keeps_failing_is_started_ever_more_slowly(bench: Bench) -> None:
    (bench.config.state / "fail").touch()
    bench.start()
    deadline = time.monotonic() + 20
    while bench.starts() < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    assert bench.starts() < 8
    seen = read_seen(supervisor.state_file(bench.config))["control"]
    assert seen.why == "ended with status 3"


def test_down_stops_supervisor_and_process(bench: Bench) -> None:
    watching = bench.start()
    process = bench.running()
    lifecycle.down(bench.config, lambda _: None)
    assert not process.alive
    assert watching.wait(10) == 0
    assert supervisor.find(bench.config, "control") is None


def test_a_pid_alone_is_nobody() -> None:
    own = Process(os.getpid(), start_of(os.getpid()) or 0)
    assert own.alive
    assert not Process(own.pid, own.start + 1).alive
    assert Process(own.pid, own.start + 1).watch() is None
    Process(own.pid, own.start + 1).stop(0.1)  # and so it does not end us


def test_another_process_that_holds_the_lock_is_not_the_role(bench: Bench) -> None:
    lock = supervisor.lock_of(bench.config, "control")
    descriptor = lock.take()
    assert descriptor is not None
    stray = subprocess.Popen(["sleep", "60"], pass_fds=(descriptor,))
    os.close(descriptor)
    try:
        assert lock.held()
        assert [holder.pid for holder in lock.holders()] == [stray.pid]
        assert supervisor.find(bench.config, "control") is None
        taken = supervisor.take_lock(bench.config, "control")
        assert taken is not None
        os.close(taken)
    finally:
        stray.kill()
        stray.wait()


def test_locks_end_with_their_holder(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    assert not lock.held()
    descriptor = lock.take()
    assert descriptor is not None
    assert lock.held()
    assert lock.take() is None
    os.close(descriptor)
    assert not lock.held()


def test_command_lines_are_matched_word_by_word() -> None:
    process = subprocess.Popen(["sleep", "61"])
    try:
        found = Process(process.pid, start_of(process.pid) or 0)
        while not Path(f"/proc/{process.pid}/cmdline").read_bytes():
            pass  # in the middle of its execve: the file descriptors are closed before the arguments are there
        assert runs(found, "sleep", "61")
        assert not runs(found, "sleep", "6")
        assert not runs(found, "61", "sleep")
    finally:
        process.kill()
        process.wait()


def test_the_callers_session_stays_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_CLIENT_SECRET", "SSH_AUTH_SOCK", "LD_PRELOAD", "AZLAN_MIRROR_DEBIAN"):
        monkeypatch.setenv(name, "x")
    seen = supervisor.environment()
    assert seen["AZLAN_MIRROR_DEBIAN"] == "x"
    assert not {"AZURE_CLIENT_SECRET", "SSH_AUTH_SOCK", "LD_PRELOAD"} & seen.keys()


def test_a_log_that_grew_makes_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_LOG_LIMIT", 10)
    path = tmp_path / "control.log"
    path.write_text("x" * 11)
    os.close(supervisor.open_log(path))
    assert path.read_text() == ""
    assert path.with_suffix(".log.1").read_text() == "x" * 11

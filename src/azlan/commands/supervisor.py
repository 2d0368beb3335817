"""The tiny process behind `azlan up`: starts the control process and the fabric process, and starts either again.

Promises: a process that ends is started again within a second (with growing pauses when it keeps failing); when the
supervisor itself dies nothing stops, and the next one adopts what runs. It knows nothing of Azure and keeps no state but
what `processes.write_seen` publishes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from azlan.base import confine
from azlan.commands.processes import Lock, Process, Seen, read_seen, runs, write_seen
from azlan.config import Config, load

_FIRST_PAUSE, _LONGEST_PAUSE, _STEADY = 0.2, 10.0, 3.0
_LOG_LIMIT = 16 * 2**20
_PASSED = ("PATH", "LANG", "TZ", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
SUPERVISOR = "supervisor"


def roles_of(config: Config) -> tuple[str, ...]:
    """The processes of a cloud, in the order in which they are started."""
    return ("fabric", "control") if config.privileged else ("control",)


def lock_of(config: Config, role: str) -> Lock:
    return Lock(config.run / f"{role}.lock")


def state_file(config: Config) -> Path:
    return config.run / "processes.json"


def log_file(config: Config, role: str) -> Path:
    return config.logs / f"{role}.log"


@dataclass(slots=True)
class Watched:
    """One role under watch."""

    role: str
    process: Process | None = None
    descriptor: int | None = None
    child: subprocess.Popen[bytes] | None = None
    """Where this supervisor started it itself."""
    since: float = 0.0
    restarts: int = 0
    why: str = ""
    pause: float = 0.0
    due: float = 0.0
    """Monotonic time before which it is not started again."""

    @property
    def seen(self) -> Seen:
        return Seen(self.process, self.restarts, self.why)


@dataclass(slots=True)
class Supervisor:
    """Watches the roles of one cloud until it is told to go, and then leaves them running."""

    config: Config
    watched: dict[str, Watched] = field(default_factory=dict)
    going: bool = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._go)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.watched = {role: Watched(role) for role in roles_of(self.config)}
        for watched in self.watched.values():
            self._adopt(watched)
        while not self.going:
            for watched in self.watched.values():
                if watched.process is None and time.monotonic() >= watched.due:
                    self._start(watched)
            self._publish()
            self._sleep(wake_read)
        say("leaves; the processes go on")

    def _go(self, _number: int, _frame: object) -> None:
        self.going = True

    def _sleep(self, wake: int) -> None:
        """Until a process ends, a start is due or a signal comes."""
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        for watched in self.watched.values():
            if watched.descriptor is not None:
                poll.register(watched.descriptor, select.POLLIN)
        due = [watched.due for watched in self.watched.values() if watched.process is None]
        timeout = max(0.0, min(due) - time.monotonic()) * 1000 + 1 if due else None
        ready = {descriptor for descriptor, _ in poll.poll(timeout)}
        if wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 512)
        for watched in self.watched.values():
            if watched.descriptor in ready:
                self._ended(watched)

    def _adopt(self, watched: Watched) -> None:
        """Find the process of a role that an earlier supervisor started."""
        process = find(self.config, watched.role)
        if process is None:
            return
        descriptor = process.watch()
        if descriptor is not None:
            say(f"adopts the {watched.role} process, pid {process.pid}")
            watched.process, watched.descriptor, watched.since = process, descriptor, time.monotonic()

    def _start(self, watched: Watched) -> None:
        path = log_file(self.config, watched.role)
        lock = take_lock(self.config, watched.role)
        if lock is None:
            watched.why = "another process holds its lock"
            watched.due = time.monotonic() + 1.0
            return
        log = open_log(path)
        try:
            child = subprocess.Popen(
                command_of(self.config, watched.role),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                cwd="/",
                start_new_session=True,
                pass_fds=(lock,),
            )
        finally:
            os.close(log)
            os.close(lock)
        descriptor = os.pidfd_open(child.pid)
        start = int(_stat_fields(child.pid)[19])
        watched.child, watched.descriptor = child, descriptor
        watched.process, watched.since = Process(child.pid, start), time.monotonic()
        say(f"started the {watched.role} process, pid {child.pid}")

    def _ended(self, watched: Watched) -> None:
        assert watched.process is not None
        assert watched.descriptor is not None
        code = watched.child.wait() if watched.child is not None else None
        os.close(watched.descriptor)
        watched.why = _why(code)
        lived = time.monotonic() - watched.since
        watched.pause = 0.0 if lived > _STEADY else min(_LONGEST_PAUSE, max(_FIRST_PAUSE, watched.pause * 2))
        watched.due = time.monotonic() + watched.pause
        watched.restarts += 1
        say(
            f"the {watched.role} process, pid {watched.process.pid}, {watched.why}; starts again in {watched.pause:g} s"
        )
        watched.process = watched.descriptor = watched.child = None

    def _publish(self) -> None:
        write_seen(state_file(self.config), {role: watched.seen for role, watched in self.watched.items()})


def command_of(config: Config, role: str) -> list[str]:
    """The command line of a role; the control process of a privileged cloud runs confined, as its own user."""
    argv = [sys.executable, "-m", "azlan.app", role, str(config.file)]
    if os.geteuid() != 0 or role != "control" or config.uid == 0:
        return argv
    return confine.command(
        argv,
        confine.Confinement(
            uid=config.uid,
            gid=config.gid,
            readable=(*confine.needed_by_python(), str(config.state), str(config.run)),
            writable=(str(config.control), str(config.authority.parent)),
        ),
    )


def find(config: Config, role: str) -> Process | None:
    """The living process of a role, whoever started it."""
    seen = read_seen(state_file(config)).get(role)
    if seen is not None and seen.process is not None and seen.process.alive and _is(config, seen.process, role):
        return seen.process
    # A supervisor may have died between starting a process and writing that down.
    return next((p for p in lock_of(config, role).holders() if _is(config, p, role)), None)


def take_lock(config: Config, role: str) -> int | None:
    """The lock of a role, for its new process. A lock that only strays hold (a machine's monitor, which inherited the
    descriptor) is replaced by a new file; None where a process of the role lives."""
    lock = lock_of(config, role)
    descriptor = lock.take()
    if descriptor is None and not any(_is(config, p, role) for p in lock.holders()):
        lock.path.unlink(missing_ok=True)
        descriptor = lock.take()
    return descriptor


def _is(config: Config, process: Process, role: str) -> bool:
    """Whether a process is the one of a role of this cloud: by its command line, as it is or still in the launcher."""
    if runs(process, "-m", "azlan.app", role, str(config.file)):
        return True
    try:
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    except OSError:
        return False
    return f'"azlan.app", "{role}", {json.dumps(str(config.file))}'.encode() in line


def environment() -> dict[str, str]:
    """What the processes see of ours: nothing that belongs to the caller's session."""
    return {k: v for k, v in os.environ.items() if k in _PASSED or k.startswith(("AZLAN_", "LC_"))} | {
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/",
    }


def open_log(path: Path) -> int:
    """Append to a log; one that has grown large makes way first."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > _LOG_LIMIT:
            path.replace(path.with_suffix(".log.1"))
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(path, flags, 0o640)


def start(config: Config) -> None:
    """Start a supervisor in a session of its own, unless one is there. Returns at once."""
    if lock_of(config, SUPERVISOR).held():
        return
    log = open_log(log_file(config, SUPERVISOR))
    try:
        subprocess.Popen(
            [sys.executable, "-m", "azlan.commands.supervisor", "--config", str(config.file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(),
            cwd="/",
            start_new_session=True,
        )
    finally:
        os.close(log)


def say(text: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ} supervisor {text}", flush=True)


def main() -> None:
    """`python -m azlan.commands.supervisor --config FILE`."""
    parser = argparse.ArgumentParser(prog="supervisor")
    parser.add_argument("--config", type=Path, required=True)
    config = load(parser.parse_args().config)
    lock = lock_of(config, SUPERVISOR).take()
    if lock is None:
        return  # another one watches already
    Supervisor(config).run()


def _why(code: int | None) -> str:
    if code is None:
        return "ended"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with status {code}"


def _stat_fields(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; also of a zombie, which our own child may be by now."""
    text = Path(f"/proc/{pid}/stat").read_text()
    return text[text.rindex(")") + 2 :].split()


if __name__ == "__main__":
    main()

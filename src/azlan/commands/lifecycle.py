"""`azlan up | restart | down | reset`: prepare the folders of a cloud, start its supervisor, wait for the API; and the
way back.

Promises: `up` on a cloud that is up changes nothing; whatever an earlier supervisor left running is adopted; `restart`
replaces the processes and touches no machine, flow or packet; `down` keeps the state so that `up` brings the same cloud
back; `reset` removes it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from azlan.commands import supervisor
from azlan.commands.azure_cli import own_folder
from azlan.commands.clouds import CloudClient, CommandError
from azlan.commands.doctor import require
from azlan.commands.findings import of_config
from azlan.commands.processes import read_seen, wait_until
from azlan.config import Config, ConfigError, load, new_config

START_SECONDS = 60.0
_RESERVED_UIDS = range(64100, 64700)
"""For control processes that root starts: Debian Policy, 9.2.2 keeps 60000-64999 for packages that ask by name."""

Say = Callable[[str], None]


def prepare(state: Path, options: dict[str, Any]) -> Config:
    """The configuration to start with: what is stored, changed by the options that were given. Raises CommandError."""
    given = {name: value for name, value in options.items() if value is not None}
    try:
        stored = load(state / "config.json")
    except FileNotFoundError:
        stored = None
    except PermissionError as error:
        raise CommandError(
            f"{state} belongs to another user.", "Use sudo, or a cloud of your own: --state DIR"
        ) from error
    except ConfigError as error:
        raise CommandError(str(error)) from error
    try:
        if stored is None:
            config = new_config(state, uid=os.geteuid(), gid=os.getegid(), **given)
        else:
            config = dataclasses.replace(stored, **given)
    except ConfigError as error:
        raise CommandError(str(error)) from error
    if config.privileged and os.geteuid() != 0:
        raise CommandError(
            "Real packets (--engine bpf) need root.",
            "sudo azlan up, or without packets and privilege: azlan up --engine model --machines simulated",
        )
    if not (supervisor.lock_of(config, supervisor.SUPERVISOR).held() or _any_process(config)):
        uid, gid = _control_user(config, known=stored is not None)
        return dataclasses.replace(config, uid=uid, gid=gid)
    if stored is not None and config != stored:
        changed = [f.name for f in dataclasses.fields(Config) if getattr(config, f.name) != getattr(stored, f.name)]
        raise CommandError(
            f"The cloud in {state} is up with other settings ({', '.join(changed)}).",
            "Stop it first: azlan down; or start another: --state DIR --port PORT",
        )
    return config


def up(config: Config, say: Say) -> None:
    """Bring a cloud up, or find it up; returns once its API answers. Raises CommandError."""
    if not _any_process(config):
        require(of_config(config))
    _begin(config, say)


def restart(config: Config, say: Say) -> None:
    """End the supervisor, control and fabric processes and start them again as this installation has them: after an
    upgrade. Machines, Bastion sessions and packets go on. Starts a cloud that is not up. Raises CommandError."""
    _require_owner(config, "restart")
    if not _any_process(config):
        require(of_config(config))
    _stop_processes(config, say)
    _begin(config, say)


def _begin(config: Config, say: Say) -> None:
    make_folders(config)
    try:
        config.save()
        supervisor.start(config)
    except OSError as error:
        raise CommandError(f"The cloud cannot be written to {config.state}: {error}.", "See: azlan doctor") from error
    _await_api(config, say)


def down(config: Config, say: Say) -> None:
    """Stop processes and machines; the state stays. Raises CommandError."""
    _require_owner(config, "down")
    _stop_processes(config, say)
    if config.privileged:
        say("stopping machines")
        _app(config, "halt")


def reset(config: Config, say: Say) -> None:
    """Stop everything and remove the state, and the caller's login with it: this cloud is gone. Raises CommandError."""
    _require_owner(config, "reset")
    _stop_processes(config, say)
    if config.privileged:
        say("removing machines and network")
        _app(config, "destroy")
    for path in (config.control, config.authority.parent, config.fabric, config.logs, config.run, own_folder(config)):
        _remove(path)
    config.file.unlink(missing_ok=True)
    if not any(config.state.iterdir()):
        with contextlib.suppress(OSError):  # a file system of its own is mounted there: the folder is not ours
            config.state.rmdir()


def make_folders(config: Config) -> None:
    """The folders of a cloud, each with the owner and the rights that `config` promises. Idempotent."""
    try:
        config.state.mkdir(mode=0o755, parents=True, exist_ok=True)
        config.run.mkdir(mode=0o755, parents=True, exist_ok=True)
        _own_folder(config.control, config.uid, config.gid, 0o700)
        _own_folder(config.authority.parent, config.uid, config.gid, 0o755)
        _own_folder(config.logs, os.geteuid(), config.gid, 0o750)
        if config.privileged:
            _own_folder(config.fabric, 0, 0, 0o700)
    except OSError as error:
        raise CommandError(
            f"The state folder cannot be made: {error}.", "Give another with --state DIR, or use sudo."
        ) from error


def _own_folder(path: Path, uid: int, gid: int, mode: int) -> None:
    """Make a folder, or hand an existing one, with all in it, to its owner. Never follows a link out of it."""
    path.mkdir(mode=mode, exist_ok=True)
    info = path.lstat()
    if not stat.S_ISDIR(info.st_mode):
        raise NotADirectoryError(f"{path} is no directory")
    path.chmod(mode)
    if os.geteuid() != 0 or (info.st_uid, info.st_gid) == (uid, gid):
        return
    for _, folders, files, descriptor in os.fwalk(path, follow_symlinks=False):
        for name in (*folders, *files):
            entry = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISDIR(entry.st_mode) or entry.st_nlink == 1:
                os.chown(name, uid, gid, dir_fd=descriptor, follow_symlinks=False)
    os.chown(path, uid, gid, follow_symlinks=False)


def _control_user(config: Config, *, known: bool) -> tuple[int, int]:
    """Who runs the control process: the user who called sudo; for root itself who ran it so far, else a reserved uid
    that nobody has."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    if not config.privileged:
        return 0, 0
    uid = os.environ.get("SUDO_UID", "")
    if uid.isdigit() and int(uid) != 0:
        return int(uid), int(os.environ.get("SUDO_GID", uid))
    if known and config.uid != 0:
        return config.uid, config.gid
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    start = int(config.mark, 16) % len(_RESERVED_UIDS)
    turned = (*_RESERVED_UIDS[start:], *_RESERVED_UIDS[:start])
    reserved = next(number for number in turned if number not in taken)
    return reserved, reserved


def _await_api(config: Config, say: Say) -> None:
    """Return once the API answers and the fabric process has taken the World; CommandError with the log's end if not."""
    client, told = CloudClient(config, timeout=2.0), ""
    first: dict[str, int] = {}  # one that takes its time to end is hardly ever seen to be away: its starts tell
    for _ in wait_until(time.monotonic() + START_SECONDS):
        if (now := _waiting_for(config, client)) is None:
            return
        if now != told:
            told = now
            say(now)
        for role, seen in read_seen(supervisor.state_file(config)).items():
            began = first.setdefault(role, seen.restarts)
            if seen.restarts >= (3 if seen.process is None else began + 3):
                raise CommandError(
                    f"The {role} process does not start: it {seen.why}.\n\n{_tail(supervisor.log_file(config, role))}",
                    "See: azlan doctor; the whole log: azlan logs; stop trying: azlan down",
                )
    raise CommandError(
        f"The cloud did not come up within {START_SECONDS:g} s: still {told or 'starting'}.",
        "See: azlan logs, azlan doctor; stop trying: azlan down",
    )


def _waiting_for(config: Config, client: CloudClient) -> str | None:
    if not client.answers():
        return "starting the control process"
    if config.privileged:
        try:
            if client.admin("GET", "/status").get("fabric") == "away":
                return "starting the fabric process"
        except CommandError:
            return "starting the control process"
    return None


def _stop_processes(config: Config, say: Say) -> None:
    """The supervisor first, so that it starts nothing again; then control before fabric."""
    lock = supervisor.lock_of(config, supervisor.SUPERVISOR)
    for process in lock.holders():
        process.stop(5.0)
    for role in reversed(supervisor.roles_of(config)):
        process_of_role = supervisor.find(config, role)
        if process_of_role is not None:
            say(f"stopping the {role} process")
            process_of_role.stop(10.0)
    supervisor.state_file(config).unlink(missing_ok=True)


def _app(config: Config, what: str) -> None:
    """Run `halt` (machines end, their disks stay) or `destroy` (all goes) to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "azlan.app", what, str(config.file)],
        env=supervisor.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        text=True,
    )
    if done.returncode != 0:
        log = supervisor.log_file(config, supervisor.SUPERVISOR)
        if log.parent.is_dir():
            with log.open("a") as out:
                out.write(done.stdout)
        end = "\n".join(done.stdout.splitlines()[-8:])
        raise CommandError(f"Not everything could be stopped:\n\n{end}", "Try again; the whole text is in: azlan logs")


def _require_owner(config: Config, what: str) -> None:
    wanted = 0 if config.privileged else config.uid
    if os.geteuid() not in (0, wanted):
        raise CommandError(f"The cloud in {config.state} was started by another user.", f"sudo azlan {what}")


def _any_process(config: Config) -> bool:
    return any(supervisor.find(config, role) is not None for role in supervisor.roles_of(config))


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _tail(path: Path, lines: int = 12) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"

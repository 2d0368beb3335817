"""`azlan logs`: the logs of a cloud's processes as one, oldest first, each line naming its process."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from azlan.commands.clouds import CommandError
from azlan.commands.supervisor import SUPERVISOR, log_file, roles_of
from azlan.config import Config

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?")
_TAIL = 256 * 1024


def log_lines(config: Config, role: str | None, count: int, *, follow: bool) -> Iterator[str]:
    """The last `count` lines, then, with `follow`, every new one as it comes. Raises CommandError."""
    names = (SUPERVISOR, *roles_of(config))
    if role is not None and role not in names:
        raise CommandError(f"This cloud has no {role} process.", f"There are: {', '.join(names)}")
    opened: dict[str, IO[bytes]] = {}
    lines: list[tuple[str, str]] = []
    for name in (role,) if role else names:
        path = log_file(config, name)
        try:
            opened[name] = path.open("rb")
        except FileNotFoundError:
            continue
        except PermissionError as error:
            raise CommandError(f"{path} may not be read.", "Use sudo.") from error
        stamp = ""
        for line in _last(opened[name]):
            shown, own = render(line)
            stamp = own or stamp  # a traceback belongs to the line above it
            lines.append((stamp, f"{name:10} {shown}"))
    lines.sort(key=lambda item: item[0])
    yield from (line for _, line in lines[-count:])
    try:
        while follow:
            found = False
            for name, file in opened.items():
                for line in _complete(file):
                    found = True
                    yield f"{name:10} {render(line)[0]}"
                _reopen(opened, name, log_file(config, name))
            if not found:
                time.sleep(0.2)
    finally:
        for file in opened.values():
            file.close()


def render(line: str) -> tuple[str, str]:
    """A log line for people, and its time stamp; JSON objects become `time level event key=value`."""
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        found = _STAMP.match(line)
        return line, found.group().rstrip("Z") if found else ""
    stamp = str(entry.pop("timestamp", ""))
    level = str(entry.pop("level", ""))
    event = str(entry.pop("event", ""))
    trace = entry.pop("exception", None)
    rest = " ".join(f"{key}={value}" for key, value in entry.items())
    shown = " ".join(part for part in (stamp, level, event, rest) if part)
    return (f"{shown}\n{trace}" if trace else shown), stamp.rstrip("Z")


def _last(file: IO[bytes]) -> list[str]:
    size = file.seek(0, 2)
    file.seek(max(0, size - _TAIL))
    if size > _TAIL:
        file.readline()
    return list(_complete(file))


def _complete(file: IO[bytes]) -> Iterator[str]:
    """Whole lines from here on; half a line is left for the next time."""
    while True:
        at = file.tell()
        line = file.readline()
        if not line.endswith(b"\n"):
            file.seek(at)
            return
        yield line.decode(errors="replace").rstrip("\n")


def _reopen(opened: dict[str, IO[bytes]], name: str, path: Path) -> None:
    """Follow the name when a log has made way for a new one."""
    with contextlib.suppress(OSError):
        if path.stat().st_ino != os.fstat(opened[name].fileno()).st_ino:
            opened[name].close()
            opened[name] = path.open("rb")

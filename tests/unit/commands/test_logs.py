"""One log out of several: in order, with half lines left for later."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from azlan.commands.clouds import CommandError
from azlan.commands.logs import log_lines, render
from azlan.config import Config, new_config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = replace(new_config(tmp_path, uid=os.geteuid(), gid=os.getegid()), run=tmp_path / "run")
    made.logs.mkdir()
    (made.logs / "supervisor.log").write_text("2026-01-01T00:00:01.000000Z supervisor started\n")
    (made.logs / "control.log").write_text(
        '{"event": "serves", "level": "info", "timestamp": "2026-01-01T00:00:02.5Z", "port": 1}\n'
        "Traceback (most recent call last):\n  boom\n"
        '{"event": "late", "timestamp": "2026-01-01T00:00:09Z"}\nhalf a li'
    )
    (made.logs / "fabric.log").write_text('{"event": "connected", "timestamp": "2026-01-01T00:00:03Z"}\n')
    return made


def test_lines_are_merged_by_time(config: Config) -> None:
    assert list(log_lines(config, None, 100, follow=False)) == [
        "supervisor 2026-01-01T00:00:01.000000Z supervisor started",
        "control    2026-01-01T00:00:02.5Z info serves port=1",
        "control    Traceback (most recent call last):",
        "control      boom",
        "fabric     2026-01-01T00:00:03Z connected",
        "control    2026-01-01T00:00:09Z late",
    ]


def test_the_last_lines_of_one_process(config: Config) -> None:
    assert list(log_lines(config, "control", 1, follow=False)) == ["control    2026-01-01T00:00:09Z late"]


def test_following(config: Config) -> None:
    lines: Iterator[str] = log_lines(config, "control", 1, follow=True)
    next(lines)
    path = config.logs / "control.log"
    with path.open("a") as out:
        out.write("ne\n")
    assert next(lines) == "control    half a line"
    path.rename(config.logs / "control.log.1")
    path.write_text("new file\n")
    assert next(lines) == "control    new file"


def test_a_process_this_cloud_has_not(config: Config) -> None:
    with pytest.raises(CommandError, match="no portal process"):
        list(log_lines(config, "portal", 1, follow=False))


@pytest.mark.parametrize("line", ["", "[1]", "null", '{"event": 3}', "{", "2026-13-99T"])
def test_any_line_can_be_shown(line: str) -> None:
    shown, stamp = render(line)
    assert isinstance(shown, str)
    assert stamp == ""


def test_exceptions_keep_their_lines() -> None:
    assert render('{"event": "x", "exception": "Traceback\\n  boom"}')[0] == "x\nTraceback\n  boom"

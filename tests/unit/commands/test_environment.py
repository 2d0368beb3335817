"""Lines for shells: whatever a value holds, the shell reads that value and nothing else."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azlan.commands.environment import guess_shell, lines

VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n", exclude_categories=["Cs"]), max_size=30)


@given(value=VALUES)
@settings(max_examples=40, deadline=None)
def test_bash_reads_back_what_was_written(value: str) -> None:
    bash = shutil.which("bash")
    assert bash
    script = lines({"AZLAN_X": value}, "bash") + 'printf %s "$AZLAN_X"'
    shown = subprocess.run([bash, "--norc", "-c", script], capture_output=True, timeout=20, check=True)
    assert shown.stdout.decode() == value
    assert shown.stderr == b""


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        ("fish", "set -gx A 'it\\'s $(x)'\n"),
        ("bash", "export A='it'\"'\"'s $(x)'\n"),
    ],
)
def test_each_shell_has_its_words(shell: str, expected: str) -> None:
    assert lines({"A": "it's $(x)"}, shell) == expected


def test_fish_paths_are_lists() -> None:
    assert lines({"PATH": "/a:/b"}, "fish") == "set -gx PATH (string split : '/a:/b')\n"


@pytest.mark.parametrize(
    ("login", "shell"), [("/usr/bin/fish", "fish"), ("/bin/zsh", "bash"), ("/bin/bash", "bash"), ("", "bash")]
)
def test_guess(monkeypatch: pytest.MonkeyPatch, login: str, shell: str) -> None:
    monkeypatch.setenv("SHELL", login)
    assert guess_shell() == shell

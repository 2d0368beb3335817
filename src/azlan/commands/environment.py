"""`azlan env`: the lines a shell evaluates so that its az and SDKs talk to Azlan. PowerShell's are in `powershell`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

SHELLS = ("bash", "pwsh", "fish")


def guess_shell() -> str:
    """By $SHELL, which is the login shell and not always the one that runs; bash where it says nothing useful."""
    return "fish" if Path(os.environ.get("SHELL", "")).name == "fish" else "bash"


def lines(variables: Mapping[str, str], shell: str) -> str:
    """Assignments in the words of bash or fish, one a line, values quoted."""
    writers = {"bash": _bash, "fish": _fish}
    return "".join(f"{writers[shell](name, value)}\n" for name, value in variables.items())


def _bash(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}"


def _fish(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    if name == "PATH":
        return f"set -gx PATH (string split : '{escaped}')"
    return f"set -gx {name} '{escaped}'"

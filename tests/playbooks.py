"""The page of Ansible: its files, its command lines, and a shell in which they are run as printed.

What `make ansible` installed is used, else what is on PATH.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PAGE = Path(__file__).parents[1] / "docs" / "clients" / "ansible.md"
_SECONDS = 1800
_FACT = re.compile(r"(ok|changed|unreachable|failed|skipped)=(\d+)")
_LEADING = (
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
)


class Page:
    """docs/clients/ansible.md."""

    def __init__(self) -> None:
        text = _PAGE.read_text()
        named = re.findall(r"`([\w.]+\.yml)`:\n\n```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        self.files = {str(name): str(content) for name, content in named}
        """The files that the page has its reader save."""
        self.commands = re.findall(r"^\$ (azlan redirect .*)$", text, re.MULTILINE)
        self.recap = recap(text)

    def command(self, *parts: str) -> str:
        """The one command line in which all of `parts` stand."""
        (found,) = [line for line in self.commands if all(part in line for part in parts)]
        return str(found)


def recap(output: str) -> dict[str, int]:
    """What Ansible counts at the end of a play."""
    (line,) = re.findall(r"^localhost +: (.*)$", output, re.MULTILINE)
    return {name: int(count) for name, count in _FACT.findall(line)}


class Shell:
    """Runs the page's lines in a folder with its files, for the cloud of a state folder."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.page = Page()
        self.folder = folder
        for name, content in self.page.files.items():
            (folder / name).write_text(content)
        programs = folder / "bin"
        programs.mkdir()
        (programs / "azlan").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m azlan "$@"\n')
        (programs / "azlan").chmod(0o755)
        ours = ("ANSIBLE_", "AZURE_", "ARM_", "AZLAN_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours) and name not in _LEADING}
        # Compiled modules: Ansible starts a Python for each task.
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        self.environment = {
            **kept,
            "PATH": os.pathsep.join([str(programs), str(_installed()), os.environ.get("PATH", os.defpath)]),
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "AZLAN_STATE": str(state),
            "ANSIBLE_REMOTE_TMP": str(folder / "tmp"),
            "ANSIBLE_NOCOLOR": "1",
        }

    def run(self, line: str, environment: Mapping[str, str] | None = None) -> str:
        """What a line prints. Raises AssertionError where it ends with another status than 0."""
        done = subprocess.run(
            line,
            shell=True,
            cwd=self.folder,
            env={**self.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
        assert done.returncode == 0, f"{line}\nended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def module(self, line: str) -> dict[str, Any]:
        """What a module answers where it is run alone."""
        told, _, answer = self.run(line).partition(" => ")
        assert told.startswith("localhost | "), told
        found: dict[str, Any] = json.loads(answer)
        return found


def _installed() -> Path:
    """The folder of Ansible's programs."""
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for cache in (Path("/var/cache"), own):
        folder = cache / "azlan" / "ansible" / "bin"
        if os.access(folder / "ansible-playbook", os.X_OK):
            return folder
    found = shutil.which("ansible-playbook")
    assert found is not None, "there is no Ansible on this computer: make ansible"
    return Path(found).parent

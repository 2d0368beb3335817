"""A cloud that is served for real: `azlan up -d` on a free TCP port, with the model engine and no privilege, and its az.

The clients of `parity/` talk to it as users do: by the variables that `azlan env` prints.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azlan.commands.azure_cli import find_az
from azlan.config import CONFIG_FILE, Config, load

COMMAND_SECONDS = 180
SLOTS = 4
"""How many az run at a time: each is a second or two of one core."""


class AzError(AssertionError):
    """az ended with another status than 0."""

    def __init__(self, line: str, status: int, stderr: str) -> None:
        super().__init__(f"az {line}\nended with {status}:\n{stderr}")
        self.status = status
        self.stderr = stderr


@dataclass
class Served:
    """A cloud that is up. `environment` is that of a shell that has evaluated `azlan env`."""

    config: Config
    environment: dict[str, str]
    az_path: Path | None
    slots: asyncio.Semaphore
    variables: dict[str, str]
    """Those of `azlan env` alone."""

    async def az(self, line: str, **values: str) -> Any:
        """Run `az LINE`, words quoted as for a shell, `{name}` replaced by a word; returns what it printed as JSON.

        Raises AzError.
        """
        assert self.az_path is not None, "there is no az on this computer: make azure-cli"
        words = [word.format(**values) for word in shlex.split(line)]
        async with self.slots:
            process = await asyncio.create_subprocess_exec(
                *[str(self.az_path), *words],
                env=self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                async with asyncio.timeout(COMMAND_SECONDS):
                    out, err = await process.communicate()
            except TimeoutError:
                process.kill()
                await process.wait()
                raise AzError(line, -1, f"did not end within {COMMAND_SECONDS} s") from None
        if process.returncode:
            raise AzError(line, process.returncode, err.decode())
        return json.loads(out) if out.strip() else None

    async def refused(self, line: str, **values: str) -> str:
        """What az says on standard error where it must not succeed."""
        try:
            await self.az(line, **values)
        except AzError as error:
            return error.stderr
        raise AssertionError(f"az {line} was accepted")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _azlan(*arguments: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "azlan", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise AssertionError(f"azlan {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def _evaluated(lines: str) -> dict[str, str]:
    """The variables of `export NAME=value` lines."""
    found = {}
    for line in lines.splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        found[name] = shlex.split(value)[0] if value else ""
    return found


@contextmanager
def served() -> Iterator[Served]:
    """Start a cloud of its own, log az in where there is one, and remove all of it at the end."""
    az = find_az()
    # Not pytest's own folder: the cloud's control process may be another user, who could not enter that one.
    folder = Path(tempfile.mkdtemp(prefix="azlan-served-"))
    folder.chmod(0o755)
    state = folder / "state"
    environment = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config"), "HOME": str(folder)}
    for name in [name for name in environment if name.startswith(("AZURE_", "ARM_", "AZLAN_"))]:
        del environment[name]
    there = ("--state", str(state))
    try:
        _azlan(
            *("up", "-d", "--engine", "model", "--machines", "simulated", "--port", str(_free_port()), *there),
            environment=environment,
        )
        try:
            variables = _evaluated(_azlan("env", "bash", *there, environment=environment))
            yield Served(
                load(state / CONFIG_FILE), {**environment, **variables}, az, asyncio.Semaphore(SLOTS), variables
            )
        except BaseException:
            print(_azlan("logs", "-n", "50", *there, environment=environment))
            raise
        finally:
            _azlan("reset", "--yes", *there, environment=environment)
    finally:
        shutil.rmtree(folder, ignore_errors=True)

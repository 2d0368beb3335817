"""`azlan ssh --bastion NAME -g GROUP VM`: an interactive session on a VM through a Bastion host, in this terminal."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from azlan.commands.azure_cli import Login
from azlan.commands.bastion_session import BastionSession
from azlan.commands.clouds import CloudClient, CommandError
from azlan.config import Config


def request_for(subscription: str, *, group: str, bastion: str, machine: str) -> dict[str, Any]:
    """Which Bastion host and which VM; either may be given as a resource id."""
    base = f"/subscriptions/{subscription}/resourceGroups/{group}/providers"
    return {
        "bastion": bastion if bastion.startswith("/") else f"{base}/Microsoft.Network/bastionHosts/{bastion}",
        "target": machine if machine.startswith("/") else f"{base}/Microsoft.Compute/virtualMachines/{machine}",
    }


def credentials(username: str | None, key: Path | None) -> dict[str, Any]:
    """User name and password, or the private key; asked for on the terminal where they are not given."""
    if username is None:
        username = input("Username: ")
    if key is not None:
        try:
            return {"username": username, "private_key": key.read_text()}
        except OSError as error:
            raise CommandError(
                f"The key {key} cannot be read: {error.strerror}.", "Give another: --ssh-key FILE"
            ) from error
    return {"username": username, "password": getpass.getpass(f"{username}'s password: ")}


async def interact(config: Config, login: Login, request: dict[str, Any]) -> int:
    """Join this terminal and the session until the session ends; the shell's exit status."""
    columns, rows = shutil.get_terminal_size()
    asked = {**request, "columns": columns, "rows": rows, "terminal": os.environ.get("TERM", "xterm-256color")}
    async with BastionSession(CloudClient(config), (login.client_id, login.secret), asked) as bastion:
        loop = asyncio.get_running_loop()
        tasks: set[asyncio.Task[None]] = set()

        def later(work: Any) -> None:
            task = loop.create_task(work)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        typed: asyncio.Queue[bytes] = asyncio.Queue()
        later(_type(bastion, typed))
        with _raw():
            loop.add_reader(sys.stdin.fileno(), lambda: typed.put_nowait(os.read(sys.stdin.fileno(), 4096)))
            loop.add_signal_handler(signal.SIGWINCH, lambda: later(bastion.resize(*shutil.get_terminal_size())))
            try:
                while data := await bastion.read():
                    sys.stdout.buffer.write(data)
                    sys.stdout.buffer.flush()
            finally:
                loop.remove_reader(sys.stdin.fileno())
                loop.remove_signal_handler(signal.SIGWINCH)
                for task in tasks:
                    task.cancel()
        assert bastion.exit is not None
        if bastion.exit.status is None:
            raise CommandError(f"The session ended: {bastion.exit.reason or 'no reason given'}.")
        return bastion.exit.status


async def _type(bastion: BastionSession, typed: asyncio.Queue[bytes]) -> None:
    """Keystrokes in the order in which they came; an empty one is the end of our input."""
    while data := await typed.get():
        await bastion.write(data)
    await bastion.write(b"\x04")


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """The terminal in raw mode, where standard input is one; as it was afterwards."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)

"""Where the identity service keeps its keys and its directory: small documents, durable once `put` returns.

The application page gives it the store's own table; `FileVault` is a folder of files readable by its owner alone.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Protocol


class Vault(Protocol):
    """Name → text. Names are `identity/signing-keys`-like; nobody but the control process can read the values."""

    async def get(self, name: str) -> str | None: ...

    async def put(self, name: str, value: str) -> None:
        """Store durably before returning."""
        ...


class FileVault:
    """A Vault of one file a name, 0600 in a folder of 0700."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def get(self, name: str) -> str | None:
        return await asyncio.to_thread(self._read, name)

    async def put(self, name: str, value: str) -> None:
        await asyncio.to_thread(write_private, self._path(name), value.encode())

    def _read(self, name: str) -> str | None:
        try:
            return self._path(name).read_text()
        except FileNotFoundError:
            return None

    def _path(self, name: str) -> Path:
        return self._folder / name.replace("/", "-")


def secret_file(path: Path, size: int) -> bytes:
    """The `size` random bytes that a file holds, 0600; made at the first call."""
    try:
        content = path.read_bytes()
        if len(content) == size:
            return content
    except FileNotFoundError:
        pass
    content = os.urandom(size)
    write_private(path, content)
    return content


def write_private(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file whole or not at all; it never exists with wider rights than `mode`, its folder is made 0700."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}-", delete=False) as out:
        os.fchmod(out.fileno(), mode)
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    Path(out.name).replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

"""Sockets from the fabric process to the control process: opened as root in the outside namespace, passed by SCM_RIGHTS.

    control ── connects, says for which service ──▶ {socket}.fds (SOCK_SEQPACKET)
            ◀── one message: the sockets, or why there are none

One connection, one question, one answer; each side asks the kernel who the other is (SO_PEERCRED). The fabric process keeps
them open: what comes while there is no control process waits in them for the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from enum import StrEnum
from pathlib import Path

import structlog

from azlan.contract.platform import DNS_ADDRESS, DNS_PORT, METADATA_ADDRESS, METADATA_PORT, Platform
from azlan.fabric.peers import Admits, of_user
from azlan.fabric.wire import peer_uid_of

log = structlog.get_logger(__name__)

READY = b"sockets"
_PATIENCE = 5.0
_INT = struct.Struct("i")
_MESSAGE = 256
_PAUSE = 0.1


class Wanted(StrEnum):
    """The service that sockets are for."""

    NAMES = "names"
    """168.63.129.16: datagrams, and a listening stream."""
    METADATA = "metadata"
    """169.254.169.254: a listening stream."""


def path_of(fabric_socket: Path) -> Path:
    """Where sockets are handed over, beside the socket of calls."""
    return fabric_socket.with_name(f"{fabric_socket.name}.fds")


class SocketServer:
    """Hands sockets to who is admitted: by default any process of the user `allowed_uid`."""

    def __init__(self, path: Path, platform: Platform, allowed_uid: int, admits: Admits | None = None) -> None:
        self._path = path
        self._platform = platform
        self._allowed_uid = allowed_uid
        self._admits = admits or of_user(allowed_uid)
        self._opened: dict[Wanted, tuple[socket.socket, ...]] = {}
        self._listening: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._path.unlink(missing_ok=True)
        made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        before = os.umask(0o177)
        try:
            made.bind(str(self._path))
        finally:
            os.umask(before)
        os.chown(self._path, self._allowed_uid, -1)
        made.listen(4)
        self._listening = made
        self._task = asyncio.create_task(self._serve(made), name="sockets for the control process")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._listening is not None:
            self._listening.close()
        for made in (one for opened in self._opened.values() for one in opened):
            made.close()
        self._opened = {}
        self._path.unlink(missing_ok=True)

    async def _serve(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                asking, _ = await loop.sock_accept(listening)
                with asking:
                    if self._admits(asking):
                        await self._answer(asking)
                    else:
                        log.warning("refused sockets to a stranger")
            except OSError as error:
                log.warning("sockets could not be handed over", error=str(error))
                await asyncio.sleep(_PAUSE)

    async def _answer(self, asking: socket.socket) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                said = await asyncio.get_running_loop().sock_recv(asking, _MESSAGE)
            wanted = Wanted(said.decode())
            if wanted not in self._opened:
                self._opened[wanted] = await self._open(wanted)
        except Exception as error:
            asking.send(str(error).encode()[:_MESSAGE] or b"failed")
            return
        socket.send_fds(asking, [READY], [made.fileno() for made in self._opened[wanted]])

    async def _open(self, wanted: Wanted) -> tuple[socket.socket, ...]:
        if wanted is Wanted.METADATA:
            return (await self._platform.metadata_socket(),)
        return await self._platform.platform_sockets()


async def receive(path: Path, server_uids: frozenset[int], wanted: Wanted) -> list[socket.socket]:
    """Ask at `path` for sockets. Raises LookupError where the fabric process has none yet, else ConnectionError."""
    try:
        return await asyncio.to_thread(_receive, path, server_uids, wanted)
    except OSError as error:
        raise ConnectionError(f"no sockets came from {path}: {error}") from error


def _places(wanted: Wanted) -> list[tuple[int, int, tuple[str, int]]]:
    """(family, type, address) of each socket that is wanted."""
    if wanted is Wanted.METADATA:
        return [(socket.AF_INET, socket.SOCK_STREAM, (METADATA_ADDRESS, METADATA_PORT))]
    return [(socket.AF_INET, kind, (DNS_ADDRESS, DNS_PORT)) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)]


def _receive(path: Path, server_uids: frozenset[int], wanted: Wanted) -> list[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
        asking.settimeout(_PATIENCE)
        asking.connect(str(path))
        if peer_uid_of(asking) not in server_uids:
            raise ConnectionError("another user listens there")
        with contextlib.suppress(BrokenPipeError):  # whoever does not admit us says nothing
            asking.send(wanted.encode())
        # Not recv_fds, which up to Python 3.12 forgets its flags: the sockets would leak into programs started meanwhile.
        try:
            said, received, _, _ = asking.recvmsg(_MESSAGE, socket.CMSG_SPACE(2 * _INT.size), socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            raise LookupError("the fabric process went away") from None
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS)
    data = b"".join(value for level, kind, value in received if (level, kind) == rights)
    handles = [handle for (handle,) in _INT.iter_unpack(data[: len(data) // _INT.size * _INT.size])]
    with contextlib.ExitStack() as unused:
        made = [unused.enter_context(socket.socket(fileno=handle)) for handle in handles]
        if said != READY:
            raise LookupError(said.decode(errors="replace") or "the fabric process went away")
        kinds = [(one.family, one.type, one.getsockname()) for one in made]
        if kinds != _places(wanted):
            raise ConnectionError(f"other sockets came than were asked for: {kinds}")
        unused.pop_all()
    return made

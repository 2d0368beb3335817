"""A Bastion host: an unprivileged process in its NIC's network namespace that holds SSH sessions and TCP tunnels.

Follows Azure Bastion: any host key is accepted, sessions outlive their client for a while. Listens on a Unix socket it
was handed and speaks `bastion_wire` with one user id only (SO_PEERCRED). `python -m azlan.machines.bastion FD UID`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import secrets
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from typing import Any

import asyncssh

from azlan.machines import bastion_wire as wire
from azlan.machines.bastion_wire import Code

_KEPT = 1 << 20
"""Bytes of output kept for a client that does not acknowledge; then the guest's writing is held up."""
_CHUNK = 32768
_SESSIONS = 100


class _FailedError(Exception):
    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.frame = wire.Failed(code=code, message=message)


class Session:
    """An SSH session with a terminal, and the output its client may not have yet."""

    def __init__(
        self, connection: asyncssh.SSHClientConnection, process: asyncssh.SSHClientProcess[bytes], owner: str = ""
    ) -> None:
        self.id = secrets.token_urlsafe(16)
        self.owner = owner
        self._connection = connection
        self._process = process
        self._start = 0
        self._output = bytearray()
        self.input = 0
        self.exit: wire.Exit | None = None
        self._changed = asyncio.Condition()
        self.client = 0
        """Number of the client attached; a newer one makes the older one's relay end."""
        self.detached_at = asyncio.get_running_loop().time()
        self.attached = False
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while data := await self._process.stdout.read(_CHUNK):
                async with self._changed:
                    self._output += data
                    self._changed.notify_all()
                    await self._changed.wait_for(lambda: len(self._output) < _KEPT)
            await self._process.wait_closed()
            result = wire.Exit(status=self._process.exit_status, reason=_signal(self._process))
        except (OSError, asyncssh.Error) as error:
            result = wire.Exit(reason=str(error) or "the connection was lost")
        async with self._changed:
            self.exit = result
            self._changed.notify_all()

    async def acknowledge(self, received: int) -> None:
        """Forget output before that offset. ValueError for one that is not within what was sent."""
        if not self._start <= received <= self._start + len(self._output):
            raise ValueError(f"the session's output starts at {self._start}")
        async with self._changed:
            del self._output[: received - self._start]
            self._start = received
            self._changed.notify_all()

    async def next(self, offset: int, client: int) -> wire.Data | wire.Exit | None:
        """Output from `offset` on, once there is any; the exit after the last; None for a client that is replaced."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: self.client != client or self.exit is not None or self._start + len(self._output) > offset
            )
            if self.client != client:
                return None
            at = offset - self._start
            data = bytes(self._output[at : at + _CHUNK])
            return wire.Data(data=data, offset=offset) if data else self.exit

    async def attach(self) -> int:
        """Take the session over; returns the new client's number."""
        async with self._changed:
            self.client += 1
            self.attached = True
            self._changed.notify_all()
            return self.client

    def detach(self, client: int) -> None:
        if self.client == client:
            self.attached = False
            self.detached_at = asyncio.get_running_loop().time()

    async def write(self, data: bytes) -> None:
        self.input += len(data)
        with contextlib.suppress(OSError, asyncssh.Error):
            self._process.stdin.write(data)
            await self._process.stdin.drain()

    def resize(self, columns: int, rows: int) -> None:
        if self.exit is None:
            self._process.change_terminal_size(columns, rows)

    def close(self) -> None:
        self._connection.abort()
        self._reading.cancel()


class BastionServer:
    """Serves the socket. `connect` makes a TCP connection's socket: in its namespace, this process's own way out."""

    def __init__(self, allowed_uids: frozenset[int], attach_seconds: float = wire.ATTACH_SECONDS) -> None:
        self._allowed = allowed_uids
        self._attach_seconds = attach_seconds
        self.sessions: dict[str, Session] = {}

    async def serve(self, listening: socket.socket) -> asyncio.Server:
        return await asyncio.start_unix_server(self._serve, sock=listening)

    async def expire(self) -> None:
        """Close sessions that nobody has attached to for too long. Runs until cancelled."""
        while True:
            await asyncio.sleep(min(1.0, self._attach_seconds / 4))
            now = asyncio.get_running_loop().time()
            for session in list(self.sessions.values()):
                if not session.attached and now - session.detached_at > self._attach_seconds:
                    self._end(session)

    def _end(self, session: Session) -> None:
        session.close()
        self.sessions.pop(session.id, None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if peer_uid(writer) not in self._allowed:
                return
            frame = await wire.read_frame(reader)
            match frame:
                case wire.Ping():
                    wire.write_frame(writer, wire.Pong(sessions=len(self.sessions)))
                case wire.Open():
                    await self._relay(await self._open(frame), 0, None, reader, writer)
                case wire.Attach():
                    await self._attach(frame, reader, writer)
                case wire.Tunnel():
                    await _tunnel(frame, reader, writer)
                case None:
                    return
                case _:
                    raise _FailedError(Code.INVALID_REQUEST, f"a connection does not begin with {type(frame).__name__}")
        except _FailedError as failed:
            wire.write_frame(writer, failed.frame)
        except ValueError as error:
            wire.write_frame(writer, wire.Failed(code=Code.INVALID_REQUEST, message=str(error)))
        except ConnectionError:
            pass  # the client is gone, which is its right
        except Exception as error:
            traceback.print_exc()  # to bastion.log: nothing of one session may end the others
            wire.write_frame(writer, wire.Failed(code=Code.INTERNAL, message=f"the Bastion host failed: {error!r}"))
        finally:
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            writer.close()

    async def _open(self, request: wire.Open) -> Session:
        if len(self.sessions) >= _SESSIONS:
            raise _FailedError(Code.TOO_MANY_SESSIONS, f"this Bastion host holds {_SESSIONS} sessions already")
        made = await _connect(request.address, request.port, request.timeout)
        connection = await _log_in(request, made)
        try:
            process = await connection.create_process(
                term_type=request.terminal, term_size=(request.columns, request.rows), encoding=None
            )
        except (asyncssh.Error, OSError) as error:
            connection.abort()
            raise _FailedError(Code.NOT_SSH, f"{request.address} gives no terminal: {error}") from error
        session = Session(connection, process, request.owner)
        self.sessions[session.id] = session
        return session

    async def _attach(self, request: wire.Attach, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = self.sessions.get(request.session)
        if session is None or session.owner != request.owner:
            raise _FailedError(Code.SESSION_NOT_FOUND, "the session has ended")
        await session.acknowledge(request.received)
        if request.columns and request.rows:
            session.resize(request.columns, request.rows)
        await self._relay(session, request.received, wire.Attached(input=session.input), reader, writer)

    async def _relay(
        self,
        session: Session,
        offset: int,
        hello: wire.Attached | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        client = await session.attach()
        wire.write_frame(writer, hello or wire.Opened(session=session.id))

        async def out() -> None:
            at = offset
            while (frame := await session.next(at, client)) is not None:
                wire.write_frame(writer, frame)
                await writer.drain()
                if isinstance(frame, wire.Exit):
                    self._end(session)
                    return
                at += len(frame.data)

        async def into() -> None:
            while (frame := await wire.read_frame(reader)) is not None:
                match frame:
                    case wire.Data():
                        await session.write(frame.data)
                    case wire.Ack():
                        await session.acknowledge(frame.received)
                    case wire.Resize():
                        session.resize(frame.columns, frame.rows)
                    case wire.Close():
                        self._end(session)
                        return
                    case _:
                        raise ValueError(f"{type(frame).__name__} does not belong into a session")

        try:
            await _first(out(), into())
        finally:
            session.detach(client)


async def _first(*works: Any) -> None:
    """Run several until the first ends; the others are cancelled; what the first raised is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _connect(address: str, port: int, timeout: float) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setblocking(False)
    try:
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(made, (address, port))
    except BaseException as error:
        made.close()
        if isinstance(error, ConnectionRefusedError):
            raise _FailedError(Code.REFUSED, f"{address} refuses connections to TCP port {port}") from error
        if isinstance(error, TimeoutError | OSError):
            why = errno.errorcode.get(error.errno or 0, "") if isinstance(error, OSError) else ""
            raise _FailedError(
                Code.UNREACHABLE, f"{address} does not answer on TCP port {port}{f' ({why})' if why else ''}"
            ) from error
        raise
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


async def _log_in(request: wire.Open, made: socket.socket) -> asyncssh.SSHClientConnection:
    keys = None
    if request.private_key is not None:
        try:
            keys = [asyncssh.import_private_key(request.private_key, request.passphrase)]
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
            made.close()
            raise _FailedError(Code.BAD_KEY, f"the private key cannot be read: {error}") from error
    try:
        async with asyncio.timeout(request.timeout):
            return await asyncssh.connect(
                request.address,
                sock=made,
                username=request.username,
                password=request.password,
                client_keys=keys,
                known_hosts=None,  # as Azure Bastion: the address is the machine's own, by the fabric's word
                config=None,
                agent_path=None,
                preferred_auth="publickey" if keys else "password,keyboard-interactive",
                keepalive_interval=30,
            )
    except asyncssh.PermissionDenied as error:
        raise _FailedError(
            Code.AUTHENTICATION_FAILED, f"{request.address} does not accept these credentials of {request.username}"
        ) from error
    except (asyncssh.Error, OSError, TimeoutError) as error:
        made.close()
        raise _FailedError(Code.NOT_SSH, f"no SSH session with {request.address}: {error or 'no answer'}") from error


async def _tunnel(request: wire.Tunnel, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    there, out = await asyncio.open_connection(sock=await _connect(request.address, request.port, request.timeout))
    wire.write_frame(writer, wire.Opened(session=""))

    async def forth() -> None:
        while (frame := await wire.read_frame(reader)) is not None and not isinstance(frame, wire.Close):
            if isinstance(frame, wire.Data):
                out.write(frame.data)
                await out.drain()

    async def back() -> None:
        while data := await there.read(_CHUNK):
            wire.write_frame(writer, wire.Data(data=data))
            await writer.drain()

    try:
        await _first(forth(), back())
    except ConnectionError:
        pass
    finally:
        out.close()


def _signal(process: asyncssh.SSHClientProcess[bytes]) -> str | None:
    return f"signal {process.exit_signal[0]}" if process.exit_signal else None


def peer_uid(writer: asyncio.StreamWriter) -> int:
    """User id of the process at the other end of a Unix socket."""
    peer = writer.get_extra_info("socket")
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)


async def _main(descriptor: int, uid: int, ready: Callable[[], None] = lambda: None) -> None:
    listening = socket.socket(fileno=descriptor)
    listening.setblocking(False)
    # Root may ask whether we are alive, and could do anything to us anyway.
    bastion = BastionServer(frozenset({uid, 0}))
    await bastion.serve(listening)
    ready()
    await bastion.expire()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))

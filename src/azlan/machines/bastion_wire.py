"""What a Bastion host's socket speaks, and the client for it.

A frame is a 4-byte big-endian length (at most MAX_FRAME) and that many bytes of msgpack: one of the structs below, its
class name under `type`. One connection serves one session, one tunnel or one question:

    Open      → Opened | Failed        a log-in by SSH, with a terminal; afterwards Data both ways, Ack, Resize, Close
    Attach    → Attached | Failed      the same session again, from another connection; the older one is let go
    Tunnel    → Opened | Failed        a bare TCP connection; Data both ways, Close
    Ping      → Pong

Output carries its offset in the session. The Bastion host keeps what was not acknowledged (Ack: everything before that
offset is safe) and sends it again after Attach; what it has of the input is told in `Attached.input`, and the client
sends the rest again. So nothing is lost and nothing comes twice. A session nobody is attached to ends after
ATTACH_SECONDS. `Exit` is the last frame of a session. Codes of Failed: see `Code`.

A session has one target, that of its Open, and one owner: no frame changes either, and who is not its owner is told that
there is no such session.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path

import msgspec

MAX_FRAME = 1 << 20
ATTACH_SECONDS = 60.0


class Code(StrEnum):
    """Why something failed."""

    UNREACHABLE = "Unreachable"
    """No answer from the address: no route, a rule in the way, or nothing there."""
    REFUSED = "ConnectionRefused"
    """The machine is there, and nothing listens on that TCP port."""
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    NOT_SSH = "ProtocolError"
    """What listens there speaks no SSH that we know."""
    BAD_KEY = "InvalidPrivateKey"
    SESSION_NOT_FOUND = "SessionNotFound"
    TOO_MANY_SESSIONS = "TooManySessions"
    INVALID_REQUEST = "InvalidRequest"
    INTERNAL = "InternalServerError"


class Frame(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Base of all frames."""


class Open(Frame, frozen=True, kw_only=True):
    """Log in at `address` with a password or an OpenSSH/PEM private key, and start the user's shell in a terminal."""

    address: str
    username: str
    port: int = 22
    password: str | None = None
    private_key: str | None = None
    passphrase: str | None = None
    terminal: str = "xterm-256color"
    columns: int = 80
    rows: int = 24
    timeout: float = 15.0
    owner: str = ""
    """Who may attach to the session; the Bastion host compares it and knows nothing more of it."""


class Attach(Frame, frozen=True, kw_only=True):
    session: str
    received: int
    """How many bytes of output the client has."""
    columns: int | None = None
    rows: int | None = None
    owner: str = ""


class Tunnel(Frame, frozen=True, kw_only=True):
    address: str
    port: int
    timeout: float = 15.0


class Ping(Frame, frozen=True, kw_only=True):
    pass


class Data(Frame, frozen=True, kw_only=True):
    """`offset`: of the first byte of output in its session; unused the other way and in tunnels."""

    data: bytes
    offset: int = 0


class Ack(Frame, frozen=True, kw_only=True):
    received: int


class Resize(Frame, frozen=True, kw_only=True):
    columns: int
    rows: int


class Close(Frame, frozen=True, kw_only=True):
    """End the session or the tunnel. A connection that merely ends leaves the session running."""


class Opened(Frame, frozen=True, kw_only=True):
    session: str
    """What Attach takes; empty for a tunnel."""


class Attached(Frame, frozen=True, kw_only=True):
    input: int
    """How many bytes of input the Bastion host has had in this session."""


class Exit(Frame, frozen=True, kw_only=True):
    """The session has ended: with the shell's exit status, or by a signal, or because the connection was lost."""

    status: int | None = None
    reason: str | None = None


class Failed(Frame, frozen=True, kw_only=True):
    code: Code
    message: str


class Pong(Frame, frozen=True, kw_only=True):
    sessions: int


AnyFrame = Open | Attach | Tunnel | Ping | Data | Ack | Resize | Close | Opened | Attached | Exit | Failed | Pong

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyFrame] = msgspec.msgpack.Decoder(AnyFrame)


async def read_frame(reader: asyncio.StreamReader) -> AnyFrame | None:
    """The next frame, None at the end. Raises ValueError for what is no frame."""
    try:
        length = int.from_bytes(await reader.readexactly(4), "big")
        if length > MAX_FRAME:
            raise ValueError(f"a frame of {length} bytes")
        return _decoder.decode(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


def write_frame(writer: asyncio.StreamWriter, frame: AnyFrame) -> None:
    data = _encoder.encode(frame)
    writer.write(len(data).to_bytes(4, "big") + data)


class BastionError(Exception):
    """The Bastion host's answer to what it could not do."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class BastionConnection:
    """The client's end of one session or tunnel. Not for two readers at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.session = ""
        self.received = 0
        """Bytes of output so far: what `attach` wants to know."""
        self.input = 0
        """After `attach`: bytes of input the Bastion host has had."""
        self.exit: Exit | None = None

    @classmethod
    async def open(cls, socket: Path, request: Open | Tunnel) -> BastionConnection:
        """Start a session or a tunnel. Raises BastionError; OSError where the Bastion host does not run."""
        connection = cls(*await asyncio.open_unix_connection(str(socket)))
        answer = await connection._ask(request)
        assert isinstance(answer, Opened)
        connection.session = answer.session
        return connection

    @classmethod
    async def attach(
        cls,
        socket: Path,
        session: str,
        received: int,
        columns: int | None = None,
        rows: int | None = None,
        owner: str = "",
    ) -> BastionConnection:
        """Go on with a session, having had `received` bytes of its output."""
        connection = cls(*await asyncio.open_unix_connection(str(socket)))
        request = Attach(session=session, received=received, columns=columns, rows=rows, owner=owner)
        answer = await connection._ask(request)
        assert isinstance(answer, Attached)
        connection.session, connection.received, connection.input = session, received, answer.input
        return connection

    async def _ask(self, request: Open | Attach | Tunnel) -> AnyFrame:
        write_frame(self._writer, request)
        answer = await read_frame(self._reader)
        if isinstance(answer, Opened | Attached):
            return answer
        self.drop()
        if isinstance(answer, Failed):
            raise BastionError(answer.code, answer.message)
        raise ConnectionResetError("the Bastion host hung up")

    async def read(self) -> bytes:
        """More output, acknowledged; empty at the end, when `exit` is set for a session that ended by itself."""
        while (frame := await read_frame(self._reader)) is not None:
            if isinstance(frame, Data):
                self.received += len(frame.data)
                if self.session:
                    write_frame(self._writer, Ack(received=self.received))
                return frame.data
            if isinstance(frame, Exit):
                self.exit = frame
                self.drop()
        return b""

    async def write(self, data: bytes) -> None:
        for at in range(0, len(data), MAX_FRAME // 2):
            write_frame(self._writer, Data(data=data[at : at + MAX_FRAME // 2]))
        await self._writer.drain()

    async def resize(self, columns: int, rows: int) -> None:
        write_frame(self._writer, Resize(columns=columns, rows=rows))
        await self._writer.drain()

    async def close(self) -> None:
        """End the session or the tunnel."""
        write_frame(self._writer, Close())
        try:
            await self._writer.drain()
        except ConnectionError:
            pass
        self.drop()

    def drop(self) -> None:
        """Let go of the connection; a session goes on for ATTACH_SECONDS."""
        self._writer.close()


async def ping(socket: Path, timeout: float) -> int:
    """How many sessions a Bastion host holds. Raises OSError where it does not answer."""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                write_frame(writer, Ping())
                answer = await read_frame(reader)
            finally:
                writer.close()
    except TimeoutError as error:
        raise OSError("the Bastion host does not answer") from error
    if not isinstance(answer, Pong):
        raise OSError("the Bastion host does not answer")
    return answer.sessions

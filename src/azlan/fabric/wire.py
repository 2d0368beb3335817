"""What goes over the fabric's socket: length-prefixed msgpack frames of the structs below.

A frame is 4 bytes of length, big endian, then the body. The control process sends `Call`, the fabric process answers
with the `Answer` of the same number; `Event`s come unasked. Parts are validated on arrival: a frame that is not exactly
one of these structs ends the connection.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Literal

import msgspec

from azlan.contract.engine import Digest, Flow, Report, Verdict
from azlan.contract.machine import CommandResult, MachineStatus
from azlan.contract.world import AnyPart, PartKey

FRAME_MOST = 256 << 20
_LENGTH = struct.Struct(">I")
_CREDENTIALS = struct.Struct("3i")

Channel = Literal["network", "machines"]


class Apply(msgspec.Struct, frozen=True, kw_only=True, tag="apply"):
    """Bring a channel's World from `base` (None: from nothing) to `root`."""

    channel: Channel
    revision: int
    base: bytes | None
    root: bytes
    added: tuple[AnyPart, ...]
    removed: tuple[PartKey, ...]


class Observe(msgspec.Struct, frozen=True, kw_only=True, tag="observe"):
    channel: Channel


class Probe(msgspec.Struct, frozen=True, kw_only=True, tag="probe"):
    flow: Flow


class Counters(msgspec.Struct, frozen=True, kw_only=True, tag="counters"):
    pass


class Run(msgspec.Struct, frozen=True, kw_only=True, tag="run"):
    machine: PartKey
    script: str
    seconds: float


class Owner(msgspec.Struct, frozen=True, kw_only=True, tag="owner"):
    """Who is behind a transit address?"""

    address: str


class Call(msgspec.Struct, frozen=True, kw_only=True, tag="call"):
    number: int
    request: Apply | Observe | Probe | Counters | Run | Owner


class Resync(msgspec.Struct, frozen=True, kw_only=True, tag="resync"):
    """The fabric process does not hold `base`: send the whole."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag="failure"):
    """`what` is `lookup` where the thing asked for does not exist, else `failed`."""

    what: Literal["lookup", "failed"]
    why: str


class Reported(msgspec.Struct, frozen=True, kw_only=True, tag="reported"):
    report: Report


class Digested(msgspec.Struct, frozen=True, kw_only=True, tag="digested"):
    digest: Digest


class Statuses(msgspec.Struct, frozen=True, kw_only=True, tag="statuses"):
    statuses: tuple[MachineStatus, ...]


class Judged(msgspec.Struct, frozen=True, kw_only=True, tag="judged"):
    verdict: Verdict


class Counted(msgspec.Struct, frozen=True, kw_only=True, tag="counted"):
    counters: dict[PartKey, dict[str, int]]


class Ran(msgspec.Struct, frozen=True, kw_only=True, tag="ran"):
    result: CommandResult


class Owned(msgspec.Struct, frozen=True, kw_only=True, tag="owned"):
    """The NIC behind it, None for nobody, and its private address."""

    nic: PartKey | None = None
    address: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    number: int
    result: Reported | Digested | Statuses | Judged | Counted | Ran | Owned | Resync | Failure


class Event(msgspec.Struct, frozen=True, kw_only=True, tag="event"):
    status: MachineStatus


Message = Call | Answer | Event

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


async def read_message(reader: asyncio.StreamReader) -> Message | None:
    """The next message, None at the end. Raises ValueError for a frame that is none."""
    try:
        head = await reader.readexactly(_LENGTH.size)
        (length,) = _LENGTH.unpack(head)
        if length > FRAME_MOST:
            raise ValueError(f"a frame of {length} bytes is larger than any World")
        body = await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a message of the fabric's: {error}") from error


def write_message(writer: asyncio.StreamWriter, message: Message) -> None:
    body = _encoder.encode(message)
    writer.write(_LENGTH.pack(len(body)) + body)


def peer_uid(writer: asyncio.StreamWriter) -> int:
    """The uid of the process at the other end, as the kernel knows it."""
    return peer_uid_of(writer.get_extra_info("socket"))


def peer_pid_of(sock: socket.socket) -> int:
    """The pid of the process that connected, as the kernel knows it."""
    pid, _uid, _gid = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(pid)


def peer_uid_of(sock: socket.socket) -> int:
    """As `peer_uid`, of a connected Unix socket."""
    _pid, uid, _gid = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(uid)

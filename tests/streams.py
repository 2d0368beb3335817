"""Numbered UDP packets at a steady pace between network namespaces, sent and received by a process of its own.

test ── flows as JSON ──▶ stream process ── source namespace ─▶ the fabric ─▶ target namespace ─▶ stream process
     ◀── what was sent and what arrived, when ──

Every packet's time is taken before and after it was handed to the kernel, by the clock that the test reads too.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import select
import socket
import struct
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from probing import within

_PACKET = struct.Struct("!II")
_SHOT = 0x8000_0000
"""Numbers from here on are the test's own packets."""
_TAIL = 0.3
"""Seconds for which the last packets may be on their way."""
_LATE = 0.1
_SO_RCVBUFFORCE = 33  # socket(7); Python has no name for it


@dataclass(frozen=True)
class Flow:
    """Packets from a namespace to an address, expected in another namespace. With `fresh` each is a flow of its own."""

    source: str
    address: str
    target: str
    destination: str
    port: int
    fresh: bool = False


@dataclass(frozen=True)
class Packet:
    """Nanoseconds of the monotonic clock; `arrived` is 0 for a packet that was lost."""

    number: int
    before: int
    after: int
    arrived: int


@dataclass
class Record:
    """What became of one flow's packets, in the order of their sending."""

    packets: list[Packet]
    duplicates: int

    def between(self, begin: int, end: int) -> Iterator[Packet]:
        """Packets that were wholly sent in this span."""
        return (packet for packet in self.packets if begin <= packet.before and packet.after <= end)

    def lost(self, begin: int = 0, end: int = 1 << 63) -> list[Packet]:
        return [packet for packet in self.between(begin, end) if not packet.arrived]

    def delivered(self, begin: int = 0, end: int = 1 << 63) -> list[Packet]:
        return [packet for packet in self.between(begin, end) if packet.arrived]


class _Sender:
    """Sends one flow's packets from within its namespace."""

    def __init__(self, flow: Flow, index: int, ports: range) -> None:
        self._flow, self._index, self._ports = flow, index, ports
        kind = (socket.SOCK_RAW, socket.IPPROTO_RAW) if flow.fresh else (socket.SOCK_DGRAM, 0)
        self._socket = within(Path(flow.source), lambda: socket.socket(socket.AF_INET, *kind))
        self._to = (flow.destination, 0 if flow.fresh else flow.port)
        self._ends = IPv4Address(flow.address).packed + IPv4Address(flow.destination).packed

    def send(self, number: int) -> None:
        data = _PACKET.pack(self._index, number)
        if self._flow.fresh:
            port = self._ports[number % _SHOT % len(self._ports)]
            data = struct.pack("!HHHH", port, self._flow.port, 8 + len(data), 0) + data
            data = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0) + self._ends + data
        try:
            self._socket.sendto(data, self._to)
        except OSError:
            pass  # then it does not arrive, which is what counts

    def close(self) -> None:
        self._socket.close()


class Stream:
    """Flows that are being sent, each at `rate` packets a second, until `end`."""

    def __init__(
        self, process: asyncio.subprocess.Process, flows: list[Flow], folder: tempfile.TemporaryDirectory[str]
    ):
        self._process = process
        self._folder = folder
        self._flows = flows
        self._shooters = [_Sender(flow, index, range(1024, 10000)) for index, flow in enumerate(flows)]
        self._shots: list[list[tuple[int, int]]] = [[] for _ in flows]

    @classmethod
    async def start(cls, flows: list[Flow], rate: int) -> Stream:
        folder = tempfile.TemporaryDirectory(prefix="azlan-stream-")
        given = json.dumps({"flows": [asdict(flow) for flow in flows], "rate": rate, "out": f"{folder.name}/out"})
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__)), given, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        return cls(process, flows, folder)

    def shoot(self, index: int, count: int = 3) -> None:
        """Send packets of a flow now, from the test itself."""
        for _ in range(count):
            shots = self._shots[index]
            before = time.monotonic_ns()
            self._shooters[index].send(_SHOT + len(shots))
            shots.append((before, time.monotonic_ns()))

    async def end(self) -> list[Record]:
        """Stop, wait for what is on its way, and tell what became of every flow."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert await self._process.wait() == 0
        sent, got = pickle.loads(Path(self._folder.name, "out").read_bytes())
        for shooter in self._shooters:
            shooter.close()
        self._folder.cleanup()
        return [
            _record(enumerate(zip(before, after, strict=True)), enumerate(shots, _SHOT), arrived)
            for (before, after), shots, arrived in zip(sent, self._shots, got, strict=True)
        ]


def _record(sent: Any, shots: Any, arrived: array[int]) -> Record:
    when: dict[int, int] = {}
    for number, at in zip(arrived[::2], arrived[1::2], strict=True):
        when.setdefault(number, at)
    packets = [Packet(n, before, after, when.get(n, 0)) for n, (before, after) in [*sent, *shots]]
    packets.sort(key=lambda packet: packet.before)
    return Record(packets, len(arrived) // 2 - len(when))


# The stream process


def _receiver(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 24)
    made.bind(("0.0.0.0", port))
    made.setblocking(False)
    return made


def _run(flows: list[Flow], rate: int, out: Path) -> None:
    senders = [_Sender(flow, index, range(10000, 60000)) for index, flow in enumerate(flows)]
    places = {(flow.target, flow.port) for flow in flows}
    receivers = [within(Path(target), lambda port=port: _receiver(port)) for target, port in places]  # type: ignore[misc]
    sent = [(array("Q"), array("Q")) for _ in flows]
    got = [array("Q") for _ in flows]
    print("ready", flush=True)
    period, begun, number, told = 1 / rate, time.monotonic(), 0, 0.0
    while not told or time.monotonic() < told + _TAIL:
        due = begun + number * period
        now = time.monotonic()
        if not told and now >= due:
            if now > due + _LATE:  # this process was held up: go on from here, without a flood
                begun = now - number * period
            for sender, (before, after) in zip(senders, sent, strict=True):
                before.append(time.monotonic_ns())
                sender.send(number)
                after.append(time.monotonic_ns())
            number += 1
            continue
        wait = 0.05 if told else min(due - now, 0.05)
        for ready in select.select([*receivers, *([] if told else [sys.stdin])], [], [], wait)[0]:
            if ready is sys.stdin:
                told = time.monotonic()
            else:
                _take(ready, got)
    out.write_bytes(pickle.dumps((sent, got)))


def _take(ready: socket.socket, got: list[array[int]]) -> None:
    while True:
        try:
            data = ready.recv(2048)
        except BlockingIOError:
            return
        index, number = _PACKET.unpack(data)
        got[index].append(number)
        got[index].append(time.monotonic_ns())


def main() -> None:
    given = json.loads(sys.argv[1])
    os.nice(-10)  # it keeps the time
    _run([Flow(**flow) for flow in given["flows"]], given["rate"], Path(given["out"]))


if __name__ == "__main__":
    main()

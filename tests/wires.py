"""Flows as real packets: a cloud whose guests are bare wires without a stack, so that nothing but the test ever speaks.

guest 0 … guest 9 ═ NIC ports ═ fabric ═ outside namespace ═ a namespace that plays the computer, and swallows everything
"""

from __future__ import annotations

import asyncio
import select
import socket
import struct
import time
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from pyroute2 import IPRoute, NFCTSocket

from azlan.contract.engine import Drop, Flow, Verdict
from azlan.contract.world import Nic, PartKey, World
from azlan.engines.bpf.engine import COUNTERS, key_of, totals
from azlan.engines.bpf.namespaces import inside
from azlan.engines.bpf.outside import OUTSIDE_MAC, nft
from azlan.engines.bpf.render import part_id
from azlan.engines.model import View
from fabric_kit import Cloud

FABRIC_MAC = "12:34:56:78:9a:bc"
OUTSIDE = "outside"
OUTSIDE_BYTES = bytes.fromhex(OUTSIDE_MAC.replace(":", ""))
PATIENCE = 20.0
TTL = 57
CHECKSUM_AT = {1: 2, 6: 16, 17: 6}
"""Protocol → where its checksum stands."""
TOKEN = struct.Struct("!4sI")
SILENT = "table ip silent { chain output { type filter hook output priority filter; policy drop; }; }\n"


@dataclass(frozen=True)
class Sent:
    """A packet on its way: what is expected at the other end is recognised by its token."""

    token: bytes
    frames: tuple[bytes, ...]


@dataclass(frozen=True)
class Arrival:
    """A packet as it came out: at a guest by its NIC's part key, or `outside`."""

    at: str
    frame: bytes

    @property
    def macs(self) -> tuple[str, str]:
        """(destination, source)."""
        return self.frame[:6].hex(":"), self.frame[6:12].hex(":")

    @property
    def ends(self) -> tuple[str, str]:
        """(source, destination)."""
        return str(IPv4Address(self.frame[26:30])), str(IPv4Address(self.frame[30:34]))

    @property
    def ttl(self) -> int:
        return self.frame[22]

    def __repr__(self) -> str:
        return f"<{self.ends[0]} > {self.ends[1]}, ttl {self.ttl}, protocol {self.frame[23]}, at {self.at}>"


@dataclass(frozen=True)
class Outcome:
    arrived: tuple[Arrival, ...]
    risen: dict[tuple[str, str], int]
    """(NIC, counter) → by how much it rose."""

    @property
    def drops(self) -> dict[tuple[str, str], int]:
        return {key: count for key, count in self.risen.items() if key[1] != "delivered"}


def packets(flow: Flow, mac: str, number: int, serial: int, shape: str, *, middle: bool) -> Sent:
    """A packet of the flow `number`, `serial` its own: `small`, `large` (the whole MTU) or in two `fragments`; `middle`:
    from the flow's middle, where it is one of TCP."""
    token = TOKEN.pack(b"azln", serial)
    data = token + bytes(1440 if shape != "small" else 12)
    ports = struct.pack("!HH", flow.source_port, flow.destination_port)
    match flow.protocol:
        case 6:
            flags = 0x10 if middle else 0x02
            body = ports + struct.pack("!IIBBHHH", 1, 0, 5 << 4, flags, 8192, 0, 0) + data
        case 17:
            body = ports + struct.pack("!HH", 8 + len(data), 0) + data
        case 1:
            body = struct.pack("!BBHHH", 8, 0, 0, number & 0xFFFF, 1) + data
        case _:
            body = data
    if flow.protocol in CHECKSUM_AT:
        at = CHECKSUM_AT[flow.protocol]
        value = _sum(_pseudo(flow.source, flow.destination, flow.protocol, len(body)) + body)
        body = body[:at] + struct.pack("!H", value) + body[at + 2 :]
    if shape != "fragments":
        return Sent(token, (_frame(flow, mac, number, 0, body),))
    # The token stands in the first fragment; the later one repeats it at its own beginning.
    rest = token + body[800 + len(token) :]
    return Sent(token, (_frame(flow, mac, number, 0x2000, body[:800]), _frame(flow, mac, number, 100, rest)))


def _frame(flow: Flow, mac: str, number: int, bits: int, body: bytes) -> bytes:
    ends = IPv4Address(flow.source).packed + IPv4Address(flow.destination).packed
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), number & 0xFFFF, bits, TTL, flow.protocol, 0) + ends
    head = head[:10] + struct.pack("!H", _sum(head)) + head[12:]
    macs = bytes.fromhex((FABRIC_MAC + mac).replace(":", ""))
    return macs + b"\x08\x00" + head + body


def _pseudo(source: str, destination: str, protocol: int, length: int) -> bytes:
    """What TCP and UDP sum up besides themselves."""
    if protocol == 1:
        return b""
    return IPv4Address(source).packed + IPv4Address(destination).packed + struct.pack("!HH", protocol, length)


def _sum(data: bytes) -> int:
    """The checksum that belongs to the data, its own place at zero; 0 where it is in place."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def sound(frame: bytes) -> bool:
    """Whether a packet's checksums are right: of its header, and, where it is whole, of what it carries."""
    head, body, protocol = frame[14:34], frame[34 : 14 + int.from_bytes(frame[16:18], "big")], frame[23]
    if _sum(head):
        return False
    fragment = int.from_bytes(frame[20:22], "big") & 0x3FFF
    if fragment or protocol not in CHECKSUM_AT:
        return True
    source, destination = Arrival("", frame).ends
    return _sum(_pseudo(source, destination, protocol, len(body)) + body) == 0


class Wires:
    """Plugs the NICs of World after World into the same guests, sends frames there and sees where they come out."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._sockets: dict[str, socket.socket] = {}
        self._guests: dict[PartKey, str] = {}
        self._plugged: dict[PartKey, str] = {}
        """NIC → its MAC."""

    async def open(self) -> None:
        """Before the first World: nothing outside answers, the internet swallows."""
        await self.cloud.apply()
        outside = self.cloud.engine.platform_namespace
        with inside(outside):
            nft(SILENT)
        self._sockets[OUTSIDE] = await asyncio.to_thread(_tap, outside, "fabric")

    def close(self) -> None:
        for opened in self._sockets.values():
            opened.close()

    async def settle(self, world: World) -> None:
        """Bring a World into force: exactly its running NICs are plugged, no flow is known."""
        report = await self.cloud.engine.apply(world)
        assert report.failed == {}, report.failed
        view = View(world)
        wanted = {k: p for k, p in world.parts.items() if isinstance(p, Nic) and view.plugged(p)}
        for nic in [nic for nic, mac in self._plugged.items() if nic not in wanted or wanted[nic].mac != mac]:
            self._sockets.pop(nic).close()
            await self.cloud.engine.unplug(nic)
            del self._plugged[nic]
        for nic, part in wanted.items():
            if nic not in self._plugged:
                name = self._guests.setdefault(nic, f"g{len(self._guests)}")
                guest = self.cloud.guest(name)
                await self.cloud.engine.plug(part, guest.path, "eth0")
                self._sockets[nic] = await asyncio.to_thread(_tap, guest.path, "eth0")
                self._plugged[nic] = part.mac
        await asyncio.to_thread(self._forget)

    def _forget(self) -> None:
        maps = self.cloud.engine._pins.maps
        for name in ("flows", "slots", "heads", "fragments"):
            maps[name].remove(maps[name].dump())
        with inside(self.cloud.engine.platform_namespace), NFCTSocket() as tracked:
            tracked.flush()

    def reasons(self) -> dict[tuple[str, str], int]:
        """(NIC, counter) → total, of all that the plugged NICs count but bytes. Read one by one: the engine's own way
        walks a map made for 100,000 NICs."""
        counted = self.cloud.engine._pins.maps["counted"]
        found = {}
        for nic in self._plugged:
            values = totals(counted.get(key_of(part_id(nic))) or b"")
            found |= {(nic, name): values[name] for name in COUNTERS if values[name]}
        return found

    def send(self, nic: PartKey, sent: Sent) -> None:
        for frame in sent.frames:
            self._sockets[nic].send(frame)

    def arrivals(self) -> list[Arrival]:
        """What has come out anywhere since this was last asked."""
        found = []
        for at, opened in self._sockets.items():
            while True:
                try:
                    frame = opened.recv(4096)
                except BlockingIOError:
                    break
                if frame[6:12] != OUTSIDE_BYTES:  # what the outside namespace sends is seen there, too
                    found.append(Arrival(at, frame))
        return found

    def wait(self) -> None:
        """Return when something can be received, or shortly after."""
        select.select(list(self._sockets.values()), [], [], 0.002)

    def outcome(self, sent: Sent, before: dict[tuple[str, str], int], expected: str) -> Outcome:
        """What became of the packets. Ends when as many arrived or were dropped as were sent, at last after PATIENCE."""
        arrived: list[Arrival] = []
        until = time.monotonic() + PATIENCE
        risen: dict[tuple[str, str], int] = {}
        while time.monotonic() < until:
            arrived += [one for one in self.arrivals() if sent.token in one.frame]
            after = self.reasons()
            risen = {key: total - before.get(key, 0) for key, total in after.items() if total != before.get(key, 0)}
            drops = sum(count for (_, name), count in risen.items() if name != "delivered")
            final = [one for one in arrived if one.at == expected]
            if len(final) + drops >= len(sent.frames):
                break
            self.wait()
        return Outcome(tuple(arrived), risen)


def _tap(namespace: Path, name: str) -> socket.socket:
    """A socket for the IPv4 frames that come in by a link, and for sending frames out by it."""
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
    with inside(namespace), IPRoute() as ipr:
        ipr.link("set", index=ipr.link_lookup(ifname=name)[0], state="up")
        made = socket.socket(socket.AF_PACKET, kind, socket.htons(0x0800))
        made.bind((name, 0x0800))
    return made


def counted_at(verdict: Verdict, sender: PartKey) -> set[str]:
    """The NICs that may count a drop: the receiver where its own gates refused, else the sender."""
    if verdict.drop is Drop.PEER_ACCESS:
        return {sender, verdict.to or sender}
    return {(verdict.to if verdict.drop in (Drop.SUBNET_IN, Drop.NIC_IN) else None) or sender}

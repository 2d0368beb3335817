"""Asking what becomes of a flow: by the engine's verdict, or by real packets between the machines' namespaces."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import dns.message
import dns.query
import dns.rcode
import msgspec

from azlan.base import linux
from azlan.contract.engine import Drop, Engine, Flow
from azlan.contract.platform import DNS_ADDRESS, DNS_PORT
from azlan.contract.world import World
from azlan.services.names import Names

T = TypeVar("T")

PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17}
PATIENCE = 1.0


@dataclass(frozen=True)
class Fate:
    """`drop` is the reason's name, or None; `to` the machine it was handed to; `ttl` as the receiver saw it, `back` as
    the sender saw its answer's."""

    drop: str | None
    to: str | None = None
    ttl: int | None = None
    back: int | None = None


@dataclass(frozen=True)
class Guest:
    """A machine of the scenario as the prober sees it."""

    name: str
    nic: str
    """Part key of its primary NIC."""
    address: str
    namespace: Path | None = None
    public: str | None = None


class Traffic(Protocol):
    """A flow that was established and is kept up."""

    async def flows(self) -> bool:
        """Whether it still passes, now."""
        ...

    async def end(self) -> None: ...


class Prober(Protocol):
    async def fate(self, source: Guest, destination: str, protocol: str, port: int, guests: list[Guest]) -> Fate: ...

    async def traffic(self, source: Guest, target: Guest, protocol: str, port: int, guests: list[Guest]) -> Traffic: ...

    async def resolve(self, guest: Guest, name: str, kind: str) -> str:
        """What Azure's DNS says to the guest."""
        ...


def _said(answer: dns.message.Message | None) -> str:
    """What a name comes to: its records, `NODATA`, or the answer's code; `forwarded` where it is nobody's here."""
    if answer is None:
        return "forwarded"
    found = sorted(str(rdata) for rrset in answer.answer for rdata in rrset)
    return ",".join(found) or ("NODATA" if answer.rcode() == dns.rcode.NOERROR else dns.rcode.to_text(answer.rcode()))


class Verdicts:
    """Asks the engine, once for every NIC on the way there and back: what comes to a NIC that has not its address is
    sent on by it, as an appliance does."""

    def __init__(self, engine: Engine, world: Callable[[], World]) -> None:
        self._engine = engine
        self._world = world

    async def fate(self, source: Guest, destination: str, protocol: str, port: int, guests: list[Guest]) -> Fate:
        by_nic = {guest.nic: guest for guest in guests}
        first = self._flow(source, destination, protocol, port)
        drop, target, ttl = await self.way(first, by_nic)
        if drop is not None or target is None or destination == target.public:
            return Fate(drop, target.name if target else None, ttl if target else None)
        drop, _, back = await self.way(_answer(first, target), by_nic)
        return Fate(drop, target.name, ttl, back)

    async def way(self, flow: Flow, by_nic: dict[str, Guest]) -> tuple[str | None, Guest | None, int]:
        """(drop, who got it, its ttl there)."""
        for ttl in range(64, 0, -1):
            verdict = await self._engine.probe(flow)
            got = by_nic.get(verdict.to or "")
            if not verdict.allowed or got is None or flow.destination in (got.address, got.public):
                return verdict.drop.value if verdict.drop else None, got, ttl
            flow = msgspec.structs.replace(flow, nic=got.nic)
        return "ttl", None, 0

    @staticmethod
    def _flow(source: Guest, destination: str, protocol: str, port: int, established: bool = False) -> Flow:
        return Flow(
            nic=source.nic,
            source=source.address,
            destination=destination,
            protocol=PROTOCOLS[protocol],
            source_port=40000 if port else 0,
            destination_port=port,
            established=established,
        )

    async def traffic(self, source: Guest, target: Guest, protocol: str, port: int, guests: list[Guest]) -> Traffic:
        fate = await self.fate(source, target.address, protocol, port, guests)
        assert fate.drop is None, f"the traffic never began: {fate}"
        there = self._flow(source, target.address, protocol, port, established=True)
        return _Probed(self, (there, _answer(there, target)), {guest.nic: guest for guest in guests})

    async def resolve(self, guest: Guest, name: str, kind: str) -> str:
        return _said(Names(self._world()).answer(guest.nic, dns.message.make_query(name, kind)))


def _answer(flow: Flow, target: Guest) -> Flow:
    return Flow(
        nic=target.nic,
        source=flow.destination,
        destination=flow.source,
        protocol=flow.protocol,
        source_port=flow.destination_port,
        destination_port=flow.source_port,
        established=True,
    )


class _Probed:
    """A flow that is asked about again, both ways."""

    def __init__(self, verdicts: Verdicts, flows: tuple[Flow, Flow], guests: dict[str, Guest]) -> None:
        self._verdicts = verdicts
        self._flows = flows
        self._guests = guests

    async def flows(self) -> bool:
        return all([(await self._verdicts.way(flow, self._guests))[0] is None for flow in self._flows])

    async def end(self) -> None:
        return None


def within(namespace: Path, work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own that has joined the network namespace; sockets it makes stay there."""
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            linux.setns(namespace, linux.CLONE_NEWNET)
            result.append(work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _echo(identifier: int, sequence: int) -> bytes:
    payload = b"azlan-probe-0123"
    head = struct.pack("!BBHHH", 8, 0, 0, identifier, sequence)
    return struct.pack("!BBHHH", 8, 0, _checksum(head + payload), identifier, sequence) + payload


class Packets:
    """Sends real packets, and tells why one was dropped by which of the engine's counters rose."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._identifier = os.getpid() & 0x7FFF

    async def _reasons(self) -> dict[str, int]:
        totals: dict[str, int] = {}
        reasons = {drop.value for drop in Drop}
        for counters in (await self._engine.counters()).values():
            for name, count in counters.items():
                if name in reasons:
                    totals[name] = totals.get(name, 0) + count
        return totals

    async def fate(self, source: Guest, destination: str, protocol: str, port: int, guests: list[Guest]) -> Fate:
        before = await self._reasons()
        candidates = [
            g for g in guests if destination in (g.address, g.public) and g.namespace and g.namespace.exists()
        ]
        send = {"icmp": self._icmp, "tcp": self._tcp, "udp": self._udp}[protocol]
        reached = await asyncio.to_thread(send, source, destination, port, candidates)
        if reached is not None:
            return reached
        after = await self._reasons()
        # Guests chatter (IPv6 discovery, ARP), so a reason counts only for the sender's packet kinds.
        noise = {Drop.NOT_IP.value, Drop.ARP.value, Drop.MULTICAST.value}
        risen = [name for name in after if after[name] > before.get(name, 0) and name not in noise]
        return Fate(",".join(sorted(risen)) or "nothing counted")

    def _icmp(self, source: Guest, destination: str, port: int, candidates: list[Guest]) -> Fate | None:
        self._identifier = (self._identifier + 1) & 0xFFFF
        assert source.namespace is not None

        def raw() -> socket.socket:
            return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)

        sender = within(source.namespace, raw)
        listeners = {within(guest.namespace, raw): guest for guest in candidates if guest.namespace}
        seen: str | None = None
        ttl: int | None = None
        try:
            sender.sendto(_echo(self._identifier, 1), (destination, 0))
            until = time.monotonic() + PATIENCE
            while (left := until - time.monotonic()) > 0:
                # Receivers first: the reply can be there before the request was looked at.
                opened = select.select([*listeners, sender], [], [], left)[0]
                for ready in sorted(opened, key=lambda found: found is sender):
                    data = ready.recv(2048)
                    kind, _code, _sum, identifier, _sequence = struct.unpack_from("!BBHHH", data, (data[0] & 15) * 4)
                    if identifier != self._identifier:
                        continue
                    if kind == 8 and ready in listeners:
                        seen, ttl = listeners[ready].name, data[8]
                    if kind == 0 and ready is sender:
                        return Fate(None, seen, ttl, data[8])
        finally:
            for opened in (sender, *listeners):
                opened.close()
        return None

    def _tcp(self, source: Guest, destination: str, port: int, candidates: list[Guest]) -> Fate | None:
        assert source.namespace is not None
        servers = {within(g.namespace, lambda: _listening(port)): g for g in candidates if g.namespace}
        client = within(source.namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        try:
            client.settimeout(PATIENCE)
            try:
                client.connect((destination, port))
            except ConnectionRefusedError:
                return Fate(None, None)
            except OSError:
                return None
            ready = select.select(list(servers), [], [], PATIENCE)[0]
            return Fate(None, servers[ready[0]].name if ready else None)
        finally:
            for opened in (client, *servers):
                opened.close()

    def _udp(self, source: Guest, destination: str, port: int, candidates: list[Guest]) -> Fate | None:
        assert source.namespace is not None

        def bound() -> socket.socket:
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened.bind(("0.0.0.0", port))
            return opened

        receivers = {within(g.namespace, bound): g for g in candidates if g.namespace}
        client = within(source.namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        try:
            client.sendto(b"azlan", (destination, port))
            ready = select.select(list(receivers), [], [], PATIENCE)[0] if receivers else []
            if receivers and not ready:
                return None
            if not ready:
                time.sleep(0.1)
                return None
            return Fate(None, receivers[ready[0]].name)
        finally:
            for opened in (client, *receivers):
                opened.close()

    async def traffic(self, source: Guest, target: Guest, protocol: str, port: int, guests: list[Guest]) -> Traffic:
        assert protocol == "tcp", "running traffic is a TCP connection here"
        return await asyncio.to_thread(_Connection, source, target, port)

    async def resolve(self, guest: Guest, name: str, kind: str) -> str:
        """By a datagram and by a connection, which must say the same."""
        return await asyncio.to_thread(self._resolve, guest, dns.message.make_query(name, kind))

    @staticmethod
    def _resolve(guest: Guest, query: dns.message.Message) -> str:
        assert guest.namespace is not None
        kinds = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
        datagrams, stream = (within(guest.namespace, lambda k=k: socket.socket(socket.AF_INET, k)) for k in kinds)
        with datagrams, stream:
            stream.settimeout(PATIENCE)
            stream.connect((DNS_ADDRESS, DNS_PORT))
            stream.setblocking(False)
            datagrams.setblocking(False)
            said = _said(dns.query.udp(query, DNS_ADDRESS, timeout=PATIENCE, sock=datagrams))
            assert said == _said(dns.query.tcp(query, DNS_ADDRESS, timeout=PATIENCE, sock=stream))
        return said


def _listening(port: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.bind(("0.0.0.0", port))
    opened.listen(8)
    return opened


@dataclass
class _Connection:
    """A TCP connection over which numbers are sent and must come back."""

    source: Guest
    target: Guest
    port: int
    sent: int = field(default=0)

    def __post_init__(self) -> None:
        assert self.source.namespace is not None
        assert self.target.namespace is not None
        listener = within(self.target.namespace, lambda: _listening(self.port))
        self._client = within(self.source.namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        self._client.settimeout(PATIENCE)
        self._client.connect((self.target.address, self.port))
        self._server, _ = listener.accept()
        listener.close()
        self._server.settimeout(PATIENCE)
        self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _exchange(self) -> bool:
        self.sent += 1
        number = struct.pack("!I", self.sent)
        try:
            self._client.sendall(number)
            received = b""
            while not received.endswith(number):
                part = self._server.recv(4096)
                if not part:
                    return False
                received += part
        except OSError:
            return False
        return True

    async def flows(self) -> bool:
        return await asyncio.to_thread(self._exchange)

    async def end(self) -> None:
        self._client.close()
        self._server.close()

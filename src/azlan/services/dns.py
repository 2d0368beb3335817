"""Azure's DNS at 168.63.129.16, for all machines of a cloud: `names.py` answers, the computer's own resolvers the rest.

    guest ── fabric (source := transit address) ── socket in the outside namespace ── here ── resolvers of the computer

Each machine has a share of what is under way at once, so that none keeps the others waiting. Follows
what-is-ip-address-168-63-129-16 and virtual-networks-name-resolution-for-vms-and-role-instances.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import structlog

from azlan.contract.platform import Platform
from azlan.contract.world import PartKey, World
from azlan.services.guests import Callers, keep_open, same
from azlan.services.names import PAYLOAD, Names, reply

log = structlog.get_logger(__name__)

QUERIES_A_MACHINE = 32
"""Under way at once; more are dropped, as Azure throttles them."""
QUERIES = 512
CONNECTIONS_A_MACHINE = 8
CONNECTIONS = 128
IDLE_SECONDS = 10.0
"""Of a TCP connection."""
FORWARDED = 128
"""Questions at the computer's resolvers at once."""
SERVER_SECONDS = 2.0
FORWARD_SECONDS = 6.0
_LENGTH = struct.Struct(">H")
_HEADER = 12


class Upstream:
    """The computer's resolvers, as its resolv.conf names them now."""

    def __init__(self, file: Path = Path("/etc/resolv.conf"), port: int = 53) -> None:
        self._file = file
        self._port = port
        self._free = asyncio.Semaphore(FORWARDED)

    def servers(self) -> list[str]:
        """Empty where the computer has none."""
        try:
            return [str(server) for server in dns.resolver.Resolver(str(self._file)).nameservers]
        except (dns.exception.DNSException, OSError):
            return []

    async def ask(self, query: dns.message.Message) -> dns.message.Message:
        """The first useful answer; REFUSED where the computer has no resolver, SERVFAIL where none answers."""
        servers = self.servers()
        if not servers:
            return reply(query, dns.rcode.REFUSED)
        try:
            async with asyncio.timeout(FORWARD_SECONDS), self._free:
                return await self._ask(query, servers)
        except TimeoutError:
            return reply(query, dns.rcode.SERVFAIL)

    async def _ask(self, query: dns.message.Message, servers: list[str]) -> dns.message.Message:
        asked = query.question[0]
        # A question of our own: the machine chooses neither its number nor anything else of the packet.
        fresh = dns.message.make_query(
            asked.name, asked.rdtype, asked.rdclass, use_edns=0, want_dnssec=_wants_dnssec(query), payload=PAYLOAD
        )
        fresh.flags |= query.flags & (dns.flags.CD | dns.flags.AD)
        found: dns.message.Message | None = None
        for server in servers:
            try:
                found, _ = await dns.asyncquery.udp_with_fallback(
                    fresh, server, timeout=SERVER_SECONDS, port=self._port, ignore_unexpected=True, ignore_errors=True
                )
            except (dns.exception.DNSException, OSError, EOFError):
                continue
            if found.rcode() not in (dns.rcode.SERVFAIL, dns.rcode.REFUSED):
                break
        if found is None:
            return reply(query, dns.rcode.SERVFAIL)
        made = reply(query, found.rcode())
        made.flags |= found.flags & dns.flags.AD
        made.answer, made.authority, made.additional = found.answer, found.authority, found.additional
        return made


def _wants_dnssec(query: dns.message.Message) -> bool:
    return bool(query.edns >= 0 and query.ednsflags & dns.flags.DO)


class AzureDns:
    """Serves one cloud. Its sockets come from the fabric process; `reopen` asks for fresh ones, as after its restart."""

    def __init__(self, platform: Platform, world: Callable[[], World], upstream: Upstream | None = None) -> None:
        self._platform = platform
        self._world = world
        self._upstream = upstream or Upstream()
        self._names: Names | None = None
        self._callers = Callers(platform, world)
        self._busy: Counter[PartKey] = Counter()
        self._connected: Counter[PartKey] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._again = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._open: _Open | None = None

    async def start(self) -> None:
        kept = keep_open("names", self._world, self._again, self._platform.platform_sockets, self._serve)
        self._keeping = asyncio.create_task(kept, name="azure dns")

    async def stop(self) -> None:
        """Let go; what waits in the sockets stays there for the next process."""
        if self._open is not None:
            self._open.close()
            self._open = None
        tasks = [*self._tasks, *([self._keeping] if self._keeping else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def reopen(self) -> None:
        self._callers.reopen()
        self._again.set()

    # Sockets

    async def _serve(self, opened: tuple[socket.socket, socket.socket]) -> None:
        """Take these sockets into service, then close those before: in between both are served."""
        datagrams, stream = opened
        for made in (datagrams, stream):
            made.setblocking(False)  # of the socket, not of our handle: also where it is the one in service
        if self._open is not None and same(self._open.datagrams, datagrams):
            datagrams.close()
            stream.close()
            return
        before = self._open
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Datagrams(self._received), sock=datagrams
        )
        self._open = _Open(datagrams, transport, await asyncio.start_server(self._connection, sock=stream))
        if before is not None:
            # Whoever opened those is dead. Connected to itself the socket takes no more; what it took is answered.
            with contextlib.suppress(OSError):
                before.datagrams.connect(before.datagrams.getsockname())
                while True:
                    self._received(*before.datagrams.recvfrom(65535))
            before.close()

    def _received(self, data: bytes, source: tuple[str, int]) -> None:
        if len(self._tasks) >= QUERIES:
            return

        async def work() -> None:
            answer = await self.respond(data, source[0], stream=False)
            if answer is not None and self._open is not None:
                self._open.transport.sendto(answer, source)

        task = asyncio.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = str(writer.get_extra_info("peername")[0])
        try:
            nic = await self._owner(source)
            if nic is None or self._connected.total() >= CONNECTIONS:
                return
            with _share(self._connected, nic, CONNECTIONS_A_MACHINE) as admitted:
                if not admitted:
                    return
                async for data in _messages(reader):
                    answer = await self.respond(data, source, stream=True)
                    if answer is None:
                        return
                    writer.write(_LENGTH.pack(len(answer)) + answer)
                    async with asyncio.timeout(IDLE_SECONDS):
                        await writer.drain()
        except (ConnectionError, TimeoutError):
            return
        finally:
            writer.close()

    # Questions

    async def respond(self, data: bytes, source: str, *, stream: bool) -> bytes | None:
        """The answer to a message that came from a transit address; None: none is sent."""
        nic = await self._owner(source)
        if nic is None or len(data) < _HEADER:
            return None
        with _share(self._busy, nic, QUERIES_A_MACHINE) as admitted:
            if not admitted:
                return None
            try:
                query = dns.message.from_wire(data)
            except (dns.exception.DNSException, ValueError):
                return _not_understood(data)
            if query.flags & dns.flags.QR:
                return None
            answer = self._current().answer(nic, query)
            if answer is None:
                answer = await self._upstream.ask(query)
        most = max(512, min(query.payload if query.edns >= 0 else 512, PAYLOAD))
        return answer.to_wire(max_size=65535 if stream else most, prefer_truncation=True)

    def _current(self) -> Names:
        world = self._world()
        if self._names is None or self._names.world is not world:
            self._names = Names(world)
        return self._names

    async def _owner(self, source: str) -> PartKey | None:
        """Part key of the NIC that sends from a transit address."""
        caller = await self._callers.at(source)
        return caller.nic if caller else None


@dataclass(frozen=True)
class _Open:
    """Sockets in service."""

    datagrams: socket.socket
    transport: asyncio.DatagramTransport
    server: asyncio.Server

    def close(self) -> None:
        self.transport.close()
        self.server.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._received(data, addr)


@contextlib.contextmanager
def _share(counts: Counter[PartKey], nic: PartKey, most: int) -> Iterator[bool]:
    """Whether the machine may have one more; counted while it has."""
    if counts[nic] >= most:
        yield False
        return
    counts[nic] += 1
    try:
        yield True
    finally:
        counts[nic] -= 1
        if not counts[nic]:
            del counts[nic]


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The messages of a TCP connection, until it ends or says nothing for a while."""
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                data = await reader.readexactly(length)
        except asyncio.IncompleteReadError:
            return
        yield data


def _not_understood(data: bytes) -> bytes | None:
    """FORMERR under the number of a message that is none; nothing to what is no question."""
    if data[2] & 0x80:
        return None
    return data[:2] + bytes((0x80 | data[2] & 0x79, int(dns.rcode.FORMERR))) + bytes(8)

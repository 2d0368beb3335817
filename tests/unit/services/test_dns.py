"""Azure's DNS over real sockets on loopback: whose question it is, forwarding, sizes, shares, sockets that change.

client ── 127.0.0.1 (stands for a transit address) ── AzureDns ── a resolver of the computer's, on loopback too
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import cast

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from azlan.contract.world import EMPTY, Machine, Nic, NicAddress, Vnet, World, part_key
from azlan.services import dns as service
from azlan.services.dns import AzureDns, Upstream

SUFFIX = "abc.ex.internal.cloudapp.net"


def a_world(address: str = "10.0.0.4") -> World:
    nic = Nic(
        id="/n", vnet="vnet:/v", subnet="/v/s", mac="00:0d:3a:00:00:01", prefix_length=24, gateway="10.0.0.1",
        addresses=(NicAddress(private=address),), routes="routes:/v|", machine="machine:/m",
    )  # fmt: skip
    parts = (
        nic,
        Vnet(id="/v", location="eastus2", prefixes=("10.0.0.0/16",), tags=(), dns_suffix=SUFFIX),
        Machine(id="/m", role="vm", computer_name="vm-1", image="", memory_mib=1, cpus=1, nics=("nic:/n",)),
    )
    return World(revision=1, parts=MappingProxyType({part_key(part): part for part in parts}))


def a_pair(port: int = 0) -> tuple[socket.socket, socket.socket]:
    """A datagram and a listening socket of one port number on loopback, a free one for 0."""
    while True:
        made = [socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
        try:
            number = port
            for one in made:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                one.bind(("127.0.0.1", number))
                number = one.getsockname()[1]
        except OSError:
            for one in made:
                one.close()
            if port:
                raise
            continue
        made[0].listen(8)
        return made[1], made[0]


class Loopback:
    """A Platform whose only machine is whoever sends from 127.0.0.1."""

    def __init__(self) -> None:
        self.ready = True
        self.owner: str | None = "nic:/n"
        self.away = False
        self.asked: list[str] = []
        self.port = 0
        self.opened = 0

    async def platform_sockets(self) -> tuple[socket.socket, socket.socket]:
        if not self.ready:
            raise LookupError("not yet")
        self.opened += 1
        pair = a_pair(self.port)
        self.port = pair[1].getsockname()[1]
        return pair

    async def owner_of_transit(self, address: str) -> tuple[str, str] | None:
        self.asked.append(address)
        if self.away:
            raise ConnectionError("the fabric process is away")
        return (self.owner, "10.0.0.4") if self.owner else None


Answering = Callable[[dns.message.Message], dns.message.Message | None]


class Resolver(asyncio.DatagramProtocol):
    """A resolver of the computer's. `answering` says what; None: nothing comes back."""

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.seen: list[dns.message.Message] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        self.seen.append(query)
        answer = self.answering(query)
        if answer is not None:
            cast(asyncio.DatagramTransport, self.transport).sendto(
                answer.to_wire(max_size=max(512, query.payload), prefer_truncation=True), addr
            )

    async def stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack(">H", await reader.readexactly(2))
        answer = self.answering(dns.message.from_wire(await reader.readexactly(length)))
        assert answer is not None
        data = answer.to_wire(max_size=65535)
        writer.write(struct.pack(">H", len(data)) + data)
        await writer.drain()
        writer.close()


def texts(count: int) -> Answering:
    """That many TXT records of 200 bytes."""

    def answering(query: dns.message.Message) -> dns.message.Message:
        made = dns.message.make_response(query, recursion_available=True)
        records = [f'"{index:0200}"' for index in range(count)]
        made.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "TXT", *records))
        return made

    return answering


@asynccontextmanager
async def resolver(folder: Path, answering: Answering) -> AsyncIterator[tuple[Resolver, Upstream]]:
    made = Resolver(answering)
    datagrams, stream = a_pair()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: made, sock=datagrams)
    server = await asyncio.start_server(made.stream, sock=stream)
    (folder / "resolv.conf").write_text("# the computer's\nnameserver 127.0.0.1\n")
    try:
        yield made, Upstream(folder / "resolv.conf", stream.getsockname()[1])
    finally:
        transport.close()
        server.close()


@asynccontextmanager
async def serving(
    upstream: Upstream | None = None, platform: Loopback | None = None
) -> AsyncIterator[tuple[Loopback, AzureDns]]:
    platform = platform or Loopback()
    current = a_world()
    made = AzureDns(platform, lambda: current, upstream or Upstream(Path("/nonexistent")))
    await made.start()
    while platform.ready and made._open is None:
        await asyncio.sleep(0.005)
    try:
        yield platform, made
    finally:
        await made.stop()


async def ask(
    platform: Loopback, name: str, kind: str = "A", *, tcp: bool = False, **more: object
) -> dns.message.Message:
    query = dns.message.make_query(name, kind, **more)  # type: ignore[arg-type]
    send = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
    return await send(query, "127.0.0.1", port=platform.port, timeout=10)


def answers(message: dns.message.Message) -> list[str]:
    return [str(rdata) for rrset in message.answer for rdata in rrset]


@pytest.mark.parametrize("tcp", [False, True])
async def test_a_name_of_the_network(tcp: bool) -> None:
    async with serving() as (platform, _):
        assert answers(await ask(platform, f"vm-1.{SUFFIX}", tcp=tcp)) == ["10.0.0.4"]
        assert (await ask(platform, f"vm-9.{SUFFIX}", tcp=tcp)).rcode() == dns.rcode.NXDOMAIN


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[str]:
    data = dns.message.make_query(f"vm-1.{SUFFIX}", "A").to_wire()
    writer.write(struct.pack(">H", len(data)) + data)
    (length,) = struct.unpack(">H", await reader.readexactly(2))
    return answers(dns.message.from_wire(await reader.readexactly(length)))


async def test_several_questions_on_one_connection() -> None:
    async with serving() as (platform, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", platform.port)
        for _ in range(3):
            assert await exchange(reader, writer) == ["10.0.0.4"]
        writer.close()


async def test_what_is_nobodys_here_is_asked_of_the_computers_resolver(tmp_path: Path) -> None:
    def answering(query: dns.message.Message) -> dns.message.Message:
        made = dns.message.make_response(query, recursion_available=True)
        made.flags |= dns.flags.AD
        made.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "192.0.2.80"))
        return made

    async with resolver(tmp_path, answering) as (computer, upstream), serving(upstream) as (platform, _):
        answer = await ask(platform, "www.example.com")
        assert (answers(answer), bool(answer.flags & dns.flags.AD)) == (["192.0.2.80"], True)
        await ask(platform, "www.example.com", use_edns=0, options=[], want_dnssec=True)
        for name in (f"vm-9.{SUFFIX}", "vm-1.other.ex.internal.cloudapp.net", "vm-1", "9.9.0.10.in-addr.arpa"):
            await ask(platform, name)
        assert [str(query.question[0].name) for query in computer.seen] == ["www.example.com."] * 2
        assert [bool(query.ednsflags & dns.flags.DO) for query in computer.seen] == [False, True]


async def test_a_long_answer_is_cut_for_datagrams_and_whole_on_a_connection(tmp_path: Path) -> None:
    async with resolver(tmp_path, texts(20)) as (_, upstream), serving(upstream) as (platform, _made):
        short = await ask(platform, "long.example.com", "TXT")
        assert short.flags & dns.flags.TC
        wider = await ask(platform, "long.example.com", "TXT", use_edns=0, payload=4096)
        assert wider.flags & dns.flags.TC
        assert len(wider.to_wire()) <= 1232
        whole = await ask(platform, "long.example.com", "TXT", tcp=True)
        assert (len(answers(whole)), whole.flags & dns.flags.TC) == (20, 0)


async def test_without_a_resolver_or_without_its_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SERVER_SECONDS", 0.1)
    async with serving() as (platform, _):
        assert (await ask(platform, "www.example.com")).rcode() == dns.rcode.REFUSED
    async with resolver(tmp_path, lambda _: None) as (_, upstream), serving(upstream) as (platform, _made):
        assert (await ask(platform, "www.example.com")).rcode() == dns.rcode.SERVFAIL
        assert answers(await ask(platform, f"vm-1.{SUFFIX}")) == ["10.0.0.4"]


async def test_the_resolvers_refusals_go_on_to_the_guest(tmp_path: Path) -> None:
    def refusing(query: dns.message.Message) -> dns.message.Message:
        made = dns.message.make_response(query)
        made.set_rcode(dns.rcode.NXDOMAIN)
        return made

    async with resolver(tmp_path, refusing) as (_, upstream), serving(upstream) as (platform, _made):
        assert (await ask(platform, "none.example.com")).rcode() == dns.rcode.NXDOMAIN


async def test_who_is_nobodys_nic_hears_nothing() -> None:
    async with serving() as (platform, made):
        query = dns.message.make_query(f"vm-1.{SUFFIX}", "A").to_wire()
        platform.owner = None
        assert await made.respond(query, "240.0.2.9", stream=False) is None
        platform.owner = "nic:/another"  # of a World that is newer than ours
        assert await made.respond(query, "240.0.2.9", stream=False) is None
        reader, writer = await asyncio.open_connection("127.0.0.1", platform.port)
        assert await reader.read() == b""
        writer.close()


async def test_what_was_learnt_holds_while_the_nic_is_the_same() -> None:
    platform = Loopback()
    world = a_world()
    made = AzureDns(platform, lambda: world)
    query = dns.message.make_query(f"vm-1.{SUFFIX}", "A").to_wire()

    async def address() -> list[str] | None:
        data = await made.respond(query, "240.0.2.9", stream=False)
        return answers(dns.message.from_wire(data)) if data else None

    assert [await address(), await address()] == [["10.0.0.4"]] * 2
    assert len(platform.asked) == 1
    platform.away = True  # the fabric process died: whoever is known goes on being served
    assert await address() == ["10.0.0.4"]
    world = a_world("10.0.0.9")  # the NIC came again, as another part: its transit address may be another's now
    assert await address() is None
    platform.away = False
    assert await address() == ["10.0.0.9"]
    made.reopen()  # a new fabric process: it is asked, and the one before it is believed until it knows
    platform.owner = None
    assert await address() == ["10.0.0.9"]
    platform.owner = "nic:/n"
    assert [await address(), await address()] == [["10.0.0.9"]] * 2
    assert len(platform.asked) == 5
    made.reopen()
    platform.owner = "nic:/another"
    world = a_world("10.0.0.10")
    assert await address() is None


async def test_each_machine_has_a_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "QUERIES_A_MACHINE", 2)
    monkeypatch.setattr(service, "SERVER_SECONDS", 0.2)
    async with resolver(tmp_path, lambda _: None) as (_, upstream), serving(upstream) as (_platform, made):
        slow = dns.message.make_query("slow.example.com", "A").to_wire()
        results = await asyncio.gather(*(made.respond(slow, "240.0.2.9", stream=False) for _ in range(5)))
        assert sum(result is not None for result in results) == 2
        assert not made._busy
        assert await made.respond(slow, "240.0.2.9", stream=False) is not None


async def test_connections_of_a_machine_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "CONNECTIONS_A_MACHINE", 1)
    async with serving() as (platform, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", platform.port)
        assert await exchange(reader, writer) == ["10.0.0.4"]
        second, two = await asyncio.open_connection("127.0.0.1", platform.port)
        assert await asyncio.wait_for(second.read(), 5) == b""
        assert await exchange(reader, writer) == ["10.0.0.4"]
        writer.close()
        two.close()


async def test_a_connection_that_says_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "IDLE_SECONDS", 0.1)
    async with serving() as (platform, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", platform.port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_what_is_no_message() -> None:
    async with serving() as (_, made):

        async def sent(data: bytes) -> bytes | None:
            return await made.respond(data, "240.0.2.9", stream=False)

        garbage = bytes.fromhex("abcd 0100 0001 0000 0000 0000") + b"\xff\xff"
        answer = await sent(garbage)
        assert answer is not None
        assert (answer[:2], answer[3] & 15, answer[2] & 0x80) == (b"\xab\xcd", dns.rcode.FORMERR, 0x80)
        assert await sent(b"short") is None
        query = dns.message.make_query(f"vm-1.{SUFFIX}", "A")
        assert await sent(dns.message.make_response(query).to_wire()) is None
        assert await sent(b"\xab\xcd\x81\x00" + bytes(8) + b"\xff") is None


async def test_sockets_come_when_they_can_and_change_without_a_gap() -> None:
    platform = Loopback()
    platform.ready = False
    async with serving(platform=platform) as (_, made):
        await asyncio.sleep(0.05)
        assert made._open is None
        platform.ready = True
        while made._open is None:
            await asyncio.sleep(0.02)
        for _ in range(3):
            before = made._open
            made.reopen()
            while made._open is before:
                assert answers(await ask(platform, f"vm-1.{SUFFIX}")) == ["10.0.0.4"]
            assert answers(await ask(platform, f"vm-1.{SUFFIX}", tcp=True)) == ["10.0.0.4"]
        assert platform.opened == 4


async def test_the_same_sockets_once_more_change_nothing() -> None:
    platform = Loopback()
    pair = await platform.platform_sockets()

    async def again() -> tuple[socket.socket, socket.socket]:
        platform.opened += 1
        return pair[0].dup(), pair[1].dup()

    platform.platform_sockets = again  # type: ignore[method-assign]
    async with serving(platform=platform) as (_, made):
        for asked in (3, 4):
            made.reopen()
            while platform.opened < asked:
                await asyncio.sleep(0.01)
            assert answers(await ask(platform, f"vm-1.{SUFFIX}")) == ["10.0.0.4"]
            assert answers(await ask(platform, f"vm-1.{SUFFIX}", tcp=True)) == ["10.0.0.4"]
    # A process that ends leaves what waits in them to the next one.
    waiting = asyncio.create_task(ask(platform, f"vm-1.{SUFFIX}"))
    await asyncio.sleep(0.1)
    async with serving(platform=platform):
        assert answers(await waiting) == ["10.0.0.4"]
    for one in pair:
        one.close()


async def test_nobody_is_served_before_there_is_a_world() -> None:
    platform, worlds = Loopback(), [EMPTY]
    made = AzureDns(platform, lambda: worlds[-1], Upstream(Path("/nonexistent")))
    await made.start()
    await asyncio.sleep(0.1)
    assert platform.opened == 0
    worlds.append(a_world())
    while made._open is None:
        await asyncio.sleep(0.01)
    assert answers(await ask(platform, f"vm-1.{SUFFIX}")) == ["10.0.0.4"]
    await made.stop()

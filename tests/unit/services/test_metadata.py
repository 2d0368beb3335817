"""The instance metadata service over real sockets on loopback: whose connection it is, shares, time limits, new sockets.

client ── 127.0.0.1 (stands for a transit address) ── InstanceMetadata
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, cast

import pytest

from azlan.arm.snapshot import Snapshot
from azlan.contract.world import EMPTY, Machine, Nic, NicAddress, World, part_key
from azlan.services import metadata as service
from azlan.services.metadata import InstanceMetadata
from azlan.services.wire import MOST_HEAD

ASKED = b"GET /metadata/versions HTTP/1.1\r\nHost: x\r\nMetadata: true\r\n\r\n"
PATIENCE = 10


def a_world(role: str = "vm") -> World:
    """A machine of two NICs, the primary one with two addresses."""

    def nic(name: str, *addresses: str) -> Nic:
        return Nic(
            id=f"/{name}", vnet="vnet:/v", subnet="/v/s", mac="00:0d:3a:00:00:01", prefix_length=24, gateway="10.0.0.1",
            addresses=tuple(NicAddress(private=one) for one in addresses), routes="routes:/v|", machine="machine:/m",
        )  # fmt: skip

    nics = ("nic:/n", "nic:/second")
    parts = (
        nic("n", "10.0.0.4", "10.0.0.5"),
        nic("second", "10.0.1.4"),
        Machine(id="/m", role=role, computer_name="vm-1", image="", memory_mib=1, cpus=1, nics=nics),
    )
    return World(revision=1, parts=MappingProxyType({part_key(part): part for part in parts}))


class Loopback:
    """A Platform whose only machine is whoever sends from 127.0.0.1."""

    def __init__(self) -> None:
        self.owner: tuple[str, str] | None = ("nic:/n", "10.0.0.4")
        self.port = 0
        self.opened = 0
        self.ready = True

    async def metadata_socket(self) -> socket.socket:
        if not self.ready:
            raise LookupError("not yet")
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(("127.0.0.1", self.port))
        made.listen(8)
        self.port = made.getsockname()[1]
        self.opened += 1
        return made

    async def owner_of_transit(self, address: str) -> tuple[str, str] | None:
        assert address == "127.0.0.1"
        return self.owner


@asynccontextmanager
async def serving(platform: Loopback | None = None, world: World | None = None) -> AsyncIterator[Loopback]:
    platform, world = platform or Loopback(), world or a_world()
    made = InstanceMetadata(cast(Any, platform), lambda: world, Snapshot)
    await made.start()
    while platform.ready and made._open is None:
        await asyncio.sleep(0.005)
    try:
        yield platform
    finally:
        await made.stop()
        assert not made._connected or await settled(made)


async def settled(made: InstanceMetadata) -> bool:
    """Every connection is gone, and none is counted any more."""
    async with asyncio.timeout(PATIENCE):
        while made._connected:
            await asyncio.sleep(0.005)
    return True


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, platform: Loopback) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", platform.port))

    async def status(self, request: bytes = ASKED) -> int:
        """Of the answer to one request; the connection stays."""
        self.writer.write(request)
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            await self.reader.readexactly(length)
        return int(head.split()[1])

    async def ended(self) -> bytes:
        """What is said until the connection ends, as it must."""
        said = b""
        async with asyncio.timeout(PATIENCE):
            try:
                while data := await self.reader.read(65536):
                    said += data
            except ConnectionError:
                pass
        self.writer.close()
        return said


async def test_several_requests_on_one_connection() -> None:
    async with serving() as platform:
        client = await Client.to(platform)
        for _ in range(3):
            assert await client.status() == 200
        assert await client.status(ASKED.replace(b"Metadata: true\r\n", b"")) == 400
        client.writer.close()


@pytest.mark.parametrize(
    ("owner", "role"),
    [
        (None, "vm"),
        (("nic:/gone", "10.0.0.4"), "vm"),
        (("nic:/n", "10.0.0.5"), "vm"),  # not the primary address
        (("nic:/second", "10.0.1.4"), "vm"),  # not the primary NIC
        (("nic:/n", "10.0.0.4"), "bastion"),
    ],
)
async def test_only_a_machines_primary_address_is_answered(owner: tuple[str, str] | None, role: str) -> None:
    async with serving(world=a_world(role)) as platform:
        platform.owner = owner
        client = await Client.to(platform)
        assert await client.ended() == b""
        client = await Client.to(platform)
        client.writer.write(ASKED)
        assert b"200 OK" not in await client.ended()


async def test_connections_of_a_machine_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "CONNECTIONS_A_MACHINE", 2)
    async with serving() as platform:
        first, second = await Client.to(platform), await Client.to(platform)
        assert (await first.status(), await second.status()) == (200, 200)
        assert await (await Client.to(platform)).ended() == b""
        first.writer.close()
        await first.writer.wait_closed()
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    assert await (await Client.to(platform)).status() == 200
                    break
                except (ConnectionError, asyncio.IncompleteReadError):
                    await asyncio.sleep(0.01)  # the first one's end has not been seen yet
        second.writer.close()


async def test_connections_of_all_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "CONNECTIONS", 1)
    async with serving() as platform:
        first = await Client.to(platform)
        assert await first.status() == 200
        assert await (await Client.to(platform)).ended() == b""
        first.writer.close()


@pytest.mark.parametrize(
    "sent", [b"", b"GET /metadata/versions HT", ASKED[:-2], ASKED.replace(b"Host", b"Content-Length: 9\r\nHost")]
)
async def test_who_is_slow_is_let_go(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "REQUEST_SECONDS", 0.2)
    async with serving() as platform:
        client = await Client.to(platform)
        client.writer.write(sent)
        await client.ended()


async def test_who_sends_a_head_byte_by_byte_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "REQUEST_SECONDS", 0.2)
    async with serving() as platform:
        client = await Client.to(platform)
        client.writer.write(b"GET / HTTP/1.1\r\nx: ")

        async def dribble() -> None:
            while True:
                client.writer.write(b"a")
                await asyncio.sleep(0.01)

        dribbling = asyncio.create_task(dribble())
        assert await client.ended() == b""
        dribbling.cancel()


async def test_a_head_without_end_is_refused() -> None:
    async with serving() as platform:
        client = await Client.to(platform)
        client.writer.write(b"GET / HTTP/1.1\r\nx: " + b"a" * (3 * MOST_HEAD))
        assert (await client.ended()).startswith(b"HTTP/1.1 400")


async def test_many_requests_at_once_are_refused() -> None:
    async with serving() as platform:
        client = await Client.to(platform)
        client.writer.write(ASKED * 1000)
        said = await client.ended()
        assert 1 <= said.count(b"HTTP/1.1") <= service.PIPELINED + 2
        assert b"400 Bad Request" in said


async def test_what_is_no_request_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as platform:
        with caplog.at_level(logging.DEBUG):
            for garbage in (b"\x16\x03\x01\x02\x00" * 20, b"GET \xff HTTP/1.1\r\n\r\n", b"\r\n\r\nSSH-2.0-x\r\n"):
                client = await Client.to(platform)
                client.writer.write(garbage)
                assert (await client.ended()).startswith(b"HTTP/1.1 400")
        upgrade = ASKED.replace(b"Host: x", b"Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket")
        assert await (await Client.to(platform)).status(upgrade) == 200
        assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


async def test_sockets_come_when_they_can_and_change_without_a_gap() -> None:
    platform, world = Loopback(), a_world()
    platform.ready = False
    made = InstanceMetadata(cast(Any, platform), lambda: world, Snapshot)
    await made.start()
    await asyncio.sleep(0.05)
    assert made._open is None
    platform.ready = True
    while made._open is None:
        await asyncio.sleep(0.02)
    before = await Client.to(platform)
    assert await before.status() == 200
    for _ in range(3):
        opened = made._open
        made.reopen()
        while made._open is opened:
            await asyncio.sleep(0.01)
        assert await (await Client.to(platform)).status() in (200, 429)
    assert platform.opened == 4
    assert await before.status() in (200, 429)  # connections that were there go on
    await made.stop()
    assert await before.ended() == b""


async def test_the_same_socket_once_more_changes_nothing_and_waits_for_the_next_process() -> None:
    platform = Loopback()
    first = await platform.metadata_socket()
    asked = 0

    async def again() -> socket.socket:
        nonlocal asked
        asked += 1
        return first.dup()

    platform.metadata_socket = again  # type: ignore[method-assign]
    world = a_world()
    made = InstanceMetadata(cast(Any, platform), lambda: world, Snapshot)
    await made.start()
    for count in (1, 2):
        while asked < count:
            await asyncio.sleep(0.01)
        assert await (await Client.to(platform)).status() == 200
        made.reopen()
    await made.stop()
    waiting = await Client.to(platform)  # by the kernel: nobody serves
    async with serving(platform):
        assert await waiting.status() == 200
    first.close()


async def test_nobody_is_served_before_there_is_a_world() -> None:
    platform, worlds = Loopback(), [EMPTY]
    made = InstanceMetadata(cast(Any, platform), lambda: worlds[-1], Snapshot)
    await made.start()
    await asyncio.sleep(0.1)
    assert platform.opened == 0
    worlds.append(a_world())
    while made._open is None:
        await asyncio.sleep(0.01)
    client = await Client.to(platform)
    assert await client.status() == 200
    client.writer.write(ASKED.replace(b"versions", b"instance?api-version=2021-02-01"))
    assert json.loads((await client.reader.readuntil(b"}")).split(b"\r\n\r\n")[1]) == {"error": "Gone"}
    client.writer.close()
    await made.stop()

"""Sockets handed from one process to another: whoever asks is asked who he is, and gets exactly what he asked for."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from azlan.fabric import sockets
from azlan.fabric.peers import of_user
from azlan.fabric.sockets import SocketServer, Wanted, receive

ME = frozenset({os.getuid()})


class Opener:
    """A Platform of loopback sockets."""

    def __init__(self) -> None:
        self.refusal: Exception | None = None
        self.kinds = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
        self.handed: list[socket.socket] = []

    async def platform_sockets(self) -> tuple[socket.socket, ...]:
        if self.refusal is not None:
            raise self.refusal
        self.handed = []
        for kind in self.kinds:
            made = socket.socket(socket.AF_INET, kind)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(("127.0.0.1", sockets.DNS_PORT))
            self.handed.append(made)
        return tuple(self.handed)

    async def metadata_socket(self) -> socket.socket:
        made = socket.socket(socket.AF_INET, self.kinds[1])
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("127.0.0.1", sockets.METADATA_PORT))
        made.listen(8)
        self.handed.append(made)
        return made

    async def owner_of_transit(self, address: str) -> tuple[str, str] | None:
        return None


@pytest.fixture
def opener(monkeypatch: pytest.MonkeyPatch) -> Opener:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(sockets, "DNS_ADDRESS", "127.0.0.1")
        monkeypatch.setattr(sockets, "DNS_PORT", free.getsockname()[1])
        with socket.socket() as another:
            another.bind(("127.0.0.1", 0))
            monkeypatch.setattr(sockets, "METADATA_ADDRESS", "127.0.0.1")
            monkeypatch.setattr(sockets, "METADATA_PORT", another.getsockname()[1])
    return Opener()


@pytest.fixture
async def server(opener: Opener, tmp_path: Path) -> AsyncIterator[SocketServer]:
    made = SocketServer(tmp_path / "s.fds", opener, os.getuid())  # type: ignore[arg-type]
    await made.start()
    yield made
    await made.stop()
    assert not (tmp_path / "s.fds").exists()


async def test_they_work_on_the_other_side(server: SocketServer, tmp_path: Path) -> None:
    datagrams, stream = await receive(tmp_path / "s.fds", ME, Wanted.NAMES)
    assert (datagrams.type, stream.type) == (socket.SOCK_DGRAM, socket.SOCK_STREAM)
    assert not datagrams.get_inheritable()
    datagrams.settimeout(1)
    with datagrams, stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"hello", ("127.0.0.1", sockets.DNS_PORT))
        assert datagrams.recv(16) == b"hello"


async def test_each_service_gets_its_own(server: SocketServer, tmp_path: Path) -> None:
    names = await receive(tmp_path / "s.fds", ME, Wanted.NAMES)
    (first,) = await receive(tmp_path / "s.fds", ME, Wanted.METADATA)
    (again,) = await receive(tmp_path / "s.fds", ME, Wanted.METADATA)
    assert first.getsockname() == ("127.0.0.1", sockets.METADATA_PORT)
    assert os.fstat(first.fileno()).st_ino == os.fstat(again.fileno()).st_ino
    with socket.create_connection(first.getsockname()) as client:
        again.settimeout(1)
        accepted, _ = again.accept()
        accepted.sendall(b"hello")
        assert client.recv(16) == b"hello"
        accepted.close()
    for made in (*names, first, again):
        made.close()


async def test_what_is_no_service_gets_none(server: SocketServer, tmp_path: Path) -> None:
    def ask(words: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
            asking.settimeout(5)
            asking.connect(str(tmp_path / "s.fds"))
            asking.send(words)
            return asking.recv(256)

    assert b"'everything' is not a valid Wanted" in await asyncio.to_thread(ask, b"everything")
    assert b"decode" in await asyncio.to_thread(ask, b"\xff")
    for made in await receive(tmp_path / "s.fds", ME, Wanted.NAMES):  # and the next one is served
        made.close()


async def test_what_came_while_nobody_was_there_waits_for_the_next(
    opener: Opener, server: SocketServer, tmp_path: Path
) -> None:
    for made in await receive(tmp_path / "s.fds", ME, Wanted.NAMES):
        made.close()  # the control process died
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"hello", ("127.0.0.1", sockets.DNS_PORT))
    datagrams, stream = await receive(tmp_path / "s.fds", ME, Wanted.NAMES)
    with datagrams, stream:
        datagrams.settimeout(1)
        assert datagrams.recv(16) == b"hello"
    await server.stop()
    assert all(made.fileno() == -1 for made in opener.handed)


async def test_none_yet(opener: Opener, server: SocketServer, tmp_path: Path) -> None:
    opener.refusal = LookupError("The outside world is not there yet.")
    with pytest.raises(LookupError, match=r"^The outside world is not there yet\.$"):
        await receive(tmp_path / "s.fds", ME, Wanted.NAMES)
    opener.refusal = OSError("x" * 1000)
    with pytest.raises(LookupError):
        await receive(tmp_path / "s.fds", ME, Wanted.NAMES)


async def test_a_stranger_gets_none(server: SocketServer, tmp_path: Path) -> None:
    server._admits = of_user(os.getuid() + 1)
    with pytest.raises(LookupError, match="went away"):
        await receive(tmp_path / "s.fds", ME, Wanted.NAMES)


async def test_none_are_taken_from_a_stranger(server: SocketServer, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match="another user"):
        await receive(tmp_path / "s.fds", frozenset({os.getuid() + 1}), Wanted.NAMES)


async def test_other_sockets_than_asked_for_are_refused(opener: Opener, server: SocketServer, tmp_path: Path) -> None:
    opener.kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    with pytest.raises(ConnectionError, match="other sockets"):
        await receive(tmp_path / "s.fds", ME, Wanted.NAMES)


async def test_one_socket_too_few(opener: Opener, server: SocketServer, tmp_path: Path) -> None:
    opener.kinds = (socket.SOCK_DGRAM,)  # type: ignore[assignment]
    with pytest.raises(ConnectionError, match="other sockets"):
        await receive(tmp_path / "s.fds", ME, Wanted.NAMES)


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        await receive(tmp_path / "s.fds", ME, Wanted.NAMES)

"""The Bastion host's protocol against an SSH server in this process: sessions, reattaching, tunnels, errors by code."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from azlan.machines import bastion_wire as wire
from azlan.machines.bastion import BastionServer
from azlan.machines.bastion_wire import BastionConnection, BastionError, Code, Open, Tunnel

KEY = asyncssh.generate_private_key("ssh-ed25519")


class Login(asyncssh.SSHServer):
    """One user, one password, one key."""

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("ada", "right")

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return bool(key.public_data == KEY.public_data)


async def reach_back(connection: asyncssh.SSHConnection) -> bytes:
    """What a hostile machine is refused: channels to TCP ports, to Unix sockets, to an agent, to a display."""
    assert isinstance(connection, asyncssh.SSHServerConnection)
    refused = []
    for name, channel in {
        "tcp": lambda: connection.create_connection(asyncssh.SSHTCPSession, "127.0.0.1", 22),
        "unix": lambda: connection.create_unix_connection(asyncssh.SSHUNIXSession, "/run/x"),
        "agent": connection.open_agent_connection,
        "x11": lambda: connection.create_x11_connection(asyncssh.SSHTCPSession),
    }.items():
        try:
            await channel()
        except (asyncssh.ChannelOpenError, OSError):
            refused.append(name)
    return b"refused: " + " ".join(refused).encode()


async def shell(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Echoes lines; `size`, `flood N`, `reach` and `exit N` are commands."""
    process.stdout.write(f"{process.term_type} {process.term_size[:2]}\n".encode())
    while True:
        try:
            line = await process.stdin.readline()
        except asyncssh.TerminalSizeChanged:
            continue
        if not line:
            return
        words = line.split()
        if words[:1] == [b"exit"]:
            process.exit(int(words[1]))
            return
        if words[:1] == [b"flood"]:
            for start in range(0, int(words[1]), 1000):
                process.stdout.write(b"".join(b"%07d\n" % number for number in range(start, start + 1000)))
                await process.stdout.drain()
        elif words[:1] == [b"reach"]:
            process.stdout.write(await reach_back(process.channel.get_connection()) + b"\n")
        elif words[:1] == [b"size"]:
            process.stdout.write(f"{process.term_size[:2]}\n".encode())
        else:
            process.stdout.write(b"> " + line)


class Place:
    """A Bastion host on a Unix socket and an SSH server on a TCP port."""

    def __init__(self, bastion: BastionServer, path: Path, port: int) -> None:
        self.bastion = bastion
        self.path = path
        self.port = port

    def login(self, **more: object) -> Open:
        fields: dict[str, object] = {"address": "127.0.0.1", "port": self.port, "username": "ada", "password": "right"}
        return Open(**{**fields, **more})  # type: ignore[arg-type]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    ssh = await asyncssh.create_server(
        Login,
        "127.0.0.1",
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        process_factory=shell,
        encoding=None,
        line_editor=False,
    )
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "s"))
    listening.listen()
    listening.setblocking(False)
    bastion = BastionServer(frozenset({os.getuid()}), attach_seconds=0.4)
    server = await bastion.serve(listening)
    expiring = asyncio.create_task(bastion.expire())
    yield Place(bastion, tmp_path / "s", ssh.sockets[0].getsockname()[1])
    expiring.cancel()
    server.close()
    for session in list(bastion.sessions.values()):
        session.close()
    ssh.close()


async def read_until(connection: BastionConnection, end: bytes) -> bytes:
    seen = b""
    async with asyncio.timeout(10):
        while not seen.endswith(end):
            data = await connection.read()
            assert data, seen
            seen += data
    return seen


async def test_a_session_has_a_terminal_and_ends_with_its_status(place: Place) -> None:
    session = await BastionConnection.open(place.path, place.login(terminal="vt100", columns=100, rows=40))
    assert await read_until(session, b"\n") == b"vt100 (100, 40)\n"
    await session.write(b"hello\n")
    assert await read_until(session, b"\n") == b"> hello\n"
    await session.resize(50, 20)
    await session.write(b"size\n")
    assert await read_until(session, b"\n") == b"(50, 20)\n"
    await session.write(b"exit 7\n")
    assert await session.read() == b""
    assert session.exit == wire.Exit(status=7)
    assert place.bastion.sessions == {}


async def test_a_key_logs_in(place: Place) -> None:
    key = KEY.export_private_key().decode()
    session = await BastionConnection.open(place.path, place.login(password=None, private_key=key))
    assert await read_until(session, b"\n")
    await session.close()
    locked = KEY.export_private_key(passphrase="secret", rounds=4).decode()
    session = await BastionConnection.open(
        place.path, place.login(password=None, private_key=locked, passphrase="secret")
    )
    await session.close()


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"password": "wrong"}, Code.AUTHENTICATION_FAILED),
        ({"password": None, "private_key": "no key"}, Code.BAD_KEY),
        ({"port": 1}, Code.REFUSED),
        ({"address": "255.255.255.255"}, Code.UNREACHABLE),
    ],
)
async def test_failures_have_codes(place: Place, request_: dict[str, object], code: Code) -> None:
    with pytest.raises(BastionError) as failed:
        await BastionConnection.open(place.path, place.login(**request_))
    assert failed.value.code is code
    assert await wire.ping(place.path, 1) == 0


async def test_silence_is_unreachable(place: Place) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        with pytest.raises(BastionError, match="does not answer") as failed:
            await BastionConnection.open(place.path, place.login(port=full.getsockname()[1], timeout=0.3))
        assert failed.value.code is Code.UNREACHABLE
        for one in waiting:
            one.close()


async def test_what_is_no_ssh(place: Place) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    other = await asyncio.start_server(serve, "127.0.0.1", 0)
    with pytest.raises(BastionError) as failed:
        await BastionConnection.open(place.path, place.login(port=other.sockets[0].getsockname()[1], timeout=3))
    assert failed.value.code is Code.NOT_SSH
    other.close()


async def test_nothing_is_lost_or_doubled_when_the_client_is(place: Place) -> None:
    session = await BastionConnection.open(place.path, place.login())
    await read_until(session, b"\n")
    await session.write(b"flood 20000\n")
    seen = b""
    while len(seen) < 40_000:
        seen += await session.read()
    session.drop()  # without a word, as a process that is killed
    await asyncio.sleep(0.1)
    again = await BastionConnection.attach(place.path, session.session, session.received)
    assert again.input == len(b"flood 20000\n")
    seen += await read_until(again, b"0019999\n")
    assert seen == b"".join(b"%07d\n" % n for n in range(20000))


async def test_a_client_that_read_less_than_was_sent_gets_it_again(place: Place) -> None:
    session = await BastionConnection.open(place.path, place.login())
    await session.write(b"one\ntwo\n")
    await asyncio.sleep(0.1)
    session.drop()
    again = await BastionConnection.attach(place.path, session.session, 0)
    assert await read_until(again, b"> two\n") == b"xterm-256color (80, 24)\n> one\n> two\n"


async def test_output_is_held_up_and_not_dropped_when_nobody_reads(place: Place) -> None:
    session = await BastionConnection.open(place.path, place.login())
    await session.write(b"flood 300000\n")
    await asyncio.sleep(0.3)
    held = place.bastion.sessions[session.session]
    assert len(held._output) < 2 << 20
    seen = await asyncio.wait_for(read_until(session, b"0299999\n"), 30)
    assert seen.count(b"\n") == 300_001


async def test_a_newer_client_takes_over(place: Place) -> None:
    old = await BastionConnection.open(place.path, place.login())
    await read_until(old, b"\n")
    new = await BastionConnection.attach(place.path, old.session, old.received, 90, 30)
    assert await old.read() == b""
    assert old.exit is None
    await new.write(b"size\n")
    assert await read_until(new, b"\n") == b"(90, 30)\n"
    await asyncio.sleep(0.7)
    assert await wire.ping(place.path, 1) == 1, "the old one's end does not start the clock"


async def test_a_session_nobody_returns_to_ends(place: Place) -> None:
    session = await BastionConnection.open(place.path, place.login())
    session.drop()
    await asyncio.sleep(0.8)
    assert await wire.ping(place.path, 1) == 0
    with pytest.raises(BastionError) as failed:
        await BastionConnection.attach(place.path, session.session, 0)
    assert failed.value.code is Code.SESSION_NOT_FOUND


async def test_a_machine_reaches_nothing_through_the_session(place: Place) -> None:
    session = await BastionConnection.open(place.path, place.login())
    await read_until(session, b"\n")
    await session.write(b"reach\n")
    assert await read_until(session, b"\n") == b"refused: tcp unix agent x11\n"
    await session.close()


@pytest.mark.parametrize(
    "frame",
    [
        Open(address="127.0.0.1", username="ada", password="right"),
        Tunnel(address="127.0.0.1", port=22),
        wire.Attach(session="x", received=0),
        wire.Ping(),
    ],
)
async def test_a_client_cannot_turn_its_session_elsewhere(place: Place, frame: wire.AnyFrame) -> None:
    session = await BastionConnection.open(place.path, place.login())
    await read_until(session, b"\n")
    wire.write_frame(session._writer, frame)
    answer = await asyncio.wait_for(wire.read_frame(session._reader), 10)
    assert isinstance(answer, wire.Failed)
    assert answer.code is Code.INVALID_REQUEST
    session.drop()


async def test_a_session_is_its_owners_alone(place: Place) -> None:
    session = await BastionConnection.open(place.path, place.login(owner="ada one"))
    await read_until(session, b"\n")
    for owner in ("", "ada two", "bob one"):
        with pytest.raises(BastionError) as failed:
            await BastionConnection.attach(place.path, session.session, 0, owner=owner)
        assert failed.value.code is Code.SESSION_NOT_FOUND
    await session.write(b"still here\n")
    assert await read_until(session, b"\n") == b"> still here\n"
    again = await BastionConnection.attach(place.path, session.session, session.received, owner="ada one")
    await again.close()


async def test_a_tunnel_carries_bytes_both_ways(place: Place) -> None:
    tunnel = await BastionConnection.open(place.path, Tunnel(address="127.0.0.1", port=place.port))
    assert (await tunnel.read()).startswith(b"SSH-2.0-")
    await tunnel.write(b"no ssh\r\n")
    assert await asyncio.wait_for(_rest(tunnel), 5) is not None
    with pytest.raises(BastionError) as failed:
        await BastionConnection.open(place.path, Tunnel(address="127.0.0.1", port=1))
    assert failed.value.code is Code.REFUSED


async def _rest(connection: BastionConnection) -> bytes:
    rest = b""
    while data := await connection.read():
        rest += data
    return rest


async def test_another_user_is_not_answered(tmp_path: Path) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "s"))
    listening.listen()
    listening.setblocking(False)
    server = await BastionServer(frozenset({os.getuid() + 1})).serve(listening)
    with pytest.raises(OSError, match="does not answer"):
        await wire.ping(tmp_path / "s", 2)
    server.close()


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00\x00\x02\xc1\xc1",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x01\x80",
        b"\x00\x00\x00\x0b\x81\xa4type\xa4Data",
        b"\x00\x00\x00\x0b\x81\xa4type\xa4Pong",
    ],
)
async def test_what_is_no_request_is_refused(place: Place, data: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(place.path))
    writer.write(data)
    answer = await asyncio.wait_for(wire.read_frame(reader), 5)
    assert isinstance(answer, wire.Failed)
    assert answer.code is Code.INVALID_REQUEST
    writer.close()

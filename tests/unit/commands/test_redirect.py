"""`azlan redirect`: Azure's names lead to the cloud, for the command alone, and nothing stays behind."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from azlan.commands import redirect
from azlan.commands.azure_cli import Login
from azlan.commands.clouds import CommandError
from azlan.commands.redirect import AZURE, Proxy, run, variables
from azlan.config import Config, new_config
from azlan.services import certificates

Asked = tuple[str, asyncio.StreamReader, asyncio.StreamWriter]
LOGIN = Login("tenant", "subscription", "client", "secret")


@asynccontextmanager
async def capitals(port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that says back what it hears, in capitals; its TCP port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, ssl=tls)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


@asynccontextmanager
async def cloud(folder: Path) -> AsyncIterator[Config]:
    """A server of capitals stands for the control process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    options: dict[str, Any] = {"engine": "model", "machines": "simulated", "port": port}
    config = new_config(folder / "state", uid=os.geteuid(), gid=os.getegid(), **options)
    config.authority.parent.mkdir(parents=True)
    pems = certificates.ensure(config.control, config.authority, config.mark)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pems.chain, pems.key)
    async with capitals(port, tls):
        yield config


@asynccontextmanager
async def asked(proxy: Proxy, request: str, *, password: str | None = None) -> AsyncIterator[Asked]:
    """The status that a request's head gets; credentials as a client makes them of the proxy's URL."""
    parts = urlsplit(proxy.url)
    credentials = base64.b64encode(f"{parts.username}:{password or parts.password}".encode()).decode()
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"{request} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic {credentials}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    try:
        yield head.decode().split("\r\n")[0].partition(" ")[2], reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def opened() -> list[str]:
    """What this process's descriptors are of."""
    found = []
    for entry in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the folder's own
            found.append(os.readlink(f"/proc/self/fd/{entry}"))
    return found


@pytest.mark.parametrize("name", AZURE)
def test_azures_names_lead_to_the_cloud(tmp_path: Path, name: str) -> None:
    async def main() -> None:
        async with cloud(tmp_path) as config:
            proxy = Proxy(config)
            async with await proxy.start(), asked(proxy, f"CONNECT {name.title()}:443") as (status, reader, writer):
                assert status == "200 Connection established"
                await writer.start_tls(
                    ssl.create_default_context(cadata=proxy.authority.decode()), server_hostname=name
                )
                writer.write(b"hello\n")
                assert await reader.readline() == b"HELLO\n"

    asyncio.run(main())


def test_others_are_reached_as_ever(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud(tmp_path) as config, capitals() as elsewhere:
            proxy = Proxy(config)
            async with await proxy.start(), asked(proxy, f"CONNECT 127.0.0.1:{elsewhere}") as (_, reader, writer):
                writer.write(b"hello\n")
                assert await reader.readline() == b"HELLO\n"
                writer.write_eof()
                assert await reader.read() == b""

    asyncio.run(main())


def test_what_the_command_left_running_is_hung_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud(tmp_path) as config, capitals() as elsewhere:
            proxy = Proxy(config)
            async with await proxy.start(), asked(proxy, f"CONNECT 127.0.0.1:{elsewhere}") as (_, reader, _):
                await proxy.hang_up()
                assert await reader.read() == b""

    asyncio.run(main())


@pytest.mark.parametrize(
    ("request_line", "password", "status"),
    [
        ("CONNECT management.azure.com:443", "guessed", "407 Proxy Authentication Required"),
        ("GET http://management.azure.com/", None, "405 Method Not Allowed"),
        ("CONNECT management.azure.com:80", None, "403 Forbidden"),
        ("CONNECT graph.microsoft.com:443", None, "403 Forbidden"),
        ("CONNECT management.azure.com", None, "400 Bad Request"),
        ("CONNECT :443", None, "400 Bad Request"),
        ("CONNECT x:99999", None, "400 Bad Request"),
        ("CONNECT 127.0.0.1:1", None, "502 Bad Gateway"),
    ],
)
def test_what_is_refused(tmp_path: Path, request_line: str, password: str | None, status: str) -> None:
    async def main() -> None:
        async with cloud(tmp_path) as config:
            proxy = Proxy(config)
            async with await proxy.start(), asked(proxy, request_line, password=password) as (answered, reader, _):
                assert answered == status
                assert await reader.read() == b""

    asyncio.run(main())


def test_a_cloud_that_is_not_up_is_a_bad_gateway(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud(tmp_path) as config:
            proxy = Proxy(config)
        async with await proxy.start(), asked(proxy, "CONNECT management.azure.com:443") as (status, _, _):
            assert status == "502 Bad Gateway"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "localhost,127.0.0.1,::1"),
        ("*", "localhost,127.0.0.1,::1"),
        ("10.0.0.0/8, .corp.example", "localhost,127.0.0.1,::1,10.0.0.0/8,.corp.example"),
        (".azure.com,com,login.microsoftonline.com:443,*.microsoftonline.com", "localhost,127.0.0.1,::1"),
        ("zure.com,localhost", "localhost,127.0.0.1,::1,zure.com"),
    ],
)
def test_nothing_keeps_azures_names_from_the_proxy(before: str, after: str) -> None:
    told = variables(LOGIN, "http://proxy", "/bundle", {"NO_PROXY": before})
    assert told["NO_PROXY"] == told["no_proxy"] == after


def test_the_command_is_told_all_and_its_status_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificates are read by another process while the command runs, and are nowhere once it has ended."""
    monkeypatch.setenv("AZURE_CLOUD_ENVIRONMENT", "AzureChinaCloud")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    seen, copy = tmp_path / "seen", tmp_path / "copy"
    script = f'env > {seen}; cat "$REQUESTS_CA_BUNDLE" > {copy}; exit 7'

    async def main() -> None:
        async with cloud(tmp_path) as config:
            assert await run(config, LOGIN, ["sh", "-c", script]) == 7
            assert copy.read_bytes().count(config.authority.read_bytes()) == 1

    asyncio.run(main())
    told = dict(line.partition("=")[::2] for line in seen.read_text().splitlines())
    assert (told["AZURE_TENANT"], told["AZURE_CLIENT_ID"], told["AZURE_SECRET"]) == ("tenant", "client", "secret")
    assert "AZURE_CLOUD_ENVIRONMENT" not in told
    assert told["HTTPS_PROXY"] == told["https_proxy"]
    content = copy.read_text()
    assert content.count("BEGIN CERTIFICATE") > 100
    assert "PRIVATE" not in content
    assert [name for name in opened() if "azlan-" in name] == []


def test_a_command_that_is_ended_is_ended_gently(tmp_path: Path) -> None:
    """SIGTERM reaches the command; what it says at the end is its own."""
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n"
        "os.kill(os.getppid(), signal.SIGINT)\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "time.sleep(30)"
    )

    async def main() -> int:
        async with cloud(tmp_path) as config:
            return await run(config, LOGIN, [sys.executable, "-c", code])

    assert asyncio.run(main()) == 9


def test_a_command_that_a_signal_ended(tmp_path: Path) -> None:
    async def main() -> int:
        async with cloud(tmp_path) as config:
            return await run(config, LOGIN, ["sh", "-c", "kill -KILL $$"])

    assert asyncio.run(main()) == 128 + signal.SIGKILL


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud(tmp_path) as config:
            await run(config, LOGIN, ["there-is-no-such-command"])

    with pytest.raises(CommandError, match="there-is-no-such-command cannot be run"):
        asyncio.run(main())


def test_whom_the_caller_trusts_is_trusted_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.pem"
    own.write_bytes(b"mine")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(own))
    assert redirect._trusted() == b"mine"
    own.unlink()
    with pytest.raises(CommandError, match="cannot be read"):
        redirect._trusted()

"""`azlan redirect COMMAND`: for clients that know Azure's own names alone, an HTTPS proxy that leads these names to this cloud.

The command finds it by `HTTPS_PROXY` (RFC 9110, 9.3.6: CONNECT). The certificate for Azure's names is this process's own: its
authority vouches for nothing else, its keys are in no file, and nobody but the command is told to trust it.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import os
import secrets
import signal
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import certifi

from azlan.commands.azure_cli import Login
from azlan.commands.clouds import CloudClient, CommandError
from azlan.config import Config
from azlan.services import certificates

AZURE = ("management.azure.com", "login.microsoftonline.com")
"""The names that lead to the cloud: Resource Manager, and Microsoft Entra ID."""
NOT_SERVED = (
    "graph.microsoft.com",
    "graph.windows.net",
    "login.windows.net",
    "management.core.windows.net",
)
"""Azure's, too, and nothing of this cloud: a client that asks for them is refused, so that no token goes astray."""

_MISLEADING = ("AZURE_CLOUD_ENVIRONMENT", "AZURE_ADFS_AUTHORITY_URL")
"""Name another cloud, to azure.azcollection."""
_OWN = ("localhost", "127.0.0.1", "::1")
_MOST_HEAD = 16 * 1024
_HEAD_SECONDS = 30
_PIECE = 64 * 1024


class Refusal(Exception):
    """What the proxy answers instead of 200."""

    def __init__(self, status: str, *headers: str) -> None:
        super().__init__(status)
        self.answer = "\r\n".join((f"HTTP/1.1 {status}", *headers, "Content-Length: 0", "", "")).encode()


class Proxy:
    """Listens on loopback for those who know `url`. What goes to `AZURE` goes to the cloud; what goes elsewhere, there."""

    def __init__(self, config: Config) -> None:
        """Raises CommandError where the cloud was never up."""
        self._cloud = ("127.0.0.1", config.port)
        self._trust = CloudClient(config).context()
        brief = certificates.for_a_while(*AZURE)
        self.authority = brief.authority
        self._tls = _server_context(brief.server)
        self._password = secrets.token_urlsafe(24)
        self._expected = base64.b64encode(f"azlan:{self._password}".encode())
        self._connections: set[asyncio.Task[None]] = set()
        self.url = ""

    async def start(self) -> asyncio.Server:
        """Serve on a free TCP port; `url` names it from now on."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_MOST_HEAD)
        port = server.sockets[0].getsockname()[1]
        self.url = f"http://azlan:{self._password}@127.0.0.1:{port}"
        return server

    async def hang_up(self) -> None:
        """End every connection: what the command left running may hold one."""
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            await self._tunnel(reader, writer)
        except Refusal as refusal:
            writer.write(refusal.answer)
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass  # whoever it was has gone, or speaks no HTTP
        finally:
            await _close(writer)

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        host, port = self._destination(head)
        redirected = host in AZURE
        try:
            if redirected:
                there = await asyncio.open_connection(*self._cloud, ssl=self._trust, server_hostname="localhost")
            else:
                there = await asyncio.open_connection(host, port)
        except (OSError, UnicodeError) as error:
            raise Refusal("502 Bad Gateway") from error
        try:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            if redirected:
                await writer.start_tls(self._tls)
            await _both_ways((reader, writer), there)
        finally:
            await _close(there[1])

    def _destination(self, head: bytes) -> tuple[str, int]:
        """Host and port that a CONNECT asks for. Raises Refusal."""
        request, *lines = head.decode("latin-1").split("\r\n")
        given = dict(_field(line) for line in lines if ":" in line).get("proxy-authorization", "")
        scheme, _, credentials = given.partition(" ")
        if scheme.lower() != "basic" or not hmac.compare_digest(credentials.strip().encode(), self._expected):
            raise Refusal("407 Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="azlan"')
        method, _, rest = request.partition(" ")
        if method != "CONNECT":
            raise Refusal("405 Method Not Allowed", "Allow: CONNECT")
        host, _, port = rest.partition(" ")[0].rpartition(":")
        host = host.strip("[]").rstrip(".").lower()
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise Refusal("400 Bad Request")
        if host in NOT_SERVED or (host in AZURE and port != "443"):
            raise Refusal("403 Forbidden")
        return host, int(port)


async def run(config: Config, login: Login, command: Sequence[str]) -> int:
    """Run the command with the proxy until it ends; its exit status. Raises CommandError where it cannot be started."""
    proxy = Proxy(config)
    bundle = _in_memory("certificates", _trusted() + b"\n" + config.authority.read_bytes() + proxy.authority)
    try:
        async with await proxy.start():
            given = variables(login, proxy.url, f"/proc/{os.getpid()}/fd/{bundle}", os.environ)
            kept = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
            status = await _run(command, {**kept, **given})
            await proxy.hang_up()
    finally:
        os.close(bundle)
    return status


async def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit status, as a shell tells it of a command that a signal ended."""
    try:
        process = await asyncio.create_subprocess_exec(*command, env=environment)
    except OSError as error:
        raise CommandError(f"{command[0]} cannot be run: {error.strerror}.") from error
    loop = asyncio.get_running_loop()
    # From a terminal the command hears Ctrl-C itself, and says how it ends.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_signal_handler(signal.SIGTERM, process.terminate)
    status = await process.wait()
    return status if status >= 0 else 128 - status


def variables(login: Login, proxy: str, bundle: str, given: Mapping[str, str]) -> dict[str, str]:
    """What the command is told: the proxy, whom to trust, who it is; by the names of azure.azcollection and the SDKs.

    `given` is the caller's environment: what it keeps from proxies stays so, but for Azure's names.
    """
    past = given.get("no_proxy") or given.get("NO_PROXY") or ""
    kept = [name for name in (part.strip() for part in past.split(",")) if name and not _covers(name)]
    without = ",".join(dict.fromkeys((*_OWN, *kept)))
    return {
        "HTTPS_PROXY": proxy,
        "https_proxy": proxy,
        "NO_PROXY": without,
        "no_proxy": without,
        "REQUESTS_CA_BUNDLE": bundle,
        "CURL_CA_BUNDLE": bundle,
        "SSL_CERT_FILE": bundle,
        "NODE_EXTRA_CA_CERTS": bundle,
        "AZURE_SUBSCRIPTION_ID": login.subscription,
        "AZURE_TENANT": login.tenant,
        "AZURE_TENANT_ID": login.tenant,
        "AZURE_CLIENT_ID": login.client_id,
        "AZURE_SECRET": login.secret,
        "AZURE_CLIENT_SECRET": login.secret,
    }


def _covers(name: str) -> bool:
    """Whether an entry of NO_PROXY would keep one of Azure's names from the proxy."""
    bare = name.lower().removeprefix("*").removeprefix(".").partition(":")[0]
    return not bare or any(f".{host}".endswith(f".{bare}") for host in AZURE)


def _trusted() -> bytes:
    """Whom the caller trusts by now."""
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or certifi.where()
    try:
        return Path(named).read_bytes()
    except OSError as error:
        raise CommandError(f"The certificates in {named} cannot be read: {error.strerror}.") from error


def _server_context(pem: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    held = _in_memory("key", pem)
    try:
        context.load_cert_chain(f"/proc/self/fd/{held}")
    finally:
        os.close(held)
    return context


def _in_memory(name: str, content: bytes) -> int:
    """A file without a place, closed to others and in the command: it ends with this process."""
    made = os.memfd_create(f"azlan-{name}")
    with open(made, "wb", closefd=False) as out:
        out.write(content)
    return made


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _both_ways(one: _Streams, other: _Streams) -> None:
    """Carry what each side says to the other, until one of them has said all."""
    ways = [asyncio.create_task(_pump(one[0], other[1])), asyncio.create_task(_pump(other[0], one[1]))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()

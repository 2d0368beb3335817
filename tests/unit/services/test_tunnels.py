"""Tunnels for native clients, as Microsoft's extension asks for them: tokens, the websocket, refusals.

websockets ── BastionTunnels ── Unix socket ── BastionServer ── an echo on a TCP port
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from azlan.arm.resource import Json, Principal
from azlan.base.errors import ArmError
from azlan.machines.bastion import BastionServer
from azlan.services import tunnels
from azlan.services.tunnels import NOT_NATIVE, BastionTunnels

ADA, BOB = (Principal(f"object-{name}", "t", name) for name in ("ada", "bob"))
BASTION = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/bastionHosts/Bastion"
VM = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm"
HOST = "bst-1"


@dataclass
class Place:
    """The service on a TCP port, and an echo behind its Bastion host."""

    http: httpx.AsyncClient
    port: int
    echo: int
    documents: dict[str, Json]

    @property
    def bastion(self) -> Json:
        return self.documents[BASTION]

    async def ask(self, host: str = HOST, **more: Any) -> httpx.Response:
        form = {
            "resourceId": VM,
            "protocol": "tcptunnel",
            "workloadHostPort": str(self.echo),
            "aztoken": "ada",
            **more,
        }
        return await self.http.post(f"/_azlan/{host}/api/tokens", data=form)

    async def tokens(self, **more: Any) -> dict[str, str]:
        answer = await self.ask(**more)
        assert answer.status_code == 200, answer.text
        found: dict[str, str] = answer.json()
        return found

    def stream(self, given: dict[str, str], host: str = HOST, **more: Any) -> Any:
        path = f"/_azlan/{host}/webtunnelv2/{given['websocketToken']}?X-Node-Id={given['nodeId']}"
        return connect(f"ws://127.0.0.1:{self.port}{path}", compression=None, proxy=None, **more)

    async def end(self, given: dict[str, str], **headers: str) -> int:
        path = f"/_azlan/{HOST}/api/tokens/{given['authToken']}"
        return (await self.http.delete(path, headers={"X-Node-Id": given["nodeId"], **headers})).status_code


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        if data == b"bye":
            break
        writer.write(data.upper())
    writer.close()


@asynccontextmanager
async def served(routes: Any, port: socket.socket) -> AsyncIterator[None]:
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off"))
    task = asyncio.create_task(server.serve(sockets=[port]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield
    server.should_exit = True
    await task


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    listening = socket.socket(socket.AF_UNIX)
    path = tmp_path / "b.sock"
    listening.bind(str(path))
    bastion = await BastionServer(frozenset({os.getuid()})).serve(listening)
    echoing = await asyncio.start_server(echo, "127.0.0.1", 0)
    documents: dict[str, Json] = {
        BASTION: {
            "id": BASTION,
            "name": "Bastion",
            "sku": {"name": "Standard"},
            "properties": {"provisioningState": "Succeeded", "enableTunneling": True, "enableIpConnect": False},
        }
    }

    def authenticate(header: str | None) -> Principal:
        for principal in (ADA, BOB):
            if header == f"Bearer {principal.name}":
                return principal
        raise ArmError(401, "AuthenticationFailed", "Authentication failed.")

    def document(principal: Principal, id: str) -> Json:
        if principal is not ADA:
            raise ArmError(403, "AuthorizationFailed", "bob may not")
        return documents[id]

    def address(principal: Principal, id: str) -> str:
        document(principal, BASTION)
        if id != VM:
            raise ArmError(404, "ResourceNotFound", f"{id} was not found")
        return "127.0.0.1"

    port = socket.create_server(("127.0.0.1", 0))
    number = port.getsockname()[1]
    endpoint = f"http://127.0.0.1:{number}"
    sockets = {f"machine:{BASTION.lower()}": path}
    routes = BastionTunnels(authenticate, document, lambda: {HOST: BASTION}, address, sockets.__getitem__, endpoint)
    async with served(routes.routes(), port), httpx.AsyncClient(base_url=endpoint) as http:
        yield Place(http, number, echoing.sockets[0].getsockname()[1], documents)
    bastion.close()
    echoing.close()


async def said(stream: ClientConnection, text: bytes) -> Any:
    await stream.send(text)
    async with asyncio.timeout(20):
        return await stream.recv()


async def test_bytes_there_and_back(place: Place) -> None:
    given = await place.tokens()
    assert given.keys() == {"authToken", "nodeId", "websocketToken"}
    async with place.stream(given) as stream:
        assert await said(stream, b"hello") == b"HELLO"
        assert await said(stream, b"more") == b"MORE"


async def test_several_at_a_time_by_one_session(place: Place) -> None:
    first = await place.tokens()
    second = await place.tokens(token=first["authToken"])
    assert (second["authToken"], second["nodeId"]) == (first["authToken"], first["nodeId"])
    async with place.stream(first) as one, place.stream(second) as other:
        assert [await said(one, b"a"), await said(other, b"b"), await said(one, b"c")] == [b"A", b"B", b"C"]
    elsewhere = await place.tokens(token=first["authToken"], workloadHostPort="1")
    assert elsewhere["authToken"] != first["authToken"], "a session reaches its own target alone"


async def test_the_machine_hangs_up(place: Place) -> None:
    async with place.stream(await place.tokens()) as stream:
        with pytest.raises(ConnectionClosed):
            await said(stream, b"bye")


async def test_a_token_opens_one_websocket_of_its_own_host(place: Place) -> None:
    given = await place.tokens()
    async with place.stream(given):
        pass
    for attempt in (
        place.stream(given),
        place.stream({**given, "websocketToken": "guess"}),
        place.stream(await place.tokens(), host="bst-2"),
        place.stream({**await place.tokens(), "nodeId": "other"}),
        place.stream(await place.tokens(), origin="https://evil.test"),
    ):
        with pytest.raises(InvalidStatus) as refused:
            async with attempt:
                pass
        assert refused.value.response.status_code == 403


async def test_a_token_expires(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnels, "WEBSOCKET_SECONDS", -1.0)
    with pytest.raises(InvalidStatus):
        async with place.stream(await place.tokens()):
            pass


async def test_ending_a_session_ends_what_runs(place: Place) -> None:
    given = await place.tokens()
    late = await place.tokens(token=given["authToken"])
    async with place.stream(given) as stream:
        assert await said(stream, b"x") == b"X"
        assert await place.end(given, **{"X-Node-Id": "other"}) == 404
        assert await said(stream, b"y") == b"Y"
        assert await place.end(given) == 204
        with pytest.raises(ConnectionClosed) as closed:
            await stream.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
    assert await place.end(given) == 404
    with pytest.raises(InvalidStatus):
        async with place.stream(late):
            pass


async def test_why_a_tunnel_does_not_come_to_be(place: Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        given = await place.tokens(workloadHostPort=str(taken.getsockname()[1]))
        async with place.stream(given) as stream:
            with pytest.raises(ConnectionClosed) as closed:
                await stream.recv()
    assert closed.value.rcvd is not None
    assert "refuses connections" in closed.value.rcvd.reason


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"aztoken": "nobody"}, 401, "Authentication failed."),
        ({"aztoken": "bob"}, 403, "bob may not"),
        ({"protocol": "rdp"}, 400, "The protocol must be tcptunnel."),
        ({"workloadHostPort": "0"}, 400, "'0' is no port."),
        ({"resourceId": f"{VM}x"}, 404, f"{VM}x was not found"),
        ({"host": "bst-2"}, 404, "There is no such Bastion host."),
        (
            {"resourceId": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/bh-hostConnect/10.0.0.4"},
            403,
            "IP-based connections are not enabled on the Bastion host.",
        ),
    ],
)
async def test_refusals(place: Place, change: dict[str, Any], status: int, words: str) -> None:
    answer = await place.ask(**change)
    assert (answer.status_code, answer.json()["message"]) == (status, words)


@pytest.mark.parametrize(
    ("sku", "tunneling"), [("Basic", True), ("Standard", False), ("Standard", None), ("Premium", False)]
)
async def test_only_where_native_clients_are_enabled(place: Place, sku: str, tunneling: bool | None) -> None:
    place.bastion["sku"]["name"] = sku
    place.bastion["properties"]["enableTunneling"] = tunneling
    answer = await place.ask()
    assert (answer.status_code, answer.json()["message"]) == (403, NOT_NATIVE)


async def test_a_bastion_host_that_is_not_ready(place: Place) -> None:
    place.bastion["properties"]["provisioningState"] = "Updating"
    assert (await place.ask()).status_code == 409


async def test_by_address(place: Place) -> None:
    place.bastion["properties"]["enableIpConnect"] = True
    target = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/bh-hostConnect/127.0.0.1"
    assert (await place.ask(resourceId=target)).json()["message"] == "IP-based connections are to port 22 or 3389."
    wrong = await place.ask(resourceId=target, hostname="evil.test", workloadHostPort="22")
    assert wrong.json()["message"] == "'evil.test' is no IP address."
    assert (await place.ask(resourceId=target, hostname="127.0.0.1", workloadHostPort="22")).status_code == 200

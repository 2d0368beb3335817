"""Bastion sessions as a client has them: tickets, their one use, whose a session is, its one target, its audit entry.

websockets ── BastionSessions ── Unix socket ── BastionServer ── an SSH server in this process
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from azlan.arm.resource import Json, Principal
from azlan.base.errors import ArmError
from azlan.machines.bastion import BastionServer
from azlan.services import bastion as bastion_module
from azlan.services.bastion import SIGN_IN, BastionSessions

ADA, BOB, EVE = (Principal(f"object-{name}", "t", name) for name in ("ada", "bob", "eve"))
GROUP = "/subscriptions/s/resourceGroups/g/providers"
BASTION = f"{GROUP}/Microsoft.Network/bastionHosts/Bastion"
VM = f"{GROUP}/Microsoft.Compute/virtualMachines/vm"
NIC = f"{GROUP}/Microsoft.Network/networkInterfaces/nic"
SECRET = "the right password"
FOREIGN = "https://evil.example"


class Login(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return password == SECRET


async def shell(process: asyncssh.SSHServerProcess[bytes]) -> None:
    while line := await process.stdin.readline():
        process.stdout.write(b"> " + line)


@dataclass
class Place:
    http: httpx.AsyncClient
    origin: str
    port: int
    """Where the machine's SSH listens."""
    documents: dict[str, Json]
    audit: list[tuple[str, tuple[str, ...], str, str]] = field(default_factory=list)

    async def ask(self, who: str = "ada", sign_in: str = "", **more: Any) -> httpx.Response:
        body = {"bastion": BASTION, **more}
        if "session" not in more:
            body = {"target": VM, "username": "azureuser", "password": SECRET, "port": self.port, **body}
        headers = {"Authorization": f"Bearer {who}", "Test-Sign-In": sign_in}
        return await self.http.post("/_azlan/bastion/tickets", json=body, headers=headers)

    async def ticket(self, who: str = "ada", sign_in: str = "", **more: Any) -> str:
        answer = await self.ask(who, sign_in, **more)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["ticket"])

    def socket(self, ticket: str, origin: str | None = None) -> connect:
        url = f"{self.origin.replace('http', 'ws', 1)}/_azlan/bastion/sessions/{ticket}"
        return connect(url, proxy=None, compression=None, origin=origin)  # type: ignore[arg-type]

    async def opened(self, **more: Any) -> tuple[ClientConnection, str]:
        """A session that is open, and its id."""
        socket = await self.socket(await self.ticket(**more))
        return socket, str(json.loads(await said(socket))["opened"])


async def said(stream: ClientConnection) -> Any:
    async with asyncio.timeout(20):
        return await stream.recv()


class SignIns:
    """Says which sign-in asks, as the portal's backend does: a client cannot write into a scope."""

    def __init__(self, app: Starlette) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", ())).get(b"test-sign-in", b"").decode()
        await self._app({**scope, SIGN_IN: given} if given else scope, receive, send)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    machine = await asyncssh.create_server(
        Login,
        "127.0.0.1",
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        process_factory=shell,
        encoding=None,
        line_editor=False,
    )
    listening = socket.socket(socket.AF_UNIX)
    path = tmp_path / "b.sock"
    listening.bind(str(path))
    host = BastionServer(frozenset({os.getuid()}))
    serving = await host.serve(listening)
    documents: dict[str, Json] = {
        BASTION: {
            "id": BASTION,
            "name": "Bastion",
            "type": "Microsoft.Network/bastionHosts",
            "properties": {"provisioningState": "Succeeded"},
        },
        VM: {"properties": {"networkProfile": {"networkInterfaces": [{"id": NIC}]}}},
        NIC: {"properties": {"ipConfigurations": [{"properties": {"privateIPAddress": "127.0.0.1"}}]}},
    }
    audit: list[tuple[str, tuple[str, ...], str, str]] = []

    def authenticate(header: str | None) -> Principal:
        for principal in (ADA, BOB, EVE):
            if header == f"Bearer {principal.name}":
                return principal
        raise ArmError(401, "AuthenticationFailed", "Authentication failed.")

    def document(principal: Principal, id: str) -> Json:
        if principal is EVE and id != BASTION:
            raise ArmError(403, "AuthorizationFailed", "eve may not")
        if id not in documents:
            raise ArmError(404, "ResourceNotFound", f"{id} was not found")
        return documents[id]

    async def note(caller: Principal, about: tuple[str, ...], status: str, words: str) -> None:
        audit.append((caller.name, about, status, words))

    port = socket.create_server(("127.0.0.1", 0))
    origin = f"http://127.0.0.1:{port.getsockname()[1]}"
    sessions = BastionSessions(authenticate, document, lambda _machine: path, origin, note)
    config = uvicorn.Config(SignIns(Starlette(routes=sessions.routes())), log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[port]))
    while not server.started:
        await asyncio.sleep(0.01)
    async with httpx.AsyncClient(base_url=origin) as http:
        yield Place(http, origin, machine.sockets[0].getsockname()[1], documents, audit)
    for session in list(host.sessions.values()):
        session.close()
    serving.close()
    machine.close()
    server.should_exit = True
    await task


async def test_a_log_in_is_in_the_audit_log_without_its_secret(place: Place) -> None:
    stream, _ = await place.opened()
    await stream.send(b"hello\n")
    assert await said(stream) == b"> hello\n"
    await stream.close()
    refused = await place.socket(await place.ticket(password="wrong"))
    assert json.loads(await said(refused))["error"]["code"] == "AuthenticationFailed"
    await refused.close()
    where = f"SSH as azureuser to 127.0.0.1, TCP port {place.port}: "
    assert [(name, about, status) for name, about, status, _ in place.audit] == [
        ("ada", (VM, BASTION), "Succeeded"),
        ("ada", (VM, BASTION), "Failed"),
    ]
    assert [words.partition(": ")[0] + ": " for *_, words in place.audit] == [where, where]
    assert SECRET not in str(place.audit)


async def test_a_session_is_its_owners_and_of_one_sign_in(place: Place) -> None:
    stream, session = await place.opened(sign_in="one")
    await stream.close()
    for who, sign_in in (("bob", "one"), ("ada", "two"), ("ada", "")):
        other = await place.socket(await place.ticket(who, sign_in, session=session, received=0))
        assert json.loads(await said(other))["error"]["code"] == "SessionNotFound", (who, sign_in)
    again = await place.socket(await place.ticket(sign_in="one", session=session, received=0))
    assert json.loads(await said(again)) == {"attached": 0}
    assert len(place.audit) == 1, "a session that goes on is no new one"
    await again.close()


async def test_a_ticket_is_good_once_soon_and_for_our_own_page(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = await place.ticket()
    (await place.socket(ticket)).transport.abort()
    with pytest.raises((InvalidStatus, ConnectionClosed)):
        await place.socket(ticket)
    foreign = await place.ticket()
    with pytest.raises((InvalidStatus, ConnectionClosed)):
        await place.socket(foreign, FOREIGN)
    with pytest.raises((InvalidStatus, ConnectionClosed)):
        await place.socket(foreign, place.origin)
    monkeypatch.setattr(bastion_module, "TICKET_SECONDS", -1.0)
    with pytest.raises((InvalidStatus, ConnectionClosed)):
        await place.socket(await place.ticket())


@pytest.mark.parametrize(
    "more",
    [
        {"address": "10.9.9.9"},
        {"session": "x", "received": 0, "target": VM},
        {"session": "x", "received": -1},
        {"session": "x", "received": 0, "columns": 100_000, "rows": 1},
        {"port": 0},
        {"port": 65536},
        {"columns": 0},
        {"rows": 1000},
        {"username": "u" * 300},
        {"owner": "object-bob "},
    ],
)
async def test_what_a_ticket_may_not_say_is_refused(place: Place, more: dict[str, Any]) -> None:
    answer = await place.ask(**more)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidRequestContent")


async def test_who_may_not_read_the_machine_gets_no_ticket(place: Place) -> None:
    assert (await place.ask("eve")).status_code == 403
    assert (await place.ask("nobody")).status_code == 401
    assert (await place.ask(target=f"{VM}-2")).status_code == 404
    place.documents[VM]["type"] = "Microsoft.Compute/virtualMachines"
    assert (await place.ask(bastion=VM)).json()["error"]["code"] == "InvalidBastionHost"
    assert place.audit == []


async def test_a_bastion_host_that_does_not_run_is_said_and_noted(place: Place, tmp_path: Path) -> None:
    ticket = await place.ticket()
    (tmp_path / "b.sock").unlink()
    stream = await place.socket(ticket)
    assert json.loads(await said(stream))["error"]["code"] == "BastionHostUnavailable"
    assert [(status, "does not run" in words) for *_, status, words in place.audit] == [("Failed", True)]
    await stream.close()

"""Bastion sessions for clients: a one-use ticket by HTTPS, then a websocket that relays to the Bastion host's process.

    POST /_azlan/bastion/tickets   (bearer token)   → {"ticket", "expires_in"}
        {"bastion": id, "target": id of a VM, "port"?: 22, "username", "password" | "private_key", "passphrase"?,
         "terminal"?, "columns"?, "rows"?}          a new session
        {"bastion": id, "session", "received", "columns"?, "rows"?}      the same session again, within 60 s
    GET /_azlan/bastion/sessions/{ticket}           websocket, subprotocol-free
        binary   ◀ output, in order          ▶ input
        text     ◀ {"opened": session} | {"attached": bytes of input had} | {"exit": {"status", "reason"}}
                 ◀ {"error": {"code", "message"}}
                 ▶ {"ack": bytes received so far} | {"resize": [columns, rows]} | {"close": true}

Follows Azure Bastion's rules: the caller needs read on the Bastion host, on the VM and on its NIC. The target's address
is looked up here, so that a ticket reaches the VM it was given for and nothing else. Credentials go through to the
Bastion host and are kept nowhere. A session is its caller's, and of the portal's sign-in where there is one: nobody else
comes back to it. Every log-in, had or refused, is in the activity log of the VM and of the Bastion host.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from azlan.arm.resource import Json, Principal
from azlan.base.errors import ArmError
from azlan.machines import bastion_wire as wire

log = structlog.get_logger(__name__)

TICKET_SECONDS = 60.0
SIGN_IN = "azlan.sign_in"
"""Key of a request's scope: which of the caller's sign-ins asks. No client can put anything there."""
CONNECT = "Microsoft.Network/BastionHost/connect"
"""The operation of an audit entry, as Azure's BastionAuditLogs name it."""
_TICKETS_MOST = 1000
_BODY_LIMIT = 64 * 1024


Side = Annotated[int, msgspec.Meta(gt=0, lt=1000)]
"""Of a terminal, in characters."""


class NewSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    bastion: str
    target: str
    username: Annotated[str, msgspec.Meta(max_length=256)]
    port: Annotated[int, msgspec.Meta(gt=0, lt=65536)] = 22
    password: str | None = None
    private_key: str | None = None
    passphrase: str | None = None
    terminal: Annotated[str, msgspec.Meta(max_length=64)] = "xterm-256color"
    columns: Side = 80
    rows: Side = 24


class OldSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    bastion: str
    session: str
    received: Annotated[int, msgspec.Meta(ge=0)]
    columns: Side | None = None
    rows: Side | None = None


Audit = Callable[[Principal, tuple[str, ...], str, str], Awaitable[None]]
"""Who, ids of what it was about, `Succeeded` or `Failed`, in words."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket stands for, until it is used or has expired."""

    principal: Principal
    socket: Path
    request: wire.Open | wire.Attach
    bastion: str
    target: str
    """The VM's id; empty for a session that goes on."""
    expires: float


class BastionSessions:
    """The routes. `document(principal, id)` answers what GET would answer that caller, or raises ArmError."""

    def __init__(
        self,
        authenticate: Callable[[str | None], Principal],
        document: Callable[[Principal, str], Json],
        socket: Callable[[str], Path],
        endpoint: str,
        audit: Audit,
    ) -> None:
        self._audit = audit
        self._authenticate = authenticate
        self._document = document
        self._socket = socket
        self._origin = endpoint
        self._tickets: dict[str, Ticket] = {}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/_azlan/bastion/tickets", self._issue, methods=["POST"]),
            WebSocketRoute("/_azlan/bastion/sessions/{ticket}", self._relay),
        ]

    async def _issue(self, request: Request) -> Response:
        try:
            principal = self._authenticate(request.headers.get("authorization"))
            asked = await self._asked(request)
            ticket = self._ticket(principal, asked, request.scope.get(SIGN_IN, ""))
        except ArmError as error:
            return JSONResponse({"error": error.body}, error.status, headers=error.headers)
        name = secrets.token_urlsafe(32)
        self._sweep()
        self._tickets[name] = ticket
        return JSONResponse({"ticket": name, "expires_in": int(TICKET_SECONDS)}, 201, {"Cache-Control": "no-store"})

    async def _asked(self, request: Request) -> NewSession | OldSession:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _BODY_LIMIT:
                raise ArmError(
                    413, "RequestContentTooLarge", "The request content size exceeds the maximum size limit."
                )
        try:
            document = msgspec.json.decode(bytes(body))
            kind: type[NewSession] | type[OldSession]
            kind = OldSession if isinstance(document, dict) and "session" in document else NewSession
            return msgspec.convert(document, type=kind)
        except msgspec.DecodeError as error:
            raise ArmError(400, "InvalidRequestContent", f"The request content was invalid: {error}.") from error

    def _ticket(self, principal: Principal, asked: NewSession | OldSession, sign_in: str) -> Ticket:
        owner, target = f"{principal.object_id} {sign_in}", ""
        bastion = self._document(principal, asked.bastion)
        if bastion["type"].lower() != "microsoft.network/bastionhosts":
            raise ArmError(400, "InvalidBastionHost", f"{asked.bastion} is no Bastion host.")
        if bastion["properties"].get("provisioningState") != "Succeeded":
            raise ArmError(
                409, "BastionHostNotReady", f"Bastion host {bastion['name']} is not ready: wait until it has Succeeded."
            )
        request: wire.Open | wire.Attach
        if isinstance(asked, OldSession):
            request = wire.Attach(
                session=asked.session,
                received=asked.received,
                columns=asked.columns,
                rows=asked.rows,
                owner=owner,
            )
        else:
            target = asked.target
            request = wire.Open(
                address=self.address(principal, asked.target),
                port=asked.port,
                username=asked.username,
                password=asked.password,
                private_key=asked.private_key,
                passphrase=asked.passphrase,
                terminal=asked.terminal,
                columns=asked.columns,
                rows=asked.rows,
                owner=owner,
            )
        socket = self._socket(f"machine:{bastion['id'].lower()}")
        return Ticket(principal, socket, request, bastion["id"], target, time.monotonic() + TICKET_SECONDS)

    def address(self, principal: Principal, target: str) -> str:
        """The private address of a VM's primary NIC, for a caller who may read both. Raises ArmError."""
        machine = self._document(principal, target)
        nics = machine["properties"].get("networkProfile", {}).get("networkInterfaces", [])
        if not nics:
            raise ArmError(400, "InvalidTarget", f"{target} is no virtual machine with a network interface.")
        primary = next((nic for nic in nics if nic.get("properties", {}).get("primary")), nics[0])
        configurations = self._document(principal, primary["id"])["properties"]["ipConfigurations"]
        first = next((c for c in configurations if c["properties"].get("primary")), configurations[0])
        return str(first["properties"]["privateIPAddress"])

    def _sweep(self) -> None:
        now = time.monotonic()
        self._tickets = {name: ticket for name, ticket in self._tickets.items() if ticket.expires > now}
        while len(self._tickets) >= _TICKETS_MOST:
            del self._tickets[next(iter(self._tickets))]

    async def _relay(self, websocket: WebSocket) -> None:
        origin = websocket.headers.get("origin")
        ticket = self._tickets.pop(websocket.path_params["ticket"], None)
        if (origin is not None and origin != self._origin) or ticket is None or ticket.expires < time.monotonic():
            await websocket.close(code=1008)
            return
        await websocket.accept()
        try:
            reader, writer = await asyncio.open_unix_connection(str(ticket.socket))
        except OSError as error:
            log.warning("a Bastion host does not answer", bastion=ticket.bastion, error=str(error))
            why = "The Bastion host does not run."
            await self._note(ticket, "Failed", why)
            await _tell(websocket, {"error": {"code": "BastionHostUnavailable", "message": why}})
            await websocket.close()
            return
        log.info(
            "Bastion session", bastion=ticket.bastion, caller=ticket.principal.name, kind=type(ticket.request).__name__
        )
        try:
            wire.write_frame(writer, ticket.request)
            upward = asyncio.create_task(_upward(websocket, writer))
            try:
                await self._downward(websocket, reader, ticket)
            finally:
                upward.cancel()
                await asyncio.gather(upward, return_exceptions=True)
        finally:
            # The session itself goes on for a while: the client may come back to it.
            writer.close()
            with contextlib.suppress(RuntimeError):
                await websocket.close()

    async def _downward(self, websocket: WebSocket, reader: asyncio.StreamReader, ticket: Ticket) -> None:
        """From the Bastion host to the client, until either ends."""
        while (frame := await wire.read_frame(reader)) is not None:
            match frame:
                case wire.Data():
                    try:
                        await websocket.send_bytes(frame.data)
                    except (RuntimeError, WebSocketDisconnect):
                        return
                case wire.Opened():
                    await self._note(ticket, "Succeeded", "Successfully Connected.")
                    await _tell(websocket, {"opened": frame.session})
                case wire.Attached():
                    await _tell(websocket, {"attached": frame.input})
                case wire.Failed():
                    await self._note(ticket, "Failed", f"{frame.code.value}: {frame.message}")
                    await _tell(websocket, {"error": {"code": frame.code.value, "message": frame.message}})
                    return
                case wire.Exit():
                    await _tell(websocket, {"exit": {"status": frame.status, "reason": frame.reason}})
                    return

    async def _note(self, ticket: Ticket, status: str, words: str) -> None:
        """The audit entry of a log-in: who, where to, how it went. What came with it is a secret, and not in it."""
        if isinstance(ticket.request, wire.Open):
            login = (
                f"SSH as {ticket.request.username} to {ticket.request.address}, TCP port {ticket.request.port}: {words}"
            )
            await self._audit(ticket.principal, (ticket.target, ticket.bastion), status, login)


async def _tell(websocket: WebSocket, message: dict[str, Any]) -> None:
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await websocket.send_text(json.dumps(message))


async def _upward(websocket: WebSocket, writer: asyncio.StreamWriter) -> None:
    """From the client to the Bastion host. A client that says what is no message is let go."""
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            writer.close()
            return
        if message.get("bytes") is not None:
            data = message["bytes"]
            for at in range(0, len(data), wire.MAX_FRAME // 2):
                wire.write_frame(writer, wire.Data(data=data[at : at + wire.MAX_FRAME // 2]))
        else:
            frame = _control(message.get("text") or "")
            if frame is None:
                writer.close()
                return
            wire.write_frame(writer, frame)
        await writer.drain()


def _control(text: str) -> wire.Ack | wire.Resize | wire.Close | None:
    try:
        match json.loads(text):
            case {"ack": int(received)}:
                return wire.Ack(received=received)
            case {"resize": [int(columns), int(rows)]} if 0 < columns < 1000 and 0 < rows < 1000:
                return wire.Resize(columns=columns, rows=rows)
            case {"close": True}:
                return wire.Close()
    except ValueError:
        return None
    return None

"""Bastion tunnels for native clients: the endpoints that Microsoft's az extension `bastion` speaks to.

    POST   /_azlan/{host}/api/tokens               form: resourceId, protocol=tcptunnel, workloadHostPort, aztoken,
                                                   token?, hostname?     → {"authToken", "nodeId", "websocketToken"}
    GET    /_azlan/{host}/webtunnelv2/{websocketToken}?X-Node-Id=…       websocket, binary both ways: the TCP stream
    DELETE /_azlan/{host}/api/tokens/{authToken}   header X-Node-Id      204, and its tunnels end

`{host}` is the last part of a Bastion host's `dnsName` (`localhost:8443/_azlan/bst-…`): the extension puts `https://` or
`wss://` before that name, which in Azure is a host's of its own. Errors are `{"message"}` with a status other than 200.

As for sessions, the caller needs read on the Bastion host, the VM and its NIC, and the target's address is looked up
here. A websocket token is good for one use. A tunnel is a bare TCP connection: it ends with the websocket.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from azlan.arm.resource import Json, Principal
from azlan.base.errors import ArmError
from azlan.machines import bastion_wire as wire

log = structlog.get_logger(__name__)

NOT_NATIVE = "Bastion Host SKU must be Standard or Premium and Native Client must be enabled."
"""The extension's own words, which it says before it asks anything."""
NATIVE_SKUS = ("Standard", "Premium")
WEBSOCKET_SECONDS = 60.0
IDLE_SECONDS = 3600.0
"""For how long a token without tunnels can be used again."""
_MOST = 1000
_BODY_LIMIT = 64 * 1024
IP_CONNECT = "/microsoft.network/bh-hostconnect/"
IP_CONNECT_PORTS = (22, 3389)
_GOING_AWAY, _POLICY, _FAILED = 1001, 1008, 1011


@dataclass(eq=False)
class Tunnel:
    """What an `authToken` stands for, and the connections that run by it."""

    principal: Principal
    bastion: str
    host: str
    socket: Path
    address: str
    port: int
    node: str = field(default_factory=lambda: secrets.token_hex(8))
    running: set[asyncio.Task[None]] = field(default_factory=set)
    used: float = field(default_factory=time.monotonic)


class BastionTunnels:
    """The routes. `document(principal, id)` answers what GET would answer that caller, or raises ArmError; `hosts()` are
    all Bastion hosts: last part of the `dnsName` → id."""

    def __init__(
        self,
        authenticate: Callable[[str | None], Principal],
        document: Callable[[Principal, str], Json],
        hosts: Callable[[], dict[str, str]],
        address: Callable[[Principal, str], str],
        socket: Callable[[str], Path],
        endpoint: str,
    ) -> None:
        """`address(principal, id)`: the private address of a VM, for a caller who may read it; `socket(part key)`: where
        a Bastion host's process listens."""
        self._authenticate = authenticate
        self._document = document
        self._hosts = hosts
        self._address = address
        self._socket = socket
        self._origin = endpoint
        self._tunnels: dict[str, Tunnel] = {}
        self._tickets: dict[str, tuple[Tunnel, float]] = {}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/_azlan/{host}/api/tokens", self._open, methods=["POST"]),
            Route("/_azlan/{host}/api/tokens/{token}", self._end, methods=["DELETE"]),
            WebSocketRoute("/_azlan/{host}/webtunnelv2/{token}", self._carry),
        ]

    # -- tokens -------------------------------------------------------------------------------------------------------

    async def _open(self, request: Request) -> Response:
        try:
            form = await _form(request)
            principal = self._authenticate(f"Bearer {form.get('aztoken', '')}")
            name, tunnel = self._tunnel(principal, request.path_params["host"], form)
        except ArmError as error:
            return JSONResponse({"message": error.message, "code": error.code}, error.status, error.headers)
        self._sweep()
        self._tunnels[name] = tunnel
        tunnel.used = time.monotonic()
        ticket = secrets.token_urlsafe(32)
        self._tickets[ticket] = tunnel, time.monotonic() + WEBSOCKET_SECONDS
        answer = {"authToken": name, "nodeId": tunnel.node, "websocketToken": ticket}
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    def _tunnel(self, principal: Principal, host: str, form: dict[str, str]) -> tuple[str, Tunnel]:
        """The tunnel asked for: that of the token given, where it is the same one, else a new one."""
        if form.get("protocol") != "tcptunnel":
            raise ArmError(400, "BadRequest", "The protocol must be tcptunnel.")
        bastion = self._bastion(principal, host)
        port = _port(form.get("workloadHostPort", ""))
        target = form.get("resourceId", "")
        if IP_CONNECT in target.lower():
            address = _ip_connect(bastion, form.get("hostname") or target.rpartition("/")[2], port)
        else:
            address = self._address(principal, target)
        wanted = Tunnel(
            principal,
            str(bastion["id"]),
            host,
            self._socket(f"machine:{str(bastion['id']).lower()}"),
            address,
            port,
        )
        last = form.get("token", "")
        held = self._tunnels.get(last)
        if held is not None and _same(held, wanted):
            return last, held
        return secrets.token_urlsafe(32), wanted

    def _bastion(self, principal: Principal, host: str) -> Json:
        id = self._hosts().get(host.lower())
        if id is None:
            raise ArmError(404, "NotFound", "There is no such Bastion host.")
        bastion = self._document(principal, id)
        properties = bastion["properties"]
        if bastion.get("sku", {}).get("name") not in NATIVE_SKUS or not properties.get("enableTunneling"):
            raise ArmError(403, "NativeClientNotEnabled", NOT_NATIVE)
        if properties.get("provisioningState") != "Succeeded":
            raise ArmError(
                409, "BastionHostNotReady", f"Bastion host {bastion['name']} is not ready: wait until it has Succeeded."
            )
        return bastion

    async def _end(self, request: Request) -> Response:
        """Whoever has the token may end what runs by it."""
        found = self._tunnels.get(request.path_params["token"])
        if found is None or found.host.lower() != str(request.path_params["host"]).lower():
            return JSONResponse({"message": "The session was not found."}, 404)
        if request.headers.get("x-node-id", found.node) != found.node:
            return JSONResponse({"message": "The session is another node's."}, 404)
        self._forget(request.path_params["token"])
        return Response(status_code=204)

    def _forget(self, name: str) -> None:
        gone = self._tunnels.pop(name)
        self._tickets = {ticket: entry for ticket, entry in self._tickets.items() if entry[0] is not gone}
        for task in gone.running:
            task.cancel()

    def _sweep(self) -> None:
        """Forget what has expired, and the oldest where there are too many."""
        now = time.monotonic()
        self._tickets = {ticket: entry for ticket, entry in self._tickets.items() if entry[1] > now}
        for name, tunnel in list(self._tunnels.items()):
            if not tunnel.running and now - tunnel.used > IDLE_SECONDS:
                self._forget(name)
        idle = [name for name, tunnel in self._tunnels.items() if not tunnel.running]
        for name in idle[: max(0, len(self._tunnels) - _MOST + 1)]:
            self._forget(name)

    # -- the stream ---------------------------------------------------------------------------------------------------

    async def _carry(self, websocket: WebSocket) -> None:
        found, expires = self._tickets.pop(websocket.path_params["token"], (None, 0.0))
        wrong = found is None or found.host.lower() != str(websocket.path_params["host"]).lower()
        foreign = websocket.headers.get("origin", self._origin) != self._origin  # a page of somebody else's
        if found is None or wrong or foreign or expires < time.monotonic():
            await websocket.close(code=_POLICY)
            return
        if websocket.query_params.get("X-Node-Id", found.node) != found.node:
            await websocket.close(code=_POLICY)
            return
        await websocket.accept()
        log.info("Bastion tunnel", bastion=found.bastion, caller=found.principal.name, address=found.address)
        task = asyncio.ensure_future(_relay(websocket, found))
        found.running.add(task)
        try:
            await asyncio.wait([task])
            if task.cancelled():
                with contextlib.suppress(RuntimeError):
                    await websocket.close(code=_GOING_AWAY, reason="the session was ended")
            else:
                task.result()
        finally:
            task.cancel()
            found.running.discard(task)
            found.used = time.monotonic()


async def _relay(websocket: WebSocket, tunnel: Tunnel) -> None:
    request = wire.Tunnel(address=tunnel.address, port=tunnel.port)
    try:
        connection = await wire.BastionConnection.open(tunnel.socket, request)
    except wire.BastionError as error:
        await websocket.close(code=_FAILED, reason=error.message[:120])
        return
    except OSError as error:
        log.warning("a Bastion host does not answer", bastion=tunnel.bastion, error=str(error))
        await websocket.close(code=_FAILED, reason="The Bastion host does not run.")
        return

    async def up() -> None:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            await connection.write(message.get("bytes") or (message.get("text") or "").encode())

    async def down() -> None:
        while data := await connection.read():
            await websocket.send_bytes(data)

    works = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
    try:
        await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for work in works:
            work.cancel()
        # A client or a guest that hangs up ends the tunnel, which is its right.
        await asyncio.gather(*works, return_exceptions=True)
        connection.drop()
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await websocket.close()


async def _form(request: Request) -> dict[str, str]:
    """The fields of an `application/x-www-form-urlencoded` body; the last of each name."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise ArmError(413, "RequestContentTooLarge", "The request content size exceeds the maximum size limit.")
    try:
        return {name: values[-1] for name, values in parse_qs(body.decode(), max_num_fields=50).items()}
    except ValueError as error:
        raise ArmError(400, "BadRequest", f"The form is not valid: {error}.") from error


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) < 65536:
        return int(text)
    raise ArmError(400, "BadRequest", f"'{text}' is no port.")


def _ip_connect(bastion: Json, text: str, port: int) -> str:
    """An address instead of a VM: for Bastion hosts with IP-based connections, and for SSH and RDP alone."""
    if not bastion["properties"].get("enableIpConnect"):
        raise ArmError(403, "IpConnectNotEnabled", "IP-based connections are not enabled on the Bastion host.")
    if port not in IP_CONNECT_PORTS:
        raise ArmError(400, "BadRequest", "IP-based connections are to port 22 or 3389.")
    try:
        return str(ip_address(text))
    except ValueError:
        raise ArmError(400, "BadRequest", f"'{text}' is no IP address.") from None


def _same(one: Tunnel, other: Tunnel) -> bool:
    return (one.principal.object_id, one.bastion, one.address, one.port) == (
        other.principal.object_id,
        other.bastion,
        other.address,
        other.port,
    )

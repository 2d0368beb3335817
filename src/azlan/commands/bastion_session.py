"""An SSH session through a Bastion host, seen from the client: bytes in, bytes out, carried over a websocket.

Follows the protocol of `services/bastion.py`. When the connection breaks (the control process starts again) the session is
taken up within its 60 seconds: nothing is lost, nothing is typed twice.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from azlan.commands.clouds import CloudClient, CommandError

_ACK_EVERY = 64 * 1024
_KEPT_INPUT = 1 << 20
_REATTACH_SECONDS = 55.0


@dataclass(frozen=True, slots=True)
class Exit:
    """How a session ended: the shell's exit status, None where it has none, and why in words where there is a why."""

    status: int | None
    reason: str


class BastionSession:
    """One session. `async with BastionSession(…) as session:` opens it."""

    def __init__(self, client: CloudClient, login: tuple[str, str], request: Mapping[str, Any]) -> None:
        """`login` is client id and secret of the caller's principal; `request` what a ticket is asked for with."""
        self._client = client
        self._login = login
        self._request = dict(request)
        self._socket: ClientConnection | None = None
        self._session = ""
        self._received = 0
        self._acknowledged = 0
        self._sent = 0
        self._kept = bytearray()
        """The last input typed, in case the other side never had it."""
        self._wired = 0
        """How much of the input was given to the present connection, or had before it."""
        self._sending = asyncio.Lock()
        self._ready = asyncio.Event()
        self.exit: Exit | None = None

    async def __aenter__(self) -> BastionSession:
        self._socket = await self._connect(self._request)
        greeting = await self._greeting(self._socket)
        self._session = greeting["opened"]
        self._ready.set()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            if self.exit is None:
                await self._tell({"close": True})
            await self._socket.close()

    async def read(self) -> bytes:
        """The next output; empty once the session has ended, and `exit` then says how."""
        while self.exit is None:
            assert self._socket is not None
            try:
                message = await self._socket.recv()
            except ConnectionClosed:
                await self._take_up_again()
                continue
            if isinstance(message, bytes):
                self._received += len(message)
                if self._received - self._acknowledged >= _ACK_EVERY:
                    self._acknowledged = self._received
                    await self._tell({"ack": self._received})
                return message
            self._note(json.loads(message))
        return b""

    async def write(self, data: bytes) -> None:
        """Type something."""
        self._sent += len(data)
        self._kept += data
        del self._kept[: max(0, len(self._kept) - _KEPT_INPUT)]
        await self._ready.wait()
        await self._send()

    async def _send(self) -> None:
        """Send what was typed and not sent yet, in order; `read` sees to what a closed connection leaves."""
        async with self._sending:
            while self._wired < self._sent and self._ready.is_set():
                assert self._socket is not None
                unsent = bytes(self._kept[-(self._sent - self._wired) :])
                self._wired = self._sent  # before the pause: a new connection begins where the other side is
                try:
                    await self._socket.send(unsent)
                except ConnectionClosed:
                    return

    async def resize(self, columns: int, rows: int) -> None:
        self._request |= {"columns": columns, "rows": rows}
        await self._tell({"resize": [columns, rows]})

    def _note(self, message: dict[str, Any]) -> None:
        if "exit" in message:
            self.exit = Exit(message["exit"]["status"], message["exit"]["reason"] or "")
        elif "error" in message:
            raise CommandError(message["error"]["message"])

    async def _greeting(self, connection: ClientConnection) -> dict[str, Any]:
        try:
            message = json.loads(await asyncio.wait_for(connection.recv(), 60))
        except (ConnectionClosed, TimeoutError, ValueError) as error:
            raise CommandError("The Bastion host does not answer.", "Is it running? az network bastion show") from error
        if "error" in message:
            raise CommandError(message["error"]["message"])
        answer: dict[str, Any] = message
        return answer

    async def _take_up_again(self) -> None:
        self._ready.clear()
        deadline = time.monotonic() + _REATTACH_SECONDS
        request = {"bastion": self._request["bastion"], "session": self._session, "received": self._received}
        request |= {name: self._request[name] for name in ("columns", "rows") if name in self._request}
        while True:
            try:
                connection = await self._connect(request)
                greeting = await self._greeting(connection)
                break
            except (CommandError, OSError, InvalidHandshake) as error:
                if time.monotonic() > deadline:
                    raise CommandError(f"The session was lost ({error}).", "Connect again.") from error
                await asyncio.sleep(0.25)
        self._socket = connection
        self._wired = int(greeting["attached"])
        self._ready.set()
        await self._send()

    async def _connect(self, request: Mapping[str, Any]) -> ClientConnection:
        token = await asyncio.to_thread(self._client.token, *self._login)
        if token is None:
            raise CommandError("The cloud does not know this user any more.", 'Log in again: eval "$(azlan env)"')
        made = await asyncio.to_thread(self._client.call, "POST", "/_azlan/bastion/tickets", token, dict(request))
        endpoint = self._client.config.endpoint.replace("https://", "wss://", 1)
        context: ssl.SSLContext = self._client.context()
        try:
            return await connect(
                f"{endpoint}/_azlan/bastion/sessions/{made['ticket']}",
                ssl=context,
                max_size=None,
                proxy=None,
                compression=None,
            )
        except (OSError, InvalidHandshake) as error:
            raise CommandError(f"The cloud does not take the session ({error}).", "See: azlan status") from error

    async def _tell(self, message: dict[str, Any]) -> None:
        if self._socket is None:
            return
        try:
            await self._socket.send(json.dumps(message))
        except ConnectionClosed:
            pass

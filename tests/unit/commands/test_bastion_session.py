"""The client's half of a Bastion session, against a service that echoes and now and then goes away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from azlan.commands.azure_cli import open_login
from azlan.commands.bastion_session import BastionSession, Exit
from azlan.commands.clouds import CloudClient, CommandError

from .conftest import Served

REQUEST = {"bastion": "/b", "target": "/t", "username": "u", "password": "p", "columns": 80, "rows": 24}


@dataclass
class Echo:
    """A session that answers what was typed, in capitals. `deaf` drops the next input, as a lost connection would."""

    asked: list[dict[str, Any]] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    had: int = 0
    output: bytes = b""
    lose_input: bool = False
    refuse: str = ""

    def routes(self) -> list[Any]:
        return [
            Route("/_azlan/bastion/tickets", self.ticket, methods=["POST"]),
            WebSocketRoute("/_azlan/bastion/sessions/{ticket}", self.session),
        ]

    async def ticket(self, request: Request) -> Response:
        if self.refuse:
            return JSONResponse({"error": {"code": "X", "message": self.refuse}}, 403)
        self.asked.append(await request.json())
        return JSONResponse({"ticket": f"t{len(self.asked)}", "expires_in": 60}, 201)

    async def session(self, socket: WebSocket) -> None:
        await socket.accept()
        asked = self.asked[-1]
        try:
            if "session" in asked:
                await socket.send_text(json.dumps({"attached": self.had}))
                if asked["received"] < len(self.output):
                    await socket.send_bytes(self.output[asked["received"] :])
            else:
                await socket.send_text(json.dumps({"opened": "s1"}))
            await self._serve(socket)
        except WebSocketDisconnect:
            pass

    async def _serve(self, socket: WebSocket) -> None:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text"):
                self.told.append(json.loads(message["text"]))
                continue
            data = message["bytes"]
            if self.lose_input:
                self.lose_input = False
                await socket.close()
                return
            self.had += len(data)
            self.output += data.upper()
            if b"drop" in data:  # had, but its answer is lost with the connection
                await socket.close()
                return
            await socket.send_bytes(data.upper())
            if data.endswith(b"exit\n"):
                await socket.send_text(json.dumps({"exit": {"status": 7, "reason": ""}}))
                return


@pytest.fixture
def echo(served: Served) -> Echo:
    echo = Echo()
    served.routes = echo.routes()
    served.start()
    return echo


def drive(served: Served, work: Callable[[BastionSession], Any]) -> Any:
    login = open_login(served.config, served.config.state / "me")

    async def run() -> Any:
        async with asyncio.timeout(30):
            session = BastionSession(CloudClient(served.config), (login.client_id, login.secret), REQUEST)
            async with session:
                return await work(session)

    return asyncio.run(run())


async def read(session: BastionSession, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await session.read()
    return data


def test_bytes_there_and_back(served: Served, echo: Echo) -> None:
    async def work(session: BastionSession) -> tuple[bytes, bytes, Exit | None]:
        await session.write(b"hello\n")
        first = await read(session, 6)
        await session.write(b"exit\n")
        second = await read(session, 5)
        assert await session.read() == b""
        return first, second, session.exit

    assert drive(served, work) == (b"HELLO\n", b"EXIT\n", Exit(7, ""))
    assert echo.asked == [REQUEST]


def test_input_that_was_lost_is_typed_again(served: Served, echo: Echo) -> None:
    async def work(session: BastionSession) -> bytes:
        await session.write(b"one ")
        await read(session, 4)
        echo.lose_input = True
        await session.write(b"two ")
        return await read(session, 4)

    assert drive(served, work) == b"TWO "
    assert echo.output == b"ONE TWO "
    assert echo.asked[1] == {"bastion": "/b", "session": "s1", "received": 4, "columns": 80, "rows": 24}


def test_output_that_was_lost_is_sent_again_and_input_is_not_typed_twice(served: Served, echo: Echo) -> None:
    async def work(session: BastionSession) -> bytes:
        await session.write(b"drop it ")
        return await read(session, 8)

    assert drive(served, work) == b"DROP IT "
    assert echo.output == b"DROP IT "


def test_a_session_outlives_the_control_process(served: Served, echo: Echo) -> None:
    async def work(session: BastionSession) -> bytes:
        await session.write(b"before ")
        first = await read(session, 7)
        await asyncio.to_thread(served.stop)
        reading = asyncio.ensure_future(read(session, 6))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(served.start)
        await session.write(b"after ")
        return first + await reading

    assert drive(served, work) == b"BEFORE AFTER "


def test_what_is_typed_while_the_control_process_is_away_is_typed_once_and_in_order(served: Served, echo: Echo) -> None:
    async def work(session: BastionSession) -> bytes:
        await asyncio.to_thread(served.stop)
        reading = asyncio.ensure_future(read(session, 20 * 3))
        await asyncio.sleep(0.3)
        typing = [asyncio.ensure_future(session.write(b"%02d " % number)) for number in range(20)]
        await asyncio.to_thread(served.start)
        await asyncio.gather(*typing)
        first = await reading
        await session.write(b"end ")
        return first + await read(session, 4)

    assert drive(served, work) == b"".join(b"%02d " % number for number in range(20)) + b"END "


def test_size_of_the_terminal(served: Served, echo: Echo) -> None:
    async def work(session: BastionSession) -> None:
        await session.resize(132, 43)
        await session.write(b"x")
        await read(session, 1)

    drive(served, work)
    assert echo.told[0] == {"resize": [132, 43]}


def test_much_output_is_acknowledged(served: Served, echo: Echo) -> None:
    async def work(session: BastionSession) -> None:
        for _ in range(3):
            await session.write(b"y" * 40_000)
            await read(session, 40_000)
        await session.write(b"z")
        await read(session, 1)

    drive(served, work)
    assert {"ack": 80_000} in echo.told


def test_refusals_come_in_the_clouds_words(served: Served, echo: Echo) -> None:
    echo.refuse = "The client does not have authorization."

    async def work(_: BastionSession) -> None:
        raise AssertionError("no session may open")

    with pytest.raises(CommandError, match="does not have authorization"):
        drive(served, work)

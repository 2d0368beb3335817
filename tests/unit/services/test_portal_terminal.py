"""Terminals in the portal: the websocket of a Bastion ticket, for its own session, from our own page, until the sign-in ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from azlan.arm.registry import Registry
from azlan.services import portal as portal_module
from azlan.services import portal_session
from azlan.services.bastion import SIGN_IN
from azlan.services.portal import COOKIE, HEADER
from azlan.services.portal_signin import Authority

OURS = {HEADER: "1"}
FOREIGN = "https://evil.example"


@pytest.fixture
def relay() -> Iterator[tuple[TestClient, portal_module.Portal, list[str]]]:
    """A portal whose Bastion application echoes, in a process of no cloud; what the application was told."""
    told: list[str] = []

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        told.append(scope["path"])
        if scope["type"] == "http":
            assert (b"authorization", b"Bearer bearer") in scope["headers"]
            told.append(scope[SIGN_IN])
            await send({"type": "http.response.start", "status": 201, "headers": []})
            await send({"type": "http.response.body", "body": b'{"ticket": "asked"}'})
            return
        assert not [value for name, value in scope["headers"] if name == b"cookie"]
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            told.append(message["text"])
            await send({"type": "websocket.send", "text": message["text"]})
        await send({"type": "websocket.close", "code": 1000})

    async def refresh(_token: str) -> str:
        return "token"

    home = "https://localhost:8443"
    nothing = Starlette()
    sessions = portal_session.Sessions(_Memory(), refresh, {})
    portal = portal_module.Portal(sessions, Authority(nothing, home, "t"), nothing, echo, Registry(), home)
    with TestClient(Starlette(routes=portal.routes()), base_url=home) as client:
        yield client, portal, told


class _Memory:
    async def get(self, _name: str) -> str | None:
        return None

    async def put(self, _name: str, _value: str) -> None:
        return


def _open(client: TestClient, portal: portal_module.Portal, ticket: str) -> str:
    assert client.portal is not None
    cookie = str(client.portal.call(portal.sessions.begin, "ann", "oid", "bearer", "refresh"))
    session = portal.sessions.find(cookie)
    assert session is not None
    portal.bind(ticket, session)
    return cookie


def _headers(cookie: str, origin: str | None = "https://localhost:8443") -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={cookie}"} | ({"Origin": origin} if origin else {})


def test_a_terminal_is_relayed_for_its_own_session(relay: tuple[TestClient, portal_module.Portal, list[str]]) -> None:
    client, portal, told = relay
    cookie = _open(client, portal, "t1")
    with client.websocket_connect("/portal/bastion/sessions/t1", headers=_headers(cookie)) as socket:
        socket.send_text("hi")
        assert socket.receive_text() == "hi"
    assert told[:2] == ["/_azlan/bastion/sessions/t1", "hi"]


@pytest.mark.parametrize("origin", [FOREIGN, None, "null", "https://localhost:9999", "http://localhost:8443"])
def test_a_terminal_is_refused_to_other_origins(
    relay: tuple[TestClient, portal_module.Portal, list[str]], origin: str | None
) -> None:
    client, portal, told = relay
    cookie = _open(client, portal, "t1")
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect("/portal/bastion/sessions/t1", headers=_headers(cookie, origin)),
    ):
        pass
    assert refused.value.code == 1008
    assert told == []


def test_a_ticket_is_worth_nothing_to_another_session_and_is_spent_by_the_try(
    relay: tuple[TestClient, portal_module.Portal, list[str]],
) -> None:
    client, portal, told = relay
    mine, other = _open(client, portal, "t1"), _open(client, portal, "t2")
    for cookie in (other, "", mine):
        with (
            pytest.raises(WebSocketDisconnect),
            client.websocket_connect("/portal/bastion/sessions/t1", headers=_headers(cookie)),
        ):
            pass
    assert told == []


def test_a_terminal_ends_with_the_sign_in(relay: tuple[TestClient, portal_module.Portal, list[str]]) -> None:
    client, portal, told = relay
    cookie = _open(client, portal, "t1")
    with client.websocket_connect("/portal/bastion/sessions/t1", headers=_headers(cookie)) as socket:
        socket.send_text("hi")
        socket.receive_text()
        assert client.post("/portal/signout", headers=_headers(cookie) | OURS).status_code == 204
        assert json.loads(socket.receive_text()) == {"close": True}
        with pytest.raises(WebSocketDisconnect):
            socket.receive_text()
    assert told[-1] == '{"close": true}'


def test_a_ticket_belongs_to_the_session_that_asked_for_it(
    relay: tuple[TestClient, portal_module.Portal, list[str]],
) -> None:
    client, portal, told = relay
    mine = _open(client, portal, "another")
    asked = client.post("/portal/bastion/tickets", json={}, headers=_headers(mine) | OURS)
    assert (asked.status_code, asked.json()) == (201, {"ticket": "asked"})
    session = portal.sessions.find(mine)
    assert session is not None
    assert told == ["/_azlan/bastion/tickets", session.digest]
    with client.websocket_connect("/portal/bastion/sessions/asked", headers=_headers(mine)) as socket:
        socket.send_text("hi")
        assert socket.receive_text() == "hi"

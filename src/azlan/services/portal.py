"""The portal's backend: its pages, who is signed in, and a way for the page to the public API with that user's token.

    /, /resource/{id}, /browse/…, /create/…, /tools/…      the page; the browser routes
    /portal/assets/{file}                                  what it loads
    /portal/signin[/callback], /portal/signout             authorization code + PKCE, by the server
    /portal/session, /portal/types                         who is signed in; what the resource types are called
    /portal/arm/{path}                                     the public REST API with the session's token
    /portal/bastion/tickets, /portal/bastion/sessions/{t}  the public Bastion endpoints, tied to the session
    /portal/violations                                     reports of the policy, counted

Nothing here knows a resource: the applications behind it authenticate and authorise as for any client. Every request but
those for pages must carry a header that no other origin can send, and a browser must say that it comes from this origin.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import structlog
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from azlan.arm.registry import Registry
from azlan.arm.resource import Json, ResourceType
from azlan.base.errors import ArmError
from azlan.services.bastion import SIGN_IN
from azlan.services.portal_bundle import HEADERS, REPORTS, Bundle
from azlan.services.portal_session import Ended, Session, Sessions
from azlan.services.portal_signin import CALLBACK, Authority, Unanswered
from azlan.services.vault import Vault

log = structlog.get_logger(__name__)

COOKIE = "__Host-azlan-portal"
HEADER = "x-azlan-portal"
"""Sent by the page with every request. Another origin could send it only after a preflight, which nobody answers."""
PAGES = ("resource", "browse", "create", "tools")
"""First segments of the addresses that are the portal's; the rest is the page's own business."""
WATCH = 15.0
"""Seconds between two looks whether the user of an open Bastion session may still be here."""

_METHODS = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"]
_REPORT_LIMIT = 16 * 1024
_KEPT_REPORTS = 100
_PASSED = {b"accept", b"content-type", b"content-length", b"if-match", b"if-none-match", b"user-agent"}
"""Headers of the page that go on to the API, besides `x-ms-*`. The cookie does not."""
_EXPIRED = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in · Azlan</title></head><body>
<h1>This sign-in has expired</h1><p><a href="/">Open the portal</a> and sign in again.</p></body></html>"""


class Portal:
    """The routes. Open with `await Portal.open(…)`; `arm`, `identity` and `bastion` are the public ASGI applications."""

    def __init__(
        self, sessions: Sessions, authority: Authority, arm: ASGIApp, bastion: ASGIApp, registry: Registry, home: str
    ) -> None:
        self.sessions = sessions
        self.bundle = Bundle()
        self.violations: list[Json] = []
        self.violation_count = 0
        self._authority = authority
        self._arm = arm
        self._bastion = bastion
        self._home = home
        self._types = [_described(registry.types[key]) for key in sorted(registry.types)]
        self._tickets: dict[str, str] = {}

    @classmethod
    async def open(
        cls,
        vault: Vault,
        registry: Registry,
        *,
        endpoint: str,
        tenant: str,
        arm: ASGIApp,
        identity: ASGIApp,
        bastion: ASGIApp,
    ) -> Portal:
        authority = Authority(identity, endpoint, tenant)
        sessions = await Sessions.open(vault, authority.refresh)
        return cls(sessions, authority, arm, bastion, registry, endpoint)

    def routes(self) -> list[BaseRoute]:
        paths = [path for name in PAGES for path in (f"/{name}", f"/{name}/{{path:path}}")]
        pages = [Route(path, self._page, methods=["GET"]) for path in paths]
        return [
            Route("/", self._page, methods=["GET"]),
            *pages,
            Route("/portal/assets/{name}", self._asset, methods=["GET"]),
            Route("/portal/signin", self._sign_in, methods=["GET"]),
            Route(CALLBACK, self._signed_in, methods=["GET"]),
            Route("/portal/signout", self._guarded(self._sign_out), methods=["POST"]),
            Route("/portal/session", self._guarded(self._session), methods=["GET"]),
            Route("/portal/types", self._guarded(self._list_types), methods=["GET"]),
            Route(REPORTS, self._report, methods=["POST"]),
            Route(REPORTS, self._guarded(self._reports), methods=["GET"]),
            Route("/portal/arm/{path:path}", Forward(self, self._arm, "/portal/arm"), methods=_METHODS),
            Route("/portal/bastion/tickets", Tickets(self, self._bastion), methods=["POST"]),
            WebSocketRoute("/portal/bastion/sessions/{ticket}", self._terminal),
        ]

    # Pages

    async def _page(self, request: Request) -> Response:
        # By one name alone: the session's cookie belongs to a host, and so does the address to come back to.
        if request.headers.get("host") != urlsplit(self._home).netloc:
            return RedirectResponse(f"{self._home}{_address(request)}", 307)
        return self.bundle.page()

    async def _asset(self, request: Request) -> Response:
        return self.bundle.asset(request.path_params["name"])

    # Signing in and out

    async def _sign_in(self, request: Request) -> Response:
        return self._authority.begin(_own_page(request.query_params.get("return", "/")))

    async def _signed_in(self, request: Request) -> Response:
        user = await self._authority.finish(request)
        if user is None:
            policy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            return HTMLResponse(_EXPIRED, 400, {**HEADERS, "Content-Security-Policy": policy})
        former = self.sessions.find(request.cookies.get(COOKIE, ""))
        if former is not None:
            await self.sessions.end(former)
        cookie = await self.sessions.begin(user.name, user.object_id, user.access_token, user.refresh_token)
        response = RedirectResponse(user.back, 303, headers={**HEADERS, "Cache-Control": "no-store"})
        response.set_cookie(COOKIE, cookie, path="/", secure=True, httponly=True, samesite="strict")
        self._authority.forget(response)
        return response

    async def _sign_out(self, request: Request) -> Response:
        session, _ = self.signed_in(request)
        await self.sessions.end(session)
        response = Response(status_code=204, headers={"Cache-Control": "no-store"})
        response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")
        return response

    async def _session(self, request: Request) -> Response:
        session, cookie = self.signed_in(request)
        await self._good(session, cookie)
        return _json({"name": session.name, "objectId": session.object_id})

    async def _list_types(self, request: Request) -> Response:
        self.signed_in(request)
        return _json({"value": self._types})

    def signed_in(self, connection: HTTPConnection) -> tuple[Session, str]:
        """The session of a request, and its cookie. Raises ArmError 401."""
        cookie = connection.cookies.get(COOKIE, "")
        session = self.sessions.find(cookie) if cookie else None
        if session is None:
            raise _signed_out()
        return session, cookie

    async def _good(self, session: Session, cookie: str) -> str:
        try:
            return await self.sessions.bearer(session, cookie)
        except Ended:
            raise _signed_out() from None

    async def authorization(self, connection: HTTPConnection) -> tuple[Session, str]:
        """Session and access token of a request that is our own page's. Raises ArmError 401, 403."""
        self.check_origin(connection)
        session, cookie = self.signed_in(connection)
        return session, await self._good(session, cookie)

    def check_origin(self, connection: HTTPConnection) -> None:
        """Refuse what another origin's page made the browser send. Raises ArmError 403."""
        headers = connection.headers
        site, origin = headers.get("sec-fetch-site", "same-origin"), headers.get("origin", self._home)
        if site != "same-origin" or origin != self._home or HEADER not in headers:
            raise ArmError(403, "CrossSiteRequest", "The request does not come from the portal's own page.")

    def _guarded(self, handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                self.check_origin(request)
                return await handler(request)
            except ArmError as error:
                return refused(error)

        return guarded

    # Reports of the policy

    async def _report(self, request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _REPORT_LIMIT:
                return Response(status_code=413)
        try:
            report = json.loads(body)["csp-report"]
            told = {
                name: str(report.get(name, ""))[:500] for name in ("violated-directive", "blocked-uri", "source-file")
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            return Response(status_code=400)
        self.violation_count += 1
        self.violations = [*self.violations[1 - _KEPT_REPORTS :], told]
        log.warning("the portal's policy was violated", **{name.replace("-", "_"): v for name, v in told.items()})
        return Response(status_code=204)

    async def _reports(self, request: Request) -> Response:
        self.signed_in(request)
        return _json({"count": self.violation_count, "value": self.violations})

    # Bastion

    def bind(self, ticket: str, session: Session) -> None:
        """A ticket is good for the session that asked for it alone."""
        while len(self._tickets) >= _KEPT_REPORTS:
            del self._tickets[next(iter(self._tickets))]
        self._tickets[ticket] = session.digest

    async def _terminal(self, websocket: WebSocket) -> None:
        """The websocket of a Bastion session, which ends when the sign-in does."""
        ticket = websocket.path_params["ticket"]
        owner = self._tickets.pop(ticket, None)
        cookie = websocket.cookies.get(COOKIE, "")
        session = self.sessions.find(cookie) if cookie else None
        ours = websocket.headers.get("origin") == self._home
        if not ours or session is None or owner != session.digest:
            await websocket.close(code=1008)
            return
        watching = asyncio.create_task(self._watch(session, cookie))
        try:
            path = f"/_azlan/bastion/sessions/{ticket}"
            scope = _public(websocket.scope, path, path.encode(), [(b"origin", self._home.encode())])
            await self._bastion(scope, _Until(websocket.receive, session.ended), websocket.send)
        finally:
            watching.cancel()

    async def _watch(self, session: Session, cookie: str) -> None:
        """Keep the session's token fresh, and notice when there is none to be had."""
        while True:
            await asyncio.sleep(WATCH)
            try:
                await self.sessions.bearer(session, cookie)
            except Ended:
                return
            except Unanswered as error:
                log.warning("a sign-in could not be renewed: tried again soon", error=str(error))


class Forward:
    """An ASGI application: the public application behind it, with the session's token in place of its cookie."""

    def __init__(self, portal: Portal, app: ASGIApp, prefix: str) -> None:
        self._portal = portal
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = await self.allowed(scope, receive, send)
        if allowed is None:
            return
        session, bearer = allowed
        path = scope["path"].removeprefix(self._prefix)
        raw = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0].removeprefix(self._prefix.encode())
        await self.forward(scope, path, raw, bearer, receive, self._watching(session, send))

    async def allowed(self, scope: Scope, receive: Receive, send: Send) -> tuple[Session, str] | None:
        """The session of a request and a token for it; None where it was refused, and has its answer."""
        try:
            return await self._portal.authorization(Request(scope, receive))
        except ArmError as error:
            await refused(error)(scope, receive, send)
            return None

    async def forward(
        self, scope: Scope, path: str, raw: bytes, bearer: str, receive: Receive, send: Send, more: Scope | None = None
    ) -> None:
        """Pass a request on; `more` goes into its scope."""
        headers = [(name, value) for name, value in scope["headers"] if name in _PASSED or name.startswith(b"x-ms-")]
        headers += [(name, value) for name, value in scope["headers"] if name == b"host"]
        headers.append((b"authorization", b"Bearer " + bearer.encode()))
        await self._app({**_public(scope, path, raw, headers), **(more or {})}, receive, send)

    def _watching(self, session: Session, send: Send) -> Send:
        async def watching(message: Message) -> None:
            # Ours was a good token a moment ago: its user has been removed.
            if message["type"] == "http.response.start" and message["status"] == 401:
                await self._portal.sessions.end(session)
            await send(message)

        return watching


class Tickets(Forward):
    """Asks for a Bastion ticket, and remembers whose it is."""

    def __init__(self, portal: Portal, app: ASGIApp) -> None:
        super().__init__(portal, app, "/portal/bastion")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = await self.allowed(scope, receive, send)
        if allowed is None:
            return
        session, bearer = allowed
        body = bytearray()

        async def listening(message: Message) -> None:
            if message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    ticket = json.loads(body).get("ticket")
                    if ticket:
                        self._portal.bind(ticket, session)
            await send(message)

        path = "/_azlan/bastion/tickets"
        sign_in = {SIGN_IN: session.digest}
        await self.forward(scope, path, path.encode(), bearer, receive, self._watching(session, listening), sign_in)


class _Until:
    """A websocket's `receive` that closes the Bastion session when the sign-in has ended."""

    def __init__(self, receive: Receive, ended: asyncio.Event) -> None:
        self._receive = receive
        self._ended = ended
        self._closing = 0

    async def __call__(self) -> Message:
        if not self._closing:
            receiving = asyncio.ensure_future(self._receive())
            waiting = asyncio.ensure_future(self._ended.wait())
            try:
                await asyncio.wait({receiving, waiting}, return_when=asyncio.FIRST_COMPLETED)
                if receiving.done() and not self._ended.is_set():
                    return receiving.result()
            finally:
                waiting.cancel()
                if not receiving.done():
                    receiving.cancel()
        self._closing += 1
        if self._closing == 1:
            return {"type": "websocket.receive", "text": '{"close": true}'}
        return {"type": "websocket.disconnect", "code": 1008}


def _public(scope: Scope, path: str, raw: bytes, headers: list[tuple[bytes, bytes]]) -> Scope:
    """The scope of a request to a public application: nothing of the portal's own request is in it but what is named."""
    names = ("type", "asgi", "http_version", "method", "scheme", "server", "client", "query_string", "subprotocols")
    kept = {name: scope[name] for name in names if name in scope}
    return {**kept, "path": path, "raw_path": raw, "root_path": "", "headers": headers}


def _described(declared: ResourceType) -> Json:
    """What the page needs to know of a type to list, open and delete its resources."""
    return {
        "type": declared.type,
        "singular": declared.display.get("singular", declared.type.rsplit("/", 1)[-1]),
        "plural": declared.display.get("plural", declared.type.rsplit("/", 1)[-1]),
        "apiVersion": declared.api_versions[0] if declared.api_versions else "",
        "parent": declared.parent,
        "inline": declared.inline,
        "located": declared.location != "none",
        "tags": declared.tags and declared.location != "none",
        "namePattern": declared.name_pattern,
        "actions": [{"name": name, "method": action.method} for name, action in sorted(declared.actions.items())],
        "references": [{"path": reference.path, "types": list(reference.types)} for reference in declared.references],
    }


def _own_page(address: str) -> str:
    """An address to go back to: a page of this origin, else the home page."""
    first = address.split("?")[0].split("/")[1:2]
    clean = address.isprintable() and "\\" not in address and not address.startswith("//")
    return address if address.startswith("/") and clean and first and first[0] in ("", *PAGES) else "/"


def _address(request: Request) -> str:
    raw = (request.scope.get("raw_path") or request.url.path.encode()).partition(b"?")[0].decode("ascii", "replace")
    return f"/{raw.lstrip('/')}" + (f"?{request.url.query}" if request.url.query else "")


def _signed_out() -> ArmError:
    return ArmError(401, "SignInRequired", "You are signed out. Sign in to go on.")


def refused(error: ArmError) -> Response:
    return JSONResponse({"error": error.body}, error.status, headers={**HEADERS, "Cache-Control": "no-store"})


def _json(document: Json | dict[str, Any]) -> Response:
    return JSONResponse(document, headers={**HEADERS, "Cache-Control": "no-store"})

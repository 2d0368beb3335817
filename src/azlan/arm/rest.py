"""ARM for a web server: Starlette reads and writes HTTP, everything else is `protocol`.

The application page hands what begins with one of `PREFIXES` right to `arm_app`, and whatever nobody else answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import parse_qsl
from uuid import uuid4

import msgspec
import structlog
from starlette.datastructures import URL
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from azlan.arm import batch
from azlan.arm.core import Core
from azlan.arm.paths import split
from azlan.arm.polling import JSON_TYPE, NULL, Answer, Call
from azlan.arm.protocol import MOST_BODY, Protocol
from azlan.arm.resource import Principal
from azlan.base.errors import ArmError

log = structlog.get_logger(__name__)

PREFIXES = ("/subscriptions", "/tenants", "/providers")
"""The paths that are ARM's."""

METHODS = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"]

Authenticate = Callable[[str | None], Principal]
"""From the Authorization header (None: there was none) to the caller. Raises ArmError 401 with `WWW-Authenticate`."""


def arm_app(core: Core, authenticate: Authenticate) -> ASGIApp:
    """The ASGI application that answers for `core`. It has no routes: what a path means is `paths`' to say."""
    return _Endpoint(core, authenticate)


_ALWAYS = {
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "Expires": "-1",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
}


_SHORT_QUERY = 200
"""Bytes of a query that is worth remembering: an api-version."""


class _Endpoint:
    """Reads and writes ASGI's messages itself: Starlette's own objects around them were a tenth of a PUT."""

    def __init__(self, core: Core, authenticate: Authenticate) -> None:
        self._protocol = Protocol(core)
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await WebSocketClose()(scope, receive, send)
        elif scope["method"] not in METHODS:
            await Response("Method Not Allowed", 405, {"Allow": ", ".join(METHODS)})(scope, receive, send)
        else:
            await self._handle(scope, receive, send)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.gmtime()
        request_id = str(uuid4())
        given = _headers(scope)
        correlation = given.get("x-ms-correlation-request-id") or str(uuid4())
        try:
            call = await self._call(scope, receive, given, correlation)
            if batch.is_batch(call):
                answer = await batch.answer(call, self._protocol.answer)
            else:
                answer = await self._protocol.answer(call)
        except ArmError as error:
            answer = Answer(error.status, {"error": error.body}, dict(error.headers))
        except ClientDisconnect:
            answer = Answer(400)
        except Exception:
            log.exception("a request failed", method=scope["method"], path=scope["path"], correlation=correlation)
            words = (
                f"Encountered internal server error. Diagnostic information: request correlation id '{correlation}'."
            )
            answer = Answer(500, {"error": {"code": "InternalServerError", "message": words, "details": []}})
        headers = answer.headers
        headers |= _ALWAYS
        headers["x-ms-request-id"] = request_id
        headers["x-ms-correlation-request-id"] = correlation
        if "/microsoft.network/" in scope["path"].lower():
            headers["x-ms-arm-service-request-id"] = str(uuid4())  # the provider's own, which Network alone shows
        headers["x-ms-routing-request-id"] = f"LOCAL:{time.strftime('%Y%m%dT%H%M%SZ', started)}:{request_id}"
        if given.get("x-ms-return-client-request-id", "").lower() == "true":
            headers["x-ms-client-request-id"] = given.get("x-ms-client-request-id", "")
        await _send(answer, send, head=scope["method"] == "HEAD")

    async def _call(self, scope: Scope, receive: Receive, headers: Mapping[str, str], correlation: str) -> Call:
        principal = self._authenticate(headers.get("authorization"))
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        query: bytes = scope["query_string"]
        return Call(
            method=scope["method"],
            segments=split(raw.partition(b"?")[0].decode("ascii", "replace")),
            query=_query(query) if len(query) > _SHORT_QUERY else _short_query(query),
            headers=headers,
            body=await _body(receive),
            base=_base(scope["scheme"], headers.get("host"), scope.get("server")),
            principal=principal,
            correlation=correlation,
        )


def _headers(scope: Scope) -> dict[str, str]:
    """Names in lower case; of one that is given more than once, the first."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return found


def _query(raw: bytes) -> Mapping[str, str]:
    """Names in lower case."""
    pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True)
    return MappingProxyType({name.lower(): value for name, value in pairs})


_short_query = lru_cache(maxsize=1024)(_query)


@lru_cache(maxsize=64)
def _base(scheme: str, host: str | None, server: tuple[str, int] | None) -> str:
    """`https://localhost:8443`, as the client asked for it."""
    headers = [(b"host", host.encode("latin-1"))] if host is not None else []
    url = URL(scope={"type": "http", "scheme": scheme, "server": server, "path": "/", "headers": headers})
    return f"{url.scheme}://{url.netloc}"


async def _body(receive: Receive) -> bytes:
    """The body, within ARM's limit."""
    chunks: list[bytes] = []
    length = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        length += len(chunks[-1])
        if length > MOST_BODY:
            raise ArmError(413, "RequestContentTooLarge", "The request content size exceeds the maximum size of 4 MB.")
        more = message.get("more_body", False)
    return b"".join(chunks)


async def _send(answer: Answer, send: Send, head: bool) -> None:
    body = b""
    if answer.body is not None and not head:
        body = b"null" if answer.body is NULL else msgspec.json.encode(answer.body)
        answer.headers["Content-Type"] = JSON_TYPE
    if answer.status != 204:
        answer.headers["Content-Length"] = str(len(body))
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

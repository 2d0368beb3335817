"""ARM for a web server: Starlette reads and writes HTTP, everything else is `protocol`.

The application page hands what begins with one of `PREFIXES` right to `arm_app`, and whatever nobody else answers.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from azlan.arm.core import Core
from azlan.arm.paths import split
from azlan.arm.polling import Answer, Call
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


class _Endpoint:
    def __init__(self, core: Core, authenticate: Authenticate) -> None:
        self._protocol = Protocol(core)
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await WebSocketClose()(scope, receive, send)
        elif scope["method"] not in METHODS:
            await Response("Method Not Allowed", 405, {"Allow": ", ".join(METHODS)})(scope, receive, send)
        else:
            response = await self.handle(Request(scope, receive, send))
            await response(scope, receive, send)

    async def handle(self, request: Request) -> Response:
        started = datetime.now(UTC)
        request_id = str(uuid4())
        correlation = request.headers.get("x-ms-correlation-request-id") or str(uuid4())
        try:
            answer = await self._protocol.answer(await self._call(request, correlation))
        except ArmError as error:
            answer = Answer(error.status, {"error": error.body}, dict(error.headers))
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception:
            log.exception("a request failed", method=request.method, path=request.url.path, correlation=correlation)
            words = (
                f"Encountered internal server error. Diagnostic information: request correlation id '{correlation}'."
            )
            answer = Answer(500, {"error": {"code": "InternalServerError", "message": words, "details": []}})
        answer.headers |= {
            "Cache-Control": "no-cache",
            "Pragma": "no-cache",
            "Expires": "-1",
            "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
            "X-Content-Type-Options": "nosniff",
            "x-ms-request-id": request_id,
            "x-ms-correlation-request-id": correlation,
            "x-ms-routing-request-id": f"LOCAL:{started:%Y%m%dT%H%M%SZ}:{request_id}",
        }
        if request.headers.get("x-ms-return-client-request-id", "").lower() == "true":
            answer.headers["x-ms-client-request-id"] = request.headers.get("x-ms-client-request-id", "")
        return _response(answer, head=request.method == "HEAD")

    async def _call(self, request: Request, correlation: str) -> Call:
        principal = self._authenticate(request.headers.get("authorization"))
        raw = request.scope.get("raw_path") or request.scope["path"].encode()
        return Call(
            method=request.method,
            segments=split(raw.partition(b"?")[0].decode("ascii", "replace")),
            query={name.lower(): value for name, value in request.query_params.multi_items()},
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await _body(request),
            base=f"{request.url.scheme}://{request.url.netloc}",
            principal=principal,
            correlation=correlation,
        )


async def _body(request: Request) -> bytes:
    """The body, within ARM's limit."""
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > MOST_BODY:
            raise ArmError(413, "RequestContentTooLarge", "The request content size exceeds the maximum size of 4 MB.")
    return bytes(found)


def _response(answer: Answer, head: bool) -> Response:
    if answer.body is None or head:
        headers = answer.headers if answer.status == 204 else {**answer.headers, "Content-Length": "0"}
        return Response(status_code=answer.status, headers=headers)
    return Response(
        msgspec.json.encode(answer.body),
        answer.status,
        answer.headers,
        media_type="application/json; charset=utf-8",
    )

"""Azure's instance metadata service as an ASGI application; whose request it is, is told from outside.

Follows instance-metadata-service ("Usage", "Rate limiting", "Errors and debugging"), scheduled-events,
how-to-use-vm-token and troubleshoot-load-balancer-imds. Wordings that none of them has are marked.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from azlan.arm.resource import Json, Read
from azlan.contract.world import PartKey, World
from azlan.services.instance import VERSIONS, instance, load_balancer

log = structlog.get_logger(__name__)

Who = Callable[[str], Awaitable[PartKey | None]]
"""The machine that asks from a source address; None where it is none that may."""

REQUESTS = 5
TOKEN_REQUESTS = 20
"""A second and machine, those for tokens apart."""
REFUSED_SECONDS = 0.1
"""How long one that asks more often waits for being told so: it must not keep this process from its work."""

EVENT_VERSIONS = ("2017-03-01", "2017-08-01", "2017-11-01", "2019-01-01", "2019-04-01", "2019-08-01", "2020-07-01")
_CATEGORIES = {
    "attested": "2018-10-01",
    "identity": "2018-02-01",
    "instance": "2017-03-01",
    "loadbalancer": "2020-10-01",
    "scheduledevents": "2017-03-01",
}
"""→ the version that brought it."""

_NO_VERSION = (
    "Bad request. api-version is invalid or was not specified in the request. "
    "For more information refer to aka.ms/azureimds"
)
_NO_BALANCER = (
    "No load balancer metadata is found. Please check if your VM is using any non-basic SKU load balancer "
    "and retry later."
)
_NO_HEADER = "Required metadata header not specified"
_NOT_ATTESTED = "Not found. Attested data is not served here: only Microsoft's signature could vouch for it."


class Refusal(Exception):
    """An answer other than 200; `more` stands beside its `error`."""

    def __init__(self, status: int, error: str, **more: Any) -> None:
        self.status = status
        self.body: Json = {"error": error, **more}


class Allowance:
    """How often each machine may ask within a second."""

    _MOST = 4096

    def __init__(self, a_second: int, clock: Callable[[], float]) -> None:
        self._a_second = a_second
        self._clock = clock
        self._asked: defaultdict[PartKey, deque[float]] = defaultdict(deque)

    def take(self, machine: PartKey) -> bool:
        """Whether it may now."""
        now = self._clock()
        if len(self._asked) > self._MOST:
            self._asked = defaultdict(deque, {key: seen for key, seen in self._asked.items() if now - seen[-1] < 1})
        seen = self._asked[machine]
        while seen and now - seen[0] >= 1:
            seen.popleft()
        if len(seen) >= self._a_second:
            return False
        seen.append(now)
        return True


class MetadataApp:
    """`who` is asked with the source address of the connection; documents come from `world` and `read`."""

    def __init__(
        self,
        who: Who,
        world: Callable[[], World],
        read: Callable[[], Read],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._who = who
        self._world = world
        self._read = read
        self._requests = Allowance(REQUESTS, clock)
        self._tokens = Allowance(TOKEN_REQUESTS, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            response = await self._answer(Request(scope))
        except Refusal as refusal:
            response = _json(refusal.body, refusal.status)
        except Exception:
            log.exception("a request for metadata failed")
            response = _json({"error": "Internal Server Error"}, 500)
        response.headers["date"] = formatdate(usegmt=True)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        machine = await self._who(request.client.host) if request.client else None
        if machine is None:
            raise _not_found()
        segments = request.scope["path"].removesuffix("/").split("/")[1:]
        identity = segments[:2] == ["metadata", "identity"]
        if not (self._tokens if identity else self._requests).take(machine):
            await asyncio.sleep(REFUSED_SECONDS)
            raise Refusal(429, "Too many requests")  # wording that of the load balancer's page
        _check_headers(request, identity)
        if request.method != "GET" and not (request.method == "POST" and segments[1:] == ["scheduledevents"]):
            raise Refusal(405, "Method not allowed")
        if segments[:1] != ["metadata"] or len(segments) < 2:
            raise _not_found()
        category, below = segments[1], segments[2:]
        if category == "versions" and not below:
            return _json({"apiVersions": VERSIONS})
        return self._of(machine, category, below, request)

    def _of(self, machine: PartKey, category: str, below: list[str], request: Request) -> Response:
        """What a versioned category answers."""
        if category not in _CATEGORIES:
            raise _not_found()
        query = _query(request)
        if category == "identity":
            raise _no_identity(below, query)
        version = _version(query, category)
        match category, below:
            case "instance", _:
                return self._instance(machine, version, below, query)
            case "scheduledevents", []:
                if request.method == "POST":
                    raise Refusal(400, "Bad request. There is no such event to start.")  # wording unconfirmed
                return _json({"DocumentIncarnation": 1, "Events": []})
            case "loadbalancer", []:
                found = load_balancer(self._world(), self._read(), machine)
                if found is None:
                    raise Refusal(404, _NO_BALANCER)
                return _json(found)
            case "attested", ["document"]:
                raise Refusal(404, _NOT_ATTESTED)
        raise _not_found()

    def _instance(self, machine: PartKey, version: str, below: list[str], query: dict[str, str]) -> Response:
        document: Any = instance(self._world(), self._read(), machine, version)
        if document is None:
            raise Refusal(410, "Gone")  # being deleted; wording unconfirmed
        for name in below:
            document = _element(document, name)
        form = query.get("format", "json").lower()
        if form == "text":
            return _text(document)
        if form != "json":
            raise Refusal(400, "Bad request. The format is not supported: it is json or text.")  # wording unconfirmed
        if isinstance(document, str):
            raise Refusal(400, "Bad request. A leaf is available in text format only.")  # wording unconfirmed
        return _json(document)


def _not_found() -> Refusal:
    return Refusal(404, "Not found")


def _check_headers(request: Request, identity: bool) -> None:
    if request.headers.get("metadata", "").lower() != "true":
        if identity:
            raise Refusal(400, "bad_request_102", error_description=_NO_HEADER)
        raise Refusal(400, f"Bad request: . {_NO_HEADER}")  # users' word for word
    if "x-forwarded-for" in request.headers:
        raise Refusal(400, "Bad request. The X-Forwarded-For header is not allowed.")  # wording unconfirmed


def _query(request: Request) -> dict[str, str]:
    """The parameters; one that is given twice is refused."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in found:
            raise Refusal(400, "Bad request. Duplicate query parameters are not allowed.")  # wording unconfirmed
        found[name] = value
    return found


def _version(query: dict[str, str], category: str) -> str:
    version = query.get("api-version", "")
    known = (*VERSIONS, *EVENT_VERSIONS) if category == "scheduledevents" else VERSIONS
    if version not in known or version < _CATEGORIES[category]:
        raise Refusal(400, _NO_VERSION, **{"newest-versions": VERSIONS[:-4:-1]})
    return version


def _no_identity(below: list[str], query: dict[str, str]) -> Refusal:
    """No machine has a managed identity here; what else is wrong is said first, as Azure does."""
    if below not in (["oauth2", "token"], ["info"]):
        return _not_found()
    needed = ("api-version", "resource") if below == ["oauth2", "token"] else ("api-version",)
    missing = next((name for name in needed if not query.get(name)), None)
    if missing is not None:  # of api-version unconfirmed
        return Refusal(400, "invalid_request", error_description=f"Required query variable '{missing}' is missing")
    if query["api-version"] not in VERSIONS or query["api-version"] < _CATEGORIES["identity"]:
        return Refusal(
            400, "invalid_request", error_description="The api-version is not supported"
        )  # wording unconfirmed
    return Refusal(400, "invalid_request", error_description="Identity not found")


def _element(document: Any, name: str) -> Any:
    """A member by its name, in its case, or an element of a list by its number."""
    if isinstance(document, dict) and name in document:
        return document[name]
    if (
        isinstance(document, list)
        and name.isascii()
        and name.isdecimal()
        and len(name) < 6
        and int(name) < len(document)
    ):
        return document[int(name)]
    raise _not_found()


def _json(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json; charset=utf-8")


def _text(document: Any) -> Response:
    """A leaf as it is; of what is more, the names of what is below, each on a line, with a slash where more is below it."""
    if isinstance(document, str):
        return Response(document, media_type="text/plain")
    items = document.items() if isinstance(document, dict) else ((str(at), item) for at, item in enumerate(document))
    lines = [name if isinstance(item, str) else f"{name}/" for name, item in items]
    return Response("\n".join(lines), media_type="text/plain")

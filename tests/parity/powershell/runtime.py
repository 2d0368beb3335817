"""How the Az modules speak HTTP: requests of a generated client, and operations followed to their end as their runtime does.

Follows Azure/azure-sdk-for-net, sdk/mgmtcommon/ClientRuntime.Azure/ClientRuntime.Azure: LRO/Base/AzureLRO.cs and
LRO/LROPollState.cs @45cdad6, LRO/Operations/PUTLro.cs @a256d07 and DeleteLro.cs @2128b1d, PollingState.cs @368a762.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx

SUCCEEDED = "succeeded"
FAILED = ("failed", "canceled")
DEFAULT_SECONDS = 30
"""Between polls where no answer has said how long to wait."""
UNREAD_SECONDS = 10
"""Between polls where Retry-After is no whole number."""
RETRIED = (408, 429, *(code for code in range(500, 600) if code not in (501, 505)))
"""What the client runtime sends again. No request of the tab may meet one: a retry would hide a fault of the cloud's."""

Pause = Callable[[float], Awaitable[None]]


class CloudException(AssertionError):
    """The cmdlet would throw: a status that the SDK does not expect, or an operation that Failed."""


@dataclass
class Exchange:
    """A request that was sent, and its answer."""

    method: str
    url: str
    status: int
    headers: httpx.Headers
    body: bytes

    def json(self) -> Any:
        """The answer's JSON, None where there is none or it cannot be parsed."""
        try:
            return json.loads(self.body) if self.body.strip() else None
        except ValueError:
            return None

    def error(self) -> str:
        document = self.json()
        error = document.get("error") if isinstance(document, dict) else None
        words = f"{error.get('code')}: {error.get('message')}" if isinstance(error, dict) else self.body.decode()
        return f"{self.method} {self.url} → {self.status} {words}"


@dataclass
class ServiceClient:
    """One client of one cmdlet: the same client request id goes along with everything that the cmdlet sends."""

    http: httpx.AsyncClient
    token: str
    api_version: str
    always: dict[str, str]
    of_requests: dict[str, str]
    pause: Pause
    log: list[Exchange] = field(default_factory=list)

    async def send(self, method: str, path: str, query: dict[str, str], body: Any, accepts: Iterable[int]) -> Exchange:
        """A call of the generated client. Raises CloudException for a status it does not know."""
        names = httpx.QueryParams({**query, "api-version": self.api_version})
        found = await self._sent(method, path, {**self.always, **self.of_requests}, body, names)
        if found.status not in accepts:
            raise CloudException(found.error())
        return found

    async def _get(self, url: str, ignoring: Iterable[int] = ()) -> Exchange:
        """A poll: the URL as it was given, without Accept-Language. Raises CloudException."""
        found = await self._sent("GET", url, self.always, None, None)
        if found.status not in (200, 201, 202, 204, *ignoring):
            raise CloudException(found.error())
        return found

    async def _sent(
        self, method: str, url: str, headers: dict[str, str], body: Any, query: httpx.QueryParams | None
    ) -> Exchange:
        content = None
        headers = {**headers, "Authorization": f"Bearer {self.token}"}
        if body is not None:
            content = json.dumps(body, indent=2).replace("\n", "\r\n").encode()
            headers["Content-Type"] = "application/json; charset=utf-8"
        answer = await self.http.request(method, url, params=query, content=content, headers=headers)
        assert answer.status_code not in RETRIED, f"{method} {url} → {answer.status_code}, which the client would retry"
        found = Exchange(method, str(answer.request.url), answer.status_code, answer.headers, answer.content)
        self.log.append(found)
        return found

    async def finished(self, first: Exchange) -> Any:
        """Follow an operation to its end; the resource's document, None for a DELETE. Raises CloudException."""
        state = _Polling(first)
        if first.method == "PUT":
            state.final = first.url
        await self._polled(state)
        if first.method == "DELETE":
            if state.location:
                await self._get(state.location, ignoring=(404, 412))
            return None
        if state.operation or state.resource is None:
            state.resource = (await self._get(state.final)).json()
        return state.resource

    async def _polled(self, state: _Polling) -> None:
        while state.status.lower() not in (SUCCEEDED, *FAILED):
            await self.pause(state.seconds)
            url = state.url()
            found = await self._get(url)
            state.take(found)
            document = found.json()
            # Anything with a `status` counts as the operation's document, whichever URL it came from.
            reported = document.get("status") if isinstance(document, dict) else None
            state.status = state.reported(found, reported)
            if state.status.lower() in FAILED:
                raise CloudException(f"the operation {state.status}: {found.error()}")
            if url == state.operation and (not reported or document is None):
                raise CloudException(f"{found.error()}\nno body with a status at Azure-AsyncOperation")
            state.resource = document if reported is None else None


class _Polling:
    """What the answers so far have said."""

    def __init__(self, first: Exchange) -> None:
        self.method = first.method
        self.operation = self.location = ""
        self.final = ""
        self._request = first.url
        self.seconds: float = DEFAULT_SECONDS
        self.resource: Any = first.json()
        self.status = _first_status(first, self.resource)
        self.take(first)
        if self.method == "DELETE" and first.status == 201 and not self.location:
            raise CloudException(f"{first.error()}\n201 without Location")
        if first.status == 202 and not (self.operation or self.location):
            raise CloudException(f"{first.error()}\n202 without Azure-AsyncOperation and Location")

    def take(self, found: Exchange) -> None:
        """The latest of each header counts, and stays where a later answer has none."""
        self.operation = found.headers.get("Azure-AsyncOperation", self.operation)
        self.location = found.headers.get("Location", self.location)
        given = found.headers.get("Retry-After")
        if given is not None:
            self.seconds = int(given) if given.lstrip("-").isdigit() else UNREAD_SECONDS
            assert self.seconds >= 0, f"Retry-After: {given} ends the cmdlet (Task.Delay)"

    def url(self) -> str:
        return self.operation or self.location or self._request

    def reported(self, found: Exchange, status: str | None) -> str:
        """The state after a poll. Raises CloudException where the runtime cannot tell."""
        if status and (status.lower() in (SUCCEEDED, *FAILED)):
            return status
        if status and self.operation:
            return HTTPStatus(found.status).phrase  # no end: it goes on
        if found.status == 202:
            return "InProgress"
        if found.status in ((200, 201) if self.method == "PUT" else (200, 204)):
            return _provisioning_state(found.json()) or "Succeeded"
        raise CloudException(f"{found.error()}\nno valid status")


def _provisioning_state(document: Any) -> str:
    properties = document.get("properties") if isinstance(document, dict) else None
    return str(properties.get("provisioningState") or "") if isinstance(properties, dict) else ""


def _first_status(first: Exchange, document: Any) -> str:
    if first.status == 202:
        return "InProgress"
    if first.status == 204:
        return "Succeeded"
    return _provisioning_state(document) or {200: "Succeeded", 201: "InProgress"}.get(first.status, "Failed")

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
        # A first answer that says Failed is handed on as it is: nothing is thrown.
        while not state.ended():
            await self.pause(state.seconds)
            if not state.url:
                raise CloudException(f"{first.error()}\nnothing to poll")
            found = await self._get(state.url)
            state.polled(found)
            state.follow(found.status)
        if state.status.lower() == SUCCEEDED:
            if state.method == "DELETE" and state.final:
                await self._get(state.final, ignoring=(404, 412))
            elif state.method == "PUT" and (state.operation or state.resource is None):
                state.resource = (await self._get(state.final)).json()
        return state.resource if state.method == "PUT" else None


class _Polling:
    """What the answers so far have said, where to poll next, and what to read last."""

    def __init__(self, first: Exchange) -> None:
        self.method = first.method
        self.operation = self.location = self.final = ""
        self._request = first.url
        self.seconds: float = DEFAULT_SECONDS
        self.resource: Any = first.json()
        self.status = _first_status(first, self.resource)
        self._take(first)
        self.url = self.operation or self.location
        self.follow(first.status)

    def ended(self) -> bool:
        return self.status.lower() in (SUCCEEDED, *FAILED)

    def follow(self, status: int) -> None:
        """Which URL is next, after an answer of this status: the one of before, unless 201 or 202 lead elsewhere."""
        if self.method == "PUT":
            self.url = self.url or self._request
            self.final = self._request
            if status in (201, 202):
                self.url = self.operation or (self.location if status == 202 else "") or self.url
            return
        if status == 201 and not self.location:
            raise CloudException("DELETE: 201 without Location")
        if status in (201, 202):
            self.final = self.location
            self.url = (self.location if status == 201 else self.operation or self.location) or self.url
        if status == 202 and not self.url:
            raise CloudException("DELETE: 202 without Azure-AsyncOperation and Location")

    def polled(self, found: Exchange) -> None:
        """Take an answer to a poll. Raises CloudException."""
        self._take(found)
        self.resource = document = found.json()
        # Anything with a `status` counts as the operation's document, whichever URL it came from.
        reported = document.get("status") if isinstance(document, dict) else None
        self.status = self._reported(found, reported)
        if self.status.lower() in FAILED:
            raise CloudException(f"the operation {self.status}: {found.error()}")
        if self.url.lower() == self.operation.lower() and not reported:
            raise CloudException(f"{found.error()}\nno body with a status at Azure-AsyncOperation")
        if self.method == "PUT" and not (self.operation or self.location) and document is None:
            raise CloudException(f"{found.error()}\nno body")

    def _take(self, found: Exchange) -> None:
        """The latest of each header counts, and stays where a later answer has none."""
        self.operation = found.headers.get("Azure-AsyncOperation", self.operation)
        self.location = found.headers.get("Location", self.location)
        given = found.headers.get("Retry-After")
        if given is not None:
            self.seconds = int(given) if given.lstrip("-").isdigit() else UNREAD_SECONDS
            assert self.seconds >= 0, f"Retry-After: {given} ends the cmdlet (Task.Delay)"

    def _reported(self, found: Exchange, status: str | None) -> str:
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

"""How a client learns of an operation's end: poll headers, operation documents, operation results.

Follows azure-resource-manager-rpc, v1.0/async-api-reference.md and the recorded shapes of Network and Compute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from azlan.arm.core import Core
from azlan.arm.operations import as_error
from azlan.arm.resource import Json, Operation, Principal, ResourceType
from azlan.arm.writes import Request
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId

HOLD = 0.5
"""Seconds for which a poll waits for the operation to end before it answers InProgress."""


@dataclass
class Call:
    """One HTTP request; names of `query` and `headers` in lower case. `base` is `https://localhost:8443`."""

    method: str
    segments: list[str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    base: str
    principal: Principal
    correlation: str = ""

    @property
    def api_version(self) -> str:
        return self.query.get("api-version", "")

    def request(self) -> Request:
        return Request(self.principal, self.api_version, self.query, self.headers, self.correlation)


@dataclass
class Answer:
    """Status, JSON (None: no body) and headers."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def poll_headers(call: Call, declared: ResourceType, operation: Operation) -> dict[str, str]:
    """The headers of an answer whose operation goes on."""
    headers = {"Retry-After": retry_after(call, declared.retry_after, first=True)}
    if declared.operation_style != "resources":
        headers["Azure-AsyncOperation"] = _url(call, operation, "operations")
    if declared.operation_style == "resources":
        headers["Location"] = location(call, operation.subscription, operation.id)
    elif call.method in ("DELETE", "POST"):
        headers["Location"] = _url(call, operation, "operationResults")
    return headers


def retry_after(call: Call, given: str = "1", *, first: bool = False) -> str:
    """Seconds to the next poll. Python's azure-core reads fractions (and takes 0 for no header: 30 s); every other
    client reads whole seconds, as RFC 9110 has it. The `first` answer of an operation is parsed by the generated SDKs,
    too, as a whole number (azure-mgmt-network 33): there only az's own commands are told fractions."""
    wanted = "azsdk-python-core" if first else "python"
    return "0.05" if wanted in call.headers.get("user-agent", "").lower() else given


def _url(call: Call, operation: Operation, page: str) -> str:
    return (
        f"{call.base}/subscriptions/{operation.subscription}/providers/{operation.namespace}/locations/"
        f"{operation.location}/{page}/{operation.id}?api-version={call.api_version}"
    )


def location(call: Call, subscription: str, id: str) -> str:
    """The URL of a result that is not tied to a namespace."""
    return f"{call.base}/subscriptions/{subscription}/operationresults/{id}?api-version={call.api_version}"


async def _held(core: Core, id: str, subscription: str) -> Operation:
    """The operation, ended or after a short wait. Raises ArmError for an unknown one."""
    operation = core.operations.get(id.lower())
    if operation is None or operation.subscription.lower() != subscription.lower():
        raise ArmError(404, "OperationNotFound", f"The operation '{id}' could not be found.")  # unconfirmed wording
    if operation.ended is None:
        try:
            operation = await asyncio.wait_for(core.operations.wait(operation.id), HOLD)
        except TimeoutError:
            operation = core.operations.get(operation.id) or operation
    return operation


async def status(core: Core, call: Call, subscription: str, id: str) -> Answer:
    """`…/operations/{id}`."""
    operation = await _held(core, id, subscription)
    declared = core.operations.declared(operation)
    document: Json = {}
    if declared is not None and declared.operation_style != "network":
        document["startTime"] = operation.started
        if operation.ended is not None:
            document["endTime"] = operation.ended
    document["status"] = operation.status
    if declared is not None and declared.operation_style != "network":
        document["name"] = operation.id
    if operation.error is not None:
        document["error"] = operation.error
    headers = {} if operation.ended else {"Retry-After": retry_after(call, declared.retry_after if declared else "1")}
    return Answer(200, document, headers)


async def result(core: Core, call: Call, subscription: str, id: str) -> Answer:
    """`…/operationResults/{id}`: 202 while it goes on, then what the operation leads to."""
    if id.lower() in core.later:
        return await _later(core, call, subscription, id.lower())
    operation = await _held(core, id, subscription)
    declared = core.operations.declared(operation)
    if operation.ended is None:
        here = f"{call.base}/{'/'.join(call.segments)}?api-version={call.api_version}"
        wait = retry_after(call, declared.retry_after if declared else "1")
        return Answer(202, None, {"Location": here, "Retry-After": wait})
    if operation.status != "Succeeded":
        raise as_error(operation)
    if operation.kind == "DELETE":
        return Answer(200 if declared is not None and declared.operation_style == "resources" else 204)
    if operation.kind == "POST":
        made = core.results.get(operation.id)
        return Answer(200, made(core.store.snapshot) if made is not None else None)
    target: ResourceId = core.operations.target(operation)
    return Answer(200, core.views.any(core.store.snapshot, target, call.api_version))


async def _later(core: Core, call: Call, subscription: str, id: str) -> Answer:
    task = core.later[id]
    await asyncio.wait([task], timeout=HOLD)
    if not task.done():
        return Answer(202, None, {"Location": location(call, subscription, id), "Retry-After": retry_after(call)})
    if task.cancelled():
        raise ArmError(409, "Canceled", "Operation was canceled.")
    return Answer(200, task.result())

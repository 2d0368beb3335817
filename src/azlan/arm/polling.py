"""How a client learns of an operation's end: poll headers, operation documents, operation results.

Follows azure-resource-manager-rpc, v1.0/async-api-reference.md and the recorded shapes of Network and Compute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from azlan.arm.core import Core
from azlan.arm.operations import as_error
from azlan.arm.resource import Json, Operation, Principal, ResourceType
from azlan.arm.writes import Request
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId

HOLD = 0.5
"""Seconds for which a poll waits for the operation to end before it answers InProgress."""


JSON_TYPE = "application/json; charset=utf-8"

NULL = object()
"""A body that is JSON's `null`, as Network answers actions that go on."""


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
    """Status, JSON (None: no body; NULL: `null`) and headers."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


_PAGES = {"network": "operations", "compute": "operations", "disk": "DiskOperations"}
"""Where the status of an operation is, by style."""


def poll_headers(call: Call, declared: ResourceType, operation: Operation) -> dict[str, str]:
    """The headers of an answer whose operation goes on."""
    headers = {"Retry-After": retry_after(call, declared.retry_after, first=True)}
    if declared.operation_style == "resources":
        headers["Location"] = location(call, operation.subscription, operation.id)
        return headers
    headers["Azure-AsyncOperation"] = _url(call, operation, _PAGES[declared.operation_style])
    if declared.operation_style != "disk":
        headers["Azure-AsyncNotification"] = "Enabled"
    if call.method in ("DELETE", "POST") or declared.operation_style == "disk":
        headers["Location"] = _result_url(call, declared, operation)
    return headers


def _result_url(call: Call, declared: ResourceType, operation: Operation) -> str:
    """What an operation leads to: Network's page of results, or Compute's page of operations with `monitor`."""
    if declared.operation_style == "network":
        return _url(call, operation, "operationResults")
    return _url(call, operation, _PAGES[declared.operation_style], monitor=True)


def retry_after(call: Call, given: str = "1", *, first: bool = False) -> str:
    """Seconds to the next poll. Python's azure-core reads fractions (and takes 0 for no header: 30 s); every other
    client reads whole seconds, as RFC 9110 has it. The `first` answer of an operation is parsed by the generated SDKs,
    too, as a whole number (azure-mgmt-network 33): there only az's own commands are told fractions."""
    wanted = "azsdk-python-core" if first else "python"
    return "0.05" if wanted in call.headers.get("user-agent", "").lower() else given


def _url(call: Call, operation: Operation, page: str, monitor: bool = False) -> str:
    return (
        f"{call.base}/subscriptions/{operation.subscription}/providers/{operation.namespace}/locations/"
        f"{operation.location}/{page}/{operation.id}?{'monitor=true&' if monitor else ''}api-version={call.api_version}"
    )


def location(call: Call, subscription: str, id: str, home: str = "") -> str:
    """The URL of a result; `home`, where it is tied to a namespace and region: `providers/{namespace}/locations/{region}`."""
    page = f"{home}/operationResults" if home else "operationresults"
    return f"{call.base}/subscriptions/{subscription}/{page}/{id}?api-version={call.api_version}"


def later_headers(call: Call, subscription: str, id: str, home: str, operations: bool) -> dict[str, str]:
    """The headers of an action's answer whose work goes on; `home` as of `location`."""
    headers = {"Retry-After": retry_after(call, first=True)}
    if not operations:
        return headers | {"Location": location(call, subscription, id, home)}
    url = f"{call.base}/subscriptions/{subscription}/{home}/operations/{id}?"
    return headers | {
        "Azure-AsyncNotification": "Enabled",
        "Azure-AsyncOperation": f"{url}api-version={call.api_version}",
        "Location": f"{url}monitor=true&api-version={call.api_version}",
    }


async def _held(core: Core, id: str, subscription: str) -> Operation:
    """The operation, ended or after a short wait. Raises ArmError for an unknown one."""
    operation = core.operations.get(id.lower())
    if operation is None or operation.subscription.lower() != subscription.lower():
        raise ArmError(404, "OperationNotFound", f"The operation '{id}' could not be found.")  # unconfirmed wording
    return await held(core, operation)


async def held(core: Core, operation: Operation) -> Operation:
    """The operation, ended or after a short wait."""
    if operation.ended is None:
        try:
            operation = await asyncio.wait_for(core.operations.wait(operation.id), HOLD)
        except TimeoutError:
            operation = core.operations.get(operation.id) or operation
    return operation


async def status(core: Core, call: Call, subscription: str, id: str) -> Answer:
    """`…/operations/{id}`."""
    if id.lower() in core.later:
        return await _working(core, call, id.lower())
    operation = await _held(core, id, subscription)
    declared = core.operations.declared(operation)
    document: Json = {}
    if declared is not None and declared.operation_style != "network":
        document["startTime"] = operation.started
        if operation.ended is not None:
            document["endTime"] = operation.ended
    document["status"] = operation.status
    if declared is not None and declared.operation_style == "disk" and operation.status == "Succeeded":
        made = core.views.any(core.store.snapshot, core.operations.target(operation), call.api_version)
        if operation.kind != "DELETE" and made is not None:
            document["properties"] = {"output": made}
    if declared is not None and declared.operation_style != "network":
        document["name"] = operation.id
    if operation.error is not None:
        document["error"] = operation.error
    headers = {} if operation.ended else {"Retry-After": retry_after(call, declared.retry_after if declared else "1")}
    return Answer(200, document, headers)


async def result(core: Core, call: Call, subscription: str, id: str) -> Answer:
    """`…/operationResults/{id}`, or Compute's `operations/{id}?monitor=true`: 202 while it goes on, then what the
    operation leads to."""
    if id.lower() in core.later:
        return await _later(core, call, subscription, id.lower())
    operation = await _held(core, id, subscription)
    declared = core.operations.declared(operation)
    if operation.ended is None:
        monitor = "monitor=true&" if "monitor" in call.query else ""
        wait = retry_after(call, declared.retry_after if declared else "1")
        return Answer(
            202, None, {"Location": f"{_here(call)}?{monitor}api-version={call.api_version}", "Retry-After": wait}
        )
    if operation.status != "Succeeded":
        raise as_error(operation)
    if operation.kind == "DELETE":
        if declared is not None and declared.operation_style != "network":
            return Answer(200)
        # Recorded: the answer that ends it repeats where it was asked for.
        headers = poll_headers(replace(call, method="DELETE"), declared, operation) if declared is not None else {}
        headers.pop("Retry-After", None)
        headers["Content-Type"] = JSON_TYPE
        return Answer(204, None, headers)
    if operation.kind == "POST":
        made = core.results.get(operation.id)
        return Answer(200, made(core.store.snapshot) if made is not None else None)
    target: ResourceId = core.operations.target(operation)
    return Answer(200, core.views.any(core.store.snapshot, target, call.api_version))


async def _later(core: Core, call: Call, subscription: str, id: str) -> Answer:
    task = core.later[id].task
    await asyncio.wait([task], timeout=HOLD)
    monitor = "monitor=true&" if "monitor" in call.query else ""
    here = f"{_here(call)}?{monitor}api-version={call.api_version}"
    if not task.done():
        return Answer(202, None, {"Location": here, "Retry-After": retry_after(call)})
    if task.cancelled():
        raise ArmError(409, "Canceled", "Operation was canceled.")
    return Answer(200, task.result(), {} if monitor or "providers" not in call.segments else {"Location": here})


async def _working(core: Core, call: Call, id: str) -> Answer:
    """Compute's operation document of an action's work."""
    work = core.later[id]
    await asyncio.wait([work.task], timeout=HOLD)
    document: Json = {"startTime": work.started.isoformat()}
    if not work.task.done():
        return Answer(200, {**document, "status": "InProgress", "name": id}, {"Retry-After": retry_after(call)})
    document["endTime"] = (work.ended or work.started).isoformat()
    failure = None if work.task.cancelled() else work.task.exception()
    if work.task.cancelled():
        document["status"] = "Canceled"
    elif isinstance(failure, ArmError):
        document |= {"status": "Failed", "error": failure.body}
    elif failure is not None:
        raise failure
    else:
        document |= {"status": "Succeeded", "properties": {"output": work.task.result()}}
    return Answer(200, {**document, "name": id})


def _here(call: Call) -> str:
    """The URL of a call without its query."""
    return f"{call.base}/{'/'.join(call.segments)}"

"""Carrying out the plan of a deployment: every resource as soon as what it depends on is there, many at a time.

The plan and what became of each resource are in the deployment's state: a process that was killed leaves no more behind
than resources that are put a second time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from azlan.arm.resource import Job, Json, Row
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId, parse_id
from azlan.providers.resources.removal import remove_all
from azlan.template.language import TemplateError
from azlan.template.plan import settle

_HELP = "Please see https://aka.ms/arm-deployment-operations for usage details."


async def rollout(job: Job) -> None:
    """The deployment's job. Raises ArmError DeploymentFailed with what went wrong as details."""
    await job.state(lambda state: state.update(begun=True))
    if "plan" not in job.row.state:
        _raise_again(job.row.state.get("error"))
        return
    plan = _plan(job)
    errors = await _Rollout(job, plan).run() if plan is not None else [_unreadable(job)]
    error: ArmError | None = None
    outputs: Json = {}
    if plan is None or errors:
        error = ArmError(
            409,
            "DeploymentFailed",
            f"At least one resource deployment operation failed. Please list deployment operations for details. {_HELP}",
            target=str(job.row.id),
            details=errors,
        )
    else:
        try:
            outputs = _outputs(job, plan)
            await _complete(job, plan)
        except ArmError as failure:
            error = failure

    def end(state: Json) -> None:
        state.pop("plan")
        state.pop("sealed", None)
        state["ended"] = datetime.now(UTC).isoformat()
        state["outputs"] = outputs
        state["outputResources"] = [
            {"id": entry["id"]} for entry in (plan or {}).get("resources", ()) if entry["wanted"]
        ]
        if error is not None:
            state["error"] = error.body

    await job.state(end)
    if error is not None:
        raise error


def _plan(job: Job) -> Json | None:
    """The deployment's plan; None where it was sealed with a key that is gone. Older versions stored it as it is."""
    stored = job.row.state["plan"]
    if not isinstance(stored, str):
        return dict(stored)
    try:
        return dict(job.safe.open(stored, job.row.key))
    except LookupError:
        return None


def _unreadable(job: Job) -> Json:
    return {
        "code": "DeploymentFailed",
        "target": str(job.row.id),
        "message": "The deployment cannot go on: the key that its plan was sealed with is gone. Please deploy again.",
    }


def _raise_again(error: Json | None) -> None:
    """What a process said of the deployment before it was killed, short of ending the operation."""
    if error is not None:
        details = error.get("details", ())
        raise ArmError(409, error["code"], error["message"], target=error.get("target"), details=details)


class _Rollout:
    """One run over the plan. Resources that an earlier run finished are not put again."""

    def __init__(self, job: Job, plan: Json) -> None:
        self.job = job
        self.entries: dict[str, Json] = {
            parse_id(entry["id"]).key: entry for entry in plan["resources"] if entry["wanted"]
        }
        done: Mapping[str, Json] = job.row.state.get("done", {})
        self.finished = {key for key, record in done.items() if record["provisioningState"] == "Succeeded"}
        self.errors: list[dict[str, Any]] = []
        self.noted: dict[str, Json] = {}
        """Records that are not stored yet."""
        self.writing: asyncio.Task[None] | None = None

    async def run(self) -> list[dict[str, Any]]:
        """Put everything; returns the errors, in the order in which they came."""
        running: dict[asyncio.Task[None], str] = {}
        started = set(self.finished)
        try:
            while True:
                if not self.errors:
                    for key, entry in self.entries.items():
                        if key not in started and self.finished.issuperset(entry["depends"]):
                            started.add(key)
                            running[asyncio.create_task(self._put(key, entry))] = key
                if not running:
                    if self.writing is not None:
                        await self.writing
                    return self.errors
                ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    key = running.pop(task)
                    await task
                    self.finished.add(key)
        finally:
            for task in running:
                task.cancel()
            if self.writing is not None:
                self.writing.cancel()

    async def _put(self, key: str, entry: Json) -> None:
        id = parse_id(entry["id"])
        start = datetime.now(UTC)
        existed = self.job.read().get(key) is not None
        self._record(key, id, start, "Running", None)
        error: ArmError | None = None
        try:
            body = _settled(self.job, entry["body"], f"resource '{id}'")
            await self.job.put(id, body, entry["apiVersion"])
        except ArmError as failure:
            error = failure
            self.errors.append(_detail(failure, id, self.job))
        self._record(key, id, start, "Failed" if error else "Succeeded", error, existed=existed)

    def _record(
        self, key: str, id: ResourceId, start: datetime, state: str, error: ArmError | None, existed: bool = False
    ) -> None:
        now = datetime.now(UTC)
        code = "OK" if existed else "Created"
        record: Json = {
            "operationId": uuid4().hex.upper()[:16],
            "provisioningOperation": "Create",
            "provisioningState": state,
            "timestamp": now.isoformat(),
            "duration": _span((now - start).total_seconds()),
            "trackingId": str(uuid4()),
            "targetResource": {"id": str(id), "resourceType": id.type, "resourceName": "/".join(id.names)},
        }
        if state != "Running":
            record["statusCode"] = code if error is None else _STATUS.get(error.status, "Conflict")
        if error is not None:
            record["statusMessage"] = {"error": error.body}

        self.noted[key] = record
        if self.writing is None or self.writing.done():
            self.writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        """Store what was noted, all at once: the state is one document, and a plan may have hundreds of resources.

        A record that is lost in a crash costs no more than that its resource is put again.
        """
        while self.noted:
            noted, self.noted = self.noted, {}

            def note(stored: Json, noted: dict[str, Json] = noted) -> None:
                for key, record in noted.items():
                    before = stored["done"].get(key, record)
                    same = {name: before[name] for name in ("operationId", "trackingId")}
                    stored["done"][key] = {**record, **same}

            await self.job.state(note)


_STATUS = {400: "BadRequest", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 412: "PreconditionFailed"}


def _detail(error: ArmError, id: ResourceId, job: Job) -> dict[str, Any]:
    """A request that was refused shows its own error, an operation that failed is wrapped, as Azure does."""
    row = job.read().get(id.key)
    if row is not None and row.provisioning == "Failed":
        return {
            "code": "ResourceDeploymentFailure",
            "target": str(id),
            "message": "The resource write operation failed to complete successfully, because it reached terminal provisioning "
            "state 'Failed'.",
            "details": [error.body],
        }
    return error.body


def _settled(job: Job, value: Any, where: str) -> Any:
    """A planned value with its `reference` calls answered."""

    def lookup(text: str, api_version: str | None, full: bool) -> Any:
        try:
            id = parse_id(text)
        except ValueError as error:
            raise TemplateError(f"The resource reference '{text}' is not valid.") from error
        document = job.view(id, api_version or job.row.api_version)
        if document is None:
            raise ArmError(
                404,
                "ResourceNotFound",
                f"The Resource '{id.type}/{id.name}' under resource group '{id.group}' was not found. For more details please go "
                f"to https://aka.ms/ARMResourceNotFoundFix",
            )
        if full:
            extra = {"apiVersion": api_version, "subscriptionId": id.subscription, "resourceGroupName": id.group}
            return {**document, **extra, "resourceId": f"{id.type}/{'/'.join(id.names)}"}
        return document.get("properties") or {}

    try:
        return settle(value, lookup, _environment(job))
    except TemplateError as error:
        raise ArmError(
            400, "InvalidTemplate", f"Unable to process template language expressions for {where}. '{error}'"
        ) from error


def _environment(job: Job) -> Json:
    endpoint = job.runtime.endpoint
    return {
        "name": "Azlan",
        "portal": f"{endpoint}/portal",
        "resourceManager": f"{endpoint}/",
        "authentication": {"loginEndpoint": f"{endpoint}/", "audiences": [f"{endpoint}/"], "tenant": "common"},
        "suffixes": {},
    }


def _outputs(job: Job, plan: Json) -> Json:
    made: Json = {}
    for name, entry in plan["outputs"].items():
        try:
            made[name] = _settled(job, entry, f"output '{name}'")
        except ArmError as error:
            raise ArmError(
                400,
                "DeploymentOutputEvaluationFailed",
                f"Unable to evaluate template outputs: '{name}'. Please see error details and deployment operations. "
                f"Please see https://aka.ms/arm-common-errors for usage details.",
                details=[{"code": error.code, "target": name, "message": error.message}],
            ) from error
    return made


async def _complete(job: Job, plan: Json) -> None:
    """Complete mode: what the template does not name goes, but for deployments and what a named resource refers to."""
    if str(job.row.properties.get("mode", "")).lower() != "complete":
        return
    named = {parse_id(entry["id"]).key for entry in plan["resources"]}

    def remaining() -> list[Row]:
        read = job.read()
        rows = [row for row in read.list("", group=job.row.id.group_key) if row.id.namespace and row.key not in named]
        return [row for row in rows if row.type != job.row.type and not _held(row)]

    def _held(row: Row) -> bool:
        if row.id.parent is not None and row.id.parent.key in named:
            return True
        if row.id.scope is not None:
            return True
        return any(other.key in named for other, _ in job.read().referrers(row.key))

    failed = await remove_all(job, remaining)
    if failed:
        raise ArmError(
            409,
            "DeploymentFailed",
            f"At least one resource deployment operation failed. Please list deployment operations for details. {_HELP}",
            target=str(job.row.id),
            details=[{**error.body, "target": str(id)} for id, error in failed.values()],
        )


def duration(start: str, end: str) -> str:
    """ISO 8601 duration between two times."""
    try:
        first, last = (datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (start, end))
    except ValueError:
        return "PT0S"
    return _span(max(0.0, (last - first).total_seconds()))


def _span(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = "PT" + (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    return f"{text}{rest:.7f}".rstrip("0").rstrip(".") + "S"

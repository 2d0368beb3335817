"""Work that goes on after a request was accepted: deployments, group deletion. One asyncio task an operation.

A job acts through the core as its caller would; a killed one is started again from the stored row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from azlan.arm.authorization import action_prefix
from azlan.arm.documents import copy_json
from azlan.arm.resource import Accepted, Json, Later, Operation, Principal, Read, Row, Runtime
from azlan.arm.store import Transaction
from azlan.arm.writes import Request
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId

if TYPE_CHECKING:
    from azlan.arm.core import Core

log = structlog.get_logger(__name__)


class RunningJob:
    """Implements `resource.Job`."""

    def __init__(self, core: Core, operation: Operation, row: Row) -> None:
        self._core = core
        self._correlation = operation.correlation
        self.row = row
        self.principal: Principal = operation.principal
        self.runtime: Runtime = core.runtime
        self.safe = core.rules.safe

    def read(self) -> Read:
        return self._core.store.snapshot

    async def put(self, id: ResourceId, body: Json, api_version: str) -> Json:
        outcome = await self._core.put(self._request(api_version), id, body)
        if outcome.operation is not None:
            await self._core.operations.succeeded(outcome.operation.id)
        return self._core.views.any(self._core.store.snapshot, outcome.id, api_version) or {}

    async def delete(self, id: ResourceId) -> None:
        try:
            outcome = await self._core.delete(self._request(self.row.api_version), id)
        except ArmError as error:
            if error.status == 404:
                return
            raise
        if outcome.operation is not None:
            await self._core.operations.succeeded(outcome.operation.id)

    async def action(self, id: ResourceId, name: str, body: Json | None = None) -> Json | None:
        answer = await self._core.action(self._request(self.row.api_version), id, name, body)
        if isinstance(answer, Accepted):
            await self._core.operations.succeeded(answer.operation.id)
            return answer.result(self.read()) if answer.result is not None else None
        if isinstance(answer, Later):
            return await answer.work
        return answer

    async def state(self, edit: Callable[[Json], None]) -> None:
        def change(transaction: Transaction) -> Row:
            row = transaction.snapshot.rows.get(self.row.key)
            if row is None:
                raise ArmError(409, "Canceled", "The resource is gone.")
            state = copy_json(row.state)
            edit(state)
            changed = replace(row, state=state, revision=transaction.revision)
            transaction.put(changed)
            return changed

        self.row = await self._core.store.transact(change)

    def view(self, id: ResourceId, api_version: str) -> Json | None:
        snapshot = self._core.store.snapshot
        declared = self._core.registry.of_id(id)
        if declared is not None:
            self._core.authorization.check(snapshot, self.principal, f"{action_prefix(declared)}/read", str(id))
        return self._core.views.any(snapshot, id, api_version)

    def _request(self, api_version: str) -> Request:
        return Request(self.principal, api_version, correlation=self._correlation)


class Jobs:
    """The running jobs, by operation id."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, operation: Operation) -> None:
        """Run the job of an operation, unless it runs already."""
        if operation.id in self._tasks:
            return
        task = asyncio.get_running_loop().create_task(self._run(operation), name=f"job {operation.name}")
        self._tasks[operation.id] = task
        task.add_done_callback(lambda done: self._forget(operation.id, done))

    def _forget(self, operation: str, task: asyncio.Task[None] | None = None) -> None:
        if task is None or self._tasks.get(operation) is task:
            self._tasks.pop(operation, None)

    async def _run(self, operation: Operation) -> None:
        core = self._core
        declared = core.operations.declared(operation)
        row = core.store.snapshot.rows.get(operation.key)
        job = None
        if declared is not None:
            job = declared.delete_job if operation.kind == "DELETE" else declared.job
        error: Json | None = None
        try:
            if job is not None and row is not None:
                await job(RunningJob(core, operation, row))
        except ArmError as failure:
            error = failure.body
        except Exception as failure:
            log.exception("a job failed", operation=operation.name, target=operation.target)
            error = {"code": "InternalServerError", "message": f"{type(failure).__name__}: {failure}"}
        # From here on the operation is being ended by ourselves: nobody may cancel that half-way.
        self._forget(operation.id)
        if error is None and operation.waits:
            core.operations.worked.add(operation.id)
            core.store.notify()
            return
        await core.operations.settle(operation.id, error)

    def cancel_ended(self) -> None:
        """Stop the jobs whose operation was canceled meanwhile."""
        for id, task in list(self._tasks.items()):
            operation = self._core.operations.get(id)
            if operation is None or operation.ended is not None:
                task.cancel()

    def running(self) -> tuple[str, ...]:
        """Ids of the operations whose jobs are under way."""
        return tuple(self._tasks)

    async def close(self) -> None:
        """Stop all jobs where they are; the next process starts them again."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""Long-running operations: pending until what has to make them true reports, then ended in one transaction.

Follows azure-resource-manager-rpc, v1.0/async-api-reference.md. An unsettled operation survives a restart: the loops
settle it again, its job is started again from the stored row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from azlan.arm.changes import Outcome, finish_delete
from azlan.arm.resource import Json, Operation, ProvisioningState, ResourceType
from azlan.arm.store import Store, Transaction
from azlan.arm.writes import Request, Rules, Unit
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId, parse_id

log = structlog.get_logger(__name__)


class Operations:
    """The operations of one store. `start_job` begins the job of a type, given by the core."""

    def __init__(self, store: Store, rules: Rules, start_job: Callable[[Operation], None]) -> None:
        self._store = store
        self._rules = rules
        self._start_job = start_job
        self._waiting: dict[str, list[asyncio.Future[Operation]]] = {}
        self.worked: set[str] = set()
        """Operations whose job has done its part."""
        store.subscribe(self._wake)

    def get(self, id: str) -> Operation | None:
        return self._store.snapshot.operations.get(id)

    def pending(self) -> tuple[Operation, ...]:
        """Unsettled operations that no job will end, oldest first."""
        found = [o for o in self._store.snapshot.unsettled.values() if o.id in self.worked or not self.has_job(o)]
        return tuple(sorted(found, key=lambda operation: operation.revision))

    def has_job(self, operation: Operation) -> bool:
        """Whether a job of the operation's type belongs to it."""
        declared = self.declared(operation)
        if declared is None or operation.kind == "POST":
            return False
        return (declared.delete_job if operation.kind == "DELETE" else declared.job) is not None

    def declared(self, operation: Operation) -> ResourceType | None:
        """The type of the addressed resource."""
        return self._rules.registry.of_id(self.target(operation))

    @staticmethod
    def target(operation: Operation) -> ResourceId:
        return parse_id(operation.target or operation.key)

    async def settle(self, id: str, error: Json | None = None) -> None:
        """End the operation as Succeeded, or as Failed with `error` (`{code, message}`). One that has ended stays."""
        outcomes = await self._store.transact(lambda change: self._settle(change, id, error))
        self.worked.discard(id)
        for outcome in outcomes:
            if outcome.operation is not None:
                self.begun(outcome.operation)

    def _settle(self, change: Transaction, id: str, error: Json | None) -> list[Outcome]:
        operation = change.snapshot.operations.get(id)
        if operation is None or operation.ended is not None:
            return []
        if operation.kind != "DELETE" and not self.has_job(operation):
            # Lost with the power, the operation is under way again, and the loops end it again.
            change.late()
        row = change.snapshot.rows.get(operation.key)
        removal = operation.kind == "DELETE" and self.target(operation).key == operation.key
        outcomes: list[Outcome] = []
        status = "Failed" if error else "Succeeded"
        if row is None and not removal:
            status, error = "Canceled", {"code": "Canceled", "message": "Operation was canceled."}
        elif removal and not error and row is not None:
            request = Request(operation.principal, row.api_version, correlation=operation.correlation)
            outcomes = finish_delete(Unit(self._rules, change, request), row)
        elif removal and row is not None:
            # A group whose deletion was blocked is rolled back, as Azure words it; another resource has Failed.
            declared = self.declared(operation)
            rolled_back = declared is not None and declared.delete_job is not None
            self._provision(change, operation.key, "Succeeded" if rolled_back else "Failed", deleting=True)
        for key in (operation.key, *operation.others):
            if not (removal and key == operation.key) and change.snapshot.last.get(key) == id:
                self._provision(change, key, "Failed" if error else "Succeeded")
        change.put_operation(replace(operation, status=status, ended=change.now, error=error))
        caller = operation.principal.name
        verb = {"DELETE": "delete", "POST": "action"}.get(operation.kind, "write")
        target = self.target(operation)
        change.log(str(target), f"{target.type}/{verb}", status, caller, operation.correlation, _words(error))
        return outcomes

    @staticmethod
    def _provision(change: Transaction, key: str, state: ProvisioningState, deleting: bool = False) -> None:
        """Set a row's state; one that is being deleted stays so, unless its own deletion has failed."""
        row = change.snapshot.rows.get(key)
        if row is not None and row.provisioning != state and row.deleting == deleting:
            change.put(replace(row, provisioning=state, revision=change.revision))

    async def wait(self, id: str) -> Operation:
        """The operation once it has ended. Raises LookupError where it is not known."""
        operation = self.get(id)
        if operation is None:
            raise LookupError(id)
        if operation.ended is not None:
            return operation
        future: asyncio.Future[Operation] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(id, []).append(future)
        try:
            return await future
        finally:
            left = [other for other in self._waiting.get(id, []) if other is not future]
            if left:
                self._waiting[id] = left
            else:
                self._waiting.pop(id, None)

    async def succeeded(self, id: str) -> Operation:
        """Like `wait`; raises the operation's error as ArmError where it did not succeed."""
        operation = await self.wait(id)
        if operation.status != "Succeeded":
            raise as_error(operation)
        return operation

    def begun(self, operation: Operation) -> None:
        """A new operation is durable: start its job, if its type has one."""
        if operation.ended is None and self.has_job(operation):
            self._start_job(operation)

    def resume(self) -> None:
        """Start the jobs that a former process left unfinished."""
        for operation in list(self._store.snapshot.unsettled.values()):
            self.begun(operation)

    def _wake(self) -> None:
        for id in list(self._waiting):
            operation = self.get(id)
            if operation is not None and operation.ended is not None:
                for future in self._waiting.pop(id):
                    if not future.done():
                        future.set_result(operation)


def as_error(operation: Operation) -> ArmError:
    """The error with which an operation ended."""
    error = operation.error or {}
    return ArmError(
        409,
        error.get("code", operation.status),
        error.get("message", f"The operation {operation.name} ended as {operation.status}."),
        target=error.get("target"),
        details=error.get("details", ()),
    )


def _words(error: Json | None) -> str:
    return f"{error.get('code', '')}: {error.get('message', '')}" if error else ""

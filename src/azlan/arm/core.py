"""The resource manager as an object: registry, store, operations and authorization wired; what ARM does, without HTTP.

`rest.py` speaks for clients, jobs speak for the types that go on working after a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid4, uuid5

from azlan.arm import changes
from azlan.arm.authorization import Authorization, action_prefix
from azlan.arm.changes import Outcome
from azlan.arm.checks import not_found
from azlan.arm.jobs import Jobs
from azlan.arm.locations import LOCATIONS
from azlan.arm.operations import Operations
from azlan.arm.registry import ASSIGNMENT_TYPE, Registry
from azlan.arm.resource import (
    SYSTEM,
    Accepted,
    Action,
    Json,
    Later,
    Operation,
    Principal,
    ResourceType,
    Row,
    Runtime,
    Write,
)
from azlan.arm.roles import OWNER
from azlan.arm.snapshot import Snapshot
from azlan.arm.store import Store, Transaction
from azlan.arm.views import Views
from azlan.arm.writes import Request, Rules, Unit
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId, parse_id
from azlan.base.sealing import Safe
from azlan.contract.machine import MachineStatus

KEPT_RESULTS = 1000


@dataclass(frozen=True)
class Subscription:
    id: str
    name: str = "Azlan"


@dataclass(frozen=True)
class Tenant:
    id: str
    name: str = "Azlan"
    domain: str = "azlan.localhost"
    """What `services.directory` gives user names; a client may name the tenant by it."""


class ActionCall:
    """Implements `resource.ActionContext` over the committed snapshot."""

    def __init__(self, core: Core, request: Request, id: ResourceId, row: Row, body: Any) -> None:
        self._core = core
        self._request = request
        self._snapshot = core.store.snapshot
        self.id = id
        self.row = row
        self.body = body
        self.query = request.query
        self.api_version = request.api_version
        self.principal = request.principal
        self.runtime = core.runtime
        self.revision = self._snapshot.revision

    def get(self, key: str) -> Row | None:
        return self._snapshot.get(key)

    def child(self, key: str) -> tuple[Json, Json] | None:
        return self._snapshot.child(key)

    def list(self, type: str, *, group: str | None = None, parent: str | None = None) -> Iterable[Row]:
        return self._snapshot.list(type, group=group, parent=parent)

    def referrers(self, key: str, type: str | None = None) -> Iterable[tuple[Row, str]]:
        return self._snapshot.referrers(key, type)

    def status(self, key: str) -> MachineStatus | None:
        return self._snapshot.status(key)

    def authorize(self, action: str, scope: str) -> None:
        self._core.authorization.check(self._snapshot, self.principal, action, scope)

    async def change(self, edit: Callable[[Write], None]) -> Operation:
        outcome = await self._core.edit(self._request, self.row.id, edit)
        if outcome.operation is None:
            raise LookupError(str(self.row.id))
        return outcome.operation


@dataclass
class Work:
    """An action's work that goes on after its answer."""

    task: asyncio.Task[Json | None]
    started: datetime
    ended: datetime | None = None


class Core:
    """One cloud's resource manager. `runtime` is set by the application page before `start`."""

    def __init__(
        self,
        registry: Registry,
        store: Store,
        tenant: Tenant,
        subscriptions: Iterable[Subscription],
        runtime: Runtime,
        safe: Safe | None = None,
    ) -> None:
        self.registry = registry
        self.store = store
        self.tenant = tenant
        self.subscriptions: Mapping[str, Subscription] = {s.id.lower(): s for s in subscriptions}
        self.runtime = runtime
        self.authorization = Authorization()
        regions = frozenset(location.name for location in LOCATIONS)
        self.rules = Rules(registry, self.authorization, regions, safe or Safe())
        self.views = Views(registry, lambda: self.runtime.endpoint)
        self.jobs = Jobs(self)
        self.operations = Operations(store, self.rules, self.jobs.start)
        self.results: dict[str, Callable[[Snapshot], Json | None]] = {}
        """What the poll of an accepted action answers, by operation id."""
        self.later: dict[str, Work] = {}
        """Work of actions that answer later, by id."""

    def start(self) -> None:
        """Go on with what a former process left unfinished."""
        self.operations.resume()

    async def close(self) -> None:
        """Stop jobs and actions where they are. The store is closed by who opened it."""
        await self.jobs.close()
        tasks = [work.task for work in self.later.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def bootstrap(self, subscription: str, owner_object_id: str, kind: str = "ServicePrincipal") -> None:
        """Give a principal Owner on a subscription, once: the assignment's name follows from both."""
        name = uuid5(NAMESPACE_URL, f"azlan:{subscription.lower()}:{owner_object_id.lower()}")
        base = f"/subscriptions/{subscription}/providers/Microsoft.Authorization"
        id = parse_id(f"{base}/roleAssignments/{name}")
        if self.store.snapshot.get(id.key) is not None:
            return
        role = f"{base}/roleDefinitions/{OWNER}"
        properties = {"roleDefinitionId": role, "principalId": owner_object_id, "principalType": kind}
        declared = self.registry.find(ASSIGNMENT_TYPE)
        version = declared.api_versions[0] if declared is not None and declared.api_versions else "2022-04-01"
        await self.put(Request(SYSTEM, version), id, {"properties": properties})

    def type_of(self, id: ResourceId) -> ResourceType:
        """The declaration of an id's type. Raises ArmError for an unknown one."""
        declared = self.registry.of_id(id)
        if declared is None:
            raise unknown_type(self.registry, id)
        return declared

    async def put(self, request: Request, id: ResourceId, body: Any, kind: Literal["PUT", "PATCH"] = "PUT") -> Outcome:
        """Create, replace or patch. Durable when it returns; its operation may still be under way."""
        declared = self.type_of(id)
        return await self._write(
            request,
            id,
            f"{action_prefix(declared)}/write",
            lambda unit: changes.put(unit, declared, id, body, kind=kind),
        )

    async def delete(self, request: Request, id: ResourceId) -> Outcome:
        declared = self.type_of(id)
        outcome = await self._write(
            request, id, f"{action_prefix(declared)}/delete", lambda unit: changes.delete(unit, declared, id)
        )
        self.jobs.cancel_ended()
        return outcome

    async def edit(self, request: Request, id: ResourceId, work: Callable[[Write], None]) -> Outcome:
        """Let an action that was authorised change a row."""
        declared = self.type_of(id)

        def change(unit: Unit) -> Outcome:
            row = unit.row(id.key)
            if row is None:
                raise not_found(id)
            return changes.edit(unit, declared, row, work)

        return await self._write(request, id, None, change)

    async def _write(
        self, request: Request, id: ResourceId, action: str | None, work: Callable[[Unit], Outcome]
    ) -> Outcome:
        def transaction(change: Transaction) -> Outcome:
            if action is not None:
                self.authorization.check(change.snapshot, request.principal, action, str(id))
            return work(Unit(self.rules, change, request))

        outcome = await self.store.transact(transaction)
        if outcome.operation is not None:
            self.operations.begun(outcome.operation)
        return outcome

    def get(self, request: Request, id: ResourceId) -> Json:
        """The document of a resource. Raises ArmError."""
        declared = self.type_of(id)
        return self._read(request, declared, id, f"{action_prefix(declared)}/read")

    def elements(self, request: Request, id: ResourceId, name: str) -> list[Json]:
        """An array of the type's `elements`, as the document of the resource shows it. Raises ArmError."""
        declared = self.type_of(id)
        document = self._read(request, declared, id, f"{action_prefix(declared)}/{name}/read")
        return list(document["properties"].get(name) or ())

    def _read(self, request: Request, declared: ResourceType, id: ResourceId, permission: str) -> Json:
        snapshot = self.store.snapshot
        self.authorization.check(snapshot, request.principal, permission, str(id))
        self.require_surroundings(request, declared, id)
        found = self.views.any(snapshot, id, request.api_version, request.query.get("$expand", ""))
        if found is None:
            raise not_found(changes.canonical_id(self._reading(request), id))
        return found

    def require_surroundings(self, request: Request, declared: ResourceType, id: ResourceId) -> None:
        """Raises ArmError where the group or the parent of an id is missing."""
        changes.require_surroundings(self._reading(request), declared, id, reading=True)

    def _reading(self, request: Request) -> Unit:
        """A unit that will change nothing, over the committed state."""
        return Unit(self.rules, Transaction(self.store.snapshot, ""), request)

    async def action(
        self, request: Request, id: ResourceId, name: str, body: Any = None, method: str = "POST"
    ) -> Json | Accepted | Later | None:
        """Run an action of a resource that is there. Raises ArmError."""
        declared = self.type_of(id)
        found = self.find_action(declared, name, method)
        if found is None:
            raise ArmError(404, "InvalidResourceType", f"The action '{name}' could not be found.")
        canonical, action = found
        default = (
            f"{action_prefix(declared)}/{canonical}/action" if method == "POST" else f"{action_prefix(declared)}/read"
        )
        snapshot = self.store.snapshot
        self.authorization.check(snapshot, request.principal, action.permission or default, str(id))
        self.require_surroundings(request, declared, id)
        row = snapshot.get(id.key)
        id = changes.canonical_id(self._reading(request), id)
        if row is None:
            raise not_found(id)
        answer = await action.handler(ActionCall(self, request, id, row, body))
        if method == "POST":
            await self.store.transact(
                lambda change: change.log(str(id), default, "Succeeded", request.principal.name, request.correlation)
            )
        return answer

    def find_action(self, declared: ResourceType, name: str, method: str) -> tuple[str, Action] | None:
        """(name as declared, action) for a name in any case."""
        for known, action in declared.actions.items():
            if known.lower() == name.lower() and action.method == method:
                return known, action
        return None

    def keep_result(self, answer: Accepted) -> None:
        """Remember what the poll of an accepted action is to answer."""
        if answer.result is not None:
            self.results[answer.operation.id] = answer.result
            for old in list(self.results)[:-KEPT_RESULTS]:
                del self.results[old]

    def keep_later(self, work: Later) -> str:
        """Run an action's work in the background; its id is what the poll asks for."""
        id = str(uuid4())

        async def run() -> Json | None:
            try:
                return await work.work
            finally:
                kept.ended = datetime.now(UTC)

        kept = Work(asyncio.get_running_loop().create_task(run(), name=f"action {id}"), datetime.now(UTC))
        self.later[id] = kept
        for old in list(self.later)[:-KEPT_RESULTS]:
            if self.later[old].task.done():
                del self.later[old]
        return id

    def principal_sees(self, principal: Principal, scope: str) -> bool:
        """Whether a subscription, group or resource is shown to the principal in lists."""
        return self.authorization.has_any_role(self.store.snapshot, principal, scope)


def unknown_type(registry: Registry, id: ResourceId, version: str = "") -> ArmError:
    """The error for a namespace or type that is not served."""
    namespace = id.namespace or ""
    if namespace.lower() not in (known.lower() for known in registry.namespaces()):
        return ArmError(404, "InvalidResourceNamespace", f"The resource namespace '{namespace}' is invalid.")
    asked = f" for api version '{version}'" if version else ""
    return ArmError(
        404,
        "InvalidResourceType",
        f"The resource type '{'/'.join(id.types)}' could not be found in the namespace '{namespace}'{asked}.",
    )

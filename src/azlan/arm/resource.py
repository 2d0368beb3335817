"""What a resource type declares, and what its hooks are given. The whole contract between `arm/` and `providers/`.

    a request ─▶ rest ─▶ authorised ─▶ body checked against `model` ─▶ one transaction: ─▶ row + operation
                                                                      accept() children, references

Stored is the accepted JSON (`Row.body`), plus `Row.state`: what has a history and no client may set (allocated
addresses, resourceGuid, peering state). Children with `inline` live in their parent's row: one row, one etag, one
generation. Follows azure-resource-manager-rpc, v1.0 (resource-api-reference.md, async-api-reference.md).
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.base.sealing import Safe
from azlan.contract.engine import Engine
from azlan.contract.facts import Fact
from azlan.contract.machine import Machines, MachineStatus
from azlan.contract.world import EMPTY, World

Json = dict[str, Any]

_STEP = re.compile(r"([^.\[\]]+)(?:\[(\d+)\])?")

ProvisioningState = Literal["Creating", "Updating", "Succeeded", "Failed", "Deleting", "Canceled"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, as the token says it."""

    object_id: str
    tenant: str
    name: str
    kind: Literal["ServicePrincipal", "User"] = "ServicePrincipal"
    application_id: str | None = None


SYSTEM = Principal("00000000-0000-0000-0000-000000000000", "", "Azlan", "ServicePrincipal")
"""The control process itself, when it carries on with what a caller was already allowed."""


@dataclass(frozen=True, slots=True)
class Row:
    """A stored resource. Immutable: a write makes a new row.

    `body` holds what the client sent and was accepted (`location`, `tags`, `sku`, `zones`, `identity`, `properties`, …),
    never `id`, `name`, `type`, `etag`. `state` holds history; an inline child's is under `"{collection}/{name}"` in
    lower case. `refs` are the references found in `body`, as (path, target key); a path has indices:
    `properties.ipConfigurations[0].properties.subnet.id`.
    """

    id: ResourceId
    type: str
    """In the canonical case of its declaration."""
    body: Mapping[str, Any]
    state: Mapping[str, Any]
    provisioning: ProvisioningState
    etag: str
    generation: int
    revision: int
    created: str
    changed: str
    api_version: str
    refs: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        return self.id.key

    @property
    def properties(self) -> Mapping[str, Any]:
        return self.body.get("properties") or {}

    def element_id(self, path: str) -> ResourceId:
        """Id of the innermost named element on the path of a reference: `…/networkInterfaces/n/ipConfigurations/c`
        for `properties.ipConfigurations[0].properties.subnet.id`; the row's own id where no list is on the path."""
        found = self.id
        at: Any = self.body
        for name, index in _STEP.findall(path):
            at = at[name]
            if index:
                at = at[int(index)]
                if isinstance(at, Mapping) and isinstance(at.get("name"), str):
                    found = found.child(name, at["name"])
        return found

    @property
    def deleting(self) -> bool:
        return self.provisioning == "Deleting"


class Read(Protocol):
    """A consistent snapshot of all rows, and what the machines are seen to be."""

    @property
    def revision(self) -> int: ...

    def get(self, key: str) -> Row | None:
        """The row with that key; for the key of an inline child, the row that holds it."""
        ...

    def child(self, key: str) -> tuple[Json, Json] | None:
        """(body, state) of an inline child: what its parent's row holds of it. Do not modify."""
        ...

    def list(self, type: str, *, group: str | None = None, parent: str | None = None) -> Iterable[Row]:
        """Rows of a type, in the order of their creation; by group key or by the key of a parent row. With a group, an
        empty `type` means all of its rows."""
        ...

    def referrers(self, key: str, type: str | None = None) -> Iterable[tuple[Row, str]]:
        """(row, path of the reference) for each row whose body refers to `key` exactly (a resource or inline child)."""
        ...

    def status(self, key: str) -> MachineStatus | None:
        """What the machine of that resource (VM, Bastion host) was last seen to be."""
        ...


class Write(Read, Protocol):
    """A resource being created or updated, inside the transaction. Hooks change `body` and `state` in place."""

    id: ResourceId
    """The id of the resource, or of the inline child, in the case in which it will be kept."""
    body: Json
    """The new document as it will be stored; for an inline child, its own `{"name", "properties", …}`."""
    state: Json
    before: Json | None
    """The document stored so far, None on creation."""
    api_version: str
    principal: Principal
    now: str
    """ISO 8601 time of this write."""
    parent: Write | None
    """For an inline child, the write of the row that holds it."""
    addressed: bool
    """True where the request addressed this very resource, False for children that came inline in their parent's."""
    query: Mapping[str, str]
    """Query parameters of the request (`syncRemoteAddressSpace`), names in lower case."""
    safe: Safe
    """For what `state` must hold of secrets for a while."""

    @property
    def properties(self) -> Json:
        """`body["properties"]`, made if missing."""
        ...

    @property
    def location(self) -> str:
        """Normalised location of the row (`eastus2`)."""
        ...

    def change(self, key: str) -> Write:
        """A write of another stored row or inline child: its generation rises with ours, and our operation waits for
        it too. Raises LookupError where it does not exist."""
        ...

    def create(self, id: ResourceId, body: Json, state: Json | None = None) -> None:
        """Store an implicit resource (an OS disk) beside this one, `Succeeded` at once; its type's `accept` runs."""
        ...

    def touch_delete(self, key: str) -> None:
        """Remove an implicit row in the same transaction."""
        ...

    def preflight(self, id: ResourceId, body: Json) -> Iterable[ArmError]:
        """What its type already knows to be wrong with a resource that a template will make."""
        ...

    def count(self, type: str) -> int:
        """How many resources of a type are stored in this one's subscription and location."""
        ...

    def may(self, action: str, key: str) -> bool:
        """Whether the caller's roles allow `action` (`Microsoft.Network/virtualNetworks/peer/action`) at `key`."""
        ...


class View(Read, Protocol):
    """A document being prepared for an answer: hooks change `doc` in place."""

    doc: Json
    """`{name, id, etag, type, location?, tags?, …, properties: {provisioningState, …accepted properties}}`."""
    row: Row
    id: ResourceId
    state: Mapping[str, Any]
    """State of the resource, or of the inline child."""
    api_version: str
    expand: str
    """The value of `$expand`, or empty."""
    endpoint: str
    """`https://localhost:8443`."""

    @property
    def properties(self) -> Json: ...

    @property
    def creating(self) -> bool:
        """Whether the resource is not made yet: its first PUT goes on."""
        ...


@dataclass(frozen=True, slots=True)
class Reference:
    """A property that holds another resource's id.

    `path` is dotted below the document, `[]` for each item: `properties.ipConfigurations[].properties.subnet.id`.
    On write the target must exist (`InvalidResourceReference`, or `missing`), be of one of `types`, not be being
    deleted, and, where `permission` is set, the caller must hold it there (403 `LinkedAuthorizationFailed`, checked
    before existence is revealed). While referenced, the target cannot be deleted, unless `holds` is False.
    """

    path: str
    types: tuple[str, ...]
    permission: str | None = None
    holds: bool = True
    missing: Callable[[ResourceId, str], ArmError] | None = None
    """(the referring resource's id, the target id as given) → the error for a target that is not there."""


class ActionContext(Read, Protocol):
    """What the handler of an action is given."""

    id: ResourceId
    row: Row
    body: Any
    """The request's JSON, None where there is none."""
    query: Mapping[str, str]
    api_version: str
    principal: Principal
    runtime: Runtime

    def authorize(self, action: str, scope: str) -> None:
        """Raises 403 AuthorizationFailed where the caller may not do `action` at the id `scope`."""
        ...

    async def change(self, edit: Callable[[Write], None]) -> Operation:
        """Edit the row in a transaction of its own; the operation ends as any write's does. Not yet ended on return."""
        ...


@dataclass(frozen=True, slots=True)
class Accepted:
    """An action's answer that an operation will complete: 202, then `result` (called when it has Succeeded)."""

    operation: Operation
    result: Callable[[Read], Json | None] | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """An action's answer that a coroutine will give: 202 with Location; the poll returns its value, or its ArmError."""

    work: Awaitable[Json | None]


@dataclass(frozen=True, slots=True)
class Action:
    """`POST {id}/{name}` (or GET). `permission` defaults to `{type}/{name}/action` (GET: `{type}/read`)."""

    handler: Callable[[ActionContext], Awaitable[Json | Accepted | Later | None]]
    method: Literal["POST", "GET"] = "POST"
    permission: str | None = None


class RouteContext(Read, Protocol):
    """What the handler of a provider route is given."""

    params: Mapping[str, str]
    """The path's parameters, as given."""
    query: Mapping[str, str]
    body: Any
    api_version: str
    principal: Principal
    subscription: str
    runtime: Runtime
    url: str
    """The request's own URL without its query."""

    def preflight(self, id: ResourceId, body: Json) -> Iterable[ArmError]:
        """As of `Write`."""
        ...

    async def events(self, scope: str, since: str, until: str, most: int, before: int | None = None) -> Sequence[Json]:
        """Activity-log events of a resource and what is below it, newest first: number, time, resource, operation,
        status, caller, correlation, description. Times are ISO 8601; `before` is the number of the event to go on from."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """A provider's path that is no resource: `/subscriptions/{subscription}/providers/Microsoft.Compute/skus`.

    `path` is matched without case; `{name}` matches one segment. A handler returns the JSON of a 200, or raises.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Callable[[RouteContext], Awaitable[Any]]
    permission: str
    tenant_level: bool = False
    scope: Callable[[Mapping[str, str], Mapping[str, str]], str] | None = None
    """(path parameters, query) → the id at which `permission` must be held, where the path alone does not say it."""
    tolerant_json: bool = False
    """As of `ResourceType`."""


class Job(Protocol):
    """What a type's `job` may do: work that goes on after the request was accepted (deployments, group deletion).

    A job runs as the caller, in the control process; killed, it is started again from the stored row and must pick up
    where it was. Its ArmError ends the operation as Failed.
    """

    row: Row
    principal: Principal
    runtime: Runtime
    safe: Safe
    """Opens what `accept` sealed."""

    def read(self) -> Read: ...

    async def put(self, id: ResourceId, body: Json, api_version: str) -> Json:
        """PUT a resource as a client would, authorised as the caller; returns its view once its operation Succeeded."""
        ...

    async def delete(self, id: ResourceId) -> None:
        """DELETE a resource and wait until it is gone; one that does not exist is fine."""
        ...

    async def action(self, id: ResourceId, name: str, body: Json | None = None) -> Json | None: ...

    async def state(self, edit: Callable[[Json], None]) -> None:
        """Change the row's `state` durably (progress), without a new generation."""
        ...

    def view(self, id: ResourceId, api_version: str) -> Json | None:
        """The document a GET by the caller would answer, None where there is nothing. Raises ArmError (403)."""
        ...


@dataclass(frozen=True, slots=True)
class Operation:
    """A long-running operation: (resource, generation, revision), ended by what has to make it true.

    `others` are the rows its write changed elsewhere. Status is Azure's: InProgress, Succeeded, Failed, Canceled.
    """

    id: str
    key: str
    generation: int
    revision: int
    kind: Literal["PUT", "PATCH", "DELETE", "POST"]
    name: str
    """`PutVirtualNetworkOperation`-like name, for messages and the activity log."""
    location: str
    namespace: str
    subscription: str
    waits: tuple[str, ...]
    others: tuple[str, ...]
    status: str
    started: str
    ended: str | None = None
    error: Json | None = None
    principal: Principal = SYSTEM
    correlation: str = ""
    target: str = ""
    """Id of the addressed resource as text: below `key` (the row) where that is an inline child."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The live parts that actions may ask; wired by the application page."""

    engine: Engine
    machines: Machines
    endpoint: str
    """`https://localhost:8443`."""
    world: Callable[[], World] = lambda: EMPTY
    """The newest World compiled: what is in force wherever an operation has Succeeded."""


def no_hook(_: Any) -> None:
    """The hook of a type that has nothing to add."""


def no_errors(_id: ResourceId, _body: Json) -> Iterable[ArmError]:
    return ()


def no_facts(_row: Row, _read: Read) -> Iterable[Fact]:
    return ()


@dataclass(frozen=True, kw_only=True)
class ResourceType:
    """The declaration of one resource type; `providers/` modules expose it as `RESOURCE` and are discovered by that name.

    Order of a PUT, in one transaction: preconditions (etag) → `read_only` members removed → unknown members refused
    (`model` with `extra="forbid"`; members named in `since` only from that api-version on) → values checked by `model`
    → location and name rules → `accept(write)` of the row, then of each inline child it now holds (in document order),
    then `removed(write)` of each child that went → references checked → row, operation, activity log.
    """

    type: str
    api_versions: tuple[str, ...]
    """Those that `GET /subscriptions/…/providers` lists, newest first. Any well-formed one is accepted."""
    model: builtins.type[BaseModel]
    """A view of what we interpret; aliases are the JSON names. Validates the document (for children, the child's)."""
    parent: str | None = None
    """Type of the parent; the id nests below it."""
    inline: str | None = None
    """Child types kept in the parent's row: the collection's name below `properties` (`subnets`)."""
    location: Literal["required", "none", "optional"] = "required"
    tags: bool = True
    name_pattern: str = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,78}[A-Za-z0-9_])?"
    invalid_name: Callable[[ResourceId], ArmError] | None = None
    read_only: tuple[str, ...] = ()
    """Dotted paths that clients send back and that are ignored, besides id, name, type, etag, provisioningState."""
    since: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Dotted path → the first api-version that knows it."""
    shown_since: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Dotted path (`[]` for each item) → the first api-version whose answers have that member."""
    references: tuple[Reference, ...] = ()
    accept: Callable[[Write], None] = no_hook
    """Validate, fill in defaults, allocate; raises ArmError. Sees the whole snapshot and may `change` other rows."""
    removed: Callable[[Write], None] = no_hook
    """The resource (or inline child) is going away, in the transaction of its DELETE; may `change` other rows."""
    in_use: Callable[[ResourceId, list[tuple[Row, str]], Read], ArmError] | None = None
    """The error of a DELETE while something refers to the resource or to one of its inline children."""
    facts: Callable[[Row, Read], Iterable[Fact]] = no_facts
    """Called for rows (never for inline children) when the row, or what refers to it or is referred to by it, changed in
    more than its tags: facts never follow from these."""
    view: Callable[[View], None] = no_hook
    actions: Mapping[str, Action] = field(default_factory=lambda: MappingProxyType({}))
    elements: tuple[str, ...] = ()
    """Arrays below `properties` that can be read as if they were children: `GET {id}/{name}` and `GET {id}/{name}/{element}`,
    by the right `{type}/{name}/read`. One that a document does not show is empty."""
    preflight: Callable[[ResourceId, Json], Iterable[ArmError]] = no_errors
    """What is wrong with a document whatever is there: asked for all resources of a template before the first of them is
    deployed. Values may still be template expressions, and nothing of the document has been checked."""
    job: Callable[[Job], Awaitable[None]] | None = None
    """Runs after a PUT; its end ends the operation."""
    delete_job: Callable[[Job], Awaitable[None]] | None = None
    """Runs after DELETE was accepted, before the row goes (group deletion; a VM's `deleteOption`s run after it)."""
    after_delete: Callable[[Row, Read], Iterable[ResourceId]] = field(default=lambda _row, _read: ())
    """Ids to delete once this one is gone (`deleteOption: Delete`); named from the row as it last was."""
    waits: tuple[str, ...] = ("network",)
    """Which loops must report before an operation has Succeeded: `network`, `machines`; none: it ends with the write."""
    accepted_state: ProvisioningState | None = None
    """provisioningState in the answer of PUT where it is not Updating (NIC: Succeeded)."""
    creating_state: ProvisioningState = "Updating"
    """provisioningState while the first PUT is carried out (VM: Creating)."""
    put_headers: bool = True
    """Whether PUT answers with `Azure-AsyncOperation` (False: synchronous types, disks of az's kind excepted)."""
    operation_style: Literal["network", "compute", "disk", "resources"] = "network"
    """Shape of the operation document: `{status}` or `{startTime, endTime, status, name}`; `disk`: with what was made in
    it, and told of operations that have already ended; `resources`: Location only."""
    retry_after: str = "1"
    status_on_create: int = 201
    status_on_update: int = 200
    shows_deleted: bool = False
    """A DELETE that ends at once answers the document that went (role assignments)."""
    tolerant_json: bool = False
    """Bodies may hold comments, bare keys and trailing commas, as ARM accepts them for deployments."""
    secret: tuple[str, ...] = ()
    """Dotted paths never stored as they came: `accept` must have moved them away; checked before the row is written."""
    etag: bool = True
    """Whether the document carries `etag` (Network types do, Compute types do not)."""
    display: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Words for people: `singular`, `plural`, for portal and messages."""

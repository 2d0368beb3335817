"""Toy resource types for the tests of `arm`, and a cloud of them that answers HTTP in this process.

box ── slots (inline)          plug ── refers to slots          machine ── actions, a disk of its own
 └──── notes (rows of their own)  mark ── extends anything      task ── a job
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
from pydantic import BaseModel, ConfigDict, Field

from azlan.arm.core import Core, Subscription, Tenant
from azlan.arm.registry import ASSIGNMENT_TYPE, DEFINITION_TYPE, GROUP_TYPE, Registry
from azlan.arm.resource import (
    Accepted,
    Action,
    ActionContext,
    Job,
    Json,
    Later,
    Principal,
    Read,
    Reference,
    ResourceType,
    Route,
    RouteContext,
    Row,
    Runtime,
    View,
    Write,
)
from azlan.arm.rest import arm_app
from azlan.arm.store import Store
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.base.sealing import KEY_SIZE, Safe
from azlan.contract.facts import Fact, PublicAddress, Space

SUB = "22222222-2222-2222-2222-222222222222"
OWNER = Principal("aaaaaaaa-0000-0000-0000-000000000001", "t", "owner-app", "ServicePrincipal")
GUEST = Principal("bbbbbbbb-0000-0000-0000-000000000002", "t", "guest@azlan.test", "User")
VERSIONS = ("2024-05-01", "2022-01-01")


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Ref(Shape):
    id: str


class BoxProperties(Shape):
    size: int
    label: str | None = None
    fresh: bool | None = None
    read_back: str | None = Field(default=None, alias="readBack")


class Box(Shape):
    properties: BoxProperties
    sku: dict[str, str] | None = None


class SlotProperties(Shape):
    width: int = 1
    guard: Ref | None = None


class Slot(Shape):
    name: str
    properties: SlotProperties = SlotProperties()


class Socket(Shape):
    id: str


class PlugProperties(Shape):
    sockets: list[Socket] = []
    box: Ref | None = None


class Plug(Shape):
    properties: PlugProperties = PlugProperties()


class Free(BaseModel):
    model_config = ConfigDict(extra="allow")


def accept_box(write: Write) -> None:
    if write.properties["size"] > 1000:
        raise ArmError(400, "TooLarge", f"Box {write.id} is too large.")
    write.state.setdefault("serial", write.now)
    if write.before is not None and "slots" not in write.properties and write.query.get("keep") == "true":
        write.properties["slots"] = write.before["properties"].get("slots", [])


def accept_slot(write: Write) -> None:
    assert write.parent is not None
    if write.properties.get("width", 1) > write.parent.properties["size"]:
        raise ArmError(400, "SlotTooWide", f"Slot {write.id} is wider than its box.")
    write.state.setdefault("number", sum(1 for key in write.parent.state if key.startswith("slots/")))


def removed_slot(write: Write) -> None:
    assert write.parent is not None
    write.parent.state["lost"] = [*write.parent.state.get("lost", []), write.id.name]


def view_box(view: View) -> None:
    view.properties["serial"] = view.state["serial"]
    view.properties["plugs"] = [
        {"id": str(row.id), "name": row.id.name} for row, _ in view.referrers(view.id.key, "Toy.Net/plugs")
    ]


def view_slot(view: View) -> None:
    view.properties["number"] = view.state.get("number")
    users = [str(row.element_id(path)) for row, path in view.referrers(view.id.key)]
    if users:
        view.properties["users"] = users


def box_facts(row: Row, read: Read) -> Iterable[Fact]:
    prefixes = tuple(item["name"] for item in row.properties.get("slots", []))
    yield Space(row.key, prefixes, row.body["location"])


PLUG_FACTS_DERIVED: list[str] = []


def plug_facts(row: Row, read: Read) -> Iterable[Fact]:
    PLUG_FACTS_DERIVED.append(row.key)
    yield PublicAddress(row.key, ",".join(target for _, target in row.refs))


def accept_plug(write: Write) -> None:
    box = (write.properties.get("box") or {}).get("id")
    if box is not None and write.query.get("touch") == "true":
        other = write.change(box.lower())
        other.state["touched"] = [*other.state.get("touched", []), write.id.name]


def accept_machine(write: Write) -> None:
    if write.before is None:
        disk = ResourceId(write.id.subscription, write.id.group, "Toy.Run", ("disks",), (f"{write.id.name}-disk",))
        write.create(disk, {"location": write.location, "properties": {"owner": str(write.id)}}, {"made": write.now})
    secret = write.properties.pop("password", None)
    if secret is not None:
        write.state["hash"] = f"hashed:{len(secret)}"


def after_machine(row: Row, read: Read) -> Iterable[ResourceId]:
    if row.properties.get("takeDisk"):
        yield ResourceId(row.id.subscription, row.id.group, "Toy.Run", ("disks",), (f"{row.id.name}-disk",))


async def start(context: ActionContext) -> Accepted:
    def edit(write: Write) -> None:
        write.state["starts"] = write.state.get("starts", 0) + 1

    operation = await context.change(edit)
    return Accepted(operation, lambda read: {"starts": (read.get(context.row.key) or context.row).state["starts"]})


async def run(context: ActionContext) -> Later:
    async def work() -> Json:
        await asyncio.sleep(0.01)
        if context.body == {"fail": True}:
            raise ArmError(409, "RunFailed", "It did not run.")
        return {"value": context.body}

    return Later(work())


async def ping(context: ActionContext) -> Json:
    return {"pong": context.id.name, "version": context.api_version}


async def empty_group(job: Job) -> None:
    """Delete what is in the group, plugs first."""
    for kind in ("Toy.Run/machines", "Toy.Net/plugs", "Toy.Net/boxes", "Toy.Run/disks", "Toy.Run/tasks"):
        for row in job.read().list(kind, group=job.row.key):
            await job.delete(row.id)


async def do_task(job: Job) -> None:
    """Make the boxes named in the task, one after the other; progress survives a restart."""
    for name in job.row.properties.get("boxes", []):
        if name == "bad":
            raise ArmError(400, "BadBox", "No such box.", details=[{"code": "Inner", "message": "why"}])
        group = ResourceId(job.row.id.subscription, job.row.id.group, "Toy.Net", ("boxes",), (name,))
        made = await job.put(group, {"location": "eastus2", "properties": {"size": 5}}, VERSIONS[0])
        assert made["properties"]["provisioningState"] == "Succeeded"
        await job.state(lambda state, name=name: state.setdefault("done", []).append(name))  # type: ignore[misc]


async def toys_page(context: RouteContext) -> Json:
    return {"value": [context.params["location"], context.subscription]}


BOX = ResourceType(
    type="Toy.Net/boxes",
    api_versions=VERSIONS,
    model=Box,
    read_only=("properties.readBack", "properties.serial", "properties.plugs"),
    since={"properties.fresh": "2024-01-01"},
    accept=accept_box,
    view=view_box,
    facts=box_facts,
    actions={"ping": Action(ping)},
    elements=("plugs", "spares"),
)
SLOT = ResourceType(
    type="Toy.Net/boxes/slots",
    api_versions=VERSIONS,
    model=Slot,
    parent="Toy.Net/boxes",
    inline="slots",
    location="none",
    tags=False,
    read_only=("properties.number", "properties.users"),
    references=(Reference("properties.guard.id", ("Toy.Net/plugs",), "Toy.Net/plugs/guard/action", holds=False),),
    accept=accept_slot,
    removed=removed_slot,
    view=view_slot,
)
NOTE = ResourceType(
    type="Toy.Net/boxes/notes",
    api_versions=VERSIONS,
    model=Free,
    parent="Toy.Net/boxes",
    location="none",
    waits=(),
)
PLUG = ResourceType(
    type="Toy.Net/plugs",
    api_versions=VERSIONS,
    model=Plug,
    accepted_state="Succeeded",
    references=(
        Reference("properties.sockets[].id", ("Toy.Net/boxes/slots",), "Toy.Net/boxes/slots/join/action"),
        Reference("properties.box.id", ("Toy.Net/boxes",), "Toy.Net/boxes/join/action"),
    ),
    accept=accept_plug,
    facts=plug_facts,
)
MARK = ResourceType(
    type="Toy.Net/marks", api_versions=VERSIONS, model=Free, location="none", tags=False, waits=(), etag=False
)
MACHINE = ResourceType(
    type="Toy.Run/machines",
    api_versions=VERSIONS,
    model=Free,
    accept=accept_machine,
    secret=("properties.password", "properties.token"),
    after_delete=after_machine,
    waits=("network", "machines"),
    creating_state="Creating",
    operation_style="compute",
    etag=False,
    actions={"start": Action(start), "run": Action(run), "peek": Action(ping, "GET")},
)
DISK = ResourceType(
    type="Toy.Run/disks", api_versions=VERSIONS, model=Free, waits=(), etag=False, operation_style="compute"
)
TASK = ResourceType(
    type="Toy.Run/tasks",
    api_versions=VERSIONS,
    model=Free,
    location="none",
    tags=False,
    waits=(),
    job=do_task,
    operation_style="compute",
    tolerant_json=True,
    etag=False,
)
GROUP = ResourceType(
    type=GROUP_TYPE,
    api_versions=("2024-11-01",),
    model=Free,
    waits=(),
    delete_job=empty_group,
    operation_style="resources",
    etag=False,
    name_pattern=r"[-\w.()]{0,89}[-\w()]",
)
ASSIGNMENT = ResourceType(
    type=ASSIGNMENT_TYPE,
    api_versions=("2022-04-01",),
    model=Free,
    location="none",
    tags=False,
    waits=(),
    etag=False,
    status_on_update=201,
)
DEFINITION = ResourceType(
    type=DEFINITION_TYPE, api_versions=("2022-04-01",), model=Free, location="none", tags=False, waits=(), etag=False
)
ROUTE = Route(
    "GET", "/subscriptions/{subscription}/providers/Toy.Net/locations/{location}/toys", toys_page, "Toy.Net/*/read"
)

TYPES = (BOX, SLOT, NOTE, PLUG, MARK, MACHINE, DISK, TASK, GROUP, ASSIGNMENT, DEFINITION)


def registry() -> Registry:
    return Registry.of(TYPES, [ROUTE])


@dataclass
class Cloud:
    """A core over a store, and its API through httpx."""

    core: Core
    http: httpx.AsyncClient
    settling: asyncio.Task[None] | None = None

    @property
    def store(self) -> Store:
        return self.core.store

    async def call(
        self, method: str, path: str, body: Any = None, *, who: Principal = OWNER, **headers: str
    ) -> httpx.Response:
        """`path` below the group `g`, unless it begins with a slash."""
        if not path.startswith("/"):
            path = f"/subscriptions/{SUB}/resourceGroups/g/providers/{path}"
        if "api-version" not in path:
            path += ("&" if "?" in path else "?") + f"api-version={VERSIONS[0]}"
        content = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.request(
            method,
            f"https://localhost:8443{path}",
            content=content,
            headers={"Authorization": f"Bearer {who.object_id}", **named},
        )

    async def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        answer = await self.call(method, path, body, **more)
        assert answer.status_code < 300, (answer.status_code, answer.text)
        return answer.json() if answer.content else None

    async def error(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, str, Json]:
        answer = await self.call(method, path, body, **more)
        assert answer.status_code >= 400, (answer.status_code, answer.text)
        error = answer.json()["error"]
        return answer.status_code, error["code"], error

    async def group(self, name: str = "g") -> None:
        await self.ok("PUT", f"/subscriptions/{SUB}/resourcegroups/{name}", {"location": "eastus2"})

    async def settle(self, error: Json | None = None) -> list[str]:
        """End everything that is pending, as the loops would."""
        ids = [operation.id for operation in self.core.operations.pending()]
        for id in ids:
            await self.core.operations.settle(id, error)
        return ids

    def settle_always(self) -> None:
        """From now on end operations as soon as they are pending."""

        async def forever() -> None:
            while True:
                await self.settle()
                await asyncio.sleep(0.001)

        self.settling = asyncio.get_running_loop().create_task(forever())

    async def grant(self, who: Principal, role: str, scope: str, name: str) -> None:
        id = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}"
        definition = f"/subscriptions/{SUB}/providers/Microsoft.Authorization/roleDefinitions/{role}"
        await self.ok("PUT", id, {"properties": {"roleDefinitionId": definition, "principalId": who.object_id}})


def authenticate(header: str | None) -> Principal:
    for principal in (OWNER, GUEST):
        if header == f"Bearer {principal.object_id}":
            return principal
    raise ArmError(401, "AuthenticationFailed", "No.", headers={"WWW-Authenticate": 'Bearer authorization_uri="x"'})


@asynccontextmanager
async def cloud(path: Path | None = None, types: Registry | None = None) -> AsyncIterator[Cloud]:
    """A cloud with one subscription, which OWNER owns."""
    types = types or registry()
    store = await Store.open(path, types)
    runtime = Runtime(engine=cast(Any, None), machines=cast(Any, None), endpoint="https://localhost:8443")
    safe = Safe(bytes(KEY_SIZE))  # the same in the next process of the test
    core = Core(types, store, Tenant("11111111-1111-1111-1111-111111111111"), [Subscription(SUB)], runtime, safe)
    transport = httpx.ASGITransport(app=arm_app(core, authenticate))
    found = Cloud(core, httpx.AsyncClient(transport=transport, base_url="https://localhost:8443"))
    try:
        await core.bootstrap(SUB, OWNER.object_id)
        core.start()
        yield found
    finally:
        if found.settling is not None:
            found.settling.cancel()
        await found.http.aclose()
        await core.close()
        await store.close()

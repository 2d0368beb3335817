"""ARM's HTTP protocol without a web server: a call becomes an answer.

Follows azure-resource-manager-rpc, v1.0: resource-api-reference.md, async-api-reference.md, common-api-details.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import urlencode

from azlan.arm import listing, pages, polling
from azlan.arm.authorization import action_prefix
from azlan.arm.changes import Outcome
from azlan.arm.core import Core, unknown_type
from azlan.arm.documents import parse_json
from azlan.arm.operations import as_error
from azlan.arm.paths import Collection, Elements, Item, Page, resolve
from azlan.arm.polling import NULL, Answer, Call
from azlan.arm.registry import CompiledRoute
from azlan.arm.resource import Accepted, Json, Later, Operation, Principal, ResourceType, Row, Runtime
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.contract.machine import MachineStatus

MOST_BODY = 4 * 1024 * 1024
"""ARM's limit of a request's body."""

_VERSION = re.compile(r"(\d{4}-\d{2}-\d{2})(-preview|-alpha|-beta|-rc|-privatepreview)?", re.IGNORECASE)


class RouteCall:
    """Implements `resource.RouteContext` over the committed snapshot."""

    def __init__(self, core: Core, call: Call, params: Mapping[str, str], body: Any) -> None:
        self._core = core
        self._snapshot = core.store.snapshot
        self._registry = core.registry
        self.revision = self._snapshot.revision
        self.params = params
        self.url = f"{call.base}/{'/'.join(call.segments)}"
        self.query = call.query
        self.body = body
        self.api_version = call.api_version
        self.principal: Principal = call.principal
        self.subscription = call.segments[1] if call.segments[0].lower() == "subscriptions" else ""
        self.runtime: Runtime = core.runtime

    def get(self, key: str) -> Row | None:
        return self._snapshot.get(key)

    def child(self, key: str) -> tuple[Json, Json] | None:
        return self._snapshot.child(key)

    def list(self, type: str, *, group: str | None = None, parent: str | None = None) -> Iterable[Row]:
        return self._snapshot.list(type, group=group, parent=parent)

    def referrers(self, key: str, type: str | None = None) -> Iterable[tuple[Row, str]]:
        return self._snapshot.referrers(key, type)

    def preflight(self, id: ResourceId, body: Json) -> Iterable[ArmError]:
        return self._registry.preflight(id, body)

    async def events(self, scope: str, since: str, until: str, most: int, before: int | None = None) -> Sequence[Json]:
        return await self._core.store.events(scope, since, most, until=until, before=before)

    def status(self, key: str) -> MachineStatus | None:
        return self._snapshot.status(key)


class Protocol:
    """Answers calls that have been authenticated. Raises ArmError for what is refused."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._routes: dict[tuple[str, int], list[CompiledRoute]] = {}
        """By method and number of segments."""
        for compiled in core.registry.routes:
            self._routes.setdefault((compiled.route.method, len(compiled.segments)), []).append(compiled)

    async def answer(self, call: Call) -> Answer:
        core = self.core
        if len(call.segments) > 1 and call.segments[0].lower() == "subscriptions":
            pages.check_subscription(core, call.segments[1])
        _check_version(call)
        for compiled in self._routes.get((call.method, len(call.segments)), ()):
            params = compiled.match(call.segments)
            if params is not None:
                return await self._route(call, compiled.route, params)
        target = resolve(core.registry, call.segments, call.api_version)
        if isinstance(target, Page):
            return await self._page(call, target)
        if isinstance(target, Collection):
            return await self._collection(call, target)
        if isinstance(target, Elements):
            return self._elements(call, target)
        if target.action is not None:
            return await self._action(call, target)
        return await self._item(call, target)

    async def _route(self, call: Call, route: Any, params: Mapping[str, str]) -> Answer:
        if route.scope is not None:
            snapshot = self.core.store.snapshot
            self.core.authorization.check(snapshot, call.principal, route.permission, route.scope(params, call.query))
        elif not route.tenant_level:
            self._check_route(call, route.permission)
        body = parse_json(call.body, route.tolerant_json)
        answer = await route.handler(RouteCall(self.core, call, params, body))
        return self._acted(call, answer, call.segments[1] if len(call.segments) > 1 else "")

    def _check_route(self, call: Call, permission: str) -> None:
        """Raises ArmError 403. A role at the resource that a route lies below (default rules of a group) reaches it."""
        authorization, snapshot = self.core.authorization, self.core.store.snapshot
        path = "/" + "/".join(call.segments)
        if not authorization.allowed(snapshot, call.principal, permission, path.lower()):
            last = max((n for n, segment in enumerate(call.segments) if segment.lower() == "providers"), default=2)
            authorization.check(snapshot, call.principal, permission, "/" + "/".join(call.segments[:last]))

    async def _page(self, call: Call, page: Page) -> Answer:
        core, scope, rest = self.core, page.scope, page.rest
        if scope is None:
            return self._tenant_page(call, page)
        self._check_sees(call, scope)
        if page.name == "operationresults" and rest:
            return await polling.result(core, call, scope.subscription, rest[-1])
        if page.name == "locations" and len(rest) >= 2:
            kind, id = rest[-2].lower(), rest[-1]
            if kind == "operationresults":
                return await polling.result(core, call, scope.subscription, id)
            if kind in ("operations", "operationstatuses", "diskoperations"):
                if call.query.get("monitor", "").lower() == "true":
                    return await polling.result(core, call, scope.subscription, id)
                return await polling.status(core, call, scope.subscription, id)
            raise _no_page(call)
        if page.name == "providers" and rest[1:] == ("register",) and call.method == "POST":
            document = pages.provider(core, scope, rest[0])
            action = f"{document['namespace']}/register/action"
            core.authorization.check(
                core.store.snapshot, call.principal, action, f"/subscriptions/{scope.subscription}"
            )
            return Answer(200, document)
        if call.method not in ("GET", "HEAD"):
            raise _method_not_allowed(call)
        if page.name == "resources" and not rest:
            return Answer(200, await listing.list_resources(core, call.request(), scope, _link(call)))
        if page.name == "" and not rest:
            return Answer(200, pages.subscription(core, scope.subscription))
        if page.name == "locations" and not rest:
            return Answer(200, pages.locations(core, scope.subscription))
        if page.name == "providers" and len(rest) <= 1:
            return Answer(200, pages.provider(core, scope, rest[0]) if rest else pages.providers(core, scope))
        raise _no_page(call)

    def _tenant_page(self, call: Call, page: Page) -> Answer:
        core = self.core
        if call.method != "GET":
            raise _method_not_allowed(call)
        if page.name == "tenants" and not page.rest:
            return Answer(200, pages.tenants(core))
        if page.name == "subscriptions" and not page.rest:
            return Answer(200, pages.subscriptions(core, call.principal))
        if page.name == "providers" and len(page.rest) <= 1:
            return Answer(200, pages.provider(core, None, page.rest[0]) if page.rest else pages.providers(core, None))
        raise _no_page(call)

    def _check_sees(self, call: Call, scope: ResourceId) -> None:
        """A caller without any role in the subscription does not learn what is there."""
        if not self.core.principal_sees(call.principal, f"/subscriptions/{scope.subscription}"):
            self.core.authorization.check(
                self.core.store.snapshot,
                call.principal,
                "Microsoft.Resources/subscriptions/read",
                f"/subscriptions/{scope.subscription}",
            )

    async def _collection(self, call: Call, target: Collection) -> Answer:
        if call.method != "GET":
            raise _method_not_allowed(call)
        found = await listing.list_type(self.core, call.request(), target.declared, target.scope, _link(call))
        return Answer(200, found)

    def _elements(self, call: Call, target: Elements) -> Answer:
        if (
            call.method != "GET"
        ):  # some of them Azure can make by themselves (a NIC's taps): as types, they are not served
            types = (*target.id.types, target.name)
            raise unknown_type(self.core.registry, replace(target.id, types=types), call.api_version)
        found = self.core.elements(call.request(), target.id, target.name)
        if target.element is None:
            return Answer(200, {"value": found})
        for element in found:
            if str(element.get("name")).lower() == target.element.lower():
                return Answer(200, element, {"ETag": element["etag"]} if "etag" in element else {})
        raise ArmError(404, "NotFound", f"Resource {target.element} not found.")

    async def _item(self, call: Call, target: Item) -> Answer:
        core, request = self.core, call.request()
        if call.method in ("GET", "HEAD"):
            document = core.get(request, target.id)
            headers = {"ETag": document["etag"]} if target.declared.etag and "etag" in document else {}
            return Answer(200, document, headers) if call.method == "GET" else Answer(204, None, headers)
        if call.method in ("PUT", "PATCH"):
            kind: Literal["PUT", "PATCH"] = "PUT" if call.method == "PUT" else "PATCH"
            # Who may not write does not learn whether the body would have been good.
            core.authorization.check(
                core.store.snapshot, call.principal, f"{action_prefix(target.declared)}/write", str(target.id)
            )
            body = parse_json(call.body, target.declared.tolerant_json)
            return await self._written(call, await core.put(request, target.id, body, kind))
        if call.method == "DELETE":
            shown = None
            if target.declared.shows_deleted:
                shown = core.views.any(core.store.snapshot, target.id, call.api_version)
            return self._deleted(call, await core.delete(request, target.id), shown)
        raise _method_not_allowed(call)

    async def _written(self, call: Call, outcome: Outcome) -> Answer:
        core, declared, operation = self.core, outcome.declared, outcome.operation
        code = declared.status_on_create if outcome.created else declared.status_on_update
        row = outcome.row
        headers: dict[str, str] = {}
        if operation is None or row is None:
            if declared.operation_style == "network" and declared.put_headers:
                headers["Azure-AsyncNotification"] = "Enabled"
            return Answer(200, core.views.any(core.store.snapshot, outcome.id, call.api_version), headers)
        shown: str | None = None
        if operation.ended is None and not declared.put_headers:
            operation = await core.operations.wait(operation.id)
            if operation.status != "Succeeded":
                raise as_error(operation)
            row = core.store.snapshot.rows.get(row.key, row)
        elif operation.ended is None or (declared.put_headers and _tells(declared)):
            # Also where nothing was left to do: Azure's clients are told of an operation, and find it ended.
            headers = poll = polling.poll_headers(call, declared, operation)
            shown = declared.accepted_state or ("Updating" if operation.ended else None)
            if outcome.retagged and operation.ended and declared.operation_style == "network":
                shown = "Succeeded"  # recorded of application and network security groups
            if declared.operation_style in ("network", "compute"):
                poll.pop("Location", None)
            if shown == "Succeeded":
                poll.pop("Retry-After")  # recorded of network interfaces: nothing is left to wait for
                # Nor shall the next GET say Updating, unless it takes long.
                await polling.held(core, operation)
                row = core.store.snapshot.rows.get(row.key, row)
        if row.key == outcome.id.key:
            document = core.views.row(core.store.snapshot, row, call.api_version, provisioning=shown)
        else:
            document = (
                core.views.inline(core.store.snapshot, row, outcome.id.key, call.api_version, provisioning=shown) or {}
            )
        return Answer(code, document, headers)

    def _deleted(self, call: Call, outcome: Outcome, shown: Json | None = None) -> Answer:
        operation = outcome.operation
        if operation is None:
            return Answer(204)
        if operation.ended is not None and outcome.declared.operation_style != "disk":
            return Answer(200, shown)
        return Answer(202, None, polling.poll_headers(call, outcome.declared, operation))

    async def _action(self, call: Call, target: Item) -> Answer:
        name = target.action or ""
        if self.core.find_action(target.declared, name, call.method) is None:
            other = "GET" if call.method == "POST" else "POST"
            if self.core.find_action(target.declared, name, other) is not None:
                raise _method_not_allowed(call)
            raise _no_page(call)
        body = parse_json(call.body)
        answer = await self.core.action(call.request(), target.id, name, body, call.method)
        home = ""
        if isinstance(answer, Later) and target.declared.operation_style in ("network", "compute"):
            row = self.core.store.snapshot.get(target.id.key)
            region = str(row.body.get("location", "global")) if row is not None else "global"
            home = f"providers/{target.id.namespace}/locations/{region}"
        return self._acted(call, answer, target.id.subscription, home, target.declared.operation_style == "compute")

    def _acted(self, call: Call, answer: Any, subscription: str, home: str = "", operations: bool = False) -> Answer:
        """`home`: where the results of the type's actions are, as of `polling.location`; `operations`: among them are
        documents of operations, as Compute has them."""
        core = self.core
        if isinstance(answer, Later):
            headers = polling.later_headers(call, subscription, core.keep_later(answer), home, operations)
            return Answer(202, NULL if home and not operations else None, headers)
        if isinstance(answer, Accepted):
            operation: Operation = answer.operation
            core.keep_result(answer)
            declared = core.operations.declared(operation)
            if declared is None:
                raise LookupError(operation.target)
            return Answer(202, None, polling.poll_headers(call, declared, operation))
        etag = answer.get("etag") if isinstance(answer, dict) else None
        return Answer(200, answer, {"ETag": etag} if etag else {})


def _tells(declared: ResourceType) -> bool:
    """Whether an answer names an operation although it has ended: Azure's clients look for one."""
    return bool(declared.waits) or declared.operation_style == "disk"


@lru_cache(maxsize=256)
def _is_version(text: str) -> bool:
    match = _VERSION.fullmatch(text)
    try:
        return match is not None and bool(date.fromisoformat(match[1]))
    except ValueError:
        return False


def _check_version(call: Call) -> None:
    given = call.query.get("api-version")
    if not given:
        raise ArmError(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    if _is_version(given):
        return
    raise ArmError(
        400,
        "InvalidApiVersionParameter",
        f"The api-version '{given}' is invalid. The supported versions are of the form 'yyyy-mm-dd', optionally "
        "followed by '-preview'.",
    )  # Azure lists the versions it knows; every well-formed one is known here.


def _link(call: Call) -> listing.Link:
    def link(token: str) -> str:
        query = {name: value for name, value in call.query.items() if name != "$skiptoken"}
        return f"{call.base}/{'/'.join(call.segments)}?{urlencode({**query, '$skiptoken': token})}"

    return link


def _method_not_allowed(call: Call) -> ArmError:
    # The words are recorded, the envelope is ours: Azure answers them as `{"Message": …}`.
    return ArmError(405, "MethodNotAllowed", f"The requested resource does not support http method '{call.method}'.")


def _no_page(call: Call) -> ArmError:
    path = "/" + "/".join(call.segments)
    return ArmError(404, "NotFound", f"The resource '{path}' could not be found.")  # unconfirmed wording

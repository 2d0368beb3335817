"""Lists: of a type, and of all resources of a group or subscription with OData's `$filter`; what the caller may read.

Pages of 1,000 with `nextLink` and `$skiptoken`, in the order of creation, so that a page is stable while others write.
A page is of one snapshot, and made in slices: other requests are answered in between.
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from azlan.arm.authorization import action_prefix
from azlan.arm.core import Core
from azlan.arm.registry import GROUP_TYPE
from azlan.arm.resource import Json, ResourceType, Row
from azlan.arm.snapshot import creation_order, in_order
from azlan.arm.writes import Request
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId

PAGE = 1000
SLICE_SECONDS = 0.005
T = TypeVar("T")

_TERM = re.compile(
    r"\s*(?:(?P<field>[\w./]+)\s+(?P<verb>eq|ne)\s+'(?P<value>(?:[^']|'')*)'"
    r"|(?P<function>startswith|substringof)\(\s*(?P<one>[^,]+?)\s*,\s*(?P<two>[^)]+?)\s*\))\s*(?P<join>and|or)?",
    re.IGNORECASE,
)


async def list_type(core: Core, request: Request, declared: ResourceType, scope: ResourceId, link: Link) -> Json:
    """The resources of a type below a scope, as their GET would show them."""
    snapshot = core.store.snapshot
    expand = request.query.get("$expand", "")
    if request.query.get("statusonly", "").lower() == "true":
        expand = f"{expand},statusOnly"
    if scope.group and declared.type != GROUP_TYPE:
        group = ResourceId(scope.subscription, scope.group)
        if snapshot.rows.get(group.key) is None:
            core.authorization.check(snapshot, request.principal, f"{action_prefix(declared)}/read", str(scope))
            core.require_surroundings(request, declared, group.child("", ""))
    if declared.inline is not None:
        return _list_inline(core, request, declared, scope, link)
    if scope.namespace is not None:
        parent = snapshot.get(scope.key)
        core.authorization.check(snapshot, request.principal, f"{action_prefix(declared)}/read", str(scope))
        if parent is None:
            core.require_surroundings(request, declared, _below(declared, scope))
        rows = list(snapshot.list(declared.type, parent=scope.key))
    elif declared.parent is not None:
        raise ArmError(404, "InvalidResourceType", f"The resource type '{declared.type}' has no list at this scope.")
    elif scope.group:
        rows = list(snapshot.list(declared.type, group=scope.key))
    else:
        wanted = scope.subscription.lower()
        rows = [row for row in snapshot.list(declared.type) if row.id.subscription.lower() == wanted]
    if declared.type == GROUP_TYPE:
        rows = [row for row in rows if _group_filter(request.query.get("$filter", ""))(row)]
    rows = _readable(core, request, declared, scope, rows)
    size = _top(request) if declared.type == GROUP_TYPE else PAGE
    page, token = _page(rows, request, size)
    value = await _sliced(page, lambda row: core.views.row(snapshot, row, request.api_version, expand))
    return _answer(value, token, link)


async def _sliced(items: Iterable[T], make: Callable[[T], Json]) -> list[msgspec.Raw]:
    """The documents of these items, each made and encoded by itself; nobody waits for all of them."""
    made = []
    until = time.monotonic() + SLICE_SECONDS
    for item in items:
        made.append(msgspec.Raw(msgspec.json.encode(make(item))))
        if time.monotonic() >= until:
            await asyncio.sleep(0)
            until = time.monotonic() + SLICE_SECONDS
    return made


def _below(declared: ResourceType, scope: ResourceId) -> ResourceId:
    """An id of that type below the scope, to ask whether its surroundings are there."""
    if declared.parent is not None:
        return scope.child(declared.type.rsplit("/", 1)[-1], "-")
    namespace, *types = declared.type.split("/")
    return ResourceId(scope.subscription, scope.group, namespace, tuple(types), ("-",), scope)


def _list_inline(core: Core, request: Request, declared: ResourceType, scope: ResourceId, link: Link) -> Json:
    snapshot = core.store.snapshot
    core.authorization.check(snapshot, request.principal, f"{action_prefix(declared)}/read", str(scope))
    core.require_surroundings(request, declared, _below(declared, scope))
    row = snapshot.rows[scope.key]
    document = core.views.row(snapshot, row, request.api_version, request.query.get("$expand", ""))
    value = document["properties"].get(declared.inline or "") or []
    try:
        start = int(_untoken(request) or 0)
    except ValueError as error:
        raise _bad_token() from error
    token = _token(str(start + PAGE)) if len(value) > start + PAGE else None
    return _answer(value[start : start + PAGE], token, link)


async def list_resources(core: Core, request: Request, scope: ResourceId, link: Link) -> Json:
    """All top-level tracked and proxy resources of a group or subscription, in the short form of `az resource list`."""
    snapshot = core.store.snapshot
    if scope.group and snapshot.rows.get(scope.key) is None:
        core.authorization.check(
            snapshot, request.principal, "Microsoft.Resources/subscriptions/resourceGroups/resources/read", str(scope)
        )
        raise ArmError(404, "ResourceGroupNotFound", f"Resource group '{scope.group}' could not be found.")
    source: Iterable[Row]
    if scope.group:
        source = snapshot.bucket(f"g:{scope.key}")
    else:
        source = (row for row in snapshot.rows.values() if row.id.subscription.lower() == scope.subscription.lower())
    matches = resource_filter(request.query.get("$filter", ""))
    everywhere: dict[str, bool] = {}

    def readable(row: Row) -> bool:
        action = f"{row.type}/read"
        if action not in everywhere:
            everywhere[action] = core.authorization.allowed(snapshot, request.principal, action, scope.key)
        return everywhere[action] or core.authorization.allowed(snapshot, request.principal, action, row.key)

    rows = in_order(row for row in source if _listed(core, row) and matches(row) and readable(row))
    page, token = _page(rows, request, _top(request))
    expand = {part.strip().lower() for part in request.query.get("$expand", "").split(",")}
    return _answer(await _sliced(page, lambda row: short_form(row, expand)), token, link)


def _listed(core: Core, row: Row) -> bool:
    """Azure's list shows what has a location; deployments, assignments and nested resources have lists of their own."""
    declared = core.registry.find(row.type)
    return (
        declared is not None
        and declared.type != GROUP_TYPE
        and declared.parent is None
        and row.id.scope is None
        and "location" in row.body
    )


def short_form(row: Row, expand: set[str] = frozenset()) -> Json:  # type: ignore[assignment]
    """A resource as the generic list shows it."""
    document: Json = {"id": str(row.id), "name": row.id.name, "type": row.type}
    for name in ("kind", "managedBy", "sku", "plan", "identity", "zones", "location", "tags"):
        if name in row.body:
            document[name] = row.body[name]
    document.setdefault("tags", {})
    for name, value in (
        ("createdTime", row.created),
        ("changedTime", row.changed),
        ("provisioningState", row.provisioning),
    ):
        if name.lower() in expand:
            document[name] = value
    return document


def resource_filter(text: str) -> Callable[[Row], bool]:
    """A predicate for ARM's `$filter` on resources. Raises ArmError for what it does not know."""
    return _filter(
        text,
        {
            "resourcetype": lambda row: row.type,
            "resourcegroup": lambda row: row.id.group or "",
            "name": lambda row: row.id.name,
            "location": lambda row: str(row.body.get("location", "")),
        },
    )


def _group_filter(text: str) -> Callable[[Row], bool]:
    return _filter(text, {"name": lambda row: row.id.name, "location": lambda row: str(row.body.get("location", ""))})


def _filter(text: str, fields: dict[str, Callable[[Row], str]]) -> Callable[[Row], bool]:
    alternatives: list[list[Callable[[Row], bool]]] = [[]]
    wanted_tag = ""
    at = 0
    while at < len(text.rstrip()):
        term = _TERM.match(text, at)
        if term is None:
            raise _bad_filter(text)
        at = term.end()
        if term["function"]:
            alternatives[-1].append(_function(term, fields, text))
        else:
            field, value = term["field"].lower(), term["value"].replace("''", "'").lower()
            equal = term["verb"].lower() == "eq"
            if field == "tagname":
                wanted_tag = value
                alternatives[-1].append(_has_tag(value, None))
            elif field == "tagvalue":
                alternatives[-1].append(_has_tag(wanted_tag, value))
            elif field in fields:
                alternatives[-1].append(_equals(fields[field], value, equal))
            else:
                raise _bad_filter(text)
        if term["join"] is None and at < len(text.rstrip()):
            raise _bad_filter(text)
        if term["join"] and term["join"].lower() == "or":
            alternatives.append([])
    return lambda row: any(all(test(row) for test in tests) for tests in alternatives)


def _equals(field: Callable[[Row], str], value: str, equal: bool) -> Callable[[Row], bool]:
    return lambda row: (field(row).lower() == value) is equal


def _has_tag(name: str, value: str | None) -> Callable[[Row], bool]:
    def test(row: Row) -> bool:
        tags = {str(k).lower(): str(v).lower() for k, v in (row.body.get("tags") or {}).items()}
        return name in tags and (value is None or tags[name] == value)

    return test


def _function(term: re.Match[str], fields: dict[str, Callable[[Row], str]], text: str) -> Callable[[Row], bool]:
    one, two = term["one"], term["two"]
    field, literal = (two, one) if one.startswith("'") else (one, two)
    read = fields.get(field.lower())
    if field.lower() == "tagname":
        prefix = literal.strip("'").lower()
        return lambda row: any(str(tag).lower().startswith(prefix) for tag in row.body.get("tags") or {})
    if read is None:
        raise _bad_filter(text)
    value = literal.strip("'").lower()
    if term["function"].lower() == "startswith":
        return lambda row: read(row).lower().startswith(value)
    return lambda row: value in read(row).lower()


def _bad_filter(text: str) -> ArmError:
    return ArmError(
        400,
        "InvalidFilterInQueryString",
        f"Invalid $filter '{text}' specified in the query string.",
    )


def _readable(core: Core, request: Request, declared: ResourceType, scope: ResourceId, rows: list[Row]) -> list[Row]:
    """The rows the caller may read; 403 where it may not read at the scope and sees nothing below it either."""
    snapshot, action = core.store.snapshot, f"{action_prefix(declared)}/read"
    if core.authorization.allowed(snapshot, request.principal, action, scope.key):
        return rows
    seen = [row for row in rows if core.authorization.allowed(snapshot, request.principal, action, row.key)]
    if not seen and declared.type != GROUP_TYPE:
        core.authorization.check(snapshot, request.principal, action, str(scope))
    return seen


Link = Callable[[str], str]
"""From a skip token to the URL of the next page."""


def _answer(value: Sequence[Json | msgspec.Raw], token: str | None, link: Link) -> Json:
    return {"value": value} if token is None else {"value": value, "nextLink": link(token)}


def _top(request: Request) -> int:
    text = request.query.get("$top")
    if text is None:
        return PAGE
    if not text.isdecimal() or int(text) < 1:
        raise ArmError(
            400, "InvalidTopInQueryString", f"Invalid $top '{text}' specified in the query string."
        )  # unconfirmed wording
    return min(int(text), PAGE)


def _page(rows: list[Row], request: Request, size: int) -> tuple[list[Row], str | None]:
    after = _untoken(request)
    if after is not None:
        created, _, key = after.partition("|")
        rows = [row for row in rows if creation_order(row) > (created, key)]
    page = rows[:size]
    if len(rows) <= size:
        return page, None
    return page, _token("|".join(creation_order(page[-1])))


def _token(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _untoken(request: Request) -> str | None:
    text = request.query.get("$skiptoken")
    if not text:
        return None
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError as error:
        raise _bad_token() from error


def _bad_token() -> ArmError:
    return ArmError(400, "InvalidSkipToken", "The skip token in the query string is invalid.")  # unconfirmed wording

"""Microsoft.Insights/eventtypes/management/values: the activity log, as `az monitor activity-log list` asks for it.

Follows the specification's activityLogs_API.json (2015-04-01) and activity-log-schema. Every write, delete and action of
a resource leaves an event when it is accepted and one when it has ended.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import NAMESPACE_URL, uuid5

from azlan.arm.resource import Json, Route, RouteContext
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId, key_of, parse_id

PERMISSION = "Microsoft.Insights/eventtypes/values/read"
PAGE = 200
BATCH = 1000

_CLAUSE = re.compile(r"\s*(\w+)\s+(eq|ge|le)\s+('(?:[^']|'')*'|\S+)\s*(?:and\b|$)", re.IGNORECASE)
_EQUAL = ("correlationid", "caller", "status", "resourceprovider")
_SCOPES = ("resourcegroupname", "resourceid", "resourceuri")
_IGNORED = ("eventchannels", "levels")
"""What may be named and changes nothing: all events are of the channel Operation."""
_LEVELS = {"Failed": "Error", "Canceled": "Warning"}
_TICKS_BEFORE_1970 = 621355968000000000


@dataclass
class Filter:
    """What a `$filter` says. Times as the store keeps them."""

    since: str = ""
    until: str = "9999"
    scope: str = ""
    """Key of the resource or group that is asked about; empty: the subscription."""
    equal: dict[str, str] = field(default_factory=dict)

    def matches(self, event: Mapping[str, Any]) -> bool:
        given = {
            "correlationid": event["correlation"],
            "caller": event["caller"],
            "status": event["status"],
            "resourceprovider": str(event["operation"]).partition("/")[0],
        }
        return all(given[name].lower() == value.lower() for name, value in self.equal.items())


def parse_filter(text: str, subscription: str) -> Filter:
    """Clauses joined by `and`. Raises `BadRequest` for what is none, or names something unknown."""
    found = Filter()
    at = 0
    while at < len(text.rstrip()):
        clause = _CLAUSE.match(text, at)
        if clause is None:
            raise _bad(f"The $filter '{text}' is not valid.")
        name, how, value = clause[1].lower(), clause[2].lower(), clause[3].strip("'").replace("''", "'")
        at = clause.end()
        if name == "eventtimestamp" and how in ("ge", "le"):
            setattr(found, "since" if how == "ge" else "until", _time(value))
        elif how == "eq" and name in _SCOPES:
            found.scope = _scope(name, value, subscription)
        elif how == "eq" and name in _EQUAL:
            found.equal[name] = value
        elif name not in _IGNORED:
            raise _bad(f"The $filter '{text}' names '{clause[1]}' with '{clause[2]}', which is not supported.")
    return found


def _scope(name: str, value: str, subscription: str) -> str:
    if name == "resourcegroupname":
        return f"/subscriptions/{subscription}/resourcegroups/{value}".lower()
    key = key_of(value)
    if not key.startswith(f"/subscriptions/{subscription.lower()}"):
        raise _bad(f"The resource '{value}' is not one of subscription {subscription}.")
    return key


def _time(text: str) -> str:
    """ISO 8601 in any form → UTC with microseconds."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise _bad(f"The time '{text}' is not valid.") from None
    moment = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _bad(message: str) -> ArmError:
    return ArmError(400, "BadRequest", message)


def _required_at(params: Mapping[str, str], query: Mapping[str, str]) -> str:
    """Whoever reads a group or a resource reads its events, too."""
    subscription = params["subscription"]
    return parse_filter(query.get("$filter", ""), subscription).scope or f"/subscriptions/{subscription}"


async def list_events(context: RouteContext) -> Json:
    """Events, newest first, by pages."""
    wanted = parse_filter(context.query.get("$filter", ""), context.subscription)
    token = context.query.get("$skiptoken", "")
    if token and not token.isdigit():
        raise _bad("The $skiptoken is not valid.")
    before = int(token) if token else None
    scope = wanted.scope or f"/subscriptions/{context.subscription.lower()}"
    found: list[Json] = []
    while len(found) <= PAGE:
        batch = await context.events(scope, wanted.since, wanted.until, BATCH, before)
        found += [dict(event) for event in batch if wanted.matches(event)]
        if len(batch) < BATCH:
            break
        before = int(batch[-1]["number"])
    selected = [name.strip() for name in context.query.get("$select", "").split(",") if name.strip()]
    page: Json = {"value": [_selected(_shown(context, event), selected) for event in found[:PAGE]]}
    if len(found) > PAGE:
        query = {name: value for name, value in context.query.items() if name != "$skiptoken"}
        page["nextLink"] = f"{context.url}?{urlencode({**query, '$skiptoken': found[PAGE - 1]['number']})}"
    return page


def _selected(event: Json, names: Sequence[str]) -> Json:
    return {name: event[name] for name in names if name in event} if names else event


def _written(context: RouteContext, id: ResourceId, operation: str) -> ResourceId:
    """An id, kept in lower case, as it is written: types as the operation names them, names as far as they are known."""
    row = context.get(id.key)
    if row is not None and row.key == id.key:
        return row.id
    group = context.get(id.group_key)
    namespace, *types = operation.split("/")
    known = tuple(types[: len(id.types)])
    if id.namespace is None or (namespace.lower(), *(type.lower() for type in known)) != (id.namespace, *id.types):
        namespace, known = id.namespace or "", id.types
    names = id.names
    child = context.child(id.key)
    if row is not None and child is not None:
        names = (*row.id.names, str(child[0]["name"]))
    at = group.id.group if group is not None and id.group is not None else id.group
    return replace(id, group=at, namespace=namespace or None, types=known, names=names)


def _words(text: str) -> Json:
    return {"value": text, "localizedValue": text}


def _shown(context: RouteContext, event: Json) -> Json:
    key = str(event["resource"])
    parsed = _written(context, parse_id(key), str(event["operation"]))
    id = str(parsed)
    identifier = str(uuid5(NAMESPACE_URL, f"{event['number']}:{event['time']}:{key}"))
    moment = datetime.fromisoformat(event["time"])
    ticks = int(moment.timestamp() * 1_000_000) * 10 + _TICKS_BEFORE_1970
    status = str(event["status"])
    operation = str(event["operation"])
    properties = {"eventCategory": "Administrative", "entity": id, "message": operation}
    if event["description"]:
        properties["statusMessage"] = str(event["description"])
    return {
        "authorization": {"action": operation, "scope": id},
        "caller": event["caller"],
        "category": _words("Administrative"),
        "channels": "Operation",
        "claims": {},
        "correlationId": event["correlation"],
        "description": event["description"],
        "eventDataId": identifier,
        "eventName": {"value": "EndRequest", "localizedValue": "End request"}
        if status != "Accepted"
        else {"value": "BeginRequest", "localizedValue": "Begin request"},
        "eventTimestamp": event["time"],
        "id": f"{id}/events/{identifier}/ticks/{ticks}",
        "level": _LEVELS.get(status, "Informational"),
        "operationId": event["correlation"],
        "operationName": _words(operation),
        "properties": properties,
        "resourceGroupName": parsed.group or "",
        "resourceId": id,
        "resourceProviderName": _words(parsed.namespace or "Microsoft.Resources"),
        "resourceType": _words(parsed.type),
        "status": _words(status),
        "subStatus": {"value": "", "localizedValue": ""},
        "submissionTimestamp": event["time"],
        "subscriptionId": context.subscription,
        "tenantId": context.principal.tenant,
    }


ROUTES = (
    Route(
        "GET",
        "/subscriptions/{subscription}/providers/Microsoft.Insights/eventtypes/management/values",
        list_events,
        PERMISSION,
        scope=_required_at,
    ),
)

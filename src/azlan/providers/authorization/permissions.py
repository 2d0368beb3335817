"""What the caller may do at a scope: `GET {scope}/providers/Microsoft.Authorization/permissions`.

Follows Microsoft.Authorization 2022-04-01, authorization-RoleDefinitionsCalls.json (Permissions_ListForResource): the
permission blocks of the caller's roles that hold there, at the scope or above it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from azlan.arm.registry import ASSIGNMENT_TYPE, DEFINITION_TYPE
from azlan.arm.resource import Json, Route, RouteContext
from azlan.arm.roles import BUILT_IN
from azlan.providers.authorization.scopes import SCOPES, covers, scope_of, scope_of_key

PERMISSION = "Microsoft.Authorization/permissions/read"


async def _list(context: RouteContext) -> Json:
    scope, caller = scope_of(context.params), context.principal.object_id.lower()
    roles: dict[str, None] = {}
    for row in context.list(ASSIGNMENT_TYPE):
        held = str(row.properties.get("principalId", "")).lower()
        if held == caller and not row.deleting and covers(scope_of_key(row.key, ASSIGNMENT_TYPE), scope):
            roles[str(row.properties.get("roleDefinitionId", "")).rstrip("/").rsplit("/", 1)[-1].lower()] = None
    return {"value": [block for role in roles for block in _blocks(context, role)]}


def _blocks(context: RouteContext, role: str) -> Iterator[Json]:
    built_in = BUILT_IN.get(role)
    if built_in is not None:
        yield {
            "actions": list(built_in.actions),
            "notActions": list(built_in.not_actions),
            "dataActions": list(built_in.data_actions),
            "notDataActions": list(built_in.not_data_actions),
        }
        return
    for row in context.list(DEFINITION_TYPE):
        if row.id.name.lower() == role:
            for block in row.properties.get("permissions") or ():
                names = ("actions", "notActions", "dataActions", "notDataActions")
                yield {name: list(block.get(name) or ()) for name in names}


def _routes() -> Iterable[Route]:
    for scope in SCOPES:
        yield Route("GET", f"{scope}/providers/Microsoft.Authorization/permissions", _list, PERMISSION)


ROUTES = tuple(_routes())

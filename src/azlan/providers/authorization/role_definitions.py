"""Microsoft.Authorization/roleDefinitions: Azure's built-in roles, which no row holds, and custom ones, which rows do.

Follows Microsoft.Authorization 2022-04-01, authorization-RoleDefinitionsCalls.json.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict

from azlan.arm.registry import ASSIGNMENT_TYPE, DEFINITION_TYPE
from azlan.arm.resource import Json, ResourceType, Route, RouteContext, Row, View, Write
from azlan.arm.roles import BUILT_IN, Role
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId, key_of
from azlan.providers.authorization.scopes import SCOPES, covers, scope_of, terms

API_VERSIONS = ("2022-05-01-preview", "2022-04-01", "2018-01-01-preview", "2018-07-01", "2015-07-01")
_GUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


class Permission(BaseModel):
    model_config = ConfigDict(extra="forbid")
    actions: list[str] | None = None
    notActions: list[str] | None = None
    dataActions: list[str] | None = None
    notDataActions: list[str] | None = None
    condition: str | None = None
    conditionVersion: str | None = None


class RoleDefinitionProperties(BaseModel):
    model_config = ConfigDict(extra="forbid")
    roleName: str | None = None
    description: str | None = None
    type: str | None = None
    permissions: list[Permission] | None = None
    assignableScopes: list[str] | None = None


class RoleDefinition(BaseModel):
    model_config = ConfigDict(extra="forbid")
    properties: RoleDefinitionProperties


def _accept(write: Write) -> None:
    properties = write.properties
    if write.id.name.lower() in BUILT_IN:
        raise ArmError(409, "RoleDefinitionWithSameIdExists", "The role definition is built in and cannot be changed.")
    name = str(properties.get("roleName") or "")
    if not name:
        raise ArmError(400, "RoleDefinitionNameMissing", "The role definition name is missing.")
    for other in write.list(DEFINITION_TYPE):
        if other.key != write.id.key and str(other.properties.get("roleName", "")).lower() == name.lower():
            raise _same_name(name)
    if any(role.name.lower() == name.lower() for role in BUILT_IN.values()):
        raise _same_name(name)
    scopes = properties.get("assignableScopes") or []
    if not scopes:
        raise ArmError(400, "MissingAssignableScopes", "The role definition must have at least one assignable scope.")
    if not properties.get("permissions"):
        raise ArmError(400, "RoleDefinitionPermissionsMissing", "The role definition must have permissions.")
    for block in properties["permissions"]:
        for member in ("actions", "notActions", "dataActions", "notDataActions"):
            block.setdefault(member, [])
    properties["type"] = "CustomRole"
    properties.setdefault("description", "")
    write.state.setdefault("createdBy", write.principal.object_id)
    write.state["updatedBy"] = write.principal.object_id


def _same_name(name: str) -> ArmError:
    return ArmError(
        409,
        "RoleDefinitionWithSameNameExists",
        f"A custom role with the same name '{name}' already exists in this directory. Use a different name",
    )


def _removed(write: Write) -> None:
    """A role that somebody holds stays."""
    for row in write.list(ASSIGNMENT_TYPE):
        if role_guid(str(row.properties.get("roleDefinitionId", ""))) == write.id.name.lower():
            raise ArmError(
                409,
                "RoleDefinitionHasAssignments",
                "There are existing role assignments referencing role (code: RoleDefinitionHasAssignments)",
            )


def role_guid(id: str) -> str:
    """The guid at the end of a role definition's id, in lower case."""
    return id.rstrip("/").rsplit("/", 1)[-1].lower()


def _view(view: View) -> None:
    view.properties.pop("provisioningState", None)
    view.properties.update(
        createdOn=view.row.created,
        updatedOn=view.row.changed,
        createdBy=view.row.state.get("createdBy"),
        updatedBy=view.row.state.get("updatedBy"),
    )


# -- lists, and the roles that no row holds ---------------------------------------------------------------------------


def _document(role: Role, subscription: str) -> Json:
    base = f"/subscriptions/{subscription}" if subscription else ""
    permission = {
        "actions": list(role.actions),
        "notActions": list(role.not_actions),
        "dataActions": list(role.data_actions),
        "notDataActions": list(role.not_data_actions),
    }
    return {
        "properties": {
            "roleName": role.name,
            "type": "BuiltInRole",
            "description": role.description,
            "assignableScopes": ["/"],
            "permissions": [permission],
            "createdOn": "2015-02-02T21:55:09.8806423Z",
            "updatedOn": "2015-02-02T21:55:09.8806423Z",
            "createdBy": None,
            "updatedBy": None,
        },
        "id": f"{base}/providers/{DEFINITION_TYPE}/{role.id}",
        "type": DEFINITION_TYPE,
        "name": role.id,
    }


def _custom(row: Row) -> Json:
    properties: dict[str, Any] = {
        **row.properties,
        "createdOn": row.created,
        "updatedOn": row.changed,
        "createdBy": row.state.get("createdBy"),
        "updatedBy": row.state.get("updatedBy"),
    }
    return {"properties": properties, "id": str(row.id), "type": DEFINITION_TYPE, "name": row.id.name}


def _assignable(context: RouteContext, scope: str) -> Iterable[Json]:
    """Every role that can be assigned at a scope: built-in ones, then custom ones."""
    subscription = context.params.get("subscription", "")
    yield from (_document(role, subscription) for role in BUILT_IN.values())
    for row in context.list(DEFINITION_TYPE):
        scopes = [key_of(text) for text in row.properties.get("assignableScopes") or ()]
        if any(covers(held if held != "/" else "", scope) or covers(scope, held) for held in scopes):
            yield _custom(row)


async def _list(context: RouteContext) -> Json:
    wanted = terms(context.query.get("$filter", ""), ("rolename", "type", "atscopeandbelow", "atscope"))
    found = []
    for document in _assignable(context, scope_of(context.params)):
        properties = document["properties"]
        if "rolename" in wanted and properties["roleName"].lower() != wanted["rolename"].lower():
            continue
        if "type" in wanted and properties["type"].lower() != wanted["type"].lower():
            continue
        found.append(document)
    return {"value": found}


async def _get(context: RouteContext) -> Json:
    name = context.params["role"]
    for document in _assignable(context, scope_of(context.params)):
        if document["name"].lower() == name.lower():
            return document
    raise ArmError(404, "RoleDefinitionDoesNotExist", f"The specified role definition with ID '{name}' does not exist.")


def _routes() -> Iterable[Route]:
    read = f"{DEFINITION_TYPE}/read"
    for scope in ("", *SCOPES):
        path = f"{scope}/providers/{DEFINITION_TYPE}"
        yield Route("GET", path, _list, read, tenant_level=not scope)
        yield Route("GET", f"{path}/{{role}}", _get, read, tenant_level=not scope)


ROUTES = tuple(_routes())


def _invalid_name(id: ResourceId) -> ArmError:
    return ArmError(
        400,
        "InvalidRoleDefinitionId",
        f"The role definition ID '{id.name}' is not valid. The role definition ID must be a GUID.",
    )


RESOURCE = ResourceType(
    type=DEFINITION_TYPE,
    api_versions=API_VERSIONS,
    model=RoleDefinition,
    location="none",
    tags=False,
    name_pattern=_GUID,
    invalid_name=_invalid_name,
    read_only=(
        "properties.createdOn",
        "properties.updatedOn",
        "properties.createdBy",
        "properties.updatedBy",
    ),
    accept=_accept,
    removed=_removed,
    view=_view,
    waits=(),
    put_headers=False,
    status_on_update=201,
    shows_deleted=True,
    etag=False,
    display={"singular": "Role definition", "plural": "Role definitions"},
)

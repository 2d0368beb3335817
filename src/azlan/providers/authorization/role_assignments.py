"""Microsoft.Authorization/roleAssignments: who holds which role, where. The evaluator is in arm/authorization.py.

Follows Microsoft.Authorization 2022-04-01, authorization-RoleAssignmentsCalls.json. There is no directory to ask: any
object id is taken for a principal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from azlan.arm.registry import ASSIGNMENT_TYPE, DEFINITION_TYPE
from azlan.arm.resource import Json, Read, ResourceType, Route, RouteContext, Row, View, Write
from azlan.arm.roles import BUILT_IN
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.providers.authorization.scopes import SCOPES, covers, scope_of, scope_of_key, terms

API_VERSIONS = (
    *("2022-04-01", "2021-04-01-preview", "2020-10-01-preview", "2020-08-01-preview", "2020-04-01-preview"),
    *("2020-03-01-preview", "2018-09-01-preview", "2018-01-01-preview", "2017-10-01-preview", "2015-07-01"),
)
_GUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_KINDS = ("User", "Group", "ServicePrincipal", "ForeignGroup", "Device")


def _kind(value: object) -> object:
    return next((kind for kind in _KINDS if isinstance(value, str) and kind.lower() == value.lower()), value)


class RoleAssignmentProperties(BaseModel):
    model_config = ConfigDict(extra="forbid")
    roleDefinitionId: str | None = None
    principalId: str | None = None
    principalType: (
        Annotated[Literal["User", "Group", "ServicePrincipal", "ForeignGroup", "Device"], BeforeValidator(_kind)] | None
    ) = None
    description: str | None = None
    condition: str | None = None
    conditionVersion: str | None = None
    delegatedManagedIdentityResourceId: str | None = None


class RoleAssignment(BaseModel):
    model_config = ConfigDict(extra="forbid")
    properties: RoleAssignmentProperties


def _accept(write: Write) -> None:
    properties = write.properties
    principal = str(properties.get("principalId") or "")
    if not re.fullmatch(_GUID, principal):
        raise ArmError(400, "InvalidPrincipalId", "A valid principal ID must be provided for role assignment.")
    role = str(properties.get("roleDefinitionId") or "")
    guid = role.rstrip("/").rsplit("/", 1)[-1].lower()
    if not _exists(write, guid):
        shown = guid.replace("-", "")
        raise ArmError(
            400, "RoleDefinitionDoesNotExist", f"The specified role definition with ID '{shown}' does not exist."
        )
    properties["roleDefinitionId"] = f"/subscriptions/{write.id.subscription}/providers/{DEFINITION_TYPE}/{guid}"
    properties.setdefault("principalType", "ServicePrincipal" if principal == write.principal.object_id else "User")
    _refuse_change(write)
    scope = scope_of_key(write.id.key, ASSIGNMENT_TYPE)
    for other in write.list(ASSIGNMENT_TYPE):
        same = other.key != write.id.key and scope_of_key(other.key, ASSIGNMENT_TYPE) == scope
        if same and _grant(other.properties) == _grant(properties):
            raise ArmError(
                409,
                "RoleAssignmentExists",
                f"The role assignment already exists. The ID of the existing role assignment is "
                f"{other.id.name.replace('-', '')}.",
            )
    write.state.setdefault("createdBy", write.principal.object_id)
    write.state["updatedBy"] = write.principal.object_id


def _exists(read: Read, guid: str) -> bool:
    return guid in BUILT_IN or any(row.id.name.lower() == guid for row in read.list(DEFINITION_TYPE))


def _grant(properties: Mapping[str, Any]) -> tuple[str, str]:
    """(role guid, principal), in lower case."""
    role = str(properties.get("roleDefinitionId", "")).rsplit("/", 1)[-1].lower()
    return role, str(properties.get("principalId", "")).lower()


def _refuse_change(write: Write) -> None:
    before = (write.before or {}).get("properties")
    if before is not None and _grant(before) != _grant(write.properties):
        raise ArmError(
            400,
            "RoleAssignmentUpdateNotPermitted",
            "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
        )


def _view(view: View) -> None:
    view.doc["properties"] = _properties(view.row)


def _properties(row: Row) -> Json:
    text = str(row.id)
    at = text.lower().rfind(f"/providers/{ASSIGNMENT_TYPE.lower()}/")
    return {
        **row.properties,
        "scope": text[:at] or "/",
        "condition": row.properties.get("condition"),
        "conditionVersion": row.properties.get("conditionVersion"),
        "createdOn": row.created,
        "updatedOn": row.changed,
        "createdBy": row.state.get("createdBy"),
        "updatedBy": row.state.get("updatedBy"),
        "delegatedManagedIdentityResourceId": row.properties.get("delegatedManagedIdentityResourceId"),
        "description": row.properties.get("description"),
    }


async def _list(context: RouteContext) -> Json:
    """Assignments at, above and below the scope; `atScope()` leaves those below out."""
    wanted = terms(context.query.get("$filter", ""), ("atscope", "assignedto", "principalid", "roledefinitionid"))
    scope = scope_of(context.params)
    holder = wanted.get("principalid", wanted.get("assignedto", "")).lower()
    found = []
    for row in context.list(ASSIGNMENT_TYPE):
        at = scope_of_key(row.key, ASSIGNMENT_TYPE)
        if not (covers(at, scope) or (covers(scope, at) and "atscope" not in wanted)):
            continue
        if holder and str(row.properties.get("principalId", "")).lower() != holder:
            continue
        role = str(row.properties.get("roleDefinitionId", "")).lower()
        if wanted.get("roledefinitionid", role).lower().rsplit("/", 1)[-1] != role.rsplit("/", 1)[-1]:
            continue
        found.append({"properties": _properties(row), "id": str(row.id), "type": ASSIGNMENT_TYPE, "name": row.id.name})
    return {"value": found}


def _routes() -> Iterable[Route]:
    for scope in SCOPES:
        yield Route("GET", f"{scope}/providers/{ASSIGNMENT_TYPE}", _list, f"{ASSIGNMENT_TYPE}/read")


ROUTES = tuple(_routes())


def _invalid_name(id: ResourceId) -> ArmError:
    return ArmError(
        400,
        "InvalidRoleAssignmentId",
        f"The role assignment ID '{id.name}' is not valid. The role assignment ID must be a GUID.",
    )


RESOURCE = ResourceType(
    type=ASSIGNMENT_TYPE,
    api_versions=API_VERSIONS,
    model=RoleAssignment,
    location="none",
    tags=False,
    name_pattern=_GUID,
    invalid_name=_invalid_name,
    read_only=(
        "properties.scope",
        "properties.createdOn",
        "properties.updatedOn",
        "properties.createdBy",
        "properties.updatedBy",
    ),
    accept=_accept,
    view=_view,
    waits=(),
    put_headers=False,
    status_on_update=201,
    shows_deleted=True,
    etag=False,
    display={"singular": "Role assignment", "plural": "Role assignments"},
)

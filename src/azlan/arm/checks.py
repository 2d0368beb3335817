"""The checks of a write that need no hook, and the errors of what is not there.

Codes and words are ARM's (azure-resource-manager-rpc, v1.0/common-api-details.md; azure-facts.md); what could not be
confirmed is marked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from azlan.arm import documents
from azlan.arm.registry import GROUP_TYPE
from azlan.arm.resource import Json, ResourceType, Row
from azlan.arm.writes import Unit
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId

MOST_TAGS = 50
TAG_NAME = 512
TAG_VALUE = 256


def check_preconditions(unit: Unit, id: ResourceId, etag: str | None) -> None:
    match = unit.request.headers.get("if-match")
    none_match = unit.request.headers.get("if-none-match")
    if match is not None and match.strip() not in ("*", etag or ""):
        detail = (
            f"Etag provided in if-match header {match} does not match etag {etag} of resource {id} in NRP data store."
        )
        if etag is None:
            detail = f"Etag provided in if-match header {match} does not match: resource {id} does not exist."
        raise precondition(detail)
    if match is not None and etag is None:
        raise precondition(f"Etag provided in if-match header {match} does not match: resource {id} does not exist.")
    if none_match is not None and etag is not None and none_match.strip() in ("*", etag):
        raise precondition(f"Etag provided in if-none-match header {none_match} matches etag {etag} of resource {id}.")


def precondition(detail: str) -> ArmError:
    details = [{"code": "PreconditionFailedEtagMismatch", "message": detail}]
    return ArmError(412, "PreconditionFailed", "Precondition failed.", details=details)


def check_group(unit: Unit, id: ResourceId, declared: ResourceType) -> None:
    if not id.group or declared.type == GROUP_TYPE:
        return
    group = unit.row(ResourceId(id.subscription, id.group).key)
    if group is not None and group.deleting:
        raise group_being_deleted(group.id.name)


def group_being_deleted(name: str) -> ArmError:
    return ArmError(
        409,
        "ResourceGroupBeingDeleted",
        f"The resource group '{name}' is in deprovisioning state and cannot perform this operation.",
    )


def being_deleted(unit: Unit, row: Row, declared: ResourceType) -> ArmError:
    if declared.type == GROUP_TYPE:
        return group_being_deleted(row.id.name)
    operation = unit.change.snapshot.last.get(row.key, "")
    namespace = row.type.split("/", 1)[0]
    location = row.body.get("location", "global")
    uri = f"/subscriptions/{row.id.subscription}/providers/{namespace}/locations/{location}/operations/{operation}"
    return ArmError(
        409,
        "AnotherOperationInProgress",
        "Another operation on this or dependent resource is in progress. To retrieve status of the operation use uri: "
        f"{uri}?api-version={unit.request.api_version}.",
    )


def check_location(unit: Unit, declared: ResourceType, id: ResourceId, document: Json, row: Row | None) -> None:
    """Normalise the location; it is one of the regions, and never changes."""
    if declared.location == "none":
        return
    given = document.get("location")
    if given is None:
        if declared.location == "required":
            raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
        return
    if not isinstance(given, str):
        raise documents.malformed("Error converting value to type 'System.String'. Path 'location', line 1")
    location = normalised(given)
    is_group = declared.type == GROUP_TYPE
    if location not in unit.rules.locations and not (declared.location == "optional" and location == "global"):
        regions = ",".join(sorted(unit.rules.locations))
        what = "resource group" if is_group else f"resource type '{declared.type}'"
        raise ArmError(
            400,
            "LocationNotAvailableForResourceGroup" if is_group else "LocationNotAvailableForResourceType",
            f"The provided location '{given}' is not available for {what}. List of available regions "
            f"{'' if is_group else 'for the resource type '}is '{regions}'.",
        )
    old = row.body.get("location") if row is not None else None
    if old is not None and old != location:
        if is_group:
            raise ArmError(
                409,
                "InvalidResourceGroupLocation",
                f"Invalid resource group location '{given}'. The Resource group already exists in location '{old}'.",
            )
        raise ArmError(
            409,
            "InvalidResourceLocation",
            f"The resource '{id.name}' already exists in location '{old}' in resource group '{id.group}'. A resource "
            f"with the same name cannot be created in location '{location}'. Please select a new resource name.",
        )
    document["location"] = location


def normalised(location: str) -> str:
    """`eastus2` for `East US 2`."""
    return location.replace(" ", "").lower()


def check_tags(document: Mapping[str, Any]) -> None:
    tags = document.get("tags")
    if tags is None:
        return
    if not isinstance(tags, dict) or not all(isinstance(value, (str, type(None))) for value in tags.values()):
        raise documents.malformed("Error converting value to type 'System.String'. Path 'tags', line 1")
    if len(tags) > MOST_TAGS:
        raise ArmError(
            400,
            "TooManyTags",
            f"The number of tags '{len(tags)}' exceeds the maximum of '{MOST_TAGS}' allowed.",  # unconfirmed wording
        )
    for name, value in tags.items():
        if len(name) > TAG_NAME or not name or len(value or "") > TAG_VALUE:
            raise ArmError(
                400,
                "InvalidTagNameLength" if len(name) > TAG_NAME or not name else "InvalidTagValueLength",
                f"Tag '{name[:64]}' is too long: names have up to {TAG_NAME} characters, values up to {TAG_VALUE}.",
            )  # unconfirmed wording


def check_name(declared: ResourceType, id: ResourceId) -> None:
    if re.fullmatch(declared.name_pattern, id.name):
        return
    if declared.invalid_name is not None:
        raise declared.invalid_name(id)
    raise ArmError(
        400,
        "InvalidResourceName",
        f"Resource name {id.name} is invalid. The name can be up to 80 characters long. It must begin with a word "
        "character, and it must end with a word character or with '_'. The name may contain word characters or '.', "
        "'-', '_'.",
    )


def format_error(code: str, message: str) -> ArmError:
    return ArmError(
        400, "InvalidRequestFormat", "Cannot parse the request.", details=[{"code": code, "message": message}]
    )


def group_not_found(name: str) -> ArmError:
    return ArmError(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.", details=None)


def parent_not_found(parent: ResourceId) -> ArmError:
    return ArmError(
        404,
        "ParentResourceNotFound",
        "Can not perform requested operation on nested resource. Parent resource "
        f"'{'/'.join(parent.names)}' not found.",
        details=None,
    )


def not_found(id: ResourceId) -> ArmError:
    """What a GET of a missing resource answers: ARM itself for what it indexes, the provider for what is nested."""
    if id.namespace is None:
        return group_not_found(id.name)
    if len(id.names) > 1:
        return ArmError(404, "NotFound", f"Resource {id} not found.")
    place = f"under resource group '{id.group}' " if id.group else ""
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource '{id.type}/{id.name}' {place}was not found. For more details please go to "
        "https://aka.ms/ARMResourceNotFoundFix",
        details=None,
    )

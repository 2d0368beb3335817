"""PUT, PATCH and DELETE as transactions, in the order that `ResourceType` promises.

Codes and words are ARM's (azure-resource-manager-rpc, v1.0/common-api-details.md; azure-facts.md); what could not be
confirmed is marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import uuid4

import structlog

from azlan.arm import documents
from azlan.arm.authorization import action_prefix, linked_failure
from azlan.arm.checks import (
    being_deleted,
    check_group,
    check_location,
    check_name,
    check_preconditions,
    check_tags,
    format_error,
    group_not_found,
    not_found,
    parent_not_found,
)
from azlan.arm.documents import conform, copy_json, merge_patch
from azlan.arm.references import check_target, check_unused, last_name, operation_name, parse_reference, references_of
from azlan.arm.registry import GROUP_TYPE
from azlan.arm.resource import Json, Operation, Reference, ResourceType, Row
from azlan.arm.snapshot import Snapshot, inline_place
from azlan.arm.writes import ChildWrite, RowWrite, Unit
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What a write led to. `row` is None where nothing is left to show."""

    id: ResourceId
    declared: ResourceType
    row: Row | None
    operation: Operation | None
    created: bool = False
    retagged: bool = False
    """A PUT that changed tags, and nothing else."""


def canonical_id(unit: Unit, id: ResourceId) -> ResourceId:
    """The id in the case in which it is kept: types as declared, names as first written."""
    row = unit.row(id.key)
    if row is not None:
        return row.id
    registry = unit.rules.registry
    types = registry.canonical_types(id.namespace or "", id.types) if id.namespace else None
    namespace, segments = types if types is not None else (id.namespace, id.types)
    if id.parent is not None:
        parent = canonical_id(unit, id.parent)
        holder = unit.holder(id.key)
        place = inline_place(holder, id.key) if holder is not None else None
        name = id.name
        if holder is not None and place is not None:
            name = holder.properties[place[0]][place[1]]["name"]
        return parent.child(segments[-1], name)
    scope = canonical_id(unit, id.scope) if id.scope is not None else None
    group_row = unit.row(ResourceId(id.subscription, id.group).key) if id.group else None
    group = group_row.id.group if group_row is not None else id.group
    return ResourceId(id.subscription, group, namespace, segments, id.names, scope)


def require_surroundings(unit: Unit, declared: ResourceType, id: ResourceId, *, reading: bool = False) -> None:
    """Raises ArmError where the group, the parent or the extended resource is missing.

    `reading`: ARM then names the top-level resource that is not there [recorded], and a write's missing parent otherwise.
    """
    if declared.location == "required" and declared.type != GROUP_TYPE and (id.group is None or id.scope is not None):
        # What has a location lives in a group and extends nothing.
        raise ArmError(404, "InvalidResourceType", f"The resource type '{declared.type}' is not found at this scope.")
    if id.group and declared.type != GROUP_TYPE:
        group = unit.row(ResourceId(id.subscription, id.group).key)
        if group is None:
            raise group_not_found(id.group)
    if id.scope is not None and unit.holder(id.scope.key) is None:
        raise not_found(id.scope)
    if id.parent is not None and unit.holder(id.parent.key) is None:
        top = ResourceId(id.subscription, id.group, id.namespace, id.types[:1], id.names[:1], id.scope)
        if reading:
            raise not_found(top if unit.holder(top.key) is None else id.parent)
        raise parent_not_found(id.parent)


def put(unit: Unit, declared: ResourceType, id: ResourceId, body: Any, *, kind: Literal["PUT", "PATCH"]) -> Outcome:
    """Create or replace the resource; PATCH: merge into what is there. Raises ArmError."""
    require_surroundings(unit, declared, id)
    id = canonical_id(unit, id)
    document = documents.need_object(body)
    if declared.inline is not None:
        return _put_child(unit, declared, id, document, kind)
    row = unit.row(id.key)
    check_preconditions(unit, id, row.etag if row else None)
    if row is not None and row.deleting:
        raise being_deleted(unit, row, declared)
    check_group(unit, id, declared)
    if kind == "PATCH":
        if row is None:
            raise not_found(id)
        if [name.lower() for name in document] == ["tags"] and declared.tags:
            return _patch_tags(unit, declared, row, document)
        document = merge_patch(row.body, document)
    children = unit.rules.registry.inline_children(declared)
    collections = tuple(child.inline or "" for child in children)
    new = conform(declared, document, unit.request.api_version, without=collections)
    _conform_children(unit, children, document, new)
    check_location(unit, declared, id, new, row)
    check_tags(new)
    if row is None:
        check_name(declared, id)
    write = unit.begin(declared, id, new, row)
    _check_linked(unit, write, declared, id, "")
    declared.accept(write)
    for child in children:
        _accept_children(write, child)
    _check_references(unit, write, declared, id, "")
    retagged = row is not None and row.body != write.body and _untagged(row.body) == _untagged(write.body)
    return replace(_conclude(unit, declared, id, write, kind, created=row is None), retagged=retagged)


def _untagged(body: Mapping[str, Any]) -> Json:
    return {name: value for name, value in body.items() if name != "tags"}


def _put_child(
    unit: Unit, declared: ResourceType, id: ResourceId, body: Json, kind: Literal["PUT", "PATCH"]
) -> Outcome:
    holder = _holding_row(unit, id)
    place = inline_place(holder, id.key)
    check_preconditions(unit, id, holder.etag if place else None)
    if holder.deleting:
        raise being_deleted(unit, holder, declared)
    check_group(unit, id, declared)
    if kind == "PATCH":
        if place is None:
            raise not_found(id)
        body = merge_patch(holder.properties[place[0]][place[1]], body)
    named = {"name": id.name} | {name: value for name, value in body.items() if name.lower() != "name"}
    element = conform(declared, named, unit.request.api_version)
    if place is None:
        check_name(declared, id)
    write = unit.open(holder)
    collection = write.collection(declared)
    if place is not None:
        collection[place[1]] = element
        at = place[1]
    else:
        write.properties[declared.inline or ""] = collection
        collection.append(element)
        at = len(collection) - 1
    child = ChildWrite(write, declared, element, addressed=True)
    prefix = f"properties.{declared.inline}[{at}]."
    _check_linked(unit, write, declared, child.id, prefix)
    declared.accept(child)
    _check_references(unit, write, declared, child.id, prefix)
    return _conclude(unit, declared, child.id, write, kind, created=place is None)


def delete(unit: Unit, declared: ResourceType, id: ResourceId) -> Outcome:
    """Take the resource away: an inline child at once, a row once its operation has ended. Raises ArmError."""
    require_surroundings(unit, declared, id)
    id = canonical_id(unit, id)
    if declared.inline is not None:
        return _delete_child(unit, declared, id)
    row = unit.row(id.key)
    if row is None:
        if declared.type == GROUP_TYPE:
            raise group_not_found(id.name)
        return Outcome(id, declared, None, None)
    check_preconditions(unit, id, row.etag)
    snapshot = unit.change.snapshot
    if row.deleting:
        return Outcome(id, declared, row, snapshot.operations.get(snapshot.last.get(row.key, "")))
    children = unit.rules.registry.inline_children(declared)
    keys = [row.key]
    for child in children:
        keys += [
            f"{row.key}/{child.inline}/{item['name']}".lower() for item in row.properties.get(child.inline or "") or ()
        ]
    check_unused(unit.rules.registry, declared, id, keys, row.key, snapshot)
    write = unit.open(row)
    write.addressed = True
    for child in children:
        for element in list(write.collection(child)):
            child.removed(ChildWrite(write, child, element, gone=True))
    declared.removed(write)
    _cancel(unit, row, operation_name("Delete", declared))
    return _conclude(unit, declared, id, write, "DELETE")


def _delete_child(unit: Unit, declared: ResourceType, id: ResourceId) -> Outcome:
    holder = _holding_row(unit, id)
    place = inline_place(holder, id.key)
    if place is None:
        return Outcome(id, declared, None, None)
    check_preconditions(unit, id, holder.etag)
    if holder.deleting:
        raise being_deleted(unit, holder, declared)
    check_group(unit, id, declared)
    write = unit.open(holder)
    element = write.collection(declared)[place[1]]
    _remove_child(write, declared, element, addressed=True)
    del write.collection(declared)[place[1]]
    return _conclude(unit, declared, id, write, "DELETE")


def finish_delete(unit: Unit, row: Row) -> list[Outcome]:
    """Remove a row whose deletion has been carried out, what lives below it, and begin the deletions that follow."""
    registry = unit.rules.registry
    declared = registry.find(row.type)
    following = list(declared.after_delete(row, unit.change.snapshot)) if declared is not None else []
    for gone in [*_below(unit.change.snapshot, row), row]:
        if gone.key in unit.change.snapshot.rows:
            unit.change.remove(gone.key)
    outcomes = []
    for id in following:
        found = registry.of_id(id)
        if found is None or unit.change.snapshot.get(id.key) is None:
            continue
        part = Unit(unit.rules, unit.change, replace(unit.request, headers={}))
        try:
            outcomes.append(delete(part, found, id))
        except ArmError as error:
            log.warning("not deleted with its owner", id=str(id), owner=str(row.id), error=str(error))
    return outcomes


def _below(snapshot: Snapshot, row: Row) -> list[Row]:
    if row.type == GROUP_TYPE:
        return [found for found in snapshot.bucket(f"g:{row.key}") if found.key != row.key]
    found: list[Row] = []
    for child in snapshot.bucket(f"p:{row.key}"):
        found += [*_below(snapshot, child), child]
    return found


def _conform_children(unit: Unit, children: tuple[ResourceType, ...], document: Json, new: Json) -> None:
    """Put the conformed inline children into the new document."""
    given = next((value for name, value in document.items() if name.lower() == "properties"), None)
    if not isinstance(given, dict):
        return
    for child in children:
        for name, items in given.items():
            if name.lower() != (child.inline or "").lower() or items is None:
                continue
            if not isinstance(items, list):
                raise documents.malformed(f"Error converting value to an array. Path 'properties.{name}', line 1")
            found = [
                _conform_element(child, item, unit.request.api_version, f"properties.{name}[{n}].")
                for n, item in enumerate(items)
            ]
            new.setdefault("properties", {})[child.inline or name] = found


def _conform_element(child: ResourceType, item: Any, api_version: str, prefix: str) -> Json:
    if not isinstance(item, dict):
        raise documents.malformed(f"Error converting value to an object. Path '{prefix.rstrip('.')}', line 1")
    element = conform(child, item, api_version, prefix)
    name = element.pop("name", None)
    if not isinstance(name, str) or not name:
        # unconfirmed wording
        raise format_error("MissingName", f"Required property 'name' not found in JSON. Path '{prefix.rstrip('.')}'.")
    return {"name": name, **element}


def _accept_children(write: RowWrite, child: ResourceType) -> None:
    """Run the hooks of the inline children a row now holds, then of those it no longer holds."""
    before = (write.before or {}).get("properties", {}).get(child.inline or "") or []
    left = {str(item["name"]).lower(): item for item in before}
    seen: set[str] = set()
    for element in list(write.collection(child)):
        name = str(element["name"]).lower()
        part = ChildWrite(write, child, element)
        if name in seen:
            raise format_error(
                "DuplicateResourceName",
                f"Resource {write.id}/{child.inline}/ has two child resources with the same name ({element['name']}).",
            )
        seen.add(name)
        if left.pop(name, None) is None:
            check_name(child, part.id)
        child.accept(part)
    for item in left.values():
        _remove_child(write, child, copy_json(item))


def _remove_child(write: RowWrite, child: ResourceType, element: Json, addressed: bool = False) -> None:
    unit = write.unit
    part = ChildWrite(write, child, element, addressed=addressed, gone=True)
    check_unused(unit.rules.registry, child, part.id, [part.id.key], write.id.key, unit.change.snapshot)
    child.removed(part)
    write.state.pop(part.place, None)


def _check_linked(
    unit: Unit, write: RowWrite, declared: ResourceType, id: ResourceId, prefix: str
) -> list[tuple[ResourceId, Reference, ResourceId]]:
    """The references of the addressed document, as (referring, declaration, target). Raises ArmError where the caller
    lacks the right to refer there: asked before anything is said of the target."""
    registry = unit.rules.registry
    preview = write.preview()
    found = []
    for path, reference, text in references_of(registry, write.declared, write.body):
        if path.startswith(prefix):
            found.append((preview.element_id(path), reference, parse_reference(path, reference, text)))
    for _, reference, target in found:
        if reference.permission is not None and not write.may(reference.permission, target.key):
            action = f"{action_prefix(declared)}/write"
            raise linked_failure(unit.request.principal, action, str(id), reference.permission, str(target))
    return found


def _check_references(unit: Unit, write: RowWrite, declared: ResourceType, id: ResourceId, prefix: str) -> None:
    """Check that what the addressed document refers to is there; what it referred to before without holding it may
    have gone since."""
    names = last_name(unit.change.snapshot.operations, unit.change.snapshot.last)
    before = {target for _, target in write.row.refs} if write.row is not None else set()
    for referring, reference, target in _check_linked(unit, write, declared, id, prefix):
        if not reference.holds and target.key in before:
            continue
        own = target.key == write.id.key or target.key.startswith(write.id.key + "/")
        if not own or unit.holder(target.key) is None:
            check_target(reference, referring, target, write, names)


def _conclude(
    unit: Unit,
    declared: ResourceType,
    id: ResourceId,
    write: RowWrite,
    kind: Literal["PUT", "PATCH", "DELETE", "POST"],
    created: bool = False,
) -> Outcome:
    """Write the rows and the operation that will end them."""
    change, key = unit.change, write.id.key
    job = declared.delete_job if kind == "DELETE" else declared.job if kind in ("PUT", "PATCH") else None
    waits = declared.waits
    pending = bool(waits) or job is not None
    row_gone = kind == "DELETE" and declared.inline is None
    if row_gone:
        unit.finish({key: "Deleting"}, "Updating" if pending else "Succeeded")
    else:
        first = created and declared.inline is None
        unit.finish({}, "Succeeded" if not pending else declared.creating_state if first else "Updating")
    others = unit.others(key)
    at_once = pending and not created and kind in ("PUT", "PATCH") and job is None and _already_in_force(unit, write)
    if at_once:
        for touched in (key, *others):
            change.put(replace(change.snapshot.rows[touched], provisioning="Succeeded"))
    operation = Operation(
        id=str(uuid4()),
        key=key,
        generation=change.snapshot.rows[key].generation,
        revision=change.revision,
        kind=kind,
        name=operation_name(kind, declared),
        location=write.location,
        namespace=declared.type.split("/", 1)[0],
        subscription=id.subscription,
        waits=waits,
        others=others,
        status="InProgress" if pending and not at_once else "Succeeded",
        started=change.now,
        ended=None if pending and not at_once else change.now,
        principal=unit.request.principal,
        correlation=unit.request.correlation,
        target=str(id),
    )
    change.put_operation(operation)
    verb = "delete" if kind == "DELETE" else "write"
    for status in (*(("Accepted",) if pending else ()), *(("Succeeded",) if at_once or not pending else ())):
        change.log(
            str(id),
            f"{action_prefix(declared)}/{verb}",
            status,
            unit.request.principal.name,
            operation.correlation,
        )
    row: Row | None = change.snapshot.rows[key]
    if row_gone and not pending and row is not None:
        finish_delete(unit, row)
        row = None
    return Outcome(id, declared, row, operation, created)


def _already_in_force(unit: Unit, write: RowWrite) -> bool:
    """Whether nothing is left to apply of a write (another tag, the same once more): its operation ends with it."""
    before = [opened.row for key, opened in unit.opened.items() if key not in unit.implicit]
    if write.declared.waits != ("network",) or unit.implicit:
        return False
    if any(row is None or row.provisioning != "Succeeded" for row in before):
        return False
    return unit.change.is_in_force(unit.opened)


def edit(unit: Unit, declared: ResourceType, row: Row, work: Any) -> Outcome:
    """Let an action change a row by `work(write)`."""
    if row.deleting:
        raise being_deleted(unit, row, declared)
    write = unit.open(row)
    write.addressed = True
    work(write)
    return _conclude(unit, declared, row.id, write, "POST")


def _cancel(unit: Unit, row: Row, by: str) -> None:
    """End the operations that still wait for a row that is being deleted."""
    for operation in unit.change.snapshot.touching(row.key):
        text = f"Operation {operation.name} ({operation.id}) was canceled and superseded by operation {by}."
        error = {
            "code": "Canceled",
            "message": "Operation was canceled.",
            "details": [{"code": "CanceledAndSupersededDueToAnotherOperation", "message": text}],
        }
        unit.change.put_operation(replace(operation, status="Canceled", ended=unit.change.now, error=error))


def _patch_tags(unit: Unit, declared: ResourceType, row: Row, document: Json) -> Outcome:
    """Tags change at once, and nothing else does."""
    tags = next(iter(document.values()))
    body = {**row.body, "tags": tags if tags is not None else {}}
    check_tags(body)
    changed = replace(row, body=body, etag=f'W/"{uuid4()}"', revision=unit.change.revision, changed=unit.change.now)
    unit.change.put(changed)
    unit.change.log(
        str(row.id),
        f"{action_prefix(declared)}/write",
        "Succeeded",
        unit.request.principal.name,
        unit.request.correlation,
    )
    return Outcome(row.id, declared, changed, None)


def _holding_row(unit: Unit, id: ResourceId) -> Row:
    """The row of an inline child's parent. Raises ArmError where it is missing."""
    parent = id.parent
    row = unit.row(parent.key) if parent is not None else None
    if row is None:
        raise parent_not_found(parent or id)
    return row

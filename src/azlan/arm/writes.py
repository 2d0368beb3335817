"""What a request changes, while it is being worked out: the `Write` objects that hooks are given, over one transaction.

A row opened here becomes a new row at `finish`; nothing is seen by anybody before. Inline children write into the
document of the row that holds them: one row, one etag, one generation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from azlan.arm.authorization import Authorization
from azlan.arm.documents import copy_json, walk
from azlan.arm.references import references_of
from azlan.arm.registry import Registry
from azlan.arm.resource import Json, Principal, ProvisioningState, ResourceType, Row, Write
from azlan.arm.snapshot import inline_place
from azlan.arm.store import Transaction
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId, key_of
from azlan.base.sealing import Safe
from azlan.contract.machine import MachineStatus


@dataclass(frozen=True)
class Rules:
    """What every transaction needs to know besides the state."""

    registry: Registry
    authorization: Authorization
    locations: frozenset[str]
    """Normalised names of the regions."""
    safe: Safe = field(default_factory=Safe)
    """Seals what rows hold of secrets for a while."""


@dataclass
class Request:
    """Who asks, by which version, and what else the request said; names of `query` and `headers` in lower case."""

    principal: Principal
    api_version: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    correlation: str = ""


class Unit:
    """One request's transaction: the rows it opened, and the snapshot with what it has already changed."""

    def __init__(self, rules: Rules, change: Transaction, request: Request) -> None:
        self.rules = rules
        self.change = change
        self.request = request
        self.opened: dict[str, RowWrite] = {}
        self.implicit: set[str] = set()
        """Keys of rows made by `create`."""

    def row(self, key: str) -> Row | None:
        """The row with exactly that key, as this unit would leave it."""
        opened = self.opened.get(key)
        return opened.preview() if opened is not None else self.change.snapshot.rows.get(key)

    def holder(self, key: str) -> Row | None:
        """The row with that key, or that holds the inline child with that key."""
        row = self.row(key)
        if row is None:
            row = self.row(key.rsplit("/", 2)[0])
            if row is not None and inline_place(row, key) is None:
                return None
        return row

    def open(self, row: Row) -> RowWrite:
        """The write of a stored row, made at the first call."""
        found = self.opened.get(row.key)
        if found is None:
            declared = self.rules.registry.find(row.type)
            if declared is None:
                raise LookupError(row.type)
            found = RowWrite(self, declared, row.id, copy_json(row.body), row)
            self.opened[row.key] = found
        return found

    def begin(self, declared: ResourceType, id: ResourceId, body: Json, row: Row | None) -> RowWrite:
        """The write of the addressed row with its new document."""
        write = RowWrite(self, declared, id, body, row, addressed=True)
        self.opened[id.key] = write
        return write

    def others(self, key: str) -> tuple[str, ...]:
        """Stored rows that were changed beside the one addressed."""
        return tuple(k for k in self.opened if k != key and k not in self.implicit)

    def finish(self, provisioning: Mapping[str, ProvisioningState], default: ProvisioningState) -> None:
        """Turn every opened row into its new version."""
        for key, write in self.opened.items():
            if key in self.implicit:
                write.store("Succeeded")
            else:
                write.store(provisioning.get(key, default))


class _Reading:
    """The reads of a hook: the snapshot, with this unit's own changes to rows it opened."""

    unit: Unit

    @property
    def revision(self) -> int:
        return self.unit.change.revision

    def get(self, key: str) -> Row | None:
        return self.unit.holder(key)

    def child(self, key: str) -> tuple[Json, Json] | None:
        row = self.unit.holder(key)
        place = inline_place(row, key) if row is not None and row.key != key else None
        if row is None or place is None:
            return None
        collection, index = place
        return row.properties[collection][index], row.state.get(key[len(row.key) + 1 :], {})

    def list(self, type: str, *, group: str | None = None, parent: str | None = None) -> Iterable[Row]:
        found = self.unit.change.snapshot.list(type, group=group, parent=parent)
        return [self.unit.row(row.key) or row for row in found]

    def referrers(self, key: str, type: str | None = None) -> Iterable[tuple[Row, str]]:
        return self.unit.change.snapshot.referrers(key, type)

    def status(self, key: str) -> MachineStatus | None:
        return self.unit.change.snapshot.status(key)


class _Writing(_Reading, ABC):
    """What writes of rows and of inline children have in common."""

    id: ResourceId
    body: Json

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.api_version = unit.request.api_version
        self.principal = unit.request.principal
        self.query = unit.request.query
        self.now = unit.change.now
        self.safe = unit.rules.safe

    @property
    def properties(self) -> Json:
        found = self.body.get("properties")
        if not isinstance(found, dict):
            found = self.body["properties"] = {}
        return found

    @property
    @abstractmethod
    def location(self) -> str:
        """Of the row."""

    def change(self, key: str) -> Write:
        row = self.unit.row(key)
        if row is not None:
            return self.unit.open(row)
        holder = self.unit.holder(key)
        if holder is None:
            raise LookupError(key)
        write = self.unit.open(holder)
        return write.inline_child(key)

    def create(self, id: ResourceId, body: Json, state: Json | None = None) -> None:
        declared = self.unit.rules.registry.of_id(id)
        if declared is None or declared.inline is not None:
            raise LookupError(id.type)
        write = RowWrite(self.unit, declared, id, copy_json(body), self.unit.change.snapshot.rows.get(id.key))
        write.state.update(state or {})
        self.unit.opened[id.key] = write
        self.unit.implicit.add(id.key)
        declared.accept(write)

    def touch_delete(self, key: str) -> None:
        self.unit.opened.pop(key, None)
        self.unit.implicit.discard(key)
        if key in self.unit.change.snapshot.rows:
            self.unit.change.remove(key)

    def preflight(self, id: ResourceId, body: Json) -> Iterable[ArmError]:
        return self.unit.rules.registry.preflight(id, body)

    def count(self, type: str) -> int:
        return self.unit.change.snapshot.count(type, self.id.subscription, self.location)

    def may(self, action: str, key: str) -> bool:
        return self.unit.rules.authorization.allowed(
            self.unit.change.snapshot, self.unit.request.principal, action, key.lower()
        )


class RowWrite(_Writing):
    """The write of a whole row."""

    def __init__(
        self, unit: Unit, declared: ResourceType, id: ResourceId, body: Json, row: Row | None, addressed: bool = False
    ) -> None:
        super().__init__(unit)
        self.declared = declared
        self.id = id
        self.body = body
        self.row = row
        self.state: Json = copy_json(row.state) if row is not None else {}
        self.before: Json | None = copy_json(row.body) if row is not None else None
        self.addressed = addressed
        self.parent: Write | None = None

    @property
    def location(self) -> str:
        given = self.body.get("location")
        if isinstance(given, str):
            return given
        group = self.unit.row(self.id.group_key)
        return str(group.body.get("location", "global")) if group is not None else "global"

    def collection(self, declared: ResourceType) -> list[Json]:
        """The inline children of that type, as they now stand in the document."""
        found = self.properties.get(declared.inline or "")
        return found if isinstance(found, list) else []

    def inline_child(self, key: str) -> ChildWrite:
        """The write of an inline child that is there."""
        place = inline_place(self.preview(), key)
        if place is None:
            raise LookupError(key)
        collection, index = place
        for declared in self.unit.rules.registry.inline_children(self.declared):
            if declared.inline == collection:
                return ChildWrite(self, declared, self.properties[collection][index])
        raise LookupError(key)

    def preview(self) -> Row:
        """The row as it would be now; shares the documents being written."""
        old = self.row
        return Row(
            id=self.id,
            type=self.declared.type,
            body=self.body,
            state=self.state,
            provisioning=old.provisioning if old is not None else "Updating",
            etag=old.etag if old is not None else "",
            generation=old.generation + 1 if old is not None else 1,
            revision=self.unit.change.revision,
            created=old.created if old is not None else self.now,
            changed=self.now,
            api_version=self.api_version if self.addressed or old is None else old.api_version,
            refs=old.refs if old is not None else (),
        )

    def store(self, provisioning: ProvisioningState) -> Row:
        """Put the new row. A secret that `accept` left in the document is never written."""
        for path in self.declared.secret:
            if next(walk(self.body, path), None) is not None:
                raise AssertionError(f"{self.declared.type} left the secret {path} in its document")
        old = self.row
        if old is not None and old.deleting:
            provisioning = "Deleting"
        refs = tuple(
            (path, key_of(text))
            for path, _, text in references_of(self.unit.rules.registry, self.declared, self.body)
            if isinstance(text, str)
        )
        preview = self.preview()
        row = Row(
            id=self.id,
            type=preview.type,
            body=self.body,
            state=self.state,
            provisioning=provisioning,
            etag=f'W/"{uuid4()}"',
            generation=preview.generation,
            revision=preview.revision,
            created=preview.created,
            changed=preview.changed,
            api_version=preview.api_version,
            refs=refs,
        )
        self.unit.change.put(row)
        return row


class ChildWrite(_Writing):
    """The write of an inline child: `body` is its element of the row's document."""

    def __init__(
        self, parent: RowWrite, declared: ResourceType, element: Json, *, addressed: bool = False, gone: bool = False
    ) -> None:
        super().__init__(parent.unit)
        self.parent: Write | None = parent
        self.holder = parent
        self.declared = declared
        self.addressed = addressed
        segment = declared.type.rsplit("/", 1)[-1]
        self.before = _named(parent.before or {}, declared, str(element["name"]))
        if self.before is not None:
            element["name"] = self.before["name"]
        self.body = element
        self.id = parent.id.child(segment, element["name"])
        self.place = f"{declared.inline}/{element['name']}".lower()
        self.state: Json = parent.state.get(self.place, {}) if gone else parent.state.setdefault(self.place, {})

    @property
    def location(self) -> str:
        return self.holder.location


def _named(document: Mapping[str, Any], declared: ResourceType, name: str) -> Json | None:
    """The element of an inline collection with that name."""
    for item in (document.get("properties") or {}).get(declared.inline or "") or ():
        if str(item.get("name", "")).lower() == name.lower():
            found: Json = copy_json(item)
            return found
    return None

"""Documents as a GET answers them: the stored JSON with what ARM adds, then the type's own `view`.

Shape: azure-resource-manager-rpc, v1.0/resource-api-reference.md; every inline child carries its row's etag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from azlan.arm.documents import copy_json, leave_out
from azlan.arm.registry import Registry
from azlan.arm.resource import Json, ResourceType, Row
from azlan.arm.snapshot import Snapshot, inline_place
from azlan.base.ids import ResourceId
from azlan.contract.machine import MachineStatus

_OWN = ("name", "properties")


class DocumentView:
    """What a type's `view` hook is given."""

    def __init__(self, snapshot: Snapshot, row: Row, id: ResourceId, doc: Json, state: Mapping[str, Any]) -> None:
        self._snapshot = snapshot
        self.row = row
        self.id = id
        self.doc = doc
        self.state = state
        self.api_version = ""
        self.expand = ""
        self.endpoint = ""

    @property
    def properties(self) -> Json:
        found: Json = self.doc["properties"]
        return found

    @property
    def creating(self) -> bool:
        return self.row.generation == 1 and self.properties.get("provisioningState") in ("Creating", "Updating")

    @property
    def revision(self) -> int:
        return self._snapshot.revision

    def get(self, key: str) -> Row | None:
        return self._snapshot.get(key)

    def child(self, key: str) -> tuple[Json, Json] | None:
        return self._snapshot.child(key)

    def list(self, type: str, *, group: str | None = None, parent: str | None = None) -> Iterable[Row]:
        return self._snapshot.list(type, group=group, parent=parent)

    def referrers(self, key: str, type: str | None = None) -> Iterable[tuple[Row, str]]:
        return self._snapshot.referrers(key, type)

    def status(self, key: str) -> MachineStatus | None:
        return self._snapshot.status(key)


class Views:
    """Renders rows and inline children of one registry. `endpoint`: where the cloud is served."""

    def __init__(self, registry: Registry, endpoint: Callable[[], str] = lambda: "") -> None:
        self._registry = registry
        self._endpoint = endpoint

    def row(
        self, snapshot: Snapshot, row: Row, api_version: str, expand: str = "", provisioning: str | None = None
    ) -> Json:
        """The document of a row, its inline children included."""
        declared = self._registry.find(row.type)
        if declared is None:
            raise LookupError(row.type)
        body = copy_json(row.body)
        doc = _document(declared, row.id, row, body, provisioning or row.provisioning)
        for child in self._registry.inline_children(declared):
            collection = child.inline or ""
            if collection in doc["properties"]:
                doc["properties"][collection] = [
                    self._child(snapshot, row, child, item, api_version, expand, provisioning)
                    for item in doc["properties"][collection]
                ]
        self._finish(declared, snapshot, row, row.id, doc, row.state, api_version, expand)
        return doc

    def inline(
        self,
        snapshot: Snapshot,
        row: Row,
        key: str,
        api_version: str,
        expand: str = "",
        provisioning: str | None = None,
    ) -> Json | None:
        """The document of an inline child, None where the row holds none with that key."""
        place = inline_place(row, key)
        declared = self._registry.find(row.type)
        for child in self._registry.inline_children(declared) if declared and place else ():
            if place is not None and child.inline == place[0]:
                item = copy_json(row.properties[place[0]][place[1]])
                return self._child(snapshot, row, child, item, api_version, expand, provisioning)
        return None

    def any(
        self, snapshot: Snapshot, id: ResourceId, api_version: str, expand: str = "", provisioning: str | None = None
    ) -> Json | None:
        """The document at an id; None where there is nothing."""
        row = snapshot.get(id.key)
        if row is None:
            return None
        if row.key == id.key:
            return self.row(snapshot, row, api_version, expand, provisioning)
        return self.inline(snapshot, row, id.key, api_version, expand, provisioning)

    def _child(
        self,
        snapshot: Snapshot,
        row: Row,
        child: ResourceType,
        item: Json,
        api_version: str,
        expand: str,
        provisioning: str | None,
    ) -> Json:
        id = row.id.child(child.type.rsplit("/", 1)[-1], item["name"])
        doc = _document(child, id, row, item, provisioning or row.provisioning)
        state = row.state.get(f"{child.inline}/{item['name']}".lower(), {})
        self._finish(child, snapshot, row, id, doc, state, api_version, expand)
        return doc

    def _finish(
        self,
        declared: ResourceType,
        snapshot: Snapshot,
        row: Row,
        id: ResourceId,
        doc: Json,
        state: Mapping[str, Any],
        api_version: str,
        expand: str,
    ) -> None:
        view = DocumentView(snapshot, row, id, doc, state)
        view.api_version = api_version
        view.expand = expand
        view.endpoint = self._endpoint()
        declared.view(view)
        for path, since in declared.shown_since.items():
            if api_version[:10] < since:
                leave_out(doc, path)


def _document(declared: ResourceType, id: ResourceId, row: Row, body: Json, provisioning: str) -> Json:
    """What ARM says of every resource, around its accepted properties."""
    doc: Json = {"name": id.name, "id": str(id)}
    if declared.etag:
        doc["etag"] = row.etag
    doc["type"] = declared.type
    doc |= {name: value for name, value in body.items() if name not in _OWN}
    doc["properties"] = {"provisioningState": provisioning, **(body.get("properties") or {})}
    return doc

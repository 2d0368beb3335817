"""Which resource, collection, action or fixed page a request path means.

Paths are compared without case, doubled slashes are forgiven (azure-resource-manager-rpc, v1.0).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import unquote

from azlan.arm.core import unknown_type
from azlan.arm.registry import GROUP_TYPE, Registry
from azlan.arm.resource import ResourceType
from azlan.base.ids import ResourceId


@dataclass(frozen=True)
class Item:
    """A resource; with `action`, what is posted to it."""

    declared: ResourceType
    id: ResourceId
    action: str | None = None


@dataclass(frozen=True)
class Collection:
    """The resources of a type below a scope: a subscription, a group, a parent, or a resource that is extended."""

    declared: ResourceType
    scope: ResourceId


@dataclass(frozen=True)
class Page:
    """A path that is no resource: its segments in lower case, and as given."""

    name: str
    scope: ResourceId | None
    rest: tuple[str, ...]


@dataclass(frozen=True)
class Elements:
    """An array of a resource's `elements`; with `element`, what is called so in it."""

    declared: ResourceType
    id: ResourceId
    name: str
    element: str | None = None


Target = Item | Collection | Page | Elements


def split(path: str) -> list[str]:
    """The segments of a raw path, each decoded by itself: an escaped slash is part of a name."""
    return [unquote(segment) for segment in path.split("/") if segment]


def resolve(registry: Registry, segments: list[str], version: str = "") -> Target:
    """What the path means. Raises ArmError for namespaces and types that are not served; `version` is for its words."""
    return _Resolver(registry, version).path(segments)


@dataclass(frozen=True)
class _Resolver:
    registry: Registry
    version: str

    def path(self, segments: list[str]) -> Target:
        lower = [segment.lower() for segment in segments]
        if len(segments) < 2 or lower[0] != "subscriptions":
            return Page(lower[0] if lower else "", None, tuple(segments[1:]))
        scope = ResourceId(segments[1])
        rest, at = segments[2:], 2
        if rest and lower[2] == "resourcegroups":
            if len(rest) == 1:
                return Collection(self._needed(self.registry.find(GROUP_TYPE), scope), scope)
            scope, rest, at = ResourceId(segments[1], rest[1]), rest[2:], 4
            if not rest or (len(rest) == 1 and lower[at] not in ("resources", "providers")):
                return Item(self._needed(self.registry.of_id(scope), scope), scope, rest[0] if rest else None)
        if rest and lower[at] == "providers":
            return self._provider(scope, rest)
        return Page(lower[at] if rest else "", scope, tuple(rest[1:]))

    def _provider(self, scope: ResourceId, rest: list[str]) -> Target:
        """`providers/{namespace}/{type}/{name}…`, where `rest` begins with `providers`."""
        if len(rest) <= 2:
            return Page("providers", scope, tuple(rest[1:]))
        namespace, pairs = rest[1], rest[2:]
        for at in range(2, len(pairs), 2):
            if pairs[at].lower() == "providers":
                return self._provider(self._id(scope, namespace, pairs[:at]), pairs[at:])
        if pairs[0].lower() == "locations" and len(pairs) >= 3 and self.registry.find(f"{namespace}/locations") is None:
            return Page("locations", scope, (namespace, *pairs[1:]))
        if len(pairs) == 1 and pairs[0].lower() == "register":
            return Page("providers", scope, (namespace, "register"))
        if len(pairs) % 2 == 0:
            id = self._id(scope, namespace, pairs)
            declared = self.registry.of_id(id)
            found = self._elements(scope, namespace, pairs[:-1]) if declared is None else None
            return replace(found, element=pairs[-1]) if found else Item(self._needed(declared, id), id)
        types = tuple(pairs[::2])
        declared = self.registry.find("/".join((namespace, *types)))
        if declared is not None:
            return Collection(declared, self._id(scope, namespace, pairs[:-1]) if len(pairs) > 1 else scope)
        found = self._elements(scope, namespace, pairs)
        if found is not None:
            return found
        id = self._id(scope, namespace, pairs[:-1])
        owner = self.registry.of_id(id) if len(pairs) > 1 else None
        asked = ResourceId(scope.subscription, scope.group, namespace, types, types)
        return Item(self._needed(owner, asked), id, pairs[-1])

    def _elements(self, scope: ResourceId, namespace: str, pairs: list[str]) -> Elements | None:
        """What `{type}/{name}…/{array}` means where the type declares the array readable."""
        if len(pairs) < 3:
            return None
        id = self._id(scope, namespace, pairs[:-1])
        declared = self.registry.of_id(id)
        names = declared.elements if declared is not None else ()
        name = next((name for name in names if name.lower() == pairs[-1].lower()), None)
        return Elements(declared, id, name) if declared is not None and name is not None else None

    def _needed(self, declared: ResourceType | None, id: ResourceId) -> ResourceType:
        if declared is None:
            raise unknown_type(self.registry, id, self.version)
        return declared

    def _id(self, scope: ResourceId, namespace: str, pairs: list[str]) -> ResourceId:
        """The id of (type, name) pairs below a scope, its types in the case of their declaration where known."""
        types, names = tuple(pairs[::2]), tuple(pairs[1::2])
        known = self.registry.canonical_types(namespace, types)
        if known is not None:
            namespace, types = known
        extended = scope if scope.namespace else None
        return ResourceId(scope.subscription, scope.group, namespace, types, names, extended)

"""Which resource, collection, action or fixed page a request path means.

Paths are compared without case, doubled slashes are forgiven (azure-resource-manager-rpc, v1.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from azlan.arm.core import unknown_type
from azlan.arm.registry import GROUP_TYPE, Registry
from azlan.arm.resource import ResourceType
from azlan.base.errors import ArmError
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


Target = Item | Collection | Page


def split(path: str) -> list[str]:
    """The segments of a raw path, each decoded by itself: an escaped slash is part of a name."""
    return [unquote(segment) for segment in path.split("/") if segment]


def resolve(registry: Registry, segments: list[str]) -> Target:
    """What the path means. Raises ArmError for namespaces and types that are not served."""
    lower = [segment.lower() for segment in segments]
    if len(segments) < 2 or lower[0] != "subscriptions":
        return Page(lower[0] if lower else "", None, tuple(segments[1:]))
    scope = ResourceId(segments[1])
    rest, at = segments[2:], 2
    if rest and lower[2] == "resourcegroups":
        group_type = registry.find(GROUP_TYPE)
        if len(rest) == 1:
            return Collection(_needed(group_type, registry, scope), scope)
        scope, rest, at = ResourceId(segments[1], rest[1]), rest[2:], 4
        if not rest:
            return Item(_needed(group_type, registry, scope), scope)
        if len(rest) == 1 and lower[at] != "resources":
            return Item(_needed(group_type, registry, scope), scope, rest[0])
    if rest and lower[at] == "providers":
        return _provider(registry, scope, rest)
    return Page(lower[at] if rest else "", scope, tuple(rest[1:]))


def _needed(declared: ResourceType | None, registry: Registry, id: ResourceId) -> ResourceType:
    if declared is None:
        raise unknown_type(registry, id)
    return declared


def _provider(registry: Registry, scope: ResourceId, rest: list[str]) -> Target:
    """`providers/{namespace}/{type}/{name}…`, where `rest` begins with `providers`."""
    if len(rest) <= 2:
        return Page("providers", scope, tuple(rest[1:]))
    namespace, pairs = rest[1], rest[2:]
    for at in range(2, len(pairs), 2):
        if pairs[at].lower() == "providers":
            extended = _id(registry, scope, namespace, pairs[:at])
            return _provider(registry, extended, pairs[at:])
    if pairs[0].lower() == "locations" and len(pairs) >= 3 and registry.find(f"{namespace}/locations") is None:
        return Page("locations", scope, (namespace, *pairs[1:]))
    if len(pairs) == 1 and pairs[0].lower() == "register":
        return Page("providers", scope, (namespace, "register"))
    if len(pairs) % 2 == 0:
        id = _id(registry, scope, namespace, pairs)
        return Item(_needed(registry.of_id(id), registry, id), id)
    types = pairs[::2]
    declared = registry.find("/".join((namespace, *types)))
    if declared is not None:
        return Collection(declared, _id(registry, scope, namespace, pairs[:-1]) if len(pairs) > 1 else scope)
    id = _id(registry, scope, namespace, pairs[:-1])
    if len(pairs) == 1 or registry.of_id(id) is None:
        raise unknown_type(registry, ResourceId(scope.subscription, scope.group, namespace, tuple(types), tuple(types)))
    return Item(_needed(registry.of_id(id), registry, id), id, pairs[-1])


def _id(registry: Registry, scope: ResourceId, namespace: str, pairs: list[str]) -> ResourceId:
    """The id of (type, name) pairs below a scope, its types in the case of their declaration where known."""
    if len(pairs) % 2:
        raise ArmError(
            404, "InvalidResourceType", f"The resource type could not be found in the namespace '{namespace}'."
        )
    types, names = tuple(pairs[::2]), tuple(pairs[1::2])
    known = registry.canonical_types(namespace, types)
    if known is not None:
        namespace, types = known
    extended = scope if scope.namespace else None
    return ResourceId(scope.subscription, scope.group, namespace, types, names, extended)

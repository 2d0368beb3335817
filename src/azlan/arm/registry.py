"""Which resource types and routes exist: discovered from the `RESOURCE` and `ROUTES` of provider modules.

Types resolve without case, as ARM resolves them (azure-resource-manager-rpc, v1.0/resource-api-reference.md).
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from azlan.arm.resource import Json, Reference, ResourceType, Route
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId

GROUP_TYPE = "Microsoft.Resources/resourceGroups"
ASSIGNMENT_TYPE = "Microsoft.Authorization/roleAssignments"
DEFINITION_TYPE = "Microsoft.Authorization/roleDefinitions"

_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True)
class CompiledRoute:
    route: Route
    segments: tuple[str, ...]
    """Lower case; `{name}` stays as it is declared."""

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """The path's parameters, None where it is another path."""
        if len(segments) != len(self.segments):
            return None
        found = {}
        for own, given in zip(self.segments, segments, strict=True):
            if own.startswith("{"):
                found[own[1:-1]] = given
            elif own != given.lower():
                return None
        return found


@dataclass
class Place:
    """Where in a document of a type references may be: a tree of the paths that are declared."""

    members: dict[str, Place] = field(default_factory=dict)
    """By lower-case name."""
    items: Place | None = None
    """Of a list."""
    reference: Reference | None = None
    order: int = 0
    """Of the reference among those of its type."""

    def add(self, path: str, reference: Reference, order: int) -> None:
        at = self
        for step in path.lower().split("."):
            at = at.members.setdefault(step.removesuffix("[]"), Place())
            if step.endswith("[]"):
                at.items = at = at.items or Place()
        at.reference, at.order = reference, order


@dataclass
class Registry:
    """All types by lower-case name, and the routes. Filled once, at start."""

    types: dict[str, ResourceType] = field(default_factory=dict)
    routes: list[CompiledRoute] = field(default_factory=list)
    _children: dict[str, list[ResourceType]] = field(default_factory=dict)
    _inline: dict[str, tuple[ResourceType, ...]] = field(default_factory=dict)
    _references: dict[tuple[str, str], Reference] = field(default_factory=dict)
    _places: dict[str, Place] = field(default_factory=dict)

    @classmethod
    def discover(cls, package: str = "azlan.providers") -> Registry:
        """Import every module below `package` and collect what they declare. Raises ValueError on a duplicate."""
        root = importlib.import_module(package)
        types: list[ResourceType] = []
        routes: list[Route] = []
        for info in sorted(pkgutil.walk_packages(root.__path__, f"{package}."), key=lambda found: found.name):
            module = importlib.import_module(info.name)
            declared = vars(module).get("RESOURCE")
            if isinstance(declared, ResourceType):
                types.append(declared)
            routes.extend(vars(module).get("ROUTES", ()))
        return cls.of(types, routes)

    @classmethod
    def of(cls, types: Iterable[ResourceType], routes: Iterable[Route] = ()) -> Registry:
        """A registry of these declarations. Raises ValueError on a duplicate or a declaration that contradicts itself."""
        registry = cls()
        for declared in types:
            registry._add(declared)
        for route in routes:
            segments = tuple(s if s.startswith("{") else s.lower() for s in route.path.split("/") if s)
            shape = tuple("{}" if s.startswith("{") else s for s in segments)
            taken = {
                (c.route.method, tuple("{}" if s.startswith("{") else s for s in c.segments)) for c in registry.routes
            }
            if (route.method, shape) in taken:
                raise ValueError(f"route declared twice: {route.method} {route.path}")
            registry.routes.append(CompiledRoute(route, segments))
        registry._link()
        return registry

    def _add(self, declared: ResourceType) -> None:
        key = declared.type.lower()
        if key in self.types:
            raise ValueError(f"type declared twice: {declared.type}")
        if declared.inline is not None:
            if declared.parent is None:
                raise ValueError(f"{declared.type}: inline without a parent")
            if declared.inline.lower() != key.rsplit("/", 1)[-1]:
                raise ValueError(f"{declared.type}: the inline collection is named otherwise than the type")
        self.types[key] = declared

    def _link(self) -> None:
        for declared in self.types.values():
            if declared.parent is None:
                continue
            parent = self.types.get(declared.parent.lower())
            if parent is None:
                raise ValueError(f"{declared.type}: its parent {declared.parent} is not declared")
            if declared.inline is not None and parent.inline is not None:
                raise ValueError(f"{declared.type}: an inline child of an inline child")
            self._children.setdefault(parent.type.lower(), []).append(declared)
        for key, children in self._children.items():
            self._inline[key] = tuple(child for child in children if child.inline is not None)
        for declared in self.types.values():
            owner, prefix = declared, ""
            if declared.inline is not None and declared.parent is not None:
                owner, prefix = self.types[declared.parent.lower()], f"properties.{declared.inline}[]."
            for reference in declared.references:
                self._references[owner.type.lower(), (prefix + reference.path).lower()] = reference
        for declared in self.types.values():
            place = self._places[declared.type.lower()] = Place()
            owned = [("", declared), *((f"properties.{c.inline}[].", c) for c in self.inline_children(declared))]
            paths = [(prefix + reference.path, reference) for prefix, owner in owned for reference in owner.references]
            for order, (path, reference) in enumerate(paths):
                place.add(path, reference, order)

    def find(self, name: str) -> ResourceType | None:
        return self.types.get(name.lower())

    def of_id(self, id: ResourceId) -> ResourceType | None:
        """The type of a resource id; None for a subscription or an unknown type."""
        return self.types.get(id.type.lower())

    def row_type(self, id: ResourceId) -> ResourceType | None:
        """The type of the row that holds `id`: the parent's for an inline child."""
        found = self.of_id(id)
        if found is not None and found.inline is not None and found.parent is not None:
            return self.find(found.parent)
        return found

    def inline_children(self, declared: ResourceType) -> tuple[ResourceType, ...]:
        return self._inline.get(declared.type.lower(), ())

    def places(self, declared: ResourceType) -> Place:
        """Where a row's document may refer to something, in its inline children too."""
        return self._places[declared.type.lower()]

    def children(self, declared: ResourceType) -> tuple[ResourceType, ...]:
        return tuple(self._children.get(declared.type.lower(), ()))

    def reference(self, row_type: str, path: str) -> Reference | None:
        """The declaration of a reference found in a row at `path`."""
        return self._references.get((row_type.lower(), _INDEX.sub("[]", path).lower()))

    def preflight(self, id: ResourceId, body: Json) -> Iterable[ArmError]:
        """What the type of a resource finds wrong with it before anything is deployed."""
        declared = self.of_id(id)
        return declared.preflight(id, body) if declared is not None else ()

    def namespaces(self) -> dict[str, list[ResourceType]]:
        """Namespace in its canonical case → its types, sorted."""
        found: dict[str, list[ResourceType]] = {}
        for declared in sorted(self.types.values(), key=lambda d: d.type.lower()):
            found.setdefault(declared.type.split("/", 1)[0], []).append(declared)
        return found

    def canonical_types(self, namespace: str, types: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
        """(namespace, types) in the case of their declaration; None for an unknown type."""
        declared = self.find("/".join((namespace, *types)))
        if declared is None:
            return None
        found, *segments = declared.type.split("/")
        return found, tuple(segments)

    def validate_references(self) -> list[str]:
        """What no declared type accounts for: targets of references that are neither a type nor an element below one."""
        problems = []
        for declared in self.types.values():
            for reference in declared.references:
                for target in reference.types:
                    if self.find(target) is None and self.find(target.rsplit("/", 1)[0]) is None:
                        problems.append(f"{declared.type}: {reference.path} refers to the undeclared {target}")
        return sorted(problems)

    def describe(self) -> str:
        """The types on one page: what each keeps inline, refers to (and by which right) and can do; then the routes, and
        what is referred to though it is not served."""
        lines = []
        for key in sorted(self.types):
            declared = self.types[key]
            words = [declared.type, *_versions(declared)]
            if declared.inline:
                words.append(f"in {declared.parent}")
            elif declared.parent:
                words.append(f"below {declared.parent}")
            words.append("waits " + "+".join(declared.waits) if declared.waits else "at once")
            if declared.job or declared.delete_job:
                words.append("job")
            lines.append("  ".join(words))
            lines += [
                f"    refers {reference.path} → {', '.join(reference.types)}"
                + (f"  by {reference.permission}" if reference.permission else "")
                for reference in declared.references
            ]
            lines += [f"    {action.method} {name}" for name, action in sorted(declared.actions.items())]
            lines += [f"    GET {name}, {name}/{{element}}" for name in sorted(declared.elements)]
        lines += sorted(f"{compiled.route.method} {compiled.route.path}" for compiled in self.routes)
        missing = sorted({problem.rpartition(" ")[2] for problem in self.validate_references()})
        if missing:
            lines += ["", "Not served, though something may refer to it:", *missing]
        return "\n".join(lines) + "\n"


def _versions(declared: ResourceType) -> list[str]:
    """The newest api-version, and how many down to which."""
    known = declared.api_versions
    if len(known) < 2:
        return list(known) or ["-"]
    return [f"{known[0]} … {known[-1]} ({len(known)})"]

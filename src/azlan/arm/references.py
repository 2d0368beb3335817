"""References between resources: found in documents, checked on write, held against deletion.

Wordings are those of Microsoft.Network (azure-facts: InvalidResourceReference, ReferencedResourceNotProvisioned,
LinkedAuthorizationFailed); permission is asked before existence is revealed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from azlan.arm.registry import Place, Registry
from azlan.arm.resource import Operation, Read, Reference, ResourceType
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId, parse_id

Found = tuple[str, Reference, str]
"""(path with indices, its declaration, the id as given)."""


def references_of(registry: Registry, declared: ResourceType, body: Mapping[str, Any]) -> Iterator[Found]:
    """Every reference in a row's body, those of its inline children included, in the order of their declaration."""
    places: list[tuple[int, Found]] = []
    _gather(registry.places(declared), body, "", places)
    for _, found in sorted(places, key=lambda place: place[0]):
        yield found


def _gather(place: Place, document: Mapping[str, Any], at: str, found: list[tuple[int, Found]]) -> None:
    """One walk for all references: a document is followed only where one may be."""
    for name, value in document.items():
        there = place.members.get(name.lower())
        if there is not None and value is not None:
            _look(there, value, f"{at}.{name}" if at else name, found)


def _look(place: Place, value: Any, path: str, found: list[tuple[int, Found]]) -> None:
    if place.reference is not None:
        found.append((place.order, (path, place.reference, value)))
    if place.members and isinstance(value, dict):
        _gather(place, value, path, found)
    if place.items is not None and isinstance(value, list):
        for index, item in enumerate(value):
            if item is not None:
                _look(place.items, item, f"{path}[{index}]", found)


def parse_reference(path: str, reference: Reference, text: Any) -> ResourceId:
    """The target's id. Raises ArmError where the text is none, or one of another type."""
    try:
        target = parse_id(text) if isinstance(text, str) else None
    except ValueError:
        target = None
    if target is None or target.type.lower() not in (known.lower() for known in reference.types):
        expected = " or ".join(f"/{known}" for known in reference.types)
        raise ArmError(
            400,
            "InvalidRequestFormat",
            "Cannot parse the request.",
            details=[
                {
                    "code": "InvalidJsonReferenceFormat",
                    "message": f"Reference Id {text} is not formatted correctly. The Id is expected to reference "
                    f"resources of type {expected.lstrip('/')}. Path {path}.",
                }
            ],
        )
    return target


def check_target(reference: Reference, referring: ResourceId, target: ResourceId, read: Read, last: LastName) -> None:
    """Raises ArmError where the target is missing, going away, or in a failed state."""
    row = read.get(target.key)
    if row is None:
        if reference.missing is not None:
            raise reference.missing(referring, str(target))
        raise ArmError(
            400,
            "InvalidResourceReference",
            f"Resource {target} referenced by resource {referring} was not found. Please make sure that the "
            "referenced resource exists, and that both resources are in the same region.",
        )
    if row.provisioning in ("Deleting", "Failed"):
        code = "ReferencedResourceNotProvisioned"
        message = (
            f"Cannot proceed with operation because resource {target} used by resource {referring} is not in Succeeded "
            f"state. Resource is in {row.provisioning} state and the last operation that updated/is updating the "
            f"resource is {last(row.key)}."
        )
        if row.provisioning == "Failed":
            raise ArmError(400, code, message)
        # As users' reports show it (hashicorp/terraform 7986, coreos/tectonic-installer 1459): what passes is wrapped.
        details = [{"code": code, "message": message}]
        raise ArmError(
            429, "RetryableError", "A retryable error occurred.", details=details, headers={"Retry-After": "1"}
        )


LastName = Callable[[str], str]
"""Row key → name of the last operation that wrote the row."""


def check_unused(
    registry: Registry, declared: ResourceType, id: ResourceId, keys: Iterable[str], owner: str, read: Read
) -> None:
    """Raises the in-use error where another row than `owner` refers to one of `keys` by a reference that holds."""
    holding = []
    for key in keys:
        for row, path in read.referrers(key):
            reference = registry.reference(row.type, path)
            if row.key != owner and reference is not None and reference.holds:
                holding.append((row, path))
    if not holding:
        return
    if declared.in_use is not None:
        raise declared.in_use(id, holding, read)
    words = singular(declared)
    users = ", ".join(dict.fromkeys(str(row.element_id(path)) for row, path in holding))
    raise ArmError(
        400,
        f"InUse{operation_name('', declared).removesuffix('Operation')}CannotBeDeleted",
        f"{words} {id} is in use by {users} and cannot be deleted.",
    )


def singular(declared: ResourceType) -> str:
    """`Virtual network` for Microsoft.Network/virtualNetworks, unless the type says it otherwise."""
    if "singular" in declared.display:
        return declared.display["singular"]
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", _one(declared))
    return words[0].upper() + words[1:].lower()


def operation_name(kind: str, declared: ResourceType) -> str:
    """`PutVirtualNetworkOperation`."""
    words = declared.display.get("singular") or _one(declared)
    name = re.sub(r"\W", "", "".join(word[0].upper() + word[1:] for word in words.split()))
    return f"{kind.capitalize()}{name}Operation"


def _one(declared: ResourceType) -> str:
    """The last segment of the type in the singular: `virtualNetwork`."""
    segment = declared.type.rsplit("/", 1)[-1]
    for plural, one in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("s", "")):
        if segment.endswith(plural):
            return segment.removesuffix(plural) + one
    return segment


def last_name(operations: Mapping[str, Operation], last: Mapping[str, str]) -> LastName:
    def name(key: str) -> str:
        found = operations.get(last.get(key, ""))
        return found.name if found is not None else "unknown"

    return name

"""Types and routes are found, resolved without case, and refused where they contradict one another."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from azlan.arm.registry import Registry
from azlan.arm.resource import Reference
from azlan.base.ids import parse_id
from unit.arm import toys

BASE = f"/subscriptions/{toys.SUB}/resourceGroups/g/providers"


def test_types_resolve_in_any_case() -> None:
    registry = toys.registry()
    assert registry.of_id(parse_id(f"{BASE}/toy.NET/BOXES/b/Slots/s")) is toys.SLOT
    assert registry.row_type(parse_id(f"{BASE}/toy.net/boxes/b/slots/s")) is toys.BOX
    assert registry.of_id(parse_id(f"/subscriptions/{toys.SUB}/resourceGroups/g")) is toys.GROUP
    assert registry.of_id(parse_id(f"{BASE}/Toy.Net/nothing/b")) is None
    assert registry.canonical_types("TOY.net", ("BOXES", "slots")) == ("Toy.Net", ("boxes", "slots"))


def test_children_are_told_apart_by_where_they_live() -> None:
    registry = toys.registry()
    assert registry.inline_children(toys.BOX) == (toys.SLOT,)
    assert {c.type for c in registry.children(toys.BOX)} == {toys.SLOT.type, toys.NOTE.type}


def test_a_type_or_route_declared_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"declared twice: Toy\.Net/boxes"):
        Registry.of([toys.BOX, replace(toys.BOX)])
    other = replace(toys.ROUTE, path=toys.ROUTE.path.replace("{location}", "{place}"))
    with pytest.raises(ValueError, match="route declared twice"):
        Registry.of([], [toys.ROUTE, other])


@pytest.mark.parametrize(
    ("types", "why"),
    [
        ((toys.SLOT,), "parent Toy.Net/boxes is not declared"),
        ((toys.BOX, replace(toys.SLOT, inline="holes")), "named otherwise"),
        ((replace(toys.BOX, inline="boxes"),), "inline without a parent"),
        (
            (toys.BOX, toys.SLOT, replace(toys.SLOT, type="Toy.Net/boxes/slots/x", parent=toys.SLOT.type, inline="x")),
            "inline child of an inline child",
        ),
    ],
)
def test_contradictions_are_refused(types: tuple[toys.ResourceType, ...], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Registry.of(types)


def test_references_are_found_by_path_and_checked_for_targets() -> None:
    registry = toys.registry()
    assert registry.validate_references() == []
    found = registry.reference("toy.net/BOXES", "properties.slots[12].properties.guard.id")
    assert found is toys.SLOT.references[0]
    lost = Registry.of([replace(toys.BOX, references=(Reference("properties.x.id", ("No.Such/things",)),))])
    assert lost.validate_references() == ["Toy.Net/boxes: properties.x.id refers to the undeclared No.Such/things"]


def test_the_list_of_types_fits_one_page() -> None:
    page = toys.registry().describe()
    assert page.index("Toy.Net/boxes ") < page.index("Toy.Net/boxes/slots ")
    assert "  in Toy.Net/boxes  waits network" in page
    assert "    POST ping" in page
    assert "    refers properties.sockets[].id → Toy.Net/boxes/slots" in page
    assert "Toy.Run/tasks  2024-05-01 … 2022-01-01 (2)  at once  job" in page
    assert page.endswith(f"GET {toys.ROUTE.path}\n")


def test_routes_match_without_case_and_give_parameters_as_written() -> None:
    compiled = toys.registry().routes[0]
    path = ["Subscriptions", "S", "providers", "toy.net", "LOCATIONS", "EastUS", "Toys"]
    assert compiled.match(path) == {"subscription": "S", "location": "EastUS"}
    assert compiled.match(path[:-1]) is None
    assert compiled.match([*path[:-1], "boys"]) is None


def test_modules_are_discovered_by_the_names_they_expose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "toy_providers" / "inner"
    package.mkdir(parents=True)
    (tmp_path / "toy_providers" / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "boxes.py").write_text("from unit.arm.toys import BOX as RESOURCE\n")
    (package / "pages.py").write_text("from unit.arm.toys import ROUTE\nROUTES = (ROUTE,)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        found = Registry.discover("toy_providers")
    finally:
        for name in [name for name in sys.modules if name.startswith("toy_providers")]:
            del sys.modules[name]
    assert list(found.types) == ["toy.net/boxes"]
    assert len(found.routes) == 1

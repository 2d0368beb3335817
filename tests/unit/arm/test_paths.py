"""What a path means, in whatever case and with however many slashes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azlan.arm.paths import Collection, Elements, Item, Page, resolve, split
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from unit.arm import toys
from unit.arm.toys import SUB

S = f"/subscriptions/{SUB}"
G = f"{S}/resourceGroups/g"
REGISTRY = toys.registry()


@pytest.mark.parametrize(
    ("path", "type", "id", "action"),
    [
        (G, toys.GROUP, G, None),
        (f"{G}/exportTemplate", toys.GROUP, G, "exportTemplate"),
        (f"{G}/providers/toy.net/BOXES/B", toys.BOX, f"{G}/providers/Toy.Net/boxes/B", None),
        (f"{G}/providers/Toy.Net/boxes/b/SLOTS/s", toys.SLOT, f"{G}/providers/Toy.Net/boxes/b/slots/s", None),
        (f"{G}/providers/Toy.Run/machines/m/Start", toys.MACHINE, f"{G}/providers/Toy.Run/machines/m", "Start"),
        (
            f"{G}/providers/Toy.Net/boxes/b/providers/toy.net/marks/m",
            toys.MARK,
            f"{G}/providers/Toy.Net/boxes/b/providers/Toy.Net/marks/m",
            None,
        ),
        (f"{S}/providers/Toy.Net/marks/m", toys.MARK, f"{S}/providers/Toy.Net/marks/m", None),
    ],
)
def test_items(path: str, type: toys.ResourceType, id: str, action: str | None) -> None:
    for written in (path, "/" + path.replace("/", "//"), path.replace("/providers/", "/PROVIDERS/") + "/"):
        found = resolve(REGISTRY, split(written))
        assert isinstance(found, Item)
        assert (found.declared, str(found.id), found.action) == (type, id, action)


@pytest.mark.parametrize(
    ("path", "type", "scope"),
    [
        (f"{S}/resourcegroups", toys.GROUP, S),
        (f"{G}/providers/Toy.Net/boxes", toys.BOX, G),
        (f"{S}/providers/Toy.Net/boxes", toys.BOX, S),
        (f"{G}/providers/Toy.Net/boxes/b/slots", toys.SLOT, f"{G}/providers/Toy.Net/boxes/b"),
        (f"{G}/providers/Toy.Net/boxes/b/providers/Toy.Net/marks", toys.MARK, f"{G}/providers/Toy.Net/boxes/b"),
    ],
)
def test_collections(path: str, type: toys.ResourceType, scope: str) -> None:
    found = resolve(REGISTRY, split(path))
    assert found == Collection(type, found.scope)  # type: ignore[union-attr]
    assert str(found.scope) == scope


def test_elements() -> None:
    below = f"{G}/providers/toy.net/BOXES/b"
    id = ResourceId(SUB, "g", "Toy.Net", ("boxes",), ("b",))
    assert resolve(REGISTRY, split(f"{below}/PLUGS")) == Elements(toys.BOX, id, "plugs")
    assert resolve(REGISTRY, split(f"{below}/plugs/P")) == Elements(toys.BOX, id, "plugs", "P")
    with pytest.raises(ArmError, match="'BOXES/bolts' could not be found"):
        resolve(REGISTRY, split(f"{below}/bolts/p"))


@pytest.mark.parametrize(
    ("path", "name", "rest"),
    [
        ("/tenants", "tenants", ()),
        ("/subscriptions", "subscriptions", ()),
        (S, "", ()),
        (f"{S}/locations", "locations", ()),
        (f"{G}/resources", "resources", ()),
        (f"{S}/providers", "providers", ()),
        (f"{S}/providers/Toy.Net", "providers", ("Toy.Net",)),
        (f"{S}/providers/Toy.Net/register", "providers", ("Toy.Net", "register")),
        (f"{S}/providers/Toy.Net/locations/x/operations/1", "locations", ("Toy.Net", "x", "operations", "1")),
        (f"{S}/operationresults/1", "operationresults", ("1",)),
        ("/", "", ()),
    ],
)
def test_pages(path: str, name: str, rest: tuple[str, ...]) -> None:
    found = resolve(REGISTRY, split(path))
    assert isinstance(found, Page)
    assert (found.name, found.rest) == (name, rest)


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        (f"{G}/providers/No.Such/x/y", "InvalidResourceNamespace", "The resource namespace 'No.Such' is invalid."),
        (
            f"{G}/providers/Toy.Net/none/y",
            "InvalidResourceType",
            "The resource type 'none' could not be found in the namespace 'Toy.Net'.",
        ),
        (f"{G}/providers/Toy.Net/none", "InvalidResourceType", "'none'"),
        (f"{G}/providers/Toy.Net/boxes/b/none/n", "InvalidResourceType", "'boxes/none'"),
    ],
)
def test_what_is_not_served(path: str, code: str, message: str) -> None:
    with pytest.raises(ArmError) as caught:
        resolve(REGISTRY, split(path))
    assert (caught.value.status, caught.value.code) == (404, code)
    assert message in caught.value.message


def test_an_escaped_slash_is_part_of_a_name() -> None:
    found = resolve(REGISTRY, split(f"{G}/providers/Toy.Net/boxes/a%2Fb%20c"))
    assert isinstance(found, Item)
    assert found.id == ResourceId(SUB, "g", "Toy.Net", ("boxes",), ("a/b c",))


WORDS = ["subscriptions", SUB, "resourceGroups", "providers", "Toy.Net", "boxes", "slots", "b", "locations", "register"]


@given(st.lists(st.sampled_from(WORDS), max_size=12))
def test_any_path_is_understood_or_refused(segments: list[str]) -> None:
    try:
        found = resolve(REGISTRY, segments)
    except ArmError as error:
        found = error
    assert isinstance(found, (Item, Collection, Page)) or found.status == 404

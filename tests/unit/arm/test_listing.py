"""Lists: by scope, filtered, in pages that stay stable; `az resource list`."""

import asyncio
from urllib.parse import quote

import msgspec
import pytest

from azlan.arm import listing
from azlan.arm.listing import resource_filter, short_form
from azlan.arm.resource import Row
from azlan.base.errors import ArmError
from azlan.base.ids import parse_id
from unit.arm import toys
from unit.arm.toys import SUB, cloud

SCOPE = f"/subscriptions/{SUB}"


def box(**more: object) -> toys.Json:
    return {"location": "eastus2", "properties": {"size": 1}, **more}


async def names(c: toys.Cloud, path: str) -> list[str]:
    return [found["name"] for found in (await c.ok("GET", path))["value"]]


async def test_a_type_is_listed_by_group_subscription_and_parent() -> None:
    async with cloud() as c:
        await c.group()
        await c.group("h")
        assert await c.ok("GET", "Toy.Net/boxes") == {"value": []}
        for name in ("z", "a"):
            await c.ok("PUT", f"Toy.Net/boxes/{name}", box())
        await c.ok("PUT", f"{SCOPE}/resourceGroups/h/providers/Toy.Net/boxes/m", box())
        assert await names(c, "Toy.Net/boxes") == ["z", "a"]
        assert await names(c, f"{SCOPE}/providers/TOY.NET/BOXES") == ["z", "a", "m"]
        assert (await c.ok("GET", "Toy.Net/boxes"))["value"][0] == await c.ok("GET", "Toy.Net/boxes/z")
        await c.ok("PUT", "Toy.Net/boxes/a/notes/n", {})
        assert await names(c, "Toy.Net/boxes/a/notes") == ["n"]
        assert await names(c, "Toy.Net/boxes/z/notes") == []
        assert (await c.error("GET", f"{SCOPE}/providers/Toy.Net/boxes/notes"))[0] == 404
        await c.ok("PUT", "Toy.Net/boxes/a/providers/Toy.Net/marks/m", {})
        assert await names(c, "Toy.Net/boxes/a/providers/Toy.Net/marks") == ["m"]


async def test_resources_are_listed_in_short_form_without_what_has_no_place_of_its_own() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", box(tags={"a": "1"}, sku={"name": "big"}))
        await c.ok("PUT", "Toy.Net/boxes/b/notes/n", {})
        await c.ok("PUT", "Toy.Run/tasks/t", {"properties": {"boxes": []}})
        await c.ok("PUT", "Toy.Run/machines/m", {"location": "westus"})
        assert await names(c, f"{SCOPE}/resources") == ["b", "m-disk", "m"]
        listed = await c.ok("GET", f"{SCOPE}/resourceGroups/G/resources?$expand=createdTime,provisioningState")
        created = c.store.snapshot.rows[f"{SCOPE}/resourcegroups/g/providers/toy.net/boxes/b"].created
        assert listed["value"][0] == {
            "id": f"{SCOPE}/resourceGroups/g/providers/Toy.Net/boxes/b",
            "name": "b",
            "type": "Toy.Net/boxes",
            "sku": {"name": "big"},
            "location": "eastus2",
            "tags": {"a": "1"},
            "createdTime": created,
            "provisioningState": "Updating",
        }
        filtered = f"{SCOPE}/resources?$filter=" + quote("resourceType eq 'toy.net/BOXES' and resourceGroup eq 'G'")
        assert await names(c, filtered) == ["b"]
        assert (await c.error("GET", f"{SCOPE}/resources?$filter=nonsense"))[:2] == (400, "InvalidFilterInQueryString")


async def test_groups_can_be_filtered_by_tag() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", f"{SCOPE}/resourcegroups/tagged", {"location": "eastus2", "tags": {"Env": "Test"}})
        chosen = f"{SCOPE}/resourcegroups?$filter=" + quote("tagName eq 'env' and tagValue eq 'test'")
        assert await names(c, chosen) == ["tagged"]
        assert await names(c, f"{SCOPE}/resourcegroups") == ["g", "tagged"]
        first = await c.ok("GET", f"{SCOPE}/resourcegroups?$top=1")
        assert [found["name"] for found in first["value"]] == ["g"]
        rest = await c.ok("GET", first["nextLink"].split("8443")[1])
        assert [found["name"] for found in rest["value"]] == ["tagged"]
        assert "nextLink" not in rest


async def test_pages_are_stable_while_others_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 2)
    async with cloud() as c:
        await c.group()
        for name in "abcde":
            await c.ok("PUT", f"Toy.Net/boxes/{name}", box())
        first = await c.ok("GET", "Toy.Net/boxes")
        await c.ok("DELETE", "Toy.Net/boxes/a")
        await c.ok("DELETE", "Toy.Net/boxes/c")
        await c.settle()
        await c.ok("PUT", "Toy.Net/boxes/f", box())
        seen, page = [found["name"] for found in first["value"]], first
        while "nextLink" in page:
            assert page["nextLink"].startswith("https://localhost:8443/subscriptions/")
            page = await c.ok("GET", page["nextLink"].split("8443")[1])
            seen += [found["name"] for found in page["value"]]
        assert seen == ["a", "b", "d", "e", "f"]
        await c.ok("PUT", "Toy.Net/boxes/s", box(properties={"size": 1, "slots": [{"name": n} for n in "xyz"]}))
        slots = await c.ok("GET", "Toy.Net/boxes/s/slots")
        more = await c.ok("GET", slots["nextLink"].split("8443")[1])
        assert [slot["name"] for slot in slots["value"] + more["value"]] == ["x", "y", "z"]


@pytest.mark.parametrize("query", ["$top=0", "$top=x", "$top=-1", "$skiptoken=%C3%A4", "$skiptoken=a"])
async def test_bad_paging_is_refused(query: str) -> None:
    async with cloud() as c:
        assert (await c.call("GET", f"{SCOPE}/resources?{query}")).status_code == 400


def row(name: str, **body: object) -> Row:
    id = parse_id(f"{SCOPE}/resourceGroups/Grp/providers/Toy.Net/boxes/{name}")
    return Row(id, "Toy.Net/boxes", body, {}, "Succeeded", "e", 1, 1, "c", "h", "v")


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("name eq 'ALPHA'", True),
        ("name ne 'alpha'", False),
        ("name eq 'it''s'", False),
        ("location eq 'eastus2' and name eq 'alpha'", True),
        ("location eq 'westus' or name eq 'alpha'", True),
        ("location eq 'westus' or name eq 'beta'", False),
        ("resourceGroup eq 'grp' and resourceType ne 'Toy.Net/plugs'", True),
        ("tagName eq 'env' and tagValue eq 'test'", True),
        ("tagName eq 'env' and tagValue eq 'prod'", False),
        ("tagName eq 'none'", False),
        ("startswith(tagName, 'en')", True),
        ("startswith(name,'alp')", True),
        ("substringof('PHA', name)", True),
        ("substringof('x', name)", False),
    ],
)
def test_filters(text: str, matches: bool) -> None:
    assert resource_filter(text)(row("alpha", location="eastus2", tags={"Env": "Test"})) is matches


@pytest.mark.parametrize(
    "text",
    ["name", "name eq alpha", "name eq 'a' b", "colour eq 'red'", "substringof('x', colour)", "name eq 'a' and'"],
)
def test_a_filter_that_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(ArmError, match="InvalidFilterInQueryString"):
        resource_filter(text)


def test_the_short_form_has_tags_even_where_there_are_none() -> None:
    assert short_form(row("a", location="x"))["tags"] == {}


async def test_others_are_answered_while_a_page_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "SLICE_SECONDS", 0)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    made = await listing._sliced(range(5), lambda number: {"number": number, "turns": turns})
    task.cancel()
    found = [msgspec.json.decode(document) for document in made]
    assert [document["number"] for document in found] == [0, 1, 2, 3, 4]
    assert [document["turns"] for document in found] == [0, 1, 2, 3, 4]

"""Documents: ARM's members around the stored ones; `view` may look at everything and change only the answer."""

from dataclasses import replace

from azlan.arm.registry import Registry
from azlan.arm.resource import View
from azlan.base.ids import parse_id
from unit.arm import toys
from unit.arm.toys import SUB, cloud

BASE = f"/subscriptions/{SUB}/resourceGroups/g/providers/Toy.Net"
BOX = {"location": "eastus2", "properties": {"size": 1, "slots": [{"name": "s"}]}}


async def test_back_references_are_computed_and_not_stored() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        plug = {"location": "eastus2", "properties": {"sockets": [{"id": f"{BASE}/boxes/b/slots/s"}]}}
        await c.ok("PUT", "Toy.Net/plugs/p", plug)
        slot = await c.ok("GET", "Toy.Net/boxes/b/slots/s")
        assert slot["properties"]["users"] == [f"{BASE}/plugs/p"]
        assert (await c.ok("GET", "Toy.Net/boxes/b"))["properties"]["slots"] == [slot]
        row = c.store.snapshot.rows[f"{BASE}/boxes/b".lower()]
        assert "users" not in str(row.body)


async def test_a_view_knows_the_request_and_changes_the_answer_alone() -> None:
    seen: list[View] = []

    def view(view: View) -> None:
        seen.append(view)
        view.doc["extra"] = view.expand
        view.properties.clear()

    types = Registry.of([replace(t, view=view) if t is toys.BOX else t for t in toys.TYPES])
    async with cloud(types=types) as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        found = await c.ok("GET", "Toy.Net/boxes/b?$expand=everything&api-version=2022-01-01")
        assert (found["extra"], found["properties"]) == ("everything", {})
        last = seen[-1]
        assert (last.api_version, str(last.id), last.row.id, set(last.state)) == (
            "2022-01-01",
            f"{BASE}/boxes/b",
            last.id,
            {"serial", "slots/s"},
        )
        assert last.get(last.id.key) is last.row
        assert last.child(f"{last.id.key}/slots/s") is not None
        assert [row.id.name for row in last.list("Toy.Net/boxes")] == ["b"]
        assert list(last.referrers(last.id.key)) == []
        assert last.status(last.id.key) is None
        assert last.revision == c.store.snapshot.revision
        assert last.row.properties["size"] == 1


async def test_older_versions_are_not_shown_what_came_later() -> None:
    box = replace(toys.BOX, shown_since={"properties.size": "2022-06-01"})
    types = Registry.of([box if t is toys.BOX else t for t in toys.TYPES])
    async with cloud(types=types) as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        old = await c.ok("GET", "Toy.Net/boxes/b?api-version=2022-01-01")
        new = await c.ok("GET", "Toy.Net/boxes/b?api-version=2022-06-01-preview")
        assert ("size" in old["properties"], "size" in new["properties"]) == (False, True)


async def test_any_id_can_be_shown() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        views, snapshot = c.core.views, c.store.snapshot
        assert views.any(snapshot, parse_id(f"{BASE}/boxes/B"), "2024-05-01") == await c.ok("GET", "Toy.Net/boxes/b")
        assert views.any(snapshot, parse_id(f"{BASE}/boxes/b/slots/S"), "2024-05-01") == (
            await c.ok("GET", "Toy.Net/boxes/b/slots/s")
        )
        for missing in ("boxes/c", "boxes/b/slots/t", "boxes/b/nothing/s"):
            assert views.any(snapshot, parse_id(f"{BASE}/{missing}"), "2024-05-01") is None

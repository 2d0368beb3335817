"""PUT, PATCH and DELETE: rows and inline children, one etag, one generation; what races does not get lost."""

import asyncio

import pytest

from unit.arm import toys
from unit.arm.toys import SUB, cloud

BOX = {
    "location": "East US 2",
    "tags": {"a": "1"},
    "properties": {"size": 5, "slots": [{"name": "One"}, {"name": "two"}]},
}
BASE = f"/subscriptions/{SUB}/resourceGroups/g/providers/Toy.Net/boxes/b"


async def test_put_creates_then_updates() -> None:
    async with cloud() as c:
        await c.group()
        answer = await c.call("PUT", "Toy.Net/boxes/b", BOX)
        made = answer.json()
        assert answer.status_code == 201
        assert list(made) == ["name", "id", "etag", "type", "location", "tags", "properties"]
        assert (made["name"], made["id"], made["type"], made["location"]) == ("b", BASE, "Toy.Net/boxes", "eastus2")
        assert made["properties"]["provisioningState"] == "Updating"
        assert [slot["properties"] for slot in made["properties"]["slots"]] == [
            {"provisioningState": "Updating", "number": 1},
            {"provisioningState": "Updating", "number": 2},
        ]
        await c.settle()
        assert (await c.ok("GET", "Toy.Net/boxes/b"))["properties"]["provisioningState"] == "Succeeded"
        again = await c.call(
            "PUT", "Toy.Net/boxes/b", {**BOX, "properties": {"size": 6, "slots": BOX["properties"]["slots"]}}
        )
        assert again.status_code == 200
        assert again.json()["etag"] != made["etag"]
        assert again.json()["properties"]["serial"] == made["properties"]["serial"]
        row = c.store.snapshot.rows[BASE.lower()]
        assert (row.generation, row.state["slots/one"]) == (2, {"number": 1})


async def test_what_a_get_answered_can_be_put_back() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.settle()
        before = await c.ok("GET", "Toy.Net/boxes/b")
        await c.ok("PUT", "Toy.Net/boxes/b", before)
        await c.settle()
        after = await c.ok("GET", "Toy.Net/boxes/b")
        slots = after["properties"]["slots"]
        assert {slot.pop("etag") for slot in slots} == {after.pop("etag")}
        for slot in before["properties"]["slots"]:
            slot.pop("etag")
        before.pop("etag")
        assert after == before


async def test_paths_are_compared_without_case_and_the_case_of_creation_is_kept() -> None:
    async with cloud() as c:
        await c.group("G")
        await c.ok("PUT", "Toy.Net/boxes/MyBox", BOX)
        await c.settle()
        shouted = f"//SUBSCRIPTIONS/{SUB.upper()}//RESOURCEGROUPS/g/PROVIDERS/TOY.NET/BOXES/MYBOX"
        found = await c.ok("PUT", shouted, {"location": "eastus2", "properties": {"size": 7}})
        assert found["id"] == f"/subscriptions/{SUB}/resourceGroups/G/providers/Toy.Net/boxes/MyBox"
        child = await c.ok("PUT", "toy.net/BOXES/mybox/SLOTS/New", {"properties": {}})
        assert child["id"] == f"{found['id']}/slots/New"
        child = await c.ok("PUT", "toy.net/BOXES/mybox/SLOTS/NEW", {"properties": {"width": 2}})
        assert (child["id"], child["properties"]["width"]) == (f"{found['id']}/slots/New", 2)
        assert len(c.store.snapshot.list("toy.net/boxes")) == 1


async def test_an_inline_child_is_put_read_listed_and_deleted_in_its_parents_row() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        answer = await c.call("PUT", "Toy.Net/boxes/b/slots/three", {"properties": {"width": 3}})
        assert answer.status_code == 201
        assert answer.json()["id"] == f"{BASE}/slots/three"
        assert answer.json()["properties"] == {"provisioningState": "Updating", "width": 3, "number": 3}
        assert (await c.call("PUT", "Toy.Net/boxes/b/slots/three", {"properties": {"width": 4}})).status_code == 200
        box = await c.ok("GET", "Toy.Net/boxes/b")
        assert [slot["name"] for slot in box["properties"]["slots"]] == ["One", "two", "three"]
        listed = await c.ok("GET", "Toy.Net/boxes/b/slots")
        assert listed["value"] == box["properties"]["slots"]
        assert {slot["etag"] for slot in listed["value"]} == {box["etag"]}
        assert (await c.call("GET", "Toy.Net/boxes/b/slots/THREE")).headers["etag"] == box["etag"]
        assert c.store.snapshot.rows[BASE.lower()].generation == 3
        assert (await c.call("DELETE", "Toy.Net/boxes/b/slots/three")).status_code == 202
        assert (await c.call("DELETE", "Toy.Net/boxes/b/slots/three")).status_code == 204
        row = c.store.snapshot.rows[BASE.lower()]
        assert "slots/three" not in row.state
        assert row.state["lost"] == ["three"]
        status, code, error = await c.error("GET", "Toy.Net/boxes/b/slots/three")
        assert (status, code, error["message"]) == (404, "NotFound", f"Resource {BASE}/slots/three not found.")


async def test_an_inline_child_left_out_of_its_parents_put_is_removed() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.ok(
            "PUT", "Toy.Net/boxes/b", {"location": "eastus2", "properties": {"size": 5, "slots": [{"name": "TWO"}]}}
        )
        row = c.store.snapshot.rows[BASE.lower()]
        assert [slot["name"] for slot in row.properties["slots"]] == ["two"]
        assert row.state["lost"] == ["One"]
        assert set(row.state) == {"serial", "lost", "slots/two"}
        kept = {"location": "eastus2", "properties": {"size": 5}}
        found = await c.ok("PUT", "Toy.Net/boxes/b?keep=true", kept)
        assert [slot["name"] for slot in found["properties"]["slots"]] == ["two"]


async def test_a_row_of_its_own_below_a_parent_lives_and_goes_with_it() -> None:
    async with cloud() as c:
        await c.group()
        status, code, error = await c.error("PUT", "Toy.Net/boxes/b/notes/n", {"properties": {"text": "x"}})
        assert (status, code) == (404, "ParentResourceNotFound")
        assert (
            error["message"] == "Can not perform requested operation on nested resource. Parent resource 'b' not found."
        )
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        assert (await c.call("PUT", "Toy.Net/boxes/b/notes/n", {"properties": {"text": "x"}})).status_code == 201
        await c.ok("PUT", f"{BASE}/providers/Toy.Net/marks/m", {"properties": {}})
        assert [found["name"] for found in (await c.ok("GET", "Toy.Net/boxes/b/notes"))["value"]] == ["n"]
        await c.ok("DELETE", "Toy.Net/boxes/b")
        await c.settle()
        assert [row.type for row in c.store.snapshot.rows.values() if row.type.startswith("Toy")] == []


async def test_delete_goes_by_an_operation_and_a_second_one_joins_it() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.settle()
        first = await c.call("DELETE", "Toy.Net/boxes/b")
        assert first.status_code == 202
        assert (await c.ok("GET", "Toy.Net/boxes/b"))["properties"]["provisioningState"] == "Deleting"
        second = await c.call("DELETE", "Toy.Net/boxes/b")
        assert second.headers["azure-asyncoperation"] == first.headers["azure-asyncoperation"]
        status, code, error = await c.error("PUT", "Toy.Net/boxes/b", BOX)
        assert (status, code) == (409, "AnotherOperationInProgress")
        assert first.headers["azure-asyncoperation"].split("localhost:8443")[1] in error["message"]
        status, code, _ = await c.error("PUT", "Toy.Net/boxes/b/slots/x", {"properties": {}})
        assert (status, code) == (409, "AnotherOperationInProgress")
        await c.settle()
        status, code, error = await c.error("GET", "Toy.Net/boxes/b")
        assert (status, code) == (404, "ResourceNotFound")
        assert error["message"] == (
            "The Resource 'Toy.Net/boxes/b' under resource group 'g' was not found. For more details please go to "
            "https://aka.ms/ARMResourceNotFoundFix"
        )
        assert (await c.call("DELETE", "Toy.Net/boxes/b")).status_code == 204


async def test_a_type_that_waits_for_nothing_is_done_at_once() -> None:
    async with cloud() as c:
        await c.group()
        answer = await c.call("PUT", "Toy.Net/marks/m", {"properties": {"free": {"form": None}}})
        assert answer.status_code == 201
        assert "azure-asyncoperation" not in answer.headers
        assert answer.json()["properties"] == {"provisioningState": "Succeeded", "free": {"form": None}}
        assert "etag" not in answer.json()
        assert c.core.operations.pending() == ()
        assert (await c.call("DELETE", "Toy.Net/marks/m")).status_code == 200
        assert (await c.call("DELETE", "Toy.Net/marks/m")).status_code == 204


async def test_patch_changes_tags_at_once_and_merges_the_rest() -> None:
    async with cloud() as c:
        await c.group()
        status, code, _ = await c.error("PATCH", "Toy.Net/boxes/b", {"tags": {}})
        assert (status, code) == (404, "ResourceNotFound")
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.settle()
        before = c.store.snapshot.rows[BASE.lower()]
        answer = await c.call("PATCH", "Toy.Net/boxes/b", {"tags": {"b": "2"}})
        assert answer.status_code == 200
        assert "azure-asyncoperation" not in answer.headers
        assert answer.json()["tags"] == {"b": "2"}
        assert answer.json()["properties"]["provisioningState"] == "Succeeded"
        after = c.store.snapshot.rows[BASE.lower()]
        assert (after.generation, after.etag == before.etag) == (before.generation, False)
        answer = await c.call("PATCH", "Toy.Net/boxes/b", {"properties": {"Label": "new"}})
        assert answer.status_code == 200
        assert answer.json()["properties"]["label"] == "new"
        assert [slot["name"] for slot in answer.json()["properties"]["slots"]] == ["One", "two"]
        child = await c.ok("PATCH", "Toy.Net/boxes/b/slots/two", {"properties": {"width": 4}})
        assert (child["properties"]["width"], child["properties"]["number"]) == (4, 2)
        status, code, _ = await c.error("PATCH", "Toy.Net/boxes/b/slots/none", {"properties": {}})
        assert (status, code) == (404, "NotFound")


@pytest.mark.parametrize("path", ["Toy.Net/boxes/b", "Toy.Net/boxes/b/slots/One"])
async def test_etags_guard_a_write(path: str) -> None:
    body = BOX if path.endswith("b") else {"properties": {}}
    async with cloud() as c:
        await c.group()
        if body is not BOX:
            await c.ok("PUT", "Toy.Net/boxes/b", {**BOX, "properties": {"size": 5}})
        status, code, _ = await c.error("PUT", path, body, If_Match='"x"')
        assert (status, code) == (412, "PreconditionFailed")
        assert (await c.call("PUT", path, body, If_Match="*")).status_code == 412
        assert (await c.call("PUT", path, body, If_None_Match="*")).status_code == 201
        assert (await c.call("PUT", path, body, If_None_Match="*")).status_code == 412
        etag = (await c.call("GET", path)).headers["etag"]
        changed = await c.call("PUT", path, body, If_Match=etag)
        assert changed.status_code == 200
        status, code, error = await c.error("PUT", path, body, If_Match=etag)
        assert (status, code, error["message"]) == (412, "PreconditionFailed", "Precondition failed.")
        assert error["details"][0]["code"] == "PreconditionFailedEtagMismatch"
        assert etag in error["details"][0]["message"]
        assert (await c.call("DELETE", path, If_Match=etag)).status_code == 412
        assert (await c.call("DELETE", path, If_Match=changed.json()["etag"])).status_code == 202


async def test_parallel_writers_of_one_row_lose_nothing() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", {"location": "eastus2", "properties": {"size": 5}})
        names = [f"s{n}" for n in range(30)]
        await asyncio.gather(*(c.ok("PUT", f"Toy.Net/boxes/b/slots/{name}", {"properties": {}}) for name in names))
        row = c.store.snapshot.rows[BASE.lower()]
        assert {slot["name"] for slot in row.properties["slots"]} == set(names)
        assert row.generation == 31
        etag = row.etag
        raced = [c.call("PUT", f"Toy.Net/boxes/b/slots/s{n}", {"properties": {}}, If_Match=etag) for n in range(5)]
        codes = sorted(answer.status_code for answer in await asyncio.gather(*raced))
        assert codes == [200, 412, 412, 412, 412]


async def test_a_write_that_a_hook_refuses_changes_nothing() -> None:
    async with cloud() as c:
        await c.group()
        wide = {"location": "eastus2", "properties": {"size": 1, "slots": [{"name": "s", "properties": {"width": 2}}]}}
        status, code, _ = await c.error("PUT", "Toy.Net/boxes/b", wide)
        assert (status, code) == (400, "SlotTooWide")
        assert c.store.snapshot.get(BASE.lower()) is None
        twice = {"location": "eastus2", "properties": {"size": 1, "slots": [{"name": "s"}, {"name": "S"}]}}
        _, code, error = await c.error("PUT", "Toy.Net/boxes/b", twice)
        assert (code, error["details"][0]["code"]) == ("InvalidRequestFormat", "DuplicateResourceName")
        for odd in ([1], "x", [{"properties": {}}], [None]):
            body = {"location": "eastus2", "properties": {"size": 1, "slots": odd}}
            assert (await c.error("PUT", "Toy.Net/boxes/b", body))[0] == 400
        assert c.core.operations.pending() == ()


async def test_the_names_of_new_inline_children_are_checked_and_positions_told() -> None:
    async with cloud() as c:
        await c.group()
        body = {"location": "eastus2", "properties": {"size": 1, "slots": [{"name": "ok"}, {"name": "not ok!"}]}}
        assert (await c.error("PUT", "Toy.Net/boxes/b", body))[1] == "InvalidResourceName"
        body = {"location": "eastus2", "properties": {"size": 1, "slots": [{"name": "ok"}, {"name": "s", "odd": 1}]}}
        _, _, error = await c.error("PUT", "Toy.Net/boxes/b", body)
        assert error["details"][0]["message"].startswith(
            "Could not find member 'odd' on object of type 'Slot'. Path 'properties.slots[1].odd', line 1, position "
        )


async def test_activity_is_logged_with_caller_and_correlation() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX, x_ms_correlation_request_id="c-1")
        await c.settle()
        found = [e for e in await c.store.events(BASE) if e["correlation"] == "c-1"]
        assert [(e["operation"], e["status"], e["caller"]) for e in found] == [
            ("Toy.Net/boxes/write", "Succeeded", toys.OWNER.name),
            ("Toy.Net/boxes/write", "Accepted", toys.OWNER.name),
        ]

"""What hooks see and may do while a write is being worked out."""

from dataclasses import replace

import pytest

from azlan.arm.registry import Registry
from azlan.arm.resource import Write
from azlan.arm.writes import Request
from unit.arm import toys
from unit.arm.toys import SUB, Cloud, cloud

BASE = f"/subscriptions/{SUB}/resourceGroups/g/providers/Toy.Net"
BOX = {"location": "East US 2", "properties": {"size": 5, "slots": [{"name": "One"}]}}


def with_hook(name: str, **hooks: object) -> Registry:
    return Registry.of([replace(t, **hooks) if t.type == name else t for t in toys.TYPES])  # type: ignore[arg-type]


async def test_a_write_tells_who_what_and_when() -> None:
    seen: list[Write] = []

    def accept(write: Write) -> None:
        toys.accept_slot(write)
        seen.append(write)

    async with cloud(types=with_hook("Toy.Net/boxes/slots", accept=accept)) as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b?api-version=2022-01-01&Extra=Yes", BOX)
        (inline,) = seen
        assert str(inline.id) == f"{BASE}/boxes/b/slots/One"
        assert (inline.addressed, inline.before, inline.location) == (False, None, "eastus2")
        assert (inline.api_version, inline.principal, inline.query["extra"]) == ("2022-01-01", toys.OWNER, "Yes")
        assert inline.parent is not None
        assert (inline.parent.addressed, inline.parent.parent, inline.parent.before) == (True, None, None)
        await c.ok("PUT", "Toy.Net/boxes/b/slots/one", {"properties": {"width": 2}})
        child = seen[-1]
        assert (child.addressed, child.id.name) == (True, "One")
        assert child.before == {"name": "One", "properties": {}}
        assert child.parent is not None
        assert child.parent.addressed is False
        assert child.state == {"number": 1}
        assert child.now > inline.now


async def test_reads_see_the_writes_own_changes() -> None:
    seen: dict[str, object] = {}

    def accept(write: Write) -> None:
        toys.accept_slot(write)
        key = f"{BASE}/boxes/b".lower()
        row, child = write.get(key), write.child(f"{key}/slots/one")
        assert row is not None
        assert child is not None
        seen.update(size=row.properties["size"], child=child[0], generation=row.generation)
        seen["listed"] = [found.properties["size"] for found in write.list("Toy.Net/boxes")]

    async with cloud(types=with_hook("Toy.Net/boxes/slots", accept=accept)) as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.ok("PUT", "Toy.Net/boxes/b", {**BOX, "properties": {**BOX["properties"], "size": 9}})  # type: ignore[dict-item]
        assert seen == {"size": 9, "child": {"name": "One", "properties": {}}, "generation": 2, "listed": [9]}


async def test_a_write_may_change_other_rows_and_inline_children() -> None:
    def accept(write: Write) -> None:
        slot = write.change(f"{BASE}/boxes/b/slots/one".lower())
        slot.state["plugged"] = write.id.name
        slot.properties["width"] = 3
        assert write.change(f"{BASE}/boxes/b".lower()).state["slots/one"]["plugged"] == write.id.name
        with pytest.raises(LookupError):
            write.change(f"{BASE}/boxes/none".lower())
        with pytest.raises(LookupError):
            write.change(f"{BASE}/boxes/b/slots/none".lower())

    async with cloud(types=with_hook("Toy.Net/plugs", accept=accept)) as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        before = c.store.snapshot.rows[f"{BASE}/boxes/b".lower()]
        await c.ok("PUT", "Toy.Net/plugs/p", {"location": "eastus2", "properties": {}})
        after = c.store.snapshot.rows[f"{BASE}/boxes/b".lower()]
        assert (before.generation, after.generation) == (1, 2)
        assert after.state["slots/one"] == {"number": 1, "plugged": "p"}
        assert after.properties["slots"][0]["properties"] == {"width": 3}
        assert before.state["slots/one"] == {"number": 1}
        assert before.properties["slots"] == [{"name": "One", "properties": {}}]


async def test_implicit_resources_come_and_go_with_a_write() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Run/machines/m", {"location": "eastus2", "properties": {}})
        (disk,) = c.store.snapshot.list("Toy.Run/disks")
        assert (disk.provisioning, disk.body["location"], set(disk.state)) == ("Succeeded", "eastus2", {"made"})
        (operation,) = c.core.operations.pending()
        assert operation.others == ()

        def accept(write: Write) -> None:
            write.touch_delete(disk.key)

    async with cloud(types=with_hook("Toy.Run/machines", accept=accept)) as c:
        await c.group()
        await c.ok("PUT", "Toy.Run/disks/m-disk", {"location": "eastus2"})
        await c.ok("PUT", "Toy.Run/machines/m", {"location": "eastus2", "properties": {}})
        assert not list(c.store.snapshot.list("Toy.Run/disks"))


async def test_permissions_can_be_asked() -> None:
    answers: list[bool] = []

    def accept(write: Write) -> None:
        answers.append(write.may("Toy.Net/boxes/delete", f"{BASE}/boxes/b"))

    async with cloud(types=with_hook("Toy.Net/plugs", accept=accept)) as c:
        await c.group()
        scope = f"{BASE}/plugs/p"
        await c.grant(toys.GUEST, "b24988ac-6180-42a0-ab88-20f7382dd24c", f"/subscriptions/{SUB}/resourceGroups/g", "1")
        await c.ok("PUT", scope, {"location": "eastus2", "properties": {}}, who=toys.GUEST)
        await c.ok(
            "DELETE", f"/subscriptions/{SUB}/resourceGroups/g/providers/Microsoft.Authorization/roleAssignments/1"
        )
        permissions = [{"actions": ["Toy.Net/plugs/*"], "notActions": []}]
        definition = f"/subscriptions/{SUB}/providers/Microsoft.Authorization/roleDefinitions/r"
        await c.ok("PUT", definition, {"properties": {"permissions": permissions}})
        await c.grant(toys.GUEST, "r", f"/subscriptions/{SUB}/resourceGroups/g", "2")
        await c.ok("PUT", scope, {"location": "eastus2", "properties": {}}, who=toys.GUEST)
        assert answers == [True, False]


async def test_a_row_being_deleted_stays_so_when_something_else_changes_it() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.ok("PUT", "Toy.Net/plugs/p", {"location": "eastus2", "properties": {}})
        await c.settle()
        await c.ok("DELETE", "Toy.Net/boxes/b")
        await touched(c)
        assert c.store.snapshot.rows[f"{BASE}/boxes/b".lower()].provisioning == "Deleting"
        await c.settle()
        assert f"{BASE}/boxes/b".lower() not in c.store.snapshot.rows


async def touched(c: Cloud) -> None:
    """Change the box from within a write of the plug."""

    def edit(write: Write) -> None:
        write.change(f"{BASE}/boxes/b".lower()).state["touched"] = True

    row = c.store.snapshot.rows[f"{BASE}/plugs/p".lower()]
    await c.core.edit(Request(toys.OWNER, "2024-05-01"), row.id, edit)

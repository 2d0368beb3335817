"""Operations: (row, generation); ended by who makes them true; later generations, others, deletion, restarts."""

import asyncio
from pathlib import Path

import pytest

from azlan.arm.operations import as_error
from unit.arm import toys
from unit.arm.toys import SUB, cloud

BASE = f"/subscriptions/{SUB}/resourceGroups/g/providers/Toy.Net"
BOX = {"location": "eastus2", "properties": {"size": 1}}
FAILURE = {"code": "Broken", "message": "It broke.", "details": [{"code": "Inner", "message": "why"}]}


def state(c: toys.Cloud, name: str = "boxes/b") -> str:
    return c.store.snapshot.rows[f"{BASE}/{name}".lower()].provisioning


async def test_an_operation_names_its_row_and_what_it_waits_for() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.ok("PUT", "Toy.Net/boxes/b/slots/s", {})
        first, second = c.core.operations.pending()
        assert (first.key, first.generation, first.kind, first.waits) == (
            f"{BASE}/boxes/b".lower(),
            1,
            "PUT",
            ("network",),
        )
        assert (first.name, first.location, first.namespace) == ("PutBoxOperation", "eastus2", "Toy.Net")
        # An inline child's operation carries its parent's row and generation.
        assert (second.key, second.generation, second.name) == (first.key, 2, "PutSlotOperation")
        assert second.target == f"{BASE}/boxes/b/slots/s"
        assert first.revision < second.revision <= c.store.snapshot.revision


async def test_the_newest_operation_decides_the_state_of_the_row() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        first, second = c.core.operations.pending()
        await c.core.operations.settle(first.id)
        assert state(c) == "Updating"
        await c.core.operations.settle(second.id, FAILURE)
        assert state(c) == "Failed"
        await c.core.operations.settle(second.id)
        assert state(c) == "Failed"
        assert c.core.operations.get(second.id).error == FAILURE  # type: ignore[union-attr]
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        (third,) = await c.settle()
        assert state(c) == "Succeeded"
        assert c.core.operations.get(third).status == "Succeeded"  # type: ignore[union-attr]


async def test_a_late_end_of_an_older_operation_changes_nothing() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        first, second = c.core.operations.pending()
        await c.core.operations.settle(second.id)
        await c.core.operations.settle(first.id, FAILURE)
        assert state(c) == "Succeeded"


async def test_rows_changed_elsewhere_end_with_the_operation_that_changed_them() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.settle()
        plug = {"location": "eastus2", "properties": {"box": {"id": f"{BASE}/boxes/b"}}}
        await c.ok("PUT", "Toy.Net/plugs/p?touch=true", plug)
        (operation,) = c.core.operations.pending()
        assert operation.others == (f"{BASE}/boxes/b".lower(),)
        assert (state(c), state(c, "plugs/p")) == ("Updating", "Updating")
        assert c.store.snapshot.rows[f"{BASE}/boxes/b".lower()].generation == 2
        assert c.store.snapshot.rows[f"{BASE}/boxes/b".lower()].state["touched"] == ["p"]
        await c.settle()
        assert (state(c), state(c, "plugs/p")) == ("Succeeded", "Succeeded")


async def test_an_operation_whose_target_was_deleted_is_canceled() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        (first,) = c.core.operations.pending()
        waiting = asyncio.ensure_future(c.core.operations.wait(first.id))
        await c.ok("DELETE", "Toy.Net/boxes/b")
        canceled = await waiting
        assert canceled.status == "Canceled"
        assert canceled.error is not None
        assert canceled.error["details"][0]["code"] == "CanceledAndSupersededDueToAnotherOperation"
        assert "superseded by operation DeleteBoxOperation" in canceled.error["details"][0]["message"]
        await c.settle()
        assert f"{BASE}/boxes/b".lower() not in c.store.snapshot.rows


async def test_a_delete_that_fails_leaves_the_row_failed() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.settle()
        await c.ok("DELETE", "Toy.Net/boxes/b")
        await c.settle(FAILURE)
        assert state(c) == "Failed"
        await c.ok("DELETE", "Toy.Net/boxes/b")
        await c.settle()
        assert f"{BASE}/boxes/b".lower() not in c.store.snapshot.rows


async def test_deleting_an_inline_child_leaves_its_row() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", {**BOX, "properties": {"size": 1, "slots": [{"name": "s"}]}})
        await c.settle()
        await c.ok("DELETE", "Toy.Net/boxes/b/slots/s")
        await c.settle()
        assert state(c) == "Succeeded"


async def test_what_follows_a_deletion_begins_in_the_same_transaction() -> None:
    async with cloud() as c:
        await c.group()
        machine = {"location": "eastus2", "properties": {"takeDisk": True}}
        await c.ok("PUT", "Toy.Run/machines/m", machine)
        assert (await c.ok("GET", "Toy.Run/disks/m-disk"))["properties"]["provisioningState"] == "Succeeded"
        await c.settle()
        await c.ok("DELETE", "Toy.Run/machines/m")
        assert c.store.snapshot.get(f"/subscriptions/{SUB}/resourcegroups/g/providers/toy.run/disks/m-disk") is not None
        await c.settle()
        assert not list(c.store.snapshot.list("Toy.Run/disks"))
        await c.ok("PUT", "Toy.Run/machines/m", {**machine, "properties": {}})
        await c.settle()
        await c.ok("DELETE", "Toy.Run/machines/m")
        await c.settle()
        assert len(list(c.store.snapshot.list("Toy.Run/disks"))) == 1


async def test_a_restart_leaves_them_pending_and_they_can_be_settled(tmp_path: Path) -> None:
    async with cloud(tmp_path / "s.db") as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.ok("PUT", "Toy.Net/boxes/c", BOX)
        await c.settle()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.ok("DELETE", "Toy.Net/boxes/c")
        before = c.core.operations.pending()
    async with cloud(tmp_path / "s.db") as c:
        assert c.core.operations.pending() == before
        assert (state(c), state(c, "boxes/c")) == ("Updating", "Deleting")
        await c.settle()
        assert state(c) == "Succeeded"
        assert f"{BASE}/boxes/c".lower() not in c.store.snapshot.rows
        polled = await c.ok("GET", f"/subscriptions/{SUB}/providers/Toy.Net/locations/x/operations/{before[0].id}")
        assert polled == {"status": "Succeeded"}


async def test_waiting_ends_with_the_operation() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        (operation,) = c.core.operations.pending()
        waiting = [asyncio.ensure_future(c.core.operations.wait(operation.id)) for _ in range(2)]
        waiting.append(asyncio.ensure_future(c.core.operations.succeeded(operation.id)))
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        await c.core.operations.settle(operation.id, FAILURE)
        assert (await waiting[1]).status == "Failed"
        error = (await asyncio.gather(waiting[2], return_exceptions=True))[0]
        assert error.body == as_error(await waiting[1]).body == FAILURE  # type: ignore[union-attr]
        assert (await c.core.operations.wait(operation.id)).status == "Failed"
        with pytest.raises(LookupError):
            await c.core.operations.wait("unknown")
        assert c.core.operations._waiting == {}


async def test_an_operation_with_nothing_to_apply_ends_with_its_write_and_is_told_as_ever() -> None:
    async with cloud() as c:
        await c.group()
        asked: list[tuple[str, ...]] = []
        c.store.in_force = lambda owners: bool(asked.append(owners) or True)  # type: ignore[func-returns-value]
        first = await c.call("PUT", "Toy.Net/boxes/b", BOX)
        assert first.headers["azure-asyncoperation"]
        await c.settle()
        before = c.store.facts()
        answer = await c.call("PUT", "Toy.Net/boxes/b", {**BOX, "tags": {"a": "b"}})
        assert asked == [(f"{BASE}/boxes/b".lower(),)]
        assert not c.core.operations.pending()
        assert state(c) == "Succeeded"
        assert c.store.facts(before) is before
        assert answer.json()["properties"]["provisioningState"] == "Succeeded"
        same = await c.call("PUT", "Toy.Net/boxes/b", {**BOX, "tags": {"a": "b"}})
        assert same.json()["properties"]["provisioningState"] == "Updating"
        poll = answer.headers["azure-asyncoperation"].removeprefix("https://localhost:8443")
        assert await c.ok("GET", poll) == {"status": "Succeeded"}
        log = [found["status"] for found in await c.store.events(f"{BASE}/boxes/b")]
        assert log == ["Succeeded", "Accepted"] * 3


async def test_an_operation_that_changes_facts_waits_and_so_does_one_behind_it() -> None:
    async with cloud() as c:
        await c.group()
        c.store.in_force = lambda _owners: True
        await c.ok("PUT", "Toy.Net/boxes/b", BOX)
        await c.settle()
        c.store.facts()
        slots = {"location": "eastus2", "properties": {"size": 1, "slots": [{"name": "s"}]}}
        await c.ok("PUT", "Toy.Net/boxes/b", slots)
        await c.ok("PUT", "Toy.Net/boxes/b", {**slots, "tags": {"a": "b"}})
        assert len(c.core.operations.pending()) == 2
        await c.settle(FAILURE)
        # What failed is tried again, and judged again.
        await c.ok("PUT", "Toy.Net/boxes/b", {**slots, "tags": {"a": "c"}})
        assert len(c.core.operations.pending()) == 1
        await c.settle()
        # Nobody has asked for the facts since: what they are is not known.
        await c.ok("PUT", "Toy.Net/boxes/b", {**slots, "tags": {"a": "d"}})
        assert len(c.core.operations.pending()) == 1
        await c.settle()
        c.store.facts()
        c.store.in_force = lambda _owners: False
        await c.ok("PUT", "Toy.Net/boxes/b", {**slots, "tags": {"a": "e"}})
        assert len(c.core.operations.pending()) == 1

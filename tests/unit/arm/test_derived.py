"""Facts are derived again for what a write concerns, and for nothing else."""

import asyncio
from pathlib import Path

from azlan.contract.facts import Space
from unit.arm import toys
from unit.arm.toys import SUB, cloud

BASE = f"/subscriptions/{SUB}/resourcegroups/g/providers/toy.net"
BOX = f"{BASE}/boxes/b"
PLUG = f"{BASE}/plugs/p"


def box(*slots: str, label: str | None = None) -> toys.Json:
    properties = {"size": 9, "slots": [{"name": name} for name in slots]}
    return {"location": "eastus2", "properties": properties | ({"label": label} if label else {})}


def plug(slot: str) -> toys.Json:
    return {"location": "eastus2", "properties": {"sockets": [{"id": f"{BOX}/slots/{slot}"}]}}


async def test_changed_names_what_differs_from_what_the_consumer_has_seen() -> None:
    async with cloud() as c:
        await c.group()
        first = c.store.facts()
        assert first.base is None
        assert not first.by_owner
        await c.ok("PUT", "Toy.Net/boxes/b", box("s1"))
        second = c.store.facts(first)
        assert (second.base, second.changed) == (first.revision, {BOX})
        assert second.by_owner[BOX] == (Space(BOX, ("s1",), "eastus2"),)
        await c.ok("PUT", "Toy.Net/boxes/b/slots/s2", {"properties": {}})
        await c.ok("PUT", "Toy.Net/plugs/p", plug("s2"))
        third = c.store.facts(second)
        assert third.changed == {BOX, PLUG}
        assert third.by_owner is c.store.facts().by_owner
        assert c.store.facts(third) is third
        both = c.store.facts(first)
        assert (both.base, both.changed) == (first.revision, {BOX, PLUG})
        assert second.by_owner[BOX] == (Space(BOX, ("s1",), "eastus2"),)


async def test_a_revision_moves_on_for_an_operation_that_changes_no_fact() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", box("s1"))
        before = c.store.facts()
        await c.ok("PUT", "Toy.Net/boxes/b", box("s1", label="new"))
        after = c.store.facts(before)
        assert after.changed == frozenset()
        assert after.revision >= c.core.operations.pending()[-1].revision
        await c.settle()
        assert c.store.facts(after) is after


async def test_an_inline_child_that_stayed_the_same_wakes_nobody() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", box("s1", "s2"))
        await c.ok("PUT", "Toy.Net/plugs/p", plug("s1"))
        await c.ok("PUT", "Toy.Net/plugs/q", plug("s2"))
        c.store.facts()
        toys.PLUG_FACTS_DERIVED.clear()
        await c.ok("PUT", "Toy.Net/boxes/b/slots/s3", {"properties": {"width": 3}})
        c.store.facts()
        assert toys.PLUG_FACTS_DERIVED == []
        await c.ok("PUT", "Toy.Net/boxes/b/slots/s2", {"properties": {"width": 3}})
        c.store.facts()
        assert [f"{BASE}/plugs/q"] == toys.PLUG_FACTS_DERIVED


async def test_facts_vanish_when_deletion_begins_and_stay_gone() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", box())
        before = c.store.facts()
        await c.ok("DELETE", "Toy.Net/boxes/b")
        during = c.store.facts(before)
        assert during.changed == {BOX}
        assert BOX not in during.by_owner
        await c.settle()
        assert not c.store.facts(during).by_owner


async def test_one_who_fell_too_far_behind_looks_at_everything() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", box())
        stranger = type(c.store.facts())(revision=-7, by_owner={})
        found = c.store.facts(stranger)
        assert (found.base, found.changed) == (None, {BOX})


async def test_facts_of_what_was_loaded_are_derived_beside_and_what_changes_meanwhile_again(tmp_path: Path) -> None:
    async with cloud(tmp_path / "s.db") as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", box("s1"))
        await c.ok("PUT", "Toy.Net/plugs/p", plug("s1"))
        before = c.store.facts().by_owner
    async with cloud(tmp_path / "s.db") as c:
        preparing = asyncio.ensure_future(c.store.prepare())
        await asyncio.sleep(0)
        await c.ok("PUT", "Toy.Net/boxes/b/slots/s2", {"properties": {}})
        await preparing
        after = c.store.facts()
        assert after.base is None
        assert after.by_owner[PLUG] == before[PLUG]
        assert after.by_owner[BOX] == (Space(BOX, ("s1", "s2"), "eastus2"),)
        # Asked for before they were there, they are derived at once, and what comes late is not taken.
        await c.ok("PUT", "Toy.Net/boxes/b/slots/s3", {"properties": {}})
        await c.store.prepare()
        assert c.store.facts(after).by_owner[BOX] == (Space(BOX, ("s1", "s2", "s3"), "eastus2"),)

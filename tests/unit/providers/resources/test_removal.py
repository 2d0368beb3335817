"""The order in which many resources are deleted, and what happens to those that refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azlan.arm.resource import Job, Row
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId, parse_id
from azlan.providers.resources import removal
from azlan.providers.resources.removal import remove_all


def row(name: str, kind: str, children: tuple[str, ...] = ()) -> Row:
    return Row(
        id=parse_id(f"/subscriptions/s/resourceGroups/g/providers/N/{kind}/{name}"),
        type=f"N/{kind}",
        body={"properties": {"parts": [{"name": child} for child in children]}},
        state={},
        provisioning="Succeeded",
        etag="",
        generation=1,
        revision=1,
        created="",
        changed="",
        api_version="",
    )


class Deleting:
    """A job over rows and references among them, which refuses to delete what is referred to."""

    def __init__(self, rows: list[Row], references: dict[str, set[str]], stuck: set[str] | None = None) -> None:
        self.rows = {row.key: row for row in rows}
        self.references = references
        """Key (of a row or a part of it) → names of the rows that refer to it."""
        self.stuck = stuck or set()
        self.order: list[str] = []
        self.refused = 0

    def read(self) -> Any:
        return self

    def referrers(self, key: str) -> list[tuple[Row, str]]:
        names = self.references.get(key, set())
        return [(row, "") for row in self.rows.values() if row.id.name in names]

    async def delete(self, id: ResourceId) -> None:
        if id.name in self.stuck:
            self.refused += 1
            raise ArmError(409, "Stuck", "No.")
        holders = [other for other, _ in self.referrers(id.key) if other.type != self.rows[id.key].type]
        if holders:
            raise ArmError(409, "InUse", f"{id.name} is in use by {holders[0].id.name}")
        self.order.append(id.name)
        del self.rows[id.key]

    def remaining(self) -> Callable[[], list[Row]]:
        return lambda: list(self.rows.values())


async def removed(job: Deleting) -> dict[str, tuple[ResourceId, ArmError]]:
    return await remove_all(cast(Job, job), job.remaining())


async def test_what_refers_goes_first() -> None:
    net, nic, vm = row("net", "nets", ("sub",)), row("nic", "nics"), row("vm", "vms")
    job = Deleting([net, nic, vm], {f"{net.key}/parts/sub": {"nic"}, nic.key: {"vm"}})
    assert await removed(job) == {}
    assert job.order == ["vm", "nic", "net"]


async def test_equals_that_refer_to_each_other() -> None:
    one, two = row("one", "nets"), row("two", "nets")
    job = Deleting([one, two], {one.key: {"two"}, two.key: {"one"}})
    assert await removed(job) == {}


async def test_what_refuses_is_reported_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "_PAUSE", 0.0)
    net, nic, other = row("net", "nets"), row("nic", "nics"), row("other", "nets")
    job = Deleting([net, nic, other], {net.key: {"nic"}}, stuck={"nic"})
    failed = await removed(job)
    assert {id.name: error.code for id, error in failed.values()} == {"nic": "Stuck", "net": "InUse"}
    assert job.order == ["other"]
    assert job.refused == 3


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=40))
async def test_any_network_of_references_is_taken_apart(pairs: list[tuple[int, int]]) -> None:
    """References from rows of a higher kind to rows of a lower one, as resources have them."""
    rows = [row(f"r{at}", f"k{at // 3}") for at in range(12)]
    references: dict[str, set[str]] = {}
    for source, target in pairs:
        if source // 3 > target // 3:
            references.setdefault(rows[target].key, set()).add(f"r{source}")
    job = Deleting(rows, references)
    assert await removed(job) == {}
    assert len(job.order) == 12

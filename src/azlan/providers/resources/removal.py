"""Deleting many resources of one group in dependency order: what refers before what is referred to.

Used where a resource group goes, and by deployments in Complete mode. Holds no state: what is left is read anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from azlan.arm.resource import Job, Row
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId

_AT_ONCE = 32
_ROUNDS = 3
_PAUSE = 0.5


async def remove_all(job: Job, remaining: Callable[[], Iterable[Row]]) -> dict[str, tuple[ResourceId, ArmError]]:
    """Delete every row that `remaining` names, now and later; returns key → (id, error) of those that would not go.

    A wave is what nothing else that is to go refers to. Failed ones are tried again when the others have gone.
    """
    failed: dict[str, tuple[ResourceId, ArmError]] = {}
    for attempt in range(_ROUNDS):
        if attempt:
            await asyncio.sleep(_PAUSE)
        failed = {}
        while rows := [row for row in remaining() if row.key not in failed]:
            wave = _wave(job, rows)
            failed.update(await _delete(job, wave))
        if not failed:
            break
    return failed


def _wave(job: Job, rows: list[Row]) -> list[Row]:
    """Rows that no other of them refers to. References among equals (peerings) do not count; where only a circle is
    left, all of it."""
    keys = {row.key for row in rows}
    read = job.read()
    free = []
    for row in rows:
        holders = (other for key in _keys(row) for other, _ in read.referrers(key))
        if not any(other.key in keys and other.key != row.key and other.type != row.type for other in holders):
            free.append(row)
    return free or rows


def _keys(row: Row) -> Iterable[str]:
    """The row's key and those of the children in its document."""
    yield row.key
    for name, items in row.properties.items():
        if isinstance(items, list):
            for item in items:
                if isinstance(item, dict) and item.get("name"):
                    yield f"{row.key}/{name}/{item['name']}".lower()


async def _delete(job: Job, rows: list[Row]) -> dict[str, tuple[ResourceId, ArmError]]:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def delete(row: Row) -> tuple[Row, ArmError | None]:
        async with slots:
            try:
                await job.delete(row.id)
            except ArmError as error:
                return row, error
            return row, None

    done = await asyncio.gather(*(delete(row) for row in rows))
    return {row.key: (row.id, error) for row, error in done if error is not None}

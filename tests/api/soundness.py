"""What holds of a cloud at rest, whatever was sent to it: memory, disk, facts, World, engine and every view agree."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from azlan.arm import schema
from azlan.arm.snapshot import Snapshot
from azlan.compiler.compile import Compiler
from azlan.contract.facts import Facts
from azlan.control.loop import network_root
from kit import Cloud

Json = dict[str, Any]

BACK = {
    ("Microsoft.Network/virtualNetworks/subnets", "ipConfigurations"),
    ("Microsoft.Network/networkSecurityGroups", "subnets"),
    ("Microsoft.Network/networkSecurityGroups", "networkInterfaces"),
    ("Microsoft.Network/routeTables", "subnets"),
    ("Microsoft.Network/publicIPAddresses", "ipConfiguration"),
}
"""Members that show who refers to a resource."""


async def at_rest(cloud: Cloud) -> None:
    """Wait until every operation has ended: none hangs, whatever was sent."""
    core, loops = cloud.process.core, cloud.process.loops
    async with asyncio.timeout(30):
        while core.store.snapshot.unsettled or loops.world.revision < core.store.facts().revision:
            await asyncio.sleep(0.002)


async def check_sound(cloud: Cloud) -> None:
    """Raises AssertionError where two accounts of the same thing differ. The cloud must be at rest."""
    core = cloud.process.core
    snapshot = core.store.snapshot
    _check_index(cloud, snapshot)
    _check_facts(cloud, snapshot)
    await _check_views(cloud, snapshot)


async def check_durable(cloud: Cloud) -> None:
    """What clients made is on disk as it is in memory. The ends of operations may reach it later: they are found again."""
    store = cloud.process.core.store

    def read() -> Snapshot:
        with closing(schema.open_database(cloud.process.config.store)) as database:
            return schema.load(database)

    loaded = await asyncio.to_thread(read)
    assert _made(loaded) == _made(store.snapshot)
    assert set(loaded.operations) == set(store.snapshot.operations)


def _made(snapshot: Snapshot) -> dict[str, tuple[Any, ...]]:
    return {key: (row.body, row.state, row.generation, row.refs) for key, row in snapshot.rows.items()}


def _check_index(cloud: Cloud, snapshot: Snapshot) -> None:
    """Every reference is indexed, and what holds its target finds it there."""
    registry = cloud.process.core.registry
    indexed = {
        (target, key, path) for target, by in snapshot.targets.items() for key, paths in by.items() for path in paths
    }
    assert indexed == {(target, row.key, path) for row in snapshot.rows.values() for path, target in row.refs}
    for row in snapshot.rows.values():
        assert row.provisioning in ("Succeeded", "Failed"), (row.key, row.provisioning)
        for path, target in row.refs:
            reference = registry.reference(row.type, path)
            assert reference is not None, (row.key, path)
            if reference.holds:
                assert snapshot.get(target) is not None, f"{row.key} holds {target}, which is not there"
        parent = row.id.parent
        assert parent is None or parent.key in snapshot.rows, f"{row.key} has lost its parent"
        assert row.id.group is None or row.id.group_key in snapshot.rows, f"{row.key} has lost its group"


def _check_facts(cloud: Cloud, snapshot: Snapshot) -> None:
    """Facts and World kept up to date step by step are those derived from nothing; the engine has what they say."""
    core, loops = cloud.process.core, cloud.process.loops
    fresh = {}
    for row in snapshot.rows.values():
        declared = core.registry.find(row.type)
        found = tuple(declared.facts(row, snapshot)) if declared is not None and not row.deleting else ()
        if found:
            fresh[row.key] = found
    assert dict(core.store.facts().by_owner) == fresh
    world = Compiler().compile(Facts(snapshot.revision, fresh))
    assert dict(loops.world.parts) == dict(world.parts)
    assert dict(loops.world.claims) == dict(world.claims)


async def _check_views(cloud: Cloud, snapshot: Snapshot) -> None:
    """A resource reads the same by its own path, in its list, and within its parent; back references name who refers."""
    arm, registry = cloud.arm, cloud.process.core.registry
    shown: dict[str, set[str]] = {}
    for row in sorted(snapshot.rows.values(), key=lambda row: row.key):
        declared = registry.find(row.type)
        assert declared is not None
        if not row.type.startswith("Microsoft.Network/"):
            continue
        document = await arm.get(str(row.id))
        assert document["etag"] == row.etag
        _note(shown, row.type, document)
        for child in registry.inline_children(declared):
            held = document["properties"].get(child.inline or "") or []
            assert (await arm.get(f"{row.id}/{child.inline}"))["value"] == held
            for item in held:
                assert item["etag"] == row.etag
                assert await arm.get(item["id"]) == item
                _note(shown, child.type, item)
    assert await _root(cloud) == network_root(cloud.world())
    for key, back in shown.items():
        assert back == _referrers(snapshot, key), key


async def _root(cloud: Cloud) -> bytes:
    return (await cloud.engine.observe()).root


def _note(shown: dict[str, set[str]], kind: str, document: Mapping[str, Any]) -> None:
    for type, member in BACK:
        if type == kind:
            found = document["properties"].get(member) or []
            for item in found if isinstance(found, list) else [found]:
                shown.setdefault(document["id"].lower(), set()).add(item["id"].lower())
            shown.setdefault(document["id"].lower(), set())


def _referrers(snapshot: Snapshot, key: str) -> set[str]:
    return {row.element_id(path).key for row, path in snapshot.referrers(key)}

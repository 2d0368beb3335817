"""A control process that ends and another that takes its store up: nothing that was acknowledged is lost, nothing is made up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.estate import DEPLOYMENTS, GROUPS, TEMPLATE, VMS, VNETS, build, deployment, half, placed, vnet
from azlan.app import ControlProcess, build_control
from azlan.arm.schema import StoreError
from azlan.config import Config, new_config
from azlan.engines.model import ModelEngine
from azlan.machines.simulated import SimulatedMachines
from client import ArmClient


@asynccontextmanager
async def process(
    config: Config, engine: ModelEngine, machines: SimulatedMachines
) -> AsyncIterator[tuple[ControlProcess, ArmClient]]:
    """A control process over the store of `config`; its owner is made by the first one and found by the others."""
    made = await build_control(config, engine, machines)
    await made.start()
    directory = made.identity.directory
    entry = directory.named("owner")
    if entry is None:
        entry, _ = await directory.add("owner", "ServicePrincipal")
    await made.core.bootstrap(config.subscription, entry.object_id)
    token = made.identity.tokens.access_token(entry.principal(config.tenant), f"{config.endpoint}/", "test", "password")
    transport = httpx.ASGITransport(app=made.asgi)
    async with httpx.AsyncClient(transport=transport, base_url=config.endpoint, timeout=60) as http:
        try:
            yield made, ArmClient(http, config.subscription, token)
        finally:
            await made.stop()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    found = new_config(tmp_path, uid=os.getuid(), gid=os.getgid(), engine="model", machines="simulated", port=8443)
    found.control.mkdir(mode=0o700)
    return found


async def _everything(arm: ArmClient) -> dict[str, Any]:
    """Every document of the subscription, by id: resources, children, groups, roles, deployments."""
    subscription = f"/subscriptions/{arm.subscription}"
    found = {item["id"]: await arm.get(item["id"]) for item in (await arm.get(f"{subscription}/resources"))["value"]}
    for path in (
        f"{subscription}/resourcegroups",
        f"{subscription}/providers/Microsoft.Authorization/roleAssignments",
        DEPLOYMENTS,
    ):
        found |= {item["id"]: item for item in (await arm.get(path))["value"]}
    return found


async def test_everything_is_there_again(config: Config) -> None:
    engine, machines = ModelEngine(), SimulatedMachines()
    async with process(config, engine, machines) as (first, arm):
        await build(arm)
        await arm.put(f"{DEPLOYMENTS}/d", deployment(TEMPLATE))
        answer = await arm.request("PUT", f"{VNETS}/last", vnet("10.50.0.0/16"))
        operation = answer.headers["azure-asyncoperation"]
        await arm._finished(f"{VNETS}/last", answer, None)
        before, revision, facts = await _everything(arm), first.core.store.snapshot.revision, first.core.store.facts()
        token = arm.headers
        parts = dict(first.loops.world.parts)
    async with process(config, engine, machines) as (second, arm):
        assert await _everything(arm) == before
        assert second.core.store.snapshot.revision >= revision
        assert second.core.store.facts().by_owner == facts.by_owner
        ended = await arm.http.get(operation, headers=arm.headers)
        assert ended.json() == {"status": "Succeeded"}
        assert (
            await arm.http.get(f"{arm.id(f'{VNETS}/last')}?api-version=2024-05-01", headers=token)
        ).status_code == 200
        for name, other in (
            ("vnet-1/virtualNetworkPeerings/to-2", "vnet-2"),
            ("vnet-2/virtualNetworkPeerings/to-1", "vnet-1"),
        ):
            half_now = (await arm.get(f"{VNETS}/{name}"))["properties"]
            assert (half_now["peeringState"], half_now["peeringSyncLevel"]) == ("Connected", "FullyInSync")
            assert half_now["remoteVirtualNetwork"]["id"].endswith(other)
        async with asyncio.timeout(10):
            while dict(second.loops.world.parts) != parts:
                await asyncio.sleep(0.01)
        assert not second.core.store.snapshot.unsettled


async def test_writes_go_on_after_a_restart(config: Config) -> None:
    """Etags, peering state and addresses are those of before: the next write builds on them."""
    engine, machines = ModelEngine(), SimulatedMachines()
    async with process(config, engine, machines) as (_, arm):
        await arm.put("", {"location": "eastus2"})
        await arm.put(f"{VNETS}/a", vnet("10.0.0.0/16"))
        await arm.put(f"{VNETS}/b", vnet("10.1.0.0/16"))
        etag = (await arm.put(f"{VNETS}/a/virtualNetworkPeerings/ab", placed(arm, half("b"))))["etag"]
    async with process(config, engine, machines) as (_, arm):
        kept = await arm.request("PATCH", f"{VNETS}/a", {"tags": {"a": "b"}}, headers={"If-Match": etag})
        assert kept.status_code == 200
        second = await arm.put(f"{VNETS}/b/virtualNetworkPeerings/ba", placed(arm, half("a")))
        assert second["properties"]["peeringState"] == "Connected"


async def test_operation_under_way_ends_in_the_next_process(config: Config) -> None:
    """What was acknowledged and not yet applied is applied by who comes next, and its operation Succeeds."""
    engine, machines = ModelEngine(), SimulatedMachines()
    async with process(config, engine, machines) as (first, arm):
        await arm.put("", {"location": "eastus2"})
        await first.loops.stop()
        answer = await arm.request("PUT", f"{VNETS}/v", vnet("10.0.0.0/16"))
        assert answer.status_code == 201
        removal = await arm.request("DELETE", "")
        assert removal.status_code == 202
        again = await arm.request("PUT", f"{GROUPS}/late", {"location": "eastus2"})
        assert again.status_code == 409
    async with process(config, engine, machines) as (second, arm):
        await arm._polled(removal)
        assert (await arm.request("GET", "")).status_code == 404
        status = (await arm.http.get(answer.headers["azure-asyncoperation"], headers=arm.headers)).json()
        assert status["status"] in ("Canceled", "Succeeded")
        assert not second.core.store.facts().by_owner
        assert not second.core.store.snapshot.unsettled


async def test_machines_are_what_they_were(config: Config) -> None:
    engine, machines = ModelEngine(), SimulatedMachines()
    async with process(config, engine, machines) as (_, arm):
        await build(arm)
        await arm.post(f"{VMS}/vm-1/deallocate")
    async with process(config, engine, machines) as (_, arm):
        view = await arm.get(f"{VMS}/vm-1/instanceView")
        assert "PowerState/deallocated" in [status["code"] for status in view["statuses"]]
        await arm.post(f"{VMS}/vm-1/start")
        view = await arm.get(f"{VMS}/vm-1/instanceView")
        assert "PowerState/running" in [status["code"] for status in view["statuses"]]


async def test_two_processes_never_share_a_store(config: Config) -> None:
    engine, machines = ModelEngine(), SimulatedMachines()
    async with process(config, engine, machines):
        with pytest.raises(StoreError, match="open in another process"):
            await build_control(config, engine, machines)

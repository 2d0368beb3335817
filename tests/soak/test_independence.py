"""One image build that hangs, one machine that never boots, one part the fabric refuses: peerings go on as ever.

test ── ARM ── loops ── socket ── fabric server ── bpf engine      ◀── a security group with more rules than it carries
                                                └─ containers      ◀── an archive that never answers; a guest that stops
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import socket
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from azlan.app import build_control
from azlan.config import new_config
from azlan.engines.bpf.engine import BpfEngine
from azlan.engines.model import probe
from azlan.fabric.server import FabricServer
from azlan.machines.containers import ContainerMachines
from azlan.machines.images import DEFAULT_CACHE, ImageStore
from azlan.machines.places import Place, name_of
from client import ArmClient
from counts import spread, times
from network import GROUPS, NICS, VMS, VNETS, rule, vnet
from standing import PASSWORD, short_folder
from twins import half, peering

pytestmark = pytest.mark.root

PEERINGS = times(20, 100)
SLOWEST = 2.0
"""How many times the usual median the median may be meanwhile. The usual one is measured at the same time, in a cloud
where nothing hangs, so that it knows as busy a computer."""
UBUNTU = {"publisher": "Canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts-gen2"}
DEBIAN = {"publisher": "Debian", "offer": "debian-12", "sku": "12-gen2"}


class DeafArchive:
    """A mirror that takes connections and never says a word."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/debian"

    def end(self) -> None:
        self._listening.close()


@dataclass
class Whole:
    """Control process and fabric server with the socket between them, in the test's process."""

    arm: ArmClient
    machines: ContainerMachines
    place: Any
    """Name of a VM → its Place."""

    async def operation(self, method: str, path: str, body: Any = None) -> str:
        """Begin an operation; the URL of its status."""
        answer = await self.arm.request(method, path, body)
        assert answer.status_code < 300, answer.text
        return str(answer.headers["azure-asyncoperation"])

    async def status(self, url: str) -> dict[str, Any]:
        return dict((await self.arm.http.get(url, headers=self.arm.headers)).json())


@asynccontextmanager
async def whole(folder: Path, images: ImageStore) -> AsyncIterator[Whole]:
    state = folder / f"state-{secrets.token_hex(4)}"
    state.mkdir()
    config = new_config(state, uid=os.getuid(), gid=os.getgid(), engine="bpf", machines="containers", port=8443)
    config.run.mkdir(parents=True)
    programs = Path("/var/cache/azlan/programs")
    engine = BpfEngine(config.run / "bpf", config.mark, probe=probe, cache_dir=programs, uplink=None)
    machines = ContainerMachines(config.run, config.fabric, images, engine, config.mark)
    server = FabricServer(config.socket, engine, machines, os.getuid())
    await server.start()
    process = await build_control(config)
    await process.start()
    entry, _ = await process.identity.directory.add("owner", "ServicePrincipal")
    await process.core.bootstrap(config.subscription, entry.object_id)
    token = process.identity.tokens.access_token(
        entry.principal(config.tenant), f"{config.endpoint}/", "test", "password"
    )
    transport = httpx.ASGITransport(app=process.asgi, raise_app_exceptions=True)
    try:
        async with httpx.AsyncClient(transport=transport, base_url=config.endpoint, timeout=60) as http:
            arm = ArmClient(http, config.subscription, token)

            def place(machine: str) -> Place:
                key = f"machine:{arm.id(f'{VMS}/{machine}').lower()}"
                return Place(config.run, config.fabric, name_of(config.mark, key))

            yield Whole(arm, machines, place)
    finally:
        await process.stop()
        await server.stop()
        await machines.destroy()
        await machines.close()
        await engine.destroy()
        shutil.rmtree(config.run, ignore_errors=True)


async def prepare(cloud: Whole) -> None:
    await cloud.arm.put("", {"location": "eastus2"})
    for number in (1, 2):
        prefix = f"10.{number}.0.0"
        given = vnet(f"vnet-{number}", {"space": f"{prefix}/16", "subnets": {"subnet-1": f"{prefix}/24"}})
        await cloud.arm.put(f"{VNETS}/vnet-{number}", {"location": "eastus2", "properties": given["properties"]})


async def peerings(*clouds: Whole) -> list[list[float]]:
    """Create and delete peerings, in turn in each cloud; seconds from a half's request to its Succeeded, by cloud."""
    took: list[list[float]] = [[] for _ in clouds]
    for number in range(PEERINGS):
        first, second = ((1, 2), (2, 1)) if number % 2 else ((2, 1), (1, 2))
        for cloud, seconds in zip(clouds, took, strict=True):
            for mine, other in (first, second):
                began = time.monotonic()
                await cloud.arm.put(half(mine, other), peering(cloud.arm, other))
                seconds.append(time.monotonic() - began)
            for mine, other in (first, second):
                await cloud.arm.delete(half(mine, other))
    return took


def machine(cloud: Whole, name: str, image: dict[str, str]) -> dict[str, Any]:
    profile = {"computerName": name, "adminUsername": "azureuser", "adminPassword": PASSWORD}
    return {
        "location": "eastus2",
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_B1s"},
            "storageProfile": {
                "imageReference": {**image, "version": "latest"},
                "osDisk": {"createOption": "FromImage"},
            },
            "osProfile": profile,
            "networkProfile": {"networkInterfaces": [{"id": cloud.arm.id(f"{NICS}/{name}-nic")}]},
        },
    }


async def begin(cloud: Whole, name: str, image: dict[str, str]) -> str:
    """Begin a VM and its NIC; the URL of the VM's operation."""
    subnet = {"id": cloud.arm.id(f"{VNETS}/vnet-1/subnets/subnet-1")}
    config = {"name": "ipconfig1", "properties": {"subnet": subnet, "privateIPAllocationMethod": "Dynamic"}}
    await cloud.arm.put(f"{NICS}/{name}-nic", {"location": "eastus2", "properties": {"ipConfigurations": [config]}})
    return await cloud.operation("PUT", f"{VMS}/{name}", machine(cloud, name, image))


async def stopped_while_it_boots(place: Place) -> int:
    """Stop a guest's init as soon as it is there; its pid."""
    async with asyncio.timeout(30):
        while True:
            pid = place.number(place.run, "pid")
            with contextlib.suppress(OSError):
                if pid is not None and Path(f"/proc/{pid}").exists():
                    os.kill(pid, signal.SIGSTOP)
                    return pid
            await asyncio.sleep(0.005)


def too_many_rules() -> dict[str, Any]:
    """Rules that Azure takes and the program cannot look through: 150 of 30 × 30 port ranges."""
    ranges = [f"{2 * number}-{2 * number}" for number in range(30)]
    rules = []
    for number in range(150):
        given = {"priority": 100 + number, "direction": "Inbound", "access": "Allow", "protocol": "Tcp",
                 "source": "*", "destination": "*", "ports": "*"}  # fmt: skip
        properties = rule(given)
        del properties["sourcePortRange"], properties["destinationPortRange"]
        properties |= {"sourcePortRanges": ranges, "destinationPortRanges": ranges}
        rules.append({"name": f"rule-{number}", "properties": properties})
    return {"location": "eastus2", "properties": {"securityRules": rules}}


async def test_peerings_go_on_whatever_hangs_or_fails(tmp_path: Path) -> None:
    archive = DeafArchive()
    with short_folder() as folder:
        (tmp_path / "ubuntu-22.04").symlink_to(DEFAULT_CACHE / "ubuntu-22.04")
        images = ImageStore(tmp_path, mirrors={"debian-12": archive.url})
        async with whole(folder, images) as cloud, whole(folder, images) as calm:
            await prepare(cloud)
            await prepare(calm)
            building = await begin(cloud, "builds", DEBIAN)
            booting = await begin(cloud, "boots", UBUNTU)
            init = await stopped_while_it_boots(cloud.place("boots"))
            refused = await cloud.operation("PUT", f"{GROUPS}/large", too_many_rules())
            async with asyncio.timeout(30):
                while (ended := await cloud.status(refused))["status"] == "InProgress":
                    await asyncio.sleep(0.05)
            assert ended["status"] == "Failed"
            assert "rule entries" in ended["error"]["message"]
            meanwhile, usual = await peerings(cloud, calm)

            assert (await cloud.status(building))["status"] == "InProgress"
            assert (await cloud.status(booting))["status"] == "InProgress"
            assert Path(f"/proc/{init}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
            assert any(tmp_path.glob(".partial-debian-12-*")), "the build does not hang: nobody began it"
            spread("peering, usually", usual)
            spread("peering, while a build hangs, a machine does not boot and a part fails", meanwhile)
            ratio = statistics.median(meanwhile) / statistics.median(usual)
            assert ratio < SLOWEST, f"{ratio:.2f} times the usual median"

            # What hangs can be deleted, and what failed mended.
            for name in ("builds", "boots"):
                await cloud.arm.delete(f"{VMS}/{name}")
            assert {(await cloud.status(url))["status"] for url in (building, booting)} == {"Canceled"}
            body = too_many_rules()
            del body["properties"]["securityRules"][10:]
            await cloud.arm.put(f"{GROUPS}/large", body)
            archive.end()
            async with asyncio.timeout(60):
                while any(tmp_path.glob(".partial-debian-12-*")):
                    await asyncio.sleep(0.2)

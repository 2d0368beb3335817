"""The supervisor dies, the processes start anew, the cloud goes down and comes up: what was there is there.

up ── supervisor ╳ ── up -d adopts ── restart, no ping lost ── down ── up -d ── the same machines, addresses and peering
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess

import pytest

from client import ArmClient
from standing import Standing, peered_pair, short_folder, standing, traces

pytestmark = pytest.mark.root


async def ping(cloud: Standing, arm: ArmClient, count: int = 4) -> str:
    """What pings from vm-1 to vm-2, twenty a second, print."""
    machine = f"machine:{arm.id('Microsoft.Compute/virtualMachines/vm-1').lower()}"
    command = ["nsenter", f"--net={cloud.namespace(machine)}", "ping", "-n", "-i", "0.05", "-W", "2"]
    done = await asyncio.to_thread(
        subprocess.run, [*command, "-c", str(count), "10.1.0.4"], capture_output=True, text=True, check=False
    )
    return done.stdout


async def until_running(cloud: Standing, count: int) -> None:
    async with asyncio.timeout(60):
        while True:
            status = await asyncio.to_thread(cloud.status)
            if status["runningMachines"] == count and min(status["applied"].values()) >= status["revision"]:
                return
            await asyncio.sleep(0.2)


def namespace(cloud: Standing, arm: ArmClient) -> int:
    """Inode of vm-1's network namespace: another one after every start of the machine."""
    machine = f"machine:{arm.id('Microsoft.Compute/virtualMachines/vm-1').lower()}"
    return cloud.namespace(machine).stat().st_ino


async def test_the_supervisor_dies_and_the_cloud_goes_down_and_up() -> None:
    with short_folder() as folder, standing(folder) as cloud:
        async with cloud.client() as arm:
            await peered_pair(arm)
            processes = cloud.pid("control"), cloud.pid("fabric")
            before = namespace(cloud, arm)

            supervisors = [line for line in traces(cloud.config.mark, cloud.state)["processes"] if "supervisor" in line]
            assert len(supervisors) == 1, supervisors
            os.kill(int(supervisors[0].split()[0]), signal.SIGKILL)
            assert "4 received" in await ping(cloud, arm)
            await asyncio.to_thread(cloud.azlan, "up", "-d")
            assert (cloud.pid("control"), cloud.pid("fabric")) == processes
            assert namespace(cloud, arm) == before

            pinging = asyncio.create_task(ping(cloud, arm, 100))
            told = await asyncio.to_thread(cloud.azlan, "restart")
            assert cloud.config.endpoint in told.stdout
            assert "stopping the control process" in told.stderr
            assert not {cloud.pid("control"), cloud.pid("fabric")}.intersection(processes)
            assert "100 received" in await pinging
            await until_running(cloud, 2)
            assert namespace(cloud, arm) == before

            await asyncio.to_thread(cloud.azlan, "down")
            left = traces(cloud.config.mark, cloud.state)
            assert not left["processes"]
            assert not left["mounts"]
            assert not left["cgroups"]

        await asyncio.to_thread(cloud.azlan, "up", "-d")
        await until_running(cloud, 2)
        async with cloud.client() as arm:
            printed = await ping(cloud, arm)
            assert "4 received" in printed, printed
            assert "ttl=64" in printed
            half = "Microsoft.Network/virtualNetworks/vnet-1/virtualNetworkPeerings/vnet-1-to-vnet-2"
            assert (await arm.get(half))["properties"]["peeringState"] == "Connected"
            result = await arm.post(
                "Microsoft.Compute/virtualMachines/vm-1/runCommand",
                {"commandId": "RunShellScript", "script": ["hostname; id azureuser"]},
            )
            assert "vm-1" in result["value"][0]["message"]
            assert "azureuser" in result["value"][0]["message"]

"""kill -9 of either process under a running ping: no reply lost, no acknowledged write lost, nothing orphaned.

vm-1 ── ping every 5 ms ── peering ── vm-2        control process ╳ ╳ ╳    fabric process ╳ ╳ ╳
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from typing import Any

import pytest
from standing import Standing, insist, peered_pair, short_folder, standing

from client import ArmClient

pytestmark = pytest.mark.root

GROUP = "Microsoft.Network/networkSecurityGroups/written"


class Ping:
    """A ping in vm-1's namespace that is ended with a report of what came back."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, cloud: Standing, arm: ArmClient) -> Ping:
        machine = f"machine:{arm.id('Microsoft.Compute/virtualMachines/vm-1').lower()}"
        namespace = cloud.namespace(machine)
        command = ["nsenter", f"--net={namespace}", "ping", "-n", "-i", "0.005", "10.1.0.4"]
        return cls(await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE))

    async def end(self) -> tuple[int, int, set[int], set[str]]:
        """(sent, received, sequence numbers seen, ttls seen)."""
        self._process.send_signal(signal.SIGINT)
        out, _ = await self._process.communicate()
        text = out.decode()
        found = re.search(r"(\d+) packets transmitted, (\d+) received", text)
        assert found, text[-500:]
        seen = {int(number) for number in re.findall(r"icmp_seq=(\d+)", text)}
        return int(found[1]), int(found[2]), seen, set(re.findall(r"ttl=(\d+)", text))


async def killed_and_back(cloud: Standing, role: str) -> float:
    """kill -9 a process; returns after how many seconds another one of its role was at work."""
    before = cloud.pid(role)
    assert before is not None
    started = time.monotonic()
    os.kill(before, signal.SIGKILL)
    async with asyncio.timeout(30):
        while True:
            await asyncio.sleep(0.05)
            now = await asyncio.to_thread(cloud.pid, role)
            if now in (None, before):
                continue
            try:
                status = await asyncio.to_thread(cloud.status)
            except Exception:
                continue
            applied = status["applied"]
            settled = min(applied["network"], applied["machines"]) >= status["revision"]
            if status["fabric"] == "connected" and settled:
                return time.monotonic() - started


async def write_rules(arm: ArmClient, stop: asyncio.Event) -> dict[str, Any]:
    """Keep writing rules until told to stop; returns what was acknowledged."""
    acknowledged: dict[str, Any] = {}
    number = 0
    while not stop.is_set():
        number += 1
        name = f"rule-{number}"
        properties = {
            "priority": 100 + number, "direction": "Inbound", "access": "Allow", "protocol": "Tcp",
            "sourceAddressPrefix": "10.9.0.0/16", "sourcePortRange": "*",
            "destinationAddressPrefix": "*", "destinationPortRange": str(1000 + number),
        }  # fmt: skip
        response = await insist(arm, "PUT", f"{GROUP}/securityRules/{name}", {"properties": properties})
        assert response.status_code in (200, 201), response.text
        acknowledged[name] = properties
        await asyncio.sleep(0.02)
    return acknowledged


async def finished(arm: ArmClient, path: str) -> dict[str, Any]:
    """The resource once no operation on it is under way."""
    async with asyncio.timeout(30):
        while True:
            document = (await insist(arm, "GET", path)).json()
            if document["properties"]["provisioningState"] not in ("Updating", "Creating"):
                return dict(document)
            await asyncio.sleep(0.1)


async def test_kill_9_of_either_process_three_times() -> None:
    with short_folder() as folder, standing(folder) as cloud:
        async with cloud.client() as arm:
            await peered_pair(arm)
            await arm.put(GROUP, {"location": "eastus2", "properties": {"securityRules": []}})
            ping = await Ping.start(cloud, arm)
            stop = asyncio.Event()
            writing = asyncio.create_task(write_rules(arm, stop))
            await asyncio.sleep(0.5)
            for role in ("control", "fabric") * 3:
                await killed_and_back(cloud, role)
                await asyncio.sleep(0.3)
            stop.set()
            acknowledged = await writing
            sent, received, seen, ttls = await ping.end()

            # The last request may still have been on its way when ping was told to end.
            assert sent - received <= 1, f"{sent - received} of {sent} replies lost"
            assert seen >= set(range(1, sent)), f"lost: {sorted(set(range(1, sent)) - seen)}"
            assert sent > 500
            assert ttls == {"64"}

            document = await finished(arm, GROUP)
            stored = {rule["name"]: rule["properties"] for rule in document["properties"]["securityRules"]}
            assert stored.keys() >= acknowledged.keys()
            for name, properties in acknowledged.items():
                assert stored[name].items() >= properties.items(), name
            for mine, other in (("vnet-1", "vnet-2"), ("vnet-2", "vnet-1")):
                half = f"Microsoft.Network/virtualNetworks/{mine}/virtualNetworkPeerings/{mine}-to-{other}"
                properties = (await arm.get(half))["properties"]
                assert (properties["peeringState"], properties["provisioningState"]) == ("Connected", "Succeeded")
            for machine in ("vm-1", "vm-2"):
                view = await arm.get(f"Microsoft.Compute/virtualMachines/{machine}/instanceView")
                assert "PowerState/running" in [status["code"] for status in view["statuses"]]

            await arm.delete("")
            assert cloud.status()["parts"] == 0
            assert not list((cloud.config.fabric / "machines").iterdir())

"""Azure's DNS as a guest sees it, and after kill -9 of either process.

vm-1, vm-2 ── vnet-1        vm-3 ── vnet-2 (DNS servers of its own)
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest

from azlan.contract.platform import DNS_ADDRESS
from client import ArmClient
from network import template
from probing import within
from standing import PASSWORD, Standing, in_guest, short_folder, standing

pytestmark = pytest.mark.root

VNETS = {
    "vnet-1": {"space": "10.0.0.0/16", "subnets": {"subnet-1": "10.0.0.0/24"}},
    "vnet-2": {"space": "10.1.0.0/16", "subnets": {"subnet-1": "10.1.0.0/24"}, "dns_servers": ["10.1.0.53"]},
}
MACHINES = {"vm-1": "vnet-1/subnet-1", "vm-2": "vnet-1/subnet-1", "vm-3": "vnet-2/subnet-1"}


async def suffix(arm: ArmClient, machine: str) -> str:
    document = await arm.get(f"Microsoft.Network/networkInterfaces/{machine}-nic")
    return str(document["properties"]["dnsSettings"]["internalDomainNameSuffix"])


def asked(namespace: Path, name: str) -> str | None:
    """The address of a name, None where no answer came in time."""

    def query() -> str:
        answer = dns.query.udp(dns.message.make_query(name, "A"), DNS_ADDRESS, timeout=5)
        return str(answer.answer[0][0])

    try:
        return within(namespace, query)
    except dns.exception.DNSException:
        return None


async def killed_and_back(cloud: Standing, role: str) -> None:
    """kill -9 a process, and wait until another one of its role is at work."""
    before = cloud.pid(role)
    assert before is not None
    os.kill(before, signal.SIGKILL)
    async with asyncio.timeout(30):
        while (await asyncio.to_thread(cloud.pid, role)) in (None, before) or not await at_work(cloud):
            await asyncio.sleep(0.02)


async def at_work(cloud: Standing) -> bool:
    try:
        return bool((await asyncio.to_thread(cloud.status))["fabric"] == "connected")
    except Exception:
        return False  # the control process does not listen yet


async def test_names_in_real_machines() -> None:
    with short_folder() as folder, standing(folder) as cloud:
        async with cloud.client() as arm:
            await arm.put("", {"location": "eastus2"})
            properties = {
                "mode": "Incremental",
                "template": template({"vnets": VNETS, "machines": MACHINES}),
                "parameters": {"password": {"value": PASSWORD}},
            }
            await arm.put("Microsoft.Resources/deployments/network", {"properties": properties})
            own = await suffix(arm, "vm-1")

            assert await in_guest(arm, "vm-1", "cat /etc/resolv.conf") == f"search {own}\nnameserver 168.63.129.16"
            assert (await in_guest(arm, "vm-1", "getent hosts vm-2")).split() == ["10.0.0.5", f"vm-2.{own}"]
            assert (await in_guest(arm, "vm-1", "getent hosts 10.0.0.5")).split()[1] == "vm-2.internal.cloudapp.net"
            assert await in_guest(arm, "vm-1", "getent hosts vm-3 || echo none") == "none"
            assert "1 received" in await in_guest(arm, "vm-2", "ping -c 1 vm-1")
            assert await in_guest(arm, "vm-2", f"getent hosts vm-1.{own} | cut -d' ' -f1") == "10.0.0.4"

            theirs = "search reddog.microsoft.com\nnameserver 10.1.0.53"
            assert await in_guest(arm, "vm-3", "cat /etc/resolv.conf") == theirs
            await the_guests_own_file_stays(arm)
            await new_servers_come_with_the_next_start(arm)

            machine = f"machine:{arm.id('Microsoft.Compute/virtualMachines/vm-1').lower()}"
            for role in ("fabric", "control", "fabric"):
                await goes_on_after_the_death_of(cloud, role, cloud.namespace(machine), f"vm-2.{own}")
            assert (await in_guest(arm, "vm-2", "getent hosts vm-1")).split()[0] == "10.0.0.4"


async def goes_on_after_the_death_of(cloud: Standing, role: str, namespace: Path, name: str) -> None:
    """Ask for vm-2 all the time, and wait for each answer as long as a guest does: each comes."""
    stop = asyncio.Event()

    async def keep_asking() -> int:
        missing = 0
        while not stop.is_set():
            missing += await asyncio.to_thread(asked, namespace, name) is None
            await asyncio.sleep(0.02)
        return missing

    asking = asyncio.create_task(keep_asking())
    await asyncio.sleep(0.2)
    await killed_and_back(cloud, role)
    await asyncio.sleep(0.5)
    stop.set()
    lost = await asking
    assert lost == 0, f"{lost} questions lost over the death of the {role} process"
    assert await asyncio.to_thread(asked, namespace, name) == "10.0.0.5"


async def the_guests_own_file_stays(arm: ArmClient) -> None:
    """A resolv.conf that the guest edited outlives a restart, where the network's servers are the same."""
    await in_guest(arm, "vm-2", "echo 'options ndots:2' >> /etc/resolv.conf")
    await arm.post("Microsoft.Compute/virtualMachines/vm-2/restart")
    assert (await in_guest(arm, "vm-2", "tail -1 /etc/resolv.conf")) == "options ndots:2"


async def new_servers_come_with_the_next_start(arm: ArmClient) -> None:
    path = "Microsoft.Network/virtualNetworks/vnet-2"
    document = await arm.get(path)
    document["properties"]["dhcpOptions"] = {"dnsServers": []}
    await arm.put(path, document)
    assert "10.1.0.53" in await in_guest(arm, "vm-3", "cat /etc/resolv.conf")
    await arm.post("Microsoft.Compute/virtualMachines/vm-3/restart")
    own = await suffix(arm, "vm-3")
    assert await in_guest(arm, "vm-3", "cat /etc/resolv.conf") == f"search {own}\nnameserver 168.63.129.16"
    assert (await in_guest(arm, "vm-3", "getent hosts vm-3.internal.cloudapp.net")).split()[0] == "10.1.0.4"

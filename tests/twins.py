"""The tutorial's two networks with a bare machine each, on the bpf engine in the test's own process.

vm-1 10.0.0.4 ── vnet-1 ── (peering) ── vnet-2 ── vm-2 10.1.0.4
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client import ArmClient
from kit import Cloud, cloud
from network import GROUPS, NICS, VMS, VNETS, template
from standing import PASSWORD, tutorial_network
from streams import Flow


@dataclass
class Twins:
    cloud: Cloud

    @property
    def arm(self) -> ArmClient:
        return self.cloud.arm

    @property
    def vm_1(self) -> Path:
        return self.namespace("vm-1")

    @property
    def vm_2(self) -> Path:
        return self.namespace("vm-2")

    def namespace(self, machine: str) -> Path:
        found = self.cloud.namespace(f"machine:{self.arm.id(f'{VMS}/{machine}').lower()}")
        assert found
        return found

    def flow(self, port: int, back: bool = False, fresh: bool = False) -> Flow:
        """UDP from vm-1 to vm-2, or back."""
        if back:
            return Flow(str(self.vm_2), "10.1.0.4", str(self.vm_1), "10.0.0.4", port, fresh)
        return Flow(str(self.vm_1), "10.0.0.4", str(self.vm_2), "10.1.0.4", port, fresh)

    async def peer(self) -> None:
        for mine, other in ((1, 2), (2, 1)):
            await self.arm.put(half(mine, other), peering(self.arm, other))

    async def guard(self, nic: str, group: str) -> None:
        """Associate a NIC with a security group."""
        document = await self.arm.get(f"{NICS}/{nic}")
        document["properties"]["networkSecurityGroup"] = {"id": self.arm.id(f"{GROUPS}/{group}")}
        await self.arm.put(f"{NICS}/{nic}", document)


@asynccontextmanager
async def twins(folder: Path, uplink: Path | None = None, **network: Any) -> AsyncIterator[Twins]:
    """Not yet peered. `network`: more of what a scenario declares."""
    async with cloud(folder, "bpf", uplink=uplink) as made:
        await made.arm.put("", {"location": "eastus2"})
        properties = {
            "mode": "Incremental",
            "template": template({**tutorial_network(), **network}),
            "parameters": {"password": {"value": PASSWORD}},
        }
        await made.arm.put("Microsoft.Resources/deployments/network", {"properties": properties})
        yield Twins(made)


def half(mine: int, other: int) -> str:
    return f"{VNETS}/vnet-{mine}/virtualNetworkPeerings/vnet-{mine}-to-vnet-{other}"


def peering(arm: ArmClient, other: int, access: bool = True) -> dict[str, Any]:
    remote = {"id": arm.id(f"{VNETS}/vnet-{other}")}
    return {"properties": {"remoteVirtualNetwork": remote, "allowVirtualNetworkAccess": access}}


async def carry_out(arm: ArmClient, method: str, path: str, body: Any = None) -> None:
    """A request, and its operation polled until the answer Succeeded; nothing after that."""
    response = await arm.request(method, path, body)
    arm._checked(response)
    if "azure-asyncoperation" in response.headers or response.status_code == 202:
        await arm._polled(response)

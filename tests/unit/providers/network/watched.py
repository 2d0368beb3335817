"""A cloud to look into: two peered networks, a machine in each, and the World that its facts compile to.

10.0.0.0/16  v ── vm-a 10.0.0.4   ═ peered ═   w ── vm-b 10.1.0.4  10.1.0.0/16
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from azlan.compiler.compile import Compiler
from azlan.contract.world import World
from unit.providers.azure import NETWORK, Azure, azure, vm_body

WATCHER = "/subscriptions/{sub}/resourceGroups/NetworkWatcherRG/providers/Microsoft.Network/networkWatchers"


def vnet(prefix: str, **subnet: Any) -> dict[str, Any]:
    """A virtual network of one subnet `s`."""
    inside = prefix.replace(".0.0/16", ".0.0/24")
    return {
        "location": "eastus2",
        "properties": {
            "addressSpace": {"addressPrefixes": [prefix]},
            "subnets": [{"name": "s", "properties": {"addressPrefix": inside, **subnet}}],
        },
    }


def half(remote: str, **flags: bool) -> dict[str, Any]:
    return {
        "properties": {
            "remoteVirtualNetwork": {"id": f"{NETWORK}/virtualNetworks/{remote}"},
            "allowVirtualNetworkAccess": True,
            "allowForwardedTraffic": True,
            **flags,
        }
    }


class Watched:
    """The cloud, and what its watcher is asked."""

    def __init__(self, azure: Azure) -> None:
        self.azure = azure
        self._compiler = Compiler()
        self._facts: Any = None
        azure.cloud.core.runtime = replace(azure.cloud.core.runtime, world=self.world)

    def world(self) -> World:
        self._facts = self.azure.cloud.store.facts(None)
        return Compiler().compile(self._facts)

    @property
    def watcher(self) -> str:
        row = next(iter(self.azure.cloud.store.snapshot.list("Microsoft.Network/networkWatchers")))
        return str(row.id)

    async def machine(self, name: str, vnet: str, location: str = "eastus2", **nic: Any) -> None:
        """A machine that runs, with an interface `{name}-nic` in the subnet of a network."""
        subnet = {"id": f"{NETWORK}/virtualNetworks/{vnet}/subnets/s"}
        config = {"name": "ipconfig1", "properties": {"subnet": subnet}}
        path = f"Microsoft.Network/networkInterfaces/{name}-nic"
        await self.azure.ok("PUT", path, {"location": location, "properties": {"ipConfigurations": [config], **nic}})
        body = vm_body(f"{NETWORK}/networkInterfaces/{name}-nic") | {"location": location}
        await self.azure.ok("PUT", f"Microsoft.Compute/virtualMachines/{name}", body)
        await self.azure.until(f"Microsoft.Compute/virtualMachines/{name}", "Succeeded")
        self.azure.seen(name, "running")

    async def ask(self, action: str, body: Any, **more: Any) -> Any:
        """What an action of the watcher answers in the end."""
        return await self.posted(f"{self.watcher}/{action}", body, **more)

    async def posted(self, path: str, body: Any = None, **more: Any) -> Any:
        answer = await self.azure.call("POST", path, body, **more)
        for _ in range(100):
            if answer.status_code != 202:
                break
            answer = await self.azure.call("GET", answer.headers["location"].split("8443", 1)[1])
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(self, action: str, body: Any) -> tuple[int, str, Any]:
        return await self.azure.error("POST", f"{self.watcher}/{action}", body)


@asynccontextmanager
async def watched() -> AsyncIterator[Watched]:
    """The two networks, peered both ways, and their machines."""
    async with azure() as found:
        made = Watched(found)
        for name, prefix in (("v", "10.0.0.0/16"), ("w", "10.1.0.0/16")):
            await found.ok("PUT", f"Microsoft.Network/virtualNetworks/{name}", vnet(prefix))
        for name, remote in (("v", "w"), ("w", "v")):
            path = f"Microsoft.Network/virtualNetworks/{name}/virtualNetworkPeerings/to-{remote}"
            await found.ok("PUT", path, half(remote))
        await made.machine("vm-a", "v")
        await made.machine("vm-b", "w")
        yield made

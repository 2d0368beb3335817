"""A cloud with every real type, in this process: its API through httpx, its loops played by the test.

Built on the harness of the tests of `arm` (unit/arm/toys.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from azlan.arm.registry import Registry
from azlan.arm.resource import Runtime
from azlan.contract.facts import Machine
from azlan.contract.machine import CommandResult, MachineStatus
from unit.arm.toys import GUEST, OWNER, SUB, Cloud, cloud

__all__ = ["GROUP", "GUEST", "OWNER", "SUB", "Azure", "azure", "vm_body"]

GROUP = f"/subscriptions/{SUB}/resourceGroups/rg"
NETWORK = f"{GROUP}/providers/Microsoft.Network"
COMPUTE = f"{GROUP}/providers/Microsoft.Compute"
VERSION = {
    "microsoft.network": "2024-05-01",
    "microsoft.compute": "2024-07-01",
    "microsoft.resources": "2024-11-01",
    "microsoft.authorization": "2022-04-01",
}


class Guests:
    """Machines that answer commands as they were told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.answer: CommandResult | Exception = CommandResult(exit_status=0, stdout="hi\n", stderr="")

    async def run(self, machine: str, script: str, timeout: float) -> CommandResult:
        self.asked.append((machine, script))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Azure:
    """A cloud and a group `rg` in it. Paths are below the group, or absolute."""

    def __init__(self, cloud: Cloud, guests: Guests) -> None:
        self.cloud = cloud
        self.guests = guests

    @staticmethod
    def path(path: str) -> str:
        full = path if path.startswith("/") else f"{GROUP}/providers/{path}"
        if "api-version=" in full:
            return full
        namespace = full.lower().rsplit("/providers/", 1)[-1].split("/")[0].split("?")[0]
        version = VERSION.get(namespace, "2024-11-01")
        return f"{full}{'&' if '?' in full else '?'}api-version={version}"

    async def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        return await self.cloud.ok(method, self.path(path), body, **more)

    async def error(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, str, Any]:
        return await self.cloud.error(method, self.path(path), body, **more)

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        return await self.cloud.call(method, self.path(path), body, **more)

    def row(self, path: str) -> Any:
        return self.cloud.store.snapshot.rows.get(
            (path if path.startswith("/") else f"{GROUP}/providers/{path}").lower()
        )

    async def until(self, path: str, *states: str) -> Any:
        """The document once its provisioningState is one of those."""
        for _ in range(2000):
            found = await self.ok("GET", path)
            if found["properties"]["provisioningState"] in states:
                return found
            await asyncio.sleep(0.002)
        raise AssertionError(found)

    async def gone(self, path: str) -> None:
        for _ in range(2000):
            if (await self.call("GET", path)).status_code == 404:
                return
            await asyncio.sleep(0.002)
        raise AssertionError(f"{path} is still there")

    async def network(self) -> None:
        """A VNet `v` with a subnet `s`."""
        body = {
            "location": "eastus2",
            "properties": {
                "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
                "subnets": [{"name": "s", "properties": {"addressPrefix": "10.0.0.0/24"}}],
            },
        }
        await self.ok("PUT", "Microsoft.Network/virtualNetworks/v", body)

    async def nic(self, name: str, location: str = "eastus2") -> str:
        subnet = {"id": f"{NETWORK}/virtualNetworks/v/subnets/s"}
        config = {"name": "ipconfig1", "properties": {"subnet": subnet}}
        path = f"Microsoft.Network/networkInterfaces/{name}"
        await self.ok("PUT", path, {"location": location, "properties": {"ipConfigurations": [config]}})
        return f"{NETWORK}/networkInterfaces/{name}"

    async def vm(self, name: str, **more: Any) -> Any:
        """A VM with a NIC of its own, Succeeded."""
        nic = await self.nic(f"{name}-nic")
        await self.ok("PUT", f"Microsoft.Compute/virtualMachines/{name}", vm_body(nic, **more))
        return await self.until(f"Microsoft.Compute/virtualMachines/{name}", "Succeeded")

    def machine(self, name: str) -> Machine | None:
        """The fact of a VM."""
        row = self.row(f"Microsoft.Compute/virtualMachines/{name}")
        declared = self.cloud.core.registry.find("Microsoft.Compute/virtualMachines")
        if row is None or declared is None or row.deleting:
            return None
        (fact,) = declared.facts(row, self.cloud.store.snapshot)
        assert isinstance(fact, Machine)
        return fact

    def seen(self, name: str, power: str, boot: int = 0, **more: Any) -> None:
        """Have the VM's machine seen in a power state."""
        key = f"{COMPUTE}/virtualMachines/{name}".lower()
        status = MachineStatus(machine=f"machine:{key}", power=power, boot=boot, since=1.0, **more)
        self.cloud.store.set_status(status)


def vm_body(nic: str, **properties: Any) -> dict[str, Any]:
    """A VM as users write it; `properties` replace its members."""
    return {
        "location": "eastus2",
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_B1s"},
            "storageProfile": {
                "imageReference": {
                    "publisher": "Canonical",
                    "offer": "ubuntu-24_04-lts",
                    "sku": "server",
                    "version": "latest",
                },
                "osDisk": {"createOption": "FromImage"},
            },
            "osProfile": {"adminUsername": "azureuser", "adminPassword": "Passw0rd!23456"},
            "networkProfile": {"networkInterfaces": [{"id": nic}]},
            **properties,
        },
    }


@asynccontextmanager
async def azure(path: Path | None = None, *, settling: bool = True, group: bool = True) -> AsyncIterator[Azure]:
    """A cloud whose operations end as soon as they are pending, and a group `rg`."""
    async with cloud(path, Registry.discover()) as found:
        guests = Guests()
        found.core.runtime = Runtime(cast(Any, None), cast(Any, guests), "https://localhost:8443")
        if settling:
            found.settle_always()
        if group:
            await found.ok(
                "PUT", f"/subscriptions/{SUB}/resourcegroups/rg?api-version=2024-11-01", {"location": "eastus2"}
            )
        yield Azure(found, guests)

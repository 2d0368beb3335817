"""The rules of networkProfile: which NICs a VM may have."""

from __future__ import annotations

from typing import Any

from unit.providers.azure import NETWORK, Azure, azure, vm_body

VM = "Microsoft.Compute/virtualMachines/vm-1"


def nics(*ids: str, primary: int | None = None) -> dict[str, Any]:
    listed = [{"id": id, "properties": {"primary": at == primary}} for at, id in enumerate(ids)]
    return {"networkInterfaces": listed}


async def refused(cloud: Azure, profile: dict[str, Any], **more: Any) -> tuple[int, str, str]:
    status, code, error = await cloud.error("PUT", VM, vm_body("", networkProfile=profile, **more))
    return status, code, error["message"]


async def test_a_vm_needs_a_nic() -> None:
    async with azure() as cloud:
        words = "Virtual machine vm-1 must have at least one network interface."
        assert (await refused(cloud, {"networkInterfaces": []}))[2] == words
        assert (await refused(cloud, {"networkInterfaces": [{"properties": {"primary": True}}]}))[2] == words


async def test_a_nic_that_does_not_exist() -> None:
    async with azure() as cloud:
        status, code, message = await refused(cloud, nics(f"{NETWORK}/networkInterfaces/none"))
        assert (status, code) == (400, "InvalidResourceReference")
        assert "networkInterfaces/none" in message


async def test_a_nic_belongs_to_one_vm() -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-0")
        status, code, message = await refused(cloud, nics(f"{NETWORK}/networkInterfaces/vm-0-nic"))
        assert (status, code) == (400, "NicInUse")
        assert "is used by existing VM" in message
        status, code, _ = await cloud.error("DELETE", "Microsoft.Network/networkInterfaces/vm-0-nic")
        assert (status, code) == (400, "NicInUse")


async def test_the_primary_nic_comes_first() -> None:
    async with azure() as cloud:
        await cloud.network()
        one, two = await cloud.nic("a"), await cloud.nic("b")
        await cloud.ok("PUT", VM, vm_body("", networkProfile=nics(one, two, primary=1)))
        machine = cloud.machine("vm-1")
        assert machine is not None
        assert machine.nics == (two.lower(), one.lower())


async def test_several_nics_need_a_primary_one() -> None:
    async with azure() as cloud:
        await cloud.network()
        one, two = await cloud.nic("a"), await cloud.nic("b")
        status, code, _ = await refused(cloud, nics(one, two))
        assert (status, code) == (400, "VirtualMachineMustHaveOneNetworkInterfaceAsPrimary")
        status, code, _ = await refused(cloud, nics(one, one, primary=0))
        assert (status, code) == (400, "InvalidParameter")


async def test_a_size_limits_the_nics() -> None:
    async with azure() as cloud:
        await cloud.network()
        ids = [await cloud.nic(f"n{at}") for at in range(3)]
        status, code, message = await refused(cloud, nics(*ids, primary=0))
        assert (status, code) == (400, "NetworkInterfaceCountExceeded")
        assert "The number of network interfaces is 3 and the maximum allowed is 2." in message


async def test_a_nic_in_another_region() -> None:
    async with azure() as cloud:
        await cloud.network()
        nic = await cloud.nic("n")
        body = {**vm_body(nic), "location": "westus"}
        status, code, error = await cloud.error("PUT", VM, body)
        assert (status, code) == (400, "InvalidResourceReference")
        assert error["message"].endswith("exists, and that both resources are in the same region.")


async def test_nics_change_while_the_vm_is_deallocated() -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1")
        own, more = f"{NETWORK}/networkInterfaces/vm-1-nic", await cloud.nic("more")
        status, code, _ = await refused(cloud, nics(own, more, primary=0))
        assert (status, code) == (409, "AddingOrDeletingNetworkInterfacesOnARunningVirtualMachineNotSupported")
        await cloud.call("POST", f"{VM}/deallocate")
        await cloud.ok("PUT", VM, vm_body("", networkProfile=nics(own, more, primary=0)))
        machine = cloud.machine("vm-1")
        assert machine is not None
        assert len(machine.nics) == 2


async def test_nics_made_with_the_vm_are_refused() -> None:
    async with azure() as cloud:
        profile = {"networkApiVersion": "2020-11-01", "networkInterfaceConfigurations": [{"name": "n"}]}
        status, code, message = await refused(cloud, profile)
        assert (status, code) == (400, "InvalidParameter")
        assert "networkInterfaceConfigurations" in message

"""Virtual machines through the API: what is accepted, answered, derived as facts, and gone with them."""

from __future__ import annotations

from typing import Any

import pytest
from passlib.hash import sha512_crypt

from unit.providers.azure import COMPUTE, NETWORK, SUB, azure, vm_body

VM = "Microsoft.Compute/virtualMachines/vm-1"


async def test_a_vm_and_its_implicit_disk() -> None:
    async with azure() as cloud:
        await cloud.network()
        vm = await cloud.vm("vm-1")
        assert "etag" not in vm
        properties = vm["properties"]
        assert properties["osProfile"]["computerName"] == "vm-1"
        assert properties["storageProfile"]["imageReference"]["exactVersion"] == "24.04.202506200"
        disk = properties["storageProfile"]["osDisk"]
        assert disk["name"].startswith("vm-1_OsDisk_1_")
        assert (disk["osType"], disk["caching"], disk["deleteOption"], disk["diskSizeGB"]) == (
            "Linux",
            "ReadWrite",
            "Detach",
            30,
        )
        shown = await cloud.ok("GET", disk["managedDisk"]["id"] + "?api-version=2024-03-02")
        assert shown["managedBy"] == vm["id"]
        assert (shown["properties"]["diskState"], shown["properties"]["osType"]) == ("Attached", "Linux")
        nic = await cloud.ok("GET", "Microsoft.Network/networkInterfaces/vm-1-nic")
        assert nic["properties"]["virtualMachine"]["id"] == vm["id"]


async def test_the_fact_of_a_vm() -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1", hardwareProfile={"vmSize": "standard_d4S_v5"})
        machine = cloud.machine("vm-1")
        assert machine is not None
        assert (machine.kind, machine.image, machine.computer_name) == ("vm", "ubuntu-24.04", "vm-1")
        assert (machine.cpus, machine.memory_mib, machine.power, machine.boot) == (4, 1024, "running", 0)
        assert machine.nics == (f"{NETWORK}/networkInterfaces/vm-1-nic".lower(),)
        assert machine.login is not None
        assert machine.login.username == "azureuser"
        assert sha512_crypt.verify("Passw0rd!23456", machine.login.password_hash or "")


async def test_the_password_is_nowhere_and_custom_data_is_not_shown() -> None:
    async with azure() as cloud:
        await cloud.network()
        profile = {"adminUsername": "azureuser", "adminPassword": "Passw0rd!23456", "customData": "aGVsbG8="}
        vm = await cloud.vm("vm-1", osProfile=profile)
        row = cloud.row(VM)
        assert "Passw0rd" not in repr((row.body, row.state, vm))
        assert "customData" not in vm["properties"]["osProfile"]
        machine = cloud.machine("vm-1")
        assert machine is not None
        assert machine.login is not None
        assert machine.login.custom_data == b"hello"


async def test_the_first_put_is_creating() -> None:
    async with azure(settling=False) as cloud:
        cloud.cloud.settle_always()
        await cloud.network()
        nic = await cloud.nic("n")
        answer = await cloud.call("PUT", VM, vm_body(nic))
        assert answer.status_code == 201
        assert answer.json()["properties"]["provisioningState"] == "Creating"
        assert "azure-asyncoperation" in answer.headers


async def test_putting_a_vm_again_changes_nothing() -> None:
    async with azure() as cloud:
        await cloud.network()
        before = await cloud.vm("vm-1")
        body = vm_body(f"{NETWORK}/networkInterfaces/vm-1-nic")
        answer = await cloud.call("PUT", VM, body)
        assert answer.status_code == 200
        after = await cloud.until(VM, "Succeeded")
        assert after["properties"] == before["properties"]
        disks = await cloud.ok("GET", "Microsoft.Compute/disks")
        assert len(disks["value"]) == 1


async def test_what_a_get_answered_can_be_put_back() -> None:
    """`az vm update` sends the whole document."""
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1")
        document = await cloud.ok("GET", f"{VM}?$expand=instanceView")
        await cloud.ok("PUT", VM, {**document, "tags": {"a": "b"}})
        after = await cloud.until(VM, "Succeeded")
        assert after["tags"] == {"a": "b"}


async def test_resizing_restarts_a_running_vm() -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1")
        await cloud.ok("PATCH", VM, {"properties": {"hardwareProfile": {"vmSize": "Standard_B2s"}}})
        machine = cloud.machine("vm-1")
        assert machine is not None
        assert (machine.cpus, machine.boot) == (2, 1)


@pytest.mark.parametrize(
    ("patch", "target"),
    [
        ({"osProfile": {"adminUsername": "other"}}, "osProfile.adminUsername"),
        ({"osProfile": {"computerName": "other"}}, "osProfile.computerName"),
        (
            {"osProfile": {"linuxConfiguration": {"disablePasswordAuthentication": True}}},
            "linuxConfiguration.disablePasswordAuthentication",
        ),
        ({"storageProfile": {"imageReference": {"sku": "server-gen1"}}}, "imageReference"),
        ({"storageProfile": {"osDisk": {"name": "other"}}}, "osDisk.name"),
    ],
)
async def test_what_a_guest_was_made_with_cannot_change(patch: dict[str, Any], target: str) -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1")
        status, code, error = await cloud.error("PATCH", VM, {"properties": patch})
        assert (status, code) == (409, "PropertyChangeNotAllowed")
        assert error["message"] == f"Changing property '{target}' is not allowed."


@pytest.mark.parametrize(
    ("members", "status", "code", "words"),
    [
        (
            {"hardwareProfile": {"vmSize": "Standard_Z9"}},
            400,
            "InvalidParameter",
            "The value Standard_Z9 provided for the VM size is not valid. The valid sizes in the current region are: ",
        ),
        ({"availabilitySet": {"id": f"{COMPUTE}/availabilitySets/a"}}, 404, "ResourceNotFound", "availabilitySet"),
        ({"securityProfile": {"securityType": "ConfidentialVM"}}, 400, "InvalidParameter", "Confidential"),
        ({"nonsense": 1}, 400, "InvalidRequestFormat", "Cannot parse the request."),
        ({"osProfile": None}, 400, "InvalidParameter", "Required parameter 'osProfile' is missing (null)."),
        ({"networkProfile": None}, 400, "InvalidParameter", "Required parameter 'networkProfile' is missing (null)."),
        ({"storageProfile": None}, 400, "InvalidParameter", "Required parameter 'storageProfile' is missing (null)."),
    ],
)
async def test_refuses(members: dict[str, Any], status: int, code: str, words: str) -> None:
    async with azure() as cloud:
        await cloud.network()
        got = await cloud.error("PUT", VM, vm_body(await cloud.nic("n"), **members))
        assert got[:2] == (status, code)
        assert words in got[2]["message"]
        assert cloud.row(VM) is None
        assert (await cloud.ok("GET", "Microsoft.Compute/disks"))["value"] == []


async def test_names() -> None:
    async with azure() as cloud:
        await cloud.network()
        body = vm_body(await cloud.nic("n"))
        for name in ("-vm", "a" * 65, "vm_.", "v$m"):
            status, code, _ = await cloud.error("PUT", f"Microsoft.Compute/virtualMachines/{name}", body)
            assert (status, code) == (400, "InvalidParameter")


async def test_deleting_leaves_what_is_to_be_detached() -> None:
    async with azure() as cloud:
        await cloud.network()
        vm = await cloud.vm("vm-1")
        assert (await cloud.call("DELETE", VM)).status_code == 202
        await cloud.gone(VM)
        disk = await cloud.ok(
            "GET", vm["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"] + "?api-version=2024-03-02"
        )
        assert disk["properties"]["diskState"] == "Unattached"
        assert "managedBy" not in disk
        nic = await cloud.ok("GET", "Microsoft.Network/networkInterfaces/vm-1-nic")
        assert "virtualMachine" not in nic["properties"]


async def test_deleting_takes_what_is_to_go_with_it() -> None:
    async with azure() as cloud:
        await cloud.network()
        nic = await cloud.nic("n")
        body = vm_body(nic)
        body["properties"]["storageProfile"]["osDisk"]["deleteOption"] = "delete"
        body["properties"]["networkProfile"]["networkInterfaces"][0]["properties"] = {"deleteOption": "Delete"}
        await cloud.ok("PUT", VM, body)
        await cloud.until(VM, "Succeeded")
        await cloud.call("DELETE", VM)
        await cloud.gone(VM)
        await cloud.gone(nic)
        assert (await cloud.ok("GET", "Microsoft.Compute/disks"))["value"] == []


async def test_lists_with_instance_view() -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1")
        cloud.seen("vm-1", "running")
        listed = await cloud.ok("GET", "Microsoft.Compute/virtualMachines?$expand=instanceView")
        (vm,) = listed["value"]
        assert vm["properties"]["instanceView"]["statuses"][1]["code"] == "PowerState/running"


async def test_user_data_is_shown_on_demand() -> None:
    async with azure() as cloud:
        await cloud.network()
        vm = await cloud.vm("vm-1", userData="eA==")
        assert "userData" not in vm["properties"]
        assert (await cloud.ok("GET", f"{VM}?$expand=userData"))["properties"]["userData"] == "eA=="


async def test_a_list_of_statuses_alone() -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1")
        cloud.seen("vm-1", "running")
        every = f"/subscriptions/{SUB}/providers/Microsoft.Compute/virtualMachines"
        (plain,) = (await cloud.ok("GET", f"{every}?api-version=2024-07-01"))["value"]
        assert "instanceView" not in plain["properties"]
        (status,) = (await cloud.ok("GET", f"{every}?statusOnly=true&api-version=2024-07-01"))["value"]
        assert status["id"] == plain["id"]
        codes = {entry["code"] for entry in status["properties"]["instanceView"]["statuses"]}
        assert "PowerState/running" in codes
        assert "storageProfile" not in status["properties"]
        assert "osProfile" not in status["properties"]


@pytest.mark.parametrize(
    ("nic_option", "address_option", "by", "left"),
    [
        ("Delete", "Delete", "the address", set()),
        ("Delete", "delete", "the interface", set()),
        ("Delete", "Detach", "the address", {"publicIPAddresses/p"}),
        ("Detach", "Delete", "the address", {"publicIPAddresses/p", "networkInterfaces/n"}),
    ],
)
async def test_a_public_address_goes_with_the_vm(nic_option: str, address_option: str, by: str, left: set[str]) -> None:
    async with azure() as cloud:
        await cloud.network()
        own = {"deleteOption": address_option} if by == "the address" else {}
        static = {"publicIPAllocationMethod": "Static", **own}
        address = {"location": "eastus2", "sku": {"name": "Standard"}, "properties": static}
        await cloud.ok("PUT", "Microsoft.Network/publicIPAddresses/p", address)
        reference: dict[str, Any] = {"id": f"{NETWORK}/publicIPAddresses/p"}
        if by == "the interface":
            reference["properties"] = {"deleteOption": address_option}
        subnet = {"id": f"{NETWORK}/virtualNetworks/v/subnets/s"}
        config = {"name": "c", "properties": {"subnet": subnet, "publicIPAddress": reference}}
        nic = {"location": "eastus2", "properties": {"ipConfigurations": [config]}}
        await cloud.ok("PUT", "Microsoft.Network/networkInterfaces/n", nic)
        profile = {"id": f"{NETWORK}/networkInterfaces/n", "properties": {"deleteOption": nic_option}}
        machine = vm_body("", networkProfile={"networkInterfaces": [profile]})
        path = "Microsoft.Compute/virtualMachines/vm-1"
        await cloud.ok("PUT", path, machine)
        await cloud.until(path, "Succeeded")
        await cloud.ok("DELETE", path)
        await cloud.gone(path)
        parts = {"publicIPAddresses/p", "networkInterfaces/n"}
        for part in parts - left:
            await cloud.gone(f"Microsoft.Network/{part}")
        for part in left:
            assert (await cloud.until(f"Microsoft.Network/{part}", "Succeeded"))["id"].endswith(part)
        if "networkInterfaces/n" in left:  # one that outlived its machine takes nothing along
            await cloud.ok("DELETE", "Microsoft.Network/networkInterfaces/n")
            await cloud.gone("Microsoft.Network/networkInterfaces/n")
            assert cloud.row("Microsoft.Network/publicIPAddresses/p") is not None

"""The rules of storageProfile: images, OS disks, data disks."""

from __future__ import annotations

from typing import Any

import pytest

from unit.providers.azure import COMPUTE, Azure, azure, vm_body

VM = "Microsoft.Compute/virtualMachines/vm-1"
UBUNTU = {"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"}
FROM_IMAGE = {"createOption": "FromImage"}


async def refused(cloud: Azure, profile: dict[str, Any]) -> tuple[int, str, str]:
    status, code, error = await cloud.error("PUT", VM, vm_body(await cloud.nic("n"), storageProfile=profile))
    return status, code, error["message"]


@pytest.mark.parametrize(
    ("reference", "status", "code", "words"),
    [
        (
            {**UBUNTU, "sku": "99"},
            400,
            "PlatformImageNotFound",
            "The platform image 'Canonical:ubuntu-24_04-lts:99:latest' is not available.",
        ),
        ({**UBUNTU, "version": "1.2.3"}, 400, "PlatformImageNotFound", "is not available"),
        (
            {
                "publisher": "MicrosoftWindowsServer",
                "offer": "WindowsServer",
                "sku": "2022-datacenter-g2",
                "version": "latest",
            },
            400,
            "PlatformImageNotFound",
            "Verify that all fields in the storage profile are correct. For more details about storage profile information, "
            "please refer to https://aka.ms/storageprofile",
        ),
        (
            {"id": f"{COMPUTE}/images/i"},
            404,
            "GalleryImageNotFound",
            f"The gallery image {COMPUTE}/images/i is not available",
        ),
        (None, 400, "InvalidParameter", "imageReference"),
    ],
)
async def test_images_that_are_not_there(reference: Any, status: int, code: str, words: str) -> None:
    async with azure() as cloud:
        await cloud.network()
        got = await refused(cloud, {"imageReference": reference, "osDisk": FROM_IMAGE})
        assert got[:2] == (status, code)
        assert words in got[2]


@pytest.mark.parametrize(
    ("disk", "words"),
    [
        ({"createOption": "Attach"}, "create option 'Attach'"),
        ({"createOption": "FromImage", "vhd": {"uri": "https://x/y.vhd"}}, "Unmanaged disks"),
        (
            {"createOption": "FromImage", "diskSizeGB": 8},
            "8 GB is smaller than the size of the corresponding disk in the VM image",
        ),
    ],
)
async def test_os_disks_that_are_refused(disk: dict[str, Any], words: str) -> None:
    async with azure() as cloud:
        await cloud.network()
        status, code, message = await refused(cloud, {"imageReference": UBUNTU, "osDisk": disk})
        assert (status, code) == (400, "InvalidParameter")
        assert words in message


async def test_an_os_disk_of_ones_own_choice() -> None:
    async with azure() as cloud:
        await cloud.network()
        disk = {
            "createOption": "fromImage",
            "name": "root",
            "caching": "readonly",
            "diskSizeGB": 64,
            "managedDisk": {"storageAccountType": "standardssd_lrs"},
        }
        vm = await cloud.vm("vm-1", storageProfile={"imageReference": UBUNTU, "osDisk": disk})
        shown = vm["properties"]["storageProfile"]["osDisk"]
        assert (shown["createOption"], shown["caching"], shown["name"]) == ("FromImage", "ReadOnly", "root")
        row = cloud.row("Microsoft.Compute/disks/root")
        assert row.body["sku"] == {"name": "StandardSSD_LRS"}
        assert row.properties["diskSizeGB"] == 64
        status, code, error = await cloud.error(
            "PUT",
            "Microsoft.Compute/virtualMachines/vm-2",
            vm_body(await cloud.nic("n2"), storageProfile={"imageReference": UBUNTU, "osDisk": disk}),
        )
        assert (status, code) == (409, "ConflictingUserInput")
        assert (
            error["message"]
            == "Disk 'root' already exists in resource group RG. Only CreateOption.Attach is supported."
        )


async def test_an_os_disk_grows_while_its_vm_is_deallocated() -> None:
    async with azure() as cloud:
        await cloud.network()
        disk = {"createOption": "FromImage", "name": "root", "diskSizeGB": 64}
        vm = await cloud.vm("vm-1", storageProfile={"imageReference": UBUNTU, "osDisk": disk})
        larger = {"properties": {"diskSizeGB": 128}}
        in_vm = {"properties": {"storageProfile": {"osDisk": {"diskSizeGB": 256}}}}
        for path, body in (("Microsoft.Compute/disks/root", larger), (VM, in_vm)):
            status, code, error = await cloud.error("PATCH", path, body)
            assert (status, code) == (409, "OperationNotAllowed")
            words = f"Cannot resize disk root while it is attached to running VM {vm['id']}. "
            assert error["message"].startswith(words)
        await cloud.ok("PATCH", "Microsoft.Compute/disks/root", {"tags": {"a": "b"}})
        await cloud.ok("POST", f"{VM}/deallocate")
        await cloud.ok("PATCH", "Microsoft.Compute/disks/root", larger)
        await cloud.ok("PATCH", VM, in_vm)
        assert (await cloud.ok("GET", "Microsoft.Compute/disks/root"))["properties"]["diskSizeGB"] == 256
        in_vm["properties"]["storageProfile"]["osDisk"]["diskSizeGB"] = 200
        assert (await cloud.error("PATCH", VM, in_vm))[:2] == (409, "OperationNotAllowed")


async def test_data_disks() -> None:
    async with azure() as cloud:
        await cloud.network()
        empty = {"creationData": {"createOption": "Empty"}, "diskSizeGB": 16}
        await cloud.ok("PUT", "Microsoft.Compute/disks/mine", {"location": "eastus2", "properties": empty})
        profile = {
            "imageReference": UBUNTU,
            "osDisk": FROM_IMAGE,
            "dataDisks": [
                {"lun": 0, "createOption": "Empty", "diskSizeGB": 8},
                {"lun": 1, "createOption": "attach", "managedDisk": {"id": f"{COMPUTE}/disks/mine"}},
            ],
        }
        vm = await cloud.vm("vm-1", storageProfile=profile)
        first, second = vm["properties"]["storageProfile"]["dataDisks"]
        assert first["name"].startswith("vm-1_disk2_")
        assert (second["name"], second["diskSizeGB"], second["createOption"]) == ("mine", 16, "Attach")
        status, code, error = await cloud.error("DELETE", "Microsoft.Compute/disks/mine")
        assert (status, code) == (409, "OperationNotAllowed")
        assert error["message"] == f"Disk mine is attached to VM {COMPUTE}/virtualMachines/vm-1."
        taken = {"imageReference": UBUNTU, "osDisk": FROM_IMAGE, "dataDisks": profile["dataDisks"][1:]}
        status, code, error = await cloud.error(
            "PUT", "Microsoft.Compute/virtualMachines/vm-2", vm_body(await cloud.nic("n2"), storageProfile=taken)
        )
        assert (status, code) == (409, "ConflictingUserInput")
        owner = f"{COMPUTE}/virtualMachines/vm-1"
        assert error["message"] == (
            f"Disk '{COMPUTE}/disks/mine' cannot be attached as the disk is already owned by VM '{owner}'."
        )


async def test_the_same_template_twice_keeps_its_disks() -> None:
    async with azure() as cloud:
        await cloud.network()
        profile = {
            "imageReference": UBUNTU,
            "osDisk": FROM_IMAGE,
            "dataDisks": [{"lun": 0, "createOption": "Empty", "diskSizeGB": 4}],
        }
        body = vm_body(await cloud.nic("n"), storageProfile=profile)
        await cloud.ok("PUT", VM, body)
        (first,) = (await cloud.until(VM, "Succeeded"))["properties"]["storageProfile"]["dataDisks"]
        await cloud.ok("PUT", VM, body)
        (again,) = (await cloud.until(VM, "Succeeded"))["properties"]["storageProfile"]["dataDisks"]
        assert again == first
        assert len((await cloud.ok("GET", f"{COMPUTE}/disks"))["value"]) == 2


async def test_where_disks_are_is_told_once_they_are_made() -> None:
    async with azure() as cloud:
        await cloud.network()
        disks = [{"lun": 0, "createOption": "Empty", "diskSizeGB": 4}]
        profile = {"imageReference": UBUNTU, "osDisk": {**FROM_IMAGE, "name": "root"}, "dataDisks": disks}
        answer = await cloud.call("PUT", VM, vm_body(await cloud.nic("n"), storageProfile=profile))
        shown = answer.json()["properties"]["storageProfile"]
        assert "id" not in shown["osDisk"]["managedDisk"]
        assert (shown["osDisk"]["name"], "name" in shown["dataDisks"][0]) == ("root", False)


async def test_data_disks_are_attached_kept_and_detached() -> None:
    async with azure() as cloud:
        await cloud.network()
        for name, location in (("one", "eastus2"), ("two", "eastus2"), ("far", "westus")):
            empty = {"creationData": {"createOption": "Empty"}, "diskSizeGB": 16}
            await cloud.ok("PUT", f"Microsoft.Compute/disks/{name}", {"location": location, "properties": empty})
        vm = await cloud.vm("vm-1")
        path, profile = "Microsoft.Compute/virtualMachines/vm-1", vm["properties"]["storageProfile"]
        nics = vm["properties"]["networkProfile"]

        async def put(disks: list[Any]) -> Any:
            document = {"storageProfile": {**profile, "dataDisks": disks}, "networkProfile": nics}
            return await cloud.call("PUT", path, {"location": "eastus2", "properties": document})

        def disk(name: str, lun: int, **more: Any) -> dict[str, Any]:
            managed = {"id": f"{COMPUTE}/disks/{name}"}
            return {"lun": lun, "createOption": "Attach", "managedDisk": managed, **more}

        assert (await put([disk("one", 0), disk("two", 5, deleteOption="Delete")])).status_code < 300
        kept = (await cloud.until(path, "Succeeded"))["properties"]["storageProfile"]["dataDisks"]
        assert [(d["name"], d["lun"], d["deleteOption"]) for d in kept] == [("one", 0, "Detach"), ("two", 5, "Delete")]
        assert (await cloud.ok("GET", "Microsoft.Compute/disks/two"))["properties"]["diskState"] == "Attached"
        refused = {
            "PropertyChangeNotAllowed": [{**disk("one", 0), "name": "other"}, kept[1]],
            "Conflict": [kept[0], disk("far", 1)],
            "InvalidParameter": [disk("one", 0, toBeDetached=True, detachOption="Softly"), kept[1]],
        }
        for code, disks in refused.items():
            assert (await put(disks)).json()["error"]["code"] == code
        assert (
            await put([{**kept[0], "toBeDetached": True, "detachOption": "ForceDetach"}, kept[1]])
        ).status_code < 300
        left = (await cloud.until(path, "Succeeded"))["properties"]["storageProfile"]["dataDisks"]
        assert [d["name"] for d in left] == ["two"]
        assert (await cloud.ok("GET", "Microsoft.Compute/disks/one"))["properties"]["diskState"] == "Unattached"
        await cloud.ok("DELETE", path)
        await cloud.gone("Microsoft.Compute/disks/two")
        assert (await cloud.ok("GET", "Microsoft.Compute/disks/one"))["name"] == "one"


@pytest.mark.parametrize(
    ("disks", "words"),
    [
        ([{"lun": 0, "createOption": "Empty"}], "dataDisk.diskSizeGB"),
        ([{"lun": 0, "createOption": "Empty", "diskSizeGB": 1}] * 2, "A disk at LUN 0 already exists."),
        ([{"lun": 0, "createOption": "Copy"}], "create option 'Copy'"),
        (
            [{"lun": n, "createOption": "Empty", "diskSizeGB": 1} for n in range(3)],
            "allowed to be attached to a VM of this size is 2",
        ),
    ],
)
async def test_data_disks_that_are_refused(disks: list[Any], words: str) -> None:
    async with azure() as cloud:
        await cloud.network()
        _, _, message = await refused(cloud, {"imageReference": UBUNTU, "osDisk": FROM_IMAGE, "dataDisks": disks})
        assert words in message


async def test_a_data_disk_that_does_not_exist() -> None:
    async with azure() as cloud:
        await cloud.network()
        disks = [{"lun": 0, "createOption": "Attach", "managedDisk": {"id": f"{COMPUTE}/disks/none"}}]
        _, code, message = await refused(cloud, {"imageReference": UBUNTU, "osDisk": FROM_IMAGE, "dataDisks": disks})
        assert code == "InvalidResourceReference"
        assert "disks/none" in message

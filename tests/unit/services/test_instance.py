"""What a machine is told of itself: members by version, and where each comes from."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from azlan.services.instance import VERSIONS, instance, load_balancer
from unit.providers.azure import COMPUTE, NETWORK, SUB, azure, vm_body
from unit.providers.network.watched import Watched

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGk2GNMCmJkXPJHHRQH9+TM4CRrsq/7BL0wp+P6rCIWH me"
VM = f"machine:{COMPUTE}/virtualMachines/vm-1".lower()


def told(cloud: Watched, version: str = VERSIONS[-1]) -> Any:
    document = instance(cloud.world(), cloud.azure.cloud.store.snapshot, VM, version)
    assert document is not None
    return document


def names(document: Any, path: str = "") -> set[str]:
    """Paths of all leaves, elements of lists as one."""
    if isinstance(document, dict):
        return {found for name, below in document.items() for found in names(below, f"{path}.{name}".strip("."))}
    if isinstance(document, list):
        return {found for item in document for found in names(item, path)}
    assert isinstance(document, str), f"{path} is no text"
    return {path}


async def standing(cloud: Watched, **properties: Any) -> None:
    """vm-1 in v with all that can be said of a machine."""
    azure = cloud.azure
    await azure.network()
    nic = await azure.nic("vm-1-nic")
    disks = [{"lun": 3, "createOption": "Empty", "diskSizeGB": 64, "name": "data"}]
    linux = {"disablePasswordAuthentication": True, "ssh": {"publicKeys": [{"keyData": KEY}]}}
    body = vm_body(nic, **properties)
    body["properties"]["osProfile"] = {"computerName": "web", "adminUsername": "azureuser", "linuxConfiguration": linux}
    body["properties"]["storageProfile"]["dataDisks"] = disks
    body["properties"] |= {"userData": "aGVsbG8=", "hardwareProfile": {"vmSize": "Standard_D2s_v3"}}
    body |= {"tags": {"stage": "test", "Department": "IT"}, "zones": ["2"]}
    await azure.ok("PUT", "Microsoft.Compute/virtualMachines/vm-1", body)
    await azure.until("Microsoft.Compute/virtualMachines/vm-1", "Succeeded")


async def test_all_of_compute_at_the_newest_version() -> None:
    async with azure() as inner:
        cloud = Watched(inner)
        await standing(cloud)
        vm = await inner.ok("GET", "Microsoft.Compute/virtualMachines/vm-1")
        compute = told(cloud)["compute"]
        assert list(compute) == sorted(compute)
        del compute["storageProfile"]
        assert compute == {
            "additionalCapabilities": {"hibernationEnabled": "false"},
            "azEnvironment": "AzurePublicCloud",
            "customData": "",
            "evictionPolicy": "",
            "extendedLocation": {"name": "", "type": ""},
            "host": {"id": ""},
            "hostGroup": {"id": ""},
            "isHostCompatibilityLayerVm": "false",
            "licenseType": "",
            "location": "eastus2",
            "name": "vm-1",
            "offer": "ubuntu-24_04-lts",
            "osProfile": {
                "adminUsername": "azureuser",
                "computerName": "web",
                "disablePasswordAuthentication": "true",
            },
            "osType": "Linux",
            "physicalZone": "eastus2-az2",
            "placementGroupId": "",
            "plan": {"name": "", "product": "", "publisher": ""},
            "platformFaultDomain": "0",
            "platformSubFaultDomain": "",
            "platformUpdateDomain": "0",
            "priority": "",
            "provider": "Microsoft.Compute",
            "publicKeys": [{"keyData": KEY, "path": "/home/azureuser/.ssh/authorized_keys"}],
            "publisher": "Canonical",
            "resourceGroupName": "rg",
            "resourceId": f"{COMPUTE}/virtualMachines/vm-1",
            "securityProfile": {
                "encryptionAtHost": "false",
                "secureBootEnabled": "false",
                "securityType": "",
                "virtualTpmEnabled": "false",
            },
            "sku": "server",
            "subscriptionId": SUB,
            "tags": "Department:IT;stage:test",
            "tagsList": [{"name": "Department", "value": "IT"}, {"name": "stage", "value": "test"}],
            "userData": "aGVsbG8=",
            "version": "24.04.202506200",
            "virtualMachineScaleSet": {"id": ""},
            "vmId": vm["properties"]["vmId"],
            "vmScaleSetName": "",
            "vmSize": "Standard_D2s_v3",
            "zone": "2",
        }


async def test_all_of_storage_at_the_newest_version() -> None:
    async with azure() as inner:
        cloud = Watched(inner)
        await standing(cloud)
        vm = await inner.ok("GET", "Microsoft.Compute/virtualMachines/vm-1")
        storage = vm["properties"]["storageProfile"]
        disk = {"image": {"uri": ""}, "vhd": {"uri": ""}, "writeAcceleratorEnabled": "false"}
        no_key = {"sourceVault": {"id": ""}}
        assert told(cloud)["compute"]["storageProfile"] == {
            "dataDisks": [
                disk
                | {
                    "bytesPerSecondThrottle": "",
                    "caching": "None",
                    "createOption": "Empty",
                    "diskCapacityBytes": "",
                    "diskSizeGB": "64",
                    "isSharedDisk": "",
                    "isUltraDisk": "false",
                    "lun": "3",
                    "managedDisk": {
                        "id": storage["dataDisks"][0]["managedDisk"]["id"],
                        "storageAccountType": "Premium_LRS",
                    },
                    "name": "data",
                    "opsPerSecondThrottle": "",
                }
            ],
            "imageReference": {
                "communityGalleryImageId": "",
                "exactVersion": "24.04.202506200",
                "id": "",
                "offer": "ubuntu-24_04-lts",
                "publisher": "Canonical",
                "sharedGalleryImageId": "",
                "sku": "server",
                "version": "latest",
            },
            "osDisk": disk
            | {
                "caching": "ReadWrite",
                "createOption": "FromImage",
                "diffDiskSettings": {"option": ""},
                "diskSizeGB": "30",
                "encryptionSettings": {
                    "diskEncryptionKey": no_key | {"secretUrl": ""},
                    "enabled": "false",
                    "keyEncryptionKey": no_key | {"keyUrl": ""},
                },
                "managedDisk": {
                    "id": storage["osDisk"]["managedDisk"]["id"],
                    "storageAccountType": storage["osDisk"]["managedDisk"]["storageAccountType"],
                },
                "name": storage["osDisk"]["name"],
                "osType": "Linux",
            },
            "resourceDisk": {"size": "0"},
        }


async def test_all_of_the_network() -> None:
    async with azure() as inner:
        cloud = Watched(inner)
        await standing(cloud)
        nic = await inner.ok("GET", "Microsoft.Network/networkInterfaces/vm-1-nic")
        assert told(cloud)["network"] == {
            "interface": [
                {
                    "ipv4": {
                        "ipAddress": [{"privateIpAddress": "10.0.0.4", "publicIpAddress": ""}],
                        "subnet": [{"address": "10.0.0.0", "prefix": "24"}],
                    },
                    "ipv6": {"ipAddress": []},
                    "macAddress": nic["properties"]["macAddress"].replace("-", ""),
                }
            ]
        }


FIRST = (
    *("location", "name", "offer", "osType", "platformFaultDomain", "platformUpdateDomain", "publisher", "sku"),
    *("version", "vmId", "vmSize"),
)


@pytest.mark.parametrize(
    ("version", "members"),
    [  # of the first, the second and the last, users' own answers from Azure
        ("2017-04-02", set(FIRST)),
        ("2017-08-01", {*FIRST, "placementGroupId", "resourceGroupName", "subscriptionId", "tags"}),
        (
            "2021-05-01",
            {
                *FIRST,
                *("azEnvironment", "customData", "evictionPolicy", "extendedLocation", "isHostCompatibilityLayerVm"),
                *("licenseType", "osProfile", "placementGroupId", "plan", "priority", "provider", "publicKeys"),
                *("resourceGroupName", "resourceId", "securityProfile", "storageProfile", "subscriptionId", "tags"),
                *("tagsList", "userData", "virtualMachineScaleSet", "vmScaleSetName", "zone"),
            },
        ),
    ],
)
async def test_members_that_there_were_at_a_version(version: str, members: set[str]) -> None:
    async with azure() as inner:
        cloud = Watched(inner)
        await standing(cloud)
        assert set(told(cloud, version)["compute"]) == members


async def test_each_version_has_all_that_those_before_had() -> None:
    async with azure() as inner:
        cloud = Watched(inner)
        await standing(cloud)
        documents = [names(told(cloud, version)) for version in VERSIONS]
        assert tuple(sorted(set(VERSIONS))) == VERSIONS
        for before, after in pairwise(documents):
            assert before <= after
        gained = {version: len(found) for version, found in zip(VERSIONS, documents, strict=True)}
        assert gained["2020-07-15"] - gained["2020-06-01"] == len({"adminUsername", "computerName"})
        assert gained["2020-10-01"] - gained["2020-09-01"] == len({"disablePasswordAuthentication"})
        assert gained["2021-12-13"] - gained["2021-11-15"] == len({"securityType"})
        assert gained["2023-07-01"] - gained["2021-12-13"] == len({"communityGallery", "sharedGallery", "exactVersion"})


@pytest.mark.parametrize("sku", ["Basic", "Standard"])
async def test_a_public_address_is_shown_by_its_sku(sku: str) -> None:
    async with azure() as inner:
        cloud = Watched(inner)
        await standing(cloud)
        body = {"location": "eastus2", "sku": {"name": sku}, "properties": {"publicIPAllocationMethod": "Static"}}
        await inner.ok("PUT", "Microsoft.Network/publicIPAddresses/ip", body)
        public = await inner.until("Microsoft.Network/publicIPAddresses/ip", "Succeeded")
        path = "Microsoft.Network/networkInterfaces/vm-1-nic"
        nic = await inner.ok("GET", path)
        nic["properties"]["ipConfigurations"][0]["properties"]["publicIPAddress"] = {"id": public["id"]}
        await inner.ok("PUT", path, nic)
        address = public["properties"]["ipAddress"]
        shown = told(cloud)["network"]["interface"][0]["ipv4"]["ipAddress"]
        assert shown == [{"privateIpAddress": "10.0.0.4", "publicIpAddress": address if sku == "Basic" else ""}]
        balancer = load_balancer(cloud.world(), inner.cloud.store.snapshot, VM)
        if sku == "Basic":
            assert balancer is None
        else:
            listed = [{"frontendIpAddress": address, "privateIpAddress": "10.0.0.4"}]
            assert balancer == {"loadbalancer": {"inboundRules": [], "outboundRules": [], "publicIpAddresses": listed}}


async def test_the_primary_interface_comes_first() -> None:
    async with azure() as inner:
        cloud = Watched(inner)
        await inner.network()
        nics = [await inner.nic(f"nic-{number}") for number in range(2)]
        body = vm_body(nics[0])
        body["properties"]["networkProfile"]["networkInterfaces"] = [
            {"id": nics[0], "properties": {"primary": False}},
            {"id": nics[1], "properties": {"primary": True}},
        ]
        await inner.ok("PUT", "Microsoft.Compute/virtualMachines/vm-1", body)
        found = told(cloud)["network"]["interface"]
        assert [one["ipv4"]["ipAddress"][0]["privateIpAddress"] for one in found] == ["10.0.0.5", "10.0.0.4"]


async def test_nothing_of_a_machine_that_is_gone_or_none() -> None:
    async with azure() as inner:
        cloud = Watched(inner)
        await standing(cloud)
        world, read = cloud.world(), inner.cloud.store.snapshot
        assert instance(world, read, "machine:/gone", VERSIONS[-1]) is None
        assert instance(world, read, f"nic:{NETWORK}/networkInterfaces/vm-1-nic".lower(), VERSIONS[-1]) is None
        assert load_balancer(world, read, "machine:/gone") is None

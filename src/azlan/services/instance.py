"""What the instance metadata service says of one machine: documents from the World and the store's snapshot. No I/O.

Follows instance-metadata-service ("Instance metadata", "Supported API versions") and the specification's imds.json: all
primitives are text, what does not apply is empty, and a member is there from the version on that brought it. Members that
the page leaves out are as users of Azure have published them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from azlan.arm.resource import Json, Read, Row
from azlan.contract.world import Machine, Nic, NicAddress, PartKey, World
from azlan.providers.compute.storage import os_disk_gib

VERSIONS = (
    *("2017-03-01", "2017-04-02", "2017-08-01", "2017-10-01", "2017-12-01", "2018-02-01", "2018-04-02", "2018-10-01"),
    *("2019-02-01", "2019-03-11", "2019-04-30", "2019-06-01", "2019-06-04", "2019-08-01", "2019-08-15", "2019-11-01"),
    *("2020-06-01", "2020-07-15", "2020-09-01", "2020-10-01", "2020-12-01", "2021-01-01", "2021-02-01", "2021-03-01"),
    *("2021-05-01", "2021-08-01", "2021-10-01", "2021-11-01", "2021-11-15", "2021-12-13", "2023-07-01", "2023-11-15"),
    *("2024-03-15", "2024-07-17", "2025-04-07"),
)
"""Oldest first."""

_IMAGE = "compute.storageProfile.imageReference"
_OS_DISK = "compute.storageProfile.osDisk"
_DATA_DISK = "compute.storageProfile.dataDisks"
_SINCE = {
    "compute.additionalCapabilities": "2021-11-01",
    "compute.azEnvironment": "2018-10-01",
    "compute.customData": "2019-02-01",
    "compute.evictionPolicy": "2020-12-01",
    "compute.extendedLocation": "2021-03-01",
    "compute.host": "2021-11-15",
    "compute.hostGroup": "2021-11-15",
    "compute.isHostCompatibilityLayerVm": "2020-06-01",
    "compute.licenseType": "2020-09-01",
    "compute.osProfile": "2020-07-15",
    "compute.osProfile.disablePasswordAuthentication": "2020-10-01",
    "compute.physicalZone": "2023-11-15",
    "compute.placementGroupId": "2017-08-01",
    "compute.plan": "2018-04-02",
    "compute.platformSubFaultDomain": "2021-10-01",
    "compute.priority": "2020-12-01",
    "compute.provider": "2018-10-01",
    "compute.publicKeys": "2018-04-02",
    "compute.resourceGroupName": "2017-08-01",
    "compute.resourceId": "2019-03-11",
    "compute.securityProfile": "2020-06-01",
    "compute.securityProfile.encryptionAtHost": "2021-11-01",
    "compute.securityProfile.securityType": "2021-12-13",
    "compute.storageProfile": "2019-06-01",
    "compute.storageProfile.resourceDisk": "2021-02-01",
    "compute.subscriptionId": "2017-08-01",
    "compute.tags": "2017-08-01",
    "compute.tagsList": "2019-06-04",
    "compute.userData": "2021-01-01",
    "compute.virtualMachineScaleSet": "2021-03-01",
    "compute.vmScaleSetName": "2017-12-01",
    "compute.zone": "2017-12-01",
    f"{_IMAGE}.communityGalleryImageId": "2023-07-01",
    f"{_IMAGE}.exactVersion": "2023-07-01",
    f"{_IMAGE}.sharedGalleryImageId": "2023-07-01",
    f"{_OS_DISK}.encryptionSettings.diskEncryptionKey": "2021-11-01",
    f"{_OS_DISK}.encryptionSettings.keyEncryptionKey": "2021-11-01",
    f"{_DATA_DISK}.bytesPerSecondThrottle": "2021-05-01",
    f"{_DATA_DISK}.diskCapacityBytes": "2021-05-01",
    f"{_DATA_DISK}.isSharedDisk": "2021-05-01",
    f"{_DATA_DISK}.isUltraDisk": "2021-05-01",
    f"{_DATA_DISK}.opsPerSecondThrottle": "2021-05-01",
}
"""The version that brought a member; the others are as old as the service. Below lists, elements are not counted."""

_ULTRA = "UltraSSD_LRS"
_PUBLIC = "Microsoft.Network/publicIPAddresses"


def instance(world: World, read: Read, machine: PartKey, version: str) -> Json | None:
    """`/metadata/instance` of a machine, members in the order of their names; None where the machine is gone."""
    part, row = world.parts.get(machine), read.get(machine.removeprefix("machine:"))
    if not isinstance(part, Machine) or row is None:
        return None
    document = {
        "compute": _compute(row, read),
        "network": {"interface": [_interface(n, read) for n in _nics(world, part)]},
    }
    return dict(_at(document, version, ""))


def load_balancer(world: World, read: Read, machine: PartKey) -> Json | None:
    """`/metadata/loadbalancer` of a machine: its Standard public IPs, as there are no load balancers; None without any.

    Follows howto-load-balancer-imds.
    """
    part = world.parts.get(machine)
    found = [
        {"frontendIpAddress": entry.public, "privateIpAddress": entry.private}
        for nic in (_nics(world, part) if isinstance(part, Machine) else ())
        for entry in nic.addresses
        if entry.public and not _is_basic(nic, entry, read)
    ]
    if not found:
        return None
    return {"loadbalancer": {"inboundRules": [], "outboundRules": [], "publicIpAddresses": found}}


def _at(value: Any, version: str, path: str) -> Any:
    """What of a document there was at a version."""
    if isinstance(value, dict):
        names = [(name, f"{path}.{name}" if path else name) for name in sorted(value)]
        return {name: _at(value[name], version, below) for name, below in names if _SINCE.get(below, "") <= version}
    return [_at(item, version, path) for item in value] if isinstance(value, list) else value


# Compute


def _text(value: object) -> str:
    """All primitives are text; what there is nothing of is empty."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _texts(given: Mapping[str, Any] | None, *names: str) -> Json:
    return {name: _text((given or {}).get(name)) for name in names}


def _compute(row: Row, read: Read) -> Json:
    properties, body = row.properties, row.body
    profile, image = properties["osProfile"], properties["storageProfile"]["imageReference"]
    linux = profile.get("linuxConfiguration") or {}
    location = str(body.get("location", "")).lower().replace(" ", "")
    zone = next(iter(body.get("zones") or ()), "")
    tags = sorted((body.get("tags") or {}).items())
    return {
        **_texts(properties, "evictionPolicy", "licenseType", "platformSubFaultDomain", "priority", "userData"),
        "additionalCapabilities": {
            "hibernationEnabled": _flag(properties.get("additionalCapabilities"), "hibernationEnabled")
        },
        "azEnvironment": "AzurePublicCloud",
        "customData": "",
        "extendedLocation": _texts(body.get("extendedLocation"), "name", "type"),
        "host": {"id": ""},
        "hostGroup": {"id": ""},
        "isHostCompatibilityLayerVm": "false",
        "location": location,
        "name": row.id.name,
        "offer": _text(image.get("offer")),
        "osProfile": {
            **_texts(profile, "adminUsername", "computerName"),
            "disablePasswordAuthentication": _flag(linux, "disablePasswordAuthentication"),
        },
        "osType": "Linux",
        "physicalZone": f"{location}-az{zone}" if zone else "",
        "placementGroupId": "",
        "plan": _texts(body.get("plan"), "name", "product", "publisher"),
        "platformFaultDomain": _text(properties.get("platformFaultDomain") or 0),
        "platformUpdateDomain": "0",
        "provider": "Microsoft.Compute",
        "publicKeys": [_texts(key, "keyData", "path") for key in (linux.get("ssh") or {}).get("publicKeys") or ()],
        "publisher": _text(image.get("publisher")),
        "resourceGroupName": _text(row.id.group),
        "resourceId": str(row.id),
        "securityProfile": _security(properties.get("securityProfile") or {}),
        "sku": _text(image.get("sku")),
        "storageProfile": _storage(row, read),
        "subscriptionId": row.id.subscription,
        "tags": ";".join(f"{name}:{value}" for name, value in tags),
        "tagsList": [{"name": name, "value": _text(value)} for name, value in tags],
        "version": _text(row.state.get("exactVersion", image.get("version"))),
        "virtualMachineScaleSet": {"id": ""},
        "vmId": row.state["vmId"],
        "vmScaleSetName": "",
        "vmSize": properties["hardwareProfile"]["vmSize"],
        "zone": zone,
    }


def _flag(given: Mapping[str, Any] | None, name: str) -> str:
    return _text(bool((given or {}).get(name)))


def _security(profile: Mapping[str, Any]) -> Json:
    uefi = profile.get("uefiSettings") or {}
    kind = profile.get("securityType")
    return {
        "encryptionAtHost": _flag(profile, "encryptionAtHost"),
        "secureBootEnabled": _flag(uefi, "secureBootEnabled"),
        "securityType": "" if kind == "Standard" else _text(kind),
        "virtualTpmEnabled": _flag(uefi, "vTpmEnabled"),
    }


def _storage(row: Row, read: Read) -> Json:
    profile = row.properties["storageProfile"]
    image, disk = profile["imageReference"], profile["osDisk"]
    return {
        "dataDisks": [_data_disk(entry) for entry in profile.get("dataDisks") or ()],
        "imageReference": {
            **_texts(
                image, "communityGalleryImageId", "id", "offer", "publisher", "sharedGalleryImageId", "sku", "version"
            ),
            "exactVersion": _text(row.state.get("exactVersion", image.get("version"))),
        },
        "osDisk": {
            **_disk(disk),
            "diffDiskSettings": {"option": _text((disk.get("diffDiskSettings") or {}).get("option"))},
            "diskSizeGB": _text(os_disk_gib(disk, read)),
            "encryptionSettings": {
                "enabled": "false",
                "diskEncryptionKey": {"sourceVault": {"id": ""}, "secretUrl": ""},
                "keyEncryptionKey": {"sourceVault": {"id": ""}, "keyUrl": ""},
            },
            "osType": "Linux",
        },
        "resourceDisk": {"size": "0"},  # whatever its size has in Azure: the guest has none
    }


def _disk(disk: Mapping[str, Any]) -> Json:
    """What an OS disk and a data disk have alike."""
    return {
        **_texts(disk, "caching", "createOption", "name"),
        "image": _texts(disk.get("image"), "uri"),
        "managedDisk": _texts(disk.get("managedDisk"), "id", "storageAccountType"),
        "vhd": _texts(disk.get("vhd"), "uri"),
        "writeAcceleratorEnabled": _flag(disk, "writeAcceleratorEnabled"),
    }


def _data_disk(disk: Mapping[str, Any]) -> Json:
    """What only Ultra Disks say is empty for all others."""
    ultra = (disk.get("managedDisk") or {}).get("storageAccountType") == _ULTRA
    size = disk.get("diskSizeGB")
    return {
        **_disk(disk),
        **_texts(disk, "diskSizeGB", "lun"),
        "bytesPerSecondThrottle": "",
        "diskCapacityBytes": _text(int(size) << 30) if ultra and size else "",
        "isSharedDisk": "false" if ultra else "",
        "isUltraDisk": _text(ultra),
        "opsPerSecondThrottle": "",
    }


# Network


def _nics(world: World, machine: Machine) -> Sequence[Nic]:
    """The primary one first."""
    return [nic for key in machine.nics if isinstance(nic := world.parts.get(key), Nic)]


def _interface(nic: Nic, read: Read) -> Json:
    v4 = [entry for entry in nic.addresses if ":" not in entry.private]
    subnets = {str(ip_network(f"{entry.private}/{nic.prefix_length}", strict=False)): None for entry in v4}
    return {
        "ipv4": {
            "ipAddress": [
                {
                    "privateIpAddress": entry.private,
                    "publicIpAddress": entry.public if entry.public and _is_basic(nic, entry, read) else "",
                }
                for entry in v4
            ],
            "subnet": [dict(zip(("address", "prefix"), net.split("/"), strict=True)) for net in subnets],
        },
        "ipv6": {"ipAddress": [{"privateIpAddress": entry.private} for entry in nic.addresses if ":" in entry.private]},
        "macAddress": nic.mac.replace(":", "").replace("-", "").upper(),
    }


def _is_basic(nic: Nic, entry: NicAddress, read: Read) -> bool:
    """Whether a public IP is of the Basic SKU: those of other SKUs are shown with the load balancer's data alone."""
    row = read.get(nic.id)
    for _, target in row.refs if row else ():
        public = read.get(target)
        if public is not None and public.type == _PUBLIC and public.state.get("ipAddress") == entry.public:
            return str((public.body.get("sku") or {}).get("name", "Basic")) == "Basic"
    return False

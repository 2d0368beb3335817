"""A VM's `storageProfile`: the image it is made from and its disks, implicit ones included.

Follows Microsoft.Compute's StorageProfile. An OS disk nobody named is called `{vm}_OsDisk_1_{32 hex digits}`, as in Azure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import uuid4

from azlan.arm.resource import Json, Read, Row, Write
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId, key_of, parse_id
from azlan.providers.compute.account import change_not_allowed
from azlan.providers.compute.images import OS_DISK_GIB, PlatformImage, find_image, image_error
from azlan.providers.compute.sizes import Size

DISK = "Microsoft.Compute/disks"


def accept_storage(write: Write, size: Size) -> None:
    """Check `storageProfile` and create the disks it implies."""
    profile = write.properties.get("storageProfile")
    before = ((write.before or {}).get("properties") or {}).get("storageProfile")
    if profile is None:
        if before is None:
            raise _missing("storageProfile")
        profile = write.properties["storageProfile"] = before
    image = _image(write, profile, before)
    _os_disk(write, profile, before, image, size)
    _data_disks(write, profile, before or {}, size)


def _image(write: Write, profile: Json, before: Mapping[str, Any] | None) -> PlatformImage:
    reference = profile.get("imageReference")
    if before is not None:
        known = before["imageReference"]
        given = {**known, **(reference or {})}
        if _fold(given) != _fold(known):
            raise change_not_allowed("imageReference")
        reference = profile["imageReference"] = known
    if reference is None:
        raise _missing("storageProfile.imageReference")
    for name in ("id", "sharedGalleryImageId", "communityGalleryImageId"):
        if reference.get(name):
            raise ArmError(
                404,
                "GalleryImageNotFound",
                f"The gallery image {reference[name]} is not available in {write.location} region. Please contact image owner to "
                f"replicate to this region, or change your requested region.",
                target="imageReference",
            )
    parts = [str(reference.get(name) or "") for name in ("publisher", "offer", "sku", "version")]
    image = find_image(*parts)
    if image is None:
        raise image_error(*parts)
    write.state.setdefault("exactVersion", image.version)
    return image


def _fold(reference: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value).lower() for name, value in reference.items() if name != "exactVersion"}


def _os_disk(write: Write, profile: Json, before: Mapping[str, Any] | None, image: PlatformImage, size: Size) -> None:
    disk = profile.get("osDisk")
    known = (before or {}).get("osDisk")
    if disk is None:
        disk = dict(known) if known else {"createOption": "FromImage"}
    if disk.get("createOption") != "FromImage":
        if known is not None:
            raise change_not_allowed("osDisk.createOption")
        raise _invalid(
            f"The OS disk's create option '{disk.get('createOption')}' is not served here.", "osDisk.createOption"
        )
    if disk.get("vhd") is not None:
        raise _invalid("Unmanaged disks are not served here.", "osDisk.vhd")
    if known is not None:
        if disk.get("name", known["name"]).lower() != known["name"].lower():
            raise change_not_allowed("osDisk.name")
        if disk.get("diskSizeGB") not in (None, known.get("diskSizeGB")):
            _resize(write, known, int(disk["diskSizeGB"]))
        managed = {**known["managedDisk"], **(disk.get("managedDisk") or {}), "id": known["managedDisk"]["id"]}
        profile["osDisk"] = {**known, **disk, "name": known["name"], "managedDisk": managed}
        return
    name = disk.get("name") or f"{write.id.name}_OsDisk_1_{uuid4().hex}"
    gib = disk.get("diskSizeGB") or OS_DISK_GIB
    if gib < OS_DISK_GIB:
        raise _invalid(
            f"The specified disk size {gib} GB is smaller than the size of the corresponding disk in the VM image: "
            f"{OS_DISK_GIB} GB. This is not allowed. Please choose equal or greater size or do not specify an explicit size.",
            "osDisk.diskSizeGB",
        )
    managed = dict(disk.get("managedDisk") or {})
    managed.setdefault("storageAccountType", "Premium_LRS" if size.premium else "Standard_LRS")
    made = {"createOption": "FromImage", "imageReference": {"id": _image_id(write, image)}}
    extra = {"osType": "Linux", "hyperVGeneration": image.generation}
    managed["id"] = str(_create(write, name, managed["storageAccountType"], gib, made, extra))
    profile["osDisk"] = {
        "osType": "Linux",
        "name": name,
        "createOption": "FromImage",
        "caching": "ReadWrite",
        **{key: value for key, value in disk.items() if key not in ("name", "managedDisk")},
        "managedDisk": managed,
        "deleteOption": disk.get("deleteOption") or "Detach",
        "diskSizeGB": gib,
    }


def _resize(write: Write, known: Json, gib: int) -> None:
    """What a VM's write says of its OS disk's size is the disk's own size."""
    resource = write.change(key_of(known["managedDisk"]["id"]))
    check_resize(resource.id, os_disk_gib(known, write), gib, write)
    resource.properties["diskSizeGB"] = gib


def check_resize(disk: ResourceId, before: int, gib: int, read: Read) -> None:
    """A disk never shrinks; an OS disk grows while its VM is deallocated alone, a data disk at any time."""
    if gib < before:
        raise ArmError(
            409,
            "OperationNotAllowed",
            f"The new disk size in GB {gib} is smaller than the current size of the disk {before}. Shrinking a disk is not "
            "supported.",
        )
    for owner, path in read.referrers(disk.key, "Microsoft.Compute/virtualMachines"):
        if gib > before and "osDisk" in path and owner.state.get("power") != "deallocated":
            raise ArmError(
                409,
                "OperationNotAllowed",
                f"Cannot resize disk {disk.name} while it is attached to running VM {owner.id}. Resizing a disk of an Azure "
                "Virtual Machine requires the virtual machine to be deallocated. Please stop your VM and retry the operation.",
            )


def _image_id(write: Write, image: PlatformImage) -> str:
    return (
        f"/Subscriptions/{write.id.subscription}/Providers/Microsoft.Compute/Locations/{write.location}/Publishers/"
        f"{image.publisher}/ArtifactTypes/VMImage/Offers/{image.offer}/Skus/{image.sku}/Versions/{image.version}"
    )


def _data_disks(write: Write, profile: Json, before: Mapping[str, Any], size: Size) -> None:
    disks = profile.setdefault("dataDisks", before.get("dataDisks") or [])
    _detach(disks)
    if len(disks) > size.data_disks:
        raise ArmError(
            409,
            "OperationNotAllowed",
            f"The maximum number of data disks allowed to be attached to a VM of this size is {size.data_disks}.",
            target="dataDisks",
        )
    known = {disk["managedDisk"]["id"].lower(): disk for disk in before.get("dataDisks") or ()}
    luns: set[int] = set()
    for number, disk in enumerate(disks):
        if disk["lun"] in luns:
            raise _invalid(f"A disk at LUN {disk['lun']} already exists.", "dataDisk.lun")
        luns.add(disk["lun"])
        _recognise(disk, known.values())
        _data_disk(write, disk, number, known, size)


def _recognise(disk: Json, known: Iterable[Json]) -> None:
    """A disk that is written again as it was asked for (a template deployed twice) is the one at its LUN."""
    if (disk.get("managedDisk") or {}).get("id") or disk.get("createOption") == "Attach":
        return
    for old in known:
        if old["lun"] == disk["lun"] and str(disk.get("name", old["name"])).lower() == old["name"].lower():
            disk["managedDisk"] = {**(disk.get("managedDisk") or {}), "id": old["managedDisk"]["id"]}


def _detach(disks: list[Json]) -> None:
    """Take out, in place, what is to be detached; only detachOption ForceDetach is one."""
    for disk in disks:
        option = disk.pop("detachOption", None)
        if option is not None and str(option).lower() != "forcedetach":
            raise _invalid(f"The value '{option}' of parameter detachOption is not supported.", "dataDisk.detachOption")
    disks[:] = [disk for disk in disks if not disk.get("toBeDetached")]


def _keep(disk: Json, known: Json) -> None:
    """A disk that was there already: how it came and what it is called do not change with a write."""
    for name in ("name", "createOption"):
        given = disk.setdefault(name, known.get(name))
        if str(given).lower() != str(known.get(name)).lower():
            raise change_not_allowed(f"dataDisk.{name}")
        disk[name] = known.get(name)
    if known.get("diskSizeGB") is not None:
        disk.setdefault("diskSizeGB", known["diskSizeGB"])
    disk["managedDisk"] = {**(known.get("managedDisk") or {}), **disk["managedDisk"]}


def is_made_up(machine: str, name: str) -> bool:
    """Whether a disk's name is one that was made up for a VM's disk that nobody named."""
    return re.fullmatch(rf"{re.escape(machine)}_(OsDisk_1|disk\d+)_[0-9a-f]{{32}}", name) is not None


def _data_disk(write: Write, disk: Json, number: int, known: Mapping[str, Json], size: Size) -> None:
    managed = disk.setdefault("managedDisk", {})
    option = disk.get("createOption")
    disk.setdefault("caching", "None")
    disk.setdefault("deleteOption", "Detach")
    disk.pop("toBeDetached", None)
    if managed.get("id") and managed["id"].lower() in known:
        _keep(disk, known[managed["id"].lower()])
        return
    if option == "Empty":
        if not disk.get("diskSizeGB"):
            raise _missing("dataDisk.diskSizeGB")
        disk.setdefault("name", f"{write.id.name}_disk{number + 2}_{uuid4().hex}")
        managed.setdefault("storageAccountType", "Premium_LRS" if size.premium else "Standard_LRS")
        made = {"createOption": "Empty"}
        managed["id"] = str(_create(write, disk["name"], managed["storageAccountType"], disk["diskSizeGB"], made, {}))
        return
    if option != "Attach" or not managed.get("id"):
        raise _invalid(
            f"The data disk's create option '{disk.get('createOption')}' is not served here.", "dataDisk.createOption"
        )
    row = write.get(key_of(managed["id"]))
    if row is None:
        return  # the declaration's reference says so
    for owner in _owners(write, row):
        if owner.deleting:
            raise ArmError(
                409,
                "AttachDiskWhileBeingDetached",
                f"Cannot attach data disk '{row.id.name}' to virtual machine '{write.id.name}' because the disk is currently "
                f"being detached or the last detach operation failed. Please wait until the disk is completely detached and "
                f"then try again or delete/detach the disk explicitly again.",
                target="dataDisks",
            )
        raise ArmError(
            409,
            "ConflictingUserInput",
            f"Disk '{row.id}' cannot be attached as the disk is already owned by VM '{owner.id}'.",
            target=str(row.id),
        )
    if (
        str(row.body.get("location", "")).lower().replace(" ", "") != write.location
    ):  # refused in Azure; words unconfirmed
        raise ArmError(
            409,
            "Conflict",
            f"Disk '{row.id}' cannot be attached to the VM because it is not in the same location as the VM.",
            target=str(row.id),
        )
    disk["name"] = row.id.name
    disk["diskSizeGB"] = row.properties.get("diskSizeGB")
    managed.setdefault("storageAccountType", (row.body.get("sku") or {}).get("name", "Standard_LRS"))


def os_disk_gib(disk: Mapping[str, Any], read: Read) -> int:
    """Size of the OS disk: that of the disk's own resource, which may have grown since the VM was made."""
    row = read.get(key_of(disk["managedDisk"]["id"]))
    sizes = (disk.get("diskSizeGB"), row.properties.get("diskSizeGB") if row is not None else None, OS_DISK_GIB)
    return max(int(size or 0) for size in sizes)


def _owners(write: Write, disk: Row) -> Iterator[Row]:
    return (row for row, _ in write.referrers(disk.key) if row.key != write.id.key)


def _create(write: Write, name: str, sku: str, size: int, made: Json, extra: Json) -> ResourceId:
    """Create an implicit disk beside the VM, in its group, region and zone."""
    id = parse_id(f"/subscriptions/{write.id.subscription}/resourceGroups/{write.id.group}/providers/{DISK}/{name}")
    if write.get(id.key) is not None:
        raise ArmError(
            409,
            "ConflictingUserInput",
            f"Disk '{name}' already exists in resource group {str(write.id.group).upper()}. "
            f"Only CreateOption.Attach is supported.",
            target=str(id),
        )
    body: Json = {
        "location": write.body["location"],
        "sku": {"name": sku},
        "properties": {**extra, "creationData": made, "diskSizeGB": size},
    }
    if write.body.get("zones"):
        body["zones"] = list(write.body["zones"])
    write.create(id, body)
    return id


def _invalid(message: str, target: str) -> ArmError:
    return ArmError(400, "InvalidParameter", message, target=target)


def _missing(name: str) -> ArmError:
    return _invalid(f"Required parameter '{name}' is missing (null).", name)

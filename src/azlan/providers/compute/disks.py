"""Microsoft.Compute/disks: managed disks, as records. A guest's root is its image; a disk here has a size and an owner.

Follows Microsoft.Compute 2024-03-02, disk.json. `managedBy` is derived from the VM that names the disk.
"""

from __future__ import annotations

from uuid import uuid4

from azlan.arm.resource import Json, Read, ResourceType, Row, View, Write
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.providers.compute.shapes import DISK_API_VERSIONS, Disk, settle
from azlan.providers.compute.storage import check_resize

TYPE = "Microsoft.Compute/disks"


def _accept(write: Write) -> None:
    settle(Disk, write.body)
    properties = write.properties
    creation = properties.get("creationData")
    if creation is None:
        raise _missing("disk.creationData")
    option = creation["createOption"]
    before = (write.before or {}).get("properties") or {}
    if option == "Empty" and properties.get("diskSizeGB") is None:
        if before.get("diskSizeGB") is None:
            raise _missing("disk.diskSizeGB")
        properties["diskSizeGB"] = before["diskSizeGB"]
    if option not in ("Empty", "FromImage", "Copy"):
        raise ArmError(
            400,
            "InvalidParameter",
            f"Disks with the create option '{option}' are not served here.",
            target="createOption",
        )
    if option == "Copy":
        _copy_size(write, creation)
    if before.get("diskSizeGB"):
        check_resize(write.id, int(before["diskSizeGB"]), int(properties.get("diskSizeGB") or 0), write)
    write.state.setdefault("uniqueId", str(uuid4()))
    write.state.setdefault("timeCreated", write.now)


def _copy_size(write: Write, creation: Json) -> None:
    """A copy is as large as its source, or larger."""
    source = write.get(str(creation.get("sourceResourceId", "")).lower())
    if source is None:
        raise ArmError(
            404,
            "ResourceNotFound",
            f"The source resource '{creation.get('sourceResourceId')}' of the disk was not found.",
            target="sourceResourceId",
        )
    write.properties.setdefault("diskSizeGB", source.properties.get("diskSizeGB"))


def _missing(name: str) -> ArmError:
    return ArmError(400, "InvalidParameter", f"Required parameter '{name}' is missing (null).", target=name)


def _owner(id: ResourceId, read: Read) -> Row | None:
    return next((row for row, _ in read.referrers(id.key, "Microsoft.Compute/virtualMachines")), None)


_TIERS: tuple[tuple[int, str], ...] = (
    *((4, "P1"), (8, "P2"), (16, "P3"), (32, "P4"), (64, "P6"), (128, "P10"), (256, "P15"), (512, "P20")),
    *((1024, "P30"), (2048, "P40"), (4096, "P50"), (8192, "P60"), (16384, "P70"), (32767, "P80")),
)
"""Size in GiB → performance tier of a premium disk."""


def _view(view: View) -> None:
    accepted = view.properties.get("provisioningState") == "Updating"
    if view.creating and "sku" not in view.doc:
        return
    owner = _owner(view.id, view)
    sku = view.doc.setdefault("sku", {})
    name = str(sku.setdefault("name", "Standard_LRS"))
    sku["tier"] = name.split("_")[0].removesuffix("SSD") if name.startswith("Premium") else "Standard"
    if owner is not None:
        view.doc["managedBy"] = str(owner.id)
    if accepted:
        return  # the 202 shows what was asked for; what the disk is comes with the operation's end
    properties = view.properties
    size = int(properties.get("diskSizeGB") or 0)
    iops, throughput = (500, 60) if not name.startswith("Premium") else (max(120, size * 4), 100)
    properties.setdefault("diskIOPSReadWrite", iops)
    properties.setdefault("diskMBpsReadWrite", throughput)
    properties.setdefault("encryption", {"type": "EncryptionAtRestWithPlatformKey"})
    properties.setdefault("networkAccessPolicy", "AllowAll")
    properties.setdefault("publicNetworkAccess", "Enabled")
    properties["timeCreated"] = view.state.get("timeCreated", view.row.created)
    properties["uniqueId"] = view.state.get("uniqueId", "")
    properties["diskSizeBytes"] = size * 1024**3
    running = owner is not None and owner.state.get("power") != "deallocated"
    properties["diskState"] = "Unattached" if owner is None else "Attached" if running else "Reserved"
    if name.startswith("Premium"):
        properties.setdefault("tier", next((tier for limit, tier in _TIERS if size <= limit), "P80"))


def _in_use(id: ResourceId, referrers: list[tuple[Row, str]], _read: Read) -> ArmError:
    return ArmError(409, "OperationNotAllowed", f"Disk {id.name} is attached to VM {referrers[0][0].id}.")


RESOURCE = ResourceType(
    type=TYPE,
    api_versions=DISK_API_VERSIONS,
    model=Disk,
    name_pattern=r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,78}[A-Za-z0-9_])?",
    read_only=(
        "managedBy",
        "managedByExtended",
        "sku.tier",
        "properties.timeCreated",
        "properties.diskSizeBytes",
        "properties.uniqueId",
        "properties.diskState",
        "properties.shareInfo",
        "properties.burstingEnabledTime",
        "properties.propertyUpdatesInProgress",
        "properties.LastOwnershipUpdateTime",
        "properties.creationData.sourceUniqueId",
        "properties.securityProfile.confidentialVMVersion",
    ),
    accept=_accept,
    view=_view,
    in_use=_in_use,
    waits=(),
    etag=False,
    operation_style="disk",
    accepted_state="Updating",
    retry_after="2",
    shown_since={
        "properties.encryption": "2019-07-01",
        "properties.networkAccessPolicy": "2020-05-01",
        "properties.publicNetworkAccess": "2021-04-01",
        "properties.diskSizeBytes": "2019-03-01",
        "properties.uniqueId": "2019-03-01",
        "properties.diskState": "2018-09-30",
        "properties.tier": "2020-06-30",
    },
    status_on_create=202,
    status_on_update=202,
    display={"singular": "Disk", "plural": "Disks"},
)

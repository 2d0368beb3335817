"""Microsoft.Compute/virtualMachines: a guest with NICs, made from a platform image.

Follows Microsoft.Compute 2025-04-01, virtualMachine.json. What a guest may be is in account.py, storage.py, network.py;
what is done to it in power.py; what it is seen to be in instance_view.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

from azlan.arm.resource import Json, Read, Reference, ResourceType, Row, View, Write
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId, key_of, parse_id
from azlan.contract.facts import Fact, Machine
from azlan.providers.compute.account import accept_account, login_of
from azlan.providers.compute.images import guest_of
from azlan.providers.compute.instance_view import instance_view
from azlan.providers.compute.network import accept_network, nic_keys
from azlan.providers.compute.power import ACTIONS
from azlan.providers.compute.preflight import preflight
from azlan.providers.compute.shapes import COMPUTE_API_VERSIONS, VirtualMachine, settle
from azlan.providers.compute.sizes import Size, find_size, size_error
from azlan.providers.compute.storage import DISK, accept_storage, is_made_up, os_disk_gib

TYPE = "Microsoft.Compute/virtualMachines"
NIC = "Microsoft.Network/networkInterfaces"
_STATUS = ("provisioningState", "vmId", "timeCreated", "instanceView")
"""What a list of statuses alone shows of a machine."""
_DEFAULT_SIZE = "Standard_D2s_v3"
_NOT_SERVED = ("availabilitySet", "virtualMachineScaleSet", "proximityPlacementGroup", "host", "hostGroup")


def _accept(write: Write) -> None:
    settle(VirtualMachine, write.body)
    _refuse_unserved(write)
    size = _size(write)
    accept_account(write)
    accept_network(write, size)
    accept_storage(write, size)
    write.state.setdefault("vmId", str(uuid4()))
    write.state.setdefault("timeCreated", write.now)
    write.state.setdefault("power", "running")
    write.state.setdefault("boot", 0)


def _refuse_unserved(write: Write) -> None:
    """What Azlan has no type for cannot be there."""
    for name in _NOT_SERVED:
        target = (write.properties.get(name) or {}).get("id")
        if target:
            raise ArmError(
                404,
                "ResourceNotFound",
                f"The entity '{target}' referenced by {name} was not found: this type is not served here.",
                target=name,
            )
    security = write.properties.get("securityProfile") or {}
    kind = str(security.get("securityType", "Standard"))
    if kind.lower() == "confidentialvm" or security.get("encryptionAtHost"):
        raise ArmError(
            400,
            "InvalidParameter",
            "Confidential virtual machines and encryption at host are not served here.",
            target="securityProfile",
        )


def _size(write: Write) -> Size:
    before = ((write.before or {}).get("properties") or {}).get("hardwareProfile") or {}
    profile = write.properties.setdefault("hardwareProfile", dict(before))
    name = profile.setdefault("vmSize", before.get("vmSize", _DEFAULT_SIZE))
    size = find_size(name)
    if size is None:
        raise size_error(name)
    profile["vmSize"] = size.name
    if before and before.get("vmSize") != size.name and write.state.get("power") == "running":
        write.state["boot"] = int(write.state.get("boot", 0)) + 1  # Azure restarts a running VM to resize it
    return size


def _facts(row: Row, read: Read) -> Iterable[Fact]:
    properties = row.properties
    size = find_size(properties["hardwareProfile"]["vmSize"])
    reference = properties["storageProfile"]["imageReference"]
    if size is None:
        return
    yield Machine(
        id=row.key,
        kind="vm",
        computer_name=properties["osProfile"]["computerName"],
        image=guest_of(reference["publisher"], reference["offer"], reference["sku"]),
        memory_mib=size.guest_memory_mib,
        cpus=size.vcpus,
        nics=nic_keys(properties["networkProfile"]),
        login=login_of(row.state),
        power=row.state["power"],
        boot=int(row.state["boot"]),
        disk_gib=os_disk_gib(properties["storageProfile"]["osDisk"], read),
    )


def _view(view: View) -> None:
    properties = view.properties
    properties["vmId"] = view.state["vmId"]
    properties["timeCreated"] = view.state["timeCreated"]
    reference = properties["storageProfile"]["imageReference"]
    disks = properties["storageProfile"].get("dataDisks") or []
    for disk in disks:
        disk["toBeDetached"] = False
    if view.creating:
        _hide_unmade(view, disks)
    reference["exactVersion"] = view.state.get("exactVersion", reference.get("version"))
    _show_account(properties["osProfile"])
    expand = view.expand.lower()
    if "userdata" not in expand:
        properties.pop("userData", None)
    if "instanceview" in expand or "statusonly" in expand:
        properties["instanceView"] = instance_view(view.row, view)
    if "statusonly" in expand:  # a list with ?statusOnly=true: what else Azure leaves in is unconfirmed
        for name in [name for name in properties if name not in _STATUS]:
            del properties[name]


def _hide_unmade(view: View, disks: list[Json]) -> None:
    """What a machine's disks are called and where they are is not told before they are made."""
    for disk in (view.properties["storageProfile"]["osDisk"], *disks):
        if disk.get("createOption") != "Attach":
            disk["managedDisk"].pop("id", None)
        if is_made_up(view.id.name, disk["name"]):
            del disk["name"]


def _show_account(profile: Json) -> None:
    linux = profile.setdefault("linuxConfiguration", {})
    linux.setdefault("disablePasswordAuthentication", False)
    linux.setdefault("provisionVMAgent", True)
    linux.setdefault("patchSettings", {"patchMode": "ImageDefault", "assessmentMode": "ImageDefault"})
    profile.setdefault("secrets", [])
    profile.setdefault("allowExtensionOperations", True)
    profile.setdefault("requireGuestProvisionSignal", True)


def _removed(write: Write) -> None:
    """Tell the NICs that go with the VM: public addresses of theirs may be to go as well."""
    for nic in (write.properties.get("networkProfile") or {}).get("networkInterfaces") or ():
        key = key_of(nic["id"])
        if (nic.get("properties") or {}).get("deleteOption") == "Delete" and write.get(key) is not None:
            write.change(key).state["goesWithMachine"] = True


def _after_delete(row: Row, _read: Read) -> Iterable[ResourceId]:
    """Disks and NICs whose `deleteOption` is Delete."""
    storage = row.properties.get("storageProfile") or {}
    for disk in (storage.get("osDisk"), *(storage.get("dataDisks") or ())):
        if disk and disk.get("deleteOption") == "Delete" and (disk.get("managedDisk") or {}).get("id"):
            yield parse_id(disk["managedDisk"]["id"])
    for nic in (row.properties.get("networkProfile") or {}).get("networkInterfaces") or ():
        if (nic.get("properties") or {}).get("deleteOption") == "Delete":
            yield parse_id(nic["id"])


def _invalid_name(id: ResourceId) -> ArmError:
    return ArmError(
        400,
        "InvalidParameter",
        f"The entity name '{id.name}' is invalid according to its validation rule: ^[^_\\W][\\w-._]{{0,79}}(?<![-.])$.",
        target="vmName",
    )


RESOURCE = ResourceType(
    type=TYPE,
    api_versions=COMPUTE_API_VERSIONS,
    model=VirtualMachine,
    name_pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}[A-Za-z0-9_]|[A-Za-z0-9]",
    invalid_name=_invalid_name,
    read_only=(
        "resources",
        "properties.vmId",
        "properties.timeCreated",
        "properties.instanceView",
        "properties.storageProfile.imageReference.exactVersion",
        "properties.osProfile.linuxConfiguration.patchSettings.status",
        "identity.principalId",
        "identity.tenantId",
    ),
    references=(
        Reference(
            "properties.networkProfile.networkInterfaces[].id",
            (NIC,),
            permission="Microsoft.Network/networkInterfaces/join/action",
        ),
        # Which right Azure asks for is unconfirmed; that it asks for one at the disk is not.
        Reference("properties.storageProfile.osDisk.managedDisk.id", (DISK,), permission=f"{DISK}/write"),
        Reference("properties.storageProfile.dataDisks[].managedDisk.id", (DISK,), permission=f"{DISK}/write"),
    ),
    accept=_accept,
    facts=_facts,
    preflight=preflight,
    view=_view,
    actions=ACTIONS,
    removed=_removed,
    after_delete=_after_delete,
    waits=("network", "machines"),
    creating_state="Creating",
    operation_style="compute",
    secret=("properties.osProfile.adminPassword", "properties.osProfile.customData"),
    etag=False,
    shown_since={
        "properties.timeCreated": "2021-11-01",
        "properties.storageProfile.osDisk.deleteOption": "2021-03-01",
        "properties.storageProfile.dataDisks[].deleteOption": "2021-03-01",
        "properties.storageProfile.dataDisks[].toBeDetached": "2019-03-01",
    },
    display={"singular": "Virtual machine", "plural": "Virtual machines"},
)

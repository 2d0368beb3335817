"""A VM's instance view: provisioning, power and agent as they are seen, in Azure's status codes.

Follows Microsoft.Compute's VirtualMachineInstanceView. Power is what the machine is seen to be, not what was asked.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from azlan.arm.resource import Json, Read, Row
from azlan.contract.machine import MachineStatus
from azlan.providers.compute.images import PlatformImage, find_image

_SHOWN = {
    "starting": "VM starting",
    "running": "VM running",
    "stopping": "VM stopping",
    "stopped": "VM stopped",
    "deallocating": "VM deallocating",
    "deallocated": "VM deallocated",
}
_PROVISIONING = {
    "Creating": ("creating", "Info", "Creating"),
    "Updating": ("updating", "Info", "Updating"),
    "Deleting": ("deleting", "Info", "Deleting"),
    "Succeeded": ("succeeded", "Info", "Provisioning succeeded"),
    "Failed": ("failed", "Error", "Provisioning failed"),
    "Canceled": ("canceled", "Error", "Provisioning canceled"),
}


def power_state(row: Row, status: MachineStatus | None) -> str:
    """The word after `PowerState/`."""
    wanted = str(row.state.get("power", "running"))
    seen = status.power if status is not None else None
    if wanted == "running":
        behind = status is not None and status.boot < int(row.state.get("boot", 0))
        if seen in ("stopped", "failed") and not behind:
            return "stopped"
        return "running" if seen == "running" else "starting"
    if wanted == "deallocated":
        return "deallocated" if seen in (None, "deallocated") else "deallocating"
    return "stopped" if seen in (None, "stopped", "deallocated", "failed") else "stopping"


def is_running(row: Row, status: MachineStatus | None) -> bool:
    return power_state(row, status) == "running"


def instance_view(row: Row, read: Read) -> Json:
    status = read.status(row.key)
    power = power_state(row, status)
    changed = _time(status.since) if status is not None and status.since else row.changed
    view: Json = {}
    if power != "deallocated":
        view |= _system(row)
        view["vmAgent"] = _agent(power, changed)
    view["disks"] = _disks(row)
    if (row.properties.get("diagnosticsProfile") or {}).get("bootDiagnostics") is not None:
        view["bootDiagnostics"] = {}
    view["hyperVGeneration"] = _generation(row)
    view["statuses"] = [
        provisioning_status(row, status),
        {"code": f"PowerState/{power}", "level": "Info", "displayStatus": _SHOWN[power]},
    ]
    if row.state.get("generalized"):
        view["statuses"].append({"code": "OSState/generalized", "level": "Info", "displayStatus": "VM generalized"})
    return view


def provisioning_status(row: Row, status: MachineStatus | None) -> Json:
    word, level, shown = _PROVISIONING[row.provisioning]
    found: dict[str, Any] = {"code": f"ProvisioningState/{word}", "level": level, "displayStatus": shown}
    if row.provisioning == "Failed" and status is not None and status.code:
        found["code"] += f"/{status.code}"
        found["message"] = status.why or ""
    found["time"] = row.changed
    return found


def _system(row: Row) -> Json:
    profile = row.properties.get("osProfile") or {}
    image = _image(row)
    name, _, version = image.guest.partition("-") if image else ("", "", "")
    return {
        "computerName": profile.get("computerName", row.id.name),
        "osName": name,
        "osVersion": version,
    }


def _generation(row: Row) -> str:
    image = _image(row)
    return image.generation if image else "V1"


def _image(row: Row) -> PlatformImage | None:
    reference = (row.properties.get("storageProfile") or {}).get("imageReference") or {}
    publisher, offer, sku = (str(reference.get(name, "")) for name in ("publisher", "offer", "sku"))
    return find_image(publisher, offer, sku, "latest")


def _agent(power: str, time: str) -> Json:
    if power == "running":
        status = {
            "code": "ProvisioningState/succeeded",
            "level": "Info",
            "displayStatus": "Ready",
            "message": "Guest Agent is running",
            "time": time,
        }
        return {"vmAgentVersion": "2.11.1.12", "extensionHandlers": [], "statuses": [status]}
    status = {
        "code": "ProvisioningState/Unavailable",
        "level": "Warning",
        "displayStatus": "Not Ready",
        "message": "VM status blob is found but not yet populated.",
        "time": time,
    }
    return {"vmAgentVersion": "Unknown", "statuses": [status]}


def _disks(row: Row) -> list[Json]:
    profile = row.properties.get("storageProfile") or {}
    names = [
        disk["name"] for disk in (profile.get("osDisk"), *(profile.get("dataDisks") or ())) if disk and disk.get("name")
    ]
    status = {
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Provisioning succeeded",
        "time": row.created,
    }
    return [{"name": name, "statuses": [status]} for name in names]


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()

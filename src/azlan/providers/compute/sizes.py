"""VM sizes: what each has in Azure, what a guest gets of it here, and the routes that list sizes, SKUs and usage.

The table is sizes.json. Follows Microsoft.Compute's VirtualMachineSizes_List, ResourceSkus_List and Usage_List.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from azlan.arm.locations import LOCATIONS
from azlan.arm.resource import Json, Route, RouteContext
from azlan.base.errors import ArmError

GUEST_MEMORY_MIB = 1024
"""The most memory a guest gets, whatever its size promises: a container needs none of what a kernel would."""

CORE_QUOTA = 1000


@dataclass(frozen=True, slots=True)
class Size:
    name: str
    family: str
    vcpus: int
    memory_mib: int
    data_disks: int
    resource_disk_mib: int
    premium: bool

    @property
    def guest_memory_mib(self) -> int:
        return min(self.memory_mib, GUEST_MEMORY_MIB)

    @property
    def max_nics(self) -> int:
        return max(2, min(8, self.vcpus // 2))

    @property
    def document(self) -> Json:
        """An element of `vmSizes`."""
        return {
            "name": self.name,
            "numberOfCores": self.vcpus,
            "osDiskSizeInMB": 1047552,
            "resourceDiskSizeInMB": self.resource_disk_mib,
            "memoryInMB": self.memory_mib,
            "maxDataDiskCount": self.data_disks,
        }


@cache
def _by_name() -> dict[str, Size]:
    table = json.loads(files(__package__).joinpath("sizes.json").read_text())
    sizes = (
        Size(s["name"], s["family"], s["vCPUs"], s["memoryMB"], s["maxDataDisks"], s["resourceDiskMB"], s["premium"])
        for s in table["sizes"]
    )
    return {size.name.lower(): size for size in sizes}


def sizes() -> tuple[Size, ...]:
    return tuple(_by_name().values())


def find_size(name: str) -> Size | None:
    return _by_name().get(name.lower())


def size_error(name: str) -> ArmError:
    """What Azure answers to a size it does not have."""
    valid = ",".join(size.name for size in sizes())
    return ArmError(
        400,
        "InvalidParameter",
        f"The value {name} provided for the VM size is not valid. The valid sizes in the current region are: {valid}. "
        f"Find out more on the available VM sizes in each region at https://aka.ms/azure-regions.",
        target="vmSize",
    )


async def _vm_sizes(_: RouteContext) -> Json:
    return {"value": [size.document for size in sizes()]}


_LOCATION_FILTER = re.compile(r"location\s+eq\s+'([^']*)'", re.IGNORECASE)


def _sku(size: Size, locations: tuple[str, ...]) -> Json:
    def capability(name: str, value: object) -> Json:
        return {"name": name, "value": str(value)}

    return {
        "resourceType": "virtualMachines",
        "name": size.name,
        "tier": "Standard",
        "size": size.name.removeprefix("Standard_"),
        "family": size.family,
        "locations": list(locations),
        "locationInfo": [{"location": at, "zones": ["1", "2", "3"], "zoneDetails": []} for at in locations],
        "capabilities": [
            capability("MaxResourceVolumeMB", size.resource_disk_mib),
            capability("OSVhdSizeMB", 1047552),
            capability("vCPUs", size.vcpus),
            capability("MemoryPreservingMaintenanceSupported", True),
            capability("HyperVGenerations", "V1,V2"),
            capability("MemoryGB", f"{size.memory_mib / 1024:g}"),
            capability("MaxDataDiskCount", size.data_disks),
            capability("CpuArchitectureType", "x64"),
            capability("LowPriorityCapable", False),
            capability("PremiumIO", size.premium),
            capability("vCPUsAvailable", size.vcpus),
            capability("EphemeralOSDiskSupported", False),
            capability("EncryptionAtHostSupported", False),
            capability("AcceleratedNetworkingEnabled", size.vcpus > 1),
            capability("RdmaEnabled", False),
            capability("MaxNetworkInterfaces", size.max_nics),
        ],
        "restrictions": [],
    }


async def _skus(context: RouteContext) -> Json:
    wanted = _LOCATION_FILTER.search(str(context.query.get("$filter", "")))
    known = tuple(location.name for location in LOCATIONS)
    locations = (wanted.group(1).lower().replace(" ", ""),) if wanted else known
    return {"value": [_sku(size, locations) for size in sizes() if set(locations) <= set(known)]}


async def _usages(context: RouteContext) -> Json:
    location = context.params["location"].lower().replace(" ", "")
    machines = [
        row
        for row in context.list("Microsoft.Compute/virtualMachines")
        if str(row.body.get("location", "")).lower().replace(" ", "") == location
        and row.id.subscription.lower() == context.subscription.lower()
    ]
    used: dict[str, int] = {}
    for row in machines:
        size = find_size(str((row.properties.get("hardwareProfile") or {}).get("vmSize", "")))
        if size is not None and row.state.get("power") != "deallocated":
            used[size.family] = used.get(size.family, 0) + size.vcpus
    entries = [
        _usage("availabilitySets", "Availability Sets", 0, 2500),
        _usage("cores", "Total Regional vCPUs", sum(used.values()), CORE_QUOTA),
        _usage("virtualMachines", "Virtual Machines", len(machines), 25000),
        _usage("virtualMachineScaleSets", "Virtual Machine Scale Sets", 0, 2500),
    ]
    families = sorted({size.family for size in sizes()})
    entries += [_usage(family, f"{family} vCPUs", used.get(family, 0), CORE_QUOTA) for family in families]
    return {"value": entries}


def _usage(name: str, shown: str, current: int, limit: int) -> dict[str, Any]:
    return {
        "currentValue": current,
        "limit": limit,
        "unit": "Count",
        "name": {"value": name, "localizedValue": shown},
    }


_COMPUTE = "/subscriptions/{subscription}/providers/Microsoft.Compute"

ROUTES = (
    Route("GET", f"{_COMPUTE}/skus", _skus, "Microsoft.Compute/skus/read"),
    Route("GET", f"{_COMPUTE}/locations/{{location}}/vmSizes", _vm_sizes, "Microsoft.Compute/locations/vmSizes/read"),
    Route("GET", f"{_COMPUTE}/locations/{{location}}/usages", _usages, "Microsoft.Compute/locations/usages/read"),
)

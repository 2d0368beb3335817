"""A VM's `networkProfile`: which NICs it has, in which order, and what becomes of them with it.

Follows Microsoft.Compute's NetworkProfile; the errors are those of Microsoft.Network, which checks the NICs in Azure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azlan.arm.resource import Json, Write
from azlan.base.errors import ArmError
from azlan.base.ids import key_of
from azlan.providers.compute.sizes import Size


def accept_network(write: Write, size: Size) -> None:
    """Check `networkProfile`: NICs free, in the VM's region, one of them primary."""
    before = ((write.before or {}).get("properties") or {}).get("networkProfile")
    profile = write.properties.get("networkProfile") or before
    if profile is None:
        raise ArmError(
            400, "InvalidParameter", "Required parameter 'networkProfile' is missing (null).", target="networkProfile"
        )
    write.properties["networkProfile"] = profile
    if profile.get("networkInterfaceConfigurations"):
        raise ArmError(
            400,
            "InvalidParameter",
            "Network interfaces that are created with the virtual machine (networkInterfaceConfigurations) are not served here.",
            target="networkInterfaceConfigurations",
        )
    nics = profile.get("networkInterfaces") or []
    if not nics or not all(nic.get("id") for nic in nics):
        raise ArmError(
            400,
            "VirtualMachineMustHaveAtLeastOneNetworkInterface",
            f"Virtual machine {write.id.name} must have at least one network interface.",
        )
    _check_count(write, nics, size)
    _check_primary(write, nics)
    for nic in nics:
        _check_free(write, str(nic["id"]))
    if before is not None:
        _check_change(write, nic_keys(before), nic_keys(profile))


def nic_keys(profile: Mapping[str, Any]) -> tuple[str, ...]:
    """Keys of the NICs, the primary one first."""
    nics = profile.get("networkInterfaces") or ()
    ordered = sorted(nics, key=lambda nic: not (nic.get("properties") or {}).get("primary", False))
    return tuple(key_of(nic["id"]) for nic in ordered)


def _check_count(write: Write, nics: list[Json], size: Size) -> None:
    if len(nics) > size.max_nics:
        raise ArmError(
            400,
            "NetworkInterfaceCountExceeded",
            f"The number of network interfaces for virtual machine {write.id.name} exceeds the maximum allowed for the virtual "
            f"machine size {size.name}. The number of network interfaces is {len(nics)} and the maximum allowed is "
            f"{size.max_nics}.",
        )


def _check_primary(write: Write, nics: list[Json]) -> None:
    keys = [key_of(nic["id"]) for nic in nics]
    if len(set(keys)) != len(keys):
        raise ArmError(
            400,
            "InvalidParameter",
            f"Virtual machine {write.id.name} refers to the same network interface more than once.",
            target="networkProfile.networkInterfaces",
        )
    primary = [nic for nic in nics if (nic.get("properties") or {}).get("primary")]
    if len(nics) > 1 and len(primary) != 1:
        raise ArmError(
            400,
            "VirtualMachineMustHaveOneNetworkInterfaceAsPrimary",
            f"Virtual machine {write.id.name} must have one network interface set as the primary.",
        )


def _check_free(write: Write, id: str) -> None:
    row = write.get(key_of(id))
    if row is None:
        return  # the declaration's reference says so
    if str(row.body.get("location", "")).lower().replace(" ", "") != write.location:
        raise ArmError(
            400,
            "InvalidResourceReference",
            f"Resource {id} referenced by resource {write.id} was not found. Please make sure that the referenced resource "
            f"exists, and that both resources are in the same region.",
        )
    for owner, _ in write.referrers(row.key, "Microsoft.Compute/virtualMachines"):
        if owner.key != write.id.key:
            raise ArmError(400, "NicInUse", f"Network Interface {row.id} is used by existing VM {owner.id}.")


def _check_change(write: Write, before: tuple[str, ...], now: tuple[str, ...]) -> None:
    if set(before) != set(now) and write.state.get("power") != "deallocated":
        raise ArmError(
            409,
            "AddingOrDeletingNetworkInterfacesOnARunningVirtualMachineNotSupported",
            f"Secondary network interfaces cannot be added or deleted from a running virtual machine {write.id.name}. "
            f"The virtual machine must be in Stopped (Deallocated) state.",
        )

"""What an instance view says for what a machine was asked to be and is seen to be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from azlan.arm.resource import Row
from azlan.base.ids import parse_id
from azlan.contract.machine import MachineStatus
from azlan.providers.compute.instance_view import power_state, provisioning_status
from unit.providers.azure import azure

ROW = Row(
    id=parse_id("/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v"),
    type="Microsoft.Compute/virtualMachines",
    body={},
    state={},
    provisioning="Succeeded",
    etag="",
    generation=1,
    revision=1,
    created="c",
    changed="d",
    api_version="",
)


def status(power: str, boot: int = 0, **more: Any) -> MachineStatus:
    return MachineStatus(machine="machine:x", power=power, boot=boot, **more)


@pytest.mark.parametrize(
    ("wanted", "boot", "seen", "expected"),
    [
        ("running", 0, None, "starting"),
        ("running", 0, status("starting"), "starting"),
        ("running", 0, status("running"), "running"),
        ("running", 0, status("stopped"), "stopped"),
        ("running", 0, status("failed"), "stopped"),
        ("running", 1, status("stopped"), "starting"),
        ("running", 1, status("stopped", boot=1), "stopped"),
        ("running", 0, status("deallocated"), "starting"),
        ("stopped", 0, status("running"), "stopping"),
        ("stopped", 0, status("stopped"), "stopped"),
        ("stopped", 0, None, "stopped"),
        ("deallocated", 0, status("running"), "deallocating"),
        ("deallocated", 0, status("stopped"), "deallocating"),
        ("deallocated", 0, status("deallocated"), "deallocated"),
        ("deallocated", 0, None, "deallocated"),
    ],
)
def test_power(wanted: str, boot: int, seen: MachineStatus | None, expected: str) -> None:
    assert power_state(replace(ROW, state={"power": wanted, "boot": boot}), seen) == expected


def test_a_failed_machine_says_why() -> None:
    seen = status("failed", code="OSProvisioningTimedOut", why="too slow")
    shown = provisioning_status(replace(ROW, provisioning="Failed"), seen)
    assert shown["code"] == "ProvisioningState/failed/OSProvisioningTimedOut"
    assert (shown["level"], shown["message"]) == ("Error", "too slow")


async def test_the_view_of_a_running_vm() -> None:
    async with azure() as cloud:
        await cloud.network()
        vm = await cloud.vm("vm-1", diagnosticsProfile={"bootDiagnostics": {"enabled": True}})
        cloud.seen("vm-1", "running", ready=True)
        view = await cloud.ok("GET", "Microsoft.Compute/virtualMachines/vm-1/instanceView")
        assert (view["computerName"], view["osName"], view["osVersion"]) == ("vm-1", "ubuntu", "24.04")
        assert view["vmAgent"]["statuses"][0]["displayStatus"] == "Ready"
        assert view["disks"][0]["name"] == vm["properties"]["storageProfile"]["osDisk"]["name"]
        assert view["bootDiagnostics"] == {}
        assert [entry["displayStatus"] for entry in view["statuses"]] == ["Provisioning succeeded", "VM running"]


async def test_the_view_of_a_deallocated_vm_has_no_agent() -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1")
        await cloud.call("POST", "Microsoft.Compute/virtualMachines/vm-1/deallocate")
        cloud.seen("vm-1", "deallocated")
        view = await cloud.ok("GET", "Microsoft.Compute/virtualMachines/vm-1/instanceView")
        assert "vmAgent" not in view
        assert "computerName" not in view
        assert view["statuses"][1]["code"] == "PowerState/deallocated"

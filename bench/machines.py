"""Machines: from a VM's PUT to its SSH banner, one and twenty at once; what each takes of memory, and what Azlan does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bench.clouds import LOCATION, Arm, Cloud, Lab, timed
from bench.figures import Result

AT_ONCE = 20
IMAGE = {
    "publisher": "Canonical",
    "offer": "0001-com-ubuntu-server-jammy",
    "sku": "22_04-lts-gen2",
    "version": "latest",
}


def run(lab: Lab, quick: bool) -> Result:
    result = Result("Machines")
    cloud = lab.cloud()
    arm = cloud.owner()
    _network(arm)
    before = memory_of(cloud)
    one = [timed(lambda number=number: _create(arm, [number])) for number in range(2 if quick else 5)]
    result.add("PUT to SSH banner, one at a time", "s", one)
    at_once = range(100, 100 + (5 if quick else AT_ONCE))
    took = _create(arm, list(at_once))
    result.add(f"PUT to SSH banner, {len(at_once)} at once, each", "s", took)
    result.add("    until the last one's", "s", [max(took)])
    machines = _machines(cloud)
    result.add("memory of a machine (PSS of its processes)", "MiB", machines)
    after = memory_of(cloud)
    for role, used in after.items():
        result.add(f"memory of the {role} process, no machine", "MiB", [before[role]])
        result.add(f"    with {len(one) + len(at_once)} machines", "MiB", [used])
    result.notes.append("A VM's operation has Succeeded when its SSH banner was read at its NIC's address.")
    return result


def memory_of(cloud: Cloud) -> dict[str, float]:
    """Role → MiB: resident pages, each shared one counted by its share."""
    return {role: pss(pid) for role, pid in cloud.pids().items()}


def pss(pid: int) -> float:
    """MiB of one process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _machines(cloud: Cloud) -> list[float]:
    """MiB of each machine: all processes of its cgroup, its monitor's too."""
    found: dict[str, float] = {}
    top = f"azlan-{cloud.config.mark}"
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                groups = (entry / "cgroup").read_text()
                if top in groups:
                    machine = groups.partition(f"{top}/")[2].split("/")[0]
                    found[machine] = found.get(machine, 0.0) + pss(int(entry.name))
            except (OSError, StopIteration):
                continue
    return list(found.values())


def _network(arm: Arm) -> None:
    arm.put(arm.id("g"), {"location": LOCATION})
    subnets = [{"name": "s", "properties": {"addressPrefix": "10.0.0.0/24"}}]
    properties = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": subnets}
    arm.put(arm.id("g", "Microsoft.Network/virtualNetworks/v"), {"location": LOCATION, "properties": properties})


def _create(arm: Arm, numbers: list[int]) -> list[float]:
    """Seconds from the PUT of each VM to the end of its operation; NICs are made before."""
    subnet = {"id": arm.id("g", "Microsoft.Network/virtualNetworks/v") + "/subnets/s"}
    for number in numbers:
        configuration = {"name": "c", "properties": {"subnet": subnet, "privateIPAllocationMethod": "Dynamic"}}
        arm.put(_nic(arm, number), {"location": LOCATION, "properties": {"ipConfigurations": [configuration]}})
    began: dict[int, float] = {}
    polls: dict[int, str | None] = {}
    for number in numbers:
        began[number] = time.perf_counter()
        polls[number] = arm.begin(arm.id("g", f"Microsoft.Compute/virtualMachines/vm{number}"), _vm(arm, number))
    took: list[float] = []
    while polls:
        for number, poll in list(polls.items()):
            document = arm.poll(poll)
            if document["status"] == "Succeeded":
                took.append(time.perf_counter() - began[number])
                del polls[number]
            elif document["status"] != "InProgress":
                raise RuntimeError(str(document))
        time.sleep(0.01)
    return took


def _nic(arm: Arm, number: int) -> str:
    return arm.id("g", f"Microsoft.Network/networkInterfaces/nic{number}")


def _vm(arm: Arm, number: int) -> dict[str, Any]:
    profile = {"computerName": f"vm{number}", "adminUsername": "azureuser", "adminPassword": "Passw0rd!23456"}
    properties = {
        "hardwareProfile": {"vmSize": "Standard_B1s"},
        "storageProfile": {"imageReference": IMAGE, "osDisk": {"createOption": "FromImage"}},
        "osProfile": profile,
        "networkProfile": {"networkInterfaces": [{"id": _nic(arm, number)}]},
    }
    return {"location": LOCATION, "properties": properties}

"""Simulated machines: their states, and their bare namespaces (as root)."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azlan.contract.machine import MachineStatus
from azlan.contract.world import AnyPart, Machine, Nic, NicAddress, World, part_key
from azlan.machines import simulated
from azlan.machines.netns import inside
from azlan.machines.simulated import NoGuest, SimulatedMachines


def machine(name: str = "m", *nics: str, **more: Any) -> Machine:
    return Machine(
        id=f"/{name}", role="vm", computer_name=name, image="ubuntu-22.04", memory_mib=512, cpus=1, nics=nics, **more
    )


def nic(name: str, *addresses: str) -> Nic:
    return Nic(
        id=f"/{name}",
        vnet="vnet:/v",
        subnet="/v/s",
        mac="00:0d:3a:00:00:01",
        addresses=tuple(NicAddress(private=address) for address in addresses),
        prefix_length=24,
        gateway="10.0.0.1",
        routes="routes:/v|",
    )


def world(*parts: AnyPart, revision: int = 1) -> World:
    return World(revision=revision, parts={part_key(part): part for part in parts})


class Watched:
    """Machines and every status they told."""

    def __init__(self, machines: SimulatedMachines) -> None:
        self.machines = machines
        self.told: list[MachineStatus] = []
        machines.listen(self.told.append)

    @property
    def powers(self) -> list[str]:
        return [status.power for status in self.told]

    async def until(self, met: Callable[[MachineStatus], bool]) -> MachineStatus:
        async with asyncio.timeout(10):
            while not (found := [status for status in self.told if met(status)]):
                await asyncio.sleep(0.005)
        return found[-1]

    async def status(self) -> MachineStatus:
        (status,) = await self.machines.observe()
        return status


async def test_a_machine_starts_after_apply_has_returned() -> None:
    watched = Watched(SimulatedMachines())
    report = await watched.machines.apply(world(machine(boot=2)))
    assert (report.revision, report.pending, report.failed, report.parts_written) == (1, {"machine:/m"}, {}, 1)
    assert watched.told == []
    status = await watched.until(lambda status: status.ready)
    assert watched.powers == ["starting", "running"]
    assert (status.machine, status.power, status.boots, status.boot) == ("machine:/m", "running", 1, 2)
    assert status.since > 0
    assert await watched.status() == status
    again = await watched.machines.apply(world(machine(boot=2), revision=2))
    assert (again.revision, again.pending, again.parts_written) == (2, frozenset(), 0)
    assert watched.powers == ["starting", "running"]


async def test_it_restarts_once_when_asked() -> None:
    watched = Watched(SimulatedMachines())
    await watched.machines.apply(world(machine()))
    await watched.until(lambda status: status.ready)
    await watched.machines.apply(world(machine(boot=3)))
    status = await watched.until(lambda status: status.boots == 2)
    assert (status.boot, status.ready) == (3, True)
    assert watched.powers == ["starting", "running", "starting", "running"]


@pytest.mark.parametrize("power", ["stopped", "deallocated"])
async def test_it_stops_and_starts(power: str) -> None:
    watched = Watched(SimulatedMachines())
    await watched.machines.apply(world(machine()))
    await watched.until(lambda status: status.ready)
    await watched.machines.apply(world(machine(power=power, boot=1)))
    status = await watched.until(lambda status: status.power == power)
    assert (status.ready, status.boots, status.boot) == (False, 1, 1)
    await watched.machines.apply(world(machine(boot=1)))
    assert (await watched.until(lambda status: status.boots == 2)).ready


async def test_one_that_is_to_be_off_from_the_start_never_runs() -> None:
    watched = Watched(SimulatedMachines())
    await watched.machines.apply(world(machine(power="deallocated")))
    await watched.until(lambda status: status.power == "deallocated")
    assert (await watched.status()).boots == 0
    assert watched.powers == ["deallocated"]


async def test_one_that_is_removed_is_gone() -> None:
    watched = Watched(SimulatedMachines())
    await watched.machines.apply(world(machine("m"), machine("n")))
    await watched.until(lambda status: status.machine == "machine:/n" and status.ready)
    await watched.machines.apply(world(machine("n"), revision=2))
    gone = await watched.until(lambda status: status.power == "gone")
    assert gone.machine == "machine:/m"
    assert (await watched.status()).machine == "machine:/n"


async def test_what_changes_while_it_boots_is_caught_up_with() -> None:
    watched = Watched(SimulatedMachines(boot_seconds=0.02))
    await watched.machines.apply(world(machine()))
    await watched.until(lambda status: status.power == "starting")
    report = await watched.machines.apply(world(machine(power="stopped")))
    assert report.pending == {"machine:/m"}
    await watched.until(lambda status: status.power == "stopped")
    await watched.machines.apply(world(machine()))
    await watched.until(lambda status: status.power == "starting" and status.boots == 1)
    await watched.machines.apply(world())
    await watched.until(lambda status: status.power == "gone")
    assert await watched.machines.observe() == ()


async def test_it_has_no_guest() -> None:
    machines = SimulatedMachines()
    with pytest.raises(NoGuest, match="no guest"):
        await machines.run("machine:/m", "true", 1.0)
    with pytest.raises(LookupError):
        machines.namespace("machine:/m")


async def test_close_ends_what_was_under_way() -> None:
    watched = Watched(SimulatedMachines(boot_seconds=60))
    await watched.machines.apply(world(machine()))
    await watched.until(lambda status: status.power == "starting")
    await watched.machines.close()
    assert len(asyncio.all_tasks()) == 1


def test_ports_and_folder_belong_together(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="folder"):
        SimulatedMachines(folder=tmp_path)


# Bare namespaces


class DummyPorts:
    """Ports to nowhere: both ends of the pair are in the guest's namespace. Remembers who is plugged where."""

    def __init__(self) -> None:
        self.plugged: dict[str, tuple[Path, str]] = {}
        self.calls: list[tuple[str, str]] = []
        self.broken = 0

    async def plug(self, nic: Nic, namespace: Path, name: str) -> None:
        self.calls.append(("plug", nic.id))
        if self.broken:
            self.broken -= 1
            raise OSError("no more links")
        if name in links(namespace):
            self.calls.append(("found", nic.id))
        else:
            ip(namespace, "link", "add", name, "address", nic.mac, "type", "veth", "peer", "name", f"far-{name}")
        self.plugged[part_key(nic)] = (namespace, name)

    async def unplug(self, nic: str) -> None:
        self.calls.append(("unplug", nic))
        namespace, name = self.plugged.pop(nic, (None, None))
        if namespace and name and os.path.ismount(namespace):
            ip(namespace, "link", "del", name)


def ip(namespace: Path, *arguments: str) -> Any:
    done = inside(
        namespace, lambda: subprocess.run(["ip", "-json", *arguments], check=True, capture_output=True, text=True)
    )
    return json.loads(done.stdout) if done.stdout.strip() else []


def links(namespace: Path) -> set[str]:
    names = {link["ifname"] for link in ip(namespace, "link", "show")}
    return {name for name in names if not name.startswith("far-")}


def addresses(namespace: Path, name: str) -> set[str]:
    found = ip(namespace, "-4", "addr", "show", "dev", name)
    return {f"{entry['local']}/{entry['prefixlen']}" for link in found for entry in link.get("addr_info", ())}


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    yield tmp_path / "namespaces"
    for path in (tmp_path / "namespaces").glob("*.net"):
        while os.path.ismount(path):
            subprocess.run(["umount", "-l", str(path)], check=True)


NICS = (nic("n1", "10.0.0.4", "10.0.0.14"), nic("n2", "10.0.0.5"))
PLUGGED = machine("m", "nic:/n1", "nic:/n2")


@pytest.mark.root
async def test_a_namespace_with_its_nics(folder: Path) -> None:
    ports = DummyPorts()
    watched = Watched(SimulatedMachines(ports, folder))
    await watched.machines.apply(world(PLUGGED, *NICS))
    await watched.until(lambda status: status.ready)
    path = watched.machines.namespace("machine:/m")
    assert links(path) == {"lo", "eth0", "eth1"}
    assert addresses(path, "eth0") == {"10.0.0.4/24", "10.0.0.14/24"}
    assert addresses(path, "eth1") == {"10.0.0.5/24"}
    assert addresses(path, "lo") == {"127.0.0.1/8"}
    (default,) = ip(path, "route", "show", "default")
    assert (default["gateway"], default["dev"]) == ("10.0.0.1", "eth0")

    # a NIC's address changes, another NIC goes: no reboot
    await watched.machines.apply(world(machine("m", "nic:/n1"), nic("n1", "10.0.0.6"), revision=2))
    async with asyncio.timeout(10):
        while addresses(path, "eth0") != {"10.0.0.6/24"} or "eth1" in links(path):
            await asyncio.sleep(0.01)
    assert watched.powers == ["starting", "running"]

    await watched.machines.apply(world(revision=3))
    await watched.until(lambda status: status.power == "gone")
    assert ports.plugged == {}
    assert list(folder.iterdir()) == []
    assert not os.path.ismount(path)


@pytest.mark.root
async def test_a_stopped_machine_has_no_namespace_and_no_ports(folder: Path) -> None:
    ports = DummyPorts()
    watched = Watched(SimulatedMachines(ports, folder))
    await watched.machines.apply(world(PLUGGED, *NICS))
    await watched.until(lambda status: status.ready)
    off = machine("m", "nic:/n1", "nic:/n2", power="stopped")
    await watched.machines.apply(world(off, *NICS, revision=2))
    await watched.until(lambda status: status.power == "stopped")
    assert ports.plugged == {}
    assert not watched.machines.namespace("machine:/m").exists()


@pytest.mark.root
async def test_a_fresh_process_adopts_what_the_one_before_left(folder: Path) -> None:
    first = Watched(SimulatedMachines(DummyPorts(), folder))
    other = machine("other")
    await first.machines.apply(world(PLUGGED, other, *NICS))
    await first.until(lambda status: status.machine == "machine:/other" and status.ready)
    await first.until(lambda status: status.machine == "machine:/m" and status.ready)
    path = first.machines.namespace("machine:/m")
    inode = path.stat().st_ino
    await first.machines.close()
    assert os.path.ismount(path)

    ports = DummyPorts()
    second = Watched(SimulatedMachines(ports, folder))
    assert {status.machine for status in await second.machines.observe()} == {"machine:/m", "machine:/other"}
    assert {(status.power, status.ready, status.boots) for status in await second.machines.observe()} == {
        ("running", True, 1)
    }
    assert path.stat().st_ino == inode, "nothing is changed before the whole World is known"
    await second.machines.apply(world(PLUGGED, *NICS, revision=2))
    await second.until(lambda status: status.machine == "machine:/other" and status.power == "gone")
    async with asyncio.timeout(10):
        while (await second.machines.apply(world(PLUGGED, *NICS, revision=2))).pending:
            await asyncio.sleep(0.01)
    assert path.stat().st_ino == inode
    assert addresses(path, "eth1") == {"10.0.0.5/24"}
    assert ("found", "/n1") in ports.calls, "plugging is asked for again, and finds the link"
    assert "starting" not in second.powers, "it never stopped"


@pytest.mark.root
async def test_a_namespace_that_is_not_the_recorded_one_is_not_adopted(folder: Path) -> None:
    first = Watched(SimulatedMachines(DummyPorts(), folder))
    await first.machines.apply(world(PLUGGED, *NICS))
    await first.until(lambda status: status.ready)
    await first.machines.close()
    path = first.machines.namespace("machine:/m")
    subprocess.run(["umount", "-l", str(path)], check=True)  # as after the computer's restart

    second = Watched(SimulatedMachines(DummyPorts(), folder))
    status = await second.status()
    assert (status.power, status.ready, status.boots) == ("stopped", False, 1)
    await second.machines.apply(world(PLUGGED, *NICS))
    assert (await second.until(lambda status: status.ready)).boots == 2
    assert links(path) == {"lo", "eth0", "eth1"}


@pytest.mark.root
async def test_destroy_leaves_nothing_whoever_made_it(folder: Path) -> None:
    ports = DummyPorts()
    first = Watched(SimulatedMachines(ports, folder))
    await first.machines.apply(world(PLUGGED, *NICS))
    await first.until(lambda status: status.ready)
    path = first.machines.namespace("machine:/m")
    await first.machines.close()
    (folder / "stray.net").touch()
    await SimulatedMachines(ports, folder).destroy()
    assert ports.plugged == {}
    assert not os.path.ismount(path)
    assert not folder.exists()
    await SimulatedMachines(ports, folder).destroy()


@pytest.mark.root
async def test_one_that_cannot_start_says_why_and_is_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated, "RETRY_SECONDS", 0.02)
    ports = DummyPorts()
    ports.broken = 1
    watched = Watched(SimulatedMachines(ports, folder))
    await watched.machines.apply(world(PLUGGED, NICS[0]))
    failed = await watched.until(lambda status: status.power == "failed")
    assert "does not exist yet" in (failed.why or "")
    assert (failed.code, failed.ready) == ("AllocationFailed", False)
    report = await watched.machines.apply(world(PLUGGED, *NICS))
    assert report.failed == {"machine:/m": failed.why}
    await watched.until(lambda status: status.why == "no more links")
    await watched.until(lambda status: status.ready)
    assert (await watched.machines.apply(world(PLUGGED, *NICS))).failed == {}

"""Real machines on a bridge: boot, log in by the Bastion host, reboot, power off, kill -9 and adopt, leave nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncssh
import pytest
from pyroute2 import IPRoute

import machines_lab as lab
from azlan.base import linux
from azlan.contract.machine import MachineStatus
from azlan.contract.world import GuestLogin, Machine, Nic
from azlan.machines import keeper, netns
from azlan.machines.bastion_wire import BastionConnection, BastionError, Code, Open, Tunnel
from azlan.machines.containers import ContainerMachines, Limits
from azlan.machines.guest import Desired, VirtualMachine
from azlan.machines.images import Image, ImageError, ImageStore, Progress
from azlan.machines.uidranges import UidRanges
from counts import times

pytestmark = pytest.mark.root
MARK = f"t{os.getpid()}"
SETTLED = "while systemctl is-system-running | grep -q starting; do sleep 0.2; done; systemctl is-system-running"
"""The state of a guest's systemd, once it has booted; its option --wait came with systemd 240, and 18.04 has 237."""
VM4, VM5, BASTION = "machine:/vm/4", "machine:/vm/5", "machine:/bastion/9"


class Driver:
    """A ContainerMachines with what it told, in a directory of its own."""

    def __init__(self, directory: Path, limits: Limits | None = None) -> None:
        self.directory = directory
        self.machines = ContainerMachines(
            directory / "run",
            directory / "state",
            ImageStore(),
            lab.BridgePorts(directory / "lab"),
            MARK,
            limits=limits,
            uids=UidRanges(directory / "uids"),
        )
        self.told: list[MachineStatus] = []
        self.machines.listen(self.told.append)

    def last(self, key: str) -> MachineStatus | None:
        return next((s for s in reversed(self.told) if s.machine == key), None)

    async def until(self, what: Callable[[], bool], seconds: float = 40.0) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, f"not within {seconds} s; told: {self.told[-6:]}"
            await asyncio.sleep(0.02)

    async def ready(self, *keys: str, boots: int = 0) -> None:
        def all_ready() -> bool:
            return all((s := self.last(key)) is not None and s.ready and s.boots >= boots for key in keys)

        await self.until(all_ready)


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="azlan-test-") as name:
        path = Path(name)
        lab.make_namespace(path / "lab")
        try:
            yield path
        finally:
            linux.unmount(path / "lab")


@pytest.fixture
async def driver(directory: Path) -> AsyncIterator[Driver]:
    driver = Driver(directory)
    try:
        yield driver
    finally:
        await driver.machines.destroy()


def traces(directory: Path, namespaces: set[str]) -> dict[str, list[str]]:
    """Everything on this computer that could be left behind, in any process's view. Others work here, too: what is
    looked for is ours by mark, by directory or by namespace, and a namespace's number, which the kernel gives again, by
    that it is none of another cloud's: nobody of another mark is in it."""
    mounts, processes = set(), set()
    namespaces = namespaces - elsewhere(directory)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text()
            if MARK in (process / "cgroup").read_text() and command:  # none: ended, and PID 1 has yet to notice
                processes.add(command)
            held = {os.readlink(process / "ns" / kind) for kind in ("net", "user")}
            table = (process / "mountinfo").read_text().splitlines()
        except OSError:
            continue
        processes |= {f"{process.name} in {n}" for n in held & namespaces}
        mounts |= {line for line in table if f"{directory}/run" in line or any(n in line for n in namespaces)}
    return {
        "mounts": sorted(mounts),
        "cgroups": sorted(str(p) for p in Path("/sys/fs/cgroup").rglob(f"*{MARK}*")),
        "processes": sorted(processes),
    }


def elsewhere(directory: Path) -> set[str]:
    """Namespaces that other clouds' machines are in or have bound now: numbers of ours that were given again."""
    found: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            group = (process / "cgroup").read_text()
            if "/azlan-" in group and MARK not in group:
                found |= {os.readlink(process / "ns" / kind) for kind in ("net", "user")}
            for line in (process / "mountinfo").read_text().splitlines():
                fields = line.split()
                if fields[3].startswith(("net:[", "user:[")) and not fields[4].startswith(str(directory)):
                    found.add(fields[3])
    return found


def namespaces_of(directory: Path) -> set[str]:
    bound = (directory / "run" / "guests").glob("*/*")
    return {f"{path.name}:[{path.stat().st_ino}]" for path in bound}


def two_and_a_bastion() -> tuple[Machine | Nic, ...]:
    n4, n5, n9 = lab.nic(4), lab.nic(5), lab.nic(9, "bastion")
    return (n4, n5, n9, lab.vm(4, n4), lab.vm(5, n5), lab.bastion(9, n9))


async def until_prompt(session: BastionConnection, prompt: str) -> str:
    seen = ""
    async with asyncio.timeout(20):
        while not re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]|\x1b\][^\x07]*\x07", "", seen).endswith(prompt):
            data = await session.read()
            assert data, f"ended: {session.exit}, after {seen!r}"
            seen += data.decode()
    return re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]|\x1b\][^\x07]*\x07", "", seen).replace("\r\n", "\n")


async def test_machines_boot_ping_and_take_a_password_by_the_bastion_host(driver: Driver, directory: Path) -> None:
    report = await driver.machines.apply(lab.world(*two_and_a_bastion()))
    assert report.pending == {VM4, VM5, BASTION}
    assert report.parts_written == 3
    await driver.ready(VM4, VM5, BASTION)
    assert [s.power for s in driver.told if s.machine == VM4] == ["starting", "running"]
    again = await driver.machines.apply(lab.world(*two_and_a_bastion(), revision=2))
    assert (again.pending, again.failed, again.parts_written) == (frozenset(), {}, 0)

    socket = driver.machines.socket(BASTION)
    session = await BastionConnection.open(
        socket, Open(address="10.9.0.4", username="azureuser", password=lab.PASSWORD, columns=120, rows=30)
    )
    welcome = await until_prompt(session, "azureuser@vm-4:~$ ")
    assert "Welcome to Ubuntu 22.04" in welcome
    await session.write(b"ping -c 2 10.9.0.5\n")
    pinged = await until_prompt(session, "azureuser@vm-4:~$ ")
    assert re.search(r"64 bytes from 10\.9\.0\.5: icmp_seq=1 ttl=64 time=", pinged)
    assert "2 packets transmitted, 2 received, 0% packet loss" in pinged
    await session.write(b"sudo id -u; hostname; stty size; cat /proc/self/status | grep Seccomp:\n")
    answer = await until_prompt(session, "azureuser@vm-4:~$ ")
    assert "0\nvm-4\n30 120\nSeccomp:\t2\n" in answer
    await session.write(b"exit 3\n")
    while await session.read():
        pass
    assert session.exit is not None
    assert session.exit.status == 3

    with pytest.raises(BastionError) as wrong:
        await BastionConnection.open(socket, Open(address="10.9.0.4", username="azureuser", password="wrong"))
    assert wrong.value.code is Code.AUTHENTICATION_FAILED
    with pytest.raises(BastionError) as nobody:
        await BastionConnection.open(socket, Open(address="10.9.0.77", username="u", password="p", timeout=5))
    assert nobody.value.code is Code.UNREACHABLE
    with pytest.raises(BastionError) as refused:
        await BastionConnection.open(socket, Tunnel(address="10.9.0.5", port=81))
    assert refused.value.code is Code.REFUSED


@pytest.mark.parametrize("image", ["ubuntu-22.04", "ubuntu-18.04"][: times(1, 2)])
async def test_a_key_and_custom_data(driver: Driver, image: str) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    login = GuestLogin(
        username="ada",
        ssh_keys=(key.export_public_key().decode(),),
        custom_data=b"#!/bin/sh\necho done >>/root/custom; echo said\n",
    )
    n4, n9 = lab.nic(4), lab.nic(9, "bastion")
    await driver.machines.apply(lab.world(n4, n9, lab.vm(4, n4, login=login, image=image), lab.bastion(9, n9)))
    await driver.until(lambda: (s := driver.last(VM4)) is not None and s.ready, seconds=400)  # it may be built first
    await driver.ready(BASTION)
    socket = driver.machines.socket(BASTION)
    private = key.export_private_key().decode()
    session = await BastionConnection.open(socket, Open(address="10.9.0.4", username="ada", private_key=private))
    await until_prompt(session, "ada@vm-4:~$ ")
    await session.close()
    with pytest.raises(BastionError) as refused:
        await BastionConnection.open(socket, Open(address="10.9.0.4", username="ada", password="x"))
    assert refused.value.code is Code.AUTHENTICATION_FAILED
    await driver.machines.run(VM4, "reboot", 10)
    await driver.ready(VM4, boots=2)
    log = "/var/log/cloud-init-output.log"
    result = await driver.machines.run(VM4, f"{SETTLED}; cat /root/custom {log}; sshd -T | grep ^password", 20)
    assert result.stdout == "running\ndone\nsaid\npasswordauthentication no\n"


async def test_run_a_script(driver: Driver) -> None:
    n4 = lab.nic(4)
    with pytest.raises(LookupError):
        await driver.machines.run(VM4, "true", 5)
    await driver.machines.apply(lab.world(n4, lab.vm(4, n4)))
    await driver.ready(VM4)
    result = await driver.machines.run(VM4, "#!/usr/bin/python3\nimport sys\nprint('out'); sys.exit('err')", 10)
    assert (result.exit_status, result.stdout, result.stderr) == (1, "out\n", "err\n")
    assert (await driver.machines.run(VM4, "sleep 60", 0.5)).exit_status == 124
    much = await driver.machines.run(VM4, "head -c 3000000 /dev/zero | tr '\\0' x", 20)
    assert len(much.stdout) == 1 << 20
    left = await driver.machines.run(VM4, "ls /run/azlan-command.* | wc -l; pgrep -x sleep", 10)
    assert left.stdout == "1\n"


async def test_restarts_and_power_from_inside_and_outside(driver: Driver) -> None:
    n4 = lab.nic(4)
    await driver.machines.apply(lab.world(n4, lab.vm(4, n4)))
    await driver.ready(VM4)
    await driver.machines.run(VM4, "echo kept >/root/file; reboot", 10)
    await driver.ready(VM4, boots=2)
    powers = [s.power for s in driver.told]
    assert powers[0] == "starting"
    assert set(powers[1:]) == {"running"}, "a restart from inside is no change of Azure's power state"

    await driver.machines.run(VM4, "poweroff", 10)
    await driver.until(lambda: driver.last(VM4).power == "stopped")  # type: ignore[union-attr]
    await driver.machines.apply(lab.world(n4, lab.vm(4, n4), revision=2))
    await asyncio.sleep(0.5)
    assert driver.last(VM4).power == "stopped", "what was powered off from inside stays off"  # type: ignore[union-attr]
    assert not driver.machines.namespace(VM4).exists()

    await driver.machines.apply(lab.world(n4, lab.vm(4, n4, boot=1)))
    await driver.ready(VM4, boots=3)
    await driver.machines.apply(lab.world(n4, lab.vm(4, n4, boot=2)))
    await driver.ready(VM4, boots=4)
    assert driver.last(VM4).boot == 2  # type: ignore[union-attr]
    await driver.machines.apply(lab.world(n4, lab.vm(4, n4, boot=2, power="deallocated")))
    await driver.until(lambda: driver.last(VM4).power == "deallocated")  # type: ignore[union-attr]
    with pytest.raises(LookupError):
        await driver.machines.run(VM4, "true", 5)
    await driver.machines.apply(lab.world(n4, lab.vm(4, n4, boot=2)))
    await driver.ready(VM4, boots=5)
    assert (await driver.machines.run(VM4, "cat /root/file", 10)).stdout == "kept\n"


async def test_one_that_powers_off_while_nobody_looks_has_no_link_any_more(driver: Driver) -> None:
    n4 = lab.nic(4)
    await driver.machines.apply(lab.world(n4, lab.vm(4, n4)))
    await driver.ready(VM4)
    guest = next(iter(driver.machines._keepers.values())).guest

    def up() -> list[str]:
        with IPRoute() as netlink:
            return [str(link.get_attr("IFLA_IFNAME")) for link in netlink.get_links() if link["flags"] & 1]

    assert set(netns.inside(driver.machines.namespace(VM4), up)) == {"lo", "eth0"}
    await driver.machines._forget_keepers()
    await driver.machines.run(VM4, "poweroff", 10)
    await driver.until(lambda: guest.monitor() is None)
    assert netns.inside(driver.machines.namespace(VM4), up) == []
    await driver.machines.apply(lab.world(n4, lab.vm(4, n4)))
    await driver.until(lambda: driver.last(VM4).power == "stopped")  # type: ignore[union-attr]
    assert not driver.machines.namespace(VM4).exists()


async def test_nics_come_and_go_while_it_runs(driver: Driver) -> None:
    n4, second = lab.nic(4), lab.nic(40, "second")
    await driver.machines.apply(lab.world(n4, lab.vm(4, n4)))
    await driver.ready(VM4)
    pid = (await driver.machines.run(VM4, "cat /proc/sys/kernel/random/boot_id; ip -4 -br a | wc -l", 10)).stdout
    await driver.machines.apply(lab.world(n4, second, lab.vm(4, n4, second)))
    await driver.until(lambda: driver.machines._keepers[next(iter(driver.machines._keepers))].settled)
    shown = (await driver.machines.run(VM4, "ip -4 -br a show eth1; ip route show default", 10)).stdout
    assert "10.9.0.40/24" in shown
    assert shown.count("default") == 1
    await driver.machines.apply(lab.world(n4, lab.vm(4, n4), revision=3))
    await driver.until(lambda: driver.machines._keepers[next(iter(driver.machines._keepers))].settled)
    after = (await driver.machines.run(VM4, "cat /proc/sys/kernel/random/boot_id; ip -4 -br a | wc -l", 10)).stdout
    assert after == pid


async def test_a_driver_that_is_killed_harms_nothing_and_the_next_adopts(directory: Path) -> None:
    script = f"""
import asyncio, importlib.util, os, sys
from pathlib import Path
sys.path.insert(0, {str(Path(lab.__file__).parent)!r})
spec = importlib.util.spec_from_file_location("t", {__file__!r})
t = importlib.util.module_from_spec(spec); sys.modules["t"] = t; spec.loader.exec_module(t)
t.MARK = {MARK!r}
async def main():
    driver = t.Driver(Path({str(directory)!r}))
    await driver.machines.apply(t.lab.world(*t.two_and_a_bastion()))
    await driver.ready(t.VM4, t.VM5, t.BASTION)
    print("ready", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    driver = Driver(directory)
    try:
        assert child.stdout is not None
        assert await asyncio.wait_for(child.stdout.readline(), 60) == b"ready\n"
        socket = driver.machines.socket(BASTION)
        session = await BastionConnection.open(
            socket, Open(address="10.9.0.4", username="azureuser", password=lab.PASSWORD)
        )
        await until_prompt(session, "azureuser@vm-4:~$ ")
        await session.write(b"ping -i 0.2 10.9.0.5\n")
        child.send_signal(signal.SIGKILL)
        await child.wait()
        session.drop()

        seen = {s.machine: s.power for s in await driver.machines.observe()}
        assert seen == {VM4: "running", VM5: "running", BASTION: "running"}
        await driver.machines.apply(lab.world(*two_and_a_bastion()))
        await driver.ready(VM4, VM5, BASTION)
        assert {s.boots for s in driver.told} == {1}, "nothing was started again"
        assert {s.power for s in driver.told} == {"running"}
        session = await BastionConnection.attach(socket, session.session, session.received)
        await session.write(b"\x03")
        pinged = await until_prompt(session, "azureuser@vm-4:~$ ")
        numbers = [int(n) for n in re.findall(r"icmp_seq=(\d+) ttl=64", pinged)]
        assert numbers == list(range(1, numbers[-1] + 1)), "no reply is lost"
    finally:
        if child.returncode is None:
            child.kill()
        await driver.machines.destroy()


async def test_memory_is_refused_by_name_and_number(directory: Path) -> None:
    driver = Driver(directory, Limits(committed_mib=1000))
    n4, n5 = lab.nic(4), lab.nic(5)
    try:
        await driver.machines.apply(lab.world(n4, lab.vm(4, n4, memory_mib=600)))
        await driver.ready(VM4)
        await driver.machines.apply(lab.world(n4, n5, lab.vm(4, n4, memory_mib=600), lab.vm(5, n5, memory_mib=600)))
        await driver.until(lambda: (s := driver.last(VM5)) is not None and s.power == "failed")
        status = driver.last(VM5)
        assert status is not None
        assert status.code == "AllocationFailed"
        assert "needs 600 MiB; 600 of 1000 MiB" in (status.why or "")
        report = await driver.machines.apply(
            lab.world(n4, n5, lab.vm(4, n4, memory_mib=600), lab.vm(5, n5, memory_mib=600), revision=3)
        )
        assert set(report.failed) == {VM5}
        assert driver.last(VM4).ready  # type: ignore[union-attr]
    finally:
        await driver.machines.destroy()


async def test_no_room_for_disks_is_refused_with_its_cure(directory: Path) -> None:
    driver = Driver(directory, Limits(room_mib=1 << 40))
    n4 = lab.nic(4)
    try:
        await driver.machines.apply(lab.world(n4, lab.vm(4, n4)))
        await driver.until(lambda: (s := driver.last(VM4)) is not None and s.power == "failed")
        status = driver.last(VM4)
        assert status is not None
        assert status.code == "AllocationFailed"
        assert re.search(r"\d+ MiB are left on the file system of .*Delete machines .*--state DIR", status.why or "")
    finally:
        await driver.machines.destroy()


async def test_an_unknown_image_fails_alone(driver: Driver) -> None:
    n4, n5 = lab.nic(4), lab.nic(5)
    await driver.machines.apply(lab.world(n4, n5, lab.vm(4, n4), lab.vm(5, n5, image="windows-3.11")))
    await driver.ready(VM4)
    status = driver.last(VM5)
    assert status is not None
    assert (status.power, status.code) == ("failed", "ImageNotFound")


async def test_nothing_is_left(directory: Path) -> None:
    namespaces: set[str] = set()
    driver = Driver(directory)
    n4 = lab.nic(4)
    try:
        await driver.machines.apply(lab.world(*two_and_a_bastion()))
        await driver.ready(VM4, VM5, BASTION)
        namespaces = namespaces_of(directory)
        assert len(namespaces) == 6
        before = traces(directory, namespaces)
        assert all(before.values()), "what is looked for is found while it is there"
        await driver.machines.apply(lab.world(n4, lab.vm(4, n4), revision=2))
        await driver.until(lambda: len(driver.machines._keepers) == 1)
        assert [s.machine for s in await driver.machines.observe()] == [VM4]
        assert len(list((directory / "uids").glob("[0-9]*"))) == 1
        gone = namespaces - namespaces_of(directory)
        assert len(gone) == 4
        assert not [m for m in traces(directory, gone)["mounts"] if any(n in m for n in gone)], "no view keeps them"
    finally:
        await driver.machines.destroy()
    assert traces(directory, namespaces) == {"mounts": [], "cgroups": [], "processes": []}
    assert sorted(p.name for p in (directory / "run").iterdir()) == []
    assert sorted(p.name for p in (directory / "state").iterdir()) == []
    assert not list((directory / "uids").glob("[0-9]*"))
    assert not [link for link in lab.links(directory / "lab") if link.startswith("p")]


OTHERS = [
    ("ubuntu-24.04", "Welcome to Ubuntu 24.04"),
    ("debian-12", "Debian GNU/Linux"),
    # Built when they are used, hence not by a test of everything.
    ("ubuntu-20.04", "Welcome to Ubuntu 20.04"),
    ("ubuntu-18.04", "Welcome to Ubuntu 18.04"),
]


@pytest.mark.parametrize(("image", "welcome"), OTHERS[: times(2, len(OTHERS))])
async def test_the_other_images_boot_and_take_a_log_in(driver: Driver, image: str, welcome: str) -> None:
    n4, n9 = lab.nic(4), lab.nic(9, "bastion")
    await driver.machines.apply(lab.world(n4, n9, lab.vm(4, n4, image=image), lab.bastion(9, n9)))
    await driver.until(lambda: (s := driver.last(VM4)) is not None and s.ready, seconds=400)  # it may be built first
    await driver.ready(BASTION)
    session = await BastionConnection.open(
        driver.machines.socket(BASTION), Open(address="10.9.0.4", username="azureuser", password=lab.PASSWORD)
    )
    assert welcome in await until_prompt(session, "azureuser@vm-4:~$ ")
    await session.write(b"ping -c 1 10.9.0.9\n")
    assert "64 bytes from 10.9.0.9: icmp_seq=1 ttl=64" in await until_prompt(session, "azureuser@vm-4:~$ ")
    result = await driver.machines.run(VM4, f"{SETTLED}; systemctl --failed --plain", 30)
    assert result.stdout.startswith("running\n"), result.stdout


async def test_what_breaks_is_started_again(driver: Driver) -> None:
    await driver.machines.apply(lab.world(*two_and_a_bastion()))
    await driver.ready(VM4, VM5, BASTION)
    guests = {k.key: k.guest for k in driver.machines._keepers.values()}
    init, monitor, host = guests[VM4].init(), guests[VM5].monitor(), guests[BASTION].monitor()
    assert init
    assert monitor
    assert host
    for pid in (init, monitor, host):  # ours by cgroup: the guest's init, a monitor, the Bastion host
        os.kill(pid, signal.SIGKILL)
    await driver.ready(VM4, VM5, BASTION, boots=2)
    assert {s.power for s in driver.told if s.machine == BASTION} <= {"starting", "running"}


async def test_after_a_halt_or_a_restart_of_the_computer_what_ran_runs_again(directory: Path) -> None:
    driver = Driver(directory)
    n4, n5 = lab.nic(4), lab.nic(5)
    try:
        await driver.machines.apply(lab.world(n4, n5, lab.vm(4, n4), lab.vm(5, n5, power="stopped")))
        await driver.ready(VM4)
        await driver.machines.run(VM4, "echo kept >/root/file; sync", 10)
        await driver.machines.halt()
        await driver.machines.close()
        assert traces(directory, set()) == {"mounts": [], "cgroups": [], "processes": []}
        shutil.rmtree(directory / "run")  # gone after a restart of the computer

        driver = Driver(directory)
        assert {s.power for s in await driver.machines.observe()} == {"stopped"}
        await driver.machines.apply(lab.world(n4, n5, lab.vm(4, n4), lab.vm(5, n5, power="stopped")))
        await driver.ready(VM4, boots=2)
        assert (await driver.machines.run(VM4, "cat /root/file", 10)).stdout == "kept\n"
        assert driver.last(VM5).power == "stopped"  # type: ignore[union-attr]
    finally:
        await driver.machines.destroy()


async def test_a_guest_that_never_answers_has_timed_out_and_may_still_come(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "PROVISIONING_SECONDS", 1.0)
    deaf = True
    answers = VirtualMachine.answers

    async def later(self: VirtualMachine, desired: Desired, timeout: float) -> bool:
        return not deaf and await answers(self, desired, timeout)

    monkeypatch.setattr(VirtualMachine, "answers", later)
    n4 = lab.nic(4)
    await driver.machines.apply(lab.world(n4, lab.vm(4, n4)))
    await driver.until(lambda: (s := driver.last(VM4)) is not None and s.power == "failed")
    status = driver.last(VM4)
    assert status is not None
    assert status.code == "OSProvisioningTimedOut"
    assert "OS Provisioning for VM 'vm-4' did not finish in the allotted time" in (status.why or "")
    deaf = False
    await driver.ready(VM4)
    assert driver.last(VM4).boots == 1  # type: ignore[union-attr]


class HangingStore(ImageStore):
    """Builds of `debian-12` hang until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def build(self, name: str, progress: Progress = lambda fraction, phase: None) -> Image:
        if name == "debian-12":
            self.let_go.wait(60)
            raise ImageError("the archive has stopped answering")
        return super().build(name, progress)


async def test_an_image_that_hangs_holds_up_its_own_machines_alone(driver: Driver) -> None:
    store = HangingStore()
    object.__setattr__(driver.machines._tools, "images", store)
    n4, n5 = lab.nic(4), lab.nic(5)
    try:
        waiting = lab.vm(5, n5, image="debian-12")
        await driver.machines.apply(lab.world(n4, n5, lab.vm(4, n4), waiting))
        await driver.ready(VM4)
        report = await driver.machines.apply(lab.world(n4, n5, lab.vm(4, n4), waiting, revision=2))
        assert report.pending == {VM5}
        await driver.machines.apply(lab.world(n4, lab.vm(4, n4), revision=3))
        await driver.until(lambda: len(driver.machines._keepers) == 1, 5)
        await driver.machines.apply(lab.world(n4, n5, lab.vm(4, n4), waiting, revision=4))
        store.let_go.set()
        await driver.until(lambda: (s := driver.last(VM5)) is not None and s.power == "failed")
        status = driver.last(VM5)
        assert status is not None
        assert (status.code, status.why) == ("AllocationFailed", "the archive has stopped answering")
    finally:
        store.let_go.set()

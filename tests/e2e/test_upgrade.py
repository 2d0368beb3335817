"""Another Azlan takes over a running cloud: its program of the same tables, its program of other tables, and back.

vm-1 ═ 1,000 numbered packets a second each way ═ peering ═ vm-2       vm-1 lets in port 7002 and what it asked for
processes of this Azlan ╳ ─ of another program ╳ ─ of other tables ╳ ─ of this one again; and stores of other versions
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import shutil
import signal
import socket
import sqlite3
import struct
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from azlan.commands.supervisor import SUPERVISOR, find, lock_of
from counts import times
from network import VNETS, template
from probing import within
from standing import PASSWORD, Standing, short_folder, standing
from streams import Flow, Stream

SOURCE = Path(__file__).parents[2] / "src" / "azlan"
RATE = 1000

NETWORK = {
    "vnets": {
        "vnet-1": {"space": "10.0.0.0/16", "subnets": {"subnet-1": "10.0.0.0/24"}},
        "vnet-2": {"space": "10.1.0.0/16", "subnets": {"subnet-1": "10.1.0.0/24"}},
    },
    "security_groups": {
        "quiet": {
            "one": {
                "priority": 100,
                "direction": "Inbound",
                "access": "Allow",
                "protocol": "Udp",
                "source": "*",
                "destination": "*",
                "ports": "7002",
            },
            "none": {
                "priority": 200,
                "direction": "Inbound",
                "access": "Deny",
                "protocol": "*",
                "source": "*",
                "destination": "*",
                "ports": "*",
            },
        }
    },
    "machines": {"vm-1": {"subnet": "vnet-1/subnet-1", "security_group": "quiet"}, "vm-2": "vnet-2/subnet-1"},
}


def installation(folder: Path, name: str, file: str, change: Callable[[str], str]) -> str:
    """The interpreter of an environment of its own that has this Azlan with a change in one of its files."""
    place = folder / name
    packages = place / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    shutil.copytree(SOURCE, packages / "azlan", ignore=shutil.ignore_patterns("__pycache__"))
    (packages / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    base = Path(sys.executable).resolve()
    (place / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    (place / "bin").mkdir()
    (place / "bin" / "python").symlink_to(base)
    changed = packages / "azlan" / file
    text = changed.read_text()
    changed.write_text(change(text))
    assert changed.read_text() != text
    return str(place / "bin" / "python")


async def replaced(cloud: Standing, python: str) -> None:
    """End the cloud's processes and start those of another installation: what its user does after an update."""
    config = cloud.config
    processes = list(lock_of(config, SUPERVISOR).holders())
    processes += [process for role in ("control", "fabric") if (process := find(config, role)) is not None]
    assert len(processes) == 3
    for process in processes:
        os.kill(process.pid, signal.SIGTERM)
    async with asyncio.timeout(30):
        while any(process.alive for process in processes):
            await asyncio.sleep(0.05)
    up = (python, "-m", "azlan", "up", "--state", str(cloud.state), "-d")
    started = await asyncio.create_subprocess_exec(*up, stdin=asyncio.subprocess.DEVNULL, cwd="/")
    assert await started.wait() == 0, cloud.logs()
    async with asyncio.timeout(60):
        while True:
            status = await asyncio.to_thread(cloud.status)
            if min(status["applied"].values()) >= status["revision"]:
                return
            await asyncio.sleep(0.1)


@dataclass(frozen=True)
class Answered:
    """One answer: its number, when it was sent, and whether it came."""

    number: int
    at: float
    came: bool


class Answers:
    """vm-1 has asked vm-2 something, and vm-2 answers again and again: past vm-1's rules only while the flow is held."""

    def __init__(self, one: Path, two: Path) -> None:
        self._asker = within(one, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._answerer = within(two, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._asker.bind(("10.0.0.4", 6000))
        self._asker.connect(("10.1.0.4", 6001))
        self._answerer.bind(("10.1.0.4", 6001))
        self._answerer.connect(("10.0.0.4", 6000))
        self._sent: list[float] = []
        self._came: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self.ask()
        self._thread.start()

    def ask(self) -> None:
        self._asker.send(b"?")

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            self._answerer.send(struct.pack("!I", len(self._sent)))
            self._sent.append(time.monotonic())
            self._take(0)
        self._take(0.5)

    def _take(self, wait: float) -> None:
        while select.select([self._asker], [], [], wait)[0]:
            self._came.add(struct.unpack("!I", self._asker.recv(64))[0])

    def since(self, begin: float, end: float) -> list[Answered]:
        found = [Answered(n, at, n in self._came) for n, at in enumerate(list(self._sent))]
        return [one for one in found if begin <= one.at <= end]

    def end(self) -> None:
        self._stop.set()
        self._thread.join()
        self._asker.close()
        self._answerer.close()


async def deploy(arm: Any) -> None:
    await arm.put("", {"location": "eastus2"})
    parameters = {"password": {"value": PASSWORD}}
    properties = {"mode": "Incremental", "template": template(NETWORK), "parameters": parameters}
    await arm.put("Microsoft.Resources/deployments/network", {"properties": properties})
    for mine, other in (("vnet-1", "vnet-2"), ("vnet-2", "vnet-1")):
        half = {"remoteVirtualNetwork": {"id": arm.id(f"{VNETS}/{other}")}}
        await arm.put(f"{VNETS}/{mine}/virtualNetworkPeerings/{other}", {"properties": half})


def pins(cloud: Standing) -> tuple[set[str], set[str]]:
    """(layouts, programs) that are pinned."""
    folder = cloud.config.run / "bpf" / "bpf"
    layouts = [path for path in folder.iterdir() if path.is_dir()]
    return {path.name for path in layouts}, {path.name for one in layouts for path in one.glob("programs-*")}


def dropped(cloud: Standing) -> list[dict[str, Any]]:
    """What the log says of packets that no rule of vm-1 lets in."""
    lines = (cloud.state / "logs" / "fabric.log").read_text().splitlines()
    found = [json.loads(line) for line in lines if '"packet dropped"' in line]
    return [one for one in found if one["reason"] == "nic_inbound_rule" and one["destination"] == "10.0.0.4:7003"]


def announced(cloud: Standing) -> int:
    return (cloud.state / "logs" / "fabric.log").read_text().count("running flows were forgotten")


@pytest.mark.root
async def test_programs_and_tables_change_both_ways_under_traffic() -> None:
    with short_folder() as folder, standing(folder) as cloud:
        program = "engines/bpf/program/"
        another = installation(
            folder, "another", program + "flows.h", lambda text: text.replace("SLOT_TRIES 16", "SLOT_TRIES 15")
        )
        more = "\t__u32 state;\n\t__u64 packets;\n"  # each flow takes more room
        other = installation(
            folder, "other", program + "layout.h", lambda text: text.replace("\t__u32 state;\n", more, 1)
        )
        steps = [(another, False), (other, True), (sys.executable, True)] * times(1, 4)
        async with cloud.client() as arm:
            await deploy(arm)
            keys = [f"machine:{arm.id(f'Microsoft.Compute/virtualMachines/vm-{n}').lower()}" for n in (1, 2)]
        one, two = (cloud.namespace(key) for key in keys)
        flows = [
            Flow(str(one), "10.0.0.4", str(two), "10.1.0.4", 7001),
            Flow(str(two), "10.1.0.4", str(one), "10.0.0.4", 7002),
            Flow(str(two), "10.1.0.4", str(one), "10.0.0.4", 7003),
        ]
        answers = Answers(one, two)
        stream = await Stream.start(flows, RATE)
        answers.start()
        await asyncio.sleep(0.5)
        spans = []
        for python, resets in steps:
            before, told = pins(cloud), announced(cloud)
            begin = time.monotonic()
            await replaced(cloud, python)
            after = pins(cloud)
            assert (after[0] != before[0]) is resets
            assert len(after[0]) == len(after[1]) == 1, "what is no longer used is gone"
            assert after[1] != before[1]
            assert announced(cloud) - told == resets, "a reset is announced, and nothing else is"
            spans.append((begin, time.monotonic(), resets))
            await asyncio.sleep(0.3)
            answers.ask()
            await asyncio.sleep(0.3)
        end = time.monotonic()
        await asyncio.sleep(1.5)  # until the log of drops was written once more
        records = await stream.end()
        answers.end()
        for record in records[:2]:
            assert record.packets
            assert not record.lost(), f"{len(record.lost())} of {len(record.packets)} packets were lost"
        assert not records[2].delivered(), "what no rule lets in came in"
        told = dropped(cloud)
        assert {(one["nic"].rpartition("/")[2], one["source"].split(":")[0]) for one in told} == {
            ("vm-1-nic", "10.1.0.4")
        }
        most = len(records[2].packets) + len(answers.since(0, end))  # answers may be among those not told
        assert 0 < sum(one["suppressed"] + 1 for one in told) <= most
        assert len(told) < 1 + len(steps) + (end - spans[0][0] + 10) / 10
        for index, (begin, done, resets) in enumerate(spans):
            then = spans[index + 1][0] if index + 1 < len(spans) else end
            kept = [one.came for one in answers.since(begin, done)]
            assert kept == sorted(kept, reverse=True), "once forgotten, a flow does not come back by itself"
            assert all(kept) is not resets
            if resets:
                assert not any(one.came for one in answers.since(done + 0.05, done + 0.25))
            assert all(one.came for one in answers.since(done + 0.5, then)), "asked again, it is held again"


async def test_an_older_store_is_migrated_and_a_newer_one_refused() -> None:
    simulated = ("--engine", "model", "--machines", "simulated")
    with short_folder() as folder, standing(folder, *simulated) as cloud:
        async with cloud.client() as arm:
            await arm.put("", {"location": "eastus2"})
            space = {"addressSpace": {"addressPrefixes": ["10.7.0.0/16"]}}
            await arm.put(f"{VNETS}/kept", {"location": "eastus2", "properties": space})
        cloud.azlan("down")
        migration = (
            "\n\ndef _coloured(database: sqlite3.Connection) -> None:\n"
            "    database.execute(\"ALTER TABLE resources ADD COLUMN colour VARCHAR NOT NULL DEFAULT 'blue'\")\n"
            "\n\nMIGRATIONS = (*MIGRATIONS, _coloured)\n"
        )
        migrated = installation(folder, "newer", "arm/schema.py", lambda text: text + migration)
        now = sqlite3.connect(cloud.config.store).execute("PRAGMA user_version").fetchone()[0]
        up = (migrated, "-m", "azlan", "up", "--state", str(cloud.state), "-d")
        started = await asyncio.create_subprocess_exec(*up, stdin=asyncio.subprocess.DEVNULL, cwd="/")
        assert await started.wait() == 0, cloud.logs()
        async with cloud.client() as arm:
            assert (await arm.get(f"{VNETS}/kept"))["properties"]["addressSpace"]["addressPrefixes"] == ["10.7.0.0/16"]
            await arm.put(f"{VNETS}/later", {"location": "eastus2", "properties": space})
        cloud.azlan("down")
        with sqlite3.connect(cloud.config.store) as store:
            assert store.execute("PRAGMA user_version").fetchone()[0] == now + 1
            assert store.execute("SELECT DISTINCT colour FROM resources").fetchall() == [("blue",)]
        refused = cloud.azlan("up", "-d", check=False)
        assert refused.returncode != 0
        said = refused.stdout + refused.stderr
        assert re.search(rf"version {now + 1}, newer than the {now} ", said), said
        assert "Traceback" not in said
        cloud.azlan("down")
        with sqlite3.connect(cloud.config.store) as store:  # nothing was done to it
            assert store.execute("PRAGMA user_version").fetchone()[0] == now + 1

"""The World over the socket: only differences go, a fresh process asks for the whole, strangers are refused.

RemoteEngine ── FabricClient ══ socket ══ FabricServer ── recording engine
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import MappingProxyType

import pytest

from azlan.contract.engine import Digest, Flow, Report, Verdict
from azlan.contract.machine import CommandResult, MachineStatus, StatusListener
from azlan.contract.world import AnyPart, Machine, RuleSet, Vnet, World, digest, part_key, root_of
from azlan.fabric import wire
from azlan.fabric.client import FabricClient, RemoteEngine, RemoteMachines
from azlan.fabric.server import FabricServer


class RecordingEngine:
    name = "recording"

    def __init__(self) -> None:
        self.worlds: list[World] = []

    async def apply(self, world: World) -> Report:
        self.worlds.append(world)
        return Report(revision=world.revision, parts_written=len(world.parts))

    async def observe(self) -> Digest:
        return Digest(root=root_of(digest(part) for part in self.worlds[-1].parts.values()))

    async def probe(self, flow: Flow) -> Verdict:
        raise LookupError(f"no NIC {flow.nic}")

    async def counters(self) -> dict[str, dict[str, int]]:
        return {"nic:/a": {"delivered": 3}}


class RecordingMachines:
    name = "recording"

    def __init__(self) -> None:
        self.worlds: list[World] = []
        self.listeners: list[StatusListener] = []

    async def apply(self, world: World) -> Report:
        self.worlds.append(world)
        return Report(revision=world.revision)

    async def observe(self) -> tuple[MachineStatus, ...]:
        return (MachineStatus(machine="machine:/m", power="running", ready=True),)

    def listen(self, listener: StatusListener) -> None:
        self.listeners.append(listener)

    async def run(self, machine: str, script: str, timeout: float) -> CommandResult:
        return CommandResult(exit_status=0, stdout=script, stderr="")

    async def close(self) -> None:
        return None


def vnet(name: str, prefix: str = "10.0.0.0/16") -> Vnet:
    return Vnet(id=f"/{name}", location="eastus2", prefixes=(prefix,), tags=())


def world(revision: int, *parts: AnyPart) -> World:
    return World(revision=revision, parts=MappingProxyType({part_key(part): part for part in parts}))


class Pair:
    def __init__(self, path: Path, uid: int | None = None) -> None:
        self.engine = RecordingEngine()
        self.machines = RecordingMachines()
        self.server = FabricServer(path, self.engine, self.machines, os.getuid() if uid is None else uid)


async def test_only_differences_are_sent(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "s")
    await pair.server.start()
    client = FabricClient(tmp_path / "s")
    await client.start()
    engine = RemoteEngine(client, "bpf")
    sent: list[wire.Apply] = []
    call = client.call

    async def spy(request):  # type: ignore[no-untyped-def]
        if isinstance(request, wire.Apply):
            sent.append(request)
        return await call(request)

    client.call = spy  # type: ignore[method-assign]
    a, b, rules = vnet("a"), vnet("b"), RuleSet(id="/n", inbound=(), outbound=())
    await engine.apply(world(1, a, b, rules))
    changed = vnet("b", "10.9.0.0/16")
    report = await engine.apply(world(2, a, changed))
    assert report.revision == 2
    assert [len(apply.added) for apply in sent] == [3, 1]
    assert sent[1].removed == ("rules:/n",)
    assert dict(pair.engine.worlds[-1].parts) == {"vnet:/a": a, "vnet:/b": changed}
    assert (await engine.observe()).root == root_of([digest(a), digest(changed)])
    await client.close()
    await pair.server.stop()


async def test_a_fresh_fabric_process_gets_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = Pair(path)
    await first.server.start()
    client = FabricClient(path)
    reconnected = asyncio.Event()
    await client.start()
    engine = RemoteEngine(client, "bpf")
    await engine.apply(world(1, vnet("a"), vnet("b")))
    client.on_connect.append(reconnected.set)
    await first.server.stop()
    second = Pair(path)
    await second.server.start()
    await asyncio.wait_for(reconnected.wait(), 5)
    await engine.apply(world(2, vnet("a"), vnet("b"), vnet("c")))
    assert set(second.engine.worlds[-1].parts) == {"vnet:/a", "vnet:/b", "vnet:/c"}
    await client.close()
    await second.server.stop()


async def test_a_stranger_is_refused(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "s", uid=os.getuid())
    await pair.server.start()
    pair.server._allowed_uid = os.getuid() + 1
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
    wire.write_message(writer, wire.Call(number=1, request=wire.Counters()))
    assert await wire.read_message(reader) is None
    writer.close()
    await pair.server.stop()


async def test_garbage_ends_the_connection_and_nothing_else(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "s")
    await pair.server.start()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
    writer.write(b"\x00\x00\x00\x04junk")
    assert await reader.read() == b""
    writer.close()
    client = FabricClient(tmp_path / "s")
    await client.start()
    assert await RemoteEngine(client, "bpf").counters() == {"nic:/a": {"delivered": 3}}
    await client.close()
    await pair.server.stop()


async def test_errors_and_events_cross(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "s")
    await pair.server.start()
    client = FabricClient(tmp_path / "s")
    await client.start()
    machines = RemoteMachines(client, "containers")
    heard: list[MachineStatus] = []
    machines.listen(heard.append)
    with pytest.raises(LookupError, match="no NIC nic:/x"):
        await RemoteEngine(client, "bpf").probe(Flow(nic="nic:/x", source="10.0.0.4", destination="10.0.0.5"))
    assert (await machines.run("machine:/m", "echo hi", 5)).stdout == "echo hi"
    machine = Machine(id="/m", role="vm", computer_name="m", image="debian-12", memory_mib=512, cpus=1, nics=())
    await machines.apply(world(1, machine, vnet("a"), RuleSet(id="/n", inbound=(), outbound=())))
    assert set(pair.machines.worlds[-1].parts) == {"machine:/m", "vnet:/a"}
    status = MachineStatus(machine="machine:/m", power="running", ready=True)
    pair.machines.listeners[0](status)
    await machines.observe()
    assert heard == [status]
    await client.close()
    await pair.server.stop()

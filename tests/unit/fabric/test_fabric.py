"""The World over the socket: only differences go, a fresh process asks for the whole, strangers are refused.

RemoteEngine ── FabricClient ══ socket ══ FabricServer ── recording engine
"""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import tempfile
from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest

from azlan.contract.engine import Digest, Flow, Report, Verdict
from azlan.contract.machine import CommandResult, MachineStatus, StatusListener
from azlan.contract.world import AnyPart, Machine, RuleSet, Vnet, World, digest, part_key, root_of
from azlan.fabric import wire
from azlan.fabric.client import FabricClient, RemoteEngine, RemoteMachines
from azlan.fabric.peers import Admits, holder_of, holds, of_user
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
    def __init__(self, path: Path, admits: Admits | None = None) -> None:
        self.engine = RecordingEngine()
        self.machines = RecordingMachines()
        self.server = FabricServer(path, self.engine, self.machines, os.getuid(), admits)


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
    pair = Pair(tmp_path / "s", admits=of_user(os.getuid() + 1))
    await pair.server.start()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
    wire.write_message(writer, wire.Call(number=1, request=wire.Counters()))
    assert await wire.read_message(reader) is None
    writer.close()
    await pair.server.stop()


_INTRUDER = """
import os, socket, sys
if int(sys.argv[2]) != os.getuid():
    os.setresuid(*[int(sys.argv[2])] * 3)
made = socket.socket(socket.AF_UNIX)
try:
    made.connect(sys.argv[1])
    made.sendall(bytes.fromhex(sys.argv[3]))
    print(made.recv(100))
except OSError as error:
    print(type(error).__name__)
"""


REFUSED = ("b''", "ConnectionResetError", "BrokenPipeError")


async def intrude(path: Path, sent: bytes, uid: int) -> str:
    """What another process is answered."""
    argv = [sys.executable, "-I", "-S", "-c", _INTRUDER, str(path), str(uid), sent.hex()]
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    return out.decode().strip()


async def test_another_process_of_the_same_user_is_refused_and_ends_nothing(tmp_path: Path) -> None:
    """Only who has the supervisor's lock open to write is the control process: no replay of what it said helps."""
    path, lock = tmp_path / "s", tmp_path / "control.lock"
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    pair = Pair(path, admits=holder_of(lock, os.getuid()))
    await pair.server.start()
    client = FabricClient(path)
    await client.start()
    engine = RemoteEngine(client, "bpf")
    await engine.apply(world(1, vnet("a")))
    empty = wire.Apply(channel="network", revision=9, base=None, root=bytes(16), added=(), removed=())
    body = msgspec.msgpack.encode(wire.Call(number=1, request=empty))
    hello = len(body).to_bytes(4, "big") + body
    for sent in (hello, b"junk", b"\xff\xff\xff\xff", hello[:5]):
        assert await intrude(path, sent, os.getuid()) in REFUSED
    assert len(pair.engine.worlds) == 1, "nothing was taken"
    assert await engine.counters() == {"nic:/a": {"delivered": 3}}, "the control process is still connected"
    await client.close()
    await pair.server.stop()
    os.close(handle)


def test_a_lock_that_is_open_to_read_is_not_held(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert not holds(lock, os.getpid())
    lock.touch()
    with lock.open("rb"):
        assert not holds(lock, os.getpid())
    with lock.open("ab"):
        assert holds(lock, os.getpid())
    assert not holds(lock, os.getpid())


@pytest.mark.root
async def test_another_user_may_not_even_connect() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        path = Path(name) / "s"
        pair = Pair(path)
        await pair.server.start()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await intrude(path, b"", 61_235) == "PermissionError"
        path.chmod(0o666)
        assert await intrude(path, b"", 61_235) in REFUSED, "refused by who he is"
        await pair.server.stop()


@pytest.mark.parametrize("sent", [b"\xff\xff\xff\xff", (wire.FRAME_MOST + 1).to_bytes(4, "big")])
async def test_a_giant_frame_ends_its_connection_unread(tmp_path: Path, sent: bytes) -> None:
    pair = Pair(tmp_path / "s")
    await pair.server.start()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
    writer.write(sent)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    await pair.server.stop()


async def test_who_stops_in_the_middle_of_a_frame_holds_up_nobody(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "s")
    await pair.server.start()
    _, slow = await asyncio.open_unix_connection(str(tmp_path / "s"))
    slow.write(b"\x00\x00\x10\x00half")
    client = FabricClient(tmp_path / "s")
    await client.start()
    assert await RemoteEngine(client, "bpf").counters() == {"nic:/a": {"delivered": 3}}
    slow.close()
    await client.close()
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

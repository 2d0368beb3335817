"""Real packets without a cloud: facts compiled and applied by the bpf engine, and guests that are bare namespaces.

a1, a2 ∈ VNet a    b1 ∈ VNet b, peered with a    x ═ y  a bare veth pair, what the computer can do at best
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pyroute2 import IPRoute

from azlan.compiler.compile import Compiler
from azlan.contract import facts
from azlan.contract.facts import Fact, Facts, PeeringState
from azlan.contract.world import Nic, World
from azlan.engines.bpf.engine import BpfEngine
from azlan.engines.bpf.namespaces import inside, make_namespace, remove_namespace
from azlan.engines.model import probe
from azlan.machines.netns import Link, configure

ROOT = "/subscriptions/s/resourcegroups/g/providers/microsoft.network"
ANY_PORT = ((0, 65535),)


def rule(name: str, priority: int, direction: Literal["Inbound", "Outbound"], allow: bool, **given: Any) -> facts.Rule:
    """TCP from and to anywhere, unless `given` says otherwise."""
    fields = {"protocol": "Tcp", "sources": ("*",), "destinations": ("*",)} | given
    fields = {"source_ports": ANY_PORT, "destination_ports": ANY_PORT} | fields
    return facts.Rule(name=name, priority=priority, direction=direction, allow=allow, **fields)


class Network:
    """Facts by short names, and the World they compile to."""

    def __init__(self) -> None:
        self._owners: dict[str, tuple[Fact, ...]] = {}
        self._changed: set[str] = set()
        self._compiler = Compiler()
        self._revision = 0

    def put(self, key: str, *declared: Fact) -> None:
        self._owners[key] = declared
        self._changed.add(key)

    def vnet(self, name: str, prefix: str, group: str | None = None) -> None:
        key = f"{ROOT}/virtualnetworks/{name}"
        group = f"{ROOT}/networksecuritygroups/{group}" if group else None
        space = facts.Space(key, (prefix,), "eastus2")
        self.put(key, space, facts.Subnet(f"{key}/subnets/s", key, (prefix,), security_group=group))

    def half(self, name: str, remote: str, prefix: str, **given: Any) -> None:
        vnet, key = f"{ROOT}/virtualnetworks/{name}", f"{ROOT}/virtualnetworks/{name}/virtualnetworkpeerings/{remote}"
        other = f"{ROOT}/virtualnetworks/{remote}"
        self.put(key, facts.Peering(key, vnet, other, PeeringState.CONNECTED, (prefix,), **given))

    def group(self, name: str, rules: tuple[facts.Rule, ...]) -> None:
        key = f"{ROOT}/networksecuritygroups/{name}"
        self.put(key, facts.SecurityGroup(key, rules))

    def nic(self, name: str, vnet: str, address: str, number: int, group: str | None = None) -> str:
        """Attached to a machine of its name. Returns its part key."""
        key = f"{ROOT}/networkinterfaces/{name}"
        mac = f"00:0d:3a:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        config = facts.IpConfig(f"{key}/ipconfigurations/c", address)
        group = f"{ROOT}/networksecuritygroups/{group}" if group else None
        subnet = f"{ROOT}/virtualnetworks/{vnet}/subnets/s"
        self.put(key, facts.Nic(key, subnet, mac, (config,), security_group=group, machine=f"{ROOT}/machines/{name}"))
        return f"nic:{key}"

    def facts(self) -> Facts:
        """What the store would hand over: everything, and what changed."""
        base = self._revision or None
        self._revision += 1
        given = Facts(self._revision, dict(self._owners), base, frozenset(self._changed))
        self._changed = set()
        return given

    def compile(self, given: Facts) -> World:
        return self._compiler.compile(given)


@dataclass
class Guest:
    """A network namespace and the address it has."""

    path: Path
    address: str

    def run(self, *command: str, seconds: float = 120) -> str:
        """Output of a program inside. Raises CalledProcessError."""
        entered = ["nsenter", f"--net={self.path}", *command]
        return subprocess.run(entered, capture_output=True, text=True, check=True, timeout=seconds).stdout

    @contextmanager
    def serving(self, *command: str, ready: str | None = None) -> Iterator[None]:
        """A program runs inside; with `ready`, once it has said so on its standard output."""
        entered = ["nsenter", f"--net={self.path}", *command]
        process = subprocess.Popen(entered, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        try:
            while ready is not None and ready not in (line := process.stdout.readline()):
                if not line:
                    raise RuntimeError(f"{' '.join(command)} ended")
            yield
        finally:
            process.terminate()
            process.wait(30)


class Wired:
    """A bpf engine with a mark and folder of its own, and guests plugged into it."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._folder = Path(tempfile.mkdtemp(prefix="azlan-bench-"))
        self._guests: list[Path] = []
        self.engine = BpfEngine(
            self._folder / "run", uuid.uuid4().hex[:8], probe=probe, uplink=None, cache_dir=self._folder / "programs"
        )  # fmt: skip
        self._loop = asyncio.new_event_loop()

    def apply(self, world: World) -> None:
        report = self._loop.run_until_complete(self.engine.apply(world))
        if report.failed:
            raise RuntimeError(str(report.failed))

    def plug(self, world: World, nic: str) -> Guest:
        """A namespace with that NIC in it."""
        part = world.parts[nic]
        assert isinstance(part, Nic)
        path = self._namespace()
        self._loop.run_until_complete(self.engine.plug(part, path, "eth0"))
        addresses = tuple(entry.private for entry in part.addresses)
        configure(path, (Link("eth0", addresses, part.prefix_length, part.gateway),))
        return Guest(path, addresses[0])

    def pair(self) -> tuple[Guest, Guest]:
        """Two namespaces with a veth pair between them, set up as a port's is."""
        one, other = self._namespace(), self._namespace()
        with inside(one), IPRoute() as netlink, other.open() as far:
            netlink.link("add", ifname="eth0", kind="veth", peer={"ifname": "eth0", "net_ns_fd": far.fileno()})
        configure(one, (Link("eth0", ("10.9.0.4",), 24, None),))
        configure(other, (Link("eth0", ("10.9.0.5",), 24, None),))
        return Guest(one, "10.9.0.4"), Guest(other, "10.9.0.5")

    def _namespace(self) -> Path:
        path = self._folder / "guests" / str(len(self._guests))
        make_namespace(path)
        self._guests.append(path)
        return path

    def remove(self) -> None:
        self._loop.run_until_complete(self.engine.destroy())
        self._loop.close()
        for path in self._guests:
            remove_namespace(path)
        shutil.rmtree(self._folder)


@contextmanager
def wired(network: Network) -> Iterator[Wired]:
    made = Wired(network)
    try:
        yield made
    finally:
        with contextlib.ExitStack() as stack:
            stack.callback(made.remove)


def python(*arguments: str) -> tuple[str, ...]:
    """A program of this package as a command."""
    return (sys.executable, "-m", *arguments)

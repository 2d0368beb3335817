"""Real packets for tests: a network declared as facts, guests that are bare namespaces, and a cloud of their own.

Nothing of this touches the computer's own network namespace: a namespace plays the computer, another the internet.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pyroute2 import IPRoute

from azlan.compiler.compile import Compiler
from azlan.contract import facts
from azlan.contract.engine import Flow, Verdict
from azlan.contract.facts import Fact, Facts, PeeringState
from azlan.contract.world import Nic, World
from azlan.engines.bpf.engine import BpfEngine
from azlan.engines.bpf.namespaces import inside, make_namespace, remove_namespace, sysctl
from azlan.engines.model import probe

T = TypeVar("T")
ROOT = "/subscriptions/s/resourcegroups/g/providers/microsoft.network"
CACHE = Path(tempfile.gettempdir()) / f"azlan-test-programs-{os.getuid()}"
ANY_PORT = ((0, 65535),)


def default_rules() -> tuple[facts.Rule, ...]:
    def rule(name: str, priority: int, direction: Any, allow: bool, source: str, destination: str) -> facts.Rule:
        return facts.Rule(
            name, priority, direction, allow, "*", (source,), (destination,), ANY_PORT, ANY_PORT, default=True
        )

    return (
        rule("AllowVnetInBound", 65000, "Inbound", True, "VirtualNetwork", "VirtualNetwork"),
        rule("AllowAzureLoadBalancerInBound", 65001, "Inbound", True, "AzureLoadBalancer", "*"),
        rule("DenyAllInBound", 65500, "Inbound", False, "*", "*"),
        rule("AllowVnetOutBound", 65000, "Outbound", True, "VirtualNetwork", "VirtualNetwork"),
        rule("AllowInternetOutBound", 65001, "Outbound", True, "*", "Internet"),
        rule("DenyAllOutBound", 65500, "Outbound", False, "*", "*"),
    )


class Network:
    """Facts by short names, and the World they compile to."""

    def __init__(self) -> None:
        self.owners: dict[str, tuple[Fact, ...]] = {}
        self._compiler = Compiler()
        self._revision = 0
        self._changed: set[str] = set()
        self._macs = 0

    def put(self, key: str, *values: Fact) -> None:
        self.owners[key] = values
        self._changed.add(key)

    def remove(self, key: str) -> None:
        self.owners.pop(key, None)
        self._changed.add(key)

    def vnet(self, name: str, *prefixes: str, group: str | None = None, table: str | None = None, **given: Any) -> None:
        """A VNet whose subnets are its prefixes."""
        key = f"{ROOT}/virtualnetworks/{name}"
        group = f"{ROOT}/networksecuritygroups/{group}" if group else None
        table = f"{ROOT}/routetables/{table}" if table else None
        subnet = facts.Subnet(f"{key}/subnets/s", key, prefixes, security_group=group, route_table=table, **given)
        self.put(key, facts.Space(key, prefixes, "eastus2"), subnet)

    def space(self, name: str) -> facts.Space:
        found = self.owners[f"{ROOT}/virtualnetworks/{name}"][0]
        assert isinstance(found, facts.Space)
        return found

    def half(self, name: str, remote: str, **given: Any) -> str:
        """One half of a peering, Connected unless `state` says otherwise; its key."""
        own, other = self.space(name), self.space(remote)
        key = f"{own.vnet}/virtualnetworkpeerings/{remote}"
        given.setdefault("state", PeeringState.CONNECTED)
        self.put(key, facts.Peering(key, own.vnet, other.vnet, remote_prefixes=other.prefixes, **given))
        return key

    def peer(self, one: str, other: str, **given: Any) -> None:
        self.half(one, other, **given)
        self.half(other, one, **given)

    def group(self, name: str, *rules: facts.Rule) -> None:
        key = f"{ROOT}/networksecuritygroups/{name}"
        self.put(key, facts.SecurityGroup(key, (*rules, *default_rules())))

    def routes(self, name: str, *routes: facts.UserRoute) -> None:
        key = f"{ROOT}/routetables/{name}"
        self.put(key, facts.RouteTable(key, routes))

    def public(self, name: str, address: str) -> str:
        key = f"{ROOT}/publicipaddresses/{name}"
        self.put(key, facts.PublicAddress(key, address))
        return key

    def nic(
        self, name: str, vnet: str, *addresses: str, group: str | None = None, public: str | None = None, **given: Any
    ) -> str:
        """A NIC attached to a machine of its name; its part key."""
        key = f"{ROOT}/networkinterfaces/{name}"
        before = self.owners.get(key)
        if before:
            assert isinstance(before[0], facts.Nic)
            mac = before[0].mac
        else:
            self._macs += 1
            mac = f"00:0d:3a:{self._macs >> 16 & 255:02x}:{self._macs >> 8 & 255:02x}:{self._macs & 255:02x}"
        configs = tuple(
            facts.IpConfig(f"{key}/ipconfigurations/{i}", address, public if i == 0 else None)
            for i, address in enumerate(addresses)
        )
        group = f"{ROOT}/networksecuritygroups/{group}" if group else None
        machine = f"{ROOT}/machines/{name}"
        self.put(
            key,
            facts.Nic(
                key, f"{self.space(vnet).vnet}/subnets/s", mac, configs, security_group=group, machine=machine, **given
            ),
        )
        return f"nic:{key}"

    def change_nic(self, name: str, **given: Any) -> None:
        key = f"{ROOT}/networkinterfaces/{name}"
        (before,) = self.owners[key]
        assert isinstance(before, facts.Nic)
        self.put(key, replace(before, **given))

    def world(self) -> World:
        base = self._revision or None
        self._revision += 1
        given = Facts(self._revision, dict(self.owners), base, frozenset(self._changed))
        self._changed = set()
        return self._compiler.compile(given)


def rule(
    name: str, priority: int, direction: Any, allow: bool, *, protocol: str = "*", source: Any = "*",
    destination: Any = "*", ports: tuple[tuple[int, int], ...] = ANY_PORT,
) -> facts.Rule:  # fmt: skip
    sources = (source,) if isinstance(source, str) else tuple(source)
    destinations = (destination,) if isinstance(destination, str) else tuple(destination)
    return facts.Rule(name, priority, direction, allow, protocol, sources, destinations, ANY_PORT, ports)


class Namespace:
    """A network namespace of its own, and a thread that lives in it for sockets that work."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: list[socket.socket] = []
        """Kept open until the end, though a test let go of it."""
        make_namespace(path)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"in {path.name}")
        self.do(lambda ipr: ipr.link("set", index=ipr.link_lookup(ifname="lo")[0], state="up"))

    def do(self, work: Callable[[IPRoute], T]) -> T:
        """Run `work` inside, with a netlink socket."""

        def enter() -> T:
            with inside(self.path), IPRoute() as ipr:
                return work(ipr)

        return self._thread.submit(enter).result(timeout=30)

    def socket(self, kind: int = socket.SOCK_STREAM, family: int = socket.AF_INET, protocol: int = 0) -> socket.socket:
        """A socket of this namespace, usable from anywhere; 2 s timeout."""
        made = self.do(lambda _: socket.socket(family, kind, protocol))
        made.settimeout(2)
        self._open.append(made)
        return made

    def run(self, *command: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        entered = ["nsenter", f"--net={self.path}", *command]
        return subprocess.run(entered, capture_output=True, text=True, check=check, timeout=60)

    def start(self, *command: str) -> subprocess.Popen[str]:
        entered = ["nsenter", f"--net={self.path}", *command]
        return subprocess.Popen(entered, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def remove(self) -> None:
        for opened in self._open:
            opened.close()
        self._thread.shutdown()
        remove_namespace(self.path)

    # What tests say

    def ping(self, address: str, count: int = 1, wait: str = "0.4") -> str:
        """ping's output."""
        return self.run("ping", "-n", "-c", str(count), "-i", "0.05", "-W", wait, address).stdout

    def reaches(self, address: str) -> bool:
        return "ttl=" in self.ping(address)

    def listen(self, port: int, address: str = "0.0.0.0") -> socket.socket:
        made = self.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        made.listen(8)
        return made

    def connect(self, address: str, port: int, timeout: float = 0.5) -> socket.socket:
        made = self.socket()
        made.settimeout(timeout)
        made.connect((address, port))
        made.settimeout(2)
        return made

    def connects(self, address: str, port: int) -> bool:
        try:
            self.connect(address, port).close()
        except OSError:
            return False
        return True

    def udp(self, port: int = 0) -> socket.socket:
        made = self.socket(socket.SOCK_DGRAM)
        made.bind(("0.0.0.0", port))
        made.settimeout(0.5)
        return made

    def send_frame(self, frame: bytes, name: str = "eth0") -> None:
        raw = self.socket(socket.SOCK_RAW, socket.AF_PACKET)
        raw.bind((name, 0))
        raw.send(frame)
        raw.close()


class Cloud:
    """A bpf engine with a run folder and mark of its own, guests, and a namespace that plays the computer."""

    def __init__(self, **given: Any) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="azlan-test-"))
        self.mark = uuid.uuid4().hex[:8]
        self.computer = Namespace(self.folder / "computer")
        self.network = Network()
        self.guests: dict[str, Namespace] = {}
        self._given = given
        self.engine = self.new_engine()

    def new_engine(self, judge: Callable[[World, Flow], Verdict] = probe) -> BpfEngine:
        """Another engine on the same cloud, as a fresh process has it."""
        given = {"uplink": self.computer.path, "cache_dir": CACHE, "probe": judge} | self._given
        return BpfEngine(self.folder / "run", self.mark, **given)

    async def apply(self) -> Any:
        report = await self.engine.apply(self.network.world())
        assert report.failed == {}, report.failed
        return report

    def part(self, name: str) -> Nic:
        part = self.network.world().parts[f"nic:{ROOT}/networkinterfaces/{name}"]
        assert isinstance(part, Nic)
        return part

    async def plug(self, *names: str) -> None:
        for name in names:
            await self.engine.plug(self.part(name), self.guest(name).path, "eth0")
            self._address(name)

    def guest(self, name: str) -> Namespace:
        if name not in self.guests:
            self.guests[name] = Namespace(self.folder / "guests" / name)
        return self.guests[name]

    def _address(self, name: str) -> None:
        part = self.part(name)

        def configure(ipr: IPRoute) -> None:
            index = ipr.link_lookup(ifname="eth0")[0]
            ipr.link("set", index=ipr.link_lookup(ifname="lo")[0], state="up")
            for entry in part.addresses:
                ipr.addr("replace", index=index, address=entry.private, prefixlen=part.prefix_length)
            ipr.route("replace", dst="default", gateway=part.gateway, oif=index)
            if part.forwarding:
                sysctl("net/ipv4/ip_forward", "1")
                sysctl("net/ipv4/conf/all/send_redirects", "0")
                sysctl("net/ipv4/conf/eth0/send_redirects", "0")

        self.guest(name).do(configure)

    async def dropped(self, name: str, why: str) -> int:
        """How often a NIC's packets were dropped for a reason."""
        return (await self.engine.counters()).get(f"nic:{ROOT}/networkinterfaces/{name}", {}).get(why, 0)

    async def remove(self) -> None:
        await self.engine.destroy()
        for guest in self.guests.values():
            guest.remove()
        self.computer.remove()
        shutil.rmtree(self.folder)


# A history that keeps changing


def declare(network: Network, step: int) -> None:
    """Two peered VNets whose rules, spaces and peers change with every step; a1 and b1 always reach each other."""
    network.group(
        "g", rule("Ping", 100, "Inbound", True, protocol="Icmp"), rule("Port", 200 + step % 7, "Inbound", True)
    )
    for name, second in (("a", 0), ("b", 1)):
        spaces = [f"10.{second}.0.0/16", *([f"10.{10 + second}.0.0/16"] if step % 2 else [])]
        network.vnet(name, *spaces, group="g" if step % 3 else None)
    network.vnet("c", "10.5.0.0/16")
    network.peer("a", "b", forwarded=bool(step % 2))
    network.peer("a", "c", access=bool(step % 5))
    network.nic("a1", "a", "10.0.0.4")
    network.nic("b1", "b", "10.1.0.4", group="g" if step % 2 else None)


def churn(run_dir: Path, mark: str, computer: Path, started: str) -> None:
    """A fabric process that changes things until it is killed."""

    async def go() -> None:
        engine = BpfEngine(run_dir, mark, probe=probe, uplink=computer, cache_dir=CACHE)
        network = Network()
        for step in range(1_000_000):
            declare(network, step)
            report = await engine.apply(network.world())
            assert not report.failed
            Path(started).write_text(str(step))

    asyncio.run(go())

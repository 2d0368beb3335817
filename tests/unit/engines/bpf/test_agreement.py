"""The kernel and the model agree: random networks and flows, judged by the loaded program itself (BPF_PROG_TEST_RUN)."""

from __future__ import annotations

import ctypes
import struct
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, example, given, settings
from scapy.all import ICMP, IP, TCP, UDP, Ether, Raw

from azlan.compiler.compile import Compiler
from azlan.contract.engine import Flow, Verdict
from azlan.contract.world import Nic, World
from azlan.engines.bpf.engine import COUNTERS, key_of, totals
from azlan.engines.bpf.namespaces import inside
from azlan.engines.bpf.render import part_id
from azlan.engines.model import View, judge
from fabric_kit import Cloud
from worlds import Network, facts_of, networks

pytestmark = pytest.mark.root

REDIRECT = 7
FABRIC_MAC = "12:34:56:78:9a:bc"


class _Options(ctypes.Structure):
    """struct bpf_test_run_opts."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("data_in", ctypes.c_void_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_void_p),
        ("ctx_out", ctypes.c_void_p),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    )


class Judge:
    """Runs the cloud's programs on made packets, as if one link were every NIC's port."""

    IFINDEX_AT = 40
    """Offset of `ifindex` in struct __sk_buff."""

    def __init__(self, cloud: Cloud) -> None:
        self._engine = cloud.engine
        self._maps = cloud.engine._pins.maps
        folder = next((cloud.folder / "run" / "bpf").glob("*/programs-*"))
        self._programs = {name: cloud.engine._bpf.get_pinned(folder / name) for name in ("port", "outside")}
        self._ifindex = struct.unpack_from("<I", self._maps["settings"].get(bytes(4)) or b"")[0]
        self._namespace = cloud.engine._ports.namespace
        self._ctx = bytearray(192)
        struct.pack_into("<I", self._ctx, self.IFINDEX_AT, self._ifindex)

    def settle(self, world: World) -> None:
        """Plug the NICs that the model takes for plugged, and no others."""
        view = View(world)
        nics = {key: part for key, part in world.parts.items() if isinstance(part, Nic)}
        links = {key_of(part_id(key)): struct.pack("<IIQ", 1, 0, 0) for key, part in nics.items() if view.plugged(part)}
        self._replace("links", links)
        counted = self._maps["counted"]
        self._replace("counted", {key: bytes(counted.value_size) for key in [*links, key_of(0)]})

    def _replace(self, name: str, entries: dict[bytes, bytes]) -> None:
        self._maps[name].remove(key for key in self._maps[name].dump() if key not in entries)
        self._maps[name].update(entries)

    def _forget(self) -> None:
        for name in ("flows", "slots", "heads"):
            self._replace(name, {})

    def totals(self) -> list[int]:
        """Each counter summed over NICs and CPUs."""
        counted = [totals(value) for value in self._maps["counted"].dump().values()]
        return [sum(one[name] for one in counted) for name in COUNTERS]

    def run(self, program: str, packet: bytes) -> tuple[str, bytes]:
        """The one counter that went up (`delivered` or why not), and the packet as it left."""
        before = self.totals()
        out = ctypes.create_string_buffer(2048)
        data, ctx = ctypes.create_string_buffer(packet, len(packet)), ctypes.create_string_buffer(bytes(self._ctx), 192)
        options = _Options(sz=ctypes.sizeof(_Options), data_size_in=len(packet), data_size_out=2048, ctx_size_in=192)
        options.data_in, options.data_out = ctypes.addressof(data), ctypes.addressof(out)
        options.ctx_in = ctypes.addressof(ctx)
        with inside(self._namespace):
            bpf = self._engine._bpf
            bpf.call("bpf_prog_test_run_opts", program, self._programs[program], ctypes.byref(options))
        after = self.totals()
        changed = [name for name, a, b in zip(COUNTERS, before, after, strict=True) if a != b]
        assert len(changed) == 1, changed
        assert (options.retval == REDIRECT) == (changed == ["delivered"])
        return changed[0], out.raw[: options.data_size_out]

    def fate(self, flow: Flow, nic: Nic, verdict: Verdict) -> str:
        self._forget()
        self._replace("ports", {struct.pack("<I", self._ifindex): key_of(part_id(flow.nic))})
        result, left = self.run("port", packet_of(flow, nic.mac))
        own = {entry.private: entry.public for entry in nic.addresses}
        if result == "delivered" and verdict.next_hop == "Internet" and verdict.to and not own.get(flow.source):
            seen = Ether(left)  # by the outside namespace's NAT, and in again
            assert seen[IP].src.startswith("24")
            seen[IP].src = "192.88.99.2"
            result, _ = self.run("outside", bytes(seen))
        return result


def packet_of(flow: Flow, mac: str) -> bytes:
    head = Ether(src=mac, dst=FABRIC_MAC) / IP(src=flow.source, dst=flow.destination, proto=flow.protocol)
    match flow.protocol:
        case 6:
            return bytes(head / TCP(sport=flow.source_port, dport=flow.destination_port, flags="S"))
        case 17:
            return bytes(head / UDP(sport=flow.source_port, dport=flow.destination_port) / Raw(b"x" * 8))
        case 1:
            return bytes(head / ICMP(type=8, id=7))
    return bytes(head / Raw(b"x" * 20))


def plugged(world: World, flows: Iterable[Flow]) -> list[tuple[Flow, Nic]]:
    """The flows whose sender has a port at all, and that are new."""
    view = View(world)
    found = []
    for flow in flows:
        nic = world.parts.get(flow.nic)
        if isinstance(nic, Nic) and view.plugged(nic) and not flow.established:
            found.append((flow, nic))
    return found


async def test_kernel_and_model_agree(cloud: Cloud) -> None:
    await cloud.apply()
    referee = Judge(cloud)
    seen: Counter[str] = Counter()

    @given(networks())
    @example(Network(130038, wild=False))  # a hairpin to a NIC that does not run
    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    def agree(network: Network) -> None:
        owners = network.owners
        world = Compiler().compile(facts_of(owners))
        report = cloud.engine._thread.submit(cloud.engine._apply, world).result()
        assert report.failed == {}
        referee.settle(world)
        view = View(world)
        for flow, nic in plugged(world, network.flows(owners, 30)):
            verdict = judge(view, flow)
            expected = verdict.drop or "delivered"
            assert referee.fate(flow, nic, verdict) == expected, (flow, verdict)
            seen[expected] += 1

    agree()
    assert seen.total() > 200
    assert len(seen) >= 8, seen  # the flows meet fates of every kind

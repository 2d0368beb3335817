"""How flows end and what they cost whom: quotas, floods, and time that passes with no process to watch it.

a 10.0.0.0/16 ─── b 10.1.0.0/16
"""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from scapy.all import IP, TCP, UDP, Ether

from fabric_kit import Cloud, rule

from .port_packets import FABRIC_MAC, age, frame, group_id, two_vnets

pytestmark = pytest.mark.root


async def test_a_flood_fills_its_own_quota_and_ends_no_flow_of_another() -> None:
    cloud = Cloud(flow_quota=64)
    try:
        network = await two_vnets(cloud)
        network.nic("a2", "a", "10.0.0.5")
        network.nic("b2", "b", "10.1.0.5")
        await cloud.apply()
        await cloud.plug("a2", "b2")
        server = cloud.guest("b2").listen(80)
        client = cloud.guest("a2").connect("10.1.0.5", 80)
        peer, _ = server.accept()
        flood = cloud.guest("a1").udp()
        for port in range(1000, 1200):
            flood.sendto(b"x", ("10.1.0.4", port))
        assert await cloud.dropped("a1", "flow_quota") > 100
        client.sendall(b"mine")
        assert peer.recv(10) == b"mine"
        assert cloud.guest("a2").reaches("10.1.0.5")
    finally:
        await cloud.remove()


async def test_a_syn_flood_fills_its_own_quota_and_passes_with_time() -> None:
    cloud = Cloud(flow_quota=64)
    try:
        network = await two_vnets(cloud)
        network.nic("b2", "b", "10.1.0.5")
        await cloud.apply()
        await cloud.plug("b2")
        a1, b1, b2 = (cloud.guest(name) for name in ("a1", "b1", "b2"))
        server = b2.listen(80)
        b1.listen(80)
        network.nic("a2", "a", "10.0.0.5")
        await cloud.apply()
        await cloud.plug("a2")
        client = cloud.guest("a2").connect("10.1.0.5", 80)
        peer, _ = server.accept()
        raw = a1.socket(socket.SOCK_RAW, socket.AF_PACKET)
        raw.bind(("eth0", 0))
        for port in range(2000, 2200):
            raw.send(frame(cloud, TCP(sport=port, dport=81, flags="S")))
        assert await cloud.dropped("a1", "flow_quota") > 100
        assert not a1.connects("10.1.0.5", 80)
        for number in range(20):
            client.sendall(b"%02d" % number)
            assert peer.recv(10) == b"%02d" % number
        assert cloud.guest("a2").connects("10.1.0.5", 80)
        age(cloud, 25)
        assert a1.connects("10.1.0.5", 80)
    finally:
        await cloud.remove()


async def test_idle_and_half_open_flows_end_with_no_process(cloud: Cloud) -> None:
    """Nobody but the program looks at them: the engine is closed, as after the death of both processes."""
    network = await two_vnets(cloud)
    network.group("g", rule("Deny", 100, "Inbound", False))
    network.change_nic("a1", security_group=group_id("g"))
    await cloud.apply()
    a, b = cloud.guest("a1"), cloud.guest("b1")
    for guest in (a, b):  # so that only what the test sends is sent
        guest.run("ip", "addr", "flush", "dev", "eth0", check=True)
    await cloud.engine.close()
    cloud.engine = cloud.new_engine()  # for the end: it touches nothing before
    raw = b.socket(socket.SOCK_RAW, socket.AF_PACKET)
    raw.bind(("eth0", 0))
    seen = a.socket(socket.SOCK_RAW, socket.AF_PACKET, socket.htons(0x0800))
    seen.bind(("eth0", 0x0800))
    seen.settimeout(0.3)

    def answered(segment: Any) -> bool:
        """Whether what b sends passes a's rules, which let nothing in but what belongs to a's own flows."""
        raw.send(bytes(Ether(src=cloud.part("b1").mac, dst=FABRIC_MAC) / IP(src="10.1.0.4", dst="10.0.0.4") / segment))
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            try:
                got = Ether(seen.recv(2000))
            except TimeoutError:
                return False
            if got.dst == cloud.part("a1").mac and got[IP].src == "10.1.0.4":
                return True
        return False

    def asked(segment: Any) -> None:
        a.send_frame(
            bytes(Ether(src=cloud.part("a1").mac, dst=FABRIC_MAC) / IP(src="10.0.0.4", dst="10.1.0.4") / segment)
        )

    there, back = {"sport": 7000, "dport": 81}, {"sport": 81, "dport": 7000}
    assert not answered(TCP(**back, flags="SA"))
    for seconds, passes in ((15, True), (25, False)):  # half open: 20 s
        asked(TCP(**there, flags="S"))
        age(cloud, seconds)
        assert answered(TCP(**back, flags="A" if not passes else "SA")) is passes
        age(cloud, 1000)
    asked(TCP(**there, flags="S"))
    assert answered(TCP(**back, flags="SA"))
    asked(TCP(**there, flags="A"))
    age(cloud, 230)  # established: 240 s
    assert answered(TCP(**back, flags="A"))
    age(cloud, 250)
    assert not answered(TCP(**back, flags="A"))
    asked(UDP(**there))
    age(cloud, 35)  # not answered: 30 s
    assert not answered(UDP(**back))

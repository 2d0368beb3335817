"""What a port refuses by itself, whatever the rules say: dropped, counted and logged with its reason.

a 10.0.0.0/16 ─── b 10.1.0.0/16
"""

from __future__ import annotations

import socket
from typing import Any

import pytest
from scapy.all import ARP, GRE, ICMP, IP, UDP, Dot1AD, Dot1Q, Ether, IPOption_Router_Alert, Raw
from structlog.testing import capture_logs

from fabric_kit import Cloud

from .port_packets import FABRIC_MAC, arp, frame, two_vnets

pytestmark = pytest.mark.root


async def test_what_is_refused_is_counted_and_logged_by_reason(cloud: Cloud) -> None:
    await two_vnets(cloud)
    guest = cloud.guest("a1")
    datagram = UDP(sport=1, dport=2) / Raw(b"x" * 20)
    cases = {
        "spoofed_source": frame(cloud, datagram, src="10.0.0.99"),
        "foreign_mac": frame(cloud, datagram, source="00:0d:3a:99:99:99"),
        "vlan": frame(cloud, Dot1Q(vlan=5), datagram),
        "ip_options": frame(cloud, datagram, options=[IPOption_Router_Alert()]),
        "multicast_or_broadcast": frame(cloud, datagram, dst="224.0.0.5"),
        "protocol_not_carried": frame(cloud, GRE(), proto=47),
        "malformed": frame(cloud, Raw(b"abc"), proto=17),
        "no_such_address": frame(cloud, datagram, dst="10.1.0.77"),
        "icmp_error_of_unknown_flow": frame(cloud, ICMP(type=3, code=1), IP(src="10.1.0.4", dst="10.0.0.4"), UDP()),
    }
    for why, packet in cases.items():
        before = await cloud.dropped("a1", why)
        guest.send_frame(packet)
        assert await cloud.dropped("a1", why) == before + 1, (why, await cloud.engine.counters())
    guest.send_frame(bytes(Ether(src=cloud.part("a1").mac, dst=FABRIC_MAC, type=0x88B5) / Raw(b"x" * 40)))
    assert await cloud.dropped("a1", "not_ip") >= 1
    with capture_logs() as lines:
        await cloud.engine._do(cloud.engine._log_drops)
    told = {line["reason"]: line for line in lines if line["nic"] == cloud.part("a1").id}
    assert cases.keys() <= told.keys()
    for why in ("vlan", "foreign_mac", "ip_options", "no_such_address"):
        assert told[why]["source"].startswith("10.0.0.4")
    assert told["spoofed_source"]["source"] == "10.0.0.99:1"
    assert told["foreign_mac"]["mac"] == "00:0d:3a:99:99:99"
    assert told["vlan"]["vlan"] == "5"


@pytest.mark.parametrize(
    ("tags", "vlan"),
    [
        ([Dot1Q(vlan=5)], "5"),
        ([Dot1Q(vlan=0, prio=3)], "0"),
        ([Dot1AD(vlan=5), Dot1Q(vlan=7)], "5.7"),
        ([Dot1Q(vlan=5), Dot1Q(vlan=7)], "5.7"),
    ],
    ids=["802.1Q", "priority", "QinQ", "QinQ of 802.1Q"],
)
async def test_no_tagged_frame_passes(cloud: Cloud, tags: list[Any], vlan: str) -> None:
    """Not even one with a flow that is known."""
    await two_vnets(cloud)
    receiver, sender = cloud.guest("b1").udp(5005), cloud.guest("a1").udp(6000)
    for _ in range(3):
        sender.sendto(b"known", ("10.1.0.4", 5005))
        assert receiver.recv(10) == b"known"
    packet: Any = Ether(src=cloud.part("a1").mac, dst=FABRIC_MAC)
    for tag in tags:
        packet /= tag
    packet /= IP(src="10.0.0.4", dst="10.1.0.4") / UDP(sport=6000, dport=5005) / Raw(b"tagged")
    cloud.guest("a1").send_frame(bytes(packet))
    with pytest.raises(TimeoutError):
        receiver.recv(10)
    assert await cloud.dropped("a1", "vlan") == 1
    with capture_logs() as lines:
        await cloud.engine._do(cloud.engine._log_drops)
    assert [line["vlan"] for line in lines if line["reason"] == "vlan"] == [vlan]


@pytest.mark.parametrize(
    ("why", "change"),
    [
        ("foreign_mac", {"source": "00:0d:3a:99:99:99"}),
        ("ip_options", {"options": [IPOption_Router_Alert()]}),
        ("spoofed_source", {"src": "10.0.0.99"}),
        ("malformed", {"version": 6}),
        ("malformed", {"len": 60000}),
        ("multicast_or_broadcast", {"to": "ff:ff:ff:ff:ff:ff"}),
    ],
)
async def test_a_known_flow_excuses_nothing(cloud: Cloud, why: str, change: dict[str, Any]) -> None:
    """What is remembered of a flow's addresses leaves no packet of it unlooked at."""
    await two_vnets(cloud)
    receiver, sender = cloud.guest("b1").udp(5005), cloud.guest("a1").udp(6000)
    for _ in range(3):
        sender.sendto(b"known", ("10.1.0.4", 5005))
        assert receiver.recv(10) == b"known"
    to = change.pop("to", None)
    packet = Ether(frame(cloud, UDP(sport=6000, dport=5005) / Raw(b"odd"), **change))
    if to:
        packet.dst = to
    before = await cloud.dropped("a1", why)
    cloud.guest("a1").send_frame(bytes(packet))
    with pytest.raises(TimeoutError):
        receiver.recv(10)
    assert await cloud.dropped("a1", why) == before + 1
    sender.sendto(b"known", ("10.1.0.4", 5005))
    assert receiver.recv(10) == b"known"


async def test_arp_is_not_answered_for_foreign_and_own_addresses(cloud: Cloud) -> None:
    await two_vnets(cloud)
    guest = cloud.guest("a1")
    for address in ("10.0.0.4", "10.9.0.1"):
        guest.send_frame(arp(cloud.part("a1").mac, "10.0.0.4", address))
    assert await cloud.dropped("a1", "arp") == 2


async def test_arp_floods_and_gratuitous_arp_are_dropped_and_logged(cloud: Cloud) -> None:
    network = await two_vnets(cloud)
    network.nic("a2", "a", "10.0.0.5")
    await cloud.apply()
    await cloud.plug("a2")
    guest, mac = cloud.guest("a1"), cloud.part("a1").mac
    raw = guest.socket(socket.SOCK_RAW, socket.AF_PACKET)
    raw.bind(("eth0", 0))
    announced = bytes(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=2, hwsrc=mac, psrc="10.0.0.9", pdst="10.0.0.9"))
    raw.send(announced)
    assert await cloud.dropped("a1", "arp") == 1
    with capture_logs() as lines:
        await cloud.engine._do(cloud.engine._log_drops)
    assert [(line["source"], line["protocol"]) for line in lines if line["reason"] == "arp"] == [("10.0.0.9", "arp")]
    asked = arp(mac, "10.0.0.4", "10.0.0.7")
    for _ in range(20000):
        raw.send(asked)
    assert await cloud.dropped("a1", "arp") > 1  # more than 1,000 came in one second
    assert cloud.guest("b1").reaches("10.0.0.5")

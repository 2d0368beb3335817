"""Dropped packets as they are told: read from the packet's first bytes, bounded in number, and not lost with a process."""

from __future__ import annotations

import socket
import struct
from typing import Any

import pytest
from scapy.all import ARP, ICMP, IP, TCP, UDP, Dot1AD, Dot1Q, Ether, IPv6, Raw
from structlog.testing import capture_logs

from azlan.contract.engine import Drop
from azlan.engines.bpf import drops
from azlan.engines.bpf.drops import DropLog, Dropped, decode
from azlan.engines.bpf.engine import COUNTERS
from fabric_kit import ROOT, Cloud

MAC = "00:0d:3a:00:00:01"
FABRIC = "12:34:56:78:9a:bc"


def record(packet: Any, reason: Drop = Drop.VLAN, packets: int = 1, vlan: int = 0, nic: int = 7) -> bytes:
    """As the program writes it."""
    frame = bytes(packet)
    head = frame[:64]
    number = COUNTERS.index(str(reason))
    return struct.pack("<QQIIII64s", nic, packets, number, len(frame), vlan, len(head), head)


def ends(packet: Any, **given: Any) -> tuple[str, str, str, str | None]:
    found = decode(record(packet, **given))
    return found.source, found.destination, found.protocol, found.vlan


HEAD = Ether(src=MAC, dst=FABRIC)
IPS = IP(src="10.0.0.4", dst="10.1.0.4")


def test_a_packet_is_told_by_its_addresses() -> None:
    assert ends(HEAD / IPS / UDP(sport=5, dport=53)) == ("10.0.0.4:5", "10.1.0.4:53", "udp", None)
    assert ends(HEAD / IPS / TCP(sport=5, dport=80)) == ("10.0.0.4:5", "10.1.0.4:80", "tcp", None)
    assert ends(HEAD / IPS / ICMP()) == ("10.0.0.4", "10.1.0.4", "icmp", None)
    later = IP(src="10.0.0.4", dst="10.1.0.4", proto=17, frag=100) / Raw(b"x" * 40)
    assert ends(HEAD / later) == ("10.0.0.4", "10.1.0.4", "udp", None)  # a later fragment has no ports
    assert ends(HEAD / IP(src="10.0.0.4", dst="10.1.0.4", proto=132) / Raw(b"x" * 8))[2] == "132"
    assert ends(HEAD / ARP(psrc="10.0.0.9", pdst="10.0.0.1")) == ("10.0.0.9", "10.0.0.1", "arp", None)
    assert ends(HEAD / IPv6()) == (MAC, FABRIC, "0x86dd", None)
    assert ends(HEAD / Raw(b""), reason=Drop.MALFORMED)[:2] == (MAC, FABRIC)


def test_tags_are_told_whether_the_kernel_took_them_off_or_not() -> None:
    inner = IPS / UDP(sport=5, dport=53)
    for packet, given, tags in (
        (HEAD / inner, 0x10000 | 5, "5"),
        (HEAD / inner, 0x10000 | 3 << 13, "0"),  # a priority tag
        (HEAD / Dot1Q(vlan=7) / inner, 0x10000 | 5, "5.7"),
        (HEAD / Dot1AD(vlan=5) / Dot1Q(vlan=7) / inner, 0, "5.7"),
    ):
        assert ends(packet, vlan=given) == ("10.0.0.4:5", "10.1.0.4:53", "udp", tags)


def test_whose_and_why_and_how_many() -> None:
    found = decode(record(HEAD / IPS / ICMP(), Drop.SPOOFED, packets=9, nic=3))
    assert (found.nic, found.reason, found.packets, found.mac) == (3, Drop.SPOOFED, 9, MAC)
    assert found.bytes == len(bytes(HEAD / IPS / ICMP()))
    for broken in (b"", record(HEAD)[:40], record(HEAD)[:16] + b"\xff" * 100, bytes(112)):
        with pytest.raises(ValueError, match=r"record|reason"):
            decode(broken)


def one(number: int = 0, packets: int = 1) -> Dropped:
    return Dropped(1, Drop.ARP, packets, 42, f"10.0.0.{number}", "10.0.0.1", "arp", MAC)


def test_lines_are_bounded_and_those_left_out_are_told() -> None:
    now = 100.0
    log = DropLog(lambda: now)
    with capture_logs() as lines:
        log.write([one(n, packets=2) for n in range(drops.LINES + 5)], lambda _: "/nic")
    assert len(lines) == drops.LINES
    assert lines[0] == {
        "event": "packet dropped", "log_level": "info", "nic": "/nic", "reason": "arp", "source": "10.0.0.0",
        "destination": "10.0.0.1", "protocol": "arp", "mac": MAC, "bytes": 42, "suppressed": 1,
    }  # fmt: skip
    now += drops.SPAN
    with capture_logs() as lines:
        log.write([one()], lambda _: "/nic")
    assert [line["event"] for line in lines] == ["drops not logged", "packet dropped"]
    assert (lines[0]["lines"], lines[0]["packets"]) == (5, 10)


async def logged(cloud: Cloud) -> list[Any]:
    with capture_logs() as lines:
        await cloud.engine._do(cloud.engine._log_drops)
    return [line for line in lines if line["event"] == "packet dropped"]


async def two_nics(cloud: Cloud) -> None:
    cloud.network.vnet("a", "10.0.0.0/16")
    for number in (1, 2):
        cloud.network.nic(f"n{number}", "a", f"10.0.0.{3 + number}")
    await cloud.apply()
    await cloud.plug("n1", "n2")
    await logged(cloud)  # what guests say by themselves when their link comes up


def stray(cloud: Cloud, name: str, number: int = 1) -> bytes:
    packet = (
        Ether(src=cloud.part(name).mac, dst=FABRIC) / IP(src=f"10.9.9.{number}", dst="10.0.0.5") / UDP(sport=1, dport=2)
    )
    return bytes(packet / Raw(b"x" * 20))


@pytest.mark.root
async def test_the_first_of_many_is_told_and_then_how_many_there_were(cloud: Cloud) -> None:
    await two_nics(cloud)
    for number in range(1, 51):
        cloud.guest("n1").send_frame(stray(cloud, "n1", number))
    cloud.guest("n2").send_frame(stray(cloud, "n2"))
    first = [line for line in await logged(cloud) if line["reason"] == "spoofed_source"]
    assert [(line["nic"], line["source"], line["suppressed"]) for line in first] == [
        (f"{ROOT}/networkinterfaces/n1", "10.9.9.1:1", 0),
        (f"{ROOT}/networkinterfaces/n2", "10.9.9.1:1", 0),
    ]
    assert await logged(cloud) == []
    told = cloud.engine._pins.maps["told"]  # as if ten seconds had passed
    told.update({key: bytes(8) + value[8:] for key, value in told.dump().items()})
    cloud.guest("n1").send_frame(stray(cloud, "n1", 99))
    (later,) = await logged(cloud)
    assert (later["source"], later["suppressed"]) == ("10.9.9.99:1", 49)
    assert await cloud.dropped("n1", "spoofed_source") == 51
    assert await cloud.dropped("n1", "spoofed_source_bytes") == 51 * len(stray(cloud, "n1"))


@pytest.mark.root
async def test_what_was_dropped_while_no_process_ran_is_logged_by_the_next_under_its_name(cloud: Cloud) -> None:
    await two_nics(cloud)
    await cloud.engine.close()
    cloud.guest("n1").send_frame(stray(cloud, "n1"))
    cloud.engine = cloud.new_engine()
    await cloud.engine.observe()
    assert await logged(cloud) == []  # it does not know the NICs yet
    await cloud.apply()
    (line,) = [line for line in await logged(cloud) if line["reason"] == "spoofed_source"]
    assert line["nic"] == f"{ROOT}/networkinterfaces/n1"


@pytest.mark.root
async def test_a_full_ring_costs_lines_and_no_packet(cloud: Cloud) -> None:
    await two_nics(cloud)
    told, guest = cloud.engine._pins.maps["told"], cloud.guest("n1")
    raw = guest.socket(socket.SOCK_RAW, socket.AF_PACKET)
    raw.bind(("eth0", 0))
    raw.send(stray(cloud, "n1"))
    for _ in range(3000):  # the ring has room for 2,520
        told.remove(told.dump())
        raw.send(stray(cloud, "n1"))
    assert guest.reaches("10.0.0.5")
    assert await cloud.dropped("n1", "spoofed_source") == 3001
    ring = cloud.engine._ring
    assert ring is not None
    read = len(await cloud.engine._do(ring.read))
    assert 2400 < read < 2600
    told.remove(told.dump())
    raw.send(stray(cloud, "n1"))
    assert len(await logged(cloud)) == 1

"""Fragments follow their first one, and ICMP errors the flow they are about: real packets.

a 10.0.0.0/16 ─── b 10.1.0.0/16
"""

from __future__ import annotations

import socket
import time

import pytest
from scapy.all import ICMP, IP, TCP, UDP, Ether, Raw, fragment

from azlan.contract import facts
from fabric_kit import Cloud, rule

from .port_packets import FABRIC_MAC, group_id, two_vnets

pytestmark = pytest.mark.root


async def test_fragments_follow_their_first(cloud: Cloud) -> None:
    network = await two_vnets(cloud)
    network.group("g", rule("Deny", 100, "Inbound", False, protocol="Udp", ports=((5000, 5000),)))
    network.change_nic("b1", security_group=group_id("g"))
    await cloud.apply()
    a, b = cloud.guest("a1"), cloud.guest("b1")
    receiver, closed, sender = b.udp(5001), b.udp(5000), a.udp()
    sender.sendto(b"y" * 6000, ("10.1.0.4", 5001))
    assert receiver.recv(9000) == b"y" * 6000
    sender.sendto(b"n" * 6000, ("10.1.0.4", 5000))
    with pytest.raises(TimeoutError):
        closed.recv(9000)
    assert await cloud.dropped("a1", "fragment") == 0
    pieces = fragment(IP(src="10.0.0.4", dst="10.1.0.4", id=77) / UDP(sport=9, dport=5001) / Raw(b"z" * 3000), 1000)
    a.send_frame(bytes(Ether(src=cloud.part("a1").mac, dst=FABRIC_MAC) / pieces[1]))  # without its first
    assert await cloud.dropped("a1", "fragment") == 1
    for piece in (pieces[0], pieces[1], pieces[1]):  # the last one overlaps
        a.send_frame(bytes(Ether(src=cloud.part("a1").mac, dst=FABRIC_MAC) / piece))
    assert await cloud.dropped("a1", "fragment") == 2
    tiny = IP(src="10.0.0.4", dst="10.1.0.4", id=78, flags="MF") / Raw(bytes(TCP(sport=1, dport=5001))[:8])
    tiny.proto = 6
    a.send_frame(bytes(Ether(src=cloud.part("a1").mac, dst=FABRIC_MAC) / tiny))
    assert await cloud.dropped("a1", "fragment") == 3


async def test_an_icmp_error_reaches_the_flow_it_quotes(cloud: Cloud) -> None:
    """A closed UDP port's answer passes the sender's group, which lets nothing else in."""
    network = await two_vnets(cloud)
    network.group("g", rule("Deny", 100, "Inbound", False))
    network.change_nic("a1", security_group=group_id("g"))
    await cloud.apply()
    sender = cloud.guest("a1").udp()
    sender.connect(("10.1.0.4", 4999))
    sender.send(b"x")
    time.sleep(0.05)
    with pytest.raises(ConnectionRefusedError):
        sender.send(b"x")


async def test_a_path_mtu_error_reaches_the_sender_of_a_known_flow_alone(cloud: Cloud) -> None:
    """n1 ─ nva (its way on carries 1,400 bytes) ─ n2: what is too big is answered, past n1's rules, and then smaller."""
    network = cloud.network
    network.vnet("a", "10.0.0.0/16")
    network.vnet("b", "10.1.0.0/16", table="t")
    network.routes("t", facts.UserRoute("via", "10.2.0.0/16", "VirtualAppliance", "10.0.0.4"))
    network.vnet("c", "10.2.0.0/16")
    network.group("g", rule("Deny", 100, "Inbound", False))
    for name in ("b", "c"):
        network.peer("a", name)
    network.nic("nva", "a", "10.0.0.4", forwarding=True)
    network.nic("n1", "b", "10.1.0.4", group="g")
    network.nic("n2", "c", "10.2.0.4")
    await cloud.apply()
    await cloud.plug("nva", "n1", "n2")
    cloud.guest("nva").run(
        "ip", "route", "add", "10.2.0.0/16", "via", "10.0.0.1", "dev", "eth0", "mtu", "1400", check=True
    )
    sender, receiver = cloud.guest("n1").udp(6000), cloud.guest("n2").udp(5005)
    sender.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
    sender.connect(("10.2.0.4", 5005))
    sender.send(b"x" * 1400)
    time.sleep(0.1)
    with pytest.raises(OSError, match="too long"):
        sender.send(b"x" * 1400)
    sender.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    sender.send(b"x" * 1300)
    assert len(receiver.recv(2000)) == 1300
    assert "mtu 1400" in cloud.guest("n1").run("ip", "route", "get", "10.2.0.4").stdout
    # The same error about a flow that n1 does not hold
    quoted = IP(src="10.1.0.4", dst="10.2.0.4") / UDP(sport=6001, dport=5005)
    error = IP(src="10.0.0.4", dst="10.1.0.4") / ICMP(type=3, code=4, nexthopmtu=600) / quoted
    cloud.guest("nva").send_frame(bytes(Ether(src=cloud.part("nva").mac, dst=FABRIC_MAC) / error))
    assert sum([await cloud.dropped(name, "icmp_error_of_unknown_flow") for name in ("nva", "n1")]) == 1
    assert "mtu 1400" in cloud.guest("n1").run("ip", "route", "get", "10.2.0.4").stdout

"""What a known flow lets pass, and what it does not."""

from __future__ import annotations

import pytest
from scapy.all import IP, TCP, Ether

from fabric_kit import Cloud, rule

pytestmark = pytest.mark.root

FABRIC_MAC = "12:34:56:78:9a:bc"


async def test_a_new_handshake_on_an_established_flow_is_asked_for_again(cloud: Cloud) -> None:
    network = cloud.network
    network.vnet("a", "10.0.0.0/16")
    network.group("g", rule("Seven", 100, "Inbound", True, protocol="Tcp", ports=((7, 7),)))
    network.nic("a1", "a", "10.0.0.4")
    network.nic("a2", "a", "10.0.0.5", group="g")
    await cloud.apply()
    await cloud.plug("a1", "a2")
    listener = cloud.guest("a2").listen(7)
    client = cloud.guest("a1").connect("10.0.0.5", 7)
    server, _ = listener.accept()
    network.group("g", rule("Deny", 100, "Inbound", False))
    await cloud.apply()
    client.send(b"on")
    assert server.recv(10) == b"on"
    assert await cloud.dropped("a2", "nic_inbound_rule") == 0
    packet = IP(src="10.0.0.4", dst="10.0.0.5") / TCP(sport=client.getsockname()[1], dport=7, flags="S")
    cloud.guest("a1").send_frame(bytes(Ether(src=cloud.part("a1").mac, dst=FABRIC_MAC) / packet))
    assert await cloud.dropped("a2", "nic_inbound_rule") == 1

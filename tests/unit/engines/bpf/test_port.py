"""What the port program carries between bare namespaces, as real packets, and what it keeps apart.

a 10.0.0.0/16 ─── b 10.1.0.0/16      o 10.0.0.0/16 (overlaps a, peers with nobody)
"""

from __future__ import annotations

import re
import threading

import pytest

from azlan.contract import facts
from fabric_kit import Cloud

from .port_packets import FABRIC_MAC, two_vnets

pytestmark = pytest.mark.root


async def test_peered_vnets_ping_with_ttl_64_and_nothing_in_between(cloud: Cloud) -> None:
    await two_vnets(cloud)
    for guest, address in (("a1", "10.1.0.4"), ("b1", "10.0.0.4")):
        said = cloud.guest(guest).ping(address, 4)
        assert said.count("ttl=64") == 4, said
    assert "ttl=64" in cloud.guest("a1").run("ping", "-n", "-c1", "-W1", "-t1", "10.1.0.4").stdout


async def test_unpeered_and_overlapping_vnets_are_apart(cloud: Cloud) -> None:
    network = cloud.network
    network.vnet("a", "10.0.0.0/16")
    network.vnet("o", "10.0.0.0/16")
    network.vnet("b", "10.1.0.0/16")
    for name, vnet, address in (("a1", "a", "10.0.0.4"), ("a2", "a", "10.0.0.5"), ("o1", "o", "10.0.0.4")):
        network.nic(name, vnet, address)
    network.nic("b1", "b", "10.1.0.4")
    await cloud.apply()
    await cloud.plug("a1", "a2", "o1", "b1")
    assert cloud.guest("a1").reaches("10.0.0.5")
    assert not cloud.guest("o1").reaches("10.0.0.5")
    assert not cloud.guest("a1").reaches("10.1.0.4")
    assert await cloud.dropped("a1", "route_none") == 1
    assert await cloud.dropped("o1", "no_such_address") >= 1


async def test_gateway_answers_arp_and_no_ping(cloud: Cloud) -> None:
    await two_vnets(cloud)
    guest = cloud.guest("a1")
    assert not guest.reaches("10.0.0.1")
    assert await cloud.dropped("a1", "gateway") == 1
    assert FABRIC_MAC in guest.run("ip", "neigh", "show", "10.0.0.1").stdout


async def test_tcp_carries_data_both_ways(cloud: Cloud) -> None:
    await two_vnets(cloud)
    server = cloud.guest("b1").listen(8080)
    client = cloud.guest("a1").connect("10.1.0.4", 8080)
    peer, address = server.accept()
    assert address[0] == "10.0.0.4"
    payload = bytes(range(256)) * 2000
    peer.settimeout(5)
    got = b""
    client.settimeout(5)
    sender = threading.Thread(target=client.sendall, args=(payload,))
    sender.start()
    while len(got) < len(payload):
        got += peer.recv(1 << 16)
    sender.join()
    assert got == payload
    peer.sendall(b"back")
    assert client.recv(16) == b"back"


async def test_deleting_a_peering_stops_established_flows_at_once(cloud: Cloud) -> None:
    network = await two_vnets(cloud)
    server = cloud.guest("b1").listen(80)
    client = cloud.guest("a1").connect("10.1.0.4", 80)
    peer, _ = server.accept()
    half = network.space("a").vnet + "/virtualnetworkpeerings/b"
    network.remove(half)
    network.half("b", "a", state=facts.PeeringState.DISCONNECTED)
    await cloud.apply()
    client.sendall(b"gone")
    peer.settimeout(0.5)
    with pytest.raises(TimeoutError):
        peer.recv(10)
    assert await cloud.dropped("a1", "route_none") >= 1


async def test_appliance_forwards_between_spokes_and_must_be_allowed_to(cloud: Cloud) -> None:
    """spoke1 ─ hub (10.0.0.4 forwards) ─ spoke2, joined by user routes; each hop costs one TTL of the appliance."""
    network = cloud.network
    network.vnet("hub", "10.0.0.0/16")
    for number in (1, 2):
        other = f"10.{3 - number}.0.0/16"
        network.routes(f"t{number}", facts.UserRoute("via", other, "VirtualAppliance", "10.0.0.4"))
        network.vnet(f"s{number}", f"10.{number}.0.0/16", table=f"t{number}")
        network.peer("hub", f"s{number}")
        network.nic(f"n{number}", f"s{number}", f"10.{number}.0.4")
    network.nic("nva", "hub", "10.0.0.4", forwarding=True)
    await cloud.apply()
    await cloud.plug("n1", "n2", "nva")
    assert "ttl=63" in cloud.guest("n1").ping("10.2.0.4")
    network.change_nic("nva", forwarding=False)
    await cloud.apply()
    assert not cloud.guest("n1").reaches("10.2.0.4")
    assert await cloud.dropped("n1", "ip_forwarding_off") >= 1


async def test_every_address_of_a_nic_is_its_own(cloud: Cloud) -> None:
    network = await two_vnets(cloud)
    network.nic("a2", "a", "10.0.0.5", "10.0.0.6")
    await cloud.apply()
    await cloud.plug("a2")
    for source in ("10.0.0.5", "10.0.0.6"):
        assert "ttl=64" in cloud.guest("a2").run("ping", "-n", "-c1", "-W1", "-I", source, "10.1.0.4").stdout
    assert cloud.guest("b1").reaches("10.0.0.6")


async def test_a_nic_that_is_plugged_anew_is_found_at_once(cloud: Cloud) -> None:
    """Its link is another one: what programs remember of the old one no longer holds."""
    await two_vnets(cloud)
    a, b = cloud.guest("a1"), cloud.guest("b1")
    receiver, sender = b.udp(5005), a.udp(6000)
    for _ in range(3):
        sender.sendto(b"before", ("10.1.0.4", 5005))
        assert receiver.recv(10) == b"before"
    await cloud.engine.unplug("nic:" + cloud.part("b1").id)
    sender.sendto(b"nobody", ("10.1.0.4", 5005))
    assert await cloud.dropped("a1", "nic_not_running") == 1
    await cloud.plug("b1")
    sender.sendto(b"after", ("10.1.0.4", 5005))
    assert receiver.recv(10) == b"after"


async def test_a_nic_without_a_machine_is_not_running(cloud: Cloud) -> None:
    network = await two_vnets(cloud)
    await cloud.engine.unplug("nic:" + cloud.part("b1").id)
    assert not cloud.guest("a1").reaches("10.1.0.4")
    assert await cloud.dropped("a1", "nic_not_running") >= 1
    await cloud.plug("b1")
    assert cloud.guest("a1").reaches("10.1.0.4")
    assert re.search(r"eth0.*UP", cloud.guest("b1").run("ip", "-br", "link").stdout)
    assert network.world().parts

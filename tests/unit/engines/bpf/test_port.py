"""What the port program does to real packets between bare namespaces.

a 10.0.0.0/16 ─── b 10.1.0.0/16      o 10.0.0.0/16 (overlaps a, peers with nobody)
"""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import pytest
from scapy.all import ARP, GRE, ICMP, IP, TCP, UDP, Dot1Q, Ether, IPOption_Router_Alert, Raw, fragment

from azlan.contract import facts
from fabric_kit import Cloud, Network, rule

pytestmark = pytest.mark.root

FABRIC_MAC = "12:34:56:78:9a:bc"


async def two_vnets(cloud: Cloud, **peering: Any) -> Network:
    network = cloud.network
    network.vnet("a", "10.0.0.0/16")
    network.vnet("b", "10.1.0.0/16")
    network.peer("a", "b", **peering)
    network.nic("a1", "a", "10.0.0.4")
    network.nic("b1", "b", "10.1.0.4")
    await cloud.apply()
    await cloud.plug("a1", "b1")
    return network


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


async def test_arp_is_not_answered_for_foreign_and_own_addresses(cloud: Cloud) -> None:
    await two_vnets(cloud)
    guest = cloud.guest("a1")
    for address in ("10.0.0.4", "10.9.0.1"):
        guest.send_frame(_arp(cloud.part("a1").mac, "10.0.0.4", address))
    assert await cloud.dropped("a1", "arp") == 2


def _arp(mac: str, sender: str, target: str) -> bytes:
    return bytes(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc=sender, pdst=target))


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


# Rules


async def test_network_security_group_denies_inbound_and_answers_pass(cloud: Cloud) -> None:
    network = await two_vnets(cloud)
    network.group("g", rule("DenyAll", 100, "Inbound", False), rule("Web", 90, "Inbound", True, ports=((80, 80),)))
    network.change_nic("b1", security_group=_group("g"))
    await cloud.apply()
    a, b = cloud.guest("a1"), cloud.guest("b1")
    b.listen(80)
    b.listen(81)
    a.listen(81)
    assert a.connects("10.1.0.4", 80)
    assert not a.connects("10.1.0.4", 81)
    assert b.connects("10.0.0.4", 81)  # what b asked for itself is answered
    assert b.reaches("10.0.0.4")
    assert not a.reaches("10.1.0.4")
    assert await cloud.dropped("b1", "nic_inbound_rule") >= 2


def _group(name: str) -> str:
    return f"/subscriptions/s/resourcegroups/g/providers/microsoft.network/networksecuritygroups/{name}"


@pytest.mark.parametrize(
    ("gate", "counted_at"),
    [
        ("nic_outbound_rule", "a1"),
        ("subnet_outbound_rule", "a1"),
        ("subnet_inbound_rule", "b1"),
        ("nic_inbound_rule", "b1"),
    ],
)
async def test_each_gate_is_asked_by_itself(cloud: Cloud, gate: str, counted_at: str) -> None:
    """All four gates have a group that accepts; one of them denies the one port, and that alone decides."""
    network = cloud.network
    groups = {
        "nic_outbound_rule": "g1", "subnet_outbound_rule": "g2", "subnet_inbound_rule": "g3", "nic_inbound_rule": "g4",
    }  # fmt: skip
    for which, name in groups.items():
        direction = "Outbound" if "outbound" in which else "Inbound"
        rules = [rule("All", 200, "Inbound", True), rule("AllOut", 201, "Outbound", True)]
        if which == gate:
            rules.append(rule("Deny", 100, direction, False, protocol="Udp", ports=((9, 9), (5000, 5010))))
        network.group(name, *rules)
    network.vnet("a", "10.0.0.0/16", group="g2")
    network.vnet("b", "10.1.0.0/16", group="g3")
    network.peer("a", "b")
    network.nic("a1", "a", "10.0.0.4", group="g1")
    network.nic("b1", "b", "10.1.0.4", group="g4")
    await cloud.apply()
    await cloud.plug("a1", "b1")
    receiver = cloud.guest("b1").udp(5005)
    open_one = cloud.guest("b1").udp(5011)
    sender = cloud.guest("a1").udp()
    sender.sendto(b"no", ("10.1.0.4", 5005))
    sender.sendto(b"yes", ("10.1.0.4", 5011))
    assert open_one.recv(10) == b"yes"
    with pytest.raises(TimeoutError):
        receiver.recv(10)
    assert await cloud.dropped(counted_at, gate) == 1


async def test_removing_a_rule_leaves_established_flows_and_stops_new_ones(cloud: Cloud) -> None:
    network = await two_vnets(cloud)
    network.group("g", rule("Web", 100, "Inbound", True, ports=((80, 80),)), rule("Deny", 200, "Inbound", False))
    network.change_nic("b1", security_group=_group("g"))
    await cloud.apply()
    a, b = cloud.guest("a1"), cloud.guest("b1")
    server = b.listen(80)
    client = a.connect("10.1.0.4", 80)
    peer, _ = server.accept()
    network.group("g", rule("Deny", 200, "Inbound", False))
    await cloud.apply()
    client.sendall(b"still")
    peer.settimeout(2)
    assert peer.recv(10) == b"still"
    assert not a.connects("10.1.0.4", 80)


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


async def test_a_thousand_rules_and_hundreds_of_prefixes(cloud: Cloud) -> None:
    network = await two_vnets(cloud)
    rules = [
        rule(
            f"r{i}", 100 + i, "Inbound", True, protocol="Tcp", source=f"172.16.{i // 250}.{i % 250}/32", ports=((i, i),)
        )
        for i in range(1, 1000)
    ]
    far = [f"10.{n >> 8}.{n & 255}.0/24" for n in range(2 << 8, (2 << 8) + 300)]
    rules.append(rule("last", 4000, "Inbound", True, protocol="Tcp", source=[*far, "10.0.0.4/32"], ports=((7, 7),)))
    network.group("g", *rules, rule("Deny", 4096, "Inbound", False))
    network.change_nic("b1", security_group=_group("g"))
    await cloud.apply()
    cloud.guest("b1").listen(7)
    cloud.guest("b1").listen(8)
    assert cloud.guest("a1").connects("10.1.0.4", 7)
    assert not cloud.guest("a1").connects("10.1.0.4", 8)


@pytest.mark.parametrize("group", [None, "default", "allow"])
async def test_withheld_access_stops_unruled_nics_and_is_a_matter_of_rules_elsewhere(
    cloud: Cloud, group: str | None
) -> None:
    """flag × {no NSG, default rules, explicit allow}: with no rules both directions stop, even what runs."""
    network = await two_vnets(cloud)
    network.group("default")
    network.group("allow", rule("All", 100, "Inbound", True), rule("AllOut", 100, "Outbound", True))
    if group:
        network.change_nic("a1", security_group=_group(group))
        await cloud.apply()
    a, b = cloud.guest("a1"), cloud.guest("b1")
    assert a.reaches("10.1.0.4")
    network.half("a", "b", access=False)
    await cloud.apply()
    passes = group == "allow"
    assert a.reaches("10.1.0.4") is passes
    assert b.reaches("10.0.0.4") is passes
    why = "peering_access_withheld" if group is None else "nic_outbound_rule"
    assert (await cloud.dropped("a1", why) > 0) is not passes


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


# What a port refuses by itself


def frame(cloud: Cloud, *layers: Any, source: str | None = None, **ip: Any) -> bytes:
    ip = {"src": "10.0.0.4", "dst": "10.1.0.4"} | ip
    packet = Ether(src=source or cloud.part("a1").mac, dst=FABRIC_MAC)
    tagged = [layer for layer in layers if isinstance(layer, Dot1Q)]
    for layer in tagged:
        packet /= layer
    packet /= IP(**ip)
    for layer in layers:
        if layer not in tagged:
            packet /= layer
    return bytes(packet)


async def test_what_is_refused_is_counted_by_reason(cloud: Cloud) -> None:
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


async def test_every_address_of_a_nic_is_its_own(cloud: Cloud) -> None:
    network = await two_vnets(cloud)
    network.nic("a2", "a", "10.0.0.5", "10.0.0.6")
    await cloud.apply()
    await cloud.plug("a2")
    for source in ("10.0.0.5", "10.0.0.6"):
        assert "ttl=64" in cloud.guest("a2").run("ping", "-n", "-c1", "-W1", "-I", source, "10.1.0.4").stdout
    assert cloud.guest("b1").reaches("10.0.0.6")


async def test_fragments_follow_their_first(cloud: Cloud) -> None:
    network = await two_vnets(cloud)
    network.group("g", rule("Deny", 100, "Inbound", False, protocol="Udp", ports=((5000, 5000),)))
    network.change_nic("b1", security_group=_group("g"))
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
    network.change_nic("a1", security_group=_group("g"))
    await cloud.apply()
    sender = cloud.guest("a1").udp()
    sender.connect(("10.1.0.4", 4999))
    sender.send(b"x")
    time.sleep(0.05)
    with pytest.raises(ConnectionRefusedError):
        sender.send(b"x")


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


async def test_a_nic_without_a_machine_is_not_running(cloud: Cloud) -> None:
    network = await two_vnets(cloud)
    await cloud.engine.unplug("nic:" + cloud.part("b1").id)
    assert not cloud.guest("a1").reaches("10.1.0.4")
    assert await cloud.dropped("a1", "nic_not_running") >= 1
    await cloud.plug("b1")
    assert cloud.guest("a1").reaches("10.1.0.4")
    assert re.search(r"eth0.*UP", cloud.guest("b1").run("ip", "-br", "link").stdout)
    assert network.world().parts

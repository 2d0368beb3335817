"""What the port program does to real packets between bare namespaces.

a 10.0.0.0/16 ─── b 10.1.0.0/16      o 10.0.0.0/16 (overlaps a, peers with nobody)
"""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from typing import Any

import pytest
from scapy.all import ARP, GRE, ICMP, IP, TCP, UDP, Dot1AD, Dot1Q, Ether, IPOption_Router_Alert, Raw, fragment
from structlog.testing import capture_logs

from azlan.contract import facts
from azlan.engines.bpf.kernel import Libbpf, Map
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
    asked = _arp(mac, "10.0.0.4", "10.0.0.7")
    for _ in range(20000):
        raw.send(asked)
    assert await cloud.dropped("a1", "arp") > 1  # more than 1,000 came in one second
    assert cloud.guest("b1").reaches("10.0.0.5")


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


async def test_large_pings_and_datagrams_obey_rules_for_ports(cloud: Cloud) -> None:
    network = await two_vnets(cloud)
    network.group(
        "g",
        rule("Ping", 100, "Inbound", True, protocol="Icmp"),
        rule("One", 110, "Inbound", True, protocol="Udp", ports=((5001, 5001),)),
        rule("Deny", 200, "Inbound", False),
    )
    network.change_nic("b1", security_group=_group("g"))
    await cloud.apply()
    a, b = cloud.guest("a1"), cloud.guest("b1")
    large = ("ping", "-n", "-c3", "-i0.05", "-W1", "-s8000")
    assert a.run(*large, "10.1.0.4").stdout.count("8008 bytes from") == 3
    opened, closed, sender = b.udp(5001), b.udp(5002), a.udp()
    for _ in range(3):
        sender.sendto(b"y" * 8192, ("10.1.0.4", 5001))
        assert opened.recv(9000) == b"y" * 8192
        sender.sendto(b"n" * 8192, ("10.1.0.4", 5002))
    with pytest.raises(TimeoutError):
        closed.recv(9000)
    assert await cloud.dropped("b1", "nic_inbound_rule") == 18  # six fragments each, later ones with their first
    network.group("g", rule("Deny", 200, "Inbound", False))
    await cloud.apply()
    assert "0 received" in b.run(*large, "10.0.0.99").stdout
    assert "0 received" in a.run("ping", "-n", "-c1", "-W1", "-s7000", "-e99", "10.1.0.4").stdout


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


def _age(cloud: Cloud, seconds: float) -> None:
    """Let all flows be older, as if so much time had passed."""
    bpf = Libbpf()
    flows = Map(bpf, next((cloud.folder / "run" / "bpf").glob("*/maps/flows")))
    held = flows.dump()
    first = struct.Struct("<Q")
    flows.update(
        {key: first.pack(first.unpack_from(value)[0] - int(seconds * 1e9)) + value[8:] for key, value in held.items()}
    )
    flows.close()


async def test_idle_and_half_open_flows_end_with_no_process(cloud: Cloud) -> None:
    """Nobody but the program looks at them: the engine is closed, as after the death of both processes."""
    network = await two_vnets(cloud)
    network.group("g", rule("Deny", 100, "Inbound", False))
    network.change_nic("a1", security_group=_group("g"))
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
        _age(cloud, seconds)
        assert answered(TCP(**back, flags="A" if not passes else "SA")) is passes
        _age(cloud, 1000)
    asked(TCP(**there, flags="S"))
    assert answered(TCP(**back, flags="SA"))
    asked(TCP(**there, flags="A"))
    _age(cloud, 230)  # established: 240 s
    assert answered(TCP(**back, flags="A"))
    _age(cloud, 250)
    assert not answered(TCP(**back, flags="A"))
    asked(UDP(**there))
    _age(cloud, 35)  # not answered: 30 s
    assert not answered(UDP(**back))


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
        _age(cloud, 25)
        assert a1.connects("10.1.0.5", 80)
    finally:
        await cloud.remove()


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

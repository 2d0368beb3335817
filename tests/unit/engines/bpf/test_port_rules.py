"""What rules do to real packets: each gate by itself, rules that change, withheld access, many rules, large packets.

a 10.0.0.0/16 ─── b 10.1.0.0/16
"""

from __future__ import annotations

import pytest

from fabric_kit import Cloud, rule

from .port_packets import group_id, two_vnets

pytestmark = pytest.mark.root


async def test_network_security_group_denies_inbound_and_answers_pass(cloud: Cloud) -> None:
    network = await two_vnets(cloud)
    network.group("g", rule("DenyAll", 100, "Inbound", False), rule("Web", 90, "Inbound", True, ports=((80, 80),)))
    network.change_nic("b1", security_group=group_id("g"))
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
    network.change_nic("b1", security_group=group_id("g"))
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
    network.change_nic("b1", security_group=group_id("g"))
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
        network.change_nic("a1", security_group=group_id(group))
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


async def test_large_pings_and_datagrams_obey_rules_for_ports(cloud: Cloud) -> None:
    network = await two_vnets(cloud)
    network.group(
        "g",
        rule("Ping", 100, "Inbound", True, protocol="Icmp"),
        rule("One", 110, "Inbound", True, protocol="Udp", ports=((5001, 5001),)),
        rule("Deny", 200, "Inbound", False),
    )
    network.change_nic("b1", security_group=group_id("g"))
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

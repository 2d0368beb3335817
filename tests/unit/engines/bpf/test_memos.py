"""What a CPU remembers of two addresses shortens the way of flows that both sides know, and of no others.

a1 10.0.0.4 ─── nva 10.9.0.4 ─── b1 10.1.0.4      and a1 ─── b1, where no route leads by the appliance
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest
from scapy.all import IP, UDP, Ether, Raw

from azlan.contract import facts
from azlan.engines.bpf.kernel import Libbpf, Map, possible_cpus
from fabric_kit import Cloud, rule

pytestmark = pytest.mark.root

FABRIC_MAC = "12:34:56:78:9a:bc"


@pytest.fixture(autouse=True)
def one_cpu() -> Iterator[None]:
    """Whatever the test sends is decided on one CPU: each remembers for itself."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


async def by_appliance(cloud: Cloud, *given: facts.Rule) -> None:
    """a1's way to b leads through the appliance; `given` are b1's rules."""
    network = cloud.network
    network.group("g", *given)
    network.routes("t", facts.UserRoute("via", "10.1.0.0/16", "VirtualAppliance", "10.9.0.4"))
    network.vnet("a", "10.0.0.0/16", table="t")
    network.vnet("hub", "10.9.0.0/16")
    network.vnet("b", "10.1.0.0/16")
    for one, other in (("a", "hub"), ("hub", "b"), ("a", "b")):
        network.peer(one, other, forwarded=True)
    network.nic("a1", "a", "10.0.0.4")
    network.nic("nva", "hub", "10.9.0.4", forwarding=True)
    network.nic("b1", "b", "10.1.0.4", group="g")
    await cloud.apply()
    await cloud.plug("a1", "nva", "b1")


def send(cloud: Cloud, to: str, port: int) -> None:
    packet = IP(src="10.0.0.4", dst=to) / UDP(sport=6000, dport=port) / Raw(b"x" * 20)
    cloud.guest("a1").send_frame(bytes(Ether(src=cloud.part("a1").mac, dst=FABRIC_MAC) / packet))


async def test_a_flow_that_the_sender_alone_knows_is_judged_at_the_receiver(cloud: Cloud) -> None:
    """a1 held it when it went by the appliance and was denied beyond; then the way is direct, and remembered."""
    opened = rule("Open", 100, "Inbound", True, protocol="Udp", ports=((5005, 5005),))
    await by_appliance(cloud, opened, rule("Deny", 200, "Inbound", False))
    send(cloud, "10.1.0.4", 5006)
    while await cloud.dropped("b1", "nic_inbound_rule") < 1:
        await asyncio.sleep(0.01)
    cloud.network.routes("t")
    await cloud.apply()
    for _ in range(3):
        send(cloud, "10.1.0.4", 5005)
        send(cloud, "10.1.0.4", 5006)
    assert await cloud.dropped("b1", "nic_inbound_rule") == 4


async def test_what_is_remembered_of_one_destination_serves_no_other_in_its_place(cloud: Cloud) -> None:
    """Two pairs of addresses whose hashes are one; the other destination's NIC knows the flow: it has forwarded it."""
    await by_appliance(cloud)
    receiver = cloud.guest("b1").udp(5005)
    send(cloud, "10.1.0.4", 5005)
    assert receiver.recv(100) == b"x" * 20
    memos = Map(Libbpf(), next((cloud.folder / "run" / "bpf").glob("*/maps/memos")), possible_cpus())
    before = memos.dump()
    cloud.network.routes("t")
    await cloud.apply()
    cloud.guest("nva").run("ip", "route", "replace", "blackhole", "10.1.0.0/16", check=True)
    for to in ("10.9.0.4", "10.1.0.4"):
        send(cloud, to, 5005)
    assert receiver.recv(100) == b"x" * 20
    held = {key: memo for key, memo in memos.dump().items() if memo != before[key]}
    pairs = [IPv4Address("10.0.0.4").packed + IPv4Address(to).packed for to in ("10.9.0.4", "10.1.0.4")]
    (wrong,), (place,) = ([key for key, memo in held.items() if pair in memo] for pair in pairs)
    memos.put(place, held[wrong])
    memos.close()
    send(cloud, "10.1.0.4", 5005)
    assert receiver.recv(100) == b"x" * 20

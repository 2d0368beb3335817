"""Every place of a rule's entry is looked at: port ranges, addresses, masks and long sets of either side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from azlan.contract import facts
from fabric_kit import Cloud, rule

pytestmark = pytest.mark.root

FAR = tuple(f"172.16.{n}.0/24" for n in range(5))


async def wired(cloud: Cloud) -> None:
    network = cloud.network
    network.vnet("a", "10.0.0.0/16")
    network.group("g", rule("Deny", 4096, "Inbound", False))
    network.nic("a1", "a", "10.0.0.4")
    network.nic("a2", "a", "10.0.0.5", group="g")
    await cloud.apply()
    await cloud.plug("a1", "a2")


async def passes(cloud: Cloud, given: facts.Rule, port: int, source_port: int = 0) -> bool:
    """Whether a datagram of a new flow from a1 comes to a2, by this rule before one that denies."""
    cloud.network.group("g", given, rule("Deny", 4096, "Inbound", False))
    await cloud.apply()
    before = await cloud.dropped("a2", "nic_inbound_rule")
    sender = cloud.guest("a1").udp(source_port)
    sender.sendto(b"x", ("10.0.0.5", port))
    sender.close()
    dropped = await cloud.dropped("a2", "nic_inbound_rule") - before
    assert dropped in (0, 1)
    return dropped == 0


async def test_each_port_range_counts(cloud: Cloud) -> None:
    await wired(cloud)
    ranges = ((1010, 1010), (1020, 1021), (1030, 1039), (1040, 1045), (1050, 1050))
    given = rule("Ports", 100, "Inbound", True, protocol="Udp", ports=ranges)
    for low, high in ranges:
        assert await passes(cloud, given, low)
        assert low == high or await passes(cloud, given, high)
    for port in (1009, 1011, 1019, 1022, 1029, 1046, 1049, 1051):
        assert not await passes(cloud, given, port)
    from_ports = replace(given, source_ports=((2001, 2001), (2003, 2004), (2006, 2006)))
    for source_port in (2001, 2003, 2004, 2006):
        assert await passes(cloud, from_ports, 1050, source_port)
    assert not await passes(cloud, from_ports, 1050, 2002)


@pytest.mark.parametrize("near", [True, False])
async def test_each_address_counts(cloud: Cloud, near: bool) -> None:
    await wired(cloud)
    own, others = ("10.0.0.4/32", "10.0.0.5/32") if near else ("10.0.0.5/32", "10.0.0.4/32")
    for number, (entries, matches) in enumerate(
        (
            ((own,), True),
            (("10.9.0.0/16", own), True),
            (("10.0.0.0/29", "10.9.0.0/16"), True),
            ((*FAR, own), True),
            ((*FAR, "10.0.0.0/24"), True),
            ((others,), False),
            (("10.0.0.8/29", "10.9.0.0/16"), False),
            (FAR, False),
            ((*FAR, others), False),
            (("Internet",), False),
            (("VirtualNetwork",), True),
        )
    ):
        side = {"source": entries} if near else {"destination": entries}
        given = rule("Addresses", 100, "Inbound", True, protocol="Udp", **side)
        assert await passes(cloud, given, 3000 + number) is matches, entries

"""World part → map entries, byte by byte; `program/layout.h` is what they are read by."""

from __future__ import annotations

import struct

import pytest

from azlan.contract.world import (
    AddressSet,
    NextHop,
    Nic,
    NicAddress,
    Route,
    RouteGroup,
    RuleSet,
    SecurityRule,
    Tag,
    TagPrefix,
    Vnet,
)
from azlan.engines.bpf import render
from azlan.engines.bpf.render import RenderError, part_id

CONTENT = 0x1122334455667788
HEAD = struct.pack("<Q", CONTENT)
ANY = AddressSet(prefixes=("0.0.0.0/0", "::/0"))


def lpm(length: int, address: str) -> bytes:
    return struct.pack("<I", 64 + length) + HEAD + bytes(int(part) for part in address.split("."))


def word(number: int) -> bytes:
    return struct.pack("<I", number)


def test_part_ids_are_64_bits_of_the_key_and_0_for_none() -> None:
    assert part_id(None) == 0
    assert part_id("vnet:a") != part_id("vnet:b")
    assert 0 < part_id("vnet:a") < 1 << 64


def test_vnet_gives_its_tags_and_marks_its_own_space() -> None:
    vnet = Vnet(
        id="v",
        location="eastus2",
        prefixes=("10.0.0.0/16", "fd00::/48"),
        tags=(
            TagPrefix("0.0.0.0/0", Tag.INTERNET),
            TagPrefix("10.0.0.0/16", Tag.VIRTUAL_NETWORK),
            TagPrefix("10.0.9.0/24", 0),
            TagPrefix("10.1.0.0/16", Tag.WITHHELD),
            TagPrefix("::/0", Tag.INTERNET),
        ),
        flow_timeout_seconds=600,
    )
    assert render.render_vnet(vnet, CONTENT) == {
        "vnets": {HEAD: word(600) + word(1)},
        "tags": {
            lpm(0, "0.0.0.0"): word(2),
            lpm(16, "10.0.0.0"): word(0x8000_0001),
            lpm(24, "10.0.9.0"): word(0x8000_0000),
            lpm(16, "10.1.0.0"): word(8),
        },
    }


def test_a_space_without_a_tag_prefix_of_its_own_takes_the_covering_one() -> None:
    vnet = Vnet(id="v", location="x", prefixes=("10.0.0.0/24",), tags=(TagPrefix("10.0.0.0/8", 1),))
    assert render.render_vnet(vnet, CONTENT)["tags"] == {
        lpm(8, "10.0.0.0"): word(1),
        lpm(24, "10.0.0.0"): word(0x8000_0001),
    }


def test_routes_leave_out_inactive_ones_and_ipv6() -> None:
    group = RouteGroup(
        id="v|",
        vnet="vnet:v",
        routes=(
            Route(prefix="10.0.0.0/16", next_hop=NextHop.VNET_LOCAL, vnet="vnet:v"),
            Route(prefix="10.1.0.0/16", next_hop=NextHop.GLOBAL_PEER, vnet="vnet:w"),
            Route(prefix="10.1.0.0/16", next_hop=NextHop.NONE, active=False),
            Route(prefix="10.2.0.0/16", next_hop=NextHop.APPLIANCE, vnet="vnet:w", address="10.1.0.9"),
            Route(prefix="0.0.0.0/0", next_hop=NextHop.INTERNET),
            Route(prefix="10.0.0.0/8", next_hop=NextHop.NONE),
            Route(prefix="10.9.0.0/16", next_hop=NextHop.GATEWAY),
            Route(prefix="::/0", next_hop=NextHop.INTERNET),
        ),
    )
    v, w = (struct.pack("<Q", part_id(f"vnet:{name}")) for name in "vw")
    assert render.render_routes(group, CONTENT) == {
        "routes": {
            lpm(16, "10.0.0.0"): v + word(1) + bytes(4),
            lpm(16, "10.1.0.0"): w + word(1) + bytes(4),
            lpm(16, "10.2.0.0"): w + word(2) + bytes([10, 1, 0, 9]),
            lpm(0, "0.0.0.0"): bytes(8) + word(3) + bytes(4),
            lpm(8, "10.0.0.0"): bytes(8) + word(0) + bytes(4),
            lpm(16, "10.9.0.0"): bytes(8) + word(4) + bytes(4),
        }
    }


def security_rule(name: str = "r", **given: object) -> SecurityRule:
    given = {"priority": 100, "allow": True, "sources": ANY, "destinations": ANY} | given
    return SecurityRule(name=name, **given)  # type: ignore[arg-type]


def test_a_rule_with_everything() -> None:
    rule = security_rule(
        protocol=6,
        sources=AddressSet(prefixes=("10.0.0.0/8", "1.2.3.4/32"), tags=1),
        destinations=AddressSet(prefixes=("10.0.0.0/8", "10.9.0.0/16", "1.2.3.4/32")),
        destination_ports=((22, 22), (80, 90)),
    )
    entries = render.render_rules(RuleSet(id="g", inbound=(rule,), outbound=()), CONTENT)
    never = (1, 0)
    assert entries["rules"] == {
        HEAD + word(0) + word(0): struct.pack(
            "<4I", 0, 1, 1, 0
        )
        + bytes([10, 0, 0, 0, 255, 0, 0, 0, 1, 2, 3, 4, 255, 255, 255, 255])
        + struct.pack("<4I", *never, *never)
        + struct.pack("<12H", 0, 65535, *never, 22, 22, 80, 90, *never, *never)
        + bytes([6, 1, 1])
        + bytes(5)
    }  # fmt: skip
    assert entries["sets"] == {
        word(96 + length) + HEAD + word(1) + bytes(address): word(1)
        for length, address in ((8, (10, 0, 0, 0)), (16, (10, 9, 0, 0)), (32, (1, 2, 3, 4)))
    }


def test_long_address_sets_are_told_apart_and_equal_ones_shared() -> None:
    tens = AddressSet(prefixes=tuple(f"10.{n}.0.0/16" for n in range(3)))
    twenties = AddressSet(prefixes=tuple(f"20.{n}.0.0/16" for n in range(4)))
    rules = (security_rule("a", sources=tens, destinations=twenties), security_rule("b", sources=twenties))
    entries = render.render_rules(RuleSet(id="g", inbound=rules, outbound=()), CONTENT)
    numbers = [struct.unpack_from("<2I", value) for value in entries["rules"].values()]
    assert numbers == [(1, 2), (2, 0)]
    assert set(entries["sets"]) == {
        word(96 + 16) + HEAD + word(number) + bytes([first, second, 0, 0])
        for number, first, count in ((1, 10, 3), (2, 20, 4))
        for second in range(count)
    }


def test_a_rule_with_many_port_ranges_becomes_several_with_one_outcome() -> None:
    ports = tuple((port, port) for port in range(1, 10))
    deny = security_rule("deny", allow=False)
    group = RuleSet(id="g", inbound=(), outbound=(security_rule(source_ports=ports[:3], destination_ports=ports), deny))
    rules = render.render_rules(group, CONTENT)["rules"]
    assert list(rules) == [HEAD + word(1) + word(index) for index in range(2 * 3 + 1)]
    assert [value[73] for value in rules.values()] == [1] * 6 + [0]
    assert all(value[74] == 1 for value in list(rules.values())[:6])


def test_too_many_entries_are_refused() -> None:
    ports = tuple((port, port) for port in range(1, 40_000))
    group = RuleSet(id="g", inbound=(security_rule(destination_ports=ports),), outbound=())
    with pytest.raises(RenderError, match="8192 is the most"):
        render.render_rules(group, CONTENT)


def nic(**given: object) -> Nic:
    given = {
        "id": "n", "vnet": "vnet:v", "subnet": "s", "mac": "00:0D:3A:01:02:03", "prefix_length": 24,
        "gateway": "10.0.0.1", "routes": "routes:v|",
        "addresses": (NicAddress(private="10.0.0.4", public="203.0.113.5", idle_timeout_seconds=600),
                      NicAddress(private="10.0.0.5"), NicAddress(private="fd00::4")),
    } | given  # fmt: skip
    return Nic(**given)  # type: ignore[arg-type]


def test_nic_body_and_addresses() -> None:
    part = nic(nic_rules="rules:g", forwarding=True, default_outbound=False)
    assert render.render_nic(part, CONTENT) == {
        "nics": {
            HEAD: struct.pack("<4Q", part_id("vnet:v"), part_id("routes:v|"), part_id("rules:g"), 0)
            + bytes([10, 0, 0, 1, 0x00, 0x0D, 0x3A, 1, 2, 3, 1, 0])
            + bytes(4)
        },
        "nic_addresses": {
            HEAD + bytes([10, 0, 0, 4, 0, 0, 0, 0]): bytes([203, 0, 113, 5]) + word(600),
            HEAD + bytes([10, 0, 0, 5, 0, 0, 0, 0]): bytes(8),
        },
    }
    vnet = struct.pack("<Q", part_id("vnet:v"))
    assert list(render.places(part, 7)) == [vnet + bytes([10, 0, 0, host, 0, 0, 0, 0]) for host in (4, 5)]
    assert render.publics(part, 7) == {bytes([203, 0, 113, 5]): (7, bytes([10, 0, 0, 4]))}


@pytest.mark.parametrize("mac", ["", "00:0d:3a", "zz:0d:3a:01:02:03"])
def test_a_nic_without_a_mac_is_refused(mac: str) -> None:
    with pytest.raises(RenderError):
        render.render_nic(nic(mac=mac), CONTENT)


def test_rendering_depends_on_the_part_alone() -> None:
    part = nic()
    assert render.render_part(part, CONTENT) == render.render_part(nic(), CONTENT)
    assert render.render_part(part, CONTENT + 1) != render.render_part(part, CONTENT)

"""Rules and the classification of addresses."""

from __future__ import annotations

import pytest

from azlan.base.nets import address, network
from azlan.compiler.security import address_set, classify, rule_set, security_rule
from azlan.contract.facts import Peering, PeeringState, RouteTable, Rule, SecurityGroup, Space, UserRoute
from azlan.contract.world import AddressSet, Tag

V, NET, L, W = Tag.VIRTUAL_NETWORK, Tag.INTERNET, Tag.LOAD_BALANCER, Tag.WITHHELD
NOTHING = Tag(0)


def half(vnet: str, remote: str, prefix: str, access: bool = True, forwarded: bool = False) -> Peering:
    return Peering(f"{vnet}/{remote}", vnet, remote, PeeringState.CONNECTED, (prefix,), access, forwarded)


def tags_of(
    ip: str,
    space: tuple[str, ...] = ("10.0.0.0/16",),
    peers: tuple[Peering, ...] = (),
    beyond: tuple[Peering, ...] = (),
    routes: tuple[UserRoute, ...] = (),
) -> Tag:
    tags = classify(Space("/v", space, "eastus2"), peers, beyond, (RouteTable("/t", routes),))
    assert [tag.prefix for tag in tags] == sorted({tag.prefix for tag in tags})
    assert "0.0.0.0/0" in {tag.prefix for tag in tags}
    around = [tag for tag in tags if address(ip) in network(tag.prefix)]
    return Tag(max(around, key=lambda tag: network(tag.prefix).prefixlen).tags)


@pytest.mark.parametrize(
    ("ip", "tags"),
    [
        ("10.0.0.4", V),
        ("10.1.0.4", NOTHING),
        ("192.168.0.1", NOTHING),
        ("172.16.5.5", NOTHING),
        ("172.15.5.5", NET),
        ("100.64.0.1", NOTHING),
        ("8.8.8.8", NET),
        ("203.0.113.7", NET),
        ("168.63.129.16", V | L),
        ("168.63.129.17", NET),
        ("169.254.169.254", NOTHING),
        ("224.0.0.1", NOTHING),
    ],
)
def test_a_vnet_without_peers(ip: str, tags: Tag) -> None:
    assert tags_of(ip) == tags


def test_public_space_of_a_vnet_is_not_internet() -> None:
    assert tags_of("20.0.0.4", space=("10.0.0.0/16", "20.0.0.0/24")) == V
    assert tags_of("20.0.0.4", peers=(half("/v", "/p", "20.0.0.0/24"),)) == V
    assert tags_of("20.0.0.4", peers=(half("/v", "/p", "20.0.0.0/24", access=False),)) == W


def test_the_access_flag_moves_the_peers_prefixes_out_of_the_tag() -> None:
    assert tags_of("10.1.0.4", peers=(half("/v", "/p", "10.1.0.0/16"),)) == V
    assert tags_of("10.1.0.4", peers=(half("/v", "/p", "10.1.0.0/16", access=False),)) == W


def test_what_a_peer_forwards_is_virtual_network_too() -> None:
    hub = half("/v", "/hub", "10.1.0.0/16", forwarded=True)
    assert tags_of("10.2.0.4", peers=(hub,), beyond=(half("/hub", "/s", "10.2.0.0/16"),)) == V
    assert tags_of("10.2.0.4", peers=(hub,)) == NOTHING


def test_user_routes_that_stay_inside_count_those_that_lead_out_do_not() -> None:
    everything = UserRoute("r", "0.0.0.0/0", "VirtualAppliance", "10.0.0.4")
    assert tags_of("8.8.8.8", routes=(everything,)) == V | NET
    assert tags_of("10.9.0.1", routes=(everything,)) == V
    assert tags_of("8.8.8.8", routes=(UserRoute("r", "8.0.0.0/8", "Internet"),)) == NET
    assert tags_of("10.9.0.1", routes=(UserRoute("r", "10.9.0.0/16", "None"),)) == NOTHING


def test_nested_prefixes_inherit() -> None:
    peers = (half("/v", "/p", "10.0.0.0/24", access=False), half("/v", "/q", "10.0.0.0/8"))
    assert tags_of("10.0.0.9", peers=peers) == V | W
    assert tags_of("10.0.1.9", peers=peers) == V
    assert tags_of("11.0.0.1", peers=peers) == NET


def test_ipv6() -> None:
    space = ("10.0.0.0/16", "fd00:1::/48")
    assert tags_of("fd00:1::4", space) == V
    assert tags_of("fd00:2::4", space) == NOTHING
    assert tags_of("2001:db8::1", space) == NET


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (("*",), AddressSet(prefixes=("0.0.0.0/0", "::/0"))),
        (("Any",), AddressSet(prefixes=("0.0.0.0/0", "::/0"))),
        (("0.0.0.0/0",), AddressSet(prefixes=("0.0.0.0/0",))),
        (("VIRTUALNETWORK", "Internet"), AddressSet(tags=V | NET)),
        (("azureLoadBalancer",), AddressSet(tags=L)),
        (("10.0.0.4",), AddressSet(prefixes=("10.0.0.4/32",))),
        (("10.0.0.4/24", "10.0.0.0/24"), AddressSet(prefixes=("10.0.0.0/24",))),
        (("AzurePlatformDNS", "azurePlatformIMDS"), AddressSet(tags=Tag.PLATFORM_DNS | Tag.PLATFORM_IMDS)),
        (("Storage.EastUS", "/subscriptions/s/asg"), AddressSet()),
    ],
)
def test_address_sets(entries: tuple[str, ...], expected: AddressSet) -> None:
    assert address_set(entries) == expected


def a_rule(name: str, priority: int, direction: str = "Inbound", protocol: str = "*", ports: object = ()) -> Rule:
    return Rule(name, priority, direction, True, protocol, ("*",), ("*",), (), ports)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "number"), [("*", 0), ("Tcp", 6), ("UDP", 17), ("icmp", 1), ("Esp", 50), ("Ah", 51)])
def test_protocols(name: str, number: int) -> None:
    assert security_rule(a_rule("r", 100, protocol=name)).protocol == number


def test_the_whole_range_of_ports_is_any_port() -> None:
    assert security_rule(a_rule("r", 100, ports=((0, 65535),))).destination_ports == ()
    assert security_rule(a_rule("r", 100, ports=((80, 90), (443, 443)))).destination_ports == ((80, 90), (443, 443))


def test_rules_stand_in_the_order_of_their_priorities() -> None:
    rules = (a_rule("c", 300), a_rule("a", 100), a_rule("o", 200, "Outbound"), a_rule("b", 200))
    part = rule_set(SecurityGroup("/g", rules))
    assert [rule.name for rule in part.inbound] == ["a", "b", "c"]
    assert [rule.name for rule in part.outbound] == ["o"]


def test_ports_are_kept_however_many_and_any_port_is_none() -> None:
    many = tuple((port, port) for port in range(10, 20))
    for ports, kept in ((many, many), ((*many, (0, 65535)), ())):
        rule = Rule("r", 100, "Inbound", True, "Tcp", ("*",), ("*",), ports, ports)
        assert (security_rule(rule).source_ports, security_rule(rule).destination_ports) == (kept, kept)

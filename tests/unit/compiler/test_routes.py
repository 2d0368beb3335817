"""Effective routes, against the document and one real answer of Azure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from azlan.base.nets import contains, network
from azlan.compiler.routes import NONE_PREFIXES, route_group
from azlan.contract.facts import Peering, PeeringState, RouteTable, Space, UserRoute
from azlan.contract.world import NextHop, Route, RouteGroup

RECORDED = json.loads((Path(__file__).parent / "effective-route-table-real-azure.json").read_text())


def half(remote: str, *prefixes: str, far: bool = False) -> Peering:
    return Peering(f"/v/to-{remote}", "/v", f"/{remote}", PeeringState.CONNECTED, prefixes, global_=far)


def routes(space: tuple[str, ...], *peers: Peering, table: tuple[UserRoute, ...] | None = None) -> RouteGroup:
    given = RouteTable("/t", table) if table is not None else None
    return route_group(Space("/v", space, "eastus2"), peers, "/t" if given else None, given)


def active(group: RouteGroup) -> dict[str, Route]:
    found = [route for route in group.routes if route.active]
    assert len(found) == len({route.prefix for route in found}), "at most one active route a prefix"
    return {route.prefix: route for route in found}


def test_matches_what_real_azure_answered_for_a_vnet_without_a_route_table() -> None:
    ours = [
        (route.source, "Active" if route.active else "Invalid", route.prefix, route.next_hop.value)
        for route in routes(("10.0.0.0/16",)).routes
    ]
    theirs = [
        (route["source"], route["state"], prefix, route["nextHopType"])
        for route in RECORDED
        for prefix in route["addressPrefix"]
    ]
    changed_since = {"25.33.80.0/20", "25.41.3.0/25"}
    assert {route for route in theirs if route not in ours} == {
        ("Default", "Active", prefix, "None") for prefix in changed_since
    }
    assert ours[:3] == theirs[:3], "VNet first, then Internet, then the None routes"


def test_none_prefixes_are_canonical_and_none_twice() -> None:
    assert [str(network(prefix)) for prefix in NONE_PREFIXES] == list(NONE_PREFIXES)
    assert len(set(NONE_PREFIXES)) == len(NONE_PREFIXES)
    assert NONE_PREFIXES[:4] == ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")


@pytest.mark.parametrize(
    ("space", "vanished"),
    [
        ("10.0.0.0/16", None),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("172.0.0.0/8", "172.16.0.0/12"),
        ("192.168.0.0/16", "192.168.0.0/16"),
        ("100.0.0.0/8", "100.64.0.0/10"),
    ],
)
def test_a_none_route_vanishes_when_the_space_contains_it(space: str, vanished: str | None) -> None:
    none = [route.prefix for route in routes((space,)).routes if route.next_hop is NextHop.NONE]
    assert none == [prefix for prefix in NONE_PREFIXES if prefix != vanished]
    assert all(not contains(network(space), network(prefix)) for prefix in none)


def test_peers_by_their_remembered_prefixes_in_region_and_across() -> None:
    found = active(
        routes(("10.0.0.0/16",), half("a", "10.1.0.0/16", "10.2.0.0/16"), half("b", "10.3.0.0/16", far=True))
    )
    assert [
        (found[p].next_hop, found[p].vnet) for p in ("10.0.0.0/16", "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
    ] == [
        (NextHop.VNET_LOCAL, "vnet:/v"),
        (NextHop.PEER, "vnet:/a"),
        (NextHop.PEER, "vnet:/a"),
        (NextHop.GLOBAL_PEER, "vnet:/b"),
    ]
    assert found["0.0.0.0/0"].next_hop is NextHop.INTERNET
    assert found["10.0.0.0/8"].next_hop is NextHop.NONE


def test_a_users_route_beats_the_systems_of_the_same_prefix() -> None:
    table = (
        UserRoute("all", "0.0.0.0/0", "VirtualAppliance", "10.0.0.4"),
        UserRoute("peer", "10.1.0.0/16", "None"),
        UserRoute("own", "10.0.0.0/16", "VnetLocal"),
    )
    group = routes(("10.0.0.0/16",), half("a", "10.1.0.0/16"), table=table)
    assert group.id == "/v|/t"
    found = active(group)
    assert {
        p: (found[p].source, found[p].next_hop, found[p].name) for p in ("0.0.0.0/0", "10.1.0.0/16", "10.0.0.0/16")
    } == {
        "0.0.0.0/0": ("User", NextHop.APPLIANCE, "all"),
        "10.1.0.0/16": ("User", NextHop.NONE, "peer"),
        "10.0.0.0/16": ("User", NextHop.VNET_LOCAL, "own"),
    }
    assert found["10.0.0.0/16"].vnet == "vnet:/v"
    losers = {route.prefix for route in group.routes if not route.active}
    assert losers == {"0.0.0.0/0", "10.1.0.0/16", "10.0.0.0/16"}


def test_an_appliance_is_looked_for_here_and_in_peers_by_longest_prefix() -> None:
    def home(address: str, *peers: Peering) -> str | None:
        group = routes(("10.0.0.0/16",), *peers, table=(UserRoute("x", "9.0.0.0/8", "VirtualAppliance", address),))
        assert active(group)["9.0.0.0/8"].address == address
        return active(group)["9.0.0.0/8"].vnet

    assert home("10.0.0.4") == "vnet:/v"
    assert home("10.1.0.4") is None
    assert home("10.1.0.4", half("a", "10.1.0.0/16")) == "vnet:/a"
    assert home("10.0.0.4", half("a", "10.0.0.0/24")) == "vnet:/a"
    assert home("10.0.0.4", half("a", "10.0.0.0/16")) == "vnet:/v"


def test_a_subnet_that_is_not_linked_has_the_route_and_nobody_answers() -> None:
    space, peer = Space("/v", ("10.0.0.0/16",), "eastus2"), half("a", "10.1.0.0/24")
    table = RouteTable("/t", (UserRoute("x", "9.0.0.0/8", "VirtualAppliance", "10.1.0.4"),))
    group = route_group(space, [peer, half("b", "10.2.0.0/16")], "/t", table, (peer.id,))
    found = active(group)
    assert group.id == "/v|/t|/v/to-a"
    assert (found["10.1.0.0/24"].next_hop, found["10.1.0.0/24"].vnet) == (NextHop.PEER, None)
    assert found["10.2.0.0/16"].vnet == "vnet:/b"
    assert found["9.0.0.0/8"].vnet is None, "nor does an appliance there"


def test_a_route_to_a_service_tag_is_left_out_and_one_without_a_gateway_is_kept() -> None:
    found = active(
        routes(
            ("10.0.0.0/16",),
            table=(UserRoute("tag", "Storage", "Internet"), UserRoute("vpn", "11.0.0.0/8", "VirtualNetworkGateway")),
        )
    )
    assert "Storage" not in found
    assert found["11.0.0.0/8"].next_hop is NextHop.GATEWAY


def test_ipv6_space_brings_its_own_default_route() -> None:
    found = active(routes(("10.0.0.0/16", "fd00:1::/48")))
    assert found["fd00:1::/48"].next_hop is NextHop.VNET_LOCAL
    assert found["::/0"].next_hop is NextHop.INTERNET
    assert "::/0" not in active(routes(("10.0.0.0/16",)))

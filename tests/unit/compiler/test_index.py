"""The index finds what refers to a fact, and forgets all of it again."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings

from azlan.compiler.index import FactIndex, Touched
from azlan.contract import facts
from azlan.contract.facts import PeeringState
from worlds import Network, networks

CONNECTED = PeeringState.CONNECTED


def half(one: str, other: str, state: PeeringState = CONNECTED, **flags: bool) -> facts.Peering:
    return facts.Peering(f"/{one}/to-{other}", f"/{one}", f"/{other}", state, ("10.0.0.0/16",), **flags)


def index_of(**rows: facts.Fact | tuple[facts.Fact, ...]) -> FactIndex:
    index = FactIndex()
    index.replace((f"/{name}", row if isinstance(row, tuple) else (row,)) for name, row in rows.items())
    return index


def peers(index: FactIndex, vnet: str) -> list[str]:
    return [peer.remote_vnet for peer in index.peers(vnet)]


def test_a_half_is_in_effect_with_a_connected_half_that_answers() -> None:
    index = index_of(
        a=(half("a", "b"), half("a", "c"), half("a", "d"), half("a", "e", PeeringState.DISCONNECTED)),
        b=half("b", "a"),
        c=half("c", "a", PeeringState.INITIATED),
        d=half("d", "b"),
        e=half("e", "a"),
    )
    assert peers(index, "/a") == ["/b"]
    assert peers(index, "/b") == ["/a"]
    assert [peers(index, f"/{name}") for name in "cdef"] == [[], [], [], []]


def test_beyond_is_what_a_peer_that_may_forward_reaches_itself() -> None:
    def beyond(**flags: bool) -> list[str]:
        index = index_of(
            a=half("a", "hub", **flags),
            hub=(half("hub", "a"), half("hub", "b"), half("hub", "c", access=False)),
            b=half("b", "hub"),
            c=half("c", "hub"),
        )
        return [further.remote_vnet for further in index.beyond("/a")]

    assert beyond() == ["/b"]
    assert beyond(forwarded=False) == []
    assert beyond(access=False) == []


def test_a_change_names_what_it_touches_and_equal_facts_nothing() -> None:
    subnet = facts.Subnet("/a/s", "/a", ("10.0.0.0/24",), route_table="/t")
    nic = facts.Nic("/n", "/a/s", "00:0d:3a:00:00:01", (facts.IpConfig("/n/c", "10.0.0.4", "/p"),))
    space = facts.Space("/a", ("10.0.0.0/16",), "eastus2")
    index = index_of(a=(space, subnet, half("a", "b")), n=nic, t=facts.RouteTable("/t", ()))

    assert index.replace([("/a", (space, subnet, half("a", "b")))]) == Touched(owners={"/a"})
    assert index.replace([("/a", (space, subnet, half("a", "b", access=False)))]) == Touched(
        vnets={"/a", "/b"}, owners={"/a"}
    )
    assert index.replace([("/p", (facts.PublicAddress("/p", "203.0.113.1"),))]) == Touched(nics={"/n"}, owners={"/p"})
    assert index.replace([("/t", ())]) == Touched(vnets={"/a"}, owners={"/t"})
    moved = facts.Subnet("/a/s", "/a", ("10.0.0.0/24",), security_group="/g", route_table="/t")
    touched = index.replace([("/a", (space, moved, half("a", "b", access=False)))])
    assert (touched.vnets, touched.nics) == ({"/a"}, {"/n"})
    assert index.replace([("/a", ())]).nics == {"/n"}, "its NICs lose their part with their VNet"


@given(networks())
@settings(max_examples=40, deadline=None)
def test_nothing_is_left_when_everything_has_gone(network: Network) -> None:
    index = FactIndex()
    owners = network.owners
    index.replace(owners.items())
    index.replace((owner, ()) for owner in owners)
    for name, held in vars(index).items():
        left = {key: value for key, value in held.items() if value} if isinstance(held, dict) else held
        assert left in ({}, Counter()), name

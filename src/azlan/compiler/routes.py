"""Effective routes of (VNet, route table): system routes, peerings and user routes, each prefix active at most once.

Follows virtual-networks-udr-overview ("Default", "How Azure selects a route"). The prefixes that Azure routes to
None are kept, with their date and sources, in system_routes.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib.resources import files

from msgspec.structs import replace

from azlan.base.nets import address, contains, network
from azlan.contract import facts
from azlan.contract.facts import Key
from azlan.contract.world import NextHop, PartKey, Route, RouteGroup


def _load_none_prefixes() -> tuple[str, ...]:
    data = json.loads(files("azlan.compiler").joinpath("system_routes.json").read_text(encoding="utf-8"))
    return (*data["documented"]["prefixes"], *data["observed"]["prefixes"])


NONE_PREFIXES = _load_none_prefixes()
"""Prefixes that every subnet routes to None until a VNet's space contains them."""

_NONE_ROUTES = {prefix: Route(prefix=prefix, next_hop=NextHop.NONE) for prefix in NONE_PREFIXES}
"""The same objects in every route group."""


Closed = tuple[Key, ...]
"""Ids of the halves of peerings that link other subnets of their VNet; sorted."""


def vnet_key(vnet: Key) -> PartKey:
    return f"vnet:{vnet}"


def group_id(vnet: Key, table: Key | None, closed: Closed = ()) -> Key:
    """The id of a route group; its part key is this behind `routes:`."""
    return "|".join((vnet, table or "", *closed))


def is_prefix(text: str) -> bool:
    """False for service tags, which Azure takes as a route's prefix and this compiler does not know."""
    try:
        network(text)
    except ValueError:
        return False
    return True


def system_routes(space: facts.Space, peers: Sequence[facts.Peering], closed: Closed = ()) -> list[Route]:
    """The routes of a VNet without a route table. `peers` are its halves in effect.

    What follows the route of a half in `closed` is dropped: the subnet has the route without being linked (documented).

    A None route goes when the VNet's space contains its prefix (documented); a peer's space does the same here, which
    Azure does not document but a reachable peer needs.
    """
    own = vnet_key(space.vnet)
    routes = [Route(prefix=prefix, next_hop=NextHop.VNET_LOCAL, vnet=own) for prefix in space.prefixes]
    for half in peers:
        hop = NextHop.GLOBAL_PEER if half.global_ else NextHop.PEER
        there = vnet_key(half.remote_vnet) if half.id not in closed else None
        routes += [Route(prefix=p, next_hop=hop, vnet=there) for p in half.remote_prefixes]
    virtual = tuple(route.prefix for route in routes)
    routes.append(Route(prefix="0.0.0.0/0", next_hop=NextHop.INTERNET))
    if any(network(prefix).version == 6 for prefix in virtual):
        routes.append(Route(prefix="::/0", next_hop=NextHop.INTERNET))
    routes += _none_routes(virtual)
    return routes


@lru_cache(maxsize=4096)
def _none_routes(prefixes: tuple[str, ...]) -> tuple[Route, ...]:
    """The routes to None that stay beside a virtual network of these prefixes."""
    virtual = [network(prefix) for prefix in prefixes]
    return tuple(
        route
        for prefix, route in _NONE_ROUTES.items()
        if not any(contains(outer, network(prefix)) for outer in virtual)
    )


def _vnet_of_address(text: str | None, space: facts.Space, peers: Sequence[facts.Peering]) -> PartKey | None:
    """The VNet in which an appliance's address lies: this one or a peer, by longest prefix, this one among equals.

    None where it is in neither; Azure takes such a route and drops what follows it.
    """
    if text is None:
        return None
    hop = address(text)
    best: tuple[int, PartKey] | None = None
    candidates = [(vnet_key(space.vnet), space.prefixes)]
    candidates += [(vnet_key(half.remote_vnet), half.remote_prefixes) for half in peers]
    for vnet, prefixes in candidates:
        for prefix in prefixes:
            net = network(prefix)
            if net.version == hop.version and hop in net and (best is None or net.prefixlen > best[0]):
                best = (net.prefixlen, vnet)
    return best[1] if best else None


def _user_route(route: facts.UserRoute, space: facts.Space, peers: Sequence[facts.Peering]) -> Route:
    hop = NextHop(route.next_hop)
    vnet: PartKey | None = None
    if hop is NextHop.VNET_LOCAL:
        vnet = vnet_key(space.vnet)
    elif hop is NextHop.APPLIANCE:
        vnet = _vnet_of_address(route.next_hop_address, space, peers)
    return Route(
        prefix=route.prefix,
        next_hop=hop,
        vnet=vnet,
        address=route.next_hop_address if hop is NextHop.APPLIANCE else None,
        source="User",
        name=route.name,
    )


def _settle(ranked: Iterable[Route], active: set[str]) -> list[Route]:
    """Mark what an earlier route of the same prefix beats."""
    settled = []
    for route in ranked:
        if route.prefix in active:
            route = replace(route, active=False)
        active.add(route.prefix)
        settled.append(route)
    return settled


def route_group(
    space: facts.Space,
    peers: Sequence[facts.Peering],
    table_key: Key | None,
    table: facts.RouteTable | None,
    closed: Closed = (),
) -> RouteGroup:
    """The effective routes of a VNet's subnets that share a route table (None: no table, or one that is not there), and
    to which the same halves are closed.

    Among equal prefixes a user route beats a system route, VnetLocal a peer, and peers stand in order of their ids.
    User routes to a service tag are left out.
    """
    active: set[str] = set()
    linked = [half for half in peers if half.id not in closed]
    user = _settle(
        (_user_route(route, space, linked) for route in (table.routes if table else ()) if is_prefix(route.prefix)),
        active,
    )
    default = _settle(system_routes(space, peers, closed), active)
    return RouteGroup(id=group_id(space.vnet, table_key, closed), vnet=vnet_key(space.vnet), routes=(*default, *user))

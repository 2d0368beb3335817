"""Microsoft.Network/routeTables/routes, kept in their table's row.

Follows the specification's routeTable.json, virtual-networks-udr-overview, and errors that users of Azure met.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from azlan.arm.resource import Json, ResourceType, View, Write
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.base.nets import address, network, overlaps
from azlan.providers.network.address_space import FORBIDDEN, parse_prefix
from azlan.providers.network.rules import service_tags
from azlan.providers.network.shapes import API_VERSIONS, Item, Shape, fold, invalid, items, settle

ROUTES_A_TABLE = 400
NOT_A_DESTINATION = frozenset({"virtualnetwork", "internet", "azureloadbalancer"})
"""Service tags that change with the network that asks: no route leads to them."""
BGP_OVERRIDE_FROM = "2020-04-01"
"""The oldest version whose answers are recorded with `hasBgpOverride`; the specification has it from 2020-08-01 on."""


class RoutePropertiesFormat(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset({"provisioningState", "hasBgpOverride"})
    addressPrefix: str | None = None
    nextHopType: (
        Annotated[
            Literal["VirtualNetworkGateway", "VnetLocal", "Internet", "VirtualAppliance", "None"],
            fold("VirtualNetworkGateway", "VnetLocal", "Internet", "VirtualAppliance", "None"),
        ]
        | None
    ) = None
    nextHopIpAddress: str | None = None
    provisioningState: Any = None
    hasBgpOverride: Any = None


class Route(Item):
    properties: RoutePropertiesFormat | None = None


def accept(write: Write) -> None:
    assert write.parent is not None
    settle(write, Route)
    properties = write.properties
    for name in ("addressPrefix", "nextHopType"):
        if not properties.get(name):
            what = name[0].upper() + name[1:]
            raise invalid(f"Missing{what}", f"{what} cannot be Null or Empty in route {write.id.name}.")
    properties["addressPrefix"] = _destination(write.id, str(properties["addressPrefix"]))
    if not properties.get("nextHopIpAddress"):  # templates exported from Azure have empty ones
        properties.pop("nextHopIpAddress", None)
    _check_next_hop(write.id.name, properties)
    siblings = items(write.parent.properties, "routes")
    if len(siblings) > ROUTES_A_TABLE:
        raise invalid(
            "RouteCountLimitReached",
            f"Cannot create more than {ROUTES_A_TABLE} routes for route table {write.parent.id}.",
        )
    if write.addressed:
        _check_place(write, siblings)


def _destination(id: ResourceId, text: str) -> str:
    """The prefix, or a service tag in Azure's spelling."""
    name, dot, region = text.partition(".")
    tag = service_tags().get(name.lower())
    if tag is not None and name.lower() not in NOT_A_DESTINATION and (not dot or region.isalnum()):
        return tag + dot + region
    return str(parse_prefix(text, id))


def _check_place(write: Write, siblings: Iterable[Json]) -> None:
    """One route a prefix (where routes come inline, their table checks)."""
    mine = write.properties["addressPrefix"].lower()
    for other in siblings:
        if str(other["name"]).lower() != write.id.name.lower():
            theirs = str((other.get("properties") or {}).get("addressPrefix")).lower()
            if theirs == mine:
                raise invalid(
                    "RouteConflict",
                    f"Route: {write.id.name} conflicts with Route: {other['name']}. Routes cannot have the same "
                    "AddressPrefix.",
                )


def _check_next_hop(name: str, properties: Json) -> None:
    hop, kind = properties.get("nextHopIpAddress"), properties["nextHopType"]
    if kind != "VirtualAppliance":
        if hop is not None:
            raise invalid(
                "NextHopIpAddressNotAllowed",
                f"NextHopIpAddress must be Null or Empty in route {name} when NextHopType is {kind}.",
            )
        return
    if hop is None:
        raise invalid(
            "MissingNextHopIpAddress",
            f"NextHopIpAddress cannot be Null or Empty in route {name} when NextHopType is VirtualAppliance.",
        )
    try:
        ip = address(hop)
    except ValueError:
        raise _not_a_hop(name, hop) from None
    if overlaps([str(network(str(ip)))], FORBIDDEN):
        raise _not_a_hop(name, hop)
    try:
        version = network(properties["addressPrefix"]).version
    except ValueError:
        return  # a service tag has prefixes of both families
    if version != ip.version:
        raise invalid(
            "DifferentAddressFamilies",
            f"AddressPrefix {properties['addressPrefix']} and NextHopIpAddress {hop} of route {name} are of different "
            "address families.",
        )


def _not_a_hop(name: str, hop: str) -> ArmError:
    return invalid("InvalidNextHopIpAddress", f"NextHopIpAddress {hop} of route {name} is not valid.")


def view(view: View) -> None:
    if view.api_version >= BGP_OVERRIDE_FROM:
        view.properties["hasBgpOverride"] = False


RESOURCE = ResourceType(
    type="Microsoft.Network/routeTables/routes",
    api_versions=API_VERSIONS,
    model=Route,
    parent="Microsoft.Network/routeTables",
    inline="routes",
    location="none",
    tags=False,
    read_only=("properties.hasBgpOverride",),
    accept=accept,
    view=view,
    display={"singular": "route", "plural": "routes"},
)

"""Microsoft.Network/routeTables: the row that holds user-defined routes; subnets refer to it.

Follows the specification's routeTable.json, virtual-networks-udr-overview and recordings of az's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from azlan.arm.resource import Json, Read, ResourceType, Row, View, Write
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.base.nets import network
from azlan.contract.facts import Fact, RouteTable, UserRoute
from azlan.providers.network.shapes import (
    API_VERSIONS,
    Document,
    Shape,
    invalid,
    items,
    referring,
    resource_guid,
    settle,
)

COLLECTION = "routes"


class RouteTablePropertiesFormat(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset({"subnets", "provisioningState", "resourceGuid"})
    routes: list[Any] | None = None
    subnets: Any = None
    disableBgpRoutePropagation: bool | None = None
    provisioningState: Any = None
    resourceGuid: Any = None


class RouteTableDocument(Document):
    properties: RouteTablePropertiesFormat | None = None


def accept(write: Write) -> None:
    settle(write, RouteTableDocument, children=(COLLECTION,))
    resource_guid(write)
    write.properties.setdefault("disableBgpRoutePropagation", False)
    _check_conflicts(items(write.properties, COLLECTION))


def _check_conflicts(routes: list[Json]) -> None:
    """One route a prefix, of those that come inline (a route addressed by itself is checked by its type)."""
    taken: dict[str, str] = {}
    for route in routes:
        prefix = (route.get("properties") or {}).get("addressPrefix")
        if not prefix:
            continue  # the route's own check refuses it
        spelled = _spelled(prefix)
        if spelled in taken:
            raise invalid(
                "RouteConflict",
                f"Route: {route['name']} conflicts with Route: {taken[spelled]}. Routes cannot have the same AddressPrefix.",
            )
        taken[spelled] = route["name"]


def _spelled(prefix: str) -> str:
    """A prefix or service tag in one spelling."""
    try:
        return str(network(prefix))
    except ValueError:
        return prefix.lower()


def view(view: View) -> None:
    properties = view.properties
    properties["resourceGuid"] = view.state["resourceGuid"]
    properties.setdefault(COLLECTION, [])
    users = [{"id": referring(row, path)} for row, path in view.referrers(view.id.key)]
    if users:
        properties["subnets"] = users


def facts(row: Row, _read: Read) -> Iterable[Fact]:
    yield RouteTable(
        row.key,
        tuple(
            UserRoute(
                route["name"],
                route["properties"]["addressPrefix"],
                route["properties"]["nextHopType"],
                route["properties"].get("nextHopIpAddress"),
            )
            for route in items(row.properties, COLLECTION)
        ),
        bool(row.properties.get("disableBgpRoutePropagation")),
    )


def in_use(id: ResourceId, _referrers: list[tuple[Row, str]], _read: Read) -> ArmError:
    return invalid(
        "InUseRouteTableCannotBeDeleted", f"Route table {id.name} is in use and cannot be deleted."
    )  # users' word for word


RESOURCE = ResourceType(
    type="Microsoft.Network/routeTables",
    api_versions=API_VERSIONS,
    model=RouteTableDocument,
    read_only=("properties.resourceGuid", "properties.subnets"),
    accept=accept,
    facts=facts,
    view=view,
    in_use=in_use,
    display={"singular": "route table", "plural": "route tables"},
)

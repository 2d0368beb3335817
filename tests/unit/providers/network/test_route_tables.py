import pytest

from azlan.contract.facts import RouteTable, Subnet, UserRoute
from ledger import Ledger, network_id

TABLE = "routeTables/t"


@pytest.fixture
def cloud() -> Ledger:
    return Ledger()


def route(prefix: str, hop: str = "None", **properties: object) -> dict[str, object]:
    return {"addressPrefix": prefix, "nextHopType": hop, **properties}


def inline(**routes: dict[str, object]) -> dict[str, object]:
    return {"routes": [{"name": name, "properties": given} for name, given in routes.items()]}


def test_as_az_creates_and_updates_it(cloud: Ledger) -> None:
    shown = cloud.put(TABLE, version="2021-08-01", tags={"foo": "doo"})
    guid = shown["properties"]["resourceGuid"]
    assert shown == {
        "name": "t",
        "id": network_id(TABLE),
        "etag": shown["etag"],
        "type": "Microsoft.Network/routeTables",
        "location": "eastus2",
        "tags": {"foo": "doo"},
        "properties": {
            "provisioningState": "Succeeded",
            "resourceGuid": guid,
            "disableBgpRoutePropagation": False,
            "routes": [],
        },
    }
    again = cloud.put(TABLE, {"disableBgpRoutePropagation": True, "routes": []}, tags={"foo": "boo"})
    assert (again["properties"]["disableBgpRoutePropagation"], again["properties"]["resourceGuid"]) == (True, guid)


def test_inline_and_child_routes_are_one_row(cloud: Ledger) -> None:
    cloud.put(TABLE, inline(first=route("10.1.0.0/16")))
    cloud.put(f"{TABLE}/routes/second", route("10.2.0.0/16", "Internet"))
    table = cloud.get(TABLE)
    assert [(r["name"], r["etag"]) for r in table["properties"]["routes"]] == [
        ("first", table["etag"]),
        ("second", table["etag"]),
    ]
    cloud.delete(f"{TABLE}/routes/first")
    assert [r["name"] for r in cloud.get(TABLE)["properties"]["routes"]] == ["second"]
    assert cloud.put(TABLE, {})["properties"]["routes"] == []


@pytest.mark.parametrize(
    ("one", "other"), [("10.1.0.0/16", "10.1.0.0/16"), ("fd00::/8", "FD00:0::/8"), ("Storage", "storage")]
)
def test_two_routes_of_one_prefix(cloud: Ledger, one: str, other: str) -> None:
    error = cloud.refused(TABLE, inline(default0=route(one), default1=route(other, "Internet")))
    assert (error.status, error.code, error.message) == (
        400,
        "RouteConflict",
        "Route: default1 conflicts with Route: default0. Routes cannot have the same AddressPrefix.",
    )


def test_subnets_that_use_it(cloud: Ledger) -> None:
    table = cloud.put(TABLE)
    cloud.vnet("v", "10.0.0.0/16")
    subnet = cloud.subnet("v", "s", "10.0.0.0/24", routeTable={"id": table["id"]})
    assert subnet["properties"]["routeTable"] == {"id": table["id"]}
    assert cloud.get(TABLE)["properties"]["subnets"] == [{"id": subnet["id"]}]
    (found,) = [fact for fact in cloud.facts("virtualNetworks/v") if isinstance(fact, Subnet)]
    assert found.route_table == table["id"].lower()
    error = cloud.refused_delete(TABLE)
    assert (error.status, error.code, error.message) == (
        400,
        "InUseRouteTableCannotBeDeleted",
        "Route table t is in use and cannot be deleted.",
    )
    cloud.subnet("v", "s", "10.0.0.0/24")
    assert "subnets" not in cloud.get(TABLE)["properties"]
    cloud.delete(TABLE)


def test_a_table_elsewhere_or_on_the_bastions_subnet(cloud: Ledger) -> None:
    cloud.vnet("v", "10.0.0.0/16")
    west = cloud.put("routeTables/west", location="westus")
    table = cloud.put(TABLE)
    for name, target, code in (
        ("s", west["id"], "InvalidResourceReference"),
        ("s", network_id("routeTables/none"), "InvalidResourceReference"),
        ("s", network_id("networkSecurityGroups/t"), "InvalidRequestFormat"),
        ("AzureBastionSubnet", table["id"], "RouteTableCannotBeAttachedForAzureBastionSubnet"),
    ):
        given = {"addressPrefix": "10.0.0.0/24", "routeTable": {"id": target}}
        assert cloud.refused(f"virtualNetworks/v/subnets/{name}", given).code == code


def test_facts(cloud: Ledger) -> None:
    given = inline(
        fw=route("0.0.0.0/0", "virtualappliance", nextHopIpAddress="10.0.0.4"), storage=route("storage.eastus2")
    )
    cloud.put(TABLE, {**given, "disableBgpRoutePropagation": True})
    assert cloud.facts(TABLE) == [
        RouteTable(
            network_id(TABLE).lower(),
            (
                UserRoute("fw", "0.0.0.0/0", "VirtualAppliance", "10.0.0.4"),
                UserRoute("storage", "Storage.eastus2", "None"),
            ),
            True,
        )
    ]

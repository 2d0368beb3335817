import pytest

from azlan.providers.network import routes
from ledger import Ledger, network_id

PATH = "routeTables/t/routes/r"


@pytest.fixture
def cloud() -> Ledger:
    found = Ledger()
    found.put("routeTables/t")
    return found


def test_as_az_creates_it(cloud: Ledger) -> None:
    given = {"addressPrefix": "10.0.5.0/24", "nextHopIpAddress": "10.0.0.4", "nextHopType": "VirtualAppliance"}
    shown = cloud.put(PATH, given, version="2021-08-01")
    assert shown == {
        "name": "r",
        "id": network_id(PATH),
        "etag": cloud.get("routeTables/t")["etag"],
        "type": "Microsoft.Network/routeTables/routes",
        "properties": {"provisioningState": "Succeeded", **given, "hasBgpOverride": False},
    }
    assert cloud.put(PATH, shown["properties"])["properties"] == shown["properties"]
    assert "hasBgpOverride" not in cloud.get(PATH, version="2019-11-01")["properties"]


@pytest.mark.parametrize("hop", ["VirtualNetworkGateway", "VnetLocal", "Internet", "None"])
def test_hops_without_an_address(cloud: Ledger, hop: str) -> None:
    given = {"addressPrefix": "10.0.5.0/24", "nextHopType": hop.lower(), "nextHopIpAddress": ""}
    shown = cloud.put(PATH, given)["properties"]
    assert (shown["nextHopType"], "nextHopIpAddress" in shown) == (hop, False)
    error = cloud.refused(PATH, {**given, "nextHopIpAddress": "10.0.0.4"})
    assert (error.status, error.code) == (400, "NextHopIpAddressNotAllowed")
    assert error.message.endswith(f"when NextHopType is {hop}.")


@pytest.mark.parametrize(
    ("given", "kept"),
    [("azurecloud.eastus2", "AzureCloud.eastus2"), ("10.0.0.4/32", "10.0.0.4/32"), ("FD00:0::/8", "fd00::/8")],
)
def test_destinations(cloud: Ledger, given: str, kept: str) -> None:
    shown = cloud.put(PATH, {"addressPrefix": given, "nextHopType": "None"})
    assert shown["properties"]["addressPrefix"] == kept


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (
            {"nextHopIpAddress": None},
            "MissingNextHopIpAddress",
            "NextHopIpAddress cannot be Null or Empty in route r when NextHopType is VirtualAppliance.",
        ),
        ({"nextHopIpAddress": ""}, "MissingNextHopIpAddress", "route r"),
        ({"nextHopIpAddress": "10.0.0.400"}, "InvalidNextHopIpAddress", "10.0.0.400"),
        ({"nextHopIpAddress": "10.0.0.0/24"}, "InvalidNextHopIpAddress", "10.0.0.0/24"),
        ({"nextHopIpAddress": "168.63.129.16"}, "InvalidNextHopIpAddress", "168.63.129.16"),
        ({"nextHopIpAddress": "127.0.0.1"}, "InvalidNextHopIpAddress", "127.0.0.1"),
        ({"nextHopIpAddress": "fd00::4"}, "DifferentAddressFamilies", "10.0.5.0/24 and NextHopIpAddress fd00::4"),
        ({"nextHopType": "VirtualApplianceEcmp"}, "InvalidRequestFormat", "Cannot parse the request."),
        ({"nextHopType": None}, "MissingNextHopType", "NextHopType cannot be Null or Empty in route r."),
        ({"addressPrefix": None}, "MissingAddressPrefix", "AddressPrefix cannot be Null or Empty in route r."),
        (
            {"addressPrefix": "10.0.5.1/24"},
            "InvalidCIDRNotation",
            "For the given prefix length, the address prefix should be 10.0.5.0/24.",
        ),
        ({"addressPrefix": "10.0.5.1"}, "InvalidAddressPrefixFormat", "10.0.5.1"),
        ({"addressPrefix": "VirtualNetwork"}, "InvalidAddressPrefixFormat", "VirtualNetwork"),
        ({"addressPrefix": "NoSuchTag"}, "InvalidAddressPrefixFormat", "NoSuchTag"),
        ({"nextHopIp": "10.0.0.4"}, "InvalidRequestFormat", "Cannot parse the request."),
    ],
)
def test_routes_that_are_refused(cloud: Ledger, change: dict, code: str, message: str) -> None:
    valid = {"addressPrefix": "10.0.5.0/24", "nextHopType": "VirtualAppliance", "nextHopIpAddress": "10.0.0.4"}
    error = cloud.refused(PATH, {**valid, **change})
    assert (error.status, error.code) == (400, code)
    assert message in error.message


def test_conflict_with_another_route_and_not_with_itself(cloud: Ledger) -> None:
    given = {"addressPrefix": "10.0.5.0/24", "nextHopType": "None"}
    cloud.put(PATH, given)
    cloud.put(PATH, {**given, "nextHopType": "Internet"})
    error = cloud.refused("routeTables/t/routes/other", given)
    assert (error.status, error.code, error.message) == (
        400,
        "RouteConflict",
        "Route: other conflicts with Route: r. Routes cannot have the same AddressPrefix.",
    )


def test_missing_table(cloud: Ledger) -> None:
    error = cloud.refused("routeTables/none/routes/r", {"addressPrefix": "10.0.5.0/24", "nextHopType": "None"})
    assert (error.status, error.code) == (404, "ParentResourceNotFound")


def test_limit_of_a_table(cloud: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "ROUTES_A_TABLE", 1)
    cloud.put(PATH, {"addressPrefix": "10.0.5.0/24", "nextHopType": "None"})
    error = cloud.refused("routeTables/t/routes/other", {"addressPrefix": "10.0.6.0/24", "nextHopType": "None"})
    assert error.code == "RouteCountLimitReached"

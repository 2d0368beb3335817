from dataclasses import replace

import pytest

from azlan.base.errors import ArmError
from azlan.providers.network.shapes import SUBNET
from ledger import Ledger, network_id


@pytest.fixture
def cloud() -> Ledger:
    found = Ledger()
    found.vnet("v", "10.0.0.0/16", "fd00:1::/48")
    return found


def code(cloud: Ledger, prefix: str, name: str = "s", **properties: object) -> str:
    return cloud.refused(f"virtualNetworks/v/subnets/{name}", {"addressPrefix": prefix, **properties}).code


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("10.0.0.0/30", "NetcfgInvalidSubnet"),
        ("10.0.0.0/32", "NetcfgInvalidSubnet"),
        ("10.1.0.0/24", "NetcfgSubnetRangeOutsideVnet"),
        ("10.0.0.0/15", "NetcfgSubnetRangeOutsideVnet"),
        ("10.0.0.5/24", "InvalidCIDRNotation"),
        ("10.0.0", "InvalidAddressPrefixFormat"),
        ("fd00:1::/65", "NetcfgInvalidSubnet"),
        ("10.0.9.128/25", "NetcfgSubnetRangesOverlap"),
        ("10.0.8.0/22", "NetcfgSubnetRangesOverlap"),
    ],
)
def test_prefixes_that_are_refused(cloud: Ledger, prefix: str, expected: str) -> None:
    cloud.subnet("v", "other", "10.0.9.0/24")
    assert code(cloud, prefix) == expected


def test_smallest_and_ipv6_subnets(cloud: Ledger) -> None:
    assert cloud.subnet("v", "small", "10.0.0.0/29")["properties"]["addressPrefix"] == "10.0.0.0/29"
    shown = cloud.put("virtualNetworks/v/subnets/dual", {"addressPrefixes": ["10.0.1.0/24", "fd00:1:0:1::/64"]})
    assert shown["properties"]["addressPrefixes"] == ["10.0.1.0/24", "fd00:1:0:1::/64"]
    assert "addressPrefix" not in shown["properties"]


def test_a_subnet_needs_a_prefix(cloud: Ledger) -> None:
    assert cloud.refused("virtualNetworks/v/subnets/s", {}).code == "NoAddressPrefixOrPoolProvided"


def test_a_subnet_does_not_overlap_itself(cloud: Ledger) -> None:
    cloud.subnet("v", "s", "10.0.0.0/24")
    assert cloud.subnet("v", "S", "10.0.0.0/23")["name"] == "s"


def test_missing_network(cloud: Ledger) -> None:
    error = cloud.refused("virtualNetworks/none/subnets/s", {"addressPrefix": "10.0.0.0/24"})
    assert (error.status, error.code) == (404, "ParentResourceNotFound")


@pytest.mark.parametrize(("version", "policies"), [("2021-05-01", "Enabled"), ("2022-05-01", "Disabled")])
def test_private_endpoint_policies_by_version(cloud: Ledger, version: str, policies: str) -> None:
    shown = cloud.put("virtualNetworks/v/subnets/s", {"addressPrefix": "10.0.0.0/24"}, version=version)
    assert shown["properties"]["privateEndpointNetworkPolicies"] == policies


def test_private_by_default_follows_the_network_not_the_request(cloud: Ledger) -> None:
    cloud.vnet("new", "10.0.0.0/16", version="2025-07-01")
    assert cloud.subnet("new", "s", "10.0.0.0/24")["properties"]["defaultOutboundAccess"] is False
    old = cloud.put("virtualNetworks/v/subnets/s", {"addressPrefix": "10.0.0.0/24"}, version="2025-07-01")
    assert "defaultOutboundAccess" not in old["properties"]


def test_outbound_access_stays_when_it_is_not_mentioned(cloud: Ledger) -> None:
    cloud.vnet("new", "10.0.0.0/16", version="2025-07-01")
    cloud.subnet("new", "s", "10.0.0.0/24", defaultOutboundAccess=True)
    assert cloud.subnet("new", "s", "10.0.0.0/24")["properties"]["defaultOutboundAccess"] is True


def test_users_are_shown_and_hold_it(cloud: Ledger) -> None:
    cloud.subnet("v", "s", "10.0.0.0/24")
    cloud.nic("n", "v/s")
    user = network_id("networkInterfaces/n/ipConfigurations/ipconfig1")
    assert cloud.get("virtualNetworks/v/subnets/s")["properties"]["ipConfigurations"] == [{"id": user}]
    assert cloud.refused_delete("virtualNetworks/v/subnets/s").code == "InUseSubnetCannotBeDeleted"
    error = cloud.refused("virtualNetworks/v/subnets/s", {"addressPrefix": "10.0.0.0/23"})
    assert (error.code, error.message) == (
        "InUsePrefixCannotBeDeleted",
        "IpPrefix 10.0.0.0/24 on Subnet s has active allocations and cannot be deleted.",
    )


def test_a_prefix_can_be_added_under_use(cloud: Ledger) -> None:
    cloud.subnet("v", "s", "10.0.0.0/24")
    cloud.nic("n", "v/s")
    shown = cloud.put("virtualNetworks/v/subnets/s", {"addressPrefixes": ["10.0.0.0/24", "10.0.1.0/24"]})
    assert shown["properties"]["addressPrefixes"] == ["10.0.0.0/24", "10.0.1.0/24"]


def test_security_group_is_kept_as_a_reference_and_shown_at_the_group(cloud: Ledger) -> None:
    group = cloud.put("networkSecurityGroups/g")
    shown = cloud.subnet("v", "s", "10.0.0.0/24", networkSecurityGroup=group)
    assert shown["properties"]["networkSecurityGroup"] == {"id": group["id"]}
    assert cloud.get("networkSecurityGroups/g")["properties"]["subnets"] == [{"id": shown["id"]}]
    cloud.subnet("v", "s", "10.0.0.0/24", networkSecurityGroup=None)
    assert "subnets" not in cloud.get("networkSecurityGroups/g")["properties"]


def test_references_to_what_is_not_there_or_elsewhere(cloud: Ledger) -> None:
    cloud.put("networkSecurityGroups/west", location="westus")
    for member, target in (
        ("networkSecurityGroup", "networkSecurityGroups/none"),
        ("networkSecurityGroup", "networkSecurityGroups/west"),
        ("routeTable", "routeTables/none"),
        ("natGateway", "natGateways/none"),
    ):
        assert code(cloud, "10.0.0.0/24", **{member: {"id": network_id(target)}}) == "InvalidResourceReference"


def test_delegations_and_endpoints_are_filled_in(cloud: Ledger) -> None:
    shown = cloud.subnet(
        "v",
        "s",
        "10.0.0.0/24",
        delegations=[{"name": "d", "properties": {"serviceName": "Microsoft.Web/serverFarms"}}],
        serviceEndpoints=[{"service": "Microsoft.Storage"}],
    )
    delegation = shown["properties"]["delegations"][0]
    assert delegation["id"] == network_id("virtualNetworks/v/subnets/s/delegations/d")
    assert delegation["properties"]["serviceName"] == "Microsoft.Web/serverFarms"
    assert delegation["properties"]["actions"] == ["Microsoft.Network/virtualNetworks/subnets/action"]
    assert shown["properties"]["serviceEndpoints"] == [
        {"service": "Microsoft.Storage", "locations": ["*"], "provisioningState": "Succeeded"}
    ]


def test_a_delegation_shows_what_its_service_may_do(cloud: Ledger) -> None:
    def actions(service: str) -> list[str]:
        given = [{"name": "0", "properties": {"serviceName": service}}]
        shown = cloud.subnet("v", "s", "10.0.0.0/24", delegations=given)
        return [
            action.removeprefix(f"{SUBNET}/")
            for action in shown["properties"]["delegations"][0]["properties"]["actions"]
        ]

    assert actions("Microsoft.SQL/managedinstances") == [
        "join/action",
        "prepareNetworkPolicies/action",
        "unprepareNetworkPolicies/action",
    ]
    assert actions("Contoso.Shop/baskets") == ["join/action"]


def test_given_locations_of_an_endpoint_stay(cloud: Ledger) -> None:
    given = [{"service": "Microsoft.Storage", "locations": ["eastus", "westus"]}]
    shown = cloud.subnet("v", "s", "10.0.0.0/24", serviceEndpoints=given)
    assert shown["properties"]["serviceEndpoints"] == [{**given[0], "provisioningState": "Succeeded"}]
    assert "serviceEndpoints" not in cloud.subnet("v", "s", "10.0.0.0/24")["properties"]


def test_an_endpoint_is_updating_as_long_as_its_subnet(cloud: Ledger) -> None:
    cloud.subnet("v", "s", "10.0.0.0/24", serviceEndpoints=[{"service": "Microsoft.Sql"}])
    cloud.snapshot = cloud.snapshot.with_row(replace(cloud.row("virtualNetworks/v"), provisioning="Updating"))
    shown = cloud.get("virtualNetworks/v/subnets/s")["properties"]
    assert shown["provisioningState"] == shown["serviceEndpoints"][0]["provisioningState"] == "Updating"


def test_a_public_address_that_identifies_an_endpoint_is_held_but_stays_free(cloud: Ledger) -> None:
    cloud.put("publicIPAddresses/p", {"publicIPAllocationMethod": "Dynamic"})
    identified = {"service": "Microsoft.Storage", "networkIdentifier": {"id": network_id("publicIPAddresses/p")}}
    shown = cloud.subnet("v", "s", "10.0.0.0/24", serviceEndpoints=[identified])
    assert shown["properties"]["serviceEndpoints"][0]["networkIdentifier"] == identified["networkIdentifier"]
    address = cloud.get("publicIPAddresses/p")["properties"]
    assert "ipConfiguration" not in address
    assert "ipAddress" not in address
    cloud.nic("n", "v/s", publicIPAddress="p")
    assert cloud.get("publicIPAddresses/p")["properties"]["ipConfiguration"]["id"].endswith(
        "/ipConfigurations/ipconfig1"
    )
    with pytest.raises(ArmError, match="PublicIPAddressCannotBeDeleted"):
        cloud.delete("publicIPAddresses/p")
    missing = {**identified, "networkIdentifier": {"id": network_id("publicIPAddresses/none")}}
    error = cloud.refused(
        "virtualNetworks/v/subnets/s", {"addressPrefix": "10.0.0.0/24", "serviceEndpoints": [missing]}
    )
    assert error.code == "InvalidResourceReference"


def test_what_a_get_shows_can_be_put_back(cloud: Ledger) -> None:
    cloud.subnet("v", "s", "10.0.0.0/24")
    cloud.nic("n", "v/s")
    shown = cloud.get("virtualNetworks/v")
    again = cloud.put("virtualNetworks/v", shown["properties"], etag=shown["etag"], id=shown["id"], name="v")
    assert {**again, "etag": ""} | {"properties": 0} == {**shown, "etag": ""} | {"properties": 0}
    assert again["properties"]["subnets"][0]["properties"] == shown["properties"]["subnets"][0]["properties"]


def test_lists_that_were_sent_empty(cloud: Ledger) -> None:
    """As PowerShell sends them, and as Azure then shows the subnet (recorded at 2024-03-01)."""
    forgotten = ("addressPrefixes", "serviceEndpointPolicies", "ipAllocations", "applicationGatewayIPConfigurations")
    kept = ("serviceEndpoints", "delegations")
    sent = {"addressPrefix": "10.0.0.0/24", **{name: [] for name in forgotten + kept}}
    shown = cloud.put("virtualNetworks/v/subnets/s", sent)["properties"]
    assert shown["addressPrefix"] == "10.0.0.0/24"
    assert not set(forgotten) & set(shown)
    assert [shown[name] for name in kept] == [[], []]

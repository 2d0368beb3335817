import pytest

from azlan.contract.facts import Space, Subnet
from azlan.providers.network import virtual_networks
from ledger import Ledger, half, network_id


@pytest.fixture
def cloud() -> Ledger:
    return Ledger()


def space(*prefixes: str) -> dict[str, object]:
    return {"addressSpace": {"addressPrefixes": list(prefixes)}}


def test_put_as_az_sends_it_shows_what_azure_shows(cloud: Ledger) -> None:
    shown = cloud.put(
        "virtualNetworks/vnet-1",
        {
            **space("10.0.0.0/16"),
            "enableDdosProtection": False,
            "enableVmProtection": False,
            "subnets": [{"name": "subnet-1", "properties": {"addressPrefix": "10.0.0.0/24"}}],
        },
        version="2021-03-01",
    )
    guid, etag = shown["properties"].pop("resourceGuid"), shown["etag"]
    assert len(guid) == 36
    assert shown == {
        "name": "vnet-1",
        "id": network_id("virtualNetworks/vnet-1"),
        "etag": etag,
        "type": "Microsoft.Network/virtualNetworks",
        "location": "eastus2",
        "properties": {
            "provisioningState": "Succeeded",
            "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
            "subnets": [
                {
                    "name": "subnet-1",
                    "id": network_id("virtualNetworks/vnet-1/subnets/subnet-1"),
                    "etag": etag,
                    "type": "Microsoft.Network/virtualNetworks/subnets",
                    "properties": {
                        "provisioningState": "Succeeded",
                        "addressPrefix": "10.0.0.0/24",
                        "delegations": [],
                        "privateEndpointNetworkPolicies": "Enabled",
                        "privateLinkServiceNetworkPolicies": "Enabled",
                    },
                }
            ],
            "virtualNetworkPeerings": [],
            "enableDdosProtection": False,
        },
    }


def test_resource_guid_is_kept_for_life(cloud: Ledger) -> None:
    first = cloud.vnet("v", "10.0.0.0/16")
    again = cloud.put("virtualNetworks/v", {**space("10.0.0.0/15"), "resourceGuid": "made up"})
    assert again["properties"]["resourceGuid"] == first["properties"]["resourceGuid"]


@pytest.mark.parametrize(
    ("version", "kept"), [("2023-09-01", ["s"]), ("2025-07-01", ["s"]), ("2023-06-01", []), ("2019-11-01", [])]
)
def test_put_without_subnets_by_version(cloud: Ledger, version: str, kept: list[str]) -> None:
    cloud.vnet("v", "10.0.0.0/16")
    cloud.subnet("v", "s", "10.0.0.0/24")
    shown = cloud.put("virtualNetworks/v", space("10.0.0.0/16"), version=version)
    assert [subnet["name"] for subnet in shown["properties"]["subnets"]] == kept


def test_put_that_leaves_a_used_subnet_out_is_refused(cloud: Ledger) -> None:
    cloud.vnet("v", "10.0.0.0/16")
    cloud.subnet("v", "s", "10.0.0.0/24")
    cloud.nic("n", "v/s")
    error = cloud.refused("virtualNetworks/v", {**space("10.0.0.0/16"), "subnets": []})
    assert error.code == "InUseSubnetCannotBeDeleted"
    assert network_id("networkInterfaces/n/ipConfigurations/ipconfig1") in error.message


def test_a_used_network_cannot_be_deleted_and_a_free_one_can(cloud: Ledger) -> None:
    cloud.vnet("v", "10.0.0.0/16")
    cloud.subnet("v", "s", "10.0.0.0/24")
    cloud.nic("n", "v/s")
    error = cloud.refused_delete("virtualNetworks/v")
    assert (error.status, error.code) == (400, "InUseSubnetCannotBeDeleted")
    assert error.message == (
        f"Subnet s is in use by {network_id('networkInterfaces/n/ipConfigurations/ipconfig1')} and cannot be deleted. In "
        "order to delete the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet."
    )
    cloud.delete("networkInterfaces/n")
    cloud.delete("virtualNetworks/v")
    with pytest.raises(KeyError):
        cloud.get("virtualNetworks/v")


@pytest.mark.parametrize(
    ("prefixes", "code"),
    [
        ((), "NoAddressPrefixOrPoolProvided"),
        (("10.0.0.0",), "InvalidAddressPrefixFormat"),
        (("10.0.0.0/160",), "InvalidAddressPrefixFormat"),
        (("ten",), "InvalidAddressPrefixFormat"),
        (("10.0.0.1/16",), "InvalidCIDRNotation"),
        (("10.0.0.0/30",), "NetcfgInvalidVirtualNetworkSite"),
        (("0.0.0.0/1",), "NetcfgInvalidVirtualNetworkSite"),
        (("127.0.0.0/16",), "NetcfgInvalidVirtualNetworkSite"),
        (("169.254.0.0/24",), "NetcfgInvalidVirtualNetworkSite"),
        (("224.0.0.0/8",), "NetcfgInvalidVirtualNetworkSite"),
        (("168.63.0.0/16",), "NetcfgInvalidVirtualNetworkSite"),
        (("10.0.0.0/16", "10.0.128.0/17"), "NetcfgInvalidVirtualNetworkSite"),
    ],
)
def test_address_spaces_that_are_refused(cloud: Ledger, prefixes: tuple[str, ...], code: str) -> None:
    assert cloud.refused("virtualNetworks/v", space(*prefixes)).code == code


def test_words_for_a_wrong_prefix(cloud: Ledger) -> None:
    id = network_id("virtualNetworks/v")
    assert cloud.refused("virtualNetworks/v", space("10.0.0.1/16")).message == (
        f"The address prefix 10.0.0.1/16 in resource {id} has an invalid CIDR notation. For the given prefix length, the "
        "address prefix should be 10.0.0.0/16."
    )
    assert cloud.refused("virtualNetworks/v", space("10.0.0.0/160")).message == (
        f"Address prefix 10.0.0.0/160 of resource {id} is not formatted correctly. It should follow CIDR notation, for "
        "example 10.0.0.0/24."
    )


def test_space_shrinks_once_its_subnets_are_gone(cloud: Ledger) -> None:
    cloud.vnet("v", "10.0.0.0/16", "10.9.0.0/16")
    cloud.subnet("v", "s", "10.9.0.0/24")
    error = cloud.refused("virtualNetworks/v", space("10.0.0.0/16"))
    assert (error.code, error.message) == (
        "NetcfgSubnetRangeOutsideVnet",
        "Subnet 's' is not valid because its IP address range is outside the IP address range of virtual network 'v'.",
    )
    cloud.delete("virtualNetworks/v/subnets/s")
    shown = cloud.vnet("v", "10.0.0.0/16")
    assert shown["properties"]["addressSpace"]["addressPrefixes"] == ["10.0.0.0/16"]


def test_inline_subnets_must_not_overlap(cloud: Ledger) -> None:
    names = {"a": "10.0.0.0/23", "b": "10.0.4.0/24", "c": "10.0.1.0/24"}
    subnets = [{"name": name, "properties": {"addressPrefix": prefix}} for name, prefix in names.items()]
    error = cloud.refused("virtualNetworks/v", {**space("10.0.0.0/16"), "subnets": subnets})
    assert (error.code, error.message) == (
        "NetcfgSubnetRangesOverlap",
        "Subnet 'c' is not valid because its IP address range overlaps with that of an existing subnet in virtual network "
        "'v'.",
    )


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("flowTimeoutInMinutes", 3, "FlowTimeoutInMinutesInvalid"),
        ("flowTimeoutInMinutes", 31, "FlowTimeoutInMinutesInvalid"),
        ("flowTimeoutInMinutes", "soon", "InvalidRequestFormat"),
        ("dhcpOptions", {"dnsServers": ["one"]}, "InvalidIPAddressFormat"),
        ("encryption", {"enabled": True, "enforcement": "Sometimes"}, "InvalidRequestFormat"),
        ("encryption", {"enabled": True}, "MustSpecifyBothEncryptionIntentAndEnforcementPolicy"),
        ("bgpCommunities", {"virtualNetworkCommunity": "12076:30000"}, "InvalidBgpCommunity"),
        ("bgpCommunities", {"virtualNetworkCommunity": "65000:20000"}, "InvalidBgpCommunity"),
        ("adressSpace", {}, "InvalidRequestFormat"),
        ("ddosProtectionPlan", {"id": network_id("ddosProtectionPlans/p")}, "InvalidResourceReference"),
    ],
)
def test_members_that_are_refused(cloud: Ledger, member: str, value: object, code: str) -> None:
    assert cloud.refused("virtualNetworks/v", {**space("10.0.0.0/16"), member: value}).code == code


def test_encryption_that_is_off_needs_no_policy(cloud: Ledger) -> None:
    off = cloud.put("virtualNetworks/v", {**space("10.0.0.0/16"), "encryption": {"enabled": False}})
    assert off["properties"]["encryption"] == {"enabled": False, "enforcement": "AllowUnencrypted"}
    given = {"enabled": True, "enforcement": "dropunencrypted"}
    on = cloud.put("virtualNetworks/v", {**space("10.0.0.0/16"), "encryption": given})
    assert on["properties"]["encryption"] == {"enabled": True, "enforcement": "DropUnencrypted"}


def test_the_regions_community_stands_beside_the_networks(cloud: Ledger) -> None:
    own = {"virtualNetworkCommunity": "12076:20000"}

    def shown(name: str, prefix: str, location: str) -> dict[str, object]:
        given = {**space(prefix), "bgpCommunities": {**own, "regionalCommunity": "12076:1"}}
        return dict(cloud.put(f"virtualNetworks/{name}", given, location=location)["properties"]["bgpCommunities"])

    assert shown("v", "10.0.0.0/16", "westus") == {**own, "regionalCommunity": "12076:50006"}
    assert shown("w", "10.1.0.0/16", "westeurope") == {**own, "regionalCommunity": "12076:50002"}
    peered = cloud.peer("v", "w")["properties"]
    assert peered["remoteBgpCommunities"] == {**own, "regionalCommunity": "12076:50002"}
    assert "bgpCommunities" not in cloud.vnet("u", "10.2.0.0/16")["properties"]


def test_limit_of_a_region(cloud: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_networks, "NETWORKS_A_REGION", 1)
    cloud.vnet("a", "10.0.0.0/16")
    cloud.vnet("b", "10.0.0.0/16", location="westus")
    error = cloud.refused("virtualNetworks/c", space("10.0.0.0/16"))
    assert (error.code, error.message) == (
        "VnetCountLimitReached",
        "Cannot create more than 1 virtual networks for this subscription in this region.",
    )


def test_facts(cloud: Ledger) -> None:
    cloud.put(
        "virtualNetworks/V",
        {
            **space("10.0.0.0/16", "10.2.0.0/24"),
            "dhcpOptions": {"dnsServers": ["10.0.0.9"]},
            "flowTimeoutInMinutes": 10,
        },
        version="2025-07-01",
    )
    cloud.subnet("V", "Private", "10.0.0.0/24")
    cloud.subnet("V", "Open", "10.0.1.0/24", defaultOutboundAccess=True)
    key = network_id("virtualNetworks/v").lower()
    suffix = cloud.nic("n", "v/open")["properties"]["dnsSettings"]["internalDomainNameSuffix"]
    assert cloud.facts("virtualNetworks/V") == [
        Space(key, ("10.0.0.0/16", "10.2.0.0/24"), "eastus2", ("10.0.0.9",), 10, suffix),
        Subnet(f"{key}/subnets/private", key, ("10.0.0.0/24",), default_outbound=False),
        Subnet(f"{key}/subnets/open", key, ("10.0.1.0/24",), default_outbound=True),
    ]


def test_tags_of_a_network_change_while_its_peer_is_gone(cloud: Ledger) -> None:
    cloud.vnet("a", "10.0.0.0/16")
    cloud.vnet("b", "10.1.0.0/16")
    cloud.peer("a", "b")
    cloud.peer("b", "a")
    cloud.delete("virtualNetworks/b")
    shown = cloud.put("virtualNetworks/a", space("10.0.0.0/16"), tags={"now": "alone"})
    assert shown["tags"] == {"now": "alone"}
    assert cloud.get(half("a", "b"))["properties"]["peeringState"] == "Disconnected"


@pytest.mark.parametrize(("version", "there"), [("2016-12-01", False), ("2020-06-01", True), ("2021-05-01", False)])
def test_a_flag_that_only_some_versions_show(cloud: Ledger, version: str, there: bool) -> None:
    shown = cloud.put("virtualNetworks/v", space("10.0.0.0/16"), version=version)
    assert ("enableVmProtection" in shown["properties"]) == there

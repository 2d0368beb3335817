import pytest

from azlan.arm.resource import Principal, Row
from azlan.base.ids import parse_id
from azlan.contract.facts import Peering, PeeringState
from ledger import SUBSCRIPTION, Ledger, half, network_id


@pytest.fixture
def cloud() -> Ledger:
    found = Ledger()
    found.vnet("a", "10.0.0.0/16")
    found.vnet("b", "10.1.0.0/16")
    return found


def remote(name: str) -> dict[str, object]:
    return {"remoteVirtualNetwork": {"id": network_id(f"virtualNetworks/{name}")}}


def state(cloud: Ledger, one: str, other: str) -> tuple[str, str]:
    properties = cloud.get(half(one, other))["properties"]
    return properties["peeringState"], properties["peeringSyncLevel"]


def known(cloud: Ledger, one: str, other: str) -> tuple[list[str], list[str]]:
    properties = cloud.get(half(one, other))["properties"]
    return (
        properties["remoteAddressSpace"]["addressPrefixes"],
        properties["remoteVirtualNetworkAddressSpace"]["addressPrefixes"],
    )


def test_as_recorded(cloud: Ledger) -> None:
    shown = cloud.peer("a", "b", allowVirtualNetworkAccess=True, allowForwardedTraffic=True)
    guid = shown["properties"].pop("resourceGuid")
    assert shown == {
        "name": "a-to-b",
        "id": network_id(half("a", "b")),
        "etag": cloud.get("virtualNetworks/a")["etag"],
        "type": "Microsoft.Network/virtualNetworks/virtualNetworkPeerings",
        "properties": {
            "provisioningState": "Succeeded",
            "peeringState": "Initiated",
            "peeringSyncLevel": "RemoteNotInSync",
            "remoteVirtualNetwork": {"id": network_id("virtualNetworks/b")},
            "allowVirtualNetworkAccess": True,
            "allowForwardedTraffic": True,
            "allowGatewayTransit": False,
            "useRemoteGateways": False,
            "doNotVerifyRemoteGateways": False,
            "peerCompleteVnets": True,
            "remoteAddressSpace": {"addressPrefixes": ["10.1.0.0/16"]},
            "remoteVirtualNetworkAddressSpace": {"addressPrefixes": ["10.1.0.0/16"]},
            "routeServiceVips": {},
        },
    }
    assert cloud.peer("b", "a")["properties"]["resourceGuid"] == guid
    assert state(cloud, "a", "b") == state(cloud, "b", "a") == ("Connected", "FullyInSync")


def test_growing_a_network_and_syncing(cloud: Ledger) -> None:
    cloud.peer("a", "b")
    cloud.peer("b", "a")
    cloud.vnet("b", "10.1.0.0/16", "10.5.0.0/16")
    assert state(cloud, "b", "a") == ("Connected", "RemoteNotInSync")
    assert state(cloud, "a", "b") == ("Connected", "LocalNotInSync")
    assert known(cloud, "a", "b") == (["10.1.0.0/16"], ["10.1.0.0/16", "10.5.0.0/16"])
    (fact,) = [f for f in cloud.facts("virtualNetworks/a") if isinstance(f, Peering)]
    assert fact.remote_prefixes == ("10.1.0.0/16",)
    cloud.peer("a", "b")
    assert state(cloud, "a", "b") == ("Connected", "LocalNotInSync"), "a PUT alone does not sync"
    cloud.peer("a", "b", sync=True)
    assert state(cloud, "a", "b") == state(cloud, "b", "a") == ("Connected", "FullyInSync")
    assert known(cloud, "a", "b") == (["10.1.0.0/16", "10.5.0.0/16"], ["10.1.0.0/16", "10.5.0.0/16"])
    (fact,) = [f for f in cloud.facts("virtualNetworks/a") if isinstance(f, Peering)]
    assert fact.remote_prefixes == ("10.1.0.0/16", "10.5.0.0/16")


def test_both_changed(cloud: Ledger) -> None:
    cloud.peer("a", "b")
    cloud.peer("b", "a")
    cloud.vnet("a", "10.0.0.0/16", "10.8.0.0/16")
    cloud.vnet("b", "10.5.0.0/16")
    assert state(cloud, "a", "b") == state(cloud, "b", "a") == ("Connected", "LocalAndRemoteNotInSync")
    cloud.peer("b", "a", sync=True)
    assert state(cloud, "b", "a") == ("Connected", "RemoteNotInSync")
    assert state(cloud, "a", "b") == ("Connected", "LocalNotInSync")


def test_taking_a_change_back_is_being_in_sync(cloud: Ledger) -> None:
    cloud.peer("a", "b")
    cloud.peer("b", "a")
    cloud.vnet("b", "10.1.0.0/16", "10.5.0.0/16")
    cloud.vnet("b", "10.1.0.0/16")
    assert state(cloud, "a", "b") == state(cloud, "b", "a") == ("Connected", "FullyInSync")


def test_deleting_one_half_and_coming_back(cloud: Ledger) -> None:
    cloud.peer("a", "b")
    cloud.peer("b", "a")
    cloud.delete(half("a", "b"))
    assert state(cloud, "b", "a")[0] == "Disconnected"
    error = cloud.refused(half("a", "b"), remote("b"))
    assert (error.status, error.code) == (400, "RemotePeeringIsDisconnected")
    assert error.message == (
        f"Cannot create or update peering {network_id(half('a', 'b'))} because remote peering {network_id(half('b', 'a'))} "
        f"referencing parent virtual network {network_id('virtualNetworks/a')} is in Disconnected state. Update or re-create "
        "the remote peering to get it back to Initiated state. Peering gets Disconnected when remote vnet or remote peering "
        "is deleted and re-created."
    )
    cloud.peer("b", "a")
    assert state(cloud, "b", "a")[0] == "Initiated"
    cloud.peer("a", "b")
    assert state(cloud, "a", "b") == state(cloud, "b", "a") == ("Connected", "FullyInSync")


def test_deleting_the_remote_network(cloud: Ledger) -> None:
    cloud.peer("a", "b")
    cloud.peer("b", "a")
    cloud.delete("virtualNetworks/b")
    assert state(cloud, "a", "b")[0] == "Disconnected"
    assert known(cloud, "a", "b") == (["10.1.0.0/16"], ["10.1.0.0/16"])
    assert cloud.refused(half("a", "b"), remote("b")).code == "InvalidGlobalResourceReference"
    cloud.vnet("b", "10.1.0.0/16")
    assert cloud.refused(half("b", "a"), remote("a")).code == "RemotePeeringIsDisconnected"
    cloud.peer("a", "b")
    cloud.peer("b", "a")
    assert state(cloud, "a", "b") == ("Connected", "FullyInSync")


def test_missing_remote(cloud: Ledger) -> None:
    error = cloud.refused(half("a", "none"), remote("none"))
    assert (error.code, error.message) == (
        "InvalidGlobalResourceReference",
        f"Resource {network_id('virtualNetworks/none')} referenced by resource {network_id(half('a', 'none'))} was not found. "
        "Please make sure that the referenced resource exists.",
    )


def test_overlaps(cloud: Ledger) -> None:
    cloud.vnet("same", "10.0.0.0/24")
    error = cloud.refused(half("a", "same"), remote("same"))
    assert (error.code, error.message) == (
        "VnetAddressSpacesOverlap",
        f"Cannot create or update peering {network_id(half('a', 'same'))}. Virtual networks {network_id('virtualNetworks/a')} "
        f"and {network_id('virtualNetworks/same')} cannot be peered because their address spaces overlap. Overlapping "
        "address prefixes: 10.0.0.0/16, 10.0.0.0/24",
    )
    assert cloud.refused(half("a", "a"), remote("a")).code == "VnetAddressSpacesOverlap"


def test_a_third_network_that_overlaps_even_when_it_is_gone(cloud: Ledger) -> None:
    cloud.vnet("third", "10.0.0.0/24")
    cloud.peer("b", "third")
    error = cloud.refused(half("a", "b"), remote("b"))
    assert (error.code, error.message) == (
        "VnetAddressSpaceOverlapsWithAlreadyPeeredVnet",
        f"Cannot create or update peering {network_id(half('a', 'b'))}. Virtual networks {network_id('virtualNetworks/a')} "
        f"and {network_id('virtualNetworks/b')} cannot be peered because address space of the first virtual network overlaps "
        f"with address space of virtual network {network_id('virtualNetworks/third')} already peered with the second virtual "
        "network. Overlapping address prefixes: 10.0.0.0/16",
    )
    cloud.delete("virtualNetworks/third")
    assert cloud.refused(half("a", "b"), remote("b")).code == "VnetAddressSpaceOverlapsWithAlreadyPeeredVnet"
    cloud.delete(half("b", "third"))
    cloud.peer("a", "b")


def test_growing_into_a_peer_is_refused(cloud: Ledger) -> None:
    cloud.peer("a", "b")
    cloud.peer("b", "a")
    space = {"addressSpace": {"addressPrefixes": ["10.1.0.0/16", "10.0.5.0/24"]}}
    assert cloud.refused("virtualNetworks/b", space).code == "VnetAddressSpacesOverlap"


def test_a_second_peering_to_the_same_network(cloud: Ledger) -> None:
    cloud.peer("a", "b")
    error = cloud.refused("virtualNetworks/a/virtualNetworkPeerings/again", remote("b"))
    assert error.code == "AnotherPeeringAlreadyReferencesRemoteVnet"
    assert "Cannot add another peering" in error.message
    cloud.vnet("c", "10.2.0.0/16")
    assert cloud.refused(half("a", "b"), remote("c")).code == "RemoteVirtualNetworkCannotBeChanged"


def test_gateways_are_refused(cloud: Ledger) -> None:
    error = cloud.refused(half("a", "b"), {**remote("b"), "useRemoteGateways": True})
    assert (error.code, error.message) == (
        "RemoteVnetHasNoGateways",
        f"Peering {network_id(half('a', 'b'))} cannot have UseRemoteGateway flag set to true because remote virtual network "
        f"{network_id('virtualNetworks/b')} referenced by the peering does not have any gateways.",
    )


def subnets(local: list[str], remote: list[str], **more: object) -> dict[str, object]:
    return {"peerCompleteVnets": False, "localSubnetNames": local, "remoteSubnetNames": remote, **more}


@pytest.fixture
def parts(cloud: Ledger) -> Ledger:
    for vnet, start in (("a", "10.0"), ("b", "10.1")):
        for number in (1, 2, 3):
            cloud.subnet(vnet, f"s{number}", f"{start}.{number}.0/24")
    return cloud


def test_subnet_peering_as_recorded(parts: Ledger) -> None:
    shown = parts.peer("a", "b", **subnets(["s1"], ["s2", "s3"], enableOnlyIPv6Peering=False))["properties"]
    assert (shown["peeringState"], shown["peeringSyncLevel"]) == ("Initiated", "RemoteNotInSync")
    assert (shown["peerCompleteVnets"], shown["enableOnlyIPv6Peering"]) == (False, False)
    assert (shown["localSubnetNames"], shown["remoteSubnetNames"]) == (["s1"], ["s2", "s3"])
    for name, prefixes in (("local", ["10.0.1.0/24"]), ("remote", ["10.1.2.0/24", "10.1.3.0/24"])):
        assert (
            shown[f"{name}AddressSpace"] == shown[f"{name}VirtualNetworkAddressSpace"] == {"addressPrefixes": prefixes}
        )
    parts.peer("b", "a", **subnets(["s2", "s3"], ["s1"]))
    assert state(parts, "a", "b") == state(parts, "b", "a") == ("Connected", "FullyInSync")
    assert known(parts, "b", "a")[0] == ["10.0.1.0/24"]
    (fact,) = [f for f in parts.facts("virtualNetworks/a") if isinstance(f, Peering)]
    assert fact.remote_prefixes == ("10.1.2.0/24", "10.1.3.0/24")
    assert fact.local_subnets == (network_id("virtualNetworks/a/subnets/s1").lower(),)


def test_adding_a_subnet_to_a_peering(parts: Ledger) -> None:
    parts.peer("a", "b", **subnets(["s1"], ["s1"]))
    parts.peer("b", "a", **subnets(["s1"], ["s1"]))
    parts.peer("a", "b", **subnets(["s1"], ["s1", "S2"]))
    assert known(parts, "a", "b")[0] == ["10.1.1.0/24", "10.1.2.0/24"]
    assert state(parts, "a", "b") == ("Connected", "FullyInSync")


def test_a_peered_subnet_that_moves_or_goes_leaves_the_other_side_stale(parts: Ledger) -> None:
    parts.peer("a", "b", **subnets(["s1"], ["s1"]))
    parts.subnet("b", "s1", "10.1.8.0/24")
    assert state(parts, "a", "b") == ("Initiated", "LocalAndRemoteNotInSync")
    parts.subnet("b", "s1", "10.1.1.0/24")
    parts.peer("b", "a", **subnets(["s1"], ["s1"]))
    parts.subnet("b", "s2", "10.1.9.0/24")
    assert state(parts, "a", "b") == ("Connected", "FullyInSync"), "no part of it"
    parts.subnet("b", "s1", "10.1.8.0/24")
    assert state(parts, "a", "b") == ("Connected", "LocalNotInSync")
    assert state(parts, "b", "a") == ("Connected", "RemoteNotInSync")
    assert known(parts, "a", "b") == (["10.1.1.0/24"], ["10.1.8.0/24"])
    parts.peer("a", "b", sync=True, **subnets(["s1"], ["s1"]))
    assert state(parts, "a", "b") == state(parts, "b", "a") == ("Connected", "FullyInSync")
    parts.delete("virtualNetworks/b/subnets/s1")
    assert known(parts, "a", "b") == (["10.1.8.0/24"], [])
    assert state(parts, "a", "b") == ("Connected", "LocalNotInSync")
    parts.vnet("b", "10.1.0.0/16", "10.7.0.0/16")
    assert state(parts, "b", "a") == ("Connected", "RemoteNotInSync")


def test_subnets_that_come_with_their_network_settle_the_levels_too(parts: Ledger) -> None:
    parts.peer("a", "b", **subnets(["s1"], ["s1"]))
    parts.peer("b", "a", **subnets(["s1"], ["s1"]))
    moved = [{"name": "s1", "properties": {"addressPrefix": "10.1.8.0/24"}}]
    parts.put("virtualNetworks/b", {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}, "subnets": moved})
    assert state(parts, "a", "b") == ("Connected", "LocalNotInSync")


def test_networks_that_share_a_prefix_peer_by_subnets_of_others(parts: Ledger) -> None:
    for vnet, own in (("a", "10.0.0.0/16"), ("b", "10.1.0.0/16")):
        parts.vnet(vnet, own, "172.16.0.0/16")
        parts.subnet(vnet, "shared", f"172.16.{'01'[vnet == 'b']}.0/24")
    error = parts.refused(half("a", "b"), {**remote("b"), **subnets(["shared"], ["s1"])})
    assert error.code == "VnetAddressSpacesOverlap"
    assert error.message.endswith("prefixes: 172.16.0.0/16, 172.16.0.0/16")
    assert parts.refused(half("a", "b"), {**remote("b"), **subnets(["s1"], ["shared"])}).code == error.code
    assert parts.refused(half("a", "b"), remote("b")).code == error.code
    parts.peer("a", "b", **subnets(["s1"], ["s1"]))
    parts.peer("b", "a", **subnets(["s1"], ["s1"]))
    assert state(parts, "a", "b") == ("Connected", "FullyInSync")


def test_only_the_linked_subnets_are_in_the_way_of_a_third_network(parts: Ledger) -> None:
    parts.peer("b", "a", **subnets(["s1"], ["s1"]))
    parts.vnet("c", "10.0.2.0/24")
    parts.peer("b", "c")
    parts.vnet("d", "10.0.1.0/24")
    assert parts.refused(half("b", "d"), remote("d")).code == "VnetAddressSpaceOverlapsWithAlreadyPeeredVnet"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (subnets(["s1"], ["none"]), "InvalidResourceReference"),
        (subnets(["none"], ["s1"]), "InvalidResourceReference"),
        (subnets(["s1"], []), "InvalidSubnetPeering"),
        (subnets([f"n{n}" for n in range(201)], ["s1"]), "InvalidSubnetPeering"),
        ({"localSubnetNames": ["s1"]}, "SubnetNamesNotAllowedForCompleteVnetPeering"),
    ],
)
def test_subnet_peerings_that_are_refused(parts: Ledger, given: dict[str, object], code: str) -> None:
    assert parts.refused(half("a", "b"), {**remote("b"), **given}).code == code


def test_the_type_of_a_peering_stays(parts: Ledger) -> None:
    parts.peer("a", "b", **subnets(["s1"], ["s1"]))
    assert parts.refused(half("a", "b"), remote("b")).code == "PeeringTypeCannotBeChanged"
    parts.delete(half("a", "b"))
    parts.peer("a", "b")
    assert (
        parts.refused(half("a", "b"), {**remote("b"), **subnets(["s1"], ["s1"])}).code == "PeeringTypeCannotBeChanged"
    )


def test_only_ipv6_links_the_prefixes_of_that_family(parts: Ledger) -> None:
    for vnet, net in (("a", "fd00:a::/48"), ("b", "fd00:b::/48")):
        parts.vnet(vnet, f"10.{'01'[vnet == 'b']}.0.0/16", net)
        four = f"10.{'01'[vnet == 'b']}.5.0/24"
        parts.put(f"virtualNetworks/{vnet}/subnets/dual", {"addressPrefixes": [four, net.replace("/48", "/64")]})
    parts.peer("a", "b", **subnets(["dual"], ["dual"], enableOnlyIPv6Peering=True))
    assert known(parts, "a", "b")[0] == ["fd00:b::/64"]


def test_flags_and_regions_become_facts(cloud: Ledger) -> None:
    cloud.vnet("far", "10.9.0.0/16", location="westus")
    cloud.peer("a", "far", allowVirtualNetworkAccess=False, allowForwardedTraffic=True)
    (fact,) = [f for f in cloud.facts("virtualNetworks/a") if isinstance(f, Peering)]
    key = network_id("virtualNetworks/a").lower()
    assert fact == Peering(
        f"{key}/virtualnetworkpeerings/a-to-far",
        key,
        network_id("virtualNetworks/far").lower(),
        PeeringState.INITIATED,
        ("10.9.0.0/16",),
        False,
        True,
        True,
    )


def test_what_clients_send_back_is_ignored(cloud: Ledger) -> None:
    shown = cloud.peer("a", "b")
    back = cloud.put(half("a", "b"), {**shown["properties"], "peeringState": "Connected"})
    assert (back["properties"]["peeringState"], back["properties"]["peeringSyncLevel"]) == (
        "Initiated",
        "RemoteNotInSync",
    )


def test_peerings_that_come_inline(cloud: Ledger) -> None:
    cloud.peer("b", "a")
    shown = cloud.put(
        "virtualNetworks/a",
        {
            "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
            "virtualNetworkPeerings": [{"name": "a-to-b", "properties": remote("b")}],
        },
    )
    assert shown["properties"]["virtualNetworkPeerings"][0]["properties"]["peeringState"] == "Connected"
    assert state(cloud, "b", "a") == ("Connected", "FullyInSync")


def test_the_right_to_peer_is_asked_before_anything_is_revealed(cloud: Ledger) -> None:
    someone = Principal("33333333-3333-3333-3333-333333333333", "tenant", "someone")
    for name in ("b", "none", "a"):
        error = cloud.refused(half("a", name), remote(name), principal=someone)
        assert (error.status, error.code) == (403, "LinkedAuthorizationFailed")


def test_an_overlapping_network_is_not_revealed_either(cloud: Ledger) -> None:
    someone = Principal("33333333-3333-3333-3333-333333333333", "tenant", "someone")
    cloud.vnet("same", "10.0.0.0/24")
    _grant(cloud, someone, network_id("virtualNetworks/a"))
    assert cloud.refused(half("a", "same"), remote("same"), principal=someone).code == "LinkedAuthorizationFailed"
    _grant(cloud, someone, network_id("virtualNetworks/same"))
    assert cloud.refused(half("a", "same"), remote("same"), principal=someone).code == "VnetAddressSpacesOverlap"


def _grant(cloud: Ledger, principal: Principal, scope: str) -> None:
    """Network Contributor for `principal` at `scope`."""
    name = f"00000000-0000-0000-0000-{len(scope):012d}"
    definitions = "/providers/Microsoft.Authorization/roleDefinitions"
    role = f"/subscriptions/{SUBSCRIPTION}{definitions}/4d97b98b-1d4f-4787-a291-c67834d212e7"
    row = Row(
        parse_id(f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}"),
        "Microsoft.Authorization/roleAssignments",
        {"properties": {"roleDefinitionId": role, "principalId": principal.object_id}},
        {},
        "Succeeded",
        "",
        1,
        0,
        "",
        "",
        "2022-04-01",
    )
    cloud.snapshot = cloud.snapshot.with_row(row)


def test_older_versions_are_not_told_of_what_is_in_sync(cloud: Ledger) -> None:
    cloud.peer("a", "b")
    old, new = (cloud.get(half("a", "b"), version=version)["properties"] for version in ("2020-06-01", "2021-02-01"))
    assert set(new) - set(old) == {"peeringSyncLevel", "remoteVirtualNetworkAddressSpace", "peerCompleteVnets"}
    (inline,) = cloud.get("virtualNetworks/a", version="2020-06-01")["properties"]["virtualNetworkPeerings"]
    assert inline["properties"] == old

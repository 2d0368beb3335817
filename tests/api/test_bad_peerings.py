"""Peerings that Azure refuses, by its own errors (virtual-network-troubleshoot-peering-issues; recorded words)."""

from __future__ import annotations

import pytest

from api.estate import LOCATION, VNETS, half, placed, problem, request, untouched, vnet
from api.refusals import Bad, check
from client import ArmClient
from kit import Cloud

HALVES = "virtualNetworkPeerings"
ANY = f"{VNETS}/vnet-1/{HALVES}/new"
REFUSED = f"Cannot create or update peering @/{ANY}."

CASES = (
    Bad(
        "to itself",
        ANY,
        half("vnet-1"),
        "VnetAddressSpacesOverlap",
        f"{REFUSED} Virtual networks @/{VNETS}/vnet-1 and @/{VNETS}/vnet-1 cannot be peered because their address spaces "
        "overlap. Overlapping address prefixes: 10.0.0.0/16, 10.0.0.0/16",
    ),
    Bad(
        "to a missing network",
        ANY,
        half("gone"),
        "InvalidGlobalResourceReference",
        f"Resource @/{VNETS}/gone referenced by resource @/{ANY} was not found. Please make sure that the referenced "
        "resource exists.",
    ),
    Bad(
        "to a network of a missing group",
        ANY,
        {"properties": {"remoteVirtualNetwork": {"id": f"@/../../../gone/providers/{VNETS}/v"}}},
        "InvalidRequestFormat",
    ),
    Bad(
        "to an overlapping network",
        ANY,
        half("vnet-3"),
        "VnetAddressSpacesOverlap",
        f"{REFUSED} Virtual networks @/{VNETS}/vnet-1 and @/{VNETS}/vnet-3 cannot be peered because their address spaces "
        "overlap. Overlapping address prefixes: 10.0.0.0/16, 10.0.0.0/16",
    ),
    Bad(
        "to a network that overlaps with a peered one",
        ANY,
        half("vnet-5"),
        "VnetAddressSpaceOverlapsWithAlreadyPeeredVnet",
        f"{REFUSED} Virtual networks @/{VNETS}/vnet-5 and @/{VNETS}/vnet-1 cannot be peered because address space of the "
        f"first virtual network overlaps with address space of virtual network @/{VNETS}/vnet-2 already peered with the "
        "second virtual network. Overlapping address prefixes: 10.1.128.0/17",
    ),
    Bad("a second time", ANY, half("vnet-2"), "AnotherPeeringAlreadyReferencesRemoteVnet", like=f"@/{VNETS}/vnet-2"),
    Bad(
        "with gateways the remote does not have",
        ANY,
        half("vnet-4", useRemoteGateways=True),
        "RemoteVnetHasNoGateways",
        f"Peering @/{ANY} cannot have UseRemoteGateway flag set to true because remote virtual network @/{VNETS}/vnet-4 "
        "referenced by the peering does not have any gateways.",
    ),
    Bad("without a remote", ANY, {"properties": {}}, "MissingRemoteVirtualNetwork"),
    Bad(
        "to something that is no network",
        ANY,
        {"properties": {"remoteVirtualNetwork": {"id": "@/Microsoft.Network/publicIPAddresses/ip-1"}}},
        "InvalidRequestFormat",
        detail=("InvalidJsonReferenceFormat", "virtualNetworks"),
    ),
    Bad(
        "to another network than before",
        f"{VNETS}/vnet-1/{HALVES}/to-2",
        half("vnet-4"),
        "RemoteVirtualNetworkCannotBeChanged",
    ),
    Bad(
        "of a missing network",
        f"{VNETS}/gone/{HALVES}/new",
        half("vnet-1"),
        "ParentResourceNotFound",
        "Can not perform requested operation on nested resource. Parent resource 'gone' not found.",
        status=404,
    ),
    Bad(
        "a missing half",
        f"{VNETS}/vnet-1/{HALVES}/gone",
        None,
        "NotFound",
        f"Resource @/{VNETS}/vnet-1/{HALVES}/gone not found.",
        status=404,
        method="GET",
    ),
    Bad(
        "a space that overlaps with the peer's",
        f"{VNETS}/vnet-2",
        {**vnet("10.1.0.0/16", "10.0.128.0/17")},
        "VnetAddressSpacesOverlap",
        f"Cannot create or update peering @/{VNETS}/vnet-2/{HALVES}/to-1. Virtual networks @/{VNETS}/vnet-2 and "
        f"@/{VNETS}/vnet-1 cannot be peered because their address spaces overlap. Overlapping address prefixes: "
        "10.0.128.0/17, 10.0.0.0/16",
    ),
)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("bad", CASES, ids=str)
async def test_refused(estate: Cloud, bad: Bad) -> None:
    await check(estate, bad)


async def _two(arm: ArmClient) -> None:
    await arm.put(f"{VNETS}/a", vnet("10.0.0.0/16"))
    await arm.put(f"{VNETS}/b", vnet("10.1.0.0/16"))
    await arm.put(f"{VNETS}/a/{HALVES}/ab", placed(arm, half("b")))
    await arm.put(f"{VNETS}/b/{HALVES}/ba", placed(arm, half("a")))


async def test_half_beside_a_disconnected_one(fresh: Cloud, arm: ArmClient) -> None:
    await _two(arm)
    await arm.delete(f"{VNETS}/a/{HALVES}/ab")
    assert (await arm.get(f"{VNETS}/b/{HALVES}/ba"))["properties"]["peeringState"] == "Disconnected"
    async with untouched(fresh):
        answer = await request(arm, "PUT", f"{VNETS}/a/{HALVES}/ab", half("b"))
        error = problem(answer)
    assert (answer.status_code, error["code"]) == (400, "RemotePeeringIsDisconnected")
    assert error["message"] == placed(
        arm,
        f"Cannot create or update peering @/{VNETS}/a/{HALVES}/ab because remote peering @/{VNETS}/b/{HALVES}/ba "
        f"referencing parent virtual network @/{VNETS}/a is in Disconnected state. Update or re-create the remote peering "
        "to get it back to Initiated state. Peering gets Disconnected when remote vnet or remote peering is deleted and "
        "re-created.",
    )
    await arm.put(f"{VNETS}/b/{HALVES}/ba", placed(arm, half("a")))
    again = await arm.put(f"{VNETS}/a/{HALVES}/ab", placed(arm, half("b")))
    assert again["properties"]["peeringState"] == "Connected"


async def test_network_with_a_disconnected_half_still_counts(fresh: Cloud, arm: ArmClient) -> None:
    """What a Disconnected half remembers of its lost network still keeps an overlapping third one out."""
    await _two(arm)
    await arm.delete(f"{VNETS}/b")
    await arm.put(f"{VNETS}/c", vnet("10.1.0.0/24"))
    async with untouched(fresh):
        error = problem(await request(arm, "PUT", f"{VNETS}/a/{HALVES}/ac", half("c")))
    assert error["code"] == "VnetAddressSpaceOverlapsWithAlreadyPeeredVnet"
    assert error["message"].endswith("Overlapping address prefixes: 10.1.0.0/24")


async def test_half_in_another_subscription(fresh: Cloud, arm: ArmClient) -> None:
    """A network of a subscription nobody serves is missing like any other."""
    await arm.put(
        f"{VNETS}/a", {"location": LOCATION, "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}
    )
    other = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/g/providers"
    async with untouched(fresh):
        body = {"properties": {"remoteVirtualNetwork": {"id": f"{other}/{VNETS}/v"}}}
        answer = await request(arm, "PUT", f"{VNETS}/a/{HALVES}/x", body)
    # The right to peer there comes before the question whether it is there, and nobody here holds one.
    assert (answer.status_code, problem(answer)["code"]) == (403, "LinkedAuthorizationFailed")

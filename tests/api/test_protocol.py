"""What every client of ARM relies on: async headers and their polls, etags, pages, versions, ids in any case.

azure-resource-manager-rpc, v1.0: async-api-reference.md, resource-api-reference.md, common-api-details.md.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from api.estate import (
    ADDRESSES,
    GROUPS,
    LOCATION,
    NICS,
    VMS,
    VNETS,
    address,
    build,
    half,
    nic,
    placed,
    rule,
    subnet,
    vm,
    vnet,
)
from azlan.providers.network.shapes import API_VERSIONS
from client import ArmClient, ArmFailure
from kit import Cloud

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


# -- operations -------------------------------------------------------------------------------------------------------


async def _poll(arm: ArmClient, url: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            answer = await arm.http.get(url, headers=arm.headers)
            assert answer.status_code == 200, answer.text
            document: dict[str, Any] = answer.json()
            if document["status"] != "InProgress":
                return document
            assert float(answer.headers["retry-after"]) > 0
            await asyncio.sleep(0.01)


async def test_network_put_has_an_operation_and_no_location(fresh: Cloud, arm: ArmClient) -> None:
    answer = await arm.request("PUT", f"{VNETS}/v", vnet("10.0.0.0/16"))
    assert answer.status_code == 201
    assert answer.json()["properties"]["provisioningState"] == "Updating"
    assert "location" not in answer.headers
    assert float(answer.headers["retry-after"]) > 0
    url = answer.headers["azure-asyncoperation"]
    assert re.fullmatch(
        rf"{fresh.process.config.endpoint}/subscriptions/{arm.subscription}/providers/Microsoft.Network/locations/{LOCATION}/"
        rf"operations/{UUID}\?api-version=2024-05-01",
        url,
    )
    assert await _poll(arm, url) == {"status": "Succeeded"}
    assert (await arm.get(f"{VNETS}/v"))["properties"]["provisioningState"] == "Succeeded"
    again = await arm.request("PUT", f"{VNETS}/v", vnet("10.0.0.0/16"))
    assert again.status_code == 200


async def test_interface_put_is_succeeded_at_once_yet_has_an_operation(fresh: Cloud, arm: ArmClient) -> None:
    await arm.put(f"{VNETS}/v", vnet("10.0.0.0/16", subnets={"s": "10.0.0.0/24"}))
    answer = await arm.request("PUT", f"{NICS}/n", placed(arm, nic("v/subnets/s")))
    assert (answer.status_code, answer.json()["properties"]["provisioningState"]) == (201, "Succeeded")
    assert await _poll(arm, answer.headers["azure-asyncoperation"]) == {"status": "Succeeded"}


async def test_network_delete_has_both_headers(fresh: Cloud, arm: ArmClient) -> None:
    await arm.put(f"{VNETS}/v", vnet("10.0.0.0/16"))
    answer = await arm.request("DELETE", f"{VNETS}/v")
    assert (answer.status_code, answer.content) == (202, b"")
    location = answer.headers["location"]
    assert f"/providers/Microsoft.Network/locations/{LOCATION}/operationResults/" in location
    assert await _poll(arm, answer.headers["azure-asyncoperation"]) == {"status": "Succeeded"}
    result = await arm.http.get(location, headers=arm.headers)
    assert (result.status_code, result.content) == (204, b"")


async def test_peering_operation_covers_both_halves(fresh: Cloud, arm: ArmClient) -> None:
    await arm.put(f"{VNETS}/a", vnet("10.0.0.0/16"))
    await arm.put(f"{VNETS}/b", vnet("10.1.0.0/16"))
    first = await arm.request("PUT", f"{VNETS}/a/virtualNetworkPeerings/ab", placed(arm, half("b")))
    properties = first.json()["properties"]
    assert (first.status_code, properties["peeringState"], properties["provisioningState"]) == (
        201,
        "Initiated",
        "Updating",
    )
    assert properties["peeringSyncLevel"] == "RemoteNotInSync"
    await _poll(arm, first.headers["azure-asyncoperation"])
    second = await arm.request("PUT", f"{VNETS}/b/virtualNetworkPeerings/ba", placed(arm, half("a")))
    properties = second.json()["properties"]
    assert (properties["peeringState"], properties["peeringSyncLevel"]) == ("Connected", "FullyInSync")
    assert await _poll(arm, second.headers["azure-asyncoperation"]) == {"status": "Succeeded"}
    other = await arm.get(f"{VNETS}/a/virtualNetworkPeerings/ab")
    assert (other["properties"]["peeringState"], other["properties"]["provisioningState"]) == ("Connected", "Succeeded")
    assert other["properties"]["resourceGuid"] == properties["resourceGuid"]


async def test_machine_operations_have_computes_shape(fresh: Cloud, arm: ArmClient) -> None:
    await arm.put(f"{VNETS}/v", vnet("10.0.0.0/16", subnets={"s": "10.0.0.0/24"}))
    await arm.put(f"{NICS}/n", placed(arm, nic("v/subnets/s")))
    answer = await arm.request("PUT", f"{VMS}/m", placed(arm, vm("n")))
    assert (answer.status_code, answer.json()["properties"]["provisioningState"]) == (201, "Creating")
    document = await _poll(arm, answer.headers["azure-asyncoperation"])
    assert set(document) == {"startTime", "endTime", "status", "name"}
    stop = await arm.request("POST", f"{VMS}/m/deallocate")
    assert (stop.status_code, stop.content) == (202, b"")
    assert (await _poll(arm, stop.headers["azure-asyncoperation"]))["status"] == "Succeeded"
    assert (await arm.http.get(stop.headers["location"], headers=arm.headers)).status_code in (200, 204)
    view = await arm.get(f"{VMS}/m/instanceView")
    assert [status["code"] for status in view["statuses"]] == ["ProvisioningState/succeeded", "PowerState/deallocated"]


async def test_group_delete_is_polled_by_location_alone(fresh: Cloud, arm: ArmClient) -> None:
    await arm.put(f"{VNETS}/v", vnet("10.0.0.0/16"))
    answer = await arm.request("DELETE", "")
    assert answer.status_code == 202
    assert "azure-asyncoperation" not in answer.headers
    async with asyncio.timeout(30):
        while True:
            result = await arm.http.get(answer.headers["location"], headers=arm.headers)
            if result.status_code != 202:
                break
            assert "location" in result.headers
            await asyncio.sleep(0.02)
    assert result.status_code == 200
    assert (await arm.request("HEAD", "")).status_code == 404


async def test_operation_of_another_subscription_or_nobody(fresh: Cloud, arm: ArmClient) -> None:
    base = f"/subscriptions/{arm.subscription}/providers/Microsoft.Network/locations/{LOCATION}/operations"
    answer = await arm.http.get(
        f"{base}/00000000-0000-0000-0000-000000000000?api-version=2024-05-01", headers=arm.headers
    )
    assert answer.status_code == 404


async def test_who_is_told_to_poll_at_once(fresh: Cloud, arm: ArmClient) -> None:
    """`Retry-After: 0` counts as absent for azure-core, which then sleeps for 30 s; generated SDKs read whole numbers."""
    for agent, wanted in (
        ("AZURECLI/2.91 azsdk-python-core/1.39", "0.05"),
        ("azsdk-python-mgmt-network/33.1.0", "1"),
        ("azsdk-go-armnetwork", "1"),
        ("Mozilla/5.0", "1"),
    ):
        answer = await arm.request("PUT", f"{VNETS}/v", vnet("10.0.0.0/16"), headers={"User-Agent": agent})
        assert answer.headers["retry-after"] == wanted


# -- etags ------------------------------------------------------------------------------------------------------------


async def test_etag_changes_with_every_write_and_guards_the_next(fresh: Cloud, arm: ArmClient) -> None:
    first = (await arm.put(f"{VNETS}/v", vnet("10.0.0.0/16", subnets={"s": "10.0.0.0/24"})))["etag"]
    changed = await arm.request("PUT", f"{VNETS}/v", vnet("10.0.0.0/16", subnets={}), headers={"If-Match": first})
    assert changed.status_code == 200
    second = changed.json()["etag"]
    assert second != first
    await arm._finished(f"{VNETS}/v", changed, None)
    for method, body in (("PUT", vnet("10.0.0.0/16")), ("PATCH", {"tags": {}}), ("DELETE", None)):
        stale = await arm.request(method, f"{VNETS}/v", body, headers={"If-Match": first})
        assert stale.status_code == 412
    assert (await arm.request("PUT", f"{VNETS}/v", vnet("10.0.0.0/16"), headers={"If-Match": "*"})).status_code == 200


async def test_operations_end_leaves_the_etag(fresh: Cloud, arm: ArmClient) -> None:
    """A client may hold the etag of the PUT's answer against its next write."""
    answer = await arm.request("PUT", f"{GROUPS}/g", {"location": LOCATION, "properties": {}})
    await arm._finished(f"{GROUPS}/g", answer, None)
    assert (await arm.get(f"{GROUPS}/g"))["etag"] == answer.json()["etag"]


async def test_child_and_parent_have_one_etag(fresh: Cloud, arm: ArmClient) -> None:
    await arm.put(f"{VNETS}/v", vnet("10.0.0.0/16"))
    child = await arm.put(f"{VNETS}/v/subnets/s", subnet("10.0.0.0/24"))
    parent = await arm.get(f"{VNETS}/v")
    assert child["etag"] == parent["etag"] == parent["properties"]["subnets"][0]["etag"]
    guarded = await arm.request(
        "PUT", f"{VNETS}/v/subnets/s", subnet("10.0.0.0/25"), headers={"If-Match": parent["etag"]}
    )
    assert guarded.status_code == 200


async def test_create_only(fresh: Cloud, arm: ArmClient) -> None:
    only = {"If-None-Match": "*"}
    assert (await arm.request("PUT", f"{VNETS}/v", vnet("10.0.0.0/16"), headers=only)).status_code == 201
    assert (await arm.request("PUT", f"{VNETS}/v", vnet("10.0.0.0/16"), headers=only)).status_code == 412


# -- ids, paths and versions ------------------------------------------------------------------------------------------


async def test_ids_match_in_any_case_and_are_shown_as_first_written(fresh: Cloud, arm: ArmClient) -> None:
    base = f"/subscriptions/{arm.subscription}/resourceGroups/Mixed-RG"
    await arm.put(base, {"location": "East US 2"})
    await arm.put(f"{base}/providers/microsoft.network/VIRTUALNETWORKS/VNet-One", vnet("10.0.0.0/16"))
    wanted = f"{base}/providers/Microsoft.Network/virtualNetworks/VNet-One"
    for path in (wanted, wanted.lower(), wanted.upper().replace("/SUBSCRIPTIONS", "/subscriptions")):
        document = await arm.get(path, api="2024-05-01")
        assert (document["id"], document["name"], document["type"]) == (wanted, "VNet-One", VNETS)
        assert document["location"] == "eastus2"
    again = await arm.put(wanted.lower(), vnet("10.0.0.0/16", subnets={"Sub-A": "10.0.0.0/24"}))
    assert again["id"] == wanted
    child = await arm.get(f"{wanted}/SUBNETS/sub-a".lower())
    assert (child["id"], child["name"]) == (f"{wanted}/subnets/Sub-A", "Sub-A")
    (group,) = [
        item
        for item in (await arm.get(f"/subscriptions/{arm.subscription}/resourcegroups"))["value"]
        if item["name"] not in ("test-rg", "NetworkWatcherRG")
    ]
    assert (group["id"], group["name"]) == (base, "Mixed-RG")


async def test_doubled_and_trailing_slashes(fresh: Cloud, arm: ArmClient) -> None:
    path = arm.id(f"{VNETS}/v").replace("/providers/", "//providers//") + "/"
    await arm.put(path, vnet("10.0.0.0/16"))
    assert (await arm.get(f"{VNETS}/v"))["id"] == arm.id(f"{VNETS}/v")


async def test_a_reference_in_another_case_is_the_same(fresh: Cloud, arm: ArmClient) -> None:
    await arm.put(f"{VNETS}/V", vnet("10.0.0.0/16", subnets={"S": "10.0.0.0/24"}))
    body = placed(arm, nic("v/subnets/s"))
    config = body["properties"]["ipConfigurations"][0]["properties"]
    config["subnet"]["id"] = config["subnet"]["id"].upper()
    await arm.put(f"{NICS}/n", body)
    with pytest.raises(ArmFailure, match="InUseSubnetCannotBeDeleted"):
        await arm.delete(f"{VNETS}/V/subnets/S")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("version", [*API_VERSIONS, "2026-04-01", "2024-05-01-preview", "2021-01-31"])
async def test_any_version_of_a_released_client(estate: Cloud, version: str) -> None:
    arm = estate.arm
    for path in (f"{VNETS}/vnet-1", VNETS, f"{VNETS}/vnet-1/subnets/subnet-1", f"{NICS}/nic-1", f"{VMS}/vm-1", ""):
        assert (await arm.request("GET", path, api=version)).status_code == 200
    body = vnet("10.90.0.0/16", subnets={"s": "10.90.0.0/24"})
    shown = await arm.put(f"{VNETS}/v", body, api=version)
    assert shown["properties"]["subnets"][0]["name"] == "s"
    await arm.delete(f"{VNETS}/v", api=version)


@pytest.mark.parametrize(
    ("version", "left"), [("2015-06-15", []), ("2023-06-01", []), ("2023-09-01", ["s"]), ("2025-07-01", ["s"])]
)
async def test_put_without_subnets_keeps_them_by_version(
    fresh: Cloud, arm: ArmClient, version: str, left: list[str]
) -> None:
    await arm.put(f"{VNETS}/v", vnet("10.0.0.0/16", subnets={"s": "10.0.0.0/24"}))
    await arm.put(f"{VNETS}/v", vnet("10.0.0.0/16"), api=version)
    assert [item["name"] for item in (await arm.get(f"{VNETS}/v"))["properties"]["subnets"]] == left


@pytest.mark.parametrize(
    ("version", "shown", "outbound"),
    [("2025-05-01", None, True), ("2025-07-01", False, False), ("2026-03-01", False, False)],
)
async def test_default_outbound_access_by_version(
    fresh: Cloud, arm: ArmClient, version: str, shown: bool | None, outbound: bool
) -> None:
    await arm.put(f"{VNETS}/v", vnet("10.0.0.0/16", subnets={"inline": "10.0.0.0/24"}), api=version)
    # The network's version decides for all of its life, whichever version adds a subnet.
    await arm.put(f"{VNETS}/v/subnets/later", subnet("10.0.1.0/24"), api="2024-05-01")
    for item in (await arm.get(f"{VNETS}/v"))["properties"]["subnets"]:
        assert item["properties"].get("defaultOutboundAccess") is shown
    facts = [fact for found in fresh.process.core.store.facts().by_owner.values() for fact in found]
    assert {fact.default_outbound for fact in facts if type(fact).__name__ == "Subnet"} == {outbound}
    await arm.put(
        f"{VNETS}/v/subnets/asked", subnet("10.0.2.0/24", defaultOutboundAccess=not outbound), api="2024-05-01"
    )
    asked = await arm.get(f"{VNETS}/v/subnets/asked")
    assert asked["properties"]["defaultOutboundAccess"] is (not outbound)


# -- pages ------------------------------------------------------------------------------------------------------------

MANY = 1005


async def _all(arm: ArmClient, path: str, **query: str) -> tuple[list[str], int]:
    """(names, pages)"""
    answer = await arm.get(path, query=query)
    names, pages = [item["name"] for item in answer["value"]], 1
    while "nextLink" in answer:
        following = await arm.http.get(answer["nextLink"], headers=arm.headers)
        assert following.status_code == 200, following.text
        answer = following.json()
        assert answer["value"], "an empty page"
        names += [item["name"] for item in answer["value"]]
        pages += 1
    return names, pages


@pytest.mark.slow
async def test_pages_of_more_than_a_thousand(fresh: Cloud, arm: ArmClient) -> None:
    body = address()

    async def make(numbers: range) -> None:
        for n in numbers:
            assert (await arm.request("PUT", f"{GROUPS}/g{n:04}", {"location": LOCATION})).status_code == 201

    await asyncio.gather(*(make(range(first, MANY, 8)) for first in range(8)))
    wanted = sorted(f"g{n:04}" for n in range(MANY))
    everything = f"/subscriptions/{arm.subscription}/resources"
    for path in (GROUPS, f"/subscriptions/{arm.subscription}/providers/{GROUPS}", everything):
        names, pages = await _all(arm, path)
        assert (sorted(names), pages) == (wanted, 2)
    names, pages = await _all(arm, everything, **{"$top": "250"})
    assert (sorted(names), pages) == (wanted, 5)
    filtered, pages = await _all(arm, everything, **{"$filter": "name eq 'G0042'"})
    assert (filtered, pages) == (["g0042"], 1)
    first = await arm.get(everything, query={"$top": "3"})
    # A page stays what it is while others write: what is new comes last.
    await arm.put(f"{ADDRESSES}/newcomer", body)
    second = (await arm.http.get(first["nextLink"], headers=arm.headers)).json()
    assert not {item["id"] for item in first["value"]} & {item["id"] for item in second["value"]}


@pytest.mark.parametrize(
    "query", [{"$top": "0"}, {"$top": "many"}, {"$skiptoken": "§"}, {"$filter": "shape eq 'round'"}]
)
async def test_bad_queries(fresh: Cloud, arm: ArmClient, query: dict[str, str]) -> None:
    answer = await arm.request("GET", f"/subscriptions/{arm.subscription}/resources", query=query)
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    ("filter", "names"),
    [
        (f"resourceType eq '{VNETS}'", ["v"]),
        (f"resourceType eq '{VNETS.lower()}' or name eq 'g'", ["g", "v"]),
        ("tagName eq 'team' and tagValue eq 'blue'", ["v"]),
        ("tagName eq 'team'", ["g", "v"]),
        ("resourceGroup eq 'TEST-RG'", ["g", "v"]),
        ("location eq 'westus'", []),
        ("substringof('v', name)", ["v"]),
    ],
)
async def test_filters(fresh: Cloud, arm: ArmClient, filter: str, names: list[str]) -> None:
    await arm.put(f"{VNETS}/v", {**vnet("10.0.0.0/16"), "tags": {"Team": "Blue"}})
    await arm.put(f"{GROUPS}/g", {"location": LOCATION, "tags": {"team": "red"}})
    found = await arm.get(f"/subscriptions/{arm.subscription}/resources", query={"$filter": filter})
    assert sorted(item["name"] for item in found["value"]) == names


# -- the whole of a group ---------------------------------------------------------------------------------------------


async def test_group_delete_takes_everything_in_its_order(fresh: Cloud) -> None:
    await build(fresh.arm)
    # A half in another group outlives its remote network, Disconnected.
    other = ArmClient(fresh.arm.http, fresh.arm.subscription, fresh.arm.headers["Authorization"][7:], "other-rg")
    await other.put("", {"location": LOCATION})
    await other.put(f"{VNETS}/o", vnet("10.77.0.0/16"))
    await other.put(f"{VNETS}/o/virtualNetworkPeerings/x", placed(fresh.arm, half("vnet-1")))
    await fresh.arm.delete("")
    listed = (await fresh.arm.get(f"/subscriptions/{fresh.arm.subscription}/resources"))["value"]
    assert sorted(item["name"] for item in listed) == ["NetworkWatcher_eastus2", "o"]
    left = await other.get(f"{VNETS}/o/virtualNetworkPeerings/x")
    assert left["properties"]["peeringState"] == "Disconnected"
    await other.delete("")
    assert not fresh.process.core.store.facts().by_owner
    assert not fresh.world().parts
    assert not fresh.process.core.store.snapshot.unsettled


async def test_nothing_is_made_in_a_group_that_goes(fresh: Cloud) -> None:
    await build(fresh.arm)
    answer = await fresh.arm.request("DELETE", "")
    late = await fresh.arm.request("PUT", f"{VNETS}/late", vnet("10.99.0.0/16"))
    assert (late.status_code, late.json()["error"]["code"]) in (
        (409, "ResourceGroupBeingDeleted"),
        (404, "ResourceGroupNotFound"),
    )
    await fresh.arm._polled(answer)
    assert (await fresh.arm.request("GET", "")).status_code == 404
    await fresh.arm.put("", {"location": "westus"})
    assert (await fresh.arm.get(""))["location"] == "westus"


async def test_concurrent_writes_to_one_network_all_succeed(fresh: Cloud, arm: ArmClient) -> None:
    """Azure answers some of them 429 or 409; here they queue (a documented difference)."""
    await arm.put(f"{VNETS}/v", vnet("10.0.0.0/16"))
    await asyncio.gather(*(arm.put(f"{VNETS}/v/subnets/s{n}", subnet(f"10.0.{n}.0/24")) for n in range(20)))
    assert len((await arm.get(f"{VNETS}/v"))["properties"]["subnets"]) == 20
    await arm.put(f"{GROUPS}/g", {"location": LOCATION})
    await asyncio.gather(*(arm.put(f"{GROUPS}/g/securityRules/r{n}", rule(200 + n)) for n in range(20)))
    assert len((await arm.get(f"{GROUPS}/g"))["properties"]["securityRules"]) == 20

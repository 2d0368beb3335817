"""PUT, GET, PATCH, HEAD, list and DELETE of every type that is served: azure-resource-manager-rpc, resource-api-reference.

A type that is new in the registry fails here until it has a sample.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from api.estate import (
    ADDRESSES,
    ASGS,
    ASSIGNMENTS,
    BASTIONS,
    DEFINITIONS,
    DEPLOYMENTS,
    DISKS,
    GROUPS,
    LOCATION,
    NICS,
    READER,
    ROUTES,
    VMS,
    VNETS,
    address,
    application_group,
    bastion,
    deployment,
    disk,
    half,
    nic,
    placed,
    route,
    route_table,
    rule,
    security_group,
    subnet,
    vm,
    vnet,
)
from azlan.arm.registry import Registry
from kit import Cloud

in_module = pytest.mark.asyncio(loop_scope="module")

WATCHERS = "Microsoft.Network/networkWatchers"
GUID = str(uuid4())
ETAG = re.compile(r'W/"[0-9a-f-]{36}"')


@dataclass(frozen=True)
class Sample:
    """`patch` is a merge patch, with what it changes as (path of members, value); None: the type takes no PATCH."""

    path: str
    body: dict[str, Any]
    patch: dict[str, Any] | None = None
    shows: tuple[tuple[str, ...], Any] = ((), None)
    listed_at: str = ""
    tracked: bool = True


TAGS = {"tags": {"team": "blue"}}
TAGGED = (("tags", "team"), "blue")

SAMPLES: dict[str, Sample] = {
    "Microsoft.Resources/resourceGroups": Sample(
        "@group/sample", {"location": LOCATION}, TAGS, TAGGED, "@subscription/resourcegroups", tracked=False
    ),
    VNETS: Sample(f"{VNETS}/sample", vnet("10.80.0.0/16", subnets={"s": "10.80.0.0/24"}), TAGS, TAGGED, VNETS),
    f"{VNETS}/subnets": Sample(
        f"{VNETS}/vnet-2/subnets/sample",
        subnet("10.1.9.0/24"),
        None,
        listed_at=f"{VNETS}/vnet-2/subnets",
        tracked=False,
    ),
    f"{VNETS}/virtualNetworkPeerings": Sample(
        f"{VNETS}/vnet-4/virtualNetworkPeerings/sample",
        half("vnet-6"),
        None,
        listed_at=f"{VNETS}/vnet-4/virtualNetworkPeerings",
        tracked=False,
    ),
    GROUPS: Sample(f"{GROUPS}/sample", security_group(web=rule(300)), TAGS, TAGGED, GROUPS),
    f"{GROUPS}/securityRules": Sample(
        f"{GROUPS}/nsg-1/securityRules/sample",
        rule(301),
        None,
        listed_at=f"{GROUPS}/nsg-1/securityRules",
        tracked=False,
    ),
    ASGS: Sample(f"{ASGS}/sample", application_group(), TAGS, TAGGED, ASGS),
    ROUTES: Sample(f"{ROUTES}/sample", route_table(lan="10.9.0.0/16"), TAGS, TAGGED, ROUTES),
    f"{ROUTES}/routes": Sample(
        f"{ROUTES}/routes-1/routes/sample",
        route("10.8.0.0/16"),
        None,
        listed_at=f"{ROUTES}/routes-1/routes",
        tracked=False,
    ),
    ADDRESSES: Sample(f"{ADDRESSES}/sample", address(), TAGS, TAGGED, ADDRESSES),
    NICS: Sample(f"{NICS}/sample", nic(), TAGS, TAGGED, NICS),
    # One a region: that of the estate has its own.
    WATCHERS: Sample(f"{WATCHERS}/sample", {"location": "westeurope", "properties": {}}, TAGS, TAGGED, WATCHERS),
    BASTIONS: Sample(
        f"{BASTIONS}/sample", bastion("vnet-6/subnets/AzureBastionSubnet", "ip-free"), TAGS, TAGGED, BASTIONS
    ),
    VMS: Sample(f"{VMS}/sample", vm(), TAGS, TAGGED, VMS),
    DISKS: Sample(
        f"{DISKS}/sample", disk(8), {"properties": {"diskSizeGB": 16}}, (("properties", "diskSizeGB"), 16), DISKS
    ),
    DEPLOYMENTS: Sample(f"{DEPLOYMENTS}/sample", deployment(), None, listed_at=DEPLOYMENTS, tracked=False),
    DEFINITIONS: Sample(
        f"@subscription/providers/{DEFINITIONS}/{GUID}",
        {
            "properties": {
                "roleName": "Sampler",
                "permissions": [{"actions": ["*/read"]}],
                "assignableScopes": ["@subscription"],
            }
        },
        None,
        listed_at=f"@subscription/providers/{DEFINITIONS}",
        tracked=False,
    ),
    ASSIGNMENTS: Sample(
        f"@subscription/providers/{ASSIGNMENTS}/{GUID}",
        {
            "properties": {
                "roleDefinitionId": f"@subscription/providers/{DEFINITIONS}/{READER}",
                "principalId": GUID,
                "principalType": "ServicePrincipal",
            }
        },
        None,
        listed_at=f"@subscription/providers/{ASSIGNMENTS}",
        tracked=False,
    ),
}


def _absolute(cloud: Cloud, value: Any) -> Any:
    subscription = f"/subscriptions/{cloud.arm.subscription}"
    if isinstance(value, dict):
        return {name: _absolute(cloud, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_absolute(cloud, item) for item in value]
    if isinstance(value, str):
        value = value.replace("@subscription", subscription).replace("@group", f"{subscription}/resourceGroups")
    return placed(cloud.arm, value)


def _contains(shown: Any, given: Any, at: str = "") -> None:
    """Everything that was given is shown, in its place; Azure adds to it."""
    if isinstance(given, dict):
        for name, value in given.items():
            if name in ("adminPassword", "template"):
                assert name not in shown, f"{at}.{name} is shown"
            else:
                assert name in shown, f"{at}.{name} is lost"
                _contains(shown[name], value, f"{at}.{name}")
    elif isinstance(given, list):
        assert len(shown) == len(given), at
        for n, item in enumerate(given):
            _contains(shown[n], item, f"{at}[{n}]")
    else:
        assert shown == given, at


def test_every_type_has_a_sample() -> None:
    assert sorted(SAMPLES) == sorted(declared.type for declared in Registry.discover().types.values())


@in_module
@pytest.mark.parametrize("type", SAMPLES)
async def test_round_trip(estate: Cloud, type: str) -> None:
    arm, sample = estate.arm, SAMPLES[type]
    declared = estate.process.core.registry.find(type)
    assert declared is not None
    path, body, where = (_absolute(estate, part) for part in (sample.path, sample.body, sample.listed_at))

    answer = await arm.request("PUT", path, body)
    assert answer.status_code in (201, 202), answer.text
    document = answer.json()
    assert document["id"].lower() == arm.id(path).lower()
    assert document["name"] == path.rsplit("/", 1)[-1]
    assert document["type"] == type
    _contains(document, body)
    await arm._finished(path, answer, None)

    document = await arm.get(path)
    _contains(document, body)
    if type not in (DEFINITIONS, ASSIGNMENTS):
        assert document["properties"]["provisioningState"] == "Succeeded"
    assert ("etag" in document) is declared.etag
    if declared.etag:
        assert ETAG.fullmatch(document["etag"])
        got = await arm.request("GET", path)
        assert got.headers["etag"] == document["etag"]
    assert (await arm.request("HEAD", path)).status_code in (200, 204)
    assert (await arm.request("HEAD", path)).content == b""

    listed = (await arm.get(where))["value"]
    assert document["id"] in [item["id"] for item in listed]
    everything = (await arm.get(f"/subscriptions/{arm.subscription}/resources"))["value"]
    assert (document["id"] in [item["id"] for item in everything]) is sample.tracked

    again = await arm.request("PUT", path, body)
    assert again.status_code in (200, 201, 202), again.text
    await arm._finished(path, again, None)
    if sample.patch is not None:
        await arm._finished(path, await arm.request("PATCH", path, sample.patch), None)
        shown: Any = await arm.get(path)
        _contains(shown, body if "tags" in sample.patch else {})
        for name in sample.shows[0]:
            shown = shown[name]
        assert shown == sample.shows[1]

    await arm.delete(path)
    gone = await arm.request("GET", path)
    assert gone.status_code == 404, gone.text
    if type == "Microsoft.Resources/resourceGroups":
        assert (await arm.request("HEAD", path)).status_code == 404
    else:
        assert (await arm.request("DELETE", path)).status_code == 204
    assert document["id"] not in [item["id"] for item in (await arm.get(where))["value"]]


@in_module
@pytest.mark.parametrize("type", [type for type, sample in SAMPLES.items() if sample.tracked])
async def test_list_by_subscription(estate: Cloud, type: str) -> None:
    arm = estate.arm
    listed = (await arm.get(f"/subscriptions/{arm.subscription}/providers/{type}"))["value"]
    assert listed
    (group,) = {item["id"].rsplit("/providers/", 1)[0] for item in listed}
    assert listed == (await arm.get(f"{group}/providers/{type}"))["value"], "all of them are in one group"
    for item in listed:
        assert item == await arm.get(item["id"])


@in_module
async def test_what_is_shown_can_be_put_back(estate: Cloud) -> None:
    """az reads, changes one member and writes the whole: every document is accepted as it is shown, and changes nothing."""
    arm = estate.arm
    for item in (await arm.get(f"/subscriptions/{arm.subscription}/resources"))["value"]:
        before = await arm.get(item["id"])
        after = await arm.put(item["id"], before)
        for document in (before, after):
            _forget(document)
        assert after == before


def _forget(value: Any) -> None:
    """Take etags out: a write makes new ones."""
    if isinstance(value, dict):
        value.pop("etag", None)
        for item in value.values():
            _forget(item)
    elif isinstance(value, list):
        for item in value:
            _forget(item)

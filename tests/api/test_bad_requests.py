"""Requests that ARM itself refuses: paths, versions, bodies, names, locations, tags and preconditions.

Codes and words: azure-resource-manager-rpc, v1.0/common-api-details.md, and what users of Azure paste.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from api.estate import (
    ADDRESSES,
    ASSIGNMENTS,
    BASTIONS,
    DEFINITIONS,
    DEPLOYMENTS,
    DISKS,
    GROUPS,
    LOCATION,
    NICS,
    READER,
    VMS,
    VNETS,
    address,
    bastion,
    deployment,
    disk,
    half,
    nic,
    problem,
    rule,
    security_group,
    subnet,
    untouched,
    vm,
    vnet,
)
from api.refusals import Bad, check
from kit import Cloud

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = vnet("10.50.0.0/16")
UNKNOWN = "InvalidRequestFormat"


def member(path: str, body: Any, name: str, kind: str) -> Bad:
    return Bad(
        f"{path.rsplit('/', 2)[-2]} with {name}",
        path,
        body,
        UNKNOWN,
        "Cannot parse the request.",
        detail=(
            "InvalidJson",
            rf"^Could not find member '{name}' on object of type '{kind}'\. Path '[\w.\[\]]+', line 1, position \d+\.$",
        ),
    )


MEMBERS = (
    member(f"{VNETS}/new", {**GOOD, "flavour": "sweet"}, "flavour", "VirtualNetwork"),
    member(f"{VNETS}/new", vnet("10.50.0.0/16", colour="red"), "colour", "VirtualNetworkPropertiesFormat"),
    member(f"{VNETS}/new", vnet("10.50.0.0/16", subnets={"s": {"addressPrefix": "10.50.0.0/24", "shape": 1}}),
           "shape", "SubnetPropertiesFormat"),
    member(f"{VNETS}/vnet-1/subnets/s", subnet("10.0.9.0/24", gateway="10.0.9.1"), "gateway", "SubnetPropertiesFormat"),
    member(f"{VNETS}/vnet-1/virtualNetworkPeerings/p", half("vnet-4", speed=1), "speed", "VirtualNetworkPeeringPropertiesFormat"),
    member(f"{GROUPS}/new", {"location": LOCATION, "properties": {"rules": []}}, "rules", "NetworkSecurityGroupPropertiesFormat"),
    member(f"{GROUPS}/nsg-1/securityRules/r", rule(port=22), "port", "SecurityRulePropertiesFormat"),
    member(f"{ADDRESSES}/new", address(owner="me"), "owner", "PublicIPAddressPropertiesFormat"),
    member(f"{NICS}/new", nic(speed=10), "speed", "NetworkInterfacePropertiesFormat"),
    member(f"{BASTIONS}/new", {**bastion(), "rank": 1}, "rank", "BastionHost"),
    member(f"{VMS}/new", vm(cores=64), "cores", "VirtualMachineProperties"),
    member(f"{DISKS}/new", {**disk(), "rpm": 7200}, "rpm", "Disk"),
)  # fmt: skip

PATHS = (
    Bad("a group that is not there", "@group/gone/providers/Microsoft.Network/virtualNetworks/v", GOOD,
        "ResourceGroupNotFound", "Resource group 'gone' could not be found.", status=404),
    Bad("a network that is not there", f"{VNETS}/gone", None, "ResourceNotFound",
        f"The Resource '{VNETS}/gone' under resource group 'test-rg' was not found. For more details please go to "
        "https://aka.ms/ARMResourceNotFoundFix", status=404, method="GET"),
    Bad("a patch of what is not there", f"{VNETS}/gone", {"tags": {}}, "ResourceNotFound", status=404, method="PATCH"),
    Bad("a list below what is not there", f"{VNETS}/gone/subnets", None, "ResourceNotFound",
        f"The Resource '{VNETS}/gone' under resource group 'test-rg' was not found. For more details please go to "
        "https://aka.ms/ARMResourceNotFoundFix", status=404, method="GET"),
    Bad("deleting a group that is not there", "@group/gone", None, "ResourceGroupNotFound",
        "Resource group 'gone' could not be found.", status=404, method="DELETE"),
    Bad("a list in a group that is not there", f"@group/gone/providers/{VNETS}", None, "ResourceGroupNotFound",
        "Resource group 'gone' could not be found.", status=404, method="GET"),
    Bad("resources of a group that is not there", "@group/gone/resources", None, "ResourceGroupNotFound",
        "Resource group 'gone' could not be found.", status=404, method="GET"),
    Bad("a type nobody serves", "Microsoft.Network/warpGates/w", GOOD, "InvalidResourceType",
        like="^The resource type 'warpGates' could not be found in the namespace 'Microsoft.Network' for", status=404),
    Bad("a child type nobody serves", f"{VNETS}/vnet-1/holes/h", GOOD, "InvalidResourceType",
        like="^The resource type 'virtualNetworks/holes' could not be found in the namespace", status=404),
    Bad("a namespace nobody serves", "Contoso.Things/widgets/w", GOOD, "InvalidResourceNamespace",
        "The resource namespace 'Contoso.Things' is invalid.", status=404),
    Bad("another subscription", f"/subscriptions/00000000-0000-0000-0000-00000000dead/resourceGroups/g/providers/{VNETS}/v",
        GOOD, "SubscriptionNotFound", "The subscription '00000000-0000-0000-0000-00000000dead' could not be found.", status=404),
    Bad("a subscription that is no guid", f"/subscriptions/mine/resourceGroups/g/providers/{VNETS}/v", GOOD,
        "InvalidSubscriptionId", "The provided subscription identifier 'mine' is malformed or invalid."),
    Bad("a method nobody serves", VNETS, None, "MethodNotAllowed", status=405, method="DELETE"),
)  # fmt: skip

VERSIONS = (
    ("2024-13-01", "InvalidApiVersionParameter"),
    ("latest", "InvalidApiVersionParameter"),
    ("2024-05-01-draft", "InvalidApiVersionParameter"),
    ("", "MissingApiVersionParameter"),
)

LOCATIONS_AND_TAGS = (
    Bad("no location", f"{VNETS}/new", {"properties": GOOD["properties"]}, "LocationRequired",
        "The location property is required for this definition."),
    Bad("a location on the moon", f"{VNETS}/new", {**GOOD, "location": "tranquillity"},
        "LocationNotAvailableForResourceType",
        like=f"^The provided location 'tranquillity' is not available for resource type '{VNETS}'. List of available "
        "regions for the resource type is '"),
    Bad("a group on the moon", "@group/moon", {"location": "tranquillity"}, "LocationNotAvailableForResourceGroup",
        like="^The provided location 'tranquillity' is not available for resource group. List of available regions is '"),
    Bad("another location later", f"{VNETS}/vnet-1", {**GOOD, "location": "westeurope"}, "InvalidResourceLocation",
        "The resource 'vnet-1' already exists in location 'eastus2' in resource group 'test-rg'. A resource with the same "
        "name cannot be created in location 'westeurope'. Please select a new resource name.", status=409),
    Bad("another location of a group later", "@group/test-rg", {"location": "westeurope"}, "InvalidResourceGroupLocation",
        "Invalid resource group location 'westeurope'. The Resource group already exists in location 'eastus2'.", status=409),
    Bad("a location that is a number", f"{VNETS}/new", {**GOOD, "location": 7}, "InvalidRequestContent"),
    Bad("51 tags", f"{VNETS}/new", {**GOOD, "tags": {f"t{n}": "" for n in range(51)}}, "TooManyTags"),
    Bad("a tag's name of 513", f"{VNETS}/new", {**GOOD, "tags": {"t" * 513: ""}}, "InvalidTagNameLength"),
    Bad("a tag's value of 257", f"{VNETS}/new", {**GOOD, "tags": {"t": "v" * 257}}, "InvalidTagValueLength"),
    Bad("tags that are a list", f"{VNETS}/new", {**GOOD, "tags": ["a"]}, "InvalidRequestContent"),
    Bad("a tag that is a number", f"{VNETS}/new", {**GOOD, "tags": {"a": 1}}, "InvalidRequestContent"),
)  # fmt: skip

NAMES = (
    *(Bad(f"network {name!r}", f"{VNETS}/{name}", GOOD, "InvalidResourceName", like=f"^Resource name {re.escape(name[:20])}")
      for name in ("-v", "v-", "v.", "_v", "v" * 81, "a$b", "ä")),
    *(Bad(f"subnet {name!r}", f"{VNETS}/vnet-1/subnets/{name}", subnet("10.0.9.0/24"), "InvalidResourceName")
      for name in ("-s", "s-", "s" * 81)),
    *(Bad(f"half {name!r}", f"{VNETS}/vnet-1/virtualNetworkPeerings/{name}", half("vnet-4"), "InvalidResourceName")
      for name in ("-p", "p-", "p" * 81)),
    *(Bad(f"group of rules {name!r}", f"{GROUPS}/{name}", security_group(), "InvalidResourceName")
      for name in (".n", "n-", "n" * 81)),
    *(Bad(f"rule {name!r}", f"{GROUPS}/nsg-1/securityRules/{name}", rule(), "InvalidResourceName")
      for name in ("-r", "r" * 81)),
    *(Bad(f"address {name!r}", f"{ADDRESSES}/{name}", address(), "InvalidResourceName") for name in ("-i", "i" * 81)),
    *(Bad(f"interface {name!r}", f"{NICS}/{name}", nic(), "InvalidResourceName") for name in ("-n", "n" * 81)),
    *(Bad(f"Bastion host {name!r}", f"{BASTIONS}/{name}", bastion(), "InvalidResourceName") for name in ("-b", "b" * 81)),
    *(Bad(f"machine {name!r}", f"{VMS}/{name}", vm(), "InvalidParameter", target="vmName")
      for name in ("-m", "m-", "m" * 65)),
    *(Bad(f"disk {name!r}", f"{DISKS}/{name}", disk(), "InvalidResourceName") for name in ("-d", "d" * 81)),
    *(Bad(f"group {name!r}", f"@group/{name}", {"location": LOCATION}, code)
      for name, code in (("dot.", "InvalidResourceGroup"), ("a*b", "InvalidResourceGroup"),
                         ("g" * 91, "InvalidResourceGroupName"))),
    *(Bad(f"deployment {name!r}", f"{DEPLOYMENTS}/{name}", deployment(), "InvalidResourceName") for name in ("a*b", "d" * 65)),
    Bad("role assignment", f"{ASSIGNMENTS}/no-guid", {"properties": {"roleDefinitionId": READER}}, "InvalidRoleAssignmentId"),
    Bad("role definition", f"{DEFINITIONS}/no-guid", {"properties": {"roleName": "x"}}, "InvalidRoleDefinitionId"),
)  # fmt: skip


def absolute(cloud: Cloud, bad: Bad) -> Bad:
    """`@group/` in a path stands for the subscription's `resourceGroups/`."""
    path = bad.path.replace("@group/", f"/subscriptions/{cloud.arm.subscription}/resourceGroups/")
    return Bad(**{**bad.__dict__, "path": path})


@pytest.mark.parametrize("bad", MEMBERS, ids=str)
async def test_unknown_members(estate: Cloud, bad: Bad) -> None:
    await check(estate, bad)


@pytest.mark.parametrize("bad", PATHS, ids=str)
async def test_paths(estate: Cloud, bad: Bad) -> None:
    await check(estate, absolute(estate, bad))


@pytest.mark.parametrize("bad", LOCATIONS_AND_TAGS, ids=str)
async def test_locations_and_tags(estate: Cloud, bad: Bad) -> None:
    await check(estate, absolute(estate, bad))


@pytest.mark.parametrize("bad", NAMES, ids=str)
async def test_names(estate: Cloud, bad: Bad) -> None:
    await check(estate, absolute(estate, bad))


@pytest.mark.parametrize(("version", "code"), VERSIONS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_api_version(estate: Cloud, version: str, code: str, method: str) -> None:
    async with untouched(estate):
        target = f"{estate.arm.id(f'{VNETS}/vnet-2')}" + (f"?api-version={version}" if version else "")
        answer = await estate.arm.http.request(method, target, headers=estate.arm.headers, json=GOOD)
        assert (answer.status_code, problem(answer)["code"]) == (400, code)


async def test_missing_api_version_in_azures_words(estate: Cloud) -> None:
    answer = await estate.arm.http.get(estate.arm.id(f"{VNETS}/vnet-1"), headers=estate.arm.headers)
    assert problem(answer)["message"] == "The api-version query parameter (?api-version=) is required for all requests."


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b'{"location": "eastus2",}',
        b"location: eastus2",
        b'{"location": "eastus2"} trailing',
        b"\xff\xfe{}",
        b'{"a": NaN}',
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"[]",
        b'"text"',
        b"null",
        b"",
    ],
    ids=["cut off", "comma", "yaml", "trailing", "utf-16", "NaN", "deep", "array", "text", "null", "empty"],
)
@pytest.mark.parametrize("path", [f"{VNETS}/vnet-2", f"{VNETS}/vnet-1/subnets/s", f"{DEPLOYMENTS}/d", ""])
async def test_body_that_is_no_object(estate: Cloud, raw: bytes, path: str) -> None:
    """What is no JSON object is refused as such everywhere; a deployment, read tolerantly, for what it then lacks."""
    async with untouched(estate):
        answer = await estate.arm.http.put(
            f"{estate.arm.id(path)}?api-version=2024-05-01",
            content=raw,
            headers={**estate.arm.headers, "Content-Type": "application/json"},
        )
        error = problem(answer)
        assert answer.status_code == 400
        assert error["code"] in ("InvalidRequestContent", "MissingRequestBody", "InvalidRequestFormat"), error


async def test_malformed_json_in_azures_words(estate: Cloud) -> None:
    answer = await estate.arm.http.put(
        f"{estate.arm.id(f'{VNETS}/new')}?api-version=2024-05-01", content=b"{", headers=estate.arm.headers
    )
    error = problem(answer)
    assert error["code"] == "InvalidRequestContent"
    assert error["message"].startswith("The request content was invalid and could not be deserialized: '")


async def test_oversized_body(estate: Cloud) -> None:
    body = json.dumps({**GOOD, "tags": {"t": "x" * (4 * 1024 * 1024)}})
    async with untouched(estate):
        answer = await estate.arm.http.put(
            f"{estate.arm.id(f'{VNETS}/new')}?api-version=2024-05-01", content=body, headers=estate.arm.headers
        )
        assert (answer.status_code, problem(answer)["code"]) == (413, "RequestContentTooLarge")


@pytest.mark.parametrize(
    "path", [f"{VNETS}/vnet-2", f"{VNETS}/vnet-2/subnets/subnet-1", f"{GROUPS}/nsg-1/securityRules/ssh"]
)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_if_match_of_another_etag(estate: Cloud, path: str, method: str) -> None:
    stale = 'W/"00000000-0000-0000-0000-000000000000"'
    bodies = {"vnet-2": GOOD, "subnet-1": subnet("10.1.0.0/24"), "ssh": rule(1000)}
    body = bodies[path.rsplit("/", 1)[-1]]
    if method == "PATCH":
        body = {"tags": {"a": "b"}} if path.endswith("vnet-2") else body
    bad = Bad("", path, body, "PreconditionFailed", "Precondition failed.", status=412, method=method,
              headers={"If-Match": stale}, detail=("PreconditionFailedEtagMismatch", "if-match header"))  # fmt: skip
    await check(estate, bad)


async def test_if_match_of_what_is_not_there(estate: Cloud) -> None:
    for etag in ("*", 'W/"1"'):
        await check(estate, Bad("", f"{VNETS}/new", GOOD, "PreconditionFailed", status=412, headers={"If-Match": etag}))


async def test_if_none_match_of_what_is_there(estate: Cloud) -> None:
    await check(
        estate, Bad("", f"{VNETS}/vnet-2", GOOD, "PreconditionFailed", status=412, headers={"If-None-Match": "*"})
    )

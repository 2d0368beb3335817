"""Whatever a client sends, the answer is Azure's kind of answer: never a 5xx, errors in their envelope, the store sound."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.estate import (
    ADDRESSES,
    ASSIGNMENTS,
    BASTIONS,
    DEPLOYMENTS,
    DISKS,
    GROUPS,
    NICS,
    READER,
    ROUTES,
    TEMPLATE,
    VMS,
    VNETS,
    address,
    bastion,
    deployment,
    disk,
    half,
    nic,
    placed,
    problem,
    route,
    rule,
    security_group,
    subnet,
    vm,
    vnet,
)
from api.mangling import junk, mangled
from counts import times
from kit import Cloud

pytestmark = pytest.mark.asyncio(loop_scope="module")

GUID = "0b5ca6c7-9f4e-4c5e-9f3d-6a3f9d1f7a11"

BODIES: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        f"{VNETS}/fuzz",
        {
            **vnet("10.40.0.0/16", subnets={"a": "10.40.0.0/24"}, dhcpOptions={"dnsServers": ["10.40.0.9"]}),
            "tags": {"a": "b"},
        },
    ),
    (f"{VNETS}/vnet-4/subnets/fuzz", subnet("10.2.9.0/24", networkSecurityGroup={"id": f"@/{GROUPS}/nsg-free"})),
    (f"{VNETS}/vnet-4/virtualNetworkPeerings/fuzz", half("vnet-6", allowForwardedTraffic=True)),
    (f"{GROUPS}/fuzz", security_group(a=rule(200), b=rule(201, access="Deny"))),
    (
        f"{GROUPS}/nsg-free/securityRules/fuzz",
        rule(300, destinationPortRanges=["80", "443-445"], destinationPortRange=None),
    ),
    (f"{ROUTES}/routes-1/routes/fuzz", route("10.77.0.0/16")),
    (f"{ADDRESSES}/fuzz", {**address(dnsSettings={"domainNameLabel": "fuzz"}), "zones": ["1"]}),
    (f"{NICS}/fuzz", nic("vnet-4/subnets/subnet-1", dnsSettings={"dnsServers": ["10.2.0.9"]})),
    (f"{BASTIONS}/fuzz", bastion("vnet-6/subnets/AzureBastionSubnet", "ip-free")),
    (f"{VMS}/fuzz", vm("nic-free", profile={"linuxConfiguration": {"ssh": {"publicKeys": []}}})),
    (f"{DISKS}/fuzz", disk()),
    (
        f"{DEPLOYMENTS}/fuzz",
        deployment(
            {
                **TEMPLATE,
                "parameters": {"n": {"type": "int", "defaultValue": 1}},
                "variables": {"v": "[concat('a', parameters('n'))]"},
                "resources": [
                    {
                        "type": GROUPS,
                        "apiVersion": "2024-05-01",
                        "name": "[variables('v')]",
                        "location": "[resourceGroup().location]",
                        "copy": {"name": "c", "count": 1},
                        "properties": {},
                    },
                    {
                        "type": DEPLOYMENTS,
                        "apiVersion": "2024-11-01",
                        "name": "inner",
                        "properties": {
                            "mode": "Incremental",
                            "expressionEvaluationOptions": {"scope": "inner"},
                            "parameters": {"secret": {"value": "x"}},
                            "template": {**TEMPLATE, "parameters": {"secret": {"type": "securestring"}}},
                        },
                    },
                    {"type": VMS, "apiVersion": "2024-07-01", "name": "never", "condition": False, **vm("nic-free")},
                ],
                "outputs": {"o": {"type": "string", "value": "[variables('v')]"}},
            }
        ),
    ),
    (
        f"{ASSIGNMENTS}/{GUID}",
        {"properties": {"roleDefinitionId": READER, "principalId": GUID, "principalType": "User"}},
    ),
    ("", {"location": "eastus2", "tags": {"a": "b"}}),
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, Any, str]:
    """A good body with one to three things done to it."""
    path, good = draw(st.sampled_from(BODIES))
    body = draw(mangled(good))
    version = draw(st.sampled_from(("2015-06-15", "2020-11-01", "2024-05-01", "2026-04-01")))
    return draw(st.sampled_from(("PUT", "PUT", "PUT", "PATCH"))), path, body, version


async def _sound(cloud: Cloud, answer: Any) -> None:
    """The answer is one, and the cloud goes on."""
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and answer.request.method != "HEAD":
        problem(answer)


LIMITS = settings(
    max_examples=times(250, 5000),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@LIMITS
@given(asked=requests())
async def test_bodies(estate: Cloud, asked: tuple[str, str, Any, str]) -> None:
    method, path, body, version = asked
    arm = estate.arm
    raw = json.dumps(placed(arm, body)).encode("utf-8", "surrogatepass")
    answer = await arm.http.request(
        method,
        f"{arm.id(path)}?api-version={version}",
        content=raw,
        headers={**arm.headers, "Content-Type": "application/json"},
    )
    await _sound(estate, answer)
    if answer.status_code < 300 and path:
        for read in ("GET", "HEAD"):
            assert (await arm.request(read, path)).status_code < 300
        await _ended(estate)
        await _sound(estate, await arm.request("DELETE", path))
        await _ended(estate)


async def _ended(cloud: Cloud) -> None:
    """Wait until every operation has ended: none hangs, whatever was sent."""
    async with asyncio.timeout(20):
        while cloud.process.core.store.snapshot.unsettled:
            await asyncio.sleep(0.005)


segments = st.sampled_from(
    [
        *(
            "subscriptions",
            "SUBSCRIPTIONS",
            "resourceGroups",
            "test-rg",
            "providers",
            "Microsoft.Network",
            "microsoft.compute",
        ),
        *(
            "virtualNetworks",
            "vnet-1",
            "subnets",
            "subnet-1",
            "virtualNetworkPeerings",
            "to-2",
            "virtualMachines",
            "vm-1",
        ),
        *(
            "instanceView",
            "start",
            "locations",
            "eastus2",
            "operations",
            "operationResults",
            "usages",
            "resources",
            "deployments",
        ),
        *(
            "Microsoft.Authorization",
            "roleAssignments",
            "roleDefinitions",
            "Microsoft.Resources",
            "tagNames",
            "register",
            "skus",
        ),
        *(
            "publishers",
            "artifacttypes",
            "vmimage",
            "offers",
            "networkSecurityGroups",
            "nsg-1",
            "securityRules",
            "validate",
        ),
        *(
            "defaultSecurityRules",
            "checkIpAddressAvailability",
            "operationresults",
            "tenants",
            "..",
            ".",
            "%2F",
            "",
            "@sub",
        ),
    ]
) | st.text(min_size=1, max_size=12)


@LIMITS
@given(
    path=st.lists(segments, max_size=12),
    below=st.sampled_from(("", "@sub", "@group")),
    method=st.sampled_from(("GET", "GET", "HEAD", "POST", "PATCH", "PUT")),
    query=st.dictionaries(
        st.sampled_from(("$filter", "$top", "$expand", "$skiptoken", "$orderby", "ipAddress", "$select")),
        st.text(max_size=20)
        | st.sampled_from(("name eq 'x'", "substringof('a', name)", "0", "1", "latest", "YWJj", "instanceView")),
        max_size=2,
    ),
    body=junk,
)
async def test_paths(estate: Cloud, path: list[str], below: str, method: str, query: dict[str, str], body: Any) -> None:
    arm = estate.arm
    prefix = {"": "", "@sub": f"/subscriptions/{arm.subscription}", "@group": arm.id("")}[below]
    target = prefix + "".join("/" + quote(part.replace("@sub", arm.subscription), safe="%") for part in path)
    words = "&".join(f"{quote(name)}={quote(value)}" for name, value in query.items())
    answer = await arm.http.request(
        method,
        f"{target or '/'}?api-version=2024-05-01&{words}",
        content=json.dumps(body).encode("utf-8", "surrogatepass") if method in ("PUT", "PATCH", "POST") else None,
        headers=arm.headers,
    )
    assert answer.status_code < 500, answer.text
    await _ended(estate)


@LIMITS
@given(
    raw=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: ("{" + text).encode("utf-8", "surrogatepass"))
)
@pytest.mark.parametrize("path", [f"{VNETS}/raw", f"{DEPLOYMENTS}/raw"])
async def test_bytes(estate: Cloud, path: str, raw: bytes) -> None:
    arm = estate.arm
    answer = await arm.http.put(f"{arm.id(path)}?api-version=2024-05-01", content=raw, headers=arm.headers)
    assert answer.status_code == 400
    problem(answer)


@LIMITS
@given(header=st.sampled_from(("If-Match", "If-None-Match", "Authorization", "x-ms-client-request-id", "Content-Type")),
       value=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))  # fmt: skip
async def test_headers(estate: Cloud, header: str, value: str) -> None:
    arm = estate.arm
    target = f"{arm.id(f'{VNETS}/vnet-4')}?api-version=2024-05-01"
    answer = await arm.http.patch(target, json={"tags": {}}, headers={**arm.headers, header: value})
    await _sound(estate, answer)

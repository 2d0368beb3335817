"""Role definitions: built-in ones at every scope, custom ones as rows."""

from __future__ import annotations

from typing import Any

import pytest

from unit.providers.azure import GROUP, GUEST, NETWORK, SUB, azure

ROLES = "Microsoft.Authorization/roleDefinitions"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
BASE = f"/subscriptions/{SUB}"
MINE = "12345678-1234-1234-1234-123456789abc"


def role(name: str = "Net watcher", *actions: str, scope: str = BASE) -> dict[str, Any]:
    permissions = [{"actions": list(actions or ("Microsoft.Network/*/read",))}]
    return {"properties": {"roleName": name, "permissions": permissions, "assignableScopes": [scope]}}


@pytest.mark.parametrize(
    "scope",
    ["", BASE, GROUP, f"{NETWORK}/virtualNetworks/v", f"{NETWORK}/virtualNetworks/v/subnets/s"],
)
async def test_a_built_in_role_by_name_at_any_scope(scope: str) -> None:
    """As `az role assignment create --role Reader --scope …` asks."""
    async with azure() as cloud:
        await cloud.network()
        listed = await cloud.ok(
            "GET", f"{scope}/providers/{ROLES}?$filter=roleName%20eq%20'reader'&api-version=2022-05-01-preview"
        )
        (found,) = listed["value"]
        assert (found["name"], found["properties"]["roleName"], found["properties"]["type"]) == (
            READER,
            "Reader",
            "BuiltInRole",
        )
        assert found["properties"]["permissions"][0]["actions"] == ["*/read"]
        assert found["id"] == f"{BASE if scope else ''}/providers/{ROLES}/{READER}"
        assert await cloud.ok("GET", f"{scope}/providers/{ROLES}/{READER.upper()}") == found


async def test_a_role_that_is_not_there() -> None:
    async with azure() as cloud:
        assert (await cloud.error("GET", f"{BASE}/providers/{ROLES}/{MINE}"))[:2] == (404, "RoleDefinitionDoesNotExist")
        listed = await cloud.ok("GET", f"{BASE}/providers/{ROLES}?$filter=roleName eq 'Nobody'")
        assert listed == {"value": []}


async def test_a_custom_role_of_ones_own() -> None:
    async with azure() as cloud:
        answer = await cloud.call("PUT", f"{BASE}/providers/{ROLES}/{MINE}", role())
        assert answer.status_code == 201
        shown = answer.json()
        assert shown["properties"]["type"] == "CustomRole"
        assert "provisioningState" not in shown["properties"]
        listed = await cloud.ok("GET", f"{GROUP}/providers/{ROLES}?$filter=type eq 'CustomRole'")
        assert [entry["id"] for entry in listed["value"]] == [shown["id"]]
        assert (await cloud.ok("GET", f"{BASE}/providers/{ROLES}/{MINE}"))["properties"]["roleName"] == "Net watcher"
        await cloud.ok("PUT", f"{BASE}/providers/{ROLES}/{MINE}", role("Renamed"))
        assert (
            await cloud.error(
                "PUT",
                f"{BASE}/providers/{ROLES}/{MINE[::-1].replace('-', '')[:8]}-1111-1111-1111-111111111111",
                role("renamed"),
            )
        )[:2] == (409, "RoleDefinitionWithSameNameExists")
        await cloud.ok("DELETE", f"{BASE}/providers/{ROLES}/{MINE}")
        assert (await cloud.error("GET", f"{BASE}/providers/{ROLES}/{MINE}"))[0] == 404


async def test_a_role_that_somebody_holds_stays() -> None:
    async with azure() as cloud:
        await cloud.ok("PUT", f"{BASE}/providers/{ROLES}/{MINE}", role())
        await cloud.cloud.grant(GUEST, MINE, GROUP, "11111111-0000-0000-0000-000000000000")
        await cloud.network()
        assert (await cloud.call("GET", "Microsoft.Network/virtualNetworks/v", who=GUEST)).status_code == 200
        assert (await cloud.call("GET", "Microsoft.Compute/virtualMachines", who=GUEST)).status_code == 403
        got = await cloud.error("DELETE", f"{BASE}/providers/{ROLES}/{MINE}")
        assert got[:2] == (409, "RoleDefinitionHasAssignments")


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("not-a-guid", role(), "InvalidRoleDefinitionId"),
        (READER, role(), "RoleDefinitionWithSameIdExists"),
        (MINE, role("Owner"), "RoleDefinitionWithSameNameExists"),
        (MINE, role(""), "RoleDefinitionNameMissing"),
        (MINE, {"properties": {"roleName": "x", "permissions": [{}]}}, "MissingAssignableScopes"),
        (MINE, {"properties": {"roleName": "x", "assignableScopes": [BASE]}}, "RoleDefinitionPermissionsMissing"),
    ],
)
async def test_refuses(name: str, body: Any, code: str) -> None:
    async with azure() as cloud:
        assert (await cloud.error("PUT", f"{BASE}/providers/{ROLES}/{name}", body))[1] == code

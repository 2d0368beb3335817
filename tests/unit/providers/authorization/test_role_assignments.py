"""Role assignments: as az creates, lists and deletes them, and what they then allow."""

from __future__ import annotations

from typing import Any

import pytest

from unit.providers.azure import GROUP, GUEST, NETWORK, OWNER, SUB, azure

ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
BASE = f"/subscriptions/{SUB}"
READER = f"{BASE}/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
NAMES = [f"{digit * 8}-0000-0000-0000-000000000000" for digit in "12345"]


def grant(principal: str = GUEST.object_id, role: str = READER, **more: Any) -> dict[str, Any]:
    return {
        "properties": {"roleDefinitionId": role, "principalId": principal, "principalType": "ServicePrincipal", **more}
    }


async def test_an_assignment_lets_its_principal_in() -> None:
    async with azure() as cloud:
        await cloud.network()
        vnet = "Microsoft.Network/virtualNetworks/v"
        assert (await cloud.call("GET", vnet, who=GUEST)).status_code == 403
        path = f"{GROUP}/providers/{ASSIGNMENTS}/{NAMES[0]}"
        answer = await cloud.call("PUT", path, grant())
        assert answer.status_code == 201
        properties = answer.json()["properties"]
        assert properties["scope"] == GROUP
        assert (properties["principalType"], properties["createdBy"]) == ("ServicePrincipal", OWNER.object_id)
        assert "provisioningState" not in properties
        assert (await cloud.call("GET", vnet, who=GUEST)).status_code == 200
        assert (await cloud.error("PUT", path, grant(), who=GUEST))[:2] == (403, "AuthorizationFailed")
        assert (await cloud.ok("DELETE", path))["name"] == NAMES[0]
        assert (await cloud.call("GET", vnet, who=GUEST)).status_code == 403


async def test_at_a_resource_and_below_one() -> None:
    async with azure() as cloud:
        await cloud.network()
        for name, scope in zip(
            NAMES, (f"{NETWORK}/virtualNetworks/v", f"{NETWORK}/virtualNetworks/v/subnets/s"), strict=False
        ):
            shown = await cloud.ok("PUT", f"{scope}/providers/{ASSIGNMENTS}/{name}", grant())
            assert shown["properties"]["scope"] == scope
            assert shown["id"] == f"{scope}/providers/{ASSIGNMENTS}/{name}"
            assert await cloud.ok("GET", shown["id"]) == shown
        missing = f"{NETWORK}/virtualNetworks/none/providers/{ASSIGNMENTS}/{NAMES[2]}"
        assert (await cloud.error("PUT", missing, grant()))[0] == 404


async def test_lists_and_their_filters() -> None:
    async with azure() as cloud:
        await cloud.network()
        vnet = f"{NETWORK}/virtualNetworks/v"
        for name, scope in zip(NAMES, (BASE, GROUP, vnet), strict=False):
            await cloud.ok("PUT", f"{scope}/providers/{ASSIGNMENTS}/{name}", grant())

        async def listed(scope: str, filter: str = "") -> list[str]:
            found = await cloud.ok("GET", f"{scope}/providers/{ASSIGNMENTS}?$filter={filter}")
            return sorted(entry["name"] for entry in found["value"] if entry["name"] in NAMES)

        one, two, three = NAMES[:3]
        assert await listed(BASE) == [one, two, three]
        assert await listed(GROUP) == [one, two, three]
        assert await listed(GROUP, "atScope()") == [one, two]
        assert await listed(vnet, "atScope()") == [one, two, three]
        assert await listed(BASE, f"principalId eq '{GUEST.object_id}'") == [one, two, three]
        assert await listed(BASE, f"principalId eq '{OWNER.object_id}'") == []
        assert await listed(GROUP, f"atScope() and assignedTo('{GUEST.object_id}')") == [one, two]
        assert (await cloud.error("GET", f"{BASE}/providers/{ASSIGNMENTS}?$filter=x eq 'y'"))[:2] == (
            400,
            "UnsupportedQuery",
        )


async def test_assigning_twice() -> None:
    async with azure() as cloud:
        await cloud.ok("PUT", f"{GROUP}/providers/{ASSIGNMENTS}/{NAMES[0]}", grant())
        assert (await cloud.call("PUT", f"{GROUP}/providers/{ASSIGNMENTS}/{NAMES[0]}", grant())).status_code == 201
        status, code, error = await cloud.error("PUT", f"{GROUP}/providers/{ASSIGNMENTS}/{NAMES[1]}", grant())
        assert (status, code) == (409, "RoleAssignmentExists")
        assert NAMES[0].replace("-", "") in error["message"]
        other = grant(OWNER.object_id)
        got = await cloud.error("PUT", f"{GROUP}/providers/{ASSIGNMENTS}/{NAMES[0]}", other)
        assert got[:2] == (400, "RoleAssignmentUpdateNotPermitted")


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("x", grant(), "InvalidRoleAssignmentId"),
        (NAMES[0], grant("me"), "InvalidPrincipalId"),
        (NAMES[0], grant(role=f"{READER[:-4]}0000"), "RoleDefinitionDoesNotExist"),
        (NAMES[0], grant(nonsense=1), "InvalidRequestFormat"),
    ],
)
async def test_refuses(name: str, body: Any, code: str) -> None:
    async with azure() as cloud:
        assert (await cloud.error("PUT", f"{GROUP}/providers/{ASSIGNMENTS}/{name}", body))[1] == code


async def test_an_assignment_goes_with_its_scope() -> None:
    async with azure() as cloud:
        await cloud.network()
        path = f"{NETWORK}/virtualNetworks/v/providers/{ASSIGNMENTS}/{NAMES[0]}"
        await cloud.ok("PUT", path, grant())
        await cloud.call("DELETE", f"{NETWORK}/virtualNetworks/v")
        await cloud.gone(f"{NETWORK}/virtualNetworks/v")
        assert cloud.row(path) is None

"""What a caller is told of its own rights is what it may do."""

from __future__ import annotations

from pathlib import Path

from kit import cloud

READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"


async def test_the_permissions_of_a_scope_are_those_of_the_callers_roles_there_and_above(tmp_path: Path) -> None:
    async with cloud(tmp_path) as made:
        subscription = f"/subscriptions/{made.process.config.subscription}"
        for group in ("one", "two"):
            await made.arm.put(f"{subscription}/resourceGroups/{group}", {"location": "eastus2"})
        token = await made.token("ann", "Reader")
        ann = made.client(token)
        entry = made.process.identity.directory.named("ann")
        assert entry is not None
        principal = entry.principal(made.process.config.tenant)
        await made.roles.assign(principal, "Network Contributor", f"{subscription}/resourceGroups/one")

        async def actions(scope: str) -> list[list[str]]:
            answer = await ann.get(f"{scope}/providers/Microsoft.Authorization/permissions")
            return [block["actions"] for block in answer["value"]]

        assert await actions(subscription) == [["*/read"]]
        assert await actions(f"{subscription}/resourceGroups/two") == [["*/read"]]
        one = await actions(f"{subscription}/resourceGroups/one")
        assert ["*/read"] in one
        assert any("Microsoft.Network/*" in block for block in one)
        network = f"{subscription}/resourceGroups/one/providers/Microsoft.Network/virtualNetworks/v"
        assert await actions(network) == one


async def test_a_custom_role_is_answered_as_it_is_defined(tmp_path: Path) -> None:
    async with cloud(tmp_path) as made:
        subscription = f"/subscriptions/{made.process.config.subscription}"
        name = "11111111-2222-3333-4444-555555555555"
        block = {"actions": ["*/read"], "notActions": ["Microsoft.Compute/*"], "dataActions": [], "notDataActions": []}
        await made.arm.put(
            f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{name}",
            {"properties": {"roleName": "Half", "permissions": [block], "assignableScopes": [subscription]}},
        )
        ann = made.client(await made.token("ann", name))
        answer = await ann.get(f"{subscription}/providers/Microsoft.Authorization/permissions")
        assert answer["value"] == [block]


async def test_who_has_no_role_learns_nothing(tmp_path: Path) -> None:
    async with cloud(tmp_path) as made:
        nobody = made.client(await made.token("nobody", None))
        path = f"/subscriptions/{made.process.config.subscription}/providers/Microsoft.Authorization/permissions"
        answer = await nobody.request("GET", path)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "AuthorizationFailed"

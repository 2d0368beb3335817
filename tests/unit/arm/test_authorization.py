"""Roles: union of grants, inherited downwards, notActions subtracted, custom roles, lists filtered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azlan.arm.authorization import _any
from azlan.arm.resource import SYSTEM
from azlan.arm.roles import BUILT_IN
from unit.arm.toys import GUEST, OWNER, SUB, Cloud, cloud

READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
NETWORK = "4d97b98b-1d4f-4787-a291-c67834d212e7"
ACCESS = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
SCOPE = f"/subscriptions/{SUB}"
GROUP = f"{SCOPE}/resourceGroups/g"
BOX = {"location": "eastus2", "properties": {"size": 1}}


async def prepared(c: Cloud) -> None:
    await c.group()
    await c.group("h")
    for group in ("g", "h"):
        await c.ok("PUT", f"{SCOPE}/resourceGroups/{group}/providers/Toy.Net/boxes/b", BOX)
    await c.settle()


async def test_without_a_role_nothing_is_allowed_and_little_is_seen() -> None:
    async with cloud() as c:
        await prepared(c)
        status, code, error = await c.error("GET", "Toy.Net/boxes/b", who=GUEST)
        assert (status, code) == (403, "AuthorizationFailed")
        assert error["message"] == (
            f"The client '{GUEST.name}' with object id '{GUEST.object_id}' does not have authorization to perform action "
            f"'Toy.Net/boxes/read' over scope '{GROUP}/providers/Toy.Net/boxes/b' or the scope is invalid. If access was "
            "recently granted, please refresh your credentials."
        )
        assert (await c.error("PUT", f"{SCOPE}/resourcegroups/new", {"location": "eastus2"}, who=GUEST))[1] == code
        assert (await c.ok("GET", "/subscriptions", who=GUEST))["value"] == []
        for path in (f"{SCOPE}/resources", f"{SCOPE}/providers", f"{SCOPE}/locations", SCOPE):
            assert (await c.error("GET", path, who=GUEST))[0] == 403
        # A missing group is not told from one that may not be seen.
        assert (await c.error("GET", f"{SCOPE}/resourceGroups/none/providers/Toy.Net/boxes/b", who=GUEST))[0] == 403


async def test_a_reader_reads_and_does_not_write() -> None:
    async with cloud() as c:
        await prepared(c)
        await c.grant(GUEST, READER, SCOPE, "1")
        assert (await c.ok("GET", "Toy.Net/boxes/b", who=GUEST))["name"] == "b"
        for method, path, body in (
            ("PUT", "Toy.Net/boxes/b", BOX),
            ("PUT", "Toy.Net/boxes/b", b"{ not json"),
            ("PATCH", "Toy.Net/boxes/b", {"tags": {}}),
            ("DELETE", "Toy.Net/boxes/b", None),
            ("POST", "Toy.Net/boxes/b/ping", None),
            ("DELETE", GROUP, None),
        ):
            status, code, _ = await c.error(method, path, body, who=GUEST)
            assert (status, code) == (403, "AuthorizationFailed"), (method, path)
        _, _, error = await c.error("DELETE", GROUP, who=GUEST)
        assert "'Microsoft.Resources/subscriptions/resourceGroups/delete'" in error["message"]


async def test_a_role_at_a_group_ends_at_the_group() -> None:
    async with cloud() as c:
        await prepared(c)
        await c.grant(GUEST, CONTRIBUTOR, GROUP, "1")
        await c.ok("PUT", "Toy.Net/boxes/c", BOX, who=GUEST)
        other = f"{SCOPE}/resourceGroups/h/providers/Toy.Net/boxes"
        assert (await c.error("GET", f"{other}/b", who=GUEST))[0] == 403
        assert (await c.error("GET", other, who=GUEST))[0] == 403
        assert (await c.error("PUT", f"{SCOPE}/resourceGroups/gg/providers/Toy.Net/boxes/b", BOX, who=GUEST))[0] == 403
        groups = await c.ok("GET", f"{SCOPE}/resourcegroups", who=GUEST)
        assert [group["name"] for group in groups["value"]] == ["g"]
        boxes = await c.ok("GET", f"{SCOPE}/providers/Toy.Net/boxes", who=GUEST)
        assert [box["id"] for box in boxes["value"]] == [f"{GROUP}/providers/Toy.Net/boxes/{n}" for n in ("b", "c")]
        seen = await c.ok("GET", f"{SCOPE}/resources", who=GUEST)
        assert {found["name"] for found in seen["value"]} == {"b", "c"}
        assert len((await c.ok("GET", "/subscriptions", who=GUEST))["value"]) == 1


async def test_a_role_at_a_resource_covers_its_children() -> None:
    async with cloud() as c:
        await prepared(c)
        await c.grant(GUEST, CONTRIBUTOR, f"{GROUP}/providers/Toy.Net/boxes/b", "1")
        await c.ok("PUT", "Toy.Net/boxes/b/slots/s", {}, who=GUEST)
        assert (await c.error("PUT", "Toy.Net/boxes/bb", BOX, who=GUEST))[0] == 403


async def test_a_contributor_assigns_no_roles_but_a_user_access_administrator_does() -> None:
    async with cloud() as c:
        await prepared(c)
        await c.grant(GUEST, CONTRIBUTOR, SCOPE, "1")
        mine = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/2"
        body = {"properties": {"roleDefinitionId": "x", "principalId": GUEST.object_id}}
        assert (await c.error("PUT", mine, body, who=GUEST))[0] == 403
        await c.grant(GUEST, ACCESS, GROUP, "3")
        await c.ok("PUT", mine, body, who=GUEST)


async def test_a_grant_ends_with_its_assignment() -> None:
    async with cloud() as c:
        await prepared(c)
        await c.grant(GUEST, READER, SCOPE, "1")
        await c.ok("GET", "Toy.Net/boxes/b", who=GUEST)
        await c.ok("DELETE", f"{SCOPE}/providers/Microsoft.Authorization/roleAssignments/1")
        assert (await c.error("GET", "Toy.Net/boxes/b", who=GUEST))[0] == 403


async def test_a_custom_role_subtracts_what_it_excludes() -> None:
    async with cloud() as c:
        await prepared(c)
        permissions = [{"actions": ["Toy.Net/*"], "notActions": ["*/delete", "Toy.Net/boxes/PING/action"]}]
        definition = f"{SCOPE}/providers/Microsoft.Authorization/roleDefinitions/custom"
        await c.ok("PUT", definition, {"properties": {"roleName": "x", "permissions": permissions}})
        await c.grant(GUEST, "custom", SCOPE, "1")
        await c.ok("PUT", "Toy.Net/boxes/b", BOX, who=GUEST)
        assert (await c.error("DELETE", "Toy.Net/boxes/b", who=GUEST))[0] == 403
        assert (await c.error("POST", "Toy.Net/boxes/b/ping", who=GUEST))[0] == 403
        changed = [{"actions": ["*"], "notActions": []}]
        await c.ok("PUT", definition, {"properties": {"roleName": "x", "permissions": changed}})
        await c.ok("DELETE", "Toy.Net/boxes/b", who=GUEST)


async def test_the_system_itself_is_never_refused() -> None:
    async with cloud() as c:
        assert c.core.authorization.allowed(c.store.snapshot, SYSTEM, "anything/at/all", "/anywhere")


async def test_bootstrap_happens_once() -> None:
    async with cloud() as c:
        await c.core.bootstrap(SUB, OWNER.object_id)
        await c.core.bootstrap(SUB.upper(), OWNER.object_id.upper())
        assert len(list(c.store.snapshot.list("Microsoft.Authorization/roleAssignments"))) == 1


@pytest.mark.parametrize(
    ("pattern", "action", "matches"),
    [
        ("*", "a/b/c", True),
        ("*/read", "Microsoft.Network/virtualNetworks/read", True),
        ("*/read", "read", False),
        ("Microsoft.Network/*", "microsoft.network/virtualNetworks/write", True),
        ("Microsoft.Network/*", "MicrosoftXNetwork/virtualNetworks/write", False),
        ("Microsoft.Authorization/*/Write", "Microsoft.Authorization/roleAssignments/write", True),
        ("Microsoft.Authorization/*/Write", "Microsoft.Authorization/write", False),
    ],
)
def test_wildcards(pattern: str, action: str, matches: bool) -> None:
    assert _any((pattern,), action) is matches


@given(st.text(st.sampled_from("abAB./*+("), max_size=12))
def test_a_pattern_without_wildcards_matches_itself_alone(text: str) -> None:
    assert _any((text,), text.upper())
    if "*" not in text:
        assert not _any((text,), text + "x")


def test_the_built_in_roles_have_azures_ids() -> None:
    assert {role.name: id for id, role in BUILT_IN.items()} == {
        "Owner": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        "Contributor": CONTRIBUTOR,
        "Reader": READER,
        "Network Contributor": NETWORK,
        "Virtual Machine Contributor": "9980e02c-c2be-4d73-94e8-173b1dc7cf3c",
        "User Access Administrator": ACCESS,
    }

"""What a role allows, where: role-based-access-control/overview. Refusals are Azure's 403s, and leave nothing behind."""

from __future__ import annotations

from uuid import uuid4

import pytest

from api.estate import (
    ADDRESSES,
    ASSIGNMENTS,
    DEFINITIONS,
    DEPLOYMENTS,
    GROUPS,
    LOCATION,
    NICS,
    READER,
    TEMPLATE,
    VMS,
    VNETS,
    address,
    deployment,
    half,
    nic,
    placed,
    problem,
    request,
    subnet,
    untouched,
    vm,
    vnet,
)
from client import ArmClient, ArmFailure
from kit import Cloud

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def caller(cloud: Cloud, role: str | None, scope: str | None = None) -> ArmClient:
    """A new user with that role at a path (default: the subscription)."""
    where = cloud.arm.id(scope) if scope is not None else None
    return cloud.client(await cloud.token(f"user-{uuid4().hex[:8]}", role, where))


def object_id(cloud: Cloud, client: ArmClient) -> tuple[str, str]:
    principal = cloud.process.identity.tokens.authenticate(client.headers["Authorization"])
    return principal.name, principal.object_id


async def refused(cloud: Cloud, client: ArmClient, method: str, path: str, body: object = None) -> dict[str, object]:
    async with untouched(cloud):
        answer = await request(client, method, path, body)
        error = problem(answer)
        assert answer.status_code == 403, error
    return error


async def test_readers_write_in_azures_words(estate: Cloud) -> None:
    reader = await caller(estate, "Reader")
    name, id = object_id(estate, reader)
    error = await refused(estate, reader, "PUT", f"{VNETS}/new", vnet("10.70.0.0/16"))
    assert error["code"] == "AuthorizationFailed"
    assert error["message"] == (
        f"The client '{name}' with object id '{id}' does not have authorization to perform action '{VNETS}/write' over scope "
        f"'{estate.arm.id(f'{VNETS}/new')}' or the scope is invalid. If access was recently granted, please refresh your "
        "credentials."
    )


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", f"{VNETS}/vnet-2", vnet("10.1.0.0/16")),
        ("PATCH", f"{VNETS}/vnet-2", {"tags": {"a": "b"}}),
        ("DELETE", f"{VNETS}/vnet-5", None),
        ("PUT", f"{VNETS}/vnet-1/subnets/new", subnet("10.0.9.0/24")),
        ("DELETE", f"{VNETS}/vnet-1/virtualNetworkPeerings/to-2", None),
        ("POST", f"{VMS}/vm-1/deallocate", None),
        ("POST", f"{VMS}/vm-1/runCommand", {"commandId": "RunShellScript", "script": ["id"]}),
        ("PUT", f"{DEPLOYMENTS}/d", deployment()),
        ("PUT", "", {"location": LOCATION}),
        ("DELETE", "", None),
        ("PUT", "no json at all", None),
    ],
)
async def test_reader_changes_nothing(estate: Cloud, method: str, path: str, body: object) -> None:
    reader = await caller(estate, "Reader")
    if path == "no json at all":
        async with untouched(estate):
            answer = await reader.http.put(
                f"{reader.id(f'{VNETS}/new')}?api-version=2024-05-01", content=b"{", headers=reader.headers
            )
            assert (answer.status_code, problem(answer)["code"]) == (403, "AuthorizationFailed")
        return
    assert (await refused(estate, reader, method, path, body))["code"] == "AuthorizationFailed"


async def test_reader_reads_everything(estate: Cloud) -> None:
    reader = await caller(estate, "Reader")
    for path in (f"{VNETS}/vnet-1", f"{VNETS}/vnet-1/subnets", f"{VMS}/vm-1/instanceView", VNETS, ""):
        await reader.get(path)
    assert (await reader.request("HEAD", f"{VNETS}/vnet-1")).status_code < 300


async def test_without_a_role_nothing_is_seen(estate: Cloud) -> None:
    nobody = await caller(estate, None)
    assert (await nobody.get("/subscriptions"))["value"] == []
    for path in (f"{VNETS}/vnet-1", f"{VNETS}/gone", VNETS, "", f"/subscriptions/{estate.arm.subscription}/resources"):
        error = await refused(estate, nobody, "GET", path)
        assert error["code"] == "AuthorizationFailed"
    assert (await refused(estate, nobody, "GET", f"{VNETS}/vnet-1"))["message"] != ""


async def test_role_of_a_group_ends_at_the_group(estate: Cloud) -> None:
    owner = estate.arm
    await owner.put(f"/subscriptions/{owner.subscription}/resourceGroups/other", {"location": LOCATION})
    elsewhere = ArmClient(
        owner.http, owner.subscription, owner.headers["Authorization"].removeprefix("Bearer "), "other"
    )
    contributor = await caller(estate, "Contributor", elsewhere.id(""))
    there = ArmClient(contributor.http, contributor.subscription, contributor.headers["Authorization"][7:], "other")
    await there.put(f"{VNETS}/mine", vnet("10.71.0.0/16"))
    assert (await refused(estate, contributor, "PUT", f"{VNETS}/new", vnet("10.72.0.0/16")))[
        "code"
    ] == "AuthorizationFailed"
    groups = (await contributor.get(f"/subscriptions/{owner.subscription}/resourcegroups"))["value"]
    assert [group["name"] for group in groups] == ["other"]
    listed = (await contributor.get(f"/subscriptions/{owner.subscription}/resources"))["value"]
    assert [item["name"] for item in listed] == ["mine"]
    mine = {"properties": {"roleDefinitionId": READER, "principalId": str(uuid4())}}
    async with untouched(estate):
        answer = await there.request("PUT", f"{ASSIGNMENTS}/{uuid4()}", mine)
        assert (answer.status_code, problem(answer)["code"]) == (403, "AuthorizationFailed")
    await elsewhere.delete("")


async def test_role_of_a_resource_holds_below_it_only(estate: Cloud) -> None:
    client = await caller(estate, "Network Contributor", f"{VNETS}/vnet-1")
    await client.get(f"{VNETS}/vnet-1")
    await client.put(f"{VNETS}/vnet-1/subnets/theirs", subnet("10.0.7.0/24"))
    await client.delete(f"{VNETS}/vnet-1/subnets/theirs")
    for path in (f"{VNETS}/vnet-2", f"{VNETS}/vnet-1x", f"{NICS}/nic-1", ""):
        assert (await refused(estate, client, "GET", path))["code"] == "AuthorizationFailed"
    assert [item["name"] for item in (await client.get(VNETS))["value"]] == ["vnet-1"]


async def test_network_contributor_makes_networks_and_no_machines(estate: Cloud) -> None:
    client = await caller(estate, "Network Contributor")
    await client.put(f"{ADDRESSES}/theirs", address())
    await client.delete(f"{ADDRESSES}/theirs")
    error = await refused(estate, client, "PUT", f"{VMS}/new", vm())
    assert error["code"] == "AuthorizationFailed"
    assert f"action '{VMS}/write'" in str(error["message"])
    assert (await refused(estate, client, "GET", f"{VMS}/vm-1"))["code"] == "AuthorizationFailed"
    assert (await refused(estate, client, "PUT", "", {"location": LOCATION}))["code"] == "AuthorizationFailed"


async def test_machine_contributor_uses_networks_and_makes_none(estate: Cloud) -> None:
    client = await caller(estate, "Virtual Machine Contributor")
    await client.put(f"{NICS}/theirs", placed(estate.arm, nic()))
    await client.delete(f"{NICS}/theirs")
    assert (await refused(estate, client, "PUT", f"{VNETS}/new", vnet("10.70.0.0/16")))["code"] == "AuthorizationFailed"


async def custom(cloud: Cloud, *actions: str, but: tuple[str, ...] = ()) -> ArmClient:
    """A new user with a custom role of those actions on the subscription."""
    scope = f"/subscriptions/{cloud.arm.subscription}"
    name = str(uuid4())
    body = {
        "properties": {
            "roleName": f"role-{name[:8]}",
            "permissions": [{"actions": list(actions), "notActions": list(but)}],
            "assignableScopes": [scope],
        }
    }
    await cloud.arm.put(f"{scope}/providers/{DEFINITIONS}/{name}", body)
    return await caller(cloud, name)


async def test_subnet_join_is_asked_for(estate: Cloud) -> None:
    client = await custom(estate, f"{NICS}/*", "*/read")
    name, id = object_id(estate, client)
    error = await refused(estate, client, "PUT", f"{NICS}/new", nic())
    assert error["code"] == "LinkedAuthorizationFailed"
    assert error["message"] == (
        f"The client '{name}' with object id '{id}' has permission to perform action '{NICS}/write' on scope "
        f"'{estate.arm.id(f'{NICS}/new')}'; however, it does not have permission to perform action(s) "
        f"'{VNETS}/subnets/join/action' on the linked scope(s) "
        f"'{estate.arm.id(f'{VNETS}/vnet-1/subnets/subnet-1')}' (respectively) or "
        "the linked scope(s) are invalid."
    )


async def test_right_comes_before_existence(estate: Cloud) -> None:
    """Who may not join learns nothing of what is there: the answer for a missing subnet is the same."""
    client = await custom(estate, f"{NICS}/*", f"{VNETS}/virtualNetworkPeerings/*", "*/read")
    there = await refused(estate, client, "PUT", f"{NICS}/new", nic())
    gone = await refused(estate, client, "PUT", f"{NICS}/new", nic("vnet-1/subnets/gone"))
    assert str(gone["message"]) == str(there["message"]).replace("subnets/subnet-1", "subnets/gone")
    for remote in ("vnet-4", "gone"):
        error = await refused(estate, client, "PUT", f"{VNETS}/vnet-1/virtualNetworkPeerings/new", half(remote))
        assert error["code"] == "LinkedAuthorizationFailed"
        assert f"action(s) '{VNETS}/peer/action' on the linked scope(s) '{estate.arm.id(f'{VNETS}/{remote}')}'" in str(
            error["message"]
        )


async def test_peering_needs_the_right_on_the_remote_network(estate: Cloud) -> None:
    client = await caller(estate, "Network Contributor", f"{VNETS}/vnet-6")
    path = f"{VNETS}/vnet-6/virtualNetworkPeerings/to-4"
    assert (await refused(estate, client, "PUT", path, half("vnet-4")))["code"] == "LinkedAuthorizationFailed"
    principal = estate.process.identity.tokens.authenticate(client.headers["Authorization"])
    await estate.roles.assign(principal, "Network Contributor", estate.arm.id(f"{VNETS}/vnet-4"))
    assert (await client.put(path, placed(estate.arm, half("vnet-4"))))["properties"]["peeringState"] == "Initiated"
    await client.delete(path)


@pytest.mark.parametrize(
    ("target", "missing", "body"),
    [
        (f"{NICS}/new", f"{GROUPS}/join/action", {"networkSecurityGroup": {"id": f"@/{GROUPS}/nsg-1"}}),
        (f"{NICS}/new", f"{ADDRESSES}/join/action", {"public": "ip-free"}),
        (f"{VMS}/new", f"{NICS}/join/action", None),
    ],
)
async def test_other_linked_rights(estate: Cloud, target: str, missing: str, body: dict[str, object] | None) -> None:
    client = await custom(estate, "*", but=(missing,))
    made = vm() if body is None else nic(**body)  # type: ignore[arg-type]
    error = await refused(estate, client, "PUT", target, made)
    assert error["code"] == "LinkedAuthorizationFailed"
    assert f"'{missing}'" in str(error["message"])


async def test_right_ends_with_its_assignment(estate: Cloud) -> None:
    client = await caller(estate, "Contributor")
    await client.put(f"{ADDRESSES}/theirs", address())
    _, id = object_id(estate, client)
    scope = f"/subscriptions/{estate.arm.subscription}"
    listed = await estate.arm.get(f"{scope}/providers/{ASSIGNMENTS}", query={"$filter": f"principalId eq '{id}'"})
    (assignment,) = listed["value"]
    await estate.arm.delete(assignment["id"])
    assert (await refused(estate, client, "DELETE", f"{ADDRESSES}/theirs"))["code"] == "AuthorizationFailed"
    await estate.arm.delete(f"{ADDRESSES}/theirs")


async def test_deployment_does_only_what_its_caller_may(estate: Cloud) -> None:
    """Network Contributor may deploy templates, yet a template makes no machine for it."""
    client = await caller(estate, "Network Contributor")
    resource = {"type": VMS, "apiVersion": "2024-07-01", "name": "theirs", **placed(estate.arm, vm())}
    body = deployment({**TEMPLATE, "resources": [resource]})
    with pytest.raises(ArmFailure) as caught:
        await client.put(f"{DEPLOYMENTS}/theirs", body)
    assert caught.value.code in ("DeploymentFailed", "InvalidTemplateDeployment", "AuthorizationFailed")
    assert (await estate.arm.request("GET", f"{VMS}/theirs")).status_code == 404
    document = await estate.arm.get(f"{DEPLOYMENTS}/theirs")
    assert "AuthorizationFailed" in str(document["properties"]["error"])
    await estate.arm.delete(f"{DEPLOYMENTS}/theirs")

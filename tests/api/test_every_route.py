"""401 and 403 on every call there is: the calls are worked out from the declarations, and so is what must have been tried.

Tokens: OpenID Connect's rules as Microsoft's "access tokens" page has them; roles: role-based-access-control/overview.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from fnmatch import fnmatchcase
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from api.bad_tokens import refused_headers
from api.estate import ASSIGNMENTS, DEFINITIONS, LOCATION, VNETS, build, problem, untouched
from api.surface import EXAMPLES, MORE, Asked, absolute, derived, filled, surface
from azlan.arm.registry import GROUP_TYPE, Registry
from azlan.arm.resource import Principal, Reference, ResourceType
from azlan.arm.roles import BUILT_IN, Role
from azlan.services import identity, portal
from client import ArmClient
from kit import Cloud, cloud

pytestmark = pytest.mark.asyncio(loop_scope="module")

REGISTRY = Registry.discover()
BY_NAME = {role.name: role for role in BUILT_IN.values()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everything(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cloud]:
    """The estate, and one of every type that it lacks."""
    async with cloud(tmp_path_factory.mktemp("everything")) as made:
        await build(made.arm)
        for path, body in MORE:
            await made.arm.put(absolute(made.arm, path), filled(made.arm, body))
        yield made


async def send(client: ArmClient, asked: Asked, headers: dict[str, str] | None = None) -> httpx.Response:
    """The call with a body that is an object; conditional, so that even one let through changes nothing."""
    body = {} if asked.method in ("PUT", "PATCH", "POST") else None
    guard = {} if asked.harmless else {"If-Match": '"none"'}
    sent = {**(client.headers if headers is None else headers), **guard}
    path = f"{asked.path}?api-version=2024-05-01"
    return await client.http.request(asked.method, path, json=body, headers=sent)


async def caller(made: Cloud, role: str | None, scope: str | None = None) -> ArmClient:
    return made.client(await made.token(f"user-{uuid4().hex[:8]}", role, scope))


def calls(made: Cloud) -> list[Asked]:
    return surface(REGISTRY, made.arm)


def covers(role: Role, action: str) -> bool:
    """Whether a built-in role holds an action; worked out here without the code under test."""

    def any_of(patterns: Iterable[str]) -> bool:
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)

    return any_of(role.actions) and not any_of(role.not_actions)


def is_refused(answer: httpx.Response, what: str, code: str = "AuthorizationFailed", status: int = 403) -> None:
    assert answer.status_code == status, f"{what}: {answer.status_code} {answer.text}"
    if answer.request.method != "HEAD":
        error = problem(answer)
        assert error["code"] == code, f"{what}: {error}"


async def test_surface_is_all_that_is_declared(everything: Cloud) -> None:
    tried = {asked.what for asked in calls(everything)}
    assert derived(REGISTRY) <= tried
    assert {what for what in tried - derived(REGISTRY) if not what.startswith("page ")} == set()


async def test_each_example_is_there(everything: Cloud) -> None:
    """Refusals would prove little of what is not there."""
    assert set(EXAMPLES) == {declared.type for declared in REGISTRY.types.values()}
    for path in EXAMPLES.values():
        await everything.arm.get(absolute(everything.arm, path))


async def test_every_route_refuses_every_bad_token(everything: Cloud) -> None:
    tried = set()
    made = refused_headers(everything)
    async with untouched(everything):
        for asked in calls(everything):
            for name, (headers, code) in made.items():
                answer = await send(everything.arm, asked, headers)
                is_refused(answer, f"{asked.what} with {name}", code, 401)
                assert answer.headers["www-authenticate"].startswith("Bearer authorization_uri=")
            tried.add(asked.what)
    assert derived(REGISTRY) <= tried


async def test_nothing_answers_without_a_token_that_is_not_meant_to(everything: Cloud) -> None:
    """Of the whole origin, only what a client reads before it can have a token answers without one."""
    open_to_all = (
        ("/metadata/", "//metadata/", "/extensions/", "/common/discovery/", "/devicelogin", "/v1.0/"),
        ("/.well-known/webfinger",),  # AD FS's, which MSAL.NET asks before it signs in
        ("/{tenant}/.well-known/", "/{tenant}/v2.0/.well-known/", "/{tenant}/discovery/", "/{tenant}/userrealm/"),
        ("/{tenant}/oauth2/",),
        # What az's Bastion extension ends is named by its token, which stands in the path.
        ("/_azlan/{host}/api/tokens/{token}",),
        # az's extension ends a tunnel's session by its secret alone: who has it may, all others hear 404.
        ("/_azlan/{host}/api/tokens/",),
    )
    opened = tuple(prefix for group in open_to_all for prefix in group)
    opened += tuple(identity.UNVALIDATED + prefix for prefix in opened if prefix.startswith("/{tenant}/"))
    asked = 0
    for route in everything.process.asgi.routes:
        path, methods = str(getattr(route, "path", "")), getattr(route, "methods", None)
        if path.startswith(opened) or not path or methods is None:
            continue
        if path in PORTAL_PAGES or path.startswith("/portal/"):
            continue  # open pages, and a session of their own: the test below
        for method in methods - {"HEAD"}:
            for headers in ({}, everything.arm.headers | {"Authorization": "Bearer nonsense"}):
                answer = await everything.arm.http.request(method, path.replace("{name}", "owner"), headers=headers)
                assert answer.status_code == 401, f"{method} {path}"
                asked += 1
    assert asked >= 10


PORTAL_PAGES = ("/", *(f"/{name}{below}" for name in portal.PAGES for below in ("", "/{path:path}")))
"""One page for all addresses, the same for everybody."""
PORTAL_OPEN = {"/portal/assets/{name}", "/portal/signin", "/portal/signin/callback", "/portal/violations"}
"""Besides the pages: what a browser needs before it has a session. Reports are read by a session alone."""
PORTAL_GUARDED = {
    "/portal/signout", "/portal/session", "/portal/types", "/portal/arm/{path:path}", "/portal/bastion/tickets",
}  # fmt: skip


async def test_portal_gives_nothing_away(everything: Cloud) -> None:
    """Its pages are open and hold nothing of the cloud; whoever has no session of the portal, even an owner with a token,
    sees no more."""
    routes = [
        (str(getattr(route, "path", "")), getattr(route, "methods", None)) for route in everything.process.asgi.routes
    ]
    ours = [(path, methods) for path, methods in routes if path in PORTAL_PAGES or path.startswith("/portal/")]
    ours = [(path, methods) for path, methods in ours if methods is not None]  # but for the websocket
    assert {path for path, _ in ours} <= {*PORTAL_PAGES} | PORTAL_OPEN | PORTAL_GUARDED
    secrets = [everything.arm.subscription, everything.arm.group, everything.arm.headers["Authorization"][7:], "vnet-1"]
    secrets += [entry.object_id for entry in everything.process.identity.directory.entries()]
    own = {"X-Azlan-Portal": "1", "Sec-Fetch-Site": "same-origin"}
    for path, methods in ours:
        at = path.replace("{path:path}", everything.arm.id(f"{VNETS}/vnet-1").lstrip("/")).replace("{name}", "a.js")
        for method in methods:
            for headers in ({}, everything.arm.headers, own, {**own, **everything.arm.headers}):
                answer = await everything.arm.http.request(method, at, headers=headers)
                shown = answer.text.replace(at, "")
                assert not [secret for secret in secrets if secret in shown], f"{method} {path}"
                if path in PORTAL_GUARDED or (path == "/portal/violations" and method != "POST"):
                    assert answer.status_code in (401, 403), f"{method} {path}: {answer.status_code}"


async def test_bearer_of_no_role_is_refused_everywhere(everything: Cloud) -> None:
    nobody = await caller(everything, None)
    tried = set()
    async with untouched(everything):
        for asked in calls(everything):
            answer = await send(nobody, asked)
            if asked.public:
                assert answer.status_code == 200, asked.what
                if "ubscriptions" in asked.path.rpartition("/")[2] or asked.path.endswith("resourcegroups"):
                    assert answer.json()["value"] == []
            else:
                is_refused(answer, asked.what)
            tried.add(asked.what)
    assert derived(REGISTRY) <= tried


@pytest.mark.parametrize("name", sorted(BY_NAME))
async def test_built_in_roles_let_through_what_they_cover_and_nothing_else(everything: Cloud, name: str) -> None:
    client = await caller(everything, name)
    allowed = refused = 0
    async with untouched(everything):
        for asked in calls(everything):
            covered = asked.public or asked.action is None or covers(BY_NAME[name], asked.action)
            if covered and not asked.harmless and asked.method == "POST":
                continue  # would act: what a role lets through is tried on others
            answer = await send(client, asked)
            if covered:
                assert answer.status_code not in (401, 403), f"{asked.what}: {answer.text}"
                allowed += 1
            else:
                is_refused(answer, asked.what)
                refused += 1
    assert allowed, name
    assert (refused == 0) == (name == "Owner")


async def grant(made: Cloud, definition: str, actions: list[str], but: list[str]) -> None:
    """Write a custom role anew."""
    scope = f"/subscriptions/{made.arm.subscription}"
    permissions = [{"actions": actions, "notActions": but}]
    properties = {"roleName": f"role-{definition[:8]}", "permissions": permissions, "assignableScopes": [scope]}
    await made.arm.put(f"{scope}/providers/{DEFINITIONS}/{definition}", {"properties": properties})


async def custom(made: Cloud) -> tuple[ArmClient, str]:
    """A user with a custom role on the subscription, and the role's guid."""
    definition = str(uuid4())
    await grant(made, definition, ["*"], [])
    return await caller(made, definition), definition


async def test_one_missing_action_is_one_refusal(everything: Cloud) -> None:
    """A role of everything but one action is refused where that action is asked for; one of that action alone is let
    through there. The role is rewritten under its holder: each change counts at once."""
    most, most_role = await custom(everything)
    only, only_role = await custom(everything)
    by_action: dict[str, list[Asked]] = {}
    for asked in calls(everything):
        if asked.action is not None and not asked.public:
            by_action.setdefault(asked.action, []).append(asked)
    tried = set()
    for action, group in by_action.items():
        await grant(everything, most_role, ["*"], [action])
        await grant(everything, only_role, [action], [])
        async with untouched(everything):
            for asked in group:
                is_refused(await send(most, asked), f"{asked.what} without {action}")
                if asked.harmless or asked.method != "POST":
                    answer = await send(only, asked)
                    assert answer.status_code not in (401, 403), f"{asked.what} with {action}: {answer.text}"
                tried.add(asked.what)
    free = {asked.what for asked in calls(everything) if asked.action is None or asked.public}
    assert derived(REGISTRY) <= tried | free
    # What asks for no action of its own is what must not ask for any: lists of groups, and the tenant's roles.
    assert {what for what in free if not what.startswith("page ")} == {
        f"{GROUP_TYPE} list",
        f"GET /providers/{DEFINITIONS}",
        f"GET /providers/{DEFINITIONS}/{{role}}",
    }


@pytest.mark.parametrize(("role", "beside"), [("Owner", "group"), ("Owner", "resource"), ("Owner", "name")])
async def test_role_beside_does_not_reach(everything: Cloud, role: str, beside: str) -> None:
    """A role at a sibling group, at a sibling resource, at one whose name this one's begins with."""
    owner = everything.arm
    if beside == "group":
        scope = f"/subscriptions/{owner.subscription}/resourceGroups/test"
        await owner.put(scope, {"location": LOCATION})
    else:
        scope = owner.id(f"{VNETS}/{'vnet-6' if beside == 'resource' else 'vnet'}")
        if beside == "name":
            await owner.put(
                scope, {"location": LOCATION, "properties": {"addressSpace": {"addressPrefixes": ["10.99.0.0/16"]}}}
            )
    client = await caller(everything, role, scope)
    tried = set()
    async with untouched(everything):
        for asked in calls(everything):
            if asked.action is None or asked.public:
                continue
            if asked.declared is not None and asked.declared.type == VNETS and asked.path.endswith("virtualNetworks"):
                continue  # its list shows the one that it may read
            is_refused(await send(client, asked), f"{asked.what} from {scope}")
            tried.add(asked.what)
    assert len(tried) > 80
    if beside != "resource":
        await owner.delete(scope)


async def test_role_at_a_resource_reaches_all_of_it(everything: Cloud) -> None:
    """Reader at the parent: everything readable at and below it is read, by routes, too."""
    clients: dict[str, ArmClient] = {}
    read = 0
    for asked in calls(everything):
        if asked.action is None or asked.public or not asked.harmless or "/resourceGroups/" not in asked.path:
            continue
        if not covers(BY_NAME["Reader"], asked.action) or asked.declared is None or asked.what.endswith(" list"):
            continue
        scope = asked.path if asked.declared.parent is None else asked.path.rsplit("/", 2)[0]
        scope = scope.rpartition("/")[0] if " GET " in asked.what else scope
        if scope not in clients:
            clients[scope] = await caller(everything, "Reader", scope)
        answer = await send(clients[scope], asked)
        assert answer.status_code not in (401, 403), f"{asked.what} at {scope}: {answer.text}"
        read += 1
    assert read > 20


async def test_default_rules_are_read_by_a_reader_of_their_group(everything: Cloud) -> None:
    group = everything.arm.id("Microsoft.Network/networkSecurityGroups/nsg-1")
    client = await caller(everything, "Reader", group)
    assert len((await client.get(f"{group}/defaultSecurityRules"))["value"]) == 6
    other = everything.arm.id("Microsoft.Network/networkSecurityGroups/nsg-free")
    is_refused(await client.request("GET", f"{other}/defaultSecurityRules"), "the other group's rules")


# -- linked rights ----------------------------------------------------------------------------------------------------


def linked() -> list[tuple[ResourceType, Reference]]:
    return [
        (declared, reference)
        for declared in REGISTRY.types.values()
        for reference in declared.references
        if reference.permission is not None
    ]


UNLINKED = {
    "properties.serviceGateway.id",
    "properties.ipAllocations[].id",
    "properties.applicationGatewayIPConfigurations[].id",
}
"""References that ask for no right: what they lead to cannot exist here."""


async def test_every_reference_asks_for_a_right() -> None:
    without = {
        reference.path
        for declared in REGISTRY.types.values()
        for reference in declared.references
        if reference.permission is None
    }
    assert without == UNLINKED


NEEDED = {"dataDisks": {"lun": 0, "createOption": "Attach"}}
"""Members that an element of a list cannot be without."""


def referring(body: Any, path: str, target: str) -> Any:
    """The document with a reference at a dotted path; lists get one element where they have none."""
    step, _, rest = path.partition(".")
    name, many = step.removesuffix("[]"), step.endswith("[]")
    made = dict(body)
    if not rest and not many:
        made[name] = target
    elif many:
        first = (made.get(name) or [NEEDED.get(name, {})])[0]
        made[name] = [referring({"name": "x", **first} if "properties" in rest else first, rest, target)]
    else:
        made[name] = referring(made.get(name) or {}, rest, target)
    return made


@pytest.mark.parametrize(
    ("declared", "reference"), linked(), ids=[f"{d.type.split('/', 1)[1]}-{r.path}" for d, r in linked()]
)
async def test_linked_right_is_asked_for(everything: Cloud, declared: ResourceType, reference: Reference) -> None:
    """Everything but the right at the target: 403, and the same one whether the target is there or not."""
    arm = everything.arm
    client, role = await custom(everything)
    permission = str(reference.permission)
    await grant(everything, role, ["*"], [permission])
    path = absolute(arm, EXAMPLES[declared.type])
    there = EXAMPLES.get(reference.types[0])
    targets = [absolute(arm, there)] if there is not None else []
    namespace, *segments = reference.types[0].split("/")
    targets.append(f"{arm.id('')}/providers/{namespace}/" + "/".join(f"{segment}/gone" for segment in segments))
    # Of a document that is there, so that nothing but the reference is new; an inline child is written by both its forms.
    document = await arm.get(path)
    document = {name: document[name] for name in ("location", "properties") if name in document}
    if "storageProfile" in document["properties"]:  # refers to a disk already, which would be asked about first
        del document["properties"]["storageProfile"]["osDisk"]["managedDisk"]
    forms = [(path.rpartition("/")[0] + "/new" if declared.parent is None else path, document, reference.path)]
    if declared.inline is not None:
        whole = await arm.get(path.rsplit("/", 2)[0])
        name = path.rpartition("/")[2]
        item = {"name": name, **document}
        rest = {key: value for key, value in whole["properties"].items() if key != declared.inline}
        owner = {"location": whole["location"], "properties": {**rest, declared.inline: [item]}}
        forms.append((path.rsplit("/", 2)[0], owner, f"properties.{declared.inline}[].{reference.path}"))
    for target in targets:
        for at, body, dotted in forms:
            async with untouched(everything):
                answer = await client.request("PUT", at, referring(body, dotted, target))
                assert answer.status_code == 403, answer.text
                error = problem(answer)
                assert error["code"] == "LinkedAuthorizationFailed", error
                assert f"action(s) '{permission}' on the linked scope(s) '{target}'" in error["message"], error


async def test_assignments_need_an_owner(everything: Cloud) -> None:
    """Role assignments are written by Owner and User Access Administrator alone, at each kind of scope."""
    writers = {name for name, role in BY_NAME.items() if covers(role, f"{ASSIGNMENTS}/write")}
    assert writers == {"Owner", "User Access Administrator"}
    arm = everything.arm
    scopes = [f"/subscriptions/{arm.subscription}", arm.id(""), arm.id(f"{VNETS}/vnet-1")]
    scopes.append(arm.id(f"{VNETS}/vnet-1/subnets/routed"))
    reader = next(role.id for role in BUILT_IN.values() if role.name == "Reader")
    for name in BY_NAME:
        client = await caller(everything, name)
        for scope in scopes:
            path = f"{scope}/providers/{ASSIGNMENTS}/{uuid4()}"
            body = {"properties": {"roleDefinitionId": reader, "principalId": str(uuid4())}}
            answer = await client.request("PUT", path, body)
            if name in writers:
                assert answer.status_code == 201, answer.text
                assert (await client.request("DELETE", path)).status_code == 200
            else:
                is_refused(answer, f"{name} at {scope}")


async def test_system_cannot_be_impersonated(everything: Cloud) -> None:
    """The control process's own principal holds no token: whoever names himself so is nobody."""
    system = Principal("00000000-0000-0000-0000-000000000000", everything.process.config.tenant, "Azlan")
    answer = await everything.client(everything.token_of(system)).request("GET", "")
    is_refused(answer, "the system's id", "InvalidAuthenticationToken", 401)

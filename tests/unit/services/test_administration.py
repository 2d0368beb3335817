"""`/_azlan/…`: only with the administrator's token, and a principal exists exactly where its role assignment does."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from azlan.arm.resource import Principal
from azlan.base.errors import ArmError
from azlan.services.administration import Administration, admin_token

from .conftest import ENDPOINT, Tenant

TOKEN = "t" * 43
SUBSCRIPTION = "22222222-2222-2222-2222-222222222222"


@dataclass
class Assignments:
    made: list[tuple[str, str, str]] = field(default_factory=list)

    async def assign(self, principal: Principal, role: str, scope: str) -> None:
        if role == "Emperor":
            raise ArmError(400, "RoleDefinitionDoesNotExist", "There is no role 'Emperor'.")
        self.made.append((principal.object_id, role, scope))

    async def withdraw(self, object_id: str) -> None:
        self.made = [one for one in self.made if one[0] != object_id]


class Admin:
    def __init__(self, tenant: Tenant) -> None:
        self.roles = Assignments()

        async def status() -> dict[str, Any]:
            return {"revision": 7}

        routes = Administration(tenant.directory, self.roles, status, token=TOKEN, subscription=SUBSCRIPTION).routes()
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(Starlette(routes=routes)),
            base_url=ENDPOINT,
            headers={"Authorization": f"Bearer {TOKEN}"},
        )

    async def add(self, **body: Any) -> httpx.Response:
        return await self.http.post("/_azlan/users", json=body)


@pytest.fixture
def admin(tenant: Tenant) -> Admin:
    return Admin(tenant)


@pytest.mark.parametrize("header", [None, "", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü"])
async def test_without_the_token(admin: Admin, header: str | None) -> None:
    del admin.http.headers["Authorization"]
    headers = {} if header is None else {"Authorization": header.encode()}
    for method, path in (("GET", "status"), ("GET", "users"), ("POST", "users"), ("DELETE", "users/ann")):
        assert (await admin.http.request(method, f"/_azlan/{path}", headers=headers)).status_code == 401


async def test_status(admin: Admin) -> None:
    assert (await admin.http.get("/_azlan/status")).json() == {"revision": 7}


async def test_a_service_principal_with_a_role(admin: Admin, tenant: Tenant) -> None:
    made = (await admin.add(name="deploy", kind="ServicePrincipal", role="Owner")).json()
    assert admin.roles.made == [(made["objectId"], "Owner", f"/subscriptions/{SUBSCRIPTION}")]
    entry = tenant.directory.application(made["applicationId"])
    assert entry is not None
    assert await tenant.directory.check(entry, made["secret"])


async def test_a_user_with_a_password_of_their_own(admin: Admin, tenant: Tenant) -> None:
    scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
    made = (await admin.add(name="bob", password="longenough", role="Reader", scope=scope)).json()
    assert (made["name"], made["secret"]) == ("bob@azlan.localhost", None)
    assert admin.roles.made == [(made["objectId"], "Reader", scope)]
    listed = (await admin.http.get("/_azlan/users")).json()["value"]
    assert [one["name"] for one in listed] == ["ci", "ann@azlan.localhost", "bob@azlan.localhost"]
    assert all("hash" not in one and "salt" not in one for one in listed)


async def test_an_unknown_role_leaves_nobody_behind(admin: Admin, tenant: Tenant) -> None:
    response = await admin.add(name="bob", role="Emperor")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "RoleDefinitionDoesNotExist")
    assert tenant.directory.named("bob") is None


async def test_a_name_that_is_taken(admin: Admin) -> None:
    response = await admin.add(name="Ann")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "UserExists")


async def test_renewing_keeps_the_principal(admin: Admin, tenant: Tenant) -> None:
    made = (await admin.add(name="ci", kind="ServicePrincipal", renew=True)).json()
    assert made["objectId"] == tenant.application
    assert made["secret"] not in (None, tenant.secret)
    assert admin.roles.made == []


async def test_a_new_password(admin: Admin, tenant: Tenant) -> None:
    """As given or made up; the sessions of the old one end, and nothing else changes."""
    before = tenant.directory.entry(tenant.user)
    assert before is not None
    given = await admin.http.post("/_azlan/users/ann/password", json={"password": "another long one"})
    assert (given.status_code, given.json()["name"], given.json()["secret"]) == (200, "ann@azlan.localhost", None)
    entry = tenant.directory.entry(tenant.user)
    assert entry is not None
    assert await tenant.directory.check(entry, "another long one")
    assert entry.stamp != before.stamp
    made = (await admin.http.post("/_azlan/users/ci/password", json={})).json()
    application = tenant.directory.entry(tenant.application)
    assert application is not None
    assert await tenant.directory.check(application, made["secret"])
    assert admin.roles.made == []
    assert (await admin.http.post("/_azlan/users/ann/password", json={"password": "short"})).status_code == 400
    assert (await admin.http.post("/_azlan/users/nobody/password", json={})).status_code == 404


async def test_renewing_does_not_turn_a_user_into_a_service_principal(admin: Admin) -> None:
    assert (await admin.add(name="ann", kind="ServicePrincipal", renew=True)).status_code == 409


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": ""}, "InvalidName"),
        ({"name": "a b"}, "InvalidName"),
        ({"name": "../x"}, "InvalidName"),
        ({"name": "bob", "kind": "Robot"}, "InvalidKind"),
        ({"name": "bob", "password": "short"}, "InvalidPassword"),
        ({"name": "bob", "password": 12345678}, "InvalidPassword"),
    ],
)
async def test_bad_input(admin: Admin, body: dict[str, Any], code: str) -> None:
    response = await admin.add(**body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, code)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
async def test_bad_json(admin: Admin, content: bytes) -> None:
    assert (await admin.http.post("/_azlan/users", content=content)).status_code == 400


async def test_removal_takes_the_roles_along(admin: Admin, tenant: Tenant) -> None:
    await admin.add(name="bob", role="Reader")
    assert (await admin.http.delete("/_azlan/users/BOB")).status_code == 204
    assert admin.roles.made == []
    assert tenant.directory.named("bob") is None
    assert (await admin.http.delete("/_azlan/users/bob")).status_code == 404


def test_the_token_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    token = admin_token(path)
    assert len(token) >= 40
    assert admin_token(path) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("")
    assert len(admin_token(path)) >= 40

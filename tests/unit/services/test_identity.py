"""The token endpoint: every grant, and every way in which one fails, by its AADSTS number."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from azlan.services import identity as identity_module
from azlan.services.identity import AZURE_CLI, DEVICE_GRANT, TRUSTED_REALM, UNVALIDATED

from .conftest import ENDPOINT, PASSWORD, TENANT, Tenant

SCOPE = f"{ENDPOINT}//.default"  # as az sends it: its resource ends with a slash
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
HOME = "http://localhost:40000"


def failed(response: httpx.Response, status: int, error: str, number: int) -> dict[str, Any]:
    document: dict[str, Any] = response.json()
    assert (response.status_code, document["error"], document["error_codes"]) == (status, error, [number])
    assert document["error_description"].startswith(f"AADSTS{number}: ")
    assert {"timestamp", "trace_id", "correlation_id", "error_uri"} <= set(document)
    return document


async def by_secret(tenant: Tenant, authority: str = TENANT, **changed: str) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": tenant.client_id,
        "client_secret": tenant.secret,
        "scope": SCOPE,
    }
    return await tenant.token(authority, **{**form, **changed})


async def by_password(tenant: Tenant, **changed: str) -> httpx.Response:
    form = {
        "grant_type": "password",
        "client_id": AZURE_CLI,
        "username": "ann@azlan.localhost",
        "password": PASSWORD,
        "scope": f"{SCOPE} offline_access openid profile",
        "client_info": "1",
    }
    return await tenant.token("organizations", **{**form, **changed})


async def test_client_secret(tenant: Tenant) -> None:
    response = await by_secret(tenant)
    answer = response.json()
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert answer.keys() == {"token_type", "expires_in", "ext_expires_in", "access_token"}
    assert tenant.tokens.verify(answer["access_token"]).object_id == tenant.application
    assert (await by_secret(tenant, "adfs")).status_code == 200


async def test_client_secret_by_basic_authentication(tenant: Tenant) -> None:
    response = await tenant.http.post(
        f"/{TENANT}/oauth2/v2.0/token",
        data={"grant_type": "client_credentials", "scope": SCOPE},
        auth=(tenant.client_id, tenant.secret),
    )
    assert response.status_code == 200


async def test_v1_names_the_resource(tenant: Tenant) -> None:
    form = {"grant_type": "client_credentials", "client_id": tenant.client_id, "client_secret": tenant.secret}
    answer = await tenant.http.post(f"/{TENANT}/oauth2/token", data=form | {"resource": f"{ENDPOINT}/"})
    assert tenant.tokens.verify(answer.json()["access_token"]).kind == "ServicePrincipal"


async def test_signature_verifies_with_the_published_keys(tenant: Tenant) -> None:
    access = (await by_secret(tenant)).json()["access_token"]
    keys = (await tenant.http.get(f"/{TENANT}/discovery/v2.0/keys")).json()
    claims = jwt.decode(access, KeySet.import_key_set(keys), algorithms=["RS256"]).claims
    assert (claims["tid"], claims["appid"], claims["idtyp"]) == (TENANT, tenant.client_id, "app")


async def test_wrong_secret(tenant: Tenant) -> None:
    failed(await by_secret(tenant, client_secret="nope"), 401, "invalid_client", 7000215)


async def test_missing_secret(tenant: Tenant) -> None:
    failed(await by_secret(tenant, client_secret=""), 401, "invalid_client", 7000216)


async def test_unknown_application(tenant: Tenant) -> None:
    failed(await by_secret(tenant, client_id=AZURE_CLI), 400, "unauthorized_client", 700016)


async def test_unknown_tenant(tenant: Tenant) -> None:
    other = "33333333-3333-3333-3333-333333333333"
    failed(await by_secret(tenant, other), 400, "invalid_request", 90002)
    discovered = await tenant.http.get(f"/{other}/v2.0/.well-known/openid-configuration")
    failed(discovered, 400, "invalid_tenant", 90002)


async def test_unknown_resource(tenant: Tenant) -> None:
    failed(await by_secret(tenant, scope="https://graph.microsoft.com/.default"), 400, "invalid_resource", 500011)


@pytest.mark.parametrize("parameter", ["grant_type", "client_id", "scope"])
async def test_missing_parameters(tenant: Tenant, parameter: str) -> None:
    document = failed(await by_secret(tenant, **{parameter: ""}), 400, "invalid_request", 900144)
    assert f"'{parameter}'" in document["error_description"]


async def test_unsupported_grant(tenant: Tenant) -> None:
    failed(await by_secret(tenant, grant_type="magic"), 400, "unsupported_grant_type", 70003)


async def test_a_body_without_end(tenant: Tenant) -> None:
    response = await tenant.http.post(f"/{TENANT}/oauth2/v2.0/token", content=b"a" * 70_000)
    assert response.status_code == 413


async def test_a_body_that_is_no_form(tenant: Tenant) -> None:
    response = await tenant.http.post(f"/{TENANT}/oauth2/v2.0/token", content=b"\xff\xfe&=&&%zz")
    assert response.status_code == 400


async def test_password(tenant: Tenant) -> None:
    answer = (await by_password(tenant)).json()
    found = tenant.tokens.verify(answer["access_token"])
    assert (found.object_id, found.kind, found.name) == (tenant.user, "User", "ann@azlan.localhost")
    info = json.loads(base64.urlsafe_b64decode(answer["client_info"] + "=="))
    assert info == {"uid": tenant.user, "utid": TENANT}
    assert {"id_token", "refresh_token", "scope"} <= answer.keys()


@pytest.mark.parametrize("changed", [{"password": "wrong"}, {"username": "bob"}, {"username": "ci"}])
async def test_wrong_password(tenant: Tenant, changed: dict[str, str]) -> None:
    failed(await by_password(tenant, **changed), 400, "invalid_grant", 50126)


async def test_an_application_without_a_secret_must_be_known(tenant: Tenant) -> None:
    failed(await by_password(tenant, client_id=tenant.client_id), 400, "unauthorized_client", 700016)


async def test_guessing_locks_the_name_for_a_while(tenant: Tenant) -> None:
    for _ in range(10):
        failed(await by_password(tenant, password="guess"), 400, "invalid_grant", 50126)
    failed(await by_password(tenant), 400, "invalid_grant", 50053)
    assert (await by_secret(tenant)).status_code == 200  # others are not held up


async def test_refresh(tenant: Tenant) -> None:
    first = (await by_password(tenant)).json()
    form = {"grant_type": "refresh_token", "client_id": AZURE_CLI, "scope": SCOPE}
    second = await tenant.token(TENANT, **form, refresh_token=first["refresh_token"])
    assert tenant.tokens.verify(second.json()["access_token"]).object_id == tenant.user


async def test_a_new_password_ends_refreshing(tenant: Tenant) -> None:
    first = (await by_password(tenant)).json()
    await tenant.directory.renew(tenant.user, "another password")
    form = {"grant_type": "refresh_token", "client_id": AZURE_CLI, "scope": SCOPE}
    failed(await tenant.token(TENANT, **form, refresh_token=first["refresh_token"]), 400, "invalid_grant", 50173)
    failed(await tenant.token(TENANT, **form, refresh_token="made.up.token"), 400, "invalid_grant", 70000)


async def test_a_refresh_token_belongs_to_its_application(tenant: Tenant) -> None:
    first = (await by_password(tenant)).json()
    powershell = "1950a258-227b-4e31-a9cf-717495945fc2"
    form = {"grant_type": "refresh_token", "client_id": powershell, "scope": SCOPE}
    failed(await tenant.token(TENANT, **form, refresh_token=first["refresh_token"]), 400, "invalid_grant", 70000)


async def device(tenant: Tenant) -> dict[str, Any]:
    response = await tenant.http.post(
        "/organizations/oauth2/v2.0/devicecode", data={"client_id": AZURE_CLI, "scope": SCOPE}
    )
    assert response.status_code == 200
    document: dict[str, Any] = response.json()
    return document


async def test_device_code(tenant: Tenant) -> None:
    shown = await device(tenant)
    assert shown["user_code"] in shown["message"]
    form = {"grant_type": DEVICE_GRANT, "client_id": AZURE_CLI, "device_code": shown["device_code"]}
    failed(await tenant.token("organizations", **form), 400, "authorization_pending", 70016)
    entry = tenant.directory.entry(tenant.user)
    assert entry is not None
    tenant.identity.pending.devices[shown["device_code"]].accept(entry)
    answer = (await tenant.token("organizations", **form)).json()
    assert tenant.tokens.verify(answer["access_token"]).object_id == tenant.user
    failed(await tenant.token("organizations", **form), 400, "bad_verification_code", 90019)


async def test_a_device_code_ends_with_its_users_sessions(tenant: Tenant) -> None:
    shown = await device(tenant)
    entry = tenant.directory.entry(tenant.user)
    assert entry is not None
    tenant.identity.pending.devices[shown["device_code"]].accept(entry)
    await tenant.directory.revoke(tenant.user)
    form = {"grant_type": DEVICE_GRANT, "client_id": AZURE_CLI, "device_code": shown["device_code"]}
    failed(await tenant.token("organizations", **form), 400, "invalid_grant", 50173)


async def test_device_code_expires(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_module, "_DEVICE_LIFETIME", 0)
    shown = await device(tenant)
    form = {"grant_type": DEVICE_GRANT, "client_id": AZURE_CLI, "device_code": shown["device_code"]}
    failed(await tenant.token("organizations", **form), 400, "expired_token", 70020)


async def test_pending_grants_stay_bounded(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_module, "_PENDING_LIMIT", 5)
    for _ in range(8):
        await device(tenant)
    assert len(tenant.identity.pending.devices) == 5


def code_for(tenant: Tenant, **changed: str) -> str:
    entry = tenant.directory.entry(tenant.user)
    assert entry is not None
    asked = {"client_id": AZURE_CLI, "redirect_uri": HOME, "code_challenge": CHALLENGE, "scope": SCOPE, "nonce": "n"}
    return tenant.identity.new_code(entry, {**asked, **changed})


async def redeem(tenant: Tenant, code: str, **changed: str) -> httpx.Response:
    form = {"grant_type": "authorization_code", "client_id": AZURE_CLI, "code": code, "redirect_uri": HOME,
            "code_verifier": VERIFIER}  # fmt: skip
    return await tenant.token("organizations", **{**form, **changed})


async def test_authorization_code(tenant: Tenant) -> None:
    code = code_for(tenant)
    answer = (await redeem(tenant, code)).json()
    assert tenant.tokens.verify(answer["access_token"]).object_id == tenant.user
    claims = json.loads(base64.urlsafe_b64decode(answer["id_token"].split(".")[1] + "=="))
    assert (claims["nonce"], claims["aud"], claims["preferred_username"]) == ("n", AZURE_CLI, "ann@azlan.localhost")
    failed(await redeem(tenant, code), 400, "invalid_grant", 54005)


async def test_a_code_needs_its_verifier_and_its_address(tenant: Tenant) -> None:
    failed(await redeem(tenant, code_for(tenant), code_verifier="w" * 64), 400, "invalid_grant", 501481)
    failed(await redeem(tenant, code_for(tenant), redirect_uri="http://localhost:1"), 400, "invalid_request", 50011)
    failed(await redeem(tenant, code_for(tenant), code_verifier=""), 400, "invalid_request", 900144)


async def test_a_failed_redemption_spends_the_code(tenant: Tenant) -> None:
    code = code_for(tenant)
    failed(await redeem(tenant, code, code_verifier="w" * 64), 400, "invalid_grant", 501481)
    failed(await redeem(tenant, code), 400, "invalid_grant", 54005)


@pytest.mark.parametrize("authority", [TENANT, "organizations", "common", "azlan.localhost"])
async def test_discovery(tenant: Tenant, authority: str) -> None:
    document = (await tenant.http.get(f"/{authority}/v2.0/.well-known/openid-configuration")).json()
    assert document["issuer"] == f"{ENDPOINT}/{TENANT}/v2.0"
    named = TENANT if authority == "azlan.localhost" else authority
    assert document["token_endpoint"] == f"{ENDPOINT}/{named}/oauth2/v2.0/token"
    for name in ("jwks_uri", "token_endpoint", "authorization_endpoint"):
        path = document[name].removeprefix(ENDPOINT)
        assert (await tenant.http.request("POST" if "token" in name else "GET", path)).status_code != 404


async def test_discovery_of_ad_fs(tenant: Tenant) -> None:
    document = (await tenant.http.get("/adfs/.well-known/openid-configuration")).json()
    assert document["token_endpoint"] == f"{ENDPOINT}/adfs/oauth2/token"


async def test_instances_and_realms(tenant: Tenant) -> None:
    instances = (await tenant.http.get("/common/discovery/instance?api-version=1.1")).json()
    assert instances["metadata"][0]["aliases"] == ["localhost:8443"]
    realm = (await tenant.http.get("/common/userrealm/ann@azlan.localhost?api-version=1.0")).json()
    assert (realm["account_type"], realm["domain_name"]) == ("Managed", "azlan.localhost")


async def test_authorities_under_a_path_that_msal_net_takes_as_it_is(tenant: Tenant) -> None:
    assert (await by_secret(tenant, f"{UNVALIDATED[1:]}/{TENANT}")).status_code == 200
    assert (await by_secret(tenant, f"{UNVALIDATED[1:]}/nobody")).json()["error_codes"] == [90002]
    document = (await tenant.http.get(f"{UNVALIDATED}/azlan.localhost/v2.0/.well-known/openid-configuration")).json()
    assert document["issuer"].split("/")[3] == TENANT  # where Az.Accounts reads the tenant of a domain from


async def test_ad_fs_vouches_for_its_own_host_alone(tenant: Tenant) -> None:
    answer = await tenant.http.get(
        "/.well-known/webfinger", params={"rel": TRUSTED_REALM, "resource": "https://localhost"}
    )
    assert answer.json()["links"] == [{"rel": TRUSTED_REALM, "href": "https://localhost"}]
    for resource in ("https://elsewhere.example", "acct:ann@localhost", ""):
        assert (await tenant.http.get("/.well-known/webfinger", params={"resource": resource})).status_code == 404


@pytest.mark.parametrize("secret", ["", "wrong"])
async def test_a_request_id_comes_back_where_that_is_asked_for(tenant: Tenant, secret: str) -> None:
    form = {"grant_type": "client_credentials", "client_id": tenant.client_id, "scope": SCOPE}
    form["client_secret"] = secret or tenant.secret
    for asked in ({}, {"return-client-request-id": "true"}):
        answer = await tenant.http.post(
            f"/{TENANT}/oauth2/v2.0/token", data=form, headers={"client-request-id": "one", **asked}
        )
        assert answer.headers.get("client-request-id") == ("one" if asked else None)

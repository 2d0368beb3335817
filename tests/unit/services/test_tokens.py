"""What ARM accepts as a bearer, and how it words a refusal."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from azlan.arm.resource import Principal
from azlan.base.errors import ArmError
from azlan.services import tokens as tokens_module
from azlan.services.tokens import Tokens

from .conftest import ENDPOINT, TENANT, MemoryVault, Tenant

AUDIENCE = f"{ENDPOINT}/"


def issue(tenant: Tenant, **changed: Any) -> str:
    """A token signed with the service's own key whose claims are as given."""
    good = tenant.tokens.access_token(principal(tenant), AUDIENCE, "client", "client_credentials")
    claims = json.loads(base64.urlsafe_b64decode(good.split(".")[1] + "=="))
    return tenant.tokens._sign({**claims, **changed})


def principal(tenant: Tenant) -> Principal:
    found = tenant.directory.lookup(tenant.application)
    assert found is not None
    return found


def refused(tenant: Tenant, bearer: str, why: str = "invalid_token") -> ArmError:
    with pytest.raises(ArmError) as caught:
        tenant.tokens.verify(bearer)
    error = caught.value
    assert error.status == 401
    challenge = error.headers["WWW-Authenticate"]
    assert challenge.startswith(f'Bearer authorization_uri="{ENDPOINT}/{TENANT}", error="{why}", ')
    return error


async def test_a_good_token_names_its_principal(tenant: Tenant) -> None:
    bearer = tenant.tokens.access_token(principal(tenant), AUDIENCE, "client", "client_credentials")
    found = tenant.tokens.authenticate(f"Bearer {bearer}")
    assert found == principal(tenant)
    assert found.tenant == TENANT
    assert found.kind == "ServicePrincipal"
    assert tenant.tokens.verify(bearer) == found  # and again, from what was seen before


@pytest.mark.parametrize("audience", [ENDPOINT, f"{ENDPOINT}/", "https://management.azure.com/"])
async def test_audiences_of_arm(tenant: Tenant, audience: str) -> None:
    assert tenant.tokens.verify(issue(tenant, aud=audience)).object_id == tenant.application


async def test_a_token_for_something_else(tenant: Tenant) -> None:
    error = refused(tenant, issue(tenant, aud="https://graph.microsoft.com/"))
    assert error.code == "InvalidAuthenticationTokenAudience"
    assert "'https://graph.microsoft.com/'" in error.message


async def test_an_expired_token(tenant: Tenant) -> None:
    error = refused(tenant, issue(tenant, exp=int(time.time()) - 1))
    assert error.code == "ExpiredAuthenticationToken"
    assert error.message.startswith("The access token expiry UTC time '")


async def test_a_token_expires_after_it_was_seen(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    bearer = issue(tenant)
    tenant.tokens.verify(bearer)
    later = time.time() + 2 * tokens_module.LIFETIME
    monkeypatch.setattr(tokens_module.time, "time", lambda: later)
    assert refused(tenant, bearer).code == "ExpiredAuthenticationToken"


async def test_a_token_of_another_tenant(tenant: Tenant) -> None:
    other = await Tokens.open(tenant.vault, ENDPOINT, "22222222-2222-2222-2222-222222222222")
    bearer = other.access_token(principal(tenant), AUDIENCE, "client", "password")
    assert refused(tenant, bearer).code == "InvalidAuthenticationTokenTenant"


async def test_a_token_not_yet_valid(tenant: Tenant) -> None:
    assert refused(tenant, issue(tenant, nbf=int(time.time()) + 3600)).code == "InvalidAuthenticationToken"


async def test_a_token_without_an_object(tenant: Tenant) -> None:
    assert "'oid' should be present" in refused(tenant, issue(tenant, oid=None)).message


async def test_a_token_signed_by_someone_else(tenant: Tenant) -> None:
    forger = RSAKey.generate_key(2048, {"kid": tenant.tokens.public_keys()["keys"][0]["kid"], "use": "sig"})
    claims = json.loads(base64.urlsafe_b64decode(issue(tenant).split(".")[1] + "=="))
    forged = jwt.encode({"alg": "RS256", "kid": forger.kid}, claims, forger)
    assert refused(tenant, forged).code == "InvalidAuthenticationToken"


async def test_an_unsigned_token(tenant: Tenant) -> None:
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    unsigned = f"{header}.{issue(tenant).split('.')[1]}."
    assert refused(tenant, unsigned).code == "InvalidAuthenticationToken"


@pytest.mark.parametrize("bearer", ["", "x", "a.b.c", "ey.ey.ey", "ä.ö.ü", "." * 100, "\udc80"])
async def test_what_is_no_token(tenant: Tenant, bearer: str) -> None:
    assert refused(tenant, bearer).code == "InvalidAuthenticationToken"


async def test_a_tampered_token(tenant: Tenant) -> None:
    head, body, signature = issue(tenant).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["oid"] = tenant.user
    changed = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    assert refused(tenant, f"{head}.{changed}.{signature}").code == "InvalidAuthenticationToken"


async def test_a_removed_principal_is_refused_at_once(tenant: Tenant) -> None:
    bearer = issue(tenant)
    tenant.tokens.verify(bearer)
    await tenant.directory.remove(tenant.application)
    assert refused(tenant, bearer).code == "InvalidAuthenticationToken"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "AuthenticationFailed"),
        ("", "AuthenticationFailed"),
        ("Basic YTpi", "AuthenticationFailedInvalidHeader"),
        ("Bearer", "AuthenticationFailedInvalidHeader"),
        ("Bearer  ", "AuthenticationFailedInvalidHeader"),
    ],
)
async def test_headers_without_a_token(tenant: Tenant, header: str | None, code: str) -> None:
    with pytest.raises(ArmError) as caught:
        tenant.tokens.authenticate(header)
    assert (caught.value.status, caught.value.code) == (401, code)


async def test_claims_cannot_break_out_of_the_challenge(tenant: Tenant) -> None:
    error = refused(tenant, issue(tenant, aud='x", evil="\r\ny'))
    challenge = error.headers["WWW-Authenticate"]
    assert "\r" not in challenge
    assert "evil=" not in challenge.replace("evil=?", "")


async def test_keys_survive_a_restart(tenant: Tenant) -> None:
    bearer = issue(tenant)
    again = await Tokens.open(tenant.vault, ENDPOINT, TENANT)
    again.lookup, again.stamp = tenant.directory.lookup, tenant.directory.stamp
    assert again.verify(bearer).object_id == tenant.application
    assert again.public_keys() == tenant.tokens.public_keys()


async def test_published_keys_hold_nothing_private(tenant: Tenant) -> None:
    (key,) = tenant.tokens.public_keys()["keys"]
    assert set(key) & {"d", "p", "q", "dp", "dq", "qi", "k"} == set()
    assert key["alg"] == "RS256"


async def test_a_refresh_token_is_no_access_token(tenant: Tenant) -> None:
    refresh = tenant.tokens.refresh_token(principal(tenant), "client", "stamp")
    assert refused(tenant, refresh).code == "InvalidAuthenticationToken"
    assert tenant.tokens.read_refresh_token(refresh)["oid"] == tenant.application
    with pytest.raises(ValueError, match="refresh"):
        tenant.tokens.read_refresh_token(issue(tenant))


async def test_other_clouds_have_other_keys() -> None:
    one = await Tokens.open(MemoryVault(), ENDPOINT, TENANT)
    other = await Tokens.open(MemoryVault(), ENDPOINT, TENANT)
    assert one.public_keys() != other.public_keys()


async def test_revoking_ends_what_was_given(tenant: Tenant) -> None:
    """Of users and applications; a token given afterwards is good."""
    for object_id in (tenant.user, tenant.application):
        principal = tenant.directory.lookup(object_id)
        assert principal is not None
        before = tenant.tokens.access_token(principal, f"{ENDPOINT}/", "test", "password")
        assert tenant.tokens.verify(before) == principal
        await tenant.directory.revoke(object_id)
        error = refused(tenant, before, "insufficient_claims")
        assert error.message == "The access token has been revoked."
        challenge = error.headers["WWW-Authenticate"]
        claims = json.loads(base64.b64decode(challenge.partition('claims="')[2].partition('"')[0]))
        assert int(claims["access_token"]["nbf"]["value"]) <= time.time()
        after = tenant.tokens.access_token(principal, f"{ENDPOINT}/", "test", "password")
        assert tenant.tokens.verify(after) == principal


async def test_a_new_secret_ends_the_sessions_of_users_alone(tenant: Tenant) -> None:
    bearers = []
    for object_id in (tenant.user, tenant.application):
        principal = tenant.directory.lookup(object_id)
        assert principal is not None
        bearers.append(tenant.tokens.access_token(principal, f"{ENDPOINT}/", "test", "password"))
        await tenant.directory.renew(object_id)
    refused(tenant, bearers[0], "insufficient_claims")
    assert tenant.tokens.verify(bearers[1]).object_id == tenant.application

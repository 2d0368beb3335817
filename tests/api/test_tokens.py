"""Who is asking: without a token that Azlan signed, for this audience, still good, of somebody it knows, nothing is done.

Words and header are ARM's: 401 with `WWW-Authenticate: Bearer authorization_uri=…` (openid-connect challenges).
"""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from api.estate import VNETS, problem, untouched, vnet
from azlan.arm.resource import Principal
from azlan.services import tokens as tokens_module
from kit import Cloud

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY = vnet("10.60.0.0/16")


def _owner(cloud: Cloud) -> Principal:
    return cloud.process.identity.tokens.authenticate(cloud.arm.headers["Authorization"])


def _claims(token: str) -> dict[str, Any]:
    middle = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    return found


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _missing(_: Cloud) -> dict[str, str]:
    return {}


def _basic(_: Cloud) -> dict[str, str]:
    return {"Authorization": "Basic b3duZXI6c2VjcmV0"}


def _empty(_: Cloud) -> dict[str, str]:
    return {"Authorization": "Bearer "}


def _nonsense(_: Cloud) -> dict[str, str]:
    return {"Authorization": "Bearer nonsense"}


def _expired(cloud: Cloud) -> dict[str, str]:
    then = time.time() - 2 * 86400
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens_module.time, "time", lambda: then)
        return {"Authorization": f"Bearer {cloud.token_of(_owner(cloud))}"}


def _tampered(cloud: Cloud) -> dict[str, str]:
    """A reader's token with the owner's object id written over its own."""
    head, _, signature = cloud.arm.headers["Authorization"].removeprefix("Bearer ").split(".")
    claims = {**_claims(cloud.arm.headers["Authorization"]), "oid": "00000000-0000-0000-0000-000000000000"}
    return {"Authorization": f"Bearer {head}.{_part(claims)}.{signature}"}


def _unsigned(cloud: Cloud) -> dict[str, str]:
    claims = _claims(cloud.arm.headers["Authorization"])
    return {"Authorization": f"Bearer {_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}."}


def _signed_by_another(cloud: Cloud) -> dict[str, str]:
    claims = _claims(cloud.arm.headers["Authorization"])
    key = RSAKey.generate_key(2048, {"kid": "theirs"})
    return {"Authorization": f"Bearer {jwt.encode({'alg': 'RS256', 'kid': 'theirs'}, claims, key)}"}


def _signed_with_the_public_key(cloud: Cloud) -> dict[str, str]:
    """The oldest trick: the published key as an HMAC secret."""
    claims = _claims(cloud.arm.headers["Authorization"])
    public = cloud.process.identity.tokens.public_keys()["keys"][0]["n"]
    secret = OctKey.import_key(public)
    return {"Authorization": f"Bearer {jwt.encode({'alg': 'HS256'}, claims, secret)}"}


def _foreign_audience(cloud: Cloud) -> dict[str, str]:
    tokens = cloud.process.identity.tokens
    return {
        "Authorization": f"Bearer {tokens.access_token(_owner(cloud), 'https://graph.microsoft.com/', 'test', 'password')}"
    }


def _stranger(cloud: Cloud) -> dict[str, str]:
    """Signed by us, for somebody the directory does not hold."""
    nobody = Principal("99999999-9999-9999-9999-999999999999", cloud.process.config.tenant, "nobody")
    return {"Authorization": f"Bearer {cloud.token_of(nobody)}"}


def _id_token(cloud: Cloud) -> dict[str, str]:
    tokens = cloud.process.identity.tokens
    return {"Authorization": f"Bearer {tokens.id_token(_owner(cloud), 'test')}"}


CASES = [
    (_missing, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."),
    (
        _basic,
        "AuthenticationFailedInvalidHeader",
        "Authentication failed. The 'Authorization' header is provided in an invalid format.",
    ),
    (_empty, "AuthenticationFailedInvalidHeader", None),
    (_nonsense, "InvalidAuthenticationToken", "The access token is invalid."),
    (_expired, "ExpiredAuthenticationToken", None),
    (_tampered, "InvalidAuthenticationToken", "The access token is invalid."),
    (_unsigned, "InvalidAuthenticationToken", "The access token is invalid."),
    (_signed_by_another, "InvalidAuthenticationToken", "The access token is invalid."),
    (_signed_with_the_public_key, "InvalidAuthenticationToken", "The access token is invalid."),
    (_foreign_audience, "InvalidAuthenticationTokenAudience", None),
    (_stranger, "InvalidAuthenticationToken", None),
    (_id_token, None, None),
]


@pytest.mark.parametrize(("make", "code", "message"), CASES, ids=[case[0].__name__.strip("_") for case in CASES])
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
async def test_refused(estate: Cloud, make: Any, code: str | None, message: str | None, method: str) -> None:
    headers = make(estate)
    async with untouched(estate):
        target = f"{estate.arm.id(f'{VNETS}/vnet-2')}?api-version=2024-05-01"
        answer = await estate.arm.http.request(method, target, headers=headers, json=BODY if method == "PUT" else None)
        error = problem(answer)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith(
            f'Bearer authorization_uri="{estate.process.config.endpoint}/{estate.process.config.tenant}", error="invalid_token"'
        )
        if code is not None:
            assert error["code"] == code
        if message is not None:
            assert error["message"] == message


async def test_a_good_token_passes(estate: Cloud) -> None:
    answer = await estate.arm.http.get(
        f"{estate.arm.id(f'{VNETS}/vnet-2')}?api-version=2024-05-01", headers=estate.arm.headers
    )
    assert answer.status_code == 200


async def test_token_ends_with_its_user(estate: Cloud) -> None:
    token = await estate.token("leaver", "Owner")
    client = estate.client(token)
    assert (await client.request("GET", f"{VNETS}/vnet-2")).status_code == 200
    principal = estate.process.identity.tokens.verify(token)
    await estate.roles.withdraw(principal.object_id)
    await estate.process.identity.directory.remove(principal.object_id)
    answer = await client.request("GET", f"{VNETS}/vnet-2")
    assert (answer.status_code, problem(answer)["code"]) == (401, "InvalidAuthenticationToken")


async def test_metadata_needs_no_token_and_says_no_secret(estate: Cloud) -> None:
    answer = await estate.arm.http.get("/metadata/endpoints?api-version=2022-09-01")
    assert answer.status_code == 200
    assert answer.json()["authentication"]["loginEndpoint"].startswith(estate.process.config.endpoint)

"""Every `Authorization` header that must be refused: missing, malformed, expired, foreign, tampered with, revoked."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from azlan.arm.resource import Principal
from azlan.services import tokens as tokens_module
from kit import Cloud

_FOREIGN = RSAKey.generate_key(2048, {"kid": "theirs"})


def owner(cloud: Cloud) -> Principal:
    return cloud.process.identity.tokens.authenticate(cloud.arm.headers["Authorization"])


def good(cloud: Cloud) -> str:
    return cloud.arm.headers["Authorization"].removeprefix("Bearer ")


def claims_of(token: str) -> dict[str, Any]:
    middle = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    return found


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def signed(cloud: Cloud, **changed: Any) -> str:
    """The owner's token with other claims, signed with the cloud's own key; None takes a claim away."""
    claims = {name: value for name, value in {**claims_of(good(cloud)), **changed}.items() if value is not None}
    return cloud.process.identity.tokens._sign(claims)


def _expired(cloud: Cloud) -> str:
    then = time.time() - 2 * 86400
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens_module.time, "time", lambda: then)
        return cloud.token_of(owner(cloud))


def _tampered_claims(cloud: Cloud) -> str:
    head, _, signature = good(cloud).split(".")
    return f"{head}.{part({**claims_of(good(cloud)), 'exp': 2**40})}.{signature}"


def _tampered_signature(cloud: Cloud) -> str:
    head, body, signature = good(cloud).split(".")
    return f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


def _unsigned(cloud: Cloud) -> str:
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims_of(good(cloud)))}."


def _unsigned_in_capitals(cloud: Cloud) -> str:
    return f"{part({'alg': 'NONE', 'typ': 'JWT'})}.{part(claims_of(good(cloud)))}."


def _signed_by_another(cloud: Cloud) -> str:
    return jwt.encode({"alg": "RS256", "kid": "theirs"}, claims_of(good(cloud)), _FOREIGN)


def _signed_by_another_under_our_name(cloud: Cloud) -> str:
    """A token of another install: its key bears the name of ours."""
    kid = cloud.process.identity.tokens.public_keys()["keys"][0]["kid"]
    return jwt.encode({"alg": "RS256", "kid": kid}, claims_of(good(cloud)), _FOREIGN)


def _bringing_its_own_key(cloud: Cloud) -> str:
    header = {"alg": "RS256", "jwk": _FOREIGN.as_dict(private=False)}
    return jwt.encode(header, claims_of(good(cloud)), _FOREIGN)


def _signed_with_the_public_key(cloud: Cloud) -> str:
    """The oldest trick: the published key as an HMAC secret."""
    public = cloud.process.identity.tokens.public_keys()["keys"][0]
    return jwt.encode({"alg": "HS256"}, claims_of(good(cloud)), OctKey.import_key(public["n"]))


def _refresh_token(cloud: Cloud) -> str:
    return cloud.process.identity.tokens.refresh_token(owner(cloud), "test", "stamp")


def _stranger(cloud: Cloud) -> str:
    nobody = Principal(str(uuid4()), cloud.process.config.tenant, "nobody")
    return cloud.token_of(nobody)


def _id_token(cloud: Cloud) -> str:
    return cloud.process.identity.tokens.id_token(owner(cloud), "test")


BEARERS: dict[str, tuple[Callable[[Cloud], str], str]] = {
    "nonsense": (lambda _: "nonsense", "InvalidAuthenticationToken"),
    "three dots": (lambda _: "...", "InvalidAuthenticationToken"),
    "huge": (lambda _: "a" * 20_000, "InvalidAuthenticationToken"),
    "expired": (_expired, "ExpiredAuthenticationToken"),
    "without an end": (lambda cloud: signed(cloud, exp=None), "InvalidAuthenticationToken"),
    "with an end that is no time": (lambda cloud: signed(cloud, exp="never"), "InvalidAuthenticationToken"),
    "not yet valid": (lambda cloud: signed(cloud, nbf=int(time.time()) + 3000), "InvalidAuthenticationToken"),
    "tampered claims": (_tampered_claims, "InvalidAuthenticationToken"),
    "tampered signature": (_tampered_signature, "InvalidAuthenticationToken"),
    "unsigned": (_unsigned, "InvalidAuthenticationToken"),
    "unsigned in capitals": (_unsigned_in_capitals, "InvalidAuthenticationToken"),
    "signed by another": (_signed_by_another, "InvalidAuthenticationToken"),
    "of another install": (_signed_by_another_under_our_name, "InvalidAuthenticationToken"),
    "bringing its own key": (_bringing_its_own_key, "InvalidAuthenticationToken"),
    "signed with the public key": (_signed_with_the_public_key, "InvalidAuthenticationToken"),
    "wrong audience": (lambda c: signed(c, aud="https://graph.microsoft.com/"), "InvalidAuthenticationTokenAudience"),
    "no audience": (lambda c: signed(c, aud=None), "InvalidAuthenticationTokenAudience"),
    "wrong issuer": (lambda c: signed(c, iss="https://sts.windows.net/x/"), "InvalidAuthenticationTokenTenant"),
    "other tenant": (lambda c: signed(c, tid=str(uuid4())), "InvalidAuthenticationTokenTenant"),
    "of nobody": (lambda cloud: signed(cloud, oid=None), "InvalidAuthenticationToken"),
    "of a stranger": (_stranger, "InvalidAuthenticationToken"),
    "of the system": (
        lambda cloud: signed(cloud, oid="00000000-0000-0000-0000-000000000000"),
        "InvalidAuthenticationToken",
    ),
    "an id token": (_id_token, "InvalidAuthenticationTokenTenant"),
    "a refresh token": (_refresh_token, "InvalidAuthenticationToken"),
}
"""What a bearer token may be that it must not be → (how it is made, the code that refuses it)."""

HEADERS: dict[str, tuple[dict[str, str], str]] = {
    "missing": ({}, "AuthenticationFailed"),
    "empty": ({"Authorization": ""}, "AuthenticationFailed"),
    "no token": ({"Authorization": "Bearer "}, "AuthenticationFailedInvalidHeader"),
    "another scheme": ({"Authorization": "Basic b3duZXI6c2VjcmV0"}, "AuthenticationFailedInvalidHeader"),
}
"""Headers that hold no token → the code that refuses them."""


def refused_headers(cloud: Cloud) -> dict[str, tuple[dict[str, str], str]]:
    """All of them, by name."""
    made = {name: ({"Authorization": f"Bearer {make(cloud)}"}, code) for name, (make, code) in BEARERS.items()}
    return {**HEADERS, **made}

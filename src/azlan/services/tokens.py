"""Access tokens: made with the service's RSA key, checked on every ARM request, refused with ARM's own words.

Claims follow Microsoft's access-token claims reference (v1.0 tokens, what ARM receives); errors follow what ARM answers, and
those of ended sessions "Continuous access evaluation" and the claims challenge of its clients.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey, RSAKey

from azlan.arm.resource import Principal
from azlan.base.errors import ArmError
from azlan.services.vault import Vault

LIFETIME = 3600
"""Seconds an access token is good for; Azure's are 60 to 90 minutes."""
REFRESH_LIFETIME = 90 * 86400
_SKEW = 300
_CACHE = 4096

Lookup = Callable[[str], Principal | None]


class Tokens:
    """Makes and checks the tokens of one tenant. Open with `await Tokens.open(…)`."""

    def __init__(self, endpoint: str, tenant: str, keys: KeySet, secret: OctKey) -> None:
        self.endpoint = endpoint
        self.tenant = tenant
        self.audiences = (
            f"{endpoint}/",
            endpoint,
            "https://management.azure.com/",
            "https://management.azure.com",
            "https://management.core.windows.net/",
            "https://management.core.windows.net",
        )
        """What ARM answers for; the public cloud's names are for clients that cannot be told another."""
        self._keys = keys
        self._secret = secret
        self._seen: dict[bytes, tuple[float, str, object]] = {}
        """Digest of a token whose signature and claims are good → (end, object id, stamp)."""
        self.lookup: Lookup = lambda _object_id: None
        """object id → the principal as it is now, None once removed; set by the identity service."""
        self.stamp: Callable[[str], str | None] = lambda _object_id: None
        """object id → what its tokens carry since its sessions were last ended; set by the identity service."""

    @classmethod
    async def open(cls, vault: Vault, endpoint: str, tenant: str) -> Tokens:
        """Read the keys, or make them at the first start."""
        stored = await vault.get("identity/keys")
        if stored is None:
            key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256", "kid": secrets.token_urlsafe(20)})
            stored = json.dumps({"signing": [key.as_dict(private=True)], "secret": secrets.token_urlsafe(32)})
            await vault.put("identity/keys", stored)
        document = json.loads(stored)
        keys = KeySet([RSAKey.import_key(key) for key in document["signing"]])
        return cls(endpoint, tenant, keys, OctKey.import_key(document["secret"]))

    @property
    def issuer(self) -> str:
        return f"{self.endpoint}/{self.tenant}/"

    def public_keys(self) -> dict[str, Any]:
        """The JSON Web Key Set that `jwks_uri` serves."""
        return {"keys": [{**key.as_dict(private=False), "x5t": key.kid} for key in self._keys.keys]}

    def access_token(self, principal: Principal, audience: str, client: str, grant: str) -> str:
        """A v1.0 token for `audience`; `client` is the application that asked, `grant` the OAuth grant type."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "aud": audience,
            "iss": self.issuer,
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME,
            "appid": client,
            "appidacr": "1" if grant == "client_credentials" else "0",
            "idp": self.issuer,
            "oid": principal.object_id,
            "sub": principal.object_id,
            "stamp": self.stamp(principal.object_id),
            "tid": self.tenant,
            "uti": secrets.token_urlsafe(16),
            "ver": "1.0",
        }
        if principal.kind == "ServicePrincipal":
            claims["idtyp"] = "app"
        else:
            claims |= {
                "idtyp": "user",
                "amr": ["pwd"],
                "name": principal.name,
                "scp": "user_impersonation",
                "unique_name": principal.name,
                "upn": principal.name,
            }
        return self._sign(claims)

    def id_token(self, principal: Principal, client: str, nonce: str | None = None) -> str:
        """An OpenID Connect ID token (v2.0) for a user."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "aud": client,
            "iss": f"{self.endpoint}/{self.tenant}/v2.0",
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME,
            "name": principal.name,
            "oid": principal.object_id,
            "preferred_username": principal.name,
            "upn": principal.name,
            "sub": hashlib.sha256(f"{client}:{principal.object_id}".encode()).hexdigest()[:43],
            "tid": self.tenant,
            "ver": "2.0",
        }
        if nonce:
            claims["nonce"] = nonce
        return self._sign(claims)

    def refresh_token(self, principal: Principal, client: str, stamp: str) -> str:
        """Opaque to clients, good until the principal's `stamp` changes (a new password, removal)."""
        claims = {
            "typ": "refresh",
            "oid": principal.object_id,
            "cid": client,
            "stamp": stamp,
            "exp": int(time.time()) + REFRESH_LIFETIME,
            "jti": str(uuid.uuid4()),
        }
        return jwt.encode({"alg": "HS256"}, claims, self._secret)

    def read_refresh_token(self, token: str) -> Mapping[str, Any]:
        """Its claims, expired or not. Raises ValueError where it is not ours."""
        try:
            claims = jwt.decode(token, self._secret, algorithms=["HS256"]).claims
        except (JoseError, ValueError, TypeError) as error:
            raise ValueError("not a refresh token") from error
        if claims.get("typ") != "refresh":
            raise ValueError("not a refresh token")
        return claims

    def authenticate(self, authorization: str | None) -> Principal:
        """The principal behind an `Authorization` header. Raises ArmError 401 as ARM words it."""
        if not authorization:
            raise self._refuse(
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing.",
                "The authentication failed because of missing 'Authorization' header.",
            )
        scheme, _, bearer = authorization.partition(" ")
        if scheme.lower() != "bearer" or not bearer.strip():
            raise self._refuse(
                "AuthenticationFailedInvalidHeader",
                "Authentication failed. The 'Authorization' header is provided in an invalid format.",
                "The 'Authorization' header is provided in an invalid format.",
            )
        return self.verify(bearer.strip())

    def verify(self, bearer: str) -> Principal:
        """The principal a token speaks for. Raises ArmError 401 as ARM words it."""
        digest = hashlib.sha256(bearer.encode("utf-8", "surrogatepass")).digest()
        known = self._seen.get(digest)
        if known is None:
            known = self._check(bearer)
            if len(self._seen) >= _CACHE:
                self._seen.clear()
            self._seen[digest] = known
        expires, object_id, stamp = known
        if expires <= time.time():
            raise self._expired(expires)
        principal = self.lookup(object_id)
        if principal is None:
            raise self._refuse("InvalidAuthenticationToken", "The access token is invalid.")
        if stamp != self.stamp(object_id):
            raise self._revoked()
        return principal

    def _check(self, bearer: str) -> tuple[float, str, object]:
        try:
            claims = jwt.decode(bearer, self._keys, algorithms=["RS256"]).claims
        except (JoseError, ValueError, TypeError) as error:
            raise self._refuse("InvalidAuthenticationToken", "The access token is invalid.") from error
        expires, not_before = claims.get("exp"), claims.get("nbf", 0)
        if not isinstance(expires, int | float) or not isinstance(not_before, int | float):
            raise self._refuse("InvalidAuthenticationToken", "The access token is invalid.")
        if expires <= time.time():
            raise self._expired(expires)
        if not_before > time.time() + _SKEW:
            raise self._refuse("InvalidAuthenticationToken", "The access token is not yet valid.")
        if claims.get("iss") != self.issuer or claims.get("tid") != self.tenant:
            raise self._refuse(
                "InvalidAuthenticationTokenTenant",
                f"The access token is from the wrong issuer '{claims.get('iss')}'. It must match the tenant "
                f"'{self.issuer}' associated with this subscription. Please use the authority (URL) "
                f"'{self.endpoint}/{self.tenant}' to get the token.",
            )
        if claims.get("aud") not in self.audiences:
            raise self._refuse(
                "InvalidAuthenticationTokenAudience",
                f"The access token has been obtained for wrong audience or resource '{claims.get('aud')}'. It should "
                f"exactly match with one of the allowed audiences {','.join(repr(a) for a in self.audiences)}.",
            )
        object_id = claims.get("oid")
        if not isinstance(object_id, str):
            raise self._refuse(
                "InvalidAuthenticationToken",
                "The received access token is not valid: at least one of the claims 'puid' or 'altsecid' or 'oid' "
                "should be present. If you are accessing as application please make sure service principal is "
                "properly created in the tenant.",
            )
        return float(expires), object_id, claims.get("stamp")

    def _sign(self, claims: dict[str, Any]) -> str:
        key = self._keys.keys[0]
        return jwt.encode({"alg": "RS256", "typ": "JWT", "kid": key.kid}, claims, key)

    def _expired(self, expires: float) -> ArmError:
        then, now = (
            f"{t.month}/{t.day}/{t.year} {t.hour % 12 or 12}:{t:%M:%S} {'AM' if t.hour < 12 else 'PM'}"
            for t in (datetime.fromtimestamp(expires, UTC), datetime.now(UTC))
        )
        return self._refuse(
            "ExpiredAuthenticationToken",
            f"The access token expiry UTC time '{then}' is earlier than current UTC time '{now}'.",
        )

    def _revoked(self) -> ArmError:
        """A claims challenge of continuous access evaluation: the client is to ask the identity service for a newer token,
        and hears there that its user has to sign in again. ARM's words in the body are unconfirmed."""
        newer = {"access_token": {"nbf": {"essential": True, "value": str(int(time.time()))}}}
        claims = base64.b64encode(json.dumps(newer).encode()).decode()
        return self._refuse(
            "InvalidAuthenticationToken",
            "The access token has been revoked.",
            "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: "
            "TokenIssuedBeforeRevocationTimestamp",
            f'error="insufficient_claims", claims="{claims}"',
        )

    def _refuse(
        self, code: str, message: str, description: str | None = None, error: str = 'error="invalid_token"'
    ) -> ArmError:
        challenge = (
            f'Bearer authorization_uri="{self.endpoint}/{self.tenant}", {error}, '
            f'error_description="{_quoted(description or message)}"'
        )
        return ArmError(401, code, message, headers={"WWW-Authenticate": challenge})


def _quoted(text: str) -> str:
    """Safe inside a quoted-string of a header: claims of a foreign token may have put anything into the message."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in text)

"""Signing in to the portal: authorization code with PKCE against the identity service, done by the server.

    browser ─ /portal/signin ─▶ 303 /{tenant}/oauth2/v2.0/authorize ─ password ─▶ 303 /portal/signin/callback ─▶ session cookie

Follows RFC 6749, 4.1, RFC 7636 and OpenID Connect Core, 3.1. What comes back in the address is a code and a state, never a
token; the state is bound to a cookie, so that nobody is signed in as somebody else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from azlan.services.identity import PORTAL

if TYPE_CHECKING:
    import httpx

_STATE_COOKIE = "__Host-azlan-portal-state"
_LIFETIME = 600.0
_MOST = 1000
CALLBACK = "/portal/signin/callback"


class Unanswered(Exception):
    """The identity service failed: what was asked may be asked again."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in under way; a restart of the control process makes the user begin again."""

    verifier: str
    nonce: str
    back: str
    expires: float


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What the identity service said, and the page that the user wanted."""

    name: str
    object_id: str
    access_token: str
    refresh_token: str
    back: str


class Authority:
    """The identity service as a client sees it. `identity` is its ASGI application."""

    def __init__(self, identity: ASGIApp, endpoint: str, tenant: str) -> None:
        self._identity = identity
        self._endpoint = endpoint
        self._tenant = tenant
        self._pending: dict[str, Pending] = {}

    @cached_property
    def _http(self) -> httpx.AsyncClient:
        # Imported where somebody signs in: a tenth of all imports, and many clouds have no user of the portal.
        import httpx

        return httpx.AsyncClient(transport=httpx.ASGITransport(self._identity), base_url=self._endpoint)

    def begin(self, back: str) -> Response:
        """Send the browser to sign in, and back to the page `back` afterwards."""
        state, verifier, nonce = (secrets.token_urlsafe(32) for _ in range(3))
        now = time.monotonic()
        self._pending = {name: pending for name, pending in self._pending.items() if pending.expires > now}
        while len(self._pending) >= _MOST:
            del self._pending[next(iter(self._pending))]
        self._pending[state] = Pending(verifier, nonce, back, now + _LIFETIME)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "client_id": PORTAL,
            "response_type": "code",
            "redirect_uri": self._endpoint + CALLBACK,
            "scope": f"{self._scope} openid profile offline_access",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        page = f"{self._endpoint}/{self._tenant}/oauth2/v2.0/authorize?{urlencode(asked)}"
        response = RedirectResponse(page, 303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
        response.set_cookie(
            _STATE_COOKIE, state, max_age=int(_LIFETIME), path="/", secure=True, httponly=True, samesite="strict"
        )
        return response

    async def finish(self, request: Request) -> SignedIn | None:
        """Redeem the code the browser came back with; None where this browser did not ask for it, or it is spent."""
        state, bound = request.query_params.get("state", ""), request.cookies.get(_STATE_COOKIE, "")
        if not bound or not hmac.compare_digest(state.encode(), bound.encode()):
            return None
        pending = self._pending.pop(state, None)
        code = request.query_params.get("code")
        if pending is None or pending.expires <= time.monotonic() or not code:
            return None
        answer = await self._token(
            grant_type="authorization_code",
            code=code,
            redirect_uri=self._endpoint + CALLBACK,
            code_verifier=pending.verifier,
        )
        if answer is None:
            return None
        # Straight from the token endpoint, so its signature need not be checked (OpenID Connect Core, 3.1.3.7).
        claims = _claims(answer["id_token"])
        if claims.get("aud") != PORTAL or claims.get("nonce") != pending.nonce:
            return None
        tokens = (answer["access_token"], answer["refresh_token"])
        return SignedIn(str(claims["preferred_username"]), str(claims["oid"]), *tokens, pending.back)

    async def refresh(self, refresh_token: str) -> str | None:
        """A new access token; None where the identity service refuses. Raises Unanswered."""
        answer = await self._token(grant_type="refresh_token", refresh_token=refresh_token)
        return None if answer is None else str(answer["access_token"])

    @staticmethod
    def forget(response: Response) -> None:
        response.delete_cookie(_STATE_COOKIE, path="/", secure=True, httponly=True, samesite="strict")

    @property
    def _scope(self) -> str:
        return f"{self._endpoint}/.default"

    async def _token(self, **form: str) -> dict[str, Any] | None:
        form |= {"client_id": PORTAL, "scope": self._scope}
        response = await self._http.post(f"/{self._tenant}/oauth2/v2.0/token", data=form)
        if response.status_code >= 500:
            raise Unanswered(f"the identity service answered {response.status_code}")
        return None if response.status_code != 200 else dict(response.json())


def _claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))

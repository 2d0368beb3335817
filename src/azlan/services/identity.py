"""The identity service: an OpenID provider at `/{tenant}` as Microsoft Entra lays it out, and at `/adfs` as AD FS does.

Follows "OAuth 2.0 and OIDC in the Microsoft identity platform": discovery, keys, and the token endpoint with the grants
client_credentials, password, refresh_token, device_code and authorization_code with PKCE. Every error is an AADSTS one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from azlan.arm.resource import Principal
from azlan.services import aadsts
from azlan.services.aadsts import AadError
from azlan.services.directory import DOMAIN, Directory, Entry, Locked
from azlan.services.tokens import LIFETIME, Tokens

AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
PORTAL = "c44b4083-3bb0-49c1-b47d-974e53cbdf3c"
PUBLIC_CLIENTS: Mapping[str, str] = {
    AZURE_CLI: "Microsoft Azure CLI",
    "1950a258-227b-4e31-a9cf-717495945fc2": "Microsoft Azure PowerShell",
    "aebc6443-996d-45c2-90f0-388ff96faa56": "Visual Studio Code",
    PORTAL: "Azure Portal",
}
"""Applications that hold no secret and that every tenant knows, by client id."""

UNVALIDATED = "/tfp/azlan"
"""The same authorities under a path as Azure AD B2C lays it out. MSAL.NET asks login.microsoftonline.com whether it knows
an authority, and AD FS's host on TCP port 443; one whose first segment is `tfp` it takes as it is (AuthorityInfo.cs,
NullAuthorityValidator). Az.Accounts cannot switch that question off for a client secret, so it is told this path."""
PREFIXES = ("", UNVALIDATED)
"""What an authority's path may begin with."""

TRUSTED_REALM = "http://schemas.microsoft.com/rel/trusted-realm"

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_OIDC_SCOPES = {"openid", "profile", "offline_access", "email"}
_BODY_LIMIT = 64 * 1024
_CODE_LIFETIME = 600
_DEVICE_LIFETIME = 900
_PENDING_LIMIT = 1000

Form = Mapping[str, str]


@dataclass(slots=True)
class DeviceGrant:
    """A device code that waits for its user."""

    user_code: str
    client: str
    scope: str
    expires: float
    object_id: str | None = None
    stamp: str = ""
    """Of the user's sign-ins, as in the directory when the user signed in."""

    def accept(self, entry: Entry) -> None:
        """The user has signed in on the code's page."""
        self.object_id, self.stamp = entry.object_id, entry.stamp


@dataclass(frozen=True, slots=True)
class CodeGrant:
    """An authorization code: what it was given for."""

    client: str
    redirect: str
    challenge: str
    object_id: str
    stamp: str
    nonce: str | None
    scope: str
    expires: float


@dataclass(slots=True)
class Pending:
    """Grants under way; they live minutes, and a restart of the control process makes the user begin again."""

    devices: dict[str, DeviceGrant] = field(default_factory=dict)
    codes: dict[str, CodeGrant] = field(default_factory=dict)

    def sweep(self) -> None:
        """Drop what has expired and keep both tables bounded, oldest out first."""
        now = time.monotonic()
        self.devices = {key: value for key, value in self.devices.items() if value.expires > now - 60}
        self.codes = {key: value for key, value in self.codes.items() if value.expires > now}
        for table in (self.devices, self.codes):
            while len(table) >= _PENDING_LIMIT:
                del table[next(iter(table))]


class Identity:
    """The service and its routes. `verify`/`authenticate` of `tokens` are what ARM asks."""

    def __init__(self, tokens: Tokens, directory: Directory) -> None:
        self.tokens = tokens
        self.directory = directory
        self.endpoint = tokens.endpoint
        self.tenant = tokens.tenant
        self.pending = Pending()
        tokens.lookup, tokens.stamp = directory.lookup, directory.stamp
        self._grants: dict[str, Callable[[Form, str], Awaitable[dict[str, Any]]]] = {
            "client_credentials": self._client_credentials,
            "password": self._password,
            "refresh_token": self._refresh,
            "authorization_code": self._authorization_code,
            DEVICE_GRANT: self._device_code,
            "device_code": self._device_code,
        }

    def routes(self) -> list[BaseRoute]:
        """Everything but the pages a browser sees, which are in `signin`."""
        get, post = ["GET"], ["POST"]
        routes: list[BaseRoute] = [
            Route("/common/discovery/instance", self.instance, methods=get),
            Route("/{tenant}/userrealm/{user}", self.user_realm, methods=get),
            Route("/.well-known/webfinger", self.webfinger, methods=get),
        ]
        for prefix in PREFIXES:
            authority = f"{prefix}/{{tenant}}"
            routes += [
                Route(f"{authority}/.well-known/openid-configuration", self.openid_configuration, methods=get),
                Route(f"{authority}/v2.0/.well-known/openid-configuration", self.openid_configuration, methods=get),
                Route(f"{authority}/discovery/keys", self.keys, methods=get),
                Route(f"{authority}/discovery/v2.0/keys", self.keys, methods=get),
                Route(f"{authority}/oauth2/token", self.token, methods=post),
                Route(f"{authority}/oauth2/v2.0/token", self.token, methods=post),
                Route(f"{authority}/oauth2/devicecode", self.device, methods=post),
                Route(f"{authority}/oauth2/v2.0/devicecode", self.device, methods=post),
            ]
        return routes

    # Discovery

    async def openid_configuration(self, request: Request) -> Response:
        authority = request.path_params["tenant"]
        try:
            self.check_tenant(authority, "invalid_tenant")
        except AadError as error:
            return self.failure(error)
        adfs = authority.lower() == "adfs"
        # A domain is answered with the tenant's id: that is how clients resolve `--tenant contoso.com`.
        base = f"{self.endpoint}/{self.tenant if authority.lower() == DOMAIN else authority}"
        oauth = f"{base}/oauth2" if adfs else f"{base}/oauth2/v2.0"
        return JSONResponse(
            {
                "issuer": f"{self.endpoint}/{'adfs' if adfs else self.tenant + '/v2.0'}",
                "authorization_endpoint": f"{oauth}/authorize",
                "token_endpoint": f"{oauth}/token",
                "device_authorization_endpoint": f"{oauth}/devicecode",
                "end_session_endpoint": f"{oauth}/logout",
                "jwks_uri": f"{base}/discovery/keys" if adfs else f"{base}/discovery/v2.0/keys",
                "response_modes_supported": ["query", "fragment", "form_post"],
                "response_types_supported": ["code"],
                "subject_types_supported": ["pairwise"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "grant_types_supported": [
                    "authorization_code", "client_credentials", "password", "refresh_token", DEVICE_GRANT,
                ],
                "code_challenge_methods_supported": ["S256"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
                "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "preferred_username", "name", "tid",
                                     "oid", "ver"],
                "http_logout_supported": False,
            }
        )  # fmt: skip

    async def keys(self, _request: Request) -> Response:
        return JSONResponse(self.tokens.public_keys())

    async def instance(self, _request: Request) -> Response:
        """Instance discovery: our own host is the one authority we vouch for."""
        host = self.endpoint.removeprefix("https://")
        return JSONResponse(
            {
                "tenant_discovery_endpoint": f"{self.endpoint}/{self.tenant}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
            }
        )

    async def webfinger(self, request: Request) -> Response:
        """RFC 7033, as AD FS answers a client that asks whether it is one. MSAL.NET asks on TCP port 443 alone, names the
        host without a port, and compares `href` with what it named."""
        resource = request.query_params.get("resource", "")
        if resource != f"https://{urlsplit(self.endpoint).hostname}":
            return JSONResponse({"error": "not_found"}, 404)
        return JSONResponse({"subject": resource, "links": [{"rel": TRUSTED_REALM, "href": resource}]})

    async def user_realm(self, request: Request) -> Response:
        _, _, domain = request.path_params["user"].rpartition("@")
        return JSONResponse(
            {
                "ver": "1.0",
                "account_type": "Managed",
                "domain_name": domain,
                "cloud_instance_name": self.endpoint.removeprefix("https://"),
                "cloud_audience_urn": "urn:federation:MicrosoftOnline",
            }
        )

    # Token and device code endpoints

    async def token(self, request: Request) -> Response:
        try:
            authority = request.path_params["tenant"]
            self.check_tenant(authority)
            form = await read_form(request)
            grant = form.get("grant_type")
            if not grant:
                raise aadsts.missing("grant_type")
            handler = self._grants.get(grant)
            if handler is None:
                raise aadsts.unsupported_grant(grant)
            return JSONResponse(await handler(form, authority), headers=_headers(request))
        except AadError as error:
            return self.failure(error, request)
        except Locked:
            return self.failure(aadsts.locked(), request)

    async def device(self, request: Request) -> Response:
        try:
            self.check_tenant(request.path_params["tenant"])
            form = await read_form(request)
            client = self.public_client(form)
            self.audience(form)
        except AadError as error:
            return self.failure(error, request)
        self.pending.sweep()
        alphabet = "BCDFGHJKLMNPQRSTVWXYZ23456789"
        user_code = "".join(secrets.choice(alphabet) for _ in range(9))
        device_code = secrets.token_urlsafe(48)
        self.pending.devices[device_code] = DeviceGrant(
            user_code, client, form.get("scope", ""), time.monotonic() + _DEVICE_LIFETIME
        )
        page = f"{self.endpoint}/devicelogin"
        return JSONResponse(
            {
                "user_code": user_code,
                "device_code": device_code,
                "verification_uri": page,
                "verification_url": page,
                "expires_in": _DEVICE_LIFETIME,
                "interval": 2,
                "message": f"To sign in, use a web browser to open the page {page} and enter the code {user_code} "
                "to authenticate.",
            },
            headers=_headers(request),
        )

    # Grants

    async def _client_credentials(self, form: Form, authority: str) -> dict[str, Any]:
        client = form.get("client_id") or ""
        if not client:
            raise aadsts.missing("client_id")
        entry = self.directory.application(client)
        if entry is None:
            raise aadsts.unknown_application(client, authority)
        secret = form.get("client_secret")
        if not secret:
            raise aadsts.missing_secret()
        audience = self.audience(form)
        if not await self.directory.check(entry, secret):
            raise aadsts.wrong_secret(client)
        principal = entry.principal(self.tenant)
        return {
            "token_type": "Bearer",
            "expires_in": LIFETIME - 1,
            "ext_expires_in": LIFETIME - 1,
            "access_token": self.tokens.access_token(principal, audience, client, "client_credentials"),
        }

    async def _password(self, form: Form, _authority: str) -> dict[str, Any]:
        client = self.public_client(form)
        audience = self.audience(form)
        for name in ("username", "password"):
            if not form.get(name):
                raise aadsts.missing(name)
        entry = await self.check_password(form["username"], form["password"])
        return self._user_answer(entry, client, audience, form, "password")

    async def check_password(self, username: str, password: str) -> Entry:
        """The user of that name and password. Raises AadError 50126; Locked."""
        entry = self.directory.named(username)
        if entry is None or entry.kind != "User":
            await self.directory.waste()
            raise aadsts.wrong_password()
        if not await self.directory.check(entry, password):
            raise aadsts.wrong_password()
        return entry

    async def _refresh(self, form: Form, _authority: str) -> dict[str, Any]:
        client = self.public_client(form)
        token = form.get("refresh_token")
        if not token:
            raise aadsts.missing("refresh_token")
        audience = self.audience(form)
        try:
            claims = self.tokens.read_refresh_token(token)
        except ValueError as error:
            raise aadsts.bad_refresh_token() from error
        if claims.get("cid") != client:
            raise aadsts.bad_refresh_token()
        if claims.get("exp", 0) < time.time():
            raise aadsts.expired_refresh_token()
        entry = self._still(str(claims.get("oid")), claims.get("stamp"))
        # The old token goes on to work beside the new one until it expires, as Entra's do: "they aren't revoked when used".
        return self._user_answer(entry, client, audience, form, "refresh_token")

    async def _device_code(self, form: Form, _authority: str) -> dict[str, Any]:
        code = form.get("device_code") or form.get("code") or ""
        grant = self.pending.devices.get(code)
        if grant is None or grant.client != form.get("client_id"):
            raise aadsts.bad_device_code()
        if grant.expires <= time.monotonic():
            raise aadsts.device_code_expired()
        if grant.object_id is None:
            raise aadsts.pending()
        del self.pending.devices[code]
        entry = self._still(grant.object_id, grant.stamp)
        asked = {**form, "scope": form.get("scope") or grant.scope}
        return self._user_answer(entry, grant.client, self.audience(asked), asked, "device_code")

    async def _authorization_code(self, form: Form, _authority: str) -> dict[str, Any]:
        client = self.public_client(form)
        for name in ("code", "redirect_uri", "code_verifier"):
            if not form.get(name):
                raise aadsts.missing(name)
        grant = self.pending.codes.pop(form["code"], None)  # one use, whatever comes of it
        if grant is None or grant.expires <= time.monotonic():
            raise aadsts.spent_code()
        if grant.client != client or grant.redirect != form["redirect_uri"]:
            raise aadsts.wrong_redirect(form["redirect_uri"], client)
        verifier = hashlib.sha256(form["code_verifier"].encode()).digest()
        if not hmac.compare_digest(_b64(verifier), grant.challenge):
            raise aadsts.wrong_verifier()
        entry = self._still(grant.object_id, grant.stamp)
        asked = {**form, "scope": form.get("scope") or grant.scope}
        return self._user_answer(entry, client, self.audience(asked), asked, "authorization_code", grant.nonce)

    def _still(self, object_id: str, stamp: object) -> Entry:
        """The user who signed in, unless his sessions have been ended since. Raises AadError."""
        entry = self.directory.entry(object_id)
        if entry is None:
            raise aadsts.unknown_user(self.tenant)
        if stamp != entry.stamp:
            raise aadsts.revoked()
        return entry

    def new_code(self, entry: Entry, asked: Form) -> str:
        """An authorization code for a user who has just signed in; `asked` is the authorization request."""
        self.pending.sweep()
        code = secrets.token_urlsafe(48)
        self.pending.codes[code] = CodeGrant(
            client=asked["client_id"],
            redirect=asked["redirect_uri"],
            challenge=asked["code_challenge"],
            object_id=entry.object_id,
            stamp=entry.stamp,
            nonce=asked.get("nonce"),
            scope=asked.get("scope", ""),
            expires=time.monotonic() + _CODE_LIFETIME,
        )
        return code

    # What the grants share

    def check_tenant(self, authority: str, error: str = "invalid_request") -> None:
        """Raises AadError 90002 for an authority that is not one of ours."""
        if authority.lower() not in (self.tenant, DOMAIN, "organizations", "common", "adfs"):
            raise aadsts.unknown_tenant(authority, error)

    def public_client(self, form: Form) -> str:
        """The client id of a client without a secret. Raises AadError."""
        client = (form.get("client_id") or "").lower()
        if not client:
            raise aadsts.missing("client_id")
        if client not in PUBLIC_CLIENTS:
            raise aadsts.unknown_application(client, self.tenant)
        return client

    def audience(self, form: Form) -> str:
        """The resource asked for: `scope` of v2.0 less its last segment, or `resource` of v1.0. Raises AadError."""
        resource = form.get("resource")
        if resource is None:
            scopes = [s for s in form.get("scope", "").split() if s not in _OIDC_SCOPES]
            if not scopes:
                raise aadsts.missing("scope")
            resource = scopes[0].rpartition("/")[0]
        if resource not in self.tokens.audiences:
            raise aadsts.unknown_resource(resource, self.tenant)
        return resource

    def _user_answer(
        self, entry: Entry, client: str, audience: str, form: Form, grant: str, nonce: str | None = None
    ) -> dict[str, Any]:
        principal: Principal = entry.principal(self.tenant)
        answer: dict[str, Any] = {
            "token_type": "Bearer",
            "scope": f"{audience}/user_impersonation {audience}/.default",
            "expires_in": LIFETIME - 1,
            "ext_expires_in": LIFETIME - 1,
            "access_token": self.tokens.access_token(principal, audience, client, grant),
            "refresh_token": self.tokens.refresh_token(principal, client, entry.stamp),
            "id_token": self.tokens.id_token(principal, client, nonce),
        }
        if form.get("client_info") == "1":
            answer["client_info"] = _b64(json.dumps({"uid": entry.object_id, "utid": self.tenant}).encode())
        return answer

    def failure(self, error: AadError, request: Request | None = None) -> Response:
        return JSONResponse(error.body(self.endpoint), error.status, headers=_headers(request))


def _headers(request: Request | None) -> dict[str, str]:
    """Of an answer; a client that asks for its request's id back gets it, as MSAL does to match its log with the service's."""
    headers = {"Cache-Control": "no-store"}
    if request is not None and request.headers.get("return-client-request-id", "").lower() == "true":
        headers["client-request-id"] = request.headers.get("client-request-id", "")
    return headers


async def read_form(request: Request) -> dict[str, str]:
    """An urlencoded body, the client's Basic credentials folded in (RFC 6749, 2.3.1). Raises AadError."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise AadError(90015, "invalid_request", "Requested query string is too long.", 413)
    try:
        form = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100))
    except ValueError as error:
        raise AadError(
            900144, "invalid_request", "The request body must be application/x-www-form-urlencoded."
        ) from error
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            client, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
        except ValueError as error:
            raise aadsts.missing_secret() from error
        form.setdefault("client_id", unquote_plus(client))
        form.setdefault("client_secret", unquote_plus(secret))
    return form


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

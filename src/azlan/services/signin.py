"""The two pages a browser sees: sign-in for the authorization code grant, and the page of a device code.

Follows RFC 6749, 4.1 with PKCE (RFC 7636) and OAuth 2.0 form post. No script but the one that posts a code home, a strict
Content-Security-Policy, a form token bound to a cookie; nothing is redirected to an address that was not checked first.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Mapping
from html import escape
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from azlan.services import aadsts
from azlan.services.aadsts import AadError
from azlan.services.directory import Entry, Locked
from azlan.services.identity import PORTAL, PREFIXES, PUBLIC_CLIENTS, Identity, read_form

_COOKIE = "__Host-azlan-signin"
_CARRIED = (
    "client_id",
    "response_type",
    "redirect_uri",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
)
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_STYLE = """
body{font:15px/1.5 "Segoe UI",system-ui,sans-serif;background:#f2f2f2;color:#1b1b1b;display:grid;place-items:center;
min-height:95vh;margin:0}main{background:#fff;padding:2.75rem;width:22rem;box-shadow:0 2px 6px #0003}
h1{font-size:1.5rem;font-weight:600;margin:0 0 .75rem}label{display:block;margin-top:1rem}
input{box-sizing:border-box;width:100%;font:inherit;padding:.4rem 0;border:0;border-bottom:1px solid #666}
input:focus{outline:0;border-bottom:2px solid #0067b8}button{margin-top:1.5rem;font:inherit;padding:.4rem 2rem;border:0;
background:#0067b8;color:#fff;float:right}button:focus-visible{outline:2px solid #1b1b1b}.error{color:#c50f1f}
.hint{color:#555;font-size:.85rem}
"""


class SignIn:
    """`/{tenant}/oauth2[/v2.0]/authorize|logout` and `/devicelogin`."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.endpoint = identity.endpoint

    def routes(self) -> list[BaseRoute]:
        both = ["GET", "POST"]
        routes: list[BaseRoute] = [Route("/devicelogin", self.device_login, methods=both)]
        for prefix in PREFIXES:
            for oauth in (f"{prefix}/{{tenant}}/oauth2", f"{prefix}/{{tenant}}/oauth2/v2.0"):
                routes.append(Route(f"{oauth}/authorize", self.authorize, methods=both))
                routes.append(Route(f"{oauth}/logout", self.logout, methods=["GET"]))
        return routes

    async def authorize(self, request: Request) -> Response:
        """Ask for name and password, then send the browser home with a code."""
        try:
            self.identity.check_tenant(request.path_params["tenant"])
            form = await read_form(request) if request.method == "POST" else dict(request.query_params)
            asked = {name: form[name] for name in _CARRIED if name in form}
            client = self.identity.public_client(asked)
            asked["client_id"] = client
            self._check_redirect(asked, client)
        except AadError as error:
            return self._error_page(error)
        try:  # from here on the redirect address is known to be good, and errors go to it
            self._check_request(asked)
        except AadError as error:
            answer = {"error": error.error, "error_description": f"AADSTS{error.number}: {error.message}"}
            return self._send_home(asked, answer)
        if request.method == "GET":
            return self._sign_in_page(asked, form.get("login_hint", ""))
        if (refused := self._refuse_forgery(request, form)) is not None:
            return refused
        entry = await self._sign_in(form)
        if isinstance(entry, AadError):
            return self._sign_in_page(asked, form.get("username", ""), entry)
        answer = {"code": self.identity.new_code(entry, asked), "session_state": secrets.token_hex(16)}
        return self._send_home(asked, answer)

    async def device_login(self, request: Request) -> Response:
        """Bind the code that a device shows to the user who signs in here."""
        if request.method == "GET":
            return self._device_page(request.query_params.get("otc", ""))
        try:
            form = await read_form(request)
        except AadError as error:
            return self._error_page(error)
        if (refused := self._refuse_forgery(request, form)) is not None:
            return refused
        user_code = form.get("otc", "").strip().upper()
        grant = next(
            (
                grant
                for grant in self.identity.pending.devices.values()
                if hmac.compare_digest(grant.user_code.encode(), user_code.encode())
                and grant.expires > time.monotonic()
                and grant.object_id is None
            ),
            None,
        )
        # The password first: whoever cannot sign in learns nothing about codes.
        entry = await self._sign_in(form)
        if isinstance(entry, AadError):
            return self._device_page(user_code, form.get("username", ""), entry.message)
        if grant is None:
            return self._device_page("", entry.name, "That code didn't work. Check the code and try again.")
        grant.accept(entry)
        application = PUBLIC_CLIENTS[grant.client]
        return _page(
            "Signed in",
            f"<p>You have signed in to <strong>{escape(application)}</strong> as {escape(entry.name)}.</p>"
            "<p>You may now close this window.</p>",
        )

    async def logout(self, _request: Request) -> Response:
        return _page("Signed out", "<p>No session is kept in this browser. You may close this window.</p>")

    async def _sign_in(self, form: Mapping[str, str]) -> Entry | AadError:
        try:
            return await self.identity.check_password(form.get("username", ""), form.get("password", ""))
        except AadError as error:
            return error
        except Locked:
            return aadsts.locked()

    def _check_redirect(self, asked: Mapping[str, str], client: str) -> None:
        """Native clients are sent to loopback alone, the portal to our own origin. [::1] is no loopback here, as in
        Microsoft Entra ID (and no policy could name it: CSP knows no IPv6 addresses)."""
        redirect = asked.get("redirect_uri", "")
        try:
            parts = urlsplit(redirect)
            _ = parts.port
        except ValueError as error:
            raise aadsts.wrong_redirect(redirect, client) from error
        clean = not parts.username and not parts.password and not parts.fragment
        own = f"{parts.scheme}://{parts.netloc}" == self.endpoint
        loopback = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1")
        if not clean or not (own if client == PORTAL else loopback):
            raise aadsts.wrong_redirect(redirect, client)

    def _check_request(self, asked: Mapping[str, str]) -> None:
        if asked.get("response_type") != "code":
            raise aadsts.unsupported_response_type(asked.get("response_type", ""))
        if asked.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(asked.get("code_challenge", "")):
            raise aadsts.pkce_required()
        self.identity.audience(asked)

    def _send_home(self, asked: Mapping[str, str], answer: dict[str, str]) -> Response:
        """To the checked redirect address, by the response mode that was asked for."""
        if "state" in asked:
            answer["state"] = asked["state"]
        home = asked["redirect_uri"]
        mode = asked.get("response_mode", "query")
        if mode == "form_post":
            return _form_post(home, answer)
        mark = "#" if mode == "fragment" else "&" if "?" in home else "?"
        response: Response = RedirectResponse(f"{home}{mark}{urlencode(answer)}", 303)
        response.headers["Cache-Control"] = "no-store"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def _refuse_forgery(self, request: Request, form: Mapping[str, str]) -> Response | None:
        """The form must come from our own page: its token equals the cookie's, and the browser names our origin."""
        cookie, token = request.cookies.get(_COOKIE, ""), form.get("csrf", "")
        origin = request.headers.get("origin")
        foreign = origin is not None and origin not in (self.endpoint, "null")
        if not cookie or foreign or not hmac.compare_digest(cookie.encode(), token.encode()):
            return _page("Sign in", "<p class=error>This page has expired. Go back and try again.</p>", status=403)
        return None

    def _sign_in_page(self, asked: Mapping[str, str], username: str, error: AadError | None = None) -> Response:
        carried = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in asked.items()
        )
        return self._form_page(
            "Sign in",
            f"<p>to continue to <strong>{escape(PUBLIC_CLIENTS[asked['client_id']])}</strong></p>",
            carried + _credentials(username),
            error.message if error else "",
        )

    def _device_page(self, user_code: str, username: str = "", error: str = "") -> Response:
        field = (
            '<label>Code shown by your app<input name="otc" required maxlength="20" autocomplete="off" '
            f'value="{escape(user_code)}"></label>'
        )
        return self._form_page(
            "Enter code",
            '<p class="hint">Do not enter a code that someone else sent you.</p>',
            field + _credentials(username),
            error,
        )

    def _form_page(self, title: str, lead: str, fields: str, error: str) -> Response:
        token = secrets.token_urlsafe(24)
        trouble = f'<p class="error" role="alert">{escape(error)}</p>' if error else ""
        response = _page(
            title,
            f'{lead}{trouble}<form method="post"><input type="hidden" name="csrf" value="{token}">{fields}'
            '<button type="submit">Sign in</button></form>'
            '<p class="hint">Accounts of this cloud are made with <code>azlan user add</code>.</p>',
        )
        response.set_cookie(_COOKIE, token, max_age=1800, path="/", secure=True, httponly=True, samesite="strict")
        return response

    def _error_page(self, error: AadError) -> Response:
        return _page("Sign in", f"<p class=error>AADSTS{error.number}: {escape(error.message)}</p>", error.status)


def _credentials(username: str) -> str:
    return (
        f'<label>User name<input name="username" required autocomplete="username" value="{escape(username)}"></label>'
        '<label>Password<input name="password" type="password" required autocomplete="current-password"></label>'
    )


def _form_post(home: str, answer: Mapping[str, str]) -> Response:
    fields = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in answer.items()
    )
    nonce = secrets.token_urlsafe(16)
    body = (
        f'<form method="post" action="{escape(home)}">{fields}<button type="submit">Continue</button></form>'
        f'<script nonce="{nonce}">document.forms[0].submit()</script>'
    )
    return _page("Signing in", body, nonce=nonce)


def _page(title: str, body: str, status: int = 200, nonce: str | None = None) -> HTMLResponse:
    nonce = nonce or secrets.token_urlsafe(16)
    document = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>'
        f'{escape(title)} · Azlan</title><meta name="viewport" content="width=device-width"><style nonce="{nonce}">'
        f"{_STYLE}</style></head><body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )
    # form-action names loopback because browsers apply it to the redirect that answers a form as well.
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; base-uri 'none'; "
        "frame-ancestors 'none'; form-action 'self' http://localhost:* http://127.0.0.1:*"
    )
    return HTMLResponse(
        document,
        status,
        headers={
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        },
    )

"""How one signs in, over real HTTP, against a cloud that is served: every grant, its refusals, and how a session ends.

Follows "Microsoft identity platform and OAuth 2.0 authorization code flow", "… device authorization grant", "refresh tokens
in the Microsoft identity platform" and "Microsoft Entra authentication and authorization error codes". The browser is an
HTTP client that fills in the pages' forms.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from azlan.commands.clouds import CloudClient
from azlan.services.identity import AZURE_CLI, DEVICE_GRANT
from served import Served, served

pytestmark = pytest.mark.slow

HOME = "http://localhost:40123/"
PASSWORD = "Correct-Horse7Battery"
Json = dict[str, Any]


@dataclass
class Door:
    """A served cloud, its token endpoint, and a browser."""

    cloud: Served

    def __post_init__(self) -> None:
        self.admin = CloudClient(self.cloud.config)
        base = {
            "base_url": self.cloud.config.endpoint,
            "verify": self.admin.context(),
            "timeout": 60,
            "trust_env": False,
        }
        self.http = httpx.Client(**base)  # type: ignore[arg-type]
        self.browser = httpx.Client(**base)  # type: ignore[arg-type]
        self.scope = f"{self.cloud.config.endpoint}//.default offline_access openid profile"

    def user(self, name: str | None = None, kind: str = "User", **more: Any) -> Json:
        asked = {"name": name or f"user-{secrets.token_hex(4)}", "kind": kind, "role": "Reader", **more}
        return dict(self.admin.admin("POST", "/users", {"password": PASSWORD, **asked}))

    def token(self, authority: str = "organizations", **form: str) -> httpx.Response:
        return self.http.post(f"/{authority}/oauth2/v2.0/token", data={"client_id": AZURE_CLI, **form})

    def reads(self, token: str) -> int:
        path = f"/subscriptions/{self.cloud.config.subscription}?api-version=2022-12-01"
        return self.http.get(path, headers={"Authorization": f"Bearer {token}"}).status_code

    def authorize(self, **changed: str | None) -> tuple[dict[str, str], httpx.Response]:
        """The first request of the code grant, as az's browser sends it."""
        asked = {
            "client_id": AZURE_CLI,
            "response_type": "code",
            "redirect_uri": HOME,
            "scope": self.scope,
            "state": 'kept & "quoted" <state>',
            "nonce": secrets.token_urlsafe(8),
            "code_challenge_method": "S256",
            **changed,
        }
        given = {name: value for name, value in asked.items() if value is not None}
        return given, self.browser.get("/organizations/oauth2/v2.0/authorize", params=given)

    def submit(self, page: httpx.Response, **typed: str) -> httpx.Response:
        """Fill in a page's form."""
        hidden = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.text)
        fields = {unescape(name): unescape(value) for name, value in hidden}
        return self.browser.post(str(page.url.copy_with(query=None)), data={**fields, **typed})

    def code(self, name: str, challenge: str, **changed: str | None) -> dict[str, str]:
        """What the browser is sent home with."""
        _, page = self.authorize(code_challenge=challenge, **changed)
        assert page.status_code == 200, page.text
        home = self.submit(page, username=name, password=PASSWORD)
        assert home.status_code == 303, home.text
        location = home.headers["location"]
        assert location.startswith(HOME)
        return {key: values[0] for key, values in parse_qs(urlsplit(location).query).items()}

    def by_password(self, name: str) -> Json:
        answer = self.token(grant_type="password", username=name, password=PASSWORD, scope=self.scope)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def refresh(self, token: str, **changed: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token, "scope": self.scope, **changed}
        return self.token(**form)


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with served() as cloud:
        made = Door(cloud)
        yield made
        made.http.close()
        made.browser.close()


def pkce() -> tuple[str, str]:
    verifier = secrets.token_urlsafe(48)
    return verifier, base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def refused(answer: httpx.Response, number: int, error: str, status: int = 400) -> None:
    document = answer.json()
    assert (answer.status_code, document["error"], document["error_codes"]) == (status, error, [number]), document


# -- authorization code + PKCE -----------------------------------------------------------------------------------------


def redeem(door: Door, code: str, verifier: str, **changed: str) -> httpx.Response:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": HOME, "code_verifier": verifier}
    return door.token(**{**form, "scope": door.scope, **changed})


def test_code_is_good_once(door: Door) -> None:
    name = door.user()["name"]
    verifier, challenge = pkce()
    home = door.code(name, challenge)
    assert home["state"] == 'kept & "quoted" <state>'
    answer = redeem(door, home["code"], verifier)
    assert answer.status_code == 200, answer.text
    assert {"access_token", "refresh_token", "id_token"} <= set(answer.json())
    assert door.reads(answer.json()["access_token"]) == 200
    refused(redeem(door, home["code"], verifier), 54005, "invalid_grant")


@pytest.mark.parametrize(
    ("changed", "number", "error"),
    [
        ({"code_verifier": "w" * 64}, 501481, "invalid_grant"),
        ({"redirect_uri": "http://localhost:40124/"}, 50011, "invalid_request"),
        ({"redirect_uri": "http://localhost:40123"}, 50011, "invalid_request"),
        ({"client_id": "1950a258-227b-4e31-a9cf-717495945fc2"}, 50011, "invalid_request"),
        ({"code_verifier": ""}, 900144, "invalid_request"),
    ],
)
def test_code_of_another_is_refused(door: Door, changed: dict[str, str], number: int, error: str) -> None:
    """Somebody who saw the code has neither the verifier nor the address."""
    name = door.user()["name"]
    verifier, challenge = pkce()
    refused(redeem(door, door.code(name, challenge)["code"], verifier, **changed), number, error)


@pytest.mark.parametrize(
    "redirect",
    [
        "http://evil.example/", "https://localhost.evil.example/", "http://localhost@evil.example/", "http://127.0.0.1.evil.example/",
        "https://localhost:40123/", "javascript:alert(1)", "//localhost/", "http://localhost:99999/", "http://[::2]/", "", None,
        "http://localhost:40123/#fragment", "http://user:pass@localhost:40123/",
    ],
)  # fmt: skip
def test_browser_is_sent_to_loopback_alone(door: Door, redirect: str | None) -> None:
    _, page = door.authorize(code_challenge=pkce()[1], redirect_uri=redirect)
    assert page.status_code == 400
    assert "AADSTS50011" in page.text
    assert "location" not in page.headers


@pytest.mark.parametrize(
    ("changed", "error", "number"),
    [
        ({"code_challenge_method": "plain"}, "invalid_request", 9002325),
        ({"code_challenge_method": None}, "invalid_request", 9002325),
        ({"code_challenge": None}, "invalid_request", 9002325),
        ({"code_challenge": "short"}, "invalid_request", 9002325),
        ({"response_type": "token"}, "unsupported_response_type", 700054),
        ({"scope": "https://graph.microsoft.com/.default"}, "invalid_resource", 500011),
    ],
)
def test_bad_requests_are_told_at_home(door: Door, changed: dict[str, str | None], error: str, number: int) -> None:
    _, page = door.authorize(**{"code_challenge": pkce()[1], **changed})
    assert page.status_code == 303
    home = {key: values[0] for key, values in parse_qs(urlsplit(page.headers["location"]).query).items()}
    assert home["error"] == error
    assert home["error_description"].startswith(f"AADSTS{number}: ")
    assert home["state"] == 'kept & "quoted" <state>'


def test_page_takes_no_form_but_its_own(door: Door) -> None:
    name = door.user()["name"]
    given, page = door.authorize(code_challenge=pkce()[1])
    path = "/organizations/oauth2/v2.0/authorize"
    typed = {**given, "username": name, "password": PASSWORD}
    assert door.browser.post(path, data={**typed, "csrf": "guess"}).status_code == 403
    assert door.http.post(path, data=typed).status_code == 403
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert token is not None
    foreign = door.browser.post(path, data={**typed, "csrf": token[1]}, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    wrong = door.submit(page, username=name, password="wrong")
    assert "Error validating credentials" in wrong.text
    assert door.submit(wrong, username=name, password=PASSWORD).status_code == 303


# -- device code -------------------------------------------------------------------------------------------------------


def begin(door: Door) -> Json:
    answer = door.http.post("/organizations/oauth2/v2.0/devicecode", data={"client_id": AZURE_CLI, "scope": door.scope})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_device_code(door: Door) -> None:
    name = door.user()["name"]
    given = begin(door)
    form = {"grant_type": DEVICE_GRANT, "device_code": given["device_code"]}
    refused(door.token(**form), 70016, "authorization_pending")
    page = door.browser.get(urlsplit(given["verification_uri"]).path)
    wrong = door.submit(page, otc="ABCDEFGHJ", username=name, password=PASSWORD)
    assert "That code didn" in wrong.text
    refused(door.token(**form), 70016, "authorization_pending")
    assert (
        "You have signed in"
        in door.submit(wrong, otc=given["user_code"].lower(), username=name, password=PASSWORD).text
    )
    refused(door.token(**{**form, "client_id": "1950a258-227b-4e31-a9cf-717495945fc2"}), 90019, "bad_verification_code")
    answer = door.token(**form)
    assert door.reads(answer.json()["access_token"]) == 200
    refused(door.token(**form), 90019, "bad_verification_code")
    refused(door.token(grant_type=DEVICE_GRANT, device_code="none"), 90019, "bad_verification_code")


# -- secrets and passwords ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("authority", ["adfs", "organizations", "{tenant}"])
def test_password(door: Door, authority: str) -> None:
    name = door.user()["name"]
    place = authority.format(tenant=door.cloud.config.tenant)
    form = {"grant_type": "password", "username": name, "scope": door.scope}
    assert door.reads(door.token(place, **form, password=PASSWORD).json()["access_token"]) == 200
    refused(door.token(place, **form, password="wrong"), 50126, "invalid_grant")
    refused(door.token(place, **{**form, "username": "nobody"}, password=PASSWORD), 50126, "invalid_grant")


def test_client_secret(door: Door) -> None:
    made = door.user(kind="ServicePrincipal")
    form = {
        "grant_type": "client_credentials",
        "client_id": made["applicationId"],
        "scope": f"{door.cloud.config.endpoint}/.default",
    }
    tenant = door.cloud.config.tenant
    assert door.reads(door.token(tenant, **form, client_secret=PASSWORD).json()["access_token"]) == 200
    refused(door.token(tenant, **form, client_secret="wrong"), 7000215, "invalid_client", 401)
    refused(door.token(tenant, **form), 7000216, "invalid_client", 401)
    refused(door.token("contoso.example", **form, client_secret=PASSWORD), 90002, "invalid_request")


# -- refresh, and the end of sessions ----------------------------------------------------------------------------------


def test_refresh_tokens_go_on_to_work(door: Door) -> None:
    """Entra gives a new one with each use and leaves the old one as it is: clients may keep either."""
    name = door.user()["name"]
    first = door.by_password(name)["refresh_token"]
    second = door.refresh(first).json()
    assert second["refresh_token"] != first
    assert door.reads(second["access_token"]) == 200
    for token in (first, second["refresh_token"], first):
        assert door.refresh(token).status_code == 200
    refused(door.refresh(first, client_id="1950a258-227b-4e31-a9cf-717495945fc2"), 70000, "invalid_grant")
    refused(door.refresh(first[:-2]), 70000, "invalid_grant")
    refused(door.refresh(second["access_token"]), 70000, "invalid_grant")
    refused(door.refresh(""), 900144, "invalid_request")


def test_removal_ends_sessions(door: Door) -> None:
    name = door.user()["name"]
    session = door.by_password(name)
    door.admin.admin("DELETE", f"/users/{name}")
    assert door.reads(session["access_token"]) == 401
    refused(door.refresh(session["refresh_token"]), 50034, "invalid_grant")


@pytest.mark.parametrize("how", ["password", "revoke"])
def test_new_password_and_revoking_end_sessions(door: Door, how: str) -> None:
    name = door.user()["name"]
    session = door.by_password(name)
    verifier, challenge = pkce()
    code, given = door.code(name, challenge)["code"], begin(door)
    door.submit(door.browser.get("/devicelogin"), otc=given["user_code"], username=name, password=PASSWORD)
    if how == "password":
        door.user(name, renew=True)
    else:
        door.admin.admin("POST", f"/users/{name}/revoke")
    assert door.reads(session["access_token"]) == 401
    refused(door.refresh(session["refresh_token"]), 50173, "invalid_grant")
    refused(redeem(door, code, verifier), 50173, "invalid_grant")
    refused(door.token(grant_type=DEVICE_GRANT, device_code=given["device_code"]), 50173, "invalid_grant")
    assert door.reads(door.by_password(name)["access_token"]) == 200


def test_removal_ends_grants_under_way(door: Door) -> None:
    name = door.user()["name"]
    verifier, challenge = pkce()
    code = door.code(name, challenge)["code"]
    given = begin(door)
    page = door.browser.get("/devicelogin")
    door.submit(page, otc=given["user_code"], username=name, password=PASSWORD)
    door.admin.admin("DELETE", f"/users/{name}")
    refused(redeem(door, code, verifier), 50034, "invalid_grant")
    refused(door.token(grant_type=DEVICE_GRANT, device_code=given["device_code"]), 50034, "invalid_grant")

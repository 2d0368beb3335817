"""The pages a browser sees: who gets a code, and who is never redirected anywhere."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from azlan.services.identity import AZURE_CLI, PORTAL, PREFIXES

from .conftest import ENDPOINT, PASSWORD, Tenant
from .test_identity import CHALLENGE, HOME, SCOPE, device, redeem

PATH = "/organizations/oauth2/v2.0/authorize"
ASKED = {
    "client_id": AZURE_CLI,
    "response_type": "code",
    "redirect_uri": HOME,
    "scope": SCOPE,
    "state": 'st"ate&<',
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
USER = {"username": "ann", "password": PASSWORD}


def hidden(page: httpx.Response) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
    return {unescape(name): unescape(value) for name, value in found}


async def sign_in(tenant: Tenant, typed: dict[str, str] = USER, path: str = PATH, **changed: str) -> httpx.Response:
    page = await tenant.http.get(path, params=ASKED | changed)
    assert page.status_code == 200, page.text
    return await tenant.http.post(path, data=hidden(page) | typed, headers={"Origin": ENDPOINT})


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_a_user_is_sent_home_with_a_code(tenant: Tenant, prefix: str) -> None:
    response = await sign_in(tenant, path=prefix + PATH)
    assert response.status_code == 303
    home = urlsplit(response.headers["Location"])
    answer = {name: values[0] for name, values in parse_qs(home.query).items()}
    assert f"{home.scheme}://{home.netloc}" == HOME
    assert answer["state"] == 'st"ate&<'
    assert (await redeem(tenant, answer["code"])).status_code == 200


async def test_form_post(tenant: Tenant) -> None:
    response = await sign_in(tenant, response_mode="form_post")
    assert f'action="{HOME}"' in response.text
    answer = hidden(response)
    assert answer["state"] == 'st"ate&<'
    assert (await redeem(tenant, answer["code"])).status_code == 200
    nonce = re.search(r'<script nonce="([^"]+)">', response.text)
    assert nonce is not None
    assert f"script-src 'nonce-{nonce[1]}'" in response.headers["Content-Security-Policy"]


async def test_the_portal_comes_back_to_our_own_origin(tenant: Tenant) -> None:
    response = await sign_in(tenant, client_id=PORTAL, redirect_uri=f"{ENDPOINT}/portal", response_mode="fragment")
    assert response.headers["Location"].startswith(f"{ENDPOINT}/portal#code=")


@pytest.mark.parametrize(
    "redirect",
    [
        "https://evil.example/",
        "http://localhost.evil.example:80",
        "http://localhost@evil.example/",
        "http://evil.example\\@localhost:1",
        "javascript:alert(1)",
        "http://localhost:99999",
        "//localhost:1",
        "http://[::1]:1/",
        "",
    ],
)
async def test_nobody_is_sent_to_a_foreign_address(tenant: Tenant, redirect: str) -> None:
    page = await tenant.http.get(PATH, params=ASKED | {"redirect_uri": redirect})
    assert page.status_code == 400
    assert "Location" not in page.headers
    assert "AADSTS50011" in page.text


async def test_az_is_not_sent_to_our_origin_nor_the_portal_to_loopback(tenant: Tenant) -> None:
    for client, redirect in ((AZURE_CLI, f"{ENDPOINT}/portal"), (PORTAL, HOME)):
        page = await tenant.http.get(PATH, params=ASKED | {"client_id": client, "redirect_uri": redirect})
        assert page.status_code == 400


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"scope": "https://graph.microsoft.com/.default"}, "invalid_resource"),
    ],
)
async def test_bad_requests_are_told_to_the_application(tenant: Tenant, changed: dict[str, str], error: str) -> None:
    response = await tenant.http.get(PATH, params=ASKED | changed)
    answer = parse_qs(urlsplit(response.headers["Location"]).query)
    assert (response.status_code, answer["error"], answer["state"]) == (303, [error], ['st"ate&<'])


async def test_wrong_password_shows_the_page_again(tenant: Tenant) -> None:
    response = await sign_in(tenant, {"username": 'a"<b>', "password": "wrong"})
    assert response.status_code == 200
    assert "Error validating credentials" in response.text
    assert 'value="a&quot;&lt;b&gt;"' in response.text
    assert PASSWORD not in response.text


async def test_unknown_application_and_tenant(tenant: Tenant) -> None:
    page = await tenant.http.get(PATH, params=ASKED | {"client_id": "<script>"})
    assert "AADSTS700016" in page.text
    assert "<script>" not in page.text
    other = await tenant.http.get("/nowhere/oauth2/v2.0/authorize", params=ASKED)
    assert "AADSTS90002" in other.text


async def test_a_forged_form_is_refused(tenant: Tenant) -> None:
    page = await tenant.http.get(PATH, params=ASKED)
    form = hidden(page) | USER
    elsewhere = await tenant.http.post(PATH, data=form, headers={"Origin": "https://evil.example"})
    assert elsewhere.status_code == 403
    guessed = await tenant.http.post(PATH, data=form | {"csrf": "guess"}, headers={"Origin": ENDPOINT})
    assert guessed.status_code == 403
    tenant.http.cookies.clear()
    without = await tenant.http.post(PATH, data=form, headers={"Origin": ENDPOINT})
    assert without.status_code == 403


async def test_pages_are_sealed(tenant: Tenant) -> None:
    page = await tenant.http.get(PATH, params=ASKED)
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    cookie = page.headers["Set-Cookie"]
    assert all(word in cookie for word in ("__Host-", "HttpOnly", "Secure", "SameSite=strict", "Path=/"))


async def test_device_page(tenant: Tenant) -> None:
    shown = await device(tenant)
    page = await tenant.http.get("/devicelogin")
    typed = hidden(page) | USER | {"otc": shown["user_code"].lower()}
    done = await tenant.http.post("/devicelogin", data=typed, headers={"Origin": ENDPOINT})
    assert "You have signed in to <strong>Microsoft Azure CLI</strong>" in done.text
    assert tenant.identity.pending.devices[shown["device_code"]].object_id == tenant.user


async def test_device_page_with_a_wrong_code_or_password(tenant: Tenant) -> None:
    shown = await device(tenant)
    for typed in (USER | {"otc": "WRONGCODE"}, {"username": "ann", "password": "x", "otc": shown["user_code"]}):
        page = await tenant.http.get("/devicelogin")
        answer = await tenant.http.post("/devicelogin", data=hidden(page) | typed, headers={"Origin": ENDPOINT})
        assert 'role="alert"' in answer.text
    assert tenant.identity.pending.devices[shown["device_code"]].object_id is None

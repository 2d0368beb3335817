"""The portal's backend over the real wiring: who gets in, what goes through, and what no other origin can make it do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from azlan.services import directory as directory_module
from azlan.services import portal_session
from azlan.services.portal import COOKIE, HEADER
from azlan.services.portal_bundle import Bundle
from kit import Cloud, cloud

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSWORD = "correct horse 1"
OURS = {HEADER: "1"}
FOREIGN = "https://evil.example"


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_module, "_SCRYPT_N", 2)


@asynccontextmanager
async def browser(made: Cloud) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that keeps its cookies and follows no redirect by itself."""
    transport = httpx.ASGITransport(made.process.asgi)
    async with httpx.AsyncClient(transport=transport, base_url=made.process.config.endpoint) as http:
        yield http


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cloud]:
    async with cloud(tmp_path_factory.mktemp("portal")) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def made(one_cloud: Cloud) -> AsyncIterator[Cloud]:
    """The cloud of all these tests, with an owner `ann` who is new in each."""
    directory = one_cloud.process.identity.directory
    entry, _ = await directory.add("ann", "User", PASSWORD)
    principal = entry.principal(one_cloud.process.config.tenant)
    await one_cloud.roles.assign(principal, "Owner", f"/subscriptions/{one_cloud.process.config.subscription}")
    yield one_cloud
    await one_cloud.roles.withdraw(entry.object_id)
    with contextlib.suppress(KeyError):
        await directory.remove(entry.object_id)


async def callback(http: httpx.AsyncClient, back: str = "/") -> str:
    """Sign in up to the address the identity service sends the browser back to."""
    start = await http.get("/portal/signin", params={"return": back})
    page = await http.get(start.headers["location"])
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
    form = {unescape(name): unescape(value) for name, value in hidden} | {"username": "ann", "password": PASSWORD}
    home = await http.post(page.url.path, data=form, headers={"Origin": str(http.base_url).rstrip("/")})
    assert home.status_code == 303, home.text
    return str(home.headers["location"])


async def sign_in(http: httpx.AsyncClient, back: str = "/") -> httpx.Response:
    return await http.get(await callback(http, back))


def subscription(made: Cloud) -> str:
    return f"/portal/arm/subscriptions/{made.process.config.subscription}"


async def resources(http: httpx.AsyncClient, made: Cloud, **headers: str) -> httpx.Response:
    path = f"{subscription(made)}/resources?api-version=2024-11-01"
    return await http.get(path, headers=OURS | {name.replace("_", "-"): value for name, value in headers.items()})


async def test_a_user_signs_in_and_sees_what_the_api_answers_that_user(made: Cloud) -> None:
    async with browser(made) as http:
        assert (await resources(http, made)).status_code == 401
        landed = await sign_in(http, "/resource/subscriptions/x?tab=1")
        assert (landed.status_code, landed.headers["location"]) == (303, "/resource/subscriptions/x?tab=1")
        assert (await http.get("/portal/session", headers=OURS)).json()["name"] == "ann@azlan.localhost"
        assert (await resources(http, made)).json() == {"value": []}


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(made: Cloud) -> None:
    async with browser(made) as http:
        landed = await sign_in(http)
        [cookie] = [line for line in landed.headers.get_list("set-cookie") if line.startswith(f"{COOKIE}=")]
        words = {word.strip().lower() for word in cookie.split(";")[1:]}
        assert {"httponly", "secure", "samesite=strict", "path=/"} <= words


async def test_no_answer_to_the_browser_holds_a_token(made: Cloud) -> None:
    async with browser(made) as http:
        home = await callback(http)
        assert "eyJ" not in home  # as every JSON Web Token begins
        landed = await http.get(home)
        for answer in (landed, await http.get("/portal/session", headers=OURS), await resources(http, made)):
            assert "eyJ" not in answer.text + str(answer.headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {HEADER: "1", "Origin": FOREIGN},
        {HEADER: "1", "Origin": "null"},
        {HEADER: "1", "Sec-Fetch-Site": "cross-site"},
        {HEADER: "1", "Sec-Fetch-Site": "same-site"},
        {HEADER: "1", "Sec-Fetch-Site": "none"},
    ],
    ids=["without the header", "another origin", "no origin", "cross-site", "another port", "typed by hand"],
)
async def test_another_sites_page_can_do_nothing_with_the_cookie(made: Cloud, headers: dict[str, str]) -> None:
    async with browser(made) as http:
        await sign_in(http)
        group = f"{subscription(made)}/resourceGroups/rg?api-version=2024-11-01"
        tries = [(method, group) for method in ("GET", "PUT", "PATCH", "DELETE", "POST")]
        for method, path in (*tries, ("POST", "/portal/bastion/tickets")):
            answer = await http.request(method, path, json={"location": "eastus2"}, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "CrossSiteRequest")
        assert (await http.post("/portal/signout", headers=headers)).status_code == 403
        assert (await resources(http, made)).status_code == 200
    assert made.process.core.store.snapshot.get(group.partition("?")[0].removeprefix("/portal/arm").lower()) is None


async def test_no_answer_lets_another_origin_read_it(made: Cloud) -> None:
    async with browser(made) as http:
        await sign_in(http)
        asked = {"Origin": FOREIGN, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": HEADER}
        preflight = await http.options(f"{subscription(made)}/resources", headers=asked)
        assert preflight.status_code >= 400
        for answer in (preflight, await resources(http, made, origin=FOREIGN)):
            assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_the_callback_is_of_use_to_the_browser_that_began_alone(made: Cloud) -> None:
    async with browser(made) as attacker, browser(made) as victim:
        home = await callback(attacker)
        stolen = await victim.get(home)
        assert stolen.status_code == 400
        assert not stolen.headers.get_list("set-cookie")
        await victim.get("/portal/signin")  # a sign-in of its own under way changes nothing
        assert (await victim.get(home)).status_code == 400
        assert (await victim.get("/portal/session", headers=OURS)).status_code == 401


async def test_a_code_is_redeemed_once(made: Cloud) -> None:
    async with browser(made) as http:
        home = await callback(http)
        assert (await http.get(home)).status_code == 303
        assert (await http.get(home)).status_code == 400


@pytest.mark.parametrize(
    "back",
    [
        FOREIGN, "//evil.example", "/\\evil.example", "https:evil.example", "javascript:alert(1)", "/resource\r\nX: y",
        "/portal/signout", "/subscriptions/x", "",
    ],
)  # fmt: skip
async def test_signing_in_leads_to_pages_of_the_portal_alone(made: Cloud, back: str) -> None:
    async with browser(made) as http:
        assert (await sign_in(http, back)).headers["location"] == "/"


async def test_signing_out_ends_the_session_on_the_server(made: Cloud) -> None:
    async with browser(made) as http:
        await sign_in(http)
        cookie = http.cookies[COOKIE]
        assert (await http.post("/portal/signout", headers=OURS)).status_code == 204
        http.cookies.set(COOKIE, cookie)
        assert (await resources(http, made)).status_code == 401


async def test_a_session_survives_a_new_control_process_and_is_stored_as_a_hash(made: Cloud) -> None:
    async with browser(made) as http:
        await sign_in(http)
        cookie = http.cookies[COOKIE]
        meta = made.process.core.store.meta("identity")
        stored = await meta.get("portal/sessions")
        assert stored is not None
        assert cookie not in stored
        assert "eyJ0eXAi" not in stored  # how every token begins; three letters of it come up in what is sealed
        sessions = await portal_session.Sessions.open(_vault(made), _never)
        found = sessions.find(cookie)
        assert found is not None
        assert found.name == "ann@azlan.localhost"
        # Without the cookie nobody can open what is stored, whatever else is known.
        assert sessions.find(found.digest) is None
        with pytest.raises(portal_session.Ended):
            await sessions.bearer(found, "another cookie")


async def _never(_token: str) -> str | None:
    raise AssertionError("nothing is to be renewed")


def _vault(made: Cloud) -> Any:
    from azlan.app import StoredVault

    return StoredVault(made.process.core.store.meta("identity"))


async def test_a_removed_users_session_ends_at_once(made: Cloud) -> None:
    async with browser(made) as http:
        await sign_in(http)
        directory = made.process.identity.directory
        entry = directory.named("ann")
        assert entry is not None
        await directory.remove(entry.object_id)
        answer = await resources(http, made)
        assert answer.status_code == 401
        assert (await resources(http, made)).json()["error"]["code"] == "SignInRequired"


async def test_a_new_password_ends_the_sessions_of_the_old_one(made: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    async with browser(made) as http:
        await sign_in(http)
        directory = made.process.identity.directory
        entry = directory.named("ann")
        assert entry is not None
        await directory.renew(entry.object_id)
        monkeypatch.setattr(portal_session, "RENEW", -1.0)  # the next request asks for a new token
        assert (await resources(http, made)).json()["error"]["code"] == "SignInRequired"


async def test_access_tokens_are_renewed_silently(made: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portal_session, "RENEW", -1.0)
    async with browser(made) as http:
        await sign_in(http)
        answers = await asyncio.gather(*(resources(http, made) for _ in range(5)))
        assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize("name", ["IDLE", "LIFETIME"])
async def test_sessions_run_out(made: Cloud, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    async with browser(made) as http:
        await sign_in(http)
        monkeypatch.setattr(portal_session, name, -1.0)
        assert (await resources(http, made)).status_code == 401


async def test_a_reader_cannot_write_through_the_backend(made: Cloud) -> None:
    directory = made.process.identity.directory
    entry = directory.named("ann")
    assert entry is not None
    await made.roles.withdraw(entry.object_id)
    scope = f"/subscriptions/{made.process.config.subscription}"
    await made.roles.assign(entry.principal(made.process.config.tenant), "Reader", scope)
    async with browser(made) as http:
        await sign_in(http)
        path = f"{subscription(made)}/resourceGroups/rg?api-version=2024-11-01"
        answer = await http.put(path, json={"location": "eastus2"}, headers=OURS)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "AuthorizationFailed")


@pytest.mark.parametrize("path", ["/_azlan/status", "/_azlan/users", "/portal/session", "/metadata/endpoints"])
async def test_nothing_but_the_api_is_behind_the_way_to_it(made: Cloud, path: str) -> None:
    async with browser(made) as http:
        await sign_in(http)
        answer = await http.get(f"/portal/arm{path}", params={"api-version": "2024-11-01"}, headers=OURS)
        assert answer.status_code >= 400
        assert "error" in answer.json()


async def test_the_pages_own_headers_do_not_reach_the_api(made: Cloud) -> None:
    """Nobody chooses the identity: an Authorization header of the page's is not passed on."""
    async with browser(made) as http:
        await sign_in(http)
        owner = made.arm.headers["Authorization"]
        await made.process.identity.directory.remove(
            (await http.get("/portal/session", headers=OURS)).json()["objectId"]
        )
        assert (await resources(http, made, authorization=owner)).status_code == 401


def policy_of(answer: httpx.Response) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in answer.headers["content-security-policy"].split(";"))
    return {name: value for name, _, value in parts}


async def test_every_page_has_the_policy_and_a_nonce_of_its_own(made: Cloud, tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text('<meta property="csp-nonce" nonce="__NONCE__">')
    bundle = Bundle(tmp_path)
    nonces = set()
    for _ in range(2):
        answer = bundle.page()
        policy = str(answer.headers["content-security-policy"])
        nonce = re.search(r"'nonce-([^']+)'", policy)
        assert nonce is not None
        assert f'nonce="{nonce[1]}"'.encode() in bytes(answer.body)
        assert policy.replace(nonce[1], "N") == (
            "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-N'; connect-src 'self'; font-src 'self'; "
            "img-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
            "require-trusted-types-for 'script'; report-uri /portal/violations"
        )
        assert answer.headers["cache-control"] == "no-store"
        nonces.add(nonce[1])
    assert len(nonces) == 2


async def test_assets_are_for_ever_and_there_are_no_others(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "index-abc.js").write_text("1")
    (tmp_path / "index.html").write_text("one")
    bundle = Bundle(tmp_path)
    answer = bundle.asset("index-abc.js")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert "immutable" in answer.headers["cache-control"]
    for name in ("../index.html", "index.html", "..", ""):
        assert bundle.asset(name).status_code == 404


async def test_a_new_build_is_served_without_a_restart(tmp_path: Path) -> None:
    assert Bundle(tmp_path).page().status_code == 503
    bundle = Bundle(tmp_path)
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("one")
    assert bytes(bundle.page().body) == b"one"
    (tmp_path / "index.html").unlink()
    (tmp_path / "index.html").write_text("two")
    assert bytes(bundle.page().body) == b"two"


@pytest.mark.parametrize(
    "path", ["/", "/resource/subscriptions/x", "/browse/all", "/create", "/create/x", "/tools/topology"]
)
async def test_pages_are_served_under_one_name(made: Cloud, path: str) -> None:
    async with browser(made) as http:
        assert "content-security-policy" in (await http.get(path)).headers
        other = await http.get(f"{path}?q=1", headers={"Host": "127.0.0.1:8443"})
        assert (other.status_code, other.headers["location"]) == (307, f"https://localhost:8443{path}?q=1")


async def test_violations_are_counted_and_only_shown_to_who_is_signed_in(made: Cloud) -> None:
    async with browser(made) as http:
        report = {
            "csp-report": {"violated-directive": "style-src", "blocked-uri": "inline\n", "source-file": "x" * 9000}
        }
        assert (await http.post("/portal/violations", content=json.dumps(report))).status_code == 204
        for bad in (b"", b"[]", b'"x"', b'{"csp-report": 1}', b"\xff"):
            assert (await http.post("/portal/violations", content=bad)).status_code == 400
        assert (await http.post("/portal/violations", content=b" " * 20_000)).status_code == 413
        assert (await http.get("/portal/violations", headers=OURS)).status_code == 401
        await sign_in(http)
        told = (await http.get("/portal/violations", headers=OURS)).json()
        assert told["count"] == 1
        assert len(told["value"][0]["source-file"]) == 500


async def test_every_type_is_described(made: Cloud) -> None:
    async with browser(made) as http:
        await sign_in(http)
        types = {found["type"]: found for found in (await http.get("/portal/types", headers=OURS)).json()["value"]}
        assert set(types) == {declared.type for declared in made.process.core.registry.types.values()}
        subnet = types["Microsoft.Network/virtualNetworks/subnets"]
        assert (subnet["plural"], subnet["inline"]) == ("subnets", "subnets")

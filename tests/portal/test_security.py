"""What the portal withholds: markup from names, tokens from the browser, acts from other sites, rights from Readers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from standing import Standing

from .conftest import Visit
from .foreign import ATTACK, foreign_site
from .places import Estate, build, pages

Make = Callable[..., Visit]

HOSTILE = "<img src=x onerror=alert(1)>\"'`\u202e\u2066evil\u200b\u0007</script><script>alert(2)</script>{{7*7}}${7*7}javascript:"
SHOWN = "⟨U+202E⟩⟨U+2066⟩evil⟨U+200B⟩⟨U+0007⟩"
UNSEEN = re.compile("[\u202a-\u202e\u2066-\u2069\u200b-\u200f\u0000-\u0008\u000b-\u001f]")
_TEXTS = """() => {
    const found = [document.title, document.body.innerText];
    for (const element of document.querySelectorAll("body *"))
        for (const name of ["aria-label", "title", "alt", "placeholder", "href"])
            if (element.hasAttribute(name)) found.push(element.getAttribute(name));
    return found.join("\\n");
}"""
"""All that the page says, seen or spoken; what is typed into fields is left as it is."""


@pytest.fixture(scope="module")
def hostile(cloud: Standing) -> Estate:
    return build(cloud, "hostile(1)-rg", HOSTILE)


def test_hostile_text_is_text_on_every_page(visit: Make, hostile: Estate) -> None:
    there = visit()
    alerts: list[str] = []
    there.page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    shown = 0
    violations: list[str] = []
    for name in pages(there, hostile):
        page = there.page
        made = page.locator("main img, main script, [onerror], main iframe, main object, a[href^='javascript:' i]")
        assert made.count() == 0, name
        said = page.evaluate(_TEXTS)
        assert not UNSEEN.search(said), (name, UNSEEN.findall(said), there.picture("unseen"))
        shown += SHOWN in said
        violations += there.violations()
    assert shown >= 8, "the words are on the pages of whatever carries them"
    assert alerts == []
    assert violations == []
    assert there.reported() == 0


_KEPT = """async () => JSON.stringify([
    {...localStorage}, {...sessionStorage}, document.cookie, window.name, history.state, location.href,
    await indexedDB.databases(), await caches.keys(), performance.getEntries().map((entry) => entry.name),
    (await navigator.serviceWorker.getRegistrations()).length,
])"""


def test_no_token_is_in_the_browser_its_addresses_or_the_logs(visit: Make, hostile: Estate) -> None:
    there = visit()
    answers: list[str] = []
    there.page.on("response", lambda answer: answers.append(f"{answer.url} {json.dumps(answer.headers)}"))
    page = there.open("/browse/all")
    there.open(f"/resource{hostile.ids['Microsoft.Compute/virtualMachines']}")
    kept = json.loads(page.evaluate(_KEPT))
    cookies = {cookie["name"]: cookie for cookie in there.context.cookies()}
    session = cookies["__Host-azlan-portal"]
    assert session["httpOnly"]
    assert session["secure"]
    assert (session["sameSite"], session["path"]) == ("Strict", "/")
    assert [name for name, cookie in cookies.items() if not (cookie["httpOnly"] and cookie["secure"])] == []
    assert kept[2:4] == ["", ""]
    assert kept[6] == kept[7] == []
    assert kept[9] == 0
    logs = "".join(file.read_text() for file in (there.cloud.state / "logs").glob("*.log"))
    for where, text in {"browser": str(kept), "answers": "".join(answers), "logs": logs}.items():
        assert "eyJ" not in text, where
        assert session["value"] not in text.replace(json.dumps(session["value"]), ""), where
    assert there.violations() == []


def test_other_sites_can_neither_act_nor_look(visit: Make, hostile: Estate) -> None:
    """Real pages of two other origins: one of another site, one of the same host on another TCP port."""
    there = visit()
    there.open("/")
    home = there.cloud.config.endpoint
    for scheme, host in (("http", "127.0.0.1"), ("https", "localhost")):
        with foreign_site(there.cloud, scheme, host) as address:
            ticket = given_ticket(there, hostile)
            evil = there.context.new_page()
            evil.goto(address)
            found = evil.evaluate(ATTACK, {"home": home, "subscription": there.subscription, "ticket": ticket})
            assert found["read"] == [], found
            assert found["socket"] == "closed", found
            assert not found["framed"], found
            assert not found["opened"], found
            evil.close()
    groups = [group["name"] for group in there.arm("GET", "/resourceGroups")["value"]]
    assert "stolen" not in groups
    assert hostile.group in groups
    there.open("/browse/all")
    expect(there.page.get_by_role("heading", name="All resources")).to_be_visible()


def given_ticket(there: Visit, made: Estate) -> str:
    """A ticket for a terminal, which its own page would open."""
    answer = there.page.evaluate(
        """async (body) => {
            const headers = {"X-Azlan-Portal": "1", "Content-Type": "application/json"};
            const answer = await fetch("/portal/bastion/tickets", {method: "POST", headers, body: JSON.stringify(body)});
            return answer.json();
        }""",
        {
            "bastion": made.ids["Microsoft.Network/bastionHosts"],
            "target": made.ids["Microsoft.Compute/virtualMachines"],
            "username": "azureuser",
            "password": "Correct-Horse7Battery",
        },
    )
    assert "ticket" in answer, answer
    return str(answer["ticket"])


def test_a_reader_sees_no_button_that_would_fail(visit: Make, hostile: Estate) -> None:
    reader = visit("Reader")
    refused: list[str] = []
    reader.page.on("response", lambda answer: refused.append(f"{answer.url}") if answer.status == 403 else None)
    offered: dict[str, list[str]] = {}
    for name in pages(reader, hostile):
        if name.startswith("/create"):
            continue
        for button in buttons(reader.page):
            offered.setdefault(button, []).append(name)
    assert refused == []
    assert {name: where for name, where in offered.items() if WRITES.search(name)} == {}


WRITES = re.compile(
    r"^(Create|Add|Delete|Save|Apply|Edit|Start|Restart|Stop|Deallocate|Associate|Dissociate|Sync|Remove|Deploy|Assign|Upload"
    r"|Update|Move|Redeploy|Reset|Run|Check|Discard)\b"
)


def buttons(page: Page) -> list[str]:
    """What can be pressed in the page: names of buttons and menu items that are not disabled."""
    found = page.get_by_role("main").get_by_role("button", disabled=False)
    names = [
        str(found.nth(number).evaluate("one => one.getAttribute('aria-label') || one.innerText"))
        for number in range(found.count())
    ]
    return [name.strip() for name in names]


def test_a_reader_cannot_act_by_calling_the_backend(visit: Make, hostile: Estate) -> None:
    owner, reader = visit(), visit("Reader")
    owner.open("/")
    page = reader.open("/")
    types = page.evaluate("""async () => (await fetch("/portal/types", {headers: {"X-Azlan-Portal": "1"}})).json()""")
    calls: list[list[Any]] = []
    for type in types["value"]:
        target = f"/portal/arm{hostile.ids[type['type']]}"
        version = f"?api-version={type['apiVersion']}"
        calls += [[method, target + version] for method in ("PUT", "PATCH", "DELETE")]
        calls += [
            ["POST", f"{target}/{action['name']}{version}"] for action in type["actions"] if action["method"] == "POST"
        ]
    before = owner.arm("GET", "/resources")
    answers = page.evaluate(
        """async (calls) => Promise.all(calls.map(async ([method, url]) => {
            const headers = {"X-Azlan-Portal": "1", "Content-Type": "application/json"};
            return [method, url, (await fetch(url, {method, headers, body: "{}"})).status];
        }))""",
        calls,
    )
    # 405: the type has no such method for anybody.
    assert [answer for answer in answers if answer[2] not in (403, 405)] == []
    assert sum(answer[2] == 403 for answer in answers) > len(types["value"]) * 2
    assert owner.arm("GET", "/resources") == before


def test_a_session_is_of_no_use_to_another_browser_without_its_cookie(visit: Make, chromium: Browser) -> None:
    there = visit()
    there.open("/")
    other = chromium.new_context(ignore_https_errors=True)
    [cookie] = [one for one in there.context.cookies() if one["name"] == "__Host-azlan-portal"]
    status = """async () => (await fetch("/portal/session", {headers: {"X-Azlan-Portal": "1"}})).status"""
    page = other.new_page()
    page.goto(f"{there.cloud.config.endpoint}/metadata/endpoints?api-version=2022-09-01")
    assert page.evaluate(status) == 401
    there.page.get_by_role("button", name="Account of").click()
    there.page.get_by_role("menuitem", name="Sign out").click()
    expect(there.page.get_by_label("User name")).to_be_visible()
    other.add_cookies([{key: cookie[key] for key in ("name", "value", "domain", "path", "secure", "httpOnly")}])  # type: ignore[list-item]
    assert page.evaluate(status) == 401, "a cookie from before the sign-out opened the session again"
    other.close()

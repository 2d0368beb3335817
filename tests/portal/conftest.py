"""A browser, and a cloud for it: `azlan up` with the model engine on loopback, one for each file; a user and a page each.

test ── Playwright ── the system's Chromium ── HTTPS ── control process
Every page is watched: a violation of the portal's policy, an uncaught error or a request to anybody else fails its test.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from azlan.commands.clouds import CloudClient
from standing import Standing, short_folder, standing

PASSWORD = "Passw0rd!23456"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_WATCH = """
window.__violations = [];
addEventListener("securitypolicyviolation", (event) =>
  window.__violations.push([event.violatedDirective, event.blockedURI, event.sourceFile, event.sample].join(" ")));
"""
_SCREENSHOTS = Path(__file__).parents[2] / "build" / "portal-screenshots"

expect.set_options(timeout=20_000)


def build_module() -> ModuleType:
    """`portal/build.py`, which is no package's."""
    spec = importlib.util.spec_from_file_location("portal_build", Path(__file__).parents[2] / "portal" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# For a file alone: what is in a list must not depend on which files' tests ran before.
@pytest.fixture(scope="module")
def cloud() -> Iterator[Standing]:
    """A cloud on the model engine, without any privilege; it has the bundle of the sources as they are."""
    build_module().build()
    with short_folder() as folder, standing(folder, "--engine", "model", "--machines", "simulated") as up:
        yield up


# For a file alone: Playwright keeps an event loop in this thread, beside which the tests of other files could have none.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program is not None, "there is no Chromium on this computer: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class User:
    name: str
    principal: dict[str, Any]


@dataclass
class Visit:
    """One user's browser at the portal."""

    cloud: Standing
    context: BrowserContext
    page: Page
    user: User
    troubles: list[str] = field(default_factory=list)

    @property
    def subscription(self) -> str:
        return f"/subscriptions/{self.cloud.config.subscription}"

    def open(self, path: str = "/") -> Page:
        """Go to an address, signing in where the portal asks for it."""
        self.page.goto(self.cloud.config.endpoint + path)
        expect(self.page.get_by_role("banner").or_(self.page.get_by_label("User name"))).to_be_visible()
        if self.page.get_by_label("User name").is_visible():
            self.sign_in()
        return self.page

    def sign_in(self) -> None:
        self.page.get_by_label("User name").fill(self.user.name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("banner")).to_be_visible()

    def arm(self, method: str, path: str, body: Any = None, version: str = "2024-11-01") -> Any:
        """A request as the page makes it; `path` is below the subscription."""
        answer = self.page.evaluate(
            """async ([method, url, body]) => {
                const init = {method, headers: {"X-Azlan-Portal": "1", "Content-Type": "application/json"}};
                if (body !== null) init.body = JSON.stringify(body);
                const answer = await fetch(url, init);
                const text = await answer.text();
                return {status: answer.status, body: text === "" ? null : JSON.parse(text)};
            }""",
            [method, f"/portal/arm{self.subscription}{path}?api-version={version}", body],
        )
        assert answer["status"] < 400, answer
        return answer["body"]

    def violations(self) -> list[str]:
        """Of the policy, on the page that is open."""
        return list(self.page.evaluate("window.__violations"))

    def reported(self) -> int:
        """How many violations of the policy the backend was told of."""
        told = self.page.evaluate(
            """async () => (await fetch("/portal/violations", {headers: {"X-Azlan-Portal": "1"}})).json()"""
        )
        return int(told["count"])

    def theme(self, name: str) -> None:
        """Switch to `dark` or `light`."""
        button = self.page.get_by_role("button", name=f"Use the {name} theme")
        if button.is_visible():
            button.click()
        expect(self.page.locator(f".portal.{name}").first).to_be_visible()

    def picture(self, name: str) -> Path:
        """A screenshot in the folder of the build's other products."""
        _SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        file = _SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=file)
        return file

    def axe(self, *rules: str) -> list[str]:
        """What axe finds wrong with the page as it is, by some rules or by all. Chromium's devtools inject it: the
        policy allows no foreign script."""
        source = build_module().axe().read_text()
        session = self.context.new_cdp_session(self.page)
        session.send("Page.enable")
        tree = session.send("Page.getFrameTree")
        world = session.send("Page.createIsolatedWorld", {"frameId": tree["frameTree"]["frame"]["id"]})
        where = world["executionContextId"]
        session.send("Runtime.evaluate", {"expression": source, "contextId": where})
        asked: dict[str, Any] = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
        run = f"axe.run(document, {json.dumps(asked)}).then(found => JSON.stringify(found.violations))"
        answer = session.send(
            "Runtime.evaluate", {"expression": run, "contextId": where, "awaitPromise": True, "returnByValue": True}
        )
        session.detach()
        assert "exceptionDetails" not in answer, answer
        found = []
        for violation in json.loads(answer["result"]["value"]):
            nodes = [node for node in violation["nodes"] if not _documented_exception(violation["id"], node["html"])]
            found += [f"{violation['id']}: {node['html'][:200]} — {node['failureSummary']}" for node in nodes]
        return found


def _documented_exception(rule: str, html: str) -> bool:
    """Fluent's focus sentinels are hidden and focusable on purpose (docs/design/portal.md)."""
    return rule == "aria-hidden-focus" and "data-tabster-dummy" in html


@contextmanager
def visitors(cloud: Standing, chromium: Browser) -> Iterator[Callable[..., Visit]]:
    """Makes users of a cloud with a role, each with a browser context of its own."""
    made: list[Visit] = []

    def make(role: str = "Owner", scope: str | None = None, name: str = "") -> Visit:
        name = name or f"user-{uuid4().hex[:8]}"
        body: dict[str, Any] = {"name": name, "kind": "User", "password": PASSWORD, "role": role}
        if scope is not None:
            body["scope"] = scope
        principal = dict(CloudClient(cloud.config).admin("POST", "/users", body))
        context = chromium.new_context(
            ignore_https_errors=True, viewport={"width": 1280, "height": 800}, color_scheme="light", locale="en-US"
        )
        context.add_init_script(_WATCH)
        found = Visit(cloud, context, context.new_page(), User(name, principal))
        _watch(found)
        made.append(found)
        return found

    yield make
    troubles = [trouble for one in made for trouble in one.troubles]
    for one in made:
        one.context.close()
    assert not troubles, troubles


@pytest.fixture
def visit(cloud: Standing, chromium: Browser) -> Iterator[Callable[..., Visit]]:
    """`visitors` of the cloud on the model engine."""
    with visitors(cloud, chromium) as make:
        yield make


def _watch(visit: Visit) -> None:
    home = urlsplit(visit.cloud.config.endpoint).netloc

    def requested(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != home:
            visit.troubles.append(f"a request to {request.url}")
        if "eyJ" in request.url:
            visit.troubles.append("a token in an address")

    visit.page.on("request", requested)
    visit.page.on("pageerror", lambda error: visit.troubles.append(f"uncaught: {error}"))
    visit.page.on(
        "console",
        lambda message: (
            visit.troubles.append(f"console: {message.text}")
            if message.type == "error" and "violates the following" in message.text
            else None
        ),
    )

"""The portal's lists with 2,000 resources beside those of an empty cloud, in the system's Chromium: first rows, filter, sort.

Chromium (a context for each cloud) ── click, type ──▶ page ── GET …/virtualNetworks ──▶ control process (0, 2,000)
Times are the page's own: from the act to the frame in which what was waited for is there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial

from playwright.sync_api import Browser, Page, sync_playwright

from azlan.commands.clouds import CloudClient
from bench.clouds import Cloud, Lab
from bench.figures import Aim, Result, rounds

SIZES = (0, 2_000)
PASSWORD = "Passw0rd!23456"
LIST = "/browse/Microsoft.Network/virtualNetworks"
_UNTIL = """() => new Promise((done, failed) => {
    const began = performance.now();
    ACT;
    const look = () => {
        if (WANTED) done((performance.now() - began) / 1000);
        else if (performance.now() - began > 60000) failed(new Error("not there after a minute"));
        else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
})"""
ROWS = "document.querySelector('.grid-scroll [role=row]') || document.querySelector('.empty')"
HOME = "document.querySelector('.home')"
FIRST = "document.querySelector('.grid-scroll [role=row] a').textContent"
COUNT = "document.querySelector('.count').textContent"


def run(lab: Lab, quick: bool) -> Result:
    result = Result("Portal")
    clouds = {size: lab.filled(size)[0] for size in SIZES}
    program = shutil.which("chromium")
    if program is None:
        raise RuntimeError("there is no Chromium on this computer: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        pages = {size: _signed_in(browser, cloud) for size, cloud in clouds.items()}
        few, many = SIZES
        count = 5 if quick else 15
        loads = {str(size): partial(_load, pages[size], clouds[size]) for size in SIZES}
        opened = {str(size): partial(_open, pages[size]) for size in SIZES}
        for what, subjects in (("page loaded anew", loads), ("from the home page", opened)):
            for subject in subjects.values():
                subject()  # warm
            found = rounds(count, subjects)
            aim = Aim(1.0)
            result.add(f"a list to its first rows, {what}, {many:,} resources", "s", found[str(many)], aim)
            result.add(f"    empty cloud, {what}", "s", found[str(few)])
            result.ratio("    many over none", found[str(many)], found[str(few)])
        acts = rounds(count, _acts(pages[many]))
        for name, values in acts.items():
            result.add(f"{name}, {many:,} rows", "s", values, Aim(0.25))
        in_page = pages[many].locator(".grid-scroll [role=row]").count()
        browser.close()
    result.notes.append(
        f"{in_page} of {many:,} rows are in the page. The list asks for pages of 1,000 one after the other."
    )
    return result


def _signed_in(browser: Browser, cloud: Cloud) -> Page:
    user = {"name": "bench-reader", "kind": "User", "password": PASSWORD, "role": "Reader"}
    CloudClient(cloud.config, timeout=60).admin("POST", "/users", user)
    page = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 800}).new_page()
    page.goto(cloud.config.endpoint)
    page.get_by_label("User name").fill("bench-reader")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("banner").wait_for()
    return page


def _load(page: Page, cloud: Cloud) -> float:
    """The whole page anew, from its request on; its assets are the browser's already."""
    page.goto(cloud.config.endpoint + LIST, wait_until="commit")
    _until(page, "", ROWS)
    return float(page.evaluate("performance.now() / 1000"))


def _until(page: Page, act: str, wanted: str) -> float:
    """The seconds from an act until something is true of the page, looked at in every frame."""
    return float(page.evaluate(_UNTIL.replace("ACT", act).replace("WANTED", wanted)))


def _open(page: Page) -> float:
    _until(page, "document.querySelector('.brand').click()", HOME)
    return _until(page, f"document.querySelector('main a[href=\"{LIST}\"]').click()", ROWS)


def _acts(page: Page) -> dict[str, Callable[[], float]]:
    _until(page, "", ROWS)

    def typed(text: str, wanted: str) -> float:
        """As React hears it."""
        act = f"""
            const input = document.querySelector('input[aria-label="Filter for any field"]');
            Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(input, "{text}");
            input.dispatchEvent(new Event("input", {{bubbles: true}}));"""
        return _until(page, act, f"{COUNT}.startsWith('Showing {wanted} of')")

    def filtered() -> float:
        seconds = typed("vnet-199", "11")
        typed("", f"{SIZES[1]}")
        return seconds

    def sorted_down() -> float:
        button = "document.querySelector('.grid-sort').click()"
        seconds = _until(page, button, f"{FIRST} === 'vnet-{SIZES[1] - 1}'")
        _until(page, button, f"{FIRST} === 'vnet-0'")
        return seconds

    return {"filter": filtered, "sort": sorted_down}

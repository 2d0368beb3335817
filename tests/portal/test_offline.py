"""The whole page while no control process answers: it says so, comes back by itself, and keeps what was typed.

The control process is killed as by `kill -9`; its supervisor is held, so that the outage lasts as long as a test looks at it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect

from azlan.commands.clouds import CommandError

from .conftest import Visit

Make = Callable[..., Visit]

BACK = 60_000
"""Milliseconds until another control process answers, beside whatever else the computer does."""


@contextmanager
def outage(there: Visit) -> Iterator[None]:
    control = there.cloud.pid("control")
    assert control is not None
    supervisor = int(Path(f"/proc/{control}/stat").read_text().rpartition(")")[2].split()[1])
    assert "azlan" in Path(f"/proc/{supervisor}/cmdline").read_text()
    os.kill(supervisor, signal.SIGSTOP)
    try:
        os.kill(control, signal.SIGKILL)
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)
        answers_again(there)


def answers_again(there: Visit) -> None:
    for _ in range(BACK // 200):
        try:
            there.cloud.status()
        except CommandError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(there.cloud.logs())


def mark(page: Page) -> None:
    """So that a page that was loaded anew would be seen to be another."""
    page.evaluate("window.__same = true")


def said_to_be_offline(page: Page, yes: bool) -> None:
    expect(page.get_by_role("status").filter(has_text="You're offline.")).to_have_count(int(yes), timeout=BACK)


def test_a_half_filled_form_outlives_the_control_process(visit: Make) -> None:
    there = visit()
    form = there.open("/create/Microsoft.Resources/resourceGroups")
    form.get_by_label("Resource group name").fill("before-")
    form.get_by_role("combobox", name="Region").click()
    form.get_by_role("option", name="West Europe").click()
    listed = there.context.new_page()
    listed.goto(f"{there.cloud.config.endpoint}/browse/Microsoft.Resources/resourceGroups?filter=the-outage")
    expect(listed.get_by_role("heading", name="Resource groups", exact=True)).to_be_visible()
    for page in (form, listed):
        mark(page)
    address = form.url

    with outage(there):
        for page in (form, listed):
            page.bring_to_front()
            said_to_be_offline(page, True)
        form.bring_to_front()
        there.picture("offline-form")
        name = form.get_by_label("Resource group name")
        name.press("End")
        name.press_sequentially("and-after-the-outage")
        expect(name).to_have_value("before-and-after-the-outage")

    said_to_be_offline(form, False)
    expect(name).to_have_value("before-and-after-the-outage")
    expect(form.get_by_role("combobox", name="Region")).to_contain_text("West Europe")
    assert form.url == address
    form.get_by_role("button", name="Review + create").click()
    expect(form.get_by_text("Validation passed")).to_be_visible()
    form.get_by_role("button", name="Create", exact=True).click()
    expect(form.get_by_role("heading", name="Your deployment is complete")).to_be_visible()
    assert there.arm("GET", "/resourceGroups/before-and-after-the-outage")["location"] == "westeurope"

    # The other tab has not been touched.
    listed.bring_to_front()
    said_to_be_offline(listed, False)
    for page in (form, listed):
        assert page.evaluate("window.__same") is True
        assert page.evaluate("window.__violations") == []


def test_a_write_that_nobody_answered_says_so_and_is_not_repeated(visit: Make) -> None:
    there = visit()
    page = there.open("/create/Microsoft.Resources/resourceGroups")
    page.get_by_label("Resource group name").fill("unanswered")
    page.get_by_role("button", name="Review + create").click()
    expect(page.get_by_text("Validation passed")).to_be_visible()
    with outage(there):
        page.get_by_role("button", name="Create", exact=True).click()
        expect(page.get_by_text("The cloud does not answer.").first).to_be_visible()
        said_to_be_offline(page, True)
        there.picture("offline-write")
    said_to_be_offline(page, False)
    groups = there.arm("GET", "/resourceGroups")["value"]
    assert "unanswered" not in [group["name"] for group in groups]

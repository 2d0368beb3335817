"""The portal in a real browser: signing in, lists, a group made and deleted, the policy, accessibility."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from .conftest import Visit

Make = Callable[..., Visit]


def test_a_user_signs_in_makes_a_group_and_deletes_it(visit: Make) -> None:
    there = visit()
    page = there.open("/")
    expect(page.get_by_role("heading", name="Azure services")).to_be_visible()
    there.picture("home")

    page.get_by_role("combobox", name="Search resources").fill("resource gr")
    page.get_by_role("option", name="Resource groups").click()
    expect(page.get_by_role("heading", name="Resource groups", exact=True)).to_be_visible()
    page.get_by_role("button", name="Create").click()
    page.get_by_label("Resource group name").fill("made-rg")
    page.get_by_role("button", name="Review + create").click()
    expect(page.get_by_text("Validation passed")).to_be_visible()
    there.picture("group-review")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("heading", name="Your deployment is complete")).to_be_visible()
    page.get_by_role("button", name="Go to resource").click()
    expect(page.get_by_role("heading", name="made-rg")).to_be_visible()
    there.picture("group")

    page.get_by_role("button", name="Delete resource group").click()
    delete = page.get_by_role("dialog").get_by_role("button", name="Delete")
    expect(delete).to_be_disabled()
    page.get_by_label("Enter resource group name to confirm deletion").fill("made-r")
    expect(delete).to_be_disabled()
    page.get_by_label("Enter resource group name to confirm deletion").fill("made-rg")
    there.picture("group-delete")
    delete.click()
    expect(page.get_by_role("heading", name="Resource groups", exact=True)).to_be_visible()
    page.get_by_role("button", name="Notifications").click()
    expect(page.get_by_role("dialog").get_by_text("Deleted resource group")).to_be_visible()
    expect(page.get_by_role("dialog").get_by_role("button", name="Close")).to_be_in_viewport(ratio=1)
    there.picture("notifications")
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(page.get_by_role("main").get_by_role("link", name="made-rg", exact=True)).to_have_count(0)
    assert there.violations() == []
    assert there.reported() == 0


def make_network(there: Visit, group: str, name: str) -> str:
    there.arm("PUT", f"/resourceGroups/{group}", {"location": "eastus2"})
    path = f"/resourceGroups/{group}/providers/Microsoft.Network/virtualNetworks/{name}"
    subnets = [{"name": "subnet-1", "properties": {"addressPrefix": "10.0.0.0/24"}}]
    properties = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": subnets}
    there.arm("PUT", path, {"location": "eastus2", "properties": properties}, "2024-05-01")
    return there.subscription + path


def test_a_resource_has_its_page_its_children_its_tags_and_its_json(visit: Make) -> None:
    there = visit()
    there.open("/")
    network = make_network(there, "pages-rg", "vnet-1")
    page = there.open("/browse/Microsoft.Network/virtualNetworks")
    page.get_by_role("link", name="vnet-1").click()
    expect(page.get_by_role("heading", name="vnet-1")).to_be_visible()
    expect(page.get_by_label("Essentials").get_by_text("East US 2")).to_be_visible()
    there.picture("network")
    menu = page.get_by_role("navigation", name="Menu of vnet-1")
    menu.get_by_role("link", name="Subnets").click()
    page.get_by_role("button", name="subnet-1").click()
    expect(page.get_by_role("heading", name="Edit subnet")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    there.open(f"/resource{network}/subnets/subnet-1")
    expect(page.get_by_role("heading", name="subnet-1")).to_be_visible()
    page.go_back()
    menu.get_by_role("link", name="Tags").click()
    page.get_by_label("Name of tag 1").fill("env")
    page.get_by_label("Value of tag 1").fill("test")
    menu.get_by_role("link", name="Overview").click()
    question = page.get_by_role("alertdialog")
    expect(question.get_by_text("Your unsaved edits will be discarded")).to_be_visible()
    question.get_by_role("button", name="Stay").click()
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("Updated tags of virtual network").first).to_be_visible()
    menu.get_by_role("link", name="Overview").click()
    expect(page.get_by_label("Essentials").get_by_text("env : test")).to_be_visible()
    menu.get_by_role("link", name="JSON view").click()
    expect(page.get_by_label("JSON", exact=True)).to_contain_text('"addressPrefix": "10.0.0.0/24"')
    there.picture("json")
    assert page.url.lower().endswith(f"/resource{network}/json".lower())
    assert there.violations() == []


def test_a_reader_is_offered_nothing_that_would_be_refused(visit: Make) -> None:
    owner = visit()
    owner.open("/")
    network = make_network(owner, "reader-rg", "vnet-r")
    reader = visit("Reader")
    page = reader.open(f"/resource{network}")
    expect(page.get_by_role("heading", name="vnet-r")).to_be_visible()
    expect(page.get_by_role("button", name="Refresh")).to_be_visible()
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)
    reader.open(f"/resource{network}/tags")
    expect(page.get_by_label("Name of tag 1")).to_be_disabled()
    expect(page.get_by_role("button", name="Apply")).to_have_count(0)
    reader.open("/browse/Microsoft.Resources/resourceGroups")
    expect(page.get_by_role("button", name="Create")).to_be_disabled()


HOSTILE = '<img src=x onerror=alert(1)>"\u202eevil\u200b\u0007</script>'


def test_hostile_tags_are_text(visit: Make) -> None:
    there = visit()
    there.open("/")
    group = {"location": "eastus2", "tags": {"note": HOSTILE, "a‮b": "x"}}
    there.arm("PUT", "/resourceGroups/hostile-rg", group)
    page = there.open(f"/resource{there.subscription}/resourceGroups/hostile-rg")
    shown = page.get_by_label("Essentials")
    expect(shown).to_contain_text('<img src=x onerror=alert(1)>"⟨U+202E⟩evil⟨U+200B⟩⟨U+0007⟩</script>')
    expect(shown).to_contain_text("a⟨U+202E⟩b")
    assert page.locator("img[src=x]").count() == 0
    there.picture("hostile")
    assert there.violations() == []
    assert "\u202e" not in page.locator("main").inner_text()


def test_an_outage_is_said_and_costs_nothing_that_was_typed(visit: Make) -> None:
    there = visit()
    page = there.open("/create/Microsoft.Resources/resourceGroups")
    there.arm("PUT", "/resourceGroups/outage-rg", {"location": "eastus2"})
    page.get_by_label("Resource group name").fill("half-typed")
    there.context.set_offline(True)
    expect(page.get_by_text("You're offline.")).to_be_visible()
    there.picture("offline")
    there.context.set_offline(False)
    expect(page.get_by_text("You're offline.")).to_have_count(0)
    expect(page.get_by_label("Resource group name")).to_have_value("half-typed")

    control = there.cloud.pid("control")
    assert control is not None
    os.kill(control, signal.SIGKILL)
    # The next process is asked, in the same session, by the same page.
    page.get_by_role("combobox", name="Search resources").fill("outage")
    expect(page.get_by_role("option", name="outage-rg")).to_be_visible(timeout=60_000)
    assert there.cloud.pid("control") != control
    expect(page.get_by_label("Resource group name")).to_have_value("half-typed")
    page.get_by_role("button", name="Review + create").click()
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("heading", name="Your deployment is complete")).to_be_visible()
    assert there.arm("GET", "/resourceGroups/half-typed")["name"] == "half-typed"


ROWS = 120


def test_long_lists_show_what_is_seen_and_keep_their_filter_in_the_address(visit: Make) -> None:
    there = visit()
    page = there.open("/")
    there.arm("PUT", "/resourceGroups/long-rg", {"location": "westus"})
    for number in range(ROWS):
        path = f"/resourceGroups/long-rg/providers/Microsoft.Network/routeTables/table-{number}"
        there.arm("PUT", path, {"location": "westus"}, "2024-05-01")
    there.open("/browse/Microsoft.Network/routeTables")
    expect(page.get_by_text(f"Showing {ROWS} of {ROWS} records.")).to_be_visible()
    table = page.get_by_role("table", name="Route tables")
    assert table.get_by_role("row").count() < 50
    assert table.get_attribute("aria-rowcount") == str(ROWS + 1)
    page.get_by_role("button", name="Name").click()
    expect(table.get_by_role("row").nth(1)).to_contain_text(f"table-{ROWS - 1}")
    there.picture("long-list")
    page.get_by_label("Filter for any field").fill("table-11")
    expect(page.get_by_text(f"Showing 11 of {ROWS} records, filtered.")).to_be_visible()
    page.get_by_role("link", name="table-113").click()
    expect(page.get_by_role("heading", name="table-113")).to_be_visible()
    page.go_back()
    expect(page.get_by_label("Filter for any field")).to_have_value("table-11")
    expect(page.get_by_text(f"Showing 11 of {ROWS} records, filtered.")).to_be_visible()


def test_the_portal_is_usable_by_keyboard(visit: Make) -> None:
    there = visit()
    page = there.open("/")
    page.keyboard.press("Alt+/")
    page.keyboard.type("resource groups")
    expect(page.get_by_role("option", name="Resource groups")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Resource groups", exact=True)).to_be_visible()
    create = page.get_by_role("button", name="Create")
    expect(create).to_be_enabled()
    for _ in range(30):
        if create.evaluate("element => element === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    name = page.get_by_label("Resource group name")
    expect(name).to_be_visible()
    for _ in range(30):
        if name.evaluate("element => element === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.type("by-keyboard")
    expect(name).to_have_value("by-keyboard")


_AT_FIRST_SIGHT = """
new MutationObserver((_, observer) => {
  if (document.querySelector("header") === null || !location.pathname.startsWith("/browse")) return;
  observer.disconnect();
  document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "/", code: "Slash", altKey: true, bubbles: true}));
}).observe(document, {childList: true, subtree: true});
"""


def test_the_search_takes_the_first_key_once_it_is_seen(visit: Make) -> None:
    """The key is pressed in the same task that shows the header: nobody is faster."""
    there = visit()
    there.open("/")
    there.context.add_init_script(_AT_FIRST_SIGHT)
    page = there.open("/browse/all")
    expect(page.get_by_role("combobox", name="Search resources")).to_be_focused()
    page.keyboard.type("resource groups")
    expect(page.get_by_role("option", name="Resource groups")).to_be_visible()


def test_signing_out_leaves_nothing_behind(visit: Make) -> None:
    there = visit()
    page = there.open("/")
    storage = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "eyJ" not in storage
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Account of").click()
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page.get_by_label("User name")).to_be_visible()
    page.goto(there.cloud.config.endpoint)
    expect(page.get_by_label("User name")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_are_accessible(visit: Make, theme: str) -> None:
    there = visit()
    page = there.open("/")
    network = make_network(there, "axe-rg", "vnet-a")
    there.theme(theme)
    for path, heading in {
        "/": "Azure services",
        "/browse/all": "All resources",
        "/browse/Microsoft.Resources/resourceGroups": "Resource groups",
        "/create/Microsoft.Resources/resourceGroups": "Create a resource group",
        f"/resource{network}": "vnet-a",
        f"/resource{network}/subnets": "vnet-a",
        f"/resource{network}/tags": "vnet-a",
        f"/resource{network}/json": "vnet-a",
    }.items():
        there.open(path)
        expect(page.get_by_role("heading", name=heading).first).to_be_visible()
        page.wait_for_load_state("networkidle")
        there.picture(f"{theme}-{path.strip('/').split('/')[-1] or 'start'}")
        assert there.axe() == [], path
    assert there.violations() == []

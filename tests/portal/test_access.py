"""For everybody: axe in both themes on every kind of page, whole at 1280×800, and the tutorial's two forms by keyboard alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from standing import Standing

from .conftest import Visit
from .places import Estate, build, pages, settled

Make = Callable[..., Visit]
NETWORK = "Microsoft.Network/virtualNetworks"


@pytest.fixture(scope="module")
def made(cloud: Standing) -> Estate:
    return build(cloud, "access-rg")


CLIPPED = """() => {
    const width = document.documentElement.scrollWidth;
    const wide = width > innerWidth ? [`the page is ${width} wide`] : [];
    const scrolls = (element) => {
        for (let at = element.parentElement; at; at = at.parentElement) {
            if (at.tagName === "svg") return true;
            const moves = ["auto", "scroll"].includes(getComputedStyle(at).overflowX);
            if (moves && at.scrollWidth > at.clientWidth && at.tagName !== "MAIN") return true;
        }
        return false;
    };
    const seen = [...document.querySelectorAll("button, a[href], input, [role=tab], [role=combobox]")].filter((element) => {
        const box = element.getBoundingClientRect();
        const shown = box.width > 2 && box.height > 2 && getComputedStyle(element).visibility === "visible";
        return shown && !element.closest(".hidden, .skip, [aria-hidden=true]");
    });
    const out = seen.filter((element) => {
        const box = element.getBoundingClientRect();
        return (box.right > innerWidth + 1 || box.left < -1) && !scrolls(element);
    });
    const cut = seen.filter((element) => element.tagName === "BUTTON" && element.getAttribute("role") !== "combobox"
        && element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflowX !== "visible");
    return [...wide, ...[...out, ...cut].map((element) => element.outerHTML.slice(0, 160))];
}"""
"""What does not fit into the window: a page that scrolls sideways, controls beyond its edges, buttons that cut their words."""


def test_every_kind_of_page_is_accessible_and_whole(visit: Make, made: Estate) -> None:
    """In one theme by all of axe's rules, in the other by the one that looks at colours."""
    there = visit()
    there.open("/")
    there.page.emulate_media(reduced_motion="reduce")  # colours halfway between two themes are neither's
    there.theme("dark")
    themes = ["dark", "light"]
    found: dict[str, list[str]] = {}
    for name in pages(there, made):
        wrong = there.axe() + [f"does not fit: {what}" for what in there.page.evaluate(CLIPPED)]
        themes.reverse()
        there.theme(themes[0])
        there.page.mouse.move(0, 0)  # away from the button and its tooltip
        wrong += [f"{themes[0]}: {what}" for what in there.axe("color-contrast")]
        if wrong:
            found[name] = wrong
            there.picture(f"wrong-{len(found)}")
    assert found == {}
    assert there.violations() == []


class Keyboard:
    """A person without a mouse: Tab, arrows, Space, Enter, and text."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def reach(self, target: Locator, steps: int = 80) -> None:
        """Tab to it."""
        expect(target).to_be_visible()
        for _ in range(steps):
            if target.evaluate("element => element === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {target}; the focus is on {self.focus()}")

    def focus(self) -> Any:
        return self.page.evaluate("document.activeElement.outerHTML.slice(0, 200)")

    def type(self, target: Locator, text: str) -> None:
        self.reach(target)
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.type(text)
        expect(target).to_have_value(text)

    def press(self, target: Locator, key: str = "Enter") -> None:
        self.reach(target)
        self.page.keyboard.press(key)

    def choose(self, target: Locator, option: str) -> None:
        """Open a list, go down to an entry, take it."""
        self.press(target, "Enter")
        options = self.page.get_by_role("option")
        expect(options.first).to_be_visible()
        wanted = self.page.get_by_role("option", name=option, exact=True)
        for _ in range(80):
            active = target.get_attribute("aria-activedescendant")
            if active is not None and wanted.get_attribute("id") == active:
                break
            self.page.keyboard.press("ArrowDown")
        self.page.keyboard.press("Enter")
        expect(target).to_contain_text(option)


def test_a_network_is_made_by_keyboard_alone(visit: Make) -> None:
    there = visit()
    page = there.open("/")
    hands = Keyboard(page)
    page.keyboard.press("Alt+/")
    page.keyboard.type("virtual networks")
    expect(page.get_by_role("option", name="Virtual networks", exact=True)).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Virtual networks", exact=True)).to_be_visible()
    settled(page)
    hands.press(page.get_by_role("button", name="Create", exact=True))
    hands.press(page.get_by_role("button", name="Create new"))
    hands.type(page.get_by_role("textbox", name="Name", exact=True), "keyboard-rg")
    hands.press(page.get_by_role("button", name="OK"))
    hands.type(page.get_by_label("Virtual network name"), "vnet-1")
    hands.choose(page.get_by_role("combobox", name="Region"), "East US 2")
    hands.press(page.get_by_role("button", name="Next"))
    hands.press(page.get_by_label("Enable Azure Bastion"), "Space")
    expect(page.get_by_label("Enable Azure Bastion")).to_be_checked()
    hands.press(page.get_by_role("button", name="Next"))
    hands.press(page.get_by_role("button", name="default", exact=True))
    edit = page.get_by_role("dialog").filter(has=page.get_by_role("heading", name="Edit subnet"))
    hands.type(edit.get_by_role("textbox", name="Name", exact=True), "subnet-1")
    hands.press(edit.get_by_role("button", name="Save"))
    expect(edit).to_have_count(0)
    hands.press(page.get_by_role("button", name="Review + create"))
    expect(page.get_by_text("Validation passed")).to_be_visible()
    hands.press(page.get_by_role("button", name="Create", exact=True))
    expect(page.get_by_role("heading", name="Your deployment is complete")).to_be_visible()
    hands.press(page.get_by_role("button", name="Go to resource"))
    expect(page.get_by_role("heading", name="vnet-1")).to_be_visible()


def test_networks_are_peered_by_keyboard_alone(visit: Make) -> None:
    there = visit()
    page = there.open("/")
    there.arm("PUT", "/resourceGroups/keys-rg", {"location": "eastus2"})
    for number in (1, 2):
        properties = {"addressSpace": {"addressPrefixes": [f"10.{50 + number}.0.0/16"]}}
        path = f"/resourceGroups/keys-rg/providers/{NETWORK}/keys-{number}"
        there.arm("PUT", path, {"location": "eastus2", "properties": properties}, "2024-05-01")
    there.open(f"/resource{there.subscription}/resourceGroups/keys-rg/providers/{NETWORK}/keys-1")
    hands = Keyboard(page)
    hands.press(page.get_by_role("navigation", name="Menu of keys-1").get_by_role("link", name="Peerings"))
    hands.press(page.get_by_role("button", name="Add", exact=True))
    form = page.get_by_role("dialog").filter(has=page.get_by_role("heading", name="Add peering"))
    remote = form.get_by_role("group", name="Remote virtual network summary")
    hands.type(remote.get_by_label("Peering link name"), "two-to-one")
    hands.choose(remote.get_by_role("combobox", name="Virtual network"), "keys-2")
    forwarded = form.get_by_label("Allow 'keys-2' to receive forwarded traffic from 'keys-1'")
    hands.press(forwarded, "Space")
    expect(forwarded).to_be_checked()
    local = form.get_by_role("group", name="Local virtual network peering summary")
    hands.type(local.get_by_label("Peering link name"), "one-to-two")
    hands.press(form.get_by_role("button", name="Add", exact=True))
    expect(form).to_have_count(0)
    expect(page.get_by_role("row").filter(has_text="one-to-two")).to_contain_text("Connected")

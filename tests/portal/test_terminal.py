"""A Bastion terminal in a browser: opened, typed in, resized, pasted to, taken up after an outage, ended with the sign-in.

page ── websocket ── control process ── Bastion host's process, in its NIC's namespace ── real packets ── a guest's sshd
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncssh
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from azlan.machines import bastion_wire
from azlan.machines.places import bastion_socket
from network import template
from standing import PASSWORD, Standing, let_in, make_bastion, short_folder, standing

from .conftest import Visit, build_module, visitors

Make = Callable[..., Visit]
T = TypeVar("T")

NETWORK = {
    "vnets": {"vnet-1": {"space": "10.0.0.0/16", "subnets": {"subnet-1": "10.0.0.0/24", "AzureBastionSubnet": "10.0.1.0/26"}}},
    "machines": {"vm-1": "vnet-1/subnet-1"},
}  # fmt: skip
VM = "/resourceGroups/test-rg/providers/Microsoft.Compute/virtualMachines/vm-1"
BASTION = "/resourceGroups/test-rg/providers/Microsoft.Network/bastionHosts/bastion"
SOON = 60_000
"""Milliseconds for what goes through a machine, beside whatever else the computer does."""
PHRASE = "an old oak"


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Its result. In a thread of its own: in this one Playwright has a loop running."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@dataclass
class Place:
    cloud: Standing
    key: asyncssh.SSHKey
    """Of azureuser at vm-1, besides the password."""

    def sessions(self) -> int:
        """How many the Bastion host's own process holds."""
        config = self.cloud.config
        bastion = f"/subscriptions/{config.subscription}{BASTION}".lower()
        return apart(bastion_wire.ping(bastion_socket(config.run, config.mark, f"machine:{bastion}"), 10))


async def make_network(cloud: Standing, key: asyncssh.SSHKey) -> None:
    async with cloud.client() as arm:
        await arm.put("", {"location": "eastus2"})
        deployment = {
            "mode": "Incremental",
            "template": template(NETWORK),
            "parameters": {"password": {"value": PASSWORD}},
        }
        await arm.put("Microsoft.Resources/deployments/network", {"properties": deployment})
        await make_bastion(arm, "vnet-1", "Basic")
        public = key.export_public_key().decode().strip()
        await let_in(arm, "vm-1", public)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A cloud with real machines: a network, vm-1 in it, a Bastion host of the tutorial's tier."""
    build_module().build()
    key = asyncssh.generate_private_key("ssh-ed25519")
    with short_folder() as folder, standing(folder) as up:
        apart(make_network(up, key))
        yield Place(up, key)


def open_form(there: Visit) -> Page:
    page = there.open(f"/resource{there.subscription}{VM}/bastion")
    page.get_by_label("Username").fill("azureuser")
    return page


def connect(page: Page, password: str = PASSWORD) -> None:
    page.get_by_role("textbox", name="Password", exact=True).fill(password)
    page.get_by_role("button", name="Connect", exact=True).click()


@contextmanager
def in_new_tab(page: Page) -> Iterator[list[Page]]:
    """What the page opens, once it has."""
    found: list[Page] = []
    with page.expect_popup() as opened:
        yield found
    found.append(opened.value)


def terminal(page: Page) -> Locator:
    session = page.get_by_role("region", name="Bastion session to vm-1")
    expect(session).to_contain_text("azureuser@vm-1:~$", timeout=SOON)
    return session.locator(".xterm-rows")


def shown(rows: Locator) -> str:
    return rows.inner_text().replace("\u00a0", " ")


def size(page: Page, rows: Locator, mark: str) -> tuple[int, int]:
    """Rows and columns, as the guest knows them."""
    page.keyboard.type(f"echo {mark} $(stty size)\n")
    expect(rows).to_contain_text(re.compile(rf"{mark} \d+ \d+"), timeout=SOON)
    found = re.findall(rf"{mark} (\d+) (\d+)", shown(rows))
    return int(found[-1][0]), int(found[-1][1])


@pytest.mark.root
def test_a_terminal_is_typed_in_resized_pasted_to_and_outlives_the_control_process(
    place: Place, chromium: Browser
) -> None:
    with visitors(place.cloud, chromium) as visit:
        there = visit()
        page = open_form(there)
        there.context.grant_permissions(["clipboard-read", "clipboard-write"])
        there.picture("bastion-form")
        with in_new_tab(page) as tabs:
            connect(page)
        (tab,) = tabs
        rows = terminal(tab)
        expect(page.get_by_role("textbox", name="Password", exact=True)).to_have_value("")

        before = size(tab, rows, "size-1")
        tab.set_viewport_size({"width": 900, "height": 600})
        expect(tab.locator(".xterm-screen")).to_be_visible()
        after = size(tab, rows, "size-2")
        assert after[0] < before[0], (before, after)
        assert after[1] < before[1], (before, after)
        tab.set_viewport_size({"width": 1280, "height": 800})

        tab.keyboard.type("clear\n")
        paste(tab, "Control+V", "echo pasted-$((40 + 1))\n")
        expect(rows).to_contain_text("pasted-41", timeout=SOON)
        paste(tab, "Control+Shift+V", "echo pasted-$((40 + 2))\n")
        expect(rows).to_contain_text("pasted-42", timeout=SOON)
        tab.keyboard.type("printf '\\033[38;2;255;120;0mto the colour\\033[0m\\n'\n")
        expect(rows.get_by_text("to the colour", exact=True)).to_have_css("color", "rgb(255, 120, 0)")

        outlive(there, tab, rows)
        tab.screenshot(path=there.picture("bastion-form-after").with_name("bastion-terminal.png"))
        nothing_is_left(there, page, tab)
        audited(there)
        assert tab.evaluate("window.__violations") == []
        assert there.reported() == 0

        page.get_by_role("button", name="Account of").click()
        page.get_by_role("menuitem", name="Sign out").click()
        expect(tab.get_by_role("alert")).to_contain_text(
            "Your sign-in has ended, and the session with it", timeout=SOON
        )
        assert place.sessions() == 0


def paste(tab: Page, keys: str, text: str) -> None:
    tab.evaluate("text => navigator.clipboard.writeText(text)", text)
    tab.keyboard.press(keys)
    # A bracketed paste is not run until somebody says so.
    tab.keyboard.press("Enter")


def outlive(there: Visit, tab: Page, rows: Locator) -> None:
    """Output goes on, what is typed meanwhile arrives, nothing is lost and nothing comes twice."""
    tab.keyboard.type("clear; for n in $(seq 1 25); do echo tick-$n; sleep 0.2; done\n")
    expect(rows).to_contain_text("tick-3", timeout=SOON)
    control = there.cloud.pid("control")
    assert control is not None
    os.kill(control, signal.SIGKILL)
    status = tab.get_by_role("region", name="Bastion session").get_by_role("status")
    expect(status).to_contain_text("Reconnecting to vm-1")
    tab.keyboard.type("echo typed-$((6 * 7))\n")
    expect(status).to_contain_text("Connected to vm-1", timeout=SOON)
    expect(rows).to_contain_text("typed-42", timeout=SOON)
    assert there.cloud.pid("control") != control
    assert re.findall(r"^tick-(\d+)$", shown(rows), re.M) == [str(number) for number in range(1, 26)]
    assert re.findall(r"^typed-\d+$", shown(rows), re.M) == ["typed-42"]


def nothing_is_left(there: Visit, page: Page, tab: Page) -> None:
    """Of the password: not in an address, not in what a browser keeps, not in the page, not in a log."""
    for one in (page, tab):
        kept = "JSON.stringify([location.href, history.state, {...localStorage}, {...sessionStorage}, document.cookie])"
        assert PASSWORD not in one.evaluate(kept)
        assert PASSWORD not in one.content()
    for file in (there.cloud.state / "logs").glob("*.log"):
        assert PASSWORD not in file.read_text()
    assert PASSWORD.encode() not in b"".join(file.read_bytes() for file in there.cloud.state.rglob("*.db*"))


def events(there: Visit, resource: str) -> list[Any]:
    wanted = f"resourceId eq '{there.subscription}{resource}'"
    answer = there.page.evaluate(
        """async url => (await fetch(url, {headers: {"X-Azlan-Portal": "1"}})).json()""",
        f"/portal/arm{there.subscription}/providers/Microsoft.Insights/eventtypes/management/values"
        f"?api-version=2015-04-01&$filter={wanted}",
    )
    return [event for event in answer["value"] if event["operationName"]["value"].endswith("BastionHost/connect")]


def audited(there: Visit) -> None:
    for resource in (VM, BASTION):
        (event,) = [event for event in events(there, resource) if event["caller"].startswith(there.user.name)]
        assert event["status"]["value"] == "Succeeded"
        assert "SSH as azureuser to 10.0.0.4, TCP port 22" in event["description"]


@pytest.mark.root
def test_keys_log_in_and_failures_are_said_in_words(place: Place, chromium: Browser, tmp_path: Path) -> None:
    with visitors(place.cloud, chromium) as visit:
        there = visit()
        page = open_form(there)
        page.get_by_label("Open in new browser tab").uncheck()
        connect(page, "not this one")
        expect(page.get_by_role("alert")).to_contain_text("did not accept these credentials", timeout=SOON)
        there.picture("bastion-refused")
        (event, *_) = events(there, VM)
        assert (event["status"]["value"], "AuthenticationFailed" in event["description"]) == ("Failed", True)

        page.get_by_role("button", name="Connect again").click()
        page.get_by_label("Username").fill("azureuser")
        page.get_by_label("Open in new browser tab").uncheck()
        choose(page, "SSH Private Key")
        page.get_by_label("SSH Private Key").fill(place.key.export_private_key(passphrase=PHRASE).decode())
        page.get_by_label("SSH Passphrase").fill(PHRASE)
        page.get_by_role("button", name="Connect", exact=True).click()
        terminal(page)
        assert there.axe() == []
        there.theme("dark")
        page.mouse.move(640, 500)
        expect(page.get_by_role("tooltip")).to_have_count(0)
        there.picture("bastion-inline-dark")
        assert there.axe() == []
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Close", exact=True).click()
        expect(page.get_by_role("status").filter(has_text="The session has ended")).to_be_visible()

        page.get_by_role("button", name="Connect again").click()
        page.get_by_label("Username").fill("azureuser")
        page.get_by_label("Open in new browser tab").uncheck()
        choose(page, "SSH Private Key from Local File")
        file = tmp_path / "key"
        file.write_bytes(place.key.export_private_key())
        page.get_by_label("Local File").set_input_files(file)
        assert there.axe() == []
        page.get_by_role("button", name="Connect", exact=True).click()
        terminal(page)
        page.keyboard.type("exit 3\n")
        expect(page.get_by_role("status").filter(has_text="has ended with status 3")).to_be_visible(timeout=SOON)
        assert there.violations() == []
    assert place.sessions() == 0


def choose(page: Page, kind: str) -> None:
    page.get_by_role("combobox", name="Authentication Type").click()
    page.get_by_role("option", name=kind, exact=True).click()


def test_a_network_without_bastion_says_what_to_do_and_has_a_form_for_it(visit: Make) -> None:
    there = visit()
    there.open("/")
    vm = make_machine(there)
    reader = visit("Reader")
    page = reader.open(f"/resource{vm}/bastion")
    expect(page.get_by_role("heading", name="This virtual network has no Bastion")).to_be_visible()
    expect(page.get_by_text("You may not deploy one")).to_be_visible()
    expect(page.get_by_role("button", name="Deploy Bastion")).to_have_count(0)

    page = there.open(f"/resource{vm}/connect")
    expect(page.get_by_role("heading", name="Connect to virtual machine")).to_be_visible()
    page.get_by_role("tab", name="Bastion").click()
    page.get_by_role("button", name="Use Bastion").click()
    expect(page.get_by_role("heading", name="This virtual network has no Bastion")).to_be_visible()
    there.picture("bastion-none")
    page.get_by_role("button", name="Deploy Bastion").click()
    panel = page.get_by_role("dialog")
    expect(panel.get_by_label("AzureBastionSubnet address range")).to_have_value("10.9.1.0/26")
    panel.get_by_label("AzureBastionSubnet address range").fill("10.9.0.0/26")
    expect(panel.get_by_text("The range overlaps another subnet's.")).to_be_visible()
    expect(panel.get_by_role("button", name="Deploy Bastion")).to_be_disabled()
    panel.get_by_label("AzureBastionSubnet address range").fill("10.9.2.0/26")
    there.picture("bastion-deploy")
    panel.get_by_role("button", name="Deploy Bastion").click()
    expect(page.get_by_text("Provisioning State: Succeeded")).to_be_visible()

    # Its machines are simulated: there is no process of a Bastion host's to talk to, and that is said.
    page.get_by_label("Username").fill("azureuser")
    page.get_by_label("Open in new browser tab").uncheck()
    page.get_by_role("button", name="Connect", exact=True).click()
    expect(page.get_by_text("The value must not be empty.")).to_be_visible()
    choose(page, "SSH Private Key from Local File")
    page.get_by_label("Local File").set_input_files({"name": "key", "mimeType": "", "buffer": bytes(32 * 1024 + 1)})
    expect(page.get_by_text("This file is too large to be a private key.")).to_be_visible()
    choose(page, "Password")
    assert there.axe("label") == []
    connect(page)
    expect(page.get_by_role("alert")).to_contain_text("The Bastion host does not run")
    there.arm("POST", f"{vm.removeprefix(there.subscription)}/powerOff", None, "2024-07-01")
    page.get_by_role("button", name="Connect again").click()
    expect(page.get_by_text("it takes no sessions")).to_be_visible()
    assert there.violations() == []


def make_machine(there: Visit) -> str:
    """A machine in a network of its own, without a Bastion host."""
    group = "/resourceGroups/no-bastion-rg"
    there.arm("PUT", group, {"location": "eastus2"})
    spaces = {"vnet-9": {"space": "10.9.0.0/16", "subnets": {"subnet-1": "10.9.0.0/24"}}}
    network = {"vnets": spaces, "machines": {"vm-9": "vnet-9/subnet-1"}}
    properties = {
        "mode": "Incremental",
        "template": template(network),
        "parameters": {"password": {"value": PASSWORD}},
    }
    there.arm("PUT", f"{group}/providers/Microsoft.Resources/deployments/network", {"properties": properties})
    machine = f"{group}/providers/Microsoft.Compute/virtualMachines/vm-9"
    page = there.open(f"/resource{there.subscription}{machine}")
    expect(page.get_by_role("heading", name="vm-9")).to_be_visible()
    for _ in range(100):
        state = there.page.evaluate(
            """async url => (await fetch(url, {headers: {"X-Azlan-Portal": "1"}})).json()""",
            f"/portal/arm{there.subscription}{machine}?api-version=2024-07-01",
        )
        if state.get("properties", {}).get("provisioningState") == "Succeeded":
            return there.subscription + machine
        page.wait_for_timeout(200)
    raise AssertionError(state)

"""docs/clients/ansible.md, as printed: the playbook builds the network, changes nothing when it is run again, and goes away.

azure.azcollection compares what it reads back with what it was told: `changed=0` is its verdict on every field it knows.
Unprivileged: model engine, simulated machines. The tests go on from one another in their order. `test_ansible_machines.py` has
real machines. Each module costs seconds of importing SDKs, so those beyond the page run in `make soak` alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from azlan.commands.clouds import CloudClient, CommandError
from counts import FULL
from playbooks import Shell, recap
from served import Served, served

CALM = {"unreachable": 0, "failed": 0}


@dataclass
class Built:
    """A cloud in which the page's playbook has run."""

    cloud: Served
    shell: Shell
    output: str
    """What it printed."""

    def peering(self, network: str, name: str) -> dict[str, Any]:
        """A half's properties, past Ansible."""
        client, found = CloudClient(self.cloud.config), self.cloud.variables
        token = client.token(found["AZURE_CLIENT_ID"], found["AZURE_CLIENT_SECRET"])
        assert token is not None
        path = f"Microsoft.Network/virtualNetworks/{network}/virtualNetworkPeerings/{name}?api-version=2024-05-01"
        group = f"/subscriptions/{self.cloud.config.subscription}/resourceGroups/test-rg"
        answer: dict[str, Any] = client.call("GET", f"{group}/providers/{path}", token)["properties"]
        return answer


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    with served() as cloud:
        shell = Shell(tmp_path_factory.mktemp("ansible"), cloud.config.state)
        yield Built(cloud, shell, shell.run(shell.page.command("--extra-vars password")))


def test_the_playbook_builds_what_the_page_says(built: Built) -> None:
    assert recap(built.output) == built.shell.page.recap
    assert built.peering("vnet-1", "vnet-1-to-vnet-2")["peeringState"] == "Connected"


def test_a_second_run_changes_nothing(built: Built) -> None:
    again = recap(built.shell.run(built.shell.page.command("--extra-vars password")))
    first = recap(built.output)
    assert again == {**first, "ok": first["ok"] - 1, "changed": 0, "skipped": 1}


def test_check_mode_says_what_it_would_do_and_does_not(built: Built) -> None:
    counted = recap(built.shell.run(built.shell.page.command("--check")))
    assert counted == {"ok": 2, "changed": 2, "skipped": 0, **CALM}
    assert built.peering("vnet-1", "vnet-1-to-vnet-2")["allowForwardedTraffic"] is False


def test_what_is_there_is_shown(built: Built) -> None:
    page = built.shell.page
    shown = built.shell.run(page.command("ansible-inventory"))
    for machine, address in (("vm-1", "10.0.0.4"), ("vm-2", "10.1.0.4")):
        assert re.search(rf"\|--{machine}$", shown, re.MULTILINE), shown
        assert f"{{address = {address}}}" in shown, shown
    (half,) = built.shell.module(page.command("virtualnetworkpeering_info"))["vnetpeerings"]
    assert (half["name"], half["peering_state"]) == ("vnet-1-to-vnet-2", "Connected")


if FULL:

    def test_more_modules_change_nothing_the_second_time(built: Built) -> None:
        line = f"azlan redirect ansible-playbook {Path(__file__).parent / 'ansible' / 'more.yml'}"
        assert recap(built.shell.run(line)) == {"ok": 11, "changed": 10, "skipped": 0, **CALM}
        half = built.peering("vnet-1", "vnet-1-to-vnet-2")
        assert half["peeringSyncLevel"] == "FullyInSync"
        assert half["remoteAddressSpace"]["addressPrefixes"] == ["10.1.0.0/16", "10.2.0.0/16"]
        assert recap(built.shell.run(line)) == {"ok": 11, "changed": 0, "skipped": 0, **CALM}


def test_a_reader_may_look_and_no_more(built: Built) -> None:
    """Whoever comes by Azure's names has the rights of who they are."""
    asked = {"name": "watcher", "kind": "ServicePrincipal", "role": "Reader", "renew": True}
    made = CloudClient(built.cloud.config).admin("POST", "/users", asked)
    who = (
        f"client_id={made['applicationId']} secret={made['secret']} tenant={made['tenant']} "
        f"subscription_id={made['subscription']} resource_group=test-rg"
    )
    module = "azlan redirect ansible localhost -m azure.azcollection.azure_rm"
    found = built.shell.module(f'{module}_virtualnetwork_info -a "{who} name=vnet-1"')
    assert [network["name"] for network in found["virtualnetworks"]] == ["vnet-1"]
    with pytest.raises(AssertionError, match="AuthorizationFailed"):
        built.shell.run(f'{module}_routetable -a "{who} name=mine"')


def test_the_group_is_removed_with_all_in_it(built: Built) -> None:
    assert built.shell.module(built.shell.page.command("state=absent"))["changed"] is True
    with pytest.raises(CommandError, match="could not be found"):
        built.peering("vnet-1", "vnet-1-to-vnet-2")

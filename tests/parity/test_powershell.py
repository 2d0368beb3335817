"""The tutorial's PowerShell tab at the wire: the requests its cmdlets send, and what they read of the answers.

The modules cannot be had here and are not run: what they do was derived from their published source and recorded sessions,
and stands as data in powershell/. The first test is the whole mission, with real packets; the others need no privilege.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from azlan.commands.bastion_session import BastionSession
from azlan.commands.clouds import CloudClient
from azlan.commands.ssh import request_for
from kit import Cloud, cloud
from parity.powershell.player import Shell, cmdlets, modules, shell, tab
from probing import Fate, Guest
from standing import PASSWORD, Standing, short_folder, standing

VINTAGES = list(modules()["vintages"])
PINGS = (("vm-1", "10.1.0.4"), ("vm-2", "10.0.0.4"))
"""Where the page logs in, and which address it then pings."""
PROMPT_SECONDS = 120
CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07")


async def soon(seconds: float) -> None:
    """A client that does not wait as long as it is told: the cloud holds a poll until the operation ends.

    It would be 30 s without Retry-After, and 10 s where that is no whole number.
    """
    assert 0 < seconds < 10
    await asyncio.sleep(0)


async def play(powershell: Shell) -> None:
    for call in tab()["calls"]:
        await powershell.call(call)
    await asyncio.gather(*powershell.jobs)  # the Bastion host's, which the page goes on without


async def get(powershell: Shell, path: str) -> httpx.Response:
    url = f"/subscriptions/{powershell.subscription}/{path}"
    return await powershell.http.get(url, headers={"Authorization": f"Bearer {powershell.token}"})


async def listed(powershell: Shell) -> set[str]:
    """The types of what the group has."""
    answer = await get(powershell, "resourceGroups/test-rg/resources?api-version=2021-04-01")
    return {resource["type"] for resource in answer.json()["value"]}


async def clean_up(powershell: Shell) -> None:
    """Remove-AzResourceGroup, after which nothing of the group is there."""
    for call in tab()["clean_up"]:
        await powershell.call(call)
    assert (await get(powershell, "resourceGroups/test-rg?api-version=2021-04-01")).status_code == 404
    left = (await get(powershell, "resources?api-version=2021-04-01")).json()["value"]
    assert [resource["id"] for resource in left if "/test-rg/" in resource["id"].lower()] == []


@asynccontextmanager
async def powershell_at(cloud: Standing) -> AsyncIterator[Shell]:
    """A shell that signed in as a service principal, and waits as long as it is told."""
    user = cloud.user("powershell")
    context: ssl.SSLContext = cloud.context()
    async with httpx.AsyncClient(verify=context, base_url=cloud.config.endpoint, timeout=60) as http:
        token = await asyncio.to_thread(CloudClient(cloud.config).token, user["applicationId"], user["secret"])
        assert token is not None
        async with shell(http, user["subscription"], token, "newest", PASSWORD) as opened:
            opened.variables["login"] = (user["applicationId"], user["secret"])
            yield opened


async def until(session: BastionSession, prompt: str) -> str:
    """What the session prints until it ends with the prompt, without control sequences."""
    raw, text = b"", ""
    async with asyncio.timeout(PROMPT_SECONDS):
        while not text.rstrip().endswith(prompt):
            data = await session.read()
            assert data, f"the session ended:\n{text}"
            raw += data
            text = CONTROL.sub("", raw.decode(errors="replace")).replace("\r", "")
    return text


async def pings(cloud: Standing, powershell: Shell, machine: str, target: str) -> list[str]:
    """Log in through the Bastion host as the page does and ping: the ttl of each reply."""
    request = request_for(powershell.subscription, group="test-rg", bastion="bastion", machine=machine)
    request |= {"username": "azureuser", "password": PASSWORD, "columns": 120, "rows": 40, "terminal": "xterm"}
    prompt = f"azureuser@{machine}:~$"
    async with BastionSession(CloudClient(cloud.config), powershell.variables["login"], request) as session:
        await until(session, prompt)
        await session.write(b". /etc/os-release; echo $VERSION_ID\n")
        assert re.search(r"^24\.04$", await until(session, prompt), re.MULTILINE)
        await session.write(f"ping -c 4 {target}\n".encode())
        printed = await until(session, prompt)
    assert "4 packets transmitted, 4 received, 0% packet loss" in printed
    return re.findall(rf"64 bytes from {re.escape(target)}: icmp_seq=\d+ ttl=(\d+)", printed)


@pytest.mark.root
async def test_the_powershell_tab_to_its_pings() -> None:
    with short_folder() as folder, standing(folder) as up:
        async with powershell_at(up) as powershell:
            await play(powershell)
            for machine, target in PINGS:
                assert await pings(up, powershell, machine, target) == ["64"] * 4
            assert {"Microsoft.Compute/disks", "Microsoft.Network/networkSecurityGroups"} <= await listed(powershell)
            await clean_up(powershell)
        status = up.status()
        assert (status["runningMachines"], status["parts"]) == (0, 0)


@asynccontextmanager
async def simulated(folder: Path, vintage: str) -> AsyncIterator[tuple[Cloud, Shell]]:
    async with cloud(folder) as made:
        token = made.arm.headers["Authorization"].removeprefix("Bearer ")
        async with shell(made.arm.http, made.arm.subscription, token, vintage, PASSWORD, soon) as powershell:
            yield made, powershell


async def guest(made: Cloud, name: str) -> Guest:
    nic: dict[str, Any] = await made.arm.get(f"Microsoft.Network/networkInterfaces/{name}")
    (configuration,) = nic["properties"]["ipConfigurations"]
    assert "publicIPAddress" not in configuration["properties"]
    return Guest(name, f"nic:{nic['id'].lower()}", configuration["properties"]["privateIPAddress"])


@pytest.mark.parametrize("vintage", VINTAGES)
async def test_the_powershell_tab_on_the_model_engine(tmp_path: Path, vintage: str) -> None:
    async with simulated(tmp_path, vintage) as (made, powershell):
        await play(powershell)
        guests = [await guest(made, "vm-1"), await guest(made, "vm-2")]
        for source, target in (guests, guests[::-1]):
            fate = await made.prober.fate(source, target.address, "icmp", 0, guests)
            assert fate == Fate(None, target.name, 64, 64), made.describe()
        assert {g.address for g in guests} == {address for _, address in PINGS}
        await clean_up(powershell)
        assert not made.world().parts


async def test_a_set_of_2019_sends_back_what_is_only_read(tmp_path: Path) -> None:
    """REC VirtualNetworkTests/TestVirtualNetworkSubnetCRUD @6123eae, PUT 200 at 2018-12-01: later modules leave these out."""
    async with simulated(tmp_path, "2024") as (made, powershell):
        for call in tab()["calls"][:5]:
            await powershell.call(call)
        path, api = "Microsoft.Network/virtualNetworks/vnet-1", "2018-12-01"
        before = await made.arm.get(path, api=api)
        body = {name: before[name] for name in ("id", "etag", "location", "properties")}
        for subnet in body["properties"]["subnets"]:
            subnet["properties"] |= {"resourceNavigationLinks": [], "serviceAssociationLinks": []}
        body["properties"]["dhcpOptions"] = {"dnsServers": []}
        after = await made.arm.put(path, body, api=api)
        for name in ("resourceGuid", "provisioningState", "addressSpace"):
            assert after["properties"][name] == before["properties"][name]
        assert [subnet["name"] for subnet in after["properties"]["subnets"]] == ["subnet-1", "AzureBastionSubnet"]
        for subnet in after["properties"]["subnets"]:
            assert not {"resourceNavigationLinks", "serviceAssociationLinks"} & set(subnet["properties"])
        assert after["etag"] != before["etag"]


def test_each_cmdlet_of_the_tab_has_its_file_and_each_step_its_source() -> None:
    called = [call["cmdlet"] for call in (*tab()["calls"], *tab()["clean_up"])]
    assert set(called) == set(cmdlets())
    for cmdlet in cmdlets().values():
        assert cmdlet["sources"], cmdlet["cmdlet"]
        steps = [each for step in cmdlet["steps"] for each in step.get("at_once", [step])]
        assert all(step["source"] and step["client"] in modules()["clients"] for step in steps), cmdlet["cmdlet"]

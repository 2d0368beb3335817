"""How people log the real az in: by the browser (authorization code + PKCE) and by a device code; refresh, and the end of it.

"Sign into Azure interactively using the Azure CLI", learn.microsoft.com/cli/azure/authenticate-azure-cli-interactively.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

import browser
from azlan.commands.clouds import CloudClient
from served import Served, served

pytestmark = [pytest.mark.az, pytest.mark.asyncio(loop_scope="module")]

PASSWORD = "Correct-Horse7Battery"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Served]:
    with served() as made:
        yield made


@pytest.fixture
def person(cloud: Served, tmp_path: Path) -> Served:
    """The cloud as seen from the shell of a new user, whose az knows the cloud and nobody in it."""
    name = f"user-{uuid4().hex[:6]}"
    CloudClient(cloud.config).admin("POST", "/users", {"name": name, "password": PASSWORD, "role": "Reader"})
    folder = tmp_path / "azure"
    folder.mkdir()
    for file in ("config", "clouds.config"):
        shutil.copy(Path(cloud.environment["AZURE_CONFIG_DIR"]) / file, folder)
    return replace(
        cloud,
        environment={
            **cloud.environment,
            "AZURE_CONFIG_DIR": str(folder),
            "BROWSER": f"{sys.executable} {browser.__file__} %s &",
            browser.NAME: name,
            browser.PASSWORD: PASSWORD,
            browser.AUTHORITY: str(cloud.config.authority),
        },
    )


async def bearer(person: Served) -> str:
    return str(await person.az("account get-access-token --query accessToken"))


def expire(person: Served) -> None:
    """An hour passes for az: it holds its access token for expired."""
    path = Path(person.environment["AZURE_CONFIG_DIR"]) / "msal_token_cache.json"
    cache = json.loads(path.read_text())
    for token in cache["AccessToken"].values():
        token |= {"expires_on": "1000", "extended_expires_on": "1000", "cached_at": "1"}
    path.write_text(json.dumps(cache))


async def is_in(person: Served) -> None:
    account, groups = await asyncio.gather(person.az("account show"), person.az("group list"))
    assert account["user"] == {"name": f"{person.environment[browser.NAME]}@azlan.localhost", "type": "user"}
    assert (account["id"], account["tenantId"]) == (person.config.subscription, person.config.tenant)
    assert isinstance(groups, list)


async def by_device_code(person: Served) -> None:
    """`az login --use-device-code`, while somebody types the code into the page that az names."""
    process = await asyncio.create_subprocess_exec(
        str(person.az_path), "login", "--use-device-code", env=person.environment,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    said = ""
    try:
        async with asyncio.timeout(120):
            while (shown := re.search(r"open the page (\S+) and enter the code (\w+)", said)) is None:
                line = await process.stderr.readline()
                assert line, said
                said += line.decode()
            typing = asyncio.create_subprocess_exec(
                sys.executable, browser.__file__, shown[1], f"otc={shown[2]}", env=person.environment
            )
            assert await (await typing).wait() == 0
            said += (await process.stderr.read()).decode()
            assert await process.wait() == 0, said
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_login_by_the_browser(person: Served) -> None:
    (account,) = await person.az("login")
    assert account["id"] == person.config.subscription
    await is_in(person)


async def test_login_by_device_code_refresh_and_revocation(person: Served) -> None:
    await by_device_code(person)
    await is_in(person)
    first = await bearer(person)
    assert await bearer(person) == first
    expire(person)
    assert await bearer(person) != first
    await is_in(person)
    CloudClient(person.config).admin("POST", f"/users/{person.environment[browser.NAME]}/revoke")
    for _ in range(2):  # first its access token is refused, which has not run out; then it has
        told = await person.refused("group list")
        assert "AADSTS50173" in told
        assert "az login" in told
        expire(person)
    await person.az("login")
    await is_in(person)

"""Az.Accounts, Azure.Identity and MSAL.NET at the wire: adding the environment, the three ways to connect, tokens afterwards.

None of the three is run here: what they send and check was derived from their published source and stands as data, each step
with its source, in powershell_accounts/sequences.yaml.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from azlan.services.directory import DOMAIN
from kit import Cloud, cloud
from parity.powershell_accounts.client import (
    Client,
    Refused,
    asks_elsewhere,
    confidential_authority,
    public_authority,
    sequences,
)

PASSWORD = "Correct-Horse7Battery"


@asynccontextmanager
async def powershell(folder: Path, **values: str) -> AsyncIterator[tuple[Cloud, Client]]:
    """A PowerShell that knows the environment, a service principal and a person who may sign in."""
    async with cloud(folder) as made:
        config, directory = made.process.config, made.process.identity.directory
        application, secret = await directory.add("powershell", "ServicePrincipal")
        person, _ = await directory.add("ann", "User", PASSWORD)
        for entry in (application, person):
            await made.roles.assign(
                entry.principal(config.tenant), "Contributor", f"/subscriptions/{config.subscription}"
            )
        known = {
            "endpoint": config.endpoint,
            "tenant": config.tenant,
            "subscription": config.subscription,
            "domain": DOMAIN,
            "name": "ann",
            "client_id": str(application.application_id),
            "client_secret": secret,
        }
        client = Client(made.arm.http, known | values, PASSWORD)
        await client.run("Add-AzEnvironment")
        yield made, client


async def test_as_a_service_principal(tmp_path: Path) -> None:
    async with powershell(tmp_path) as (_, client):
        for name in ("service-principal", "adfs-service-principal", "domain", "adfs-validation"):
            await client.run(name)


@pytest.mark.parametrize(
    ("way", "mode", "tenant"),
    [("device-code", "", ""), ("interactive", "form_post", "named"), ("interactive", "", "")],
)
async def test_as_a_person_and_afterwards(tmp_path: Path, way: str, mode: str, tenant: str) -> None:
    async with powershell(tmp_path, response_mode=mode) as (made, client):
        if tenant:
            client.values["asked_tenant"] = client.values["tenant"]
        await client.run(way)
        first = client.values["access_token"]
        await client.run("without-tenant")
        await client.run("silent")
        assert client.values["access_token"] != first
        directory = made.process.identity.directory
        person = directory.named("ann")
        assert person is not None
        await directory.revoke(person.object_id)
        await client.run("revoked")


async def test_nobody_else_is_asked(tmp_path: Path) -> None:
    """Not even where DisableInstanceDiscovery cannot be said: for a client secret."""
    async with powershell(tmp_path) as (_, client):
        login, tenant = client.values["login"], client.values["tenant"]
        assert asks_elsewhere(confidential_authority(login, tenant), discovery=True) is None
        for asked in (tenant, None):
            assert asks_elsewhere(public_authority(login, asked), discovery=False) is None
        for name in ("service-principal", "device-code", "interactive", "silent"):
            await client.run(name)
        assert {address.split(" ")[1].startswith(client.values["endpoint"] + "/") for address in client.log} == {True}


def test_what_msal_net_would_ask() -> None:
    """What the path of `loginEndpoint` spares: each of these ends a sign-in on a TCP port other than 443."""
    base = "https://localhost:8443"
    assert asks_elsewhere(f"{base}/tenant", True) == "https://login.microsoftonline.com:8443/common/discovery/instance"
    assert asks_elsewhere(f"{base}/adfs", True) == "https://localhost/.well-known/webfinger"
    assert asks_elsewhere(f"{base}/adfs", False) is None


async def test_the_player_refuses_what_the_client_would(tmp_path: Path) -> None:
    async with powershell(tmp_path) as (_, client):
        await client.run("device-code")
        (step,) = (step for step in sequences()["silent"] if "form" in step)
        form = {name: client.told(text) for name, text in step["form"].items()}
        answer = (await client.http.post(client.told("{tenanted}/oauth2/v2.0/token"), data=form)).json()
        client.take(step, answer)
        for path, value in (
            ("token_type", None),
            ("expires_in", "soon"),
            ("id_token", "not.a.token"),
            ("client_info", None),
            ("scope", "openid"),
        ):
            with pytest.raises((Refused, ValueError)):
                client.take(step, answer | {path: value})


def test_every_step_names_its_source() -> None:
    for steps in sequences().values():
        for step in steps:
            assert step["source"].startswith(("AP ", "MSAL "))
            assert ("request" in step) != ("person" in step)

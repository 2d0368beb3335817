"""azure-identity, as it comes from PyPI: each way to sign in that docs/clients/python.md names, synchronous and not."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    AzureCliCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    DeviceCodeCredential,
    EnvironmentCredential,
    InteractiveBrowserCredential,
)
from azure.identity import aio as asynchronous
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient as AsyncResourceManagementClient

import browser
from azlan.commands.clouds import CloudClient
from served import Served, served

pytestmark = pytest.mark.az

PASSWORD = "Correct-Horse7Battery"
HERE = {"disable_instance_discovery": True}


@pytest.fixture(scope="module")
def azlan() -> Iterator[Served]:
    with served() as made:
        yield made


@pytest.fixture
def cloud(azlan: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The cloud, and this process as a shell that has evaluated `azlan env`."""
    for name, value in azlan.variables.items():
        monkeypatch.setenv(name, value)
    return azlan


@pytest.fixture
def person(cloud: Served, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a user whose browser signs in by itself."""
    name = f"user-{uuid4().hex[:6]}"
    CloudClient(cloud.config).admin("POST", "/users", {"name": name, "password": PASSWORD, "role": "Reader"})
    monkeypatch.setenv("BROWSER", f"{sys.executable} {browser.__file__} %s &")
    monkeypatch.setenv(browser.NAME, name)
    monkeypatch.setenv(browser.PASSWORD, PASSWORD)
    monkeypatch.setenv(browser.AUTHORITY, str(cloud.config.authority))
    return f"{name}@azlan.localhost"


def scope(cloud: Served) -> str:
    return f"{cloud.config.endpoint}/.default"


def payload(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    return dict(json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4))))


def principal(cloud: Served, credential: Any) -> dict[str, Any]:
    """Whose tokens a credential gets, as ARM takes them."""
    where = {"base_url": cloud.config.endpoint, "credential_scopes": [scope(cloud)]}
    client = ResourceManagementClient(credential, cloud.config.subscription, **where)
    assert all(group.location for group in client.resource_groups.list())
    return payload(credential.get_token(scope(cloud)).token)


async def async_principal(cloud: Served, credential: Any) -> dict[str, Any]:
    """The same of a credential of `azure.identity.aio`."""
    where = {"base_url": cloud.config.endpoint, "credential_scopes": [scope(cloud)]}
    async with credential, AsyncResourceManagementClient(credential, cloud.config.subscription, **where) as client:
        assert [group async for group in client.resource_groups.list() if not group.location] == []
        return payload((await credential.get_token(scope(cloud))).token)


def secret(cloud: Served) -> tuple[str, str, str]:
    found = cloud.variables
    return found["AZURE_TENANT_ID"], found["AZURE_CLIENT_ID"], found["AZURE_CLIENT_SECRET"]


@pytest.mark.parametrize(
    "make",
    [
        lambda _: DefaultAzureCredential(**HERE),
        lambda _: EnvironmentCredential(**HERE),
        lambda cloud: ClientSecretCredential(*secret(cloud), **HERE),
        lambda cloud: ClientSecretCredential(*secret(cloud), authority=cloud.config.endpoint, **HERE),
        lambda _: AzureCliCredential(),
    ],
    ids=["default", "environment", "secret", "authority", "cli"],
)
def test_by_the_principal_of_azlan_env(cloud: Served, make: Callable[[Served], Any]) -> None:
    assert principal(cloud, make(cloud))["appid"] == cloud.variables["AZURE_CLIENT_ID"]


@pytest.mark.parametrize(
    "make",
    [
        lambda _: asynchronous.DefaultAzureCredential(**HERE),
        lambda _: asynchronous.EnvironmentCredential(**HERE),
        lambda cloud: asynchronous.ClientSecretCredential(*secret(cloud), **HERE),
        lambda _: asynchronous.AzureCliCredential(),
    ],
    ids=["default", "environment", "secret", "cli"],
)
async def test_the_same_asynchronously(cloud: Served, make: Callable[[Served], Any]) -> None:
    assert (await async_principal(cloud, make(cloud)))["appid"] == cloud.variables["AZURE_CLIENT_ID"]


def test_by_a_device_code(cloud: Served, person: str) -> None:
    typing = []

    def prompt(uri: str, code: str, _expires: Any) -> None:
        words = [sys.executable, str(browser.__file__), uri, f"otc={code}"]
        typing.append(subprocess.Popen(words, stdin=subprocess.DEVNULL))

    credential = DeviceCodeCredential(tenant_id=cloud.config.tenant, prompt_callback=prompt, **HERE)
    first = principal(cloud, credential)
    assert first["upn"] == person
    assert principal(cloud, credential) == first
    (process,) = typing
    assert process.wait(60) == 0


def test_by_the_browser(cloud: Served, person: str) -> None:
    credential = InteractiveBrowserCredential(tenant_id=cloud.config.tenant, **HERE)
    assert principal(cloud, credential)["upn"] == person


def test_a_wrong_secret(cloud: Served) -> None:
    tenant, client, _ = secret(cloud)
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        ClientSecretCredential(tenant, client, "wrong", **HERE).get_token(scope(cloud))


def test_a_tenant_that_is_not_there(cloud: Served) -> None:
    _, client, value = secret(cloud)
    with pytest.raises(ClientAuthenticationError, match="double check your tenant"):
        ClientSecretCredential(str(uuid4()), client, value, **HERE).get_token(scope(cloud))

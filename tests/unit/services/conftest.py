"""One tenant with a user and a service principal, and a client of its identity service, all in this process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
from starlette.applications import Starlette

from azlan.services import directory as directory_module
from azlan.services.directory import Directory
from azlan.services.identity import Identity
from azlan.services.signin import SignIn
from azlan.services.tokens import Tokens

ENDPOINT = "https://localhost:8443"
TENANT = "11111111-1111-1111-1111-111111111111"
PASSWORD = "correct horse 1"


@dataclass
class MemoryVault:
    """A Vault that forgets; `values` is what would be on disk."""

    values: dict[str, str] = field(default_factory=dict)

    async def get(self, name: str) -> str | None:
        return self.values.get(name)

    async def put(self, name: str, value: str) -> None:
        json.loads(value)  # everything stored is a document
        self.values[name] = value


@dataclass
class Tenant:
    vault: MemoryVault
    tokens: Tokens
    directory: Directory
    identity: Identity
    http: httpx.AsyncClient
    client_id: str
    secret: str
    application: str
    """Object id of the service principal."""
    user: str
    """Object id of the user."""

    async def token(self, authority: str = TENANT, **form: str) -> httpx.Response:
        return await self.http.post(f"/{authority}/oauth2/v2.0/token", data=form)


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """scrypt is slow on purpose; these tests are about everything else."""
    monkeypatch.setattr(directory_module, "_SCRYPT_N", 2)


_KEYS: dict[str, str] = {}
"""Making an RSA key takes a while: one for all tests."""


@pytest.fixture
async def tenant() -> AsyncIterator[Tenant]:
    vault = MemoryVault(dict(_KEYS))
    tokens = await Tokens.open(vault, ENDPOINT, TENANT)
    _KEYS.update(vault.values)
    directory = await Directory.open(vault, TENANT)
    identity = Identity(tokens, directory)
    application, secret = await directory.add("ci", "ServicePrincipal")
    user, _ = await directory.add("ann", "User", PASSWORD)
    app = Starlette(routes=[*SignIn(identity).routes(), *identity.routes()])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ENDPOINT) as http:
        assert application.application_id is not None
        yield Tenant(
            vault, tokens, directory, identity, http, application.application_id, secret,
            application.object_id, user.object_id,
        )  # fmt: skip

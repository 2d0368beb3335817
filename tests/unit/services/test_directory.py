"""Principals: kept as hashes, found without case, gone at once."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from azlan.arm import core
from azlan.services.directory import DOMAIN, Directory, Locked
from azlan.services.vault import FileVault, write_private

from .conftest import PASSWORD, TENANT, MemoryVault, Tenant


async def test_secrets_are_nowhere_in_what_is_stored(tenant: Tenant) -> None:
    stored = "".join(tenant.vault.values.values())
    assert PASSWORD not in stored
    assert tenant.secret not in stored


async def test_principals_survive_a_restart(tenant: Tenant) -> None:
    again = await Directory.open(tenant.vault, TENANT)
    assert again.entries() == tenant.directory.entries()
    entry = again.named("ann")
    assert entry is not None
    assert await again.check(entry, PASSWORD)
    assert not await again.check(entry, PASSWORD.upper())


@pytest.mark.parametrize("name", ["ann", "ANN", "ann@azlan.localhost", "Ann@Azlan.Localhost"])
async def test_names_have_no_case_and_a_default_domain(tenant: Tenant, name: str) -> None:
    entry = tenant.directory.named(name)
    assert entry is not None
    assert entry.object_id == tenant.user


async def test_a_name_is_given_once(tenant: Tenant) -> None:
    with pytest.raises(KeyError):
        await tenant.directory.add("ANN", "User")
    with pytest.raises(KeyError):
        await tenant.directory.add("CI", "ServicePrincipal")
    assert len(tenant.directory.entries()) == 2


async def test_two_at_once_get_one(tenant: Tenant) -> None:
    outcomes = await asyncio.gather(*(tenant.directory.add("bob", "User") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(outcome, KeyError) for outcome in outcomes) == 4
    assert len(tenant.directory.entries()) == 3


async def test_made_up_secrets_differ_and_can_follow_an_option(tenant: Tenant) -> None:
    made = [(await tenant.directory.add(f"sp{n}", "ServicePrincipal"))[1] for n in range(20)]
    assert len(set(made)) == 20
    assert all(secret.isalnum() and len(secret) == 40 for secret in made)


async def test_removed_is_gone(tenant: Tenant) -> None:
    await tenant.directory.remove(tenant.user)
    assert tenant.directory.lookup(tenant.user) is None
    assert tenant.directory.named("ann") is None
    with pytest.raises(KeyError):
        await tenant.directory.remove(tenant.user)


async def test_a_flood_of_guesses_does_not_outrun_the_lock(tenant: Tenant) -> None:
    entry = tenant.directory.named("ann")
    assert entry is not None
    outcomes = await asyncio.gather(
        *(tenant.directory.check(entry, f"guess {n}") for n in range(60)), return_exceptions=True
    )
    tried = sum(outcome is False for outcome in outcomes)
    assert 10 <= tried <= 12
    assert all(outcome is False or isinstance(outcome, Locked) for outcome in outcomes)
    with pytest.raises(Locked):
        await tenant.directory.check(entry, PASSWORD)


async def test_a_write_that_fails_changes_nothing(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(_self: MemoryVault, _name: str, _value: str) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(MemoryVault, "put", full)
    with pytest.raises(OSError, match="disk full"):
        await tenant.directory.add("bob", "User")
    assert tenant.directory.named("bob") is None


async def test_files_are_private_from_the_first_byte(tmp_path: Path) -> None:
    vault = FileVault(tmp_path / "vault")
    assert await vault.get("identity/keys") is None
    before = os.umask(0)
    try:
        await vault.put("identity/keys", "{}")
    finally:
        os.umask(before)
    assert await vault.get("identity/keys") == "{}"
    (path,) = (tmp_path / "vault").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "vault").stat().st_mode) == 0o700


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, b"old")
    kept = path.open("rb")
    write_private(path, b"new")
    assert (kept.read(), path.read_bytes()) == (b"old", b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_the_tenant_is_listed_under_the_domain_that_names_it() -> None:
    assert core.Tenant(TENANT).domain == DOMAIN

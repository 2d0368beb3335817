"""The principals of the tenant: users with passwords, service principals with secrets, kept as scrypt hashes only.

Guessing is slowed down per name: ten wrong tries lock it for a minute (Azure's smart lockout, AADSTS50053).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import string
import time
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from azlan.arm.resource import Principal
from azlan.services.vault import Vault

Kind = Literal["User", "ServicePrincipal"]

_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**14, 8, 1
_TRIES, _LOCKED = 10, 60.0
DOMAIN = "azlan.localhost"
"""Domain of user principal names that are given without one."""


class Locked(Exception):
    """Too many wrong tries; wait a minute."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A principal as it is stored."""

    name: str
    """User principal name, or display name of a service principal; unique without case."""
    kind: Kind
    object_id: str
    application_id: str | None
    salt: str
    hash: str
    stamp: str
    """Of its sign-ins: all tokens carry it, and those of an older one are refused. A user's changes with the password."""
    created: str

    def principal(self, tenant: str) -> Principal:
        return Principal(self.object_id, tenant, self.name, self.kind, self.application_id)


class Directory:
    """Open with `await Directory.open(vault, tenant)`. All on one event loop."""

    def __init__(self, vault: Vault, tenant: str, entries: Iterable[Entry]) -> None:
        self.tenant = tenant
        self._vault = vault
        self._by_object: dict[str, Entry] = {entry.object_id: entry for entry in entries}
        self._writing = asyncio.Lock()
        self._hashing = asyncio.Semaphore(2)  # scrypt takes 16 MiB and a core each
        self._wrong: dict[str, tuple[int, float]] = {}

    @classmethod
    async def open(cls, vault: Vault, tenant: str) -> Directory:
        stored = await vault.get("identity/principals")
        return cls(vault, tenant, (Entry(**entry) for entry in json.loads(stored or "[]")))

    def entries(self) -> tuple[Entry, ...]:
        """All principals, in the order of their creation."""
        return tuple(self._by_object.values())

    def lookup(self, object_id: str) -> Principal | None:
        entry = self._by_object.get(object_id)
        return entry.principal(self.tenant) if entry else None

    def stamp(self, object_id: str) -> str | None:
        """What tokens given now carry; None for nobody."""
        entry = self._by_object.get(object_id)
        return entry.stamp if entry else None

    def entry(self, object_id: str) -> Entry | None:
        return self._by_object.get(object_id)

    def named(self, name: str) -> Entry | None:
        """By name; a user also by its name without the default domain. Case does not count."""
        wanted = {name.casefold(), qualified(name).casefold()}
        return next((e for e in self._by_object.values() if e.name.casefold() in wanted), None)

    def application(self, client: str) -> Entry | None:
        """The service principal of an application (client) id."""
        return next((e for e in self._by_object.values() if e.application_id == client.lower()), None)

    async def add(self, name: str, kind: Kind, secret: str | None = None) -> tuple[Entry, str]:
        """Create a principal; returns it with its secret, made up where none is given. Raises KeyError where the name
        is taken."""
        name = qualified(name) if kind == "User" else name
        secret = secret or _new_secret(kind)
        salt, digest = await self._hashed(secret)
        async with self._writing:
            if self.named(name) is not None:
                raise KeyError(name)
            entry = Entry(
                name=name,
                kind=kind,
                object_id=str(uuid.uuid4()),
                application_id=str(uuid.uuid4()) if kind == "ServicePrincipal" else None,
                salt=salt,
                hash=digest,
                stamp=secrets.token_urlsafe(9),
                created=datetime.now(UTC).isoformat(timespec="seconds"),
            )
            await self._save({**self._by_object, entry.object_id: entry})
        return entry, secret

    async def renew(self, object_id: str, secret: str | None = None) -> tuple[Entry, str]:
        """Give a principal a new secret. A user's sessions end with the old password; an application's tokens run out on
        their own, as in Entra. Raises KeyError."""
        secret = secret or _new_secret(self._by_object[object_id].kind)
        salt, digest = await self._hashed(secret)
        async with self._writing:
            before = self._by_object[object_id]
            stamp = secrets.token_urlsafe(9) if before.kind == "User" else before.stamp
            entry = replace(before, salt=salt, hash=digest, stamp=stamp)
            await self._save({**self._by_object, object_id: entry})
        self._wrong.pop(object_id, None)
        return entry, secret

    async def revoke(self, object_id: str) -> None:
        """End every session: no access or refresh token given so far works any more (Entra's revokeSignInSessions).
        Raises KeyError."""
        async with self._writing:
            entry = replace(self._by_object[object_id], stamp=secrets.token_urlsafe(9))
            await self._save({**self._by_object, object_id: entry})

    async def remove(self, object_id: str) -> None:
        """Forget a principal: its tokens stop working at once. Raises KeyError."""
        async with self._writing:
            rest = dict(self._by_object)
            del rest[object_id]
            await self._save(rest)

    async def check(self, entry: Entry, secret: str) -> bool:
        """Whether `secret` is the entry's. Raises Locked after too many wrong ones."""
        async with self._hashing:
            # Asked once it is this try's turn, so that a thousand tries sent at once do not all pass before the first
            # has failed.
            wrong, until = self._wrong.get(entry.object_id, (0, 0.0))
            if wrong >= _TRIES and until > time.monotonic():
                raise Locked
            digest = await asyncio.to_thread(_scrypt, secret, bytes.fromhex(entry.salt))
        if hmac.compare_digest(digest, bytes.fromhex(entry.hash)):
            self._wrong.pop(entry.object_id, None)
            return True
        wrong, until = self._wrong.get(entry.object_id, (0, 0.0))
        if wrong >= _TRIES and until <= time.monotonic():
            wrong = 0
        self._wrong[entry.object_id] = (wrong + 1, time.monotonic() + _LOCKED)
        return False

    async def waste(self) -> None:
        """Take as long as `check`, so that a missing name cannot be told from a wrong password by the clock."""
        async with self._hashing:
            await asyncio.to_thread(_scrypt, "", b"\0" * 16)

    async def _hashed(self, secret: str) -> tuple[str, str]:
        salt = secrets.token_bytes(16)
        async with self._hashing:
            return salt.hex(), (await asyncio.to_thread(_scrypt, secret, salt)).hex()

    async def _save(self, entries: dict[str, Entry]) -> None:
        await self._vault.put("identity/principals", json.dumps([asdict(entry) for entry in entries.values()]))
        self._by_object = entries


def qualified(name: str) -> str:
    """A user principal name: with the default domain where none is given."""
    return name if "@" in name else f"{name}@{DOMAIN}"


def _new_secret(kind: Kind) -> str:
    """Unguessable; a user's can be typed. Letters and digits alone: a leading dash would read as an option."""
    length = 40 if kind == "ServicePrincipal" else 16
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def _scrypt(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P, maxmem=64 * 2**20)

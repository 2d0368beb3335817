"""Sessions of the portal: who is signed in, kept by the server so that the browser never holds a token.

A session is a random cookie. Stored are its SHA-256 and the refresh token, sealed with a key derived from the cookie: what
is on disk signs nobody in. Access tokens live in memory alone and are renewed silently (RFC 6749, 6). A session ends with
its user, the user's password, an idle day or a week. Follows "OAuth 2.0 for Browser-Based Applications", 6.1.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from azlan.services.vault import Vault

log = structlog.get_logger(__name__)

IDLE = 24 * 3600.0
LIFETIME = 7 * 24 * 3600.0
"""Seconds a session is good for, used or not."""
RENEW = 60.0
"""Age in seconds at which an access token is renewed: so soon does a new password end the sessions of the old one."""
_NOTED = 600.0
_MOST = 1000
_STORED = "portal/sessions"


class Ended(Exception):
    """The session is over: sign in again."""


@dataclass(slots=True)
class Session:
    """A signed-in browser. Times are seconds since the epoch."""

    digest: str
    sealed: str
    """The refresh token under the cookie's key."""
    name: str
    object_id: str
    created: float
    used: float
    bearer: str = ""
    renewed: float = 0.0
    renewing: asyncio.Lock = field(default_factory=asyncio.Lock)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the session ends: what was opened under it ends, too."""

    def document(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("digest", "sealed", "name", "object_id", "created", "used")}


Refresh = Callable[[str], Awaitable[str | None]]
"""From a refresh token to a new access token; None where the token endpoint refuses it."""


class Sessions:
    """Open with `await Sessions.open(vault, refresh)`. All on one event loop."""

    def __init__(self, vault: Vault, refresh: Refresh, sessions: Mapping[str, Session]) -> None:
        self._vault = vault
        self._refresh = refresh
        self._sessions = dict(sessions)
        self._writing = asyncio.Lock()

    @classmethod
    async def open(cls, vault: Vault, refresh: Refresh) -> Sessions:
        stored = json.loads(await vault.get(_STORED) or "[]")
        return cls(vault, refresh, {document["digest"]: Session(**document) for document in stored})

    async def begin(self, name: str, object_id: str, bearer: str, refresh_token: str) -> str:
        """A new session; returns its cookie, which is kept nowhere here."""
        cookie = secrets.token_urlsafe(32)
        now = time.time()
        sealed = _box(cookie).encrypt(refresh_token.encode()).decode()
        session = Session(_digest(cookie), sealed, name, object_id, now, now, bearer, now)
        self._sweep(now)
        self._sessions[session.digest] = session
        await self._save()
        log.info("signed in to the portal", user=name, object_id=object_id)
        return cookie

    def find(self, cookie: str) -> Session | None:
        """The session of a cookie; None where there is none, or none any more."""
        session = self._sessions.get(_digest(cookie))
        return session if session is not None and _alive(session, time.time()) else None

    async def bearer(self, session: Session, cookie: str) -> str:
        """An access token that is good now. Raises Ended."""
        if session.ended.is_set():
            raise Ended
        async with session.renewing:
            now = time.time()
            if now - session.renewed > RENEW:
                try:
                    token = await self._refresh(_box(cookie).decrypt(session.sealed.encode()).decode())
                except InvalidToken:
                    token = None
                if token is None:
                    await self.end(session)
                    raise Ended
                session.bearer, session.renewed = token, now
        noted = session.used
        session.used = time.time()
        if session.used - noted > _NOTED:
            await self._save()
        return session.bearer

    async def end(self, session: Session) -> None:
        """Sign out: the cookie is worth nothing from here on."""
        session.ended.set()
        if self._sessions.pop(session.digest, None) is not None:
            await self._save()
            log.info("signed out of the portal", user=session.name, object_id=session.object_id)

    def _sweep(self, now: float) -> None:
        """Forget what is over; of too many, those that were not used for longest."""
        for session in sorted(self._sessions.values(), key=lambda s: s.used):
            if not _alive(session, now) or len(self._sessions) >= _MOST:
                session.ended.set()
                del self._sessions[session.digest]

    async def _save(self) -> None:
        async with self._writing:
            await self._vault.put(_STORED, json.dumps([session.document() for session in self._sessions.values()]))


def _alive(session: Session, now: float) -> bool:
    return not session.ended.is_set() and now - session.used < IDLE and now - session.created < LIFETIME


def _digest(cookie: str) -> str:
    return hashlib.sha256(b"azlan portal session:" + cookie.encode()).hexdigest()


def _box(cookie: str) -> Fernet:
    key = HKDF(SHA256(), 32, salt=None, info=b"azlan portal refresh token").derive(cookie.encode())
    return Fernet(base64.urlsafe_b64encode(key))

"""`/_azlan/…`: what the `azlan` command asks of the running control process. The caller holds the administrator's token.

The token is a file (0600) in the control process's own folder: whoever can read it already owns the cloud.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from azlan.arm.resource import Principal
from azlan.base.errors import ArmError
from azlan.services.directory import Directory, Entry, Kind
from azlan.services.vault import write_private

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,112}")
_BODY_LIMIT = 64 * 1024
_MIN_PASSWORD = 8


class Roles(Protocol):
    """How a new principal gets its rights; the application page ties it to role assignments."""

    async def assign(self, principal: Principal, role: str, scope: str) -> None:
        """Create the role assignment, `role` being a name (`Reader`) or an id. Raises ArmError."""
        ...

    async def withdraw(self, object_id: str) -> None:
        """Delete every role assignment of that principal."""
        ...


class Administration:
    """Users and status of one cloud."""

    def __init__(
        self,
        directory: Directory,
        roles: Roles,
        status: Callable[[], Awaitable[dict[str, Any]]],
        *,
        token: str,
        subscription: str,
    ) -> None:
        self._directory = directory
        self._roles = roles
        self._status = status
        self._token = token
        self._subscription = subscription

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/_azlan/status", self._guarded(self._get_status), methods=["GET"]),
            Route("/_azlan/users", self._guarded(self._list), methods=["GET"]),
            Route("/_azlan/users", self._guarded(self._add), methods=["POST"]),
            Route("/_azlan/users/{name}", self._guarded(self._remove), methods=["DELETE"]),
            Route("/_azlan/users/{name}/revoke", self._guarded(self._revoke), methods=["POST"]),
            Route("/_azlan/users/{name}/password", self._guarded(self._renew), methods=["POST"]),
        ]

    def _guarded(self, handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            allowed = hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self._token.encode())
            if scheme.lower() != "bearer" or not allowed:
                return _answer(ArmError(401, "AuthenticationFailed", "The administrator's token is missing or wrong."))
            try:
                return await handler(request)
            except ArmError as error:
                return _answer(error)

        return guarded

    async def _get_status(self, _request: Request) -> Response:
        return JSONResponse(await self._status())

    async def _list(self, _request: Request) -> Response:
        return JSONResponse({"value": [_shown(entry) for entry in self._directory.entries()]})

    async def _add(self, request: Request) -> Response:
        """`{name, kind, password?, role?, scope?, renew?}` → the principal, with its secret where one was made up.

        With `renew` a principal that exists gets a new secret instead of a 409.
        """
        asked = await _read_json(request)
        name, kind = str(asked.get("name", "")), asked.get("kind", "User")
        if not _NAME.fullmatch(name):
            raise ArmError(400, "InvalidName", f"'{name}' is no user name: use letters, digits and . _ @ + -")
        if kind not in ("User", "ServicePrincipal"):
            raise ArmError(400, "InvalidKind", f"'{kind}' is neither User nor ServicePrincipal.")
        password = _password(asked)
        role = asked.get("role", "Contributor")
        scope = asked.get("scope") or f"/subscriptions/{self._subscription}"
        entry, secret = await self._add_or_renew(name, kind, password, role, scope, renew=bool(asked.get("renew")))
        document = {**_shown(entry), "secret": None if password else secret, "tenant": self._directory.tenant}
        return JSONResponse({**document, "subscription": self._subscription, "role": role, "scope": scope}, 201)

    async def _add_or_renew(
        self, name: str, kind: Kind, password: str | None, role: str, scope: str, *, renew: bool
    ) -> tuple[Entry, str]:
        existing = self._directory.named(name)
        if existing is not None and renew and existing.kind == kind:
            return await self._directory.renew(existing.object_id, password)
        try:
            entry, secret = await self._directory.add(name, kind, password)
        except KeyError as error:
            raise ArmError(
                409, "UserExists", f"There is a {name} already: remove it first, `azlan user remove {name}`."
            ) from error
        try:
            await self._roles.assign(entry.principal(self._directory.tenant), role, scope)
        except BaseException:
            await self._directory.remove(entry.object_id)
            raise
        return entry, secret

    def _named(self, request: Request) -> Entry:
        entry = self._directory.named(request.path_params["name"])
        if entry is None:
            raise ArmError(
                404, "UserNotFound", f"There is no {request.path_params['name']}: `azlan user list` shows who there is."
            )
        return entry

    async def _revoke(self, request: Request) -> Response:
        await self._directory.revoke(self._named(request).object_id)
        return Response(status_code=204)

    async def _renew(self, request: Request) -> Response:
        """`{password?}` → the principal, with its new secret where one was made up. A user's sessions end."""
        entry, password = self._named(request), _password(await _read_json(request))
        entry, secret = await self._directory.renew(entry.object_id, password)
        return JSONResponse({**_shown(entry), "secret": None if password else secret})

    async def _remove(self, request: Request) -> Response:
        entry = self._named(request)
        await self._roles.withdraw(entry.object_id)
        await self._directory.remove(entry.object_id)
        return Response(status_code=204)


def admin_token(path: Path) -> str:
    """Read the administrator's token, or make it at the first start."""
    try:
        token = path.read_text().strip()
    except FileNotFoundError:
        token = ""
    if len(token) < 32:
        token = secrets.token_urlsafe(32)
        write_private(path, token.encode() + b"\n")
    return token


async def _read_json(request: Request) -> dict[str, Any]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise ArmError(413, "RequestTooLarge", "The request is too large.")
    try:
        document = json.loads(body)
    except ValueError as error:
        raise ArmError(400, "InvalidRequestContent", "The request is not JSON.") from error
    if not isinstance(document, dict):
        raise ArmError(400, "InvalidRequestContent", "The request is not a JSON object.")
    return document


def _password(asked: dict[str, Any]) -> str | None:
    """The password asked for, if one is. Raises ArmError 400."""
    password = asked.get("password")
    if password is not None and (not isinstance(password, str) or len(password) < _MIN_PASSWORD):
        raise ArmError(400, "InvalidPassword", f"The password is too short: give {_MIN_PASSWORD} characters or more.")
    return password


def _shown(entry: Entry) -> dict[str, Any]:
    """A principal as anyone with the token may see it: no hash."""
    return {
        "name": entry.name,
        "kind": entry.kind,
        "objectId": entry.object_id,
        "applicationId": entry.application_id,
        "created": entry.created,
    }


def _answer(error: ArmError) -> Response:
    return JSONResponse({"error": error.body}, error.status, headers=error.headers)

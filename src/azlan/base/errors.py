"""The one error that crosses the API: Azure's status, code and message.

Envelope: `{"error": {"code", "message", "target"?, "details"?}}`, as ARM's common API details define it
(azure-resource-manager-rpc, v1.0/common-api-details.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class ArmError(Exception):
    """An answer Azure would give: HTTP status, code, wording; `details` are `{"code", "message"}` objects.

    None: the error has no such member, as those that ARM answers before it asks a provider [recorded].
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        target: str | None = None,
        details: Sequence[dict[str, Any]] | None = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.target = target
        self.details = None if details is None else tuple(details)
        self.headers = headers or {}

    @property
    def body(self) -> dict[str, Any]:
        """The error object without its envelope."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.target is not None:
            error["target"] = self.target
        if self.details is not None:
            error["details"] = list(self.details)
        return error

"""The form of a table of refusals: what is asked, and the status, code and words that answer it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from api.estate import placed, problem, request, untouched
from kit import Cloud


@dataclass(frozen=True)
class Bad:
    """One refused request. `message`: the exact words where they are confirmed, else None; `like`: what they match.

    In paths, bodies and words `@/` stands for the group's `…/providers/`. `detail` is the (code, pattern) of the first
    of the error's details.
    """

    what: str
    path: str
    body: Any = None
    code: str = ""
    message: str | None = None
    like: str = ""
    status: int = 400
    method: str = "PUT"
    api: str | None = None
    target: str | None = None
    detail: tuple[str, str] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.what.replace(" ", "-")


async def check(cloud: Cloud, bad: Bad) -> None:
    """The refusal is Azure's, and nothing is left half made."""
    arm = cloud.arm
    async with untouched(cloud):
        answer = await request(arm, bad.method, bad.path, bad.body, api=bad.api, headers=bad.headers)
        error = problem(answer)
        assert (answer.status_code, error["code"]) == (bad.status, bad.code), error
        if bad.message is not None:
            assert error["message"] == placed(arm, bad.message), error
        assert re.search(placed(arm, bad.like), error["message"]), error
        if bad.target is not None:
            assert error.get("target") == bad.target, error
        if bad.detail is not None:
            code, pattern = bad.detail
            assert error["details"], error
            assert error["details"][0]["code"] == code, error
            assert re.search(pattern, error["details"][0]["message"]), error

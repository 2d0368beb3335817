"""Scopes of role definitions and assignments: the paths at which they are listed, and OData's `$filter` on them.

Follows Microsoft.Authorization 2022-04-01, authorization-RoleAssignmentsCalls.json.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from azlan.base.errors import ArmError
from azlan.base.ids import key_of

_RESOURCE = "/subscriptions/{subscription}/resourceGroups/{group}/providers/{namespace}/{type}/{resource}"

SCOPES = (
    "/subscriptions/{subscription}",
    "/subscriptions/{subscription}/resourceGroups/{group}",
    _RESOURCE,
    f"{_RESOURCE}/{{childtype}}/{{child}}",
)
"""What a list may be asked for: a subscription, a group, a resource, a resource below one."""

_TERM = re.compile(
    r"\s*(?:(?P<call>\w+)\(\s*(?:'(?P<argument>[^']*)')?\s*\)|(?P<field>\w+)\s+eq\s+'(?P<value>(?:[^']|'')*)')\s*(?:and\b)?",
    re.IGNORECASE,
)


def scope_of(params: Mapping[str, str]) -> str:
    """The key of the scope in a matched path."""
    for pattern in reversed(SCOPES):
        names = re.findall(r"\{(\w+)\}", pattern)
        if all(name in params for name in names):
            return key_of(pattern.format(**{name: params[name] for name in names}))
    return ""


def scope_of_key(key: str, type: str) -> str:
    """The scope of a definition or assignment with that key; empty for the tenant's."""
    return key.rsplit(f"/providers/{type.lower()}/", 1)[0]


def covers(scope: str, other: str) -> bool:
    """Whether what is granted at `scope` holds at `other`, too."""
    return scope in ("", other) or other.startswith(f"{scope}/")


def terms(text: str, known: tuple[str, ...]) -> dict[str, str]:
    """The terms of a `$filter`, joined by `and`: name in lower case → value. Raises ArmError for what is not known."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text.rstrip()):
        match = _TERM.match(text, at)
        name = (match["call"] or match["field"]).lower() if match else ""
        if match is None or name not in known:
            raise ArmError(
                400,
                "UnsupportedQuery",
                f"The filter '{text}' is not supported. Supported filters are: {', '.join(known)}.",
            )
        found[name] = (match["argument"] if match["call"] else match["value"].replace("''", "'")) or ""
        at = match.end()
    return found

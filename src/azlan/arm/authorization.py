"""Who may do what: role assignments and definitions evaluated as Azure RBAC does (learn.microsoft.com,
role-based-access-control/overview): a union of grants, inherited downwards, notActions subtracted per role.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from azlan.arm.registry import ASSIGNMENT_TYPE, DEFINITION_TYPE, GROUP_TYPE
from azlan.arm.resource import SYSTEM, Principal, ResourceType, Row
from azlan.arm.roles import BUILT_IN
from azlan.arm.snapshot import Snapshot
from azlan.base.errors import ArmError

_ASSIGNMENTS = f"t:{ASSIGNMENT_TYPE.lower()}"
_DEFINITIONS = f"t:{DEFINITION_TYPE.lower()}"
_SUFFIX = f"/providers/{ASSIGNMENT_TYPE.lower()}/"

Permission = tuple[tuple[str, ...], tuple[str, ...]]
"""(actions, notActions), with wildcards."""
Grants = dict[str, list[tuple[str, tuple[Permission, ...]]]]
"""Object id → (scope, permissions)."""


class Authorization:
    """Answers from a snapshot; what the assignments amount to is worked out anew only when one of them changed."""

    def __init__(self) -> None:
        self._seen: tuple[object, object] = (None, None)
        self._grants: Grants = {}

    def allowed(self, snapshot: Snapshot, principal: Principal, action: str, key: str) -> bool:
        """Whether the roles of `principal` allow `action` at the resource, group or subscription `key`."""
        if principal is SYSTEM or principal == SYSTEM:
            return True
        for scope, permissions in self._current(snapshot).get(principal.object_id.lower(), ()):
            if key == scope or key.startswith(scope + "/") or scope == "":
                for actions, excluded in permissions:
                    if _any(actions, action) and not _any(excluded, action):
                        return True
        return False

    def check(self, snapshot: Snapshot, principal: Principal, action: str, scope: str) -> None:
        """Raises 403 AuthorizationFailed; `scope` is an id as given."""
        if not self.allowed(snapshot, principal, action, scope.lower()):
            raise ArmError(
                403,
                "AuthorizationFailed",
                f"The client '{principal.name}' with object id '{principal.object_id}' does not have authorization to "
                f"perform action '{action}' over scope '{scope}' or the scope is invalid. If access was recently "
                "granted, please refresh your credentials.",
                details=None,
            )

    def has_any_role(self, snapshot: Snapshot, principal: Principal, scope: str) -> bool:
        """Whether the principal holds a role at `scope`, above or below it: then it sees that the scope is there."""
        if principal == SYSTEM:
            return True
        wanted = scope.lower()
        return any(
            held == wanted or held.startswith(wanted + "/") or wanted.startswith(held + "/") or held == ""
            for held, _ in self._current(snapshot).get(principal.object_id.lower(), ())
        )

    def _current(self, snapshot: Snapshot) -> Grants:
        seen = (snapshot.buckets.get(_ASSIGNMENTS), snapshot.buckets.get(_DEFINITIONS))
        if seen[0] is not self._seen[0] or seen[1] is not self._seen[1]:
            self._grants = _grants(snapshot.bucket(_ASSIGNMENTS), snapshot.bucket(_DEFINITIONS))
            self._seen = seen
        return self._grants


def linked_failure(principal: Principal, action: str, scope: str, linked_action: str, linked_scope: str) -> ArmError:
    """The error of a write that refers to something its caller may not use."""
    return ArmError(
        403,
        "LinkedAuthorizationFailed",
        f"The client '{principal.name}' with object id '{principal.object_id}' has permission to perform action "
        f"'{action}' on scope '{scope}'; however, it does not have permission to perform action(s) '{linked_action}' "
        f"on the linked scope(s) '{linked_scope}' (respectively) or the linked scope(s) are invalid.",
    )


def action_prefix(declared: ResourceType) -> str:
    """What a type's actions begin with: its name, but for groups, which Azure names below subscriptions."""
    if declared.type == GROUP_TYPE:
        return "Microsoft.Resources/subscriptions/resourceGroups"
    return declared.type


def _grants(assignments: Iterable[Row], definitions: Iterable[Row]) -> Grants:
    custom = {row.id.name.lower(): _permissions(row) for row in definitions}
    found: Grants = {}
    for row in assignments:
        if row.deleting:
            continue
        role = str(row.properties.get("roleDefinitionId", "")).rstrip("/").rsplit("/", 1)[-1].lower()
        permissions = custom.get(role) or _built_in(role)
        holder = str(row.properties.get("principalId", "")).lower()
        if permissions and holder:
            found.setdefault(holder, []).append((row.key.rsplit(_SUFFIX, 1)[0], permissions))
    return found


def _built_in(role: str) -> tuple[Permission, ...]:
    known = BUILT_IN.get(role)
    return ((known.actions, known.not_actions),) if known else ()


def _permissions(row: Row) -> tuple[Permission, ...]:
    blocks = row.properties.get("permissions") or ()
    return tuple((_texts(block, "actions"), _texts(block, "notActions")) for block in blocks)


def _texts(block: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(str(text) for text in block.get(name) or ())


def _any(patterns: tuple[str, ...], action: str) -> bool:
    wanted = action.lower()
    return any(_pattern(pattern).fullmatch(wanted) is not None for pattern in patterns)


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.lower().split("*")))

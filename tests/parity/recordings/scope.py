"""Which recorded calls are in scope: those on types and actions that Azlan has, and that refer to no others.

What is left out is left out for one of the reasons below; the table of docs/design/parity.md counts each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from azlan.arm.paths import Collection, Item, Page, Target, resolve, split
from azlan.arm.registry import Registry
from azlan.base.errors import ArmError
from azlan.base.ids import parse_id
from parity.recordings.reading import Call

Reason = Literal["service", "type", "action", "refers", "unmade", "image", "progress"]

REASONS: dict[Reason, str] = {
    "service": "another service (sign-in at Entra ID)",
    "type": "a type that Azlan lacks",
    "action": "an action that Azlan lacks, on a type that it has",
    "refers": "refers to, or shows, a resource of a type that Azlan lacks",
    "unmade": "on a resource that was not made, its making being out of scope",
    "image": "lists Windows images, or runs a command of Windows, which Azlan lacks",
    "progress": "a poll answered with InProgress, of an operation in scope (followed to its end; the end is compared)",
}

ELEMENTS = {"ipconfigurations", "bastionhostipconfigurations", "delegations", "defaultsecurityrules"}
"""Last segments of ids that name a part of a document, not a resource."""

_ID = re.compile(r"/subscriptions/[^/]+/.*?providers/", re.IGNORECASE)
_POLLED = ("azure-asyncoperation", "location")


@dataclass
class Judged:
    """A call and why it is out of scope, None where it is in. `owner`: the call whose operation it polls."""

    call: Call
    reason: Reason | None
    owner: Call | None = None
    target: Target | None = None


def judge(registry: Registry, calls: list[Call]) -> list[Judged]:
    """Every call of a recording with its verdict."""
    return list(_Judge(registry, calls).all())


def words(value: Any) -> Iterator[str]:
    """Every string in a JSON value, names of members included."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield name
            yield from words(item)
    elif isinstance(value, list):
        for item in value:
            yield from words(item)
    elif isinstance(value, str):
        yield value


def group_of(path: str) -> str | None:
    """The resource group named in a path or id, in lower case."""
    found = re.search(r"/resourcegroups/([^/?]+)", path, re.IGNORECASE)
    return found[1].lower() if found else None


def subscription_of(path: str) -> str | None:
    """The subscription named in a path or id, in lower case."""
    found = re.match(r"/subscriptions/([^/?]+)", path, re.IGNORECASE)
    return found[1].lower() if found else None


class _Judge:
    def __init__(self, registry: Registry, calls: list[Call]) -> None:
        self.registry = registry
        self.calls = calls
        self.subscription = next((s for call in calls if (s := subscription_of(call.path))), "")
        self.groups = {group for call in calls if call.method != "GET" and (group := group_of(call.path))}
        self.unmade: set[str] = set()
        """Keys of resources whose PUT was out of scope."""
        self.made: set[str] = set()

    def all(self) -> Iterator[Judged]:
        owners: dict[str, Judged] = {}
        last = {call.url: call.number for call in self.calls}
        for call in self.calls:
            owner = owners.get(call.url)
            if owner is not None:
                judged = Judged(call, self._of_poll(call, owner, last), owner.call)
            else:
                reason, target = self._of_call(call)
                judged = Judged(call, reason, None, target)
                self._remember(call, reason)
            for name in _POLLED:
                if name in call.reply.headers:
                    polled = re.sub(r"^https://[^/]+", "", call.reply.headers[name])
                    owners.setdefault(polled, owner if owner is not None else judged)
            yield judged

    def _of_poll(self, call: Call, owner: Judged, last: Mapping[str, int]) -> Reason | None:
        if owner.reason is not None:
            return owner.reason
        status = call.reply.body.get("status") if isinstance(call.reply.body, dict) else None
        going_on = call.reply.status == 202 or status in ("InProgress", "Running", "Accepted")
        if going_on or last[call.url] != call.number:
            return "progress"
        return "refers" if self._refers(call) else None

    def _of_call(self, call: Call) -> tuple[Reason | None, Target | None]:
        if not call.host.startswith("management."):
            return "service", None
        segments = split(call.path)
        if "MicrosoftWindowsServer" in segments or "RunPowerShellScript" in json.dumps([segments, call.body]):
            return "image", None
        if any(route.route.method == call.method and route.match(segments) for route in self.registry.routes):
            return None, None
        try:
            target = resolve(self.registry, segments)
        except ArmError:
            return "type", None
        reason = self._of_target(call, target)
        if reason is None and self._lost(target):
            reason = "unmade"
        if reason is None and self._refers(call):
            reason = "refers"
        return reason, target

    def _of_target(self, call: Call, target: Target) -> Reason | None:
        if isinstance(target, Page):
            served = target.name in ("", "subscriptions", "resources", "locations") and not target.rest
            return None if served else "type"
        if isinstance(target, Item) and target.action is not None:
            known = {name.lower(): action for name, action in target.declared.actions.items()}
            action = known.get(target.action.lower())
            if action is None or action.method != call.method:
                return "action" if call.method == "POST" else "type"
        return None

    def _remember(self, call: Call, reason: Reason | None) -> None:
        """A PUT that is left out leaves what it would have made unmade."""
        key = call.path.lower()
        if call.method == "PUT":
            (self.unmade.discard if reason is None else self.unmade.add)(key)

    def _lost(self, target: Target) -> bool:
        """Whether what is addressed, or what it lies in, was never made."""
        if isinstance(target, Page):
            return False
        id = target.scope if isinstance(target, Collection) else target.id
        key = f"{id.key}/"
        return any(key.startswith(f"{gone}/") for gone in self.unmade)

    def _refers(self, call: Call) -> bool:
        """Whether question or answer names a resource of a type that Azlan lacks. Of a list, what the recording made."""
        shown = self._own(call.reply.body)
        if isinstance(shown, dict) and shown.get("extensions"):
            return True  # an instance view names them without their ids
        return any(self._foreign(text) for text in words([call.body, shown]))

    def _own(self, body: Any) -> Any:
        if isinstance(body, dict) and isinstance(body.get("value"), list):
            return [item for item in body["value"] if is_own(item, self.groups)]
        return body

    def _foreign(self, text: str) -> bool:
        if not _ID.match(text) or "/locations/" in text.lower():
            return False
        if "/azsecpackautoconfigrg/" in text.lower():
            return False  # Microsoft's own policy put it there: see preparing.py
        if not text.lower().startswith(f"/subscriptions/{self.subscription}"):
            return True  # of the service's own: a gateway's interfaces
        try:
            type = parse_id(text).type
        except ValueError:
            return False
        head, _, tail = type.rpartition("/")
        if tail.lower() in ELEMENTS:
            type = head
        return self.registry.find(type) is None


def is_own(item: Any, groups: Iterable[str]) -> bool:
    """Whether an element of a list lies in one of the recording's groups, or in none."""
    group = group_of(str(item.get("id", ""))) if isinstance(item, Mapping) else None
    return group is None or group in groups


def is_list(target: Target | None) -> bool:
    return isinstance(target, Collection)

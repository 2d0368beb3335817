"""One recording, played against a cloud in its own order: every call in scope, its answer compared."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from azlan.arm.registry import Registry
from parity.recordings.comparing import Difference, Memory, compare
from parity.recordings.preparing import WINDOWS, Mapping, whole, with_ubuntu_shown, without_guest
from parity.recordings.reading import Call, Reply
from parity.recordings.scope import Judged, group_of, judge, words
from served import Served

LOCATION = "eastus"
GROUPS_VERSION = "2021-04-01"
WATCHERS_VERSION = "2024-05-01"
GUARD_GROUP = "cleanupservice"
GUARD = (
    f"/subscriptions/{{subscription}}/resourceGroups/{GUARD_GROUP}/providers/Microsoft.Network/networkSecurityGroups/"
    "rg-cleanupservice-nsg2"
)
"""The security group that a policy of Microsoft's subscription put on subnets, as the recorded topology names it."""

LONGEST = 60.0
"""Seconds for which an operation of ours is followed."""


@dataclass(frozen=True)
class Played:
    """A recorded call and what came of it; `differences` only of those in scope."""

    judged: Judged
    differences: tuple[Difference, ...] = ()

    @property
    def call(self) -> Call:
        return self.judged.call


class Cloud:
    """A served cloud, spoken to with the token of its service principal."""

    def __init__(self, http: httpx.Client, endpoint: str, subscription: str) -> None:
        self.http = http
        self.endpoint = endpoint
        self.subscription = subscription

    def send(self, method: str, url: str, body: Any = None) -> Reply:
        """`url` is a path with its query, or absolute."""
        answer = self.http.request(method, url, json=body) if body is not None else self.http.request(method, url)
        found = answer.json() if answer.content else None
        return Reply(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, found)


@contextmanager
def signed_in(cloud: Served) -> Iterator[Cloud]:
    """The client of a cloud."""
    found = cloud.environment
    endpoint = found["AZLAN_ENDPOINT"].rstrip("/")
    context = ssl.create_default_context(cafile=found["REQUESTS_CA_BUNDLE"])
    with httpx.Client(base_url=endpoint, verify=context, timeout=120) as http:
        form = {
            "grant_type": "client_credentials",
            "client_id": found["AZURE_CLIENT_ID"],
            "client_secret": found["AZURE_CLIENT_SECRET"],
            "scope": f"{endpoint}/.default",
        }
        authority = found["AZURE_AUTHORITY_HOST"].rstrip("/")
        token = http.post(f"{authority}/{found['AZURE_TENANT_ID']}/oauth2/v2.0/token", data=form).json()
        http.headers["Authorization"] = f"Bearer {token['access_token']}"
        yield Cloud(http, endpoint, found["AZURE_SUBSCRIPTION_ID"])


def play(cloud: Cloud, registry: Registry, calls: list[Call]) -> list[Played]:
    """Every call of a recording, in its order."""
    judged = judge(registry, calls)
    wanted = [one for one in judged if one.reason is None]
    groups = list(dict.fromkeys(group for one in wanted for group in _groups(one.call)))
    if any(_is_verdict(one.call) for one in wanted):
        groups.append(GUARD_GROUP)
    replay = _Replay(cloud, Mapping(calls, groups, cloud.subscription, cloud.endpoint), groups)
    if wanted:
        replay.prepare()
    return [replay.one(one) for one in judged]


def _groups(call: Call) -> Iterator[str]:
    """Resource groups that a request names."""
    body = call.body if isinstance(call.body, dict) else {}
    if isinstance(body.get("targetResourceGroupName"), str):
        yield body["targetResourceGroupName"].lower()
    for text in words([call.path, call.body]):
        if group := group_of(text):
            yield group


class _Replay:
    def __init__(self, cloud: Cloud, mapping: Mapping, groups: list[str]) -> None:
        self.cloud = cloud
        self.mapping = mapping
        self.memory = Memory(groups)
        self.polls: dict[str, str] = {}
        """Recorded URL of an operation → ours."""
        self.subnets: list[Call] = []
        """The calls that made subnets."""
        self.made: set[str] = set()

    def prepare(self) -> None:
        """Make the groups that the recording's own test had made before."""
        for name in self.mapping.groups.values():
            path = f"/subscriptions/{self.cloud.subscription}/resourcegroups/{name}?api-version={GROUPS_VERSION}"
            made = self.cloud.send("PUT", path, {"location": LOCATION})
            assert made.status == 201, made

    def one(self, judged: Judged) -> Played:
        if judged.reason is not None:
            return Played(judged)
        call = judged.call
        if call.method == "PUT" and "/networkWatchers/" in call.path:
            self._unwatch()
        if judged.owner is None:
            self._guard(call)
        if judged.owner is not None:
            ours = self._polled(call)
        else:
            ours = self.cloud.send(call.method, self.mapping.url(call), self.mapping.body(call))
        for name in ("azure-asyncoperation", "location"):
            if name in call.reply.headers and name in ours.headers:
                self.polls[_path(call.reply.headers[name])] = ours.headers[name]
        return Played(judged, tuple(self._compared(call, ours)))

    def _guard(self, call: Call) -> None:
        """Put a network security group on subnets where the recorded subscription's policy had put one, which is seen by
        what is answered: the group itself, or a verdict of its default rules."""
        shown = call.reply.body.get("properties", {}) if isinstance(call.reply.body, dict) else {}
        if call.method == "PUT" and "/subnets/" in call.path and call.reply.status == 201:
            self.subnets.append(call)
        elif call.method == "GET" and "/subnets/" in call.path and "networkSecurityGroup" in shown:
            named = shown["networkSecurityGroup"]["id"]
            if named.lower() not in self.made:
                self._put_guard(call, self.mapping.out(named))
        elif _is_verdict(call):
            for subnet in self.subnets:
                self._put_guard(subnet, self.mapping.out(GUARD.format(subscription=self.mapping.recorded)))
        if call.method == "PUT":
            self.made.add(call.path.lower())

    def _put_guard(self, subnet: Call, group: str) -> None:
        """Make the security group, and name it in our subnet."""
        version = f"?api-version={WATCHERS_VERSION}"
        self._done("PUT", f"{group}{version}", {"location": LOCATION})
        here = self.mapping.out(subnet.path) + version
        document = self.cloud.send("GET", here).body
        document["properties"]["networkSecurityGroup"] = {"id": group}
        self._done("PUT", here, document)

    def _done(self, method: str, url: str, body: Any = None) -> None:
        """A request of ours, followed to its end."""
        sent = self.cloud.send(method, url, body)
        assert sent.status < 300, sent
        if "azure-asyncoperation" in sent.headers:
            ended = self._followed(sent.headers["azure-asyncoperation"])
            assert ended.body["status"] == "Succeeded", ended

    def _unwatch(self) -> None:
        """Remove the watcher that a region got with its first virtual network: the recorded subscription had none."""
        there = f"/subscriptions/{self.cloud.subscription}/providers/Microsoft.Network/networkWatchers"
        for watcher in self.cloud.send("GET", f"{there}?api-version={WATCHERS_VERSION}").body["value"]:
            self._done("DELETE", f"{watcher['id']}?api-version={WATCHERS_VERSION}")

    def _polled(self, call: Call) -> Reply:
        """Our operation, followed to its end."""
        url = self.polls.get(call.url)
        if url is None:
            return Reply(0, {}, {"error": "there is no such operation of ours to follow"})
        return self._followed(url)

    def _followed(self, url: str) -> Reply:
        end = time.monotonic() + LONGEST
        while True:
            ours = self.cloud.send("GET", url)
            status = ours.body.get("status") if isinstance(ours.body, dict) else None
            if (ours.status != 202 and status != "InProgress") or time.monotonic() > end:
                return ours

    def _compared(self, call: Call, ours: Reply) -> list[Difference]:
        theirs = with_ubuntu_shown(whole(call.reply.body))
        mine = self.mapping.answer(ours.body)
        if WINDOWS in str(call.reply.body):
            mine = without_guest(mine)
        headers = {name: self.mapping.back(value) for name, value in ours.headers.items()}
        recorded = Reply(call.reply.status, call.reply.headers, theirs)
        return compare(recorded, Reply(ours.status, headers, mine), self.memory, call.hidden, call.path)


def _is_verdict(call: Call) -> bool:
    """Whether security rules decide what is answered."""
    return call.path.rsplit("/", 1)[-1] in ("ipFlowVerify", "connectivityCheck")


def _path(url: str) -> str:
    """Path and query of an absolute URL."""
    rest = url.split("://", 1)[-1]
    return rest[rest.index("/") :]

"""Plays the PowerShell tab: each cmdlet's requests by its file in cmdlets/, and what the cmdlet checks of the answers.

Fails where the real cmdlet would throw, ask or go another way. The modules themselves are not run.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
import yaml

from parity.powershell.models import FOLDER, SerializationException, read, write
from parity.powershell.runtime import Exchange, Pause, ServiceClient

_FIELD = re.compile(r"\{([\w.]+)(?::(\d))?\}")


class Deviation(AssertionError):
    """The cmdlet would not go the tab's way."""


@cache
def tab() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "tab.yaml").read_text())
    return found


@cache
def modules() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "modules.yaml").read_text())
    return found


@cache
def cmdlets() -> dict[str, Any]:
    """By their names."""
    found = [yaml.safe_load(file.read_text()) for file in sorted((FOLDER / "cmdlets").glob("*.yaml"))]
    return {cmdlet["cmdlet"]: cmdlet for cmdlet in found}


def follow(value: Any, path: str) -> Any:
    """`properties.subnets` of a document; None where it is not there."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


@dataclass
class Shell:
    """A PowerShell that is signed in. `variables` are those of the tab, `log` everything that was sent."""

    http: httpx.AsyncClient
    subscription: str
    token: str
    vintage: str
    pause: Pause
    variables: dict[str, Any] = field(default_factory=dict)
    log: list[Exchange] = field(default_factory=list)
    jobs: list[asyncio.Task[Any]] = field(default_factory=list)

    async def call(self, call: dict[str, Any]) -> Any:
        """One line of the tab; its result, or the job that works on it."""
        parameters = {name: self._argument(value) for name, value in (call["parameters"] or {}).items()}
        invocation = Invocation(self, cmdlets()[call["cmdlet"]], parameters)
        if call.get("as_job"):
            job = asyncio.create_task(invocation.run())
            self.jobs.append(job)
            return job
        result = await invocation.run()
        for path, wanted in call.get("shows", {}).items():
            shown = [follow(item, path) for item in (result if isinstance(result, list) else [result])]
            if shown != [wanted]:
                raise Deviation(f"{call['cmdlet']}: the page shows {path} {wanted!r}, found {shown!r}")
        if into := call.get("into"):
            self.variables[into] = result
        return result

    def _argument(self, value: Any) -> Any:
        if not (isinstance(value, str) and value.startswith("$")):
            return value
        name, _, path = value.removeprefix("$").partition(".")
        return follow(self.variables[name], path) if path else self.variables[name]


@asynccontextmanager
async def shell(
    http: httpx.AsyncClient, subscription: str, token: str, vintage: str, password: str, pause: Pause = asyncio.sleep
) -> AsyncIterator[Shell]:
    """A shell at whose Get-Credential the tutorial's user name was typed. Jobs that still work are ended with it."""
    opened = Shell(http, subscription, token, vintage, pause)
    opened.variables["cred"] = {"UserName": "azureuser", "Password": password}
    try:
        yield opened
    finally:
        for job in opened.jobs:
            job.cancel()
        await asyncio.gather(*opened.jobs, return_exceptions=True)


class Invocation:
    """One cmdlet with its parameters."""

    def __init__(self, shell: Shell, cmdlet: dict[str, Any], parameters: dict[str, Any]) -> None:
        self._shell = shell
        self._cmdlet = cmdlet
        self._scope: dict[str, Any] = {"subscription": shell.subscription, **parameters}
        self._request_id = str(uuid.uuid4())
        self._result: Any = None

    async def run(self) -> Any:
        """Raises CloudException, SerializationException or Deviation."""
        if "local" in self._cmdlet:
            return self._local(self._cmdlet["local"])
        for step in self._cmdlet["steps"]:
            await asyncio.gather(*(self._step(each) for each in step.get("at_once", [step])))
        return self._result

    def _local(self, local: dict[str, Any]) -> Any:
        value = self._scope[local["object"]]
        *way, last = local["list"].split(".")
        kept = (follow(value, ".".join(way)) or {}).get(last)
        added = self._rendered(local["adds"])
        unique = local["unique"]
        if kept is None:
            raise Deviation(f"{self._cmdlet['cmdlet']}: {local['list']} is null")
        if any(str(item.get(unique)).lower() == added[unique].lower() for item in kept):
            raise Deviation(f"{self._cmdlet['cmdlet']}: {added[unique]} is there already")
        kept.append(added)
        return value

    def _client(self, name: str) -> ServiceClient:
        given = modules()
        agent = [*given["headers"]["user_agent"], given["clients"][name]["assembly"]]
        always = {
            "x-ms-client-request-id": self._request_id,
            "CommandName": self._cmdlet["cmdlet"],
            "ParameterSetName": self._cmdlet["parameter_set"],
            "User-Agent": " ".join(agent),
        }
        shell = self._shell
        version = str(given["vintages"][shell.vintage][name])
        of_requests = dict(given["headers"]["request"])
        return ServiceClient(shell.http, shell.token, version, always, of_requests, shell.pause, shell.log)

    async def _step(self, step: dict[str, Any]) -> None:
        try:
            await self._taken(step)
        except AssertionError as error:
            error.add_note(f"{self._cmdlet['cmdlet']}, {step['what']} ({step['source']})")
            raise

    async def _taken(self, step: dict[str, Any]) -> None:
        if "label" in step:
            self._scope["label"] = f"{self._rendered(step['label'])}-{uuid.uuid4()}"[
                : len(self._scope["Name"]) + 7
            ].lower()
        client = self._client(step["client"])
        method, path = step["request"].split(" ", 1)
        body = self._body(step.get("body"), client.api_version)
        query = self._rendered(step.get("query", {}))
        found = await client.send(method, self._rendered(path), query, body, step["accepts"])
        if found.status not in step.get("wants", step["accepts"]):
            raise Deviation(f"{found.error()}\nwanted {step['wants']}: {step['otherwise']}")
        document = await client.finished(found) if "polls" in step else found.json()
        if "polls" in step and (follow(document, "properties.provisioningState") or "Succeeded") != "Succeeded":
            raise Deviation(f"{found.url} has not succeeded: {document!r}")  # the cmdlet would go on with it
        value = read(step["reads"], document) if "reads" in step else None
        self._needed(step, value)
        if into := step.get("into"):
            self._scope[into] = value
        if pick := step.get("pick"):
            self._scope[pick["into"]] = self._picked(pick)
        for path in step.get("holds", ()):
            self._hold(path)
        for path, wanted in step.get("is", {}).items():
            if (have := follow(self._scope, path)) != wanted:
                raise Deviation(f"{path} is {have!r}, {wanted!r} wanted")
        if step.get("output"):
            if isinstance(value, dict):
                # What ToPS… adds: the group's name, from the parameters or the id.
                value["ResourceGroupName"] = value.get("id", "").split("/")[4] if value.get("id") else None
            self._result = value

    def _body(self, given: Any, api_version: str) -> Any:
        if isinstance(given, dict) and "write" in given:
            return write(given["write"], self._rendered(given["value"]), api_version)
        return self._rendered(given)

    @staticmethod
    def _needed(step: dict[str, Any], value: Any) -> None:
        for path in step.get("needs", ()):
            for item in value if isinstance(value, list) else [value]:
                if follow(item, path) is None:
                    raise SerializationException(f"{path} is null in {item!r}")

    def _hold(self, path: str) -> None:
        if follow(self._scope, path) is None:
            raise SerializationException(f"{path} is null")

    def _picked(self, pick: dict[str, Any]) -> Any:
        """The newest by its version, or the one of a name."""
        items = follow(self._scope, pick["from"]) or []
        if "newest" in pick:
            if not items:
                raise Deviation(f"{pick['from']} is empty")
            return max(items, key=lambda item: _version(item[pick["newest"]]))
        wanted = self._rendered(pick["is"])
        names = [(item, str(item.get(pick["where"]))) for item in items]
        exact = pick.get("exact", False)
        same = [item for item, name in names if (name == wanted if exact else name.lower() == wanted.lower())]
        if len(same) != 1:
            raise Deviation(f"{pick['from']}: {len(same)} of {wanted!r} in {[name for _, name in names]}")
        return same[0]

    def _rendered(self, value: Any) -> Any:
        """`{name}`, `{name.path}` and `{name:1}` (the second of words between colons) replaced, in the whole of a document."""
        if isinstance(value, dict):
            return {name: self._rendered(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._rendered(item) for item in value]
        if not isinstance(value, str):
            return value
        whole = _FIELD.fullmatch(value)
        return self._field(whole) if whole else _FIELD.sub(lambda found: str(self._field(found)), value)

    def _field(self, found: re.Match[str]) -> Any:
        value = follow(self._scope, found[1])
        if value is None:
            raise Deviation(f"{found[0]} is null")
        return value.split(":")[int(found[2])] if found[2] else value


def _version(name: str) -> list[int]:
    """As ImageVersion.Parse reads it. Raises SerializationException."""
    parts = name.split(".")
    if not all(part.isascii() and part.isdigit() and int(part) < 2**64 for part in parts):
        raise SerializationException(f"{name!r} is no version")
    return [int(part) for part in parts]

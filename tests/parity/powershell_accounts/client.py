"""Connects as Az.Accounts does, by sequences.yaml: sends what it sends, and checks of the answers what it checks.

Where the real client would throw, ask somebody else or go another way, `Refused` is raised. No Microsoft code runs here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import yaml

FOLDER = Path(__file__).parent
POWERSHELL = "1950a258-227b-4e31-a9cf-717495945fc2"
"""Constants.PowerShellClientId, src/Accounts/Authenticators/Constants.cs."""

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KNOWN_HOSTS = ("login.microsoftonline.com", "login.microsoftonline.us", "login.chinacloudapi.cn")
"""Some of KnownMetadataProvider.cs: those it asks itself."""


class Refused(AssertionError):
    """The client would not go on with this."""


@cache
def sequences() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = yaml.safe_load((FOLDER / "sequences.yaml").read_text())["sequences"]
    return found


def asks_elsewhere(authority: str, discovery: bool) -> str | None:
    """The address that MSAL.NET would ask before it trusts an authority; None where it asks nobody.

    AuthorityInfo.cs GetAuthorityType and IsInstanceDiscoverySupported; NetworkMetadataProvider.cs ComputeHttpEndpoint, which
    keeps the authority's port; AdfsAuthorityValidator.cs, which does not; NullAuthorityValidator.cs.
    """
    parts = urlsplit(authority.lower())
    first = parts.path.split("/")[1]
    if not discovery or first in ("tfp", "dstsv2"):
        return None
    if first == "adfs":
        return f"https://{parts.hostname}/.well-known/webfinger"
    host = parts.hostname if parts.hostname in _KNOWN_HOSTS else _KNOWN_HOSTS[0]
    port = "" if parts.port in (None, 443) else f":{parts.port}"
    return f"https://{host}{port}/common/discovery/instance"


def confidential_authority(login: str, tenant: str) -> str:
    """MsalConfidentialClient.cs: AuthorityHost with its path, and the tenant (AuthorityInfo.FromAadAuthority)."""
    return f"{login.rstrip('/')}/{tenant}"


def public_authority(login: str, tenant: str | None) -> str:
    """MsalPublicClient.cs: AuthorityHost without its path, and the tenant or `organizations`."""
    parts = urlsplit(login)
    return f"{parts.scheme}://{parts.netloc}/{tenant or 'organizations'}"


def decoded(part: str) -> Any:
    """What base64url without padding holds (Base64UrlHelpers.cs)."""
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def find(document: Any, path: str) -> Any:
    """The value at a path, on inside an id_token and a client_info; None where there is none."""
    for name in path.split("."):
        if isinstance(document, list):
            document = document[int(name)] if int(name) < len(document) else None
        elif isinstance(document, dict):
            document = document.get(name)
            if name in ("id_token", "client_info") and path != name and isinstance(document, str):
                document = decoded(document.split(".")[1] if name == "id_token" else document)
        else:
            return None
    return document


def is_jwt(value: Any) -> bool:
    return isinstance(value, str) and len(value.split(".")) == 3 and "exp" in decoded(value.split(".")[1])


KINDS: dict[str, Callable[[Any, dict[str, str]], bool]] = {
    "text": lambda value, _: isinstance(value, str) and value != "",
    # long with JsonNumberHandling.AllowReadingFromString
    "number": lambda value, _: type(value) is int or (isinstance(value, str) and value.isascii() and value.isdecimal()),
    "bearer": lambda value, _: isinstance(value, str) and value.lower() == "bearer",
    "jwt": lambda value, _: is_jwt(value),
    "base64url": lambda value, _: isinstance(value, str) and isinstance(decoded(value), dict),
    "guid": lambda value, _: isinstance(value, str) and _GUID.fullmatch(value) is not None,
    "list": lambda value, _: isinstance(value, list),
    "absent": lambda value, _: value is None,
    "address": lambda value, _: isinstance(value, str) and urlsplit(value).scheme == "https" and bool(urlsplit(value).hostname),
    "enabled": lambda value, _: isinstance(value, str) and value.lower() in ("enabled", "warned"),
    "home": lambda value, _: value == "Home",
    "tenant": lambda value, known: value == known["tenant"],
    "subscription": lambda value, known: value == known["subscription"],
    "domain": lambda value, known: value == known["domain"],
    "user": lambda value, known: value == f"{known['name']}@{known['domain']}",
    # What was asked for has to be in it, else the token is not found in the cache again (ScopeHelper.ScopeContains).
    "scope": lambda value, known: f"{known['audience']}/.default" in value.lower().split(" "),
    "issuer": lambda value, known: [part for part in value.split("/") if part][2] == known["tenant"],
    "realm": lambda value, _: value == "http://schemas.microsoft.com/rel/trusted-realm",
    "host": lambda value, _: value == "https://localhost",
}  # fmt: skip


@dataclass
class Client:
    """One PowerShell. `values` are what the steps' {names} stand for."""

    http: httpx.AsyncClient
    values: dict[str, str]
    password: str = ""
    log: list[str] = field(default_factory=list)
    """Method and address of everything sent."""

    def __post_init__(self) -> None:
        verifier = secrets.token_urlsafe(96)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        self.values = {
            "powershell": POWERSHELL,
            "redirect": "http://localhost:8400/",
            "response_mode": "form_post",
            "state": f"{uuid.uuid4()}{uuid.uuid4()}",
            "verifier": verifier,
            "challenge": challenge,
            **self.values,
        }

    async def run(self, name: str) -> dict[str, str]:
        """All steps of a sequence; the values after it. Raises Refused."""
        for step in sequences()[name]:
            self.values["request_id"] = str(uuid.uuid4())
            if "login" in self.values:
                self._authorities()
            try:
                await (self._person(step) if "person" in step else self._request(step))
            except Refused as refused:
                raise Refused(f"{name}: {step['what']}: {refused}\n{step['source']}") from None
        return self.values

    def _authorities(self) -> None:
        login, tenant = self.values["login"], self.values["tenant"]
        self.values |= {
            "confidential": confidential_authority(login, tenant),
            "public": public_authority(login, self.values.get("asked_tenant")),
            "tenanted": public_authority(login, tenant),
        }

    def told(self, text: str) -> str:
        """A text with the values in it."""
        return re.sub(r"\{([a-z_]+)\}", lambda found: self.values[found[1]], text)

    def _all(self, texts: dict[str, str]) -> dict[str, str]:
        return {name: self.told(text) for name, text in texts.items()}

    async def _request(self, step: dict[str, Any]) -> None:
        method, _, address = self.told(step["request"]).partition(" ")
        headers = self._all(step.get("headers", {}))
        form = self._all(step["form"]) if "form" in step else None
        answer = await self.http.request(method, address, headers=headers, data=form)
        self.log.append(f"{method} {address}")
        if (
            "return-client-request-id" in headers
            and answer.headers.get("client-request-id") != headers["client-request-id"]
        ):
            raise Refused("the answer is of another request")  # only a warning in MSAL's log
        if "error" in step:
            self._check_error(step["error"], answer)
            return
        if answer.status_code != 200:
            raise Refused(f"{answer.status_code} {answer.text}")
        self.take(step, answer.json())

    def take(self, step: dict[str, Any], document: Any) -> None:
        """Check an answer as the client does, and keep what it keeps. Raises Refused."""
        for path, kind in step["needs"].items():
            value = find(document, path)
            if not KINDS[kind](value, self.values):
                raise Refused(f"{path} is no {kind}: {value!r}")
        self.values |= {name: find(document, path) for name, path in step.get("keeps", {}).items()}

    def _check_error(self, wanted: dict[str, Any], answer: httpx.Response) -> None:
        """OAuth2Client.cs ExtractErrorsFromTheResponse: JSON with `error`, a description, codes that are numbers."""
        document = answer.json()
        if (answer.status_code, document.get("error")) != (wanted["status"], wanted["error"]):
            raise Refused(f"{answer.status_code} {answer.text}")
        codes = document.get("error_codes")
        if not KINDS["text"](document.get("error_description"), {}) or not all(type(code) is int for code in codes):
            raise Refused(f"an error that cannot be read: {answer.text}")

    async def _person(self, step: dict[str, Any]) -> None:
        """Somebody at a browser."""
        if step["person"] == "device":
            code, page, message = (self.values[name] for name in ("user_code", "page", "message"))
            if code not in message or page not in message:
                raise Refused(f"nobody would know what to do: {message}")
            shown = await self._signed_in(page, otc=code)
            if "You have signed in to" not in shown.text:
                raise Refused(shown.text)
            return
        query = {name: text for name, text in self._all(step["query"]).items() if text}
        answer = await self._signed_in(f"{self.told(step['address'])}?{urlencode(query)}")
        self.log.append(f"GET {self.told(step['address'])}")
        came = self._came_home(answer)
        if came.get("error"):
            raise Refused(f"{came}")
        if came.get("state", "").lower() != self.values["state"].lower():
            raise Refused(f"the state is another: {came}")
        if not came.get("code"):
            raise Refused(f"no code: {came}")
        self.values["code"] = came["code"]

    async def _signed_in(self, address: str, **typed: str) -> httpx.Response:
        self.http.cookies.clear()
        page = await self.http.get(address)
        found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.text)
        if page.status_code != 200 or not found:
            raise Refused(f"{page.status_code} {page.text}")
        filled = {unescape(name): unescape(value) for name, value in found}
        filled |= {"username": self.values["name"], "password": self.password, **typed}
        answer = await self.http.post(address.partition("?")[0], data=filled)
        self.http.cookies.clear()
        return answer

    def _came_home(self, answer: httpx.Response) -> dict[str, str]:
        """What arrives at the loopback address: HttpListenerInterceptor.cs, by query or by a form that posts itself."""
        if answer.status_code == 303:
            home = answer.headers["location"]
            found = {name: values[0] for name, values in parse_qs(urlsplit(home).query).items()}
        else:
            action = re.search(r'<form method="post" action="([^"]*)">', answer.text)
            if action is None:
                raise Refused(answer.text)
            home = unescape(action[1])
            fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', answer.text)
            found = {unescape(name): unescape(value) for name, value in fields}
        if not home.startswith(self.values["redirect"]):
            raise Refused(f"the browser goes to {home}")
        return found

"""Which cloud a command is about, and how to talk to it. Errors here say what to do next."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import sys
from pathlib import Path
from typing import Any

import httpx

from azlan.config import CONFIG_FILE, SYSTEM_STATE, Config, ConfigError, default_state, load


class CommandError(Exception):
    """Ends a command: the message for the user, and what to do next. Exit status 1."""

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure


def advice(text: str) -> str:
    """Advice as it can be pasted: `azlan` as this command was called, where it is not on PATH."""
    own = sys.argv[0] if Path(sys.argv[0]).name == "azlan" else "azlan"
    if shutil.which("azlan") is not None or "/" not in own:
        return text
    path = Path(own).absolute()
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) and here != Path("/") else path
    return re.sub(r"(?<![\w/.-])azlan(?= [a-z]+)(?! is )", str(shown), text)


def state_of(given: Path | None) -> Path:
    """The state folder meant: as given, else the user's own cloud where there is one, else the computer's."""
    if given is not None:
        return Path(os.path.abspath(given.expanduser()))  # noqa: PTH100 - links are part of the name, and so of the mark
    own = default_state()
    if not (own / CONFIG_FILE).exists() and (SYSTEM_STATE / CONFIG_FILE).exists():
        return SYSTEM_STATE
    return own


def existing(given: Path | None) -> Config:
    """The configuration of the cloud meant. Raises CommandError where there is none."""
    state = state_of(given)
    try:
        return load(state / CONFIG_FILE)
    except FileNotFoundError as error:
        raise CommandError(f"There is no cloud in {state}.", "Start one: sudo azlan up -d") from error
    except PermissionError as error:
        raise CommandError(
            f"{state} belongs to another user.", "Use sudo, or a cloud of your own: --state DIR"
        ) from error
    except ConfigError as error:
        raise CommandError(str(error)) from error


class CloudClient:
    """HTTPS to the control process of one cloud, trusting its own authority and nothing else."""

    def __init__(self, config: Config, timeout: float = 10.0) -> None:
        self.config = config
        self._timeout = timeout

    def context(self) -> ssl.SSLContext:
        """TLS that accepts this cloud's certificate alone. Raises CommandError before its first start."""
        try:
            return ssl.create_default_context(cafile=str(self.config.authority))
        except OSError as error:
            raise CommandError(f"The cloud in {self.config.state} is not up.", "Start it: azlan up -d") from error

    def answers(self) -> bool:
        """Whether the API is there."""
        try:
            with self._open() as client:
                return client.get("/metadata/endpoints?api-version=2022-09-01").status_code == 200
        except (httpx.HTTPError, CommandError, ssl.SSLError):
            return False

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Ask `/_azlan{path}` as the administrator: the JSON, None for no content. Raises CommandError."""
        try:
            token = self.config.admin_token.read_text().strip()
        except PermissionError as error:
            raise CommandError(
                f"The cloud in {self.config.state} was started by another user.",
                "Run this as that user, or as root with sudo.",
            ) from error
        except FileNotFoundError as error:
            raise CommandError(f"The cloud in {self.config.state} is not up.", "Start it: azlan up -d") from error
        return self.call(method, f"/_azlan{path}", token, body)

    def call(self, method: str, path: str, token: str, body: Any = None) -> Any:
        """One request with a bearer token. Raises CommandError with the cloud's own words."""
        try:
            with self._open() as client:
                response = client.request(method, path, json=body, headers={"Authorization": f"Bearer {token}"})
        except (httpx.HTTPError, ssl.SSLError) as error:
            raise CommandError(
                f"The cloud does not answer at {self.config.endpoint} ({error}).",
                "See whether it is up: azlan status; start it: azlan up -d",
            ) from error
        if response.status_code >= 400:
            raise CommandError(_reason(response))
        return response.json() if response.content else None

    def token(self, client_id: str, secret: str) -> str | None:
        """An access token by client secret; None where the cloud does not know the pair."""
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": secret,
            "scope": f"{self.config.endpoint}/.default",
        }
        try:
            with self._open() as client:
                response = client.post(f"/{self.config.tenant}/oauth2/v2.0/token", data=form)
        except httpx.HTTPError as error:
            raise CommandError(
                f"The cloud does not answer at {self.config.endpoint} ({error}).", "Start it: azlan up -d"
            ) from error
        return str(response.json()["access_token"]) if response.status_code == 200 else None

    def _open(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.config.endpoint, verify=self.context(), timeout=self._timeout, trust_env=False
        )


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"The cloud answered {response.status_code}."

"""Finding the real az, and giving it a configuration folder of its own that is registered and logged in to a cloud.

The user's own `~/.azure` is never read or written. Where no az is on PATH, the one that `make tutorial` installed is used.
"""

from __future__ import annotations

import configparser
import getpass
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import certifi

from azlan.commands.clouds import CloudClient, CommandError
from azlan.config import Config
from azlan.services.cloud import CLOUD_NAME
from azlan.services.vault import write_private

SETTINGS = {
    # MSAL would ask login.microsoftonline.com whether it knows our authority.
    "core": {"instance_discovery": "false", "collect_telemetry": "no", "login_experience_v2": "off", "output": "json"},
    "extension": {"use_dynamic_install": "yes_without_prompt", "dynamic_install_allow_preview": "false"},
    "logging": {"enable_log_file": "no"},
}
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_STORES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
"""Where Debian's, Fedora's and Alpine's OpenSSL look where SSL_CERT_FILE does not lead them away."""
_OF_A_LOGIN = (
    "azlan.json",
    "azureProfile.json",
    "clouds.config",
    "extensionCommandTree.json",
    "msal_token_cache.json",
    "service_principal_entries.json",
)
"""Files of az that a new endpoint or principal makes stale."""


@dataclass(frozen=True, slots=True)
class Login:
    """A service principal of this user's own."""

    tenant: str
    subscription: str
    client_id: str
    secret: str


@dataclass(frozen=True, slots=True)
class Session:
    """What a shell needs to talk to a cloud. Paths are in the user's own configuration folder."""

    config: Config
    login: Login
    azure_config: Path
    bundle: Path
    """Certificates: the public authorities, whom the shell trusted before, and the cloud's own authority."""
    extra: Path
    """The same without the public authorities, which Node brings itself."""
    az: Path | None

    def variables(self) -> dict[str, str]:
        """Environment variables for az, the Azure SDKs and Terraform."""
        endpoint, login = self.config.endpoint, self.login
        variables = {
            "AZURE_CONFIG_DIR": str(self.azure_config),
            "REQUESTS_CA_BUNDLE": str(self.bundle),
            "SSL_CERT_FILE": str(self.bundle),
            "NODE_EXTRA_CA_CERTS": str(self.extra),
            "AZURE_CORE_INSTANCE_DISCOVERY": "false",
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
            "AZURE_TENANT_ID": login.tenant,
            "AZURE_CLIENT_ID": login.client_id,
            "AZURE_CLIENT_SECRET": login.secret,
            "AZURE_SUBSCRIPTION_ID": login.subscription,
            "AZURE_AUTHORITY_HOST": endpoint,
            "AZLAN_ENDPOINT": endpoint,
            "ARM_METADATA_HOSTNAME": endpoint.removeprefix("https://"),
            "ARM_TENANT_ID": login.tenant,
            "ARM_CLIENT_ID": login.client_id,
            "ARM_CLIENT_SECRET": login.secret,
            "ARM_SUBSCRIPTION_ID": login.subscription,
            **_past_proxies(urlsplit(endpoint).hostname or ""),
        }
        if self.az is not None and shutil.which("az") is None:
            variables["PATH"] = f"{self.az.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return variables

    def environment(self) -> dict[str, str]:
        """The caller's environment with `variables` in it, for a process of ours."""
        return {**os.environ, **self.variables()}


def own_folder(config: Config) -> Path:
    """The folder of this user for this cloud."""
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "azlan" / config.mark


def installed_folders() -> tuple[Path, ...]:
    """Where `make tutorial` installs az: the computer's place, then the user's own."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path("/var/cache/azlan/azure-cli"), cache / "azlan" / "azure-cli"


def find_az() -> Path | None:
    """The az on PATH, else the installed one, else None."""
    found = shutil.which("az")
    if found:
        return Path(found)
    places = (folder / "bin" / "az" for folder in installed_folders())
    return next((path for path in places if os.access(path, os.X_OK)), None)


def open_session(config: Config, *, adfs: bool = False, folder: Path | None = None) -> Session:
    """Make sure that this user has a principal and that az, where there is one, is logged in with it.

    Raises CommandError where the cloud is not up. `folder` replaces the user's own folder (tests, the tutorial).
    """
    folder = folder or own_folder(config)
    login = open_login(config, folder)
    own, public = config.authority.read_bytes(), Path(certifi.where()).read_bytes()
    requests, openssl, node = map(os.environ.get, ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"))
    store = openssl or next(filter(os.path.exists, _STORES), None)
    bundle = _trust(folder, "ca-bundle", public, (requests, store), own)
    extra = _trust(folder, "ca-extra", b"", (node,), own)
    session = Session(config, login, folder / ("azure-adfs" if adfs else "azure"), bundle, extra, find_az())
    _settings(session.azure_config)
    if session.az is not None:
        _log_in(session, adfs=adfs)
    return session


def open_login(config: Config, folder: Path | None = None) -> Login:
    """This user's stored principal where the cloud still knows it, else a new one. Raises CommandError."""
    client = CloudClient(config, timeout=30.0)
    folder = folder or own_folder(config)
    path = folder / "principal.json"
    try:
        stored = Login(**json.loads(path.read_text()))
        if stored.tenant == config.tenant and client.token(stored.client_id, stored.secret):
            return stored
    except (OSError, ValueError, TypeError):
        pass
    # One principal a folder: two folders that shared one would take each other's secret away.
    unique = hashlib.sha256(os.fsencode(folder)).hexdigest()[:6]
    name = f"{getpass.getuser()}@{socket.gethostname()}-{unique}"
    asked = {"name": _plain(name), "kind": "ServicePrincipal", "role": "Owner", "renew": True}
    made = client.admin("POST", "/users", asked)
    login = Login(made["tenant"], made["subscription"], made["applicationId"], made["secret"])
    write_private(path, json.dumps(asdict(login), indent=2).encode())
    return login


def _trust(folder: Path, stem: str, public: bytes, files: tuple[str | None, ...], own: bytes) -> Path:
    """A file with the certificates of `public`, those that this shell's programs trust by now (a company's proxy vouches
    for what pip and npm fetch), and `own`. A shell that trusts others has a file of its own."""
    known = set(map(_bare, _CERTIFICATE.findall(public + own)))
    added: dict[bytes, bytes] = {}
    for path in map(Path, filter(None, files)):
        with suppress(OSError):
            found = _CERTIFICATE.findall(path.read_bytes())
            # One of ours, of an earlier evaluation: its last is the cloud's authority of that time.
            added |= {_bare(one): one for one in (found[:-1] if path.parent == folder else found)}
    more = [text for bare, text in added.items() if bare not in known]
    name = f"{stem}-{hashlib.sha256(b''.join(more)).hexdigest()[:8]}.pem" if more else f"{stem}.pem"
    _write_changed(folder / name, b"\n".join([public, *more, own]))
    return folder / name


def _bare(certificate: bytes) -> bytes:
    return b"".join(certificate.split())


def _past_proxies(host: str) -> dict[str, str]:
    """Where this shell goes through a proxy: what it is not to be asked for, the cloud's host with it. Clients read the
    one spelling or the other, and take neither to mean that localhost needs no proxy."""
    found = {name.lower(): value for name, value in os.environ.items() if value and name.lower().endswith("_proxy")}
    if not found.keys() & {"http_proxy", "https_proxy", "all_proxy"}:
        return {}
    listed = f"{os.environ.get('NO_PROXY', '')},{os.environ.get('no_proxy', '')}".split(",")
    direct = ",".join(dict.fromkeys([*filter(None, map(str.strip, listed)), host]))
    return {"NO_PROXY": direct, "no_proxy": direct}


def _plain(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "._@-") else "-" for c in name)


def _settings(folder: Path) -> None:
    """The settings az needs here; what the user set besides stays."""
    path = folder / "config"
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(path)
    for section, values in SETTINGS.items():
        if not parser.has_section(section):
            parser.add_section(section)
        for name, value in values.items():
            if not parser.has_option(section, name):
                parser.set(section, name, value)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w") as out:
        parser.write(out)
    path.chmod(0o600)


def _log_in(session: Session, *, adfs: bool) -> None:
    """`az cloud register`, `set` and `login`, once for a principal and an endpoint."""
    name = f"{CLOUD_NAME}Adfs" if adfs else CLOUD_NAME
    stamp = session.azure_config / "azlan.json"
    wanted = {"cloud": name, "endpoint": session.config.endpoint, "client": session.login.client_id,
              "secret": session.login.secret, "az": str(session.az)}  # fmt: skip
    try:
        if json.loads(stamp.read_text()) == wanted:
            return
    except (OSError, ValueError):
        pass
    for name_of_file in _OF_A_LOGIN:
        (session.azure_config / name_of_file).unlink(missing_ok=True)
    endpoint = session.config.endpoint
    authority = ["--endpoint-active-directory", f"{endpoint}/adfs"] if adfs else []
    _az(session, "cloud", "register", "-n", name, "--endpoint-resource-manager", endpoint, *authority)
    _az(session, "cloud", "set", "-n", name)
    login = session.login
    _az(session, "login", "--service-principal", "--username", login.client_id, f"--password={login.secret}",
        "--tenant", login.tenant)  # fmt: skip
    _az(session, "account", "set", "--subscription", login.subscription)
    write_private(stamp, json.dumps(wanted).encode())


def _az(session: Session, *arguments: str) -> None:
    done = subprocess.run(
        [str(session.az), *arguments, "--only-show-errors", "--output", "none"],
        env=session.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode != 0:
        raise CommandError(
            f"az {' '.join(arguments[:2])} failed:\n\n{done.stderr.strip() or done.stdout.strip()}",
            f"If it goes on, remove {session.azure_config} and try again.",
        )


def _write_changed(path: Path, content: bytes) -> None:
    try:
        if path.read_bytes() == content:
            return
    except FileNotFoundError:
        pass
    write_private(path, content)

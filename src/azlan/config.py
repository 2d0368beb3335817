"""What one cloud is: where it lives, which TCP port, which engine. Written by `azlan up`, read by every process of it.

state/            of the user who started the cloud; 0755
  config.json     this, no secret in it; 0644
  ca.pem          certificate of the per-install authority; 0644
  control/        of the control process alone; 0700: the store, the keys, the administrator's token
  logs/           supervisor.log, control.log, fabric.log
run/              gone after a reboot; 0755: the supervisor's lock and state, the fabric's socket
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

EngineName = Literal["bpf", "model"]
MachinesName = Literal["containers", "simulated"]
Egress = Literal["internet", "lan"]

SYSTEM_STATE = Path("/var/lib/azlan")
CONFIG_FILE = "config.json"


class ConfigError(Exception):
    """A configuration that cannot be; the message says what to do instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One cloud. Paths are absolute."""

    state: Path
    run: Path
    mark: str
    """Eight hex digits derived from `state`: what every object of this cloud on the computer is marked with."""
    tenant: str
    subscription: str
    uid: int
    """Of the control process."""
    gid: int
    port: int = 8443
    """TCP port on loopback."""
    engine: EngineName = "bpf"
    machines: MachinesName = "containers"
    egress: Egress = "internet"
    """`lan` lets machines reach private ranges beyond the computer, too."""

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise ConfigError(f"{self.port} is no TCP port: give --port a number from 1 to 65535.")
        for value, kind, option in (
            (self.engine, EngineName, "--engine"),
            (self.machines, MachinesName, "--machines"),
            (self.egress, Egress, "--egress"),
        ):
            if value not in get_args(kind):
                raise ConfigError(f"{option} {value} does not exist: use {' or '.join(get_args(kind))}.")
        if self.engine == "model" and self.machines == "containers":
            raise ConfigError(
                "The model engine moves no packets, so containers could not reach each other: "
                "use --engine model --machines simulated, or --engine bpf."
            )

    @property
    def endpoint(self) -> str:
        """`https://localhost:8443`, without a trailing slash; the port is left out where it is 443."""
        return "https://localhost" if self.port == 443 else f"https://localhost:{self.port}"

    @property
    def privileged(self) -> bool:
        """Whether a fabric process, run by root, belongs to this cloud."""
        return self.engine == "bpf"

    @property
    def file(self) -> Path:
        return self.state / CONFIG_FILE

    @property
    def authority(self) -> Path:
        """Certificate of the per-install authority, PEM. Its folder is the control process's, readable to all."""
        return self.state / "public" / "ca.pem"

    @property
    def control(self) -> Path:
        """Folder of the control process, 0700."""
        return self.state / "control"

    @property
    def store(self) -> Path:
        return self.control / "store.db"

    @property
    def admin_token(self) -> Path:
        return self.control / "admin.token"

    @property
    def fabric(self) -> Path:
        """Folder of the fabric process (overlays, machine state), of root."""
        return self.state / "fabric"

    @property
    def socket(self) -> Path:
        """Unix socket of the fabric process."""
        return self.run / "fabric.sock"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    def save(self) -> None:
        """Write `config.json` whole or not at all; the state folder must exist."""
        document = {key: str(v) if isinstance(v, Path) else v for key, v in dataclasses.asdict(self).items()}
        with tempfile.NamedTemporaryFile("w", dir=self.state, prefix=".config-", delete=False) as out:
            json.dump(document, out, indent=2)
            out.write("\n")
            out.flush()
            os.fsync(out.fileno())
            os.fchmod(out.fileno(), 0o644)
        Path(out.name).replace(self.file)


def load(file: Path) -> Config:
    """Read a `config.json`. Raises FileNotFoundError, or ConfigError where it cannot be understood."""
    try:
        document: dict[str, Any] = json.loads(file.read_text())
        fields = {f.name for f in dataclasses.fields(Config)}
        known = {key: value for key, value in document.items() if key in fields}
        return Config(**{**known, "state": Path(known["state"]), "run": Path(known["run"])})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{file} cannot be read ({error}). Restore it, or remove the cloud with `azlan reset`."
        ) from error


def mark_of(state: Path) -> str:
    """The mark of the cloud that lives in `state`."""
    return hashlib.sha256(os.fsencode(state)).hexdigest()[:8]


def default_state() -> Path:
    """`/var/lib/azlan` for root, else `azlan` in the user's data folder (XDG base directories)."""
    if os.geteuid() == 0:
        return SYSTEM_STATE
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "azlan"


def run_folder(mark: str) -> Path:
    """Where sockets and locks of a cloud live, emptied at boot."""
    if os.geteuid() == 0:
        return Path("/run") / f"azlan-{mark}"
    base = os.environ.get("XDG_RUNTIME_DIR")
    return (Path(base) if base else Path(tempfile.gettempdir()) / f"azlan-{os.geteuid()}") / f"azlan-{mark}"


def new_config(state: Path, *, uid: int, gid: int, **options: Any) -> Config:
    """The configuration of a cloud that does not exist yet: a tenant and a subscription of its own."""
    state = Path(os.path.abspath(state))  # noqa: PTH100 - resolve() would follow links, and the mark with them
    mark = mark_of(state)
    return Config(
        state=state,
        run=run_folder(mark),
        mark=mark,
        tenant=str(uuid.uuid4()),
        subscription=str(uuid.uuid4()),
        uid=uid,
        gid=gid,
        **options,
    )

"""Where a machine lives on this computer, and what is remembered of it on disk.

    {state}/machines/{name}/   machine.json, disk.ext4, boots          until the machine is deleted
    {run}/machines/{name}/     config.json, pid, exit, stop, *.log     while it runs
    {run}/guests/{name}/       user, net: its namespaces, bound        while it runs
    {run}/bastion/{name}.sock                                          a Bastion host's socket

`{name}` is a hash of mark and part key: known before anything is made, the same in every process.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import msgspec

from azlan.contract.world import PartKey


class MachineError(Exception):
    """A machine that cannot be what is desired of it: Azure's error code, why in words for the user, and after how
    many seconds another try makes sense (None: only when something else is desired)."""

    def __init__(self, code: str, why: str, *, retry: float | None = 30.0) -> None:
        super().__init__(why)
        self.code = code
        self.why = why
        self.retry = retry


class Record(msgspec.Struct, kw_only=True):
    """What is remembered of a machine: decided before it is done, so that a fresh process goes on from there."""

    key: PartKey
    role: str
    first_id: int = 0
    image: str = ""
    build: str = ""
    provisioned: bool = False
    """Its identity is laid over the image."""
    answered: bool = False
    """It has been ready once: provisioning is over."""
    power: str = "running"
    """The desired power it has caught up with."""
    boot: int = 0
    """The desired `boot` it has caught up with."""
    off: bool = False
    """It was powered off, from inside or outside, and stays so until it is started."""
    since: float = 0.0
    memory_mib: int = 0
    resolv_conf: str = ""
    """As it was written last."""
    nics: dict[PartKey, str] = {}
    """NIC → name of its link in the guest."""


def name_of(mark: str, key: PartKey) -> str:
    return "m" + blake2b(f"{mark}\n{key}".encode(), digest_size=6).hexdigest()


@dataclass(frozen=True)
class Place:
    """The paths of one machine."""

    run_dir: Path
    state_dir: Path
    name: str

    @property
    def run(self) -> Path:
        return self.run_dir / "machines" / self.name

    @property
    def state(self) -> Path:
        return self.state_dir / "machines" / self.name

    @property
    def namespaces(self) -> Path:
        return self.run_dir / "guests" / self.name

    @property
    def user_namespace(self) -> Path:
        return self.namespaces / "user"

    @property
    def network_namespace(self) -> Path:
        return self.namespaces / "net"

    @property
    def disk(self) -> Path:
        return self.state / "disk.ext4"

    @property
    def crun_root(self) -> Path:
        return self.run_dir / "crun"

    @property
    def socket(self) -> Path:
        return self.run_dir / "bastion" / f"{self.name}.sock"

    def load(self) -> Record | None:
        try:
            return msgspec.json.decode((self.state / "machine.json").read_bytes(), type=Record)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def save(self, record: Record) -> None:
        """Durable on return: a loss of power leaves the record before or this one."""
        self.state.mkdir(parents=True, exist_ok=True)
        write_durably(self.state / "machine.json", msgspec.json.encode(record))

    def number(self, directory: Path, file: str) -> int | None:
        """The number that the monitor wrote to a file; None where it did not."""
        with contextlib.suppress(OSError, ValueError):
            return int((directory / file).read_text())
        return None


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file whole or not at all, on disk on return, its name included. What is the same is not written again."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == content:
            return
    partial = path.with_name(f"{path.name}.new")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def bastion_socket(run_dir: Path, mark: str, machine: PartKey) -> Path:
    """The Unix socket of a Bastion host (see `bastion_wire`), whether it runs or not."""
    return Place(run_dir, run_dir, name_of(mark, machine)).socket

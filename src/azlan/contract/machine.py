"""What runs machines: the same shape as an engine, plus status that travels upward."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from azlan.contract.engine import Report
from azlan.contract.world import Nic, PartKey, World


class MachineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine is seen to be; stored apart from what is desired of it."""

    machine: PartKey
    power: str
    """`starting`, `running`, `stopped` (powered off, from inside or outside), `deallocated` or `failed`; in a
    notification also `gone`: nothing of the machine is left."""
    ready: bool = False
    """Its SSH banner was read at its NIC's address in its own namespace (a Bastion host: its socket answers)."""
    boots: int = 0
    """How many times it has booted, restarts from inside included."""
    boot: int = 0
    """The `boot` of the World that it has caught up with."""
    since: float = 0.0
    """Unix time of the last change of `power`."""
    why: str | None = None
    """For `failed`: in words for the user."""
    code: str | None = None
    """For `failed`: Azure's error code (`OSProvisioningTimedOut`, `AllocationFailed`, `ImageNotFound` …)."""


class CommandResult(msgspec.Struct, frozen=True, kw_only=True):
    exit_status: int
    stdout: str
    stderr: str


class NicPorts(Protocol):
    """Where a machine's NIC meets the fabric. The bpf engine is one; machines are handed it by the application page."""

    async def plug(self, nic: Nic, namespace: Path, name: str) -> None:
        """Make the NIC's link pair if it is missing: the guest's end, up, with `nic.mac`, as `name` in the network
        namespace bound at `namespace`; the fabric's end attached to the program. Idempotent; a pair that a restarted
        process left behind is adopted."""
        ...

    async def unplug(self, nic: PartKey) -> None:
        """Remove the pair, if there is one."""
        ...


StatusListener = Callable[[MachineStatus], None]


class Machines(Protocol):
    """Makes the World's machine parts true."""

    name: str

    async def apply(self, world: World) -> Report:
        """Start what is to be done and return at once: a machine that boots is `pending` in the report, and its
        status says when it is ready."""
        ...

    async def observe(self) -> tuple[MachineStatus, ...]:
        """Every machine that bears our mark, as it is now."""
        ...

    def listen(self, listener: StatusListener) -> None:
        """Call `listener` on the event loop at every change of status."""
        ...

    async def run(self, machine: PartKey, script: str, timeout: float) -> CommandResult:
        """Run a shell script as root in a running guest. Raises LookupError where it does not run."""
        ...

    async def close(self) -> None:
        """Let go without stopping any machine."""
        ...

"""What `azlan doctor` says of one thing, and of which cloud it is asked. A finding that is not `ok` bears its cure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from azlan.config import SYSTEM_STATE, Config, Egress, EngineName, MachinesName

Verdict = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `cure` says what to do where the verdict is not `ok`; `package`: the Debian packages that bring it."""

    name: str
    verdict: Verdict
    found: str
    cure: str = ""
    package: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the cloud that is examined needs."""

    engine: EngineName = "bpf"
    machines: MachinesName = "containers"
    port: int = 8443
    egress: Egress = "internet"
    config: Config | None = None
    """Where the cloud exists already."""
    state: Path = SYSTEM_STATE
    """Its state folder, which may not be there yet."""

    @property
    def oldest_kernel(self) -> tuple[int, int]:
        """bpf_loop came with 5.17, idmapped mounts beneath an overlay, which share an image, with 5.19."""
        return (5, 19) if self.machines == "containers" else (5, 17)


def of_config(config: Config) -> Wanted:
    """What a cloud with that configuration needs."""
    return Wanted(config.engine, config.machines, config.port, config.egress, config, config.state)


def passed(checks: Sequence[Check]) -> bool:
    return all(check.verdict != "failed" for check in checks)


def packages(checks: Sequence[Check]) -> list[str]:
    """The Debian packages that would cure what failed, each once."""
    named = (name for check in checks if check.verdict != "ok" for name in check.package.split())
    return list(dict.fromkeys(named))


def version_of(text: str) -> tuple[int, ...]:
    """The first dotted number in a text: `crun version 1.8.1` → (1, 8, 1). Empty where there is none."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(map(int, found.group().split("."))) if found else ()


def standing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    while not folder.exists():
        folder = folder.parent
    return folder

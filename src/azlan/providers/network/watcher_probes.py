"""The probes of a connectivity check: sent by the source machine itself, by a fixed program run in its guest.

Stands in for Azure's Network Watcher agent extension, which is not needed here. The program is given data alone.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from importlib.resources import files
from urllib.parse import urlsplit

from azlan.arm.resource import Json
from azlan.base.errors import ArmError
from azlan.contract.machine import Machines
from azlan.contract.world import PartKey

SECONDS = 40.0
"""The longest that a guest may take; its own program gives up long before."""

PORTS = {"Http": 80, "Https": 443}


@dataclass(frozen=True)
class Probes:
    """What the machine saw: `address` is what the destination's name stands for there, None where for nothing."""

    address: str | None
    sent: int
    failed: int
    milliseconds: list[float]
    reason: str


def default_port(protocol: str) -> int:
    """0 where the protocol has none."""
    return PORTS.get(protocol, 0)


def host_and_port(text: str) -> tuple[str, int]:
    """Of an address, a name or a URL; 0 for a port that is not given. Raises `InvalidDestinationAddress`."""
    host, port = text.strip(), 0
    if "://" in text:
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme.capitalize(), 0)
        except ValueError:
            host = ""
    if not host or len(host) > 253 or not host.isprintable() or " " in host:
        raise ArmError(400, "InvalidDestinationAddress", f"The destination address '{text}' is not valid.")
    return host, port


async def send(machines: Machines, machine: PartKey, request: Json) -> Probes | None:
    """Have a machine probe; None where it has no guest, or the guest cannot. Raises ArmError where nobody can ask it."""
    program = files("azlan.providers.network").joinpath("guest_probe.py").read_text("utf-8")
    given = base64.b64encode(json.dumps(request).encode()).decode()
    script = f"exec python3 - {given} <<'PROGRAM'\n{program}\nPROGRAM\n"
    try:
        ran = await machines.run(machine, script, SECONDS)
        seen = json.loads(ran.stdout)
        return Probes(seen["address"], seen["sent"], seen["failed"], seen["milliseconds"], seen["reason"])
    except (LookupError, ValueError):
        return None
    except (OSError, RuntimeError) as error:  # the fabric process is away, or could not
        raise ArmError(503, "ServiceUnavailable", f"The machine cannot be asked to send probes: {error}.") from error

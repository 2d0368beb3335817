"""`azlan doctor`: what this computer has to offer, what is missing, and what brings it. Leaves nothing behind.

`azlan up` asks the same questions before it starts anything, so that what fails later fails then, with the same cure.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from azlan.commands import kernel_checks as kernel
from azlan.commands import software_checks as software
from azlan.commands.clouds import CommandError
from azlan.commands.findings import Check, Wanted, packages

Checking = Callable[[Wanted], Check]


def needed(wanted: Wanted) -> list[Checking]:
    """What a cloud cannot start without, in the order in which to cure."""
    checks: list[Checking] = [software.system]
    if wanted.engine == "bpf":
        checks += [kernel.root, kernel.capabilities, kernel.kernel, software.network_programs, software.libbpf]
        checks += [kernel.ebpf, kernel.bpffs, software.port_program, kernel.links, kernel.routes]
    if wanted.machines == "containers":
        checks += [software.machines, kernel.user_namespaces, kernel.cgroups, software.machine_programs]
        checks += [software.crun, kernel.trial]
    return [*checks, software.state_space, software.tcp_port]


def useful(wanted: Wanted) -> list[Checking]:
    """What it can start without, and is asked for later."""
    if wanted.machines == "containers":
        return [software.keyring, software.images, software.image_space, software.az]
    return [software.az]


def examine(wanted: Wanted) -> list[Check]:
    """Every check that concerns the wanted cloud."""
    return _all([*needed(wanted), *useful(wanted)], wanted)


def require(wanted: Wanted) -> None:
    """Raises CommandError that names everything the cloud cannot start without, each with its cure."""
    refuse(_all(needed(wanted), wanted))


def refuse(checks: list[Check]) -> None:
    """Raises CommandError where one of these failed."""
    failed = [check for check in checks if check.verdict == "failed"]
    if not failed:
        return
    lines = [f"{check.name}: {check.found}." for check in failed]
    brought = packages(failed)
    cures = [f"apt-get install {' '.join(brought)}"] if brought else []
    cures += [check.cure for check in failed if not check.package]
    cure = "\n".join([*dict.fromkeys(cures), "Everything that is looked at: azlan doctor"])
    told = lines[0] if len(lines) == 1 else "This computer lacks what the cloud needs.\n  " + "\n  ".join(lines)
    raise CommandError(told, cure)


def _all(checks: list[Checking], wanted: Wanted) -> list[Check]:
    """At once: most of them wait for a program to end."""
    with ThreadPoolExecutor(len(checks)) as pool:
        return causes(list(pool.map(lambda check: _safely(check, wanted), checks)))


_CONSEQUENCES = {
    "capabilities": ("eBPF", "network links", "a machine's disk"),
    "network programs": ("network links",),
    "libbpf": ("network links",),
    "user namespaces": ("a machine's disk",),
    "machine programs": ("a machine's disk",),
    "disk space": ("a machine's disk",),
    "kernel": ("a machine's disk", "eBPF"),
}
"""What fails → what cannot but fail with it."""


def causes(checks: list[Check]) -> list[Check]:
    """Causes stay; what only follows from one that failed is a warning that names it."""
    failed = [check.name for check in checks if check.verdict == "failed"]
    found = []
    for check in checks:
        cause = next((name for name in failed if check.name in _CONSEQUENCES.get(name, ())), None)
        if cause is not None and check.verdict == "failed":
            check = Check(check.name, "warning", check.found, f"First see to: {cause}")
        found.append(check)
    return found


def _safely(check: Checking, wanted: Wanted) -> Check:
    """A check that cannot be carried out is a finding too."""
    try:
        return check(wanted)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        name = check.__name__.replace("_", " ")
        return Check(name, "warning", f"could not be checked: {error}", "See: azlan logs")

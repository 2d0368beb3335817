"""What this computer needs for machines to run as containers, in words for `azlan doctor`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from azlan.machines import disk, oci
from azlan.machines.cgroups import Hierarchies

_KERNEL = (5, 19)
"""Idmapped mounts beneath an overlay."""
_PROGRAMS = {"mmdebstrap": "mmdebstrap", "nsenter": "util-linux", "gpg": "gpg", "tar": "tar"}
"""Program → the Debian package it comes in."""

OLDEST_CRUN = (1, 8)
"""Everything published of crun up to there is fixed in it; later ones: docs/design/machines.md."""


def runtime_problem() -> str | None:
    """Why the crun that is installed may not run machines, with what to do. Asked again only when it was replaced."""
    path = shutil.which("crun")
    if path is None:
        return "crun is missing, which runs the machines: install the package crun."
    version = _crun_version(path, Path(path).stat().st_mtime_ns)
    numbers = re.search(r"(\d+)\.(\d+)", version)
    if numbers is None or tuple(int(n) for n in numbers.groups()) >= OLDEST_CRUN:
        return None
    oldest = ".".join(map(str, OLDEST_CRUN))
    return (
        f"crun {numbers.group()} has published vulnerabilities (CVE-2022-27650 and older ones): "
        f"{oldest} or later is needed, as in the package crun of Debian 12 and Ubuntu 24.04."
    )


@cache
def _crun_version(path: str, _replaced: int) -> str:
    try:
        return subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20).stdout.partition("\n")[0]
    except (OSError, subprocess.SubprocessError):
        return ""


def problems() -> list[str]:
    """What is missing, each with what to do; empty where machines can run. Changes nothing."""
    found = []
    if os.geteuid() != 0:
        found.append("Machines are run by root: start the cloud with sudo.")
    release = os.uname().release
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if numbers and tuple(int(n) for n in numbers.groups()) < _KERNEL:
        found.append(f"Linux {release} cannot mount a shared image for several machines: 5.19 or later is needed.")
    for program, package in _PROGRAMS.items():
        if shutil.which(program) is None:
            found.append(f"{program} is missing: install the package {package}.")
    found += [problem for problem in (runtime_problem(), disk.problem()) if problem is not None]
    if not Hierarchies.detect().all:
        found.append("No cgroups are mounted: /sys/fs/cgroup is needed to limit machines.")
    if not Path("/proc/self/ns/user").exists():
        found.append("This kernel has no user namespaces, which keep machines from each other.")
    if not Path(oci.ROOT).is_dir():
        found.append(f"The directory {oci.ROOT} is missing: create it, it stays empty.")
    return found

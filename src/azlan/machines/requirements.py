"""What this computer needs for machines to run as containers, in words for `azlan doctor`."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from azlan.machines import oci
from azlan.machines.cgroups import Hierarchies

_KERNEL = (5, 19)
"""Idmapped mounts beneath an overlay."""
_PROGRAMS = {"crun": "crun", "mmdebstrap": "mmdebstrap", "nsenter": "util-linux", "gpg": "gpg", "tar": "tar"}
"""Program → the Debian package it comes in."""


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
    if not Hierarchies.detect().all:
        found.append("No cgroups are mounted: /sys/fs/cgroup is needed to limit machines.")
    if not Path("/proc/self/ns/user").exists():
        found.append("This kernel has no user namespaces, which keep machines from each other.")
    if not Path(oci.ROOT).is_dir():
        found.append(f"The directory {oci.ROOT} is missing: create it, it stays empty.")
    return found

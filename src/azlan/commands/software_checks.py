"""What is installed and in reach: programs with the Debian packages they come in, the eBPF program, images or the archives
they are built from, room on the disks, the TCP port, az."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from azlan.commands import supervisor
from azlan.commands.findings import Check, Wanted, standing, version_of
from azlan.config import Config

IMAGE_SPACE = 2**30
"""Bytes that a build of one image takes at its most."""
_STATE_SPACE = 64 * 2**20
_DISK_SPACE = 2**30
_ELSEWHERE = "Keep the cloud elsewhere: --state DIR"
_NETWORK = {"ip": "iproute2", "nft": "nftables", "unshare": "util-linux"}
_MACHINES = {
    "nsenter": "util-linux", "tar": "tar", "gzip": "gzip", "mke2fs": "e2fsprogs", "e2fsck": "e2fsprogs",
    "resize2fs": "e2fsprogs",
}  # fmt: skip
"""Program → the Debian package it comes in."""


def system(_: Wanted) -> Check:
    if platform.system() != "Linux":
        return Check("system", "failed", platform.system(), "Azlan runs on Linux: use a Linux computer or WSL 2.")
    return Check("system", "ok", f"Linux on {platform.machine()}, Python {platform.python_version()}")


def network_programs(_: Wanted) -> Check:
    return _programs("network programs", _NETWORK)


def machine_programs(_: Wanted) -> Check:
    return _programs("machine programs", _MACHINES)


def _programs(name: str, wanted: dict[str, str]) -> Check:
    missing = [program for program in wanted if shutil.which(program) is None]
    if not missing:
        return Check(name, "ok", ", ".join(wanted))
    packages = " ".join(dict.fromkeys(wanted[program] for program in missing))
    return Check(name, "failed", f"missing: {', '.join(missing)}", f"apt-get install {packages}", packages)


def libbpf(_: Wanted) -> Check:
    try:
        ctypes.CDLL("libbpf.so.1")
    except OSError as error:
        found = "missing" if "No such file" in str(error) else str(error)
        return Check("libbpf", "failed", found, "apt-get install --reinstall libbpf1", "libbpf1")
    return Check("libbpf", "ok", "libbpf.so.1")


def port_program(wanted: Wanted) -> Check:
    """The eBPF program: shipped built, built before, or to be built with clang."""
    from azlan.engines.bpf import program

    name = "eBPF program"
    built = f"port-{program.source_hash()}.o"
    if (program.SHIPPED / built).exists():
        return Check(name, "ok", "shipped built")
    if wanted.config is not None and _holds(wanted.config.fabric / "programs" / built):
        return Check(name, "ok", "built before")
    path = shutil.which("clang")
    headers = {"/usr/include/bpf/bpf_helpers.h": "libbpf-dev", "/usr/include/linux/bpf.h": "linux-libc-dev"}
    missing = {file: package for file, package in headers.items() if not Path(file).exists()}
    if path is None:
        missing = {"clang": "clang"} | missing
    if not missing:
        return Check(name, "ok", f"is built by {path}")
    packages = " ".join(missing.values())
    return Check(name, "failed", f"missing to build it: {', '.join(missing)}", f"apt-get install {packages}", packages)


def _holds(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False


def crun(_: Wanted) -> Check:
    from azlan.machines.requirements import OLDEST_CRUN

    path = shutil.which("crun")
    if path is None:
        return Check("crun", "failed", "missing", "apt-get install crun", "crun")
    shown = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20)
    if shown.returncode:
        why = shown.stderr.strip().splitlines()
        return Check("crun", "failed", why[-1] if why else path, "apt-get install --reinstall crun", "crun")
    first = shown.stdout.strip().splitlines()
    found = first[0] if first else path
    if version_of(found) < OLDEST_CRUN:
        oldest = ".".join(map(str, OLDEST_CRUN))
        return Check("crun", "failed", found, f"crun {oldest} or newer is needed: Debian 12, Ubuntu 24.04.", "crun")
    return Check("crun", "ok", found)


def machines(_: Wanted) -> Check:
    """What the containers themselves say they lack, but for what is told apart here."""
    from azlan.machines.requirements import problems

    told = re.compile(r"run by root|^Linux |is missing: install the package|No cgroups are mounted|^crun ")
    found = [problem for problem in problems() if not told.search(problem)]
    if not found:
        return Check("machines", "ok", "all they need is there")
    return Check("machines", "failed", f"{len(found)} missing", " ".join(found))


def images(_: Wanted) -> Check:
    """Images that are there, else whether one can be built: mmdebstrap, keys, and the archives within reach."""
    from azlan.machines.images import ALWAYS, CATALOGUE

    there = built()
    if there:
        return Check("images", "ok", f"built: {', '.join(there)}")
    bring = "or bring an image along: azlan images import FILE"
    missing = {"mmdebstrap": "mmdebstrap", "gpg": "gpg"}
    packages = " ".join(package for program, package in missing.items() if shutil.which(program) is None)
    if packages:
        return Check(
            "images", "failed", f"none built yet, and no {packages}", f"apt-get install {packages}; {bring}", packages
        )
    unreachable, mirrors = [], _default_mirrors()
    for source in (CATALOGUE[name] for name in ALWAYS):
        mirror = os.environ.get(source.mirror_variable) or mirrors.get(source.mirror_variable)
        if mirror is not None and not _reachable(f"{mirror.rstrip('/')}/dists/{source.suite}/InRelease"):
            unreachable.append(f"{source.title} ({mirror})")
    if not unreachable:
        return Check("images", "ok", "none built yet; the archives answer")
    cure = f"Check the network, name a mirror in AZLAN_MIRROR_UBUNTU or AZLAN_MIRROR_DEBIAN, {bring}"
    found = f"none built yet, and out of reach: {', '.join(unreachable)}"
    return Check("images", "failed" if len(unreachable) == len(ALWAYS) else "warning", found, cure)


def built() -> list[str]:
    """Names of the images that are there, as far as this user may look."""
    from azlan.machines.images import ImageStore

    try:
        return [image.name for image in ImageStore().list()]
    except PermissionError:
        return []


def keyring(_: Wanted) -> Check:
    if Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists():
        return Check("archive keys", "ok", "Ubuntu's are shipped, Debian's are installed")
    package = "debian-archive-keyring"
    found = "Debian's are missing; only Ubuntu images can be built"
    return Check("archive keys", "warning", found, f"apt-get install {package}", package)


_FAMILIES = {"AZLAN_MIRROR_UBUNTU": "ubuntu", "AZLAN_MIRROR_DEBIAN": "debian"}
"""Setting that names a mirror → the archive's folder on one."""


def _default_mirrors() -> dict[str, str]:
    """Where mmdebstrap itself would go, read off the program; nothing where it is not installed."""
    program = shutil.which("mmdebstrap")
    if program is None:
        return {}
    text = Path(program).read_text(errors="replace")
    found = {name: re.search(rf"https?://[a-z.]+/{family}\b", text) for name, family in _FAMILIES.items()}
    return {name: match[0] for name, match in found.items() if match}


def _reachable(url: str) -> bool:
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - http(s) addresses of package archives
    try:
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500 and error.code != 404
    except (OSError, ValueError):
        return False


def state_space(wanted: Wanted) -> Check:
    """Room for the store, and for what machines write."""
    folder = standing(wanted.state)
    free = shutil.disk_usage(folder).free
    needed = _DISK_SPACE if wanted.machines == "containers" else _STATE_SPACE
    found = f"{_size(free)} free on {folder}"
    if free < _STATE_SPACE:
        return Check("disk space", "failed", found, f"Make room: {_size(_STATE_SPACE)} are the least. {_ELSEWHERE}")
    if free < needed:
        cure = f"Machines' disks grow there: {_size(needed)} or more is better. {_ELSEWHERE}"
        return Check("disk space", "warning", found, cure)
    return Check("disk space", "ok", found)


def image_space(_: Wanted) -> Check:
    """Room to build an image, where none is there."""
    from azlan.machines.images import DEFAULT_CACHE

    folder = standing(DEFAULT_CACHE)
    free = shutil.disk_usage(folder).free
    found = f"{_size(free)} free on {folder}"
    if free >= IMAGE_SPACE:
        return Check("space for images", "ok", found)
    there = bool(built())
    cure = f"Make room: {_size(IMAGE_SPACE)} are needed to build an image."
    return Check("space for images", "warning" if there else "failed", found, cure)


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def tcp_port(wanted: Wanted) -> Check:
    name = f"TCP port {wanted.port}"
    if wanted.config is not None and wanted.config.port == wanted.port and _is_up(wanted.config):
        return Check(name, "ok", "this cloud's own: it is up")
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, wanted.port))
        except PermissionError:
            return Check(name, "failed", "kept for root on this computer", "Choose one above 1023: --port 8443")
        except OSError:
            if family == socket.AF_INET:  # a computer without IPv6 is as good
                cure = f"Choose another with --port, or see who has it: ss -ltnp 'sport = :{wanted.port}'"
                return Check(name, "failed", "taken", cure)
    return Check(name, "ok", "free")


def _is_up(config: Config) -> bool:
    return supervisor.find(config, "control") is not None


def az(_: Wanted) -> Check:
    from azlan.commands.azure_cli import find_az

    path = find_az()
    if path is None:
        return Check("az", "warning", "not found", "Install the Azure CLI, or: make tutorial", "")
    return Check("az", "ok", str(path))

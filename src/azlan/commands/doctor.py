"""`azlan doctor`: what this computer has to offer, what is missing, and what brings it. Reads; changes nothing.

Checks are pure over a `Computer`, which tests can make up; each failed one names its cure and the Debian package.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Literal

from azlan.commands import supervisor
from azlan.config import Config, Egress, EngineName, MachinesName

Verdict = Literal["ok", "warning", "failed"]

OLDEST_KERNEL = (5, 19)
OLDEST_CRUN = (1, 8)
_PUBLIC_RANGES = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
_UPLINK_RANGE = "192.88.99.0/24"
_SPACE_NEEDED = 4 * 2**30


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `cure` says what to do where the verdict is not `ok`; `package` is the Debian package for it."""

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


def examine(wanted: Wanted) -> list[Check]:
    """Every check that concerns the wanted cloud, in the order in which to cure."""
    checks: list[Callable[[Wanted], Check]] = [_platform, _port, _az]
    if wanted.engine == "bpf":
        checks[1:1] = [_root, _kernel, _bpf, _bpffs, _veth, _libbpf, _clang, _nft, _routes]
    if wanted.machines == "containers":
        checks += [_machines, _user_namespaces, _overlay, _cgroups, _crun, _mmdebstrap, _keyring, _images, _space]
    return [_safely(check, wanted) for check in checks]


def passed(checks: Sequence[Check]) -> bool:
    return all(check.verdict != "failed" for check in checks)


def _safely(check: Callable[[Wanted], Check], wanted: Wanted) -> Check:
    """A check that cannot be carried out is a finding too."""
    try:
        return check(wanted)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return Check(check.__name__.strip("_").replace("_", " "), "warning", f"could not be checked: {error}")


def _platform(_: Wanted) -> Check:
    if platform.system() != "Linux":
        return Check("system", "failed", platform.system(), "Azlan runs on Linux: use a Linux machine or WSL 2.")
    return Check("system", "ok", f"Linux on {platform.machine()}, Python {platform.python_version()}")


def _root(_: Wanted) -> Check:
    if os.geteuid() == 0:
        return Check("privilege", "ok", "root")
    return Check(
        "privilege", "failed", f"uid {os.geteuid()}", "Real packets need root: sudo azlan doctor, sudo azlan up"
    )


def _kernel(_: Wanted) -> Check:
    release = platform.release()
    if version_of(release) >= OLDEST_KERNEL:
        return Check("kernel", "ok", release)
    oldest = ".".join(map(str, OLDEST_KERNEL))
    return Check("kernel", "failed", release, f"Linux {oldest} or newer is needed.", "linux-image-amd64")


def _bpf(_: Wanted) -> Check:
    """bpf(2) with BPF_PROG_LOAD of a program of two instructions."""
    name = "eBPF"
    if os.geteuid() != 0:
        return Check(name, "warning", "not checked without root")
    number = {"x86_64": 321, "aarch64": 280}.get(platform.machine())
    if number is None:
        return Check(name, "warning", f"not checked on {platform.machine()}")
    code = (ctypes.c_uint64 * 2)(0x00000000000000B7, 0x0000000000000095)  # r0 = 0; exit
    license_text = ctypes.create_string_buffer(b"GPL")
    attributes = (ctypes.c_char * 128)()
    ctypes.memmove(attributes, (ctypes.c_uint32 * 2)(3, 2), 8)  # BPF_PROG_TYPE_SCHED_CLS, two instructions
    ctypes.memmove(ctypes.addressof(attributes) + 8, (ctypes.c_uint64 * 2)(
        ctypes.addressof(code), ctypes.addressof(license_text)), 16)  # fmt: skip
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(ctypes.c_long(number), ctypes.c_int(5), attributes, ctypes.c_uint32(128))
    if descriptor >= 0:
        os.close(descriptor)
        return Check(name, "ok", "programs load")
    return Check(
        name,
        "failed",
        os.strerror(ctypes.get_errno()),
        "The kernel refuses eBPF programs: in a container it needs CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN.",
    )


def _bpffs(_: Wanted) -> Check:
    if re.search(r"\bbpf$", Path("/proc/filesystems").read_text(), re.MULTILINE):
        return Check("bpf file system", "ok", "known to the kernel")
    return Check("bpf file system", "failed", "missing", "Use a kernel with CONFIG_BPF_SYSCALL.", "linux-image-amd64")


def _veth(_: Wanted) -> Check:
    """A pair made in a network namespace of its own, which ends with the test."""
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    made = subprocess.run([*unshare, "ip", "link", "add", "type", "veth"], capture_output=True, text=True, timeout=20)
    if made.returncode == 0:
        return Check("veth", "ok", "links can be made")
    return Check("veth", "failed", made.stderr.strip(), "modprobe veth", "linux-image-amd64 iproute2")


def _libbpf(_: Wanted) -> Check:
    try:
        ctypes.CDLL("libbpf.so.1")
    except OSError:
        return Check("libbpf", "failed", "missing", "apt-get install libbpf1", "libbpf1")
    return Check("libbpf", "ok", "libbpf.so.1")


def _clang(_: Wanted) -> Check:
    path = shutil.which("clang")
    headers = Path("/usr/include/bpf/bpf_helpers.h").exists()
    if path and headers:
        return Check("clang", "ok", path)
    built = list((Path(__file__).parents[1] / "engines/bpf/built").glob("*.o"))
    if built:
        return Check("clang", "ok", "not needed: the program is shipped built")
    missing = "clang" if not path else "bpf/bpf_helpers.h"
    return Check("clang", "failed", f"{missing} is missing", "apt-get install clang libbpf-dev", "clang libbpf-dev")


def _nft(_: Wanted) -> Check:
    return _program("nft", "nftables", "--version")


def _crun(_: Wanted) -> Check:
    check = _program("crun", "crun", "--version")
    if check.verdict == "ok" and version_of(check.found) < OLDEST_CRUN:
        oldest = ".".join(map(str, OLDEST_CRUN))
        return Check("crun", "failed", check.found, f"crun {oldest} or newer is needed.", "crun")
    return check


def _mmdebstrap(_: Wanted) -> Check:
    return _program("mmdebstrap", "mmdebstrap", "--version")


def _program(name: str, package: str, *arguments: str) -> Check:
    path = shutil.which(name)
    if path is None:
        return Check(name, "failed", "missing", f"apt-get install {package}", package)
    shown = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=20)
    first = (shown.stdout or shown.stderr).strip().splitlines()
    return Check(name, "ok", first[0] if first else path)


def _machines(_: Wanted) -> Check:
    """What the containers themselves say they lack."""
    from azlan.machines.requirements import problems

    found = problems()
    if not found:
        return Check("machines", "ok", "all they need is there")
    return Check("machines", "failed", f"{len(found)} missing", " ".join(found))


def _user_namespaces(_: Wanted) -> Check:
    most = int(Path("/proc/sys/user/max_user_namespaces").read_text())
    if most > 0:
        return Check("user namespaces", "ok", f"up to {most}")
    return Check("user namespaces", "failed", "switched off", "sysctl -w user.max_user_namespaces=15000")


def _overlay(_: Wanted) -> Check:
    if re.search(r"\boverlay$", Path("/proc/filesystems").read_text(), re.MULTILINE):
        return Check("overlay file system", "ok", "known to the kernel")
    return Check("overlay file system", "warning", "not loaded", "If machines do not start: modprobe overlay")


def _cgroups(_: Wanted) -> Check:
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    have = set(unified.read_text().split()) if unified.exists() else _v1_controllers()
    missing = {"memory", "pids"} - have
    if missing:
        return Check(
            "cgroups",
            "failed",
            f"no controller {', '.join(sorted(missing))}",
            "Boot with cgroup_enable=memory; in a container delegate its cgroup.",
        )
    return Check("cgroups", "ok", "version 2" if unified.exists() else "version 1")


def _v1_controllers() -> set[str]:
    rows = [line.split() for line in Path("/proc/cgroups").read_text().splitlines()[1:]]
    return {row[0] for row in rows if row[3] == "1"}


def _keyring(_: Wanted) -> Check:
    path = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if path.exists():
        return Check("archive keys", "ok", "Ubuntu's are shipped, Debian's are installed")
    return Check(
        "archive keys",
        "warning",
        "Debian's are missing; only Ubuntu images can be built",
        "apt-get install debian-archive-keyring",
        "debian-archive-keyring",
    )


def _images(_: Wanted) -> Check:
    """Images that are there, else whether the archives can be reached."""
    from azlan.machines.images import CATALOGUE, ImageStore

    with contextlib.suppress(PermissionError):
        there = [image.name for image in ImageStore().list()]
        if there:
            return Check("images", "ok", f"built: {', '.join(there)}")
    unreachable = []
    mirrors = _default_mirrors()
    for source in CATALOGUE.values():
        mirror = os.environ.get(source.mirror_variable) or mirrors.get(source.mirror_variable)
        # Without mmdebstrap there is no mirror to ask; that it is missing is told apart.
        if mirror is not None and not _reachable(f"{mirror.rstrip('/')}/dists/{source.suite}/InRelease"):
            unreachable.append(source.title)
    if not unreachable:
        return Check("images", "ok", "none built yet; the archives answer")
    return Check(
        "images",
        "warning",
        f"none built yet, and out of reach: {', '.join(unreachable)}",
        "Name a mirror in AZLAN_MIRROR_UBUNTU or AZLAN_MIRROR_DEBIAN, or bring them along: azlan images import FILE",
    )


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


def _space(wanted: Wanted) -> Check:
    folder = wanted.config.state if wanted.config else Path("/var/lib")
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    found = f"{free / 2**30:.1f} GiB free on {folder}"
    if free >= _SPACE_NEEDED:
        return Check("disk space", "ok", found)
    return Check("disk space", "failed", found, f"Make room: {_SPACE_NEEDED // 2**30} GiB are needed for images.")


def _port(wanted: Wanted) -> Check:
    name = f"TCP port {wanted.port}"
    if wanted.config and supervisor.find(wanted.config, "control") is not None:
        return Check(name, "ok", "this cloud's own: it is up")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted.port))
        except OSError as error:
            cure = f"Choose another: --port PORT; see who has it: ss -ltnp 'sport = :{wanted.port}'"
            return Check(name, "failed", error.strerror or "taken", cure)
    return Check(name, "ok", "free")


def _routes(wanted: Wanted) -> Check:
    """Ranges that a cloud routes on this computer, against the routes that are there already."""
    own = f"azlan-{wanted.config.mark}" if wanted.config else "azlan-"
    shown = subprocess.run(["ip", "-j", "route", "show", "table", "main"], capture_output=True, text=True, timeout=20)
    clashes = clashing(json.loads(shown.stdout or "[]"), own)
    if not clashes:
        return Check("address ranges", "ok", "no clash with the computer's routes")
    return Check(
        "address ranges",
        "warning",
        f"routed by this computer already: {', '.join(clashes)}",
        "Public IPs from that range cannot be told from that network here; all else works.",
    )


def clashing(routes: list[dict[str, object]], own: str) -> list[str]:
    """Destinations of foreign routes that overlap with the ranges a cloud uses; `own` begins its links' names."""
    used = [IPv4Network(prefix) for prefix in (*_PUBLIC_RANGES, _UPLINK_RANGE)]
    found = []
    for route in routes:
        destination = str(route.get("dst", "default"))
        if destination == "default" or ":" in destination or str(route.get("dev", "")).startswith(("azlan-", own)):
            continue
        network = ip_network(destination, strict=False)
        if isinstance(network, IPv4Network) and any(network.overlaps(one) for one in used):
            found.append(f"{destination} ({route.get('dev', '?')})")
    return found


def _az(_: Wanted) -> Check:
    from azlan.commands.azure_cli import find_az

    path = find_az()
    if path is None:
        return Check("az", "warning", "not found", "Install the Azure CLI, or: make tutorial")
    return Check("az", "ok", str(path))


def version_of(text: str) -> tuple[int, ...]:
    """The first dotted number in a text: `crun version 1.8.1` → (1, 8, 1). Empty where there is none."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(map(int, found.group().split("."))) if found else ()

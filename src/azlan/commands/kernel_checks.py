"""What the kernel gives: privilege, version, eBPF with the functions the program calls, links, routes, user namespaces,
cgroups, and a machine's disk and root mounted for a trial. Features are tried, not guessed from the version.

Follows capabilities(7), bpf(2), libbpf's feature probing, user_namespaces(7), cgroups(7).
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import socket
import subprocess
import sys
from ipaddress import IPv4Network, ip_network
from pathlib import Path

from azlan.commands.findings import Check, Wanted, standing, version_of

_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
_OF_MACHINES = {
    "CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7,
    "CAP_SETPCAP": 8, "CAP_SYS_CHROOT": 18, "CAP_MKNOD": 27, "CAP_SETFCAP": 31,
}  # fmt: skip
_SCHED_CLS = 3
_FUNCTIONS = {"bpf_redirect_peer": (155, "5.10"), "bpf_loop": (181, "5.17")}
"""What the port program calls that old kernels lack: helper's number, version it came with."""
_CONTAINER = "In a container: run it with --privileged (Docker, Podman as root), not rootless."

PUBLIC_RANGES = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
LINK_RANGE = "192.88.99.0/24"
"""Of the link between the computer and a cloud's outside: four addresses a cloud."""


def root(_: Wanted) -> Check:
    if os.geteuid() == 0:
        return Check("privilege", "ok", "root")
    cure = (
        "Real packets need root: use sudo. Without packets and privilege: azlan up --engine model --machines simulated"
    )
    return Check("privilege", "failed", f"uid {os.geteuid()}", cure)


def capabilities(wanted: Wanted) -> Check:
    """Those of root, which a container or a service may have lost."""
    name = "capabilities"
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    if os.geteuid() != 0 or found is None:
        return Check(name, "warning", "not checked without root", "See them as root: sudo azlan doctor")
    held = int(found[1], 16)
    needed = _CAPABILITIES | (_OF_MACHINES if wanted.machines == "containers" else {})
    lost = [capability for capability, bit in needed.items() if not held >> bit & 1]
    if lost:
        return Check(name, "failed", f"no {', '.join(lost)}", f"{_CONTAINER} As a service: CapabilityBoundingSet=~")
    if Path("/proc/self/uid_map").read_text().split()[:3] != ["0", "0", "4294967295"]:
        return Check(name, "failed", "root of a user namespace only", f"Be root of the computer itself. {_CONTAINER}")
    return Check(name, "ok", "all that is needed")


def kernel(wanted: Wanted) -> Check:
    release = platform.release()
    if version_of(release) >= wanted.oldest_kernel:
        return Check("kernel", "ok", release)
    oldest = ".".join(map(str, wanted.oldest_kernel))
    cure = f"Linux {oldest} or newer is needed: Debian 12, Ubuntu 22.04 with linux-generic-hwe-22.04, or a later one."
    return Check("kernel", "failed", release, cure)


def ebpf(_: Wanted) -> Check:
    """A program is loaded, by libbpf's own probes, for each function of the kernel's that the port program calls."""
    name = "eBPF"
    if os.geteuid() != 0:
        return Check(name, "warning", "not checked without root", "See it as root: sudo azlan doctor")
    try:
        libbpf = ctypes.CDLL("libbpf.so.1")
    except OSError:
        return Check(name, "warning", "not checked without libbpf", "apt-get install libbpf1", "libbpf1")
    loads = libbpf.libbpf_probe_bpf_prog_type(_SCHED_CLS, None)
    if loads != 1:
        why = os.strerror(-loads) if loads < 0 else "programs of tc are refused"
        cure = f"A kernel with CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_BPF; lockdown and LSMs allow it. {_CONTAINER}"
        return Check(name, "failed", why, cure)
    lacking = [
        f"{function} (Linux {since})"
        for function, (number, since) in _FUNCTIONS.items()
        if libbpf.libbpf_probe_bpf_helper(_SCHED_CLS, number, None) != 1
    ]
    if lacking:
        return Check(name, "failed", f"no {', '.join(lacking)}", "A newer kernel is needed.")
    return Check(name, "ok", "programs load")


def bpffs(_: Wanted) -> Check:
    if re.search(r"\bbpf$", Path("/proc/filesystems").read_text(), re.MULTILINE):
        return Check("bpf file system", "ok", "known to the kernel")
    return Check("bpf file system", "failed", "missing", "Use a kernel with CONFIG_BPF_SYSCALL.")


def links(_: Wanted) -> Check:
    """A pair of veth links made in a network namespace of its own, which ends with the trial."""
    name = "network links"
    own = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    try:
        made = subprocess.run([*own, "ip", "link", "add", "type", "veth"], capture_output=True, text=True, timeout=20)
    except FileNotFoundError:
        return Check(name, "warning", "not checked without unshare", "apt-get install util-linux", "util-linux")
    said = made.stderr.strip()
    if made.returncode == 0:
        return Check(name, "ok", "can be made")
    if "execute" in said or "shared libraries" in said:  # told by the checks of programs and libraries
        return Check(name, "warning", f"not checked: {said}", "apt-get install iproute2", "iproute2")
    if "not permitted" in said:
        return Check(name, "failed", said, _CONTAINER)
    return Check(name, "failed", said, "modprobe veth; a kernel with CONFIG_VETH")


def routes(wanted: Wanted) -> Check:
    """Ranges that a cloud routes on this computer, against the routes that are there already."""
    name = "address ranges"
    own = f"azlan-{wanted.config.mark}" if wanted.config else "azlan-"
    try:
        shown = subprocess.run(
            ["ip", "-j", "route", "show", "table", "main"], capture_output=True, text=True, timeout=20
        )
    except OSError:
        return Check(name, "warning", "not checked without ip", "apt-get install iproute2", "iproute2")
    clashes = clashing(json.loads(shown.stdout or "[]"), own)
    if not clashes:
        return Check(name, "ok", "no clash with the computer's routes")
    found = "routed by this computer already: " + ", ".join(f"{to} ({device})" for to, device in clashes)
    link = [(to, device) for to, device in clashes if IPv4Network(LINK_RANGE).subnet_of(IPv4Network(to))]
    if link and own not in (name for _, name in socket.if_nameindex()):
        removal = "; ".join(f"ip route del {to} dev {device}" for to, device in link)
        cure = (
            f"A cloud needs four addresses of {LINK_RANGE} for its link to this computer. Remove the route: {removal}"
        )
        return Check(name, "failed", found, cure)
    cure = "Public IPs in there are out of reach from this computer as long as it has that route; all else works."
    return Check(name, "warning", found, cure)


def clashing(routes: list[dict[str, object]], own: str) -> list[tuple[str, str]]:
    """Foreign routes that overlap with the ranges a cloud uses: (destination, device). `own` begins its links' names."""
    used = [IPv4Network(prefix) for prefix in (*PUBLIC_RANGES, LINK_RANGE)]
    found = []
    for route in routes:
        destination, device = str(route.get("dst", "default")), str(route.get("dev", "?"))
        if destination == "default" or ":" in destination or device.startswith(("azlan-", own)):
            continue
        network = ip_network(destination, strict=False)
        if isinstance(network, IPv4Network) and any(network.overlaps(one) for one in used):
            found.append((destination, device))
    return found


def user_namespaces(_: Wanted) -> Check:
    most = int(Path("/proc/sys/user/max_user_namespaces").read_text())
    if most > 0:
        return Check("user namespaces", "ok", f"up to {most}")
    return Check("user namespaces", "failed", "switched off", "sysctl -w user.max_user_namespaces=15000")


def cgroups(_: Wanted) -> Check:
    """The controllers of what is mounted: version 2 at its place, else those of version 1."""
    mounted = [line.split(" - ")[1].split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    kinds = {fields[0] for fields in mounted}
    cure = "Boot with cgroup_enable=memory (kernel command line). In a container: --cgroupns=host or --privileged."
    if not kinds & {"cgroup", "cgroup2"}:
        return Check("cgroups", "failed", "none are mounted", f"mount -t cgroup2 none /sys/fs/cgroup. {cure}")
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    have = {option for fields in mounted if fields[0] == "cgroup" for option in fields[-1].split(",")}
    have |= set(unified.read_text().split()) if unified.exists() else set()
    missing = {"memory", "pids"} - have
    if missing:
        return Check("cgroups", "failed", f"no controller {', '.join(sorted(missing))}", cure)
    return Check("cgroups", "ok", "version 1" if "cgroup" in kinds else "version 2")


_CURES = {
    "user namespace": f"sysctl -w user.max_user_namespaces=15000. {_CONTAINER}",
    "disk": "Make room there, and: apt-get install e2fsprogs",
    "loop device": f"modprobe loop ext4. {_CONTAINER}",
    "shared image": "Keep the images' folder on ext4, xfs or btrfs, under Linux 5.19 or newer.",
    "overlay": "modprobe overlay; a kernel with CONFIG_OVERLAY_FS",
}
"""Step of the trial → what to do where it fails."""


def trial(wanted: Wanted) -> Check:
    """A machine's disk and root, mounted and written to in a mount namespace that ends with the trial."""
    from azlan.machines.images import DEFAULT_CACHE

    name = "a machine's disk"
    if os.geteuid() != 0:
        return Check(name, "warning", "not checked without root", "See it as root: sudo azlan doctor")
    folders = [str(standing(folder)) for folder in (wanted.state, DEFAULT_CACHE)]
    done = subprocess.run(
        [sys.executable, "-m", "azlan.commands.trial", *folders], capture_output=True, text=True, timeout=60, cwd="/"
    )
    if done.returncode == 0:
        return Check(name, "ok", "is made and mounted")
    step, _, why = (done.stderr.strip().splitlines() or ["?: ended without a word"])[-1].partition(": ")
    return Check(name, "failed", f"{step}: {why}", _CURES.get(step, _CONTAINER))

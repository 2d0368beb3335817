"""The OCI runtime configuration of a machine, pure: systemd as its init, in namespaces that are there already.

Follows the OCI runtime specification (config.md, config-linux.md) and systemd's "Container Interface".
`seccomp.json` is moby's default profile (moby/profiles, Apache-2.0) flattened for the capabilities below, without
bpf, perf_event_open, fanotify_init, quotactl, syslog, lookup_dcookie and socketcall, with socket families of our own choice
and with pivot_root for systemd's sandboxes.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

ROOT = "/mnt"
"""Where the machine's root is mounted, in its monitor's mount namespace: a directory that every system has."""

_PIDS = 4096
_CAPABILITIES = (
    "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW"
    " IPC_LOCK IPC_OWNER SYS_CHROOT SYS_PTRACE SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TTY_CONFIG MKNOD LEASE"
    " AUDIT_WRITE SETFCAP DAC_READ_SEARCH LINUX_IMMUTABLE"
)
_ARCHITECTURES = {
    "x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
}
_FAMILIES = (1, 2, 10, 17)
"""Sockets a guest may make: AF_UNIX, AF_INET, AF_INET6, AF_PACKET. Not AF_VSOCK, which knows no network namespace, nor
AF_ALG, AF_KEY, AF_RXRPC and what else a network guest has no use for: their bugs write to page caches, and machines of an
image share theirs (CVE-2026-31431)."""
_NETLINK = (16, (0, 4, 9, 10, 12, 15, 16))
"""AF_NETLINK: route, sock_diag, audit, fib_lookup, netfilter, uevent, generic; so no XFRM, crypto, RDMA, iSCSI."""
_MASKED = (
    "/proc/acpi /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats /proc/sched_debug"
    " /proc/scsi /proc/sysrq-trigger /proc/kallsyms /proc/kmsg /sys/firmware /sys/devices/virtual/powercap"
    # The computer's boot parameters and devices are none of the guest's business.
    " /proc/cmdline /proc/modules /proc/partitions /proc/diskstats /proc/iomem /proc/ioports /proc/interrupts"
    " /sys/block /sys/bus /sys/class/block /sys/dev /sys/devices/virtual/block /sys/fs/ext4 /sys/fs/btrfs /sys/fs/xfs"
    " /sys/fs/pstore /sys/kernel /sys/module /sys/power"
)
"""Out of sight. A guest's root may uncover them: what it must not do there, the kernel refuses to its user namespace."""


@dataclass(frozen=True)
class Shape:
    """What differs between machines."""

    computer_name: str
    user_namespace: Path
    network_namespace: Path
    cgroup: str
    memory_bytes: int
    cpus: int | None
    """A limit on CPU time, where it is below what the computer has; else None."""
    init: tuple[str, ...] = ("/lib/systemd/systemd", "--show-status=0")


def config(shape: Shape) -> dict[str, Any]:
    """`config.json` of the bundle."""
    resources_: dict[str, Any] = {
        "memory": {"limit": shape.memory_bytes},
        "pids": {"limit": _PIDS},
        # No device rules: a user namespace can make no device node, and on cgroup v2 crun 1.8 cannot set them there.
    }
    if shape.cpus is not None:
        resources_["cpu"] = {"quota": shape.cpus * 100_000, "period": 100_000}
    return {
        "ociVersion": "1.0.2",
        "hostname": shape.computer_name,
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": list(shape.init),
            "cwd": "/",
            "env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "container=oci",
                "LANG=C.UTF-8",
            ],
            "capabilities": {
                kind: [f"CAP_{name}" for name in _CAPABILITIES.split()]
                for kind in ("bounding", "effective", "permitted", "inheritable")
            },
            "noNewPrivileges": False,
            # When memory runs out the guests go before anything of the computer's own.
            "oomScoreAdj": 500,
        },
        "root": {"path": ROOT, "readonly": False},
        "mounts": _mounts(),
        "linux": {
            "namespaces": [
                {"type": "pid"},
                {"type": "ipc"},
                {"type": "uts"},
                {"type": "mount"},
                {"type": "cgroup"},
                {"type": "user", "path": str(shape.user_namespace)},
                {"type": "network", "path": str(shape.network_namespace)},
            ],
            "cgroupsPath": shape.cgroup,
            "resources": resources_,
            "maskedPaths": _MASKED.split(),
            "readonlyPaths": ["/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq"],
            "seccomp": seccomp(platform.machine()),
        },
    }


def _mounts() -> list[dict[str, Any]]:
    rows = (
        ("/proc", "proc", "proc", "nosuid,noexec,nodev"),
        ("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
        ("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
        ("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
        ("/dev/shm", "tmpfs", "shm", "nosuid,nodev,mode=1777,size=64m"),  # noqa: S108 - the guest's own
        ("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
        ("/run", "tmpfs", "tmpfs", "nosuid,nodev,mode=755,size=64m"),
        ("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,rw"),
    )
    return [
        {"destination": to, "type": kind, "source": source, "options": options.split(",")}
        for to, kind, source, options in rows
    ]


@cache
def _profile() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((resources.files("azlan.machines") / "seccomp.json").read_text())
    return document


def seccomp(architecture: str) -> dict[str, Any]:
    """The allow-list. What is not on it does not exist (ENOSYS), as for a program on an older kernel."""
    profile = _profile()
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": _ARCHITECTURES.get(architecture, []),
        "syscalls": [
            {"names": profile["allow"], "action": "SCMP_ACT_ALLOW"},
            *({"action": "SCMP_ACT_ALLOW", **entry} for entry in profile["allow_with_args"]),
            *_sockets(),
        ],
    }


def _sockets() -> list[dict[str, Any]]:
    """socketcall(2), whose arguments no filter sees, is not allowed: programs of 32 bits that use it have no network."""
    family, protocols = _NETLINK
    rules = [("socket", {0: number}) for number in _FAMILIES]
    rules += [("socket", {0: family, 2: protocol}) for protocol in protocols]
    rules.append(("socketpair", {0: _FAMILIES[0]}))
    return [
        {
            "names": [name],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": index, "value": value, "op": "SCMP_CMP_EQ"} for index, value in wanted.items()],
        }
        for name, wanted in rules
    ]

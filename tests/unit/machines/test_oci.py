"""The runtime configuration: what differs between machines differs, and what keeps the computer safe is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from azlan.machines import oci
from azlan.machines.oci import Shape, config, seccomp

SHAPE = Shape(
    computer_name="vm-1",
    user_namespace=Path("/run/a/guests/m1/user"),
    network_namespace=Path("/run/a/guests/m1/net"),
    cgroup="/azlan-mark/m1/guest",
    memory_bytes=512 << 20,
    cpus=None,
)
DANGEROUS = """
    bpf perf_event_open kexec_load kexec_file_load init_module finit_module delete_module open_by_handle_at keyctl
    add_key request_key userfaultfd io_uring_setup io_uring_enter swapon swapoff acct quotactl iopl ioperm
    fanotify_init syslog clock_settime settimeofday nfsservctl lookup_dcookie vm86 move_pages
"""


def test_what_a_machine_is_made_of() -> None:
    made = config(SHAPE)
    assert made["hostname"] == "vm-1"
    assert made["root"] == {"path": oci.ROOT, "readonly": False}
    assert made["linux"]["cgroupsPath"] == "/azlan-mark/m1/guest"
    assert made["linux"]["resources"] == {"memory": {"limit": 512 << 20}, "pids": {"limit": 4096}}
    assert made["linux"]["namespaces"] == [
        {"type": "pid"},
        {"type": "ipc"},
        {"type": "uts"},
        {"type": "mount"},
        {"type": "cgroup"},
        {"type": "user", "path": "/run/a/guests/m1/user"},
        {"type": "network", "path": "/run/a/guests/m1/net"},
    ]
    assert made["process"]["args"] == ["/lib/systemd/systemd", "--show-status=0"]
    assert made["process"]["terminal"] is False
    assert made["process"]["oomScoreAdj"] > 0
    assert {m["destination"] for m in made["mounts"]} >= {"/proc", "/sys", "/dev", "/run", "/sys/fs/cgroup"}
    assert not [m for m in made["mounts"] if "bind" in m["options"]], "nothing of the host is mounted in"


def test_a_limit_on_cpu_time() -> None:
    limited = config(Shape(**{**SHAPE.__dict__, "cpus": 2}))
    assert limited["linux"]["resources"]["cpu"] == {"quota": 200_000, "period": 100_000}


def test_capabilities_leave_out_what_reaches_beyond_the_namespaces() -> None:
    granted = config(SHAPE)["process"]["capabilities"]["bounding"]
    assert "CAP_NET_ADMIN" in granted
    for capability in ("SYS_MODULE", "SYS_RAWIO", "SYS_TIME", "SYSLOG", "BPF", "PERFMON", "MAC_ADMIN", "WAKE_ALARM"):
        assert f"CAP_{capability}" not in granted


@pytest.mark.parametrize("call", DANGEROUS.split())
def test_dangerous_calls_are_not_on_the_allow_list(call: str) -> None:
    profile = seccomp("x86_64")
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    for entry in profile["syscalls"]:
        assert entry["action"] == "SCMP_ACT_ALLOW"
        assert call not in entry["names"]


@pytest.mark.parametrize("call", ["mount", "umount2", "pivot_root", "clone3", "unshare", "setns", "reboot", "chroot"])
def test_what_systemd_needs_is_on_the_allow_list(call: str) -> None:
    assert any(call in entry["names"] and "args" not in entry for entry in seccomp("x86_64")["syscalls"])


def test_sockets_are_of_the_families_that_a_network_guest_uses() -> None:
    calls = seccomp("aarch64")["syscalls"]
    rules = [entry for entry in calls if {"socket", "socketpair", "socketcall"} & set(entry["names"])]
    assert all(condition["op"] == "SCMP_CMP_EQ" for rule in rules for condition in rule["args"])
    conditions = [{c["index"]: c["value"] for c in rule["args"]} for rule in rules if rule["names"] == ["socket"]]
    netlink = 16
    assert {one[0] for one in conditions} == {1, 2, 10, netlink, 17}, "no AF_ALG (38), no AF_VSOCK (40)"
    assert 6 not in {one[2] for one in conditions if one[0] == netlink}, "no XFRM"
    assert all(2 in one for one in conditions if one[0] == netlink)
    assert not [rule for rule in rules if "socketcall" in rule["names"]]

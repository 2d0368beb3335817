"""Computers that lack something, for real: `azlan doctor` names it with its cure, `azlan up` starts nothing and says the
same. Each condition is made in a namespace of the command's own, by dropped capabilities, or by an old kernel's name."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.root


@dataclass(frozen=True)
class Condition:
    """`setup`: shell lines before the command, in a mount (and, if asked for, network) namespace of its own."""

    check: str
    cure: str
    setup: str = ""
    wrap: tuple[str, ...] = ()
    network: bool = False


def hide(*programs: str) -> str:
    return "".join(f'mount --bind /dev/null "$(readlink -f "$(command -v {name})")"\n' for name in programs)


_PRIVILEGED = "--privileged"
CONDITIONS = {
    "no-root": Condition("privilege", "sudo", wrap=("unshare", "-U", "--map-user=1000", "--map-group=1000")),
    "no-crun": Condition("crun", "apt-get install crun", hide("crun")),
    "no-nft": Condition("network programs", "apt-get install nftables", hide("nft")),
    "no-ip": Condition("network programs", "apt-get install iproute2", hide("ip")),
    "no-mke2fs": Condition("machine programs", "apt-get install e2fsprogs", hide("mke2fs")),
    "no-libbpf": Condition(
        "libbpf", "libbpf1", "mount --bind /dev/null \"$(ldconfig -p | awk '/libbpf.so.1 /{print $NF; exit}')\"\n"
    ),
    "no-admin-capability": Condition(
        "capabilities", _PRIVILEGED, wrap=("setpriv", "--bounding-set", "-sys_admin,-net_admin,-bpf")
    ),
    "root-of-a-user-namespace": Condition("capabilities", _PRIVILEGED, wrap=("unshare", "-U", "-r")),
    "no-user-namespaces": Condition(
        "user namespaces",
        "sysctl -w user.max_user_namespaces",
        "echo 0 >/proc/sys/user/max_user_namespaces\n",
        wrap=("unshare", "-U", "-r"),
    ),
    "no-cgroups": Condition("cgroups", "cgroup2", "umount -l /sys/fs/cgroup\n"),
    "old-kernel": Condition("kernel", "Linux 5.19 or newer", wrap=("setarch", os.uname().machine, "--uname-2.6")),
    "no-space": Condition("disk space", "--state DIR", 'mount -t tmpfs -o size=256k none "$STATE"\n'),
    "ranges-taken": Condition(
        "address ranges",
        "ip route del 192.88.99.0/24",
        "ip link add one type veth && ip link set one up && ip route add 192.88.99.0/24 dev one\n",
        network=True,
    ),
}


def run(condition: Condition, state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    spaces = ["unshare", "--mount", *(["--net"] if condition.network else [])]
    script = f'set -e\n{condition.setup}exec "$@"'
    azlan = [sys.executable, "-m", "azlan", *arguments, "--state", str(state)]
    argv = [*condition.wrap, "bash", "-c", script, "-", *azlan]
    if not condition.wrap:
        argv = [*spaces, *argv]
    environment = os.environ | {"STATE": str(state), "COLUMNS": "400"}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, cwd="/")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    folder.mkdir()
    yield folder
    assert not list(folder.iterdir()), "something was made for a cloud that could not start"


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_computer_that_lacks_it(name: str, state: Path) -> None:
    condition, port = CONDITIONS[name], free_port()
    examined = run(condition, state, "doctor", "--json", "--port", port)
    assert examined.returncode == 1, examined.stderr
    failed = {check["name"]: check for check in json.loads(examined.stdout) if check["verdict"] == "failed"}
    assert condition.check in failed, failed
    assert condition.cure in failed[condition.check]["cure"]
    started = run(condition, state, "up", "-d", "--port", port)
    assert started.returncode == 1
    assert "Traceback" not in started.stderr
    assert condition.cure in started.stderr


def test_an_image_cannot_be_built(tmp_path: Path) -> None:
    hidden = "mkdir -p /var/cache/azlan/images\nmount -t tmpfs {options} none /var/cache/azlan/images\n"
    mirror = "export AZLAN_MIRROR_UBUNTU=http://127.0.0.1:9/ubuntu\n"
    for setup, cure in (
        (hidden.format(options="-o size=1m"), "Make room"),
        (f'{hidden.format(options="")}set -- unshare -U --map-user=1000 "$@"\n', "sudo"),
        (hidden.format(options="-o size=4g") + mirror, "AZLAN_MIRROR_UBUNTU"),
        (hidden.format(options="-o size=4g") + hide("mmdebstrap"), "install the package mmdebstrap"),
    ):
        script = f'set -e\n{setup}exec "$@"'
        argv = ["unshare", "--mount", "bash", "-c", script, "-", sys.executable, "-m", "azlan", "images", "build"]
        built = subprocess.run([*argv, "ubuntu-24.04"], capture_output=True, text=True, timeout=300, cwd="/")
        assert built.returncode == 1, built.stderr
        assert cure in built.stderr
        assert "Traceback" not in built.stderr


def test_nothing_stays_of_the_trial(tmp_path: Path) -> None:
    assert shutil.which("unshare")
    done = subprocess.run(
        [sys.executable, "-m", "azlan.commands.trial", str(tmp_path), str(tmp_path)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(tmp_path.iterdir())
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()

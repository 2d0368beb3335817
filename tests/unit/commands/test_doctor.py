"""Findings with cures: what is looked at, what follows from what, and what `azlan up` refuses to start on."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from azlan.commands import doctor
from azlan.commands import kernel_checks as kernel
from azlan.commands import software_checks as software
from azlan.commands.clouds import CommandError
from azlan.commands.doctor import causes, examine, refuse
from azlan.commands.findings import Check, Wanted, packages, passed, version_of
from azlan.commands.kernel_checks import clashing
from azlan.config import EngineName, MachinesName

Patch = pytest.MonkeyPatch


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("crun version 1.8.1\ncommit: f8a096be", (1, 8, 1)),
        ("6.18.44-fc-v657", (6, 18, 44)),
        ("5.10.0-28-amd64", (5, 10, 0)),
        ("mmdebstrap 1.3.5", (1, 3, 5)),
        ("nothing", ()),
    ],
)
def test_versions(text: str, version: tuple[int, ...]) -> None:
    assert version_of(text) == version


@pytest.mark.parametrize(
    ("route", "clash"),
    [
        ({"dst": "default", "dev": "eth0"}, False),
        ({"dst": "10.0.0.0/8", "dev": "eth0"}, False),
        ({"dst": "192.0.2.0/24", "dev": "eth0"}, True),
        ({"dst": "203.0.113.7", "dev": "eth0"}, True),
        ({"dst": "198.51.0.0/16", "dev": "eth0"}, True),
        ({"dst": "203.0.113.7", "dev": "azlan-0123abcd"}, False),
        ({"dst": "2001:db8::/32", "dev": "eth0"}, False),
    ],
)
def test_routes_that_clash(route: dict[str, object], clash: bool) -> None:
    assert bool(clashing([route], "azlan-0123abcd")) is clash


@pytest.mark.parametrize(
    ("release", "engine", "machines", "enough"),
    [
        ("5.15.0-91-generic", "bpf", "containers", False),
        ("5.15.0-91-generic", "bpf", "simulated", False),
        ("5.17.0", "bpf", "simulated", True),
        ("5.17.0", "bpf", "containers", False),
        ("5.19.0-50-generic", "bpf", "containers", True),
        ("6.1.0-18-amd64", "bpf", "containers", True),
    ],
)
def test_kernels(monkeypatch: Patch, release: str, engine: EngineName, machines: MachinesName, enough: bool) -> None:
    monkeypatch.setattr(kernel.platform, "release", lambda: release)
    check = kernel.kernel(Wanted(engine, machines))
    assert (check.verdict == "ok") is enough
    assert enough or "newer is needed" in check.cure


def test_a_kernel_without_a_function_the_program_calls(monkeypatch: Patch) -> None:
    probes = SimpleNamespace(
        libbpf_probe_bpf_prog_type=lambda kind, _: 1,
        libbpf_probe_bpf_helper=lambda kind, number, _: int(number != 181),
    )
    monkeypatch.setattr(kernel.ctypes, "CDLL", lambda _: probes)
    monkeypatch.setattr(kernel.os, "geteuid", lambda: 0)
    check = kernel.ebpf(Wanted())
    assert (check.verdict, check.found) == ("failed", "no bpf_loop (Linux 5.17)")


def nothing_installed(monkeypatch: Patch) -> None:
    monkeypatch.setattr(software.shutil, "which", lambda _: None)


def full(monkeypatch: Patch) -> None:
    monkeypatch.setattr(software.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))


def no_images(monkeypatch: Patch) -> None:
    monkeypatch.setattr(software, "built", list)


def out_of_reach(monkeypatch: Patch) -> None:
    no_images(monkeypatch)
    monkeypatch.setenv("AZLAN_MIRROR_UBUNTU", "http://127.0.0.1:9/ubuntu")
    monkeypatch.setenv("AZLAN_MIRROR_DEBIAN", "http://127.0.0.1:9/debian")
    monkeypatch.setattr(software.shutil, "which", lambda name: f"/usr/bin/{name}")


def an_old_crun(monkeypatch: Patch) -> None:
    monkeypatch.setattr(software.shutil, "which", lambda name: f"/usr/bin/{name}")
    answer = SimpleNamespace(stdout="crun version 0.17\n", stderr="", returncode=0)
    monkeypatch.setattr(software.subprocess, "run", lambda *_, **__: answer)


@pytest.mark.parametrize(
    ("condition", "check", "found", "cure"),
    [
        (nothing_installed, software.crun, "missing", "apt-get install crun"),
        (nothing_installed, software.network_programs, "ip, nft", "apt-get install iproute2 nftables util-linux"),
        (nothing_installed, software.machine_programs, "mke2fs", "e2fsprogs"),
        (nothing_installed, software.port_program, "clang", "apt-get install clang"),
        (an_old_crun, software.crun, "0.17", "1.8 or newer"),
        (full, software.state_space, "1.0 MiB free", "--state DIR"),
        (out_of_reach, software.images, "http://127.0.0.1:9/ubuntu", "AZLAN_MIRROR_UBUNTU"),
        (out_of_reach, software.images, "Debian 12", "azlan images import FILE"),
    ],
)
def test_what_is_missing_is_named_with_its_cure(
    monkeypatch: Patch, condition: Callable[[Patch], None], check: Callable[[Wanted], Check], found: str, cure: str
) -> None:
    condition(monkeypatch)
    made = check(Wanted())
    assert made.verdict == "failed"
    assert found in made.found
    assert cure in made.cure


def test_nothing_to_build_an_image_with(monkeypatch: Patch) -> None:
    nothing_installed(monkeypatch)
    no_images(monkeypatch)
    assert software.images(Wanted()).package == "mmdebstrap gpg"


def test_room_for_images_matters_where_there_is_none(monkeypatch: Patch) -> None:
    full(monkeypatch)
    monkeypatch.setattr(software, "built", lambda: ["ubuntu-22.04"])
    assert software.image_space(Wanted()).verdict == "warning"
    no_images(monkeypatch)
    assert software.image_space(Wanted()).verdict == "failed"


def test_every_finding_but_a_good_one_has_a_cure(monkeypatch: Patch, tmp_path: Path) -> None:
    nothing_installed(monkeypatch)
    for check in examine(Wanted(state=tmp_path)):
        assert check.verdict == "ok" or check.cure, check


def test_what_only_follows_is_a_warning() -> None:
    found = causes([Check("capabilities", "failed", "none"), Check("eBPF", "failed", "refused", "a kernel")])
    assert [check.verdict for check in found] == ["failed", "warning"]
    assert found[1].cure == "First see to: capabilities"
    alone = Check("eBPF", "failed", "refused", "a kernel")
    assert causes([Check("capabilities", "ok", "all"), alone])[1] is alone


def test_a_cloud_is_not_started_on_what_lacks_something() -> None:
    refuse([Check("a", "ok", "there"), Check("b", "warning", "hm", "some day")])
    with pytest.raises(CommandError) as one:
        refuse([Check("crun", "failed", "missing", "apt-get install crun", "crun")])
    assert one.value.message == "crun: missing."
    assert one.value.cure.splitlines()[0] == "apt-get install crun"
    two = [
        Check("crun", "failed", "missing", "apt-get install crun", "crun"),
        Check("nft", "failed", "missing", "apt-get install nftables", "nftables"),
        Check("kernel", "failed", "5.15", "Linux 5.19 or newer is needed."),
    ]
    assert packages(two) == ["crun", "nftables"]
    with pytest.raises(CommandError) as both:
        refuse(two)
    assert "kernel: 5.15." in both.value.message
    assert both.value.cure.splitlines()[:2] == ["apt-get install crun nftables", "Linux 5.19 or newer is needed."]


def test_a_check_that_breaks_is_a_finding() -> None:
    def broken(_: Wanted) -> Check:
        raise OSError("no /proc")

    assert doctor._safely(broken, Wanted()).verdict == "warning"


def test_a_taken_port_fails() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        check = software.tcp_port(Wanted(port=taken.getsockname()[1]))
    assert check.verdict == "failed"
    assert "--port" in check.cure
    assert not passed([check])
    assert passed([Check("x", "warning", "")])


def test_the_model_asks_for_less(tmp_path: Path) -> None:
    names = {check.name for check in examine(Wanted(engine="model", machines="simulated", state=tmp_path))}
    assert names == {"system", "disk space", "TCP port 8443", "az"}


def test_an_ordinary_user(monkeypatch: Patch) -> None:
    monkeypatch.setattr(kernel.os, "geteuid", lambda: 1000)
    assert "sudo" in kernel.root(Wanted()).cure
    unseen: list[Any] = [kernel.capabilities, kernel.ebpf, kernel.trial]
    assert {check(Wanted()).verdict for check in unseen} == {"warning"}
    assert os.geteuid() == 1000

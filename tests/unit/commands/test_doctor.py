"""Findings with cures."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest

from azlan.commands import doctor
from azlan.commands.doctor import Check, Wanted, clashing, examine, passed, version_of


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


def test_an_old_kernel_and_a_missing_program_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.platform, "release", lambda: "5.10.0-28-amd64")
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    checks = {check.name: check for check in examine(Wanted())}
    assert checks["kernel"].verdict == "failed"
    for name, package in (("nft", "nftables"), ("crun", "crun"), ("mmdebstrap", "mmdebstrap")):
        assert (checks[name].verdict, checks[name].package) == ("failed", package)
        assert package in checks[name].cure


def test_every_finding_but_a_good_one_has_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    for check in examine(Wanted()):
        assert check.verdict == "ok" or check.cure or "could not be checked" in check.found, check


def test_an_old_crun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    answer = SimpleNamespace(stdout="crun version 0.17\n", stderr="")
    monkeypatch.setattr(doctor.subprocess, "run", lambda *_, **__: answer)
    assert doctor._crun(Wanted()).verdict == "failed"


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Wanted) -> Check:
        raise OSError("no /proc")

    assert doctor._safely(broken, Wanted()).verdict == "warning"


def test_a_taken_port_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        check = doctor._port(Wanted(port=taken.getsockname()[1]))
    assert check.verdict == "failed"
    assert not passed([check])
    assert passed([Check("x", "warning", "")])


def test_the_model_asks_for_less() -> None:
    names = {check.name for check in examine(Wanted(engine="model", machines="simulated"))}
    assert names == {"system", "TCP port 8443", "az"}

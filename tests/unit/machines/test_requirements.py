"""What is missing on this computer is said, with what to do."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from azlan.machines import requirements
from azlan.machines.cgroups import Hierarchies


def test_each_problem_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release="5.15.0-91-generic"))
    monkeypatch.setattr(requirements.shutil, "which", lambda name: None if name == "crun" else f"/usr/bin/{name}")
    monkeypatch.setattr(Hierarchies, "detect", classmethod(lambda cls: Hierarchies((), (), None, None, unified=True)))
    monkeypatch.setattr(requirements.oci, "ROOT", "/nowhere")
    monkeypatch.setattr(requirements.disk, "problem", lambda: "no loop devices")
    said = requirements.problems()
    assert [
        word
        for word in ("sudo", "5.19", "package crun", "cgroups", "/nowhere", "no loop")
        if not any(word in s for s in said)
    ] == []
    assert len(said) == 6


def test_a_computer_that_has_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release="6.8.0"))
    monkeypatch.setattr(requirements.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(requirements, "runtime_problem", lambda: None)
    monkeypatch.setattr(requirements.disk, "problem", lambda: None)
    assert requirements.problems() == []


@pytest.mark.parametrize(
    ("said", "fine"),
    [
        ("crun version 1.8.1\ncommit: f8a096", True),
        ("crun version 1.29.1", True),
        ("crun version 0.17", False),
        ("crun version 1.4.3", False),
        ("crun version UNKNOWN", True),
    ],
)
def test_a_crun_with_published_vulnerabilities_runs_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, fine: bool
) -> None:
    """By the version it says: Debian's 1.8.1-1+deb12u1 is 1.8.1, and lacks no fix that 1.8.1 has."""
    program = tmp_path / "crun"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setattr(requirements.shutil, "which", lambda _: str(program))
    problem = requirements.runtime_problem()
    assert (problem is None) == fine
    assert fine or "CVE-2022-27650" in (problem or "")

"""What is missing on this computer is said, with what to do."""

from __future__ import annotations

import os
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
    said = requirements.problems()
    assert [
        word for word in ("sudo", "5.19", "package crun", "cgroups", "/nowhere") if not any(word in s for s in said)
    ] == []
    assert len(said) == 5


def test_a_computer_that_has_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release="6.8.0"))
    monkeypatch.setattr(requirements.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert requirements.problems() == []

"""The Azure SDK for JavaScript, as it comes from npm, against a cloud that is served: Node runs `javascript/*.test.mjs`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

import browser
import javascript
from azlan.commands.clouds import CloudClient
from served import Served, served

pytestmark = pytest.mark.az

FILES = sorted(path.name for path in javascript.HERE.glob("*.test.mjs"))
PASSWORD = "Correct-Horse7Battery"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Served]:
    with served() as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tests find the packages."""
    made = tmp_path_factory.mktemp("javascript")
    for path in javascript.HERE.glob("*.mjs"):
        shutil.copy(path, made)
    javascript.give_packages(made)
    return made


@pytest.fixture(scope="module")
def person(cloud: Served, folder: Path) -> dict[str, str]:
    """A user, and the browser in which that user signs in by itself."""
    name = f"user-{uuid4().hex[:6]}"
    CloudClient(cloud.config).admin("POST", "/users", {"name": name, "password": PASSWORD, "role": "Reader"})
    program = folder / "browser"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {browser.__file__} "$@"\n')
    program.chmod(0o755)
    return {
        browser.NAME: name,
        browser.PASSWORD: PASSWORD,
        browser.AUTHORITY: str(cloud.config.authority),
        "BROWSER": str(program),
    }


@pytest.mark.parametrize("file", FILES)
def test_javascript(cloud: Served, person: dict[str, str], folder: Path, file: str) -> None:
    done = subprocess.run(
        [str(javascript.NODE), "--test", "--test-reporter=spec", file],
        cwd=folder,
        # No desktop's variables: $BROWSER is the browser.
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **cloud.variables, **person},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ℹ fail 0" in done.stdout, done.stdout
    assert "ℹ tests 0" not in done.stdout, done.stdout

"""The programs of docs/clients/python.md and javascript.md, as printed there, print what is printed there; so do they as one
would write them for public Azure, led here by `azlan redirect`.

Unprivileged: model engine, simulated machines. `test_sdk_machines.py` runs them where packets flow.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from azure.identity import EnvironmentCredential
from azure.mgmt.resource.resources import ResourceManagementClient

import javascript
from clientpages import ClientPage, after_enter, comparable, until_asked
from served import Served, served

LANGUAGES = ("python", "javascript")


@pytest.fixture(scope="module")
def cloud() -> Iterator[Served]:
    with served() as made:
        yield made


@pytest.fixture
def groups(cloud: Served, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in cloud.variables.items():
        monkeypatch.setenv(name, value)
    endpoint = cloud.config.endpoint
    return ResourceManagementClient(
        EnvironmentCredential(disable_instance_discovery=True),
        cloud.config.subscription,
        base_url=endpoint,
        credential_scopes=[f"{endpoint}/.default"],
    ).resource_groups


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_program_prints_what_the_page_shows(cloud: Served, groups: Any, language: str, tmp_path: Path) -> None:
    page = ClientPage(language)
    with page.start(tmp_path, cloud.variables) as program:
        output = until_asked(program)
        assert program.poll() is None, output
        assert groups.check_existence("test-rg")
        output += after_enter(program)
    assert comparable(output) == comparable(page.printed)
    assert program.returncode == 0
    assert not groups.check_existence("test-rg")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_program_for_public_azure_runs_unchanged(cloud: Served, language: str, tmp_path: Path) -> None:
    page = ClientPage(language)
    user = {"XDG_CONFIG_HOME": cloud.environment["XDG_CONFIG_HOME"], "AZLAN_STATE": str(cloud.config.state)}
    redirect = (sys.executable, "-m", "azlan", "redirect")
    with page.start(tmp_path, user, *redirect, program=page.for_public_azure()) as program:
        output = until_asked(program) + after_enter(program)
    assert comparable(output) == comparable(page.printed)
    assert program.returncode == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_names_the_versions_that_are_run(language: str) -> None:
    page = ClientPage(language)
    if language == "python":
        pinned = {name: version(name) for name in page.installed.split()}
    else:
        pinned = javascript.versions()
        assert set(page.installed.split()) == set(pinned)
    assert pinned
    for package, number in pinned.items():
        assert f"{package} {number}" in page.text, f"{package} is {number}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_names_tests_that_are_there(language: str) -> None:
    named = re.findall(r"`(tests/[\w/.]+)`", ClientPage(language).text)
    assert len(named) > 2
    for path in named:
        assert (Path(__file__).parents[2] / path).exists(), path

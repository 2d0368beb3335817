"""The programs of docs/clients on real machines: while they wait, a login through Bastion pings across the peering.

tutorial.py ── HTTPS ── cloud        azlan ssh ── Bastion ── vm-1 ── ping ── vm-2
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pexpect
import pytest

from azlan.commands.azure_cli import Session, open_session
from clientpages import ClientPage, after_enter, comparable, password, until_asked
from standing import Standing, short_folder, standing

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def cloud() -> Iterator[Standing]:
    with short_folder() as folder, standing(folder) as made:
        yield made


@pytest.fixture(scope="module")
def session(cloud: Standing, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A shell that has evaluated `azlan env`, and whose `azlan` knows the cloud."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        return open_session(cloud.config)


def pinged(line: str, secret: str, machine: str, target: str, environment: Mapping[str, str]) -> str:
    """What ping prints in a machine into which a line as the program printed it logs in."""
    words = ["-m", *line.split()]
    terminal = pexpect.spawn(sys.executable, words, env=dict(environment), encoding="utf-8", timeout=60)
    try:
        terminal.expect("assword")
        terminal.sendline(secret)
        terminal.expect_exact(f"@{machine}:~$")
        terminal.sendline(f"ping -c 3 -i 0.2 {target}")
        terminal.expect_exact(f"@{machine}:~$")
        return str(terminal.before)
    finally:
        terminal.close(force=True)


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_the_program_builds_what_packets_cross(
    cloud: Standing, session: Session, language: str, tmp_path: Path
) -> None:
    page = ClientPage(language)
    configuration = session.azure_config.parents[2]
    shell = {**os.environ, "XDG_CONFIG_HOME": str(configuration), "AZLAN_STATE": str(cloud.state)}
    with page.start(tmp_path, session.variables()) as program:
        output = until_asked(program)
        assert program.poll() is None, output
        line = re.search(r"^(azlan ssh .*?) +\(", output, re.MULTILINE)
        assert line is not None, output
        for machine, target in (("vm-1", "10.1.0.4"), ("vm-2", "10.0.0.4")):
            seen = pinged(line[1].replace("vm-1", machine), password(output), machine, target, shell)
            assert "3 packets transmitted, 3 received, 0% packet loss" in seen, seen
            assert len(re.findall(rf"from {target}: icmp_seq=\d ttl=64", seen)) == 3, seen
        output += after_enter(program)
    assert comparable(output) == comparable(page.printed)
    assert program.returncode == 0
    assert cloud.status()["parts"] == 0

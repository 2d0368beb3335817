"""The tutorial's shell and checks, with a scripted az: what is shown, what is answered, what counts as a deviation."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from azlan.commands.azure_cli import Login, Session
from azlan.commands.tutorial import Deviation, Shell, _password
from azlan.commands.tutorial_steps import DELETE, STEPS, Step
from azlan.config import new_config

FAKE_AZ = r"""#!/bin/bash
case "$*" in
  "vm create"*)
    read -s -p "Admin Password: " one; echo >&2
    read -s -p "Confirm Admin Password: " two; echo >&2
    [ "$one" = "$two" ] && [ "$one" = 'Secret-1234' ] && echo '"powerState": "VM running"' ;;
  "fail"*) echo "ERROR: (Code) why" >&2; exit 3 ;;
  "hang"*) sleep 60 ;;
  "spin"*) printf '\r - Starting ..'; printf '\r \\ Running ..'; printf '\r\n"done"\n' ;;
  "colour"*) printf '\e[31mred\e[0m\n' ;;
  *) echo "az $*" ;;
esac
"""


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def shell(tmp_path: Path, out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    az = tmp_path / "bin" / "az"
    az.parent.mkdir()
    az.write_text(FAKE_AZ)
    az.chmod(0o755)
    monkeypatch.setenv("PATH", f"{az.parent}{os.pathsep}{os.environ['PATH']}")
    config = new_config(tmp_path, uid=0, gid=0, engine="model", machines="simulated")
    session = Session(
        config, Login("t", "s", "c", "x"), tmp_path / "azure", tmp_path / "bundle", tmp_path / "extra", az
    )
    with Shell(session, Console(file=out, highlight=False, soft_wrap=True), "Secret-1234") as made:
        yield made


def test_command_and_output_are_shown(shell: Shell, out: io.StringIO) -> None:
    shell.step(
        Step("# A comment.\naz group create \\\n    --name test-rg", "az group create --name test-rg", title="Begin")
    )
    text = out.getvalue()
    assert text.startswith("Begin ─")
    assert "$ # A comment.\n  az group create \\\n      --name test-rg\naz group create --name test-rg\n" in text
    assert re.search(r"\(\d+\.\d s\)", text)


def test_variables_live_from_one_command_to_the_next(shell: Shell, out: io.StringIO) -> None:
    shell.step(Step("vNet1Id=$(az network vnet show \\\n  --query id --out tsv)"))
    shell.step(Step("az peer --remote $vNet1Id", "az peer --remote az network vnet show --query id --out tsv"))


def test_password_prompts_are_answered_and_not_shown(shell: Shell, out: io.StringIO) -> None:
    shell.step(Step("az vm create --name vm-1", '"powerState": "VM running"'))
    assert "Admin Password: ********\n" in out.getvalue()
    assert "Confirm Admin Password: ********\n" in out.getvalue()
    assert "Secret-1234" not in out.getvalue()


def test_a_command_that_fails_is_a_deviation(shell: Shell, out: io.StringIO) -> None:
    with pytest.raises(Deviation, match="`az fail …` ended with status 3") as caught:
        shell.step(Step("az fail \\\n  --now"))
    assert "ERROR: (Code) why" in out.getvalue()
    assert "azlan logs" in caught.value.cure


def test_an_answer_that_is_not_the_tutorials_is_a_deviation(shell: Shell) -> None:
    with pytest.raises(Deviation, match='did not answer "peeringState": "Connected"'):
        shell.step(Step("az peering show", '"peeringState": "Connected"'))


def test_a_command_without_end_is_a_deviation(shell: Shell) -> None:
    with pytest.raises(Deviation, match="No end after 1 s"):
        shell.step(Step("az hang", seconds=1))


def test_az_that_spins_leaves_no_trace_in_a_file(shell: Shell, out: io.StringIO) -> None:
    shell.step(Step("az spin", '"done"'))
    assert "Starting" not in out.getvalue()
    assert "Running" not in out.getvalue()


def test_colours_do_not_hide_what_is_looked_for(shell: Shell, out: io.StringIO) -> None:
    shell.step(Step("az colour", "^red"))
    assert "\x1b" not in out.getvalue()


def test_quiet_commands(shell: Shell, out: io.StringIO) -> None:
    assert shell.quiet("az group exists").strip() == "az group exists"
    assert out.getvalue() == ""


def test_passwords_are_ones_azure_takes() -> None:
    made = {_password() for _ in range(20)}
    assert len(made) == 20
    for password in made:
        assert 12 <= len(password) <= 72
        kinds = (r"[a-z]", r"[A-Z]", r"\d", r"[^A-Za-z0-9]")
        assert all(re.search(kind, password) for kind in kinds)


def test_every_command_of_the_cli_tab_is_there() -> None:
    printed = [step.text for step in STEPS if step.printed]
    commands = [re.sub(r"#.*\n|\\\n *", "", text) for text in printed]
    groups = [" ".join(re.findall(r"az ((?:[a-z][a-z-]* )+)--", command)).strip() for command in commands]
    assert groups == [
        "group create", "network vnet create", "network vnet subnet create", "network public-ip create",
        "network bastion create", "network vnet create", "network vnet show  network vnet show",
        "network vnet peering create", "network vnet peering create", "network vnet peering show",
        "vm create", "vm create",
    ]  # fmt: skip
    assert DELETE[0].text == "az group delete --name test-rg --yes --no-wait"

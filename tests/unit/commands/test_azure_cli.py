"""A shell's session: a principal of its own, az logged in once, the user's own Azure untouched."""

from __future__ import annotations

import configparser
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from azlan.commands import azure_cli
from azlan.commands.azure_cli import find_az, open_login, open_session
from azlan.commands.cli import cli
from azlan.commands.clouds import CloudClient, CommandError

from .conftest import Served

FAKE_AZ = """#!/bin/sh
echo "$@" >> "$AZURE_CONFIG_DIR/calls"
[ -e "$AZURE_CONFIG_DIR/refuse" ] && { echo "ERROR: no" >&2; exit 1; }
exit 0
"""


@pytest.fixture
def az(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An az on PATH that notes how it is called."""
    path = tmp_path / "bin" / "az"
    path.parent.mkdir()
    path.write_text(FAKE_AZ)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return path


def calls(folder: Path) -> list[str]:
    path = folder / "calls"
    return path.read_text().splitlines() if path.exists() else []


def test_az_is_logged_in_once(served: Served, az: Path) -> None:
    served.start()
    session = open_session(served.config)
    made = calls(session.azure_config)
    assert [line.split()[:2] for line in made] == [
        ["cloud", "register"], ["cloud", "set"], ["login", "--service-principal"], ["account", "set"],
    ]  # fmt: skip
    assert served.config.endpoint in made[0]
    assert open_session(served.config).login == session.login
    assert calls(session.azure_config) == made


def test_everything_is_private_and_in_a_folder_of_its_own(served: Served, az: Path, tmp_path: Path) -> None:
    served.start()
    session = open_session(served.config)
    folder = tmp_path / "config" / "azlan" / served.config.mark
    assert session.azure_config == folder / "azure"
    for path in (folder / "principal.json", session.azure_config / "azlan.json", session.azure_config / "config"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(session.azure_config.stat().st_mode) == 0o700


def test_a_new_endpoint_is_registered_anew(served: Served, az: Path) -> None:
    served.start()
    session = open_session(served.config)
    (session.azure_config / "clouds.config").write_text("old")
    served.stop()
    with_another = Served(replace(served.config, port=served.config.port + 1), [])
    with_another.start()
    try:
        again = open_session(with_another.config)
        assert again.login == session.login
        assert not (session.azure_config / "clouds.config").exists()
        assert len(calls(session.azure_config)) == 8
    finally:
        with_another.stop()


def test_a_principal_the_cloud_forgot_is_made_anew(served: Served, az: Path) -> None:
    served.start()
    first = open_login(served.config)
    CloudClient(served.config).admin("DELETE", f"/users/{_only_user(served)}")
    second = open_login(served.config)
    assert second.client_id != first.client_id
    assert CloudClient(served.config).token(second.client_id, second.secret)


def _only_user(served: Served) -> str:
    (user,) = CloudClient(served.config).admin("GET", "/users")["value"]
    return str(user["name"])


def test_two_folders_have_two_principals(served: Served, az: Path, tmp_path: Path) -> None:
    served.start()
    one, other = (open_login(served.config, tmp_path / name) for name in ("a", "b"))
    assert one.client_id != other.client_id
    assert open_login(served.config, tmp_path / "a") == one


def test_az_that_fails_is_shown_with_its_words(served: Served, az: Path, tmp_path: Path) -> None:
    served.start()
    folder = tmp_path / "config" / "azlan" / served.config.mark / "azure"
    folder.mkdir(parents=True)
    (folder / "refuse").touch()
    with pytest.raises(CommandError, match="az cloud register failed:\n\nERROR: no"):
        open_session(served.config)
    (folder / "refuse").unlink()
    assert open_session(served.config).az == az


def test_settings_of_the_user_stay(served: Served, az: Path, tmp_path: Path) -> None:
    served.start()
    session = open_session(served.config)
    path = session.azure_config / "config"
    path.write_text("[core]\noutput = table\n[defaults]\ngroup = mine\n")
    open_session(served.config)
    parser = configparser.ConfigParser()
    parser.read(path)
    assert (parser["core"]["output"], parser["defaults"]["group"]) == ("table", "mine")
    assert parser["core"]["instance_discovery"] == "false"


def test_ad_fs_is_another_cloud(served: Served, az: Path) -> None:
    served.start()
    session = open_session(served.config, adfs=True)
    assert session.azure_config.name == "azure-adfs"
    assert f"--endpoint-active-directory {served.config.endpoint}/adfs" in calls(session.azure_config)[0]


def test_the_installed_az_is_put_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: Served) -> None:
    installed = tmp_path / "cache" / "bin" / "az"
    installed.parent.mkdir(parents=True)
    installed.write_text(FAKE_AZ)
    installed.chmod(0o755)
    monkeypatch.setattr(azure_cli, "installed_folders", lambda: (tmp_path / "cache",))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert find_az() == installed
    served.start()
    assert open_session(served.config).variables()["PATH"] == f"{installed.parent}:/usr/bin:/bin"


def test_env_of_a_cloud_that_is_not_up_prints_nothing(served: Served, az: Path) -> None:
    result = CliRunner().invoke(cli, ["env", "--state", str(served.config.state)])
    assert isinstance(result.exception, CommandError)
    assert result.stdout == ""
    assert "azlan up" in result.exception.cure


def test_env_without_az_still_serves_the_sdks(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served.start()
    monkeypatch.setattr("azlan.commands.azure_cli.find_az", lambda: None)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    result = CliRunner().invoke(cli, ["env", "bash", "--state", str(served.config.state)])
    assert result.exit_code == 0
    assert f"export AZURE_TENANT_ID={served.config.tenant}\n" in result.stdout
    assert "no az" in result.stderr


def test_users(served: Served) -> None:
    served.start()
    state = ["--state", str(served.config.state)]
    runner = CliRunner()
    added = runner.invoke(cli, ["user", "add", "ann", "--role", "Reader", *state, "--json"])
    assert json.loads(added.stdout)["role"] == "Reader"
    assert "ann@azlan.localhost" in runner.invoke(cli, ["user", "list", *state]).stdout
    again = runner.invoke(cli, ["user", "add", "ann", *state])
    assert "azlan user remove ann" in str(again.exception)
    assert runner.invoke(cli, ["user", "remove", "ann", *state]).exit_code == 0
    assert json.loads(runner.invoke(cli, ["user", "list", *state, "--json"]).stdout) == []


def test_status_tells_up_from_not_up(served: Served) -> None:
    state = ["--state", str(served.config.state), "--json"]
    assert CliRunner().invoke(cli, ["status", *state]).exit_code == 3
    served.start()
    result = CliRunner().invoke(cli, ["status", *state])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["endpoint"] == served.config.endpoint


def test_another_clouds_certificate_is_not_trusted(served: Served, tmp_path: Path) -> None:
    """Something else that listens on the port gets neither token nor secret."""
    served.start()
    served.config.authority.unlink()
    other = tmp_path / "other"
    other.mkdir()
    from azlan.services import certificates

    certificates.ensure(other, served.config.authority, "ffffffff")
    assert not CloudClient(served.config).answers()
    with pytest.raises(CommandError, match="does not answer"):
        CloudClient(served.config).admin("GET", "/users")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, None),
        ({"NO_PROXY": "corp.example"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "localhost"),
        ({"all_proxy": "http://proxy:3128", "NO_PROXY": "a, b", "no_proxy": "b,c"}, "a,b,c,localhost"),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "localhost,a"}, "localhost,a"),
        ({"https_proxy": "", "no_proxy": "a"}, None),
    ],
)
def test_no_proxy_is_asked_for_the_cloud(
    served: Served, az: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], wanted: str | None
) -> None:
    served.start()
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = open_session(served.config).variables()
    assert (found.get("NO_PROXY"), found.get("no_proxy")) == (wanted, wanted)


def certificate(name: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n"


def test_whom_the_shell_trusted_it_trusts_still(
    served: Served, az: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.start()
    names = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    store = tmp_path / "store.pem"
    store.write_text(certificate("of the computer"))
    monkeypatch.setattr(azure_cli, "_STORES", (str(tmp_path / "none"), str(store)))
    before = open_session(served.config).variables()
    own = served.config.authority.read_text()
    assert Path(before["NODE_EXTRA_CA_CERTS"]).read_text().strip() == own.strip()
    for name in names:
        file = tmp_path / f"{name}.pem"
        file.write_text(f"a company's\n{certificate(name)}{certificate('both')}{own}")
        monkeypatch.setenv(name, str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone"))
    now = open_session(served.config).variables()
    bundle, extra = (Path(now[name]).read_text() for name in ("REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"))
    for text, added in ((bundle, "REQUESTS_CA_BUNDLE"), (extra, "NODE_EXTRA_CA_CERTS")):
        assert [text.count(certificate(name)) for name in (added, "both")] == [1, 1]
        assert text.count(own) == 1
    assert now["SSL_CERT_FILE"] == now["REQUESTS_CA_BUNDLE"] != before["REQUESTS_CA_BUNDLE"]
    seen = Path(before["REQUESTS_CA_BUNDLE"]).read_text()
    assert [seen.count(certificate(name)) for name in ("of the computer", "both")] == [1, 0]
    assert certificate("of the computer") not in bundle
    for name in names:
        monkeypatch.setenv(name, now[name])
    assert open_session(served.config).variables() == now
    folder, another = Path(now["NODE_EXTRA_CA_CERTS"]).parent, certificate("another of the cloud")
    later = azure_cli._trust(folder, "ca-extra", b"", (now["NODE_EXTRA_CA_CERTS"],), another.encode()).read_text()
    assert [later.count(text) for text in (own, another, certificate("both"))] == [0, 1, 1]

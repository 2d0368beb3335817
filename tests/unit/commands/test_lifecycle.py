"""`up` and its refusals: who runs what, which folders belong to whom, and advice that can be followed."""

from __future__ import annotations

import os
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from azlan.commands import lifecycle, supervisor
from azlan.commands.clouds import CommandError, advice, existing, state_of
from azlan.config import Config, new_config

MODEL = {"engine": "model", "machines": "simulated"}


@pytest.fixture(autouse=True)
def own_run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("azlan.config.run_folder", lambda mark: tmp_path / "run" / mark)
    for name in ("SUDO_UID", "SUDO_GID", "AZLAN_STATE"):
        monkeypatch.delenv(name, raising=False)


def as_user(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(os, "getegid", lambda: uid)


def test_real_packets_need_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 1000)
    with pytest.raises(CommandError) as caught:
        lifecycle.prepare(tmp_path / "state", {})
    assert "sudo" in caught.value.cure
    assert "--engine model --machines simulated" in caught.value.cure
    assert not (tmp_path / "state").exists()


def test_without_privilege_everything_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 1000)
    config = lifecycle.prepare(tmp_path / "state", MODEL)
    assert (config.uid, config.gid, supervisor.roles_of(config)) == (1000, 1000, ("control",))


def test_sudo_runs_the_control_process_as_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 0)
    monkeypatch.setenv("SUDO_UID", "1234")
    monkeypatch.setenv("SUDO_GID", "5678")
    config = lifecycle.prepare(tmp_path / "state", {})
    assert (config.uid, config.gid) == (1234, 5678)
    assert supervisor.roles_of(config) == ("fabric", "control")


@pytest.mark.parametrize("sudo_uid", [None, "0", "", "x"])
def test_root_itself_lends_a_uid_that_nobody_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sudo_uid: str | None
) -> None:
    as_user(monkeypatch, 0)
    if sudo_uid is not None:
        monkeypatch.setenv("SUDO_UID", sudo_uid)
    config = lifecycle.prepare(tmp_path / "state", {})
    assert config.uid == config.gid
    assert config.uid in lifecycle._RESERVED_UIDS
    (tmp_path / "state").mkdir()
    config.save()
    assert lifecycle.prepare(tmp_path / "state", {}).uid == config.uid


def test_a_cloud_stays_with_its_user_when_root_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 0)
    monkeypatch.setenv("SUDO_UID", "1234")
    monkeypatch.setenv("SUDO_GID", "5678")
    config = lifecycle.prepare(tmp_path / "state", {})
    (tmp_path / "state").mkdir()
    config.save()
    monkeypatch.delenv("SUDO_UID")
    assert lifecycle.prepare(tmp_path / "state", {}) == config
    config.run.mkdir(parents=True)
    held = supervisor.lock_of(config, supervisor.SUPERVISOR).take()
    assert held is not None
    monkeypatch.setenv("SUDO_UID", "4321")
    try:  # up already: whoever calls, it stays as it is
        assert lifecycle.prepare(tmp_path / "state", {}) == config
    finally:
        os.close(held)


def test_options_not_given_stay_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 1000)
    first = lifecycle.prepare(tmp_path / "state", MODEL | {"port": 9000})
    (tmp_path / "state").mkdir()
    first.save()
    again = lifecycle.prepare(tmp_path / "state", {"port": None, "engine": None})
    assert again == first
    moved = lifecycle.prepare(tmp_path / "state", {"port": 9001})
    assert moved == replace(first, port=9001)


def test_a_cloud_that_is_up_keeps_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = lifecycle.prepare(tmp_path / "state", MODEL)
    lifecycle.make_folders(config)
    config.save()
    held = supervisor.lock_of(config, supervisor.SUPERVISOR).take()
    assert held is not None
    try:
        assert lifecycle.prepare(tmp_path / "state", MODEL) == config
        with pytest.raises(CommandError, match="up with other settings \\(port\\)") as caught:
            lifecycle.prepare(tmp_path / "state", MODEL | {"port": 9002})
        assert "azlan down" in caught.value.cure
    finally:
        os.close(held)


def test_impossible_options(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no TCP port"):
        lifecycle.prepare(tmp_path, MODEL | {"port": 0})
    with pytest.raises(CommandError, match="moves no packets"):
        lifecycle.prepare(tmp_path, {"engine": "model"})


def test_folders_have_their_rights(tmp_path: Path) -> None:
    config = lifecycle.prepare(tmp_path / "state", MODEL)
    before = os.umask(0)
    try:
        lifecycle.make_folders(config)
        lifecycle.make_folders(config)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in config.state.iterdir()}
    assert modes == {"control": 0o700, "public": 0o755, "logs": 0o750}


@pytest.mark.root
def test_folders_change_hands_without_following_links(tmp_path: Path) -> None:
    config = replace(lifecycle.prepare(tmp_path / "state", MODEL), uid=64200, gid=64200)
    outside = tmp_path / "outside"
    outside.write_text("root's")
    twice = tmp_path / "twice"
    twice.write_text("root's")
    lifecycle.make_folders(replace(config, uid=64100, gid=64100))
    (config.control / "link").symlink_to(outside)
    os.link(twice, config.control / "hard")
    (config.control / "store.db").write_text("x")
    lifecycle.make_folders(config)
    assert (config.control / "store.db").stat().st_uid == 64200
    assert config.control.stat().st_uid == 64200
    assert outside.stat().st_uid == 0
    assert twice.stat().st_uid == 0


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = lifecycle.prepare(tmp_path / "state", MODEL | {"port": taken.getsockname()[1]})
        with pytest.raises(CommandError, match="taken") as caught:
            lifecycle.up(config, lambda _: None)
    assert "--port" in caught.value.cure
    assert not config.file.exists()


def test_reset_leaves_nothing_of_its_own_and_all_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    config = lifecycle.prepare(tmp_path / "state", MODEL)
    lifecycle.make_folders(config)
    config.save()
    (config.control / "store.db").touch()
    login = tmp_path / "config" / "azlan" / config.mark
    login.mkdir(parents=True)
    kept = config.state / "uids"
    kept.mkdir()
    lifecycle.reset(config, lambda _: None)
    assert list(config.state.iterdir()) == [kept]
    assert not login.exists()
    assert not config.run.exists()
    kept.rmdir()
    config.save()
    lifecycle.reset(config, lambda _: None)
    assert not config.state.exists()


def test_a_process_that_does_not_start_shows_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = lifecycle.prepare(tmp_path / "state", MODEL | {"port": _free()})
    monkeypatch.setattr(supervisor, "start", lambda _: None)
    lifecycle.make_folders(config)
    supervisor.log_file(config, "control").write_text("RuntimeError: the store is newer\n")
    seen = supervisor.Seen(None, 3, "ended with status 1")
    supervisor.write_seen(supervisor.state_file(config), {"control": seen})
    with pytest.raises(CommandError, match="the store is newer") as caught:
        lifecycle.up(config, lambda _: None)
    assert "azlan logs" in caught.value.cure


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_no_cloud_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        existing(tmp_path)
    assert "azlan up" in caught.value.cure


def test_the_computers_cloud_is_found_where_the_user_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, system = tmp_path / "own", tmp_path / "system"
    monkeypatch.setattr("azlan.commands.clouds.default_state", lambda: own)
    monkeypatch.setattr("azlan.commands.clouds.SYSTEM_STATE", system)
    assert state_of(None) == own
    for folder, expected in ((system, system), (own, own)):
        folder.mkdir()
        config: Config = new_config(folder, uid=0, gid=0)
        config.save()
        assert state_of(None) == expected
    assert state_of(tmp_path / "given") == tmp_path / "given"


def test_advice_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr("sys.argv", [str(tmp_path / ".venv/bin/azlan"), "up"])
    assert advice("Start it: sudo azlan up -d") == "Start it: sudo .venv/bin/azlan up -d"
    assert (
        advice('eval "$(azlan env --state /var/lib/azlan)"') == 'eval "$(.venv/bin/azlan env --state /var/lib/azlan)"'
    )
    monkeypatch.chdir("/")
    assert advice("azlan down") == f"{tmp_path}/.venv/bin/azlan down"
    monkeypatch.setattr("sys.argv", ["azlan", "up"])
    assert advice("azlan down") == "azlan down"

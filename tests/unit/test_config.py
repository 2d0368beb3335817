"""What one cloud is, and that it comes back from its file as it was."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from azlan.config import ConfigError, load, mark_of, new_config


def test_from_file_and_back(tmp_path: Path) -> None:
    config = new_config(tmp_path, uid=1000, gid=100, port=9443, engine="model", machines="simulated")
    config.save()
    assert load(config.file) == config
    assert stat.S_IMODE(config.file.stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_clouds_differ(tmp_path: Path) -> None:
    one, other = (new_config(tmp_path / name, uid=0, gid=0) for name in ("a", "b"))
    assert len({one.mark, other.mark, one.tenant, other.tenant, one.subscription, other.subscription}) == 6
    assert one.mark == mark_of(tmp_path / "a")
    assert one.run != other.run


def test_a_relative_folder_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = new_config(Path("x/../y"), uid=0, gid=0)
    assert config.state == tmp_path / "y"


def test_endpoint_leaves_443_out(tmp_path: Path) -> None:
    assert new_config(tmp_path, uid=0, gid=0, port=443).endpoint == "https://localhost"
    assert new_config(tmp_path, uid=0, gid=0).endpoint == "https://localhost:8443"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"port": 0}, "--port"),
        ({"port": 70000}, "--port"),
        ({"engine": "magic"}, "bpf or model"),
        ({"machines": "vms"}, "containers or simulated"),
        ({"egress": "all"}, "internet or lan"),
        ({"engine": "model", "machines": "containers"}, "--machines simulated"),
    ],
)
def test_what_cannot_be_says_what_can(tmp_path: Path, options: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        new_config(tmp_path, uid=0, gid=0, **options)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"state": "/x"}', "nonsense"])
def test_a_broken_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(path)


def test_members_of_a_newer_version_are_passed_over(tmp_path: Path) -> None:
    config = new_config(tmp_path, uid=0, gid=0)
    config.save()
    document = json.loads(config.file.read_text())
    config.file.write_text(json.dumps(document | {"later": 1}))
    assert load(config.file) == config

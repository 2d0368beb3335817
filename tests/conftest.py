"""What was measured is printed when all tests are done."""

from __future__ import annotations

from typing import Any

from counts import figures


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if figures:
        terminalreporter.section("measured")
        for line in figures:
            terminalreporter.write_line(line)

"""Random tests draw the same each time but in `make soak`; what was measured is printed when all tests are done."""

from __future__ import annotations

import json
from typing import Any

import structlog
from hypothesis import settings
from joserfc.jwk import RSAKey

from counts import FULL, SEED, figures

# A push is judged by what it changes, not by the dice: new examples are looked for by `make soak`.
settings.register_profile("same each time", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("soak", deadline=None, print_blob=True)
settings.load_profile("soak" if FULL else "same each time")

# What is logged is shown where a test fails. The default draws tracebacks with frames and colours, at 0.2 s each.
structlog.configure(processors=[
    structlog.processors.add_log_level,
    structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
])  # fmt: skip

_import_key = RSAKey.import_key
_imported: dict[str, RSAKey] = {}


def _import_once(value: Any, *more: Any) -> RSAKey:
    """A private key as JSON is looked over for 50 ms each time it is read: the same one is read once."""
    if not isinstance(value, dict):
        return _import_key(value, *more)
    text = json.dumps([value, *more], sort_keys=True)
    return _imported.setdefault(text, _imported.get(text) or _import_key(value, *more))


RSAKey.import_key = staticmethod(_import_once)  # type: ignore[method-assign,assignment]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(f"random worlds: AZLAN_SEED={SEED}")
    if figures:
        terminalreporter.section("measured")
        for line in figures:
            terminalreporter.write_line(line)

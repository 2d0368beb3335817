"""For every test of this folder."""

from __future__ import annotations

import pytest

from azlan.arm import polling


@pytest.fixture(autouse=True)
def short_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations that a test ends by hand, or not at all, keep no request waiting."""
    monkeypatch.setattr(polling, "HOLD", 0.02)

"""A cloud of its own for each test that moves real packets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fabric_kit import Cloud


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    made = Cloud()
    try:
        yield made
    finally:
        await made.remove()

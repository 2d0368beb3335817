"""Clouds for the tests of the API: one estate a module where tests leave it as it was, else a fresh cloud a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from api.estate import build
from client import ArmClient
from kit import Cloud, cloud


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def estate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cloud]:
    """A cloud with the estate. A test that uses it leaves it as it was."""
    async with cloud(tmp_path_factory.mktemp("estate")) as made:
        await build(made.arm)
        yield made


@pytest_asyncio.fixture
async def fresh(tmp_path: Path) -> AsyncIterator[Cloud]:
    """An empty cloud with a group."""
    async with cloud(tmp_path) as made:
        await made.arm.put("", {"location": "eastus2"})
        yield made


@pytest.fixture
def arm(fresh: Cloud) -> ArmClient:
    return fresh.arm

"""Every scenario's file, on the model engine (no privilege) and, as root, with real packets on the bpf engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit import cloud
from scenario import Scenario

FILES = sorted(Path(__file__).parent.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_on_the_model_engine(file: Path, tmp_path: Path) -> None:
    async with cloud(tmp_path) as made:
        await Scenario(made, file).play()


@pytest.mark.root
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_with_real_packets(file: Path, tmp_path: Path) -> None:
    async with cloud(tmp_path, "bpf") as made:
        await Scenario(made, file).play()

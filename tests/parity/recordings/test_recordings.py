"""Recordings of real Azure, replayed: each call in scope is answered as Azure answered it, but for what is reviewed.

The recordings come with the source packages of Azure's SDK for Python (requirements/recordings.txt).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from azlan.arm.registry import Registry
from parity.recordings import table
from parity.recordings.obtain import archives, recordings
from parity.recordings.reading import read
from parity.recordings.replay import Cloud, play, signed_in
from parity.recordings.reviewed import NEVER, doubled, reviewed, unexplained
from served import served

MOST_EXPLAINED = 0.05


@pytest.fixture(scope="module")
def packages() -> dict[str, Path]:
    return archives()


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with served() as here, signed_in(here) as client:
        yield client


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover()


@pytest.mark.parametrize("recording", table.counts())
def test_recording(recording: str, cloud: Cloud, registry: Registry, packages: dict[str, Path]) -> None:
    package, _, name = recording.partition("/")
    content = dict(recordings(packages[package]))[name]
    played = play(cloud, registry, read(name, content))
    found = [(one.call.number, difference) for one in played for difference in one.differences]
    left, idle = unexplained(recording, found)
    assert not left, "answered otherwise than recorded:\n" + "\n".join(left)
    assert not idle, "explained in reviewed.toml, but there is no such difference:\n" + "\n".join(idle)
    assert table.count(played) == table.counts()[recording], "counts.json is old: see table.py"


def test_every_recording_is_replayed(packages: dict[str, Path]) -> None:
    there = [f"{package}/{name}" for package, archive in packages.items() for name, _ in recordings(archive)]
    assert there == list(table.counts())


def test_reviewed_differences_are_few_and_none_is_of_status_code_or_state() -> None:
    numbers = table.counts().values()
    scope, explained = (sum(one.get(name, 0) for one in numbers) for name in ("scope", "explained"))
    assert scope > 700
    assert explained <= MOST_EXPLAINED * scope
    for entry in reviewed():
        assert entry.kind not in NEVER, entry.title
        assert entry.reason, entry.title
        assert entry.evidence, entry.title
    assert doubled() == []


def test_the_page_says_what_was_counted() -> None:
    page = table.PAGE.read_text()
    assert table.between(page) == table.tables(table.counts()), "run table.py"

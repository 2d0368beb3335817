"""Ranges of user ids: each owner its own, the same each time, clear of everybody else's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azlan.machines import uidranges
from azlan.machines.uidranges import FIRST, SIZE, SLOTS, UidRanges, subordinate


def owner(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.mkdir()
    return path


def test_the_same_owner_gets_the_same_range(tmp_path: Path) -> None:
    one, other = owner(tmp_path, "one"), owner(tmp_path, "other")
    first = UidRanges(tmp_path / "uids").claim(one, "key")
    assert UidRanges(tmp_path / "uids").claim(one, "another key") == first
    assert UidRanges(tmp_path / "uids").claim(other, "key") == first + SIZE, "the next one, where the place is taken"


def test_a_released_range_and_one_of_a_lost_owner_are_free_again(tmp_path: Path) -> None:
    ranges = UidRanges(tmp_path / "uids")
    one = owner(tmp_path, "one")
    first = ranges.claim(one, "key")
    ranges.release(one)
    two = owner(tmp_path, "two")
    assert ranges.claim(two, "key") == first
    shutil.rmtree(two)
    assert ranges.claim(owner(tmp_path, "three"), "key") == first


def test_what_others_use_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uidranges, "in_use", list)
    one = owner(tmp_path, "one")
    taken = UidRanges(tmp_path / "free").claim(one, "key")
    monkeypatch.setattr(uidranges, "in_use", lambda: [(taken + 100, 1), (taken + SIZE, SIZE)])
    assert UidRanges(tmp_path / "uids").claim(one, "key") == FIRST + (taken - FIRST + 2 * SIZE) % (SLOTS * SIZE)
    monkeypatch.setattr(uidranges, "in_use", lambda: [(0, 1 << 31)])
    with pytest.raises(OSError, match="no range"):
        UidRanges(tmp_path / "none").claim(one, "key")


def test_ids_stay_below_two_to_the_31() -> None:
    assert FIRST + SLOTS * SIZE < 2**31 - 1


@given(st.lists(st.tuples(st.integers(0, 2**32), st.integers(1, 2**20))))
def test_subordinate_ranges_are_read(ranges: list[tuple[int, int]]) -> None:
    text = "# a comment\n\n" + "".join(f"user{i}:{a}:{n}\n" for i, (a, n) in enumerate(ranges)) + "broken:1\n"
    assert list(subordinate(text)) == ranges

"""Changes on maps that are dictionaries: a packet of any epoch sees one state whole, and a process may die anywhere."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azlan.engines.bpf import tables as module
from azlan.engines.bpf.tables import (
    POINTER_MAPS,
    TABLE_MAPS,
    Change,
    Pointer,
    Tables,
    Target,
    pack_pointer,
    unpack_pointer,
)


class Died(Exception):
    """The process, between two writes."""


class Kernel:
    """Maps and epoch; `dies` after so many writes; `watch` is called after each."""

    def __init__(self) -> None:
        self.maps = {name: FakeMap(self) for name in (*TABLE_MAPS, *POINTER_MAPS)}
        self.value = 0
        self.dies = -1
        self.watch = lambda: None

    def wrote(self) -> None:
        self.watch()
        if self.dies == 0:
            raise Died
        self.dies -= 1

    def load(self) -> int:
        return self.value

    def store(self, value: int) -> None:
        self.value = value
        self.wrote()

    def sees(self, part: bytes, epoch: int) -> bytes | None:
        """What a packet of an epoch reads of a part; raises KeyError where its content is not all there."""
        raw = self.maps["pointers"].get(part)
        target = unpack_pointer("pointers", raw).at(epoch) if raw else None
        if target is None:
            return None
        nic, routes = struct.pack("<Q", target[0]), struct.pack("<IQI", 64, target[0], 0)
        assert self.maps["routes"][routes] == self.maps["nics"][nic]
        return self.maps["nics"][nic]


class FakeMap(dict[bytes, bytes]):
    def __init__(self, kernel: Kernel) -> None:
        super().__init__()
        self._kernel = kernel

    def dump(self) -> dict[bytes, bytes]:
        return dict(self)

    def update(self, entries: Mapping[bytes, bytes]) -> None:  # type: ignore[override]
        for key, value in entries.items():
            self[key] = value
            self._kernel.wrote()

    def remove(self, keys: Iterable[bytes]) -> None:
        for key in list(keys):
            self.pop(key, None)
            self._kernel.wrote()


PARTS = [struct.pack("<Q", number) for number in (1, 2, 3)]


def change_to(tables: Tables, state: tuple[int, ...]) -> Change:
    """Each part's content as a number, 0 for no part. A part's content id is of the part and the number."""
    change = Change()
    for part, number in zip(PARTS, state, strict=True):
        content = part[0] * 1000 + number
        entries = {
            "nics": {struct.pack("<Q", content): bytes([number])},
            "routes": {struct.pack("<IQI", 64, content, 0): bytes([number])},
        }
        target: Target | None = (content, 7) if number else None
        if target and not tables.holds(content, entries):
            change.tables[content] = entries
        if tables.target("pointers", part) != target:
            change.pointers["pointers"][part] = target
    return change


def view(kernel: Kernel, epoch: int) -> tuple[int, ...]:
    return tuple((kernel.sees(part, epoch) or b"\0")[0] for part in PARTS)


@pytest.fixture(autouse=True)
def no_waiting() -> Iterable[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "wait_for_packets", lambda: None)
        yield


states = st.tuples(*(st.integers(0, 2) for _ in PARTS))


@given(st.lists(states, max_size=8))
def test_a_packet_sees_the_state_before_or_after_and_nothing_else(history: list[tuple[int, ...]]) -> None:
    kernel = Kernel()
    tables = Tables(kernel.maps, kernel)  # type: ignore[arg-type]
    tables.load()
    current = (0, 0, 0)
    for state in history:
        seen = {view(kernel, kernel.value)}
        kernel.watch = lambda seen=seen: seen.add(view(kernel, kernel.value))
        tables.apply(change_to(tables, state))
        kernel.watch = lambda: None
        assert seen <= {current, state}
        assert view(kernel, kernel.value) == state
        current = state


@given(st.lists(st.tuples(states, st.integers(0, 12)), max_size=6))
def test_a_process_that_dies_anywhere_leaves_one_state_and_its_successor_goes_on(
    history: list[tuple[tuple[int, ...], int]],
) -> None:
    kernel = Kernel()
    current = (0, 0, 0)
    for state, writes in history:
        kernel.dies = writes
        try:
            tables = Tables(kernel.maps, kernel)  # type: ignore[arg-type]
            tables.load()
            tables.apply(change_to(tables, state))
        except Died:
            assert view(kernel, kernel.value) in (current, state)
        current = view(kernel, kernel.value)
    kernel.dies = -1
    tables = Tables(kernel.maps, kernel)  # type: ignore[arg-type]
    tables.load()
    tables.apply(change_to(tables, (1, 2, 0)))
    tables.apply(change_to(tables, (1, 2, 0)))  # the next change takes the rubbish away
    assert view(kernel, kernel.value) == (1, 2, 0)
    assert len(kernel.maps["nics"]) == len(kernel.maps["routes"]) == 2
    assert len(kernel.maps["pointers"]) == 2
    assert tables.drifted() == set()
    assert not any(tables.drifted_pointers().values())


@given(
    st.sampled_from(POINTER_MAPS),
    st.integers(0, 2**64 - 1),
    *(st.none() | st.integers(1, 2**64 - 1) for _ in range(2)),
)
def test_pointers_are_read_as_they_were_written(name: str, epoch: int, old: int | None, new: int | None) -> None:
    more = 0 if name == "places" else 5
    pointer = Pointer(epoch, (old, more) if old else None, (new, more) if new else None)
    key = bytes(range(4)) if name == "publics" else bytes(range(8)) if name == "pointers" else bytes(range(16))
    packed = pack_pointer(name, key, pointer)
    assert len(packed) == (48 if name == "pointers" else 40)
    assert packed[: min(len(key), 8)] == key[:8]
    assert unpack_pointer(name, packed) == pointer


def test_drift_names_the_content() -> None:
    kernel = Kernel()
    tables = Tables(kernel.maps, kernel)  # type: ignore[arg-type]
    tables.load()
    tables.apply(change_to(tables, (1, 1, 1)))
    kernel.maps["nics"].remove([struct.pack("<Q", 2001)])
    kernel.maps["pointers"].remove(PARTS[:1])
    assert tables.drifted() == {2001}
    assert tables.drifted_pointers()["pointers"] == {PARTS[0]}

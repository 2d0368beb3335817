"""What the kernel holds, mirrored, and one change of it: tables first, then pointers, then the one epoch that flips all.

A pointer is (old, new, epoch). Content that no pointer leads to any more is deleted by the change after next's start,
when no packet can still be reading it. Nothing here knows a World: only part ids, content ids and entries.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from azlan.engines.bpf.kernel import Map, Word, wait_for_packets
from azlan.engines.bpf.render import Entries

TABLE_MAPS = ("vnets", "tags", "routes", "rules", "sets", "nics", "nic_addresses")
POINTER_MAPS = ("pointers", "places", "publics")
_LPM = {"tags", "routes", "sets"}

Target = tuple[int, int]
"""What a pointer leads to. `pointers`: (content id, rest of the digest); `places`: (NIC's part id, 0); `publics`: (NIC's
part id, private address as a number). Its first is never 0: None stands for nothing."""

SETTLE_SECONDS = 0.05
"""No packet is in a program for so long."""


def content_of(name: str, key: bytes) -> int:
    """The content id in a table's key."""
    return int.from_bytes(key[4:12] if name in _LPM else key[:8], "little")


@dataclass(frozen=True, slots=True)
class Pointer:
    epoch: int
    old: Target | None
    new: Target | None

    def at(self, epoch: int) -> Target | None:
        return self.new if epoch >= self.epoch else self.old


def _pair(one: int, other: int) -> Target | None:
    return (one, other) if one else None


def pack_pointer(name: str, key: bytes, pointer: Pointer) -> bytes:
    """The value of a pointer as program/layout.h has it."""
    (old, old_more), (new, new_more) = pointer.old or (0, 0), pointer.new or (0, 0)
    own = int.from_bytes(key[:8] if name != "publics" else key, "little")
    head = struct.pack("<4Q", own, pointer.epoch, old, new)
    if name == "pointers":
        return head + struct.pack("<2Q", old_more, new_more)
    if name == "places":
        return head + key[8:16]
    return head + struct.pack("<2I", old_more, new_more)


def unpack_pointer(name: str, value: bytes) -> Pointer:
    _, epoch, old, new = struct.unpack_from("<4Q", value)
    if name == "pointers":
        old_more, new_more = struct.unpack_from("<2Q", value, 32)
    elif name == "publics":
        old_more, new_more = struct.unpack_from("<2I", value, 32)
    else:
        old_more = new_more = 0
    return Pointer(epoch, _pair(old, old_more), _pair(new, new_more))


@dataclass(slots=True)
class Change:
    """What one flip brings: table entries of new content, and where pointers are to lead (None: nowhere)."""

    tables: dict[int, Entries] = field(default_factory=dict)
    """Content id → all its entries."""
    pointers: dict[str, dict[bytes, Target | None]] = field(default_factory=lambda: {n: {} for n in POINTER_MAPS})


class Tables:
    """The mirror of the versioned maps. Every method may raise KernelError; the mirror then no longer holds: `load`."""

    def __init__(self, maps: Mapping[str, Map], epoch: Word) -> None:
        self._maps = maps
        self._epoch = epoch
        self.contents: dict[int, Entries] = {}
        self.pointers: dict[str, dict[bytes, Pointer]] = {}
        self._retired: dict[int, bytes | None] = {}
        """Content that was replaced → the one pointer that may lead to it, None where that is not known."""
        self._dead: dict[str, set[bytes]] = {}
        """Pointers that lead nowhere since a flip."""
        self._flipped = 0.0

    @property
    def epoch(self) -> int:
        return self._epoch.load()

    def load(self) -> None:
        """Read everything back. Pointers that a dead process prepared and never flipped are taken back."""
        self.contents, self.pointers = {}, {}
        for name in TABLE_MAPS:
            for key, value in self._maps[name].dump().items():
                entries = self.contents.setdefault(content_of(name, key), {})
                entries.setdefault(name, {})[key] = value
        now = self.epoch
        for name in POINTER_MAPS:
            held = {key: unpack_pointer(name, value) for key, value in self._maps[name].dump().items()}
            unfinished = {key: Pointer(0, p.old, p.old) for key, p in held.items() if p.epoch > now}
            self._maps[name].update({key: pack_pointer(name, key, p) for key, p in unfinished.items()})
            self.pointers[name] = held | unfinished
        used = {target[0] for target in self.in_force("pointers").values()}
        self._retired = dict.fromkeys(self.contents.keys() - used)
        self._dead = {n: {k for k, p in self.pointers[n].items() if p.at(now) is None} for n in POINTER_MAPS}
        self._flipped = time.monotonic()

    def in_force(self, name: str) -> dict[bytes, Target]:
        """Where a pointer map's keys lead now."""
        now = self.epoch
        return {key: target for key, pointer in self.pointers[name].items() if (target := pointer.at(now))}

    def target(self, name: str, key: bytes) -> Target | None:
        pointer = self.pointers[name].get(key)
        return pointer.at(self.epoch) if pointer else None

    def holds(self, content: int, entries: Entries) -> bool:
        """Whether exactly these entries stand under the content id."""
        held = self.contents.get(content)
        return held is not None and {n: e for n, e in held.items() if e} == {n: e for n, e in entries.items() if e}

    def apply(self, change: Change) -> None:
        """Bring all of a change into force at once."""
        if time.monotonic() - self._flipped < SETTLE_SECONDS:
            wait_for_packets()
        self._collect({target[0] for target in change.pointers["pointers"].values() if target})
        for name in TABLE_MAPS:
            self._write(name, change.tables)
        self.contents |= change.tables
        self._flip(change)

    def _write(self, name: str, tables: Mapping[int, Entries]) -> None:
        wanted: dict[bytes, bytes] = {}
        surplus: list[bytes] = []
        for content, entries in tables.items():
            held = self.contents.get(content, {}).get(name, {})
            fresh = entries.get(name, {})
            wanted.update((key, value) for key, value in fresh.items() if held.get(key) != value)
            surplus.extend(key for key in held if key not in fresh)
        self._maps[name].update(wanted)
        self._maps[name].remove(surplus)

    def _flip(self, change: Change) -> None:
        following = self.epoch + 1
        for name, targets in change.pointers.items():
            held = self.pointers[name]
            fresh = {key: Pointer(following, self.target(name, key), target) for key, target in targets.items()}
            self._maps[name].update({key: pack_pointer(name, key, pointer) for key, pointer in fresh.items()})
            held |= fresh
            self._dead[name] |= {key for key, pointer in fresh.items() if pointer.new is None}
            if name == "pointers":
                self._retired |= {p.old[0]: key for key, p in fresh.items() if p.old and p.old != p.new}
        self._epoch.store(following)
        self._flipped = time.monotonic()

    def _collect(self, spared: set[int]) -> None:
        """Delete pointers that lead nowhere and content that none leads to, but for what is about to be led to again."""
        for name, suspects in self._dead.items():
            dead = [key for key in suspects if self.target(name, key) is None]
            self._maps[name].remove(dead)
            for key in dead:
                self.pointers[name].pop(key, None)
            suspects.clear()
        retired = [content for content, key in self._retired.items() if not self._leads(key, content)]
        retired = [content for content in retired if content not in spared]
        for name in TABLE_MAPS:
            self._maps[name].remove(key for content in retired for key in self.contents.get(content, {}).get(name, ()))
        for content in retired:
            self.contents.pop(content, None)
        self._retired = {}

    def _leads(self, key: bytes | None, content: int) -> bool:
        """Whether a pointer leads to the content, again or still."""
        target = self.target("pointers", key) if key is not None else None
        return target is not None and target[0] == content

    def drifted(self) -> set[int]:
        """Content ids whose entries in the kernel are not those of the mirror; read back, nothing changed."""
        found: dict[int, Entries] = {}
        for name in TABLE_MAPS:
            for key, value in self._maps[name].dump().items():
                found.setdefault(content_of(name, key), {}).setdefault(name, {})[key] = value
        return {
            content
            for content in self.contents.keys() | found.keys()
            if not self.holds(content, found.get(content, {}))
        }

    def drifted_pointers(self) -> dict[str, set[bytes]]:
        """Keys of pointer maps that in the kernel lead elsewhere than in the mirror."""
        now = self.epoch
        result = {}
        for name in POINTER_MAPS:
            found = {key: unpack_pointer(name, value).at(now) for key, value in self._maps[name].dump().items()}
            mirror = {key: pointer.at(now) for key, pointer in self.pointers[name].items()}
            result[name] = {key for key in found.keys() | mirror.keys() if found.get(key) != mirror.get(key)}
        return result

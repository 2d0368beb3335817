"""The reviewed differences: `reviewed.toml`, each an exact selector, with its reason and its evidence.

A selector is call numbers of recordings, a kind, paths, and patterns of what was recorded and of what we answer. None may be
of status, code or state.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from parity.recordings.comparing import Difference

LIST = Path(__file__).with_name("reviewed.toml")
NEVER = frozenset({"status", "code", "state"})


@dataclass(frozen=True)
class Reviewed:
    """One difference that stands."""

    title: str
    kind: str
    paths: frozenset[str]
    recorded: re.Pattern[str]
    ours: re.Pattern[str]
    calls: dict[str, tuple[int, ...]]
    """`azure-mgmt-network-23.1.0/recording.json` → numbers of calls."""
    reason: str
    evidence: str

    def selects(self) -> set[tuple[str, int, str, str]]:
        """(recording, call, kind, path) of every difference that it explains."""
        numbered = ((recording, number) for recording, numbers in self.calls.items() for number in numbers)
        return {(*call, self.kind, path) for call in numbered for path in self.paths}

    def fits(self, difference: Difference) -> bool:
        """Whether a difference that it selects is the one that was reviewed."""
        return bool(self.recorded.fullmatch(difference.recorded) and self.ours.fullmatch(difference.ours))


@cache
def reviewed() -> tuple[Reviewed, ...]:
    """The whole list."""
    entries = tomllib.loads(LIST.read_text())["difference"]
    return tuple(
        Reviewed(
            title=entry["title"],
            kind=entry["kind"],
            paths=frozenset(entry["paths"]),
            recorded=re.compile(entry.get("recorded", "absent")),
            ours=re.compile(entry.get("ours", "absent")),
            calls={recording: tuple(numbers) for recording, numbers in entry["calls"].items()},
            reason=entry["reason"].strip(),
            evidence=entry["evidence"].strip(),
        )
        for entry in entries
    )


def unexplained(recording: str, found: Iterable[tuple[int, Difference]]) -> tuple[list[str], list[str]]:
    """(differences that are not in the list, selectors of the list that match nothing) of a recording."""
    listed = {chosen: entry for entry in reviewed() for chosen in entry.selects() if chosen[0] == recording}
    unused, left = set(listed), []
    for number, difference in found:
        chosen = (recording, number, difference.kind, difference.path)
        if chosen in listed and listed[chosen].fits(difference):
            unused.discard(chosen)
        else:
            left.append(f"call {number}: {difference}")
    idle = [
        f"call {number}: {kind} {path} ({listed[chosen].title})"
        for chosen in sorted(unused)
        for _, number, kind, path in [chosen]
    ]
    return left, idle


def doubled() -> list[tuple[str, int, str, str]]:
    """Selectors that stand in the list more than once."""
    counted = Counter(chosen for entry in reviewed() for chosen in entry.selects())
    return [chosen for chosen, count in counted.items() if count > 1]

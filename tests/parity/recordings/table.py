"""What came of the recordings, counted: `counts.json`, and the tables of docs/design/parity.md.

`PYTHONPATH=tests python -m parity.recordings.table` plays all of them against a cloud of its own and writes both anew.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from azlan.arm.registry import Registry
from parity.recordings.obtain import archives, packages, recordings
from parity.recordings.reading import read
from parity.recordings.replay import Played, play, signed_in
from parity.recordings.reviewed import Reviewed, reviewed
from parity.recordings.scope import REASONS
from served import served

COUNTS = Path(__file__).with_name("counts.json")
PAGE = Path(__file__).parents[3] / "docs" / "design" / "parity.md"
BEGIN, END = "<!-- recordings: written by tests/parity/recordings/table.py -->", "<!-- end of recordings -->"

Counts = Mapping[str, int]


def count(played: Iterable[Played]) -> dict[str, int]:
    """Of one recording: calls, in scope, equal, explained (of which this knows only that they differ), out by reason."""
    found: Counter[str] = Counter()
    for one in played:
        found["calls"] += 1
        if one.judged.reason is not None:
            found[one.judged.reason] += 1
        else:
            found["scope"] += 1
            found["explained" if one.differences else "equal"] += 1
    return {name: number for name, number in sorted(found.items()) if number}


def counts() -> dict[str, Counts]:
    """By recording: `azure-mgmt-network-23.1.0/recording.json`."""
    found: dict[str, Counts] = json.loads(COUNTS.read_text())
    return found


def tables(by_recording: Mapping[str, Counts]) -> str:
    """What stands between the marks of the page."""
    rows, total = [], Counter[str]()
    for package in packages():
        summed = Counter[str]()
        for recording, numbers in by_recording.items():
            if recording.startswith(f"{package}/"):
                summed.update(numbers)
        total.update(summed)
        rows.append(_row(package, summed))
    rows.append(_row("together", total))
    head = ["| package | calls recorded | in scope | equal | explained | explained, % |", "|---|---|---|---|---|---|"]
    left = ["| out of scope, because | calls |", "|---|---|"]
    left += [f"| {words} | {total[reason]} |" for reason, words in REASONS.items()]
    listed = ["| explained difference | calls | why | evidence |", "|---|---|---|---|"]
    listed += [_explained(entry) for entry in reviewed()]
    return "\n".join([BEGIN, "", *head, *rows, "", *left, "", *listed, "", END])


def _row(name: str, numbers: Counts) -> str:
    scope, explained = numbers.get("scope", 0), numbers.get("explained", 0)
    share = f"{100 * explained / scope:.1f}" if scope else "–"
    return f"| {name} | {numbers.get('calls', 0)} | {scope} | {numbers.get('equal', 0)} | {explained} | {share} |"


def _explained(entry: Reviewed) -> str:
    number = sum(len(numbers) for numbers in entry.calls.values())
    return f"| {entry.title} | {number} | {_line(entry.reason)} | {_line(entry.evidence)} |"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def between(page: str) -> str:
    """The part of a page that this writes. Raises ValueError where its marks are not there."""
    return page[page.index(BEGIN) : page.index(END) + len(END)]


def main() -> None:
    registry = Registry.discover()
    found: dict[str, Counts] = {}
    with served() as cloud, signed_in(cloud) as client:
        for package, archive in archives().items():
            for name, content in recordings(archive):
                found[f"{package}/{name}"] = count(play(client, registry, read(name, content)))
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(numbers)}" for name, numbers in found.items())
    COUNTS.write_text(f"{{\n{lines}\n}}\n")
    page = PAGE.read_text()
    PAGE.write_text(page.replace(between(page), tables(found)))


if __name__ == "__main__":
    main()

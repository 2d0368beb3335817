"""What a benchmark yields: figures with their spread, the aims they are held against, and the table and JSON of them."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Aim:
    """A bound on the median of a figure."""

    bound: float
    least: bool = False
    """The figure is to be at least the bound, not at most."""

    def met(self, value: float) -> bool:
        return value >= self.bound if self.least else value <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.least else '≤'} {self.bound:g}"


@dataclass(frozen=True)
class Figure:
    """Values of one thing measured several times."""

    name: str
    unit: str
    values: tuple[float, ...]
    aim: Aim | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles; with fewer than four values the least and the greatest."""
        if len(self.values) < 4:
            return min(self.values), max(self.values)
        low, _, high = statistics.quantiles(self.values, n=4)
        return low, high

    def document(self) -> dict[str, Any]:
        low, high = self.spread
        document: dict[str, Any] = {"name": self.name, "unit": self.unit, "median": self.median}
        document |= {"spread": [low, high], "values": list(self.values)}
        if self.aim is not None:
            document |= {"aim": str(self.aim), "met": self.aim.met(self.median)}
        return document


@dataclass
class Result:
    """The figures of one benchmark."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, unit: str, values: Iterable[float], aim: Aim | None = None) -> None:
        self.figures.append(Figure(name, unit, tuple(values), aim))

    def ratio(self, name: str, of: Iterable[float], over: Iterable[float], aim: Aim | None = None) -> None:
        """Round by round, so that what slowed a whole round slows neither side alone."""
        self.add(name, "×", [one / other for one, other in zip(of, over, strict=True)], aim)


def rounds(count: int, subjects: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Measure each subject once a round; who goes first changes from round to round."""
    measured: dict[str, list[float]] = {name: [] for name in subjects}
    names = list(subjects)
    for number in range(count):
        at = number % len(names)
        for name in (*names[at:], *names[:at]):
            measured[name].append(subjects[name]())
    return measured


def quantile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def show(result: Result, console: Console) -> None:
    """The figures as a table."""
    table = Table(title=result.name, title_justify="left", title_style="bold")
    for name, justify in (("", "left"), ("median", "right"), ("spread", "right"), ("n", "right"), ("aim", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for figure in result.figures:
        low, high = figure.spread
        aim = ""
        if figure.aim is not None:
            met = figure.aim.met(figure.median)
            aim = f"{figure.aim} [{'green]met' if met else 'red]missed'}[/]"
        table.add_row(
            figure.name,
            f"{_short(figure.median)} {figure.unit}",
            f"{_short(low)} – {_short(high)}",
            str(len(figure.values)),
            aim,
        )
    console.print(table)
    for note in result.notes:
        console.print(f"  {note}", style="dim", markup=False)


def _short(value: float) -> str:
    if value == 0:
        return "0"
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3
    return f"{value:,.{digits}f}"


def write(results: Iterable[Result], path: Path, seconds: float) -> None:
    """All figures with every value, and what they were measured on."""
    document = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "processors": _processors(),
        "benchmarks": [
            {"name": result.name, "figures": [f.document() for f in result.figures], "notes": result.notes}
            for result in results
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _processors() -> list[str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]

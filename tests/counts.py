"""How often a test that repeats something does so: seldom in `make test`, in full in `make soak` (AZLAN_SOAK=1).

Full counts also print what they measured at the end of the run (`conftest.py` here).
"""

from __future__ import annotations

import os
import random

FULL = os.environ.get("AZLAN_SOAK", "0") not in ("", "0")

SEED = int(os.environ.setdefault("AZLAN_SEED", str(random.randrange(1 << 31) if FULL else 1)))
"""Of random worlds: each run says which it had, and `AZLAN_SEED` set to it makes the same ones again."""

figures: list[str] = []
"""What this run measured, a line each."""


def times(few: int, full: int) -> int:
    return full if FULL else few


def spread(what: str, values: list[float], unit: str = "ms", scale: float = 1000.0) -> str:
    """Note the median, the 95th percentile and the most of what was measured in seconds; the line noted."""
    ordered = sorted(value * scale for value in values)
    at = [ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.95)]
    line = f"{what}: n={len(ordered)} median={at[0]:.1f} p95={at[1]:.1f} max={ordered[-1]:.1f} {unit}"
    figures.append(line)
    return line

"""`python -m bench [NAME …] [--quick] [--json FILE]`: run the benchmarks, show their figures, keep them as JSON."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from pathlib import Path

from rich.console import Console

from bench.clouds import lab
from bench.figures import Result, show, write

BENCHMARKS = {
    "packets": "RTT, TCP, UDP, connections/s: peered, same subnet, bare veth pair",
    "rules": "the cost of 0, 100 and 1,000 rules",
    "apply": "one peering and one rule applied with 10, 1,000 and 5,000 NICs",
    "start": "`azlan up` to its first answer, with 0 and 10,000 resources",
    "api": "GET, PUT and lists beside a bare application",
    "machines": "a machine's PUT to its SSH banner, and memory",
    "portal": "lists of 2,000 resources in a browser beside an empty cloud's",
    "tutorial": "CPU of Azlan over that of az",
}
PRIVILEGED = ("packets", "rules", "apply", "machines", "tutorial")


def main() -> int:
    names = "\n".join(f"  {name:10} {what}" for name, what in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench", epilog=f"benchmarks:\n{names}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run; all where none is named")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller sizes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every value in FILE")
    given = parser.parse_args()
    names = given.names or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}")
    if os.geteuid() != 0 and (needing := [name for name in names if name in PRIVILEGED]):
        parser.error(f"these need root: {', '.join(needing)}")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    results: list[Result] = []
    began = time.monotonic()
    with lab() as clouds:
        for name in names:
            at = time.monotonic()
            result: Result = importlib.import_module(f"bench.{name}").run(clouds, given.quick)
            result.notes.append(f"{time.monotonic() - at:.0f} s.")
            results.append(result)
            show(result, console)
            if given.json is not None:
                write(results, given.json, time.monotonic() - began)
    missed = [f for result in results for f in result.figures if f.aim and not f.aim.met(f.median)]
    console.print(f"{len(missed)} aims missed." if missed else "Every aim is met.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The tutorial with the real az: CPU-seconds of Azlan's own processes over those of az. Machines' own work is not in it.

python -m bench.tutorial STATE FOLDER     runs the tutorial and prints its CPU-seconds as JSON
"""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from bench.clouds import Cloud, Lab
from bench.figures import Aim, Result
from bench.network import python

TICKS = os.sysconf("SC_CLK_TCK")


def run(lab: Lab, quick: bool) -> Result:
    result = Result("Tutorial")
    measured: dict[str, list[float]] = {}
    for _ in range(1 if quick else 3):
        for name, value in _once(lab.cloud()).items():
            measured.setdefault(name, []).append(value)
    az = measured.pop("az")
    result.add("az and its shell", "CPU s", az)
    for name, values in measured.items():
        if name != "wall clock":
            result.add(name, "CPU s", values)
    processes = [sum(turn) for turn in zip(*(measured[name] for name in ROLES), strict=True)]
    result.ratio("the three processes over az", processes, az, Aim(0.1))
    result.add("the tutorial", "s", measured["wall clock"])
    result.notes.append(
        "From a cloud that is up to the last ping, az's log-in included. What the fabric process starts to make "
        "machines (mounts, crun) counts as their boot, in a line of its own."
    )
    return result


ROLES = ("control process", "fabric process", "supervisor")


def _once(cloud: Cloud) -> dict[str, float]:
    pids = cloud.pids()
    names = {"control": ROLES[0], "fabric": ROLES[1], "supervisor": ROLES[2]}
    before = {role: _used(pid) for role, pid in pids.items()}
    began = time.perf_counter()
    folder = cloud.state.parent / "az"
    done = subprocess.run(
        python("bench.tutorial", str(cloud.state), str(folder)), capture_output=True, text=True, timeout=900
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-3000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    found["wall clock"] = time.perf_counter() - began
    for role, pid in pids.items():
        own, children = _used(pid)
        found[names[role]] = own - before[role][0]
        if role == "fabric":
            found["what the fabric process started, and waited for"] = children - before[role][1]
    return found


def _used(pid: int) -> tuple[float, float]:
    """CPU-seconds of a process, and of its children that have ended."""
    text = Path(f"/proc/{pid}/stat").read_text()
    fields = text[text.rindex(")") + 2 :].split()
    own, children = sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
    return own / TICKS, children / TICKS


def _main(state: str, folder: str) -> None:
    from azlan.commands import tutorial
    from azlan.config import load

    tutorial.run(load(Path(state) / "config.json"), folder=Path(folder), out=io.StringIO())
    used = {}
    for name, who in (("az", resource.RUSAGE_CHILDREN), ("the `azlan tutorial` command", resource.RUSAGE_SELF)):
        found = resource.getrusage(who)
        used[name] = found.ru_utime + found.ru_stime
    print(json.dumps(used))


if __name__ == "__main__":
    _main(*sys.argv[1:])

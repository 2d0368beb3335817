"""`azlan up` to the first answer of the API: an empty cloud, and one that holds 10,000 resources."""

from __future__ import annotations

import http.client
import threading
import time

from bench.clouds import Cloud, Lab, timed
from bench.figures import Result, rounds


def run(lab: Lab, quick: bool) -> Result:
    sizes = (0, 1_000) if quick else (0, 10_000)
    result = Result("Start")
    clouds = {str(size): lab.filled(size)[0] for size in sizes}
    commands: dict[str, list[float]] = {name: [] for name in clouds}
    subjects = {name: lambda name=name: _start(clouds[name], commands[name]) for name in clouds}
    answered = rounds(3 if quick else 5, subjects)
    for name in clouds:
        result.add(f"to the first answer, {int(name):,} resources", "s", answered[name])
        result.add(f"    until `azlan up -d` returns, {int(name):,} resources", "s", commands[name])
    few, many = answered.values()
    result.ratio("    many over none", many, few)
    result.notes.append("The model engine; from the start of the command, Python's own start included.")
    return result


def _start(cloud: Cloud, commands: list[float]) -> float:
    """Stop it, start it, and ask until it answers."""
    cloud.azlan("down")
    command = threading.Thread(target=lambda: commands.append(timed(cloud.up)))
    began = time.perf_counter()
    command.start()
    context = cloud.context
    while True:
        try:
            asked = http.client.HTTPSConnection("localhost", cloud.port, timeout=60, context=context)
            asked.request("GET", "/metadata/endpoints?api-version=2022-09-01")
            if asked.getresponse().status == 200:
                break
        except OSError:
            time.sleep(0.01)
        finally:
            asked.close()
    answered = time.perf_counter() - began
    command.join()
    return answered

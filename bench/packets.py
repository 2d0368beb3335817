"""Packets between peered VNets, within a subnet and over a bare veth pair, turn by turn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from bench import traffic
from bench.clouds import Lab
from bench.figures import Aim, Result, rounds
from bench.network import Guest, Network, Wired, wired

PATHS = ("peered", "same subnet", "veth pair")


def run(_: Lab, quick: bool) -> Result:
    count, seconds = (3, 0.5) if quick else (9, 1.0)
    result = Result("Packets")
    network = Network()
    network.vnet("a", "10.0.0.0/16")
    network.vnet("b", "10.1.0.0/16")
    network.half("a", "b", "10.1.0.0/16")
    network.half("b", "a", "10.0.0.0/16")
    nics = [network.nic("a1", "a", "10.0.0.4", 1), network.nic("a2", "a", "10.0.0.5", 2)]
    nics.append(network.nic("b1", "b", "10.1.0.4", 3))
    with wired(network) as fabric, ExitStack() as stack:
        ends = _ends(fabric, nics)
        for _, target in ends.values():
            stack.enter_context(target.serving(*traffic.IPERF, ready="listening"))
            stack.enter_context(target.serving(*traffic.SERVE, ready="listening"))
        _measure(result, ends, count, seconds)
    result.notes.append(
        "RTT by ping -A, the shorter nine tenths; TCP one stream and UDP 16-byte datagrams by iperf3; connections one "
        "after the other from Python, whose own work is in them."
    )
    return result


def _ends(fabric: Wired, nics: list[str]) -> dict[str, tuple[Guest, Guest]]:
    world = fabric.network.compile(fabric.network.facts())
    fabric.apply(world)
    a1, a2, b1 = (fabric.plug(world, nic) for nic in nics)
    return {"peered": (a1, b1), "same subnet": (a1, a2), "veth pair": fabric.pair()}


def _measure(result: Result, ends: dict[str, tuple[Guest, Guest]], count: int, seconds: float) -> None:
    least: dict[str, list[float]] = {path: [] for path in PATHS}

    def mean_rtt(path: str) -> float:
        shortest, mean = traffic.rtt(*ends[path], int(1500 * seconds))
        least[path].append(shortest)
        return mean

    # Many short turns of what takes microseconds: others at work on this computer slow some of them, not all.
    kinds: tuple[tuple[str, str, int, Callable[[str], float], Aim | None], ...] = (
        ("RTT, mean", "µs", 4 * count, mean_rtt, Aim(1.2)),
        ("TCP", "Gbit/s", count, lambda path: traffic.tcp(*ends[path], seconds), Aim(0.9, least=True)),
        ("UDP", "kpps", count, lambda path: traffic.udp(*ends[path], seconds), None),
        ("connections", "/s", count, lambda path: traffic.connections(*ends[path], seconds), None),
    )
    for name, unit, turns, measure, aim in kinds:
        found = rounds(turns, {path: lambda path=path, measure=measure: measure(path) for path in PATHS})
        for path in PATHS:
            result.add(f"{name}, {path}", unit, found[path])
        result.ratio("    peered over same subnet", found["peered"], found["same subnet"])
        result.ratio("    peered over veth pair", found["peered"], found["veth pair"], aim)
        if name.startswith("RTT"):
            for path in PATHS:
                result.add(f"RTT, least, {path}", unit, least[path])
            result.ratio("    peered over veth pair", least["peered"], least["veth pair"])

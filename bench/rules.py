"""What rules cost: 0, 100 and 1,000 that do not match before the one that does, at the NICs of both ends and both ways.

Rules are asked where a flow begins: connections pay, running flows do not.
"""

from __future__ import annotations

from contextlib import ExitStack

from bench import traffic
from bench.clouds import Lab
from bench.figures import Result, rounds
from bench.network import Guest, Network, rule, wired

COUNTS = (0, 100, 1000)


def run(_: Lab, quick: bool) -> Result:
    count, seconds = (3, 0.5) if quick else (9, 1.0)
    result = Result("Rules")
    network = Network()
    network.vnet("a", "10.0.0.0/16")
    nics: dict[int, tuple[str, str]] = {}
    for number, rules in enumerate(COUNTS):
        _group(network, rules)
        pair = [
            network.nic(f"n{rules}-{end}", "a", f"10.0.{number}.{4 + end}", 10 * number + end, group=f"g{rules}")
            for end in (0, 1)
        ]
        nics[rules] = pair[0], pair[1]
    with wired(network) as fabric, ExitStack() as stack:
        world = network.compile(network.facts())
        fabric.apply(world)
        ends = {rules: (fabric.plug(world, one), fabric.plug(world, other)) for rules, (one, other) in nics.items()}
        for _, target in ends.values():
            stack.enter_context(target.serving(*traffic.SERVE, ready="listening"))
        _measure(result, ends, count, seconds)
    return result


def _group(network: Network, rules: int) -> None:
    """Every rule names a port nobody uses; the last allows everything."""
    declared = []
    for direction in ("Inbound", "Outbound"):
        for number in range(rules):
            port = 20_000 + number
            declared.append(rule(f"r{number}", 100 + number, direction, False, destination_ports=((port, port),)))
        declared.append(rule("all", 4096, direction, True, protocol="*"))
    network.group(f"g{rules}", tuple(declared))


def _measure(result: Result, ends: dict[int, tuple[Guest, Guest]], count: int, seconds: float) -> None:
    made = rounds(
        count, {str(n): lambda n=n: 1e6 / traffic.connections(*ends[n], seconds) for n in COUNTS}
    )  # fmt: skip
    trips = rounds(count, {str(n): lambda n=n: traffic.rtt(*ends[n], int(4000 * seconds))[1] for n in COUNTS})
    for name, found in (("a connection", made), ("RTT of a running flow", trips)):
        for rules in COUNTS:
            result.add(f"{name}, {rules:,} rules a gate and direction", "µs", found[str(rules)])
        for rules in COUNTS[1:]:
            result.ratio(f"    {rules:,} over 0", found[str(rules)], found["0"])
    extra = [(more - less) / COUNTS[-1] / 2 * 1000 for more, less in zip(made["1000"], made["0"], strict=True)]
    result.add("a rule looked at", "ns", extra)
    result.notes.append("A connection passes the NIC gate of the sender and that of the receiver: twice the rules.")

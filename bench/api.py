"""The API: GET, PUT and lists at 10, 1,000 and 10,000 resources, one client and eight, beside a bare application.

control process (10)   control process (1,000)   control process (10,000)   bare Starlette + SQLite, the same sizes
        ╰──────────────────────── asked turn by turn, over TLS, connections open ────────────────────────╯
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from bench.clouds import Arm, Client, Cloud, Lab, free_port, polled, processor_seconds, vnet, vnet_id
from bench.figures import Aim, Result, quantile, rounds

SIZES = (10, 1_000, 10_000)
VERBS = ("GET", "PUT", "list a group", "list a page of all")
Send = Callable[[Client, int], float]
"""One request; the seconds it took."""
POLL_SECONDS = 0.01
SETTLE_SECONDS = 0.1
"""After a turn: what its last requests began belongs to what they cost."""


def run(lab: Lab, quick: bool) -> Result:
    """`quick`: 10 and 1,000 resources and few rounds."""
    sizes = SIZES[:2] if quick else SIZES
    result = Result("API")
    clouds = {size: lab.filled(size) for size in sizes}
    with ExitStack() as stack:
        bare = stack.enter_context(_Bare(clouds[sizes[0]][0], sizes))
        for clients in (1, 8):
            _measure(result, clouds, bare, clients, 5 if quick else 9)
    result.notes.append(
        "Seconds from the first byte sent to the last received; PUT replaces a VNet (its answer comes when it is durable, "
        "as the bare application's does). A list of all is its first page of 1,000. Processor time is the server process's for "
        "each request; that of a PUT has in it what its operation and the polls for it cost."
    )
    return result


class _Bare:
    """The bare application in a process of its own, with the certificate of a cloud."""

    def __init__(self, cloud: Cloud, sizes: tuple[int, ...]) -> None:
        self.port = free_port()
        self._cloud = cloud
        self._folder = tempfile.TemporaryDirectory(prefix="azlan-bench-")
        control = cloud.config.control
        pems = str(control / "server.pem"), str(control / "server.key")
        arguments = [self._folder.name, str(self.port), *pems, *map(str, sizes)]
        self._process = subprocess.Popen([sys.executable, "-m", "bench.bare", *arguments])

    def __enter__(self) -> _Bare:
        deadline = time.monotonic() + 60
        while True:
            try:
                self.client().close()
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.05)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        return self._process.pid

    def client(self) -> Client:
        return Client(self.port, self._cloud.context)


def _measure(result: Result, clouds: dict[int, tuple[Cloud, Arm]], bare: _Bare, clients: int, count: int) -> None:
    pids = {size: cloud.pids()["control"] for size, (cloud, _) in clouds.items()}
    for verb in VERBS:
        requests = 10 if "page" in verb else 40 if clients == 1 else 15
        samples: dict[str, list[list[float]]] = {}
        spent: dict[str, list[float]] = {}
        subjects: dict[str, Callable[[], float]] = {}
        opened: list[Client] = []
        for size, (_, arm) in clouds.items():
            for name, pid, connect, send in (
                (f"azlan {size}", pids[size], lambda arm=arm: arm.again().client, _azlan(verb, arm, size)),
                (f"bare {size}", bare.pid, bare.client, _bare(verb, size)),
            ):
                held = [connect() for _ in range(clients)]
                opened += held
                samples[name], spent[name] = [], []
                subjects[name] = _metered(
                    _subject(held, send, requests, samples[name]), pid, requests * clients, spent[name]
                )
        for subject in subjects.values():
            subject()  # warm
        for kept in (*samples.values(), *spent.values()):
            kept.clear()
        rounds(count, subjects)
        for client in opened:
            client.close()
        _report(result, verb, clients, list(clouds), samples, spent)


def _metered(turn: Callable[[], float], pid: int, requests: int, spent: list[float]) -> Callable[[], float]:
    """The turn; what the server spent on each of its requests is kept, too."""

    def metered() -> float:
        before = processor_seconds(pid)
        value = turn()
        time.sleep(SETTLE_SECONDS)
        spent.append((processor_seconds(pid) - before) / requests)
        return value

    return metered


def _subject(held: list[Client], send: Send, requests: int, kept: list[list[float]]) -> Callable[[], float]:
    """One turn: every client sends its requests, all at once; the times of all are kept."""
    numbers = itertools.count()

    def one(client: Client) -> list[float]:
        times = []
        client.ready()
        for _ in range(requests):
            times.append(send(client, next(numbers)))
        return times

    def turn() -> float:
        if len(held) == 1:
            times = one(held[0])
        else:
            with ThreadPoolExecutor(len(held)) as pool:
                times = [value for found in pool.map(one, held) for value in found]
        kept.append(times)
        return quantile(times, 0.5)

    return turn


def _azlan(verb: str, arm: Arm, size: int) -> Send:
    vnets = "Microsoft.Network/virtualNetworks"
    if verb == "GET":
        return lambda client, number: _took(client, "GET", arm.target(vnet_id(arm, number * 7 % size)))[0]
    if verb == "PUT":

        def put(client: Client, number: int) -> float:
            """What is timed is the PUT; like every client, this one waits for the operation before it goes on."""
            target = arm.target(vnet_id(arm, number * 7 % size))
            seconds, head = _took(client, "PUT", target, _changed(number * 7 % size))
            poll = polled(head)
            while poll is not None and b'"InProgress"' in client.send("GET", poll)[2]:
                time.sleep(POLL_SECONDS)
            return seconds

        return put
    if verb == "list a group":
        groups = size // 10
        return lambda client, number: _took(client, "GET", arm.target(arm.id(f"group-{number % groups}", vnets)))[0]
    everything = arm.target(f"/subscriptions/{arm.subscription}/providers/{vnets}")
    return lambda client, _: _took(client, "GET", everything)[0]


def _bare(verb: str, size: int) -> Send:
    if verb == "GET":
        return lambda client, number: _took(client, "GET", f"/{size}/vnet-{number * 7 % size}")[0]
    if verb == "PUT":
        return lambda client, number: _took(
            client, "PUT", f"/{size}/vnet-{number * 7 % size}", _changed(number * 7 % size)
        )[0]
    if verb == "list a group":
        return lambda client, number: _took(client, "GET", f"/{size}?group=group-{number % (size // 10)}")[0]
    return lambda client, _: _took(client, "GET", f"/{size}")[0]


def _changed(number: int) -> bytes:
    """A VNet with a tag that it did not have."""
    return json.dumps(vnet(number) | {"tags": {"turn": str(time.time_ns())}}).encode()


def _took(client: Client, method: str, target: str, body: bytes = b"") -> tuple[float, bytes]:
    """(seconds, header lines)."""
    began = time.perf_counter()
    status, head, answer = client.send(method, target, body)
    seconds = time.perf_counter() - began
    if status >= 300:
        raise RuntimeError(f"{status} {answer[:300].decode()}")
    return seconds, head


def _report(
    result: Result,
    verb: str,
    clients: int,
    sizes: list[int],
    samples: dict[str, list[list[float]]],
    spent: dict[str, list[float]],
) -> None:
    who = "one client" if clients == 1 else f"{clients} clients"
    p50 = {name: [quantile(times, 0.5) * 1000 for times in kept] for name, kept in samples.items()}
    p95 = {name: [quantile(times, 0.95) * 1000 for times in kept] for name, kept in samples.items()}
    for size in sizes:
        result.add(f"{verb}, {who}, {size:,} resources: p50", "ms", p50[f"azlan {size}"])
        result.add("    p95", "ms", p95[f"azlan {size}"])
        aim = Aim(2.0) if verb == "PUT" else None
        result.ratio("    p50 over the bare application's", p50[f"azlan {size}"], p50[f"bare {size}"], aim)
        result.add("    processor time", "ms", [1000 * seconds for seconds in spent[f"azlan {size}"]])
        result.ratio("    processor time over the bare application's", spent[f"azlan {size}"], spent[f"bare {size}"])
    if verb == "list a page of all":
        return
    first = sizes[0]
    for size in sizes[1:]:
        aim = Aim(1.1) if size == 10_000 else None
        result.ratio(f"    p50 at {size:,} over at {first}", p50[f"azlan {size}"], p50[f"azlan {first}"], aim)
        result.ratio(f"    processor time at {size:,} over at {first}", spent[f"azlan {size}"], spent[f"azlan {first}"])

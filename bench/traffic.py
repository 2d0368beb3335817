"""What is sent from guest to guest: ping, iperf3, and connections one after the other.

python -m bench.traffic serve | connect ADDRESS SECONDS     the two ends of the latter
"""

from __future__ import annotations

import json
import re
import socket
import struct
import sys
import time

from bench.network import Guest, python

CONNECT_PORT = 7001
IPERF = ("iperf3", "--server", "--forceflush")
_RST = struct.pack("ii", 1, 0)


def rtt(source: Guest, target: Guest, count: int) -> tuple[float, float]:
    """(least, mean of the shorter nine tenths) microseconds of a round trip, each ping sent when the one before was
    answered. Single times are whole microseconds, cut at both ends alike, so that their mean is finer than that."""
    out = source.run("ping", "-n", "-A", "-i", "0.0001", "-c", str(count), target.address)
    times = sorted(float(found) * 1000 for found in re.findall(r"time=([\d.]+) ms", out))
    if len(times) < count / 2:
        raise RuntimeError(out[-500:])
    usual = times[: len(times) * 9 // 10]
    return times[0], sum(usual) / len(usual)


def tcp(source: Guest, target: Guest, seconds: float) -> float:
    """Gbit/s of one stream, as received, over whole seconds. The target runs IPERF."""
    return _iperf(source, target, seconds)["sum_received"]["bits_per_second"] / 1e9


def udp(source: Guest, target: Guest, seconds: float) -> float:
    """Thousands of 16-byte datagrams a second that arrived."""
    found = _iperf(source, target, seconds, "--udp", "--bitrate", "0", "--length", "16")["sum"]
    return (found["packets"] - found["lost_packets"]) / found["seconds"] / 1000


def _iperf(source: Guest, target: Guest, seconds: float, *more: str) -> dict[str, dict[str, float]]:
    command = ("iperf3", "--json", "--client", target.address, "--time", str(max(1, round(seconds))), *more)
    return dict(json.loads(source.run(*command))["end"])


def connections(source: Guest, target: Guest, seconds: float) -> float:
    """TCP connections made and reset a second, one after the other. The target runs `SERVE`."""
    return float(source.run(*python("bench.traffic", "connect", target.address, str(seconds))))


SERVE = python("bench.traffic", "serve")


def _serve() -> None:
    listening = socket.create_server(("0.0.0.0", CONNECT_PORT), backlog=1024)
    print("listening", flush=True)
    while True:
        listening.accept()[0].close()


def _connect(address: str, seconds: float) -> None:
    made, began = 0, time.perf_counter()
    while (now := time.perf_counter()) - began < seconds:
        with socket.socket() as own:
            own.connect((address, CONNECT_PORT))
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        made += 1
    print(made / (now - began))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve()
    else:
        _connect(sys.argv[2], float(sys.argv[3]))

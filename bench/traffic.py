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
    """(least, mean) microseconds of a round trip, each ping sent when the one before was answered."""
    out = source.run("ping", "-n", "-q", "-A", "-i", "0.0001", "-c", str(count), target.address)
    found = re.search(r"= ([\d.]+)/([\d.]+)/", out)
    if found is None:
        raise RuntimeError(out)
    return float(found[1]) * 1000, float(found[2]) * 1000


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

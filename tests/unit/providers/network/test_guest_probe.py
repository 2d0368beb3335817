"""The program that a guest runs: what it prints of a port that answers, one that does not, and a name nobody knows."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from azlan.providers.network import guest_probe
from azlan.providers.network.watcher_probes import host_and_port


def probe(**request: Any) -> dict[str, Any]:
    given = {"protocol": "Tcp", "host": "127.0.0.1", "source_port": 0, "url": "", "headers": {}, "statuses": []}
    text = base64.b64encode(json.dumps({**given, **request}).encode()).decode()
    done = subprocess.run(
        [sys.executable, guest_probe.__file__, text], capture_output=True, text=True, check=True, timeout=60
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


class Teapot(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(418)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def teapot() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Teapot)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_port_that_answers(teapot: int) -> None:
    found = probe(port=teapot)
    assert (found["address"], found["sent"], found["failed"]) == ("127.0.0.1", 10, 0)
    assert len(found["milliseconds"]) == 10


def test_a_port_that_is_closed() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        found = probe(port=taken.getsockname()[1])
    assert (found["sent"], found["failed"], found["milliseconds"]) == (3, 3, [])
    assert "refused" in found["reason"]


def test_statuses_that_are_wanted(teapot: int) -> None:
    url = f"http://127.0.0.1:{teapot}/tea"
    assert probe(protocol="Http", port=teapot, url=url, statuses=[418])["failed"] == 0
    assert probe(protocol="Http", port=teapot, url=url)["reason"] == "HTTP status 418"


def test_a_name_that_nobody_knows() -> None:
    found = probe(host="no.such.name.invalid", port=80)
    assert (found["address"], found["sent"]) == (None, 0)
    assert found["reason"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.4", ("10.0.0.4", 0)),
        ("example.test", ("example.test", 0)),
        ("https://example.test/x", ("example.test", 443)),
        ("http://example.test:8080", ("example.test", 8080)),
    ],
)
def test_destinations(text: str, expected: tuple[str, int]) -> None:
    assert host_and_port(text) == expected

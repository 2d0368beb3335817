"""What no HTTP client sends, by raw sockets to a cloud that is served: answered with a 4xx or hung up on, and others go on.

RFC 9112: message framing (6), incomplete messages (8), pipelining and half-closed connections (9), smuggling (11.2).
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from azlan.commands.clouds import CloudClient
from azlan.commands.processes import read_seen
from counts import times
from served import Served, served

pytestmark = pytest.mark.slow

SECONDS = 20.0
MOST_MEMORY = 48 << 20
"""By how much the control process may grow while bodies without end are sent to it."""


@dataclass
class Wire:
    """A served cloud, and what a client needs to speak to it by hand."""

    cloud: Served

    def __post_init__(self) -> None:
        config = self.cloud.config
        admin = CloudClient(config)
        self.context = admin.context()
        made = admin.admin("POST", "/users", {"name": "wire", "kind": "ServicePrincipal", "role": "Owner"})
        self.http = httpx.Client(base_url=config.endpoint, verify=self.context, timeout=60, trust_env=False)
        form = {
            "grant_type": "client_credentials",
            "client_id": made["applicationId"],
            "client_secret": made["secret"],
            "scope": f"{config.endpoint}/.default",
        }
        answer = self.http.post(f"/{config.tenant}/oauth2/v2.0/token", data=form)
        self.bearer = f"Bearer {answer.json()['access_token']}"
        self.groups = f"/subscriptions/{config.subscription}/resourcegroups"

    def target(self, name: str) -> str:
        return f"{self.groups}/{name}?api-version=2022-12-01"

    def head(self, name: str, *more: str, method: str = "PUT", version: str = "1.1") -> bytes:
        """A request for a resource group up to the end of its headers."""
        lines = [f"{method} {self.target(name)} HTTP/{version}", "Host: localhost", f"Authorization: {self.bearer}"]
        lines += ["Content-Type: application/json", *more]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    @contextlib.contextmanager
    def dialled(self) -> Iterator[ssl.SSLSocket]:
        plain = socket.create_connection(("127.0.0.1", self.cloud.config.port), SECONDS)
        with self.context.wrap_socket(plain, server_hostname="localhost") as wrapped:
            yield wrapped

    def said(self, *pieces: bytes, close: bool = False) -> bytes:
        """All that is answered to these bytes until the server hangs up, or has been silent for a second."""
        with self.dialled() as line:
            with contextlib.suppress(OSError):  # hung up on before all was sent
                for piece in pieces:
                    line.sendall(piece)
            if close:
                with contextlib.suppress(OSError):
                    line.unwrap()
            return heard(line)

    def is_well(self) -> None:
        """The server answers others."""
        answer = self.http.get(f"{self.groups}?api-version=2022-12-01", headers={"Authorization": self.bearer})
        assert answer.status_code == 200

    def names(self) -> set[str]:
        answer = self.http.get(f"{self.groups}?api-version=2022-12-01", headers={"Authorization": self.bearer})
        return {group["name"] for group in answer.json()["value"]}

    def memory(self) -> int:
        """Bytes of the control process that are in memory."""
        seen = read_seen(self.cloud.config.run / "processes.json")["control"].process
        assert seen is not None
        status = Path(f"/proc/{seen.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024


def heard(line: socket.socket, silence: float = 1.0) -> bytes:
    """What comes until the other side hangs up or is silent."""
    got = bytearray()
    line.settimeout(silence)
    with contextlib.suppress(OSError):
        while more := line.recv(1 << 16):
            got += more
    return bytes(got)


def statuses(said: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3}) ", said)]


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with served() as cloud:
        made = Wire(cloud)
        yield made
        made.http.close()


BODY = b'{"location": "eastus2"}'
LENGTH = f"Content-Length: {len(BODY)}"


def test_a_whole_request_is_served(wire: Wire) -> None:
    """By the same bytes that the other tests spoil."""
    assert statuses(wire.said(wire.head("whole", LENGTH) + BODY)) == [201]
    assert statuses(
        wire.said(wire.head("chunked", "Transfer-Encoding: chunked"), b"17\r\n" + BODY + b"\r\n0\r\n\r\n")
    ) == [201]
    assert {"whole", "chunked"} <= wire.names()


SPOILT = {
    "length that is no number": (("Content-Length: many",), BODY),
    "negative length": (("Content-Length: -5",), BODY),
    "signed length": ((f"Content-Length: +{len(BODY)}",), BODY),
    "huge length": (("Content-Length: 99999999999999999999999",), BODY),
    "two lengths": ((LENGTH, "Content-Length: 5"), BODY),
    "list of lengths": ((f"Content-Length: {len(BODY)}, 5",), BODY),
    "length and chunks": ((LENGTH, "Transfer-Encoding: chunked"), b"0\r\n\r\n"),
    "chunks and length": (
        ("Transfer-Encoding: chunked", "Content-Length: 5"),
        b"0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ),
    "chunked twice": (("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), b"0\r\n\r\n"),
    "unknown coding": (("Transfer-Encoding: rot13",), BODY),
    "chunked and another": (("Transfer-Encoding: chunked, gzip",), b"17\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk size that is none": (("Transfer-Encoding: chunked",), b"zz\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "negative chunk": (("Transfer-Encoding: chunked",), b"-17\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "huge chunk": (("Transfer-Encoding: chunked",), b"fffffffffffffffff\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk longer than it says": (("Transfer-Encoding: chunked",), b"5\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "header without a name": ((": x", LENGTH), BODY),
    "space before the colon": ((f"Content-Length : {len(BODY)}",), BODY),
    "folded header": (("X-A: b\r\n c", "Content-Length: 0"), b""),
    "control character": (("X-A: \0", LENGTH), BODY),
    "huge header": (("X-A: " + "a" * (1 << 20), LENGTH), BODY),
    "very many headers": (tuple(f"X-{n}: a" for n in range(20_000)), b""),
}
"""Name → (headers, what follows them)."""


@pytest.mark.parametrize("name", SPOILT)
def test_bad_framing_is_refused(wire: Wire, name: str) -> None:
    headers, body = SPOILT[name]
    group = "bad-" + name.replace(" ", "-")
    answers = statuses(wire.said(wire.head(group, *headers), body))
    assert all(400 <= status < 500 for status in answers), answers
    assert group not in wire.names()


@pytest.mark.parametrize("close", [True, False], ids=["closed", "left open"])
@pytest.mark.parametrize("cut", [0, 1, 10, len(BODY) - 1])
@pytest.mark.parametrize("chunked", [False, True])
def test_half_a_body_makes_nothing(wire: Wire, chunked: bool, cut: int, close: bool) -> None:
    name = f"cut-{cut}-{chunked}-{close}"
    head = wire.head(name, "Transfer-Encoding: chunked" if chunked else LENGTH)
    said = wire.said(head + (b"17\r\n" if chunked else b"") + BODY[:cut], close=close)
    assert all(status < 500 for status in statuses(said))
    assert name not in wire.names()
    wire.is_well()


@pytest.mark.parametrize("at", range(0, 400, 40))
def test_half_a_head_makes_nothing(wire: Wire, at: int) -> None:
    said = wire.said((wire.head("head", "Content-Length: 23") + BODY)[:at], close=True)
    assert all(400 <= status < 500 for status in statuses(said))
    assert "head" not in wire.names()


def test_what_is_smuggled_is_no_request(wire: Wire) -> None:
    """A body that looks like a request is a body; where its end is in doubt, the connection ends with it."""
    inner = wire.head("smuggled", LENGTH) + BODY
    whole = wire.head("carrier", f"Content-Length: {len(inner)}") + inner
    assert statuses(wire.said(whole)) == [400]
    doubtful = wire.head("carrier", f"Content-Length: {len(inner) + 5}", "Transfer-Encoding: chunked")
    assert all(400 <= status < 500 for status in statuses(wire.said(doubtful + b"0\r\n\r\n" + inner)))
    assert not {"smuggled", "carrier"} & wire.names()


def test_pipelined_requests_are_answered_in_their_order(wire: Wire) -> None:
    writes = b"".join(wire.head(f"pipe-{n}", LENGTH) + BODY for n in range(5))
    wrong = wire.head("pipe-1", "Content-Length: 2") + b"[]"
    reads = b"".join(wire.head(f"pipe-{n}", method="GET") for n in (0, 9))
    assert statuses(wire.said(writes + wrong + reads)) == [201, 201, 201, 201, 201, 400, 200, 404]


def test_http_1_0_is_answered_and_ended(wire: Wire) -> None:
    with wire.dialled() as line:
        line.sendall(wire.head("old", LENGTH, version="1.0") + BODY)
        said = heard(line, SECONDS)
    assert statuses(said) == [201]
    assert b"chunked" not in said.partition(b"\r\n\r\n")[0].lower()
    for version in ("0.9", "2.0", "9.9", "1", "x"):
        assert all(
            400 <= status < 600 and status != 500
            for status in statuses(wire.said(wire.head("old2", LENGTH, version=version)))
        )
    assert "old2" not in wire.names()


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"\0" * 1000, b"", b"\x16\x03\x00"],
    ids=["plain HTTP", "a hello that lies", "zeros", "nothing", "cut hello"],
)
def test_invalid_tls_is_hung_up_on(wire: Wire, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", wire.cloud.config.port), SECONDS) as line:
        line.sendall(sent)
        line.shutdown(socket.SHUT_WR)
        assert b"HTTP/" not in heard(line, SECONDS)
    wire.is_well()


@pytest.mark.parametrize(
    "method",
    ["GET /", "\r\n\r\n\r\n", "CONNECT x:1", "PRI *", "GARBAGE", "GET http://[::1", "GET \\..\\", "P\u00dcT /"],
)
def test_bad_request_lines(wire: Wire, method: str) -> None:
    said = wire.said(f"{method} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("latin-1"))
    assert all(status < 500 or status == 503 for status in statuses(said)), (
        said
    )  # 503: the portal's pages are not built


def test_slow_and_silent_ones_hold_nobody_up(wire: Wire) -> None:
    count = times(60, 500)
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(wire.dialled()) for _ in range(count)]
        for n, line in enumerate(lines):
            head = wire.head(f"slow-{n}", LENGTH)
            line.sendall(head[: n % len(head)] if n % 2 else head + BODY[:5])
        wire.is_well()
        finished = lines[0]
        for byte in BODY[5:]:
            finished.sendall(bytes([byte]))
        assert statuses(heard(finished, SECONDS / 4)) == [201]
        wire.is_well()
    assert {name for name in wire.names() if name.startswith("slow-")} == {"slow-0"}


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_without_end_costs_no_memory(wire: Wire, chunked: bool) -> None:
    """Whoever may write, and whoever may not."""
    before = wire.memory()
    megabyte = b"[" * (1 << 20)
    piece = b"100000\r\n" + megabyte + b"\r\n" if chunked else megabyte
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {256 << 20}"
    for bearer in (wire.bearer, "Bearer nobody"):
        head = wire.head("endless", framing).replace(wire.bearer.encode(), bearer.encode())
        lines = [wire.said(head, *[piece] * 64) for _ in range(2)]
        assert all(status in (401, 413) for said in lines for status in statuses(said))
        assert wire.memory() - before < MOST_MEMORY
    assert "endless" not in wire.names()
    wire.is_well()


def test_a_client_that_does_not_read_holds_nobody_up(wire: Wire) -> None:
    """Its answers wait for it in bounds: the server stops reading its requests."""
    before, ask = wire.memory(), wire.head("whole", method="GET")
    with wire.dialled() as line:
        line.settimeout(2.0)
        sent, until = 0, time.monotonic() + 10
        with contextlib.suppress(OSError):
            while sent < times(8, 64) << 20 and time.monotonic() < until:
                line.sendall(ask * 20)
                sent += 20 * len(ask)
        wire.is_well()
        assert wire.memory() - before < MOST_MEMORY
    wire.is_well()

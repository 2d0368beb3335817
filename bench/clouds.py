"""Clouds to measure: `azlan up -d` in folders of their own and on TCP ports of their own, removed afterwards; and a client
so lean that it is the server that is measured."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from azlan.arm.locations import LOCATIONS
from azlan.commands.clouds import CloudClient
from azlan.commands.processes import read_seen
from azlan.commands.supervisor import SUPERVISOR, lock_of
from azlan.config import Config, load

LOCATION = "eastus2"
POLL_SECONDS = 0.002
IDLE_SECONDS = 2.0
API = {
    "microsoft.network": "2024-05-01",
    "microsoft.compute": "2024-07-01",
    "microsoft.resources": "2024-11-01",
}


class Refused(Exception):
    """A request that was answered with an error, or an operation that Failed."""


class Client:
    """HTTP/1.1 over one TLS connection that stays open."""

    def __init__(self, port: int, context: ssl.SSLContext, token: str = "") -> None:
        self._port, self._context = port, context
        self._head = f"Host: localhost:{port}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        self._socket = self._connected()

    def _connected(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self._port), timeout=60)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._left = b""
        self._used = time.monotonic()
        return self._context.wrap_socket(plain, server_hostname="localhost")

    def ready(self) -> None:
        """Connect anew where the server may have closed a connection that was idle."""
        if time.monotonic() - self._used > IDLE_SECONDS:
            self._socket.close()
            self._socket = self._connected()

    def send(self, method: str, target: str, body: bytes = b"") -> tuple[int, bytes, bytes]:
        """(status, header lines, body)."""
        head = f"{method} {target} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        data = self._left
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._receive()
        lines, data = data[:end], data[end + 4 :]
        lower = lines.lower()
        at = lower.find(b"content-length:")
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        while len(data) < length:
            data += self._receive()
        self._left = data[length:]
        self._used = time.monotonic()
        return int(lines[9:12]), lines, data[:length]

    def _receive(self) -> bytes:
        found = self._socket.recv(1 << 18)
        if not found:
            raise ConnectionError("the server closed the connection")
        return found

    def close(self) -> None:
        self._socket.close()


class Arm:
    """An owner of a cloud: PUT and wait, with the shortest polls there are."""

    def __init__(self, cloud: Cloud, token: str) -> None:
        self._cloud, self._token = cloud, token
        self.client = Client(cloud.port, cloud.context, token)
        self.subscription = cloud.config.subscription

    def again(self) -> Arm:
        """The same caller on a connection of its own."""
        return Arm(self._cloud, self._token)

    def id(self, group: str, path: str = "") -> str:
        base = f"/subscriptions/{self.subscription}/resourceGroups/{group}"
        return f"{base}/providers/{path}" if path else base

    def target(self, id: str) -> str:
        namespace = id.lower().rpartition("/providers/")[2].split("/")[0] if "/providers/" in id else ""
        return f"{id}?api-version={API.get(namespace, '2024-11-01')}"

    def get(self, id: str) -> Any:
        self.client.ready()
        return self._checked(self.client.send("GET", self.target(id)))

    def begin(self, id: str, body: Any, method: str = "PUT") -> str | None:
        """Send, and return where its operation is polled; None where it has ended already."""
        self.client.ready()
        answer = self.client.send(method, self.target(id), json.dumps(body).encode())
        self._checked(answer)
        return polled(answer[1])

    def finish(self, poll: str | None, seconds: float = 180) -> None:
        """Return when the operation has Succeeded."""
        deadline = time.monotonic() + seconds
        while poll is not None:
            document = self.poll(poll)
            if document["status"] == "Succeeded":
                return
            if document["status"] in ("Failed", "Canceled") or time.monotonic() > deadline:
                raise Refused(json.dumps(document))
            time.sleep(POLL_SECONDS)

    def poll(self, operation: str | None) -> dict[str, Any]:
        """An operation's status document."""
        return dict(self._checked(self.client.send("GET", operation or "")))

    def put(self, id: str, body: Any) -> None:
        self.finish(self.begin(id, body))

    def delete(self, id: str) -> None:
        self.finish(self.begin(id, {}, "DELETE"))

    @staticmethod
    def _checked(answer: tuple[int, bytes, bytes]) -> Any:
        status, _, body = answer
        if status >= 400:
            raise Refused(f"{status} {body.decode()[:500]}")
        return json.loads(body) if body else None


def polled(head: bytes) -> str | None:
    """Where an answer says that its operation is to be asked for; None where it has none."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b": ")
        if name.lower() == b"azure-asyncoperation":
            return "/" + value.decode().split("/", 3)[3]
    return None


class Cloud:
    """A cloud that is up."""

    def __init__(self, folder: Path, options: tuple[str, ...]) -> None:
        self.state = folder / "state"
        self.port = free_port()
        self._options = options

    @property
    def config(self) -> Config:
        return load(self.state / "config.json")

    @property
    def context(self) -> ssl.SSLContext:
        return CloudClient(self.config).context()

    def up(self) -> None:
        self.azlan("up", "-d", "--port", str(self.port), *self._options)

    def azlan(self, verb: str, *arguments: str) -> str:
        command = [sys.executable, "-m", "azlan", verb, "--state", str(self.state), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise RuntimeError(f"azlan {verb}: {done.stdout}\n{done.stderr}")
        return done.stdout

    def status(self) -> dict[str, Any]:
        return dict(CloudClient(self.config, timeout=60).admin("GET", "/status"))

    def pids(self) -> dict[str, int]:
        """Role → pid, the supervisor among them."""
        config = self.config
        seen = read_seen(config.run / "processes.json")
        found = {role: entry.process.pid for role, entry in seen.items() if entry.process is not None}
        (supervisor, *_) = lock_of(config, SUPERVISOR).holders()
        return {**found, SUPERVISOR: supervisor.pid}

    def owner(self, name: str = "bench") -> Arm:
        client = CloudClient(self.config, timeout=60)
        asked = {"name": name, "kind": "ServicePrincipal", "role": "Owner", "renew": True}
        made = client.admin("POST", "/users", asked)
        token = client.token(made["applicationId"], made["secret"])
        assert token is not None
        return Arm(self, token)


class Lab:
    """The clouds of one run, made when they are first asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._filled: dict[int, tuple[Cloud, Arm]] = {}

    def cloud(self, *options: str) -> Cloud:
        """Another cloud, up until the run ends."""
        return self._stack.enter_context(standing(*options))

    def filled(self, size: int) -> tuple[Cloud, Arm]:
        """A cloud on the model engine that holds `size` virtual networks, ten a resource group."""
        if size not in self._filled:
            cloud = self.cloud("--engine", "model", "--machines", "simulated")
            arm = cloud.owner()
            fill(arm, size)
            self._filled[size] = (cloud, arm)
        return self._filled[size]

    def emptied(self, size: int) -> None:
        """Forget a filled cloud that a benchmark has changed."""
        self._filled.pop(size, None)


def vnet(number: int) -> dict[str, Any]:
    """A VNet with a subnet; of ten in a row each has a space of its own. A region holds 1,000, Azure's limit."""
    second = number % 200
    properties = {
        "addressSpace": {"addressPrefixes": [f"10.{second}.0.0/16"]},
        "subnets": [{"name": "subnet-1", "properties": {"addressPrefix": f"10.{second}.0.0/24"}}],
    }
    return {"location": LOCATIONS[number // 1000].name, "tags": {"turn": "0"}, "properties": properties}


def vnet_id(arm: Arm, number: int) -> str:
    return arm.id(f"group-{number // 10}", f"Microsoft.Network/virtualNetworks/vnet-{number}")


def fill(arm: Arm, size: int) -> None:
    """`size` VNets, through the API as anyone would."""
    each(arm, ((arm.id(f"group-{number}"), {"location": LOCATION}) for number in range((size + 9) // 10)))
    each(arm, ((vnet_id(arm, number), vnet(number)) for number in range(size)))


def each(arm: Arm, resources: Iterable[tuple[str, Any]], clients: int = 8) -> None:
    """PUT many resources over several connections, and return when the last operation of each has ended."""
    todo = iter(list(resources))

    def work(_: int) -> None:
        own = arm.again()
        last = None
        for id, body in todo:
            last = own.begin(id, body)
        own.finish(last)
        own.client.close()

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(work, range(clients)))


@contextmanager
def lab() -> Iterator[Lab]:
    with ExitStack() as stack:
        yield Lab(stack)


@contextmanager
def standing(*options: str) -> Iterator[Cloud]:
    """A cloud that is up; afterwards it is reset and its folder removed."""
    folder = Path(tempfile.mkdtemp(prefix="azlan-bench-"))
    folder.chmod(0o755)
    cloud = Cloud(folder, options)
    try:
        cloud.up()
        yield cloud
    finally:
        if (cloud.state / "config.json").exists():
            cloud.azlan("reset", "--yes")
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processor_seconds(pid: int) -> float:
    """What a process has spent on a processor, all its threads that still run, to the nanosecond (proc(5), schedstat)."""
    files = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began

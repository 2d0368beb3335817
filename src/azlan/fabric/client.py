"""The control process's side: an Engine and a Machines whose work is done in the fabric process.

Sends only the parts that differ from what this connection last sent, and the whole after a reconnect or a mismatch.
While the fabric process is away, calls wait for it up to `PATIENCE` seconds, then raise ConnectionError.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import structlog

from azlan.contract.engine import Digest, Flow, Report, Verdict
from azlan.contract.machine import CommandResult, MachineStatus, StatusListener
from azlan.contract.world import (
    EMPTY,
    AnyPart,
    Machine,
    Nic,
    PartKey,
    RouteGroup,
    RuleSet,
    Vnet,
    World,
    differing,
    digest,
    part_key,
)
from azlan.fabric import sockets, wire

log = structlog.get_logger(__name__)

PATIENCE = 10.0
CONNECT_EVERY = 0.1

CARRIED: dict[wire.Channel, tuple[type[AnyPart], ...]] = {
    "network": (Vnet, RouteGroup, RuleSet, Nic),
    "machines": (Machine, Nic, Vnet),
}
"""The parts that a channel carries."""


class Sent:
    """What a channel's other end holds, as far as we know; None: nothing."""

    def __init__(self) -> None:
        self.world = EMPTY
        self.digests: dict[PartKey, bytes] = {}
        """Of the parts sent: not all of a World go over each channel."""
        self.root: int | None = None


class FabricClient:
    """One connection to the fabric process, shared by `RemoteEngine` and `RemoteMachines`; reconnects by itself."""

    def __init__(self, path: Path, server_uids: frozenset[int] = frozenset({0})) -> None:
        self._path = path
        self._server_uids = server_uids | {os.getuid()}
        self._writer: asyncio.StreamWriter | None = None
        self._connected = asyncio.Event()
        self._numbers = 0
        self._waiting: dict[int, asyncio.Future[object]] = {}
        self._sent: dict[str, Sent] = {"network": Sent(), "machines": Sent()}
        self._locks = {"network": asyncio.Lock(), "machines": asyncio.Lock()}
        self._task: asyncio.Task[None] | None = None
        self.listeners: list[StatusListener] = []
        self.on_connect: list[Callable[[], None]] = []

    async def start(self) -> None:
        self._task = asyncio.create_task(self._stay_connected(), name="fabric connection")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    async def _stay_connected(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_unix_connection(str(self._path))
                if wire.peer_uid(writer) not in self._server_uids:
                    log.error("another user listens at the fabric's socket", path=str(self._path))
                    writer.close()
                else:
                    await self._receive(reader, writer)
            await asyncio.sleep(CONNECT_EVERY)

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._sent = {"network": Sent(), "machines": Sent()}
        self._connected.set()
        for callback in self.on_connect:
            callback()
        try:
            while (message := await wire.read_message(reader)) is not None:
                self._take(message)
        except ValueError as error:
            log.error("the fabric process sent what is no message", error=str(error))
        finally:
            self._connected.clear()
            self._writer = None
            writer.close()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionError("the fabric process went away"))
            self._waiting.clear()

    def _take(self, message: wire.Message) -> None:
        if isinstance(message, wire.Event):
            for listener in self.listeners:
                listener(message.status)
        elif isinstance(message, wire.Answer):
            future = self._waiting.pop(message.number, None)
            if future is not None and not future.done():
                future.set_result(message.result)

    async def sockets(self, wanted: sockets.Wanted) -> list[socket.socket]:
        """Those of a service, opened by the fabric process."""
        return await sockets.receive(sockets.path_of(self._path), self._server_uids, wanted)

    async def call(
        self, request: wire.Apply | wire.Observe | wire.Probe | wire.Counters | wire.Run | wire.Owner
    ) -> object:
        """Send and await the answer. Raises ConnectionError, LookupError, or RuntimeError with the other side's words."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._connected.wait()
        except TimeoutError:
            raise ConnectionError(f"no fabric process answers at {self._path}") from None
        assert self._writer is not None
        self._numbers += 1
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting[self._numbers] = future
        wire.write_message(self._writer, wire.Call(number=self._numbers, request=request))
        result = await future
        if isinstance(result, wire.Failure):
            raise LookupError(result.why) if result.what == "lookup" else RuntimeError(result.why)
        return result

    async def apply(self, channel: wire.Channel, world: World) -> Report:
        async with self._locks[channel]:
            result = await self._send(channel, world)
            if isinstance(result, wire.Resync):
                self._sent[channel] = Sent()
                result = await self._send(channel, world)
            if not isinstance(result, wire.Reported):
                self._sent[channel] = Sent()
                raise RuntimeError("the fabric process does not arrive at the World it was sent")
            return result.report

    async def _send(self, channel: wire.Channel, world: World) -> object:
        sent = self._sent[channel]
        changed, gone = differing(sent.world, world)
        digests, root = sent.digests, sent.root or 0
        removed = tuple(key for key in gone if key in digests)
        added = tuple(part for key in changed if isinstance(part := world.parts[key], CARRIED[channel]))
        for key in removed:
            root ^= int.from_bytes(digests.pop(key), "big")
        for part in added:
            key = part_key(part)
            root ^= int.from_bytes(digests.pop(key, b""), "big")
            digests[key] = digest(part)
            root ^= int.from_bytes(digests[key], "big")
        base = None if sent.root is None else sent.root.to_bytes(16, "big")
        request = wire.Apply(
            channel=channel,
            revision=world.revision,
            base=base,
            root=root.to_bytes(16, "big"),
            added=added,
            removed=removed,
        )
        # Until the answer says so, nothing is known of what the other side holds.
        self._sent[channel] = Sent()
        result = await self.call(request)
        if isinstance(result, wire.Reported):
            now = Sent()
            now.world, now.digests, now.root = world, digests, root
            self._sent[channel] = now
        return result


class RemoteEngine:
    """The engine in the fabric process."""

    def __init__(self, client: FabricClient, name: str) -> None:
        self._client = client
        self.name = name

    async def apply(self, world: World) -> Report:
        return await self._client.apply("network", world)

    async def observe(self) -> Digest:
        result = await self._client.call(wire.Observe(channel="network"))
        assert isinstance(result, wire.Digested)
        return result.digest

    async def probe(self, flow: Flow) -> Verdict:
        result = await self._client.call(wire.Probe(flow=flow))
        assert isinstance(result, wire.Judged)
        return result.verdict

    async def counters(self) -> dict[PartKey, dict[str, int]]:
        result = await self._client.call(wire.Counters())
        assert isinstance(result, wire.Counted)
        return result.counters

    async def platform_sockets(self) -> tuple[socket.socket, socket.socket]:
        datagrams, stream = await self._client.sockets(sockets.Wanted.NAMES)
        return datagrams, stream

    async def metadata_socket(self) -> socket.socket:
        (stream,) = await self._client.sockets(sockets.Wanted.METADATA)
        return stream

    async def owner_of_transit(self, address: str) -> tuple[PartKey, str] | None:
        result = await self._client.call(wire.Owner(address=address))
        assert isinstance(result, wire.Owned)
        return (result.nic, result.address) if result.nic else None


class RemoteMachines:
    """The machines of the fabric process. Sends machine parts, the NIC parts that they are plugged with, and the VNet
    parts that say whom they ask for names."""

    def __init__(self, client: FabricClient, name: str) -> None:
        self._client = client
        self.name = name

    async def apply(self, world: World) -> Report:
        return await self._client.apply("machines", world)

    async def observe(self) -> tuple[MachineStatus, ...]:
        result = await self._client.call(wire.Observe(channel="machines"))
        assert isinstance(result, wire.Statuses)
        return result.statuses

    def listen(self, listener: StatusListener) -> None:
        self._client.listeners.append(listener)

    async def run(self, machine: PartKey, script: str, timeout: float) -> CommandResult:
        result = await self._client.call(wire.Run(machine=machine, script=script, seconds=timeout))
        assert isinstance(result, wire.Ran)
        return result.result

    async def close(self) -> None:
        await self._client.close()

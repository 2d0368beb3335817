"""Serves the instance metadata service at 169.254.169.254 to all machines of a cloud: HTTP, and nothing beyond it.

    guest ── fabric (source := transit address) ── socket in the outside namespace ── here ── metadata_app.py

Only a VM's primary address is answered, as in Azure; whoever else connects is let go. Guests are strangers: each has a share
of the connections and a time for every request. Follows instance-metadata-service.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from asyncio import Transport
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn
from httptools import HttpParserError
from uvicorn.server import ServerState

from azlan.arm.resource import Read
from azlan.contract.platform import Platform
from azlan.contract.world import Machine, Nic, PartKey, World
from azlan.services.guests import Callers, keep_open, same
from azlan.services.metadata_app import MetadataApp
from azlan.services.wire import BoundedHead

CONNECTIONS_A_MACHINE = 16
CONNECTIONS = 256
REQUEST_SECONDS = 10.0
"""From the beginning of a connection, or the end of the answer before, to the end of an answer."""
IDLE_SECONDS = 5
PIPELINED = 8
"""Requests of a connection that wait for the answer to the one before."""
_BACKLOG = 128

_silent = logging.Logger("guests", level=logging.CRITICAL)
"""What guests send wrong is no news: they could fill the log with it."""


class InstanceMetadata:
    """Serves one cloud. Its socket comes from the fabric process; `reopen` asks for a fresh one, as after its restart."""

    def __init__(self, platform: Platform, world: Callable[[], World], read: Callable[[], Read]) -> None:
        self._platform = platform
        self._world = world
        self._callers = Callers(platform, world)
        self._config = uvicorn.Config(
            MetadataApp(self.machine_at, world, read),
            log_config=None,
            access_log=False,
            proxy_headers=False,
            ws="none",
            lifespan="off",
            timeout_keep_alive=IDLE_SECONDS,
        )
        self._config.load()
        self._state = ServerState()
        self._connected: Counter[str] = Counter()
        self._again = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._open: _Open | None = None

    async def start(self) -> None:
        kept = keep_open("metadata", self._world, self._again, self._platform.metadata_socket, self._serve)
        self._keeping = asyncio.create_task(kept, name="instance metadata")

    async def stop(self) -> None:
        """Let go; who waits in the socket waits for the next process."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._open is not None:
            self._open.server.close()
            self._open = None
        for connection in list(self._state.connections):
            connection.shutdown()
        tasks = list(self._state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def reopen(self) -> None:
        self._callers.reopen()
        self._again.set()

    async def machine_at(self, source: str) -> PartKey | None:
        """The VM that sends from a transit address, if it does by its primary NIC's primary address."""
        caller = await self._callers.at(source)
        nic = self._world().parts.get(caller.nic) if caller else None
        machine = self._world().parts.get(nic.machine) if isinstance(nic, Nic) and nic.machine else None
        if caller is None or not isinstance(nic, Nic) or not isinstance(machine, Machine) or machine.role != "vm":
            return None
        primary = machine.nics[:1] == (caller.nic,) and nic.addresses[0].private == caller.address
        return nic.machine if primary else None

    def admits(self, source: str) -> bool:
        """Whether there is room for one more connection from there; counted until `left`."""
        if self._connected[source] >= CONNECTIONS_A_MACHINE or self._connected.total() >= CONNECTIONS:
            return False
        self._connected[source] += 1
        return True

    def left(self, source: str) -> None:
        self._connected[source] -= 1
        if not self._connected[source]:
            del self._connected[source]

    async def _serve(self, stream: socket.socket) -> None:
        """Take this socket into service, then close the one before: in between both are served."""
        stream.setblocking(False)
        if self._open is not None and same(self._open.stream, stream):
            stream.close()
            return
        before, loop = self._open, asyncio.get_running_loop()
        server = await loop.create_server(self._connection, sock=stream, backlog=_BACKLOG)
        self._open = _Open(stream, server)
        if before is not None:
            before.server.close()

    def _connection(self) -> GuestConnection:
        return GuestConnection(self, self._config, self._state)


@dataclass(frozen=True)
class _Open:
    """The socket in service."""

    stream: socket.socket
    server: asyncio.Server


class GuestConnection(BoundedHead):
    """A connection of a guest's: it is let go where it is none of a VM's primary address, one too many, or slow."""

    def __init__(self, service: InstanceMetadata, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config, state, {}, asyncio.get_running_loop())
        self.logger = _silent
        self._service = service
        self._source = ""
        self._late: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        source = str(transport.get_extra_info("peername")[0])
        if not self._service.admits(source):
            transport.abort()
            return
        self._source = source
        self._again_in_time()
        self._asking = self.loop.create_task(self._let_strangers_go())

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._source:
            self._service.left(self._source)
        if self._late is not None:
            self._late.cancel()
        if self._asking is not None:
            self._asking.cancel()

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINED:
            raise HttpParserError("Too many requests at once.")
        super().on_message_begin()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._again_in_time()

    def _again_in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    async def _let_strangers_go(self) -> None:
        if await self._service.machine_at(self._source) is None:
            self.transport.abort()

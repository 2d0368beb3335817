"""What the platform's services share: the sockets that machines reach, kept open, and who asks over them.

A packet's source is the NIC's transit address, which the fabric wrote; nothing else of a packet says who sent it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

import structlog

from azlan.contract.platform import Platform
from azlan.contract.world import EMPTY, Nic, PartKey, World

log = structlog.get_logger(__name__)

T = TypeVar("T")

RETRY_SECONDS = 0.5
_FIRST_WORLD = 0.02


class Caller(NamedTuple):
    """Who asks: a NIC of the World, by which of its private addresses."""

    nic: PartKey
    address: str


class Callers:
    """Knows the NICs behind transit addresses. `reopen`: there is a new fabric process, and it is to be asked."""

    def __init__(self, platform: Platform, world: Callable[[], World]) -> None:
        self._platform = platform
        self._world = world
        self._known: dict[str, tuple[int, Caller, Nic]] = {}
        """Transit address → (fabric process that said so, who is behind it, its NIC's part then)."""
        self._processes = 0

    def reopen(self) -> None:
        self._processes += 1

    async def at(self, source: str) -> Caller | None:
        """Who sends from a transit address; None where that is nobody of the World.

        What was learnt holds as long as the World has the very same part: the NIC was there all the time, and a NIC's
        transit address stays. A new fabric process is asked again; until it knows, the one before it is believed.
        """
        parts = self._world().parts
        known = self._known.get(source)
        if known is not None and parts.get(known[1].nic) is not known[2]:
            known = None
        if known is not None and known[0] == self._processes:
            return known[1]
        asked = self._processes
        try:
            found = await self._platform.owner_of_transit(source)
        except (ConnectionError, RuntimeError):
            found = None
        part = self._world().parts.get(found[0]) if found else None
        if found is not None and isinstance(part, Nic):
            caller = Caller(*found)
            self._known[source] = asked, caller, part
            return caller
        if known is None:
            self._known.pop(source, None)
            return None
        return known[1]


async def keep_open(
    service: str,
    world: Callable[[], World],
    again: asyncio.Event,
    ask: Callable[[], Awaitable[T]],
    serve: Callable[[T], Awaitable[None]],
) -> None:
    """Serve the sockets that `ask` brings, as soon as there are a World and a fabric process to open them; then fresh
    ones each time `again` is set. Never returns."""
    waiting = False
    while world() is EMPTY:  # noqa: ASYNC110 - once, at the start: whoever asked now would be nobody
        await asyncio.sleep(_FIRST_WORLD)
    while True:
        again.clear()
        try:
            opened = await ask()
        except (LookupError, OSError, RuntimeError) as error:
            if not waiting:
                log.info("no sockets yet", service=service, why=str(error))
            waiting = True
            await asyncio.sleep(RETRY_SECONDS)
            continue
        waiting = False
        await serve(opened)
        await again.wait()


def same(one: socket.socket, other: socket.socket) -> bool:
    """Whether both are one socket, handed over twice."""
    return os.fstat(one.fileno()).st_ino == os.fstat(other.fileno()).st_ino

"""The fabric process's side: holds the World it was sent, hands it to engine and machines, tells what they say.

Accepts connections of its own control process only (`peers`). Holds no memory beyond the connection that filled it: a
fresh process answers `Resync` and is sent the whole.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import structlog
from immutables import Map

from azlan.contract.engine import Engine, Report
from azlan.contract.machine import Machines, MachineStatus
from azlan.contract.platform import Platform
from azlan.contract.world import AnyPart, Lineage, PartKey, World, digest, part_key
from azlan.fabric import wire
from azlan.fabric.peers import Admits, of_user
from azlan.fabric.sockets import SocketServer, path_of
from azlan.fabric.wire import peer_pid_of

log = structlog.get_logger(__name__)


class Held:
    """One channel's World as sent so far."""

    def __init__(self) -> None:
        self.parts: Map[PartKey, AnyPart] = Map()
        self.digests: dict[PartKey, bytes] = {}
        self.root = bytes(16)
        self.known = False
        self._lineage = Lineage()

    def change(self, apply: wire.Apply) -> World | None:
        """The World after `apply`, or None where what is held is not its base, or does not end at its root."""
        if apply.base is None:
            self.__init__()  # type: ignore[misc]
        elif not self.known or apply.base != self.root:
            return None
        total = int.from_bytes(self.root, "big")
        parts = self.parts.mutate()
        for key in apply.removed:
            if parts.pop(key, None) is None:
                self.known = False
                return None
            total ^= int.from_bytes(self.digests.pop(key), "big")
        for part in apply.added:
            key = part_key(part)
            total ^= int.from_bytes(self.digests.pop(key, b""), "big")
            parts[key] = part
            self.digests[key] = digest(part)
            total ^= int.from_bytes(self.digests[key], "big")
        self.root, self.parts = total.to_bytes(16, "big"), parts.finish()
        self.known = self.root == apply.root
        if not self.known:
            return None
        place = self._lineage.step([*apply.removed, *map(part_key, apply.added)])
        return World(revision=apply.revision, parts=self.parts, place=place)


class FabricServer:
    """Serves one control process at a time over `path`; a newer connection that is admitted replaces the older.

    `admits` says who that is: by default any process of the user `allowed_uid`, whom the socket belongs to.
    """

    def __init__(
        self, path: Path, engine: Engine, machines: Machines, allowed_uid: int, admits: Admits | None = None
    ) -> None:
        self._path = path
        self._engine = engine
        self._machines = machines
        self._allowed_uid = allowed_uid
        self._admits = admits or of_user(allowed_uid)
        self._current: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None
        self._locks = {"network": asyncio.Lock(), "machines": asyncio.Lock()}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets = (
            SocketServer(path_of(path), engine, allowed_uid, self._admits) if isinstance(engine, Platform) else None
        )

    async def start(self) -> None:
        self._machines.listen(self._status)
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, path=str(self._path))
        finally:
            os.umask(before)
        os.chown(self._path, self._allowed_uid, -1)
        if self._sockets is not None:
            await self._sockets.start()

    async def stop(self) -> None:
        """Stop serving; what runs goes on."""
        if self._server is not None:
            self._server.close()
        if self._current is not None:
            self._current.close()
        self._path.unlink(missing_ok=True)
        if self._sockets is not None:
            await self._sockets.stop()

    def _status(self, status: MachineStatus) -> None:
        if self._current is not None and not self._current.is_closing():
            wire.write_message(self._current, wire.Event(status=status))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = wire.peer_uid(writer)
        if not self._admits(writer.get_extra_info("socket")):
            log.warning("refused a connection", uid=uid, pid=peer_pid_of(writer.get_extra_info("socket")))
            writer.close()
            return
        if self._current is not None:
            self._current.close()
        self._current = writer
        held: dict[str, Held] = {"network": Held(), "machines": Held()}
        log.info("control process connected", uid=uid)
        try:
            while (message := await wire.read_message(reader)) is not None:
                if not isinstance(message, wire.Call):
                    raise ValueError("only calls come this way")
                task = asyncio.create_task(self._answer(message, held, writer))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        except ValueError as error:
            log.warning("connection ended", error=str(error))
        finally:
            writer.close()
            if self._current is writer:
                self._current = None

    async def _answer(self, call: wire.Call, held: dict[str, Held], writer: asyncio.StreamWriter) -> None:
        result: object
        try:
            result = await self._result(call.request, held)
        except LookupError as error:
            result = wire.Failure(what="lookup", why=str(error))
        except Exception as error:
            log.exception("a call failed", request=type(call.request).__name__)
            result = wire.Failure(what="failed", why=f"{type(error).__name__}: {error}")
        if not writer.is_closing():
            wire.write_message(writer, wire.Answer(number=call.number, result=result))  # type: ignore[arg-type]
            try:
                await writer.drain()
            except ConnectionError:
                return

    async def _result(self, request: object, held: dict[str, Held]) -> object:
        match request:
            case wire.Apply():
                # One apply at a time a channel, in the order of arrival: each is a change from the one before.
                async with self._locks[request.channel]:
                    world = held[request.channel].change(request)
                    if world is None:
                        return wire.Resync()
                    return wire.Reported(report=await self._apply(request.channel, world))
            case wire.Observe(channel="network"):
                return wire.Digested(digest=await self._engine.observe())
            case wire.Observe():
                return wire.Statuses(statuses=await self._machines.observe())
            case wire.Probe():
                return wire.Judged(verdict=await self._engine.probe(request.flow))
            case wire.Counters():
                return wire.Counted(counters=await self._engine.counters())
            case wire.Owner():
                found = None
                if isinstance(self._engine, Platform):
                    found = await self._engine.owner_of_transit(request.address)
                return wire.Owned(nic=found[0], address=found[1]) if found else wire.Owned()
            case wire.Run():
                return wire.Ran(result=await self._machines.run(request.machine, request.script, request.seconds))
        raise ValueError(f"no such call: {type(request).__name__}")

    async def _apply(self, channel: str, world: World) -> Report:
        return await (self._engine.apply(world) if channel == "network" else self._machines.apply(world))

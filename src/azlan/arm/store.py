"""The authoritative state: immutable snapshots in memory, made durable by one writer thread with group commit.

A transaction runs on the event loop against the tentative head; it is acknowledged, published and told to subscribers
once it is on disk. A commit that fails takes with it everything built on it. No SQL runs on the event loop.

One that is `late` (the end of an operation, which the loops would find again) is acknowledged as soon as everything
before it is on disk, and gets there with the next commit: docs/design/performance.md.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TypeVar

import structlog

from azlan.arm import schema
from azlan.arm.derived import DerivedFacts
from azlan.arm.registry import Registry
from azlan.arm.resource import Json, Operation, Row
from azlan.arm.schema import Changes
from azlan.arm.snapshot import Snapshot
from azlan.base.garbage import making_what_stays
from azlan.contract.facts import Facts
from azlan.contract.machine import MachineStatus

log = structlog.get_logger(__name__)
T = TypeVar("T")

KEPT_OPERATIONS = timedelta(hours=2)
"""For how long the end of an operation can be asked for."""
PRUNE_EVERY = 1000
STATUS_DELAY = 1.0
LATE_SECONDS = 0.05
"""For how long a late transaction waits for one to share the commit of."""


class CommitError(Exception):
    """The write was not made durable and has not happened."""


@dataclass
class _Batch:
    """One transaction on its way to the disk. `era` counts the failures that came before it."""

    changes: Changes
    snapshot: Snapshot
    done: asyncio.Future[None]
    era: int
    touched: frozenset[str]
    """Owners whose facts it may concern."""
    published: bool = False

    @property
    def begins_operation(self) -> bool:
        return any(found is not None and found.ended is None for found in self.changes.operations.values())


class Transaction:
    """Changes being made to the tentative head. Give-up-able: nothing is seen by others before it is returned from."""

    def __init__(self, head: Snapshot, now: str, in_force: InForce | None = None) -> None:
        self._in_force = in_force
        self.keeps_facts = False
        """Found out by `is_in_force`: nothing that was changed until then is a matter of the engine."""
        self.snapshot = head
        self.now = now
        self.revision = head.revision + 1
        self.changes = Changes(revision=self.revision)
        self.rows: dict[str, tuple[Row | None, Row | None]] = {}

    def put(self, row: Row) -> None:
        """Insert or replace a row."""
        self._note(row.key, row)
        self.snapshot = self.snapshot.with_row(row)

    def remove(self, key: str) -> None:
        """Remove a row that is there."""
        self._note(key, None)
        if key in self.snapshot.last:
            self.changes.last[key] = None
        self.snapshot = self.snapshot.without_row(key)

    def _note(self, key: str, row: Row | None) -> None:
        first = self.rows[key][0] if key in self.rows else self.snapshot.rows.get(key)
        self.rows[key] = (first, row)
        self.changes.rows[key] = row

    def put_operation(self, operation: Operation) -> None:
        """Insert or replace an operation; call it after the rows it wrote."""
        before = self.snapshot.last
        self.snapshot = self.snapshot.with_operation(operation)
        self.changes.operations[operation.id] = operation
        if self.snapshot.last is not before:
            for key in (operation.key, *operation.others):
                if self.snapshot.last.get(key) == operation.id:
                    self.changes.last[key] = operation.id

    def forget_operations(self, ids: Sequence[str]) -> None:
        """Forget operations that have ended."""
        self.changes.operations.update(dict.fromkeys(ids))
        self.snapshot = self.snapshot.without_operations(ids)

    def set_meta(self, namespace: str, name: str, value: str | None) -> None:
        self.changes.meta[namespace, name] = value
        self.snapshot = self.snapshot.with_meta(namespace, name, value)

    def is_in_force(self, owners: Iterable[str]) -> bool:
        """Whether what the rows with these keys ask for is in force, and stays what it is with all that was changed here.
        False where that is not known."""
        return self._in_force is not None and self._in_force(self, tuple(owners))

    def late(self) -> None:
        """Let nobody wait for the disk: what is done here would be done again after a crash that lost it."""
        self.changes.late = True

    def log(
        self, resource: str, operation: str, status: str, caller: str, correlation: str, description: str = ""
    ) -> None:
        """Add an activity-log event; `operation` is the action (`Microsoft.Network/virtualNetworks/write`)."""
        self.changes.events.append(
            {
                "time": self.now,
                "resource": resource.lower(),
                "operation": operation,
                "status": status,
                "caller": caller,
                "correlation": correlation,
                "description": description,
            }
        )


InForce = Callable[[Transaction, tuple[str, ...]], bool]


@dataclass(frozen=True)
class Meta:
    """A namespace of small durable texts: name → value."""

    store: Store
    namespace: str

    async def get(self, name: str) -> str | None:
        return self.store.snapshot.meta.get((self.namespace, name))

    async def put(self, name: str, value: str) -> None:
        """Store durably before returning."""
        await self.store.transact(lambda change: change.set_meta(self.namespace, name, value))

    async def delete(self, name: str) -> None:
        await self.store.transact(lambda change: change.set_meta(self.namespace, name, None))

    async def list(self) -> list[str]:
        return sorted(name for namespace, name in self.store.snapshot.meta if namespace == self.namespace)


@dataclass
class _Clock:
    """Wall-clock time that never repeats, so that creation times order rows."""

    last: datetime = field(default_factory=lambda: datetime.fromtimestamp(0, UTC))

    def now(self) -> str:
        self.last = max(datetime.now(UTC), self.last + timedelta(microseconds=1))
        return self.last.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Store:
    """One process's store. Made by `open`; everything but the writer thread runs on one event loop."""

    def __init__(
        self, registry: Registry, database: sqlite3.Connection, lock: IO[bytes] | None, loaded: Snapshot
    ) -> None:
        self.registry = registry
        self._database = database
        self._lock = lock
        self._committed = self._head = loaded
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._unpublished: deque[_Batch] = deque()
        self._late = 0
        """How many late ones are not on disk."""
        self._owed: list[_Batch] = []
        """Late ones that were acknowledged and did not reach the disk: they go with the next write."""
        self._era = 0
        self._last: asyncio.Future[None] | None = None
        self._subscribers: list[Callable[[], None]] = []
        self._clock = _Clock()
        self._derived = DerivedFacts(registry, loaded)
        self.in_force: Callable[[tuple[str, ...]], bool] = lambda _owners: False
        """Whether what owners had claimed is in force: the loops', set by the application page."""
        self._dirty_statuses: dict[str, MachineStatus | None] = {}
        self._status_timer: asyncio.TimerHandle | None = None
        self._since_prune = 0
        self._closing = False
        self._background: set[asyncio.Task[None]] = set()
        self._writer = threading.Thread(target=self._write_forever, name="store writer", daemon=True)
        self._writer.start()

    @classmethod
    async def open(cls, path: Path | None, registry: Registry) -> Store:
        """Open or make the store at `path` (None: in memory). Raises schema.StoreError with words for the user."""

        def read() -> tuple[sqlite3.Connection, IO[bytes] | None, Snapshot]:
            lock = schema.hold(path) if path is not None else None
            try:
                database = schema.open_database(path)
                with making_what_stays():
                    return database, lock, schema.load(database)
            except BaseException:
                if lock is not None:
                    lock.close()
                raise

        database, lock, loaded = await asyncio.to_thread(read)
        store = cls(registry, database, lock, loaded)
        await store.transact(store._prune)
        return store

    @property
    def snapshot(self) -> Snapshot:
        """The newest state that is on disk, or will come to be from what is."""
        return self._committed

    @property
    def head(self) -> Snapshot:
        """The tentative state that the next transaction builds on."""
        return self._head

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the event loop after each publish."""
        self._subscribers.append(callback)

    async def prepare(self) -> None:
        """Derive the facts of all that is there in a thread, so that the first `facts` finds little left to do."""
        self._derived.begin()
        self._derived.take(await asyncio.to_thread(self._derived.all_of, self._committed))

    def facts(self, since: Facts | None = None) -> Facts:
        """Facts of the committed state; `changed` relative to `since`, or `since` itself where nothing happened."""
        return self._derived.facts(self._committed, since)

    def meta(self, namespace: str) -> Meta:
        return Meta(self, namespace)

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` synchronously against the head; return its value once what it changed is durable.

        Whatever `work` raises is raised, and nothing has changed. Raises CommitError where the disk refuses.
        """
        if self._closing:
            raise CommitError("the store is closed")
        change = Transaction(self._head, self._clock.now(), self._is_in_force)
        try:
            value = work(change)
        except Exception:
            # A refusal rests on the head as an answer does: who is told 412 must find the etag that he was refused for.
            if self._last is not None:
                await asyncio.shield(self._last)
            raise
        self._since_prune += len(change.changes.operations)
        if self._since_prune >= PRUNE_EVERY:
            self._prune(change)
        if change.changes:
            await self._enqueue(change)
        elif self._last is not None:
            # Its answer rests on the head: it is not given before the head is durable.
            await asyncio.shield(self._last)
        return value

    def _enqueue(self, change: Transaction) -> asyncio.Future[None]:
        self._head = change.snapshot.at(change.revision)
        done: asyncio.Future[None] = self._loop.create_future()
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
        touched = frozenset[str]() if change.keeps_facts else self._derived.touched(change.rows, self._head)
        batch = _Batch(change.changes, self._head, done, self._era, touched)
        self._unpublished.append(batch)
        for owed in self._owed:
            owed.era = self._era
            self._queue.put(owed)
        self._owed = []
        self._queue.put(batch)
        if change.changes.late:
            self._late += 1
            self._publish([])
        else:
            self._last = done
        return asyncio.shield(done)

    def _is_in_force(self, change: Transaction, owners: tuple[str, ...]) -> bool:
        if not self.in_force(owners):
            return False
        touched = self._derived.touched(change.rows, change.snapshot)
        concerned = touched.union(owners)
        if self._derived.any_stale(concerned) or any(concerned & batch.touched for batch in self._unpublished):
            return False
        change.keeps_facts = self._derived.same(touched, change.snapshot)
        return change.keeps_facts

    def _prune(self, change: Transaction) -> None:
        """Forget operations whose end nobody asks for any more."""
        self._since_prune = 0
        limit = (datetime.now(UTC) - KEPT_OPERATIONS).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        change.forget_operations(
            [id for id, found in change.snapshot.operations.items() if found.ended is not None and found.ended < limit]
        )

    def _write_forever(self) -> None:
        """The writer thread: whatever has queued up while the last commit ran is the next commit."""
        failed_era = -1
        open_ = True
        while open_:
            group = self._next_group()
            open_ = None not in group
            batches = [batch for batch in group if batch is not None]
            doomed = [batch for batch in batches if batch.era <= failed_era]
            if doomed:
                self._tell(self._failed, doomed, CommitError("an earlier write of the same state failed"))
            alive = [batch for batch in batches if batch.era > failed_era]
            if not alive:
                continue
            try:
                schema.write(self._database, [batch.changes for batch in alive])
            except Exception as error:
                failed_era = alive[-1].era
                self._tell(self._failed, alive, error)
            else:
                self._tell(self._published, alive)

    def _next_group(self) -> list[_Batch | None]:
        """What is to be written together, None at its end; late ones alone wait a little for company."""
        group = [self._queue.get()]
        until = time.monotonic() + LATE_SECONDS
        while True:
            while not self._queue.empty():
                group.append(self._queue.get_nowait())
            left = until - time.monotonic()
            if left <= 0 or any(batch is None or not batch.changes.late for batch in group):
                return group
            try:
                group.append(self._queue.get(timeout=left))
            except queue.Empty:
                return group

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        self._loop.call_soon_threadsafe(callback, *arguments)

    def _published(self, group: list[_Batch]) -> None:
        self._late -= sum(batch.changes.late for batch in group)
        written = [batch for batch in group if not batch.published]
        for _ in written:
            self._unpublished.popleft()
        self._publish(written)

    def _publish(self, ready: list[_Batch]) -> None:
        """Show what has been written, and the late ones that now have nothing before them that is not."""
        while self._unpublished and self._unpublished[0].changes.late:
            ready.append(self._unpublished.popleft())
        if not ready:
            return
        self._committed = ready[-1].snapshot.with_statuses(self._committed.statuses)
        for batch in ready:
            batch.published = True
            self._derived.note(batch.touched, batch.begins_operation)
        for batch in ready:
            if not batch.done.done():
                batch.done.set_result(None)
        self.notify()

    def _failed(self, group: list[_Batch], error: Exception) -> None:
        log.error("a write did not reach the disk", error=repr(error), transactions=len(group))
        self._owed += [batch for batch in group if batch.published]
        self._late -= sum(batch.changes.late and not batch.published for batch in group)
        failed = [batch for batch in group if not batch.published]
        if any(batch.era == self._era for batch in group):
            # What is still queued was built on what failed; the writer thread refuses it by its era.
            self._era += 1
            self._head = self._committed
            self._last = None
            failed = list(self._unpublished)
            self._unpublished.clear()
        for batch in failed:
            if not batch.done.done():
                batch.done.set_exception(CommitError(f"the write did not reach the disk: {error}"))

    def notify(self) -> None:
        """Call the subscribers: something they may look at has changed."""
        for callback in list(self._subscribers):
            try:
                callback()
            except Exception:
                log.exception("a subscriber failed")

    def set_status(self, status: MachineStatus) -> None:
        """Remember what a machine was seen to be: read at once, on disk within a second or so."""
        self._status(status.machine, status)

    def forget_status(self, machine: str) -> None:
        """Forget a machine that is gone, by its part key."""
        if machine in self._committed.statuses:
            self._status(machine, None)

    def _status(self, machine: str, status: MachineStatus | None) -> None:
        seen = self._committed.statuses
        seen = seen.set(machine, status) if status is not None else seen.delete(machine)
        self._committed = self._committed.with_statuses(seen)
        self._head = self._head.with_statuses(seen)
        self._dirty_statuses[machine] = status
        if self._status_timer is None and not self._closing:
            self._status_timer = self._loop.call_later(STATUS_DELAY, self._flush_statuses)

    def _flush_statuses(self) -> None:
        self._status_timer = None
        task = self._loop.create_task(self._write_statuses())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _write_statuses(self) -> None:
        dirty, self._dirty_statuses = self._dirty_statuses, {}

        def write(change: Transaction) -> None:
            change.changes.statuses.update(dirty)
            change.late()

        try:
            await self.transact(write)
        except CommitError as error:
            log.warning("machine status not written", error=str(error))

    async def events(
        self, scope: str, since: str = "", most: int = 1000, *, until: str | None = None, before: int | None = None
    ) -> list[Json]:
        """Activity-log events of a key and below it, newest first: number, time, resource, operation, status, caller,
        correlation, description. `until` is the newest time wanted, `before` the number of the event to go on from."""
        await self._settled()
        return await asyncio.to_thread(
            schema.read_events, self._database, scope.lower(), since, most, until=until, before=before
        )

    async def _settled(self) -> None:
        """Return when all that is shown is on disk."""
        if self._late:
            await self._enqueue(Transaction(self._head, self._clock.now()))
        elif self._last is not None:
            await asyncio.shield(self._last)

    async def close(self) -> None:
        """Write what is queued, then let go of the file."""
        if self._closing:
            return
        if self._status_timer is not None:
            self._status_timer.cancel()
        if self._dirty_statuses:
            await self._write_statuses()
        self._closing = True
        for owed in self._owed:
            owed.era = self._era
            self._queue.put(owed)
        self._queue.put(None)
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._database.close)
        if self._lock is not None:
            self._lock.close()


def below(rows: Iterable[Row], subscription: str) -> list[Row]:
    """Rows of one subscription."""
    wanted = subscription.lower()
    return [row for row in rows if row.id.subscription.lower() == wanted]

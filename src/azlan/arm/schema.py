"""The store's tables on SQLite, their versions and migrations, and how rows become columns and back.

Write-ahead log with synchronous=FULL: a commit that returned has reached the disk (https://sqlite.org/pragma.html); one
of `Changes` that are all `late` reaches it with the next that waits.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path
from typing import IO, Any

import msgspec

from azlan.arm.resource import Json, Operation, Row
from azlan.arm.snapshot import Snapshot
from azlan.base.ids import parse_id
from azlan.contract.machine import MachineStatus

KEPT_EVENTS = 50_000
REVISION = ("store", "revision")
"""The entry of `meta` that keeps the global revision rising when the newest row is gone."""

Migration = Callable[[sqlite3.Connection], None]

_FIRST = (
    "CREATE TABLE resources (key VARCHAR NOT NULL PRIMARY KEY, id VARCHAR NOT NULL, type VARCHAR NOT NULL, "
    "body VARCHAR NOT NULL, state VARCHAR NOT NULL, provisioning VARCHAR NOT NULL, etag VARCHAR NOT NULL, "
    "generation INTEGER NOT NULL, revision INTEGER NOT NULL, created VARCHAR NOT NULL, changed VARCHAR NOT NULL, "
    "api_version VARCHAR NOT NULL, refs VARCHAR NOT NULL)",
    "CREATE TABLE operations (id VARCHAR NOT NULL PRIMARY KEY, document VARCHAR NOT NULL)",
    "CREATE TABLE last_operations (key VARCHAR NOT NULL PRIMARY KEY, operation VARCHAR NOT NULL)",
    "CREATE TABLE events (number INTEGER NOT NULL PRIMARY KEY, time VARCHAR NOT NULL, resource VARCHAR NOT NULL, "
    "operation VARCHAR NOT NULL, status VARCHAR NOT NULL, caller VARCHAR NOT NULL, correlation VARCHAR NOT NULL, "
    "description VARCHAR NOT NULL)",
    "CREATE INDEX events_resource ON events (resource)",
    "CREATE TABLE meta (namespace VARCHAR NOT NULL, name VARCHAR NOT NULL, value VARCHAR NOT NULL, "
    "PRIMARY KEY (namespace, name))",
    "CREATE TABLE statuses (machine VARCHAR NOT NULL PRIMARY KEY, document VARCHAR NOT NULL)",
)


def _first(database: sqlite3.Connection) -> None:
    for statement in _FIRST:
        database.execute(statement)


MIGRATIONS: tuple[Migration, ...] = (_first,)
"""`MIGRATIONS[n]` turns a store of version n into one of version n + 1; the version is SQLite's `user_version`.
A migration that is released never changes."""


@dataclass(frozen=True)
class _Table:
    """The statements of one table. The key's columns come first; names are this file's own, values are parameters."""

    name: str
    key: tuple[str, ...]
    values: tuple[str, ...]

    @property
    def removal(self) -> str:
        return f"DELETE FROM {self.name} WHERE {' AND '.join(f'{name} = ?' for name in self.key)}"  # noqa: S608

    @property
    def everything(self) -> str:
        return f"SELECT {', '.join((*self.key, *self.values))} FROM {self.name}"  # noqa: S608


@cache
def _insertion(table: _Table, rows: int) -> str:
    """Inserts so many rows."""
    columns = (*table.key, *table.values)
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"  # noqa: S608


@cache
def _upsert(table: _Table, rows: int) -> str:
    """Inserts so many rows, or replaces those of their keys."""
    changes = ", ".join(f"{name} = excluded.{name}" for name in table.values)
    return f"{_insertion(table, rows)} ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {changes}"


_ROW = ("id", "type", "body", "state", "provisioning", "etag", "generation", "revision")
_RESOURCES = _Table("resources", ("key",), (*_ROW, "created", "changed", "api_version", "refs"))
_OPERATIONS = _Table("operations", ("id",), ("document",))
_LAST = _Table("last_operations", ("key",), ("operation",))
_META = _Table("meta", ("namespace", "name"), ("value",))
_STATUSES = _Table("statuses", ("machine",), ("document",))
_EVENT = ("time", "resource", "operation", "status", "caller", "correlation", "description")
_EVENTS = _Table("events", (), _EVENT)

_MOST_ROWS = 50
"""In one statement. One for many rows and not one for each: whenever SQLite works, the writer thread lets go of the
interpreter, and has to wait for the event loop to get it back."""


class StoreError(Exception):
    """The store cannot be opened; the message says why, in words for the user."""


@dataclass
class Changes:
    """What one transaction writes. None stands for removal."""

    revision: int = 0
    rows: dict[str, Row | None] = field(default_factory=dict)
    operations: dict[str, Operation | None] = field(default_factory=dict)
    last: dict[str, str | None] = field(default_factory=dict)
    events: list[dict[str, str]] = field(default_factory=list)
    meta: dict[tuple[str, str], str | None] = field(default_factory=dict)
    statuses: dict[str, MachineStatus | None] = field(default_factory=dict)
    late: bool = False
    """What is lost with the power would come to be again by itself: it need not be waited for."""

    def __bool__(self) -> bool:
        return bool(self.rows or self.operations or self.last or self.events or self.meta or self.statuses)


def hold(path: Path) -> IO[bytes]:
    """Take the store's lock for as long as the file stays open. Raises StoreError where another process has it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    lock = os.fdopen(descriptor, "r+b")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StoreError(f"the store {path} is open in another process") from error
    return lock


def open_database(path: Path | None) -> sqlite3.Connection:
    """The one connection, for any thread, one at a time; its transactions are begun by hand. None is a store in memory.
    Raises StoreError for a store newer than this program."""
    if path is not None:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    database = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        _migrate(database, path)
    except BaseException:
        database.close()
        raise
    return database


def _migrate(database: sqlite3.Connection, path: Path | None) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the store {path} has version {version}, newer than the {len(MIGRATIONS)} this Azlan knows: "
            "it was written by a later release; start that one, or move the store away"
        )
    for step in range(version, len(MIGRATIONS)):
        with _Transaction(database):
            MIGRATIONS[step](database)
            database.execute(f"PRAGMA user_version={step + 1}")


@dataclass(frozen=True)
class _Transaction:
    """All of it or nothing."""

    database: sqlite3.Connection

    def __enter__(self) -> None:
        self.database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.database.execute("COMMIT")
        finally:
            if self.database.in_transaction:
                self.database.execute("ROLLBACK")


def load(database: sqlite3.Connection) -> Snapshot:
    """The whole store as a snapshot."""
    rows = [_row(record) for record in database.execute(_RESOURCES.everything)]
    documents = database.execute(_OPERATIONS.everything)
    operations = [_OPERATION.decode(document) for _, document in documents]
    meta = {(namespace, name): value for namespace, name, value in database.execute(_META.everything)}
    revisions = (row.revision for row in rows), (operation.revision for operation in operations)
    revision = max(int(meta.pop(REVISION, "0")), *(max(found, default=0) for found in revisions))
    seen = {machine: _STATUS.decode(document) for machine, document in database.execute(_STATUSES.everything)}
    return Snapshot.of(
        revision, rows, operations, last=dict(database.execute(_LAST.everything)), meta=meta, statuses=seen
    )


def write(database: sqlite3.Connection, group: Iterable[Changes]) -> None:
    """Write a group of transactions as one: later ones win, and all or none are durable when it returns or raises.

    A group of late ones alone is written without waiting for the disk.
    """
    merged = Changes(late=True)
    for changes in group:
        merged.revision = max(merged.revision, changes.revision)
        merged.rows.update(changes.rows)
        merged.operations.update(changes.operations)
        merged.last.update(changes.last)
        merged.events.extend(changes.events)
        merged.meta.update(changes.meta)
        merged.statuses.update(changes.statuses)
        merged.late = merged.late and changes.late
    merged.meta[REVISION] = str(merged.revision)
    if merged.late:
        database.execute("PRAGMA synchronous=NORMAL")
    try:
        with _Transaction(database):
            _write(database, merged)
    finally:
        if merged.late:
            database.execute("PRAGMA synchronous=FULL")


def _write(database: sqlite3.Connection, changes: Changes) -> None:
    _apply(database, _RESOURCES, {(key,): _columns(row) if row else None for key, row in changes.rows.items()})
    _apply(database, _OPERATIONS, {(id,): _document(found) for id, found in changes.operations.items()})
    _apply(database, _LAST, {(key,): (found,) if found else None for key, found in changes.last.items()})
    _apply(database, _META, {key: (value,) if value is not None else None for key, value in changes.meta.items()})
    _apply(database, _STATUSES, {(machine,): _document(found) for machine, found in changes.statuses.items()})
    if changes.events:
        for some in _portions([tuple(event[name] for name in _EVENT) for event in changes.events]):
            newest = database.execute(_insertion(_EVENTS, len(some)), [*chain.from_iterable(some)]).lastrowid or 0
        if newest % (KEPT_EVENTS // 50 or 1) < len(changes.events):
            database.execute("DELETE FROM events WHERE number <= ?", (newest - KEPT_EVENTS,))


def read_events(
    database: sqlite3.Connection,
    scope: str,
    since: str,
    most: int,
    *,
    until: str | None = None,
    before: int | None = None,
) -> list[Json]:
    """Activity-log events of a key and below it, newest first. `until` is the newest time wanted, `before` the number of
    the event to go on from."""
    below = f"{scope.rstrip('/')}/"
    found = database.execute(
        "SELECT * FROM events WHERE (resource = :scope OR substr(resource, 1, length(:below)) = :below) "
        "AND time >= :since AND (:until IS NULL OR time <= :until) AND (:before IS NULL OR number < :before) "
        "ORDER BY number DESC LIMIT :most",
        {"scope": scope, "below": below, "since": since, "until": until, "before": before, "most": most},
    )
    return [dict(zip(("number", *_EVENT), record, strict=True)) for record in found.fetchall()]


Values = tuple[Any, ...]


def _apply(database: sqlite3.Connection, table: _Table, values: Mapping[tuple[str, ...], Values | None]) -> None:
    gone = [key for key, value in values.items() if value is None]
    kept = [(*key, *value) for key, value in values.items() if value is not None]
    if gone:
        database.executemany(table.removal, gone)
    for some in _portions(kept):
        database.execute(_upsert(table, len(some)), [*chain.from_iterable(some)])


def _portions(rows: list[Values]) -> Iterator[list[Values]]:
    for at in range(0, len(rows), _MOST_ROWS):
        yield rows[at : at + _MOST_ROWS]


_OPERATION = msgspec.json.Decoder(Operation)
_STATUS = msgspec.json.Decoder(MachineStatus)


def _document(value: Operation | MachineStatus | None) -> Values | None:
    return None if value is None else (_json(value),)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _columns(row: Row) -> Values:
    documents = _json(row.body), _json(row.state), row.provisioning, row.etag, row.generation, row.revision
    return str(row.id), row.type, *documents, row.created, row.changed, row.api_version, _json(row.refs)


def _row(record: tuple[Any, ...]) -> Row:
    _, id, type, body, state, provisioning, etag, generation, revision, created, changed, api_version, refs = record
    return Row(
        parse_id(id),
        type,
        msgspec.json.decode(body),
        msgspec.json.decode(state),
        provisioning,
        etag,
        generation,
        revision,
        created,
        changed,
        api_version,
        tuple((path, target) for path, target in msgspec.json.decode(refs)),
    )

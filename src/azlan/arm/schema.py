"""The store's tables on SQLite, their versions and migrations, and how rows become columns and back.

Write-ahead log with synchronous=FULL: a commit that returned has reached the disk (https://sqlite.org/pragma.html).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import IO, Any

import msgspec
from immutables import Map
from sqlalchemy import (
    Column,
    Connection,
    Delete,
    Engine,
    Index,
    Insert,
    Integer,
    MetaData,
    String,
    Table,
    and_,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.pool import StaticPool

from azlan.arm.resource import Json, Operation, Row
from azlan.arm.snapshot import Snapshot
from azlan.base.ids import parse_id
from azlan.contract.machine import MachineStatus

metadata = MetaData()

resources = Table(
    "resources",
    metadata,
    Column("key", String, primary_key=True),
    *(Column(name, String, nullable=False) for name in ("id", "type", "body", "state", "provisioning", "etag")),
    *(Column(name, Integer, nullable=False) for name in ("generation", "revision")),
    *(Column(name, String, nullable=False) for name in ("created", "changed", "api_version", "refs")),
)
operations = Table(
    "operations",
    metadata,
    Column("id", String, primary_key=True),
    Column("document", String, nullable=False),
)
last_operations = Table(
    "last_operations",
    metadata,
    Column("key", String, primary_key=True),
    Column("operation", String, nullable=False),
)
events = Table(
    "events",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    *(Column(name, String, nullable=False) for name in ("time", "resource", "operation", "status", "caller")),
    *(Column(name, String, nullable=False) for name in ("correlation", "description")),
    Index("events_resource", "resource"),
)
meta = Table(
    "meta",
    metadata,
    Column("namespace", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)
statuses = Table(
    "statuses",
    metadata,
    Column("machine", String, primary_key=True),
    Column("document", String, nullable=False),
)

KEPT_EVENTS = 50_000
REVISION = ("store", "revision")
"""The entry of `meta` that keeps the global revision rising when the newest row is gone."""

Migration = Callable[[Connection], None]


def _first(connection: Connection) -> None:
    metadata.create_all(connection)


MIGRATIONS: tuple[Migration, ...] = (_first,)
"""`MIGRATIONS[n]` turns a store of version n into one of version n + 1; the version is SQLite's `user_version`.
A migration that is released never changes; later ones alter tables by SQL of their own, never through `metadata`."""


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


def open_engine(path: Path | None) -> Engine:
    """An engine of one connection; None is a store in memory. Raises StoreError for a store newer than this program."""
    if path is not None:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    engine = create_engine(
        f"sqlite:///{path}" if path else "sqlite://",
        poolclass=StaticPool,
        connect_args={"check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _tune(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    try:
        _migrate(engine, path)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _migrate(engine: Engine, path: Path | None) -> None:
    with engine.connect() as connection:
        version = connection.execute(text("PRAGMA user_version")).scalar_one()
        connection.rollback()
        if version > len(MIGRATIONS):
            raise StoreError(
                f"the store {path} has version {version}, newer than the {len(MIGRATIONS)} this Azlan knows: "
                "it was written by a later release; start that one, or move the store away"
            )
        for step in range(version, len(MIGRATIONS)):
            # Explicit: the driver begins a transaction before DML only, and a schema change must be all or nothing.
            connection.execute(text("BEGIN IMMEDIATE"))
            MIGRATIONS[step](connection)
            connection.execute(text(f"PRAGMA user_version={step + 1}"))
            connection.commit()


def load(engine: Engine) -> Snapshot:
    """The whole store as a snapshot."""
    snapshot = Snapshot()
    revision = 0
    with engine.connect() as connection:
        for record in connection.execute(select(resources)):
            row = _row(record._mapping)
            revision = max(revision, row.revision)
            snapshot = snapshot.with_row(row)
        for (document,) in connection.execute(select(operations.c.document)):
            operation = msgspec.json.decode(document, type=Operation)
            revision = max(revision, operation.revision)
            snapshot = snapshot.with_operation(operation)
        last: Map[str, str] = Map([tuple(pair) for pair in connection.execute(select(last_operations))])
        seen = Map(
            {
                machine: msgspec.json.decode(document, type=MachineStatus)
                for machine, document in connection.execute(select(statuses))
            }
        )
        for namespace, name, value in connection.execute(select(meta)):
            if (namespace, name) == REVISION:
                revision = max(revision, int(value))
            else:
                snapshot = snapshot.with_meta(namespace, name, value)
    return replace(snapshot, last=last, statuses=seen, revision=revision)


def write(engine: Engine, group: Iterable[Changes]) -> None:
    """Write a group of transactions as one: later ones win, and all or none are durable when it returns or raises."""
    merged = Changes()
    for changes in group:
        merged.revision = max(merged.revision, changes.revision)
        merged.rows.update(changes.rows)
        merged.operations.update(changes.operations)
        merged.last.update(changes.last)
        merged.events.extend(changes.events)
        merged.meta.update(changes.meta)
        merged.statuses.update(changes.statuses)
    merged.meta[REVISION] = str(merged.revision)
    with engine.begin() as connection:
        _apply(connection, resources, {(key,): _columns(row) if row else None for key, row in merged.rows.items()})
        _apply(connection, operations, {(id,): _document("id", id, found) for id, found in merged.operations.items()})
        _apply(connection, last_operations, {(key,): _last(key, found) for key, found in merged.last.items()})
        _apply(connection, meta, {key: _entry(key, value) for key, value in merged.meta.items()})
        _apply(connection, statuses, {(m,): _document("machine", m, found) for m, found in merged.statuses.items()})
        if merged.events:
            connection.execute(insert(events), merged.events)
            newest = connection.execute(select(func.max(events.c.number))).scalar_one()
            connection.execute(delete(events).where(events.c.number <= newest - KEPT_EVENTS))


def read_events(engine: Engine, prefix: str, since: str, most: int) -> list[Json]:
    """Activity-log events of resources whose key begins with `prefix`, newest first."""
    wanted = (
        select(events)
        .where(events.c.resource.startswith(prefix, autoescape=True), events.c.time >= since)
        .order_by(events.c.number.desc())
        .limit(most)
    )
    with engine.connect() as connection:
        return [dict(record) for record in connection.execute(wanted).mappings()]


@cache
def _removal(table: Table) -> Delete:
    """Deletes the row whose key is k0, k1, …"""
    keys = enumerate(table.primary_key.columns)
    return delete(table).where(and_(*(column == bindparam(f"k{n}") for n, column in keys)))


@cache
def _upsert(table: Table) -> Insert:
    """Inserts a row, or replaces the one of its key."""
    statement = upsert(table)
    update = {c.name: statement.excluded[c.name] for c in table.columns if not c.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=update)


def _apply(connection: Connection, table: Table, values: Mapping[tuple[str, ...], Json | None]) -> None:
    gone = [key for key, value in values.items() if value is None]
    kept = [value for value in values.values() if value is not None]
    if gone:
        connection.execute(_removal(table), [{f"k{n}": part for n, part in enumerate(key)} for key in gone])
    if kept:
        connection.execute(_upsert(table), kept)


def _document(column: str, key: str, value: Operation | MachineStatus | None) -> Json | None:
    return None if value is None else {column: key, "document": _json(value)}


def _last(key: str, operation: str | None) -> Json | None:
    return None if operation is None else {"key": key, "operation": operation}


def _entry(key: tuple[str, str], value: str | None) -> Json | None:
    return None if value is None else {"namespace": key[0], "name": key[1], "value": value}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _columns(row: Row) -> Json:
    return {
        "key": row.key,
        "id": str(row.id),
        "type": row.type,
        "body": _json(row.body),
        "state": _json(row.state),
        "provisioning": row.provisioning,
        "etag": row.etag,
        "generation": row.generation,
        "revision": row.revision,
        "created": row.created,
        "changed": row.changed,
        "api_version": row.api_version,
        "refs": _json(row.refs),
    }


def _row(record: Mapping[Any, Any]) -> Row:
    values = dict(record)
    del values["key"]
    values["id"] = parse_id(values["id"])
    values["body"] = msgspec.json.decode(values["body"])
    values["state"] = msgspec.json.decode(values["state"])
    values["refs"] = tuple((path, target) for path, target in msgspec.json.decode(values["refs"]))
    return Row(**values)

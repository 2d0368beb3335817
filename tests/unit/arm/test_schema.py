"""The file on disk: its version, its lock, its rights, and rows that come back as they were."""

import sqlite3
import stat
from pathlib import Path

import pytest

from azlan.arm import schema
from azlan.arm.schema import Changes, StoreError
from azlan.contract.machine import MachineStatus
from unit.arm.test_snapshot import operation, row


def version(path: Path) -> int:
    database = schema.open_database(path)
    found: int
    (found,) = database.execute("PRAGMA user_version").fetchone()
    database.close()
    return found


def test_what_is_written_is_loaded(tmp_path: Path) -> None:
    database = schema.open_database(tmp_path / "s.db")
    box, plug = row("boxes", "Box", slots=("Ä",)), row("plugs", "p", (("properties.x", "/target"),))
    status = MachineStatus(machine="machine:/x", power="running", ready=True, boots=2)
    changes = Changes(
        revision=7,
        rows={box.key: box, plug.key: plug},
        operations={"1": operation("1", box.key)},
        last={box.key: "1"},
        meta={("identity", "key"): "secret"},
        statuses={"machine:/x": status},
    )
    schema.write(database, [changes])
    database.close()
    database = schema.open_database(tmp_path / "s.db")
    found = schema.load(database)
    assert dict(found.rows) == {box.key: box, plug.key: plug}
    assert found.operations["1"] == operation("1", box.key)
    assert "1" in found.unsettled
    assert dict(found.last) == {box.key: "1"}
    assert found.status("/x") == status
    assert dict(found.meta) == {("identity", "key"): "secret"}
    assert found.revision == 7
    gone = Changes(
        8, {box.key: None}, {"1": None}, {box.key: None}, [], {("identity", "key"): None}, {"machine:/x": None}
    )
    schema.write(database, [gone])
    found = schema.load(database)
    assert list(found.rows) == [plug.key]
    assert not found.operations
    assert not found.meta
    assert not found.statuses
    assert found.revision == 8
    database.close()


def test_a_group_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    database = schema.open_database(tmp_path / "s.db")
    broken = row("plugs", "p")
    object.__setattr__(broken, "etag", None)
    with pytest.raises(Exception, match="NOT NULL"):
        schema.write(database, [Changes(1, {"/box": row("boxes", "b")}), Changes(2, {"/plug": broken})])
    assert not schema.load(database).rows
    database.close()


def test_only_its_owner_can_read_the_file(tmp_path: Path) -> None:
    database = schema.open_database(tmp_path / "s.db")
    schema.write(database, [Changes(1, {"/b": row("boxes", "b")})])
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    database.close()


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    database = schema.open_database(path)
    database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(StoreError, match="version 99, newer than the 1 this Azlan knows"):
        schema.open_database(path)


def test_an_older_store_is_migrated_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.db"
    database = schema.open_database(path)
    schema.write(database, [Changes(3, {row("boxes", "b").key: row("boxes", "b")})])
    database.close()

    def colour(database: sqlite3.Connection) -> None:
        database.execute("ALTER TABLE resources ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'")

    def paint(database: sqlite3.Connection) -> None:
        database.execute("UPDATE resources SET colour = 'red'")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, colour, paint))
    database = schema.open_database(path)
    assert database.execute("SELECT colour FROM resources").fetchall() == [("red",)]
    database.close()
    assert version(path) == 3


def test_a_migration_that_fails_leaves_the_store_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.db"
    schema.open_database(path).close()

    def broken(database: sqlite3.Connection) -> None:
        database.execute("ALTER TABLE resources ADD COLUMN colour TEXT")
        raise RuntimeError("no")

    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
        with pytest.raises(RuntimeError):
            schema.open_database(path)
    database = schema.open_database(path)
    columns = [found[1] for found in database.execute("PRAGMA table_info(resources)")]
    database.close()
    assert "colour" not in columns
    assert version(path) == 1


def test_one_process_at_a_time(tmp_path: Path) -> None:
    lock = schema.hold(tmp_path / "s.db")
    with pytest.raises(StoreError, match="open in another process"):
        schema.hold(tmp_path / "s.db")
    lock.close()
    schema.hold(tmp_path / "s.db").close()


def test_old_events_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "KEPT_EVENTS", 3)
    database = schema.open_database(None)
    names = ("time", "resource", "operation", "status", "caller", "correlation", "description")
    for number in range(5):
        values = dict.fromkeys(names, "") | {
            "time": f"2024-{number}",
            "resource": "/a_b/c" if number % 2 else "/axb",
        }
        schema.write(database, [Changes(number, events=[values])])
    assert [found["time"] for found in schema.read_events(database, "/", "", 10)] == ["2024-4", "2024-3", "2024-2"]
    assert [found["time"] for found in schema.read_events(database, "/a_b", "", 10)] == ["2024-3"]
    assert [found["time"] for found in schema.read_events(database, "/", "2024-3", 1)] == ["2024-4"]
    database.close()

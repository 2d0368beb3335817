"""The file on disk: its version, its lock, its rights, and rows that come back as they were."""

import stat
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from azlan.arm import schema
from azlan.arm.schema import Changes, StoreError
from azlan.contract.machine import MachineStatus
from unit.arm.test_snapshot import operation, row


def version(path: Path) -> int:
    engine = schema.open_engine(path)
    with engine.connect() as connection:
        found: int = connection.execute(text("PRAGMA user_version")).scalar_one()
    engine.dispose()
    return found


def test_what_is_written_is_loaded(tmp_path: Path) -> None:
    engine = schema.open_engine(tmp_path / "s.db")
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
    schema.write(engine, [changes])
    engine.dispose()
    engine = schema.open_engine(tmp_path / "s.db")
    found = schema.load(engine)
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
    schema.write(engine, [gone])
    found = schema.load(engine)
    assert list(found.rows) == [plug.key]
    assert not found.operations
    assert not found.meta
    assert not found.statuses
    assert found.revision == 8
    engine.dispose()


def test_a_group_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    engine = schema.open_engine(tmp_path / "s.db")
    broken = row("plugs", "p")
    object.__setattr__(broken, "etag", None)
    with pytest.raises(Exception, match="NOT NULL"):
        schema.write(engine, [Changes(1, {"/box": row("boxes", "b")}), Changes(2, {"/plug": broken})])
    assert not schema.load(engine).rows
    engine.dispose()


def test_only_its_owner_can_read_the_file(tmp_path: Path) -> None:
    engine = schema.open_engine(tmp_path / "s.db")
    schema.write(engine, [Changes(1, {"/b": row("boxes", "b")})])
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    engine.dispose()


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    engine = schema.open_engine(path)
    with engine.begin() as connection:
        connection.execute(text("PRAGMA user_version=99"))
    engine.dispose()
    with pytest.raises(StoreError, match="version 99, newer than the 1 this Azlan knows"):
        schema.open_engine(path)


def test_an_older_store_is_migrated_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.db"
    engine = schema.open_engine(path)
    schema.write(engine, [Changes(3, {row("boxes", "b").key: row("boxes", "b")})])
    engine.dispose()

    def colour(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE resources ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'"))

    def paint(connection: Connection) -> None:
        connection.execute(text("UPDATE resources SET colour = 'red'"))

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, colour, paint))
    engine = schema.open_engine(path)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT colour FROM resources")).scalars().all() == ["red"]
    engine.dispose()
    assert version(path) == 3


def test_a_migration_that_fails_leaves_the_store_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.db"
    schema.open_engine(path).dispose()

    def broken(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE resources ADD COLUMN colour TEXT"))
        raise RuntimeError("no")

    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
        with pytest.raises(RuntimeError):
            schema.open_engine(path)
    engine = schema.open_engine(path)
    with engine.connect() as connection:
        columns = [found[1] for found in connection.execute(text("PRAGMA table_info(resources)"))]
    engine.dispose()
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
    engine = schema.open_engine(None)
    names = ("time", "resource", "operation", "status", "caller", "correlation", "description")
    for number in range(5):
        values = dict.fromkeys(names, "") | {
            "time": f"2024-{number}",
            "resource": "/a_b/c" if number % 2 else "/axb",
        }
        schema.write(engine, [Changes(number, events=[values])])
    assert [found["time"] for found in schema.read_events(engine, "/", "", 10)] == ["2024-4", "2024-3", "2024-2"]
    assert [found["time"] for found in schema.read_events(engine, "/a_b", "", 10)] == ["2024-3"]
    assert [found["time"] for found in schema.read_events(engine, "/", "2024-3", 1)] == ["2024-4"]
    engine.dispose()

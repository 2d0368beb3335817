"""Durability: what was acknowledged is there after any crash, what failed has not happened, nobody sees either early."""

import asyncio
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from azlan.arm import schema
from azlan.arm import store as store_module
from azlan.arm.resource import Row
from azlan.arm.schema import StoreError
from azlan.arm.store import CommitError, Store, Transaction
from azlan.contract.machine import MachineStatus
from unit.arm import toys
from unit.arm.test_snapshot import operation, row


async def opened(path: Path | None = None) -> Store:
    return await Store.open(path, toys.registry())


async def test_a_write_is_acknowledged_published_and_told_once_it_is_on_disk(tmp_path: Path) -> None:
    store = await opened(tmp_path / "s.db")
    told: list[int] = []
    store.subscribe(lambda: told.append(len(store.snapshot.rows)))
    value = await store.transact(lambda change: change.put(row("boxes", "b")) or "value")  # type: ignore[func-returns-value]
    assert value == "value"
    assert told == [1]
    await store.close()
    again = await opened(tmp_path / "s.db")
    assert list(again.snapshot.rows) == [row("boxes", "b").key]
    assert again.snapshot.revision == store.snapshot.revision
    await again.close()


async def test_parallel_transactions_build_on_one_another_and_share_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    real = schema.write

    def counting(engine, group):  # type: ignore[no-untyped-def]
        groups.append(len(group))
        time.sleep(0.01)
        real(engine, group)

    monkeypatch.setattr(schema, "write", counting)
    store = await opened()
    key = row("boxes", "b").key

    def add(change: Transaction) -> int:
        old = change.snapshot.rows.get(key)
        count = old.generation + 1 if old else 1
        change.put(Row(**{**fields(row("boxes", "b")), "generation": count}))
        return count

    counts = await asyncio.gather(*(store.transact(add) for _ in range(50)))
    assert counts == list(range(1, 51))
    assert store.snapshot.rows[key].generation == 50
    assert len(groups) < 10
    await store.close()


def fields(found: Row) -> dict[str, object]:
    return {name: getattr(found, name) for name in found.__slots__}


async def test_a_transaction_that_raises_has_changed_nothing() -> None:
    store = await opened()

    def work(change: Transaction) -> None:
        change.put(row("boxes", "b"))
        raise LookupError

    with pytest.raises(LookupError):
        await store.transact(work)
    assert not store.head.rows
    await store.close()


async def test_nothing_is_seen_before_it_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    store = await opened()
    real = schema.write
    monkeypatch.setattr(schema, "write", lambda engine, group: (time.sleep(0.05), real(engine, group)))
    writing = asyncio.ensure_future(store.transact(lambda change: change.put(row("boxes", "b"))))
    await asyncio.sleep(0.01)
    assert not store.snapshot.rows
    assert len(store.head.rows) == 1
    # An answer that rests on the tentative state waits for it, too.
    seen = await store.transact(lambda change: len(change.snapshot.rows))
    assert seen == 1
    assert writing.done()
    await store.close()


async def test_a_failed_commit_fails_everything_built_on_it_and_the_store_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = await opened()
    await store.transact(lambda change: change.put(row("boxes", "kept")))
    real, failures = schema.write, [True]

    def failing(engine, group):  # type: ignore[no-untyped-def]
        time.sleep(0.02)
        if failures:
            failures.pop()
            raise OSError("no space left on device")
        real(engine, group)

    monkeypatch.setattr(schema, "write", failing)
    first = asyncio.ensure_future(store.transact(lambda change: change.put(row("boxes", "a"))))
    await asyncio.sleep(0.005)
    # Queued while the first is being written: built on it, so they fail with it although the disk is well again.
    second = asyncio.ensure_future(store.transact(lambda change: change.put(row("boxes", "b"))))
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(result) for result in results] == [CommitError, CommitError]
    assert "no space left" in str(results[0])
    assert store.head is store.snapshot
    await store.transact(lambda change: change.put(row("boxes", "c")))
    assert sorted(found.id.name for found in store.snapshot.rows.values()) == ["c", "kept"]
    await store.close()


async def test_nobody_waits_for_the_disk_of_a_late_one_that_rests_on_nothing_unwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened(tmp_path / "s.db")
    real, groups, written = schema.write, [], threading.Event()

    def slow(database, group):  # type: ignore[no-untyped-def]
        written.wait()
        groups.append(len(group))
        real(database, group)

    monkeypatch.setattr(schema, "write", slow)
    await store.transact(late("a"))
    assert [found.id.name for found in store.snapshot.rows.values()] == ["a"]
    # One that others wait for takes it along; a late one behind that waits as that does.
    durable = asyncio.ensure_future(store.transact(lambda change: change.put(row("boxes", "b"))))
    behind = asyncio.ensure_future(store.transact(late("c")))
    await asyncio.sleep(0.02)
    assert not durable.done()
    assert not behind.done()
    assert [found.id.name for found in store.snapshot.rows.values()] == ["a"]
    written.set()
    await asyncio.gather(durable, behind)
    assert sum(groups) == 3
    assert len(groups) < 3
    await store.close()
    again = await opened(tmp_path / "s.db")
    assert sorted(found.id.name for found in again.snapshot.rows.values()) == ["a", "b", "c"]
    await again.close()


def late(name: str) -> Callable[[Transaction], None]:
    def work(change: Transaction) -> None:
        change.put(row("boxes", name))
        change.log(row("boxes", name).key, "Toy.Net/boxes/write", "Succeeded", "me", name)
        change.late()

    return work


async def test_a_late_one_that_the_disk_refused_goes_with_the_next_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened(tmp_path / "s.db")
    real, failures = schema.write, [True]

    def failing(database, group):  # type: ignore[no-untyped-def]
        if failures:
            failures.pop()
            raise OSError("no space left on device")
        real(database, group)

    monkeypatch.setattr(schema, "write", failing)
    await store.transact(late("a"))
    while not store._owed:
        await asyncio.sleep(0.001)
    await store.transact(lambda change: change.put(row("boxes", "b")))
    await store.close()
    again = await opened(tmp_path / "s.db")
    assert sorted(found.id.name for found in again.snapshot.rows.values()) == ["a", "b"]
    await again.close()


async def test_what_is_shown_of_the_activity_log_includes_what_is_not_yet_written() -> None:
    store = await opened()
    await store.transact(late("a"))
    assert [found["correlation"] for found in await store.events("/")] == ["a"]
    await store.close()


async def test_a_crash_between_commit_and_publish_keeps_the_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened(tmp_path / "s.db")
    monkeypatch.setattr(store, "_published", lambda group: None)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(store.transact(lambda change: change.put(row("boxes", "b"))), 0.2)
    assert not store.snapshot.rows
    await store.close()
    again = await opened(tmp_path / "s.db")
    assert len(again.snapshot.rows) == 1
    await again.close()


def test_kill_9_loses_no_acknowledged_write(tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import asyncio, sys
        sys.path[:0] = {sys.path!r}
        from pathlib import Path
        from unit.arm import toys
        from unit.arm.test_snapshot import row
        from azlan.arm.store import Store

        async def main():
            store = await Store.open(Path({str(tmp_path / "s.db")!r}), toys.registry())
            async def one(n):
                await store.transact(lambda change: change.put(row("boxes", f"b{{n}}")))
                print(n, flush=True)
            for start in range(0, 100000, 8):
                await asyncio.gather(*(one(start + n) for n in range(8)))

        asyncio.run(main())
        """
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline() for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    acknowledged += process.stdout.readlines()
    process.wait()

    async def check() -> None:
        store = await opened(tmp_path / "s.db")
        names = {found.id.name for found in store.snapshot.rows.values()}
        assert {f"b{int(n)}" for n in acknowledged if n.endswith("\n")} <= names
        await store.close()

    asyncio.run(check())


async def test_a_second_process_is_refused_and_the_first_lets_go(tmp_path: Path) -> None:
    store = await opened(tmp_path / "s.db")
    with pytest.raises(StoreError):
        await opened(tmp_path / "s.db")
    await store.close()
    await (await opened(tmp_path / "s.db")).close()
    with pytest.raises(CommitError):
        await store.transact(lambda change: None)


async def test_meta_is_durable_and_kept_by_namespace(tmp_path: Path) -> None:
    store = await opened(tmp_path / "s.db")
    meta = store.meta("identity")
    assert await meta.get("key") is None
    await meta.put("key", "one")
    await meta.put("other", "two")
    await store.meta("else").put("key", "three")
    await meta.delete("other")
    await store.close()
    again = await opened(tmp_path / "s.db")
    assert await again.meta("identity").get("key") == "one"
    assert await again.meta("identity").list() == ["key"]
    assert await again.meta("else").get("key") == "three"
    await again.close()


async def test_machine_status_is_read_at_once_and_shown_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "STATUS_DELAY", 0.01)
    store = await opened(tmp_path / "s.db")
    running = MachineStatus(machine="machine:/vm", power="running")
    store.set_status(running)
    assert store.snapshot.status("/vm") == running
    await store.transact(lambda change: change.put(row("boxes", "b")))
    assert store.snapshot.status("/vm") == running
    await asyncio.sleep(0.05)
    store.set_status(MachineStatus(machine="machine:/gone", power="failed"))
    store.forget_status("machine:/gone")
    store.set_status(MachineStatus(machine="machine:/late", power="stopped"))
    await store.close()
    again = await opened(tmp_path / "s.db")
    assert again.snapshot.status("/vm") == running
    assert again.snapshot.status("/gone") is None
    assert again.snapshot.status("/late") is not None
    await again.close()


async def test_ended_operations_are_forgotten_after_a_day() -> None:
    store = await opened()

    def write(change: Transaction) -> None:
        change.put_operation(operation("old", "/k", ended="2001-01-01T00:00:00Z"))
        change.put_operation(operation("new", "/k", ended="2999-01-01T00:00:00Z"))
        change.put_operation(operation("open", "/k"))

    await store.transact(write)
    await store.transact(store._prune)
    assert set(store.snapshot.operations) == {"new", "open"}
    await store.close()


async def test_events_are_found_below_a_key(tmp_path: Path) -> None:
    store = await opened(tmp_path / "s.db")
    await store.transact(lambda change: change.log("/Sub/G/Box", "Toy.Net/boxes/write", "Accepted", "me", "c-1"))
    await store.transact(
        lambda change: change.log("/sub/h/box", "Toy.Net/boxes/delete", "Succeeded", "me", "c-2", "why")
    )
    assert [found["correlation"] for found in await store.events("/sub")] == ["c-2", "c-1"]
    (only,) = await store.events("/SUB/g")
    assert only["resource"] == "/sub/g/box"
    assert only["status"] == "Accepted"
    await store.close()


async def test_a_subscriber_that_fails_does_not_silence_the_others() -> None:
    store = await opened()
    told: list[int] = []

    def broken() -> None:
        raise RuntimeError

    store.subscribe(broken)
    store.subscribe(lambda: told.append(1))
    await store.transact(lambda change: change.put(row("boxes", "b")))
    assert told == [1]
    await store.close()

"""The power goes at any moment: the store opens again, is sound, and holds everything that was acknowledged.

What a disk may hold then follows from when SQLite waits for it (https://sqlite.org/wal.html, `sqlite3WalFrames`):

    commit       header of a new log, waited for │ frames of the log, waited for │ acknowledged
    checkpoint                     log complete  │ pages of the database, waited for │ the log may begin anew

Between two waits any sector of 512 bytes may be the old or the new one, and a file may be as short as before. A commit
of late transactions alone waits for nothing but its checkpoint: until the next that waits, what it wrote may be there or
not, but never without what came before it.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from azlan.arm import schema
from azlan.arm import store as store_module
from azlan.arm.store import Store, Transaction
from counts import figures, times
from unit.arm import toys
from unit.arm.test_snapshot import row

pytestmark = pytest.mark.slow

WRITES = times(300, 3000)
STATES = 6
"""Of the disk that are tried for each commit that is looked at."""
SECTOR = 512
HEADER = 32
KEYS = 40


@dataclass(frozen=True)
class Disk:
    database: bytes
    log: bytes

    @classmethod
    def of(cls, path: Path) -> Disk:
        log = path.with_name(path.name + "-wal")
        return cls(path.read_bytes(), log.read_bytes() if log.exists() else b"")

    def put(self, path: Path) -> None:
        path.write_bytes(self.database)
        path.with_name(path.name + "-wal").write_bytes(self.log)


@dataclass
class Trial:
    """The disk as it was when last waited for and as it is after a commit; the revisions written in between, the first
    of which was there before."""

    before: Disk
    after: Disk
    revisions: list[int]

    @property
    def checkpointed(self) -> bool:
        return self.before.database != self.after.database

    @property
    def begun_anew(self) -> bool:
        return self.before.log[:HEADER] != self.after.log[:HEADER]


def torn(chance: random.Random, old: bytes, new: bytes) -> bytes:
    """Each sector old or new; the file as long as it was, as it is to be, or between."""
    share = chance.random()
    length = chance.choice((len(new), chance.randint(min(len(old), len(new)), max(len(old), len(new)))))
    sectors = []
    for at in range(0, len(new), SECTOR):
        before = old[at : at + SECTOR]
        written = chance.random() < share
        sectors.append(new[at : at + SECTOR] if written else before.ljust(len(new[at : at + SECTOR]), b"\0"))
    return b"".join(sectors)[:length]


def states(chance: random.Random, trial: Trial) -> list[tuple[Disk, set[int]]]:
    """Disks that a loss of power may leave, each with the revisions it may hold."""
    old, new = trial.revisions[0], trial.revisions[-1]
    found = [(trial.before, {old}), (trial.after, {new})]
    base = trial.before.log
    if trial.begun_anew:
        base = trial.after.log[:HEADER] + base[HEADER:]
        found.append((Disk(trial.before.database, base), {old}))
    for _ in range(STATES):
        found.append((Disk(trial.before.database, torn(chance, base, trial.after.log)), set(trial.revisions)))
        if trial.checkpointed:
            found.append((Disk(torn(chance, trial.before.database, trial.after.database), trial.after.log), {new}))
    return found


@dataclass
class Witness:
    """Looks at the disk around commits, in the writer's own thread; `held` is what each revision holds."""

    path: Path
    chance: random.Random
    revisions: list[int]
    """Written since the disk was last waited for, and before them the one that was there then."""
    trials: list[Trial] = field(default_factory=list)
    held: dict[int, dict[str, int]] = field(default_factory=dict)
    checkpoints: int = 0
    late: int = 0

    def around(self, real: Any) -> Any:
        disk = Disk.of(self.path)

        def write(database: sqlite3.Connection, group: list[schema.Changes]) -> None:
            nonlocal disk
            real(database, group)
            self.revisions.append(max(changes.revision for changes in group))
            trial = Trial(disk, Disk.of(self.path), list(self.revisions))
            self.checkpoints += trial.checkpointed
            if self.chance.random() < 100 / WRITES or trial.checkpointed or trial.begun_anew:
                self.trials.append(trial)
            if all(changes.late for changes in group) and not trial.checkpointed:
                self.late += 1
                if trial.begun_anew:
                    disk = Disk(disk.database, trial.after.log[:HEADER] + disk.log[HEADER:])
            else:
                disk, self.revisions = trial.after, self.revisions[-1:]

        return write


async def test_whatever_sectors_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    path = tmp_path / "store.db"
    store = await Store.open(path, toys.registry())
    witness = Witness(path, chance, [store.snapshot.revision])
    witness.held[store.snapshot.revision] = {}
    monkeypatch.setattr(schema, "write", witness.around(schema.write))
    monkeypatch.setattr(store_module, "LATE_SECONDS", 0)
    pragmas = [store._database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert pragmas == ["wal", 2]  # 2: it waits as said above

    def some(change: Transaction) -> None:
        for _ in range(chance.randint(1, 4)):
            name = f"b{chance.randrange(KEYS)}"
            key = row("boxes", name).key
            if key in change.snapshot.rows and chance.random() < 0.2:
                change.remove(key)
            else:
                body = {"padding": "x" * chance.randrange(6000)}
                change.put(replace(row("boxes", name), generation=change.revision, body=body))
        change.log(f"/{change.revision}", "a/b/write", "Succeeded", "me", "")
        held = {key: found.generation for key, found in change.snapshot.rows.items()}
        witness.held[change.revision] = held

    def late(change: Transaction) -> None:
        some(change)
        change.late()

    for _ in range(WRITES // 4):
        await asyncio.gather(*(store.transact(chance.choice((some, late))) for _ in range(chance.randint(1, 7))))
        if chance.random() < 0.3:
            await store.transact(late)
            while store._late:
                await asyncio.sleep(0.001)
    await store.close()

    assert witness.checkpoints > 0
    assert witness.late > 0
    assert any(trial.begun_anew for trial in witness.trials)
    tried = 0
    for trial in witness.trials:
        for disk, allowed in states(chance, trial):
            tried += 1
            judge(tmp_path / f"lost-{tried}.db", disk, allowed, witness.held)
    figures.append(f"power lost in {tried} ways during {len(witness.trials)} commits: nothing acknowledged was lost")


def judge(path: Path, disk: Disk, allowed: set[int], held: dict[int, dict[str, int]]) -> None:
    disk.put(path)
    database = schema.open_database(path)
    try:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        snapshot = schema.load(database)
        assert snapshot.revision in allowed, f"revision {snapshot.revision}, not of {allowed}"
        assert {key: found.generation for key, found in snapshot.rows.items()} == held[snapshot.revision]
    finally:
        database.close()
        for file in path.parent.glob(path.name + "*"):
            file.unlink()

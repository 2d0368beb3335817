"""The power goes at any moment: the store opens again, is sound, and holds everything that was acknowledged.

What a disk may hold then follows from when SQLite waits for it (https://sqlite.org/wal.html, `sqlite3WalFrames`):

    commit       header of a new log, waited for │ frames of the log, waited for │ acknowledged
    checkpoint                     log complete  │ pages of the database, waited for │ the log may begin anew

Between two waits any sector of 512 bytes may be the old or the new one, and a file may be as short as before.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from azlan.arm import schema
from azlan.arm.store import Store, Transaction
from counts import figures, times
from unit.arm import toys
from unit.arm.test_snapshot import row

pytestmark = pytest.mark.slow

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
    """The disk before and after a commit, and the revisions that are then acknowledged."""

    before: Disk
    after: Disk
    revisions: tuple[int, int]

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
    old, new = trial.revisions
    found = [(trial.before, {old}), (trial.after, {new})]
    base = trial.before.log
    if trial.begun_anew:
        base = trial.after.log[:HEADER] + base[HEADER:]
        found.append((Disk(trial.before.database, base), {old}))
    for _ in range(STATES):
        found.append((Disk(trial.before.database, torn(chance, base, trial.after.log)), {old, new}))
        if trial.checkpointed:
            found.append((Disk(torn(chance, trial.before.database, trial.after.database), trial.after.log), {new}))
    return found


@dataclass
class Witness:
    """Looks at the disk around commits, in the writer's own thread; `held` is what each revision holds."""

    path: Path
    chance: random.Random
    trials: list[Trial] = field(default_factory=list)
    held: dict[int, dict[str, int]] = field(default_factory=dict)
    revision: int = 0
    checkpoints: int = 0

    def around(self, real: Any) -> Any:
        def write(engine: Any, group: list[schema.Changes]) -> None:
            before = Disk.of(self.path)
            real(engine, group)
            trial = Trial(before, Disk.of(self.path), (self.revision, max(changes.revision for changes in group)))
            self.revision = trial.revisions[1]
            self.checkpoints += trial.checkpointed
            if self.chance.random() < 100 / WRITES or trial.checkpointed or trial.begun_anew:
                self.trials.append(trial)

        return write


async def test_whatever_sectors_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    path = tmp_path / "store.db"
    store = await Store.open(path, toys.registry())
    witness = Witness(path, chance, revision=store.snapshot.revision)
    witness.held[store.snapshot.revision] = {}
    monkeypatch.setattr(schema, "write", witness.around(schema.write))
    with store._engine.connect() as connection:
        pragmas = [connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in ("journal_mode", "synchronous")]
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

    for _ in range(WRITES // 4):
        await asyncio.gather(*(store.transact(some) for _ in range(chance.randint(1, 7))))
    await store.close()

    assert witness.checkpoints > 0
    assert any(trial.begun_anew for trial in witness.trials)
    tried = 0
    for trial in witness.trials:
        for disk, allowed in states(chance, trial):
            tried += 1
            judge(tmp_path / f"lost-{tried}.db", disk, allowed, witness.held)
    figures.append(f"power lost in {tried} ways during {len(witness.trials)} commits: nothing acknowledged was lost")


def judge(path: Path, disk: Disk, allowed: set[int], held: dict[int, dict[str, int]]) -> None:
    disk.put(path)
    engine = schema.open_engine(path)
    try:
        with engine.connect() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
        snapshot = schema.load(engine)
        assert snapshot.revision in allowed, f"revision {snapshot.revision}, not of {allowed}"
        assert {key: found.generation for key, found in snapshot.rows.items()} == held[snapshot.revision]
    finally:
        engine.dispose()
        for file in path.parent.glob(path.name + "*"):
            file.unlink()

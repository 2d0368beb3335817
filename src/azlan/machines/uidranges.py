"""A range of 65,536 user and group ids for each machine, clear of everybody else's, recorded on disk.

The ranges lie in 0x70000000…0x7fffffff, which systemd's "Users, Groups, UIDs and GIDs" page leaves unassigned. A claim
is a file that names the directory of its owner; it lapses when that directory is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import hashlib
import os
import pwd
from collections.abc import Iterable, Iterator
from pathlib import Path

from azlan.machines.places import write_durably

SIZE = 65536
FIRST = 0x7000_0000
SLOTS = 4095
"""The last would hold 2³¹-1."""
DEFAULT_REGISTRY = Path("/var/lib/azlan/uids")

Range = tuple[int, int]
"""First id and count."""


class UidRanges:
    """The claims of every cloud on this computer, in one directory."""

    def __init__(self, registry: Path = DEFAULT_REGISTRY) -> None:
        self._registry = registry

    def claim(self, owner: Path, key: str) -> int:
        """The first id of the range of the machine whose directory is `owner`: the same each time it asks.

        Starts looking at a place that `key` decides, so that the same machine tends to get the same range.
        Raises OSError where none is free.
        """
        with self._locked():
            claims = self._claims()
            for first, claimed in claims.items():
                if claimed == owner:
                    return first
            used = tuple(in_use())
            start = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % SLOTS
            for step in range(SLOTS):
                first = FIRST + (start + step) % SLOTS * SIZE
                if first not in claims and not _overlaps(first, used):
                    write_durably(self._registry / str(first), os.fsencode(owner))
                    return first
        raise OSError("no range of user ids is left for another machine")

    def release(self, owner: Path) -> None:
        with self._locked():
            for first, claimed in self._claims().items():
                if claimed == owner:
                    (self._registry / str(first)).unlink()

    def _claims(self) -> dict[int, Path]:
        claims: dict[int, Path] = {}
        for file in self._registry.iterdir():
            if file.name.isdigit():
                owner = Path(file.read_text())
                if owner.is_dir():
                    claims[int(file.name)] = owner
                else:
                    file.unlink()
        return claims

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._registry.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._registry / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def in_use() -> Iterator[Range]:
    """Ids that belong to somebody: users, groups, subordinate ranges, user namespaces of running processes."""
    yield from ((user.pw_uid, 1) for user in pwd.getpwall())
    yield from ((group.gr_gid, 1) for group in grp.getgrall())
    for name in ("/etc/subuid", "/etc/subgid"):
        with contextlib.suppress(OSError):
            yield from subordinate(Path(name).read_text())
    seen: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("uid_map", "gid_map"):
            with contextlib.suppress(OSError):
                seen.add((process / name).read_text())
    for text in seen:
        for line in text.splitlines():
            _, outside, count = (int(word) for word in line.split())
            if outside != 0:  # the host's own map holds every id
                yield outside, count


def subordinate(text: str) -> Iterator[Range]:
    """The ranges of a file in the form of subuid(5)."""
    for line in text.splitlines():
        words = line.strip().split(":")
        if len(words) == 3 and words[1].isdigit() and words[2].isdigit():
            yield int(words[1]), int(words[2])


def _overlaps(first: int, used: Iterable[Range]) -> bool:
    return any(first < start + count and start < first + SIZE for start, count in used)

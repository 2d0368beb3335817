"""Facts kept up to date: a row's facts are derived again when it, or what it is connected to by a reference, changed.

An inline child that stayed the same wakes nobody: a peering added to a VNet does not derive the facts of the VNet's NICs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from immutables import Map

from azlan.arm.registry import Registry
from azlan.arm.resource import Row
from azlan.arm.snapshot import Snapshot
from azlan.contract.facts import Fact, Facts

HISTORY = 4096
"""How many steps back a consumer may have fallen before it is told to look at everything."""

Pairs = Mapping[str, tuple[Row | None, Row | None]]


class DerivedFacts:
    """Facts of the committed snapshot. `note` is told of each commit in order; `facts` derives what became stale."""

    def __init__(self, registry: Registry, loaded: Snapshot) -> None:
        self._registry = registry
        self._stale: set[str] = set(loaded.rows)
        self._facts: Map[str, tuple[Fact, ...]] = Map()
        self._revision = loaded.revision
        self._history: deque[tuple[int, int, frozenset[str]]] = deque(maxlen=HISTORY)
        self._moved = True
        self._touched_since: set[str] | None = None
        self._latest = Facts(-1, self._facts)

    def all_of(self, snapshot: Snapshot) -> Map[str, tuple[Fact, ...]]:
        """The facts of a whole snapshot. Touches nothing, so that any thread may ask."""
        return Map({key: found for key in snapshot.rows if (found := self._of(key, snapshot))})

    def begin(self) -> None:
        """The facts of what was loaded are about to be derived elsewhere: remember what becomes stale meanwhile."""
        self._touched_since = set()

    def take(self, facts: Map[str, tuple[Fact, ...]]) -> None:
        """Take over what `all_of` found of what was loaded, unless it was derived here meanwhile."""
        if self._latest.revision < 0 and self._touched_since is not None:
            self._facts = facts
            self._stale = self._touched_since
        self._touched_since = None

    def touched(self, rows: Pairs, snapshot: Snapshot) -> frozenset[str]:
        """Owners whose facts these changes, (old, new) by key, may concern."""
        found: set[str] = set()
        for key, (old, new) in rows.items():
            if old and new and _alike(old, new):
                continue
            found.add(key)
            for changed in self._changed_keys(old, new):
                found.update(snapshot.targets.get(changed, ()))
            for row in (old, new):
                for _, target in row.refs if row is not None else ():
                    found.add(target)
                    found.add(target.rsplit("/", 2)[0])
        return frozenset(found)

    def note(self, touched: frozenset[str], counts: bool) -> None:
        """Remember what has become stale. `counts`: whether an operation could wait for this revision."""
        self._stale.update(touched)
        if self._touched_since is not None:
            self._touched_since.update(touched)
        self._moved = self._moved or counts

    def any_stale(self, owners: frozenset[str]) -> bool:
        """Whether it is not known of all of them what facts they have."""
        return not self._stale.isdisjoint(owners)

    def same(self, owners: frozenset[str], snapshot: Snapshot) -> bool:
        """Whether the owners, none of them stale, have the same facts in that snapshot."""
        return all(self._of(key, snapshot) == self._facts.get(key, ()) for key in owners)

    def _changed_keys(self, old: Row | None, new: Row | None) -> Iterator[str]:
        """The row's own key, and those of its inline children that came, went or changed."""
        row = new or old
        if row is None:
            return
        yield row.key
        declared = self._registry.find(row.type)
        for child in self._registry.inline_children(declared) if declared else ():
            before, after = _children(old, child.inline or ""), _children(new, child.inline or "")
            for name in before.keys() | after.keys():
                if before.get(name) != after.get(name):
                    yield f"{row.key}/{name}"

    def facts(self, snapshot: Snapshot, since: Facts | None) -> Facts:
        """Facts at the snapshot's revision, `changed` since those given."""
        if self._moved or self._stale:
            self._derive(snapshot)
        latest = self._latest
        if since is None:
            return Facts(latest.revision, latest.by_owner, None, frozenset(latest.by_owner))
        if since.revision == latest.revision:
            return since
        changed = self._changed_since(since.revision)
        if changed is None:
            return Facts(latest.revision, latest.by_owner, None, frozenset(latest.by_owner))
        return Facts(latest.revision, latest.by_owner, since.revision, changed)

    def _changed_since(self, revision: int) -> frozenset[str] | None:
        found: set[str] = set()
        for before, _, changed in reversed(self._history):
            found |= changed
            if before == revision:
                return frozenset(found)
            if before < revision:
                return None
        return None

    def _of(self, key: str, snapshot: Snapshot) -> tuple[Fact, ...]:
        row = snapshot.rows.get(key)
        declared = self._registry.find(row.type) if row is not None else None
        return tuple(declared.facts(row, snapshot)) if row and declared and not row.deleting else ()

    def _derive(self, snapshot: Snapshot) -> None:
        facts = self._facts.mutate()
        changed = set()
        for key in self._stale:
            found = self._of(key, snapshot)
            if found == facts.get(key, ()):
                continue
            changed.add(key)
            if found:
                facts[key] = found
            else:
                del facts[key]
        self._facts = facts.finish()
        self._stale = set()
        if not changed and not self._moved:
            return
        self._moved = False
        self._history.append((self._latest.revision, snapshot.revision, frozenset(changed)))
        self._latest = Facts(snapshot.revision, self._facts)


def _alike(old: Row, new: Row) -> bool:
    """Whether two versions of a row are the same to every `facts`: tags are nothing to it (`ResourceType.facts`)."""
    if old.deleting != new.deleting or old.state != new.state:
        return False
    if old.body is new.body:
        return True
    return {**old.body, "tags": None} == {**new.body, "tags": None}


def _children(row: Row | None, collection: str) -> dict[str, tuple[object, object]]:
    """`{collection}/{name}` in lower case → (document, state)."""
    if row is None or row.deleting:
        return {}
    found = {}
    for item in row.properties.get(collection) or ():
        place = f"{collection}/{item['name']}".lower()
        found[place] = (item, row.state.get(place))
    return found

"""Snapshots are values: every change makes a new one, and the indexes always say what the rows say."""

from collections import defaultdict
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from azlan.arm.resource import Operation, Row
from azlan.arm.snapshot import Snapshot, creation_order, inline_place
from azlan.base.ids import parse_id
from unit.arm.toys import SUB


def row(
    kind: str, name: str, refs: tuple[tuple[str, str], ...] = (), created: str = "1", slots: tuple[str, ...] = ()
) -> Row:
    id = parse_id(f"/subscriptions/{SUB}/resourceGroups/G/providers/Toy.Net/{kind}/{name}")
    body = {
        "properties": {
            "sockets": [{"id": ""}, {"id": ""}],
            "slots": [{"name": slot, "properties": {"width": 1}} for slot in slots],
        }
    }
    state = {f"slots/{slot.lower()}": {"number": n} for n, slot in enumerate(slots)}
    return Row(id, f"Toy.Net/{kind}", body, state, "Succeeded", "e", 1, 1, created, "c", "v", refs)


def test_an_old_snapshot_does_not_change() -> None:
    empty = Snapshot()
    one = empty.with_row(row("boxes", "a"))
    two = one.with_row(row("boxes", "b"))
    gone = two.without_row(row("boxes", "a").key)
    assert [len(s.rows) for s in (empty, one, two, gone)] == [0, 1, 2, 1]
    assert [r.id.name for r in two.list("TOY.net/boxes")] == ["a", "b"]
    assert [r.id.name for r in gone.list("toy.net/boxes")] == ["b"]
    assert not empty.buckets


def test_the_key_of_an_inline_child_finds_the_row_that_holds_it() -> None:
    box = row("boxes", "Box", slots=("One", "Two"))
    snapshot = Snapshot().with_row(box)
    assert snapshot.get(f"{box.key}/slots/two") is box
    assert snapshot.child(f"{box.key}/slots/two") == ({"name": "Two", "properties": {"width": 1}}, {"number": 1})
    assert inline_place(box, f"{box.key}/slots/two") == ("slots", 1)
    for missing in ("slots/three", "holes/one", "slots", "slots/one/more/x"):
        assert snapshot.get(f"{box.key}/{missing}") is None
        assert snapshot.child(f"{box.key}/{missing}") is None


def test_lists_are_by_group_and_by_parent_in_order_of_creation() -> None:
    box = row("boxes", "box")
    late, early = row("boxes/box/notes", "late", created="3"), row("boxes/box/notes", "early", created="2")
    snapshot = Snapshot()
    for found in (late, box, early):
        snapshot = snapshot.with_row(found)
    kind = "Toy.Net/boxes/notes"
    notes = [n for n in snapshot.rows.values() if n.id.type == kind]
    assert len(notes) == 2
    assert [n.id.name for n in snapshot.list(late.type, parent=box.key)] == ["early", "late"]
    assert [n.id.name for n in snapshot.list(late.type, group=box.id.group_key)] == ["early", "late"]
    assert snapshot.list(late.type, group="/subscriptions/other") == []


def test_what_is_in_a_region_is_counted() -> None:
    def at(name: str, location: str) -> Row:
        return replace(row("boxes", name), body={"location": location})

    snapshot = Snapshot().with_row(at("a", "East US 2")).with_row(at("b", "eastus2")).with_row(row("boxes", "c"))
    assert snapshot.count("toy.net/BOXES", SUB.upper(), "eastus2") == 2
    assert snapshot.count("Toy.Net/plugs", SUB, "eastus2") == 0
    moved = snapshot.with_row(at("a", "westus"))
    assert [moved.count("Toy.Net/boxes", SUB, place) for place in ("eastus2", "West US", "northeurope")] == [1, 1, 0]
    assert moved.without_row(row("boxes", "b").key).count("Toy.Net/boxes", SUB, "eastus2") == 0


def test_a_snapshot_made_at_once_is_the_one_made_row_by_row() -> None:
    target = row("boxes", "box").key
    rows = [row("boxes", "box"), row("plugs", "p", (("x", target), ("y", target))), row("boxes/box/notes", "n")]
    done, under_way = operation("1", target, ended="now"), operation("2", target)
    single = Snapshot()
    for found in rows:
        single = single.with_row(found)
    single = single.with_operation(done).with_operation(under_way).with_meta("n", "a", "v").at(7)
    assert single == Snapshot.of(7, rows, [done, under_way], last={target: "2"}, meta={("n", "a"): "v"}, statuses={})


def test_referrers_name_the_path_and_can_be_narrowed_to_a_type() -> None:
    box = row("boxes", "box", slots=("s",))
    target = f"{box.key}/slots/s"
    plug = row("plugs", "p", (("properties.sockets[0].id", target), ("properties.sockets[1].id", target)))
    snapshot = Snapshot().with_row(box).with_row(plug)
    assert [path for _, path in snapshot.referrers(target)] == ["properties.sockets[0].id", "properties.sockets[1].id"]
    assert snapshot.referrers(target, "toy.net/PLUGS") != []
    assert snapshot.referrers(target, "Toy.Net/boxes") == []
    assert snapshot.without_row(plug.key).referrers(target) == []
    assert not snapshot.without_row(plug.key).targets


def test_the_last_operation_of_a_row_is_the_newest_that_wrote_it() -> None:
    box, plug = row("boxes", "box"), row("plugs", "plug")
    first = operation("1", box.key, (plug.key,))
    second = operation("2", plug.key)
    snapshot = Snapshot().with_row(box).with_row(plug).with_operation(first).with_operation(second)
    assert dict(snapshot.last) == {box.key: "1", plug.key: "2"}
    assert {o.id for o in snapshot.touching(box.key)} == {"1"}
    ended = operation("1", box.key, (plug.key,), ended="now")
    snapshot = snapshot.with_operation(ended)
    assert dict(snapshot.last) == {box.key: "1", plug.key: "2"}
    assert set(snapshot.unsettled) == {"2"}
    assert "1" in snapshot.operations
    assert snapshot.without_row(box.key).last.get(box.key) is None


def operation(id: str, key: str, others: tuple[str, ...] = (), ended: str | None = None) -> Operation:
    return Operation(
        id,
        key,
        1,
        1,
        "PUT",
        "PutBoxOperation",
        "eastus2",
        "Toy.Net",
        SUB,
        ("network",),
        others,
        "InProgress",
        "t",
        ended,
    )


NAMES = st.sampled_from(["a", "b", "c", "d"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), NAMES, st.lists(st.tuples(st.sampled_from(["p", "q"]), NAMES), max_size=3)),
            st.tuples(st.just("remove"), NAMES, st.just([])),
        ),
        max_size=30,
    )
)
def test_the_indexes_say_what_the_rows_say(steps: list[tuple[str, str, list[tuple[str, str]]]]) -> None:
    snapshot, rows = Snapshot(), {}
    for number, (verb, name, refs) in enumerate(steps):
        if verb == "put":
            made = row("plugs", name, tuple((f"{path}[{n}]", f"/target/{t}") for n, (path, t) in enumerate(refs)))
            made = Row(**{**{f: getattr(made, f) for f in made.__slots__}, "created": f"{number:04}"})
            snapshot, rows[made.key] = snapshot.with_row(made), made
        else:
            key = row("plugs", name).key
            if key in rows:
                snapshot = snapshot.without_row(key)
                del rows[key]
    assert dict(snapshot.rows) == rows
    assert snapshot.list("toy.net/plugs") == sorted(rows.values(), key=creation_order)
    expected = defaultdict(set)
    for found in rows.values():
        for path, target in found.refs:
            expected[target].add((found.key, path))
    for name in "abcd":
        assert {(r.key, p) for r, p in snapshot_pairs(snapshot, f"/target/{name}")} == expected[f"/target/{name}"]


def snapshot_pairs(snapshot: Snapshot, target: str) -> list[tuple[Row, str]]:
    return [(snapshot.rows[key], path) for key, paths in snapshot.targets.get(target, {}).items() for path in paths]

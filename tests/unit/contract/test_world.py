"""What differs between two Worlds: found from what was touched on the way, it is what a look at every part finds."""

from __future__ import annotations

from types import MappingProxyType

from hypothesis import given
from hypothesis import strategies as st

from azlan.contract.world import AddressSet, Lineage, Place, RuleSet, SecurityRule, World, differing, part_key

Step = dict[int, int | None]
"""Part number → its new content, None: it goes."""

NUMBERS = st.integers(0, 6)
STEPS = st.lists(st.dictionaries(NUMBERS, st.none() | st.integers(0, 2)), min_size=1, max_size=8)


def made(number: int, content: int) -> RuleSet:
    anything = AddressSet()
    rule = SecurityRule(name="r", priority=100 + content, allow=True, sources=anything, destinations=anything)
    return RuleSet(id=f"/p{number}", inbound=(rule,), outbound=())


def history(steps: list[Step]) -> list[World]:
    """A World after each step, all of one lineage."""
    lineage, held, worlds = Lineage(), {}, []
    for revision, step in enumerate(steps):
        for number, content in step.items():
            key = f"rules:/p{number}"
            if content is None:
                held.pop(key, None)
            else:
                held[key] = made(number, content)
        place = lineage.step(f"rules:/p{number}" for number in step)
        worlds.append(World(revision=revision, parts=MappingProxyType(dict(held)), place=place))
    return worlds


def without_place(world: World) -> World:
    return World(revision=world.revision, parts=world.parts)


@given(STEPS, st.data())
def test_what_was_touched_is_enough_to_look_at(steps: list[Step], data: st.DataObject) -> None:
    worlds = history(steps)
    before = data.draw(st.sampled_from(worlds))
    after = data.draw(st.sampled_from([world for world in worlds if world.revision >= before.revision]))
    changed, gone = differing(before, after)
    every_changed, every_gone = differing(without_place(before), without_place(after))
    assert sorted(changed) == sorted(every_changed)
    assert sorted(gone) == sorted(every_gone)


def test_another_makers_world_is_compared_whole() -> None:
    (one,), (other,) = history([{1: 0}]), history([{2: 0}])
    assert differing(one, other) == (["rules:/p2"], ["rules:/p1"])


def test_a_lineage_forgets_and_says_so() -> None:
    lineage = Lineage()
    places = [lineage.step([f"rules:/p{number}"]) for number in range(Lineage.KEPT + 2)]
    assert lineage.between(places[0].number, places[-1].number) is None
    assert lineage.between(places[1].number, places[-1].number) == {f"rules:/p{n}" for n in range(2, len(places))}
    assert lineage.between(places[-1].number, places[0].number) is None


def test_a_place_says_nothing_of_what_a_world_is() -> None:
    (world,) = history([{1: 0}])
    assert isinstance(world.place, Place)
    assert world == without_place(world)
    assert without_place(world) == world
    assert part_key(made(1, 0)) in world.parts

"""Peering against its transition table: random histories of three networks, both halves consistent after every step."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from azlan.base.errors import ArmError
from azlan.contract.facts import Peering, PeeringState
from azlan.providers.network.peering import CONNECTED, DISCONNECTED, INITIATED, TABLE, Event, Transition
from counts import times
from ledger import Ledger, half, network_id

NAMES = ("a", "b", "c")
SPACES = {
    "a": (("10.0.0.0/16",), ("10.0.0.0/16", "10.10.0.0/16"), ("10.10.0.0/16",)),
    "b": (("10.1.0.0/16",), ("10.1.0.0/16", "10.11.0.0/16"), ("10.11.0.0/16",)),
    "c": (("10.2.0.0/16",), ("10.2.0.0/16", "10.12.0.0/16"), ("10.12.0.0/16",)),
}
"""Disjoint between networks, so that no history is refused for an overlap."""

pairs = st.permutations(NAMES).map(lambda order: (order[0], order[1]))
Pair = tuple[str, str]


class Peerings(RuleBasedStateMachine):
    """The model knows the table's two columns and two remembered address spaces a half; nothing of how rows are kept."""

    @initialize()
    def begin(self) -> None:
        self.cloud = Ledger()
        self.spaces: dict[str, tuple[str, ...]] = {}
        self.states: dict[Pair, PeeringState] = {}
        self.memory: dict[Pair, tuple[str, ...]] = {}
        for name in NAMES:
            self.create(name)

    def create(self, name: str) -> None:
        self.cloud.vnet(name, *SPACES[name][0])
        self.spaces[name] = SPACES[name][0]

    @rule(pair=pairs, sync=st.booleans())
    def put(self, pair: Pair, sync: bool) -> None:
        one, other = pair
        if one not in self.spaces:
            return
        mine, theirs = self.states.get(pair), self.states.get((other, one))
        row = _row(Event.PUT, mine, theirs)
        refusal = row.error if other in self.spaces else "InvalidGlobalResourceReference"
        if refusal is not None:
            with pytest.raises(ArmError) as caught:
                self.cloud.peer(one, other, sync=sync)
            assert caught.value.code == refusal
            return
        self.cloud.peer(one, other, sync=sync)
        connects = row.mine_after is CONNECTED and mine is not CONNECTED
        if connects or sync or row.mine_after is INITIATED:
            self.memory[pair] = self.spaces[other]
        if connects:
            self.memory[other, one] = self.spaces[one]
        self._set(pair, row.mine_after)
        self._set((other, one), row.other_after)

    @rule(pair=pairs)
    def delete_half(self, pair: Pair) -> None:
        one, other = pair
        if pair not in self.states:
            return
        row = _row(Event.DELETE, self.states[pair], self.states.get((other, one)))
        self.cloud.delete(half(one, other))
        self._set(pair, None)
        self._set((other, one), row.other_after)

    @rule(name=st.sampled_from(NAMES))
    def delete_network(self, name: str) -> None:
        if name not in self.spaces:
            return
        self.cloud.delete(f"virtualNetworks/{name}")
        del self.spaces[name]
        for other in NAMES:
            if (other, name) in self.states:
                row = _row(Event.REMOTE_GONE, self.states[other, name], self.states.get((name, other)))
                self._set((other, name), row.mine_after)
            self._set((name, other), None)

    @precondition(lambda self: len(self.spaces) < len(NAMES))
    @rule(name=st.sampled_from(NAMES))
    def create_network(self, name: str) -> None:
        if name not in self.spaces:
            self.create(name)

    @rule(name=st.sampled_from(NAMES), size=st.integers(0, 2), version=st.sampled_from(["2021-03-01", "2024-07-01"]))
    def change_space(self, name: str, size: int, version: str) -> None:
        if name in self.spaces:
            self.cloud.vnet(name, *SPACES[name][size], version=version)
            self.spaces[name] = SPACES[name][size]

    @rule(name=st.sampled_from(NAMES))
    def put_back_what_a_get_shows(self, name: str) -> None:
        if name in self.spaces:
            shown = self.cloud.get(f"virtualNetworks/{name}")
            self.cloud.put(f"virtualNetworks/{name}", shown["properties"], etag=shown["etag"])

    def _set(self, pair: Pair, state: PeeringState | None) -> None:
        if state is not None:
            self.states[pair] = state
            return
        self.states.pop(pair, None)
        self.memory.pop(pair, None)

    @invariant()
    def halves_are_as_the_table_says(self) -> None:
        for name in self.spaces:
            shown = self.cloud.get(f"virtualNetworks/{name}")["properties"]["virtualNetworkPeerings"]
            assert {(name, peering["name"].split("-to-")[1]) for peering in shown} == {
                pair for pair in self.states if pair[0] == name
            }
            for peering in shown:
                self._check((name, peering["name"].split("-to-")[1]), peering["properties"])

    def _check(self, pair: Pair, shown: dict) -> None:
        one, other = pair
        assert shown["peeringState"] == self.states[pair]
        assert tuple(shown["remoteAddressSpace"]["addressPrefixes"]) == self.memory[pair]
        present = self.spaces.get(other, self.memory[pair])
        assert tuple(shown["remoteVirtualNetworkAddressSpace"]["addressPrefixes"]) == present
        both = self.states.get(pair) is CONNECTED and self.states.get((other, one)) is CONNECTED
        assert (shown["peeringState"] == "Connected") == both
        if self.states[pair] is not DISCONNECTED:
            knows = self.memory[pair] == self.spaces[other]
            known = self.memory.get((other, one)) == self.spaces[one]
            assert (
                shown["peeringSyncLevel"]
                == {
                    (True, True): "FullyInSync",
                    (True, False): "RemoteNotInSync",
                    (False, True): "LocalNotInSync",
                    (False, False): "LocalAndRemoteNotInSync",
                }[knows, known]
            )
            guids = [self.cloud.get(f"virtualNetworks/{name}")["properties"]["resourceGuid"] for name in pair]
            assert UUID(shown["resourceGuid"]).int == UUID(guids[0]).int ^ UUID(guids[1]).int

    @invariant()
    def facts_say_the_same(self) -> None:
        for name in self.spaces:
            found = [fact for fact in self.cloud.facts(f"virtualNetworks/{name}") if isinstance(fact, Peering)]
            expected = {network_id(half(*pair)).lower(): pair for pair in self.states if pair[0] == name}
            assert {fact.id for fact in found} == set(expected)
            for fact in found:
                pair = expected[fact.id]
                assert (fact.state, fact.remote_prefixes) == (self.states[pair], self.memory[pair])
                assert fact.remote_vnet == network_id(f"virtualNetworks/{pair[1]}").lower()
                assert not fact.global_


def _row(event: Event, mine: PeeringState | None, other: PeeringState | None) -> Transition:
    (row,) = [row for row in TABLE if (row.event, row.mine, row.other) == (event, mine, other)]
    return row


TestPeerings = Peerings.TestCase
TestPeerings.settings = settings(max_examples=times(25, 600), stateful_step_count=30, deadline=None)

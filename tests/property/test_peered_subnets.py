"""Peerings of subnets: random histories of two networks whose subnets move, come and go, against what each half remembers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from azlan.base.errors import ArmError
from azlan.contract.facts import Peering, PeeringState
from azlan.providers.network.peering import CONNECTED, DISCONNECTED, INITIATED
from counts import times
from ledger import Ledger, half, network_id

NETWORKS = ("a", "b")
SUBNETS = ("s1", "s2", "s3")

networks = st.sampled_from(NETWORKS)
names = st.lists(st.sampled_from(SUBNETS[:2]), min_size=1, unique=True).map(tuple)


def space(network: str) -> str:
    return f"10.{NETWORKS.index(network)}.0.0/16"


def prefix(network: str, subnet: str, place: int) -> str:
    return f"10.{NETWORKS.index(network)}.{10 * place + SUBNETS.index(subnet)}.0/24"


def other_than(network: str) -> str:
    return NETWORKS[1 - NETWORKS.index(network)]


@dataclass(frozen=True)
class Known:
    """What the test knows of a half, kept under the network it is on."""

    state: PeeringState
    local: tuple[str, ...]
    remote: tuple[str, ...]
    memory: tuple[str, ...] = ()


class PeeredSubnets(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.cloud = Ledger()
        self.halves: dict[str, Known] = {}
        self.subnets = {network: {subnet: prefix(network, subnet, 0) for subnet in SUBNETS} for network in NETWORKS}
        for network in NETWORKS:
            self.cloud.vnet(network, space(network))
            for subnet in SUBNETS:
                self.cloud.subnet(network, subnet, self.subnets[network][subnet])

    def linked(self, network: str, named: tuple[str, ...]) -> tuple[str, ...]:
        """The prefixes that those of a network's subnets have which are there."""
        return tuple(self.subnets[network][name] for name in named if name in self.subnets[network])

    @rule(network=networks, local=names, remote=names, sync=st.booleans())
    def put(self, network: str, local: tuple[str, ...], remote: tuple[str, ...], sync: bool) -> None:
        far = other_than(network)
        given: dict[str, Any] = {"peerCompleteVnets": False, "localSubnetNames": local, "remoteSubnetNames": remote}
        mine, theirs = self.halves.get(network), self.halves.get(far)
        refusal = None
        if set(local) - set(self.subnets[network]) or set(remote) - set(self.subnets[far]):
            refusal = "InvalidResourceReference"
        elif mine is None and theirs is not None and theirs.state is DISCONNECTED:
            refusal = "RemotePeeringIsDisconnected"
        if refusal:
            with pytest.raises(ArmError) as caught:
                self.cloud.peer(network, far, sync=sync, **given)
            assert caught.value.code == refusal
            return
        self.cloud.peer(network, far, sync=sync, **given)
        connected = theirs is not None and theirs.state is not DISCONNECTED
        anew = mine is None or mine.state is not CONNECTED or (mine.local, mine.remote) != (local, remote) or sync
        memory = self.linked(far, remote) if anew or mine is None else mine.memory
        self.halves[network] = Known(CONNECTED if connected else INITIATED, local, remote, memory)
        if connected and theirs is not None and theirs.state is INITIATED:
            self.halves[far] = replace(theirs, state=CONNECTED, memory=self.linked(network, theirs.remote))

    @rule(network=networks)
    def delete_half(self, network: str) -> None:
        if self.halves.pop(network, None) is None:
            return
        far = other_than(network)
        self.cloud.delete(half(network, far))
        if far in self.halves and self.halves[far].state is CONNECTED:
            self.halves[far] = replace(self.halves[far], state=DISCONNECTED)

    @rule(network=networks, subnet=st.sampled_from(SUBNETS), place=st.integers(0, 2))
    def put_subnet(self, network: str, subnet: str, place: int) -> None:
        self.cloud.subnet(network, subnet, prefix(network, subnet, place))
        self.subnets[network][subnet] = prefix(network, subnet, place)

    @rule(network=networks, subnet=st.sampled_from(SUBNETS))
    def delete_subnet(self, network: str, subnet: str) -> None:
        self.cloud.delete(f"virtualNetworks/{network}/subnets/{subnet}")
        self.subnets[network].pop(subnet, None)

    @rule(network=networks, kept=st.dictionaries(st.sampled_from(SUBNETS), st.integers(0, 2)))
    def put_network(self, network: str, kept: dict[str, int]) -> None:
        """All subnets at once, as a PUT of their network has them."""
        there = {subnet: prefix(network, subnet, place) for subnet, place in kept.items()}
        subnets = [{"name": name, "properties": {"addressPrefix": at}} for name, at in there.items()]
        self.cloud.put(
            f"virtualNetworks/{network}", {"addressSpace": {"addressPrefixes": [space(network)]}, "subnets": subnets}
        )
        self.subnets[network] = there

    @invariant()
    def halves_show_what_they_remember(self) -> None:
        for network, known in self.halves.items():
            far = other_than(network)
            shown = self.cloud.get(half(network, far))["properties"]
            assert shown["peeringState"] == known.state
            present = self.linked(far, known.remote)
            for member, expected in (
                ("remoteAddressSpace", known.memory),
                ("remoteVirtualNetworkAddressSpace", present),
                ("localAddressSpace", self.linked(network, known.local)),
            ):
                assert tuple(shown[member]["addressPrefixes"]) == expected, member
            if known.state is DISCONNECTED:
                continue
            theirs = self.halves.get(far)
            knows = set(known.memory) == set(present)
            there = theirs is not None and set(theirs.memory) == set(self.linked(network, theirs.remote))
            words = {(True, True): "FullyInSync", (True, False): "RemoteNotInSync", (False, True): "LocalNotInSync"}
            assert shown["peeringSyncLevel"] == words.get((knows, there), "LocalAndRemoteNotInSync")

    @invariant()
    def facts_say_the_same(self) -> None:
        for network in NETWORKS:
            found = [fact for fact in self.cloud.facts(f"virtualNetworks/{network}") if isinstance(fact, Peering)]
            known = self.halves.get(network)
            ids = (
                tuple(network_id(f"virtualNetworks/{network}/subnets/{name}") for name in known.local) if known else ()
            )
            expected = [(known.state, known.memory, tuple(id.lower() for id in ids))] if known else []
            assert [(fact.state, fact.remote_prefixes, fact.local_subnets) for fact in found] == expected


TestPeeredSubnets = PeeredSubnets.TestCase
TestPeeredSubnets.settings = settings(max_examples=times(25, 2000), stateful_step_count=25, deadline=None)

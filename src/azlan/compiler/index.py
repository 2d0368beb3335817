"""The facts at one revision, found by what refers to them, and what a change of them can touch.

Every look-up that the compiler needs is kept up to date here, so that a change costs what it touches.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from azlan.compiler.routes import Closed
from azlan.compiler.security import application_groups, rules_id
from azlan.contract import facts
from azlan.contract.facts import Fact, Key, PeeringState
from azlan.contract.world import PartKey

Name = tuple[type, Key]
"""A fact's type and id: what it is, whoever declares it."""


def name_of(fact: Fact) -> Name:
    return type(fact), fact.vnet if isinstance(fact, facts.Space) else fact.id


@dataclass
class Touched:
    """What has to be compiled again. `tags` are VNets of which only the classification can have changed."""

    vnets: set[Key] = field(default_factory=set)
    tags: set[Key] = field(default_factory=set)
    rules: set[Key] = field(default_factory=set)
    nics: set[Key] = field(default_factory=set)
    machines: set[Key] = field(default_factory=set)
    owners: set[Key] = field(default_factory=set)
    """Owners whose claims can have changed."""


class FactIndex:
    """Facts by id and by reference. Only `replace` changes it."""

    def __init__(self) -> None:
        self.by_owner: dict[Key, tuple[Fact, ...]] = {}
        self.owner_of: dict[Name, Key] = {}
        self.spaces: dict[Key, facts.Space] = {}
        self.subnets: dict[Key, facts.Subnet] = {}
        self.nics: dict[Key, facts.Nic] = {}
        self.groups: dict[Key, facts.SecurityGroup] = {}
        self.tables: dict[Key, facts.RouteTable] = {}
        self.publics: dict[Key, facts.PublicAddress] = {}
        self.machines: dict[Key, facts.Machine] = {}
        self.hosts: Counter[str] = Counter()
        self.nics_in: defaultdict[Key, dict[Key, None]] = defaultdict(dict)
        """Subnet → its NICs."""
        self.nics_with: defaultdict[Key, dict[Key, None]] = defaultdict(dict)
        """Public address → NICs."""
        self.members: defaultdict[Key, dict[Key, None]] = defaultdict(dict)
        """Application security group → NICs with an address in it."""
        self.named_by: dict[Key, frozenset[Key]] = {}
        """Network security group → the application security groups its rules name, where they name any."""
        self._groups_naming: defaultdict[Key, dict[Key, None]] = defaultdict(dict)
        """Application security group → network security groups whose rules name it."""
        self._nics_behind: defaultdict[Key, dict[Key, None]] = defaultdict(dict)
        self._subnets_behind: defaultdict[Key, dict[Key, None]] = defaultdict(dict)
        """Network security group → NICs, subnets that it is associated with."""
        self._subnets_in: defaultdict[Key, set[Key]] = defaultdict(set)
        self._tables_in: defaultdict[Key, Counter[Key | None]] = defaultdict(Counter)
        """VNet → route tables of its subnets, None for a subnet without one."""
        self._vnets_with: defaultdict[Key, Counter[Key]] = defaultdict(Counter)
        """Route table → VNets."""
        self._halves: defaultdict[Key, dict[Key, facts.Peering]] = defaultdict(dict)
        """VNet → its halves of peerings."""
        self._remote_halves: defaultdict[Key, dict[Key, facts.Peering]] = defaultdict(dict)
        """VNet → halves elsewhere that name it."""
        self._partial: defaultdict[Key, dict[Key, facts.Peering]] = defaultdict(dict)
        """VNet → those of its halves that link some of its subnets."""

    # What the facts say

    def peers(self, vnet: Key) -> list[facts.Peering]:
        """The VNet's halves in effect, by id: Connected, with another half that is there and Connected too."""
        return [half for _, half in sorted(self._halves.get(vnet, {}).items()) if self._in_effect(half)]

    def _in_effect(self, half: facts.Peering) -> bool:
        return half.state is PeeringState.CONNECTED and any(
            other.remote_vnet == half.vnet and other.state is PeeringState.CONNECTED
            for other in self._halves.get(half.remote_vnet, {}).values()
        )

    def beyond(self, vnet: Key) -> list[facts.Peering]:
        """The halves in effect of the peers from which this VNet takes forwarded traffic, where they grant access."""
        return [
            further
            for half in self.peers(vnet)
            if half.access and half.forwarded
            for further in self.peers(half.remote_vnet)
            if further.access and further.remote_vnet != vnet
        ]

    def closed(self, subnet: facts.Subnet) -> Closed:
        """The halves of the subnet's VNet that link other subnets."""
        halves = self._partial.get(subnet.vnet, {}).values()
        return tuple(sorted(half.id for half in halves if subnet.id not in (half.local_subnets or ())))

    def groups_in(self, vnet: Key) -> list[tuple[Key | None, Closed]]:
        """What sets the routes of the VNet's subnets apart: route tables, and the halves that are closed to them."""
        if not self._partial.get(vnet):
            return [(table, ()) for table in self.tables_in(vnet)]
        subnets = [self.subnets[key] for key in self._subnets_in.get(vnet, ())]
        found = {(subnet.route_table, self.closed(subnet)) for subnet in subnets}
        return sorted(found, key=lambda group: (group[0] or "", group[1]))

    def tables_in(self, vnet: Key) -> list[Key | None]:
        return sorted(self._tables_in.get(vnet, {}), key=lambda table: table or "")

    def vnets_with(self, table: Key) -> list[Key]:
        return sorted(self._vnets_with.get(table, {}))

    def vnet_of(self, nic: Key) -> Key | None:
        """The VNet of a NIC's subnet."""
        fact = self.nics.get(nic)
        subnet = self.subnets.get(fact.subnet) if fact else None
        return subnet.vnet if subnet else None

    def vnets_behind(self, group: Key) -> list[Key]:
        """VNets in which a network security group guards a subnet or a NIC."""
        found = {self.subnets[subnet].vnet for subnet in self._subnets_behind.get(group, ())}
        found.update(vnet for nic in self._nics_behind.get(group, ()) if (vnet := self.vnet_of(nic)))
        return sorted(found)

    def addresses_in(self, application_group: Key, vnet: Key) -> list[str]:
        """Addresses of an application security group's members that are in the VNet."""
        return sorted(
            config.address
            for nic in self.members.get(application_group, ())
            if self.vnet_of(nic) == vnet
            for config in self.nics[nic].ip_configs
            if application_group in config.application_groups
        )

    def rules_key(self, group: Key | None, vnet: Key) -> PartKey | None:
        """The rule set that is a network security group's gate in a VNet."""
        if group is None:
            return None
        return f"rules:{rules_id(group, vnet if group in self.named_by else None)}"

    def rules_naming(self, nic: Key) -> list[PartKey]:
        """The rule sets in which a NIC's addresses stand for an application security group."""
        vnet = self.vnet_of(nic)
        groups = {group for named in _groups_of(self.nics[nic]) for group in self._groups_naming.get(named, ())}
        return [f"rules:{rules_id(group, vnet)}" for group in sorted(groups)]

    def owners_of_group(self, group: Key) -> Iterator[Key]:
        """Who declares a network security group."""
        if (facts.SecurityGroup, group) in self.owner_of:
            yield self.owner_of[facts.SecurityGroup, group]

    def owners_of_members(self, application_groups: Iterable[Key]) -> Iterator[Key]:
        """Who declares the NICs that are in application security groups."""
        for group in application_groups:
            for nic in self.members.get(group, ()):
                yield self.owner_of[facts.Nic, nic]

    # Change

    def replace(self, changes: Iterable[tuple[Key, tuple[Fact, ...]]]) -> Touched:
        """Put each owner's new facts in place of its old ones (empty: it is gone); tells what that touches."""
        before: dict[Name, Fact] = {}
        after: dict[Name, Fact] = {}
        touched = Touched()
        for owner, new in changes:
            old = self.by_owner.get(owner, ())
            before.update((name_of(fact), fact) for fact in old)
            after.update((name_of(fact), fact) for fact in new)
            for fact in old:
                self.owner_of.pop(name_of(fact), None)
            if new:
                self.by_owner[owner] = new
            else:
                self.by_owner.pop(owner, None)
            touched.owners.add(owner)
        for owner in touched.owners:
            self.owner_of.update((name_of(fact), owner) for fact in self.by_owner.get(owner, ()))
        differing = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
        for name in differing:
            if name in before:
                self._touch(before[name], touched)
                self._remove(before[name])
        for name in differing:
            if name in after:
                self._add(after[name])
                self._touch(after[name], touched)
        for name in differing:
            if name[0] is facts.Space and (name in before) is not (name in after):
                self._touch_nics_of_vnet(name[1], touched)
            elif name[0] is facts.SecurityGroup and _names_groups(before.get(name)) is not _names_groups(
                after.get(name)
            ):
                self._touch_nics_behind(name[1], touched)
        self._touch_watchers([before[n] for n in differing if n in before], touched)
        self._touch_watchers([after[n] for n in differing if n in after], touched)
        return touched

    def _touch(self, fact: Fact, touched: Touched) -> None:
        match fact:
            case facts.Space():
                touched.vnets.add(fact.vnet)
            case facts.Subnet():
                touched.vnets.add(fact.vnet)
                touched.nics.update(self.nics_in.get(fact.id, ()))
                self._touch_symbolic(fact.security_group, touched)
                for nic in self.nics_in.get(fact.id, ()):
                    self._touch_rules_about(self.nics[nic], touched)
                if fact.route_table:
                    self._touch_owner(facts.RouteTable, fact.route_table, touched)
            case facts.Peering():
                touched.vnets.update((fact.vnet, fact.remote_vnet))
                if fact.local_subnets is not None:
                    self._touch_nics_of_vnet(fact.vnet, touched)
            case facts.Nic():
                touched.nics.add(fact.id)
                self._touch_rules_about(fact, touched)
                for public in _publics_of(fact):
                    self._touch_owner(facts.PublicAddress, public, touched)
            case facts.SecurityGroup():
                touched.rules.add(fact.id)
            case facts.RouteTable():
                touched.vnets.update(self._vnets_with.get(fact.id, ()))
            case facts.PublicAddress():
                touched.nics.update(self.nics_with.get(fact.id, ()))
            case facts.Machine():
                touched.machines.add(fact.id)

    def _touch_symbolic(self, group: Key | None, touched: Touched) -> None:
        """Where a group that names application security groups guards decides which rule sets there are of it."""
        if group in self.named_by:
            touched.rules.add(group)

    def _touch_rules_about(self, nic: facts.Nic, touched: Touched) -> None:
        self._touch_symbolic(nic.security_group, touched)
        for group in _groups_of(nic):
            touched.rules.update(self._groups_naming.get(group, ()))

    def _touch_nics_behind(self, group: Key, touched: Touched) -> None:
        touched.nics.update(self._nics_behind.get(group, ()))
        for subnet in self._subnets_behind.get(group, ()):
            touched.nics.update(self.nics_in.get(subnet, ()))

    def _touch_owner(self, kind: type, key: Key, touched: Touched) -> None:
        if (kind, key) in self.owner_of:
            touched.owners.add(self.owner_of[kind, key])

    def touch_claims_on(self, nic: Key, subnets: Iterable[Key], touched: Touched) -> None:
        """The NIC's part came, went or moved between subnets: whose claims name it?"""
        self._touch_owner(facts.Nic, nic, touched)
        for subnet in subnets:
            self._touch_owner(facts.Subnet, subnet, touched)
        for public in _publics_of(self.nics[nic]) if nic in self.nics else ():
            self._touch_owner(facts.PublicAddress, public, touched)

    def _touch_nics_of_vnet(self, vnet: Key, touched: Touched) -> None:
        for subnet in self._subnets_in.get(vnet, ()):
            touched.nics.update(self.nics_in.get(subnet, ()))

    def _touch_watchers(self, changed: Iterable[Fact], touched: Touched) -> None:
        """What a peering puts in the tag of the VNets that take forwarded traffic from either end."""
        ends = {end for fact in changed if isinstance(fact, facts.Peering) for end in (fact.vnet, fact.remote_vnet)}
        for end in ends:
            for half in self._remote_halves.get(end, {}).values():
                if half.access and half.forwarded and self._in_effect(half):
                    touched.tags.add(half.vnet)

    def claimants(self, vnet: Key) -> Iterator[Key]:
        """Owners whose claims name the VNet's part and its route groups. (Its subnets' owner is its own.)"""
        names: list[Name] = [(facts.Space, vnet)]
        names += [(facts.Peering, half) for half in self._halves.get(vnet, ())]
        names += [(facts.Peering, half) for half in self._remote_halves.get(vnet, ())]
        names += [(facts.RouteTable, table) for table in self._tables_in.get(vnet, ()) if table]
        for name in names:
            if name in self.owner_of:
                yield self.owner_of[name]

    def _add(self, fact: Fact) -> None:
        match fact:
            case facts.Space():
                self.spaces[fact.vnet] = fact
            case facts.Subnet():
                self.subnets[fact.id] = fact
                self._subnets_in[fact.vnet].add(fact.id)
                self._tables_in[fact.vnet][fact.route_table] += 1
                if fact.route_table:
                    self._vnets_with[fact.route_table][fact.vnet] += 1
                if fact.security_group:
                    self._subnets_behind[fact.security_group][fact.id] = None
            case facts.Peering():
                self._halves[fact.vnet][fact.id] = fact
                self._remote_halves[fact.remote_vnet][fact.id] = fact
                if fact.local_subnets is not None:
                    self._partial[fact.vnet][fact.id] = fact
            case facts.Nic():
                self.nics[fact.id] = fact
                self.hosts[fact.host] += 1
                self.nics_in[fact.subnet][fact.id] = None
                for public in _publics_of(fact):
                    self.nics_with[public][fact.id] = None
                for group in _groups_of(fact):
                    self.members[group][fact.id] = None
                if fact.security_group:
                    self._nics_behind[fact.security_group][fact.id] = None
            case facts.SecurityGroup():
                self.groups[fact.id] = fact
                if named := application_groups(fact):
                    self.named_by[fact.id] = named
                for group in named:
                    self._groups_naming[group][fact.id] = None
            case facts.RouteTable():
                self.tables[fact.id] = fact
            case facts.PublicAddress():
                self.publics[fact.id] = fact
            case facts.Machine():
                self.machines[fact.id] = fact
                self.hosts[fact.host] += 1

    def _remove(self, fact: Fact) -> None:
        match fact:
            case facts.Space():
                del self.spaces[fact.vnet]
            case facts.Subnet():
                del self.subnets[fact.id]
                self._subnets_in[fact.vnet].discard(fact.id)
                _release(self._tables_in[fact.vnet], fact.route_table)
                if fact.route_table:
                    _release(self._vnets_with[fact.route_table], fact.vnet)
                if fact.security_group:
                    self._subnets_behind[fact.security_group].pop(fact.id, None)
            case facts.Peering():
                del self._halves[fact.vnet][fact.id]
                del self._remote_halves[fact.remote_vnet][fact.id]
                self._partial[fact.vnet].pop(fact.id, None)
            case facts.Nic():
                del self.nics[fact.id]
                _release(self.hosts, fact.host)
                self.nics_in[fact.subnet].pop(fact.id, None)
                for public in _publics_of(fact):
                    self.nics_with[public].pop(fact.id, None)
                for group in _groups_of(fact):
                    self.members[group].pop(fact.id, None)
                if fact.security_group:
                    self._nics_behind[fact.security_group].pop(fact.id, None)
            case facts.SecurityGroup():
                del self.groups[fact.id]
                for group in self.named_by.pop(fact.id, ()):
                    self._groups_naming[group].pop(fact.id, None)
            case facts.RouteTable():
                del self.tables[fact.id]
            case facts.PublicAddress():
                del self.publics[fact.id]
            case facts.Machine():
                del self.machines[fact.id]
                _release(self.hosts, fact.host)


def _publics_of(nic: facts.Nic) -> Iterator[Key]:
    return (config.public_address for config in nic.ip_configs if config.public_address)


def _groups_of(nic: facts.Nic) -> Iterator[Key]:
    return (group for config in nic.ip_configs for group in config.application_groups)


def _names_groups(fact: Fact | None) -> bool:
    return isinstance(fact, facts.SecurityGroup) and bool(application_groups(fact))


def _release(counter: Counter[Any], key: Any) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]

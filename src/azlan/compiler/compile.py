"""Facts → World, doing over only what the changed facts touch.

The result depends on the facts alone, never on the way there; a part that comes out equal stays the same object, so
that engines find what changed by identity. A change of a peering compiles two VNets, however many NICs they have.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from typing import Generic, TypeVar

from immutables import Map

from azlan.compiler.index import FactIndex, Touched
from azlan.compiler.routes import group_id, route_group, vnet_key
from azlan.compiler.security import classify, rule_set, rules_id
from azlan.compiler.translation import machine_part, nic_part, vnet_part
from azlan.contract import facts, world
from azlan.contract.facts import Facts, Key
from azlan.contract.world import AnyPart, Lineage, PartKey, World

V = TypeVar("V")

Claimed = tuple[tuple[PartKey, ...], ...]


class Compiler:
    """Compiles one history of facts. Feed it every revision in order, or any, at the price of compiling everything."""

    def __init__(self) -> None:
        self.compiled_parts = 0
        """How many parts the last run constructed, whether or not they came out equal to the ones before."""
        self._seen: int | None = None
        self._parts: Map[PartKey, AnyPart] = Map()
        self._claims: Map[Key, tuple[PartKey, ...]] = Map()
        self._forget()

    def _forget(self) -> None:
        self._index = FactIndex()
        self._lineage = Lineage()
        self._groups_of: dict[Key, tuple[PartKey, ...]] = {}
        """VNet → its route groups."""
        self._rules_of: dict[Key, tuple[PartKey, ...]] = {}
        """Network security group → its rule sets."""
        self._names: dict[Key, frozenset[Key]] = {}
        """Network security group → the application security groups whose members its rule sets hold."""
        self._nics_of: dict[Key, tuple[PartKey, ...]] = {}
        """Subnet → its NICs, sorted."""
        self._subnet_of: dict[Key, Key] = {}
        """NIC that has a part → its subnet."""
        self._claimed: dict[Key, Claimed] = {}
        """Owner → what it claims, a subnet's NICs in one piece: told to be the same without looking at each."""

    def compile(self, facts: Facts) -> World:
        """The World of these facts. Dangling references raise nothing: what depends on them is left out."""
        whole = facts.base is None or facts.base != self._seen
        if whole:
            self._forget()
        owners = facts.by_owner.keys() if whole else facts.changed
        self._seen = None  # a run that fails leaves half an index behind
        touched = self._index.replace((owner, tuple(facts.by_owner.get(owner, ()))) for owner in owners)
        parts = Draft(self._parts, whole)
        claims = Draft(self._claims, whole)
        self._compile(touched, parts)
        for owner in touched.owners:
            claimed = self._claims_of(owner, parts)
            if whole or self._claimed.get(owner) != claimed:
                claims.put(owner, self._claim(owner, claimed))
        self.compiled_parts = parts.constructed
        self._parts, self._claims, self._seen = parts.finish(), claims.finish(), facts.revision
        return World(
            revision=facts.revision,
            parts=self._parts,
            claims=self._claims,
            hosts=("local", *sorted(self._index.hosts.keys() - {"local"})),
            place=self._lineage.step(parts.touched),
        )

    # Parts

    def _compile(self, touched: Touched, parts: Draft[AnyPart]) -> None:
        index = self._index
        named = {vnet: self._named(vnet, parts) for vnet in touched.vnets}
        for vnet in touched.vnets | touched.tags:
            self._compile_vnet(vnet, parts)
        for vnet in touched.vnets:
            self._compile_routes(vnet, parts)
            if self._named(vnet, parts) != named[vnet]:
                touched.owners.update(index.claimants(vnet))
        for key in touched.rules:
            self._compile_rules(key, touched, parts)
        for key in touched.machines:
            parts.put(f"machine:{key}", machine_part(index.machines[key]) if key in index.machines else None)
        self._compile_nics(touched, parts)

    def _named(self, vnet: Key, parts: Draft[AnyPart]) -> tuple[bool, tuple[PartKey, ...]]:
        """The parts that a claim on the VNet is about; what they hold is nothing to a claim."""
        return vnet_key(vnet) in parts, self._groups_of.get(vnet, ())

    def _compile_vnet(self, vnet: Key, parts: Draft[AnyPart]) -> None:
        index = self._index
        space = index.spaces.get(vnet)
        if space is None:
            parts.put(vnet_key(vnet), None)
            return
        tables = (index.tables[key] for key in index.tables_in(vnet) if key in index.tables)
        tags = classify(space, index.peers(vnet), index.beyond(vnet), tables)
        parts.put(vnet_key(vnet), vnet_part(space, tags))

    def _compile_routes(self, vnet: Key, parts: Draft[AnyPart]) -> None:
        index = self._index
        space = index.spaces.get(vnet)
        groups = index.groups_in(vnet) if space else []
        keys = tuple(f"routes:{group_id(vnet, table, closed)}" for table, closed in groups)
        for gone in set(self._groups_of.pop(vnet, ())).difference(keys):
            parts.put(gone, None)
        if space is None:
            return
        self._groups_of[vnet] = keys
        peers = index.peers(vnet)
        for key, (table, closed) in zip(keys, groups, strict=True):
            parts.put(key, route_group(space, peers, table, index.tables.get(table) if table else None, closed))

    def _compile_rules(self, key: Key, touched: Touched, parts: Draft[AnyPart]) -> None:
        """A group's rule set, or those for the VNets it guards. Its own claim names them, and those of the NICs that
        stand in them for an application security group."""
        index = self._index
        group = index.groups.get(key)
        named = index.named_by.get(key, frozenset())
        made: list[PartKey] = []
        for vnet in index.vnets_behind(key) if named else (None,) if group else ():
            members = {name: index.addresses_in(name, vnet) for name in named} if vnet else {}
            made.append(f"rules:{rules_id(key, vnet)}")
            parts.put(made[-1], rule_set(index.groups[key], vnet, members))
        known, once = self._rules_of.pop(key, ()), self._names.pop(key, frozenset())
        for gone in set(known).difference(made):
            parts.put(gone, None)
        if group is not None:
            self._rules_of[key], self._names[key] = tuple(made), named
        if (known, once) != (tuple(made), named):
            touched.owners.update(index.owners_of_members(named | once))
            touched.owners.update(index.owners_of_group(key))

    def _compile_nics(self, touched: Touched, parts: Draft[AnyPart]) -> None:
        came: defaultdict[Key, list[PartKey]] = defaultdict(list)
        went: defaultdict[Key, set[PartKey]] = defaultdict(set)
        for nic in touched.nics:
            key = f"nic:{nic}"
            part = self._nic(nic)
            parts.put(key, part)
            old, new = self._subnet_of.get(nic), part.subnet if part else None
            if old == new:
                continue
            if old is not None:
                went[old].add(key)
                del self._subnet_of[nic]
            if new is not None:
                came[new].append(key)
                self._subnet_of[nic] = new
            self._index.touch_claims_on(nic, filter(None, (old, new)), touched)
        for subnet in came.keys() | went.keys():
            stay = self._nics_of.get(subnet, ())
            keys = [key for key in stay if key not in went[subnet]] if went[subnet] else list(stay)
            self._nics_of[subnet] = tuple(sorted(keys + came[subnet]))

    def _nic(self, key: Key) -> world.Nic | None:
        index = self._index
        nic = index.nics.get(key)
        subnet = index.subnets.get(nic.subnet) if nic else None
        if nic is None or subnet is None or subnet.vnet not in index.spaces:
            return None
        routes = f"routes:{group_id(subnet.vnet, subnet.route_table, index.closed(subnet))}"
        gates = (index.rules_key(nic.security_group, subnet.vnet), index.rules_key(subnet.security_group, subnet.vnet))
        return nic_part(nic, subnet, index.publics, routes, gates)

    # Claims

    def _claim(self, owner: Key, claimed: Claimed | None) -> tuple[PartKey, ...] | None:
        if claimed is None:
            self._claimed.pop(owner, None)
            return None
        self._claimed[owner] = claimed
        return tuple(chain.from_iterable(claimed))

    def _claims_of(self, owner: Key, parts: Draft[AnyPart]) -> Claimed | None:
        """The parts that an owner's facts make or change; None for an owner that is gone.

        A subnet's reach to its NICs, whose gates it sets; a peering's to both VNets.
        """
        declared = self._index.by_owner.get(owner)
        if declared is None:
            return None
        vnets: dict[Key, None] = {}
        keys: list[PartKey] = []
        nics: list[tuple[PartKey, ...]] = []
        for fact in declared:
            match fact:
                case facts.Space():
                    vnets[fact.vnet] = None
                case facts.Subnet():
                    vnets[fact.vnet] = None
                    nics.append(self._nics_of.get(fact.id, ()))
                case facts.Peering():
                    vnets.update({fact.vnet: None, fact.remote_vnet: None})
                case facts.RouteTable():
                    vnets.update(dict.fromkeys(self._index.vnets_with(fact.id)))
                case facts.PublicAddress():
                    keys += [f"nic:{nic}" for nic in sorted(self._index.nics_with.get(fact.id, ()))]
                case facts.Nic():
                    keys.append(f"nic:{fact.id}")
                    keys += self._index.rules_naming(fact.id) if keys[-1] in parts else ()
                case facts.SecurityGroup():
                    keys += self._rules_of.get(fact.id, ())
                case facts.Machine():
                    keys.append(f"machine:{fact.id}")
        for vnet in vnets:
            keys += (vnet_key(vnet), *self._groups_of.get(vnet, ()))
        return (tuple(key for key in keys if key in parts), *nics)


class Draft(Generic[V]):
    """A map to be, over the one before it at the price of the difference; what is equal stays the same object."""

    def __init__(self, before: Map[str, V], whole: bool) -> None:
        self._before = before
        self._after = (Map[str, V]() if whole else before).mutate()
        self.constructed = 0
        self.touched: set[str] = set()
        """What is not as it was."""

    def __contains__(self, key: str) -> bool:
        return key in self._after

    def put(self, key: str, value: V | None) -> None:
        """Set the value, or remove it (None)."""
        if value is not None:
            self.constructed += 1
            before = self._before.get(key)
            value = before if before == value else value
        if self._after.get(key) is value:
            return
        self.touched.add(key)
        if value is None:
            del self._after[key]
        else:
            self._after[key] = value

    def finish(self) -> Map[str, V]:
        return self._after.finish()

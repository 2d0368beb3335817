"""A cloud of rows only: requests as transactions on snapshots in memory. No HTTP, no operations to wait for.

For tests of what the Microsoft.Network types accept, keep and show.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict

from azlan.arm.authorization import Authorization
from azlan.arm.changes import delete, finish_delete, put
from azlan.arm.registry import Registry
from azlan.arm.resource import SYSTEM, Principal, Reference, ResourceType, Row
from azlan.arm.snapshot import Snapshot
from azlan.arm.store import Transaction
from azlan.arm.views import Views
from azlan.arm.writes import Request, Rules, Unit
from azlan.base.errors import ArmError
from azlan.base.ids import parse_id
from azlan.contract.facts import Fact

SUBSCRIPTION = "22222222-2222-2222-2222-222222222222"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/test-rg"
VERSION = "2024-07-01"


class _AnyDocument(BaseModel):
    model_config = ConfigDict(extra="allow")


MACHINE = ResourceType(
    type="Microsoft.Compute/virtualMachines",
    api_versions=(VERSION,),
    model=_AnyDocument,
    references=(
        Reference("properties.networkProfile.networkInterfaces[].id", ("Microsoft.Network/networkInterfaces",)),
    ),
    etag=False,
)
"""Stands for the real type: all that matters here is that it refers to network interfaces."""

RESOURCE_GROUP = ResourceType(
    type="Microsoft.Resources/resourceGroups", api_versions=(VERSION,), model=_AnyDocument, etag=False
)
"""Stands for the real type, because network watchers come with a group of their own."""


def registry() -> Registry:
    found = Registry.discover("azlan.providers.network")
    return Registry.of([*found.types.values(), MACHINE, RESOURCE_GROUP], [compiled.route for compiled in found.routes])


def network_id(path: str) -> str:
    """`virtualNetworks/v` → its id in the test group."""
    return f"{GROUP}/providers/Microsoft.Network/{path}"


class Ledger:
    """Rows of one subscription with the group `test-rg`."""

    def __init__(self) -> None:
        self.registry = registry()
        self.rules = Rules(self.registry, Authorization(), frozenset({"eastus2", "westus", "westeurope"}))
        self.views = Views(self.registry)
        self.clock = itertools.count()
        self.snapshot = Snapshot().with_row(_group())
        self.changed: frozenset[str] = frozenset()
        """Keys of the rows the last write changed."""

    def _unit(self, version: str, query: dict[str, str], headers: dict[str, str], principal: Principal) -> Unit:
        change = Transaction(self.snapshot, f"2026-01-01T00:00:{next(self.clock):06d}Z")
        return Unit(self.rules, change, Request(principal, version, query, headers))

    def _commit(self, unit: Unit) -> None:
        self.changed = frozenset(unit.change.rows)
        self.snapshot = unit.change.snapshot.at(unit.change.revision)
        for key in self.changed:
            row = self.snapshot.rows.get(key)
            if row is not None and not row.deleting:
                self.snapshot = self.snapshot.with_row(replace(row, provisioning="Succeeded"))

    def put(
        self,
        path: str,
        properties: dict[str, Any] | None = None,
        *,
        version: str = VERSION,
        query: dict[str, str] | None = None,
        kind: str = "PUT",
        principal: Principal = SYSTEM,
        **members: Any,
    ) -> dict[str, Any]:
        """PUT below Microsoft.Network (or at a whole id); returns what a GET shows. Top-level types are in eastus2."""
        id = parse_id(path if path.startswith("/") else network_id(path))
        declared = self.registry.of_id(id)
        assert declared is not None, id.type
        body = {**members} if properties is None else {"properties": properties, **members}
        if declared.location == "required" and kind == "PUT":
            body.setdefault("location", "eastus2")
        unit = self._unit(version, {k.lower(): v for k, v in (query or {}).items()}, {}, principal)
        put(unit, declared, id, body, kind=kind)  # type: ignore[arg-type]
        self._commit(unit)
        return self.get(path, version=version)

    def delete(self, path: str) -> None:
        """DELETE, carried out to its end."""
        id = parse_id(path if path.startswith("/") else network_id(path))
        declared = self.registry.of_id(id)
        assert declared is not None, id.type
        unit = self._unit(VERSION, {}, {}, SYSTEM)
        outcome = delete(unit, declared, id)
        changed = frozenset(unit.change.rows)
        self._commit(unit)
        if declared.inline is None and outcome.row is not None:
            unit = self._unit(VERSION, {}, {}, SYSTEM)
            finish_delete(unit, self.snapshot.rows[id.key])
            self._commit(unit)
        self.changed |= changed

    def get(self, path: str, *, version: str = VERSION) -> dict[str, Any]:
        """What a GET shows, every operation having Succeeded. Raises KeyError for what is not there."""
        id = parse_id(path if path.startswith("/") else network_id(path))
        found = self.views.any(self.snapshot, id, version)
        if found is None:
            raise KeyError(path)
        return found

    def row(self, path: str) -> Row:
        return self.snapshot.rows[parse_id(network_id(path)).key]

    def facts(self, path: str) -> list[Fact]:
        """The facts of the row at `path`."""
        row = self.row(path)
        declared = self.registry.find(row.type)
        assert declared is not None
        return list(declared.facts(row, self.snapshot))

    def refused(self, path: str, properties: dict[str, Any] | None = None, **rest: Any) -> ArmError:
        """The error of a PUT that must fail, and change nothing."""
        before = self.snapshot
        try:
            self.put(path, properties, **rest)
        except ArmError as error:
            assert self.snapshot is before
            return error
        raise AssertionError(f"PUT {path} was accepted")

    def refused_delete(self, path: str) -> ArmError:
        before = self.snapshot
        try:
            self.delete(path)
        except ArmError as error:
            assert self.snapshot is before
            return error
        raise AssertionError(f"DELETE {path} was accepted")

    # What nearly every test needs

    def vnet(self, name: str, *prefixes: str, location: str = "eastus2", version: str = VERSION) -> dict[str, Any]:
        return self.put(
            f"virtualNetworks/{name}",
            {"addressSpace": {"addressPrefixes": list(prefixes)}},
            location=location,
            version=version,
        )

    def subnet(self, vnet: str, name: str, prefix: str, **properties: Any) -> dict[str, Any]:
        return self.put(f"virtualNetworks/{vnet}/subnets/{name}", {"addressPrefix": prefix, **properties})

    def peer(self, one: str, other: str, *, sync: bool = False, **flags: Any) -> dict[str, Any]:
        """PUT the half of `one` that points to `other`, named `{one}-to-{other}`."""
        remote = {"id": network_id(f"virtualNetworks/{other}")}
        return self.put(
            half(one, other),
            {"remoteVirtualNetwork": remote, **flags},
            query={"syncRemoteAddressSpace": "true"} if sync else None,
        )

    def nic(self, name: str, subnet: str, *, address: str | None = None, **properties: Any) -> dict[str, Any]:
        """A network interface in `vnet/subnet`."""
        return self.put(f"networkInterfaces/{name}", nic_properties(subnet, address=address, **properties))

    def machine(self, name: str, *nics: str) -> None:
        self.put(
            f"{GROUP}/providers/Microsoft.Compute/virtualMachines/{name}",
            {"networkProfile": {"networkInterfaces": [{"id": network_id(f"networkInterfaces/{nic}")} for nic in nics]}},
        )


def half(one: str, other: str) -> str:
    return f"virtualNetworks/{one}/virtualNetworkPeerings/{one}-to-{other}"


def nic_properties(subnet: str, *, address: str | None = None, **properties: Any) -> dict[str, Any]:
    vnet, _, name = subnet.partition("/")
    config: dict[str, Any] = {"subnet": {"id": network_id(f"virtualNetworks/{vnet}/subnets/{name}")}}
    if address is not None:
        config |= {"privateIPAllocationMethod": "Static", "privateIPAddress": address}
    for member in ("publicIPAddress",):
        if member in properties:
            config[member] = {"id": network_id(f"publicIPAddresses/{properties.pop(member)}")}
    return {"ipConfigurations": [{"name": "ipconfig1", "properties": config}], **properties}


def _group() -> Row:
    return Row(
        parse_id(GROUP),
        "Microsoft.Resources/resourceGroups",
        {"location": "eastus2"},
        {},
        "Succeeded",
        'W/"0"',
        1,
        0,
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z",
        "2024-11-01",
    )

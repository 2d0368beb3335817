"""topology: a group's network resources of the watcher's region, and how they hang together.

Follows the specification's networkWatcher.json (NetworkWatchers_GetTopology) and the example answers of
view-network-topology: `Contains` for what is part of something, `Associated` for what refers to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import NAMESPACE_URL, uuid5

from pydantic import BaseModel, ConfigDict

from azlan.arm.resource import ActionContext, Json, Row
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId, key_of, parse_id
from azlan.providers.network.shapes import NIC, VIRTUAL_MACHINE, VNET, items, location_of, parent_key, ref_key
from azlan.providers.network.watchers import parsed

DRAWN = (
    VNET,
    VIRTUAL_MACHINE,
    NIC,
    "Microsoft.Network/networkSecurityGroups",
    "Microsoft.Network/routeTables",
    "Microsoft.Network/publicIPAddresses",
    "Microsoft.Network/bastionHosts",
)


class SubResource(BaseModel):
    model_config = ConfigDict(extra="ignore")
    id: str | None = None


class TopologyParameters(BaseModel):
    model_config = ConfigDict(extra="forbid")
    targetResourceGroupName: str | None = None
    targetVirtualNetwork: SubResource | None = None
    targetSubnet: SubResource | None = None


async def topology(context: ActionContext) -> Json:
    """What the caller may read of the target's resources."""
    asked = parsed(context, TopologyParameters)
    rows = [row for row in _targets(context, asked) if location_of(row) == location_of(context.row)]
    shown = [row for row in rows if _visible(context, row)]
    resources = [resource for row in shown for resource in _resources(context, row)]
    changed = max((row.changed for row in shown), default=context.row.changed)
    return {
        "id": str(uuid5(NAMESPACE_URL, f"{context.row.id}:{changed}:{len(resources)}")),
        "createdDateTime": changed,
        "lastModified": changed,
        "resources": resources,
    }


def _targets(context: ActionContext, asked: TopologyParameters) -> list[Row]:
    """The rows asked for: of a group, or a virtual network with what is attached to it."""
    network = asked.targetVirtualNetwork.id if asked.targetVirtualNetwork else None
    subnet = asked.targetSubnet.id if asked.targetSubnet else None
    if asked.targetResourceGroupName:
        group = ResourceId(context.id.subscription, asked.targetResourceGroupName)
        if context.get(group.key) is None:
            raise ArmError(404, "ResourceGroupNotFound", f"Resource group '{group.group}' could not be found.")
        return [row for row in context.list("", group=group.key) if row.type in DRAWN]
    if not network and not subnet:
        raise ArmError(
            400,
            "TopologyTargetMissing",
            "One of targetResourceGroupName, targetVirtualNetwork and targetSubnet must be specified.",
        )
    vnet = context.get(parent_key(key_of(subnet)) if subnet else key_of(network or ""))
    if vnet is None or vnet.type != VNET:
        raise ArmError(404, "ResourceNotFound", f"The virtual network of {subnet or network} was not found.")
    return list(_attached(context, vnet, key_of(subnet) if subnet else None))


def _attached(context: ActionContext, vnet: Row, only: str | None) -> Iterator[Row]:
    """A virtual network, the interfaces and Bastion hosts in its subnets, and what these refer to or belong to."""
    seen: dict[str, Row] = {vnet.key: vnet}
    for subnet in items(vnet.properties, "subnets"):
        key = vnet.id.child("subnets", subnet["name"]).key
        if only in (None, key):
            for row, _ in context.referrers(key):
                seen[row.key] = row
                seen.update({user.key: user for user, _ in context.referrers(row.key, VIRTUAL_MACHINE)})
    for row in list(seen.values()):
        for _, target in row.refs:
            found = context.get(target)
            if found is not None and found.key == target and found.type in DRAWN and found.type != VNET:
                seen.setdefault(target, found)
    yield from seen.values()


def _visible(context: ActionContext, row: Row) -> bool:
    try:
        context.authorize(f"{row.type}/read", str(row.id))
    except ArmError:
        return False
    return True


def _resources(context: ActionContext, row: Row) -> Iterator[Json]:
    if row.type == VNET:
        subnets = items(row.properties, "subnets")
        inside = [(str(row.id.child("subnets", subnet["name"])), "Contains") for subnet in subnets]
        halves = items(row.properties, "virtualNetworkPeerings")
        peers = [(half["properties"]["remoteVirtualNetwork"]["id"], "Associated") for half in halves]
        yield _resource(row.id, row, inside + peers)
        for subnet in subnets:
            properties = subnet.get("properties") or {}
            members = ("networkSecurityGroup", "routeTable")
            used = [(properties[name]["id"], "Associated") for name in members if ref_key(properties.get(name))]
            yield _resource(row.id.child("subnets", subnet["name"]), row, used)
        return
    if row.type == VIRTUAL_MACHINE:
        attached = items(row.properties.get("networkProfile") or {}, "networkInterfaces")
        yield _resource(row.id, row, [(entry["id"], "Contains") for entry in attached])
        return
    yield _resource(row.id, row, list(_references(context, row)))


def _references(context: ActionContext, row: Row) -> Iterator[tuple[str, str]]:
    """The machine of an interface; subnets, addresses and groups that an interface or a Bastion host refers to."""
    for machine, _ in context.referrers(row.key, VIRTUAL_MACHINE):
        yield str(machine.id), "Associated"
    group = row.properties.get("networkSecurityGroup") or {}
    if ref_key(group):
        yield group["id"], "Associated"
    for config in items(row.properties, "ipConfigurations"):
        for name in ("subnet", "publicIPAddress"):
            target = config["properties"].get(name) or {}
            if ref_key(target):
                yield target["id"], "Associated"


def _resource(id: ResourceId, row: Row, associations: list[tuple[str, str]]) -> Json:
    return {
        "name": id.name,
        "id": str(id),
        "location": location_of(row),
        "associations": [
            {"name": parse_id(target).name, "resourceId": target, "associationType": kind}
            for target, kind in dict.fromkeys(associations)
        ],
        "properties": {},
    }

"""Which network watcher watches a region, and what all of its tools ask first: the virtual machine and its interfaces.

Follows network-watcher-create ("automatically enabled in your virtual network's region when you create or update a
virtual network"): NetworkWatcher_{region}, in a resource group of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from azlan.arm.resource import ActionContext, Json, Read, Row, Write
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId, key_of, parse_id
from azlan.contract.world import Nic, World
from azlan.providers.network.allocation import each
from azlan.providers.network.shapes import (
    NETWORK_WATCHER,
    NIC,
    VIRTUAL_MACHINE,
    invalid,
    items,
    location_of,
    normal_location,
    ref_key,
)

GROUP = "NetworkWatcherRG"
SPEAKS = "A network interface must be attached to a running virtual machine to get effective {what}."

Body = TypeVar("Body", bound=BaseModel)


def watcher_of(read: Read, subscription: str, location: str) -> Row | None:
    """The watcher of a region, whatever its name and group."""
    for row in read.list(NETWORK_WATCHER):
        if row.id.subscription.lower() == subscription.lower() and location_of(row) == location and not row.deleting:
            return row
    return None


def watch(write: Write) -> None:
    """Make the region's watcher, and its group, beside a virtual network that is being written."""
    location = normal_location(write.location)
    subscription = write.id.subscription
    if watcher_of(write, subscription, location) is not None:
        return
    group = ResourceId(subscription, GROUP)
    row = write.get(group.key)
    if row is not None and row.deleting:
        return
    if row is None:
        write.create(group, {"location": location, "properties": {}})
    name = f"NetworkWatcher_{location}"
    id = ResourceId(subscription, row.id.group if row is not None else GROUP, "Microsoft.Network")
    id = ResourceId(id.subscription, id.group, id.namespace, ("networkWatchers",), (name,))
    if write.get(id.key) is None:
        write.create(id, {"location": location, "properties": {}})


def parsed(context: ActionContext, model: type[Body]) -> Body:
    """The request's body. Raises `InvalidRequestFormat` naming the first member that is missing or wrong."""
    try:
        return model.model_validate(context.body if context.body is not None else {})
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(step) for step in first["loc"]) or "body"
        raise ArmError(
            400,
            "InvalidRequestFormat",
            "Cannot parse the request.",
            details=[{"code": "InvalidJson", "message": f"{path}: {first['msg']}."}],
        ) from None


def machine_row(context: ActionContext, target: str) -> Row:
    """The virtual machine that a tool is asked about: one that the caller may read, of the watcher's own region."""
    try:
        id = parse_id(target)
    except ValueError:
        raise invalid("InvalidResourceId", f"'{target}' is no resource id.") from None
    context.authorize(f"{VIRTUAL_MACHINE}/read", str(id))
    row = context.get(id.key)
    if row is None or row.type != VIRTUAL_MACHINE or row.key != id.key:
        raise ArmError(
            404, "ResourceNotFound", f"The virtual machine {target} was not found. Only virtual machines are supported."
        )
    if location_of(row) != location_of(context.row):
        raise invalid(
            "ResourceNotInSameRegion",
            f"Resource {target} is in region {location_of(row)}, network watcher {context.row.id} in "
            f"{location_of(context.row)}: they must be in the same region.",
        )  # unconfirmed wording
    return row


def require_running(read: Read, machine: Row) -> None:
    """Raise where the machine does not run."""
    if not runs(read, machine.key):
        raise invalid(
            "VirtualMachineNotRunning", f"The virtual machine {machine.id} is not in running state."
        )  # unconfirmed


def runs(read: Read, machine: str) -> bool:
    """Whether the virtual machine with that key was last seen running."""
    status = read.status(machine)
    return status is not None and status.power == "running"


def interfaces(context: ActionContext, machine: Row) -> list[Row]:
    """The machine's interfaces, the primary one first; the caller must be allowed to read them."""
    attached = items(machine.properties.get("networkProfile") or {}, "networkInterfaces")
    attached.sort(key=lambda entry: not (entry.get("properties") or {}).get("primary"))
    rows = [context.get(key) for entry in attached if (key := ref_key(entry))]
    found = [row for row in rows if row is not None]
    for row in found:
        context.authorize(f"{NIC}/read", str(row.id))
    return found


def interface(context: ActionContext, machine: Row, asked: str | None, address: str | None) -> Row:
    """The interface meant: the one named, else the one that has the address, else the primary one."""
    rows = interfaces(context, machine)
    if asked:
        for row in rows:
            if row.key == key_of(asked):
                return row
        raise invalid(
            "TargetNicNotAttachedToVm", f"Network interface {asked} is not attached to virtual machine {machine.id}."
        )  # unconfirmed
    if not rows:
        raise invalid("VmHasNoNetworkInterface", f"Virtual machine {machine.id} has no network interface.")
    return next((row for row in rows if address in addresses_of(row)), rows[0])


def addresses_of(row: Row) -> list[str]:
    """An interface's private addresses, the primary one first."""
    held: Json = row.state.get("ipConfigurations") or {}
    configs = sorted(items(row.properties, "ipConfigurations"), key=lambda c: not c["properties"].get("primary"))
    given = [held[config["name"].lower()]["privateIPAddress"] for config in configs if config["name"].lower() in held]
    return [ip for one in given for ip in each(one)]


def nic_part(world: World, row: Row) -> Nic:
    """The interface in the World. Raises where it is not there: its own operation has not Succeeded."""
    part = world.parts.get(f"nic:{row.key}")
    if not isinstance(part, Nic):
        raise ArmError(
            409, "NetworkInterfaceNotReady", f"Network interface {row.id} is not in force yet. Please try again later."
        )
    return part


def named(read: Read, key: str, names: Iterable[str] = ()) -> str:
    """A resource's id as it was written, for its key; the key itself where it is gone."""
    row = read.get(key)
    text = str(row.id) if row is not None and row.key == key else key
    return "/".join((text, *names))

"""ipFlowVerify and nextHop: one packet put before an interface's rules, one destination before its routes.

Follows the specification's networkWatcher.json, ip-flow-verify-overview and next-hop-overview. The answers are the
model's, over the World that is in force: Network Watcher asks what the ports ask.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict

from azlan.arm.resource import ActionContext, Json, Later
from azlan.base.nets import Address, address
from azlan.contract.engine import Gate
from azlan.contract.platform import ADDRESSES
from azlan.contract.world import NextHop, Nic
from azlan.engines.model import Packet, view_of
from azlan.providers.network import watchers
from azlan.providers.network.effective import group_id, rule_name, table_key
from azlan.providers.network.shapes import fold, invalid

ANY_PORT = 49152
"""Stands for `*`: a port of the range from which systems take the source ports of connections."""
SYSTEM_ROUTE = "System Route"
NUMBERS = {"TCP": 6, "UDP": 17}


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")
    targetResourceId: str
    targetNicResourceId: str | None = None


class VerificationIPFlowParameters(Asked):
    direction: Annotated[Literal["Inbound", "Outbound"], fold("Inbound", "Outbound")]
    protocol: Annotated[Literal["TCP", "UDP"], fold("TCP", "UDP")]
    localPort: str
    remotePort: str
    localIPAddress: str
    remoteIPAddress: str


class NextHopParameters(Asked):
    sourceIPAddress: str
    destinationIPAddress: str


async def verify_flow(context: ActionContext) -> Later:
    """Whether a packet passes the security groups of an interface, and the rule that says so: a 202 first, as recorded."""
    return Later(_told(_verified(context)))


async def next_hop(context: ActionContext) -> Later:
    """Where an interface sends what goes to an address, and by which route table; a 202 first, as of `verify_flow`."""
    return Later(_told(_next(context)))


async def _told(answer: Json) -> Json:
    return answer


def _verified(context: ActionContext) -> Json:
    asked = watchers.parsed(context, VerificationIPFlowParameters)
    outbound = asked.direction == "Outbound"
    local = _ip("localIPAddress", asked.localIPAddress)
    remote = _ip("remoteIPAddress", asked.remoteIPAddress)
    local_port = _port("localPort", asked.localPort, any_allowed=outbound)
    remote_port = _port("remotePort", asked.remotePort, any_allowed=not outbound)
    nic = _interface(context, asked, local)
    if nic.nic_rules is None and nic.subnet_rules is None:
        raise invalid(
            "NsgsNotAppliedOnNic",
            f"No NSG applied on nic to allow or block traffic, nic id {watchers.named(context, nic.id)}",
        )  # users' word for word
    number = NUMBERS[asked.protocol]
    if outbound:
        packet = Packet(local, remote, number, local_port, remote_port)
    else:
        packet = Packet(remote, local, number, remote_port, local_port)
    view = view_of(context.runtime.world())
    if outbound and str(remote) in ADDRESSES:
        gates = view.platform_gates(nic, packet)
        if any(gate.rule or not gate.allow for gate in gates):
            return _verdict(context, gates, bypasses=False)
    gates = view.gates(nic, outbound, packet, established=False)
    return _verdict(context, gates, bypasses=str(remote) in ADDRESSES)


def _verdict(context: ActionContext, gates: tuple[Gate, ...], *, bypasses: bool) -> Json:
    """The first gate that denies decides; where all allow, the last group asked is named (unconfirmed)."""
    denying = next((gate for gate in gates if not gate.allow), None)
    if denying is not None and not bypasses:
        return {"access": "Deny", **_rule(context, denying)}
    allowing = [gate for gate in gates if gate.allow and gate.rule]
    return {"access": "Allow", **(_rule(context, allowing[-1]) if allowing else {"ruleName": "", "ruleId": ""})}


def _rule(context: ActionContext, gate: Gate) -> Json:
    name = rule_name(gate.rule, gate.default)
    own = gate.rules is not None and gate.rule is not None and not gate.default
    return {"ruleName": name, "ruleId": f"{group_id(context, gate.rules or '')}/{name}" if own else ""}


def _next(context: ActionContext) -> Json:
    asked = watchers.parsed(context, NextHopParameters)
    source = _ip("sourceIPAddress", asked.sourceIPAddress)
    destination = _ip("destinationIPAddress", asked.destinationIPAddress)
    nic = _interface(context, asked, source)
    route = view_of(context.runtime.world()).route(nic, destination)
    if route is None:
        return {"nextHopType": str(NextHop.NONE), "routeTableId": SYSTEM_ROUTE}
    table = table_key(nic)
    shown: Json = {"nextHopType": str(route.next_hop)}
    if route.next_hop is NextHop.APPLIANCE and route.address:
        shown["nextHopIpAddress"] = route.address
    shown["routeTableId"] = watchers.named(context, table) if route.source == "User" and table else SYSTEM_ROUTE
    return shown


def _interface(context: ActionContext, asked: Asked, local: Address) -> Nic:
    """The interface of the running machine that is asked about. The local address must be one of its own, unless it
    forwards."""
    machine = watchers.machine_row(context, asked.targetResourceId)
    watchers.require_running(context, machine)
    row = watchers.interface(context, machine, asked.targetNicResourceId, str(local))
    nic = watchers.nic_part(context.runtime.world(), row)
    if not nic.forwarding and str(local) not in [entry.private for entry in nic.addresses]:
        raise invalid(
            "IpAddressNotOnNic", f"The IP address {local} is not one of network interface {row.id}."
        )  # unconfirmed
    return nic


def _ip(name: str, text: str) -> Address:
    try:
        return address(text)
    except ValueError:
        raise invalid("InvalidIPAddress", f"The value '{text}' of {name} is not a valid IP address.") from None


def _port(name: str, text: str, *, any_allowed: bool) -> int:
    if text == "*" and any_allowed:
        return ANY_PORT
    if text.isascii() and text.isdigit() and int(text) < 65536:
        return int(text)
    raise invalid("InvalidPort", f"The value '{text}' of {name} is not a port: it is 0 to 65535, or * for a source.")

"""A flow's way through the network, hop by hop: verdict after verdict, from the sender over appliances to its end.

Shapes are those of Azure's ConnectivityHop, HopLink and ConnectivityIssue (networkWatcher.json); the words of issues
those of connection-troubleshoot-overview.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from azlan.arm.resource import Json, Read, Row
from azlan.base.nets import address
from azlan.contract.engine import Drop, Flow, Gate, Verdict
from azlan.contract.world import NextHop, Nic, PartKey, Route, World, security_group_of
from azlan.engines.model import judge, view_of
from azlan.providers.network.allocation import each
from azlan.providers.network.shapes import items
from azlan.providers.network.watchers import named

MOST_HOPS = 16
OUTBOUND = (Drop.NIC_OUT, Drop.SUBNET_OUT)
PEERED = (NextHop.PEER, NextHop.GLOBAL_PEER)


@dataclass
class Hop:
    """One place on the way, and by which route the next one is reached."""

    type: str
    address: str
    resource: str
    id: str = field(default_factory=lambda: str(uuid4()))
    issues: list[Json] = field(default_factory=list)
    link: str = ""
    """`linkType` of the way onwards."""
    context: dict[str, str] = field(default_factory=dict)


@dataclass
class Path:
    """The hops in order; `allowed` where nothing on the way refuses the flow."""

    steps: list[Hop]
    allowed: bool = True

    @classmethod
    def unresolved(cls, nic: Row, source: str, host: str) -> Path:
        """The way to a name that has no address."""
        first = Hop("Source", source, _configuration(nic))
        first.issues.append(issue("Local", "DnsResolution", {"Name": host}))
        return cls([first, Hop("Destination", host, "Unknown")], allowed=False)

    def blame_guest(self, reason: str) -> None:
        """The network lets the flow pass, and the far end does not take it."""
        self.steps[-1].issues.append(issue("Inbound", "GuestFirewall", {"Reason": reason}))

    def hops(self, latencies: Sequence[float]) -> list[Json]:
        """As Azure shows them; the probes' round trips stand at the first link, which they all cross."""
        shown = []
        for index, hop in enumerate(self.steps):
            following = self.steps[index + 1] if index + 1 < len(self.steps) else None
            before = self.steps[index - 1] if index else None
            shown.append(
                {
                    "type": hop.type,
                    "id": hop.id,
                    "address": hop.address,
                    "resourceId": hop.resource,
                    "nextHopIds": [following.id] if following else [],
                    "previousHopIds": [before.id] if before else [],
                    "links": [_link(hop, following.id, latencies if not index else ())] if following else [],
                    "previousLinks": [_link(before, before.id, ())] if before else [],
                    "issues": hop.issues,
                }
            )
        return shown


def _link(hop: Hop, to: str, latencies: Sequence[float]) -> Json:
    times = {}
    if latencies:
        times = {
            "roundTripTimeMin": round(min(latencies)),
            "roundTripTimeAvg": round(sum(latencies) / len(latencies)),
            "roundTripTimeMax": round(max(latencies)),
        }
    return {
        "nextHopId": to,
        "linkType": hop.link,
        "issues": [],
        "context": hop.context,
        "resourceId": "",
        "properties": times,
    }


def issue(origin: str, type: str, context: dict[str, str]) -> Json:
    """A `ConnectivityIssue`; its context is a list of pairs, as Azure prints it."""
    pairs = [{"key": key, "value": value} for key, value in context.items()]
    return {"origin": origin, "severity": "Error", "type": type, "context": pairs}


def trace(
    read: Read, world: World, start: PartKey, source: str, destination: str, protocol: int, sport: int, port: int
) -> Path:
    """Follow a flow from a NIC. Behind an appliance it goes on from the interface that took it: by which other one an
    appliance with several forwards is its guest's business and is not looked at."""
    view = view_of(world)
    steps = [Hop("Source", source, _configuration_at(read, world, start, source))]
    path = Path(steps)
    at, seen = start, {start}
    while True:
        here = steps[-1]
        flow = Flow(
            nic=at, source=source, destination=destination, protocol=protocol, source_port=sport, destination_port=port
        )
        verdict = judge(view, flow)
        nic = world.parts.get(at)
        route = view.route(nic, address(destination)) if isinstance(nic, Nic) else None
        last = _step(read, world, verdict, route, destination)
        _explain(read, verdict, route, here, last)
        steps.append(last)
        if not verdict.allowed:
            path.allowed = False
            return path
        arrived = verdict.to is None or last.type != "VirtualAppliance"
        if arrived or verdict.to is None:
            return path
        if verdict.to in seen or len(steps) > MOST_HOPS:
            last.issues.append(issue("Outbound", "UserDefinedRoute", {"RouteType": "User", "Reason": "RoutingLoop"}))
            path.allowed = False
            return path
        seen.add(verdict.to)
        at = verdict.to


def _step(read: Read, world: World, verdict: Verdict, route: Route | None, destination: str) -> Hop:
    """Where a verdict leads to."""
    receiver = world.parts.get(verdict.to) if verdict.to else None
    if isinstance(receiver, Nic):
        owns = destination in [entry.private for entry in receiver.addresses]
        if verdict.next_hop == NextHop.APPLIANCE and not owns:
            taken = verdict.next_hop_address or ""
            return Hop("VirtualAppliance", taken, _configuration_at(read, world, verdict.to or "", taken))
        kind = verdict.next_hop if verdict.next_hop in PEERED else NextHop.VNET_LOCAL
        if verdict.next_hop == NextHop.INTERNET:
            kind = NextHop.INTERNET
        return Hop(str(kind), destination, _configuration_at(read, world, verdict.to or "", destination))
    if verdict.next_hop == NextHop.APPLIANCE and not verdict.allowed:
        return Hop("VirtualAppliance", verdict.next_hop_address or destination, "Unknown")
    if verdict.allowed and (route is None or route.next_hop is NextHop.INTERNET):
        return Hop("Internet", destination, "Internet")
    return Hop("Destination", destination, "Unknown")


def _explain(read: Read, verdict: Verdict, route: Route | None, here: Hop, there: Hop) -> None:
    """Write routes and rules on the link, and what refuses the flow on the hop where it is refused."""
    here.link = str(verdict.next_hop or NextHop.NONE)
    if route is not None:
        here.context |= {"addressPrefix": route.prefix, "nextHopType": str(route.next_hop), "source": route.source}
        here.context |= {name: text for name, text in (("route", route.name), ("nextHop", route.address)) if text}
    for gate in verdict.gates:
        if gate.rule:
            here.context[str(gate.gate)] = f"{'Allow' if gate.allow else 'Deny'} {_rule(read, gate)}"
    if verdict.drop is None:
        return
    refusing = next((gate for gate in verdict.gates if not gate.allow), None)
    if refusing is not None and refusing.gate is not Drop.PEER_ACCESS:
        outbound = refusing.gate in OUTBOUND
        found = issue("Outbound" if outbound else "Inbound", "NetworkSecurityRule", {"RuleName": _old_name(refusing)})
        (here if outbound else there).issues.append(found)
        return
    if verdict.drop is Drop.ROUTE_NONE and route is not None and route.source != "User":
        here.issues.append(issue("Outbound", "UserDefinedRoute", {"RouteType": route.source}))  # recorded
        return
    reason = {"Reason": str(verdict.drop)}
    if route is not None and route.source == "User":
        here.issues.append(issue("Outbound", "UserDefinedRoute", {"RouteType": "User", **reason}))
    elif verdict.drop is Drop.NOT_PLUGGED:
        there.issues.append(issue("Inbound", "Platform", reason))
    else:
        here.issues.append(issue("Outbound", "Platform", reason))


def _rule(read: Read, gate: Gate) -> str:
    group = named(read, security_group_of(gate.rules or "")).rsplit("/", 1)[-1]
    return f"{group}/{gate.rule}"


def _old_name(gate: Gate) -> str:
    """`UserRule_Port80`, `DefaultRule_DenyAllInBound`: as connectivity checks still name rules."""
    return f"{'DefaultRule' if gate.default else 'UserRule'}_{gate.rule or ''}"


def _configuration_at(read: Read, world: World, key: PartKey, ip: str) -> str:
    """Id of the IP configuration that has an address; of the NIC where none has it."""
    row = read.get(key.partition(":")[2])
    nic = world.parts.get(key)
    if row is None or not isinstance(nic, Nic):
        return "Unknown"
    return _configuration(row, ip)


def _configuration(row: Row, ip: str | None = None) -> str:
    """Id of an interface's IP configuration by address, its first one without; a Bastion host's own id."""
    held = row.state.get("ipConfigurations") or {}
    configs = items(row.properties, "ipConfigurations")
    for config in configs:
        given = held.get(str(config["name"]).lower()) or {}
        if ip is None or ip in each(given.get("privateIPAddress", "")):
            return f"{row.id}/ipConfigurations/{config['name']}"
    return str(row.id)

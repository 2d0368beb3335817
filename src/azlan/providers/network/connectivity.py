"""connectivityCheck: from a running machine to a machine, an address or a name: probed where there is a guest, and
explained hop by hop by the model.

Follows the specification's networkWatcher.json and the answers that connection-troubleshoot-overview prints. Hops and
issues are the model's verdicts over the World; status and latencies are those of probes that the source machine itself
sends. A machine without a guest (simulated) sends none: the status is then the verdict's, with no probe counted.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from azlan.arm.resource import ActionContext, Json, Later, Row
from azlan.base.errors import ArmError
from azlan.base.ids import key_of
from azlan.base.nets import address, network
from azlan.contract.world import PartKey
from azlan.providers.network import watchers
from azlan.providers.network.hops import Path, trace
from azlan.providers.network.shapes import fold, invalid
from azlan.providers.network.watcher_probes import Probes, default_port, host_and_port, send

PROTOCOLS = {"Tcp": 6, "Http": 6, "Https": 6, "Icmp": 1}
SOURCE_PORT = 49152
"""What the model is asked with where the source port is left to the machine."""


class Header(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    value: str


class HttpConfiguration(BaseModel):
    model_config = ConfigDict(extra="forbid")
    method: Annotated[Literal["Get"], fold("Get")] | None = None
    headers: list[Header] | None = None
    validStatusCodes: list[int] | None = None


class ProtocolConfiguration(BaseModel):
    model_config = ConfigDict(extra="forbid")
    HTTPConfiguration: HttpConfiguration | None = None


class Source(BaseModel):
    model_config = ConfigDict(extra="forbid")
    resourceId: str
    port: int | None = Field(default=None, ge=0, le=65535)


class Destination(BaseModel):
    model_config = ConfigDict(extra="forbid")
    resourceId: str | None = None
    address: str | None = None
    port: int | None = Field(default=None, ge=0, le=65535)


class ConnectivityParameters(BaseModel):
    model_config = ConfigDict(extra="forbid")
    source: Source
    destination: Destination
    protocol: Annotated[Literal["Tcp", "Http", "Https", "Icmp"], fold("Tcp", "Http", "Https", "Icmp")] | None = None
    protocolConfiguration: ProtocolConfiguration | None = None
    preferredIPVersion: Annotated[Literal["IPv4", "IPv6"], fold("IPv4", "IPv6")] | None = None


async def check_connectivity(context: ActionContext) -> Later:
    """What is wrong with the request is said at once; the probes take their time."""
    asked = watchers.parsed(context, ConnectivityParameters)
    machine = watchers.machine_row(context, asked.source.resourceId)
    watchers.require_running(context, machine)
    nic = watchers.interface(context, machine, None, None)
    host, port = _destination(context, asked)
    protocol = asked.protocol or "Tcp"
    if protocol == "Icmp":
        port = 0
    elif not port:
        port = default_port(protocol)
    if protocol != "Icmp" and not port:
        raise invalid("DestinationPortMissing", "The port of the destination must be specified.")

    async def work() -> Json:
        probes = await send(context.runtime.machines, f"machine:{machine.key}", _request(asked, protocol, host, port))
        return _answer(context, nic, asked, host, port, probes)

    return Later(work())


def _destination(context: ActionContext, asked: ConnectivityParameters) -> tuple[str, int]:
    """(address or name, port or 0)."""
    port = asked.destination.port or 0
    if asked.destination.resourceId:
        target = _target(context, asked.destination.resourceId)
        found = watchers.addresses_of(watchers.interface(context, target, None, None))
        if not found:
            raise invalid("DestinationHasNoAddress", f"Virtual machine {target.id} has no private address.")
        return found[0], port
    if not asked.destination.address:
        raise invalid("DestinationMissing", "One of resourceId and address of the destination must be specified.")
    host, own = host_and_port(asked.destination.address)
    return host, port or own


def _target(context: ActionContext, id: str) -> Row:
    """The destination's machine; unlike the source, it may be of any region."""
    try:
        return watchers.machine_row(context, id)
    except ArmError as error:
        row = context.get(key_of(id))
        if error.code == "ResourceNotInSameRegion" and row is not None:
            return row
        raise


def _request(asked: ConnectivityParameters, protocol: str, host: str, port: int) -> Json:
    http = asked.protocolConfiguration.HTTPConfiguration if asked.protocolConfiguration else None
    given = asked.destination.address or ""
    return {
        "protocol": protocol,
        "host": host,
        "port": port,
        "source_port": asked.source.port or 0,
        "url": given if "://" in given else "",
        "headers": {header.name: header.value for header in (http.headers or [] if http else [])},
        "statuses": list(http.validStatusCodes or []) if http else [],
    }


def _answer(
    context: ActionContext, nic: Row, asked: ConnectivityParameters, host: str, port: int, probes: Probes | None
) -> Json:
    resolved = (probes.address if probes is not None else None) or host
    source = watchers.addresses_of(nic)[0]
    try:
        destination = str(address(resolved))
        network(destination)
    except ValueError:
        return _unresolved(nic, source, host, probes)
    number = PROTOCOLS[asked.protocol or "Tcp"]
    sport = 0 if number == 1 else asked.source.port or SOURCE_PORT
    start: PartKey = f"nic:{nic.key}"
    world = context.runtime.world()
    watchers.nic_part(world, nic)
    path = trace(context, world, start, source, destination, number, sport, port)
    reachable = path.allowed if probes is None else probes.failed < probes.sent
    if probes is not None and not reachable and path.allowed:
        path.blame_guest(probes.reason)
    return _shown(path, reachable, probes)


def _unresolved(nic: Row, source: str, host: str, probes: Probes | None) -> Json:
    """A name that the machine, or nobody, can look up."""
    path = Path.unresolved(nic, source, host)
    return _shown(path, False, probes)


def _shown(path: Path, reachable: bool, probes: Probes | None) -> Json:
    latencies: list[Any] = probes.milliseconds if probes is not None and reachable else []
    shown: Json = {
        "hops": path.hops(latencies),
        "connectionStatus": "Reachable" if reachable else "Unreachable",
    }
    if latencies:
        shown |= {
            "avgLatencyInMs": round(sum(latencies) / len(latencies)),
            "minLatencyInMs": round(min(latencies)),
            "maxLatencyInMs": round(max(latencies)),
        }
    return shown | {
        "probesSent": probes.sent if probes is not None else 0,
        "probesFailed": probes.failed if probes is not None else 0,
    }

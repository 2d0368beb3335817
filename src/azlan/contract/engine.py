"""What an engine is, what it reports, and the words for a packet's fate."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

import msgspec

from azlan.contract.world import PartKey, World


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one `apply`: every part of that revision is in force, but for those named here."""

    revision: int
    failed: dict[PartKey, str] = msgspec.field(default_factory=dict)
    """Part → why, in words for the user."""
    pending: frozenset[PartKey] = frozenset()
    """Parts that another report will settle (machines that boot)."""
    parts_written: int = 0
    """How many parts differed from what was written last: what a change costs."""


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """What was read back from what bears our mark."""

    root: bytes
    """XOR over the parts found in force; equal to the World's root when nothing drifted."""
    foreign: tuple[str, ...] = ()
    """Names of marked objects that no part accounts for."""


class Drop(StrEnum):
    """Why a packet is dropped; each is counted per NIC under this name."""

    UNKNOWN_PORT = "unknown_port"
    MALFORMED = "malformed"
    NOT_IP = "not_ip"
    VLAN = "vlan"
    IP_OPTIONS = "ip_options"
    FOREIGN_MAC = "foreign_mac"
    SPOOFED = "spoofed_source"
    MULTICAST = "multicast_or_broadcast"
    PROTOCOL = "protocol_not_carried"
    """GRE and IP-in-IP, which Azure's fabric drops."""
    ARP = "arp"
    """Gratuitous ARP, replies nobody asked for, and requests over the port's rate."""
    FRAGMENT = "fragment"
    ROUTE_NONE = "route_none"
    NO_ROUTE = "no_route"
    NO_NIC = "no_such_address"
    NOT_PLUGGED = "nic_not_running"
    NOT_FORWARDING = "ip_forwarding_off"
    NIC_OUT = "nic_outbound_rule"
    SUBNET_OUT = "subnet_outbound_rule"
    SUBNET_IN = "subnet_inbound_rule"
    NIC_IN = "nic_inbound_rule"
    PEER_ACCESS = "peering_access_withheld"
    FLOW_QUOTA = "flow_quota"
    NO_OUTBOUND = "no_outbound_access"
    PRIVATE_DESTINATION = "destination_not_public"
    GATEWAY = "gateway"
    """The fabric's own addresses answer ARP only."""
    ICMP_ERROR = "icmp_error_of_unknown_flow"


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A packet that starts a flow, as the sending NIC puts it on its port.

    `nic` is the part key of the port. `established`: both NICs hold the flow already, the rules are not asked.
    For ICMP ports are 0.
    """

    nic: PartKey
    source: str
    destination: str
    protocol: int = 6
    source_port: int = 0
    destination_port: int = 0
    established: bool = False


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What one gate answered; `rules` is the rule set asked, None for an open gate."""

    gate: Drop
    allow: bool
    rules: PartKey | None = None
    rule: str | None = None
    """Name of the rule that decided."""
    default: bool = False


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A flow's fate and its reasons. `drop` is None when it is delivered.

    `next_hop` and `route` tell the sender's effective route; `to` is the NIC it is handed to, None for the internet.
    """

    drop: Drop | None
    next_hop: str | None = None
    next_hop_address: str | None = None
    route: str | None = None
    """The prefix of the route that decided."""
    to: PartKey | None = None
    gates: tuple[Gate, ...] = ()

    @property
    def allowed(self) -> bool:
        return self.drop is None


class Engine(Protocol):
    """Makes the World's network parts true. No `create_x`: the whole World each time, compared by parts."""

    name: str

    async def apply(self, world: World) -> Report: ...

    async def observe(self) -> Digest: ...

    async def probe(self, flow: Flow) -> Verdict: ...

    async def counters(self) -> dict[PartKey, dict[str, int]]:
        """NIC → counter → total since the NIC's port exists: packets under `delivered` or a `Drop` value, their bytes under
        `bytes` or that value with `_bytes` behind it. What was never counted is left out."""
        ...

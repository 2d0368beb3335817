"""Facts: what the resources declare, in the compiler's words. Everything the engines do depends on facts alone.

Ids are resource keys (lower-case ARM ids). Prefixes and addresses are canonical text. What has a history in Azure
(peering state, remembered address space, allocated addresses) arrives here as a plain value; no fact computes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

Key = str
"""A lower-case ARM id."""


class PeeringState(StrEnum):
    """Azure's `peeringState`."""

    INITIATED = "Initiated"
    CONNECTED = "Connected"
    DISCONNECTED = "Disconnected"


@dataclass(frozen=True, slots=True)
class Space:
    """A virtual network: its address space and region."""

    vnet: Key
    prefixes: tuple[str, ...]
    location: str
    dns_servers: tuple[str, ...] = ()
    flow_timeout_minutes: int | None = None
    dns_suffix: str = ""
    """Of the Azure-provided names of its machines: the `internalDomainNameSuffix` of its NICs."""


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet and what is associated with it."""

    id: Key
    vnet: Key
    prefixes: tuple[str, ...]
    security_group: Key | None = None
    route_table: Key | None = None
    default_outbound: bool = True


@dataclass(frozen=True, slots=True)
class Peering:
    """One half of a peering. `remote_prefixes` is the remembered remote address space (`remoteAddressSpace`)."""

    id: Key
    vnet: Key
    remote_vnet: Key
    state: PeeringState
    remote_prefixes: tuple[str, ...]
    access: bool = True
    forwarded: bool = True
    global_: bool = False
    local_subnets: tuple[Key, ...] | None = None
    """The subnets of this VNet that are linked; None: all of them, the VNets being peered whole."""


@dataclass(frozen=True, slots=True)
class IpConfig:
    """One private address of a NIC, in the order of the NIC; the primary one is first."""

    id: Key
    address: str
    public_address: Key | None = None
    application_groups: tuple[Key, ...] = ()
    """The application security groups that it is a member of."""


@dataclass(frozen=True, slots=True)
class Nic:
    """A network interface. `machine` is the VM or Bastion host it is attached to, None while it is free."""

    id: Key
    subnet: Key
    mac: str
    ip_configs: tuple[IpConfig, ...]
    security_group: Key | None = None
    forwarding: bool = False
    machine: Key | None = None
    host: str = "local"
    dns_servers: tuple[str, ...] = ()
    """In place of the VNet's, where there are any."""
    dns_label: str | None = None
    """`internalDnsNameLabel`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A security rule as Azure keeps it: `*`, prefixes, service tags and application security group keys stay symbolic."""

    name: str
    priority: int
    direction: Literal["Inbound", "Outbound"]
    allow: bool
    protocol: str
    """`*`, `Tcp`, `Udp`, `Icmp`, `Esp` or `Ah`."""
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    source_ports: tuple[tuple[int, int], ...]
    destination_ports: tuple[tuple[int, int], ...]
    default: bool = False


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """A network security group with its default rules, sorted by direction and priority."""

    id: Key
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class UserRoute:
    """A route of a route table; `next_hop` is `VnetLocal`, `VirtualAppliance`, `Internet`, `VirtualNetworkGateway` or `None`."""

    name: str
    prefix: str
    next_hop: str
    next_hop_address: str | None = None


@dataclass(frozen=True, slots=True)
class RouteTable:
    id: Key
    routes: tuple[UserRoute, ...]
    disable_bgp_propagation: bool = False


@dataclass(frozen=True, slots=True)
class PublicAddress:
    """A public IP with the address it was given."""

    id: Key
    address: str
    idle_timeout_minutes: int = 4


@dataclass(frozen=True, slots=True)
class Login:
    """The account a guest is provisioned with. `password_hash` is crypt(5) text, never the password."""

    username: str
    password_hash: str | None = field(default=None, repr=False)
    ssh_keys: tuple[str, ...] = ()
    custom_data: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Machine:
    """A guest (`vm`) or a Bastion host (`bastion`), with its desired power state.

    `boot` counts the restarts asked for: a higher number than the one that runs means restart once.
    """

    id: Key
    kind: Literal["vm", "bastion"]
    computer_name: str
    image: str
    """Name of a guest image, e.g. `ubuntu-22.04`; empty for a Bastion host."""
    memory_mib: int
    cpus: int
    nics: tuple[Key, ...]
    login: Login | None = None
    power: Literal["running", "stopped", "deallocated"] = "running"
    boot: int = 0
    host: str = "local"
    disk_gib: int = 30
    """Size of the OS disk; 30 GiB is that of the images."""


Fact = Space | Subnet | Peering | Nic | SecurityGroup | RouteTable | PublicAddress | Machine


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts at one revision, by the resource row that declares them. Immutable: a new revision is a new object.

    `changed` names the owners whose facts differ from those at revision `base` (all owners, where `base` is None),
    so that a compiler that has seen `base` need not look at the others.
    """

    revision: int
    by_owner: Mapping[Key, tuple[Fact, ...]]
    base: int | None = None
    changed: frozenset[Key] = field(default_factory=frozenset)

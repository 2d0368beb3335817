"""The World: what the engines and machines are to make true. Immutable parts, shared by identity when unchanged.

Every part is a frozen msgspec struct with a tag, so that the same definition is the wire format between the
control and the fabric process, and a part is validated on arrival. A part refers to others by part key only.
A part's digest depends on its content alone; a World's root is the XOR of its parts' digests, so that adding and
removing parts costs what changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from enum import IntFlag, StrEnum
from hashlib import blake2b
from types import MappingProxyType

import msgspec

from azlan.contract.facts import Key

PartKey = str
"""`{kind}:{resource key}`; route groups `routes:{vnet key}|{route table key or empty}`."""

DIGEST_SIZE = 16


class Tag(IntFlag):
    """What an address is to a VNet. Rules test these bits; a peering changes them and no rule."""

    VIRTUAL_NETWORK = 1
    """The service tag `VirtualNetwork`."""
    INTERNET = 2
    """The service tag `Internet`."""
    LOAD_BALANCER = 4
    """The service tag `AzureLoadBalancer`."""
    WITHHELD = 8
    """Belongs to a connected peer whose half here has `allowVirtualNetworkAccess: false`."""
    PLATFORM_DNS = 16
    """The service tag `AzurePlatformDNS`. This one and the next are the same to every VNet, so no `Vnet.tags` has them:
    see `platform.service_tag`."""
    PLATFORM_IMDS = 32
    """The service tag `AzurePlatformIMDS`."""


class NextHop(StrEnum):
    """Azure's `nextHopType` of an effective route."""

    VNET_LOCAL = "VnetLocal"
    PEER = "VNetPeering"
    GLOBAL_PEER = "VNetGlobalPeering"
    APPLIANCE = "VirtualAppliance"
    INTERNET = "Internet"
    GATEWAY = "VirtualNetworkGateway"
    NONE = "None"


class Part(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """Base of all parts: `id` is the resource key it was made from."""

    id: Key


class TagPrefix(msgspec.Struct, frozen=True, array_like=True):
    prefix: str
    tags: int


class Vnet(Part, frozen=True, kw_only=True, tag="vnet"):
    """A VNet: `tags` classifies addresses by longest prefix (sorted by prefix text; 0.0.0.0/0 is always there)."""

    location: str
    prefixes: tuple[str, ...]
    tags: tuple[TagPrefix, ...]
    dns_servers: tuple[str, ...] = ()
    """What guests ask for names, empty for Azure-provided DNS."""
    dns_suffix: str = ""
    flow_timeout_seconds: int = 240


class Route(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An effective route. `vnet` is set for VNET_LOCAL, PEER and GLOBAL_PEER: the VNet part whose NICs answer there. It is
    not set where a peering links other subnets than those of the route's group: nobody answers.

    For APPLIANCE, `address` is the next hop's and `vnet` the VNet in which that address is a NIC's.
    """

    prefix: str
    next_hop: NextHop
    vnet: PartKey | None = None
    address: str | None = None
    source: str = "Default"
    """`Default` or `User`."""
    name: str | None = None
    active: bool = True
    """False: `State: Invalid`; shown by effectiveRouteTable, never rendered."""


class RouteGroup(Part, frozen=True, kw_only=True, tag="routes"):
    """The routes of (VNet, route table). `id` is `{vnet key}|{route table key or empty}`, and `|{peering key}` for each
    peering that links other subnets of the VNet than these. At most one active route a prefix."""

    vnet: PartKey
    routes: tuple[Route, ...]


class AddressSet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Matches an address that is in any prefix, or carries any of the tag bits. Any address: prefixes 0.0.0.0/0 and ::/0."""

    prefixes: tuple[str, ...] = ()
    tags: int = 0


class SecurityRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule. `protocol` is an IP protocol number, 0 for any; port ranges are inclusive and empty for any.

    Ports are looked at for TCP and UDP only; a rule that names ports never matches another protocol.
    """

    name: str
    priority: int
    allow: bool
    protocol: int = 0
    sources: AddressSet
    destinations: AddressSet
    source_ports: tuple[tuple[int, int], ...] = ()
    destination_ports: tuple[tuple[int, int], ...] = ()
    default: bool = False


class RuleSet(Part, frozen=True, kw_only=True, tag="rules"):
    """A network security group: rules by direction, in the order they are evaluated; the first match decides.

    One that names application security groups is a part for each VNet it guards, as these are their members there:
    its `id` is then `{group key}|{vnet key}`.
    """

    inbound: tuple[SecurityRule, ...]
    outbound: tuple[SecurityRule, ...]


class NicAddress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A private address of a NIC; `public` is the associated public IP's address, with its idle timeout in seconds."""

    private: str
    public: str | None = None
    idle_timeout_seconds: int = 240


class Nic(Part, frozen=True, kw_only=True, tag="nic"):
    """A NIC: a port of the fabric once its machine is plugged.

    The four gates are `nic_rules` and `subnet_rules`, each outbound and inbound; None is an open gate.
    `default_outbound`: may reach the internet without a public IP. `machine` is None while the NIC is free: no port,
    but its addresses are known.
    """

    vnet: PartKey
    subnet: Key
    mac: str
    addresses: tuple[NicAddress, ...]
    prefix_length: int
    gateway: str
    routes: PartKey
    nic_rules: PartKey | None = None
    subnet_rules: PartKey | None = None
    forwarding: bool = False
    default_outbound: bool = True
    machine: PartKey | None = None
    host: str = "local"
    dns_servers: tuple[str, ...] = ()
    """In place of the VNet's, where there are any."""
    dns_label: str | None = None
    """A name of its own below the VNet's `dns_suffix`, besides its machine's."""


class GuestLogin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    username: str
    password_hash: str | None = None
    ssh_keys: tuple[str, ...] = ()
    custom_data: bytes | None = None


class Machine(Part, frozen=True, kw_only=True, tag="machine"):
    """A guest or a Bastion host; see `facts.Machine`. `nics` are part keys, the primary one first."""

    role: str
    """`vm` or `bastion`."""
    computer_name: str
    image: str
    memory_mib: int
    cpus: int
    nics: tuple[PartKey, ...]
    login: GuestLogin | None = None
    power: str = "running"
    """`running`, `stopped` or `deallocated`."""
    boot: int = 0
    host: str = "local"
    disk_gib: int = 30


AnyPart = Vnet | RouteGroup | RuleSet | Nic | Machine

_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder: msgspec.msgpack.Decoder[AnyPart] = msgspec.msgpack.Decoder(AnyPart)


def security_group_of(rules: PartKey) -> Key:
    """Key of the network security group behind a rule set."""
    return rules.partition(":")[2].partition("|")[0]


def part_key(part: AnyPart) -> PartKey:
    """The key under which a World holds the part."""
    return f"{part.__struct_config__.tag}:{part.id}"


def encode_part(part: AnyPart) -> bytes:
    return _encoder.encode(part)


def decode_part(data: bytes) -> AnyPart:
    """Raises msgspec.ValidationError for anything that is not exactly a part."""
    return _decoder.decode(data)


def digest(part: AnyPart) -> bytes:
    """DIGEST_SIZE bytes that depend on the part's content alone."""
    return blake2b(encode_part(part), digest_size=DIGEST_SIZE).digest()


def root_of(digests: Iterable[bytes]) -> bytes:
    """XOR of part digests: the World's root."""
    total = 0
    for value in digests:
        total ^= int.from_bytes(value, "big")
    return total.to_bytes(DIGEST_SIZE, "big")


class Lineage:
    """The Worlds that one maker made, one from the other: which parts each step touched, for as many steps as are kept."""

    KEPT = 256

    def __init__(self) -> None:
        self._steps: deque[frozenset[PartKey]] = deque(maxlen=self.KEPT)
        self._count = 0

    def step(self, touched: Iterable[PartKey]) -> Place:
        """The place of the next World, in which no other part differs from the one before."""
        self._steps.append(frozenset(touched))
        self._count += 1
        return Place(self, self._count)

    def between(self, earlier: int, later: int) -> set[PartKey] | None:
        """Keys of the parts touched after one place up to another; None where that is no longer known."""
        begins = self._count - len(self._steps)
        if not begins <= earlier <= later <= self._count:
            return None
        steps = (self._steps[number] for number in range(earlier - begins, later - begins))
        return set().union(*steps)


class Place:
    """Where a World stands in its lineage. It says nothing of what the World is: any two places are equal."""

    __slots__ = ("lineage", "number")

    def __init__(self, lineage: Lineage, number: int) -> None:
        self.lineage = lineage
        self.number = number

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Place)

    __hash__ = None  # type: ignore[assignment]


class World(msgspec.Struct, frozen=True, kw_only=True):
    """All parts at one revision. `claims` and `place` are never on the wire: `claims` says which parts an owner's facts
    made or changed, so that a part's outcome reaches the operations that wait for it; `place` is what makes `differing`
    cost what changed."""

    revision: int
    parts: Mapping[PartKey, AnyPart]
    claims: Mapping[Key, tuple[PartKey, ...]] = msgspec.field(default_factory=lambda: MappingProxyType({}))
    hosts: tuple[str, ...] = ("local",)
    place: Place | None = None


def differing(before: World, after: World) -> tuple[list[PartKey], list[PartKey]]:
    """Keys of the parts that are new or changed, and of those that are gone. Looks only at what was touched in between
    where both Worlds are of one lineage, else at every part."""
    old, new = before.parts, after.parts
    suspects: Iterable[PartKey] | None = None
    if before.place is not None and after.place is not None and before.place.lineage is after.place.lineage:
        touched = after.place.lineage.between(before.place.number, after.place.number)
        suspects = sorted(touched) if touched is not None else None
    if suspects is None:
        suspects = [*new, *(key for key in old if key not in new)]
    changed, gone = [], []
    for key in suspects:
        part = new.get(key)
        if part is None:
            if key in old:
                gone.append(key)
        elif (known := old.get(key)) is not part and known != part:
            changed.append(key)
    return changed, gone


EMPTY = World(revision=0, parts=MappingProxyType({}))

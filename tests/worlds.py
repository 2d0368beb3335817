"""Random networks and flows: small, crowded, and with everything in them that can meet.

VNets' spaces may overlap, peerings stand in every state with every flag and stale address spaces, references dangle.
What the API would refuse is made too: no facts may crash the compiler. Everything comes from one seed, which
hypothesis draws and prints: drawing each choice by itself took fifty times as long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from random import Random
from typing import Any

from hypothesis import strategies as st

from azlan.contract import facts
from azlan.contract.engine import Flow
from azlan.contract.facts import Fact, Facts, Key, PeeringState

Owners = dict[Key, tuple[Fact, ...]]

ROOT = "/subscriptions/s/resourcegroups/g/providers"
SPACES = (
    "10.0.0.0/16",
    "10.1.0.0/16",
    "10.2.0.0/16",
    "192.168.4.0/22",
    "100.64.0.0/16",
    "20.0.0.0/24",
    "172.16.0.0/12",
    "10.1.128.0/17",
    "10.0.0.0/8",
)
FAR = (
    *("8.8.8.8", "203.0.113.200", "10.9.9.9", "172.31.0.9", "192.168.200.1", "169.254.7.7", "240.0.0.1"),
    *("127.0.0.1", "198.18.0.9", "25.5.0.1", "40.108.3.3"),
)
PLATFORM = ("168.63.129.16", "169.254.169.254")
SPECIAL = (
    *(*PLATFORM, "224.0.0.5", "255.255.255.255", "10.0.0.1", "10.1.0.1"),
    *("10.0.0.0", "10.0.0.2", "10.0.0.127", "10.0.0.128", "10.1.0.3"),
)
PUBLIC = ("203.0.113.1", "203.0.113.2", "198.51.100.3")
PORTS = (22, 53, 80, 443, 5000)
PORT_RANGES = ((22, 22), (53, 80), (443, 5000))
MANY_RANGES = ((1, 21), (22, 22), (23, 52), (54, 79), (81, 442), (443, 443), (444, 4999), (6000, 65535))
RULE_PROTOCOLS = ("*", "*", "*", "Tcp", "tcp", "Udp", "Icmp", "Esp", "Ah")
PROTOCOLS = (*(6,) * 9, *(17,) * 6, *(1,) * 6, 50, 50, 51, 51, 47, 4)
TAGS = (
    *("*", "*", "VirtualNetwork", "virtualnetwork", "Internet", "AzureLoadBalancer", "Storage"),
    *("AzurePlatformDNS", "azureplatformimds"),
)
HOPS = ("VirtualAppliance",) * 4 + ("VnetLocal", "Internet", "None", "VirtualNetworkGateway")
ANY_PORT = ((0, 65535),)


def key(kind: str, name: object) -> Key:
    return f"{ROOT}/microsoft.network/{kind}/{name}"


VNETS = tuple(key("virtualnetworks", f"v{i}") for i in range(4))
GROUPS = tuple(key("networksecuritygroups", f"g{i}") for i in range(3))
APPLICATION_GROUPS = tuple(key("applicationsecuritygroups", f"a{i}") for i in range(3))
TABLES = tuple(key("routetables", f"t{i}") for i in range(2))
PUBLICS = tuple(key("publicipaddresses", f"p{i}") for i in range(len(PUBLIC)))
NICS = tuple(key("networkinterfaces", f"n{i}") for i in range(10))
MACHINES = tuple(f"{ROOT}/microsoft.compute/virtualmachines/m{i}" for i in range(len(NICS)))


def default_rules() -> tuple[facts.Rule, ...]:
    """The six default rules of every network security group."""

    def rule(name: str, priority: int, direction: Any, allow: bool, source: str, destination: str) -> facts.Rule:
        ends = ((source,), (destination,), ANY_PORT, ANY_PORT)
        return facts.Rule(name, priority, direction, allow, "*", *ends, default=True)

    return (
        rule("AllowVnetInBound", 65000, "Inbound", True, "VirtualNetwork", "VirtualNetwork"),
        rule("AllowAzureLoadBalancerInBound", 65001, "Inbound", True, "AzureLoadBalancer", "*"),
        rule("DenyAllInBound", 65500, "Inbound", False, "*", "*"),
        rule("AllowVnetOutBound", 65000, "Outbound", True, "VirtualNetwork", "VirtualNetwork"),
        rule("AllowInternetOutBound", 65001, "Outbound", True, "*", "Internet"),
        rule("DenyAllOutBound", 65500, "Outbound", False, "*", "*"),
    )


def subnets_of(space: str) -> list[str]:
    """The first two /25 of a space: overlapping spaces give overlapping subnets."""
    net = IPv4Network(space)
    return [str(part) for part, _ in zip(net.subnets(new_prefix=25), range(2), strict=False)]


@dataclass
class Maker:
    """Makes one network of a seed. `wild`: overlaps, dangling references, half-gone peerings are common."""

    random: Random
    wild: bool

    def often(self, chance: float) -> bool:
        return self.random.random() < chance

    def maybe(self, values: tuple[str, ...], chance: float) -> str | None:
        return self.random.choice(values) if self.often(chance) else None

    def address(self, known: list[str]) -> str:
        """Mostly one that is there."""
        roll = self.random.random()
        if known and roll < 0.6:
            return self.random.choice(known)
        if roll < 0.75:
            return self.random.choice(PUBLIC)
        if roll < 0.9:
            return self.random.choice(FAR + SPECIAL)
        return str(IPv4Network(subnets_of(self.random.choice(SPACES))[0])[self.random.randint(4, 8)])

    def network(self) -> Owners:
        """Facts by owner. No two NICs of a VNet share an address, no two a public address."""
        names = VNETS[: self.random.randint(1, len(VNETS))]
        pool = self.random.sample(SPACES[: len(SPACES) if self.wild else 6], k=6)
        spaces: dict[Key, tuple[str, ...]] = {}
        for name in names:
            size = 2 if self.often(0.2) else 1
            spaces[name] = tuple(self.random.sample(pool, size)) if self.wild else (pool.pop(),)
        owners: Owners = {name: self.vnet(name, spaces) for name in names}
        self._peer(owners, spaces)
        subnets = [fact for row in owners.values() for fact in row if isinstance(fact, facts.Subnet)]
        self._nics(owners, subnets)
        known = [config.address for nic in all_nics(owners) for config in nic.ip_configs]
        owners |= {name: (self.security_group(name, known),) for name in GROUPS}
        owners |= {name: (self.route_table(name, known),) for name in TABLES}
        owners |= {name: (facts.PublicAddress(name, ip),) for name, ip in zip(PUBLICS, PUBLIC, strict=True)}
        if self.wild and self.often(0.3):
            del owners[self.random.choice((*GROUPS, *TABLES, *PUBLICS))]
        return owners

    def vnet(self, name: Key, spaces: dict[Key, tuple[str, ...]]) -> tuple[Fact, ...]:
        """A VNet's row: its space (now and then missing) and its subnets."""
        row: list[Fact] = []
        if not (self.wild and self.often(0.05)):
            row.append(facts.Space(name, spaces[name], "eastus2"))
        for i, space in enumerate(spaces[name]):
            row += [
                facts.Subnet(
                    f"{name}/subnets/s{i}{j}",
                    name,
                    (prefix,),
                    security_group=self.maybe(GROUPS, 0.4),
                    route_table=self.maybe(TABLES, 0.3),
                    default_outbound=self.often(0.6),
                )
                for j, prefix in enumerate(subnets_of(space))
            ]
        return tuple(row)

    def _peer(self, owners: Owners, spaces: dict[Key, tuple[str, ...]]) -> None:
        """Halves between the VNets, mostly both and mostly Connected."""
        states = (PeeringState.CONNECTED,) * (4 if self.wild else 12) + tuple(PeeringState)
        pairs = [{one, other} for i, one in enumerate(VNETS) for other in VNETS[:i] if self.often(0.6)]
        for one in spaces:
            for other in VNETS:
                if {one, other} not in pairs or self.often(0.1):
                    continue
                stale = other not in spaces or self.often(0.1)
                there = (self.random.choice(SPACES),) if stale else spaces[other]
                local = None
                if self.often(0.2):
                    mine = [fact.id for fact in owners[one] if isinstance(fact, facts.Subnet)]
                    local = tuple(self.random.sample(mine, self.random.randint(1, len(mine))))
                    there = tuple(self.random.sample(subnets_of(there[0]), self.random.randint(1, 2)))
                half = facts.Peering(
                    f"{one}/virtualnetworkpeerings/to-{other[-2:]}",
                    one,
                    other,
                    self.random.choice(states),
                    there,
                    access=self.often(0.7),
                    forwarded=self.often(0.5),
                    global_=self.often(0.3),
                    local_subnets=local,
                )
                owners[one] = (*owners[one], half)

    def _nics(self, owners: Owners, subnets: list[facts.Subnet]) -> None:
        taken: set[tuple[Key, str]] = set()
        free = list(PUBLICS)
        for number in range(self.random.randint(2, len(NICS))):
            subnet = self.random.choice(subnets)
            nic = self.nic(number, subnet)
            ips = {(subnet.vnet, config.address) for config in nic.ip_configs}
            if ips & taken:
                continue
            taken |= ips
            if free and self.often(0.3):
                at = self.random.randrange(len(nic.ip_configs))
                configs = [*nic.ip_configs]
                configs[at] = replace(configs[at], public_address=free.pop())
                nic = replace(nic, ip_configs=tuple(configs))
            owners[nic.id] = (nic,)
            if nic.machine and not (self.wild and self.often(0.2)):
                power: Any = "running" if self.often(0.92) else self.random.choice(("stopped", "deallocated"))
                machine = facts.Machine(nic.machine, "vm", f"m{number}", "ubuntu-22.04", 512, 1, (nic.id,), power=power)
                owners[nic.machine] = (machine,)

    def nic(self, number: int, subnet: facts.Subnet) -> facts.Nic:
        host = IPv4Network(subnet.prefixes[0])[4 + self.random.randint(0, 3)]
        configs = [facts.IpConfig(f"{NICS[number]}/c0", str(host))]
        if self.often(0.3):
            configs.append(facts.IpConfig(f"{NICS[number]}/c1", str(host + 10)))
        if self.often(0.4):
            joined = tuple(self.random.sample(APPLICATION_GROUPS, k=self.random.randint(1, 2)))
            configs = [replace(config, application_groups=joined) for config in configs]
        if self.wild and self.often(0.1):  # one of them alone, as Azure had it before 2020
            configs[-1] = replace(configs[-1], application_groups=(self.random.choice(APPLICATION_GROUPS),))
        return facts.Nic(
            NICS[number],
            "missing" if self.wild and self.often(0.05) else subnet.id,
            f"00:0d:3a:00:00:{number:02x}",
            tuple(configs),
            security_group=self.maybe(GROUPS, 0.4),
            forwarding=self.often(0.4),
            machine=MACHINES[number] if self.often(0.95) else None,
        )

    def security_group(self, name: Key, known: list[str]) -> facts.SecurityGroup:
        own = [self.rule(priority, known) for priority in range(100, 100 + self.random.randint(0, 3))]
        return facts.SecurityGroup(name, (*own, *default_rules()))

    def rule(self, priority: int, known: list[str]) -> facts.Rule:
        def end() -> tuple[str, ...]:
            choices = (self.random.choice(TAGS), self.random.choice(SPACES), self.address(known))
            if self.often(0.25):  # instead of addresses, never beside them
                return tuple(self.random.sample(APPLICATION_GROUPS, k=self.random.randint(1, 2)))
            some = self.random.sample(choices, k=self.random.randint(1, 2))
            if self.often(0.15):  # more than stand in a rule's own entry
                parts = [part for space in self.random.sample(SPACES, k=2) for part in subnets_of(space)]
                some = [*parts, self.address(known), *(some if self.often(0.5) else ())]
            return tuple(some)

        def ports(chance: float) -> tuple[tuple[int, int], ...]:
            if not self.often(chance):
                return self.random.choice((ANY_PORT, ()))
            if self.often(0.25):
                return tuple(self.random.sample(MANY_RANGES, k=self.random.randint(3, 7)))
            return tuple(self.random.sample(PORT_RANGES, k=self.random.randint(1, 2)))

        if self.often(0.15):  # about a platform service, which no other rule concerns
            tag = self.random.choice(("AzurePlatformDNS", "AzurePlatformIMDS"))
            ends = (("*",), (tag,), ANY_PORT, ports(0.2))
            return facts.Rule(f"r{priority}", priority, "Outbound", self.often(0.4), "*", *ends)
        return facts.Rule(
            name=f"r{priority}",
            priority=priority,
            direction=self.random.choice(("Inbound", "Outbound")),  # type: ignore[arg-type]
            allow=self.often(0.6),
            protocol=self.random.choice(RULE_PROTOCOLS),
            sources=end(),
            destinations=end(),
            source_ports=ports(0.1),
            destination_ports=ports(0.4),
        )

    def route_table(self, name: Key, known: list[str]) -> facts.RouteTable:
        prefixes = self.random.sample((*SPACES, "0.0.0.0/0", "8.8.8.0/24", "10.0.0.0/25"), k=self.random.randint(0, 3))
        routes = []
        for prefix in prefixes:
            hop = self.random.choice(HOPS)
            routes.append(
                facts.UserRoute(f"to {prefix}", prefix, hop, self.address(known) if hop == "VirtualAppliance" else None)
            )
        return facts.RouteTable(name, tuple(routes))

    def flow(self, owners: Owners) -> Flow:
        """A flow of one of the NICs, mostly with its own source, mostly to something that is there."""
        nics = all_nics(owners)
        sender = self.random.choice(nics) if nics else None
        known = [config.address for nic in nics for config in nic.ip_configs]
        source = self.random.choice(sender.ip_configs).address if sender else "10.0.0.4"
        if sender and self.often(0.3 if sender.forwarding else 0.05):
            source = self.address(known)
        protocol = self.random.choice(PROTOCOLS)
        ported = protocol in (6, 17)
        near = PLATFORM if self.often(0.1) else _neighbours(owners, sender) if sender else []
        return Flow(
            nic=f"nic:{sender.id if sender else NICS[0]}",
            source=source,
            destination=self.random.choice(near) if near and self.often(0.4) else self.address(known),
            protocol=protocol,
            source_port=self.random.choice(PORTS) if ported else 0,
            destination_port=self.random.choice(PORTS) if ported else 0,
            established=self.often(0.1),
        )


def all_nics(owners: Owners) -> list[facts.Nic]:
    return [fact for row in owners.values() for fact in row if isinstance(fact, facts.Nic)]


def _neighbours(owners: Owners, nic: facts.Nic) -> list[str]:
    """Addresses of NICs in the NIC's VNet and in those that its VNet has a half of a peering with."""
    every = [fact for row in owners.values() for fact in row]
    vnet_of = {fact.id: fact.vnet for fact in every if isinstance(fact, facts.Subnet)}
    own = vnet_of.get(nic.subnet)
    near = {own, *(fact.remote_vnet for fact in every if isinstance(fact, facts.Peering) and fact.vnet == own)}
    others = [other for other in all_nics(owners) if vnet_of.get(other.subnet) in near and other.id != nic.id]
    return [config.address for other in others for config in other.ip_configs]


@dataclass(frozen=True)
class Network:
    """One random network, and its flows: the same ones each time."""

    seed: int
    wild: bool

    @property
    def owners(self) -> Owners:
        return Maker(Random(self.seed), self.wild).network()

    def flows(self, owners: Owners, count: int) -> list[Flow]:
        maker = Maker(Random(self.seed + 1), self.wild)
        return [maker.flow(owners) for _ in range(count)]


def networks() -> st.SearchStrategy[Network]:
    return st.builds(Network, st.integers(0, 2**32), st.booleans())


def facts_of(owners: Owners, revision: int = 1) -> Facts:
    return Facts(revision=revision, by_owner=dict(owners))

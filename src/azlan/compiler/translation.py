"""NICs with their addresses, private and public, and whether they may leave by default; VNets' and machines' own parts.

Follows virtual-networks-overview (reserved addresses), public-ip-addresses and default-outbound-access.
"""

from __future__ import annotations

from collections.abc import Mapping

from azlan.base.nets import address, network
from azlan.contract import facts, world
from azlan.contract.facts import Key

V6_GATEWAY = "fe80::1234:5678:9abc"
"""The gateway of every IPv6 subnet in Azure."""

DEFAULT_FLOW_TIMEOUT_MINUTES = 4
"""Azure: null or 4 to 30 minutes, without saying what null means; 4 is the idle default of a public IP."""


def _prefix_and_gateway(subnet: facts.Subnet, primary: str) -> tuple[int, str] | None:
    """Length of the subnet's prefix that holds the address, and the first usable address in it."""
    ip = address(primary)
    for prefix in subnet.prefixes:
        net = network(prefix)
        if net.version == ip.version and ip in net:
            return net.prefixlen, str(net.network_address + 1) if net.version == 4 else V6_GATEWAY
    return None


def _address(config: facts.IpConfig, publics: Mapping[Key, facts.PublicAddress]) -> world.NicAddress:
    public = publics.get(config.public_address) if config.public_address else None
    if public is None:
        return world.NicAddress(private=config.address)
    return world.NicAddress(
        private=config.address, public=public.address, idle_timeout_seconds=public.idle_timeout_minutes * 60
    )


def nic_part(
    nic: facts.Nic,
    subnet: facts.Subnet,
    publics: Mapping[Key, facts.PublicAddress],
    routes: world.PartKey,
    gates: tuple[world.PartKey | None, world.PartKey | None],
) -> world.Nic | None:
    """The NIC's part; None where it has no address in its subnet. `gates`: the rules of the NIC and of the subnet."""
    found = _prefix_and_gateway(subnet, nic.ip_configs[0].address) if nic.ip_configs else None
    if found is None:
        return None
    return world.Nic(
        id=nic.id,
        vnet=f"vnet:{subnet.vnet}",
        subnet=subnet.id,
        mac=nic.mac,
        addresses=tuple(_address(config, publics) for config in nic.ip_configs),
        prefix_length=found[0],
        gateway=found[1],
        routes=routes,
        nic_rules=gates[0],
        subnet_rules=gates[1],
        forwarding=nic.forwarding,
        default_outbound=subnet.default_outbound,
        machine=f"machine:{nic.machine}" if nic.machine else None,
        host=nic.host,
        dns_servers=nic.dns_servers,
        dns_label=nic.dns_label,
    )


def vnet_part(space: facts.Space, tags: tuple[world.TagPrefix, ...]) -> world.Vnet:
    minutes = DEFAULT_FLOW_TIMEOUT_MINUTES if space.flow_timeout_minutes is None else space.flow_timeout_minutes
    return world.Vnet(
        id=space.vnet,
        location=space.location,
        prefixes=space.prefixes,
        tags=tags,
        dns_servers=space.dns_servers,
        dns_suffix=space.dns_suffix,
        flow_timeout_seconds=minutes * 60,
    )


def machine_part(machine: facts.Machine) -> world.Machine:
    login = machine.login
    return world.Machine(
        id=machine.id,
        role=machine.kind,
        computer_name=machine.computer_name,
        image=machine.image,
        memory_mib=machine.memory_mib,
        cpus=machine.cpus,
        nics=tuple(f"nic:{nic}" for nic in machine.nics),
        login=world.GuestLogin(
            username=login.username,
            password_hash=login.password_hash,
            ssh_keys=login.ssh_keys,
            custom_data=login.custom_data,
        )
        if login
        else None,
        power=machine.power,
        boot=machine.boot,
        host=machine.host,
        disk_gib=machine.disk_gib,
    )

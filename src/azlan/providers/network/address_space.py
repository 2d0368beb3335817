"""Address spaces of virtual networks and subnets: what Azure accepts, in Azure's errors.

Follows virtual-networks-faq ("what address ranges can I use", "how small and how large") and recorded errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.base.nets import Network, contains, network, overlaps
from azlan.providers.network.shapes import invalid, items

FORBIDDEN = ("224.0.0.0/4", "255.255.255.255/32", "127.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32")
"""Ranges no virtual network may hold: multicast, broadcast, loopback, link-local, the platform's address."""

SMALLEST_SUBNET = 29
LARGEST_PREFIX = 2
IPV6_SUBNET = 64


def parse_prefix(text: Any, owner: ResourceId) -> Network:
    """A prefix in CIDR notation; raises `InvalidAddressPrefixFormat` or `InvalidCIDRNotation` for the resource `owner`."""
    try:
        net = network(text) if isinstance(text, str) and "/" in text else None
    except ValueError:
        net = None
    if net is not None:
        return net
    try:
        loose = ip_network(text, strict=False) if isinstance(text, str) and "/" in text else None
    except ValueError:
        loose = None
    if loose is None:
        raise invalid(
            "InvalidAddressPrefixFormat",
            f"Address prefix {text} of resource {owner} is not formatted correctly. It should follow CIDR notation, "
            "for example 10.0.0.0/24.",
        )
    raise invalid(
        "InvalidCIDRNotation",
        f"The address prefix {text} in resource {owner} has an invalid CIDR notation. For the given prefix length, "
        f"the address prefix should be {loose}.",
    )


def prefixes_of(subnet: Mapping[str, Any]) -> list[str]:
    """A subnet's prefixes, from its `properties`, whichever of the two members it uses."""
    many = items(subnet, "addressPrefixes")
    one = subnet.get("addressPrefix")
    return [str(p) for p in many] or ([str(one)] if one else [])


def space_of(vnet: Mapping[str, Any]) -> list[str]:
    """A virtual network's prefixes, from its `properties`."""
    return [str(p) for p in items(vnet.get("addressSpace") or {}, "addressPrefixes")]


def check_space(id: ResourceId, prefixes: Sequence[str]) -> None:
    """Check an address space: notation, sizes, forbidden ranges, no overlap among its own prefixes."""
    nets = [parse_prefix(prefix, id) for prefix in prefixes]
    for prefix, net in zip(prefixes, nets, strict=True):
        if net.version == 4 and not LARGEST_PREFIX <= net.prefixlen <= SMALLEST_SUBNET:
            raise site_not_valid(
                id,
                f"Address prefix {prefix} is outside of the supported sizes /{LARGEST_PREFIX} to /{SMALLEST_SUBNET}.",
            )
        if net.version == 4:
            for forbidden in FORBIDDEN:
                if overlaps((prefix,), (forbidden,)):
                    raise site_not_valid(id, f"Address prefix {prefix} overlaps with the reserved range {forbidden}.")
    clash = first_overlap([(net, prefix) for net, prefix in zip(nets, prefixes, strict=True)])
    if clash:
        raise site_not_valid(id, f"Address prefixes {clash[0]} and {clash[1]} overlap.")


def site_not_valid(id: ResourceId, why: str) -> ArmError:
    """Code as Azure's; the reason is ours: no recording shows Azure's wording."""
    return invalid("NetcfgInvalidVirtualNetworkSite", f"Virtual network {id} is not valid. {why}")


def first_overlap(labelled: Iterable[tuple[Network, str]]) -> tuple[str, str] | None:
    """Labels of two overlapping networks, None where all are disjoint. O(n log n): sorted neighbours decide."""
    ordered = sorted(labelled, key=lambda pair: (pair[0].version, int(pair[0].network_address), pair[0].prefixlen))
    widest: tuple[Network, str] | None = None
    for net, label in ordered:
        if widest and widest[0].version == net.version and int(net.network_address) <= int(widest[0].broadcast_address):
            return widest[1], label
        widest = (net, label)
    return None


def check_subnets(vnet: ResourceId, space: Sequence[str], subnets: Iterable[Mapping[str, Any]]) -> None:
    """Check that the subnets (`{"name", "properties"}`) lie within `space` and are disjoint."""
    whole = [network(prefix) for prefix in space]
    labelled = []
    for subnet in subnets:
        name = str(subnet.get("name"))
        child = vnet.child("subnets", name)
        for prefix in prefixes_of(subnet.get("properties") or {}):
            net = parse_prefix(prefix, child)
            if not any(contains(outer, net) for outer in whole):
                raise invalid(
                    "NetcfgSubnetRangeOutsideVnet",
                    f"Subnet '{name}' is not valid because its IP address range is outside the IP address range of "
                    f"virtual network '{vnet.name}'.",
                )
            labelled.append((net, name))
    if (clash := first_overlap(labelled)) is not None:
        order = [str(subnet.get("name")) for subnet in subnets]
        raise ranges_overlap(max(clash, key=order.index), vnet)


def ranges_overlap(name: str, vnet: ResourceId) -> ArmError:
    return invalid(
        "NetcfgSubnetRangesOverlap",
        f"Subnet '{name}' is not valid because its IP address range overlaps with that of an existing subnet in virtual "
        f"network '{vnet.name}'.",
    )


def check_subnet_size(subnet: ResourceId, vnet: ResourceId, prefixes: Iterable[str]) -> None:
    """/2 to /29 for IPv4, exactly /64 for IPv6: `NetcfgInvalidSubnet` otherwise."""
    for prefix in prefixes:
        net = parse_prefix(prefix, subnet)
        fits = LARGEST_PREFIX <= net.prefixlen <= SMALLEST_SUBNET if net.version == 4 else net.prefixlen == IPV6_SUBNET
        if not fits:
            raise invalid(
                "NetcfgInvalidSubnet", f"Subnet '{subnet.name}' is not valid in virtual network '{vnet.name}'."
            )

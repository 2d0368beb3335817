"""IP prefixes as text: parsing, overlap, containment. `ipaddress` does the work; results are cached."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


@lru_cache(maxsize=65536)
def network(prefix: str) -> Network:
    """Parse a prefix; a bare address is a /32 or /128. Raises ValueError (host bits set count as invalid)."""
    return ip_network(prefix, strict=True)


@lru_cache(maxsize=65536)
def address(text: str) -> Address:
    """Parse an address. Raises ValueError."""
    return ip_address(text)


def contains(outer: Network, inner: Network) -> bool:
    """True where every address of `inner` is one of `outer`; False across families."""
    # Half of what `subnet_of` costs, which compares four addresses.
    return inner.prefixlen >= outer.prefixlen and inner.network_address in outer


def overlaps(one: Iterable[str], other: Iterable[str]) -> list[tuple[str, str]]:
    """Every overlapping pair, in the order given."""
    others = [(text, network(text)) for text in other]
    return [(a, b) for a in one for b, net in others if net.version == network(a).version and network(a).overlaps(net)]

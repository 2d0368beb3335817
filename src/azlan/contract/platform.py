"""Where the platform's own services meet the machines: 168.63.129.16, which every guest asks for names, and 169.254.169.254,
which tells every guest what it is.

Who asks follows from the transit address that the fabric put in place of the packet's source, never from the packet.
"""

from __future__ import annotations

import socket
from typing import Protocol, runtime_checkable

from azlan.contract.world import PartKey, Tag

DNS_ADDRESS = "168.63.129.16"
DNS_PORT = 53
METADATA_ADDRESS = "169.254.169.254"
METADATA_PORT = 80

ADDRESSES = frozenset({DNS_ADDRESS, METADATA_ADDRESS})
"""Reached past routes and rules, but for rules that name the service by its tag."""

_TCP, _UDP = 6, 17


def service_tag(destination: str, protocol: int, port: int) -> Tag:
    """The service tag by which a rule can keep a machine from a platform service; none for what else 168.63.129.16 is.

    Follows network-security-groups-overview ("Azure platform considerations"): AzurePlatformDNS, AzurePlatformIMDS.
    """
    if destination == METADATA_ADDRESS:
        return Tag.PLATFORM_IMDS
    names = destination == DNS_ADDRESS and port == DNS_PORT and protocol in (_TCP, _UDP)
    return Tag.PLATFORM_DNS if names else Tag(0)


@runtime_checkable
class Platform(Protocol):
    """What the services need of the fabric. The bpf engine is one; the model engine moves no packets, so it is none."""

    async def platform_sockets(self) -> tuple[socket.socket, socket.socket]:
        """Sockets at 168.63.129.16, TCP port and UDP port 53, where machines reach them: (datagrams, listening
        stream). Raises LookupError while there is no such place yet, ConnectionError while nobody can open them."""
        ...

    async def metadata_socket(self) -> socket.socket:
        """A listening socket at 169.254.169.254, TCP port 80, as `platform_sockets`."""
        ...

    async def owner_of_transit(self, address: str) -> tuple[PartKey, str] | None:
        """(NIC, its private address) that is behind a transit address now; None where nobody is."""
        ...

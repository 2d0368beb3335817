"""Where the platform's own services meet the machines: 168.63.129.16, which every guest asks for names.

Who asks follows from the transit address that the fabric put in place of the packet's source, never from the packet.
"""

from __future__ import annotations

import socket
from typing import Protocol, runtime_checkable

from azlan.contract.world import PartKey

DNS_ADDRESS = "168.63.129.16"
DNS_PORT = 53


@runtime_checkable
class Platform(Protocol):
    """What a service needs of the fabric. The bpf engine is one; the model engine moves no packets, so it is none."""

    async def platform_sockets(self) -> tuple[socket.socket, socket.socket]:
        """Sockets at 168.63.129.16, TCP port and UDP port 53, where machines reach them: (datagrams, listening
        stream). Raises LookupError while there is no such place yet, ConnectionError while nobody can open them."""
        ...

    async def owner_of_transit(self, address: str) -> tuple[PartKey, str] | None:
        """(NIC, its private address) that is behind a transit address now; None where nobody is."""
        ...

"""What is done inside a machine's network namespace from outside: its addresses and routes, and sockets of its own.

A namespace belongs to a thread: each piece of work gets a thread that ends with it.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from azlan.base import linux

if TYPE_CHECKING:
    from pyroute2 import IPRoute

T = TypeVar("T")

_GATEWAY6 = "fe80::1234:5678:9abc"
"""Azure's IPv6 gateway, the same in every subnet."""


@dataclass(frozen=True)
class Link:
    """A NIC as the guest is to see it. `gateway` None: no default route by this NIC (all but the primary one)."""

    name: str
    addresses: tuple[str, ...]
    prefix_length: int
    gateway: str | None


def inside(namespace: Path, work: Callable[[], T]) -> T:
    """Do `work` in the network namespace bound at `namespace`; what it raises is raised here."""
    result: list[T] = []
    error: list[BaseException] = []

    def run() -> None:
        try:
            linux.setns(namespace, linux.CLONE_NEWNET)
            result.append(work())
        except BaseException as raised:
            error.append(raised)

    thread = threading.Thread(target=run, name=f"in {namespace}", daemon=True)
    thread.start()
    thread.join()
    if error:
        raise error[0]
    return result[0]


def configure(namespace: Path, links: tuple[Link, ...]) -> None:
    """Give each link its addresses and routes, and take away those that are not its own. The links are there."""
    # Imported by who needs it: a control process with simulated machines starts without it a quarter sooner.
    from pyroute2 import IPRoute

    def work() -> None:
        with IPRoute() as netlink:
            netlink.link("set", index=netlink.link_lookup(ifname="lo")[0], state="up")
            for link in links:
                _configure(netlink, link)

    inside(namespace, work)


def _configure(netlink: IPRoute, link: Link) -> None:
    from pyroute2.netlink.exceptions import NetlinkError

    found = netlink.link_lookup(ifname=link.name)
    if not found:
        raise OSError(f"the link {link.name} is missing")
    index = found[0]
    netlink.link("set", index=index, state="up")
    wanted = [(a, 128 if ":" in a else link.prefix_length) for a in link.addresses]
    found = [(message.get_attr("IFA_ADDRESS"), message["prefixlen"]) for message in netlink.get_addr(index=index)]
    present = [entry for entry in found if not ip_address(entry[0]).is_link_local]
    if not set(present) <= set(wanted):
        # The first address of a subnet takes the others with it when it goes: all go, the last one first.
        for address, length in reversed(present):
            netlink.addr("del", index=index, address=address, prefixlen=length)
        present = []
    for address, length in wanted:
        if (address, length) not in present:
            netlink.addr("add", index=index, address=address, prefixlen=length)
    if link.gateway is not None:
        netlink.route("replace", dst="0.0.0.0/0", gateway=link.gateway, oif=index)
        if any(":" in address for address in link.addresses):
            try:
                netlink.route("replace", family=socket.AF_INET6, dst="::/0", gateway=_GATEWAY6, oif=index)
            except NetlinkError as error:
                raise OSError(f"the IPv6 route of {link.name} cannot be set: {error}") from error


def forward(namespace: Path, links: Iterable[str]) -> None:
    """Have the namespace forward what comes in by these links, without telling senders of another way (the fabric has
    none). For namespaces without a guest who could decide that."""

    def work() -> None:
        settings = Path("/proc/sys/net/ipv4/conf")
        (settings / "all" / "send_redirects").write_text("0")
        for name in links:
            (settings / name / "send_redirects").write_text("0")
            (settings / name / "forwarding").write_text("1")

    inside(namespace, work)


async def banner(namespace: Path, address: str, timeout: float) -> bytes:
    """What an SSH server at `address` says first, connecting from inside the namespace. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = inside(namespace, lambda: socket.socket(family, socket.SOCK_STREAM))
    made.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            await loop.sock_connect(made, (address, 22))
            return await loop.sock_recv(made, 64)
    except TimeoutError as error:
        raise OSError(f"no answer from {address} within {timeout} s") from error
    finally:
        made.close()

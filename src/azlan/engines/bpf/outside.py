"""The outside world: a namespace with the kernel's NAT, between the fabric and the computer.

    fabric namespace            outside namespace                      the computer
    outside (program) ───────── fabric   240.0.0.0/5   uplink ──────── azlan-<mark>
                                lo: 168.63.129.16, 169.254.169.254     routes to the public IPs of NICs

NICs come out as their transit address (240.0.0.0/5, seen nowhere else) or their public IP. Follows
ip-services/default-outbound-access: outward only; nothing of the computer is reachable but what it asked for itself.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import structlog
from pyroute2 import IPRoute

from azlan.contract.platform import ADDRESSES, DNS_ADDRESS, DNS_PORT, METADATA_ADDRESS, METADATA_PORT
from azlan.engines.bpf.namespaces import inside, is_bound, make_namespace, remove_namespace, sysctl
from azlan.engines.bpf.pins import Pins
from azlan.engines.bpf.ports import attach

log = structlog.get_logger(__name__)

TRANSIT = IPv4Network("240.0.0.0/5")
TRANSIT_GATEWAY = "240.0.0.1"
LINK_RANGE = IPv4Network("192.88.99.0/24")
"""Of the link to the computer, four addresses a cloud: withdrawn from use (RFC 7526), so neither a network of the
computer's nor one that a VNet routes to None."""
PUBLIC_RANGES = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")

PRIVATE_RANGES = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
)
NEVER_RANGES = ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")
CONNECTING = "50/second burst 100 packets"
"""Connections that a machine may begin to the platform's services: their processes are to have time for others."""
FABRIC_MAC = "12:34:56:78:9a:bc"
OUTSIDE_MAC = "12:34:56:78:9a:bd"
_PERMANENT = 0x80
_EXISTS = 17
_NETWORK_UNREACHABLE = 101


class OutsideError(Exception):
    """The outside world cannot be set up; the message says why."""


def unreachable(egress: str) -> tuple[str, ...]:
    """Prefixes no machine reaches outside: `lan` opens the private ones, never loopback and link-local."""
    return NEVER_RANGES if egress == "lan" else tuple(sorted({*PRIVATE_RANGES, *NEVER_RANGES}))


def link_name(mark: str) -> str:
    """Name of the one link in the computer's own namespace."""
    short = mark if len(mark) <= 9 and mark.isalnum() else blake2b(mark.encode(), digest_size=4).hexdigest()
    return f"azlan-{short}"


def link_candidates(mark: str) -> Iterator[IPv4Network]:
    """The /30s for the link, beginning where the mark says."""
    blocks = list(LINK_RANGE.subnets(new_prefix=30))
    first = blake2b(mark.encode(), digest_size=2).digest()[0] % len(blocks)
    yield from blocks[first:] + blocks[:first]


def rules(inner: str, block: IPv4Network | None, egress: str) -> str:
    """nftables text for the outside namespace. `inner`: the link to the fabric; `block`: the /30 of the uplink."""
    platform, ports = ", ".join(sorted(ADDRESSES)), f"{DNS_PORT}, {METADATA_PORT}"
    lines = [
        "table ip azlan {",
        " chain input { type filter hook input priority filter; policy drop;",
        "  ct state established,related accept",
        f'  iifname "{inner}" ip daddr {{ {platform} }} meta l4proto {{ tcp, udp }} th dport {{ {ports} }} accept',
        " }",
        " chain forward { type filter hook forward priority filter; policy drop;",
        "  ct state invalid drop",
        "  ct state established,related accept",
    ]
    nat = []
    if block is not None:
        closed = ", ".join(unreachable(egress))
        lines += [
            f'  iifname "uplink" oifname "{inner}" ip daddr != {TRANSIT} accept',
            f'  iifname "{inner}" oifname "{inner}" accept',
            f'  iifname "{inner}" oifname "uplink" ip daddr {{ {block}, {closed} }} drop',
            f'  iifname "{inner}" oifname "uplink" accept',
        ]
        nat = [
            f'  oifname "uplink" iifname "{inner}" snat to {block[2]}',
            f'  oifname "{inner}" ip saddr {TRANSIT} snat to {block[2]}',
        ]
    chain = " chain postrouting { type nat hook postrouting priority srcnat;"
    return "\n".join([*lines, " }", chain, *nat, " }", "}", ""])


def limits(inner: str) -> str:
    """nftables text for the outside namespace, in a table of its own: few kernels have no limits, but some may."""
    return "\n".join(
        [
            "table ip limits {",
            " set connecting { type ipv4_addr; flags dynamic; timeout 10s; size 65535; }",
            " chain input { type filter hook input priority filter - 1; policy accept;",
            f'  iifname "{inner}" tcp flags syn add @connecting {{ ip saddr limit rate over {CONNECTING} }} drop',
            " }",
            "}",
            "",
        ]
    )


def uplink_rules(name: str, block: IPv4Network, forwards: bool) -> str:
    """nftables text for the computer's namespace, in a table of its own: nothing of the computer's own is reached over
    the link but its end of it; where it forwards, the link's other end goes out by the computer's address."""
    lines = [
        f"table ip {name} {{",
        " chain input { type filter hook input priority filter; policy accept;",
        f'  iifname "{name}" ip daddr != {block[1]} drop',
        " }",
    ]
    if forwards:
        lines += [
            " chain postrouting { type nat hook postrouting priority srcnat; policy accept;",
            f'  ip saddr {block[2]} oifname != "{name}" masquerade',
            " }",
        ]
    return "\n".join([*lines, "}", ""])


def nft(text: str) -> None:
    """Run nftables text in the calling thread's namespace. Raises OutsideError."""
    try:
        result = subprocess.run(["nft", "-f", "-"], input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise OutsideError("nft is missing: install the Debian package nftables.") from None
    if result.returncode:
        raise OutsideError(f"nft: {result.stderr.strip()}")


class Outside:
    """The outside namespace of one cloud, its links, NAT, and routes to public IPs. For the engine's own thread.

    `uplink` is the namespace of the computer (tests: one that plays it), None for no way out.
    """

    def __init__(self, run_dir: Path, mark: str, fabric: Path, uplink: Path | None, egress: str) -> None:
        self.namespace = run_dir / "ns" / "outside"
        self._state = run_dir / "outside.json"
        self._fabric = fabric
        self._uplink = uplink
        self._egress = egress
        self._mark = mark
        self.name = link_name(mark)
        self.block: IPv4Network | None = None
        self.public_ranges: tuple[str, ...] = PUBLIC_RANGES
        self._published: set[str] = set()
        self.refused: dict[str, str] = {}
        """Public IP → why the computer has no route to it."""
        self.forwards = False
        """Whether the computer forwards: without it machines reach the computer's public side only by being asked."""

    def open(self, pins: Pins, netlink: IPRoute, settings: Callable[[int, str], None]) -> None:
        """Make what is missing, or adopt it; `settings` is told the ifindex of the fabric's link and the MAC behind."""
        wanted = {"uplink": self._uplink is not None, "egress": self._egress, "mark": self._mark}
        saved = json.loads(self._state.read_text(encoding="utf-8")) if self._state.exists() else {}
        found = netlink.link_lookup(ifname="outside")
        if not found or {key: saved.get(key) for key in wanted} != wanted or not self._adopt(saved):
            self.remove()
            if found:
                netlink.link("del", index=found[0])
            self._build(netlink)
            block = str(self.block) if self.block else None
            self._state.write_text(json.dumps(wanted | {"block": block}), encoding="utf-8")
            found = netlink.link_lookup(ifname="outside")
        settings(found[0], OUTSIDE_MAC)
        if pins.adopted:
            self.attach(pins, netlink)

    def attach(self, pins: Pins, netlink: IPRoute) -> None:
        """Let this layout's program take what comes in from outside."""
        with pins.entry("outside") as program:
            attach(netlink, netlink.link_lookup(ifname="outside")[0], program)

    def _adopt(self, saved: dict[str, Any]) -> bool:
        """Take over what a dead process left; False where a piece is missing."""
        self.block = IPv4Network(saved["block"]) if saved.get("block") else None
        if self._uplink is None or not is_bound(self.namespace):
            return is_bound(self.namespace)
        with self._in_uplink() as ipr:
            found = ipr.link_lookup(ifname=self.name)
            if not found:
                return False
            self._published = {
                route.get_attr("RTA_DST")
                for route in ipr.get_routes(oif=found[0], table=254)
                if route["dst_len"] == 32 and route.get_attr("RTA_GATEWAY")
            }
            self._rule_uplink()
        return True

    @contextmanager
    def _in_uplink(self) -> Iterator[IPRoute]:
        assert self._uplink is not None
        with inside(self._uplink), IPRoute() as ipr:
            yield ipr

    def _build(self, netlink: IPRoute) -> None:
        make_namespace(self.namespace)
        target = os.open(self.namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            peer = {"ifname": "fabric", "address": OUTSIDE_MAC, "net_ns_fd": target}
            netlink.link("add", ifname="outside", kind="veth", peer=peer)
        finally:
            os.close(target)
        netlink.link("set", index=netlink.link_lookup(ifname="outside")[0], state="up")
        if self._uplink is not None:
            self._build_uplink()
        with inside(self.namespace), IPRoute() as ipr:
            self._build_inner(ipr)
            nft(rules("fabric", self.block, self._egress))
            try:
                nft(limits("fabric"))
            except OutsideError as error:
                log.warning("this kernel does not bound how often machines connect", why=str(error))

    def _build_uplink(self) -> None:
        with self._in_uplink() as ipr:
            taken = [network for network, _ in _routes(ipr)]
            free = (block for block in link_candidates(self._mark) if not any(block.overlaps(net) for net in taken))
            self.block = next(free, None)
            if self.block is None:
                raise OutsideError(f"No four addresses of {LINK_RANGE} are free for the link to the computer.")
            target = os.open(self.namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                ipr.link("add", ifname=self.name, kind="veth", peer={"ifname": "uplink", "net_ns_fd": target})
            finally:
                os.close(target)
            index = ipr.link_lookup(ifname=self.name)[0]
            ipr.link("set", index=index, ifalias=f"azlan {self._mark}")
            sysctl(f"net/ipv6/conf/{self.name}/disable_ipv6", "1")
            self._rule_uplink()  # before the link is up: never without
            ipr.addr("add", index=index, address=str(self.block[1]), prefixlen=30)
            ipr.link("set", index=index, state="up")

    def _rule_uplink(self) -> None:
        """Write our table on the computer anew, in one transaction: whether the computer forwards may have changed."""
        assert self.block is not None
        self.forwards = _forwards()
        emptied = f"table ip {self.name}\ndelete table ip {self.name}\n"
        nft(emptied + uplink_rules(self.name, self.block, self.forwards))

    def _build_inner(self, ipr: IPRoute) -> None:
        """Addresses, routes and settings of the outside namespace. The fabric answers no ARP: its MAC is fixed."""
        sysctl("net/ipv4/ip_forward", "1")
        sysctl("net/ipv4/tcp_migrate_req", "1")  # a service's old socket leaves what nobody took from it to the new one
        for which in ("all", "default", "fabric", "uplink"):
            sysctl(f"net/ipv4/conf/{which}/send_redirects", "0")
            sysctl(f"net/ipv4/conf/{which}/rp_filter", "0")
        loopback, inner = ipr.link_lookup(ifname="lo")[0], ipr.link_lookup(ifname="fabric")[0]
        for address in sorted(ADDRESSES):
            ipr.addr("add", index=loopback, address=address, prefixlen=32)
        ipr.addr("add", index=inner, address=TRANSIT_GATEWAY, prefixlen=32)
        for index in (loopback, inner):
            ipr.link("set", index=index, state="up")
        hop = "240.0.0.2"
        ipr.neigh("add", dst=hop, lladdr=FABRIC_MAC, ifindex=inner, state=_PERMANENT)
        ipr.route("add", dst=f"{hop}/32", oif=inner, scope=253)
        for prefix in (str(TRANSIT), *self.public_ranges):
            ipr.route("add", dst=prefix, gateway=hop, oif=inner)
        if self.block is not None:
            index = ipr.link_lookup(ifname="uplink")[0]
            ipr.addr("add", index=index, address=str(self.block[2]), prefixlen=30)
            ipr.link("set", index=index, state="up")
            ipr.route("add", dst="default", gateway=str(self.block[1]), oif=index)

    # Public IPs

    def publish(self, addresses: Iterable[str]) -> None:
        """Give the computer a route to exactly these public IPs. Where a network of the computer's own has one, it
        stays the computer's, and `refused` says so."""
        wanted = set(addresses)
        if wanted == self._published | self.refused.keys():
            return
        outer = {a for a in wanted if not any(IPv4Address(a) in IPv4Network(net) for net in self.public_ranges)}
        with inside(self.namespace), IPRoute() as ipr:
            inner = ipr.link_lookup(ifname="fabric")[0]
            for address in outer - self._published:
                ipr.route("replace", dst=f"{address}/32", gateway="240.0.0.2", oif=inner)
        self.refused = {address: why for address, why in self.refused.items() if address in wanted}
        if self.block is None or self._uplink is None:
            self._published = wanted
            return
        with self._in_uplink() as ipr:
            index = ipr.link_lookup(ifname=self.name)[0]
            for address in self._published - wanted:
                ipr.route("del", dst=f"{address}/32", gateway=str(self.block[2]), oif=index)
                self._published.discard(address)
            own = [(net, oif) for net, oif in _routes(ipr) if oif != index]
            for address in wanted - self._published - self.refused.keys():
                clash = next((net for net, _ in own if IPv4Address(address) in net), None)
                if clash is not None:
                    self.refused[address] = f"{address} lies in {clash}, a network of the computer's own"
                    continue
                ipr.route("replace", dst=f"{address}/32", gateway=str(self.block[2]), oif=index)
                self._published.add(address)

    def platform_sockets(self) -> tuple[socket.socket, socket.socket]:
        """(datagrams, listening stream) at Azure's DNS address; those opened before may still be open."""
        place = (DNS_ADDRESS, DNS_PORT)
        return self._socket(socket.SOCK_DGRAM, place), self._socket(socket.SOCK_STREAM, place)

    def metadata_socket(self) -> socket.socket:
        """A listening socket at the address of the instance metadata service; those opened before may still be open."""
        return self._socket(socket.SOCK_STREAM, (METADATA_ADDRESS, METADATA_PORT))

    def _socket(self, kind: int, place: tuple[str, int]) -> socket.socket:
        with inside(self.namespace):
            made = socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            made.bind(place)
            if kind == socket.SOCK_STREAM:
                made.listen(128)
            return made

    def remove(self) -> None:
        """Everything outside the fabric namespace: the link and the rules on the computer, then the namespace."""
        self._state.unlink(missing_ok=True)
        if self._uplink is not None:
            with self._in_uplink() as ipr:
                for index in ipr.link_lookup(ifname=self.name):
                    ipr.link("del", index=index)
                if _has_table(self.name):
                    nft(f"delete table ip {self.name}\n")
        remove_namespace(self.namespace)
        self._published, self.refused, self.block = set(), {}, None


def _forwards() -> bool:
    return Path("/proc/sys/net/ipv4/ip_forward").read_text(encoding="ascii").strip() == "1"


def _has_table(name: str) -> bool:
    listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    return f"table ip {name}" in listed.stdout.splitlines()


def _routes(ipr: IPRoute) -> list[tuple[IPv4Network, int]]:
    """The IPv4 routes of a namespace's main table but for the default one: (prefix, ifindex)."""
    return [
        (IPv4Network(f"{route.get_attr('RTA_DST')}/{route['dst_len']}"), route.get_attr("RTA_OIF") or 0)
        for route in ipr.get_routes(family=2, table=254)
        if route["dst_len"]
    ]


class Transits:
    """Transit addresses, one for each private address of a NIC, chosen by hash and kept in the pinned maps."""

    def __init__(self, maps: Any) -> None:
        self._maps = maps
        self._of: dict[bytes, bytes] = {}
        self._at: dict[bytes, bytes] = {}

    def load(self) -> None:
        """Read back; a half-written pair is dropped."""
        of, at = self._maps["transit_of"].dump(), self._maps["transits"].dump()
        self._of = {key: address for key, address in of.items() if at.get(address) == key}
        self._at = {address: key for key, address in self._of.items()}
        self._maps["transit_of"].remove(key for key in of if key not in self._of)
        self._maps["transits"].remove(address for address in at if address not in self._at)

    def keep(self, wanted: set[bytes], *, only: bool) -> None:
        """Give every (NIC, private address) of `wanted` its transit address; `only`: and no other keeps one."""
        if only:
            self.drop(key for key in list(self._of) if key not in wanted)
        fresh = {key: self._choose(key) for key in sorted(wanted) if key not in self._of}
        self._maps["transits"].update({address: key for key, address in fresh.items()})
        self._maps["transit_of"].update(fresh)

    def _choose(self, key: bytes) -> bytes:
        span = TRANSIT.num_addresses - 1024  # the first ones are the fabric's own
        start = int.from_bytes(blake2b(key, digest_size=8).digest(), "little")
        for attempt in range(span):
            address = struct.pack(">I", int(TRANSIT.network_address) + 512 + (start + attempt) % span)
            if address not in self._at:
                self._of[key], self._at[address] = address, key
                return address
        raise OutsideError("No transit address is free.")

    def drop(self, keys: Iterable[bytes]) -> None:
        gone = {key: self._of.pop(key) for key in keys if key in self._of}
        for address in gone.values():
            self._at.pop(address, None)
        self._maps["transit_of"].remove(gone)
        self._maps["transits"].remove(gone.values())

    def owner(self, address: str) -> tuple[int, str] | None:
        """(NIC's part id, private address) behind a transit address."""
        key = self._at.get(IPv4Address(address).packed)
        return (int.from_bytes(key[:8], "little"), str(IPv4Address(key[8:12]))) if key else None

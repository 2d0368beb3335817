"""Dropped packets, told one by one: what the program puts into its ring, read once a second and logged.

The program tells of the first drop of a NIC for a reason and then of one in ten seconds, with how many there were; here
the lines of all NICs together are bounded. The ring is pinned: what was dropped while no process ran is read afterwards.
"""

from __future__ import annotations

import ctypes
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

import structlog

from azlan.contract.engine import Drop
from azlan.engines.bpf.kernel import Libbpf, Map

log = structlog.get_logger(__name__)

EVERY = 1.0
"""Seconds between two looks."""
LINES, SPAN = 60, 10.0
"""Most lines in so many seconds."""

_RECORD = struct.Struct("<QQIIII64s")
_REASONS = tuple(Drop)
_FIRST_REASON = 1
"""Counter of the first reason; `delivered` is before it."""
_ARP, _IPV4, _TAGGED = 0x0806, 0x0800, (0x8100, 0x88A8)
_PORTS = {6: "tcp", 17: "udp"}
_PROTOCOLS = {1: "icmp", 2: "igmp", 4: "ipip", 47: "gre", 50: "esp", 51: "ah", **_PORTS}


@dataclass(frozen=True)
class Dropped:
    """One packet that stands for `packets` dropped at a NIC for the same reason since the last one told of.

    `source` and `destination` are the packet's addresses, with TCP or UDP ports where they could be read; of what is no
    IPv4 and no ARP, MAC addresses.
    """

    nic: int
    """Part id; 0: the fabric itself."""
    reason: Drop
    packets: int
    bytes: int
    source: str
    destination: str
    protocol: str
    mac: str
    """The sender's."""
    vlan: str | None = None
    """Its VLAN ids, the outermost first."""


def decode(record: bytes) -> Dropped:
    """A record of the ring (`struct drop`). Raises ValueError where it is none."""
    if len(record) < _RECORD.size:
        raise ValueError(f"a record of {len(record)} bytes")
    nic, packets, reason, octets, vlan, length, head = _RECORD.unpack_from(record)
    if not _FIRST_REASON <= reason < _FIRST_REASON + len(_REASONS):
        raise ValueError(f"no reason has the number {reason}")
    frame = head[:length]
    tags = [vlan & 0xFFF] if vlan else []
    at, kind = 12, _word(frame, 12)
    while kind in _TAGGED and at + 4 < len(frame):
        tags.append(_word(frame, at + 2) & 0xFFF)
        at += 4
        kind = _word(frame, at)
    source, destination, protocol = _ends(frame, at + 2, kind)
    return Dropped(
        nic=nic,
        reason=_REASONS[reason - _FIRST_REASON],
        packets=packets,
        bytes=octets,
        source=source,
        destination=destination,
        protocol=protocol,
        mac=_mac(frame[6:12]),
        vlan=".".join(map(str, tags)) or None,
    )


def _ends(frame: bytes, at: int, kind: int) -> tuple[str, str, str]:
    """(source, destination, protocol) of what begins at `at`."""
    if kind == _ARP and len(frame) >= at + 28:
        return _address(frame, at + 14), _address(frame, at + 24), "arp"
    if kind != _IPV4 or len(frame) < at + 20:
        return _mac(frame[6:12]), _mac(frame[:6]), f"{kind:#06x}"
    source, destination, number = _address(frame, at + 12), _address(frame, at + 16), frame[at + 9]
    ports = at + (frame[at] & 15) * 4
    if number in _PORTS and not _word(frame, at + 6) & 0x1FFF and len(frame) >= ports + 4:
        source, destination = f"{source}:{_word(frame, ports)}", f"{destination}:{_word(frame, ports + 2)}"
    return source, destination, _PROTOCOLS.get(number, str(number))


def _word(frame: bytes, at: int) -> int:
    return int.from_bytes(frame[at : at + 2], "big")


def _address(frame: bytes, at: int) -> str:
    return str(IPv4Address(frame[at : at + 4]))


def _mac(octets: bytes) -> str:
    return octets.hex(":")


_SAMPLE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class DropRing:
    """The reader's end of the ring. What was read is read once, by whichever process."""

    def __init__(self, bpf: Libbpf, ring: Map) -> None:
        self._lib = bpf.lib
        self._records: list[bytes] = []

        def take(_: object, data: int, size: int) -> int:
            self._records.append(ctypes.string_at(data, size))
            return 0

        self._take = _SAMPLE(take)  # libbpf keeps the pointer: so must we
        self._lib.ring_buffer__new.restype = ctypes.c_void_p
        found = self._lib.ring_buffer__new(ring.fd, self._take, None, None)
        if not found:
            number = ctypes.get_errno()
            raise OSError(number, "ring_buffer__new")
        self._ring: ctypes.c_void_p | None = ctypes.c_void_p(found)

    def read(self) -> list[Dropped]:
        """What was told of since the last look, by whomever."""
        self._lib.ring_buffer__consume(self._ring)
        records, self._records = self._records, []
        return [decode(record) for record in records]

    def close(self) -> None:
        if self._ring is not None:
            self._lib.ring_buffer__free(self._ring)
            self._ring = None


class DropLog:
    """Writes lines, at most LINES in SPAN seconds, and how many were left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._written = self._left_out = self._left_packets = 0

    def write(self, dropped: list[Dropped], names: Callable[[int], str]) -> None:
        """`names` gives the resource id of a NIC's part id."""
        if self._clock() - self._since >= SPAN:
            if self._left_out:
                log.warning("drops not logged", lines=self._left_out, packets=self._left_packets, seconds=SPAN)
            self._since, self._written, self._left_out, self._left_packets = self._clock(), 0, 0, 0
        for one in dropped:
            if self._written >= LINES:
                self._left_out += 1
                self._left_packets += one.packets
                continue
            self._written += 1
            more = {"vlan": one.vlan} if one.vlan else {}
            log.info(
                "packet dropped",
                nic=names(one.nic),
                reason=str(one.reason),
                source=one.source,
                destination=one.destination,
                protocol=one.protocol,
                mac=one.mac,
                bytes=one.bytes,
                suppressed=one.packets - 1,
                **more,
            )

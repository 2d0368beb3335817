"""Ports: the veth pair of each plugged NIC, its fabric end in the one fabric namespace with the program attached.

A fabric end is named by its NIC's part id and carries the part key as its alias, so that a fresh process knows whose
it is without a memory.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from azlan.contract.world import Nic, PartKey, part_key
from azlan.engines.bpf.kernel import Map
from azlan.engines.bpf.namespaces import inside, make_namespace
from azlan.engines.bpf.pins import Pins
from azlan.engines.bpf.render import part_id

INGRESS = 0xFFFF_FFF2
"""Parent of a clsact's ingress filters."""
_EVERY_PROTOCOL = 0x0003
_ALIAS_BYTES = 255
_LINK = struct.Struct("<IIQ")


class PortError(Exception):
    """A NIC that cannot be plugged; the message says why."""


def end_name(number: int) -> str:
    """Name of the fabric end of the NIC with this part id; 15 characters."""
    return f"n{number >> 8:014x}"


def alias_of(key: PartKey) -> str:
    return key if len(key.encode()) <= _ALIAS_BYTES else f"#{part_id(key):016x}"


def id_of_alias(alias: str) -> int:
    return int(alias[1:], 16) if alias.startswith("#") else part_id(alias)


def attach(ipr: IPRoute, ifindex: int, program: int, *, replace: bool = True) -> None:
    """Run a program on a link's ingress; nothing where exactly this one runs already, or, without `replace`, any."""
    filters = [found for one in ipr.get_filters(index=ifindex, parent=INGRESS) if (found := _program_id(one))]
    if program_id(program) in filters or (filters and not replace):
        return
    try:
        ipr.tc("add", "clsact", ifindex)
    except NetlinkError as error:
        if error.code != 17:  # EEXIST
            raise
    ipr.tc(
        "replace-filter", "bpf", ifindex, handle=1, prio=1, protocol=_EVERY_PROTOCOL, fd=program, name="azlan",
        parent=INGRESS, direct_action=True,
    )  # fmt: skip


def _program_id(one: Any) -> int | None:
    options = one.get_attr("TCA_OPTIONS")
    found: int | None = options.get_attr("TCA_BPF_ID") if options is not None else None
    return found


def program_id(fd: int) -> int:
    """The kernel's number of an open program."""
    text = Path(f"/proc/self/fdinfo/{fd}").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("prog_id:")))


class Ports:
    """The plugged NICs of one cloud. Blocking: for the engine's own thread."""

    def __init__(self, namespace: Path, pins: Pins) -> None:
        self.namespace = namespace
        self._pins = pins
        self._live = False
        """False while the maps of a new layout are not filled: ports that run an older one go on with it."""
        self._ipr: IPRoute | None = None
        self.plugged: dict[int, int] = {}
        """Part id → ifindex of the fabric end."""

    @property
    def maps(self) -> Mapping[str, Map]:
        return self._pins.maps

    @property
    def netlink(self) -> IPRoute:
        """A socket in the fabric namespace."""
        if self._ipr is None:
            with inside(self.namespace):
                self._ipr = IPRoute()
        return self._ipr

    def open(self) -> None:
        """Make the fabric namespace, or see what is plugged there."""
        make_namespace(self.namespace)
        self.refresh()
        if self._pins.adopted:
            self.adopt()

    def refresh(self) -> None:
        """Read which fabric ends there are."""
        self.plugged = {
            number: link["index"]
            for link in self.netlink.get_links()
            if (alias := link.get_attr("IFLA_IFALIAS"))
            and link.get_attr("IFLA_IFNAME") == end_name(number := id_of_alias(alias))
        }

    def adopt(self) -> None:
        """Make every fabric end stand in this layout's maps and then run its program; forget ports that are gone."""
        ports = {struct.pack("<I", ifindex): struct.pack("<Q", number) for number, ifindex in self.plugged.items()}
        held, held_links = self.forget(), self.maps["links"].dump()
        links = {
            struct.pack("<Q", number): _LINK.pack(ifindex, 0, 0)
            for number, ifindex in self.plugged.items()
            if held_links.get(struct.pack("<Q", number), b"")[:4] != struct.pack("<I", ifindex)
        }
        self._count(self.plugged)
        self.maps["links"].update(links)
        self.maps["ports"].update({key: value for key, value in ports.items() if held.get(key) != value})
        self._pins.replugged()
        with self._pins.entry("port") as program:
            for ifindex in self.plugged.values():
                attach(self.netlink, ifindex, program)
        self._live = True

    def forget(self) -> dict[bytes, bytes]:
        """Take ports whose link is gone (with the machine's namespace) from the maps; the entries of `ports` before."""
        held = self.maps["ports"].dump()
        there = {struct.pack("<I", ifindex) for ifindex in self.plugged.values()}
        self.maps["ports"].remove(key for key in held if key not in there)
        links = self.maps["links"].dump()
        self.maps["links"].remove(key for key in links if int.from_bytes(key, "little") not in self.plugged)
        self._pins.replugged()
        return held

    def _count(self, numbers: Mapping[int, int]) -> None:
        """Give NICs without counters theirs, at zero."""
        counted = self.maps["counted"]
        held = counted.dump().keys() if numbers else ()
        fresh = [key for number in numbers if (key := struct.pack("<Q", number)) not in held]
        counted.update({key: bytes(counted.value_size) for key in fresh})

    def plug(self, nic: Nic, namespace: Path, name: str) -> None:
        """Make or adopt the NIC's pair. Raises PortError, OSError (no such namespace), NetlinkError."""
        key = part_key(nic)
        number = part_id(key)
        with inside(namespace), IPRoute() as guest:
            if self._end(number) is None or not self._is_whole(number, guest, name, nic.mac):
                self._discard(number)
                if guest.link_lookup(ifname=name):
                    raise PortError(f"{name} in the machine's namespace is another link than the NIC's: {nic.id}")
                self._create(number, key, namespace, name, nic.mac)
            guest.link("set", index=guest.link_lookup(ifname=name)[0], state="up")
        ifindex = self.plugged[number]
        self._count({number: ifindex})
        own = struct.pack("<Q", number)
        held = self.maps["links"].get(own)
        if held is None or held[:4] != struct.pack("<I", ifindex):
            self.maps["links"].put(own, _LINK.pack(ifindex, 0, 0))
        self.maps["ports"].put(struct.pack("<I", ifindex), own)
        self._pins.replugged()
        with self._pins.entry("port") as program:
            attach(self.netlink, ifindex, program, replace=self._live)
        self.netlink.link("set", index=ifindex, state="up")

    def _end(self, number: int) -> Any:
        found = self.netlink.link_lookup(ifname=end_name(number))
        if not found:
            self.plugged.pop(number, None)
            return None
        self.plugged[number] = found[0]
        return self.netlink.get_links(found[0])[0]

    def _is_whole(self, number: int, guest: IPRoute, name: str, mac: str) -> bool:
        """Whether the guest's link of that name is the other end of the NIC's pair and has the NIC's MAC."""
        end = self._end(number)
        found = guest.link_lookup(ifname=name)
        if end is None or not found:
            return False
        link = guest.get_links(found[0])[0]
        return bool(
            end.get_attr("IFLA_LINK") == link["index"]
            and link.get_attr("IFLA_LINK") == end["index"]
            and link.get_attr("IFLA_ADDRESS") == mac.lower().replace("-", ":")
        )

    def _create(self, number: int, key: PartKey, namespace: Path, name: str, mac: str) -> None:
        target = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            peer = {"ifname": name, "address": mac.lower().replace("-", ":"), "net_ns_fd": target}
            self.netlink.link("add", ifname=end_name(number), kind="veth", peer=peer)
        finally:
            os.close(target)
        self.plugged[number] = self.netlink.link_lookup(ifname=end_name(number))[0]
        self.netlink.link("set", index=self.plugged[number], ifalias=alias_of(key))

    def _discard(self, number: int) -> None:
        found = self.netlink.link_lookup(ifname=end_name(number))
        if found:
            self.netlink.link("del", index=found[0])
        self.plugged.pop(number, None)

    def unplug(self, key: PartKey) -> None:
        number = part_id(key)
        own = struct.pack("<Q", number)
        held = self.maps["links"].get(own)
        self.maps["links"].remove([own])
        if held is not None:
            self.maps["ports"].remove([held[:4]])
        self._pins.replugged()
        self._discard(number)
        self.maps["counted"].remove([own])

    def close(self) -> None:
        if self._ipr is not None:
            self._ipr.close()
            self._ipr = None

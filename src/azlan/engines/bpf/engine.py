"""The bpf engine: compares the World with what the kernel holds and writes the difference, flipped at once.

All work is done by one thread of its own, because a network namespace is a thread's. What is written is decided by
part identity while this process lives; after a start, an error or a drift everything is read back and compared.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from azlan.contract.engine import Digest, Drop, Flow, Report, Verdict
from azlan.contract.world import DIGEST_SIZE, EMPTY, AnyPart, Machine, Nic, PartKey, World, differing, digest
from azlan.engines.bpf import render
from azlan.engines.bpf.drops import EVERY, DropLog, DropRing
from azlan.engines.bpf.kernel import KernelError, Libbpf
from azlan.engines.bpf.namespaces import is_bound, remove_namespace
from azlan.engines.bpf.outside import Outside, Transits, unreachable
from azlan.engines.bpf.pins import Pins
from azlan.engines.bpf.ports import Ports, end_name
from azlan.engines.bpf.render import Entries, NetworkPart, RenderError, content_id, part_id
from azlan.engines.bpf.tables import Change, Tables, Target

log = logging.getLogger(__name__)

COUNTERS = ("delivered", *(str(drop) for drop in Drop))
"""Names of the program's counters in its order."""
BYTES = ("bytes", *(f"{drop}_bytes" for drop in Drop))
"""Names of the bytes of the packets counted."""
FABRIC = "fabric:outside"
"""Where packets are counted that belong to no NIC."""
FLOW_QUOTA = 32768
ARP_RATE = 1000
_KINDS = 32

P = ParamSpec("P")
T = TypeVar("T")


def key_of(number: int) -> bytes:
    return struct.pack("<Q", number)


def totals(counters: bytes) -> dict[str, int]:
    """What a NIC's entry of `counted` says, summed over the processors: packets by COUNTERS, and bytes by `BYTES`."""
    words = struct.unpack(f"<{len(counters) // 8}Q", counters)
    sums = [sum(words[index :: 2 * _KINDS]) for index in range(2 * len(COUNTERS))]
    return dict(zip(COUNTERS, sums[::2], strict=True)) | dict(zip(BYTES, sums[1::2], strict=True))


class BpfEngine:
    """`contract.engine.Engine` and `contract.machine.NicPorts` on the kernel of this computer.

    `run_dir` holds pins and namespaces and nothing else; `mark` names what stands outside it. `probe` judges a flow in a
    World. `uplink` is the network namespace of the computer, None for a cloud without an outside. `cache_dir` keeps the
    compiled program. Nothing is touched before the first call.
    """

    name = "bpf"

    def __init__(
        self,
        run_dir: Path,
        mark: str,
        *,
        probe: Callable[[World, Flow], Verdict],
        cache_dir: Path | None = None,
        uplink: Path | None = Path("/proc/self/ns/net"),
        egress: str = "internet",
        flow_quota: int = FLOW_QUOTA,
    ) -> None:
        self._run_dir = run_dir
        self._probe = probe
        self._egress = egress
        self._flow_quota = flow_quota
        self._bpf = Libbpf()
        self._pins = Pins(run_dir, cache_dir or run_dir / "cache", self._bpf)
        self._ports = Ports(run_dir / "ns" / "fabric", self._pins)
        self._outside = Outside(run_dir, mark, self._ports.namespace, uplink, egress)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bpf engine")
        self._tables: Tables | None = None
        self._transits: Transits | None = None
        self._ring: DropRing | None = None
        self._drops = DropLog()
        self._world = EMPTY
        self._held: dict[PartKey, NetworkPart] = {}
        """Parts that this process knows to be in force."""
        self._numbers: dict[int, PartKey] = {}
        """Part id → key of what was held in the World `_numbered`."""
        self._numbered = EMPTY
        self._digests: dict[PartKey, bytes] = {}
        self._refused: dict[PartKey, tuple[NetworkPart, str]] = {}
        """Parts that cannot be rendered, and why: rendering is pure, so they are not tried again."""
        self._owners: dict[str, dict[bytes, Target]] = {"places": {}, "publics": {}}
        self._whole = True
        """Whether the next apply compares everything with what was read back."""

    # The contract, in the event loop

    async def apply(self, world: World) -> Report:
        return await self._do(self._apply, world)

    async def observe(self) -> Digest:
        return await self._do(self._observe)

    async def probe(self, flow: Flow) -> Verdict:
        return self._probe(self._world, flow)

    async def counters(self) -> dict[PartKey, dict[str, int]]:
        return await self._do(self._counters)

    async def log_drops(self) -> None:
        """Log dropped packets with their NIC and reason, as they come, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self._do(self._log_drops)
            except (OSError, ValueError):
                log.exception("the ring of drops could not be read")

    async def plug(self, nic: Nic, namespace: Path, name: str) -> None:
        await self._do(self._plug, nic, namespace, name)

    async def unplug(self, nic: PartKey) -> None:
        await self._do(self._unplug, nic)

    async def close(self) -> None:
        """Let go; every packet goes on."""
        await self._do(self._close)
        self._thread.shutdown()

    async def destroy(self) -> None:
        """Remove all that bears the mark: links, namespaces, rules, pins, mounts, the run folder's contents."""
        await self._do(self._destroy)
        self._thread.shutdown()

    async def owner_of_transit(self, address: str) -> tuple[PartKey, str] | None:
        """(NIC, private address) that a platform service sees as this transit address."""
        return await self._do(self._owner_of_transit, address)

    async def platform_sockets(self) -> tuple[socket.socket, socket.socket]:
        """Of `contract.platform.Platform`: (datagrams, stream) at 168.63.129.16, in the outside namespace."""
        return await self._do(self._platform_sockets)

    async def metadata_socket(self) -> socket.socket:
        """Of `contract.platform.Platform`: a listening stream at 169.254.169.254, in the outside namespace."""
        return await self._do(self._metadata_socket)

    async def warnings(self) -> tuple[str, ...]:
        """What of the outside world this computer does not allow, in words for `doctor`."""
        return await self._do(self._warnings)

    @property
    def platform_namespace(self) -> Path:
        """Where sockets for 168.63.129.16 and 169.254.169.254 are to be opened."""
        return self._outside.namespace

    @property
    def calls(self) -> int:
        """bpf(2) calls made by this process."""
        return self._bpf.calls

    async def _do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))

    # The thread

    def _open(self) -> tuple[Tables, Transits]:
        if self._tables is not None and self._transits is not None:
            return self._tables, self._transits
        self._run_dir.mkdir(parents=True, exist_ok=True)
        try:
            self._pins.open()
            assert self._pins.epoch is not None
            maps = self._pins.maps
            tables, transits = Tables(maps, self._pins.epoch), Transits(maps)
            tables.load()
            transits.load()
            self._ports.open()
            if maps["counted"].get(key_of(0)) is None:
                maps["counted"].put(key_of(0), bytes(maps["counted"].value_size))
            closed = {render.plain_prefix(prefix): struct.pack("<I", 1) for prefix in unreachable(self._egress)}
            held = maps["unreachable"].dump()
            maps["unreachable"].update({key: value for key, value in closed.items() if key not in held})
            maps["unreachable"].remove(key for key in held if key not in closed)
            self._outside.open(self._pins, self._ports.netlink, self._settings)
            self._ring = DropRing(self._bpf, maps["drops"])
        except BaseException:
            self._ports.close()
            self._pins.close()
            raise
        self._tables, self._transits, self._whole = tables, transits, True
        return tables, transits

    def _settings(self, ifindex: int, mac: str) -> None:
        packed = struct.pack("<3I6s2x", ifindex, self._flow_quota, ARP_RATE, bytes.fromhex(mac.replace(":", "")))
        if self._pins.maps["settings"].get(bytes(4)) != packed:
            self._pins.maps["settings"].put(bytes(4), packed)

    def _apply(self, world: World) -> Report:
        tables, transits = self._open()
        if self._whole:
            tables.load()
            self._held, self._owners = {}, {"places": {}, "publics": {}}
        changed, removed = self._difference(world)
        wanted = cast(Mapping[PartKey, NetworkPart], world.parts)
        change, written, failed = self._compare(tables, wanted, changed, removed)
        try:
            if change.tables or any(change.pointers.values()) or self._whole:
                self._address_outside(transits, wanted, changed)
                tables.apply(change)
                self._withdraw_transits(transits, wanted, changed, removed)
        except KernelError as error:
            self._whole = True
            return Report(revision=world.revision, failed={key: str(error) for key in {*changed, *removed} | {*failed}})
        except BaseException:
            self._whole = True
            raise
        for key in changed:
            if key in failed:
                self._held.pop(key, None)
            else:
                self._held[key] = wanted[key]
        for key in removed:
            del self._held[key]
            self._digests.pop(key, None)
        self._refused = {key: self._refused[key] for key in failed}
        self._world = world
        self._whole = False
        if not self._pins.adopted:
            self._take_over()
        self._outside.publish(str(IPv4Address(address)) for address in self._owners["publics"])
        return Report(revision=world.revision, failed=failed, parts_written=len(written))

    def _difference(self, world: World) -> tuple[list[PartKey], list[PartKey]]:
        """Keys of the network parts to bring into force, and of those to remove. What could not be rendered before is
        not held, and so still to be brought."""
        if self._whole:
            suspects, gone = list(world.parts), [key for key in self._held if key not in world.parts]
        else:
            suspects, gone = differing(self._world, world)
            suspects += [key for key in self._refused if key in world.parts and key not in suspects]
        changed = []
        for key in suspects:
            part: AnyPart = world.parts[key]
            if not isinstance(part, Machine) and (old := self._held.get(key)) is not part and old != part:
                changed.append(key)
        return changed, [key for key in gone if key in self._held]

    def _compare(
        self, tables: Tables, wanted: Mapping[PartKey, NetworkPart], changed: list[PartKey], removed: list[PartKey]
    ) -> tuple[Change, set[PartKey], dict[PartKey, str]]:
        """What is to be written: the change, the parts it is about, and those that cannot be rendered."""
        change, written, failed = Change(), set(removed), {}
        for key in changed:
            part, pointer = wanted[key], key_of(part_id(key))
            target, entries = self._rendered(key, part)
            if target is None:
                failed[key] = self._refused[key][1]
            elif not tables.holds(target[0], entries):
                change.tables[target[0]] = entries
                written.add(key)
            if tables.target("pointers", pointer) != target:
                change.pointers["pointers"][pointer] = target
                written.add(key)
        gone = {key_of(part_id(key)) for key in removed}
        if self._whole:
            known = {key_of(part_id(key)) for key in wanted}
            gone |= {key for key in tables.in_force("pointers") if key not in known}
        change.pointers["pointers"].update(dict.fromkeys(gone))
        for name, touched in self._addresses(wanted, changed, removed, failed).items():
            touched |= tables.in_force(name).keys() if self._whole else set()
            for place in touched:
                owner = self._owners[name].get(place)
                if tables.target(name, place) != owner:
                    change.pointers[name][place] = owner
        return change, written, failed

    def _rendered(self, key: PartKey, part: NetworkPart) -> tuple[Target | None, Entries]:
        """Where the part's pointer is to lead, and what stands there; None for a part that cannot be rendered."""
        refused = self._refused.get(key)
        if refused is not None and (refused[0] is part or refused[0] == part):
            return None, {}
        self._refused.pop(key, None)
        self._digests[key] = value = digest(part)
        try:
            entries = render.render_part(part, content_id(value))
        except (RenderError, ValueError) as error:
            self._refused[key] = (part, str(error))
            return None, {}
        return (content_id(value), int.from_bytes(value[8:], "little")), entries

    def _addresses(
        self,
        wanted: Mapping[PartKey, NetworkPart],
        changed: Iterable[PartKey],
        removed: Iterable[PartKey],
        failed: Iterable[PartKey],
    ) -> dict[str, set[bytes]]:
        """Bring `_owners` up to date, and say which private and public addresses that may have touched. Addresses are
        given up before they are taken, so that they can move from NIC to NIC in one change."""
        touched: dict[str, set[bytes]] = {"places": set(), "publics": set()}
        finders = {"places": render.places, "publics": render.publics}
        for key in [*changed, *removed]:
            before = self._held.get(key)
            if isinstance(before, Nic):
                for name, find in finders.items():
                    for place in find(before, part_id(key)):
                        self._owners[name].pop(place, None)
                        touched[name].add(place)
        for key in changed:
            after = wanted[key]
            if isinstance(after, Nic) and key not in failed:
                number = part_id(key)
                for name, find in finders.items():
                    for place, (nic, private) in find(after, number).items():
                        self._owners[name][place] = (nic, int.from_bytes(private, "little"))
                        touched[name].add(place)
        return touched

    def _address_outside(
        self, transits: Transits, wanted: Mapping[PartKey, NetworkPart], changed: list[PartKey]
    ) -> None:
        """Transit addresses for new private ones, before any packet can need them."""
        transits.keep(
            {
                render.keyed_address(part_id(key), private)
                for key in changed
                if isinstance(part := wanted[key], Nic)
                for private in render.private_addresses(part)
            },
            only=self._whole,
        )

    def _withdraw_transits(
        self, transits: Transits, wanted: Mapping[PartKey, NetworkPart], changed: list[PartKey], removed: list[PartKey]
    ) -> None:
        gone = set()
        for key in [*changed, *removed]:
            before, after = self._held.get(key), wanted.get(key)
            if isinstance(before, Nic):
                kept = set(render.private_addresses(after)) if isinstance(after, Nic) else set()
                gone |= {
                    render.keyed_address(part_id(key), private)
                    for private in render.private_addresses(before)
                    if private not in kept
                }
        transits.drop(gone)

    def _take_over(self) -> None:
        """After the first change of this layout is in force: ports leave an older layout, which then goes."""
        self._ports.refresh()
        self._ports.adopt()
        self._outside.attach(self._pins, self._ports.netlink)
        self._pins.adopted = True
        others = self._pins.other_layouts()
        for folder in others:
            shutil.rmtree(folder)
        if others:
            log.warning("the tables have a new layout: running flows were forgotten and are judged by the rules again")

    def _observe(self) -> Digest:
        tables, _ = self._open()
        contents, pointers = tables.drifted(), tables.drifted_pointers()
        self._ports.refresh()
        self._ports.forget()
        total, intact, known = 0, set(), set()
        for key, target in tables.in_force("pointers").items():
            known.add(int.from_bytes(key, "little"))
            if key not in pointers["pointers"] and target[0] not in contents:
                value = key_of(target[0]) + key_of(target[1])
                total ^= int.from_bytes(value, "big")
                intact.add(key)
        broken = [key for key in self._held if key_of(part_id(key)) not in intact]
        if broken or pointers["places"] or pointers["publics"]:
            self._whole = True
        foreign = [f"port {end_name(number)}" for number in self._ports.plugged if number not in known]
        foreign += [f"entry {key.hex()} of {name}" for name, keys in pointers.items() for key in keys]
        return Digest(root=total.to_bytes(DIGEST_SIZE, "big"), foreign=tuple(sorted(foreign)))

    def _counters(self) -> dict[PartKey, dict[str, int]]:
        self._open()
        names = self._names() | {0: FABRIC}
        counted: dict[PartKey, dict[str, int]] = {}
        for key, value in self._pins.maps["counted"].dump().items():
            nic = names.get(int.from_bytes(key, "little"))
            if nic is not None:
                counted[nic] = {name: total for name, total in totals(value).items() if total}
        if not counted.get(FABRIC):
            counted.pop(FABRIC, None)
        return counted

    def _names(self) -> dict[int, PartKey]:
        """Part id → key of what is held."""
        if self._numbered is not self._world:
            self._numbered, self._numbers = self._world, {part_id(key): key for key in self._held}
        return self._numbers

    def _log_drops(self) -> None:
        # Before the World is known, nor are the NICs' names: what the ring holds waits.
        if self._ring is not None and not self._whole and (dropped := self._ring.read()):
            names = self._names()
            self._drops.write(
                dropped, lambda nic: names.get(nic, f"#{nic:016x}" if nic else FABRIC).removeprefix("nic:")
            )

    def _plug(self, nic: Nic, namespace: Path, name: str) -> None:
        self._open()
        self._ports.plug(nic, namespace, name)

    def _unplug(self, nic: PartKey) -> None:
        self._open()
        self._ports.unplug(nic)

    def _owner_of_transit(self, address: str) -> tuple[PartKey, str] | None:
        found = self._transits.owner(address) if self._transits is not None else None
        if found is None:
            return None
        key = self._names().get(found[0])
        return (key, found[1]) if key else None

    def _platform_sockets(self) -> tuple[socket.socket, socket.socket]:
        if self._tables is None:
            raise LookupError("The outside world is not there yet.")
        return self._outside.platform_sockets()

    def _metadata_socket(self) -> socket.socket:
        if self._tables is None:
            raise LookupError("The outside world is not there yet.")
        return self._outside.metadata_socket()

    def _warnings(self) -> tuple[str, ...]:
        self._open()
        found = [f"No route from this computer to a public IP: {why}." for why in self._outside.refused.values()]
        if self._outside.block is not None and not self._outside.forwards:
            found.append(
                "net.ipv4.ip_forward is 0: machines reach each other and answer this computer, but not the internet. "
                "Azlan does not change it: `sysctl net.ipv4.ip_forward=1`, then start the cloud again."
            )
        return tuple(found)

    def _close(self) -> None:
        if self._ring is not None:
            self._ring.close()
            self._ring = None
        self._ports.close()
        self._pins.close()
        self._tables = self._transits = None

    def _destroy(self) -> None:
        self._close()
        self._outside.remove()
        remove_namespace(self._ports.namespace)
        self._pins.remove()
        for folder in (self._run_dir / "ns", self._run_dir / "cache"):
            if folder.exists() and not is_bound(folder):
                shutil.rmtree(folder)

"""A peering and a rule brought into force with 10, 1,000 and 5,000 NICs: in parts, and as a client sees it.

facts ─ compile ─▶ World ─ apply ─▶ kernel                                   (in this process)
PUT ─ store ─ facts ─ compile ─ socket ─ apply ─ settle ─▶ Succeeded         (a cloud with the bpf engine)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import IPv4Address
from typing import Any

from bench.clouds import LOCATION, Arm, Lab, each, timed
from bench.figures import Aim, Result, rounds
from bench.network import Network, Wired, rule, wired

SIZES = (10, 1000, 5000)
FLAT = Aim(1.2)
SETTLED = 0.06
"""Longer than the engine lets pass between two flips before it has to wait for packets."""


def run(lab: Lab, quick: bool) -> Result:
    sizes = SIZES[:2] if quick else SIZES
    result = Result("Apply")
    _parts(result, sizes, 5 if quick else 15)
    _whole(result, lab, sizes, 5 if quick else 15)
    result.notes.append(
        "A flip of a peering is both halves, on and off in turn; a rule is one added to a group in use."
    )
    return result


# In this process


def _parts(result: Result, sizes: tuple[int, ...], count: int) -> None:
    with ExitStack() as stack:
        fabrics = {size: stack.enter_context(wired(_network(size))) for size in sizes}
        for fabric in fabrics.values():
            fabric.apply(fabric.network.compile(fabric.network.facts()))
        for name, change in (("a peering", _flip), ("a rule", _replace_rule)):
            compiled: dict[str, list[float]] = {str(size): [] for size in sizes}
            worked: dict[str, list[float]] = {str(size): [] for size in sizes}
            subjects = {str(s): _subject(fabrics[s], change, compiled[str(s)], worked[str(s)]) for s in sizes}
            rounds(2, subjects)
            for kept in (*compiled.values(), *worked.values()):
                kept.clear()
            applied = rounds(count, subjects)
            _compare(result, f"{name}, compile", sizes, compiled)
            _compare(result, f"{name}, apply", sizes, applied)
            _compare(result, f"{name}, apply, time on a processor", sizes, worked)


def _subject(
    fabric: Wired, change: Callable[[Network, int], None], compiled: list[float], worked: list[float]
) -> Callable[[], float]:
    """Measures one change: what compiling it took, and what of its applying was work and not waiting for others."""
    turns = iter(range(10**9))

    def measure() -> float:
        change(fabric.network, next(turns))
        given = fabric.network.facts()
        time.sleep(SETTLED)
        began = time.perf_counter()
        world = fabric.network.compile(given)
        compiled.append((time.perf_counter() - began) * 1000)
        working = time.process_time()
        took = timed(lambda: fabric.apply(world)) * 1000
        worked.append((time.process_time() - working) * 1000)
        return took

    return measure


def _network(size: int) -> Network:
    """Two peered VNets with half of the NICs each, all behind one NSG."""
    network = Network()
    _replace_rule(network, 0)
    network.vnet("a", "10.0.0.0/16", group="g")
    network.vnet("b", "10.1.0.0/16", group="g")
    _flip(network, 0)
    for number in range(size):
        base = int(IPv4Address("10.0.0.4" if number % 2 else "10.1.0.4"))
        network.nic(f"n{number}", "ba"[number % 2], str(IPv4Address(base + number // 2)), number)
    return network


def _flip(network: Network, turn: int) -> None:
    for name, remote, prefix in (("a", "b", "10.1.0.0/16"), ("b", "a", "10.0.0.0/16")):
        network.half(name, remote, prefix, access=turn % 2 == 0)


def _replace_rule(network: Network, turn: int) -> None:
    ports = ((1000 + turn % 1000, 1000 + turn % 1000),)
    network.group("g", (rule("r", 100, "Inbound", True, destination_ports=ports),))


# As a client sees it


def _whole(result: Result, lab: Lab, sizes: tuple[int, ...], count: int) -> None:
    clouds = {size: _filled(lab, size) for size in sizes}
    for name, change in (("a peering", _put_peering), ("a rule", _put_rule)):
        subjects = {str(size): _request(arm, change) for size, arm in clouds.items()}
        rounds(2, subjects)
        _compare(result, f"{name}, PUT to Succeeded", sizes, rounds(count, subjects))


def _request(arm: Arm, change: Callable[[Arm, int], None]) -> Callable[[], float]:
    turns = iter(range(10**9))

    def measure() -> float:
        time.sleep(SETTLED)
        return timed(lambda: change(arm, next(turns))) * 1000

    return measure


def _filled(lab: Lab, size: int) -> Arm:
    """A cloud on the bpf engine with that many NICs in two VNets, behind one NSG."""
    arm = lab.cloud("--engine", "bpf", "--machines", "simulated").owner()
    arm.put(arm.id("g"), {"location": LOCATION})
    group = arm.id("g", "Microsoft.Network/networkSecurityGroups/nsg")
    arm.put(group, {"location": LOCATION, "properties": {}})
    for name, second in (("a", 0), ("b", 1)):
        subnet = {"addressPrefix": f"10.{second}.0.0/16", "networkSecurityGroup": {"id": group}}
        space = {"addressSpace": {"addressPrefixes": [f"10.{second}.0.0/16"]}}
        body = {"location": LOCATION, "properties": {**space, "subnets": [{"name": "s", "properties": subnet}]}}
        arm.put(_vnet(arm, name), body)
    each(arm, ((arm.id("g", f"Microsoft.Network/networkInterfaces/n{n}"), _nic(arm, "ab"[n % 2])) for n in range(size)))
    _put_half(arm, "b", "a", True)
    return arm


def _vnet(arm: Arm, name: str) -> str:
    return arm.id("g", f"Microsoft.Network/virtualNetworks/{name}")


def _nic(arm: Arm, vnet: str) -> dict[str, Any]:
    configuration = {"subnet": {"id": f"{_vnet(arm, vnet)}/subnets/s"}, "privateIPAllocationMethod": "Dynamic"}
    return {"location": LOCATION, "properties": {"ipConfigurations": [{"name": "c", "properties": configuration}]}}


def _put_half(arm: Arm, name: str, remote: str, access: bool) -> None:
    properties = {"remoteVirtualNetwork": {"id": _vnet(arm, remote)}, "allowVirtualNetworkAccess": access}
    arm.put(f"{_vnet(arm, name)}/virtualNetworkPeerings/to-{remote}", {"properties": properties})


def _put_peering(arm: Arm, turn: int) -> None:
    _put_half(arm, "a", "b", turn % 2 == 0)


def _put_rule(arm: Arm, turn: int) -> None:
    properties = {"priority": 100, "direction": "Inbound", "access": "Allow", "protocol": "Tcp"}
    properties |= {"sourceAddressPrefix": "*", "sourcePortRange": "*", "destinationAddressPrefix": "*"}
    properties["destinationPortRange"] = str(1000 + turn)
    path = "Microsoft.Network/networkSecurityGroups/nsg/securityRules/r"
    arm.put(arm.id("g", path), {"properties": properties})


def _compare(result: Result, name: str, sizes: tuple[int, ...], found: dict[str, list[float]]) -> None:
    for size in sizes:
        result.add(f"{name}, {size:,} NICs", "ms", found[str(size)])
    for size in sizes[1:]:
        result.ratio(f"    {size:,} over {sizes[0]}", found[str(size)], found[str(sizes[0])], FLAT)

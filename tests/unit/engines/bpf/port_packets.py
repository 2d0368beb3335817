"""The two peered networks of the port tests, the frames they send, and flows made older.

a 10.0.0.0/16 ─── b 10.1.0.0/16
"""

from __future__ import annotations

import struct
from typing import Any

from scapy.all import ARP, IP, Dot1Q, Ether

from azlan.engines.bpf.kernel import Libbpf, Map
from fabric_kit import Cloud, Network

FABRIC_MAC = "12:34:56:78:9a:bc"


async def two_vnets(cloud: Cloud, **peering: Any) -> Network:
    """a and b peered, one NIC plugged into each: a1, b1."""
    network = cloud.network
    network.vnet("a", "10.0.0.0/16")
    network.vnet("b", "10.1.0.0/16")
    network.peer("a", "b", **peering)
    network.nic("a1", "a", "10.0.0.4")
    network.nic("b1", "b", "10.1.0.4")
    await cloud.apply()
    await cloud.plug("a1", "b1")
    return network


def group_id(name: str) -> str:
    """Of a network security group."""
    return f"/subscriptions/s/resourcegroups/g/providers/microsoft.network/networksecuritygroups/{name}"


def arp(mac: str, sender: str, target: str) -> bytes:
    """A request, broadcast."""
    return bytes(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc=sender, pdst=target))


def frame(cloud: Cloud, *layers: Any, source: str | None = None, **ip: Any) -> bytes:
    """A frame from a1, to b1 unless `ip` says otherwise: tags below the IP header, all other layers above it."""
    ip = {"src": "10.0.0.4", "dst": "10.1.0.4"} | ip
    packet = Ether(src=source or cloud.part("a1").mac, dst=FABRIC_MAC)
    tagged = [layer for layer in layers if isinstance(layer, Dot1Q)]
    for layer in tagged:
        packet /= layer
    packet /= IP(**ip)
    for layer in layers:
        if layer not in tagged:
            packet /= layer
    return bytes(packet)


def age(cloud: Cloud, seconds: float) -> None:
    """Let all flows be older, as if so much time had passed."""
    bpf = Libbpf()
    flows = Map(bpf, next((cloud.folder / "run" / "bpf").glob("*/maps/flows")))
    held = flows.dump()
    first = struct.Struct("<Q")
    flows.update(
        {key: first.pack(first.unpack_from(value)[0] - int(seconds * 1e9)) + value[8:] for key, value in held.items()}
    )
    flows.close()

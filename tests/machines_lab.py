"""A place to boot machines in: a bridge in a network namespace of its own, and NIC ports that are plain veth pairs."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

from pyroute2 import IPRoute

from azlan.base import linux
from azlan.contract.world import GuestLogin, Machine, Nic, NicAddress, PartKey, World, part_key
from azlan.machines import netns

PASSWORD_HASH = "$6$lab$d4DRec0gTfC4yyCu2fr4GkpZ/du280hfLnnqzV/6cJk8vu5cfZBvBfvWbOIKoLElrmPKDVmC8gs8X/u7XA82G0"
"""crypt(5) of PASSWORD, made with `openssl passwd -6 -salt lab`."""
PASSWORD = "Pa55w.rd-of-the-lab"


class BridgePorts:
    """contract.machine.NicPorts over a bridge: every NIC reaches every other."""

    def __init__(self, namespace: Path) -> None:
        self.namespace = namespace
        self.plugged: dict[PartKey, str] = {}

    async def plug(self, nic: Nic, namespace: Path, name: str) -> None:
        key = part_key(nic)
        port = "p" + hashlib.sha256(key.encode()).hexdigest()[:10]
        self.plugged[key] = port
        guest = os.open(namespace, os.O_RDONLY)
        try:
            netns.inside(self.namespace, lambda: _pair(port, name, nic.mac.replace("-", ":").lower(), guest))
        finally:
            os.close(guest)

    async def unplug(self, nic: PartKey) -> None:
        port = self.plugged.pop(nic, "p" + hashlib.sha256(nic.encode()).hexdigest()[:10])

        def work() -> None:
            with IPRoute() as netlink:
                for index in netlink.link_lookup(ifname=port):
                    netlink.link("del", index=index)

        netns.inside(self.namespace, work)


def _pair(port: str, name: str, mac: str, guest: int) -> None:
    with IPRoute() as netlink:
        if netlink.link_lookup(ifname=port):
            return
        netlink.link("add", ifname=port, kind="veth", peer={"ifname": name, "address": mac, "net_ns_fd": guest})
        netlink.link(
            "set", index=netlink.link_lookup(ifname=port)[0], master=netlink.link_lookup(ifname="br0")[0], state="up"
        )


def make_namespace(path: Path) -> None:
    """A network namespace bound at `path`, with a bridge that is up."""
    path.touch()

    def work() -> None:
        linux.unshare(linux.CLONE_NEWNET)
        linux.mount(f"/proc/self/task/{threading.get_native_id()}/ns/net", path, "none", linux.MS_BIND)
        with IPRoute() as netlink:
            netlink.link("add", ifname="br0", kind="bridge")
            netlink.link("set", index=netlink.link_lookup(ifname="br0")[0], state="up")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def links(namespace: Path) -> list[str]:
    """Names of the links in a namespace."""

    def work() -> list[str]:
        with IPRoute() as netlink:
            return [str(link.get_attr("IFLA_IFNAME")) for link in netlink.get_links()]

    return netns.inside(namespace, work)


def nic(number: int, name: str | None = None) -> Nic:
    return Nic(
        id=f"/nic/{name or f'vm-{number}'}",
        vnet="vnet:v",
        subnet="/s",
        mac=f"00-0D-3A-00-00-{number:02X}",
        addresses=(NicAddress(private=f"10.9.0.{number}"),),
        prefix_length=24,
        gateway="10.9.0.1",
        routes="routes:v|",
        machine=f"machine:/vm/{number}",
    )


def vm(
    number: int, *nics: Nic, memory_mib: int = 512, power: str = "running", boot: int = 0, **more: object
) -> Machine:
    login = GuestLogin(username="azureuser", password_hash=PASSWORD_HASH, ssh_keys=(), custom_data=None)
    fields = {"image": "ubuntu-22.04", "login": login, **more}
    return Machine(
        id=f"/vm/{number}",
        role="vm",
        computer_name=f"vm-{number}",
        memory_mib=memory_mib,
        cpus=1,
        nics=tuple(part_key(n) for n in nics),
        power=power,
        boot=boot,
        **fields,  # type: ignore[arg-type]
    )


def bastion(number: int, at: Nic) -> Machine:
    return Machine(
        id=f"/bastion/{number}",
        role="bastion",
        computer_name="bastion",
        image="",
        memory_mib=0,
        cpus=1,
        nics=(part_key(at),),
    )


def world(*parts: Machine | Nic, revision: int = 1) -> World:
    return World(revision=revision, parts={part_key(part): part for part in parts})

"""A cloud as its users have it: `azlan up -d` in folders of its own, real machines, and what is left of it on the computer.

test ── HTTPS ── control process ── socket ── fabric process ── bpf engine, crun
          all of a mark of its own, so that a cloud which is up is not touched
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from azlan.commands.clouds import CloudClient
from azlan.commands.processes import read_seen
from azlan.config import Config, load
from azlan.machines.places import Place, name_of
from client import ArmClient
from network import template

PASSWORD = "Passw0rd!23456"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Standing:
    """A cloud that is up. `azlan` runs the command on it."""

    state: Path
    port: int

    @property
    def config(self) -> Config:
        return load(self.state / "config.json")

    def azlan(self, *arguments: str, check: bool = True, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "azlan", arguments[0], "--state", str(self.state), *arguments[1:]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise AssertionError(
                f"azlan {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.logs()}"
            )
        return done

    def logs(self) -> str:
        files = sorted((self.state / "logs").glob("*.log"))
        return "\n".join(f"== {file.name}\n" + "\n".join(file.read_text().splitlines()[-40:]) for file in files)

    def status(self) -> dict[str, Any]:
        return dict(CloudClient(self.config).admin("GET", "/status"))

    def pid(self, role: str) -> int | None:
        """The process of a role that the supervisor watches now."""
        seen = read_seen(self.config.run / "processes.json").get(role)
        return seen.process.pid if seen is not None and seen.process is not None else None

    def namespace(self, machine: str) -> Path:
        """Of a running machine, by its part key."""
        config = self.config
        return Place(config.run, config.fabric, name_of(config.mark, machine)).network_namespace

    def user(self, name: str, role: str = "Owner") -> dict[str, Any]:
        body = {"name": name, "kind": "ServicePrincipal", "role": role, "renew": True}
        return dict(CloudClient(self.config).admin("POST", "/users", body))

    def context(self) -> ssl.SSLContext:
        """TLS that accepts this cloud alone."""
        return CloudClient(self.config).context()

    @asynccontextmanager
    async def client(self, transport: httpx.AsyncBaseTransport | None = None) -> AsyncIterator[ArmClient]:
        """An ARM client that signed in as an owner."""
        owner = self.user("e2e")
        transport = transport or httpx.AsyncHTTPTransport(verify=self.context())
        async with httpx.AsyncClient(transport=transport, base_url=self.config.endpoint, timeout=60) as http:
            form = {
                "grant_type": "client_credentials",
                "client_id": owner["applicationId"],
                "client_secret": owner["secret"],
                "scope": f"{self.config.endpoint}/.default",
            }
            answer = await http.post(f"/{owner['tenant']}/oauth2/v2.0/token", data=form)
            answer.raise_for_status()
            yield ArmClient(http, owner["subscription"], answer.json()["access_token"])


@contextmanager
def standing(folder: Path, *options: str) -> Iterator[Standing]:
    """Bring a cloud up, and afterwards reset it: nothing of its mark may be left on the computer."""
    cloud = Standing(folder / "state", free_port())
    cloud.azlan("up", "-d", "--port", str(cloud.port), *options)
    mark = cloud.config.mark
    try:
        yield cloud
    finally:
        cloud.azlan("reset", "--yes")
    left = {kind: found for kind, found in traces(mark, cloud.state).items() if found}
    assert not left, f"left behind: {left}"


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a short name: Unix sockets' paths are bounded."""
    path = Path(tempfile.mkdtemp(prefix="azlan-e2e-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def traces(mark: str, state: Path) -> dict[str, list[str]]:
    """What a cloud has on this computer: mounts, processes, links, cgroups, tables, files."""
    ours = (mark, str(state))
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if any(o in line for o in ours)]
    processes = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                groups = (entry / "cgroup").read_text()
                ended = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            except OSError:
                continue
            if ended:
                continue  # waits for its parent, PID 1, to notice
            if any(o in line for o in ours) or mark in groups:
                processes.append(f"{entry.name} {line[:120]}")
    groups = [*Path("/sys/fs/cgroup").glob(f"*/azlan-{mark}"), *Path("/sys/fs/cgroup").glob(f"azlan-{mark}")]
    links = [name for _, name in socket.if_nameindex() if mark in name]
    listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout
    claims = [path for path in Path("/var/lib/azlan/uids").glob("[0-9]*") if str(state) in path.read_text()]
    return {
        "mounts": mounts,
        "processes": processes,
        "cgroups": [str(path) for path in groups],
        "links": links,
        "tables": [line for line in listed.splitlines() if mark in line],
        "files": [str(path) for path in (Path(f"/run/azlan-{mark}"), state) if path.exists()],
        "ranges of user ids": [str(path) for path in claims],
    }


def tutorial_network(prefix_a: str = "10.0.0.0", prefix_b: str = "10.1.0.0") -> dict[str, Any]:
    return {
        "vnets": {
            "vnet-1": {"space": f"{prefix_a}/16", "subnets": {"subnet-1": f"{prefix_a}/24"}},
            "vnet-2": {"space": f"{prefix_b}/16", "subnets": {"subnet-1": f"{prefix_b}/24"}},
        },
        "machines": {"vm-1": "vnet-1/subnet-1", "vm-2": "vnet-2/subnet-1"},
    }


async def peered_pair(arm: ArmClient) -> None:
    """The tutorial's two networks and machines, peered both ways."""
    await arm.put("", {"location": "eastus2"})
    properties = {
        "mode": "Incremental",
        "template": template(tutorial_network()),
        "parameters": {"password": {"value": PASSWORD}},
    }
    await arm.put("Microsoft.Resources/deployments/network", {"properties": properties})
    for mine, other in (("vnet-1", "vnet-2"), ("vnet-2", "vnet-1")):
        remote = {"id": arm.id(f"Microsoft.Network/virtualNetworks/{other}")}
        path = f"Microsoft.Network/virtualNetworks/{mine}/virtualNetworkPeerings/{mine}-to-{other}"
        await arm.put(path, {"properties": {"remoteVirtualNetwork": remote, "allowVirtualNetworkAccess": True}})


async def in_guest(arm: ArmClient, machine: str, script: str) -> str:
    """What a shell script prints, run as root in a guest by `az vm run-command invoke`'s request."""
    path = f"Microsoft.Compute/virtualMachines/{machine}/runCommand"
    answer = await arm.post(path, {"commandId": "RunShellScript", "script": [script]})
    message = str(answer["value"][0]["message"])
    return message.partition("[stdout]\n")[2].partition("\n[stderr]")[0].strip()


async def make_bastion(arm: ArmClient, vnet: str, sku: str = "Standard", **properties: Any) -> None:
    """A Bastion host, with its public IP, in a network that has its subnet."""
    address = {
        "location": "eastus2",
        "sku": {"name": "Standard"},
        "properties": {"publicIPAllocationMethod": "Static"},
    }
    await arm.put("Microsoft.Network/publicIPAddresses/ip", address)
    below = arm.id("Microsoft.Network")
    config = {
        "subnet": {"id": f"{below}/virtualNetworks/{vnet}/subnets/AzureBastionSubnet"},
        "publicIPAddress": {"id": f"{below}/publicIPAddresses/ip"},
    }
    host = {"ipConfigurations": [{"name": "c", "properties": config}], **properties}
    body = {"location": "eastus2", "sku": {"name": sku}, "properties": host}
    await arm.put("Microsoft.Network/bastionHosts/bastion", body)


async def let_in(arm: ArmClient, machine: str, public: str) -> None:
    """Have a guest's azureuser log in by the key whose public half is given."""
    folder = "install -d -m 700 -o azureuser ~azureuser/.ssh"
    await in_guest(
        arm,
        machine,
        f"{folder} && echo '{public}' > ~azureuser/.ssh/authorized_keys && chown azureuser ~azureuser/.ssh/*",
    )


async def insist(arm: ArmClient, method: str, path: str, body: Any = None, seconds: float = 20.0) -> httpx.Response:
    """A request that is sent again while nobody answers: what a client does whose server starts anew."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await arm.request(method, path, body)
            except httpx.TransportError:
                await asyncio.sleep(0.05)

"""Native clients as their users run them: az's tunnel and ssh through a Bastion host, and a connectivity check by a guest.

az ── websocket ── control process ── Bastion host ── vm-b         vm-a ── probes ── vm-b
"""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from azlan.commands.azure_cli import Session, open_session
from client import ArmClient
from network import template
from standing import PASSWORD, free_port, let_in, make_bastion, short_folder, standing

pytestmark = [pytest.mark.root, pytest.mark.az]

NETWORK = {
    "vnets": {"v": {"space": "10.0.0.0/16", "subnets": {"s": "10.0.0.0/24", "AzureBastionSubnet": "10.0.1.0/26"}}},
    "machines": {"vm-a": "v/s", "vm-b": "v/s"},
}


async def build(arm: ArmClient) -> None:
    await arm.put("", {"location": "eastus2"})
    properties = {
        "mode": "Incremental",
        "template": template(NETWORK),
        "parameters": {"password": {"value": PASSWORD}},
    }
    await arm.put("Microsoft.Resources/deployments/network", {"properties": properties})
    await make_bastion(arm, "v", enableTunneling=True)


async def az(session: Session, *words: str) -> asyncio.subprocess.Process:
    assert session.az is not None, "there is no az on this computer: make azure-cli"
    return await asyncio.create_subprocess_exec(
        str(session.az),
        *words,
        env=session.environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=_heed_interrupts,
    )


def _heed_interrupts() -> None:
    """Tests that a shell runs in the background ignore Ctrl + C, and so would the az that they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def named(port: int) -> str:
    """What the machine behind a local TCP port calls itself."""
    login = {"username": "azureuser", "password": PASSWORD, "known_hosts": None, "config": None, "agent_path": None}
    async with asyncssh.connect("127.0.0.1", port, **login) as connection:
        return str((await connection.run("hostname", check=True)).stdout).strip()


async def tunnels(session: Session, bastion: list[str]) -> None:
    """Several connections by one tunnel, at once and one after the other; Ctrl + C ends it."""
    port = free_port()
    process = await az(session, *bastion[:2], "tunnel", *bastion[2:], "--resource-port", "22", "--port", str(port))
    assert process.stderr is not None
    try:
        async with asyncio.timeout(120):
            while b"Tunnel is ready" not in (line := await process.stderr.readline()):
                assert line, "az ended"
            assert await asyncio.gather(named(port), named(port)) == ["vm-b", "vm-b"]
            assert await named(port) == "vm-b"
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()


async def logs_in(session: Session, bastion: list[str], arm: ArmClient, folder: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    file = folder / "key"
    key.write_private_key(str(file))
    file.chmod(0o600)
    public = key.export_public_key().decode().strip()
    await let_in(arm, "vm-b", public)
    options = ["--auth-type", "ssh-key", "--username", "azureuser", "--ssh-key", str(file)]
    process = await az(session, *bastion[:2], "ssh", *bastion[2:], *options, "--", "hostname; exit 7")
    async with asyncio.timeout(120):
        out, err = await process.communicate()
    assert (out.decode().strip(), process.returncode) == ("vm-b", 7), err.decode()


async def check(arm: ArmClient, **more: Any) -> Any:
    machines = arm.id("Microsoft.Compute/virtualMachines")
    watcher = f"/subscriptions/{arm.subscription}/resourceGroups/NetworkWatcherRG/providers/Microsoft.Network"
    body = {"source": {"resourceId": f"{machines}/vm-a"}, "destination": {"resourceId": f"{machines}/vm-b"}}
    body["destination"] |= {name: value for name, value in more.items() if name == "port"}
    body |= {name: value for name, value in more.items() if name != "port"}
    return await arm.post(f"{watcher}/networkWatchers/NetworkWatcher_eastus2/connectivityCheck", body)


async def probes(arm: ArmClient) -> None:
    """What a guest meets, and what the network says of it."""
    open_, closed, pinged = await check(arm, port=22), await check(arm, port=81), await check(arm, protocol="Icmp")
    for reached in (open_, pinged):
        assert (reached["connectionStatus"], reached["probesSent"], reached["probesFailed"]) == ("Reachable", 10, 0)
        assert reached["minLatencyInMs"] <= reached["avgLatencyInMs"] <= reached["maxLatencyInMs"]
    assert (closed["connectionStatus"], closed["probesSent"], closed["probesFailed"]) == ("Unreachable", 3, 3)
    (issue,) = closed["hops"][1]["issues"]
    assert (issue["type"], issue["context"][0]["value"]) == ("GuestFirewall", "[Errno 111] Connection refused")

    rule = {
        "protocol": "Tcp",
        "sourceAddressPrefix": "*",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": "22",
        "access": "Deny",
        "priority": 100,
        "direction": "Inbound",
    }
    group = {"location": "eastus2", "properties": {"securityRules": [{"name": "shut", "properties": rule}]}}
    await arm.put("Microsoft.Network/networkSecurityGroups/g", group)
    nic = await arm.get("Microsoft.Network/networkInterfaces/vm-b-nic")
    nic["properties"]["networkSecurityGroup"] = {"id": arm.id("Microsoft.Network/networkSecurityGroups/g")}
    await arm.put("Microsoft.Network/networkInterfaces/vm-b-nic", nic)
    shut = await check(arm, port=22)
    assert (shut["connectionStatus"], shut["probesFailed"]) == ("Unreachable", 3)
    (issue,) = shut["hops"][1]["issues"]
    assert (issue["type"], issue["context"][0]["value"]) == ("NetworkSecurityRule", "UserRule_shut")
    path = arm.id("Microsoft.Network/networkInterfaces/vm-b-nic/providers/Microsoft.Insights/metrics")
    seen = await arm.get(path, query={"metricnames": "PacketsDropped", "$filter": "Reason eq '*'"}, api="2018-01-01")
    drops = {
        series["metadatavalues"][0]["value"]: series["data"][0]["total"] for series in seen["value"][0]["timeseries"]
    }
    assert drops["nic_inbound_rule"] >= 3, json.dumps(drops)


async def test_a_machine_without_a_public_address() -> None:
    with short_folder() as folder, standing(folder) as cloud:
        session = open_session(cloud.config, folder=folder / "me")
        async with cloud.client() as arm:
            await build(arm)
            target = arm.id("Microsoft.Compute/virtualMachines/vm-b")
            bastion = ["network", "bastion", "-g", arm.group, "-n", "bastion", "--target-resource-id", target]
            await tunnels(session, bastion)
            await logs_in(session, bastion, arm, folder)
            await probes(arm)

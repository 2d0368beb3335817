"""topology: resources of the watcher's region, and what each contains or is associated with."""

from __future__ import annotations

from typing import Any

from unit.providers.azure import COMPUTE, GUEST, NETWORK, SUB
from unit.providers.network.watched import watched


def drawn(found: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """name → (association, name of its target) of each resource."""
    return {
        resource["name"]: [(entry["associationType"], entry["name"]) for entry in resource["associations"]]
        for resource in found["resources"]
    }


async def test_of_a_group() -> None:
    async with watched() as cloud:
        found = await cloud.ask("topology", {"targetResourceGroupName": "RG"})
        assert drawn(found) == {
            "v": [("Contains", "s"), ("Associated", "w")],
            "s": [],
            "w": [("Contains", "s"), ("Associated", "v")],
            "vm-a": [("Contains", "vm-a-nic")],
            "vm-b": [("Contains", "vm-b-nic")],
            "vm-a-nic": [("Associated", "vm-a"), ("Associated", "s")],
            "vm-b-nic": [("Associated", "vm-b"), ("Associated", "s")],
        }
        assert {resource["location"] for resource in found["resources"]} == {"eastus2"}
        assert found["id"]
        assert found["createdDateTime"] <= found["lastModified"]


async def test_of_a_network_and_of_a_subnet() -> None:
    async with watched() as cloud:
        group = {"location": "eastus2", "properties": {}}
        await cloud.azure.ok("PUT", "Microsoft.Network/networkSecurityGroups/g", group)
        nic = await cloud.azure.ok("GET", f"{NETWORK}/networkInterfaces/vm-a-nic")
        nic["properties"]["networkSecurityGroup"] = {"id": f"{NETWORK}/networkSecurityGroups/g"}
        await cloud.azure.ok("PUT", f"{NETWORK}/networkInterfaces/vm-a-nic", nic)
        network = f"{NETWORK}/virtualNetworks/v"
        one = await cloud.ask("topology", {"targetVirtualNetwork": {"id": network}})
        two = await cloud.ask("topology", {"targetSubnet": {"id": f"{network}/subnets/s"}})
        assert drawn(one) == drawn(two)
        assert drawn(one).keys() == {"v", "s", "vm-a", "vm-a-nic", "g"}
        assert ("Associated", "g") in drawn(one)["vm-a-nic"]


async def test_only_what_the_caller_may_read() -> None:
    async with watched() as cloud:
        contributor = "4d97b98b-1d4f-4787-a291-c67834d212e7"  # of networks: reads no machine
        for number, scope in enumerate(("NetworkWatcherRG", "rg")):
            name = f"33333333-3333-3333-3333-33333333333{number}"
            await cloud.azure.cloud.grant(GUEST, contributor, f"/subscriptions/{SUB}/resourceGroups/{scope}", name)
        found = await cloud.ask("topology", {"targetResourceGroupName": "rg"}, who=GUEST)
        assert drawn(found).keys() == {"v", "w", "s", "vm-a-nic", "vm-b-nic"}


async def test_refusals() -> None:
    async with watched() as cloud:
        assert (await cloud.refused("topology", {}))[1] == "TopologyTargetMissing"
        assert (await cloud.refused("topology", {"targetResourceGroupName": "no"}))[1] == "ResourceGroupNotFound"
        lost = {"targetVirtualNetwork": {"id": f"{COMPUTE}/virtualMachines/vm-a"}}
        assert (await cloud.refused("topology", lost))[1] == "ResourceNotFound"

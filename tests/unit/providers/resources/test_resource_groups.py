"""Resource groups: their documents, and deleting all that is in them in dependency order."""

from __future__ import annotations

import json
from pathlib import Path

from unit.providers.azure import GROUP, NETWORK, SUB, azure
from unit.providers.resources.test_deployments import az_network, az_template, deploy


async def test_a_group() -> None:
    async with azure() as cloud:
        group = await cloud.ok("GET", GROUP)
        assert group == {
            "id": GROUP,
            "name": "rg",
            "type": "Microsoft.Resources/resourceGroups",
            "location": "eastus2",
            "properties": {"provisioningState": "Succeeded"},
        }
        assert (await cloud.call("HEAD", GROUP)).status_code == 204
        answer = await cloud.call("PUT", GROUP, {"location": "East US 2", "tags": {"a": "b"}, "properties": {}})
        assert (answer.status_code, answer.json()["tags"]) == (200, {"a": "b"})
        assert (await cloud.error("PUT", GROUP, {"location": "westus"}))[:2] == (409, "InvalidResourceGroupLocation")


async def test_names() -> None:
    async with azure() as cloud:
        path = f"/subscriptions/{SUB}/resourceGroups"
        assert (await cloud.error("PUT", f"{path}/ends.", {"location": "eastus2"}))[:2] == (400, "InvalidResourceGroup")
        assert (await cloud.error("PUT", f"{path}/{'x' * 91}", {"location": "eastus2"}))[
            1
        ] == "InvalidResourceGroupName"
        assert (await cloud.call("PUT", f"{path}/a_(b).c-d", {"location": "eastus2"})).status_code == 201


async def test_deleting_a_group_deletes_in_dependency_order() -> None:
    async with azure() as cloud:
        await az_network(cloud)
        await deploy(cloud, az_template())
        await cloud.network()
        for here, there in (("v", "vnet-2"), ("vnet-2", "v")):
            remote = {"properties": {"remoteVirtualNetwork": {"id": f"{NETWORK}/virtualNetworks/{there}"}}}
            await cloud.ok("PUT", f"Microsoft.Network/virtualNetworks/{here}/virtualNetworkPeerings/p", remote)
        answer = await cloud.call("DELETE", GROUP)
        assert answer.status_code == 202
        assert "/operationresults/" in answer.headers["location"]
        await cloud.gone(GROUP)
        assert [key for key in cloud.cloud.store.snapshot.rows if key.startswith(GROUP.lower())] == []
        deletions = [o for o in cloud.cloud.store.snapshot.operations.values() if o.kind == "DELETE"]
        kinds = [o.key.rsplit("/", 2)[-2] for o in sorted(deletions, key=lambda o: o.revision)]
        assert kinds[0] == "resourcegroups"
        networks = [at for at, kind in enumerate(kinds) if kind == "virtualnetworks"]
        assert kinds.index("virtualmachines") < kinds.index("networkinterfaces") < networks[-1]
        assert {"disks", "publicipaddresses", "networksecuritygroups", "deployments"} < set(kinds)


async def test_a_deletion_goes_on_in_another_process(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    async with azure(store, settling=False) as cloud:
        cloud.cloud.settle_always()
        await cloud.network()
        await cloud.nic("n")
        if cloud.cloud.settling is not None:
            cloud.cloud.settling.cancel()
        await cloud.call("DELETE", GROUP)
        assert (await cloud.ok("GET", GROUP))["properties"]["provisioningState"] == "Deleting"
    async with azure(store, group=False) as cloud:
        await cloud.gone(GROUP)


async def test_a_group_that_something_outside_needs_stays() -> None:
    async with azure() as cloud:
        await cloud.network()
        other = f"/subscriptions/{SUB}/resourceGroups/other"
        await cloud.ok("PUT", other, {"location": "eastus2"})
        config = {"name": "c", "properties": {"subnet": {"id": f"{NETWORK}/virtualNetworks/v/subnets/s"}}}
        nic = f"{other}/providers/Microsoft.Network/networkInterfaces/n"
        await cloud.ok("PUT", nic, {"location": "eastus2", "properties": {"ipConfigurations": [config]}})
        answer = await cloud.call("DELETE", GROUP)
        operation = answer.headers["location"].rsplit("/", 1)[-1].partition("?")[0]
        ended = await cloud.cloud.core.operations.wait(operation)
        assert ended.status == "Failed"
        assert ended.error is not None
        assert ended.error["code"] == "ResourceGroupDeletionBlocked"
        assert (
            "resources with identifiers 'Microsoft.Network/virtualNetworks/v' could not be deleted"
            in ended.error["message"]
        )
        (detail,) = ended.error["details"]
        assert json.loads(detail["message"])["error"]["code"] == "InUseSubnetCannotBeDeleted"
        assert (await cloud.ok("GET", GROUP))["properties"]["provisioningState"] == "Succeeded"

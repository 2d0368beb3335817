"""The real az asks what is in force and what happened: Network Watcher, effective routes and rules, Azure Monitor.

One cloud for all, on the model engine: two peered networks and their machines, which are simulated.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from served import Served, served

pytestmark = [pytest.mark.az, pytest.mark.asyncio(loop_scope="module")]

PASSWORD = "Correct-Horse7Battery"
LOCATION = "eastus2"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Served]:
    with served() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(cloud: Served) -> AsyncIterator[str]:
    """The group with both networks; vm-a is guarded by a group with one rule of its own."""
    await cloud.az(f"group create -n lab -l {LOCATION}")
    vnet = "network vnet create -g lab --subnet-name s"
    await asyncio.gather(
        cloud.az(f"{vnet} -n a --address-prefixes 10.0.0.0/16 --subnet-prefixes 10.0.0.0/24"),
        cloud.az(f"{vnet} -n b --address-prefixes 10.1.0.0/16 --subnet-prefixes 10.1.0.0/24"),
        cloud.az("network nsg create -g lab -n guard"),
    )
    peering = "network vnet peering create -g lab --allow-vnet-access"
    vm = (
        "vm create -g lab --image Ubuntu2204 --public-ip-address '' --subnet s --admin-username azureuser "
        f"--authentication-type password --admin-password {PASSWORD}"
    )
    await asyncio.gather(
        cloud.az(f"{peering} -n ab --vnet-name a --remote-vnet b"),
        cloud.az(
            "network nsg rule create -g lab --nsg-name guard -n deny-web --priority 100 --access Deny --protocol Tcp "
            "--direction Outbound --destination-port-ranges 80"
        ),
    )
    await cloud.az(f"{peering} -n ba --vnet-name b --remote-vnet a")
    await asyncio.gather(
        cloud.az(f"{vm} -n vm-a --vnet-name a --nsg guard"), cloud.az(f"{vm} -n vm-b --vnet-name b --nsg ''")
    )
    yield "lab"


async def test_the_region_is_watched(cloud: Served, lab: str) -> None:
    watchers, groups = await asyncio.gather(cloud.az("network watcher list"), cloud.az("group list"))
    assert [(w["name"], w["resourceGroup"], w["location"]) for w in watchers] == [
        (f"NetworkWatcher_{LOCATION}", "NetworkWatcherRG", LOCATION)
    ]
    assert "NetworkWatcherRG" in [group["name"] for group in groups]
    enabled = await cloud.az("network watcher configure -g NetworkWatcherRG -l westeurope --enabled true")
    assert [w["location"] for w in enabled] == [LOCATION, "westeurope"]
    disabled = await cloud.az("network watcher configure -l westeurope --enabled false")
    assert [w["location"] for w in disabled] == [LOCATION]


async def test_flows_and_next_hops(cloud: Served, lab: str) -> None:
    flow = "network watcher test-ip-flow -g lab --vm vm-a --direction Outbound --protocol TCP --local 10.0.0.4:*"
    hop = "network watcher show-next-hop -g lab --vm vm-a --source-ip 10.0.0.4 --dest-ip"
    denied, allowed, peer, outside, unguarded = await asyncio.gather(
        cloud.az(f"{flow} --remote 10.1.0.4:80"),
        cloud.az(f"{flow} --remote 10.1.0.4:443"),
        cloud.az(f"{hop} 10.1.0.4"),
        cloud.az(f"{hop} 203.0.113.1"),
        cloud.refused(
            "network watcher test-ip-flow -g lab --vm vm-b --direction Inbound --protocol TCP --local 10.1.0.4:80 "
            "--remote 10.0.0.4:*"
        ),
    )
    assert (denied["access"], denied["ruleName"]) == ("Deny", "securityRules/deny-web")
    assert (allowed["access"], allowed["ruleName"]) == ("Allow", "defaultSecurityRules/AllowVnetOutBound")
    assert (peer["nextHopType"], peer["routeTableId"]) == ("VNetPeering", "System Route")
    assert outside["nextHopType"] == "Internet"
    assert "(NsgsNotAppliedOnNic) No NSG applied on nic to allow or block traffic" in unguarded


async def test_connectivity_and_topology(cloud: Served, lab: str) -> None:
    check = "network watcher test-connectivity -g lab --source-resource vm-a --dest-resource vm-b --dest-port"
    open_, shut, drawn = await asyncio.gather(
        cloud.az(f"{check} 22"), cloud.az(f"{check} 80"), cloud.az("network watcher show-topology -g lab")
    )
    assert open_["connectionStatus"] == "Reachable"
    assert [hop["type"] for hop in open_["hops"]] == ["Source", "VNetPeering"]
    assert shut["connectionStatus"] == "Unreachable"
    (issue,) = shut["hops"][0]["issues"]
    assert (issue["origin"], issue["type"]) == ("Outbound", "NetworkSecurityRule")
    assert issue["context"] == [{"key": "RuleName", "value": "UserRule_deny-web"}]
    machine = next(resource for resource in drawn["resources"] if resource["name"] == "vm-a")
    assert [(a["associationType"], a["name"]) for a in machine["associations"]] == [("Contains", "vm-aVMNic")]


async def test_what_is_in_force_at_an_interface(cloud: Served, lab: str) -> None:
    routes, groups = await asyncio.gather(
        cloud.az("network nic show-effective-route-table -g lab -n vm-aVMNic"),
        cloud.az("network nic list-effective-nsg -g lab -n vm-aVMNic"),
    )
    hops = {route["addressPrefix"][0]: (route["nextHopType"], route["state"]) for route in routes["value"]}
    assert hops["10.0.0.0/16"] == ("VnetLocal", "Active")
    assert hops["10.1.0.0/16"] == ("VNetPeering", "Active")
    assert hops["0.0.0.0/0"] == ("Internet", "Active")
    assert hops["10.0.0.0/8"] == ("None", "Active")
    (group,) = groups["value"]
    assert group["association"]["networkInterface"]["id"].endswith("/vm-aVMNic")
    rules = {rule["name"]: rule for rule in group["effectiveSecurityRules"]}
    assert rules["securityRules/deny-web"]["destinationPortRange"] == "80-80"
    assert "168.63.129.16/32" in rules["defaultSecurityRules/AllowVnetInBound"]["expandedSourceAddressPrefix"]


async def test_not_of_an_interface_without_a_machine_that_runs(cloud: Served, lab: str) -> None:
    await cloud.az("network nic create -g lab -n free --vnet-name a --subnet s")
    routes, groups = await asyncio.gather(
        cloud.refused("network nic show-effective-route-table -g lab -n free"),
        cloud.refused("network nic list-effective-nsg -g lab -n free"),
    )
    assert "(NicMustBeAttachedToRunningVmToGetEffectiveRoutes)" in routes
    assert "(NicMustBeAttachedToRunningVmToGetEffectiveSecurityGroups)" in groups


async def test_what_happened(cloud: Served, lab: str) -> None:
    log = "monitor activity-log list --offset 1h"
    nsg = await cloud.az("network nsg show -g lab -n guard")
    by_group, by_resource, failed, shown, elsewhere = await asyncio.gather(
        cloud.az(f"{log} -g lab --max-events 500"),
        cloud.az(f"{log} --resource-id {nsg['id']}"),
        cloud.az(f"{log} -g lab --status Failed"),
        cloud.az(f"{log} -g lab --select operationName status --max-events 3"),
        cloud.az(f"{log} -g nowhere"),
    )
    written = {(event["operationName"]["value"], event["status"]["value"]) for event in by_group}
    assert ("Microsoft.Compute/virtualMachines/write", "Succeeded") in written
    assert {event["resourceGroupName"] for event in by_group} == {"lab"}
    assert ("Microsoft.Network/networkSecurityGroups/write", "Succeeded") in {
        (event["operationName"]["value"], event["status"]["value"]) for event in by_resource
    }
    assert all(event["resourceId"].startswith(nsg["id"]) for event in by_resource)
    assert (failed, elsewhere) == ([], [])
    assert len(shown) == 3
    one = next(event for event in by_resource if event["status"]["value"] == "Accepted")
    same = await cloud.az(f"{log} --correlation-id {one['correlationId']}")
    assert {event["correlationId"] for event in same} == {one["correlationId"]}
    assert len(same) >= 2


async def test_counters(cloud: Served, lab: str) -> None:
    nic = (await cloud.az("network nic show -g lab -n vm-aVMNic"))["id"]
    drops, definitions = await asyncio.gather(
        cloud.az(f"monitor metrics list --resource {nic} --metrics PacketsDropped PacketsDelivered"),
        cloud.az(f"monitor metrics list-definitions --resource {nic}"),
    )
    totals: dict[str, Any] = {metric["name"]["value"]: metric["timeseries"] for metric in drops["value"]}
    assert totals["PacketsDropped"][0]["data"][0]["total"] == 0, "a check is not traffic"
    assert [d["name"]["value"] for d in definitions] == ["PacketsDelivered", "BytesDelivered", "PacketsDropped"]


async def test_native_clients_through_a_bastion_host(cloud: Served, lab: str) -> None:
    await asyncio.gather(
        cloud.az(
            "network vnet subnet create -g lab --vnet-name b -n AzureBastionSubnet --address-prefixes 10.1.1.0/26"
        ),
        cloud.az("network public-ip create -g lab -n ip --sku Standard --allocation-method Static"),
    )
    bastion = "network bastion create -g lab -n bastion --vnet-name b --public-ip-address ip"
    made = await cloud.az(f"{bastion} -l {LOCATION}")
    assert made["dnsName"].startswith(f"{cloud.config.endpoint.removeprefix('https://')}/_azlan/bst-")
    vm = (await cloud.az("vm show -g lab -n vm-b"))["id"]
    tunnel = f"network bastion tunnel -g lab -n bastion --target-resource-id {vm} --resource-port 22 --port 0"
    login = f"network bastion ssh -g lab -n bastion --target-resource-id {vm} --auth-type"
    refusals = await asyncio.gather(cloud.refused(tunnel), cloud.refused(f"{login} password --username azureuser"))
    for refusal in refusals:
        assert "Bastion Host SKU must be Standard or Premium and Native Client must be enabled." in refusal
    await cloud.az(f"{bastion} -l {LOCATION} --enable-tunneling true")
    nobody, nameless, nowhere, by_address, not_running = await asyncio.gather(
        cloud.refused(f"{login} aad"),
        cloud.refused(f"{login} password"),
        cloud.refused(tunnel.replace(vm, "vm-b")),
        cloud.refused(tunnel.replace(f"--target-resource-id {vm}", "--target-ip-address 10.1.0.4")),
        cloud.refused(f"{login} password --username azureuser -- -o BatchMode=yes"),
    )
    assert "no AAD login" in nobody
    assert "--username" in nameless
    assert "Please enter a valid resource ID." in nowhere
    assert "cannot be used when IpConnect is not enabled" in by_address
    assert "The Bastion host does not run." in not_running, "this one is simulated"

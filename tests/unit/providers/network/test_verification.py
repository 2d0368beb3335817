"""ipFlowVerify and nextHop: what a rule or a route decides, as Azure words it."""

from __future__ import annotations

from typing import Any

import pytest

from unit.providers.azure import COMPUTE, GUEST, NETWORK, SUB
from unit.providers.network.watched import Watched, half, vnet, watched

VM = f"{COMPUTE}/virtualMachines/vm-a"


def flow(**more: Any) -> dict[str, Any]:
    """From the internet to TCP port 80 of vm-a."""
    return {
        "targetResourceId": VM,
        "direction": "Inbound",
        "protocol": "TCP",
        "localPort": "80",
        "remotePort": "*",
        "localIPAddress": "10.0.0.4",
        "remoteIPAddress": "203.0.113.9",
        **more,
    }


def rule(name: str, priority: int, access: str, direction: str = "Inbound", port: str = "80") -> dict[str, Any]:
    return {
        "name": name,
        "properties": {
            "protocol": "Tcp",
            "sourceAddressPrefix": "*",
            "sourcePortRange": "*",
            "destinationAddressPrefix": "*",
            "destinationPortRange": port,
            "access": access,
            "priority": priority,
            "direction": direction,
        },
    }


async def guard(cloud: Watched, *rules: dict[str, Any], subnet: bool = False) -> str:
    """Put a group with these rules before vm-a's interface, or its subnet; returns its id."""
    name = "guards-s" if subnet else "guards-nic"
    group = {"location": "eastus2", "properties": {"securityRules": list(rules)}}
    await cloud.azure.ok("PUT", f"Microsoft.Network/networkSecurityGroups/{name}", group)
    id = f"{NETWORK}/networkSecurityGroups/{name}"
    if subnet:
        body = vnet("10.0.0.0/16", networkSecurityGroup={"id": id})
        await cloud.azure.ok("PUT", "Microsoft.Network/virtualNetworks/v", body)
    else:
        nic = await cloud.azure.ok("GET", f"{NETWORK}/networkInterfaces/vm-a-nic")
        nic["properties"]["networkSecurityGroup"] = {"id": id}
        await cloud.azure.ok("PUT", f"{NETWORK}/networkInterfaces/vm-a-nic", nic)
    return id


async def test_the_rule_that_decides_is_named() -> None:
    async with watched() as cloud:
        group = await guard(cloud, rule("web", 200, "Allow"))
        assert await cloud.ask("ipFlowVerify", flow()) == {
            "access": "Allow",
            "ruleName": "securityRules/web",
            "ruleId": f"{group}/securityRules/web",
        }
        denied = {"access": "Deny", "ruleName": "defaultSecurityRules/DenyAllInBound", "ruleId": ""}
        assert await cloud.ask("ipFlowVerify", flow(localPort="81")) == denied
        assert await cloud.ask("ipFlowVerify", flow(protocol="UDP")) == denied
        peer = await cloud.ask("ipFlowVerify", flow(localPort="22", remoteIPAddress="10.1.0.4"))
        assert peer == {"access": "Allow", "ruleName": "defaultSecurityRules/AllowVnetInBound", "ruleId": ""}
        out = await cloud.ask("ipFlowVerify", flow(direction="Outbound", localPort="*", remotePort="443"))
        assert out == {"access": "Allow", "ruleName": "defaultSecurityRules/AllowInternetOutBound", "ruleId": ""}


async def test_only_a_rule_that_names_it_keeps_from_a_platform_service() -> None:
    async with watched() as cloud:
        metadata = {"direction": "Outbound", "localPort": "*", "remotePort": "80", "remoteIPAddress": "169.254.169.254"}
        no = rule("no", 100, "Deny", "Outbound", "*")
        await guard(cloud, no)
        assert (await cloud.ask("ipFlowVerify", flow(**metadata)))["access"] == "Allow"
        no["properties"]["destinationAddressPrefix"] = "AzurePlatformIMDS"
        group = await guard(cloud, no)
        denied = {"access": "Deny", "ruleName": "securityRules/no", "ruleId": f"{group}/securityRules/no"}
        assert await cloud.ask("ipFlowVerify", flow(**metadata)) == denied
        names = metadata | {"remoteIPAddress": "168.63.129.16", "remotePort": "53"}
        assert (await cloud.ask("ipFlowVerify", flow(**names)))["access"] == "Allow"


async def test_both_groups_have_a_say() -> None:
    async with watched() as cloud:
        await guard(cloud, rule("web", 200, "Allow"))
        group = await guard(cloud, rule("no-web", 100, "Deny"), subnet=True)
        assert await cloud.ask("ipFlowVerify", flow()) == {
            "access": "Deny",
            "ruleName": "securityRules/no-web",
            "ruleId": f"{group}/securityRules/no-web",
        }


async def test_a_peering_without_access_falls_to_the_last_rule() -> None:
    async with watched() as cloud:
        await guard(cloud)
        path = "Microsoft.Network/virtualNetworks/v/virtualNetworkPeerings/to-w"
        await cloud.azure.ok("PUT", path, half("w", allowVirtualNetworkAccess=False))
        found = await cloud.ask("ipFlowVerify", flow(remoteIPAddress="10.1.0.4"))
        assert (found["access"], found["ruleName"]) == ("Deny", "defaultSecurityRules/DenyAllInBound")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({}, 400, "NsgsNotAppliedOnNic"),
        ({"localIPAddress": "10.0.0.77"}, 400, "IpAddressNotOnNic"),
        ({"localIPAddress": "ten"}, 400, "InvalidIPAddress"),
        ({"localPort": "*"}, 400, "InvalidPort"),
        ({"localPort": "70000"}, 400, "InvalidPort"),
        ({"protocol": "ICMP"}, 400, "InvalidRequestFormat"),
        ({"extra": 1}, 400, "InvalidRequestFormat"),
        ({"targetResourceId": VM.replace("vm-a", "vm-z")}, 404, "ResourceNotFound"),
        ({"targetResourceId": "vm-a"}, 400, "InvalidResourceId"),
        ({"targetResourceId": f"{NETWORK}/virtualNetworks/v"}, 404, "ResourceNotFound"),
        ({"targetNicResourceId": f"{NETWORK}/networkInterfaces/vm-b-nic"}, 400, "TargetNicNotAttachedToVm"),
    ],
)
async def test_refusals(change: dict[str, Any], status: int, code: str) -> None:
    async with watched() as cloud:
        assert (await cloud.refused("ipFlowVerify", flow(**change)))[:2] == (status, code)


async def test_the_machine_must_run_in_the_watchers_region() -> None:
    async with watched() as cloud:
        cloud.azure.seen("vm-a", "deallocated")
        assert (await cloud.refused("ipFlowVerify", flow()))[1] == "VirtualMachineNotRunning"
        away = {**vnet("10.7.0.0/16"), "location": "westeurope"}
        await cloud.azure.ok("PUT", "Microsoft.Network/virtualNetworks/away", away)
        other = f"{cloud.watcher.rsplit('/', 1)[0]}/NetworkWatcher_westeurope/ipFlowVerify"
        assert (await cloud.azure.error("POST", other, flow()))[:2] == (400, "ResourceNotInSameRegion")


async def test_who_may_use_the_watcher_learns_nothing_of_machines_that_it_may_not_read() -> None:
    async with watched() as cloud:
        scope = f"/subscriptions/{SUB}/resourceGroups/NetworkWatcherRG"
        contributor, name = "4d97b98b-1d4f-4787-a291-c67834d212e7", "33333333-3333-3333-3333-333333333333"
        await cloud.azure.cloud.grant(GUEST, contributor, scope, name)
        for action in ("ipFlowVerify", "nextHop"):
            body = flow() if action == "ipFlowVerify" else hop("10.1.0.4")
            status, code, _ = await cloud.azure.error("POST", f"{cloud.watcher}/{action}", body, who=GUEST)
            assert (status, code) == (403, "AuthorizationFailed")


def hop(destination: str) -> dict[str, Any]:
    return {"targetResourceId": VM, "sourceIPAddress": "10.0.0.4", "destinationIPAddress": destination}


@pytest.mark.parametrize(
    ("destination", "kind"),
    [("10.0.0.9", "VnetLocal"), ("10.1.0.4", "VNetPeering"), ("203.0.113.1", "Internet"), ("192.168.1.1", "None")],
)
async def test_next_hops_of_system_routes(destination: str, kind: str) -> None:
    async with watched() as cloud:
        expected = {"nextHopType": kind, "routeTableId": "System Route"}
        assert await cloud.ask("nextHop", hop(destination)) == expected


async def test_next_hops_of_user_routes() -> None:
    async with watched() as cloud:
        way = {"addressPrefix": "10.1.0.0/16", "nextHopType": "VirtualAppliance", "nextHopIpAddress": "10.0.0.9"}
        table = {"location": "eastus2", "properties": {"routes": [{"name": "over", "properties": way}]}}
        await cloud.azure.ok("PUT", "Microsoft.Network/routeTables/Ways", table)
        id = f"{NETWORK}/routeTables/Ways"
        await cloud.azure.ok("PUT", "Microsoft.Network/virtualNetworks/v", vnet("10.0.0.0/16", routeTable={"id": id}))
        assert await cloud.ask("nextHop", hop("10.1.0.4")) == {
            "nextHopType": "VirtualAppliance",
            "nextHopIpAddress": "10.0.0.9",
            "routeTableId": id,
        }
        assert (await cloud.ask("nextHop", hop("203.0.113.1")))["routeTableId"] == "System Route"

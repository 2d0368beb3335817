"""connectivityCheck: hops and issues by the model, status and latencies by the machine's own probes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from azlan.contract.machine import CommandResult
from unit.providers.azure import COMPUTE, NETWORK
from unit.providers.network.test_verification import guard, rule
from unit.providers.network.watched import Watched, vnet, watched

VM_A, VM_B = f"{COMPUTE}/virtualMachines/vm-a", f"{COMPUTE}/virtualMachines/vm-b"


def check(**destination: Any) -> dict[str, Any]:
    return {"source": {"resourceId": VM_A}, "destination": {"port": 80, **destination}}


def config(name: str) -> str:
    return f"{NETWORK}/networkInterfaces/{name}/ipConfigurations/ipconfig1"


def seen(cloud: Watched, **result: Any) -> None:
    """What the source machine's probes come to."""
    given = {"address": "10.1.0.4", "sent": 10, "failed": 0, "milliseconds": [0.4, 1.6, 4.0], "reason": "", **result}
    cloud.azure.guests.answer = CommandResult(exit_status=0, stdout=json.dumps(given), stderr="")


def no_guest(cloud: Watched) -> None:
    cloud.azure.guests.answer = LookupError("simulated")


async def test_a_machine_that_is_reached() -> None:
    async with watched() as cloud:
        seen(cloud)
        found = await cloud.ask("connectivityCheck", check(resourceId=VM_B))
        assert {name: value for name, value in found.items() if name != "hops"} == {
            "connectionStatus": "Reachable",
            "avgLatencyInMs": 2,
            "minLatencyInMs": 0,
            "maxLatencyInMs": 4,
            "probesSent": 10,
            "probesFailed": 0,
        }
        first, last = found["hops"]
        assert (first["type"], first["address"], first["resourceId"]) == ("Source", "10.0.0.4", config("vm-a-nic"))
        assert (last["type"], last["address"], last["resourceId"]) == ("VNetPeering", "10.1.0.4", config("vm-b-nic"))
        assert (first["nextHopIds"], last["previousHopIds"]) == ([last["id"]], [first["id"]])
        (link,) = first["links"]
        assert (link["nextHopId"], link["linkType"]) == (last["id"], "VNetPeering")
        assert link["context"] == {"addressPrefix": "10.1.0.0/16", "nextHopType": "VNetPeering", "source": "Default"}
        assert link["properties"] == {"roundTripTimeMin": 0, "roundTripTimeAvg": 2, "roundTripTimeMax": 4}
        assert not first["issues"]
        assert not last["issues"]


async def test_a_rule_in_the_way() -> None:
    async with watched() as cloud:
        seen(cloud, sent=3, failed=3, milliseconds=[], reason="timed out")
        await guard(cloud, rule("no-web", 100, "Deny", "Outbound"))
        found = await cloud.ask("connectivityCheck", check(resourceId=VM_B))
        assert (found["connectionStatus"], found["probesSent"], found["probesFailed"]) == ("Unreachable", 3, 3)
        assert "avgLatencyInMs" not in found
        assert found["hops"][0]["issues"] == [
            {
                "origin": "Outbound",
                "severity": "Error",
                "type": "NetworkSecurityRule",
                "context": [{"key": "RuleName", "value": "UserRule_no-web"}],
            }
        ]
        assert found["hops"][0]["links"][0]["context"]["nic_outbound_rule"] == "Deny guards-nic/no-web"


async def test_a_rule_at_the_far_end() -> None:
    async with watched() as cloud:
        no_guest(cloud)
        group = {"location": "eastus2", "properties": {"securityRules": [rule("shut", 100, "Deny")]}}
        await cloud.azure.ok("PUT", "Microsoft.Network/networkSecurityGroups/g", group)
        body = vnet("10.1.0.0/16", networkSecurityGroup={"id": f"{NETWORK}/networkSecurityGroups/g"})
        await cloud.azure.ok("PUT", "Microsoft.Network/virtualNetworks/w", body)
        found = await cloud.ask("connectivityCheck", check(resourceId=VM_B))
        assert (found["connectionStatus"], found["probesSent"]) == ("Unreachable", 0)
        assert [entry["context"][0]["value"] for entry in found["hops"][1]["issues"]] == ["UserRule_shut"]
        assert found["hops"][1]["issues"][0]["origin"] == "Inbound"


async def test_over_an_appliance_and_by_a_route_to_nowhere() -> None:
    async with watched() as cloud:
        no_guest(cloud)
        await cloud.machine("nva", "v", enableIPForwarding=True)
        routes = [
            (
                "over",
                {"addressPrefix": "10.1.0.0/16", "nextHopType": "VirtualAppliance", "nextHopIpAddress": "10.0.0.5"},
            ),
            ("hole", {"addressPrefix": "198.51.100.0/24", "nextHopType": "None"}),
        ]
        table = {
            "location": "eastus2",
            "properties": {"routes": [{"name": name, "properties": given} for name, given in routes]},
        }
        # The appliance itself is in a subnet without the table, else it would send to itself.
        nic = await cloud.azure.ok("GET", f"{NETWORK}/networkInterfaces/vm-a-nic")
        await cloud.azure.ok("PUT", "Microsoft.Network/routeTables/t", table)
        body = vnet("10.0.0.0/16")
        far = {"addressPrefix": "10.0.1.0/24", "routeTable": {"id": f"{NETWORK}/routeTables/t"}}
        body["properties"]["subnets"].append({"name": "far", "properties": far})
        await cloud.azure.ok("PUT", "Microsoft.Network/virtualNetworks/v", body)
        nic["properties"]["ipConfigurations"][0]["properties"]["subnet"] = {
            "id": f"{NETWORK}/virtualNetworks/v/subnets/far"
        }
        await cloud.azure.ok("PUT", f"{NETWORK}/networkInterfaces/vm-a-nic", nic)
        found = await cloud.ask("connectivityCheck", check(resourceId=VM_B))
        assert [(hop["type"], hop["address"]) for hop in found["hops"]] == [
            ("Source", "10.0.1.4"),
            ("VirtualAppliance", "10.0.0.5"),
            ("VNetPeering", "10.1.0.4"),
        ]
        assert found["connectionStatus"] == "Reachable"
        assert found["hops"][0]["links"][0]["context"]["route"] == "over"
        lost = await cloud.ask("connectivityCheck", check(address="198.51.100.7"))
        assert [hop["type"] for hop in lost["hops"]] == ["Source", "Destination"]
        (issue,) = lost["hops"][0]["issues"]
        assert (issue["type"], issue["context"][0]) == ("UserDefinedRoute", {"key": "RouteType", "value": "User"})


async def test_a_routing_loop_is_told() -> None:
    async with watched() as cloud:
        no_guest(cloud)
        await cloud.machine("nva", "v", enableIPForwarding=True)
        way = {"addressPrefix": "10.1.0.0/16", "nextHopType": "VirtualAppliance", "nextHopIpAddress": "10.0.0.5"}
        table = {"location": "eastus2", "properties": {"routes": [{"name": "over", "properties": way}]}}
        await cloud.azure.ok("PUT", "Microsoft.Network/routeTables/t", table)
        body = vnet("10.0.0.0/16", routeTable={"id": f"{NETWORK}/routeTables/t"})
        await cloud.azure.ok("PUT", "Microsoft.Network/virtualNetworks/v", body)
        found = await cloud.ask("connectivityCheck", check(resourceId=VM_B))
        assert found["connectionStatus"] == "Unreachable"
        issues = [entry for hop in found["hops"] for entry in hop["issues"]]
        assert {"key": "Reason", "value": "RoutingLoop"} in issues[-1]["context"]


async def test_the_internet_and_names() -> None:
    async with watched() as cloud:
        seen(cloud, address="203.0.113.80")
        found = await cloud.ask("connectivityCheck", check(address="http://example.test/x", port=0))
        assert [(hop["type"], hop["address"]) for hop in found["hops"]] == [
            ("Source", "10.0.0.4"),
            ("Internet", "203.0.113.80"),
        ]
        _, script = cloud.azure.guests.asked[-1]
        assert script.startswith("exec python3 - ")
        seen(cloud, address=None, sent=0, reason="Name or service not known")
        lost = await cloud.ask("connectivityCheck", check(address="nowhere.test"))
        assert (lost["connectionStatus"], lost["hops"][0]["issues"][0]["type"]) == ("Unreachable", "DnsResolution")


async def test_a_guest_that_does_not_listen() -> None:
    async with watched() as cloud:
        seen(cloud, sent=3, failed=3, milliseconds=[], reason="Connection refused")
        found = await cloud.ask("connectivityCheck", check(resourceId=VM_B))
        (issue,) = found["hops"][1]["issues"]
        assert (found["connectionStatus"], issue["type"], issue["origin"]) == (
            "Unreachable",
            "GuestFirewall",
            "Inbound",
        )
        assert issue["context"] == [{"key": "Reason", "value": "Connection refused"}]


async def test_a_machine_of_another_region() -> None:
    async with watched() as cloud:
        no_guest(cloud)
        away = {**vnet("10.7.0.0/16"), "location": "westeurope"}
        await cloud.azure.ok("PUT", "Microsoft.Network/virtualNetworks/away", away)
        await cloud.machine("vm-c", "away", location="westeurope")
        found = await cloud.ask("connectivityCheck", check(resourceId=f"/{VM_B.replace('vm-b', 'vm-c')}"))
        assert found["connectionStatus"] == "Unreachable"
        (issue,) = found["hops"][0]["issues"]
        assert (issue["type"], issue["context"]) == ("UserDefinedRoute", [{"key": "RouteType", "value": "Default"}])


async def test_nobody_can_ask_the_machine() -> None:
    async with watched() as cloud:
        cloud.azure.guests.answer = ConnectionError("no fabric process answers")
        begun = await cloud.azure.call("POST", f"{cloud.watcher}/connectivityCheck", check(resourceId=VM_B))
        ended = await cloud.azure.call("GET", begun.headers["location"].split("8443", 1)[1])
        assert (ended.status_code, ended.json()["error"]["code"]) == (503, "ServiceUnavailable")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"source": {"resourceId": VM_A}, "destination": {"address": "10.1.0.4"}}, "DestinationPortMissing"),
        ({"source": {"resourceId": VM_A}, "destination": {"port": 80}}, "DestinationMissing"),
        (check(address="http://x:99999/"), "InvalidDestinationAddress"),
        (check(address="http://["), "InvalidDestinationAddress"),
        (check(address="no such name"), "InvalidDestinationAddress"),
        (["no", "object"], "InvalidRequestFormat"),
        ({"source": {"resourceId": VM_A}}, "InvalidRequestFormat"),
        ({"source": {"resourceId": VM_A}, "destination": {"port": 99999}}, "InvalidRequestFormat"),
        ({"source": {"resourceId": VM_A.replace("vm-a", "x")}, "destination": {"port": 1}}, "ResourceNotFound"),
    ],
)
async def test_refusals(body: Any, code: str) -> None:
    async with watched() as cloud:
        assert (await cloud.refused("connectivityCheck", body))[1] == code

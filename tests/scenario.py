"""Plays a scenario's file on a cloud: deploys its network as an ARM template, does its steps, checks what it expects.

Steps: `peer`, `unpeer`, `sync`, `rule`, `route`, `vnet`, `subnet`, `machine`, `nic`, `asgs`, `power`, `group`, `network`,
`traffic`, `refused` (a step and the error it meets) and `expect` (`peerings`, `routes`, `power`, `flows`, `names`, `traffic`,
`resources`, `parts`). A name without a dot is completed as the guest's search list does. A flow is
`from -> to|to.public|address protocol [port]`; what is expected of it is a drop, `delivered`, or
`{delivered: machine, ttl: 63, back: 64}`: the ttl with which it came there, and with which its answer came back.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dns.reversename
import yaml

from azlan.contract.world import Nic, RouteGroup
from client import ArmClient, ArmFailure
from kit import Cloud
from network import APPLICATION_GROUPS, NICS, PUBLIC_IPS, TABLES, VNETS, template
from network import route as route_properties
from network import rule as rule_properties
from probing import Fate, Guest, Traffic

PASSWORD = "Passw0rd!23456"
FLOW = re.compile(r"(?P<source>\S+) -> (?P<target>\S+) (?P<protocol>icmp|tcp|udp)(?: (?P<port>\d+))?")
PEERING_FLAGS = ("allowVirtualNetworkAccess", "allowForwardedTraffic")


class Scenario:
    """One file being played on one cloud."""

    def __init__(self, cloud: Cloud, file: Path) -> None:
        self.cloud = cloud
        self.arm: ArmClient = cloud.arm
        self.given: dict[str, Any] = yaml.safe_load(file.read_text())
        self.vnets: dict[str, Any] = dict(self.given["network"]["vnets"])
        self.guests: dict[str, Guest] = {}
        self.running: list[Traffic] = []

    async def play(self) -> None:
        await self.arm.put("", {"location": "eastus2"})
        try:
            await self._deploy("network", self.given["network"])
            for number, step in enumerate(self.given["steps"], 1):
                try:
                    await self._step(step)
                except AssertionError as error:
                    raise AssertionError(f"step {number} {step}:\n{error}\n{self.cloud.describe()}") from error
        finally:
            for traffic in self.running:
                await traffic.end()

    async def _deploy(self, name: str, network: dict[str, Any]) -> None:
        properties = {
            "mode": "Incremental",
            "template": template(network, self.vnets),
            "parameters": {"password": {"value": PASSWORD}},
        }
        await self.arm.put(f"Microsoft.Resources/deployments/{name}", {"properties": properties})
        for machine, given in network.get("machines", {}).items():
            document = await self.arm.get(f"Microsoft.Network/networkInterfaces/{machine}-nic")
            address = document["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"]
            public = None
            if isinstance(given, dict) and given.get("public"):
                public = (await self.arm.get(f"{PUBLIC_IPS}/{machine}-ip"))["properties"]["ipAddress"]
            vm = self.arm.id(f"Microsoft.Compute/virtualMachines/{machine}").lower()
            self.guests[machine] = Guest(
                machine, f"nic:{document['id'].lower()}", address, self.cloud.namespace(f"machine:{vm}"), public
            )

    async def _step(self, step: dict[str, Any]) -> None:
        ((what, given),) = step.items()
        await getattr(self, f"_do_{what}")(given)

    def _half(self, source: str, target: str) -> str:
        return f"{VNETS}/{source}/virtualNetworkPeerings/{source}-to-{target}"

    async def _do_peer(self, given: dict[str, Any]) -> None:
        flags = {flag: given.get(flag, flag == "allowVirtualNetworkAccess") for flag in PEERING_FLAGS}
        remote = {"id": self.arm.id(f"{VNETS}/{given['to']}")}
        linked = given.get("subnets")
        if linked:
            names = {"localSubnetNames": linked["local"], "remoteSubnetNames": linked["remote"]}
            flags |= {"peerCompleteVnets": False, **names}
        body = {"properties": {"remoteVirtualNetwork": remote, **flags}}
        await self.arm.put(self._half(given["from"], given["to"]), body)

    async def _do_unpeer(self, given: dict[str, Any]) -> None:
        await self.arm.delete(self._half(given["from"], given["to"]))

    async def _do_sync(self, given: dict[str, Any]) -> None:
        half = self._half(given["from"], given["to"])
        document = await self.arm.get(half)
        await self.arm.put(half, document, query={"syncRemoteAddressSpace": "true"})

    async def _do_vnet(self, given: dict[str, Any]) -> None:
        path = f"{VNETS}/{given['name']}"
        document = await self.arm.get(path)
        document["properties"]["addressSpace"]["addressPrefixes"] = given["space"]
        known = {subnet["name"]: subnet for subnet in document["properties"]["subnets"]}
        document["properties"]["subnets"] = [
            known.get(name, {"name": name, "properties": {"addressPrefix": prefix}})
            for name, prefix in given["subnets"].items()
        ]
        self.vnets[given["name"]] = given
        await self.arm.put(path, document)

    async def _do_machine(self, given: dict[str, Any]) -> None:
        await self._deploy(given["name"], {"machines": {given["name"]: given}})

    async def _do_group(self, given: dict[str, Any]) -> None:
        assert given == {"delete": True}
        await self.arm.delete("")

    async def _do_network(self, given: str) -> None:
        """The same network once more, after its group was deleted."""
        assert given == "again"
        await self.arm.put("", {"location": "eastus2"})
        await self._deploy("network", self.given["network"])

    async def _do_rule(self, given: dict[str, Any]) -> None:
        path = f"Microsoft.Network/networkSecurityGroups/{given['group']}/securityRules/{given['name']}"
        if given.get("delete"):
            await self.arm.delete(path)
        else:
            await self.arm.put(path, {"properties": rule_properties(given, self.arm.id)})

    async def _do_route(self, given: dict[str, Any]) -> None:
        path = f"{TABLES}/{given['table']}/routes/{given['name']}"
        if given.get("delete"):
            await self.arm.delete(path)
        else:
            await self.arm.put(path, {"properties": route_properties(given)})

    async def _do_subnet(self, given: dict[str, Any]) -> None:
        """Associate a subnet (`vnet/subnet`) with a route table, or with none."""
        vnet, subnet = given["name"].split("/")
        path = f"{VNETS}/{vnet}/subnets/{subnet}"
        document = await self.arm.get(path)
        document["properties"].pop("routeTable", None)
        if given["route_table"]:
            document["properties"]["routeTable"] = {"id": self.arm.id(f"{TABLES}/{given['route_table']}")}
        await self.arm.put(path, document)

    async def _do_nic(self, given: dict[str, Any]) -> None:
        path = f"{NICS}/{given['machine']}-nic"
        document = await self.arm.get(path)
        document["properties"]["enableIPForwarding"] = given["forwarding"]
        await self.arm.put(path, document)

    async def _do_asgs(self, given: dict[str, Any]) -> None:
        """Which application security groups a machine is in."""
        path = f"{NICS}/{given['machine']}-nic"
        document = await self.arm.get(path)
        groups = [{"id": self.arm.id(f"{APPLICATION_GROUPS}/{group}")} for group in given["asgs"]]
        for config in document["properties"]["ipConfigurations"]:
            config["properties"]["applicationSecurityGroups"] = groups
        await self.arm.put(path, document)

    async def _do_power(self, given: dict[str, Any]) -> None:
        await self.arm.post(f"Microsoft.Compute/virtualMachines/{given['machine']}/{given['action']}")

    async def _do_traffic(self, given: dict[str, Any]) -> None:
        source, target, protocol, port = self._flow(given["flow"])
        prober = self.cloud.prober
        everyone = list(self.guests.values())
        self.running.append(await prober.traffic(self.guests[source], self.guests[target], protocol, port, everyone))

    async def _do_refused(self, given: dict[str, Any]) -> None:
        step = {key: value for key, value in given.items() if key not in ("status", "code")}
        try:
            await self._step(step)
        except ArmFailure as failure:
            if (failure.status, failure.code) != (given["status"], given["code"]):
                raise AssertionError(f"refused otherwise: {failure}") from failure
        else:
            raise AssertionError(f"was accepted: {step}")

    async def _do_expect(self, given: dict[str, Any]) -> None:
        for name, expected in given.get("peerings", {}).items():
            await self._expect_peering(name, expected)
        if "resources" in given:
            everything = (await self.arm.get(f"/subscriptions/{self.arm.subscription}/resources"))["value"]
            # A region's watcher outlives the networks with which it came.
            listed = [item for item in everything if item["type"] != "Microsoft.Network/networkWatchers"]
            assert len(listed) == given["resources"], f"left: {[item['id'] for item in listed]}"
        if "parts" in given:
            assert len(self.cloud.world().parts) == given["parts"], f"left: {list(self.cloud.world().parts)}"
        for name, expected in given.get("power", {}).items():
            view = await self.arm.get(f"Microsoft.Compute/virtualMachines/{name}/instanceView")
            assert f"PowerState/{expected}" in [status["code"] for status in view["statuses"]], view
        for name, expected in given.get("routes", {}).items():
            self._expect_routes(name, expected)
        for flow in given.get("flows", ()):
            ((text, expected),) = flow.items()
            await self._expect_flow(text, expected)
        for machine, names in given.get("names", {}).items():
            for name, expected in names.items():
                await self._expect_name(self.guests[machine], str(name), expected)
        if "traffic" in given:
            for traffic in self.running:
                assert await traffic.flows() is (given["traffic"] == "goes on"), f"expected: traffic {given['traffic']}"

    async def _expect_peering(self, name: str, expected: str) -> None:
        source, target = name.split(">")
        properties = (await self.arm.get(self._half(source, target)))["properties"]
        seen = [properties["peeringState"], properties["peeringSyncLevel"]]
        wanted = expected.split()
        assert seen[: len(wanted)] == wanted, f"{name} is {seen}"
        assert properties["provisioningState"] == "Succeeded", properties

    def _expect_routes(self, name: str, expected: dict[str, str]) -> None:
        world = self.cloud.world()
        nic = world.parts[self.guests[name].nic]
        assert isinstance(nic, Nic)
        group = world.parts[nic.routes]
        assert isinstance(group, RouteGroup)
        seen = {route.prefix: route.next_hop.value for route in group.routes if route.active}
        for prefix, hop in expected.items():
            assert seen.get(prefix, "absent") == hop, f"{name}: {prefix} goes to {seen.get(prefix)}; routes: {seen}"

    async def _expect_name(self, guest: Guest, name: str, expected: str) -> None:
        kind = "A"
        if name[0].isdigit():
            name, kind = str(dns.reversename.from_address(name)), "PTR"
        elif "." not in name:
            document = await self.arm.get(f"{NICS}/{guest.name}-nic")
            name += f".{document['properties']['dnsSettings']['internalDomainNameSuffix']}"
        said = await self.cloud.prober.resolve(guest, name, kind)
        assert said == expected, f"{guest.name} asks for {name}: expected {expected}, got {said}"

    def _flow(self, text: str) -> tuple[str, str, str, int]:
        match = FLOW.fullmatch(text)
        assert match, f"not a flow: {text}"
        return match["source"], match["target"], match["protocol"], int(match["port"] or 0)

    async def _expect_flow(self, text: str, expected: Any) -> None:
        source, target, protocol, port = self._flow(text)
        name, _, which = target.partition(".")
        public = self.guests[name].public if name in self.guests and which == "public" else None
        destination = public or (self.guests[target].address if target in self.guests else target)
        to: str | None = name if public or target in self.guests else None
        ttl = back = 64
        if isinstance(expected, dict):
            ttl, back = expected.get("ttl", 64), expected.get("back", expected.get("ttl", 64))
            to, expected = expected["delivered"], "delivered"
        sender = self.guests[source]
        fate: Fate = await self.cloud.prober.fate(sender, destination, protocol, port, list(self.guests.values()))
        seen = fate.drop or "delivered"
        assert seen == expected, f"{text}: expected {expected}, got {fate}"
        if expected == "delivered":
            assert fate.to == to, f"{text}: handed to {fate.to}"
            assert fate.ttl in (None, ttl), f"{text}: ttl {fate.ttl}"
            assert fate.back in (None, back), f"{text}: answered with ttl {fate.back}"

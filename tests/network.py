"""From the scenarios' short form to an ARM template: VNets, NSGs, route tables, NICs and VMs as users of Azure declare them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

VNETS = "Microsoft.Network/virtualNetworks"
GROUPS = "Microsoft.Network/networkSecurityGroups"
APPLICATION_GROUPS = "Microsoft.Network/applicationSecurityGroups"
TABLES = "Microsoft.Network/routeTables"
PUBLIC_IPS = "Microsoft.Network/publicIPAddresses"
NICS = "Microsoft.Network/networkInterfaces"
VMS = "Microsoft.Compute/virtualMachines"

IMAGE = {
    "publisher": "Canonical",
    "offer": "0001-com-ubuntu-server-jammy",
    "sku": "22_04-lts-gen2",
    "version": "latest",
}


def vnet(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """A VNet resource; `space` is a prefix or several, a subnet a prefix or `{prefix, security_group, route_table}`;
    `dns_servers` are its own."""
    space = given["space"]
    subnets = []
    depends = []
    for subnet, spec in given.get("subnets", {}).items():
        spec = {"prefix": spec} if isinstance(spec, str) else spec
        properties: dict[str, Any] = {"addressPrefix": spec["prefix"]}
        for member, type, key in (
            ("networkSecurityGroup", GROUPS, "security_group"),
            ("routeTable", TABLES, "route_table"),
        ):
            if spec.get(key):
                properties[member] = {"id": f"[resourceId('{type}', '{spec[key]}')]"}
                depends.append(properties[member]["id"])
        subnets.append({"name": subnet, "properties": properties})
    return {
        "type": VNETS,
        "apiVersion": "2024-05-01",
        "name": name,
        "location": given.get("location", "eastus2"),
        "dependsOn": depends,
        "properties": {
            "addressSpace": {"addressPrefixes": [space] if isinstance(space, str) else space},
            "subnets": subnets,
            **({"dhcpOptions": {"dnsServers": given["dns_servers"]}} if "dns_servers" in given else {}),
        },
    }


def resource_id(name: str) -> str:
    """`type/name` as a template's expression."""
    type, _, last = name.rpartition("/")
    return f"[resourceId('{type}', '{last}')]"


def rule(given: dict[str, Any], id_of: Callable[[str], str] = resource_id) -> dict[str, Any]:
    """The properties of a security rule; `ports` are destination ports. An end is a prefix, or `{asg: name}`."""
    properties: dict[str, Any] = {
        "priority": given["priority"],
        "direction": given["direction"],
        "access": given["access"],
        "protocol": given["protocol"],
        "sourcePortRange": "*",
        "destinationPortRange": str(given["ports"]),
    }
    for side in ("source", "destination"):
        if isinstance(given[side], dict):
            group = f"{APPLICATION_GROUPS}/{given[side]['asg']}"
            properties[f"{side}ApplicationSecurityGroups"] = [{"id": id_of(group)}]
        else:
            properties[f"{side}AddressPrefix"] = str(given[side])
    return properties


def application_group(name: str, location: str = "eastus2") -> dict[str, Any]:
    return {
        "type": APPLICATION_GROUPS,
        "apiVersion": "2024-05-01",
        "name": name,
        "location": location,
        "properties": {},
    }


def route(given: dict[str, Any]) -> dict[str, Any]:
    """The properties of a route: `prefix`, `hop`, and the `address` of an appliance."""
    properties = {"addressPrefix": given["prefix"], "nextHopType": given["hop"]}
    return properties | ({"nextHopIpAddress": given["address"]} if "address" in given else {})


def route_table(name: str, routes: dict[str, Any], location: str = "eastus2") -> dict[str, Any]:
    return {
        "type": TABLES,
        "apiVersion": "2024-05-01",
        "name": name,
        "location": location,
        "properties": {"routes": [{"name": key, "properties": route(value)} for key, value in routes.items()]},
    }


def security_group(name: str, rules: dict[str, Any], location: str = "eastus2") -> dict[str, Any]:
    ends = [given[side] for given in rules.values() for side in ("source", "destination")]
    return {
        "type": GROUPS,
        "apiVersion": "2024-05-01",
        "name": name,
        "location": location,
        "dependsOn": [resource_id(f"{APPLICATION_GROUPS}/{end['asg']}") for end in ends if isinstance(end, dict)],
        "properties": {"securityRules": [{"name": key, "properties": rule(value)} for key, value in rules.items()]},
    }


def machine(name: str, given: dict[str, Any], location: str, previous: str | None) -> list[dict[str, Any]]:
    """A NIC and its VM, and its public IP with `public: true`; with `forwarding: true` the NIC forwards; it is in the
    application security groups `asgs`.

    `previous` is the machine before in the file: its NIC takes its address first.
    """
    network, subnet = given["subnet"].split("/")
    properties: dict[str, Any] = {
        "ipConfigurations": [
            {
                "name": "ipconfig1",
                "properties": {
                    "privateIPAllocationMethod": "Dynamic",
                    "subnet": {"id": f"[resourceId('{VNETS}/subnets', '{network}', '{subnet}')]"},
                },
            }
        ]
    }
    depends = [f"[resourceId('{VNETS}', '{network}')]"]
    if given.get("forwarding"):
        properties["enableIPForwarding"] = True
    public = []
    if given.get("public"):
        public.append(
            {
                "type": PUBLIC_IPS,
                "apiVersion": "2024-05-01",
                "name": f"{name}-ip",
                "location": location,
                "sku": {"name": "Standard"},
                "properties": {"publicIPAllocationMethod": "Static"},
            }
        )
        depends.append(f"[resourceId('{PUBLIC_IPS}', '{name}-ip')]")
        properties["ipConfigurations"][0]["properties"]["publicIPAddress"] = {"id": depends[-1]}
    if given.get("asgs"):
        joined = [resource_id(f"{APPLICATION_GROUPS}/{group}") for group in given["asgs"]]
        properties["ipConfigurations"][0]["properties"]["applicationSecurityGroups"] = [{"id": id} for id in joined]
        depends += joined
    if previous is not None:
        depends.append(f"[resourceId('{NICS}', '{previous}-nic')]")
    if given.get("security_group"):
        properties["networkSecurityGroup"] = {"id": f"[resourceId('{GROUPS}', '{given['security_group']}')]"}
        depends.append(f"[resourceId('{GROUPS}', '{given['security_group']}')]")
    nic = {
        "type": NICS,
        "apiVersion": "2024-05-01",
        "name": f"{name}-nic",
        "location": location,
        "dependsOn": depends,
        "properties": properties,
    }
    vm = {
        "type": VMS,
        "apiVersion": "2024-07-01",
        "name": name,
        "location": location,
        "dependsOn": [f"[resourceId('{NICS}', '{name}-nic')]"],
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_B1s"},
            "storageProfile": {"imageReference": IMAGE, "osDisk": {"createOption": "FromImage"}},
            "osProfile": {
                "computerName": name,
                "adminUsername": "azureuser",
                "adminPassword": "[parameters('password')]",
            },
            "networkProfile": {"networkInterfaces": [{"id": f"[resourceId('{NICS}', '{name}-nic')]"}]},
        },
    }
    return [*public, nic, vm]


def template(network: dict[str, Any], vnets_elsewhere: dict[str, Any] | None = None) -> dict[str, Any]:
    """The ARM template that declares a scenario's `network`; machines are given their addresses in their order.

    `vnets_elsewhere`: VNets that exist already, for the location of machines added to them.
    """
    vnets = network.get("vnets", {})
    known = {**(vnets_elsewhere or {}), **vnets}
    resources = [application_group(name) for name in network.get("asgs", ())]
    resources += [security_group(name, rules) for name, rules in network.get("security_groups", {}).items()]
    resources += [route_table(name, routes) for name, routes in network.get("route_tables", {}).items()]
    resources += [vnet(name, given) for name, given in vnets.items()]
    previous: str | None = None
    for name, given in network.get("machines", {}).items():
        given = {"subnet": given} if isinstance(given, str) else given
        location = known[given["subnet"].split("/")[0]].get("location", "eastus2")
        resources += machine(name, given, location, previous)
        previous = name
    declared = {f"[resourceId('{r['type']}', '{r['name']}')]" for r in resources}
    for resource in resources:
        resource["dependsOn"] = [name for name in resource.get("dependsOn", []) if name in declared]
    return {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {"password": {"type": "securestring"}},
        "resources": resources,
    }

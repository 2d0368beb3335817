"""The real, unmodified az against a cloud that is served for real: what it prints, and how it ends.

Flags and shapes as learn.microsoft.com/cli/azure documents them. Every test has a group of its own; together they are
about ninety commands of a second or two each.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

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


@pytest_asyncio.fixture(loop_scope="module")
async def group(cloud: Served) -> AsyncIterator[str]:
    """A group of the test's own, deleted in the background afterwards."""
    name = f"rg-{uuid4().hex[:6]}"
    made = await cloud.az(f"group create -n {name} -l {LOCATION}")
    assert made["properties"]["provisioningState"] == "Succeeded"
    yield name
    await cloud.az(f"group delete -n {name} --yes --no-wait")


def names(items: list[dict[str, Any]]) -> list[str]:
    return sorted(item["name"] for item in items)


# -- account, groups, lists -------------------------------------------------------------------------------------------


async def test_account(cloud: Served) -> None:
    account, locations, clouds = await asyncio.gather(
        cloud.az("account show"), cloud.az("account list-locations"), cloud.az("cloud show")
    )
    assert account["id"] == cloud.config.subscription
    assert (account["tenantId"], account["state"]) == (cloud.config.tenant, "Enabled")
    assert LOCATION in names(locations)
    assert all(location["regionalDisplayName"] and location["metadata"]["geographyGroup"] for location in locations)
    assert clouds["endpoints"]["resourceManager"].rstrip("/") == cloud.config.endpoint


async def test_groups(cloud: Served) -> None:
    await cloud.az(f"group create -n other -l {LOCATION} --tags team=blue")
    shown, listed, tagged, there, absent = await asyncio.gather(
        cloud.az("group show -n OTHER"),
        cloud.az("group list"),
        cloud.az("group list --tag team=blue"),
        cloud.az("group exists -n other"),
        cloud.az("group exists -n nowhere"),
    )
    assert (shown["name"], shown["location"], shown["tags"]) == ("other", LOCATION, {"team": "blue"})
    assert "other" in names(listed)
    assert names(tagged) == ["other"]
    assert (there, absent) == (True, False)
    updated = await cloud.az("group update -n other --set tags.size=small")
    assert updated["tags"] == {"team": "blue", "size": "small"}
    await cloud.az("network vnet create -g other -n v --address-prefixes 10.0.0.0/16")
    assert await cloud.az("group delete -n other --yes --no-wait") is None
    await cloud.az("group wait -n other --deleted --interval 1")
    assert await cloud.az("group exists -n other") is False


async def test_images_and_sizes(cloud: Served) -> None:
    images, sizes, skus, offers, image, usage = await asyncio.gather(
        cloud.az("vm image list"),
        cloud.az(f"vm list-sizes -l {LOCATION}"),
        cloud.az(f"vm list-skus -l {LOCATION} --size Standard_B1s --resource-type virtualMachines"),
        cloud.az(f"vm image list-offers -l {LOCATION} -p Canonical"),
        cloud.az(f"vm image show -l {LOCATION} --urn Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:latest"),
        cloud.az(f"vm list-usage -l {LOCATION}"),
    )
    assert "Ubuntu2204" in [image["urnAlias"] for image in images]
    assert "Standard_B1s" in names(sizes)
    assert [sku["name"] for sku in skus] == ["Standard_B1s"]
    assert "0001-com-ubuntu-server-jammy" in names(offers)
    assert image["osDiskImage"]["operatingSystem"] == "Linux"
    assert "cores" in [entry["name"]["value"] for entry in usage]


async def test_providers(cloud: Served) -> None:
    listed, shown, registered = await asyncio.gather(
        cloud.az("provider list"),
        cloud.az("provider show -n Microsoft.Network"),
        cloud.az("provider register -n Microsoft.Compute"),
    )
    assert {"Microsoft.Network", "Microsoft.Compute"} <= {provider["namespace"] for provider in listed}
    assert "virtualNetworks" in [kind["resourceType"] for kind in shown["resourceTypes"]]
    assert shown["registrationState"] == "Registered"
    assert registered is None


# -- networks ---------------------------------------------------------------------------------------------------------


async def test_networks_and_subnets(cloud: Served, group: str) -> None:
    made = await cloud.az(
        f"network vnet create -g {group} -n v --address-prefixes 10.0.0.0/16 --subnet-name a --subnet-prefixes 10.0.0.0/24"
    )
    assert made["newVNet"]["provisioningState"] == "Succeeded"
    assert made["newVNet"]["subnets"][0]["addressPrefix"] == "10.0.0.0/24"
    await cloud.az(f"network nsg create -g {group} -n g")
    b = await cloud.az(
        f"network vnet subnet create -g {group} --vnet-name v -n b --address-prefixes 10.0.1.0/24 --network-security-group g"
    )
    assert b["networkSecurityGroup"]["id"].endswith("/networkSecurityGroups/g")
    updated = await cloud.az(
        f"network vnet update -g {group} -n v --address-prefixes 10.0.0.0/16 10.9.0.0/16 --set tags.a=b"
    )
    assert updated["addressSpace"]["addressPrefixes"] == ["10.0.0.0/16", "10.9.0.0/16"]
    assert names(updated["subnets"]) == ["a", "b"]
    shown, listed, subnets, free, space = await asyncio.gather(
        cloud.az(f"network vnet show -g {group} -n v"),
        cloud.az(f"network vnet list -g {group}"),
        cloud.az(f"network vnet subnet list -g {group} --vnet-name v"),
        cloud.az(f"network vnet check-ip-address -g {group} -n v --ip-address 10.0.0.3"),
        cloud.az(f"network vnet subnet list-available-ips -g {group} --vnet-name v -n a"),
    )
    assert (shown["tags"], names(shown["subnets"])) == ({"a": "b"}, ["a", "b"])
    assert names(listed) == ["v"]
    assert names(subnets) == ["a", "b"]
    assert (free["available"], free["availableIPAddresses"][0]) == (False, "10.0.0.4")
    assert space[0] == "10.0.0.4"
    emptied = await cloud.az(f"network vnet subnet update -g {group} --vnet-name v -n b --remove networkSecurityGroup")
    assert emptied.get("networkSecurityGroup") is None
    await cloud.az(f"network vnet subnet delete -g {group} --vnet-name v -n b")
    outside = await cloud.refused(
        f"network vnet subnet create -g {group} --vnet-name v -n far --address-prefixes 10.20.0.0/24"
    )
    assert "(NetcfgSubnetRangeOutsideVnet) Subnet 'far' is not valid because its IP address range is outside" in outside
    missing = await cloud.refused(f"network vnet show -g {group} -n gone")
    assert "(ResourceNotFound) The Resource 'Microsoft.Network/virtualNetworks/gone' under resource group" in missing


async def test_peering(cloud: Served, group: str) -> None:
    await asyncio.gather(
        cloud.az(f"network vnet create -g {group} -n a --address-prefixes 10.0.0.0/16"),
        cloud.az(f"network vnet create -g {group} -n b --address-prefixes 10.1.0.0/16"),
    )
    remote = await cloud.az(f"network vnet show -g {group} -n b --query id")
    first = await cloud.az(
        f"network vnet peering create -g {group} -n ab --vnet-name a --remote-vnet {remote} --allow-vnet-access"
    )
    assert (first["peeringState"], first["peeringSyncLevel"]) == ("Initiated", "RemoteNotInSync")
    second = await cloud.az(
        f"network vnet peering create -g {group} -n ba --vnet-name b --remote-vnet a --allow-vnet-access"
    )
    assert (second["peeringState"], second["peeringSyncLevel"]) == ("Connected", "FullyInSync")
    listed, state = await asyncio.gather(
        cloud.az(f"network vnet peering list -g {group} --vnet-name a"),
        cloud.az(f"network vnet peering show -g {group} -n ab --vnet-name a --query peeringState"),
    )
    assert (names(listed), state) == (["ab"], "Connected")

    await cloud.az(f"network vnet update -g {group} -n b --address-prefixes 10.1.0.0/16 10.2.0.0/16")
    stale = await cloud.az(f"network vnet peering show -g {group} -n ab --vnet-name a")
    assert stale["peeringSyncLevel"] == "LocalNotInSync"
    assert stale["remoteAddressSpace"]["addressPrefixes"] == ["10.1.0.0/16"]
    assert stale["remoteVirtualNetworkAddressSpace"]["addressPrefixes"] == ["10.1.0.0/16", "10.2.0.0/16"]
    synced = await cloud.az(f"network vnet peering sync -g {group} -n ab --vnet-name a")
    assert synced["peeringSyncLevel"] == "FullyInSync"
    assert synced["remoteAddressSpace"]["addressPrefixes"] == ["10.1.0.0/16", "10.2.0.0/16"]

    closed = await cloud.az(
        f"network vnet peering update -g {group} -n ab --vnet-name a --set allowVirtualNetworkAccess=false"
    )
    assert (closed["allowVirtualNetworkAccess"], closed["peeringState"]) == (False, "Connected")
    assert await cloud.az(f"network vnet peering delete -g {group} -n ab --vnet-name a") is None
    left = await cloud.az(f"network vnet peering show -g {group} -n ba --vnet-name b --query peeringState")
    assert left == "Disconnected"
    again = await cloud.refused(
        f"network vnet peering create -g {group} -n ab --vnet-name a --remote-vnet b --allow-vnet-access"
    )
    assert "(RemotePeeringIsDisconnected) Cannot create or update peering" in again


async def test_security_groups_and_routes(cloud: Served, group: str) -> None:
    made, table = await asyncio.gather(
        cloud.az(f"network nsg create -g {group} -n g"), cloud.az(f"network route-table create -g {group} -n t")
    )
    assert len(made["NewNSG"]["defaultSecurityRules"]) == 6
    assert table["provisioningState"] == "Succeeded"
    rule = await cloud.az(
        f"network nsg rule create -g {group} --nsg-name g -n web --priority 200 --destination-port-ranges 80 443 "
        "--source-address-prefixes Internet --protocol Tcp --access Allow"
    )
    assert (rule["destinationPortRanges"], rule["direction"], rule["priority"]) == (["80", "443"], "Inbound", 200)
    changed, route = await asyncio.gather(
        cloud.az(f"network nsg rule update -g {group} --nsg-name g -n web --access Deny --priority 300"),
        cloud.az(
            f"network route-table route create -g {group} --route-table-name t -n r --address-prefix 0.0.0.0/0 "
            "--next-hop-type VirtualAppliance --next-hop-ip-address 10.0.0.9"
        ),
    )
    assert (changed["access"], changed["priority"]) == ("Deny", 300)
    assert route["nextHopIpAddress"] == "10.0.0.9"
    rules, everything, groups, taken = await asyncio.gather(
        cloud.az(f"network nsg rule list -g {group} --nsg-name g"),
        cloud.az(f"network nsg rule list -g {group} --nsg-name g --include-default"),
        cloud.az(f"network nsg list -g {group}"),
        cloud.refused(f"network nsg rule create -g {group} --nsg-name g -n other --priority 300"),
    )
    assert (names(rules), len(everything), names(groups)) == (["web"], 7, ["g"])
    assert "(SecurityRuleConflict)" in taken
    await cloud.az(f"network nsg rule delete -g {group} --nsg-name g -n web")
    assert await cloud.az(f"network nsg rule list -g {group} --nsg-name g") == []
    await asyncio.gather(
        cloud.az(f"network nsg delete -g {group} -n g"), cloud.az(f"network route-table delete -g {group} -n t")
    )
    assert await cloud.az(f"resource list -g {group}") == []


async def test_interfaces_and_addresses(cloud: Served, group: str) -> None:
    await cloud.az(
        f"network vnet create -g {group} -n v --address-prefixes 10.0.0.0/16 --subnet-name s --subnet-prefixes 10.0.0.0/24"
    )
    address = await cloud.az(f"network public-ip create -g {group} -n ip --sku Standard --allocation-method Static")
    assert address["publicIp"]["ipAddress"]
    made = await cloud.az(f"network nic create -g {group} -n n --vnet-name v --subnet s --public-ip-address ip")
    config = made["NewNIC"]["ipConfigurations"][0]
    assert config["privateIPAddress"] == "10.0.0.4"
    shown, listed, addresses, configs = await asyncio.gather(
        cloud.az(f"network nic show -g {group} -n n"),
        cloud.az(f"network nic list -g {group}"),
        cloud.az(f"network public-ip list -g {group}"),
        cloud.az(f"network nic ip-config list -g {group} --nic-name n"),
    )
    assert shown["ipConfigurations"][0]["publicIPAddress"]["id"] == address["publicIp"]["id"]
    assert (names(listed), names(addresses), names(configs)) == (["n"], ["ip"], ["ipconfig1"])
    assert addresses[0]["ipConfiguration"]["id"].endswith("/networkInterfaces/n/ipConfigurations/ipconfig1")
    held = await cloud.refused(f"network public-ip delete -g {group} -n ip")
    assert "(PublicIPAddressCannotBeDeleted)" in held
    config = f"network nic ip-config update -g {group} --nic-name n -n ipconfig1"
    static = await cloud.az(f"{config} --private-ip-address 10.0.0.20 --remove publicIPAddress")
    assert (static["privateIPAddress"], static["privateIPAllocationMethod"]) == ("10.0.0.20", "Static")
    forwarding = await cloud.az(f"network nic update -g {group} -n n --ip-forwarding true")
    assert forwarding["enableIPForwarding"] is True
    await asyncio.gather(
        cloud.az(f"network public-ip delete -g {group} -n ip"), cloud.az(f"network nic delete -g {group} -n n")
    )


async def test_application_security_groups_and_blocks_of_addresses(cloud: Served, group: str) -> None:
    await asyncio.gather(
        cloud.az(
            f"network vnet create -g {group} -n v --address-prefixes 10.0.0.0/16 --subnet-name s "
            "--subnet-prefixes 10.0.0.0/24"
        ),
        cloud.az(f"network asg create -g {group} -n web --tags tier=front"),
        cloud.az(f"network nsg create -g {group} -n g"),
    )
    made, rule = await asyncio.gather(
        cloud.az(f"network nic create -g {group} -n n --vnet-name v --subnet s --asgs web"),
        cloud.az(
            f"network nsg rule create -g {group} --nsg-name g -n web --priority 100 --destination-asgs web "
            "--destination-port-ranges 80 443 --protocol Tcp --access Allow"
        ),
    )
    member = made["NewNIC"]["ipConfigurations"][0]["applicationSecurityGroups"]
    assert member == rule["destinationApplicationSecurityGroups"]
    block = await cloud.az(
        f"network nic ip-config create -g {group} --nic-name n -n block --private-ip-address-prefix-length 28 --asgs web"
    )
    assert (block["privateIPAddress"], block["privateIPAddressPrefixLength"]) == ("10.0.0.16/28", 28)
    held, listed = await asyncio.gather(
        cloud.refused(f"network asg delete -g {group} -n web"), cloud.az(f"network asg list -g {group}")
    )
    assert "referenced by IpConfiguration(s) ipconfig1, block." in held
    assert [(found["name"], found["tags"]) for found in listed] == [("web", {"tier": "front"})]


async def test_bastion_by_our_own_extension(cloud: Served, group: str) -> None:
    await asyncio.gather(
        cloud.az(
            f"network vnet create -g {group} -n v --address-prefixes 10.0.0.0/16 --subnet-name AzureBastionSubnet "
            "--subnet-prefixes 10.0.1.0/26"
        ),
        cloud.az(f"network public-ip create -g {group} -n ip --sku Standard --allocation-method Static"),
    )
    await cloud.az(
        f"network bastion create -g {group} -n bastion --vnet-name v --public-ip-address ip -l {LOCATION} --no-wait"
    )
    await cloud.az(f"network bastion wait -g {group} -n bastion --created --interval 1")
    shown, listed = await asyncio.gather(
        cloud.az(f"network bastion show -g {group} -n bastion"), cloud.az(f"network bastion list -g {group}")
    )
    assert (shown["provisioningState"], names(listed)) == ("Succeeded", ["bastion"])
    assert shown["ipConfigurations"][0]["subnet"]["id"].endswith("/subnets/AzureBastionSubnet")
    held = await cloud.refused(f"network vnet delete -g {group} -n v")
    assert "(InUseSubnetCannotBeDeleted) Subnet AzureBastionSubnet is in use by" in held
    assert await cloud.az(f"network bastion delete -g {group} -n bastion --yes") is None
    assert await cloud.az(f"network bastion list -g {group}") == []


# -- machines ---------------------------------------------------------------------------------------------------------


async def test_machines(cloud: Served, group: str) -> None:
    account = f"--admin-username azureuser --admin-password {PASSWORD} --authentication-type password"
    made = await cloud.az(f"vm create -g {group} -n vm-1 --image Ubuntu2204 {account}")
    assert (made["powerState"], made["privateIpAddress"]) == ("VM running", "10.0.0.4")
    assert made["publicIpAddress"]
    assert (made["resourceGroup"], made["location"]) == (group, LOCATION)
    shown, details, disks, resources, ports = await asyncio.gather(
        cloud.az(f"vm show -g {group} -n vm-1"),
        cloud.az(f"vm list -g {group} -d"),
        cloud.az(f"disk list -g {group}"),
        cloud.az(f"resource list -g {group}"),
        cloud.az(f"vm open-port -g {group} -n vm-1 --port 80 --priority 900"),
    )
    assert "adminPassword" not in json.dumps(shown)
    assert shown["storageProfile"]["osDisk"]["name"] == disks[0]["name"]
    assert (details[0]["name"], details[0]["powerState"]) == ("vm-1", "VM running")
    assert details[0]["publicIps"] == made["publicIpAddress"]
    assert sorted(item["type"] for item in resources) == [
        "Microsoft.Compute/disks",
        "Microsoft.Compute/virtualMachines",
        "Microsoft.Network/networkInterfaces",
        "Microsoft.Network/networkSecurityGroups",
        "Microsoft.Network/publicIPAddresses",
        "Microsoft.Network/virtualNetworks",
    ]
    assert "open-port-80" in names(ports["securityRules"])
    for action, power in (
        ("stop", "VM stopped"),
        ("start", "VM running"),
        ("deallocate", "VM deallocated"),
        ("start", "VM running"),
        ("restart", "VM running"),
    ):
        ended = await cloud.az(f"vm {action} -g {group} -n vm-1")
        # Some actions print the operation's end: a matter of az's own declarations.
        assert ended is None or ended["status"] == "Succeeded"
        assert (await cloud.az(f"vm show -d -g {group} -n vm-1"))["powerState"] == power
    view = await cloud.az(f"vm get-instance-view -g {group} -n vm-1")
    assert "PowerState/running" in [status["code"] for status in view["instanceView"]["statuses"]]
    tagged = await cloud.az(f"vm update -g {group} -n vm-1 --set tags.role=web")
    assert tagged["tags"] == {"role": "web"}
    await cloud.az(f"vm delete -g {group} -n vm-1 --yes")
    assert await cloud.az(f"vm list -g {group}") == []


async def test_machines_that_are_refused(cloud: Served, group: str) -> None:
    await cloud.az(
        f"network vnet create -g {group} -n v --address-prefixes 10.0.0.0/16 --subnet-name s --subnet-prefixes 10.0.0.0/24"
    )
    place = f"vm create -g {group} --vnet-name v --subnet s --public-ip-address '' --nsg '' --admin-username azureuser"
    image, size, weak = await asyncio.gather(
        cloud.refused(f"{place} -n x --image Canonical:nothing:at-all:latest --admin-password {PASSWORD}"),
        cloud.refused(f"{place} -n y --image Ubuntu2204 --size Standard_Z99 --admin-password {PASSWORD}"),
        cloud.refused(f"{place} -n z --image Ubuntu2204 --admin-password alllowercaseletters"),
    )
    assert "nothing" in image or "Image" in image
    assert "Standard_Z99" in size
    assert "password" in weak.lower()
    assert await cloud.az(f"vm list -g {group}") == []
    assert names(await cloud.az(f"resource list -g {group}")) == ["v"], "a refused machine left something behind"


# -- templates and roles ----------------------------------------------------------------------------------------------

TEMPLATE = {
    "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
    "contentVersion": "1.0.0.0",
    "parameters": {"name": {"type": "string"}, "count": {"type": "int", "defaultValue": 2}},
    "variables": {"prefix": "[concat('10.', parameters('count'), '.0.0/16')]"},
    "resources": [
        {
            "type": "Microsoft.Network/virtualNetworks",
            "apiVersion": "2024-05-01",
            "name": "[concat(parameters('name'), '-', copyIndex())]",
            "location": "[resourceGroup().location]",
            "copy": {"name": "vnets", "count": "[parameters('count')]"},
            "properties": {"addressSpace": {"addressPrefixes": ["[variables('prefix')]"]}},
        }
    ],
    "outputs": {
        "first": {
            "type": "string",
            "value": "[resourceId('Microsoft.Network/virtualNetworks', concat(parameters('name'), '-0'))]",
        }
    },
}


async def test_deployments(cloud: Served, group: str, tmp_path: Path) -> None:
    file, broken = tmp_path / "main.json", tmp_path / "broken.json"
    file.write_text(json.dumps(TEMPLATE, indent=2) + "\n// the end\n")
    broken.write_text(json.dumps({**TEMPLATE, "variables": {"prefix": "[nonsense('x')]"}}))
    validated = await cloud.az(f"deployment group validate -g {group} --template-file {file} --parameters name=net")
    assert validated["properties"]["provisioningState"] == "Succeeded"
    assert await cloud.az(f"resource list -g {group}") == [], "validating made something"
    made = await cloud.az(
        f"deployment group create -g {group} -n d --template-file {file} --parameters name=net count=3"
    )
    assert made["properties"]["provisioningState"] == "Succeeded"
    assert made["properties"]["outputs"]["first"]["value"].endswith("/virtualNetworks/net-0")
    shown, listed, operations, resources, bad = await asyncio.gather(
        cloud.az(f"deployment group show -g {group} -n d"),
        cloud.az(f"deployment group list -g {group}"),
        cloud.az(f"deployment operation group list -g {group} -n d"),
        cloud.az(f"resource list -g {group} --resource-type Microsoft.Network/virtualNetworks"),
        cloud.refused(f"deployment group create -g {group} -n e --template-file {broken} --parameters name=net"),
    )
    assert shown["properties"]["parameters"]["count"] == {"type": "Int", "value": 3}
    assert "d" in names(listed)
    assert len([entry for entry in operations if entry["properties"]["provisioningOperation"] == "Create"]) == 3
    assert names(resources) == ["net-0", "net-1", "net-2"]
    assert "InvalidTemplate" in bad
    await cloud.az(f"deployment group delete -g {group} -n d")


async def test_roles(cloud: Served, group: str) -> None:
    somebody = str(uuid4())
    scope = f"/subscriptions/{cloud.config.subscription}/resourceGroups/{group}"
    principal = f"--assignee-object-id {somebody} --assignee-principal-type ServicePrincipal"
    made = await cloud.az(f"role assignment create {principal} --role Reader --scope {scope}")
    assert (made["principalId"], made["scope"]) == (somebody, scope)
    listed, definitions = await asyncio.gather(
        cloud.az(f"role assignment list --scope {scope}"),
        cloud.az("role definition list -n Reader"),
    )
    assert (somebody, "Reader") in [(found["principalId"], found["roleDefinitionName"]) for found in listed]
    by_name = await cloud.refused(
        f"role assignment create --assignee somebody@azlan.localhost --role Reader --scope {scope}"
    )
    assert "--assignee-object-id" in by_name
    assert definitions[0]["roleName"] == "Reader"
    await cloud.az("role assignment delete --ids {id}", id=made["id"])


async def test_generic_resources(cloud: Served, group: str) -> None:
    """`az resource` sends doubled slashes, and the newest version that the provider lists."""
    kind = "--resource-type Microsoft.Network/virtualNetworks"
    made = await cloud.az(
        f"resource create -g {group} -n v {kind} -l {LOCATION} --properties {{properties}}",
        properties=json.dumps({"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}),
    )
    assert made["properties"]["provisioningState"] in ("Succeeded", "Updating")
    shown, tagged = await asyncio.gather(
        cloud.az(f"resource show -g {group} -n v {kind}"),
        cloud.az(f"resource tag -g {group} -n v {kind} --tags a=b"),
    )
    assert shown["name"] == "v"
    assert tagged["tags"] == {"a": "b"}
    await cloud.az("resource delete --ids {id}", id=made["id"])
    assert await cloud.az(f"resource list -g {group}") == []

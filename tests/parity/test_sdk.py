"""The Azure SDK for Python, as it comes from PyPI, against a cloud that is served for real.

Credential and clients are set up as their documentation says for a private cloud, from the variables of `azlan env`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.identity import aio as identity_aio
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.network import aio as network_aio
from azure.mgmt.resource.resources import ResourceManagementClient

from served import served

LOCATION = "eastus2"


@dataclass
class Clients:
    """The clients, and what others are made with."""

    subscription: str
    found: dict[str, str]
    """The variables of `azlan env`."""
    network: NetworkManagementClient
    compute: ComputeManagementClient
    resource: ResourceManagementClient
    authorization: AuthorizationManagementClient


@pytest.fixture(scope="module")
def azure() -> Iterator[Clients]:
    with served() as cloud:
        found = cloud.variables
        endpoint, bundle = found["AZLAN_ENDPOINT"], found["REQUESTS_CA_BUNDLE"]
        credential = ClientSecretCredential(
            found["AZURE_TENANT_ID"],
            found["AZURE_CLIENT_ID"],
            found["AZURE_CLIENT_SECRET"],
            authority=found["AZURE_AUTHORITY_HOST"],
            disable_instance_discovery=True,
            connection_verify=bundle,
        )

        def make(kind: Any) -> Any:
            return kind(
                credential,
                found["AZURE_SUBSCRIPTION_ID"],
                base_url=endpoint,
                credential_scopes=[f"{endpoint}/.default"],
                connection_verify=bundle,
            )

        yield Clients(
            found["AZURE_SUBSCRIPTION_ID"],
            found,
            make(NetworkManagementClient),
            make(ComputeManagementClient),
            make(ResourceManagementClient),
            make(AuthorizationManagementClient),
        )


@pytest.fixture
def group(azure: Clients) -> Iterator[str]:
    name = f"rg-{uuid4().hex[:6]}"
    made = azure.resource.resource_groups.create_or_update(name, {"location": LOCATION})
    assert made.properties.provisioning_state == "Succeeded"
    yield name
    azure.resource.resource_groups.begin_delete(name).result()
    assert not azure.resource.resource_groups.check_existence(name)


def _vnet(azure: Clients, group: str, name: str, space: str, **subnets: str) -> Any:
    body = {
        "location": LOCATION,
        "properties": {
            "addressSpace": {"addressPrefixes": [space]},
            "subnets": [{"name": key, "properties": {"addressPrefix": prefix}} for key, prefix in subnets.items()],
        },
    }
    return azure.network.virtual_networks.begin_create_or_update(group, name, body).result()


def test_networks_and_their_subnets(azure: Clients, group: str) -> None:
    made = _vnet(azure, group, "v", "10.0.0.0/16", a="10.0.0.0/24")
    assert (made.name, made.location, made.provisioning_state) == ("v", LOCATION, "Succeeded")
    added = azure.network.subnets.begin_create_or_update(
        group, "v", "b", {"properties": {"addressPrefix": "10.0.1.0/24"}}
    )
    assert added.result().address_prefix == "10.0.1.0/24"
    shown = azure.network.virtual_networks.get(group, "v")
    assert [subnet.name for subnet in shown.subnets] == ["a", "b"]
    assert [found.name for found in azure.network.virtual_networks.list(group)] == ["v"]
    assert "v" in [found.name for found in azure.network.virtual_networks.list_all()]
    tagged = azure.network.virtual_networks.update_tags(group, "v", {"tags": {"team": "blue"}})
    assert tagged.tags == {"team": "blue"}
    free = azure.network.virtual_networks.check_ip_address_availability(group, "v", ip_address="10.0.0.4")
    assert free.available
    azure.network.subnets.begin_delete(group, "v", "b").result()
    assert [subnet.name for subnet in azure.network.subnets.list(group, "v")] == ["a"]


def test_peerings(azure: Clients, group: str) -> None:
    for name, space in (("a", "10.0.0.0/16"), ("b", "10.1.0.0/16")):
        _vnet(azure, group, name, space)

    def half(one: str, other: str, **more: Any) -> Any:
        remote = azure.network.virtual_networks.get(group, other).id
        body = {"properties": {"remoteVirtualNetwork": {"id": remote}, "allowVirtualNetworkAccess": True}}
        client = azure.network.virtual_network_peerings
        return client.begin_create_or_update(group, one, f"{one}-{other}", body, **more).result()

    assert half("a", "b").peering_state == "Initiated"
    assert half("b", "a").peering_state == "Connected"
    network = azure.network.virtual_networks.get(group, "b")
    network.address_space.address_prefixes.append("10.2.0.0/16")
    azure.network.virtual_networks.begin_create_or_update(group, "b", network).result()
    stale = azure.network.virtual_network_peerings.get(group, "a", "a-b")
    assert (stale.peering_sync_level, stale.peering_state) == ("LocalNotInSync", "Connected")
    assert half("a", "b", sync_remote_address_space="true").peering_sync_level == "FullyInSync"
    azure.network.virtual_network_peerings.begin_delete(group, "a", "a-b").result()
    (left,) = azure.network.virtual_network_peerings.list(group, "b")
    assert left.peering_state == "Disconnected"


def test_a_machine_from_nothing(azure: Clients, group: str) -> None:
    subnet = _vnet(azure, group, "v", "10.0.0.0/16", a="10.0.0.0/24").subnets[0]
    guard = azure.network.network_security_groups.begin_create_or_update(group, "g", {"location": LOCATION}).result()
    assert len(guard.default_security_rules) == 6
    sku = {"name": "Standard"}
    address = azure.network.public_ip_addresses.begin_create_or_update(
        group, "ip", {"location": LOCATION, "sku": sku, "properties": {"publicIPAllocationMethod": "Static"}}
    ).result()
    config = {"name": "c", "properties": {"subnet": {"id": subnet.id}, "publicIPAddress": {"id": address.id}}}
    nic = azure.network.network_interfaces.begin_create_or_update(
        group,
        "n",
        {"location": LOCATION, "properties": {"ipConfigurations": [config], "networkSecurityGroup": {"id": guard.id}}},
    ).result()
    assert nic.ip_configurations[0].private_ip_address == "10.0.0.4"
    assert azure.network.network_interface_ip_configurations.get(group, "n", "c") == nic.ip_configurations[0]
    assert list(azure.network.network_interface_load_balancers.list(group, "n")) == []
    deny = azure.network.default_security_rules.get(group, "g", "DenyAllInBound")
    assert deny.priority == 65500
    image = {"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"}
    body = {
        "location": LOCATION,
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_B1s"},
            "storageProfile": {
                "imageReference": image,
                "osDisk": {"createOption": "FromImage", "deleteOption": "Delete"},
            },
            "osProfile": {"computerName": "m", "adminUsername": "azureuser", "adminPassword": "Correct-Horse7Battery"},
            "networkProfile": {"networkInterfaces": [{"id": nic.id, "properties": {"deleteOption": "Delete"}}]},
        },
    }
    machines = azure.compute.virtual_machines
    made = machines.begin_create_or_update(group, "m", body).result()
    assert (made.name, made.provisioning_state) == ("m", "Succeeded")
    assert made.os_profile.admin_password is None

    def power() -> list[str]:
        return [status.code for status in machines.instance_view(group, "m").statuses if "Power" in status.code]

    assert power() == ["PowerState/running"]
    table = azure.network.network_interfaces.begin_get_effective_route_table(group, "n").result()
    assert ("10.0.0.0/16", "VnetLocal") in {(route.address_prefix[0], route.next_hop_type) for route in table.value}
    effective = azure.network.network_interfaces.begin_list_effective_network_security_groups(group, "n").result()
    assert effective.value[0].network_security_group.id == guard.id
    for change, wanted in (
        ("begin_power_off", "stopped"),
        ("begin_deallocate", "deallocated"),
        ("begin_start", "running"),
    ):
        getattr(machines, change)(group, "m").result()
        assert power() == [f"PowerState/{wanted}"]
    assert [disk.managed_by for disk in azure.compute.disks.list_by_resource_group(group)] == [made.id]
    machines.begin_delete(group, "m").result()
    assert list(azure.compute.disks.list_by_resource_group(group)) == []
    assert list(azure.network.network_interfaces.list(group)) == []


def test_errors_are_the_sdks_own(azure: Clients, group: str) -> None:
    with pytest.raises(ResourceNotFoundError) as missing:
        azure.network.virtual_networks.get(group, "gone")
    assert missing.value.error.code == "ResourceNotFound"
    with pytest.raises(HttpResponseError) as outside:
        _vnet(azure, group, "v", "10.0.0.0/16", far="10.9.0.0/24")
    assert (outside.value.status_code, outside.value.error.code) == (400, "NetcfgSubnetRangeOutsideVnet")
    with pytest.raises(HttpResponseError) as nowhere:
        azure.resource.resource_groups.create_or_update("x", {"location": "tranquillity"})
    assert nowhere.value.error.code == "LocationNotAvailableForResourceGroup"


def test_etags_guard_writes(azure: Clients, group: str) -> None:
    first = _vnet(azure, group, "v", "10.0.0.0/16")
    _vnet(azure, group, "v", "10.0.0.0/15")
    with pytest.raises(HttpResponseError) as stale:
        azure.network.virtual_networks.begin_create_or_update(
            group,
            "v",
            {"location": LOCATION, "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}},
            headers={"If-Match": first.etag},
        ).result()
    assert stale.value.status_code == 412


def test_roles(azure: Clients, group: str) -> None:
    scope = f"/subscriptions/{azure.subscription}/resourceGroups/{group}"
    (reader,) = azure.authorization.role_definitions.list(scope, filter="roleName eq 'Reader'")
    principal = str(uuid4())
    body = {
        "properties": {"roleDefinitionId": reader.id, "principalId": principal, "principalType": "ServicePrincipal"}
    }
    made = azure.authorization.role_assignments.create(scope, str(uuid4()), body)
    assert (made.principal_id, made.scope) == (principal, scope)
    found = azure.authorization.role_assignments.list_for_scope(scope, filter=f"principalId eq '{principal}'")
    assert [assignment.id for assignment in found] == [made.id]
    azure.authorization.role_assignments.delete(scope, made.name)


def test_lists_of_one_page_and_of_several(azure: Clients, group: str) -> None:
    for name in ("a", "b"):
        _vnet(azure, group, name, "10.0.0.0/16")
    pages = [[found.name for found in page] for page in azure.resource.resource_groups.list(top=1).by_page()]
    assert len(pages) >= 2, pages
    assert max(map(len, pages)) == 1
    assert [group] in pages
    kind = "resourceType eq 'Microsoft.Network/virtualNetworks'"
    listed = azure.resource.resources.list_by_resource_group(group, filter=kind)
    assert sorted(found.name for found in listed) == ["a", "b"]


def test_a_poller_is_resumed_from_what_another_process_wrote_down(azure: Clients, group: str) -> None:
    networks = azure.network.virtual_networks
    body = {"location": LOCATION, "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}
    token = networks.begin_create_or_update(group, "v", body).continuation_token()
    made = networks.begin_create_or_update(group, "v", body, continuation_token=token).result()
    assert (made.name, made.provisioning_state) == ("v", "Succeeded")
    token = networks.begin_delete(group, "v").continuation_token()
    networks.begin_delete(group, "v", continuation_token=token).result()
    assert list(networks.list(group)) == []


async def test_the_asynchronous_clients(azure: Clients, group: str) -> None:
    endpoint, bundle = azure.found["AZLAN_ENDPOINT"], azure.found["SSL_CERT_FILE"]
    credential = identity_aio.ClientSecretCredential(
        azure.found["AZURE_TENANT_ID"],
        azure.found["AZURE_CLIENT_ID"],
        azure.found["AZURE_CLIENT_SECRET"],
        authority=endpoint,
        disable_instance_discovery=True,
        connection_verify=bundle,
    )
    where = {"base_url": endpoint, "credential_scopes": [f"{endpoint}/.default"], "connection_verify": bundle}
    async with credential, network_aio.NetworkManagementClient(credential, azure.subscription, **where) as network:

        async def make(name: str, prefix: str) -> Any:
            body = {"location": LOCATION, "properties": {"addressSpace": {"addressPrefixes": [prefix]}}}
            return await (await network.virtual_networks.begin_create_or_update(group, name, body)).result()

        async def peer(one: Any, other: Any) -> Any:
            properties = {"remoteVirtualNetwork": {"id": other.id}, "allowVirtualNetworkAccess": True}
            peerings = network.virtual_network_peerings
            return await (
                await peerings.begin_create_or_update(group, one.name, "p", {"properties": properties})
            ).result()

        a, b = await asyncio.gather(make("a", "10.0.0.0/16"), make("b", "10.1.0.0/16"))
        assert (await peer(a, b)).peering_state == "Initiated"
        assert (await peer(b, a)).peering_state == "Connected"
        assert sorted([found.name async for found in network.virtual_networks.list(group)]) == ["a", "b"]
        with pytest.raises(ResourceNotFoundError):
            await network.virtual_networks.get(group, "gone")
        await (await network.virtual_networks.begin_delete(group, "a")).result()
        assert (await network.virtual_network_peerings.get(group, "b", "p")).peering_state == "Disconnected"

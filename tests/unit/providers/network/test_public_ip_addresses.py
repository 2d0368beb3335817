import re

import pytest

from azlan.contract.facts import PublicAddress
from azlan.providers.network import allocation
from ledger import Ledger, network_id, nic_properties
from unit.providers.azure import azure


@pytest.fixture
def cloud() -> Ledger:
    found = Ledger()
    found.vnet("v", "10.0.0.0/16")
    found.subnet("v", "s", "10.0.0.0/24")
    return found


def standard(cloud: Ledger, name: str = "p", **properties: object) -> dict:
    return cloud.put(
        f"publicIPAddresses/{name}", {"publicIPAllocationMethod": "Static", **properties}, sku={"name": "Standard"}
    )


def basic(cloud: Ledger, name: str = "p") -> dict:
    return cloud.put(f"publicIPAddresses/{name}", {"publicIPAllocationMethod": "Dynamic"})


def test_basic_dynamic_as_recorded(cloud: Ledger) -> None:
    shown = cloud.put(
        "publicIPAddresses/p", {"publicIPAllocationMethod": "Dynamic"}, tags={"key": "value"}, version="2020-04-01"
    )
    assert shown["properties"].pop("resourceGuid")
    assert shown == {
        "name": "p",
        "id": network_id("publicIPAddresses/p"),
        "etag": shown["etag"],
        "type": "Microsoft.Network/publicIPAddresses",
        "location": "eastus2",
        "tags": {"key": "value"},
        "sku": {"name": "Basic"},
        "properties": {
            "provisioningState": "Succeeded",
            "publicIPAddressVersion": "IPv4",
            "publicIPAllocationMethod": "Dynamic",
            "idleTimeoutInMinutes": 4,
            "ipTags": [],
        },
    }


def test_one_made_without_properties_never_shows_how_it_is_protected_as_recorded(cloud: Ledger) -> None:
    bare = cloud.put("publicIPAddresses/bare")
    assert "ddosSettings" not in bare["properties"]
    assert basic(cloud)["properties"]["ddosSettings"] == {"protectionMode": "VirtualNetworkInherited"}


def test_standard_has_its_address_at_once_and_for_life(cloud: Ledger) -> None:
    first = standard(cloud)
    assert first["properties"]["ipAddress"] == "203.0.113.1"
    assert first["sku"] == {"name": "Standard", "tier": "Regional"}
    assert standard(cloud, "q")["properties"]["ipAddress"] == "203.0.113.2"
    assert standard(cloud, idleTimeoutInMinutes=10)["properties"]["ipAddress"] == "203.0.113.1"
    assert cloud.facts("publicIPAddresses/p") == [
        PublicAddress(network_id("publicIPAddresses/p").lower(), "203.0.113.1", 10)
    ]
    cloud.delete("publicIPAddresses/p")
    assert standard(cloud, "r")["properties"]["ipAddress"] == "203.0.113.1"


def test_dynamic_has_an_address_while_it_is_used(cloud: Ledger) -> None:
    assert "ipAddress" not in basic(cloud)["properties"]
    assert cloud.facts("publicIPAddresses/p") == []
    cloud.nic("n", "v/s", publicIPAddress="p")
    shown = cloud.get("publicIPAddresses/p")["properties"]
    assert shown["ipAddress"] == "203.0.113.1"
    assert shown["ipConfiguration"] == {"id": network_id("networkInterfaces/n/ipConfigurations/ipconfig1")}
    assert basic(cloud)["properties"]["ipAddress"] == "203.0.113.1"
    cloud.nic("n", "v/s")
    assert not {"ipAddress", "ipConfiguration"} & set(cloud.get("publicIPAddresses/p")["properties"])
    cloud.nic("n", "v/s", publicIPAddress="p")
    cloud.delete("networkInterfaces/n")
    assert "ipAddress" not in cloud.get("publicIPAddresses/p")["properties"]


def test_two_dynamic_ones_on_one_interface_differ(cloud: Ledger) -> None:
    configs = []
    for name in ("p", "q"):
        basic(cloud, name)
        config = nic_properties("v/s", publicIPAddress=name)["ipConfigurations"][0]
        configs.append({**config, "name": name})
    cloud.put("networkInterfaces/n", {"ipConfigurations": configs})
    addresses = {cloud.get(f"publicIPAddresses/{name}")["properties"]["ipAddress"] for name in ("p", "q")}
    assert len(addresses) == 2


def test_used_by_another(cloud: Ledger) -> None:
    standard(cloud)
    cloud.nic("n", "v/s", publicIPAddress="p")
    cloud.nic("n", "v/s", publicIPAddress="p")
    error = cloud.refused("networkInterfaces/m", nic_properties("v/s", publicIPAddress="p"))
    assert (error.status, error.code, error.message) == (
        400,
        "PublicIPAddressInUse",
        f"Resource {network_id('networkInterfaces/m/ipConfigurations/ipconfig1')} is referencing public IP address "
        f"{network_id('publicIPAddresses/p')} that is already allocated to resource "
        f"{network_id('networkInterfaces/n/ipConfigurations/ipconfig1')}.",
    )
    twice = nic_properties("v/s", publicIPAddress="p")["ipConfigurations"][0]
    configs = {"ipConfigurations": [twice, {**twice, "name": "again"}]}
    assert cloud.refused("networkInterfaces/n", configs).code == "PublicIPReferencedByMultipleIPConfigs"


def test_deleting_one_in_use(cloud: Ledger) -> None:
    standard(cloud)
    cloud.nic("n", "v/s", publicIPAddress="p")
    error = cloud.refused_delete("publicIPAddresses/p")
    assert (error.code, error.message) == (
        "PublicIPAddressCannotBeDeleted",
        f"Public IP address {network_id('publicIPAddresses/p')} can not be deleted since it is still allocated to resource "
        f"{network_id('networkInterfaces/n/ipConfigurations/ipconfig1')}. In order to delete the public IP, "
        "disassociate/detach the Public IP address from the resource.  To learn how to do this, see aka.ms/deletepublicip.",
    )


def test_standard_must_be_static(cloud: Ledger) -> None:
    error = cloud.refused("publicIPAddresses/p", {"publicIPAllocationMethod": "Dynamic"}, sku={"name": "Standard"})
    assert (error.code, error.message) == (
        "StandardAndStandardV2SkuPublicIPAddressesMustBeStatic",
        f"Standard sku publicIp {network_id('publicIPAddresses/p')} must have AllocationMethod set to Static.",
    )


def test_sku_changes(cloud: Ledger) -> None:
    cloud.put("publicIPAddresses/p", {"publicIPAllocationMethod": "Static"})
    assert standard(cloud)["sku"]["name"] == "Standard"
    error = cloud.refused("publicIPAddresses/p", {"publicIPAllocationMethod": "Static"}, sku={"name": "Basic"})
    assert error.message.startswith("Sku property is set at creation time and cannot be changed from Standard to Basic")
    cloud.put("publicIPAddresses/q", {"publicIPAllocationMethod": "Static"})
    cloud.nic("n", "v/s", publicIPAddress="q")
    error = cloud.refused("publicIPAddresses/q", {"publicIPAllocationMethod": "Dynamic"})
    assert error.code == "PublicIPAddressInUseCannotUpdateToDynamic"


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"idleTimeoutInMinutes": 3}, "InvalidIdleTimeout"),
        ({"publicIPAddressVersion": "IPv6"}, "IPv6NotSupported"),
        ({"dnsSettings": {"domainNameLabel": "No_Label"}}, "InvalidDomainNameLabel"),
        ({"publicIPPrefix": {"id": network_id("publicIPPrefixes/x")}}, "InvalidResourceReference"),
        ({"publicIPAllocationMethod": "Sometimes"}, "InvalidRequestFormat"),
    ],
)
def test_values_that_are_refused(cloud: Ledger, properties: dict, code: str) -> None:
    asked = {"publicIPAllocationMethod": "Static", **properties}
    assert cloud.refused("publicIPAddresses/p", asked, sku={"name": "Standard"}).code == code


def test_dns_label(cloud: Ledger) -> None:
    shown = standard(cloud, dnsSettings={"domainNameLabel": "web-1"})
    fqdn = "web-1.eastus2.cloudapp.azure.com"
    assert shown["properties"]["dnsSettings"] == {"domainNameLabel": "web-1", "fqdn": fqdn}
    asked = {"publicIPAllocationMethod": "Static", "dnsSettings": {"domainNameLabel": "web-1"}}
    error = cloud.refused("publicIPAddresses/q", asked)
    assert (error.code, error.message) == ("DnsRecordInUse", f"DNS record {fqdn} is already used by another public IP.")
    cloud.put("publicIPAddresses/q", asked, location="westus")


def test_dns_label_with_a_scope(cloud: Ledger) -> None:
    def put(name: str, scope: str | None, label: str = "web-1") -> str:
        settings = {"domainNameLabel": label} | ({"domainNameLabelScope": scope} if scope else {})
        asked = {"publicIPAllocationMethod": "Static", "dnsSettings": settings}
        shown = cloud.put(f"publicIPAddresses/{name}", asked, sku={"name": "Standard"})
        return str(shown["properties"]["dnsSettings"]["fqdn"])

    tenants = put("a", "TenantReuse")
    assert re.fullmatch(r"web-1\.[a-z2-7]{16}\.eastus2\.sysgen\.cloudapp\.azure\.com", tenants)
    assert put("b", None) == "web-1.eastus2.cloudapp.azure.com"
    nobodys = put("c", "NoReuse")
    assert (
        len({tenants, nobodys, put("d", "SubscriptionReuse"), put("e", "ResourceGroupReuse"), put("f", "NoReuse")}) == 5
    )
    assert put("c", "NoReuse") == nobodys
    assert put("c", "NoReuse", "web-2").split(".")[1] != nobodys.split(".")[1]
    asked = {"dnsSettings": {"domainNameLabel": "web-1", "domainNameLabelScope": "tenantreuse"}}
    error = cloud.refused("publicIPAddresses/g", {"publicIPAllocationMethod": "Static", **asked})
    assert (error.code, error.message.split()[2]) == ("DnsRecordInUse", tenants)
    cloud.delete("publicIPAddresses/a")
    assert put("g", "TenantReuse") == tenants  # to be had again
    assert put("g", None, "web-3") == "web-3.eastus2.cloudapp.azure.com"


def test_a_basic_one_cannot_be_global_as_recorded(cloud: Ledger) -> None:
    error = cloud.refused("publicIPAddresses/p", {}, sku={"name": "Basic", "tier": "Global"})
    assert (error.code, error.message) == (
        "GlobalPublicIPAddressNotSupportedForBasicPublicIpAddress",
        "Global publicIP addresses are only supported for standard SKU public IP addresses. Public IP address "
        f"{network_id('publicIPAddresses/p')} is not standard SKU.",
    )


def test_zones(cloud: Ledger) -> None:
    asked = {"publicIPAllocationMethod": "Static"}
    shown = cloud.put("publicIPAddresses/p", asked, sku={"name": "Standard"}, zones=["1", "2", "3"])
    assert shown["zones"] == ["1", "2", "3"]
    assert cloud.refused("publicIPAddresses/q", asked, zones=["4"]).code == "InvalidAvailabilityZone"


def test_all_addresses_given_away(cloud: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocation, "PUBLIC_RANGES", ("203.0.113.0/30",))
    standard(cloud, "a")
    standard(cloud, "b")
    asked = {"publicIPAllocationMethod": "Static"}
    assert cloud.refused("publicIPAddresses/c", asked).code == "PublicIPCountLimitReached"


async def test_an_address_is_told_once_it_is_made() -> None:
    async with azure() as cloud:
        path = "Microsoft.Network/publicIPAddresses/p"
        body = {
            "location": "eastus2",
            "properties": {"publicIPAllocationMethod": "Static"},
            "sku": {"name": "Standard"},
        }
        answer = await cloud.call("PUT", path, body)
        assert (answer.status_code, "ipAddress" in answer.json()["properties"]) == (201, False)
        made = await cloud.until(path, "Succeeded")
        assert made["properties"]["ipAddress"].startswith("203.0.113.")
        again = await cloud.call("PUT", path, {**body, "tags": {"a": "b"}})
        assert again.json()["properties"]["ipAddress"] == made["properties"]["ipAddress"]

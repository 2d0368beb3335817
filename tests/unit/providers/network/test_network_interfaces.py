import re
from unittest.mock import ANY

import pytest

from azlan.contract.facts import IpConfig, Nic
from ledger import Ledger, network_id, nic_properties


@pytest.fixture
def cloud() -> Ledger:
    found = Ledger()
    found.vnet("v", "10.0.0.0/16")
    found.subnet("v", "s", "10.0.0.0/24")
    return found


def address_of(shown: dict) -> str:
    return str(shown["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"])


def config(name: str, subnet: str = "s", **properties: object) -> dict[str, object]:
    return {
        "name": name,
        "properties": {"subnet": {"id": network_id(f"virtualNetworks/v/subnets/{subnet}")}, **properties},
    }


def test_as_recorded(cloud: Ledger) -> None:
    shown = cloud.put("networkInterfaces/n", nic_properties("v/s"), version="2020-04-01")
    properties, etag = shown["properties"], shown["etag"]
    suffix = properties["dnsSettings"]["internalDomainNameSuffix"]
    assert re.fullmatch(r"[a-z2-7]{26}\.[a-z]x\.internal\.cloudapp\.net", suffix)
    assert properties.pop("resourceGuid")
    assert shown == {
        "name": "n",
        "id": network_id("networkInterfaces/n"),
        "etag": etag,
        "type": "Microsoft.Network/networkInterfaces",
        "location": "eastus2",
        "properties": {
            "provisioningState": "Succeeded",
            "ipConfigurations": [
                {
                    "name": "ipconfig1",
                    "id": network_id("networkInterfaces/n/ipConfigurations/ipconfig1"),
                    "etag": etag,
                    "type": "Microsoft.Network/networkInterfaces/ipConfigurations",
                    "properties": {
                        "provisioningState": "Succeeded",
                        "privateIPAddress": "10.0.0.4",
                        "privateIPAllocationMethod": "Dynamic",
                        "subnet": {"id": network_id("virtualNetworks/v/subnets/s")},
                        "primary": True,
                        "privateIPAddressVersion": "IPv4",
                    },
                }
            ],
            "dnsSettings": {"dnsServers": [], "appliedDnsServers": [], "internalDomainNameSuffix": suffix},
            "enableAcceleratedNetworking": False,
            "enableIPForwarding": False,
            "hostedWorkloads": [],
            "tapConfigurations": [],
            "nicType": "Standard",
        },
    }


def test_dynamic_addresses_ascend_are_kept_and_come_back(cloud: Ledger) -> None:
    assert [address_of(cloud.nic(f"n{i}", "v/s")) for i in range(3)] == ["10.0.0.4", "10.0.0.5", "10.0.0.6"]
    assert address_of(cloud.nic("n2", "v/s", enableIPForwarding=True)) == "10.0.0.6"
    cloud.delete("networkInterfaces/n1")
    assert address_of(cloud.nic("late", "v/s")) == "10.0.0.5"
    assert address_of(cloud.nic("later", "v/s")) == "10.0.0.7"


def test_static_addresses(cloud: Ledger) -> None:
    assert address_of(cloud.nic("n", "v/s", address="10.0.0.40")) == "10.0.0.40"
    assert address_of(cloud.nic("n", "v/s", address="10.0.0.41")) == "10.0.0.41"
    assert address_of(cloud.nic("m", "v/s", address="10.0.0.40")) == "10.0.0.40"
    assert address_of(cloud.nic("m", "v/s")) == "10.0.0.40"


@pytest.mark.parametrize(
    ("address", "code", "message"),
    [
        (
            "10.0.1.10",
            "PrivateIPAddressNotInSubnet",
            "Private static IP address 10.0.1.10 does not belong to the range of subnet prefix 10.0.0.0/24.",
        ),
        (
            "10.0.0.1",
            "PrivateIPAddressInReservedRange",
            "Private static IP address 10.0.0.1 falls within reserved IP range of subnet prefix 10.0.0.0/24.",
        ),
        (
            "10.0.0.255",
            "PrivateIPAddressInReservedRange",
            "Private static IP address 10.0.0.255 falls within reserved IP range of subnet prefix 10.0.0.0/24.",
        ),
        (
            "10.0.0.4",
            "PrivateIPAddressIsAllocated",
            f"IP configuration {network_id('networkInterfaces/n/ipConfigurations/ipconfig1')} is using the private IP "
            "address 10.0.0.4 which is already allocated to resource "
            f"{network_id('networkInterfaces/first/ipConfigurations/ipconfig1')}.",
        ),
    ],
)
def test_static_addresses_that_are_refused(cloud: Ledger, address: str, code: str, message: str) -> None:
    cloud.nic("first", "v/s")
    error = cloud.refused("networkInterfaces/n", nic_properties("v/s", address=address))
    assert (error.status, error.code, error.message) == (400, code, message)


def test_a_full_subnet(cloud: Ledger) -> None:
    cloud.subnet("v", "tiny", "10.0.7.0/29")
    assert [address_of(cloud.nic(f"n{i}", "v/tiny")) for i in range(3)] == ["10.0.7.4", "10.0.7.5", "10.0.7.6"]
    error = cloud.refused("networkInterfaces/n3", nic_properties("v/tiny"))
    assert (error.code, error.message) == (
        "SubnetIsFull",
        "Subnet tiny with address prefix 10.0.7.0/29 does not have enough capacity for 1 IP addresses.",
    )


def test_several_configurations_have_one_primary(cloud: Ledger) -> None:
    asked = [
        config("a"),
        config("b", primary=True),
        config("c", privateIPAllocationMethod="static", privateIPAddress="10.0.0.4"),
    ]
    shown = cloud.put("networkInterfaces/n", {"ipConfigurations": asked})["properties"]["ipConfigurations"]
    got = {c["name"]: (c["properties"]["privateIPAddress"], c["properties"]["primary"]) for c in shown}
    assert got == {"a": ("10.0.0.5", False), "b": ("10.0.0.6", True), "c": ("10.0.0.4", False)}
    fact = cloud.facts("networkInterfaces/n")[0]
    assert isinstance(fact, Nic)
    assert [each.address for each in fact.ip_configs] == ["10.0.0.6", "10.0.0.5", "10.0.0.4"]


def test_configurations_that_are_refused(cloud: Ledger) -> None:
    cloud.subnet("v", "t", "10.0.1.0/24")

    def code(*configs: dict) -> str:
        return cloud.refused("networkInterfaces/n", {"ipConfigurations": list(configs)}).code

    assert code() == "NetworkInterfaceMustHaveIpConfiguration"
    assert code(config("a"), config("b", "t")) == "IpConfigurationsOnSameNicCannotUseDifferentSubnets"
    assert code(config("a"), config("A")) == "InvalidIpConfigurationName"
    assert code(config("a", primary=True), config("b", primary=True)) == "OnlyOnePrimaryIpConfigurationAllowed"
    assert code(config("a", privateIPAddressVersion="IPv6")) == "IPv6NotSupported"
    assert code({"name": "a", "properties": {}}) == "SubnetRequired"
    assert code(config("a", "none")) == "InvalidResourceReference"
    pool = {"id": network_id("loadBalancers/l/backendAddressPools/p")}
    assert code(config("a", loadBalancerBackendAddressPools=[pool])) == "InvalidResourceReference"


def test_another_region(cloud: Ledger) -> None:
    error = cloud.refused("networkInterfaces/n", nic_properties("v/s"), location="westus")
    assert (error.code, error.message) == (
        "InvalidResourceReference",
        f"Resource {network_id('virtualNetworks/v/subnets/s')} referenced by resource {network_id('networkInterfaces/n')} was "
        "not found. Please make sure that the referenced resource exists, and that both resources are in the same region.",
    )


def test_machine_mac_and_primary_appear_with_the_machine(cloud: Ledger) -> None:
    assert not {"macAddress", "virtualMachine", "primary"} & set(cloud.nic("n", "v/s")["properties"])
    cloud.machine("vm", "n")
    properties = cloud.get("networkInterfaces/n")["properties"]
    assert re.fullmatch(r"([0-9A-F]{2}-){5}[0-9A-F]{2}", properties["macAddress"])
    assert properties["virtualMachine"]["id"].endswith("/virtualMachines/vm")
    assert properties["primary"] is True
    error = cloud.refused_delete("networkInterfaces/n")
    assert (error.code, "aka.ms/deletenic" in error.message) == ("NicInUse", True)


def test_macs_are_unique_and_kept(cloud: Ledger) -> None:
    for i in range(30):
        cloud.nic(f"n{i}", "v/s")
    macs = [cloud.row(f"networkInterfaces/n{i}").state["macAddress"] for i in range(30)]
    assert len(set(macs)) == 30
    cloud.nic("n0", "v/s", enableIPForwarding=True)
    assert cloud.row("networkInterfaces/n0").state["macAddress"] == macs[0]


def test_facts(cloud: Ledger) -> None:
    cloud.put("publicIPAddresses/p", {"publicIPAllocationMethod": "Static"}, sku={"name": "Standard"})
    cloud.put("networkSecurityGroups/g")
    group = {"id": network_id("networkSecurityGroups/G")}
    cloud.nic("N", "v/s", publicIPAddress="P", networkSecurityGroup=group, enableIPForwarding=True)
    cloud.machine("VM", "N")
    key = network_id("networkInterfaces/n").lower()
    mac = cloud.row("networkInterfaces/n").state["macAddress"]
    (fact,) = cloud.facts("networkInterfaces/n")
    assert isinstance(fact, Nic)
    assert fact == Nic(
        key,
        network_id("virtualNetworks/v/subnets/s").lower(),
        mac.replace("-", ":").lower(),
        (IpConfig(f"{key}/ipconfigurations/ipconfig1", "10.0.0.4", network_id("publicIPAddresses/p").lower()),),
        network_id("networkSecurityGroups/g").lower(),
        True,
        fact.machine,
    )
    assert (fact.machine or "").endswith("/virtualmachines/vm")


def test_names_and_their_servers(cloud: Ledger) -> None:
    def dns(name: str, **settings: object) -> tuple[tuple[str, ...], str | None]:
        cloud.nic(name, "v/s", dnsSettings=settings)
        (fact,) = cloud.facts(f"networkInterfaces/{name}")
        assert isinstance(fact, Nic)
        return fact.dns_servers, fact.dns_label

    assert dns("plain") == ((), None)
    assert dns("own", dnsServers=["10.0.0.9", "8.8.8.8"], internalDnsNameLabel="db") == (("10.0.0.9", "8.8.8.8"), "db")
    assert dns("azure", dnsServers=["AzureProvidedDNS"]) == (("168.63.129.16",), None)
    settings = cloud.get("networkInterfaces/own")["properties"]["dnsSettings"]
    assert settings["internalFqdn"] == f"db.{settings['internalDomainNameSuffix']}"
    for bad, code in (
        ({"dnsServers": ["AzureProvidedDNS", "8.8.8.8"]}, "InvalidIPAddressFormat"),
        ({"dnsServers": ["ns1"]}, "InvalidIPAddressFormat"),
        ({"internalDnsNameLabel": "a.b"}, "InvalidDnsNameLabel"),
        ({"internalDnsNameLabel": "-a"}, "InvalidDnsNameLabel"),
    ):
        assert cloud.refused("networkInterfaces/bad", nic_properties("v/s", dnsSettings=bad)).code == code


def test_what_a_get_shows_can_be_put_back(cloud: Ledger) -> None:
    cloud.nic("n", "v/s", address="10.0.0.9")
    cloud.machine("vm", "n")
    shown = cloud.get("networkInterfaces/n")
    back = cloud.put("networkInterfaces/n", shown["properties"])
    assert (
        back["properties"]["ipConfigurations"][0]["properties"]
        == (shown["properties"]["ipConfigurations"][0]["properties"])
    )


def test_a_block_of_addresses(cloud: Ledger) -> None:
    """As networkInterface.json says: with a prefix length, a block is given in place of one address."""
    block = config("c2", privateIPAddressPrefixLength=28)
    shown = cloud.put("networkInterfaces/n", {"ipConfigurations": [config("c1"), block]})
    second = shown["properties"]["ipConfigurations"][1]["properties"]
    assert (second["privateIPAddress"], second["privateIPAddressPrefixLength"]) == ("10.0.0.16/28", 28)
    assert cloud.put("networkInterfaces/n", shown["properties"]) == {**shown, "etag": ANY, "properties": ANY}
    nic = cloud.facts("networkInterfaces/n")[0]
    assert isinstance(nic, Nic)
    given = [entry.address for entry in nic.ip_configs]
    assert given == ["10.0.0.4", *(f"10.0.0.{last}" for last in range(16, 32))]
    for last in range(5, 16):
        cloud.nic(f"n{last}", "v/s")
    assert address_of(cloud.nic("after", "v/s")) == "10.0.0.32"
    static = cloud.refused("networkInterfaces/x", nic_properties("v/s", address="10.0.0.31"))
    assert static.code == "PrivateIPAddressIsAllocated"
    assert static.message.endswith(f"{network_id('networkInterfaces/n')}/ipConfigurations/c2.")
    again = cloud.put("networkInterfaces/n", {"ipConfigurations": [config("c1"), block]})
    assert again["properties"]["ipConfigurations"][1]["properties"]["privateIPAddress"] == "10.0.0.16/28"
    single = cloud.put("networkInterfaces/n", {"ipConfigurations": [config("c1"), config("c2")]})
    assert single["properties"]["ipConfigurations"][1]["properties"]["privateIPAddress"] == "10.0.0.16"


def test_a_static_block(cloud: Ledger) -> None:
    def asked(address: str) -> dict[str, object]:
        static = {"privateIPAllocationMethod": "Static", "privateIPAddress": address}
        return {"ipConfigurations": [config("c1"), config("c2", privateIPAddressPrefixLength=28, **static)]}

    shown = cloud.put("networkInterfaces/n", asked("10.0.0.64/28"))
    assert shown["properties"]["ipConfigurations"][1]["properties"]["privateIPAddress"] == "10.0.0.64/28"
    for wanted, code in (
        ("10.0.0.65/28", "InvalidIPAddressFormat"),
        ("0.0.0.0/0", "InvalidIPAddressFormat"),
        ("10.0.0.0/28", "PrivateIPAddressInReservedRange"),
        ("10.0.0.240/28", "PrivateIPAddressInReservedRange"),
        ("10.0.0.64", "PrivateIPAddressIsAllocated"),
        ("10.0.1.0/28", "PrivateIPAddressNotInSubnet"),
    ):
        assert cloud.refused("networkInterfaces/m", asked(wanted)).code == code, wanted


@pytest.mark.parametrize(
    "configs",
    [
        [config("c1", privateIPAddressPrefixLength=28)],
        [config("c1"), config("c2", privateIPAddressPrefixLength=27)],
        [config("c1"), config("c2", privateIPAddressPrefixLength=28, publicIPAddress={"id": network_id("publicIPAddresses/p")})],
    ],
)  # fmt: skip
def test_blocks_that_are_refused(cloud: Ledger, configs: list[dict[str, object]]) -> None:
    assert (
        cloud.refused("networkInterfaces/n", {"ipConfigurations": configs}).code
        == "InvalidPrivateIPAddressPrefixLength"
    )


def test_no_room_for_a_block(cloud: Ledger) -> None:
    cloud.subnet("v", "small", "10.0.1.0/28")
    block = [config("c1", "small"), config("c2", "small", privateIPAddressPrefixLength=28)]
    assert cloud.refused("networkInterfaces/n", {"ipConfigurations": block}).code == "SubnetIsFull"


@pytest.mark.parametrize(
    ("version", "there"),
    [
        ("2020-06-01", set()),
        ("2021-05-01", {"vnetEncryptionSupported"}),
        ("2022-07-01", {"vnetEncryptionSupported", "disableTcpStateTracking", "allowPort25Out"}),
        (
            "2022-09-01",
            {"vnetEncryptionSupported", "disableTcpStateTracking", "allowPort25Out", "auxiliaryMode", "auxiliarySku"},
        ),
    ],
)
def test_versions_that_show_more(cloud: Ledger, version: str, there: set[str]) -> None:
    shown = cloud.put("networkInterfaces/n", nic_properties("v/s"), version=version)
    dated = {"vnetEncryptionSupported", "disableTcpStateTracking", "allowPort25Out", "auxiliaryMode", "auxiliarySku"}
    assert set(shown["properties"]) & dated == there
    assert ("kind" in shown) == ("allowPort25Out" in there)

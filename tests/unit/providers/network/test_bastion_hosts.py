import pytest

from azlan.contract.facts import IpConfig, Machine, Nic
from ledger import Ledger, network_id, nic_properties


@pytest.fixture
def cloud() -> Ledger:
    found = Ledger()
    found.vnet("v", "10.0.0.0/16")
    found.subnet("v", "AzureBastionSubnet", "10.0.1.0/26")
    found.put("publicIPAddresses/p", {"publicIPAllocationMethod": "Static"}, sku={"name": "Standard"})
    return found


def properties(subnet: str = "AzureBastionSubnet", address: str | None = "p", **more: object) -> dict:
    config: dict = {"subnet": {"id": network_id(f"virtualNetworks/v/subnets/{subnet}")}}
    if address:
        config["publicIPAddress"] = {"id": network_id(f"publicIPAddresses/{address}")}
    return {"ipConfigurations": [{"name": "IpConf", "properties": config}], **more}


def test_as_az_creates_it(cloud: Ledger) -> None:
    asked = properties(disableCopyPaste=False, enableIpConnect=False, enableTunneling=False)
    shown = cloud.put("bastionHosts/bastion", asked, sku={"name": "Standard"}, version="2022-01-01")
    dns = shown["properties"].pop("dnsName")
    assert dns.startswith("/_azlan/bst-"), "the endpoint stands before it, which a ledger has not"
    assert shown == {
        "name": "bastion",
        "id": network_id("bastionHosts/bastion"),
        "etag": shown["etag"],
        "type": "Microsoft.Network/bastionHosts",
        "location": "eastus2",
        "sku": {"name": "Standard"},
        "properties": {
            "provisioningState": "Succeeded",
            "scaleUnits": 2,
            "disableCopyPaste": False,
            "enableFileCopy": False,
            "enableIpConnect": False,
            "enableShareableLink": False,
            "enableTunneling": False,
            "ipConfigurations": [
                {
                    "name": "IpConf",
                    "id": network_id("bastionHosts/bastion/bastionHostIpConfigurations/IpConf"),
                    "etag": shown["etag"],
                    "type": "Microsoft.Network/bastionHosts/bastionHostIpConfigurations",
                    "properties": {
                        "provisioningState": "Succeeded",
                        "privateIPAllocationMethod": "Dynamic",
                        "publicIPAddress": {"id": network_id("publicIPAddresses/p")},
                        "subnet": {"id": network_id("virtualNetworks/v/subnets/AzureBastionSubnet")},
                    },
                }
            ],
        },
    }
    assert cloud.get("bastionHosts/bastion")["properties"]["dnsName"] == dns


def test_facts_are_a_machine_with_an_interface_of_its_own(cloud: Ledger) -> None:
    cloud.put("bastionHosts/Bastion", properties())
    key = network_id("bastionHosts/bastion").lower()
    nic = f"{key}/bastionhostipconfigurations/ipconf"
    mac = cloud.row("bastionHosts/bastion").state["macAddress"].replace("-", ":").lower()
    found = cloud.facts("bastionHosts/bastion")
    assert found[0] == Nic(
        nic,
        network_id("virtualNetworks/v/subnets/azurebastionsubnet").lower(),
        mac,
        (IpConfig(nic, "10.0.1.4", network_id("publicIPAddresses/p").lower()),),
        machine=key,
    )
    assert isinstance(found[1], Machine)
    assert (found[1].id, found[1].kind, found[1].nics) == (key, "bastion", (nic,))


def test_it_shares_its_subnet_with_nobodys_address(cloud: Ledger) -> None:
    cloud.nic("first", "v/AzureBastionSubnet")
    cloud.put("bastionHosts/b", properties())
    assert cloud.row("bastionHosts/b").state["ipConfigurations"]["ipconf"]["privateIPAddress"] == "10.0.1.5"
    second = cloud.nic("second", "v/AzureBastionSubnet")
    assert second["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"] == "10.0.1.6"
    error = cloud.refused("networkInterfaces/third", nic_properties("v/AzureBastionSubnet", address="10.0.1.5"))
    assert error.code == "PrivateIPAddressIsAllocated"
    assert error.message.endswith(network_id("bastionHosts/b/bastionHostIpConfigurations/IpConf") + ".")


def test_who_is_shown_in_subnet_and_public_address(cloud: Ledger) -> None:
    cloud.put("bastionHosts/b", properties())
    user = {"id": network_id("bastionHosts/b/bastionHostIpConfigurations/IpConf")}
    assert cloud.get("virtualNetworks/v/subnets/AzureBastionSubnet")["properties"]["ipConfigurations"] == [user]
    assert cloud.get("publicIPAddresses/p")["properties"]["ipConfiguration"] == user
    assert cloud.refused_delete("publicIPAddresses/p").code == "PublicIPAddressCannotBeDeleted"
    assert user["id"] in cloud.refused_delete("virtualNetworks/v").message
    cloud.delete("bastionHosts/b")
    cloud.delete("publicIPAddresses/p")
    cloud.delete("virtualNetworks/v")


def test_put_again_keeps_address_and_name(cloud: Ledger) -> None:
    first = cloud.put("bastionHosts/b", properties())
    kept = cloud.facts("bastionHosts/b")
    again = cloud.put("bastionHosts/b", first["properties"], sku={"name": "Standard"})
    assert again["properties"]["dnsName"] == first["properties"]["dnsName"]
    assert cloud.facts("bastionHosts/b") == kept


@pytest.mark.parametrize(
    ("asked", "members", "code"),
    [
        ({}, {}, "BastionHostIpConfigurationRequired"),
        (properties("ordinary"), {}, "BastionHostSubnetNameInvalid"),
        (properties(address=None), {}, "BastionHostPublicIpRequired"),
        (properties(address="dynamic"), {}, "BastionHostPublicIpSkuNotSupported"),
        (properties(address="none"), {}, "InvalidResourceReference"),
        (properties(address="west"), {}, "InvalidResourceReference"),
        (properties(), {"sku": {"name": "Developer"}}, "BastionHostSkuNotSupported"),
        (properties(), {"sku": {"name": "Huge"}}, "InvalidRequestFormat"),
        (properties(scaleUnits=1), {}, "BastionHostInvalidScaleUnits"),
    ],
)
def test_hosts_that_are_refused(cloud: Ledger, asked: dict, members: dict, code: str) -> None:
    cloud.subnet("v", "ordinary", "10.0.2.0/24")
    cloud.put("publicIPAddresses/dynamic", {"publicIPAllocationMethod": "Dynamic"})
    cloud.put(
        "publicIPAddresses/west", {"publicIPAllocationMethod": "Static"}, sku={"name": "Standard"}, location="westus"
    )
    assert cloud.refused("bastionHosts/b", asked, **members).code == code


def test_too_small_a_subnet(cloud: Ledger) -> None:
    cloud.subnet("v", "AzureBastionSubnet", "10.0.1.0/27")
    error = cloud.refused("bastionHosts/b", properties())
    assert (error.code, "/26 or larger" in error.message) == ("BastionHostSubnetTooSmall", True)


def test_one_host_a_network_and_no_moving(cloud: Ledger) -> None:
    cloud.put("bastionHosts/b", properties())
    cloud.put("publicIPAddresses/q", {"publicIPAllocationMethod": "Static"}, sku={"name": "Standard"})
    assert cloud.refused("bastionHosts/c", properties(address="q")).code == "BastionHostAlreadyExistsInSubnet"
    assert cloud.refused("bastionHosts/c", properties()).code == "PublicIPAddressInUse"
    assert cloud.refused("bastionHosts/b", properties(address="q")).code == "BastionHostIpConfigurationCannotBeChanged"


def test_private_only(cloud: Ledger) -> None:
    asked = properties(address=None, enablePrivateOnlyBastion=True)
    cloud.put("bastionHosts/b", asked, sku={"name": "Premium"})
    nic = cloud.facts("bastionHosts/b")[0]
    assert isinstance(nic, Nic)
    assert nic.ip_configs[0].public_address is None


def test_older_versions_show_no_sku(cloud: Ledger) -> None:
    cloud.put("bastionHosts/b", properties())
    assert "sku" not in cloud.get("bastionHosts/b", version="2020-06-01")
    assert cloud.get("bastionHosts/b", version="2021-02-01")["sku"] == {"name": "Basic"}

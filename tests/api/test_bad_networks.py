"""Networks, subnets, rules, addresses, interfaces and Bastion hosts that Azure refuses, by its own errors.

Exact words where azure-rest-api-specs' recordings or users of Azure show them; else the code alone.
"""

from __future__ import annotations

import pytest

from api.estate import (
    ADDRESSES,
    BASTIONS,
    GROUPS,
    LOCATION,
    NICS,
    ROUTES,
    VMS,
    VNETS,
    address,
    bastion,
    nic,
    ref,
    route,
    route_table,
    rule,
    security_group,
    subnet,
    vnet,
)
from api.refusals import Bad, check
from kit import Cloud

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEW = f"{VNETS}/new"
JOINED = "Please make sure that the referenced resource exists, and that both resources are in the same region."

SPACES = (
    Bad("overlapping prefixes", NEW, vnet("10.9.0.0/16", "10.9.4.0/24"), "NetcfgInvalidVirtualNetworkSite"),
    Bad("the same prefix twice", NEW, vnet("10.9.0.0/16", "10.9.0.0/16"), "NetcfgInvalidVirtualNetworkSite"),
    Bad(
        "host bits in a prefix",
        NEW,
        vnet("10.9.0.1/16"),
        "InvalidCIDRNotation",
        f"The address prefix 10.9.0.1/16 in resource @/{NEW} has an invalid CIDR notation. For the given prefix length, "
        "the address prefix should be 10.9.0.0/16.",
    ),
    Bad("a prefix without a length", NEW, vnet("10.9.0.0"), "InvalidAddressPrefixFormat", like="10.9.0.0"),
    Bad("a prefix that is a word", NEW, vnet("office"), "InvalidAddressPrefixFormat", like="office"),
    Bad("a length beyond 32", NEW, vnet("10.9.0.0/33"), "InvalidAddressPrefixFormat", like="10.9.0.0/33"),
    Bad("multicast", NEW, vnet("224.0.0.0/24"), "NetcfgInvalidVirtualNetworkSite"),
    Bad("loopback", NEW, vnet("127.0.0.0/16"), "NetcfgInvalidVirtualNetworkSite"),
    Bad("link-local", NEW, vnet("169.254.0.0/16"), "NetcfgInvalidVirtualNetworkSite"),
    Bad("the platform's address", NEW, vnet("168.63.129.0/24"), "NetcfgInvalidVirtualNetworkSite"),
    Bad("everything", NEW, vnet("0.0.0.0/0"), "NetcfgInvalidVirtualNetworkSite"),
    Bad("too small a network", NEW, vnet("10.9.0.0/30"), "NetcfgInvalidVirtualNetworkSite"),
    Bad("no prefix", NEW, vnet(), "NoAddressPrefixOrPoolProvided", like=f"@/{NEW}"),
    Bad("no properties", NEW, {"location": LOCATION}, "NoAddressPrefixOrPoolProvided"),
    Bad(
        "a DNS server that is a name",
        NEW,
        vnet("10.9.0.0/16", dhcpOptions={"dnsServers": ["ns1"]}),
        "InvalidIPAddressFormat",
    ),
    Bad(
        "a flow timeout out of range",
        NEW,
        vnet("10.9.0.0/16", flowTimeoutInMinutes=31),
        "FlowTimeoutInMinutesInvalid",
    ),
    Bad(
        "a space that leaves a subnet outside",
        f"{VNETS}/vnet-2",
        vnet("10.200.0.0/16", subnets={"subnet-1": "10.1.0.0/24"}),
        "NetcfgSubnetRangeOutsideVnet",
        "Subnet 'subnet-1' is not valid because its IP address range is outside the IP address range of virtual network "
        "'vnet-2'.",
    ),
)

SUBNETS = (
    Bad(
        "inline, outside its network",
        NEW,
        vnet("10.9.0.0/16", subnets={"far": "10.10.0.0/24"}),
        "NetcfgSubnetRangeOutsideVnet",
        "Subnet 'far' is not valid because its IP address range is outside the IP address range of virtual network 'new'.",
    ),
    Bad(
        "outside its network",
        f"{VNETS}/vnet-1/subnets/far",
        subnet("10.10.0.0/24"),
        "NetcfgSubnetRangeOutsideVnet",
        "Subnet 'far' is not valid because its IP address range is outside the IP address range of virtual network 'vnet-1'.",
    ),
    Bad(
        "inline, overlapping",
        NEW,
        vnet("10.9.0.0/16", subnets={"a": "10.9.0.0/24", "b": "10.9.0.128/25"}),
        "NetcfgSubnetRangesOverlap",
        "Subnet 'b' is not valid because its IP address range overlaps with that of an existing subnet in virtual network "
        "'new'.",
    ),
    Bad(
        "overlapping",
        f"{VNETS}/vnet-1/subnets/b",
        subnet("10.0.0.0/25"),
        "NetcfgSubnetRangesOverlap",
        "Subnet 'b' is not valid because its IP address range overlaps with that of an existing subnet in virtual network "
        "'vnet-1'.",
    ),
    Bad(
        "host bits",
        f"{VNETS}/vnet-1/subnets/b",
        subnet("10.0.8.1/24"),
        "InvalidCIDRNotation",
        f"The address prefix 10.0.8.1/24 in resource @/{VNETS}/vnet-1/subnets/b has an invalid CIDR notation. For the given "
        "prefix length, the address prefix should be 10.0.8.0/24.",
    ),
    Bad("smaller than /29", f"{VNETS}/vnet-1/subnets/b", subnet("10.0.8.0/30"), "NetcfgInvalidSubnet"),
    Bad("no prefix", f"{VNETS}/vnet-1/subnets/b", {"properties": {}}, "NoAddressPrefixOrPoolProvided"),
    Bad(
        "one name twice",
        NEW,
        {
            "location": LOCATION,
            "properties": {
                "addressSpace": {"addressPrefixes": ["10.9.0.0/16"]},
                "subnets": [{"name": "a", **subnet("10.9.0.0/24")}, {"name": "A", **subnet("10.9.1.0/24")}],
            },
        },
        "InvalidRequestFormat",
        detail=("DuplicateResourceName", "two child resources with the same name"),
    ),
    Bad(
        "without a name",
        NEW,
        {
            "location": LOCATION,
            "properties": {"addressSpace": {"addressPrefixes": ["10.9.0.0/16"]}, "subnets": [subnet("10.9.0.0/24")]},
        },
        "InvalidRequestFormat",
    ),
    Bad(
        "another prefix under addresses in use",
        f"{VNETS}/vnet-1/subnets/subnet-1",
        subnet("10.0.8.0/24"),
        "InUsePrefixCannotBeDeleted",
        "IpPrefix 10.0.0.0/24 on Subnet subnet-1 has active allocations and cannot be deleted.",
    ),
    Bad(
        "a security group that is not there",
        f"{VNETS}/vnet-1/subnets/b",
        subnet("10.0.8.0/24", networkSecurityGroup=ref(f"{GROUPS}/gone")),
        "InvalidResourceReference",
        f"Resource @/{GROUPS}/gone referenced by resource @/{VNETS}/vnet-1/subnets/b was not found. {JOINED}",
    ),
    Bad(
        "in a network that is not there",
        f"{VNETS}/gone/subnets/b",
        subnet("10.0.8.0/24"),
        "ParentResourceNotFound",
        "Can not perform requested operation on nested resource. Parent resource 'gone' not found.",
        status=404,
    ),
    Bad(
        "left out while in use, by an old version",
        f"{VNETS}/vnet-1",
        vnet("10.0.0.0/16"),
        "InUseSubnetCannotBeDeleted",
        api="2020-11-01",
    ),
)

RULES = (
    Bad("priority 99", f"{GROUPS}/nsg-1/securityRules/r", rule(99), "SecurityRuleInvalidPriority"),
    Bad("priority 4097", f"{GROUPS}/nsg-1/securityRules/r", rule(4097), "SecurityRuleInvalidPriority"),
    Bad(
        "a priority that is taken",
        f"{GROUPS}/nsg-1/securityRules/r",
        rule(1000),
        "SecurityRuleConflict",
        "Security rule r conflicts with rule ssh. Rules cannot have the same Priority and Direction.",
    ),
    Bad(
        "one priority twice, inline",
        f"{GROUPS}/new",
        security_group(a=rule(200), b=rule(200)),
        "SecurityRuleConflict",
    ),
    Bad(
        "an address that is none",
        f"{GROUPS}/nsg-1/securityRules/r",
        rule(sourceAddressPrefix="10.0.0.300"),
        "SecurityRuleInvalidAddressPrefix",
        "Security rule has invalid Address prefix. Value provided: 10.0.0.300",
    ),
    Bad(
        "a port beyond 65535",
        f"{GROUPS}/nsg-1/securityRules/r",
        rule(destinationPortRange="70000"),
        "SecurityRuleInvalidPortRange",
        "Security rule has invalid Port range. Value provided: 70000. Value should be an integer OR integer range with '-' "
        "delimiter. Valid range 0-65535.",
    ),
    Bad(
        "a port range backwards",
        f"{GROUPS}/nsg-1/securityRules/r",
        rule(destinationPortRange="90-80"),
        "SecurityRuleInvalidPortRange",
    ),
    Bad(
        "no direction",
        f"{GROUPS}/nsg-1/securityRules/r",
        {"properties": {k: v for k, v in rule()["properties"].items() if k != "direction"}},
        "SecurityRuleParametersMissing",
    ),
    Bad(
        "a protocol nobody knows",
        f"{GROUPS}/nsg-1/securityRules/r",
        rule(protocol="Sctp"),
        "InvalidRequestFormat",
        detail=("InvalidJson", "Sctp"),
    ),
    Bad(
        "in a group that is not there",
        f"{GROUPS}/gone/securityRules/r",
        rule(),
        "ParentResourceNotFound",
        "Can not perform requested operation on nested resource. Parent resource 'gone' not found.",
        status=404,
    ),
)

ROUTE_CASES = (
    Bad("a hop nobody knows", f"{ROUTES}/routes-1/routes/r", route("10.8.0.0/16", "Wormhole"), "InvalidRequestFormat",
        detail=("InvalidJson", "Wormhole")),
    Bad("an appliance without an address", f"{ROUTES}/routes-1/routes/r",
        route("10.8.0.0/16", "VirtualAppliance", None), "MissingNextHopIpAddress"),
    Bad("host bits", f"{ROUTES}/routes-1/routes/r", route("10.8.0.1/16"), "InvalidCIDRNotation"),
    Bad("one prefix twice", f"{ROUTES}/new", route_table(a="10.8.0.0/16", b="10.8.0.0/16"), "RouteConflict"),
    Bad("in a table that is not there", f"{ROUTES}/gone/routes/r", route("10.8.0.0/16"), "ParentResourceNotFound", status=404),
    Bad("a table of a subnet", f"{ROUTES}/routes-1", None, "InUseRouteTableCannotBeDeleted",
        "Route table routes-1 is in use and cannot be deleted.", method="DELETE"),
)  # fmt: skip

ADDRESS_CASES = (
    Bad(
        "Standard and dynamic",
        f"{ADDRESSES}/new",
        address("Standard", "Dynamic"),
        "StandardAndStandardV2SkuPublicIPAddressesMustBeStatic",
    ),
    Bad("an idle timeout of 3 minutes", f"{ADDRESSES}/new", address(idleTimeoutInMinutes=3), "InvalidIdleTimeout"),
    Bad(
        "a label that begins with a digit",
        f"{ADDRESSES}/new",
        address(dnsSettings={"domainNameLabel": "1st"}),
        "InvalidDomainNameLabel",
    ),
    Bad(
        "a SKU nobody sells",
        f"{ADDRESSES}/new",
        address("Deluxe"),
        "InvalidRequestFormat",
        detail=("InvalidJson", "Deluxe"),
    ),
    Bad("another SKU later", f"{ADDRESSES}/ip-free", address("Basic"), "PublicIPAddressSkuCannotBeChanged"),
)

INTERFACES = (
    Bad(
        "a subnet that is not there",
        f"{NICS}/new",
        nic("vnet-1/subnets/gone"),
        "InvalidResourceReference",
        f"Resource @/{VNETS}/vnet-1/subnets/gone referenced by resource @/{NICS}/new/ipConfigurations/ipconfig1 was not "
        f"found. {JOINED}",
    ),
    Bad(
        "another region than its subnet's",
        f"{NICS}/new",
        {**nic(), "location": "westeurope"},
        "InvalidResourceReference",
    ),
    Bad(
        "no IP configuration",
        f"{NICS}/new",
        {"location": LOCATION, "properties": {}},
        "NetworkInterfaceMustHaveIpConfiguration",
    ),
    Bad(
        "a public address that another has",
        f"{NICS}/new",
        nic(public="ip-1"),
        "PublicIPAddressInUse",
    ),
    Bad(
        "a static address outside its subnet",
        f"{NICS}/new",
        {
            "location": LOCATION,
            "properties": {
                "ipConfigurations": [
                    {
                        "name": "ipconfig1",
                        "properties": {
                            "subnet": ref(f"{VNETS}/vnet-1/subnets/subnet-1"),
                            "privateIPAllocationMethod": "Static",
                            "privateIPAddress": "10.0.9.9",
                        },
                    }
                ]
            },
        },
        "PrivateIPAddressNotInSubnet",
    ),
    Bad(
        "a static address that another has",
        f"{NICS}/new",
        {
            "location": LOCATION,
            "properties": {
                "ipConfigurations": [
                    {
                        "name": "ipconfig1",
                        "properties": {
                            "subnet": ref(f"{VNETS}/vnet-1/subnets/subnet-1"),
                            "privateIPAllocationMethod": "Static",
                            "privateIPAddress": "10.0.0.4",
                        },
                    }
                ]
            },
        },
        "PrivateIPAddressIsAllocated",
    ),
    Bad(
        "a reference to something else",
        f"{NICS}/new",
        {
            "location": LOCATION,
            "properties": {"ipConfigurations": [{"name": "c", "properties": {"subnet": ref(f"{VNETS}/vnet-1")}}]},
        },
        "InvalidRequestFormat",
        detail=("InvalidJsonReferenceFormat", "virtualNetworks/subnets"),
    ),
)

BASTION_CASES = (
    Bad(
        "a subnet smaller than /26",
        f"{BASTIONS}/new",
        bastion("vnet-4/subnets/AzureBastionSubnet", "ip-free"),
        "BastionHostSubnetTooSmall",
        like="/26 or larger",
    ),
    Bad(
        "a subnet of another name",
        f"{BASTIONS}/new",
        bastion("vnet-4/subnets/subnet-1", "ip-free"),
        "BastionHostSubnetNameInvalid",
        like="AzureBastionSubnet",
    ),
    Bad(
        "a Basic public address",
        f"{BASTIONS}/new",
        bastion("vnet-6/subnets/AzureBastionSubnet", "ip-basic"),
        "BastionHostPublicIpSkuNotSupported",
        like="Standard static",
    ),
    Bad(
        "no public address",
        f"{BASTIONS}/new",
        bastion("vnet-6/subnets/AzureBastionSubnet", None),
        "BastionHostPublicIpRequired",
    ),
    Bad(
        "a second one in a subnet",
        f"{BASTIONS}/new",
        bastion(public="ip-free"),
        "BastionHostAlreadyExistsInSubnet",
    ),
    Bad(
        "a public address that is not there",
        f"{BASTIONS}/new",
        bastion("vnet-6/subnets/AzureBastionSubnet", "gone"),
        "InvalidResourceReference",
    ),
)

IN_USE = (
    Bad(
        "a subnet with an interface",
        f"{VNETS}/vnet-1/subnets/subnet-1",
        None,
        "InUseSubnetCannotBeDeleted",
        f"Subnet subnet-1 is in use by @/{NICS}/nic-1/ipConfigurations/ipconfig1 and cannot be deleted. In order to delete "
        "the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet.",
        method="DELETE",
    ),
    Bad(
        "a network with an interface",
        f"{VNETS}/vnet-1",
        None,
        "InUseSubnetCannotBeDeleted",
        like=r"^Subnet (subnet-1|AzureBastionSubnet) is in use by @/\S+ and cannot be deleted\.",
        method="DELETE",
    ),
    Bad(
        "a security group of a subnet",
        f"{GROUPS}/nsg-1",
        None,
        "InUseNetworkSecurityGroupCannotBeDeleted",
        f"Network security group @/{GROUPS}/nsg-1 cannot be deleted because it is in use by the following resources: "
        f"@/{VNETS}/vnet-1/subnets/subnet-1.",
        method="DELETE",
    ),
    Bad(
        "an interface of a machine",
        f"{NICS}/nic-1",
        None,
        "NicInUse",
        f"Network Interface @/{NICS}/nic-1 is used by existing resource @/{VMS}/vm-1. In order to delete the network "
        "interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic.",
        method="DELETE",
    ),
    Bad(
        "a public address of an interface",
        f"{ADDRESSES}/ip-1",
        None,
        "PublicIPAddressCannotBeDeleted",
        f"Public IP address @/{ADDRESSES}/ip-1 can not be deleted since it is still allocated to resource "
        f"@/{NICS}/nic-1/ipConfigurations/ipconfig1. In order to delete the public IP, disassociate/detach the Public IP "
        "address from the resource.  To learn how to do this, see aka.ms/deletepublicip.",
        method="DELETE",
    ),
    Bad(
        "a public address of a Bastion host",
        f"{ADDRESSES}/ip-bastion",
        None,
        "PublicIPAddressCannotBeDeleted",
        like=f"@/{BASTIONS}/bastion/bastionHostIpConfigurations/IpConf",
        method="DELETE",
    ),
)


@pytest.mark.parametrize("bad", SPACES, ids=str)
async def test_address_spaces(estate: Cloud, bad: Bad) -> None:
    await check(estate, bad)


@pytest.mark.parametrize("bad", SUBNETS, ids=str)
async def test_subnets(estate: Cloud, bad: Bad) -> None:
    await check(estate, bad)


@pytest.mark.parametrize("bad", RULES, ids=str)
async def test_security_rules(estate: Cloud, bad: Bad) -> None:
    await check(estate, bad)


@pytest.mark.parametrize("bad", ROUTE_CASES, ids=str)
async def test_routes(estate: Cloud, bad: Bad) -> None:
    await check(estate, bad)


@pytest.mark.parametrize("bad", ADDRESS_CASES, ids=str)
async def test_public_addresses(estate: Cloud, bad: Bad) -> None:
    await check(estate, bad)


@pytest.mark.parametrize("bad", INTERFACES, ids=str)
async def test_network_interfaces(estate: Cloud, bad: Bad) -> None:
    await check(estate, bad)


@pytest.mark.parametrize("bad", BASTION_CASES, ids=str)
async def test_bastion_hosts(estate: Cloud, bad: Bad) -> None:
    await check(estate, bad)


@pytest.mark.parametrize("bad", IN_USE, ids=str)
async def test_what_is_in_use_stays(estate: Cloud, bad: Bad) -> None:
    await check(estate, bad)

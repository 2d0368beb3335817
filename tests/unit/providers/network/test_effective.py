"""Effective routes and rules in Azure's shapes, of interfaces of running machines."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azlan.base.nets import address, network
from azlan.contract.world import Tag, TagPrefix, Vnet
from azlan.providers.network.effective import expand
from unit.providers.azure import NETWORK
from unit.providers.network.watched import half, vnet, watched

NIC = f"{NETWORK}/networkInterfaces/vm-a-nic"
ROUTES = f"{NIC}/effectiveRouteTable"
RULES = f"{NIC}/effectiveNetworkSecurityGroups"


def found(routes: list[dict[str, object]], prefix: str) -> list[tuple[object, ...]]:
    """(source, state, next hop, its addresses) of each route of a prefix."""
    return [
        (route["source"], route["state"], route["nextHopType"], route["nextHopIpAddress"])
        for route in routes
        if route["addressPrefix"] == [prefix]
    ]


async def test_default_routes_and_those_of_a_peer() -> None:
    async with watched() as cloud:
        routes = (await cloud.posted(ROUTES))["value"]
        assert routes[0] == {
            "disableBgpRoutePropagation": False,
            "source": "Default",
            "state": "Active",
            "hasBgpOverride": False,
            "addressPrefix": ["10.0.0.0/16"],
            "nextHopType": "VnetLocal",
            "nextHopIpAddress": [],
            "destinationServiceTags": [],
            "tagMap": {},
        }
        assert found(routes, "10.1.0.0/16") == [("Default", "Active", "VNetPeering", [])]
        assert found(routes, "0.0.0.0/0") == [("Default", "Active", "Internet", [])]
        for prefix in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"):
            assert found(routes, prefix) == [("Default", "Active", "None", [])]


async def test_user_routes_beat_those_of_the_same_prefix() -> None:
    async with watched() as cloud:
        table = {
            "location": "eastus2",
            "properties": {
                "disableBgpRoutePropagation": True,
                "routes": [
                    {
                        "name": "out",
                        "properties": {
                            "addressPrefix": "0.0.0.0/0",
                            "nextHopType": "VirtualAppliance",
                            "nextHopIpAddress": "10.0.0.9",
                        },
                    },
                    {"name": "hole", "properties": {"addressPrefix": "10.1.0.0/16", "nextHopType": "None"}},
                ],
            },
        }
        await cloud.azure.ok("PUT", "Microsoft.Network/routeTables/t", table)
        changed = vnet("10.0.0.0/16", routeTable={"id": f"{NETWORK}/routeTables/t"})
        await cloud.azure.ok("PUT", "Microsoft.Network/virtualNetworks/v", changed)
        routes = (await cloud.posted(ROUTES))["value"]
        assert found(routes, "0.0.0.0/0") == [
            ("Default", "Invalid", "Internet", []),
            ("User", "Active", "VirtualAppliance", ["10.0.0.9"]),
        ]
        assert found(routes, "10.1.0.0/16") == [
            ("Default", "Invalid", "VNetPeering", []),
            ("User", "Active", "None", []),
        ]
        assert {route["name"] for route in routes if "name" in route} == {"out", "hole"}
        assert all(route["disableBgpRoutePropagation"] for route in routes)


async def test_rules_of_interface_and_subnet() -> None:
    async with watched() as cloud:
        rule = {
            "name": "web",
            "properties": {
                "protocol": "Tcp",
                "sourceAddressPrefix": "203.0.113.7",
                "sourcePortRange": "*",
                "destinationAddressPrefix": "*",
                "destinationPortRanges": ["80", "8000-8080"],
                "access": "Allow",
                "priority": 100,
                "direction": "Inbound",
            },
        }
        store = {
            "name": "store",
            "properties": {
                **rule["properties"],  # type: ignore[dict-item]
                "direction": "Outbound",
                "destinationAddressPrefix": "Storage.EastUS",
            },
        }
        group = {"location": "eastus2", "properties": {"securityRules": [rule, store]}}
        for name in ("g", "h"):
            await cloud.azure.ok("PUT", f"Microsoft.Network/networkSecurityGroups/{name}", group)
        nic = await cloud.azure.ok("GET", NIC)
        nic["properties"]["networkSecurityGroup"] = {"id": f"{NETWORK}/networkSecurityGroups/G"}
        await cloud.azure.ok("PUT", NIC, nic)
        changed = vnet("10.0.0.0/16", networkSecurityGroup={"id": f"{NETWORK}/networkSecurityGroups/h"})
        await cloud.azure.ok("PUT", "Microsoft.Network/virtualNetworks/v", changed)
        groups = (await cloud.posted(RULES))["value"]
        assert [entry["networkSecurityGroup"]["id"].rsplit("/", 1)[-1] for entry in groups] == ["g", "h"]
        assert groups[0]["association"] == {"networkInterface": {"id": NIC}}
        assert groups[1]["association"] == {"subnet": {"id": f"{NETWORK}/virtualNetworks/v/subnets/s"}}
        rules = {shown["name"]: shown for shown in groups[0]["effectiveSecurityRules"]}
        assert rules["securityRules/web"] == {
            "name": "securityRules/web",
            "protocol": "Tcp",
            "sourcePortRange": "0-65535",
            "sourcePortRanges": ["0-65535"],
            "sourceAddressPrefix": "203.0.113.7/32",
            "sourceAddressPrefixes": ["203.0.113.7/32"],
            "destinationPortRanges": ["80-80", "8000-8080"],
            "destinationAddressPrefix": "0.0.0.0/0",
            "destinationAddressPrefixes": ["0.0.0.0/0", "0.0.0.0/0"],
            "access": "Allow",
            "priority": 100,
            "direction": "Inbound",
        }
        assert rules["securityRules/store"]["destinationAddressPrefix"] == "Storage.EastUS"
        local = rules["defaultSecurityRules/AllowVnetInBound"]
        assert local["sourceAddressPrefix"] == "VirtualNetwork"
        assert set(local["expandedSourceAddressPrefix"]) == {"10.0.0.0/15", "168.63.129.16/32"}
        assert groups[0]["tagMap"]["AzureLoadBalancer"] == ["168.63.129.16/32", "fe80::1234:5678:9abc/128"]
        probes = rules["defaultSecurityRules/AllowAzureLoadBalancerInBound"]
        assert probes["expandedSourceAddressPrefix"] == groups[0]["tagMap"]["AzureLoadBalancer"]
        order = [(shown["direction"], shown["priority"]) for shown in groups[0]["effectiveSecurityRules"]]
        assert order == [
            *(("Inbound", priority) for priority in (100, 65000, 65001, 65500)),
            *(("Outbound", priority) for priority in (100, 65000, 65001, 65500)),
        ]


async def test_no_group_no_rules() -> None:
    async with watched() as cloud:
        assert await cloud.posted(RULES) == {"value": []}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (ROUTES, "NicMustBeAttachedToRunningVmToGetEffectiveRoutes"),
        (RULES, "NicMustBeAttachedToRunningVmToGetEffectiveSecurityGroups"),
    ],
)
async def test_only_of_a_running_machine(path: str, code: str) -> None:
    async with watched() as cloud:
        await cloud.azure.nic("free")
        status, named, message = await cloud.azure.error("POST", path.replace("vm-a-nic", "free"))
        assert (status, named) == (400, code)
        assert f"{NETWORK}/networkInterfaces/free is not attached to a running virtual machine" in str(message)
        cloud.azure.seen("vm-a", "deallocated")
        assert (await cloud.azure.error("POST", path))[:2] == (400, code)


async def test_a_peer_without_access_is_not_in_the_tag() -> None:
    async with watched() as cloud:
        path = "Microsoft.Network/virtualNetworks/v/virtualNetworkPeerings/to-w"
        await cloud.azure.ok("PUT", path, half("w", allowVirtualNetworkAccess=False))
        vnet_part = cloud.world().parts[f"vnet:{NETWORK}/virtualNetworks/v".lower()]
        assert isinstance(vnet_part, Vnet)
        assert expand(vnet_part, Tag.VIRTUAL_NETWORK) == ["10.0.0.0/16", "168.63.129.16/32"]


async def test_the_tags_of_platform_services_are_the_same_to_every_network() -> None:
    async with watched() as cloud:
        vnet_part = cloud.world().parts[f"vnet:{NETWORK}/virtualNetworks/v".lower()]
        assert isinstance(vnet_part, Vnet)
        assert expand(vnet_part, Tag.PLATFORM_DNS) == ["168.63.129.16/32"]
        assert expand(vnet_part, Tag.PLATFORM_IMDS) == ["169.254.169.254/32"]


@given(
    st.dictionaries(
        st.builds(
            lambda number, length: str(ip_network((number >> (32 - length) << (32 - length), length))),
            st.integers(0, 2**32 - 1),
            st.integers(1, 32),
        ),
        st.booleans(),
        max_size=12,
    ),
    st.booleans(),
    st.lists(st.integers(0, 2**32 - 1), max_size=20),
)
def test_expanding_agrees_with_looking_up(prefixes: dict[str, bool], everywhere: bool, numbers: list[int]) -> None:
    flags = {"0.0.0.0/0": everywhere, **prefixes}
    tags = tuple(TagPrefix(prefix, Tag.INTERNET if wanted else 0) for prefix, wanted in flags.items())
    part = Vnet(id="/v", location="eastus2", prefixes=(), tags=tags)
    expanded = [network(prefix) for prefix in expand(part, Tag.INTERNET)]
    edges = [int(edge) for text in flags for edge in (network(text).network_address, network(text).broadcast_address)]
    for number in (*numbers, *edges):
        ip = ip_address(number)
        longest = max((network(text) for text in flags if ip in network(text)), key=lambda net: net.prefixlen)
        assert any(ip in net for net in expanded) is flags[str(longest)], str(ip)


def test_a_tag_expands_to_what_its_classification_says() -> None:
    part = Vnet(
        id="/v",
        location="eastus2",
        prefixes=("10.0.0.0/8",),
        tags=(
            TagPrefix("0.0.0.0/0", Tag.INTERNET),
            TagPrefix("10.0.0.0/8", Tag.VIRTUAL_NETWORK),
            TagPrefix("10.9.0.0/16", 0),
            TagPrefix("10.9.9.0/24", Tag.VIRTUAL_NETWORK),
        ),
    )
    private = [network(prefix) for prefix in expand(part, Tag.VIRTUAL_NETWORK)]
    public = [network(prefix) for prefix in expand(part, Tag.INTERNET)]
    for text, inside, outside in (
        ("10.8.255.255", True, False),
        ("10.9.0.1", False, False),
        ("10.9.9.1", True, False),
        ("11.0.0.0", False, True),
        ("9.255.255.255", False, True),
    ):
        assert any(address(text) in prefix for prefix in private) is inside, text
        assert any(address(text) in prefix for prefix in public) is outside, text
    assert expand(part, Tag.LOAD_BALANCER) == []


async def test_application_security_groups_are_their_members() -> None:
    async with watched() as cloud:
        groups = "Microsoft.Network/applicationSecurityGroups"
        await cloud.azure.ok("PUT", f"{groups}/web", {"location": "eastus2"})
        nic = await cloud.azure.ok("GET", NIC)
        named = [{"id": f"{NETWORK}/applicationSecurityGroups/web"}]
        nic["properties"]["ipConfigurations"][0]["properties"]["applicationSecurityGroups"] = named
        nic["properties"]["networkSecurityGroup"] = {"id": f"{NETWORK}/networkSecurityGroups/g"}
        rule = {
            "protocol": "Tcp",
            "sourcePortRange": "*",
            "destinationPortRange": "80",
            "sourceAddressPrefix": "*",
            "destinationApplicationSecurityGroups": named,
            "access": "Allow",
            "priority": 100,
            "direction": "Inbound",
        }
        group = {"location": "eastus2", "properties": {"securityRules": [{"name": "web", "properties": rule}]}}
        await cloud.azure.ok("PUT", "Microsoft.Network/networkSecurityGroups/g", group)
        await cloud.azure.ok("PUT", NIC, nic)
        (entry,) = (await cloud.posted(RULES))["value"]
        assert entry["networkSecurityGroup"] == {"id": f"{NETWORK}/networkSecurityGroups/g"}
        shown = next(shown for shown in entry["effectiveSecurityRules"] if shown["name"] == "securityRules/web")
        assert (shown["destinationAddressPrefix"], shown["destinationAddressPrefixes"]) == (
            "10.0.0.4/32",
            ["10.0.0.4/32"],
        )

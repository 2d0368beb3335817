import pytest

from azlan.contract.facts import Rule, SecurityGroup
from ledger import Ledger, network_id


@pytest.fixture
def cloud() -> Ledger:
    return Ledger()


def rule(priority: int = 100, direction: str = "Inbound", **properties: object) -> dict[str, object]:
    return {
        "protocol": "Tcp",
        "sourcePortRange": "*",
        "destinationPortRange": "22",
        "sourceAddressPrefix": "*",
        "destinationAddressPrefix": "*",
        "access": "Allow",
        "priority": priority,
        "direction": direction,
        **properties,
    }


def test_default_rules_are_shown_with_every_group(cloud: Ledger) -> None:
    shown = cloud.put("networkSecurityGroups/g", version="2022-01-01")
    assert shown["properties"]["securityRules"] == []
    first = shown["properties"]["defaultSecurityRules"][0]
    assert first == {
        "name": "AllowVnetInBound",
        "id": network_id("networkSecurityGroups/g/defaultSecurityRules/AllowVnetInBound"),
        "etag": shown["etag"],
        "type": "Microsoft.Network/networkSecurityGroups/defaultSecurityRules",
        "properties": {
            "provisioningState": "Succeeded",
            "description": "Allow inbound traffic from all VMs in VNET",
            "protocol": "*",
            "sourcePortRange": "*",
            "destinationPortRange": "*",
            "sourceAddressPrefix": "VirtualNetwork",
            "destinationAddressPrefix": "VirtualNetwork",
            "access": "Allow",
            "priority": 65000,
            "direction": "Inbound",
            "sourcePortRanges": [],
            "destinationPortRanges": [],
            "sourceAddressPrefixes": [],
            "destinationAddressPrefixes": [],
        },
    }
    assert [(r["name"], r["properties"]["priority"]) for r in shown["properties"]["defaultSecurityRules"]] == [
        ("AllowVnetInBound", 65000),
        ("AllowAzureLoadBalancerInBound", 65001),
        ("DenyAllInBound", 65500),
        ("AllowVnetOutBound", 65000),
        ("AllowInternetOutBound", 65001),
        ("DenyAllOutBound", 65500),
    ]


def test_inline_and_child_rules_are_one_row(cloud: Ledger) -> None:
    cloud.put(
        "networkSecurityGroups/g", {"securityRules": [{"name": "ssh", "properties": rule()}]}, version="2015-06-15"
    )
    cloud.put("networkSecurityGroups/g/securityRules/web", rule(110, destinationPortRange="80"))
    group = cloud.get("networkSecurityGroups/g")
    assert [(r["name"], r["etag"]) for r in group["properties"]["securityRules"]] == [
        ("ssh", group["etag"]),
        ("web", group["etag"]),
    ]
    cloud.delete("networkSecurityGroups/g/securityRules/ssh")
    assert [r["name"] for r in cloud.get("networkSecurityGroups/g")["properties"]["securityRules"]] == ["web"]


def test_two_inline_rules_of_one_place(cloud: Ledger) -> None:
    rules = [{"name": name, "properties": rule(200, way)} for name, way in (("a", "inbound"), ("b", "Inbound"))]
    error = cloud.refused("networkSecurityGroups/g", {"securityRules": rules})
    assert (error.status, error.code, error.message) == (
        400,
        "SecurityRuleConflict",
        "Security rule b conflicts with rule a. Rules cannot have the same Priority and Direction.",
    )


def test_same_priority_in_the_other_direction_is_fine(cloud: Ledger) -> None:
    rules = [{"name": name, "properties": rule(200, way)} for name, way in (("a", "Inbound"), ("b", "Outbound"))]
    cloud.put("networkSecurityGroups/g", {"securityRules": rules})
    assert (
        cloud.refused("networkSecurityGroups/g/securityRules/c", rule(200, "outbound")).code == "SecurityRuleConflict"
    )


def test_users_and_deletion(cloud: Ledger) -> None:
    group = cloud.put("networkSecurityGroups/g")
    cloud.vnet("v", "10.0.0.0/16")
    subnet = cloud.subnet("v", "s", "10.0.0.0/24", networkSecurityGroup={"id": group["id"]})
    nic = cloud.nic("n", "v/s", networkSecurityGroup={"id": group["id"]})
    properties = cloud.get("networkSecurityGroups/g")["properties"]
    assert properties["networkInterfaces"] == [{"id": nic["id"]}]
    assert properties["subnets"] == [{"id": subnet["id"]}]
    error = cloud.refused_delete("networkSecurityGroups/g")
    assert (error.code, error.message) == (
        "InUseNetworkSecurityGroupCannotBeDeleted",
        f"Network security group {group['id']} cannot be deleted because it is in use by the following resources: "
        f"{subnet['id']}, {nic['id']}.",
    )


def test_facts_hold_the_default_rules(cloud: Ledger) -> None:
    rules = [
        {
            "name": "out",
            "properties": rule(300, "Outbound", access="Deny", protocol="udp", destinationPortRange="53-54"),
        },
        {
            "name": "in",
            "properties": rule(
                150,
                sourceAddressPrefix=None,
                sourceAddressPrefixes=["10.0.0.0/24", "10.9.0.1"],
                destinationPortRange=None,
                destinationPortRanges=["22", "8000-8010"],
            ),
        },
    ]
    cloud.put("networkSecurityGroups/G", {"securityRules": rules})
    (group,) = cloud.facts("networkSecurityGroups/G")
    assert isinstance(group, SecurityGroup)
    assert group.id == network_id("networkSecurityGroups/g").lower()
    assert [(r.name, r.default) for r in group.rules] == [
        ("in", False),
        ("AllowVnetInBound", True),
        ("AllowAzureLoadBalancerInBound", True),
        ("DenyAllInBound", True),
        ("out", False),
        ("AllowVnetOutBound", True),
        ("AllowInternetOutBound", True),
        ("DenyAllOutBound", True),
    ]
    any_port = ((0, 65535),)
    assert group.rules[0] == Rule(
        "in", 150, "Inbound", True, "Tcp", ("10.0.0.0/24", "10.9.0.1"), ("*",), any_port, ((22, 22), (8000, 8010))
    )
    assert group.rules[4] == Rule("out", 300, "Outbound", False, "Udp", ("*",), ("*",), any_port, ((53, 54),))


def test_put_replaces_the_rules(cloud: Ledger) -> None:
    cloud.put("networkSecurityGroups/g", {"securityRules": [{"name": "ssh", "properties": rule()}]})
    shown = cloud.put("networkSecurityGroups/g", {"flushConnection": True})
    assert (shown["properties"]["securityRules"], shown["properties"]["flushConnection"]) == ([], True)

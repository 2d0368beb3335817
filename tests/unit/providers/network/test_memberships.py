"""Members of application security groups: the same for a whole interface, and all in one virtual network."""

from typing import Any

import pytest

from azlan.base.errors import ArmError
from azlan.contract.facts import IpConfig, Nic, SecurityGroup
from ledger import Ledger, network_id


@pytest.fixture
def cloud() -> Ledger:
    """Networks v and w with a subnet s each; groups web, db, and far in another region."""
    found = Ledger()
    for vnet, space in (("v", "10.0.0.0/16"), ("w", "10.1.0.0/16")):
        found.vnet(vnet, space)
        found.subnet(vnet, "s", space.replace("/16", "/24"))
    for name in ("web", "db"):
        found.put(group(name))
    found.put(group("far"), location="westus")
    return found


def group(name: str) -> str:
    return f"applicationSecurityGroups/{name}"


def refs(*groups: str) -> list[dict[str, str]]:
    return [{"id": network_id(group(name))} for name in groups]


def config(name: str, *groups: str, vnet: str = "v") -> dict[str, Any]:
    properties = {"subnet": {"id": network_id(f"virtualNetworks/{vnet}/subnets/s")}}
    return {"name": name, "properties": properties | ({"applicationSecurityGroups": refs(*groups)} if groups else {})}


def join(cloud: Ledger, nic: str, *configs: dict[str, Any]) -> dict[str, Any]:
    return cloud.put(f"networkInterfaces/{nic}", {"ipConfigurations": list(configs)})


def rule(**ends: Any) -> dict[str, Any]:
    given = {"protocol": "*", "sourcePortRange": "*", "destinationPortRange": "*", "access": "Allow", "priority": 100}
    anywhere = {"sourceAddressPrefix": "*", "destinationAddressPrefix": "*"}
    for side in ("source", "destination"):
        if f"{side}ApplicationSecurityGroups" in ends:
            del anywhere[f"{side}AddressPrefix"]
    return given | {"direction": "Inbound"} | anywhere | ends


def code_of(error: pytest.ExceptionInfo[ArmError]) -> str:
    return error.value.code


def test_members_are_shown_and_become_facts(cloud: Ledger) -> None:
    shown = join(cloud, "n", config("c", "web", "db"))
    assert shown["properties"]["ipConfigurations"][0]["properties"]["applicationSecurityGroups"] == refs("web", "db")
    nic = cloud.facts("networkInterfaces/n")[0]
    assert isinstance(nic, Nic)
    keys = tuple(network_id(group(name)).lower() for name in ("web", "db"))
    assert nic.ip_configs == (IpConfig(f"{nic.id}/ipconfigurations/c", "10.0.0.4", None, keys),)
    cloud.put("networkSecurityGroups/g")
    cloud.put("networkSecurityGroups/g/securityRules/r", rule(sourceApplicationSecurityGroups=refs("web")))
    found = cloud.facts("networkSecurityGroups/g")[0]
    assert isinstance(found, SecurityGroup)
    assert next(rule for rule in found.rules if rule.name == "r").sources == keys[:1]


def test_every_configuration_is_in_the_same_groups(cloud: Ledger) -> None:
    join(cloud, "n", config("c", "web", "db"), config("d", "db", "web"))
    with pytest.raises(ArmError) as refused:
        join(cloud, "n", config("c", "web"), config("d"))
    assert code_of(refused) == "AllIpConfigurationsOnANicMustBelongToTheSameApplicationSecurityGroups"
    assert f"{network_id('networkInterfaces/n')}/ipConfigurations/d references ASG(s) ." in refused.value.message


def test_all_members_are_of_the_first_ones_network(cloud: Ledger) -> None:
    join(cloud, "n", config("c", "web"))
    join(cloud, "m", config("c", "web"))
    with pytest.raises(ArmError) as refused:
        join(cloud, "k", config("c", "web", vnet="w"))
    assert code_of(refused) == "ApplicationSecurityGroupMembersMustBeFromSameVnet"
    cloud.delete("networkInterfaces/m")
    join(cloud, "n", config("c", "web", vnet="w"))  # the only one takes the group with it
    join(cloud, "k", config("c", "web", vnet="w"))


def test_groups_of_another_region_are_not_found(cloud: Ledger) -> None:
    with pytest.raises(ArmError, match="same region") as refused:
        join(cloud, "n", config("c", "far"))
    assert code_of(refused) == "InvalidResourceReference"
    cloud.put("networkSecurityGroups/g")
    with pytest.raises(ArmError, match="same region"):
        cloud.put("networkSecurityGroups/g/securityRules/r", rule(sourceApplicationSecurityGroups=refs("far")))


def test_a_rule_names_groups_of_one_network(cloud: Ledger) -> None:
    join(cloud, "n", config("c", "web"))
    join(cloud, "k", config("c", "db", vnet="w"))
    cloud.put("networkSecurityGroups/g")
    both = rule(
        sourceApplicationSecurityGroups=refs("web"),
        destinationApplicationSecurityGroups=refs("db"),
    )
    with pytest.raises(ArmError) as refused:
        cloud.put("networkSecurityGroups/g/securityRules/r", both)
    assert (code_of(refused), refused.value.message) == (
        "AllApplicationSecurityGroupsInSecurityRuleMustBeFromSameVnet",
        f"Security Rule {network_id('networkSecurityGroups/g/securityRules/r')} has Application Security Groups (ASGs) from "
        f"multiple virtual networks ({network_id('virtualNetworks/v')}, {network_id('virtualNetworks/w')}). All ASGs on the "
        "Security Rule must be from the same virtual network.",
    )
    with pytest.raises(ArmError, match="multiple virtual networks"):
        cloud.put("networkSecurityGroups/h", {"securityRules": [{"name": "r", "properties": both}]})
    cloud.delete("networkInterfaces/k")
    cloud.put("networkSecurityGroups/g/securityRules/r", both)


def test_who_joins_does_not_make_a_rule_span_networks(cloud: Ledger) -> None:
    join(cloud, "n", config("c", "web"))
    both = rule(sourceApplicationSecurityGroups=refs("web"), destinationApplicationSecurityGroups=refs("db"))
    cloud.put("networkSecurityGroups/g", {"securityRules": [{"name": "r", "properties": both}]})
    with pytest.raises(ArmError) as refused:
        join(cloud, "k", config("c", "db", vnet="w"))
    assert code_of(refused) == "AllApplicationSecurityGroupsInSecurityRuleMustBeFromSameVnet"
    join(cloud, "k", config("c", "db"))


def test_a_rule_names_ten_groups_on_a_side(cloud: Ledger) -> None:
    names = [f"g{number}" for number in range(11)]
    for name in names:
        cloud.put(group(name))
    cloud.put("networkSecurityGroups/g")
    path = "networkSecurityGroups/g/securityRules/r"
    cloud.put(path, rule(sourceApplicationSecurityGroups=refs(*names[:10])))
    error = cloud.refused(path, rule(sourceApplicationSecurityGroups=refs(*names)))
    assert (error.code, error.message) == (
        "NumberOfApplicationSecurityGroupsReferencedInSecurityRuleLimitReached",
        "A security rule may have up to 10 Application Security Group in the source or destination fields. The requested "
        "configuration has 11 in the SourceApplicationSecurityGroups field.",
    )


@pytest.mark.parametrize(
    "addresses", [{"destinationAddressPrefix": "*"}, {"destinationAddressPrefixes": ["10.0.0.0/8"]}]
)
def test_groups_stand_in_place_of_addresses(cloud: Ledger, addresses: dict[str, Any]) -> None:
    cloud.put("networkSecurityGroups/g")
    path = "networkSecurityGroups/g/securityRules/r"
    error = cloud.refused(path, rule(destinationApplicationSecurityGroups=refs("web"), **addresses))
    assert error.message == (
        f"Security rule with Id {network_id(path)} must specify a non empty value for exactly one of: "
        "DestinationAddressPrefixes, DestinationAddressPrefix, DestinationApplicationSecurityGroups."
    )

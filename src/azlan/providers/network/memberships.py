"""Which virtual network an application security group is of, and what that forbids.

Follows application-security-groups: all members of a group are in the virtual network of its first one, and so are
those of all groups that a security rule names. A group without members is of no network yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from azlan.arm.resource import Json, Read, Write
from azlan.base.ids import ResourceId, key_of
from azlan.providers.network.shapes import (
    NIC,
    SECURITY_GROUP,
    invalid,
    ip_configuration_id,
    items,
    same_region,
)

GROUPS = "applicationSecurityGroups"
GROUPS_A_RULE = 10
"""On one side of a rule, as Terraform's provider found."""


def vnet_of(read: Read, group: str, *, but: str | None = None) -> str | None:
    """Id of the virtual network of a group's members, without the interface with key `but`; None where there are none."""
    for row, _ in read.referrers(key_of(group), NIC):
        if row.key != but:
            return _vnet_around(items(row.properties, "ipConfigurations")[0])
    return None


def _vnet_around(config: Json) -> str:
    """Id of the virtual network of an IP configuration's subnet, which need not exist."""
    return str(config["properties"]["subnet"]["id"]).rsplit("/", 2)[0]


def check_interface(write: Write, configs: list[Json]) -> None:
    """Check the groups of an interface's IP configurations: the same for each, of its region and virtual network."""
    named = [_ids(config["properties"], GROUPS) for config in configs]
    first = configs[0]["name"]
    for config, groups in zip(configs, named, strict=True):
        if {key_of(group) for group in groups} != {key_of(group) for group in named[0]}:
            raise invalid(
                "AllIpConfigurationsOnANicMustBelongToTheSameApplicationSecurityGroups",
                "All IPConfigurations on a Network Interface should reference the same set of Application Security Groups. "
                f"IPConfiguration {ip_configuration_id(write.id, first)} references ASG(s) {','.join(named[0])}, wheras "
                f"IPConfiguration {ip_configuration_id(write.id, config['name'])} references ASG(s) {','.join(groups)}.",
            )
    mine = _vnet_around(configs[0])
    for group in named[0]:
        same_region(write, group, write.location)
        theirs = vnet_of(write, group, but=write.id.key)
        if theirs is not None and key_of(theirs) != key_of(mine):
            raise invalid(
                "ApplicationSecurityGroupMembersMustBeFromSameVnet",
                f"IPConfiguration {ip_configuration_id(write.id, first)} of virtual network {mine} cannot reference "
                f"Application Security Group {group}, whose members are of virtual network {theirs}. All members of an "
                "Application Security Group must be from the same virtual network.",
            )
        _check_rules_about(write, group, mine)


def _check_rules_about(write: Write, group: str, mine: str) -> None:
    """Whether a rule that names the group also names one of another virtual network."""
    for row, path in write.referrers(key_of(group), SECURITY_GROUP):
        rule = row.element_id(path)
        for held in items(row.properties, "securityRules"):
            if str(held["name"]).lower() == rule.name.lower():
                _check_one_vnet(write, rule, held["properties"], {key_of(group): mine}, but=write.id.key)


def check_rule(write: Write) -> None:
    """Check the groups that a security rule names: how many, of its region, all of one virtual network."""
    for side in ("source", "destination"):
        groups = _ids(write.properties, _member(side))
        if len(groups) > GROUPS_A_RULE:
            raise invalid(
                "NumberOfApplicationSecurityGroupsReferencedInSecurityRuleLimitReached",
                f"A security rule may have up to {GROUPS_A_RULE} Application Security Group in the source or destination "
                f"fields. The requested configuration has {len(groups)} in the {side.capitalize()}A{GROUPS[1:]} field.",
            )
        for group in groups:
            same_region(write, group, write.location)
    _check_one_vnet(write, write.id, write.properties, {})


def _check_one_vnet(
    read: Read, rule: ResourceId, properties: Mapping[str, Any], known: Mapping[str, str], but: str | None = None
) -> None:
    """`known`: groups whose virtual network is about to be another than the stored interfaces say."""
    found: dict[str, str] = {}
    for group in (*_ids(properties, _member("source")), *_ids(properties, _member("destination"))):
        vnet = known.get(key_of(group)) or vnet_of(read, group, but=but)
        if vnet is not None:
            found[key_of(vnet)] = vnet
    if len(found) > 1:
        raise invalid(
            "AllApplicationSecurityGroupsInSecurityRuleMustBeFromSameVnet",
            f"Security Rule {rule} has Application Security Groups (ASGs) from multiple virtual networks "
            f"({', '.join(found.values())}). All ASGs on the Security Rule must be from the same virtual network.",
        )


def _member(side: str) -> str:
    return f"{side}A{GROUPS[1:]}"


def _ids(properties: Mapping[str, Any], name: str) -> list[str]:
    references: Iterable[Json] = items(properties, name)
    return [str(reference["id"]) for reference in references if reference.get("id")]

"""Microsoft.Network/networkSecurityGroups/securityRules, kept in their group's row.

Follows the specification's networkSecurityGroup.json and network-security-groups-overview.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from azlan.arm.resource import Reference, ResourceType, View, Write
from azlan.providers.network import memberships, rules
from azlan.providers.network.shapes import (
    API_VERSIONS,
    APPLICATION_GROUP,
    SECURITY_GROUP,
    Item,
    Ref,
    Shape,
    fold,
    invalid,
    items,
    settle,
)

RULES_A_GROUP = 1000


class SecurityRulePropertiesFormat(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset({"provisioningState"})
    description: str | None = None
    protocol: (
        Annotated[
            Literal["Tcp", "Udp", "Icmp", "Esp", "*", "Ah"],
            fold("Tcp", "Udp", "Icmp", "Esp", "*", "Ah"),
        ]
        | None
    ) = None
    sourcePortRange: str | None = None
    destinationPortRange: str | None = None
    sourceAddressPrefix: str | None = None
    sourceAddressPrefixes: list[str] | None = None
    sourceApplicationSecurityGroups: list[Ref] | None = None
    destinationAddressPrefix: str | None = None
    destinationAddressPrefixes: list[str] | None = None
    destinationApplicationSecurityGroups: list[Ref] | None = None
    sourcePortRanges: list[str] | None = None
    destinationPortRanges: list[str] | None = None
    access: Annotated[Literal["Allow", "Deny"], fold("Allow", "Deny")] | None = None
    priority: int | None = None
    direction: Annotated[Literal["Inbound", "Outbound"], fold("Inbound", "Outbound")] | None = None
    provisioningState: Any = None


class SecurityRule(Item):
    properties: SecurityRulePropertiesFormat | None = None


def accept(write: Write) -> None:
    assert write.parent is not None
    settle(write, SecurityRule)
    properties = write.properties
    rules.check(write.id, properties)
    memberships.check_rule(write)
    siblings = items(write.parent.properties, rules.COLLECTION)
    if len(siblings) > RULES_A_GROUP:
        raise invalid(
            "SecurityRuleCountLimitReached",
            f"Cannot create more than {RULES_A_GROUP} security rules for network security group {write.parent.id}.",
        )
    if write.addressed:
        for other in siblings:
            same = str(other["name"]).lower() == write.id.name.lower()
            if not same and rules.place(other.get("properties") or {}) == rules.place(properties):
                raise rules.conflict(write.id.name, other["name"])


def view(view: View) -> None:
    for name in rules.ARRAYS:
        view.properties.setdefault(name, [])


RESOURCE = ResourceType(
    type=f"{SECURITY_GROUP}/{rules.COLLECTION}",
    api_versions=API_VERSIONS,
    model=SecurityRule,
    parent=SECURITY_GROUP,
    inline=rules.COLLECTION,
    location="none",
    tags=False,
    references=tuple(
        Reference(
            f"properties.{side}ApplicationSecurityGroups[].id",
            (APPLICATION_GROUP,),
            permission="Microsoft.Network/applicationSecurityGroups/joinNetworkSecurityRule/action",
        )
        for side in ("source", "destination")
    ),
    accept=accept,
    view=view,
    display={"singular": "security rule", "plural": "security rules"},
)

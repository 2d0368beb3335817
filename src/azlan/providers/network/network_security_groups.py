"""Microsoft.Network/networkSecurityGroups: the row that holds security rules; the default rules are part of every one.

Follows the specification's networkSecurityGroup.json and recordings of az's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from azlan.arm.resource import Read, ResourceType, Row, View, Write
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.contract.facts import Fact, SecurityGroup
from azlan.providers.network import rules
from azlan.providers.network.shapes import (
    API_VERSIONS,
    NIC,
    SECURITY_GROUP,
    VNET,
    Document,
    Shape,
    invalid,
    items,
    referring,
    resource_guid,
    settle,
)


class NetworkSecurityGroupPropertiesFormat(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset(
        {"defaultSecurityRules", "networkInterfaces", "subnets", "flowLogs", "resourceGuid", "provisioningState"}
    )
    flushConnection: bool | None = None
    securityRules: list[Any] | None = None
    defaultSecurityRules: Any = None
    networkInterfaces: Any = None
    subnets: Any = None
    flowLogs: Any = None
    resourceGuid: Any = None
    provisioningState: Any = None


class NetworkSecurityGroup(Document):
    properties: NetworkSecurityGroupPropertiesFormat | None = None


def accept(write: Write) -> None:
    settle(write, NetworkSecurityGroup, children=(rules.COLLECTION,))
    resource_guid(write)
    taken: dict[tuple[str, str], str] = {}
    for rule in items(write.properties, rules.COLLECTION):
        place = rules.place(rule.get("properties") or {})
        if place in taken:
            raise rules.conflict(rule["name"], taken[place])
        taken[place] = rule["name"]


def view(view: View) -> None:
    properties = view.properties
    properties["resourceGuid"] = view.state["resourceGuid"]
    properties.setdefault(rules.COLLECTION, [])
    properties["defaultSecurityRules"] = rules.default_rules(
        view.id, view.doc.get("etag", ""), properties.get("provisioningState", "Succeeded")
    )
    for name, type in (("networkInterfaces", NIC), ("subnets", VNET)):
        users = dict.fromkeys(
            (str(row.id) if type == NIC else referring(row, path)) for row, path in view.referrers(view.id.key, type)
        )
        if users:
            properties[name] = [{"id": user} for user in users]


def facts(row: Row, _read: Read) -> Iterable[Fact]:
    found = [rules.fact(rule["name"], rule["properties"]) for rule in items(row.properties, rules.COLLECTION)]
    found += [rules.fact(rule["name"], rule["properties"], default=True) for rule in rules.DEFAULT_RULES]
    yield SecurityGroup(row.key, tuple(sorted(found, key=lambda rule: (rule.direction, rule.priority))))


def in_use(id: ResourceId, referrers: list[tuple[Row, str]], _read: Read) -> ArmError:
    users = dict.fromkeys(str(row.id) if row.type == NIC else referring(row, path) for row, path in referrers)
    return invalid(
        "InUseNetworkSecurityGroupCannotBeDeleted",
        f"Network security group {id} cannot be deleted because it is in use by the following resources: {', '.join(users)}.",
    )


RESOURCE = ResourceType(
    type=SECURITY_GROUP,
    api_versions=API_VERSIONS,
    model=NetworkSecurityGroup,
    read_only=(
        "properties.resourceGuid",
        "properties.defaultSecurityRules",
        "properties.networkInterfaces",
        "properties.subnets",
        "properties.flowLogs",
    ),
    accept=accept,
    facts=facts,
    view=view,
    in_use=in_use,
    elements=("defaultSecurityRules",),
    display={"singular": "network security group", "plural": "network security groups"},
)

"""Microsoft.Network/applicationSecurityGroups: a name that IP configurations carry and security rules use.

Follows the specification's applicationSecurityGroup.json, application-security-groups and recordings of az's. Who its
members are is what the network interfaces say (`memberships.py`); the group itself holds nothing.
"""

from __future__ import annotations

from typing import Any, ClassVar

from azlan.arm.resource import Read, ResourceType, Row, Write
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.providers.network.shapes import (
    API_VERSIONS,
    APPLICATION_GROUP,
    NIC,
    Document,
    Shape,
    invalid,
    settle,
)

SINCE = "2017-09-01"
"""The first api-version of the specification that has the type."""


class ApplicationSecurityGroupPropertiesFormat(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset({"resourceGuid", "provisioningState"})
    resourceGuid: Any = None
    provisioningState: Any = None


class ApplicationSecurityGroup(Document):
    properties: ApplicationSecurityGroupPropertiesFormat | None = None


def accept(write: Write) -> None:
    settle(write, ApplicationSecurityGroup)


def in_use(id: ResourceId, referrers: list[tuple[Row, str]], _read: Read) -> ArmError:
    members = dict.fromkeys(row.element_id(path).name for row, path in referrers if row.type == NIC)
    rules = dict.fromkeys(row.element_id(path).name for row, path in referrers if row.type != NIC)
    what = f"IpConfiguration(s) {', '.join(members)}" if members else f"SecurityRule(s) {', '.join(rules)}"
    return invalid(  # the words for IP configurations are users'
        "InUseApplicationSecurityGroupCannotBeDeleted",
        f"Application Security Group {id.name} cannot be deleted because it is referenced by {what}.",
    )


RESOURCE = ResourceType(
    type=APPLICATION_GROUP,
    api_versions=tuple(version for version in API_VERSIONS if version >= SINCE),
    model=ApplicationSecurityGroup,
    read_only=("properties.resourceGuid",),
    accept=accept,
    in_use=in_use,
    display={"singular": "application security group", "plural": "application security groups"},
)

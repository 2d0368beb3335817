"""Microsoft.Network/networkSecurityGroups/defaultSecurityRules: read-only children, there with every group.

Nothing is stored of them, so they are routes and no resource type. Follows the specification's
networkSecurityGroup.json (DefaultSecurityRules_List and _Get).
"""

from __future__ import annotations

from azlan.arm.resource import Json, Route, RouteContext
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.providers.network import rules
from azlan.providers.network.shapes import SECURITY_GROUP

PERMISSION = f"{SECURITY_GROUP}/defaultSecurityRules/read"
_GROUP = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/networkSecurityGroups/{name}"


def _shown(context: RouteContext) -> list[Json]:
    params = context.params
    id = ResourceId(
        params["subscription"], params["group"], "Microsoft.Network", ("networkSecurityGroups",), (params["name"],)
    )
    row = context.get(id.key)
    if row is None:
        raise ArmError(
            404,
            "ResourceNotFound",
            f"The Resource '{SECURITY_GROUP}/{id.name}' under resource group '{id.group}' was not found. For more details "
            "please go to https://aka.ms/ARMResourceNotFoundFix",
        )
    return rules.default_rules(row.id, row.etag, row.provisioning)


async def list_rules(context: RouteContext) -> Json:
    return {"value": _shown(context)}


async def get_rule(context: RouteContext) -> Json:
    wanted = context.params["rule"].lower()
    for rule in _shown(context):
        if str(rule["name"]).lower() == wanted:
            return rule
    raise ArmError(404, "NotFound", f"Resource {wanted} not found.")


ROUTES = (
    Route("GET", f"{_GROUP}/defaultSecurityRules", list_rules, PERMISSION),
    Route("GET", f"{_GROUP}/defaultSecurityRules/{{rule}}", get_rule, PERMISSION),
)

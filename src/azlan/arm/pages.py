"""ARM's own pages: tenants, subscriptions, locations, resource providers (azure-rest-api-specs,
resources/resource-manager/Microsoft.Resources, subscriptions 2022-12-01 and resources 2024-11-01).
"""

from __future__ import annotations

from azlan.arm.core import Core, unknown_type
from azlan.arm.locations import LOCATIONS
from azlan.arm.resource import Json, Principal, ResourceType
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId


def tenants(core: Core) -> Json:
    tenant = core.tenant
    return {
        "value": [
            {
                "id": f"/tenants/{tenant.id}",
                "tenantId": tenant.id,
                "displayName": tenant.name,
                "defaultDomain": tenant.domain,
                "tenantCategory": "Home",
                "domains": [tenant.domain],
                "countryCode": "US",
                "tenantType": "AAD",
            }
        ]
    }


def subscriptions(core: Core, principal: Principal) -> Json:
    """The subscriptions in which the principal holds any role."""
    value = [
        subscription(core, found.id)
        for found in core.subscriptions.values()
        if core.principal_sees(principal, f"/subscriptions/{found.id}")
    ]
    return {"value": value, "count": {"type": "Total", "value": len(value)}}


def subscription(core: Core, id: str) -> Json:
    found = core.subscriptions[id.lower()]
    return {
        "id": f"/subscriptions/{found.id}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": found.id,
        "tenantId": core.tenant.id,
        "displayName": found.name,
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    }


def locations(core: Core, id: str) -> Json:
    return {"value": [location.document(core.subscriptions[id.lower()].id) for location in LOCATIONS]}


def providers(core: Core, scope: ResourceId | None) -> Json:
    """All namespaces, generated from the registry."""
    return {"value": [provider(core, scope, namespace) for namespace in core.registry.namespaces()]}


def provider(core: Core, scope: ResourceId | None, name: str) -> Json:
    """One namespace with its types. Raises ArmError for one that is not served."""
    for namespace, types in core.registry.namespaces().items():
        if namespace.lower() == name.lower():
            document: Json = {"namespace": namespace}
            if scope is not None:
                document["id"] = f"/subscriptions/{scope.subscription}/providers/{namespace}"
                document["registrationState"] = "Registered"
                document["registrationPolicy"] = "RegistrationRequired"
            newest = sorted({version for declared in types for version in declared.api_versions}, reverse=True)
            document["resourceTypes"] = [
                *(_resource_type(declared) for declared in types),
                *(
                    {"resourceType": path, "locations": [], "apiVersions": newest, "capabilities": "None"}
                    for path in ("locations", "locations/operations", "locations/operationResults", "operations")
                ),
            ]
            return document
    raise unknown_type(core.registry, ResourceId("", None, name))


def _resource_type(declared: ResourceType) -> Json:
    tracked = declared.location != "none"
    capabilities = ["CrossResourceGroupResourceMove", "CrossSubscriptionResourceMove"] if tracked else []
    if tracked and declared.tags:
        capabilities.append("SupportsTags")
    if tracked:
        capabilities.append("SupportsLocation")
    return {
        "resourceType": declared.type.split("/", 1)[1],
        "locations": [location.display for location in LOCATIONS] if tracked else [],
        "apiVersions": list(declared.api_versions),
        "defaultApiVersion": declared.api_versions[0] if declared.api_versions else "",
        "capabilities": ", ".join(capabilities) or "None",
    }


def check_subscription(core: Core, id: str) -> None:
    """Raises ArmError for a subscription that is not served."""
    if id.lower() in core.subscriptions:
        return
    shape = id.replace("-", "")
    if len(id) != 36 or len(shape) != 32 or any(letter not in "0123456789abcdef" for letter in shape.lower()):
        raise ArmError(
            400,
            "InvalidSubscriptionId",
            f"The provided subscription identifier '{id}' is malformed or invalid.",
        )
    raise ArmError(404, "SubscriptionNotFound", f"The subscription '{id}' could not be found.")

"""Every call that the API answers, worked out from the declarations: what is asked, by which action, and where.

A type or route that is added comes along by itself; one that needs an example here fails by a KeyError until it has one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from api.estate import (
    ADDRESSES,
    ASGS,
    ASSIGNMENTS,
    BASTIONS,
    DEFINITIONS,
    DEPLOYMENTS,
    DISKS,
    ESTATE,
    GROUPS,
    NICS,
    READER,
    ROUTES,
    VMS,
    VNETS,
    deployment,
    rule,
)
from azlan.arm.authorization import action_prefix
from azlan.arm.registry import GROUP_TYPE, CompiledRoute, Registry
from azlan.arm.resource import ResourceType
from client import ArmClient

WATCHERS = "Microsoft.Network/networkWatchers"
GUID = "5f2c1c1e-0c65-4f0c-8f0c-0d5a3a1a7a01"
ROLE = "5f2c1c1e-0c65-4f0c-8f0c-0d5a3a1a7a02"

EXAMPLES = {
    VNETS: f"{VNETS}/vnet-1",
    f"{VNETS}/subnets": f"{VNETS}/vnet-1/subnets/routed",
    f"{VNETS}/virtualNetworkPeerings": f"{VNETS}/vnet-1/virtualNetworkPeerings/to-2",
    GROUPS: f"{GROUPS}/nsg-1",
    f"{GROUPS}/securityRules": f"{GROUPS}/nsg-1/securityRules/ssh",
    ASGS: f"{ASGS}/asg-1",
    ROUTES: f"{ROUTES}/routes-1",
    f"{ROUTES}/routes": f"{ROUTES}/routes-1/routes/default",
    NICS: f"{NICS}/nic-1",
    ADDRESSES: f"{ADDRESSES}/ip-1",
    BASTIONS: f"{BASTIONS}/bastion",
    VMS: f"{VMS}/vm-1",
    WATCHERS: f"{WATCHERS}/watcher",
    DISKS: f"{DISKS}/disk-free",
    DEPLOYMENTS: f"{DEPLOYMENTS}/deployed",
    ASSIGNMENTS: f"{ASSIGNMENTS}/{GUID}",
    DEFINITIONS: f"@sub/providers/{DEFINITIONS}/{ROLE}",
    GROUP_TYPE: "",
}
"""Type → one that is there: a path of the estate, or of MORE."""

MORE: tuple[tuple[str, dict[str, Any]], ...] = (
    (f"{GROUPS}/nsg-1/securityRules/ssh", rule(1000)),
    (f"{DEPLOYMENTS}/deployed", deployment()),
    # One a region: that of the estate came with its networks, in a group of its own.
    (f"{WATCHERS}/watcher", {"location": "westeurope", "properties": {}}),
    (
        f"@sub/providers/{DEFINITIONS}/{ROLE}",
        {"properties": {"roleName": "spare", "permissions": [{"actions": []}], "assignableScopes": ["@sub"]}},
    ),
    (
        f"{ASSIGNMENTS}/{GUID}",
        {"properties": {"roleDefinitionId": READER, "principalId": GUID, "principalType": "User"}},
    ),
)
"""What is made beside the estate, so that there is one of every type."""

LISTED_BY_ROUTES = (ASSIGNMENTS, DEFINITIONS)

PARAMETERS = {
    "group": "test-rg",
    "location": "eastus2",
    "namespace": "Microsoft.Network",
    "type": "virtualNetworks",
    "resource": "vnet-1",
    "childtype": "subnets",
    "child": "routed",
    "role": READER,
    "rule": "AllowVnetInBound",
    "publisher": "Canonical",
    "offer": "0001-com-ubuntu-server-jammy",
    "sku": "22_04-lts-gen2",
    "version": "latest",
    "gallery": "none",
    "operation": "none",
}
"""Values for the parameters of provider routes; `{name}` is that of the example of the type before it."""


@dataclass(frozen=True)
class Asked:
    """One kind of call. `action` None: any role of the subscription lets it through, or none is needed (`public`)."""

    what: str
    """`Microsoft.Network/virtualNetworks PUT`, `… POST start`, or the path of a route: what coverage is counted by."""
    method: str
    path: str
    """Absolute."""
    action: str | None
    scope: str
    """Where the action must be held: an id."""
    declared: ResourceType | None = field(default=None, compare=False)
    harmless: bool = False
    """Changes nothing when it is allowed."""
    public: bool = False
    """Answers whoever is in the tenant, with or without a role."""


def absolute(arm: ArmClient, path: str) -> str:
    return path.replace("@sub", f"/subscriptions/{arm.subscription}") if path.startswith("@sub") else arm.id(path)


def filled(arm: ArmClient, value: Any) -> Any:
    """JSON with `@sub` and `@/` made absolute."""
    if isinstance(value, str):
        return value.replace("@sub", f"/subscriptions/{arm.subscription}").replace("@/", f"{arm.id('')}/providers/")
    if isinstance(value, list):
        return [filled(arm, item) for item in value]
    return {name: filled(arm, item) for name, item in value.items()} if isinstance(value, dict) else value


def derived(registry: Registry) -> set[str]:
    """The `what` of every call that the declarations make possible: the other half of the coverage check."""
    found = set()
    for declared in registry.types.values():
        verbs = ["GET", "HEAD", "PUT", "PATCH", "DELETE"]
        if declared.type not in LISTED_BY_ROUTES:
            verbs.append("list")
        found |= {f"{declared.type} {verb}" for verb in verbs}
        found |= {f"{declared.type} {action.method} {name}" for name, action in declared.actions.items()}
        found |= {f"{declared.type} GET {name}" for name in declared.elements}
    return found | {f"{compiled.route.method} {compiled.route.path}" for compiled in registry.routes}


def surface(registry: Registry, arm: ArmClient) -> list[Asked]:
    """Every call, on an example that is there."""
    found: list[Asked] = []
    for declared in registry.types.values():
        found += _of_type(registry, declared, arm)
    found += [_of_route(compiled, arm) for compiled in registry.routes]
    return found + list(_pages(registry, arm))


def _of_type(registry: Registry, declared: ResourceType, arm: ArmClient) -> Iterable[Asked]:
    path, prefix = absolute(arm, EXAMPLES[declared.type]), action_prefix(declared)
    for method, verb in (("GET", "read"), ("HEAD", "read"), ("PUT", "write"), ("PATCH", "write"), ("DELETE", "delete")):
        yield Asked(
            f"{declared.type} {method}", method, path, f"{prefix}/{verb}", path, declared, harmless=verb == "read"
        )
    for name, action in declared.actions.items():
        default = f"{prefix}/{name}/action" if action.method == "POST" else f"{prefix}/read"
        what = f"{declared.type} {action.method} {name}"
        harmless = action.method == "GET"
        yield Asked(what, action.method, f"{path}/{name}", action.permission or default, path, declared, harmless)
    for name in declared.elements:
        right = f"{prefix}/{name}/read"
        yield Asked(f"{declared.type} GET {name}", "GET", f"{path}/{name}", right, path, declared, harmless=True)
    for collection, scope in _collections(declared, path, arm):
        # Whoever may read no group is shown none of them; all other lists are refused where nothing may be read.
        action = None if declared.type == GROUP_TYPE else f"{prefix}/read"
        listed = declared.type == GROUP_TYPE
        yield Asked(f"{declared.type} list", "GET", collection, action, scope, declared, harmless=True, public=listed)


def _collections(declared: ResourceType, path: str, arm: ArmClient) -> Iterable[tuple[str, str]]:
    """(path of a list, its scope)."""
    subscription = f"/subscriptions/{arm.subscription}"
    if declared.type == GROUP_TYPE:
        yield f"{subscription}/resourcegroups", subscription
    elif declared.parent is not None:
        yield path.rpartition("/")[0], path.rsplit("/", 2)[0]
    elif declared.type not in LISTED_BY_ROUTES:
        yield f"{arm.id('')}/providers/{declared.type}", arm.id("")
        yield f"{subscription}/providers/{declared.type}", subscription


def _of_route(compiled: CompiledRoute, arm: ArmClient) -> Asked:
    route = compiled.route
    values = {**PARAMETERS, "subscription": arm.subscription, "name": _name_before(route.path)}
    path = re.sub(r"\{(\w+)\}", lambda match: values[match[1]], route.path)
    segments = path.split("/")
    last = max((n for n, part in enumerate(segments) if part == "providers"), default=3)
    scope = "/".join(segments[:last])
    what = f"{route.method} {route.path}"
    return Asked(what, route.method, path, route.permission, scope, harmless=True, public=route.tenant_level)


def _name_before(path: str) -> str:
    """The name of the example of the type that `{name}` follows."""
    kind = path.partition("/{name}")[0].rpartition("/")[2]
    return next((ex.rpartition("/")[2] for type, ex in EXAMPLES.items() if type.endswith(f"/{kind}")), "")


def _pages(registry: Registry, arm: ArmClient) -> Iterable[Asked]:
    """The paths that are no type's: ARM's own."""
    subscription = f"/subscriptions/{arm.subscription}"
    for path in ("/tenants", "/subscriptions", "/providers"):
        yield Asked(f"page {path}", "GET", path, None, "", harmless=True, public=True)
    for path in ("", "/locations", "/resources", "/providers", "/operationresults/none"):
        yield Asked(f"page @sub{path}", "GET", subscription + path, None, subscription, harmless=True)
    yield Asked("page @group/resources", "GET", f"{arm.id('')}/resources", None, arm.id(""), harmless=True)
    for namespace in registry.namespaces():
        place = f"{subscription}/providers/{namespace}"
        yield Asked(f"page {namespace}", "GET", place, None, subscription, harmless=True)
        register = f"{namespace}/register/action"
        yield Asked(f"page {namespace}/register", "POST", f"{place}/register", register, subscription, harmless=True)
        for page in ("operations", "operationResults", "operationStatuses"):
            at = f"{place}/locations/eastus2/{page}/none"
            yield Asked(f"page {namespace} {page}", "GET", at, None, subscription, harmless=True)


_PLACES = {path for path, _ in (*ESTATE, *MORE)}
assert all(not path or path in _PLACES or path.rsplit("/", 2)[0] in _PLACES for path in EXAMPLES.values())

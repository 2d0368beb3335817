"""What a region offers a subnet: services it may be delegated to, service endpoints, aliases and service tags.

Follows the specification's availableDelegations.json, endpointService.json, availableServiceAliases.json and
serviceTags.json; the lists and their shapes are recorded (`services.json` says when). No service stands behind them.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from azlan.arm.checks import group_not_found
from azlan.arm.resource import Json, Route, RouteContext
from azlan.base.ids import key_of
from azlan.providers.network.rules import service_tags
from azlan.providers.network.shapes import NAMESPACE

JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
_LOCATION = f"providers/{NAMESPACE}/locations/{{location}}"
_SUBSCRIPTION = "/subscriptions/{subscription}"
_GROUP = "/subscriptions/{subscription}/resourceGroups/{group}"

WITHOUT_A_LIST = frozenset({"AzureLoadBalancer", "Internet", "VirtualNetwork"})
"""Tags that stand for what each virtual network makes of them; the AzurePlatform ones are not listed either."""


NUMBERED_FROM = "2021-05-01"
LINKED_FROM = "2020-07-01"
"""The first versions of `serviceTagChangeNumber` and of `nextLink` in a list of service tags."""


@cache
def _lists() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files(__package__).joinpath("services.json").read_text("utf-8"))
    return found


@cache
def _actions() -> dict[str, list[str]]:
    return {service.lower(): actions for service, actions in _lists()["delegations"].items()}


def delegated_actions(service: str) -> list[str]:
    """What a service may do with a subnet delegated to it; one that is not listed may join it [unsure]."""
    return list(_actions().get(service.lower(), [JOIN]))


def _below(context: RouteContext) -> str:
    """Where the listed things are, in Azure's spelling: of a group, `resourceGroup` in the singular [recorded].

    Raises 404 ResourceGroupNotFound.
    """
    subscription = f"/subscriptions/{context.params['subscription']}"
    group = context.params.get("group")
    if group is None:
        return f"{subscription}/providers/{NAMESPACE}"
    if context.get(key_of(f"{subscription}/resourceGroups/{group}")) is None:
        raise group_not_found(group)
    return f"{subscription}/resourceGroup/{group}/providers/{NAMESPACE}"


async def delegations(context: RouteContext) -> Json:
    below = _below(context)
    return {
        "value": [
            {
                "name": (name := service.replace("/", ".")),
                "id": f"{below}/availableDelegations/{name}",
                "type": f"{NAMESPACE}/availableDelegations",
                "serviceName": service,
                "actions": actions,
            }
            for service, actions in _lists()["delegations"].items()
        ]
    }


async def endpoint_services(context: RouteContext) -> Json:
    below = _below(context)
    type = f"{NAMESPACE}/virtualNetworkEndpointServices"
    return {
        "value": [
            {"name": name, "id": f"{below}/virtualNetworkEndpointServices/{name}", "type": type}
            for name in _lists()["endpoints"]
        ]
    }


async def aliases(context: RouteContext) -> Json:
    below = _below(context)
    type = f"{NAMESPACE}/AvailableServiceAliases"
    return {
        "value": [
            {
                "name": (name := resource.replace("/", "")),
                "id": f"{below}/AvailableServiceAliases/{name}",
                "type": type,
                "resourceName": resource,
            }
            for resource in _lists()["aliases"]
        ]
    }


async def tags(context: RouteContext) -> Json:
    """The tags that rules may name. None has a prefix: no address here belongs to one of Azure's services."""
    listed = [
        name
        for name in sorted(service_tags().values())
        if name not in WITHOUT_A_LIST and not name.startswith("AzurePlatform")
    ]
    numbered = {"serviceTagChangeNumber": "1"} if context.api_version >= NUMBERED_FROM else {}
    document: Json = {
        "name": "Public",
        "id": f"{_below(context)}/serviceTags/Public",
        "type": f"{NAMESPACE}/serviceTags",
        "changeNumber": "1",
        "cloud": "Public",
        "values": [
            {
                "name": name,
                "id": name,
                **numbered,
                "properties": {
                    "changeNumber": "1",
                    "region": "",
                    "state": "GA",
                    "networkFeatures": ["API", "NSG", "UDR"],
                    "systemService": name,
                    "addressPrefixes": [],
                },
            }
            for name in listed
        ],
    }
    if context.api_version >= LINKED_FROM:
        document["nextLink"] = ""
    return document


_READ = f"{NAMESPACE}/locations"

ROUTES = (
    Route(
        "GET",
        f"{_SUBSCRIPTION}/{_LOCATION}/availableDelegations",
        delegations,
        f"{_READ}/availableDelegations/read",
    ),
    Route("GET", f"{_GROUP}/{_LOCATION}/availableDelegations", delegations, f"{_READ}/availableDelegations/read"),
    Route(
        "GET",
        f"{_SUBSCRIPTION}/{_LOCATION}/virtualNetworkAvailableEndpointServices",
        endpoint_services,
        f"{_READ}/virtualNetworkAvailableEndpointServices/read",
    ),
    Route(
        "GET", f"{_SUBSCRIPTION}/{_LOCATION}/availableServiceAliases", aliases, f"{_READ}/availableServiceAliases/read"
    ),
    Route("GET", f"{_GROUP}/{_LOCATION}/availableServiceAliases", aliases, f"{_READ}/availableServiceAliases/read"),
    Route("GET", f"{_SUBSCRIPTION}/{_LOCATION}/serviceTags", tags, f"{_READ}/serviceTags/read"),
)

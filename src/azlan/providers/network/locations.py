"""What Microsoft.Network answers below `locations/{location}`: usages and whether a DNS name is free.

Follows the specification's usage.json and checkDnsAvailability.json; names and limits as recorded.
"""

from __future__ import annotations

import re

from azlan.arm.resource import Json, Route, RouteContext
from azlan.providers.network.shapes import (
    NIC,
    PUBLIC_ADDRESS,
    SECURITY_GROUP,
    VNET,
    invalid,
    location_of,
    normal_location,
)

_BELOW = "/subscriptions/{subscription}/providers/Microsoft.Network/locations/{location}"
LABEL = r"^[a-z][a-z0-9-]{1,61}[a-z0-9]$"

QUOTAS = (
    ("VirtualNetworks", "Virtual Networks", 1000, VNET),
    ("StaticPublicIPAddresses", "Static Public IP Addresses", 1000, PUBLIC_ADDRESS),
    ("NetworkSecurityGroups", "Network Security Groups", 5000, SECURITY_GROUP),
    ("PublicIPAddresses", "Public IP Addresses", 1000, PUBLIC_ADDRESS),
    ("NetworkInterfaces", "Network Interfaces", 65536, NIC),
    ("PeeringsPerVirtualNetwork", "Peerings per Virtual Network", 500, None),
    ("SubnetsPerVirtualNetwork", "Subnets per Virtual Network", 3000, None),
    ("SecurityRulesPerNetworkSecurityGroup", "Security rules per Network Security Group", 1000, None),
)
"""Azure's name, its words, the limit, and the type that is counted (None: a limit that is not one of a subscription)."""

ADJUSTABLE_FROM = "2023-09-01"
"""A version recorded with `isAdjustable`, which the specification has not; 2020-04-01 is recorded without."""


async def usages(context: RouteContext) -> Json:
    location = normal_location(context.params["location"])
    subscription = context.params["subscription"]
    value = []
    adjustable = {"isAdjustable": True} if context.api_version >= ADJUSTABLE_FROM else {}
    for name, words, limit, type in QUOTAS:
        counted = [
            row
            for row in (context.list(type) if type else ())
            if location_of(row) == location and row.id.subscription.lower() == subscription.lower()
        ]
        if name == "StaticPublicIPAddresses":
            counted = [row for row in counted if row.properties.get("publicIPAllocationMethod") == "Static"]
        value.append(
            {
                "currentValue": len(counted),
                "id": f"/subscriptions/{subscription}/providers/Microsoft.Network/locations/{location}/usages/{name}",
                "limit": limit,
                "name": {"localizedValue": words, "value": name},
                "unit": "Count",
                **adjustable,
            }
        )
    return {"value": value}


async def check_dns_name(context: RouteContext) -> Json:
    label = context.query.get("domainnamelabel") or context.query.get("domainNameLabel") or ""
    if not re.match(LABEL, label):
        raise invalid(
            "InvalidDomainNameLabel",
            f"The domain name label {label} is invalid. It must conform to the following regular expression: {LABEL}.",
        )
    location = normal_location(context.params["location"])
    taken = any(
        location_of(row) == location
        and (row.properties.get("dnsSettings") or {}).get("domainNameLabel") == label
        and "labelMark" not in row.state  # one with a scope is another name
        for row in context.list(PUBLIC_ADDRESS)
    )
    return {"available": not taken}


ROUTES = (
    Route("GET", f"{_BELOW}/usages", usages, "Microsoft.Network/locations/usages/read"),
    Route(
        "GET",
        f"{_BELOW}/CheckDnsNameAvailability",
        check_dns_name,
        "Microsoft.Network/locations/checkDnsNameAvailability/read",
    ),
)

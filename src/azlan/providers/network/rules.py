"""Security rules as Azure keeps and shows them: their checks, the default rules, and the facts they become.

Follows network-security-groups-overview, service-tags-overview and the objects real network security groups show.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from ipaddress import IPv4Address
from typing import Any, Literal

from azlan.arm.resource import Json
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.base.nets import network
from azlan.contract.facts import Rule
from azlan.providers.network.shapes import SECURITY_GROUP, invalid, items, ref_key

PRIORITIES = range(100, 4097)
PORTS = range(65536)
COLLECTION = "securityRules"

_BASIC_TAGS = ("virtualnetwork", "internet", "azureloadbalancer")


def _default(name: str, description: str, source: str, destination: str, access: str, priority: int, way: str) -> Json:
    return {
        "name": name,
        "properties": {
            "description": description,
            "protocol": "*",
            "sourcePortRange": "*",
            "destinationPortRange": "*",
            "sourceAddressPrefix": source,
            "destinationAddressPrefix": destination,
            "access": access,
            "priority": priority,
            "direction": way,
        },
    }


_VNET, _ANY = "VirtualNetwork", "*"
DEFAULT_RULES: tuple[Json, ...] = (
    _default("AllowVnetInBound", "Allow inbound traffic from all VMs in VNET", _VNET, _VNET, "Allow", 65000, "Inbound"),
    _default(
        "AllowAzureLoadBalancerInBound",
        "Allow inbound traffic from azure load balancer",
        "AzureLoadBalancer",
        _ANY,
        "Allow",
        65001,
        "Inbound",
    ),
    _default("DenyAllInBound", "Deny all inbound traffic", _ANY, _ANY, "Deny", 65500, "Inbound"),
    _default(
        "AllowVnetOutBound",
        "Allow outbound traffic from all VMs to all VMs in VNET",
        _VNET,
        _VNET,
        "Allow",
        65000,
        "Outbound",
    ),
    _default(
        "AllowInternetOutBound",
        "Allow outbound traffic from all VMs to Internet",
        _ANY,
        "Internet",
        "Allow",
        65001,
        "Outbound",
    ),
    _default("DenyAllOutBound", "Deny all outbound traffic", _ANY, _ANY, "Deny", 65500, "Outbound"),
)
"""Every network security group's, in the order Azure shows them [recorded]."""

ARRAYS = ("sourcePortRanges", "destinationPortRanges", "sourceAddressPrefixes", "destinationAddressPrefixes")


def default_rules(group: ResourceId, etag: str, provisioning: str = "Succeeded") -> list[Json]:
    """The default rules as the group `group` shows them."""
    shown = []
    for rule in DEFAULT_RULES:
        properties = {"provisioningState": provisioning, **rule["properties"], **{name: [] for name in ARRAYS}}
        shown.append(
            {
                "name": rule["name"],
                "id": f"{group}/defaultSecurityRules/{rule['name']}",
                "etag": etag,
                "type": f"{SECURITY_GROUP}/defaultSecurityRules",
                "properties": properties,
            }
        )
    return shown


@cache
def service_tags() -> dict[str, str]:
    """Service tags in lower case → as Azure writes them; see `service_tags.json` for their date."""
    text = resources.files("azlan.providers.network").joinpath("service_tags.json").read_text("utf-8")
    return {tag.lower(): tag for tag in json.loads(text)["tags"]}


def address_prefix(text: str) -> str:
    """`*`, a service tag (with or without a region), an address or a prefix, in Azure's spelling.

    Raises `SecurityRuleInvalidAddressPrefix`.
    """
    if text in ("*", "Any", "any"):
        return "*" if text == "*" else text
    name, dot, region = text.partition(".")
    tag = service_tags().get(name.lower())
    if tag is not None and (not dot or region.isalnum()) and not text[0].isdigit():
        return tag + dot + region
    if _number(text) is not None:
        return text
    try:
        network(text)
    except ValueError:
        raise invalid(
            "SecurityRuleInvalidAddressPrefix", f"Security rule has invalid Address prefix. Value provided: {text}"
        ) from None
    return text


def _number(text: str) -> IPv4Address | None:
    """The address that a number stands for: Azure takes `1234` as 0.0.4.210, and keeps it as given [recorded]."""
    return IPv4Address(int(text)) if text.isascii() and text.isdecimal() and int(text) < 1 << 32 else None


def port_range(text: str) -> tuple[int, int]:
    """(first, last) of `*`, `22` or `8000-8010`. Raises `SecurityRuleInvalidPortRange`."""
    if text == "*":
        return 0, 65535
    first, dash, last = text.partition("-")
    if first.strip().isdecimal() and (last.strip().isdecimal() or not dash):
        low = int(first)
        high = int(last) if dash else low
        if low in PORTS and high in PORTS and low <= high:
            return low, high
    raise invalid(
        "SecurityRuleInvalidPortRange",
        f"Security rule has invalid Port range. Value provided: {text}. Value should be an integer OR integer range with "
        "'-' delimiter. Valid range 0-65535.",
    )


def check(rule: ResourceId, properties: Json) -> None:
    """Check one rule and bring its addresses into Azure's spelling. Raises the errors of Azure's rules."""
    priority = properties.get("priority", 0)
    if priority not in PRIORITIES:
        raise invalid(
            "SecurityRuleInvalidPriority",
            f"Security rule has invalid Priority. Value provided: {priority} Allowed range "
            f"{PRIORITIES.start}-{PRIORITIES.stop - 1}.",
        )
    for name in ("protocol", "access", "direction"):
        if name not in properties:
            raise _missing(rule, name[0].upper() + name[1:])
    for side in ("source", "destination"):
        for text in _either(rule, properties, f"{side}PortRange", f"{side}PortRanges"):
            port_range(str(text))
        groups = items(properties, f"{side}ApplicationSecurityGroups")
        _check_addresses(rule, properties, side, bool(groups))


def _check_addresses(rule: ResourceId, properties: Json, side: str, groups: bool) -> None:
    one, many = f"{side}AddressPrefix", f"{side}AddressPrefixes"
    if groups and (properties.get(one) or properties.get(many)):
        name = side.capitalize()
        raise invalid(
            "SecurityRuleParameterConflict",
            f"Security rule with Id {rule} must specify a non empty value for exactly one of: {name}AddressPrefixes, "
            f"{name}AddressPrefix, {name}ApplicationSecurityGroups.",
        )
    found = _either(rule, properties, one, many, needed=not groups)
    if properties.get(many):
        properties[many] = [address_prefix(str(text)) for text in found]
        if len(found) > 1:
            for text in properties[many]:
                if text == "*" or text.lower() in _BASIC_TAGS:
                    raise invalid(
                        "SecurityRuleParameterContainsUnsupportedValue",
                        f"Security rule parameter {many[0].upper()}{many[1:]} for rule with Id {rule} cannot specify existing "
                        f"VIRTUALNETWORK, INTERNET, AZURELOADBALANCER, '*' or system tags. Unsupported value used: {text}.",
                    )
    elif found:
        properties[one] = address_prefix(str(found[0]))


def _either(rule: ResourceId, properties: Mapping[str, Any], one: str, many: str, *, needed: bool = True) -> list[Any]:
    """The values of a member that has a singular and a plural form; both at once, or neither, is refused."""
    single, several = properties.get(one), items(properties, many)
    if single and several:
        raise invalid(
            "SecurityRuleParameterConflict",
            f"Security rule {rule} cannot specify both {one[0].upper()}{one[1:]} and {many[0].upper()}{many[1:]}.",
        )
    if not single and not several and needed:
        raise _missing(rule, f"{many[0].upper()}{many[1:]} or {one[0].upper()}{one[1:]}")
    return [single] if single else several


def _missing(rule: ResourceId, what: str) -> ArmError:
    return invalid(
        "SecurityRuleParametersMissing",
        f"Required security rule parameters are missing for security rule with Id: {rule}. Security rule must specify {what}.",
    )


def conflict(rule: str, existing: str) -> ArmError:
    return invalid(
        "SecurityRuleConflict",
        f"Security rule {rule} conflicts with rule {existing}. Rules cannot have the same Priority and Direction.",
    )


def place(properties: Mapping[str, Any]) -> tuple[str, str]:
    """What must be unique within a group: direction in lower case, and priority."""
    return str(properties.get("direction")).lower(), str(properties.get("priority"))


def fact(name: str, properties: Mapping[str, Any], *, default: bool = False) -> Rule:
    """The rule as a fact; application security groups become their keys."""

    def addresses(side: str) -> tuple[str, ...]:
        groups = [key for group in items(properties, f"{side}ApplicationSecurityGroups") if (key := ref_key(group))]
        single = properties.get(f"{side}AddressPrefix")
        given = [single] if single else items(properties, f"{side}AddressPrefixes")
        return tuple(groups or (str(_number(str(text)) or text) for text in given))

    def ports(side: str) -> tuple[tuple[int, int], ...]:
        single = properties.get(f"{side}PortRange")
        return tuple(port_range(str(text)) for text in ([single] if single else items(properties, f"{side}PortRanges")))

    direction: Literal["Inbound", "Outbound"] = "Inbound" if properties["direction"] == "Inbound" else "Outbound"
    return Rule(
        name=name,
        priority=properties["priority"],
        direction=direction,
        allow=properties["access"] == "Allow",
        protocol=properties["protocol"],
        sources=addresses("source"),
        destinations=addresses("destination"),
        source_ports=ports("source"),
        destination_ports=ports("destination"),
        default=default,
    )

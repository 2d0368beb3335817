"""Microsoft.Network/publicIPAddresses: Standard addresses are static, Basic ones may come and go with their use.

Follows the specification's publicIpAddress.json and public-ip-addresses. Addresses are of the documentation ranges.
"""

from __future__ import annotations

import re
from base64 import b32encode
from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Literal
from uuid import uuid4

from azlan.arm.resource import Read, Reference, ResourceType, Row, View, Write
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.contract.facts import Fact, PublicAddress
from azlan.providers.network.allocation import new_public_address
from azlan.providers.network.shapes import (
    API_VERSIONS,
    PUBLIC_ADDRESS,
    Document,
    Ref,
    Shape,
    allocated_to,
    fold,
    invalid,
    location_of,
    normal_location,
    referring,
    resource_guid,
    settle,
)

LABEL = r"^[a-z][a-z0-9-]{1,61}[a-z0-9]$"
IDLE_MINUTES = range(4, 31)
DNS_SUFFIX = "cloudapp.azure.com"
SCOPED_SUFFIX = f"sysgen.{DNS_SUFFIX}"
"""Of names whose label has a scope [recorded]."""

Method = Annotated[Literal["Static", "Dynamic"], fold("Static", "Dynamic")]
Version = Annotated[Literal["IPv4", "IPv6"], fold("IPv4", "IPv6")]
SCOPES = ("TenantReuse", "SubscriptionReuse", "ResourceGroupReuse", "NoReuse")


class PublicIPAddressSku(Shape):
    name: Annotated[Literal["Basic", "Standard", "StandardV2"], fold("Basic", "Standard", "StandardV2")] | None = None
    tier: Annotated[Literal["Regional", "Global"], fold("Regional", "Global")] | None = None


class PublicIPAddressDnsSettings(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset({"fqdn"})
    domainNameLabel: str | None = None
    domainNameLabelScope: (
        Annotated[Literal["TenantReuse", "SubscriptionReuse", "ResourceGroupReuse", "NoReuse"], fold(*SCOPES)] | None
    ) = None
    fqdn: Any = None
    reverseFqdn: str | None = None


class IpTag(Shape):
    ipTagType: str | None = None
    tag: str | None = None
    firstPartyServiceTagId: str | None = None


class DdosSettings(Shape):
    protectionMode: (
        Annotated[
            Literal["VirtualNetworkInherited", "Enabled", "Disabled"],
            fold("VirtualNetworkInherited", "Enabled", "Disabled"),
        ]
        | None
    ) = None
    ddosProtectionPlan: Ref | None = None
    ddosCustomPolicy: Ref | None = None
    protectedIP: bool | None = None


class PublicIPAddressPropertiesFormat(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset(
        {
            "ipConfiguration",
            "ipAddress",
            "resourceGuid",
            "provisioningState",
            "natGateway",
            "servicePublicIPAddress",
            "linkedPublicIPAddress",
            "migrationPhase",
            "upgradedToV2",
        }
    )
    publicIPAddressVersion: Version | None = None
    publicIPAllocationMethod: Method | None = None
    idleTimeoutInMinutes: int | None = None
    dnsSettings: PublicIPAddressDnsSettings | None = None
    ddosSettings: DdosSettings | None = None
    ipTags: list[IpTag] | None = None
    publicIPPrefix: Ref | None = None
    deleteOption: Annotated[Literal["Delete", "Detach"], fold("Delete", "Detach")] | None = None
    ipConfiguration: Any = None
    ipAddress: Any = None
    resourceGuid: Any = None
    provisioningState: Any = None
    natGateway: Any = None
    servicePublicIPAddress: Any = None
    linkedPublicIPAddress: Any = None
    migrationPhase: Any = None
    upgradedToV2: Any = None


class PublicIPAddress(Document):
    unless_empty: ClassVar[frozenset[str]] = frozenset({"zones"})
    extendedLocation: Any = None
    sku: PublicIPAddressSku | None = None
    zones: list[str] | None = None
    properties: PublicIPAddressPropertiesFormat | None = None


def accept(write: Write) -> None:
    if write.before is None and "properties" not in write.body:
        # As recorded in azure-mgmt-network 23.1.0: an address made so never shows ddosSettings, any other always does.
        write.state["madeBare"] = True
    settle(write, PublicIPAddress)
    resource_guid(write)
    properties = write.properties
    sku = write.body.setdefault("sku", {})
    sku.setdefault("name", "Basic")
    sku.setdefault("tier", "Regional")
    properties.setdefault("publicIPAddressVersion", "IPv4")
    properties.setdefault("publicIPAllocationMethod", "Dynamic")
    properties.setdefault("idleTimeoutInMinutes", 4)
    properties.setdefault("ipTags", [])
    _check_sku(write, sku["name"])
    _check_values(write)
    _check_label(write)
    if properties["publicIPAllocationMethod"] == "Static":
        if "ipAddress" not in write.state:
            write.state["ipAddress"] = new_public_address(write)
    elif next(allocated_to(write, write.id.key), None) is None:
        write.state.pop("ipAddress", None)


def _check_sku(write: Write, sku: str) -> None:
    method = write.properties["publicIPAllocationMethod"]
    if sku == "Basic" and write.body["sku"]["tier"] == "Global":
        raise invalid(
            "GlobalPublicIPAddressNotSupportedForBasicPublicIpAddress",
            "Global publicIP addresses are only supported for standard SKU public IP addresses. Public IP address "
            f"{write.id} is not standard SKU.",
        )
    if sku != "Basic" and method != "Static":
        raise invalid(
            "StandardAndStandardV2SkuPublicIPAddressesMustBeStatic",
            f"{sku} sku publicIp {write.id} must have AllocationMethod set to Static.",
        )
    if write.before is None:
        return
    users = [referring(row, path) for row, path in allocated_to(write, write.id.key)]
    old_sku = (write.before.get("sku") or {}).get("name", "Basic")
    if old_sku != sku and (users or old_sku != "Basic"):
        raise invalid(
            "PublicIPAddressSkuCannotBeChanged",
            f"Sku property is set at creation time and cannot be changed from {old_sku} to {sku} on resource update for "
            f"resource {write.id}.",
        )
    old_method = (write.before.get("properties") or {}).get("publicIPAllocationMethod")
    if users and old_method == "Static" and method == "Dynamic":
        raise invalid(
            "PublicIPAddressInUseCannotUpdateToDynamic",
            f"Public IP address {write.id} is in use by ipconfig {users[0]} and cannot be updated to Dynamic.",
        )


def _check_values(write: Write) -> None:
    properties = write.properties
    if properties["idleTimeoutInMinutes"] not in IDLE_MINUTES:
        raise invalid(
            "InvalidIdleTimeout",
            f"The idle timeout {properties['idleTimeoutInMinutes']} of public IP address {write.id} is not valid. It must be "
            f"between {IDLE_MINUTES.start} and {IDLE_MINUTES.stop - 1} minutes.",
        )
    if properties["publicIPAddressVersion"] == "IPv6":
        raise invalid(
            "IPv6NotSupported", f"Public IP address {write.id} cannot be IPv6: Azlan gives away IPv4 addresses only."
        )
    for zone in write.body.get("zones") or ():
        if zone not in ("1", "2", "3"):
            raise invalid(
                "InvalidAvailabilityZone",
                f"The zone(s) '{zone}' for resource '{write.id}' is not supported. The supported zones for location "
                f"'{write.location}' are '1,2,3'",
            )


def _fqdn(label: str, mark: str | None, location: str) -> str:
    """The name of a public IP that has a label; with a scope, Azure puts a hash behind the label [recorded]."""
    return f"{label}.{mark}.{location}.{SCOPED_SUFFIX}" if mark else f"{label}.{location}.{DNS_SUFFIX}"


def _check_label(write: Write) -> None:
    settings = write.properties.get("dnsSettings") or {}
    label = settings.get("domainNameLabel")
    mark = _mark(write, label, settings["domainNameLabelScope"]) if settings.get("domainNameLabelScope") else None
    write.state.pop("labelMark", None)
    if not label:
        return
    if not re.match(LABEL, label):
        raise invalid(
            "InvalidDomainNameLabel",
            f"The domain name label {label} is invalid. It must conform to the following regular expression: {LABEL}.",
        )
    location = normal_location(write.location)
    if any(
        row.key != write.id.key and row.state.get("labelMark") == mark for row in with_label(write, label, location)
    ):
        raise invalid(
            "DnsRecordInUse", f"DNS record {_fqdn(label, mark, location)} is already used by another public IP."
        )
    if mark:
        write.state["labelMark"] = mark


def _mark(write: Write, label: str | None, scope: str) -> str:
    """Sixteen letters and digits, the same wherever a label of the scope may be had again; Azure's hash is not published."""
    if scope == "NoReuse":
        held = ((write.before or {}).get("properties") or {}).get("dnsSettings") or {}
        same = held.get("domainNameLabelScope") == scope and held.get("domainNameLabel") == label
        if same and "labelMark" in write.state:
            return str(write.state["labelMark"])
    subjects = {
        "TenantReuse": write.principal.tenant,
        "SubscriptionReuse": write.id.subscription,
        "ResourceGroupReuse": write.id.group_key,
        "NoReuse": str(uuid4()),
    }
    return b32encode(sha256(f"{scope} {subjects[scope].lower()} {label}".encode()).digest()[:10]).decode().lower()


def with_label(read: Read, label: str, location: str) -> Iterable[Row]:
    """Public IPs that have the DNS label in that region."""
    for row in read.list(PUBLIC_ADDRESS):
        if location_of(row) == location and (row.properties.get("dnsSettings") or {}).get("domainNameLabel") == label:
            yield row


def facts(row: Row, _read: Read) -> Iterable[Fact]:
    if "ipAddress" in row.state:
        yield PublicAddress(row.key, row.state["ipAddress"], row.properties.get("idleTimeoutInMinutes", 4))


def view(view: View) -> None:
    properties = view.properties
    properties["resourceGuid"] = view.state["resourceGuid"]
    if "ipAddress" in view.state and not view.creating:
        properties["ipAddress"] = view.state["ipAddress"]
    settings = properties.get("dnsSettings")
    if settings and settings.get("domainNameLabel"):
        settings["fqdn"] = _fqdn(settings["domainNameLabel"], view.state.get("labelMark"), location_of(view.row))
    if view.api_version >= "2022-05-01" and "madeBare" not in view.state:
        properties.setdefault("ddosSettings", {"protectionMode": "VirtualNetworkInherited"})
    for row, path in allocated_to(view, view.id.key):
        properties["ipConfiguration"] = {"id": referring(row, path)}
        break
    if view.api_version < "2020-07-01":
        view.doc.get("sku", {}).pop("tier", None)


def in_use(id: ResourceId, referrers: list[tuple[Row, str]], _read: Read) -> ArmError:
    return invalid(
        "PublicIPAddressCannotBeDeleted",
        f"Public IP address {id} can not be deleted since it is still allocated to resource {referring(*referrers[0])}. In "
        "order to delete the public IP, disassociate/detach the Public IP address from the resource.  To learn how to do "
        "this, see aka.ms/deletepublicip.",
    )


RESOURCE = ResourceType(
    type=PUBLIC_ADDRESS,
    api_versions=API_VERSIONS,
    model=PublicIPAddress,
    read_only=("properties.resourceGuid", "properties.ipConfiguration", "properties.ipAddress"),
    references=(
        Reference(
            "properties.publicIPPrefix.id",
            ("Microsoft.Network/publicIPPrefixes",),
            permission="Microsoft.Network/publicIPPrefixes/join/action",
        ),
    ),
    accept=accept,
    facts=facts,
    view=view,
    in_use=in_use,
    display={"singular": "public IP address", "plural": "public IP addresses"},
)

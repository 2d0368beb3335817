"""What the Microsoft.Network declarations share: JSON shapes, how an accepted document is settled, common errors.

Member names are those of azure-rest-api-specs, Microsoft.Network 2025-07-01 and the SDK's 2026 models.
"""

from __future__ import annotations

import re
from base64 import b32encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from uuid import UUID, uuid4

from pydantic import BaseModel, BeforeValidator, ConfigDict

from azlan.arm.resource import Json, Read, Row, View, Write
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId, key_of, parse_id

_STEP = re.compile(r"([^.\[\]]+)(?:\[(\d+)\])?")

NAMESPACE = "Microsoft.Network"
VNET = "Microsoft.Network/virtualNetworks"
SUBNET = "Microsoft.Network/virtualNetworks/subnets"
NIC = "Microsoft.Network/networkInterfaces"
SECURITY_GROUP = "Microsoft.Network/networkSecurityGroups"
APPLICATION_GROUP = "Microsoft.Network/applicationSecurityGroups"
PUBLIC_ADDRESS = "Microsoft.Network/publicIPAddresses"
BASTION = "Microsoft.Network/bastionHosts"
NETWORK_WATCHER = "Microsoft.Network/networkWatchers"
VIRTUAL_MACHINE = "Microsoft.Compute/virtualMachines"

_VERSIONS = """
    2026-03-01 2025-09-01 2025-07-01 2025-05-01 2025-03-01 2025-01-01 2024-10-01 2024-07-01 2024-05-01 2024-03-01
    2024-01-01 2023-11-01 2023-09-01 2023-06-01 2023-05-01 2023-04-01 2023-02-01 2022-11-01 2022-09-01 2022-07-01
    2022-05-01 2022-01-01 2021-12-01 2021-08-01 2021-06-01 2021-05-01 2021-04-01 2021-03-01 2021-02-01 2021-01-01
    2020-11-01 2020-08-01 2020-07-01 2020-06-01 2020-05-01 2020-04-01 2020-03-01 2020-01-01 2019-12-01 2019-11-01
    2019-09-01 2019-08-01 2019-07-01 2019-06-01 2019-04-01 2019-02-01 2018-12-01 2018-11-01 2018-10-01 2018-08-01
    2018-07-01 2018-06-01 2018-05-01 2018-04-01 2018-03-01 2018-02-01 2018-01-01 2017-11-01 2017-10-01 2017-09-01
    2017-08-01 2017-06-01 2017-04-01 2017-03-01 2016-12-01 2016-11-01 2016-09-01 2016-08-01 2016-07-01 2016-06-01
    2016-03-30 2015-06-15
"""
API_VERSIONS: tuple[str, ...] = tuple(_VERSIONS.split())
"""Newest first. `2025-07-01` is the one whose new virtual networks have private subnets."""

CHILD_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,78}[A-Za-z0-9_])?"


class Shape(BaseModel):
    """An object of the specification: unknown members are refused; `dropped` ones clients send back and we forget.

    `unless_empty`: lists that Azure does not show again where they were sent empty, as PowerShell sends every list.
    """

    model_config = ConfigDict(extra="forbid")
    dropped: ClassVar[frozenset[str]] = frozenset()
    unless_empty: ClassVar[frozenset[str]] = frozenset()


class Document(Shape):
    """A top-level resource's document."""

    dropped: ClassVar[frozenset[str]] = frozenset({"id", "name", "type", "etag", "kind"})
    id: Any = None
    name: Any = None
    type: Any = None
    etag: Any = None
    kind: Any = None
    location: str | None = None
    tags: dict[str, str | None] | None = None


class Item(Shape):
    """An element of an array that has a name of its own: an inline child, an IP configuration, a delegation."""

    dropped: ClassVar[frozenset[str]] = frozenset({"id", "type", "etag"})
    name: str | None = None
    id: Any = None
    type: Any = None
    etag: Any = None


class Ref(BaseModel):
    """`{"id"}`. Clients send back whole expanded objects here; only the id is kept."""

    model_config = ConfigDict(extra="ignore")
    id: str | None = None


def fold(*values: str) -> BeforeValidator:
    """Accept an enumeration in any case, as Azure does, and keep the specification's spelling."""
    known = {value.lower(): value for value in values}
    return BeforeValidator(lambda value: known.get(value.lower(), value) if isinstance(value, str) else value)


def settled(model: BaseModel) -> Json:
    """The model as the JSON to keep: what was sent, in the specification's order, without nulls and dropped members."""
    out: Json = {}
    dropped: frozenset[str] = getattr(model, "dropped", frozenset())
    unless_empty: frozenset[str] = getattr(model, "unless_empty", frozenset())
    for name in type(model).model_fields:
        value = getattr(model, name)
        kept_value = value is not None and not (name in unless_empty and value == [])
        if name in model.model_fields_set and name not in dropped and kept_value:
            kept = _plain(value)
            if not (isinstance(value, Ref) and not kept):
                out[name] = kept
    return out


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return settled(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return value


Model = TypeVar("Model", bound=BaseModel)


def settle(write: Write, model: type[Model], *, children: Iterable[str] = ()) -> Model:
    """Bring the document of `write` into its kept form, in place, and return what it says.

    `children`: collections below `properties` that are left as they are, because their own type settles them.
    """
    parsed = model.model_validate(write.body)
    kept = settled(parsed)
    for name in children:
        items = write.properties.get(name)
        if items is not None:
            kept.setdefault("properties", {})[name] = items
    properties = write.properties
    properties.clear()
    properties.update(kept.pop("properties", {}))
    for name in [name for name in write.body if name not in kept and name != "properties"]:
        if name not in ("id", "name", "type"):
            del write.body[name]
    write.body.update(kept)
    return parsed


def ref_key(value: Any) -> str | None:
    """Key of a reference `{"id"}`, None where there is none."""
    text = value.get("id") if isinstance(value, Mapping) else None
    return key_of(text) if text else None


def items(properties: Mapping[str, Any], name: str) -> list[Json]:
    """The array of that name, empty where it is missing."""
    return list(properties.get(name) or ())


def resource_guid(write: Write) -> None:
    """Give a new resource its `resourceGuid`, kept for its life."""
    write.state.setdefault("resourceGuid", str(uuid4()))


def internal_suffix(resource_guid: str, location: str) -> str:
    """The DNS suffix of a virtual network's machines, from its resourceGuid: 26 letters, a region code, Azure's zone."""
    label = b32encode(UUID(resource_guid).bytes).decode().rstrip("=").lower()
    return f"{label}.{location[:1]}x.internal.cloudapp.net"


def parent_key(key: str) -> str:
    """Key one level up: a subnet's virtual network."""
    return key.rsplit("/", 2)[0]


def not_found_there(referring: ResourceId, target: str) -> ArmError:
    """`InvalidResourceReference`: what is referred to does not exist, or is in another region."""
    return ArmError(
        400,
        "InvalidResourceReference",
        f"Resource {target} referenced by resource {referring} was not found. Please make sure that the referenced "
        "resource exists, and that both resources are in the same region.",
    )


def normal_location(text: str) -> str:
    """`East US 2` is `eastus2`."""
    return text.replace(" ", "").lower()


def location_of(row: Row) -> str:
    """A row's location, normalised."""
    return normal_location(str(row.body.get("location") or ""))


def same_region(write: Write, target: str | None, location: str) -> None:
    """Raise `InvalidResourceReference` where the resource `target` exists in another region than `location`.

    One that does not exist is left to the references of the declaration.
    """
    row = write.get(key_of(target)) if target else None
    if target and row is not None and location_of(row) != normal_location(location):
        raise not_found_there(write.id, target)


def invalid(code: str, message: str) -> ArmError:
    """A 400."""
    return ArmError(400, code, message)


def decorate(view: View, collection: str, type: str, doc_items: list[Json] | None = None) -> list[Json]:
    """Give every element of an array its `id`, `etag`, `type` and `provisioningState`, as a GET shows them."""
    elements = items(view.properties, collection) if doc_items is None else doc_items
    for element in elements:
        properties = element.setdefault("properties", {})
        element["id"] = f"{view.id}/{type.rsplit('/', 1)[-1]}/{element['name']}"
        if "etag" in view.doc:
            element["etag"] = view.doc["etag"]
        element["type"] = type
        element["properties"] = {"provisioningState": "Succeeded", **properties}
    return elements


IP_CONFIGURATIONS = {BASTION.lower(): "bastionHostIpConfigurations"}
"""What the IP configurations of a type are called in their ids, where it is not `ipConfigurations`."""


def ip_configuration_id(owner: ResourceId, name: str) -> str:
    """Id of an IP configuration of a network interface or a Bastion host."""
    return f"{owner}/{IP_CONFIGURATIONS.get(owner.type.lower(), 'ipConfigurations')}/{name}"


def referring(row: Row, path: str) -> str:
    """Id of what refers: the IP configuration or inline child at the path of a reference, or the row itself."""
    element = row.element_id(path)
    if element.types[-1:] == ("ipConfigurations",):
        return ip_configuration_id(row.id, element.name)
    return str(element)


def target_at(row: Row, path: str) -> str:
    """The id at the path of a reference, as it was given."""
    at: Any = row.body
    for name, index in _STEP.findall(path):
        at = at[name][int(index)] if index else at[name]
    return str(at)


def allocated_to(read: Read, address: str) -> Iterator[tuple[Row, str]]:
    """(row, path) of what has the public IP with the key `address`. A subnet's service endpoint that is identified by it
    does not have it."""
    return ((row, path) for row, path in read.referrers(address) if row.type != VNET)


def public_address_taken(write: Write, name: str, address: str) -> None:
    """Raise `PublicIPAddressInUse` where the public IP `address` belongs to an IP configuration of another resource."""
    for row, path in allocated_to(write, key_of(address)):
        if row.key != write.id.key:
            raise invalid(
                "PublicIPAddressInUse",
                f"Resource {ip_configuration_id(write.id, name)} is referencing public IP address {address} that is "
                f"already allocated to resource {referring(row, path)}.",
            )


def subnet_in_use(_id: ResourceId, referrers: list[tuple[Row, str]], _read: Read) -> ArmError:
    """`InUseSubnetCannotBeDeleted`, for a subnet or for a virtual network one of whose subnets is in use."""
    row, path = referrers[0]
    return in_use_subnet(parse_id(target_at(row, path)).name, referring(row, path))


def in_use_subnet(name: str, user: str) -> ArmError:
    return invalid(
        "InUseSubnetCannotBeDeleted",
        f"Subnet {name} is in use by {user} and cannot be deleted. In order to delete the subnet, delete all the "
        "resources within the subnet. See aka.ms/deletesubnet.",
    )


OnOff = Annotated[Literal["Enabled", "Disabled"], fold("Enabled", "Disabled")]

"""Platform images: which of Azure's image references a guest image stands for, and the routes that list them.

The table is images.json. Follows Microsoft.Compute's VirtualMachineImages_* operations: lists are bare arrays.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import unquote

from azlan.arm.resource import Json, Route, RouteContext
from azlan.base.errors import ArmError

OS_DISK_GIB = 30


@dataclass(frozen=True, slots=True)
class PlatformImage:
    """One line of the table. `guest` is the name of the image that machines run."""

    publisher: str
    offer: str
    sku: str
    guest: str
    generation: str
    version: str

    @property
    def urn(self) -> str:
        return f"{self.publisher}:{self.offer}:{self.sku}:{self.version}"


@cache
def _table() -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(files(__package__).joinpath("images.json").read_text())
    return document


@cache
def platform_images() -> tuple[PlatformImage, ...]:
    return tuple(PlatformImage(**entry) for entry in _table()["images"])


def find_image(publisher: str, offer: str, sku: str, version: str) -> PlatformImage | None:
    """The image of a reference, in whatever case; `latest` is the newest version."""
    wanted = (publisher.lower(), offer.lower(), sku.lower())
    for image in platform_images():
        if (image.publisher.lower(), image.offer.lower(), image.sku.lower()) == wanted:
            return image if version.lower() in ("latest", image.version.lower()) else None
    return None


def image_error(publisher: str, offer: str, sku: str, version: str) -> ArmError:
    """What Azure answers to an image it does not have."""
    return ArmError(
        400,
        "PlatformImageNotFound",
        f"The platform image '{publisher}:{offer}:{sku}:{version}' is not available. Verify that all fields in the storage "
        f"profile are correct. For more details about storage profile information, please refer to "
        f"https://aka.ms/storageprofile",
        target="imageReference",
    )


def guest_of(publisher: str, offer: str, sku: str) -> str:
    """The guest image of an accepted reference. Raises LookupError where the table has it no longer."""
    image = find_image(publisher, offer, sku, "latest")
    if image is None:
        raise LookupError(f"{publisher}:{offer}:{sku}")
    return image.guest


def alias_document() -> Json:
    """What `az` reads at `vmImageAliasDoc`: short names for images, in the shape of a template's output."""
    linux = {}
    for alias, urn in _table()["aliases"].items():
        publisher, offer, sku = urn.split(":")
        linux[alias] = {"publisher": publisher, "offer": offer, "sku": sku, "version": "latest", "architecture": "x64"}
    return {
        "$schema": "http://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json",
        "contentVersion": "1.0.0.0",
        "parameters": {},
        "variables": {},
        "resources": [],
        "outputs": {"aliases": {"type": "object", "value": {"Linux": linux}}},
    }


def _not_found() -> ArmError:
    return ArmError(404, "NotFound", "Artifact: VMImage was not found.")


def _matching(context: RouteContext, *names: str) -> Iterator[PlatformImage]:
    """Images whose members have the values of the path's parameters of the same names."""
    for image in platform_images():
        if all(getattr(image, name).lower() == unquote(context.params[name]).lower() for name in names):
            yield image


def _base(context: RouteContext) -> str:
    return f"/Subscriptions/{context.subscription}/Providers/Microsoft.Compute/Locations/{context.params['location']}"


def _entries(context: RouteContext, member: str, *by: str) -> list[Json]:
    """Each value of `member` once, as the list operations answer it: `{location, name, id}`."""
    found = list(_matching(context, *by))
    if by and not found:
        raise _not_found()
    listed: dict[str, Json] = {}
    for image in found:
        name = getattr(image, member)
        id = f"{_base(context)}/Publishers/{image.publisher}"
        if member != "publisher":
            id += f"/ArtifactTypes/VMImage/Offers/{image.offer}"
        if member in ("sku", "version"):
            id += f"/Skus/{image.sku}"
        if member == "version":
            id += f"/Versions/{image.version}"
        listed.setdefault(name, {"location": context.params["location"], "name": name, "id": id})
    return list(listed.values())


def _properties(image: PlatformImage) -> Json:
    return {
        "hyperVGeneration": image.generation,
        "architecture": "x64",
        "replicaType": "Managed",
        "replicaCount": 10,
        "disallowed": {"vmDiskType": "Unmanaged"},
        "automaticOSUpgradeProperties": {"automaticOSUpgradeSupported": False},
        "imageDeprecationStatus": {"imageState": "Active"},
        "features": [
            {"name": "IsAcceleratedNetworkSupported", "value": "True"},
            {"name": "DiskControllerTypes", "value": "SCSI, NVMe"},
        ],
        "osDiskImage": {
            "operatingSystem": "Linux",
            "sizeInGb": OS_DISK_GIB + 1,
            "sizeInBytes": OS_DISK_GIB * 1024**3 + 512,
        },
        "dataDiskImages": [],
    }


async def _publishers(context: RouteContext) -> list[Json]:
    return _entries(context, "publisher")


async def _artifact_types(context: RouteContext) -> list[Json]:
    if not any(_matching(context, "publisher")):
        raise _not_found()
    publisher = context.params["publisher"]
    id = f"{_base(context)}/Publishers/{publisher}/ArtifactTypes/VMImage"
    return [{"location": context.params["location"], "name": "VMImage", "id": id}]


async def _offers(context: RouteContext) -> list[Json]:
    return _entries(context, "offer", "publisher")


async def _skus(context: RouteContext) -> list[Json]:
    return _entries(context, "sku", "publisher", "offer")


async def _versions(context: RouteContext) -> list[Json]:
    listed = _entries(context, "version", "publisher", "offer", "sku")
    expand = str(context.query.get("$expand", "")).lower()
    if expand.startswith("properties"):
        known = {image.version: _properties(image) for image in _matching(context, "publisher", "offer", "sku")}
        listed = [{**entry, "properties": known[entry["name"]]} for entry in listed]
    descending = str(context.query.get("$orderby", "name asc")).lower().endswith("desc")
    listed.sort(key=lambda entry: str(entry["name"]), reverse=descending)
    top = str(context.query.get("$top", ""))
    return listed[: int(top)] if top.isdigit() else listed


async def _version(context: RouteContext) -> Json:
    found = next(iter(_matching(context, "publisher", "offer", "sku", "version")), None)
    if found is None:
        raise _not_found()
    entry = next(
        entry for entry in _entries(context, "version", "publisher", "offer", "sku") if entry["name"] == found.version
    )
    return {**entry, "properties": _properties(found)}


async def _community_gallery(context: RouteContext) -> Json:
    raise ArmError(
        404,
        "ResourceNotFound",
        f"The community gallery '{context.params['gallery']}' could not be found: none are served.",
    )


_LOCATION = "/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{location}"
_IMAGES = f"{_LOCATION}/publishers/{{publisher}}/artifacttypes/vmimage/offers"
_READ = "Microsoft.Compute/locations/publishers/read"

ROUTES = (
    Route("GET", f"{_LOCATION}/publishers", _publishers, _READ),
    Route("GET", f"{_LOCATION}/publishers/{{publisher}}/artifacttypes", _artifact_types, _READ),
    Route("GET", _IMAGES, _offers, _READ),
    Route("GET", f"{_IMAGES}/{{offer}}/skus", _skus, _READ),
    Route("GET", f"{_IMAGES}/{{offer}}/skus/{{sku}}/versions", _versions, _READ),
    Route("GET", f"{_IMAGES}/{{offer}}/skus/{{sku}}/versions/{{version}}", _version, _READ),
    Route(
        "GET",
        f"{_LOCATION}/communityGalleries/{{gallery}}",
        _community_gallery,
        "Microsoft.Compute/locations/communityGalleries/read",
    ),
)

"""What a virtual machine in a template is refused for before anything of the template is deployed.

Azure's preflight finds sizes, images and accounts that cannot be; the rest shows when the machine is put.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from azlan.arm.resource import Json
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.providers.compute.account import user_name_error
from azlan.providers.compute.images import find_image, image_error
from azlan.providers.compute.sizes import find_size, size_error
from azlan.template.secrets import password_error, sealed_owner


def preflight(_id: ResourceId, body: Json) -> Iterable[ArmError]:
    """The errors of size, image, user name and password; what is still an expression passes."""
    size = _text(body, "properties", "hardwareProfile", "vmSize")
    if size is not None and find_size(size) is None:
        yield size_error(size)
    reference = [
        _text(body, "properties", "storageProfile", "imageReference", name)
        for name in ("publisher", "offer", "sku", "version")
    ]
    parts = [part for part in reference if part is not None]
    if len(parts) == len(reference) and find_image(*parts) is None:
        yield image_error(*parts)
    user = _text(body, "properties", "osProfile", "adminUsername")
    if user is not None and (error := user_name_error(user)) is not None:
        yield error
    password = _text(body, "properties", "osProfile", "adminPassword")
    if password is not None and sealed_owner(password) is None and (error := password_error(password)) is not None:
        yield error


def _text(value: Any, *path: str) -> str | None:
    """The text at a path, None where there is none or where it is an expression."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) and not value.startswith("[") else None

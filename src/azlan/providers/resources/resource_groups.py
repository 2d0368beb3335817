"""Microsoft.Resources/resourceGroups: what holds resources; deleting one deletes them all, in dependency order.

Follows Microsoft.Resources 2024-11-01, resources.json. A deletion goes on after a restart: what is left is still there.
"""

from __future__ import annotations

import json
from uuid import uuid4

from pydantic import BaseModel, ConfigDict

from azlan.arm.resource import Job, ResourceType, Row, View, Write
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.providers.resources.removal import remove_all

TYPE = "Microsoft.Resources/resourceGroups"

API_VERSIONS = (
    *("2025-04-01", "2024-11-01", "2024-07-01", "2024-03-01", "2023-07-01", "2022-09-01", "2022-06-01", "2021-04-01"),
    *("2021-01-01", "2020-10-01", "2020-08-01", "2020-06-01", "2019-10-01", "2019-08-01", "2019-07-01", "2019-05-10"),
    *("2019-05-01", "2019-03-01", "2018-05-01", "2018-02-01", "2017-05-10", "2016-09-01", "2016-07-01", "2016-02-01"),
    *("2015-11-01",),
)


class ResourceGroup(BaseModel):
    model_config = ConfigDict(extra="forbid")
    managedBy: str | None = None
    properties: dict[str, object] | None = None


def _accept(write: Write) -> None:
    write.body["properties"] = {}


def _view(view: View) -> None:
    view.doc["properties"] = {"provisioningState": "Deleting" if view.row.deleting else "Succeeded"}


async def _delete(job: Job) -> None:
    group = job.row

    def remaining() -> list[Row]:
        return [row for row in job.read().list("", group=group.key) if row.key != group.key]

    failed = await remove_all(job, remaining)
    if not failed:
        return
    names = ",".join(_short(id) for id, _ in failed.values())
    raise ArmError(
        409,
        "ResourceGroupDeletionBlocked",
        f"Deletion of resource group '{group.id.name}' failed as resources with identifiers '{names}' could not be deleted. "
        f"The provisioning state of the resource group will be rolled back. The tracking Id is '{uuid4()}'. "
        f"Please check audit logs for more details.",
        details=[
            {"code": error.code, "target": str(id), "message": json.dumps({"error": error.body})}
            for id, error in failed.values()
        ],
    )


def _short(id: ResourceId) -> str:
    """`Microsoft.Network/virtualNetworks/vnet-1`."""
    return "/".join((id.namespace or "", *(part for pair in zip(id.types, id.names, strict=True) for part in pair)))


def _invalid_name(id: ResourceId) -> ArmError:
    return ArmError(
        400,
        "InvalidResourceGroup" if len(id.name) <= 90 else "InvalidResourceGroupName",
        f"The provided resource group name '{id.name}' has these invalid characters or length. The name can only be a letter, "
        f"digit, '-', '.', '(', ')' or '_', up to 90 of them, and cannot end with a period.",
    )


RESOURCE = ResourceType(
    type=TYPE,
    api_versions=API_VERSIONS,
    model=ResourceGroup,
    name_pattern=r"[\w().-]{0,89}[\w()-]",
    invalid_name=_invalid_name,
    accept=_accept,
    view=_view,
    delete_job=_delete,
    waits=(),
    put_headers=False,
    operation_style="resources",
    etag=False,
    display={"singular": "Resource group", "plural": "Resource groups"},
)

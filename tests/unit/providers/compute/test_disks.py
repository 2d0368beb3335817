"""Managed disks of their own."""

from __future__ import annotations

from typing import Any

import pytest

from unit.providers.azure import COMPUTE, azure

DISK = "Microsoft.Compute/disks/d"


def body(**properties: Any) -> dict[str, Any]:
    return {
        "location": "eastus2",
        "properties": {"creationData": {"createOption": "empty"}, "diskSizeGB": 32, **properties},
    }


async def test_an_empty_disk() -> None:
    async with azure() as cloud:
        answer = await cloud.call("PUT", DISK, {**body(), "sku": {"name": "premium_lrs"}})
        assert answer.status_code in (200, 202)
        disk = await cloud.ok("GET", DISK)
        assert disk["sku"] == {"name": "Premium_LRS", "tier": "Premium"}
        properties = disk["properties"]
        assert properties["creationData"] == {"createOption": "Empty"}
        assert (properties["diskState"], properties["diskSizeBytes"], properties["tier"]) == (
            "Unattached",
            32 * 1024**3,
            "P4",
        )
        unique = properties["uniqueId"]
        await cloud.ok("PATCH", DISK, {"properties": {"diskSizeGB": 64}})
        disk = await cloud.ok("GET", DISK)
        assert (disk["properties"]["diskSizeGB"], disk["properties"]["uniqueId"]) == (64, unique)
        await cloud.call("DELETE", DISK)
        await cloud.gone(DISK)


async def test_a_disk_is_accepted_first_and_told_of_with_the_operations_end() -> None:
    async with azure() as cloud:
        answer = await cloud.call("PUT", DISK, body())
        assert (answer.status_code, answer.json()["properties"]) == (
            202,
            {"provisioningState": "Updating", "creationData": {"createOption": "Empty"}, "diskSizeGB": 32},
        )
        assert "sku" not in answer.json()
        shown = await cloud.ok("GET", DISK)
        status = answer.headers["azure-asyncoperation"].removeprefix("https://localhost:8443")
        assert "/locations/eastus2/DiskOperations/" in status
        assert (await cloud.ok("GET", status))["properties"] == {"output": shown}
        result = answer.headers["location"].removeprefix("https://localhost:8443")
        assert result == status.replace("?", "?monitor=true&")
        assert await cloud.ok("GET", result) == shown
        answer = await cloud.call("DELETE", DISK)
        assert answer.status_code == 202
        ended = await cloud.call("GET", answer.headers["location"].removeprefix("https://localhost:8443"))
        assert (ended.status_code, ended.content) == (200, b"")


async def test_older_versions_show_less() -> None:
    async with azure() as cloud:
        await cloud.ok("PUT", DISK, body())
        old = (await cloud.ok("GET", f"{DISK}?api-version=2019-03-01"))["properties"]
        new = (await cloud.ok("GET", DISK))["properties"]
        assert set(new) - set(old) == {"encryption", "networkAccessPolicy", "publicNetworkAccess"}


async def test_a_copy_is_as_large_as_its_source() -> None:
    async with azure() as cloud:
        await cloud.ok("PUT", DISK, body())
        copy = {"createOption": "Copy", "sourceResourceId": f"{COMPUTE}/disks/d"}
        await cloud.ok(
            "PUT", "Microsoft.Compute/disks/e", {"location": "eastus2", "properties": {"creationData": copy}}
        )
        assert (await cloud.ok("GET", "Microsoft.Compute/disks/e"))["properties"]["diskSizeGB"] == 32
        copy["sourceResourceId"] = f"{COMPUTE}/disks/none"
        got = await cloud.error(
            "PUT", "Microsoft.Compute/disks/f", {"location": "eastus2", "properties": {"creationData": copy}}
        )
        assert got[:2] == (404, "ResourceNotFound")


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"creationData": None}, "Required parameter 'disk.creationData' is missing (null)."),
        ({"diskSizeGB": None}, "Required parameter 'disk.diskSizeGB' is missing (null)."),
        ({"creationData": {"createOption": "Upload"}}, "create option 'Upload'"),
    ],
)
async def test_refuses(properties: dict[str, Any], words: str) -> None:
    async with azure() as cloud:
        status, code, error = await cloud.error("PUT", DISK, body(**properties))
        assert (status, code) == (400, "InvalidParameter")
        assert words in error["message"]


async def test_a_disk_does_not_shrink() -> None:
    async with azure() as cloud:
        await cloud.ok("PUT", DISK, body())
        status, code, _ = await cloud.error("PUT", DISK, body(diskSizeGB=16))
        assert (status, code) == (409, "OperationNotAllowed")

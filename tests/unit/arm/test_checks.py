"""What is refused before any hook runs, in ARM's words."""

import pytest

from unit.arm import toys
from unit.arm.toys import SUB, cloud

GROUP = f"/subscriptions/{SUB}/resourcegroups/g"


def box(location: object = "eastus2", **more: object) -> toys.Json:
    return {"location": location, "properties": {"size": 1}, **more}


async def test_a_missing_group_is_told_by_its_name() -> None:
    async with cloud() as c:
        for method, body in (("PUT", box()), ("GET", None), ("DELETE", None), ("PATCH", {"tags": {}})):
            answer = await c.call(method, "Toy.Net/boxes/b", body)
            assert answer.status_code == 404
            assert answer.json()["error"]["code"] == "ResourceGroupNotFound"
            assert answer.json()["error"]["message"] == "Resource group 'g' could not be found."
        assert (await c.error("GET", "Toy.Net/boxes"))[1] == "ResourceGroupNotFound"
        assert (await c.error("GET", f"{GROUP}/resources"))[1] == "ResourceGroupNotFound"
        assert (await c.error("GET", GROUP))[1] == "ResourceGroupNotFound"
        assert (await c.error("DELETE", GROUP))[1] == "ResourceGroupNotFound"
        assert (await c.call("HEAD", GROUP)).status_code == 404
        await c.group()
        assert (await c.call("HEAD", GROUP)).status_code == 204


async def test_a_missing_parent_is_told_for_every_method() -> None:
    async with cloud() as c:
        await c.group()
        for method in ("PUT", "DELETE"):
            status, code, error = await c.error(method, "Toy.Net/boxes/b/slots/s", {} if method == "PUT" else None)
            assert (status, code) == (404, "ParentResourceNotFound")
            assert error["message"].endswith("Parent resource 'b' not found.")
        for path in ("slots/s", "slots", "notes"):  # who reads is told which resource that would be [recorded]
            status, code, error = await c.error("GET", f"Toy.Net/boxes/b/{path}")
            assert (status, code) == (404, "ResourceNotFound")
            assert error["message"].startswith("The Resource 'Toy.Net/boxes/b' under resource group ")
            assert error.keys() == {"code", "message"}
        missing = "Toy.Net/boxes/b/providers/Toy.Net/marks/m"
        assert (await c.error("PUT", missing, {"properties": {}}))[1] == "ResourceNotFound"


async def test_what_has_a_location_lives_in_a_group() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", box())
        for path in (
            f"/subscriptions/{SUB}/providers/Toy.Net/boxes/b",
            "Toy.Net/boxes/b/providers/Toy.Net/boxes/c",
        ):
            assert (await c.error("PUT", path, box()))[0] == 404
            assert (await c.error("GET", path))[0] == 404
        await c.ok("PUT", f"/subscriptions/{SUB}/providers/Toy.Net/marks/m", {})


async def test_locations() -> None:
    async with cloud() as c:
        await c.group()
        status, code, error = await c.error("PUT", "Toy.Net/boxes/b", {"properties": {"size": 1}})
        assert (status, code) == (400, "LocationRequired")
        assert error["message"] == "The location property is required for this definition."
        status, code, error = await c.error("PUT", "Toy.Net/boxes/b", box("atlantis"))
        assert (status, code) == (400, "LocationNotAvailableForResourceType")
        assert error["message"].startswith(
            "The provided location 'atlantis' is not available for resource type 'Toy.Net/boxes'. List of available "
            "regions for the resource type is 'australiacentral,"
        )
        assert (await c.error("PUT", "Toy.Net/boxes/b", box(5)))[0] == 400
        assert (await c.ok("PUT", "Toy.Net/boxes/b", box("East US 2")))["location"] == "eastus2"
        status, code, error = await c.error("PUT", "Toy.Net/boxes/b", box("westus"))
        assert (status, code) == (409, "InvalidResourceLocation")
        assert error["message"] == (
            "The resource 'b' already exists in location 'eastus2' in resource group 'g'. A resource with the same name "
            "cannot be created in location 'westus'. Please select a new resource name."
        )
        status, code, error = await c.error("PUT", GROUP, {"location": "westus"})
        assert (status, code) == (409, "InvalidResourceGroupLocation")
        assert error["message"] == (
            "Invalid resource group location 'westus'. The Resource group already exists in location 'eastus2'."
        )
        status, code, _ = await c.error("PUT", f"/subscriptions/{SUB}/resourcegroups/h", {"location": "atlantis"})
        assert (status, code) == (400, "LocationNotAvailableForResourceGroup")


@pytest.mark.parametrize("name", ["-b", "b-", "a" * 81, "a b", "é", "b%2Fc", "a%00"])
async def test_names_are_checked_on_creation(name: str) -> None:
    async with cloud() as c:
        await c.group()
        status, code, _ = await c.error("PUT", f"Toy.Net/boxes/{name}", box())
        assert (status, code) == (400, "InvalidResourceName")


async def test_tags_have_limits() -> None:
    async with cloud() as c:
        await c.group()
        for tags in (
            {str(n): "" for n in range(51)},
            {"x" * 513: ""},
            {"": "x"},
            {"x": "y" * 257},
            {"x": 1},
            ["x"],
            "x",
        ):
            assert (await c.error("PUT", "Toy.Net/boxes/b", box(tags=tags)))[0] == 400
        await c.ok("PUT", "Toy.Net/boxes/b", box(tags={str(n): "y" * 256 for n in range(50)}))
        assert (await c.error("PATCH", "Toy.Net/boxes/b", {"tags": {str(n): "" for n in range(51)}}))[0] == 400


async def test_bodies_that_are_no_object() -> None:
    async with cloud() as c:
        await c.group()
        for body in (b"", b"[]", b'"x"', b"{", b"{'a':1}"):
            status, code, _ = await c.error("PUT", "Toy.Net/boxes/b", body)
            assert status == 400
            assert code in ("InvalidRequestContent", "MissingRequestBody")
        assert (await c.call("PUT", "Toy.Run/tasks/t", b"{properties: {boxes: [], /* none */}}")).status_code == 201


async def test_a_group_being_deleted_takes_nothing_new() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Net/boxes/b", box())
        assert (await c.call("DELETE", GROUP)).status_code == 202
        for path, body in (
            ("Toy.Net/boxes/c", box()),
            ("Toy.Net/boxes/b/slots/s", {}),
            (GROUP, {"location": "eastus2"}),
        ):
            status, code, error = await c.error("PUT", path, body)
            assert status == 409
            assert code in ("ResourceGroupBeingDeleted", "AnotherOperationInProgress")
            if code == "ResourceGroupBeingDeleted":
                assert error["message"] == (
                    "The resource group 'g' is in deprovisioning state and cannot perform this operation."
                )
        c.settle_always()
        while c.store.snapshot.get(GROUP) is not None:
            await c.core.operations.wait(next(iter(c.store.snapshot.unsettled)))
        await c.group()

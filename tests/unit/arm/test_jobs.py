"""Jobs: group deletion and work that goes on; they survive a restart and end with their operation."""

import asyncio
from pathlib import Path

from unit.arm.toys import GUEST, SUB, cloud

GROUP = f"/subscriptions/{SUB}/resourceGroups/g"
TASK = {"properties": {"boxes": ["one", "two"]}}


async def test_a_job_works_as_the_caller_and_ends_its_operation() -> None:
    async with cloud() as c:
        await c.group()
        c.settle_always()
        answer = await c.call("PUT", "Toy.Run/tasks/t", TASK)
        assert answer.status_code == 201
        assert answer.json()["properties"]["provisioningState"] == "Updating"
        (operation,) = [o for o in c.store.snapshot.unsettled.values() if o.key.endswith("/t")]
        await c.core.operations.succeeded(operation.id)
        row = c.store.snapshot.rows[operation.key]
        assert (row.state["done"], row.provisioning, row.generation) == (["one", "two"], "Succeeded", 1)
        assert len((await c.ok("GET", "Toy.Net/boxes"))["value"]) == 2


async def test_the_error_of_a_job_is_the_error_of_its_operation() -> None:
    async with cloud() as c:
        await c.group()
        c.settle_always()
        answer = await c.call("PUT", "Toy.Run/tasks/t", {"properties": {"boxes": ["one", "bad"]}})
        polled = {"status": "InProgress"}
        while polled["status"] == "InProgress":
            polled = await c.ok("GET", answer.headers["azure-asyncoperation"].split("8443")[1])
        assert polled["status"] == "Failed"
        assert polled["error"] == {
            "code": "BadBox",
            "message": "No such box.",
            "details": [{"code": "Inner", "message": "why"}],
        }
        assert (await c.ok("GET", "Toy.Run/tasks/t"))["properties"]["provisioningState"] == "Failed"


async def test_a_job_may_do_what_its_caller_may() -> None:
    async with cloud() as c:
        await c.group()
        permissions = [{"actions": ["Toy.Run/*"], "notActions": []}]
        definition = f"/subscriptions/{SUB}/providers/Microsoft.Authorization/roleDefinitions/r"
        await c.ok("PUT", definition, {"properties": {"permissions": permissions}})
        await c.grant(GUEST, "r", GROUP, "1")
        await c.ok("PUT", "Toy.Run/tasks/t", TASK, who=GUEST)
        (operation,) = [o for o in c.store.snapshot.operations.values() if o.key.endswith("/t")]
        ended = await c.core.operations.wait(operation.id)
        assert ended.error is not None
        assert ended.error["code"] == "AuthorizationFailed"
        assert GUEST.object_id in ended.error["message"]


async def test_a_group_goes_with_all_it_holds() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok(
            "PUT", "Toy.Net/boxes/b", {"location": "eastus2", "properties": {"size": 1, "slots": [{"name": "s"}]}}
        )
        plug = {"sockets": [{"id": f"{GROUP}/providers/Toy.Net/boxes/b/slots/s"}]}
        await c.ok("PUT", "Toy.Net/plugs/p", {"location": "eastus2", "properties": plug})
        await c.grant(GUEST, "acdd72a7-3385-48ef-bd42-f606fba81ae7", GROUP, "1")
        await c.settle()
        c.settle_always()
        answer = await c.call("DELETE", GROUP)
        assert answer.status_code == 202
        assert "azure-asyncoperation" not in answer.headers
        location = answer.headers["location"].split("8443")[1]
        assert location.startswith(f"/subscriptions/{SUB}/operationresults/")
        while (polled := await c.call("GET", location)).status_code == 202:
            assert polled.headers["location"].endswith(location)
        assert (polled.status_code, polled.content) == (200, b"")
        assert [row.type for row in c.store.snapshot.rows.values()] == ["Microsoft.Authorization/roleAssignments"]


async def test_a_group_whose_deletion_was_blocked_is_rolled_back() -> None:
    async with cloud() as c:
        await c.group()
        await c.group("other")
        other = f"/subscriptions/{SUB}/resourceGroups/other/providers/Toy.Net/plugs/p"
        await c.ok("PUT", "Toy.Net/boxes/b", {"location": "eastus2", "properties": {"size": 1}})
        plug = {"box": {"id": f"{GROUP}/providers/Toy.Net/boxes/b"}}
        await c.ok("PUT", other, {"location": "eastus2", "properties": plug})
        await c.settle()
        answer = await c.call("DELETE", GROUP)
        location = answer.headers["location"].split("8443")[1]
        while (polled := await c.call("GET", location)).status_code == 202:
            pass
        assert polled.status_code == 409
        assert polled.json()["error"]["code"] == "InUseBoxCannotBeDeleted"
        assert (await c.ok("GET", GROUP))["properties"]["provisioningState"] == "Succeeded"


async def test_a_restart_starts_unfinished_jobs_again(tmp_path: Path) -> None:
    async with cloud(tmp_path / "s.db") as c:
        await c.group()
        await c.ok("PUT", "Toy.Run/tasks/t", TASK)
        while not list(c.store.snapshot.list("Toy.Net/boxes")):
            await asyncio.sleep(0.001)
        # The job waits for its first box, which nobody settles; the process ends here.
    async with cloud(tmp_path / "s.db") as c:
        c.settle_always()
        (operation,) = [o for o in c.store.snapshot.operations.values() if o.key.endswith("/t")]
        assert operation.ended is None
        await c.core.operations.succeeded(operation.id)
        assert c.store.snapshot.rows[operation.key].state["done"] == ["one", "two"]


async def test_deleting_what_a_job_works_on_stops_the_job() -> None:
    async with cloud() as c:
        await c.group()
        await c.ok("PUT", "Toy.Run/tasks/t", TASK)
        while not list(c.store.snapshot.list("Toy.Net/boxes")):
            await asyncio.sleep(0.001)
        assert len(c.core.jobs.running()) == 1
        assert (await c.call("DELETE", "Toy.Run/tasks/t")).status_code == 200
        while c.core.jobs.running():
            await asyncio.sleep(0.001)
        (operation,) = [o for o in c.store.snapshot.operations.values() if o.key.endswith("/t") and o.kind == "PUT"]
        assert operation.status == "Canceled"
        assert len(list(c.store.snapshot.list("Toy.Net/boxes"))) == 1

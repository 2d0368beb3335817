"""The core without HTTP: what the application page and the jobs call."""

from pathlib import Path

import pytest

from azlan.arm.resource import SYSTEM, Accepted
from azlan.arm.writes import Request
from azlan.base.errors import ArmError
from azlan.base.ids import parse_id
from unit.arm.toys import GUEST, OWNER, SUB, cloud

G = f"/subscriptions/{SUB}/resourceGroups/g"
BOX = {"location": "eastus2", "properties": {"size": 1}}


async def test_put_get_and_delete() -> None:
    async with cloud() as c:
        await c.group()
        request, id = Request(OWNER, "2024-05-01"), parse_id(f"{G}/providers/Toy.Net/boxes/b")
        outcome = await c.core.put(request, id, BOX)
        assert outcome.created
        assert outcome.operation is not None
        assert c.core.get(request, id)["name"] == "b"
        with pytest.raises(ArmError, match="AuthorizationFailed"):
            c.core.get(Request(GUEST, "2024-05-01"), id)
        assert (await c.core.delete(request, id)).operation is not None
        await c.settle()
        with pytest.raises(ArmError, match="ResourceNotFound"):
            c.core.get(request, id)
        with pytest.raises(ArmError, match="InvalidResourceNamespace"):
            c.core.get(request, parse_id(f"{G}/providers/No.Such/boxes/b"))


async def test_actions() -> None:
    async with cloud() as c:
        await c.group()
        id = parse_id(f"{G}/providers/Toy.Run/machines/m")
        await c.core.put(Request(SYSTEM, "2024-05-01"), id, {"location": "eastus2", "properties": {}})
        await c.settle()
        answer = await c.core.action(Request(OWNER, "2024-05-01"), id, "START")
        assert isinstance(answer, Accepted)
        await c.settle()
        assert (await c.core.operations.succeeded(answer.operation.id)).status == "Succeeded"
        with pytest.raises(ArmError, match="could not be found"):
            await c.core.action(Request(OWNER, "2024-05-01"), id, "dance")


async def test_what_bootstrap_gave_lasts(tmp_path: Path) -> None:
    async with cloud(tmp_path / "s.db") as c:
        await c.group()
        (first,) = c.store.snapshot.list("Microsoft.Authorization/roleAssignments")
    async with cloud(tmp_path / "s.db") as c:
        (again,) = c.store.snapshot.list("Microsoft.Authorization/roleAssignments")
        assert again == first
        assert (await c.ok("GET", G))["name"] == "g"

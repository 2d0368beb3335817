"""Carrying plans out: order, parallel work, failures, Complete mode, and going on in another process."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from azlan.arm.store import Transaction
from azlan.base.sealing import KEY_SIZE, Safe
from azlan.providers.resources.rollout import duration
from unit.providers.azure import GROUP, GUEST, NETWORK, SUB, Azure, azure
from unit.providers.resources.test_deployments import DEPLOYMENT, NSG, deploy, deployment, group

ADDRESS = "Microsoft.Network/publicIPAddresses"


async def pending(cloud: Azure) -> set[str]:
    """Names of what waits for a loop, once nothing new has begun for a while."""
    names: set[str] = set()
    same = 0
    async with asyncio.timeout(10):
        while same < 20:
            await asyncio.sleep(0.005)
            now = {operation.key.rsplit("/", 1)[-1] for operation in cloud.cloud.core.operations.pending()}
            same = same + 1 if now and now == names else 0
            names = now
    return names


async def test_independent_resources_are_put_together_and_dependents_wait() -> None:
    async with azure(settling=False) as cloud:
        await cloud.ok("PUT", DEPLOYMENT, deployment(group("a"), group("b"), group("c", dependsOn=["a", "b"])))
        assert await pending(cloud) == {"a", "b"}
        assert (await cloud.ok("GET", DEPLOYMENT))["properties"]["provisioningState"] == "Running"
        await cloud.cloud.settle()
        assert await pending(cloud) == {"c"}
        await cloud.cloud.settle()
        await cloud.until(DEPLOYMENT, "Succeeded")


async def test_a_resource_that_is_refused() -> None:
    async with azure() as cloud:
        bad = group("bad", properties={"nonsense": 1})
        found = await deploy(cloud, deployment(bad, group("after", dependsOn=["bad"])))
        assert found["provisioningState"] == "Failed"
        error = found["error"]
        assert (error["code"], error["target"]) == ("DeploymentFailed", f"{GROUP}/providers/{DEPLOYMENT}")
        assert error["message"].startswith(
            "At least one resource deployment operation failed. Please list deployment operations"
        )
        assert [detail["code"] for detail in error["details"]] == ["InvalidRequestFormat"]
        assert cloud.row(f"{NSG}/after") is None
        assert "outputs" not in found
        (entry,) = (await cloud.ok("GET", f"{DEPLOYMENT}/operations"))["value"]
        assert (entry["properties"]["provisioningState"], entry["properties"]["statusCode"]) == ("Failed", "BadRequest")
        assert entry["properties"]["statusMessage"]["error"]["code"] == "InvalidRequestFormat"


async def test_an_operation_that_fails() -> None:
    async with azure(settling=False) as cloud:
        await cloud.ok("PUT", DEPLOYMENT, deployment(group("a")))
        await pending(cloud)
        await cloud.cloud.settle({"code": "Broken", "message": "It broke."})
        error = (await cloud.until(DEPLOYMENT, "Failed"))["properties"]["error"]
        (detail,) = error["details"]
        assert (detail["code"], detail["target"]) == ("ResourceDeploymentFailure", f"{NETWORK}/networkSecurityGroups/a")
        assert detail["details"][0]["code"] == "Broken"


async def test_an_output_that_cannot_be_evaluated() -> None:
    async with azure() as cloud:
        body = deployment(group("a"), outputs={"o": {"type": "string", "value": "[reference('a').nothing]"}})
        error = (await deploy(cloud, body))["error"]
        assert error["code"] == "DeploymentOutputEvaluationFailed"
        assert "'nothing'" in error["details"][0]["message"]


async def test_a_reference_to_what_is_not_there() -> None:
    async with azure() as cloud:
        text = f"[reference('{NETWORK}/virtualNetworks/none', '2024-05-01').x]"
        found = await deploy(cloud, deployment(group("a", tags={"x": text})))
        assert found["error"]["details"][0]["code"] == "ResourceNotFound"


async def test_another_process_goes_on_where_the_first_was_killed(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    async with azure(store, settling=False) as cloud:
        body = deployment(
            group("a"),
            group("b", dependsOn=["a"]),
            outputs={"o": {"type": "string", "value": "[reference('b').provisioningState]"}},
        )
        await cloud.ok("PUT", DEPLOYMENT, body)
        await pending(cloud)
        await cloud.cloud.settle()
        assert await pending(cloud) == {"b"}
    async with azure(store, group=False) as cloud:
        found = (await cloud.until(DEPLOYMENT, "Succeeded"))["properties"]
        assert found["outputs"]["o"]["value"] == "Succeeded"
        assert cloud.row(f"{NSG}/a").generation == 1


async def test_a_plan_whose_key_is_gone_ends_by_its_name(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    async with azure(store, settling=False) as cloud:
        await cloud.ok("PUT", DEPLOYMENT, deployment(group("a"), group("b", dependsOn=["a"])))
        await pending(cloud)
        text = cloud.row(DEPLOYMENT).state["plan"]
        assert (await cloud.cloud.core.store.transact(lambda change: _sealed_by_another(change, cloud, text))) is None
    async with azure(store, group=False) as cloud:
        error = (await cloud.until(DEPLOYMENT, "Failed"))["properties"]["error"]
        assert "key that its plan was sealed with is gone" in error["details"][0]["message"]


def _sealed_by_another(change: Transaction, cloud: Azure, text: str) -> None:
    row = change.snapshot.rows[cloud.row(DEPLOYMENT).key]
    plan = Safe().seal(Safe(bytes(KEY_SIZE)).open(text, row.key), row.key)
    change.put(replace(row, state={**row.state, "plan": plan}, revision=change.revision))


async def test_an_end_that_was_stored_but_not_told(tmp_path: Path) -> None:
    """Killed between writing the outcome and ending the operation: the next process says the same."""
    store = tmp_path / "store.db"
    async with azure(store, settling=False) as cloud:
        cloud.cloud.settle_always()
        await cloud.ok("PUT", DEPLOYMENT, deployment(group("a")))
        core = cloud.cloud.core
        settle = core.operations.settle

        async def lost(id: str, error: Any = None) -> None:
            operation = core.operations.get(id)
            if operation is None or "deployments" not in operation.key:
                await settle(id, error)

        core.operations.settle = lost  # type: ignore[method-assign]
        bad = group("bad", properties={"nonsense": 1})
        await cloud.ok("PUT", "Microsoft.Resources/deployments/e", deployment(bad))
        for _ in range(500):
            if "ended" in cloud.row("Microsoft.Resources/deployments/e").state:
                break
            await asyncio.sleep(0.002)
    async with azure(store, group=False) as cloud:
        assert (await cloud.until("Microsoft.Resources/deployments/e", "Succeeded", "Failed"))["properties"][
            "provisioningState"
        ] == "Failed"


async def test_a_reference_shows_only_what_the_caller_may_read() -> None:
    async with azure() as cloud:
        await cloud.network()
        contributor = {
            "roleName": "Deploys here",
            "permissions": [
                {"actions": ["Microsoft.Resources/deployments/*", "Microsoft.Network/networkSecurityGroups/*"]}
            ],
            "assignableScopes": [GROUP],
        }
        role = "77777777-0000-0000-0000-000000000000"
        path = f"/subscriptions/{SUB}/providers/Microsoft.Authorization/roleDefinitions/{role}"
        await cloud.ok("PUT", path, {"properties": contributor})
        await cloud.cloud.grant(GUEST, role, GROUP, "11111111-0000-0000-0000-000000000000")
        text = f"[reference('{NETWORK}/virtualNetworks/v', '2024-05-01').resourceGuid]"
        await cloud.ok("PUT", DEPLOYMENT, deployment(group("a", tags={"x": text})), who=GUEST)
        found = (await cloud.until(DEPLOYMENT, "Succeeded", "Failed"))["properties"]
        assert [detail["code"] for detail in found["error"]["details"]] == ["AuthorizationFailed"]


async def test_complete_mode_removes_what_the_template_does_not_name() -> None:
    async with azure() as cloud:
        await deploy(cloud, deployment(group("old"), group("kept")))
        await cloud.network()
        found = await deploy(cloud, deployment(group("kept"), mode="complete"), "Microsoft.Resources/deployments/e")
        assert (found["provisioningState"], found["mode"]) == ("Succeeded", "Complete")
        assert cloud.row(f"{NSG}/kept") is not None
        assert cloud.row(f"{NSG}/old") is None
        assert cloud.row("Microsoft.Network/virtualNetworks/v") is None
        assert cloud.row(DEPLOYMENT) is not None


async def test_complete_mode_keeps_what_a_named_resource_uses() -> None:
    async with azure() as cloud:
        await cloud.network()
        nic = await cloud.nic("n")
        subnet = {"id": f"{NETWORK}/virtualNetworks/v/subnets/s"}
        named: dict[str, Any] = {
            "type": "Microsoft.Network/networkInterfaces",
            "apiVersion": "2024-05-01",
            "name": "n",
            "location": "eastus2",
            "properties": {"ipConfigurations": [{"name": "ipconfig1", "properties": {"subnet": subnet}}]},
        }
        found = await deploy(cloud, deployment(named, mode="Complete"))
        assert found["error"]["code"] == "DeploymentFailed"
        assert found["error"]["details"][0]["code"] == "InUseSubnetCannotBeDeleted"
        assert cloud.row(nic) is not None


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("2025-01-01T00:00:00Z", "PT0S"),
        ("2025-01-01T00:00:01.5Z", "PT1.5S"),
        ("2025-01-01T01:02:03Z", "PT1H2M3S"),
        ("soon", "PT0S"),
    ],
)
def test_durations(end: str, expected: str) -> None:
    assert duration("2025-01-01T00:00:00Z", end) == expected

"""Deployments through the API: acceptance, documents, validation, operations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from passlib.hash import sha512_crypt

from azlan.providers.resources.deployments import template_hash
from unit.providers.azure import GROUP, GUEST, NETWORK, SUB, Azure, azure

DEPLOYMENT = "Microsoft.Resources/deployments/d"
NSG = "Microsoft.Network/networkSecurityGroups"


def group(name: str, **more: Any) -> dict[str, Any]:
    return {"type": NSG, "apiVersion": "2024-05-01", "name": name, "location": "eastus2", "properties": {}, **more}


def deployment(
    *resources: Any, parameters: dict[str, Any] | None = None, mode: str = "Incremental", **members: Any
) -> dict[str, Any]:
    template = {"resources": list(resources), **members}
    given = {name: {"value": value} for name, value in (parameters or {}).items()}
    return {"properties": {"mode": mode, "template": template, "parameters": given}}


async def deploy(cloud: Azure, body: Any, name: str = DEPLOYMENT) -> Any:
    await cloud.ok("PUT", name, body)
    return (await cloud.until(name, "Succeeded", "Failed"))["properties"]


def az_template() -> Any:
    text = (Path(__file__).parent / "az-vm-create-template.json").read_text()
    return json.loads(text.replace("/resourceGroups/test-rg", "/resourceGroups/rg"))


async def az_network(cloud: Azure) -> None:
    subnet = {"name": "subnet-1", "properties": {"addressPrefix": "10.1.0.0/24"}}
    space = {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}, "subnets": [subnet]}
    await cloud.ok("PUT", "Microsoft.Network/virtualNetworks/vnet-2", {"location": "eastus2", "properties": space})


async def test_what_az_vm_create_deploys() -> None:
    """The template that az 2.91 sends, as recorded."""
    async with azure() as cloud:
        await az_network(cloud)
        answer = await cloud.call("PUT", DEPLOYMENT, az_template())
        assert answer.status_code == 201
        assert "azure-asyncoperation" in answer.headers
        assert answer.json()["properties"]["provisioningState"] == "Accepted"
        found = (await cloud.until(DEPLOYMENT, "Succeeded"))["properties"]
        assert found["parameters"] == {"adminPassword": {"type": "SecureString"}}
        assert found["mode"] == "Incremental"
        assert [entry["id"].rsplit("/", 1)[-1] for entry in found["outputResources"]] == [
            "vm-2NSG",
            "vm-2PublicIP",
            "vm-2VMNic",
            "vm-2",
        ]
        assert {entry["namespace"] for entry in found["providers"]} == {"Microsoft.Network", "Microsoft.Compute"}
        machine = cloud.machine("vm-2")
        assert machine is not None
        assert machine.login is not None
        assert sha512_crypt.verify("Passw0rd!23456", machine.login.password_hash or "")


async def test_a_secret_is_in_no_row_at_any_time() -> None:
    async with azure(settling=False) as cloud:
        cloud.cloud.settle_always()
        await az_network(cloud)
        seen: list[str] = []
        cloud.cloud.store.subscribe(
            lambda: seen.append(repr([(r.body, r.state) for r in cloud.cloud.store.snapshot.rows.values()]))
        )
        await deploy(cloud, az_template())
        assert any("'plan': 'sealed-1." in text for text in seen)
        assert not any("Passw0rd" in text for text in seen)
        assert "sealed" not in cloud.row(DEPLOYMENT).state
        assert "plan" not in cloud.row(DEPLOYMENT).state


async def test_outputs_and_references() -> None:
    async with azure() as cloud:
        body = deployment(
            group("[parameters('name')]"),
            outputs={
                "id": {
                    "type": "string",
                    "value": "[resourceId('Microsoft.Network/networkSecurityGroups', parameters('name'))]",
                },
                "guid": {"type": "string", "value": "[reference(parameters('name')).resourceGuid]"},
                "where": {"type": "string", "value": "[reference(parameters('name'), '2024-05-01', 'Full').location]"},
                "host": {"type": "string", "value": "[environment().resourceManager]"},
            },
            parameters={"name": "n"},
        )
        body["properties"]["template"]["parameters"] = {"name": {"type": "string"}}
        found = await deploy(cloud, body)
        shown = await cloud.ok("GET", f"{NSG}/n")
        values = {name: entry["value"] for name, entry in found["outputs"].items()}
        assert values == {
            "id": shown["id"],
            "guid": shown["properties"]["resourceGuid"],
            "where": "eastus2",
            "host": "https://localhost:8443/",
        }
        assert found["parameters"] == {"name": {"type": "String", "value": "n"}}


async def test_what_az_sends_is_not_quite_json() -> None:
    text = """{"properties": {"parameters": {}, "mode": "Incremental", template:{ // a comment
        "resources": [] /* none */, "outputs": {"o": {"type": "int", "value": "[add(1, 2)]"}}, }}}"""
    async with azure() as cloud:
        assert (await deploy(cloud, text.encode()))["outputs"] == {"o": {"type": "Int", "value": 3}}
        assert (await cloud.call("POST", f"{DEPLOYMENT}/validate", text.encode())).status_code == 200


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (
            deployment(group("a", dependsOn=["b"])),
            "InvalidTemplate",
            "The resource 'b' is not defined in the template.",
        ),
        (deployment(group("a"), parameters={"x": 1}), "InvalidTemplate", "The template parameters 'x'"),
        (deployment(mode="Sideways"), "InvalidDeploymentMode", "'Sideways'"),
        ({"properties": {"mode": "Incremental"}}, "InvalidRequestContent", "template"),
        (
            {"properties": {"mode": "Incremental", "templateLink": {"uri": "https://x"}}},
            "InvalidRequestContent",
            "templateLink",
        ),
    ],
)
async def test_what_is_refused_at_once(body: Any, code: str, words: str) -> None:
    async with azure() as cloud:
        for method, path in (("PUT", DEPLOYMENT), ("POST", f"{DEPLOYMENT}/validate")):
            status, got, error = await cloud.error(method, path, body)
            assert (status, got) == (400, code)
            assert words in error["message"]
        assert cloud.row(DEPLOYMENT) is None


async def test_a_weak_password_is_found_before_anything_is_deployed() -> None:
    body = az_template()
    body["properties"]["parameters"]["adminPassword"]["value"] = "weak"
    async with azure() as cloud:
        status, code, error = await cloud.error("PUT", DEPLOYMENT, body)
        assert (status, code) == (400, "InvalidTemplateDeployment")
        assert error["message"].startswith(
            "The template deployment 'd' is not valid according to the validation procedure."
        )
        (detail,) = error["details"]
        assert (detail["code"], detail["target"]) == ("InvalidParameter", "adminPassword")


async def test_validation_stores_nothing() -> None:
    async with azure() as cloud:
        found = await cloud.ok("POST", f"{DEPLOYMENT}/validate", deployment(group("a")))
        assert found["properties"]["provisioningState"] == "Succeeded"
        assert found["properties"]["validatedResources"] == [{"id": f"{NETWORK}/networkSecurityGroups/a"}]
        assert cloud.row(DEPLOYMENT) is None
        elsewhere = f"/subscriptions/{SUB}/resourceGroups/none/providers/{DEPLOYMENT}/validate"
        assert (await cloud.error("POST", elsewhere, deployment()))[:2] == (404, "ResourceGroupNotFound")


async def test_a_deployment_without_a_group() -> None:
    async with azure() as cloud:
        elsewhere = f"/subscriptions/{SUB}/resourceGroups/none/providers/{DEPLOYMENT}"
        assert (await cloud.error("PUT", elsewhere, deployment()))[:2] == (404, "ResourceGroupNotFound")


async def test_a_deployment_at_the_subscription() -> None:
    async with azure() as cloud:
        got = await cloud.error("PUT", f"/subscriptions/{SUB}/providers/{DEPLOYMENT}", deployment())
        assert got[:2] == (400, "DeploymentScopeNotSupported")


async def test_an_active_deployment_is_not_replaced() -> None:
    async with azure(settling=False) as cloud:
        await cloud.ok("PUT", DEPLOYMENT, deployment(group("a")))
        assert (await cloud.error("PUT", DEPLOYMENT, deployment()))[:2] == (409, "DeploymentActive")
        cloud.cloud.settle_always()
        await cloud.until(DEPLOYMENT, "Succeeded")
        assert (await cloud.call("PUT", DEPLOYMENT, deployment(group("b")))).status_code == 200
        found = (await cloud.until(DEPLOYMENT, "Succeeded"))["properties"]
        assert [entry["id"].rsplit("/", 1)[-1] for entry in found["outputResources"]] == ["b"]


async def test_operations() -> None:
    async with azure() as cloud:
        await deploy(cloud, deployment(group("a")))
        listed = await cloud.ok("GET", f"{DEPLOYMENT}/operations")
        (entry,) = listed["value"]
        properties = entry["properties"]
        assert properties["targetResource"] == {
            "id": f"{NETWORK}/networkSecurityGroups/a",
            "resourceType": NSG,
            "resourceName": "a",
        }
        assert (properties["provisioningState"], properties["statusCode"]) == ("Succeeded", "Created")
        assert await cloud.ok("GET", f"{DEPLOYMENT}/operations/{entry['operationId']}") == entry
        assert await cloud.ok("GET", f"{GROUP}/deployments/d/operations") == listed
        assert (await cloud.error("GET", f"{GROUP}/deployments/none/operations"))[:2] == (404, "DeploymentNotFound")
        assert (await cloud.error("GET", f"{DEPLOYMENT}/operations/none"))[:2] == (404, "DeploymentOperationNotFound")


async def test_lists_and_deletion() -> None:
    async with azure() as cloud:
        await deploy(cloud, deployment(group("a")))
        listed = await cloud.ok("GET", "Microsoft.Resources/deployments")
        assert [entry["name"] for entry in listed["value"]] == ["d"]
        resources = await cloud.ok("GET", f"{GROUP}/resources")
        assert [entry["type"] for entry in resources["value"]] == [NSG]
        assert (await cloud.call("DELETE", DEPLOYMENT)).status_code == 202
        await cloud.gone(DEPLOYMENT)
        assert cloud.row(f"{NSG}/a") is not None


async def test_a_nested_deployment_passes_a_secret_on() -> None:
    inner = az_template()["properties"]["template"]
    nested = {
        "type": "Microsoft.Resources/deployments",
        "apiVersion": "2024-11-01",
        "name": "inner",
        "properties": {
            "mode": "Incremental",
            "expressionEvaluationOptions": {"scope": "inner"},
            "template": inner,
            "parameters": {"adminPassword": {"value": "[parameters('secret')]"}},
        },
    }
    body = deployment(nested, parameters={"secret": "Passw0rd!23456"})
    body["properties"]["template"]["parameters"] = {"secret": {"type": "secureString"}}
    async with azure() as cloud:
        await az_network(cloud)
        found = await deploy(cloud, body)
        assert found["provisioningState"] == "Succeeded", found
        machine = cloud.machine("vm-2")
        assert machine is not None
        assert machine.login is not None
        assert sha512_crypt.verify("Passw0rd!23456", machine.login.password_hash or "")


async def test_a_reader_deploys_nothing() -> None:
    async with azure() as cloud:
        reader = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
        await cloud.cloud.grant(GUEST, reader, GROUP, "11111111-0000-0000-0000-000000000000")
        status, code, _ = await cloud.error("PUT", DEPLOYMENT, deployment(group("a")), who=GUEST)
        assert (status, code) == (403, "AuthorizationFailed")


def test_a_templates_hash_does_not_depend_on_order() -> None:
    assert template_hash({"a": 1, "b": [2]}) == template_hash({"b": [2], "a": 1})
    assert template_hash({"a": 1}) != template_hash({"a": 2})

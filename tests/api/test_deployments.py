"""Templates as clients deploy them: the one that `az vm create` sends, and what is refused or fails on the way.

Words as users of Azure paste them; see docs/design/templates.md for what is not served.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.estate import (
    ADDRESSES,
    DEPLOYMENTS,
    GROUPS,
    IMAGE,
    LOCATION,
    NICS,
    PASSWORD,
    TEMPLATE,
    VMS,
    VNETS,
    deployment,
    nic,
    placed,
    problem,
    untouched,
    vnet,
)
from client import ArmClient, ArmFailure
from kit import Cloud


def as_az_sends_it(arm: ArmClient, name: str = "vm-2", **machine: Any) -> dict[str, Any]:
    """What `az vm create` of az 2.91 deploys: nulls, several versions, relative dependencies, one secure parameter."""
    subnet = arm.id(f"{VNETS}/vnet-2/subnets/subnet-1")
    ssh = {
        "protocol": "Tcp", "sourcePortRange": "*", "destinationPortRange": "22", "sourceAddressPrefix": "*",
        "destinationAddressPrefix": "*", "access": "Allow", "priority": 1000, "direction": "Inbound",
    }  # fmt: skip
    config = {
        "name": f"ipconfig{name}",
        "properties": {
            "privateIPAllocationMethod": "Dynamic",
            "subnet": {"id": subnet},
            "publicIPAddress": {"id": arm.id(f"{ADDRESSES}/{name}PublicIP")},
        },
    }
    resources = [
        {
            "type": GROUPS, "name": f"{name}NSG", "apiVersion": "2015-06-15", "location": LOCATION, "tags": {},
            "dependsOn": [], "properties": {"securityRules": [{"name": "default-allow-ssh", "properties": ssh}]},
        },
        {
            "apiVersion": "2022-01-01", "type": ADDRESSES, "name": f"{name}PublicIP", "location": LOCATION, "tags": {},
            "dependsOn": [], "properties": {"publicIPAllocationMethod": "Static"}, "sku": {"name": "Standard"},
        },
        {
            "apiVersion": "2015-06-15", "type": NICS, "name": f"{name}VMNic", "location": LOCATION, "tags": {},
            "dependsOn": [f"{GROUPS}/{name}NSG", f"Microsoft.Network/publicIpAddresses/{name}PublicIP"],
            "properties": {
                "ipConfigurations": [config],
                "networkSecurityGroup": {"id": arm.id(f"{GROUPS}/{name}NSG")},
            },
        },
        {
            "apiVersion": "2026-04-01", "type": VMS, "name": name, "location": LOCATION, "tags": {},
            "dependsOn": [f"{NICS}/{name}VMNic"],
            "properties": {
                "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
                "networkProfile": {
                    "networkInterfaces": [{"id": arm.id(f"{NICS}/{name}VMNic"), "properties": {"deleteOption": None}}]
                },
                "storageProfile": {
                    "osDisk": {
                        "createOption": "fromImage", "name": None, "caching": "ReadWrite",
                        "managedDisk": {"storageAccountType": None},
                    },
                    "imageReference": IMAGE,
                },
                "osProfile": {
                    "computerName": name, "adminUsername": "azureuser", "adminPassword": "[parameters('adminPassword')]",
                },
                **machine,
            },
        },
    ]  # fmt: skip
    template = {
        "$schema": "https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {"adminPassword": {"type": "securestring", "metadata": {"description": "Secure adminPassword"}}},
        "variables": {},
        "resources": resources,
        "outputs": {},
    }
    return {
        "properties": {
            "template": template,
            "parameters": {"adminPassword": {"value": PASSWORD}},
            "mode": "incremental",
        }
    }


@pytest.fixture
async def network(fresh: Cloud) -> Cloud:
    await fresh.arm.put(f"{VNETS}/vnet-2", vnet("10.1.0.0/16", subnets={"subnet-1": "10.1.0.0/24"}))
    return fresh


async def test_what_az_vm_create_sends(network: Cloud) -> None:
    arm = network.arm
    answer = await arm.request("PUT", f"{DEPLOYMENTS}/vm_deploy_1", as_az_sends_it(arm), api="2022-09-01")
    assert answer.status_code == 201
    accepted = answer.json()["properties"]
    assert (accepted["provisioningState"], accepted["mode"]) == ("Accepted", "Incremental")
    assert accepted["parameters"] == {"adminPassword": {"type": "SecureString"}}
    assert {entry["resourceName"] for entry in accepted["dependencies"]} == {"vm-2", "vm-2VMNic"}
    await arm._finished(f"{DEPLOYMENTS}/vm_deploy_1", answer, None)
    done = (await arm.get(f"{DEPLOYMENTS}/vm_deploy_1"))["properties"]
    assert done["provisioningState"] == "Succeeded"
    assert len(done["outputResources"]) == 4
    machine = await arm.get(f"{VMS}/vm-2", query={"$expand": "instanceView"})
    properties = machine["properties"]
    assert properties["provisioningState"] == "Succeeded"
    assert "PowerState/running" in [status["code"] for status in properties["instanceView"]["statuses"]]
    disk = properties["storageProfile"]["osDisk"]
    assert disk["name"].startswith("vm-2_OsDisk_1_")
    assert (await arm.get(disk["managedDisk"]["id"]))["managedBy"] == machine["id"]
    interface = (await arm.get(f"{NICS}/vm-2VMNic"))["properties"]
    assert interface["ipConfigurations"][0]["properties"]["privateIPAddress"] == "10.1.0.4"
    assert interface["virtualMachine"]["id"] == machine["id"]
    assert (await arm.get(f"{ADDRESSES}/vm-2PublicIP"))["properties"]["ipAddress"]
    operations = (await arm.get(f"{DEPLOYMENTS}/vm_deploy_1/operations"))["value"]
    made = [entry for entry in operations if entry["properties"]["provisioningOperation"] == "Create"]
    assert [entry["properties"]["provisioningState"] for entry in made] == ["Succeeded"] * 4
    # The same once more changes nothing but generations.
    await arm.put(f"{DEPLOYMENTS}/vm_deploy_1", as_az_sends_it(arm))
    assert (await arm.get(f"{VMS}/vm-2"))["properties"]["vmId"] == properties["vmId"]


def _with(template: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**TEMPLATE, **template, **more}


ONE = {"type": VNETS, "apiVersion": "2024-05-01", "name": "one", **vnet("10.0.0.0/16")}

REFUSED = [
    ("no template", {"properties": {"mode": "Incremental"}}, "InvalidRequestContent", "template"),
    ("no mode", {"properties": {"template": TEMPLATE}}, "InvalidDeploymentMode", "mode"),
    ("nothing", {"properties": {}}, "InvalidDeploymentMode", "mode"),
    ("no resources", deployment({"$schema": "x", "contentVersion": "1.0.0.0"}), "InvalidTemplate", "resources"),
    ("an unknown function", deployment(_with({"resources": [{**ONE, "name": "[shout('x')]"}]})), "InvalidTemplate", "shout"),
    ("an expression cut off", deployment(_with({"resources": [{**ONE, "name": "[concat('x']"}]})), "InvalidTemplate", ""),
    (
        "a parameter without a value",
        deployment(_with({"parameters": {"size": {"type": "string"}}})),
        "InvalidTemplate",
        "size",
    ),
    (
        "a parameter nobody declared",
        deployment(parameters={"size": {"value": "x"}}),
        "InvalidTemplate",
        "size",
    ),
    (
        "a parameter of another type",
        deployment(_with({"parameters": {"n": {"type": "int"}}}), parameters={"n": {"value": "three"}}),
        "InvalidTemplate",
        "n",
    ),
    (
        "a value that is not allowed",
        deployment(
            _with({"parameters": {"n": {"type": "string", "allowedValues": ["a", "b"]}}}), parameters={"n": {"value": "c"}}
        ),
        "InvalidTemplate",
        "",
    ),
    ("a dependency on nothing", deployment(_with({"resources": [{**ONE, "dependsOn": ["nowhere"]}]})), "InvalidTemplate", ""),
    (
        "a circle",
        deployment(
            _with(
                {
                    "resources": [
                        {**ONE, "name": "a", "dependsOn": [f"{VNETS}/b"]},
                        {**ONE, "name": "b", "dependsOn": [f"{VNETS}/a"]},
                    ]
                }
            )
        ),
        "InvalidTemplate",
        "ircular",
    ),
    ("a resource twice", deployment(_with({"resources": [ONE, ONE]})), "InvalidTemplate", "one"),
    ("a resource without a type", deployment(_with({"resources": [{"name": "x"}]})), "InvalidTemplate", ""),
    ("a link", {"properties": {"mode": "Incremental", "templateLink": {"uri": "https://x/"}}}, "InvalidRequestContent", ""),
]  # fmt: skip


@pytest.mark.parametrize(("body", "code", "like"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
@pytest.mark.parametrize("how", ["PUT", "validate"])
async def test_refused(fresh: Cloud, body: dict[str, Any], code: str, like: str, how: str) -> None:
    async with untouched(fresh):
        if how == "PUT":
            answer = await fresh.arm.request("PUT", f"{DEPLOYMENTS}/d", body)
        else:
            answer = await fresh.arm.request("POST", f"{DEPLOYMENTS}/d/validate", body)
        error = problem(answer)
        assert answer.status_code == 400, error
        assert error["code"] == code, error
        assert like in error["message"], error


@pytest.mark.parametrize(
    ("machine", "code", "target"),
    [
        ({"hardwareProfile": {"vmSize": "Standard_Z99"}}, "InvalidParameter", "vmSize"),
        (
            {"storageProfile": {"imageReference": {**IMAGE, "sku": "none"}, "osDisk": {"createOption": "FromImage"}}},
            "PlatformImageNotFound",
            "imageReference",
        ),
        ({"osProfile": {"adminUsername": "root", "adminPassword": PASSWORD}}, "InvalidParameter", "adminUsername"),
        ({"osProfile": {"adminUsername": "me", "adminPassword": "weak"}}, "InvalidParameter", "adminPassword"),
    ],
)  # fmt: skip
async def test_machine_that_cannot_be_leaves_nothing_of_its_template(
    network: Cloud, machine: dict[str, Any], code: str, target: str
) -> None:
    async with untouched(network):
        answer = await network.arm.request("PUT", f"{DEPLOYMENTS}/d", as_az_sends_it(network.arm, **machine))
        error = problem(answer)
        assert (answer.status_code, error["code"]) == (400, "InvalidTemplateDeployment")
        assert error["message"].startswith(
            "The template deployment 'd' is not valid according to the validation procedure. The tracking id is '"
        )
        assert [(detail["code"], detail["target"]) for detail in error["details"]] == [(code, target)]


async def test_what_fails_on_the_way(network: Cloud) -> None:
    arm = network.arm
    bad = {"type": NICS, "apiVersion": "2024-05-01", "name": "bad", **placed(arm, nic("gone/subnets/s"))}
    body = deployment(_with({"resources": [ONE, {**bad, "dependsOn": [f"{VNETS}/one"]}]}))
    with pytest.raises(ArmFailure) as caught:
        await arm.put(f"{DEPLOYMENTS}/d", body)
    assert caught.value.code == "DeploymentFailed"
    assert caught.value.message == (
        "At least one resource deployment operation failed. Please list deployment operations for details. "
        "Please see https://aka.ms/arm-deployment-operations for usage details."
    )
    properties = (await arm.get(f"{DEPLOYMENTS}/d"))["properties"]
    assert properties["provisioningState"] == "Failed"
    assert [detail["code"] for detail in properties["error"]["details"]] == ["InvalidResourceReference"]
    # What was made before stays, what failed is not there, and a corrected template goes on from here.
    assert (await arm.request("GET", f"{VNETS}/one")).status_code == 200
    assert (await arm.request("GET", f"{NICS}/bad")).status_code == 404
    await arm.put(f"{DEPLOYMENTS}/d", deployment(_with({"resources": [ONE]})))
    assert (await arm.get(f"{DEPLOYMENTS}/d"))["properties"]["provisioningState"] == "Succeeded"


async def test_deployment_in_a_group_that_is_not_there(fresh: Cloud) -> None:
    other = ArmClient(fresh.arm.http, fresh.arm.subscription, fresh.arm.headers["Authorization"][7:], "gone")
    async with untouched(fresh):
        answer = await other.request("PUT", f"{DEPLOYMENTS}/d", deployment())
        assert (answer.status_code, problem(answer)["code"]) == (404, "ResourceGroupNotFound")
        assert problem(answer)["message"] == "Resource group 'gone' could not be found."


async def test_tolerant_json_as_az_deployment_sends_it(fresh: Cloud) -> None:
    """A bare key, comments, trailing commas, line breaks in strings: `az deployment group create` sends files as written."""
    template = (
        json.dumps(_with({"resources": [ONE]}))[:-1]
        + ', // the end\n "outputs": {"text": {"type": "string", "value": "a\nb"},}}'
    )
    raw = '{"properties": {"parameters": {}, "mode": "Incremental", template:' + template + "}}"
    answer = await fresh.arm.http.put(
        f"{fresh.arm.id(f'{DEPLOYMENTS}/d')}?api-version=2024-11-01", content=raw, headers=fresh.arm.headers
    )
    assert answer.status_code == 201, answer.text
    await fresh.arm._finished(f"{DEPLOYMENTS}/d", answer, None)
    assert (await fresh.arm.get(f"{DEPLOYMENTS}/d"))["properties"]["outputs"]["text"]["value"] == "a\nb"


async def test_outputs_and_references(fresh: Cloud) -> None:
    outputs = {
        "space": {"type": "array", "value": "[reference('one').addressSpace.addressPrefixes]"},
        "id": {"type": "string", "value": f"[resourceId('{VNETS}', 'one')]"},
        "where": {"type": "string", "value": "[resourceGroup().location]"},
        "subscription": {"type": "string", "value": "[subscription().subscriptionId]"},
    }
    await fresh.arm.put(f"{DEPLOYMENTS}/d", deployment(_with({"resources": [ONE], "outputs": outputs})))
    shown = (await fresh.arm.get(f"{DEPLOYMENTS}/d"))["properties"]["outputs"]
    assert {name: entry["value"] for name, entry in shown.items()} == {
        "space": ["10.0.0.0/16"],
        "id": fresh.arm.id(f"{VNETS}/one"),
        "where": LOCATION,
        "subscription": fresh.arm.subscription,
    }
    assert shown["space"]["type"] == "Array"


async def test_complete_mode_takes_what_the_template_does_not_name(fresh: Cloud) -> None:
    await fresh.arm.put(f"{GROUPS}/old", {"location": LOCATION})
    await fresh.arm.put(f"{DEPLOYMENTS}/d", deployment(_with({"resources": [ONE]}), mode="Complete"))
    assert (await fresh.arm.request("GET", f"{GROUPS}/old")).status_code == 404
    assert (await fresh.arm.request("GET", f"{VNETS}/one")).status_code == 200


async def test_validate_says_what_would_be_made_and_makes_nothing(network: Cloud) -> None:
    arm = network.arm
    async with untouched(network):
        answer = await arm.post(f"{DEPLOYMENTS}/d/validate", placed(arm, as_az_sends_it(arm)))
    assert answer["properties"]["provisioningState"] == "Succeeded"
    assert len(answer["properties"]["validatedResources"]) == 4

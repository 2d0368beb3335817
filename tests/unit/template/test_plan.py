"""Templates made into plans: order, loops, conditions, references, and what is left open for later."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.template.plan import Plan, Planned, Setting, make_plan, settle

SUB = "22222222-2222-2222-2222-222222222222"
GROUP = f"/subscriptions/{SUB}/resourceGroups/rg"
NET = f"{GROUP}/providers/Microsoft.Network"
SETTING = Setting(
    scope=ResourceId(SUB, "rg"),
    subscription={"id": f"/subscriptions/{SUB}", "subscriptionId": SUB},
    group={"id": GROUP, "name": "rg", "location": "eastus2", "tags": {"a": "b"}},
    tenant={"tenantId": "t"},
    deployment={"name": "d", "properties": {"mode": "Incremental"}},
    now=datetime(2025, 1, 1, tzinfo=UTC),
)


def vnet(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "Microsoft.Network/virtualNetworks", "apiVersion": "2024-05-01", "name": name, **more}


def plan(resources: Any, *, given: dict[str, Any] | None = None, **members: Any) -> Plan:
    entries = {name: {"value": value} for name, value in (given or {}).items()}
    return make_plan({"resources": resources, **members}, entries, SETTING)


def refused(resources: Any, **members: Any) -> str:
    with pytest.raises(ArmError) as caught:
        plan(resources, **members)
    assert caught.value.code == "InvalidTemplate"
    return caught.value.message


def names(found: Plan) -> list[str]:
    return ["/".join(resource.id.names) for resource in found.resources]


def only(found: Plan) -> Planned:
    (resource,) = found.resources
    return resource


def test_expressions_in_a_body() -> None:
    found = plan(
        [
            vnet(
                "[concat(parameters('prefix'), '-net')]",
                location="[resourceGroup().location]",
                tags={"n": "[variables('n')]"},
                properties={"guid": "[subscription().subscriptionId]", "literal": "[[x]", "nothing": None},
            )
        ],
        parameters={"prefix": {"type": "string"}},
        variables={"n": "[add(variables('m'), 1)]", "m": 1},
        given={"prefix": "p"},
    )
    resource = only(found)
    assert str(resource.id) == f"{NET}/virtualNetworks/p-net"
    assert resource.api_version == "2024-05-01"
    assert settle(resource.body, lambda *_: None, {}) == {
        "location": "eastus2",
        "tags": {"n": 2},
        "properties": {"guid": SUB, "literal": "[x]", "nothing": None},
    }


@pytest.mark.parametrize(
    "after",
    [
        "Microsoft.Network/virtualNetworks/one",
        "microsoft.network/VIRTUALNETWORKS/ONE",
        "[resourceId('Microsoft.Network/virtualNetworks', 'one')]",
        f"{NET}/virtualNetworks/one",
        "one",
    ],
)
def test_depends_on_in_all_its_forms(after: str) -> None:
    found = plan([vnet("two", dependsOn=[after]), vnet("one")])
    assert names(found) == ["one", "two"]
    assert found.resources[1].depends == (f"{NET}/virtualNetworks/one".lower(),)


def test_a_reference_is_a_dependency_and_stays_open() -> None:
    found = plan(
        [
            vnet("two", properties={"g": "[concat(parameters('p'), reference('one').guid)]"}),
            vnet("one"),
        ],
        parameters={"p": {"type": "securestring"}},
        given={"p": "s-"},
    )
    assert names(found) == ["one", "two"]
    two = found.resources[1]
    assert two.depends == (f"{NET}/virtualNetworks/one".lower(),)
    asked: list[tuple[str, str | None, bool]] = []

    def lookup(id: str, version: str | None, full: bool) -> Any:
        asked.append((id, version, full))
        return {"guid": "G"}

    assert settle(two.body, lookup, {}) == {"properties": {"g": "s-G"}}
    assert asked == [(f"{NET}/virtualNetworks/one", "2024-05-01", False)]


def test_a_reference_to_what_exists_already() -> None:
    text = "[reference(resourceId('Microsoft.Network/virtualNetworks', 'old'), '2020-01-01', 'Full').location]"
    found = plan([vnet("two", properties={"l": text})])
    assert only(found).depends == ()
    got = settle(only(found).body, lambda id, version, full: {"location": f"{id} {version} {full}"}, {})
    assert got["properties"]["l"] == f"{NET}/virtualNetworks/old 2020-01-01 True"


def test_what_is_planned_is_json_and_settles_after_a_round_trip() -> None:
    found = plan([vnet("v", properties={"a": "[environment().name]", "b": ["[[keep]"]})])
    stored = json.loads(json.dumps(only(found).body))
    assert settle(stored, lambda *_: None, {"name": "Azlan"}) == {"properties": {"a": "Azlan", "b": ["[keep]"]}}


def test_resource_loops() -> None:
    loop = {"name": "nets", "count": "[parameters('n')]"}
    found = plan(
        [
            vnet("[format('v{0}', copyIndex(1))]", copy=loop, tags={"i": "[copyIndex('nets')]"}),
            vnet("after", dependsOn=["nets"]),
        ],
        parameters={"n": {"type": "int", "defaultValue": 3}},
    )
    assert names(found) == ["v1", "v2", "v3", "after"]
    assert [r.body.get("tags") for r in found.resources[:3]] == [{"i": 0}, {"i": 1}, {"i": 2}]
    assert len(found.resources[3].depends) == 3


def test_serial_loops_wait_for_the_batch_before() -> None:
    loop = {"name": "l", "count": 5, "mode": "serial", "batchSize": 2}
    found = plan([vnet("[concat('v', copyIndex())]", copy=loop)])
    by_name = {r.id.name: [key.rsplit("/", 1)[-1] for key in r.depends] for r in found.resources}
    assert by_name == {"v0": [], "v1": [], "v2": ["v0", "v1"], "v3": ["v0", "v1"], "v4": ["v2", "v3"]}


def test_property_and_variable_loops() -> None:
    subnets = {"name": "subnets", "count": 2, "input": {"name": "[concat('s', copyIndex('subnets'))]"}}
    found = plan(
        [vnet("v", properties={"copy": [subnets], "all": "[variables('names')]", "deep": "[variables('o').l]"})],
        variables={
            "copy": [{"name": "names", "count": 2, "input": "[concat('n', copyIndex('names'))]"}],
            "o": {"copy": [{"name": "l", "count": 1, "input": "[copyIndex('l')]"}]},
        },
    )
    assert only(found).body["properties"] == {
        "subnets": [{"name": "s0"}, {"name": "s1"}],
        "all": ["n0", "n1"],
        "deep": [0],
    }


def test_conditions() -> None:
    found = plan([vnet("no", condition="[equals(1, 2)]"), vnet("yes", dependsOn=["no"])])
    assert [(r.id.name, r.wanted) for r in found.resources] == [("no", False), ("yes", True)]
    assert found.resources[1].depends == ()


def test_nested_children_and_their_names() -> None:
    child = {"type": "subnets", "apiVersion": "2024-05-01", "name": "s", "properties": {"addressPrefix": "10.0.0.0/24"}}
    found = plan([vnet("v", resources=[child])])
    assert [str(r.id) for r in found.resources] == [f"{NET}/virtualNetworks/v", f"{NET}/virtualNetworks/v/subnets/s"]
    assert "resources" not in found.resources[0].body


def test_extension_resources() -> None:
    assignment = {
        "type": "Microsoft.Authorization/roleAssignments",
        "apiVersion": "2022-04-01",
        "name": "[guid('x')]",
        "scope": "Microsoft.Network/virtualNetworks/v",
        "properties": {},
    }
    id = only(plan([assignment])).id
    assert str(id).startswith(f"{NET}/virtualNetworks/v/providers/Microsoft.Authorization/roleAssignments/")
    assert id.scope is not None


def test_symbolic_names_and_existing_resources() -> None:
    found = plan(
        {
            "old": {**vnet("old"), "existing": True},
            "new": vnet("new", dependsOn=["old"], properties={"g": "[reference('old').guid]"}),
        },
        languageVersion="2.0",
    )
    assert [r.existing for r in found.resources] == [True, False]
    assert found.resources[1].depends == ()
    assert (
        settle(found.resources[1].body, lambda id, *_: {"guid": id}, {})["properties"]["g"]
        == f"{NET}/virtualNetworks/old"
    )


def test_a_nested_deployment_with_inner_scope_keeps_its_template() -> None:
    inner = {"resources": [vnet("[parameters('n')]")], "parameters": {"n": {"type": "string"}}}
    nested = {
        "type": "Microsoft.Resources/deployments",
        "apiVersion": "2024-11-01",
        "name": "inner",
        "resourceGroup": "other",
        "properties": {
            "mode": "Incremental",
            "expressionEvaluationOptions": {"scope": "inner"},
            "template": inner,
            "parameters": {"n": {"value": "[deployment().name]"}},
        },
    }
    resource = only(plan([nested]))
    assert resource.id.group == "other"
    body = settle(resource.body, lambda *_: None, {})
    assert body["properties"]["template"] == inner
    assert body["properties"]["parameters"] == {"n": {"value": "d"}}


def test_outputs() -> None:
    found = plan(
        [vnet("v")],
        parameters={"p": {"type": "securestring"}},
        given={"p": "secret"},
        outputs={
            "id": {"type": "string", "value": "[resourceId('Microsoft.Network/virtualNetworks', 'v')]"},
            "guid": {"type": "string", "value": "[reference('v').guid]"},
            "hidden": {"type": "secureString", "value": "[parameters('p')]"},
            "not": {"type": "string", "condition": "[false()]", "value": "x"},
            "many": {"type": "array", "copy": {"count": 2, "input": "[copyIndex()]"}},
        },
    )
    assert settle(dict(found.outputs), lambda *_: {"guid": "G"}, {}) == {
        "id": {"type": "String", "value": f"{NET}/virtualNetworks/v"},
        "guid": {"type": "String", "value": "G"},
        "hidden": {"type": "SecureString"},
        "many": {"type": "Array", "value": [0, 1]},
    }


def test_user_functions() -> None:
    functions = [
        {
            "namespace": "own",
            "members": {
                "greet": {
                    "parameters": [{"name": "who", "type": "string"}],
                    "output": {"type": "string", "value": "[concat('hi ', parameters('who'))]"},
                }
            },
        }
    ]
    found = plan([vnet("v", tags={"t": "[own.greet('you')]"})], functions=functions)
    assert only(found).body["tags"] == {"t": "hi you"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[resourceId('Microsoft.Network/virtualNetworks/subnets', 'v', 's')]", f"{NET}/virtualNetworks/v/subnets/s"),
        ("[resourceId('Microsoft.Network/virtualNetworks/subnets', 'v/s')]", f"{NET}/virtualNetworks/v/subnets/s"),
        (
            "[resourceId('g2', 'Microsoft.X/y', 'z')]",
            f"/subscriptions/{SUB}/resourceGroups/g2/providers/Microsoft.X/y/z",
        ),
        (
            "[resourceId('s2', 'g2', 'Microsoft.X/y', 'z')]",
            "/subscriptions/s2/resourceGroups/g2/providers/Microsoft.X/y/z",
        ),
        (
            "[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'r')]",
            f"/subscriptions/{SUB}/providers/Microsoft.Authorization/roleDefinitions/r",
        ),
        (
            "[tenantResourceId('Microsoft.Authorization/roleDefinitions', 'r')]",
            "/providers/Microsoft.Authorization/roleDefinitions/r",
        ),
        (
            "[extensionResourceId(resourceId('Microsoft.X/y', 'z'), 'Microsoft.Authorization/locks', 'l')]",
            f"{GROUP}/providers/Microsoft.X/y/z/providers/Microsoft.Authorization/locks/l",
        ),
        ("[tenant().tenantId]", "t"),
        ("[deployment().name]", "d"),
    ],
)
def test_ids_and_surroundings(text: str, expected: str) -> None:
    assert only(plan([vnet("v", tags={"t": text})])).body["tags"]["t"] == expected


@pytest.mark.parametrize(
    ("resources", "members", "words"),
    [
        ([vnet("a", dependsOn=["b"])], {}, "The resource 'b' is not defined in the template."),
        ([vnet("a", dependsOn=["b"]), vnet("b", dependsOn=["a"])], {}, "Circular dependency detected on resource"),
        ([vnet("a"), vnet("A")], {}, "is defined multiple times in a template"),
        ([vnet("a/b")], {}, "has incorrect segment lengths"),
        ([{"type": "Microsoft.Network/virtualNetworks", "name": "a"}], {}, "the 'apiVersion' property is missing"),
        ([vnet("[copyIndex()]")], {}, "'copyIndex' is not expected at this location"),
        ([vnet("[reference('b').x]")], {}, "'reference' is not expected at this location"),
        ([vnet("a", tags={"x": "[variables('none')]"})], {}, "The template variable 'none' is not found."),
        ([vnet("a", tags={"x": "[parameters('none')]"})], {}, "The template parameter 'none' is not found."),
        ([vnet("a", tags={"x": "[variables('v')]"})], {"variables": {"v": "[variables('v')]"}}, "refers to itself"),
        ([vnet("a", tags={"x": "[listKeys('x', '1')]"})], {}, "'listKeys' is not served here"),
        ([vnet("a", copy={"name": "l", "count": 9999})], {}, "between 0 and 800"),
        ([vnet("a", tags={"x": "[reference('nowhere').y]"})], {}, "The resource 'nowhere' is not defined"),
        (["x"], {}, "an object is expected"),
    ],
)
def test_refuses(resources: list[Any], members: dict[str, Any], words: str) -> None:
    assert words in refused(resources, **members)


def test_a_template_needs_resources() -> None:
    with pytest.raises(ArmError, match="Required property 'resources'"):
        make_plan({}, {}, SETTING)


def test_an_expression_that_fails_names_its_resource() -> None:
    message = refused([vnet("bad", tags={"x": "[div(1, 0)]"})])
    assert message.startswith(
        f"Unable to process template language expressions for resource '{NET}/virtualNetworks/bad'."
    )


def test_the_template_of_az_vm_create() -> None:
    """What az 2.91 sends for `az vm create`, as recorded."""
    sent = json.loads((Path(__file__).parent / "az-vm-create-template.json").read_text())["properties"]
    found = make_plan(sent["template"], sent["parameters"], SETTING)
    assert names(found) == ["vm-2NSG", "vm-2PublicIP", "vm-2VMNic", "vm-2"]
    assert [len(r.depends) for r in found.resources] == [0, 0, 2, 1]
    assert found.resources[3].body["properties"]["osProfile"]["adminPassword"] == "Passw0rd!23456"

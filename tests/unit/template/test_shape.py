"""Templates that are none: refused as InvalidTemplate, whatever is where something else should be."""

from __future__ import annotations

import contextlib
import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.template.plan import Setting, make_plan
from azlan.template.shape import check_shape

SETTING = Setting(
    scope=ResourceId("22222222-2222-2222-2222-222222222222", "rg"),
    subscription={"subscriptionId": "22222222-2222-2222-2222-222222222222"},
    group={"name": "rg", "location": "eastus2"},
    tenant={},
    deployment={"name": "d"},
    now=datetime(2024, 1, 1, tzinfo=UTC),
)

EVERYTHING: dict[str, Any] = {
    "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
    "contentVersion": "1.0.0.0",
    "parameters": {
        "n": {"type": "int", "defaultValue": 2, "minValue": 1, "maxValue": 9, "metadata": {"description": "how many"}},
        "names": {"type": "array", "defaultValue": ["a", "b"], "minLength": 1},
        "kind": {"type": "string", "defaultValue": "x", "allowedValues": ["x", "y"]},
    },
    "functions": [
        {
            "namespace": "own",
            "members": {
                "twice": {
                    "parameters": [{"name": "text", "type": "string"}],
                    "output": {"type": "string", "value": "[concat(parameters('text'), parameters('text'))]"},
                }
            },
        }
    ],
    "variables": {
        "copy": [{"name": "many", "count": "[parameters('n')]", "input": "[concat('v', copyIndex('many'))]"}],
        "text": "[toUpper(format('{0}-{1}', parameters('kind'), own.twice('z')))]",
        "object": {"deep": {"list": [1, 2, "[parameters('n')]"]}},
    },
    "resources": [
        {
            "type": "Microsoft.Network/networkSecurityGroups",
            "apiVersion": "2024-05-01",
            "name": "[concat('g', copyIndex())]",
            "location": "[resourceGroup().location]",
            "copy": {"name": "loop", "count": "[parameters('n')]", "mode": "serial", "batchSize": 1},
            "tags": {"[variables('text')]": "[variables('object').deep.list[0]]"},
            "properties": {
                "securityRules": [],
                "copy": [{"name": "more", "count": 1, "input": {"i": "[copyIndex('more')]"}}],
            },
        },
        {
            "type": "Microsoft.Network/virtualNetworks",
            "apiVersion": "2024-05-01",
            "name": "[variables('many')[0]]",
            "condition": "[equals(parameters('kind'), 'x')]",
            "dependsOn": ["loop"],
            "properties": {"first": "[reference('g0').resourceGuid]"},
            "resources": [
                {
                    "type": "subnets",
                    "apiVersion": "2024-05-01",
                    "name": "s",
                    "dependsOn": ["[resourceId('Microsoft.Network/virtualNetworks', 'v0')]"],
                    "properties": {"addressPrefix": "[cidrSubnet('10.0.0.0/16', 24, 1)]"},
                }
            ],
        },
        {
            "type": "Microsoft.Resources/deployments",
            "apiVersion": "2024-11-01",
            "name": "inner",
            "properties": {
                "mode": "Incremental",
                "expressionEvaluationOptions": {"scope": "inner"},
                "parameters": {"p": {"value": "[parameters('kind')]"}},
                "template": {"resources": [], "parameters": {"p": {"type": "string"}}},
            },
        },
    ],
    "outputs": {
        "all": {
            "type": "array",
            "copy": {"count": "[length(parameters('names'))]", "input": "[parameters('names')[copyIndex()]]"},
        },
        "one": {"type": "string", "condition": "[true()]", "value": "[reference('v0').first]"},
    },
}


def test_everything_is_planned() -> None:
    plan = make_plan(EVERYTHING, {}, SETTING)
    assert [resource.id.name for resource in plan.resources] == ["g0", "inner", "g1", "v0", "s"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"resources": "none"}, "resources"),
        ({"resources": [None]}, "resources.0"),
        ({"resources": [{"type": 1, "name": "n"}]}, "resources.0.type"),
        ({"resources": [{"copy": [{"name": "c", "count": 1}]}]}, "resources.0.copy"),
        ({"resources": [{"copy": {"name": "c", "count": 1, "batchSize": 0}}]}, "resources.0.copy.batchSize"),
        ({"resources": [{"dependsOn": [1]}]}, "resources.0.dependsOn"),
        ({"parameters": []}, "parameters"),
        ({"parameters": {"p": "string"}}, "parameters.p"),
        ({"parameters": {"p": {"type": "string", "allowedValues": "a"}}}, "parameters.p.allowedValues"),
        ({"variables": {"copy": {"name": "v"}}}, "variables.copy"),
        ({"functions": {"namespace": "n"}}, "functions"),
        ({"outputs": {"o": 1}}, "outputs.o"),
    ],
)
def test_what_is_refused(change: dict[str, Any], path: str) -> None:
    with pytest.raises(ArmError) as caught:
        check_shape({**EVERYTHING, **change})
    assert (caught.value.status, caught.value.code) == (400, "InvalidTemplate")
    assert f"Path 'properties.template.{path}" in caught.value.message


@pytest.mark.parametrize("template", [None, [], "text", {}, {"resources": None}])
def test_no_template(template: Any) -> None:
    with pytest.raises(ArmError) as caught:
        check_shape(template)
    assert caught.value.code == "InvalidTemplate"


def test_depth() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    for template in ({"resources": [], "variables": {"v": deep}}, {"resources": [], "outputs": {"o": {"value": deep}}}):
        with pytest.raises(ArmError, match="levels deep"):
            check_shape(template)


@pytest.mark.parametrize(
    "expression",
    [
        "[padLeft('a', 1000000000000)]",
        "[format('{0,999999999}', 'a')]",
        "[lambda()]",
        "[" + "not(" * 5000 + "true()" + ")" * 5000 + "]",
        "[resourceId('x')]",
        "[tenantResourceId('a/b/c', 'n')]",
        "[extensionResourceId('nonsense', 'a/b', 'n')]",
        "[base64ToString('é')]",
        "[div(1, 0)]",
        "[mod(1, 0)]",
        "[json('{')]",
        "[first(1)]",
        "[concat(createArray(), 'a')]",
        "[parameters('n').x.y]",
        "[variables('object')[9]]",
        "[copyIndex('nobody')]",
        "[subscriptionResourceId('a')]",
    ],
)
def test_expressions_that_cannot_be(expression: str) -> None:
    template = {**EVERYTHING, "variables": {**EVERYTHING["variables"], "bad": expression}}
    template["outputs"] = {"o": {"type": "string", "value": "[variables('bad')]"}}
    with pytest.raises(ArmError) as caught:
        make_plan(template, {}, SETTING)
    assert caught.value.code == "InvalidTemplate"


def test_doubling_ends() -> None:
    """A value that doubles with each variable stops at what a template may become, and not when memory ends."""
    variables = {"v0": "x" * 1000} | {
        f"v{n}": f"[concat(variables('v{n - 1}'), variables('v{n - 1}'))]" for n in range(1, 60)
    }
    template = {
        "resources": [],
        "variables": variables,
        "outputs": {"o": {"type": "string", "value": "[variables('v59')]"}},
    }
    with pytest.raises(ArmError, match="longer than"):
        make_plan(template, {}, SETTING)


_texts = st.sampled_from(("[", "[x()]", "[parameters('n')]", "[copyIndex()]", "name"))
_names = st.sampled_from(("name", "count", "copy", "value", "x"))
_junk = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=5) | _texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_names, inner, max_size=2),
    max_leaves=4,
)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in entries for place in [(*at, key), *_places(item, (*at, key))]]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_is_sent_is_planned_or_refused(data: st.DataObject) -> None:
    template = copy.deepcopy(EVERYTHING)
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(_places(template)))
        owner: Any = template
        for key in way:
            owner = owner[key]
        if data.draw(st.booleans()):
            owner[last] = data.draw(_junk)
        else:
            del owner[last]
        if not template:
            break
    with contextlib.suppress(ArmError):
        make_plan(template, {}, SETTING)

"""Parameters of deployments: values, defaults, checks, and what is shown of them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from azlan.base.errors import ArmError
from azlan.template.functions import FUNCTIONS
from azlan.template.parameters import Parameter, take_parameters

NOW = datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC)


def take(declared: dict[str, Any], **given: Any) -> dict[str, Parameter]:
    return take_parameters(declared, {name: {"value": value} for name, value in given.items()}, FUNCTIONS, NOW)


def refused(declared: dict[str, Any], **given: Any) -> str:
    with pytest.raises(ArmError) as caught:
        take(declared, **given)
    assert caught.value.code == "InvalidTemplate"
    assert caught.value.message.startswith("Deployment template validation failed: '")
    return caught.value.message


def test_takes_given_values_whatever_their_case() -> None:
    taken = take({"Size": {"type": "String"}, "n": {"type": "int"}}, size="x", N=3)
    assert (taken["size"].value, taken["n"].value) == ("x", 3)
    assert taken["size"].shown == {"type": "String", "value": "x"}


def test_a_secure_value_is_never_shown() -> None:
    taken = take({"p": {"type": "secureString"}, "o": {"type": "secureObject"}}, p="s3cret", o={"a": 1})
    assert taken["p"].shown == {"type": "SecureString"}
    assert taken["o"].shown == {"type": "SecureObject"}


def test_defaults_may_ask_for_each_other_in_any_order() -> None:
    declared = {
        "b": {"type": "string", "defaultValue": "[concat(parameters('a'), '2')]"},
        "a": {"type": "string", "defaultValue": "x"},
    }
    assert take(declared)["b"].value == "x2"
    assert take(declared, a="y")["b"].value == "y2"


def test_defaults_may_ask_for_time_and_chance() -> None:
    declared = {
        "t": {"type": "string", "defaultValue": "[utcNow()]"},
        "d": {"type": "string", "defaultValue": "[utcNow('yyyy-MM-dd')]"},
        "short": {"type": "string", "defaultValue": "[utcNow('d')]"},
        "g": {"type": "string", "defaultValue": "[newGuid()]"},
    }
    taken = take(declared)
    assert taken["t"].value == "20250304T050607Z"
    assert taken["d"].value == "2025-03-04"
    assert taken["short"].value == "3/4/2025"
    assert uuid.UUID(taken["g"].value).version == 4


def test_a_nullable_parameter_may_be_missing() -> None:
    assert take({"p": {"type": "string", "nullable": True}})["p"].value is None


@pytest.mark.parametrize(
    ("declaration", "value", "words"),
    [
        ({"type": "string"}, 1, "Expected 'String, Uri'. Actual 'Integer'"),
        ({"type": "int"}, True, "Expected 'Integer'. Actual 'Boolean'"),
        ({"type": "bool"}, "true", "Expected 'Boolean'. Actual 'String'"),
        ({"type": "array"}, {}, "Expected 'Array'. Actual 'Object'"),
        ({"type": "object"}, 1.5, "Expected 'Object'. Actual 'Float'"),
        ({"type": "string", "allowedValues": ["a", "b"]}, "c", "'c' is not part of the allowed value(s): 'a,b'"),
        ({"type": "array", "allowedValues": ["a", "b"]}, ["a", "c"], "'c' is not part of the allowed value(s)"),
        ({"type": "string", "minLength": 3}, "ab", "Length of the value should be greater than or equal to '3'"),
        ({"type": "array", "maxLength": 1}, [1, 2], "Length of the value should be less than or equal to '1'"),
        ({"type": "int", "minValue": 3}, 2, "The value should be greater than or equal to '3'"),
        ({"type": "int", "maxValue": 3}, 4, "The value should be less than or equal to '3'"),
        ({"type": "number"}, 4, "its type must be one of"),
    ],
)
def test_refuses_values(declaration: dict[str, Any], value: Any, words: str) -> None:
    assert words in refused({"p": declaration}, p=value)


def test_a_refused_secret_is_not_repeated() -> None:
    assert "hunter2" not in refused({"p": {"type": "securestring", "allowedValues": ["a"]}}, p="hunter2")


def test_missing_and_unknown_parameters() -> None:
    assert "The value for the template parameter 'p' is not provided." in refused({"p": {"type": "string"}})
    assert "The template parameters 'q' in the parameters file are not valid" in refused(
        {"p": {"type": "string"}}, p="", q=1
    )


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({"value": None}, "InvalidDeploymentParameterValue"),
        ({}, "InvalidDeploymentParameterValue"),
        ({"reference": {"keyVault": {}}}, "InvalidTemplateDeployment"),
    ],
)
def test_refuses_entries_without_a_value(entry: dict[str, Any], code: str) -> None:
    with pytest.raises(ArmError) as caught:
        take_parameters({"p": {"type": "string"}}, {"p": entry}, FUNCTIONS, NOW)
    assert caught.value.code == code


def test_a_default_that_cannot_be_evaluated() -> None:
    assert "div" in refused({"p": {"type": "int", "defaultValue": "[div(1, 0)]"}})
    assert "'q' is not found" in refused({"p": {"type": "int", "defaultValue": "[parameters('q')]"}})

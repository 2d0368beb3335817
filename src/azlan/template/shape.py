"""The form of a template: that what must be an object, an array or a text is one, before anything of it is evaluated.

Follows learn.microsoft.com "Understand the structure and syntax of ARM templates". Wordings as users of Azure have pasted
them, positions left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from azlan.base.errors import ArmError

DEEPEST = 64
"""Levels of nesting in a template; ours: Azure's limit is not published."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _Loop(_Shape):
    """`copy` of a resource. `count` may be an expression."""

    name: str
    count: int | str
    mode: str | None = None
    batchSize: int | None = Field(default=None, ge=1)


class _ValueLoop(_Shape):
    """An element of `copy` of variables, or `copy` of an output."""

    name: str | None = None
    count: int | str
    input: Any = None


class _NamedLoop(_ValueLoop):
    name: str


class _Parameter(_Shape):
    type: str
    nullable: bool | None = None
    allowedValues: list[Any] | None = None
    minLength: int | None = None
    maxLength: int | None = None
    minValue: int | None = None
    maxValue: int | None = None


class _Options(_Shape):
    scope: str | None = None


class _Resource(_Shape):
    """What the planner reads of a resource; the rest is the resource's own."""

    type: str | None = None
    name: str | None = None
    apiVersion: str | None = None
    condition: bool | str | None = None
    dependsOn: list[str] | str | None = None
    copy_: _Loop | None = Field(default=None, alias="copy")
    resources: list[_Resource] | None = None
    existing: bool | None = None
    scope: str | None = None
    subscriptionId: str | None = None
    resourceGroup: str | None = None


class _Output(_Shape):
    type: str | None = None
    condition: bool | str | None = None
    copy_: _ValueLoop | None = Field(default=None, alias="copy")


class _Argument(_Shape):
    name: str
    type: str


class _Result(_Shape):
    type: str | None = None
    value: Any = None


class _Function(_Shape):
    parameters: list[_Argument] | None = None
    output: _Result


class _Namespace(_Shape):
    namespace: str
    members: dict[str, _Function]


class _Variables(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    copy_: list[_NamedLoop] | None = Field(default=None, alias="copy")


class _Template(_Shape):
    contentVersion: str | None = None
    languageVersion: Literal["1.0", "2.0", "2.1-experimental", "2.2-experimental"] | None = None
    parameters: dict[str, _Parameter] | None = None
    functions: list[_Namespace] | None = None
    variables: _Variables | None = None
    resources: list[_Resource] | dict[str, _Resource]
    outputs: dict[str, _Output] | None = None


def check_shape(template: Any) -> None:
    """Raises ArmError InvalidTemplate for what is no template."""
    if not isinstance(template, Mapping) or "resources" not in template:
        raise _invalid(
            "Required property 'resources' not found in JSON. Path 'properties.template'. "
            "Please see https://aka.ms/arm-syntax for usage details"
        )
    if _deeper(template, DEEPEST):
        raise _invalid(f"The template is nested more than {DEEPEST} levels deep.")
    try:
        _Template.model_validate(template)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in problem["loc"] if part not in _BRANCHES)
        why = "an object is expected" if problem["type"] in ("model_type", "dict_type") else problem["msg"]
        raise _invalid(f"Error converting value: {why}. Path 'properties.template.{path}'.") from error


_BRANCHES = frozenset(("list[_Resource]", "dict[str,_Resource]", "int", "str", "bool", "list[str]"))
"""Names that Pydantic puts into a path where there is a choice of types."""


def _deeper(value: Any, levels: int) -> bool:
    if isinstance(value, Mapping):
        return levels == 0 or any(_deeper(item, levels - 1) for item in value.values())
    if isinstance(value, list):
        return levels == 0 or any(_deeper(item, levels - 1) for item in value)
    return False


def _invalid(message: str) -> ArmError:
    return ArmError(400, "InvalidTemplate", f"Deployment template validation failed: '{message}'.")

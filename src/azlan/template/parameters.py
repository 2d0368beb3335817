"""The parameters of a deployment: given values checked against what the template declares, defaults evaluated.

Follows learn.microsoft.com "Parameters in ARM templates"; wordings as users of Azure have pasted them.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azlan.base.errors import ArmError
from azlan.template.functions import equal
from azlan.template.language import Functions, Literal, TemplateError, calls, resolve

_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "securestring": (str,),
    "int": (int,),
    "bool": (bool,),
    "object": (dict,),
    "secureobject": (dict,),
    "array": (list,),
}
_EXPECTED = {"string": "String, Uri", "int": "Integer", "bool": "Boolean", "object": "Object", "array": "Array"}
_SHOWN = {
    "string": "String",
    "securestring": "SecureString",
    "int": "Int",
    "bool": "Bool",
    "object": "Object",
    "secureobject": "SecureObject",
    "array": "Array",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter with its value; `kind` is its type in lower case."""

    name: str
    kind: str
    value: Any

    @property
    def secure(self) -> bool:
        return self.kind.startswith("secure")

    @property
    def shown(self) -> dict[str, Any]:
        """What `properties.parameters` of the deployment answers: never the value of a secure one."""
        return {"type": _SHOWN[self.kind]} if self.secure else {"type": _SHOWN[self.kind], "value": self.value}


def shown_kind(kind: str) -> str:
    """A parameter or output type in the case in which answers print it."""
    return _SHOWN.get(kind.lower(), kind)


def invalid_template(message: str) -> ArmError:
    """What Azure answers before anything is deployed: 400 InvalidTemplate."""
    return ArmError(400, "InvalidTemplate", f"Deployment template validation failed: '{message}'.")


def take_parameters(
    declared: Mapping[str, Any], given: Mapping[str, Any], functions: Functions, now: datetime
) -> dict[str, Parameter]:
    """Every declared parameter, by its name in lower case. Raises ArmError."""
    names = {name.lower() for name in declared}
    unknown = [name for name in given if name.lower() not in names]
    if unknown:
        raise invalid_template(
            f"The template parameters '{', '.join(unknown)}' in the parameters file are not valid; they are not present in the "
            f"original template and can therefore not be provided at deployment time. The only supported parameters for this "
            f"template are '{', '.join(declared)}'. Please see https://aka.ms/arm-pass-parameter-values for usage details."
        )
    values = {name.lower(): _given_value(name, entry) for name, entry in given.items()}
    taken: dict[str, Parameter] = {}

    def earlier(name: str) -> Any:
        if name.lower() not in taken:
            raise TemplateError(
                f"The template parameter '{name}' is not found. "
                f"Please see https://aka.ms/arm-syntax-parameters for usage details."
            )
        return taken[name.lower()].value

    defaults: Functions = {
        **functions,
        "parameters": earlier,
        "newguid": lambda: str(uuid.uuid4()),
        "utcnow": lambda style="yyyyMMddTHHmmssZ": _utc_now(now, style),
    }
    for name, declaration in _in_order(declared):
        kind = _kind(name, declaration)
        if name.lower() in values:
            value = values[name.lower()]
        elif "defaultValue" in declaration:
            value = _default(declaration["defaultValue"], defaults)
        elif declaration.get("nullable"):
            taken[name.lower()] = Parameter(name, kind, None)
            continue
        else:
            raise invalid_template(
                f"The value for the template parameter '{name}' is not provided. "
                f"Please see https://aka.ms/arm-create-parameter-file for usage details."
            )
        _check(name, kind, declaration, value)
        taken[name.lower()] = Parameter(name, kind, value)
    return taken


def _default(value: Any, functions: Functions) -> Any:
    try:
        return resolve(value, functions)
    except TemplateError as error:
        raise invalid_template(str(error)) from error


def _in_order(declared: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Parameters whose default asks for another one come after it."""
    needs = {
        name.lower(): {
            str(call.args[0].value).lower()
            for call in calls(entry.get("defaultValue"))
            if call.name.lower() == "parameters" and len(call.args) == 1 and isinstance(call.args[0], Literal)
        }
        for name, entry in declared.items()
    }
    ordered: list[tuple[str, Mapping[str, Any]]] = []
    waiting = dict(declared)
    done: set[str] = set()
    while waiting:
        ready = [name for name in waiting if needs[name.lower()] & set(needs) <= done] or list(waiting)
        for name in ready:
            ordered.append((name, waiting.pop(name)))
            done.add(name.lower())
    return ordered


def _given_value(name: str, entry: Any) -> Any:
    if isinstance(entry, Mapping) and entry.get("reference") is not None:
        raise ArmError(
            400,
            "InvalidTemplateDeployment",
            f"The parameter '{name}' refers to a key vault. Key vaults are not served here.",
        )
    if not isinstance(entry, Mapping) or entry.get("value") is None:
        raise ArmError(
            400,
            "InvalidDeploymentParameterValue",
            f"The value of deployment parameter '{name}' is null. Please specify the value or use the parameter reference. "
            f"See https://aka.ms/arm-parameter-file for details.",
        )
    return entry["value"]


def _kind(name: str, declaration: Any) -> str:
    kind = str(declaration.get("type", "")).lower() if isinstance(declaration, Mapping) else ""
    if kind not in _KINDS:
        raise invalid_template(
            f"The template parameter '{name}' is not valid: its type must be one of "
            f"'{', '.join(_SHOWN.values())}'. Please see https://aka.ms/arm-syntax-parameters for usage details."
        )
    return kind


def _check(name: str, kind: str, declaration: Mapping[str, Any], value: Any) -> None:
    if not isinstance(value, _KINDS[kind]) or (kind == "int" and isinstance(value, bool)):
        expected = _EXPECTED[kind.removeprefix("secure")]
        raise invalid_template(
            f"Template parameter JToken type is not valid. Expected '{expected}'. Actual '{_json_kind(value)}'. "
            f"Please see https://aka.ms/arm-create-parameter-file for usage details."
        )
    allowed: list[Any] = declaration.get("allowedValues") or []
    wanted = value if isinstance(value, list) and allowed and not isinstance(allowed[0], list) else [value]
    for item in wanted if allowed else ():
        if not any(equal(item, other) for other in allowed):
            shown = "***" if kind.startswith("secure") else item
            raise invalid_template(
                f"The provided value for the template parameter '{name}' is not valid. The value '{shown}' is not part of the "
                f"allowed value(s): '{','.join(str(other) for other in allowed)}'."
            )
    size = value if kind == "int" else len(value) if isinstance(value, (str, list)) else None
    for limit, wording in (
        ("minLength", "greater"),
        ("maxLength", "less"),
        ("minValue", "greater"),
        ("maxValue", "less"),
    ):
        bound = declaration.get(limit)
        if bound is None or size is None or (size >= bound if wording == "greater" else size <= bound):
            continue
        what = "Length of the value" if limit.endswith("Length") else "The value"
        raise invalid_template(
            f"The provided value for the template parameter '{name}' is not valid. {what} should be {wording} than or equal to "
            f"'{bound}'. Please see https://aka.ms/arm-create-parameter-file for usage details."
        )


def _json_kind(value: Any) -> str:
    for kind, shown in (
        (bool, "Boolean"),
        (int, "Integer"),
        (str, "String"),
        (float, "Float"),
        (dict, "Object"),
        (list, "Array"),
    ):
        if isinstance(value, kind):
            return shown
    return "Null"


_DATE_PARTS = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S", "yy": "%y"}


def _utc_now(now: datetime, style: str) -> str:
    """The .NET date formats that templates use: the standard `u`, `o`, `d` and patterns of year to second."""
    named = {"u": "yyyy-MM-dd HH:mm:ssZ", "d": "M/d/yyyy", "o": "yyyy-MM-ddTHH:mm:ssZ", "s": "yyyy-MM-ddTHH:mm:ss"}
    text = named.get(style, style)
    if style == "d":
        return f"{now.month}/{now.day}/{now.year}"
    for part, code in _DATE_PARTS.items():
        text = text.replace(part, now.strftime(code))
    return text

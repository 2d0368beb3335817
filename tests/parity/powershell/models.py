"""Reading answers as the modules' JSON reader does, and writing bodies as its writer does: by the tables of models.yaml.

Follows Newtonsoft.Json as the generated clients set it up: what it converts is converted, what it throws at is refused.
"""

from __future__ import annotations

import re
from copy import deepcopy
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
_MEMBER = re.compile(r"(?P<type>\[\w+\]|enum\([^)]*\)|\w+)(?P<flags>( [!*-])*)( >=(?P<since>[\d-]+))?")


class SerializationException(AssertionError):
    """The cmdlet would throw: a value that does not fit the member."""


@cache
def tables() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "models.yaml").read_text())
    return found


class _Member:
    """`string !`, `[Subnet] *`, `[string] * >=2024-05-01`, or the members of an object without a name."""

    def __init__(self, given: Any) -> None:
        self.members: dict[str, Any] | None = given if isinstance(given, dict) else None
        found = None if self.members is not None else _MEMBER.fullmatch(given)
        assert self.members is not None or found, f"models.yaml: {given!r}"
        self.type = found["type"] if found else ""
        self.flags = found["flags"].split() if found else []
        self.since = (found["since"] or "") if found else ""

    @property
    def written(self) -> bool:
        return not {"!", "-"} & set(self.flags)


def read(wanted: str, document: Any, at: str = "") -> Any:
    """A document as the model has it: members it knows, converted. Raises SerializationException.

    `wanted`: `Model`, `[Model]` (a page with `value`) or `array Model`.
    """
    if wanted.startswith("["):
        page = _object(document, "the page")
        return [
            read(wanted[1:-1], item, f"value[{number}]")
            for number, item in enumerate(_list(page.get("value"), "value"))
        ]
    if wanted.startswith("array "):
        items = _list(document, "the answer")
        return [read(wanted.removeprefix("array "), item, f"[{number}]") for number, item in enumerate(items)]
    if document is None:
        raise SerializationException(f"{wanted}: no body")
    return _members(tables()[wanted], _object(document, at or wanted), at or wanted)


def _members(table: dict[str, Any], document: dict[str, Any], at: str) -> dict[str, Any]:
    lowered = {name.lower(): value for name, value in document.items()}
    found = {name: document[name] if name in document else lowered.get(name.lower()) for name in table}
    if _transformed(table) and "properties" in lowered:
        _object(lowered["properties"], f"{at}.properties")  # which the converter looks into without asking
    return {
        name: _value(_Member(table[name]), value, f"{at}.{name}") for name, value in found.items() if value is not None
    }


def _transformed(table: dict[str, Any] | None) -> bool:
    """Whether the class has the members below `properties` for its own, by TransformationJsonConverter."""
    return table is not None and isinstance(table.get("properties"), dict)


def _value(member: _Member, value: Any, at: str) -> Any:
    if value == "" and member.type != "string" and not _transformed(tables().get(member.type)):
        return None  # as null, for whatever can be null
    if member.members is not None:
        return _members(member.members, _object(value, at), at)
    if member.type.startswith("["):
        inner = _Member(member.type[1:-1])
        return [
            _value(inner, item, f"{at}[{number}]") for number, item in enumerate(_list(value, at)) if item is not None
        ]
    if member.type in tables():
        return _members(tables()[member.type], _object(value, at), at)
    return _scalar(member.type, value, at)


def _scalar(kind: str, value: Any, at: str) -> Any:
    if kind == "object":
        return _object(value, at)
    if kind == "map":
        return {
            name: _scalar("string", item, f"{at}.{name}")
            for name, item in _object(value, at).items()
            if item is not None
        }
    if isinstance(value, dict | list):
        raise SerializationException(f"{at}: {kind} wanted, {value!r} found")
    try:
        if kind == "string":
            return str(value).lower() if isinstance(value, bool) else str(value)
        if kind == "int":
            if isinstance(value, bool):
                raise ValueError(value)
            return int(value)
        if kind == "long":
            return int(value)
        if kind == "bool":
            return _bool(value)
        if kind == "date":
            return datetime.fromisoformat(str(value)).isoformat()
    except ValueError:
        raise SerializationException(f"{at}: {kind} wanted, {value!r} found") from None
    words = kind.removeprefix("enum(").removesuffix(")").split(",")
    if str(value).removeprefix("-").isdigit():
        return words[int(value)] if 0 <= int(value) < len(words) else str(value)  # any number will do
    for word in words:
        if word.lower() == str(value).lower():
            return word
    raise SerializationException(f"{at}: one of {words} wanted, {value!r} found")


def _bool(value: Any) -> bool:
    if isinstance(value, str):
        if value.strip().lower() not in ("true", "false"):
            raise ValueError(value)
        return value.strip().lower() == "true"
    return bool(value)


def _object(value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SerializationException(f"{at}: an object wanted, {value!r} found")
    return value


def _list(value: Any, at: str) -> list[Any]:
    if not isinstance(value, list):
        raise SerializationException(f"{at}: a list wanted, {value!r} found")
    return value


def write(model: str, value: dict[str, Any], api_version: str) -> dict[str, Any]:
    """A PowerShell object as the body that is sent for it."""
    return _written(tables()[model], deepcopy(value), api_version)


def _written(table: dict[str, Any], value: dict[str, Any], api_version: str) -> dict[str, Any]:
    body = {}
    for name, given in table.items():
        member = _Member(given)
        if not member.written or api_version < member.since:
            continue
        found = value.get(name)
        if found is None and "*" in member.flags:
            found = []
        if found is not None:
            body[name] = _written_value(member, found, api_version)
    return {name: item for name, item in body.items() if item is not None}


def _written_value(member: _Member, value: Any, api_version: str) -> Any:
    if member.members is not None:
        return _written(member.members, value, api_version)
    if member.type.startswith("["):
        inner = _Member(member.type[1:-1])
        return [_written_value(inner, item, api_version) for item in value]
    if member.type in tables():
        return _written(tables()[member.type], value, api_version)
    return value

"""Request bodies: parsed, brought to the case of the specification, unknown members refused, values checked.

Errors are ARM's `InvalidRequestContent` and the providers' `InvalidRequestFormat` with Json.NET's words, as users of
Azure paste them.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from pydantic import BaseModel, ValidationError

from azlan.arm.resource import Json, ResourceType
from azlan.base.errors import ArmError

ENVELOPE = ("id", "name", "type", "etag", "systemdata", "managedby")
"""Members of a document that ARM owns: clients send them back, nobody stores them from there."""

_ARMS_OWN = {"location", "tags"}

_STEP = re.compile(r"([^.\[\]]+)(\[\])?")
_LOOSE = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/|[A-Za-z_$][\w$]*(?=\s*:)|,(?=\s*[}\]])', re.DOTALL)
_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


def parse_json(raw: bytes, tolerant: bool = False) -> Any:
    """The value in a request's body, None where it is empty. Raises ArmError for what is no JSON."""
    if not raw.strip():
        return None
    try:
        return msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, RecursionError) as error:
        if tolerant and not isinstance(error, RecursionError):
            return _parse_loose(raw)
        raise malformed(str(error)) from error


def _parse_loose(raw: bytes) -> Any:
    """JSON with comments, bare keys, trailing commas and line breaks in strings, as ARM reads deployments."""
    try:
        text = _COMMENT.sub(lambda m: m[0] if m[0][0] == '"' else " ", raw.decode("utf-8-sig"))
        text = _LOOSE.sub(_strict, text)
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(str(error)) from error


def _strict(match: re.Match[str]) -> str:
    found = match[0]
    if found[0] == '"':
        return found.replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t")
    return "" if found == "," else f'"{found}"'


def malformed(why: str) -> ArmError:
    return ArmError(
        400, "InvalidRequestContent", f"The request content was invalid and could not be deserialized: '{why}'."
    )


def need_object(body: Any) -> Json:
    """The body as an object. Raises ArmError where it is none."""
    if body is None:
        raise ArmError(400, "MissingRequestBody", "The request body must be specified.")  # unconfirmed wording
    if not isinstance(body, dict):
        raise malformed("Error converting value to type 'ResourceProxyDefinition'. Path '', line 1, position 1.")
    return body


def copy_json(value: Any) -> Any:
    """A deep copy of JSON: several times as fast as copy.deepcopy."""
    kind = type(value)
    if kind is str:
        return value
    if kind is dict or isinstance(value, Mapping):
        return {key: copy_json(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [copy_json(item) for item in value]
    return value


def conform(
    declared: ResourceType, body: Json, api_version: str, prefix: str = "", without: tuple[str, ...] = ()
) -> Json:
    """The document as it will be handed to `accept`: a new object, in the specification's case, without nulls, without
    read-only members. Raises ArmError for unknown members and for values the model refuses.

    `prefix` is where the document lies in the request (`properties.subnets[0].`), for messages. `without` names
    collections below `properties` that are left out: their own types conform them.
    """
    given = dict(body)
    for name, value in given.items():
        if name.lower() == "properties" and value is not None:
            need_object(value)
    envelope = _take_envelope(declared, given)
    paths = ("properties.provisioningState", *declared.read_only, *(f"properties.{name}" for name in without))
    document = _Conforming(body, prefix).object(declared.model, given, prefix, _left_out(paths))
    for path, since in declared.since.items():
        if api_version[:10] < since and next(walk(document, path), None) is not None:
            raise unknown_member(body, path.rsplit(".", 1)[-1], declared.model.__name__, f"{prefix}{path}", prefix)
    names, _ = _members(declared.model)
    # Location and tags are ARM's own: their shape is not the provider's to complain about (checks.py).
    _check_values(
        declared, {**document, **{n: v for n, v in envelope.items() if n in names and n not in _ARMS_OWN}}, prefix
    )
    return {**envelope, **document}


def _take_envelope(declared: ResourceType, given: Json) -> Json:
    """Take out what ARM itself owns: only the name of an inline child, `location` and `tags` are kept, and where the
    type has them."""
    kept = set()
    if declared.inline is not None:
        kept.add("name")
    else:
        kept.update(("location",) if declared.location != "none" else ())
        kept.update(("tags",) if declared.tags else ())
    taken: Json = {}
    for name in list(given):
        lower = name.lower()
        if lower in ENVELOPE or lower in kept:
            value = given.pop(name)
            if lower in kept and value is not None:
                taken[lower] = copy_json(value)
    return taken


@dataclass(slots=True)
class _Out:
    """What is left out of a document: a tree of paths. `whole`: this member itself; `many`: `below` is of its items."""

    whole: bool = False
    many: bool = False
    below: dict[str, _Out] = field(default_factory=dict)
    """By lower-case name."""


@lru_cache(maxsize=1024)
def _left_out(paths: tuple[str, ...]) -> dict[str, _Out]:
    """The tree of dotted paths (`properties.ipConfigurations[].etag`)."""
    tree: dict[str, _Out] = {}
    for path in paths:
        at = tree
        *way, last = path.lower().split(".")
        for step in way:
            out = at.setdefault(step.removesuffix("[]"), _Out(many=step.endswith("[]")))
            at = out.below
        at.setdefault(last, _Out()).whole = True
    return tree


_NOTHING: dict[str, _Out] = {}


class _Conforming:
    """One walk along a document and its model; what it makes shares nothing with what was given."""

    def __init__(self, body: Json, prefix: str) -> None:
        self.body = body
        self.prefix = prefix

    def object(self, model: type[BaseModel], given: Mapping[str, Any], path: str, out: dict[str, _Out]) -> Json:
        names, extra = _members(model)
        found: Json = {}
        for name, value in given.items():
            lower = name.lower()
            left = out.get(lower)
            if left is not None and left.whole:
                continue
            known = names.get(lower)
            if known is None:
                if extra == "allow":
                    found[name] = _rest(value, left)
                elif extra != "ignore":
                    raise unknown_member(self.body, name, model.__name__, path + name, self.prefix)
            elif value is not None:
                found[known[0]] = self.value(known[1], value, path + name, left)
        return found

    def value(self, annotation: Any, value: Any, path: str, out: _Out | None) -> Any:
        if type(value) is str:
            return value
        if isinstance(value, Mapping):
            below = out.below if out is not None and not out.many else _NOTHING
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                return self.object(annotation, value, path + ".", below)
            if get_origin(annotation) is dict:
                inner = _plain(get_args(annotation)[1])
                return {
                    name: self.value(inner, item, f"{path}.{name}", left)
                    for name, item in value.items()
                    if (left := below.get(name.lower())) is None or not left.whole
                }
        elif isinstance(value, (list, tuple)) and get_origin(annotation) in (list, tuple):
            inner = _plain(get_args(annotation)[0])
            each = _Out(below=out.below) if out is not None and out.many else None
            return [self.value(inner, item, f"{path}[{n}]", each) for n, item in enumerate(value)]
        return _rest(value, out)


def _rest(value: Any, out: _Out | None) -> Any:
    """A copy of what the model says nothing of, without what is left out."""
    if out is None:
        return copy_json(value)
    if isinstance(value, Mapping) and not out.many:
        kept = {name: out.below.get(name.lower()) for name in value}
        return {name: _rest(value[name], left) for name, left in kept.items() if left is None or not left.whole}
    if isinstance(value, (list, tuple)) and out.many:
        return [_rest(item, _Out(below=out.below)) for item in value]
    return copy_json(value)


@lru_cache(maxsize=1024)
def _members(model: type[BaseModel]) -> tuple[dict[str, tuple[str, Any]], str | None]:
    """(lower-case name → (name, annotation), the model's `extra`)."""
    found = {}
    for name, member in model.model_fields.items():
        known = member.alias or name
        found[known.lower()] = (known, _plain(member.annotation))
    return found, model.model_config.get("extra")


def _plain(annotation: Any) -> Any:
    """The annotation without Annotated and None; a union of several stays as it is."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _plain(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        some = [part for part in get_args(annotation) if part is not type(None)]
        if len(some) == 1:
            return _plain(some[0])
    return annotation


def _check_values(declared: ResourceType, document: Json, prefix: str) -> None:
    """Raises ArmError for the values that the model refuses."""
    try:
        declared.model.model_validate(document)
    except ValidationError as error:
        details = []
        for problem in error.errors(include_url=False):
            path = prefix + _path(problem["loc"])
            if problem["type"] == "missing":
                text = (
                    f"Required property '{problem['loc'][-1]}' not found in JSON. Path '{_path(problem['loc'][:-1])}'."
                )
            else:
                shown = msgspec.json.encode(problem["input"]).decode() if _is_json(problem["input"]) else "value"
                text = f"Error converting value {shown[:200]}. {problem['msg']}. Path '{path}'."
            details.append({"code": "InvalidJson", "message": text})
        raise ArmError(400, "InvalidRequestFormat", "Cannot parse the request.", details=details) from error


def _is_json(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool, list, dict))


def _path(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def unknown_member(body: Json, name: str, owner: str, path: str, prefix: str = "") -> ArmError:
    """Json.NET's complaint about a member that the class does not have."""
    position = _position(body, path.removeprefix(prefix))
    return ArmError(
        400,
        "InvalidRequestFormat",
        "Cannot parse the request.",
        details=[
            {
                "code": "InvalidJson",
                "message": f"Could not find member '{name}' on object of type '{owner}'. "
                f"Path '{path}', line 1, position {position}.",
            }
        ],
    )


def _position(body: Any, path: str) -> int:
    """Where a reader stands after the name at `path` and its colon, in the body written without spaces: ARM passes
    requests on in that form. 0 where the path cannot be followed."""
    at = 0
    value = body
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        if index and isinstance(value, list) and int(index) < len(value):
            at += 1 + sum(len(msgspec.json.encode(item)) + 1 for item in value[: int(index)])
            value = value[int(index)]
        elif isinstance(value, dict) and name in value:
            at += 1
            for other, item in value.items():
                at += len(msgspec.json.encode(other)) + 1
                if other == name:
                    break
                at += len(msgspec.json.encode(item)) + 1
            value = value[name]
        else:
            return 0
    return at


def walk(value: Any, path: str, at: str = "") -> Iterator[tuple[str, Any]]:
    """(path with indices, value) of everything a dotted path with `[]` names; members match in any case."""
    step, _, rest = path.partition(".")
    match = _STEP.fullmatch(step)
    if match is None or not isinstance(value, Mapping):
        return
    wanted, many = match[1].lower(), bool(match[2])
    for name, item in value.items():
        if name.lower() != wanted:
            continue
        here = f"{at}.{name}" if at else name
        if not many:
            yield from walk(item, rest, here) if rest else [(here, item)]
        elif isinstance(item, list):
            for index, element in enumerate(item):
                there = f"{here}[{index}]"
                yield from walk(element, rest, there) if rest else [(there, element)]


def leave_out(document: Any, path: str) -> None:
    """Remove, in place, every member that a dotted path with `[]` names."""
    step, _, rest = path.partition(".")
    name = step.removesuffix("[]")
    if not isinstance(document, dict) or name not in document:
        return
    if not rest:
        del document[name]
        return
    below = document[name]
    for item in below if step.endswith("[]") and isinstance(below, list) else (below,):
        leave_out(item, rest)


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396: objects merge, null removes, anything else replaces."""
    if not isinstance(patch, Mapping):
        return copy_json(patch)
    merged = dict(target) if isinstance(target, Mapping) else {}
    by_lower = {name.lower(): name for name in merged}
    for name, value in patch.items():
        known = by_lower.get(name.lower(), name)
        if value is None:
            merged.pop(known, None)
        else:
            merged[known] = merge_patch(merged.get(known), value)
    return merged

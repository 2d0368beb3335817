"""The function library of ARM templates that depends on arguments alone: strings, arrays, objects, numbers, logic, CIDR.

Follows learn.microsoft.com "ARM template functions". What depends on the deployment (`parameters`, `reference`,
`resourceId` …) is in plan.py; what is lazy (`if`, `and`, `or`, `lambda`) is in language.py.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any
from urllib.parse import quote, unquote, urljoin

from azlan.template.hashing import template_guid, unique_string
from azlan.template.language import LONGEST, TemplateError, too_long


def _wrong(function: str, why: str) -> TemplateError:
    return TemplateError(
        f"Unable to evaluate template language function '{function}': {why}. "
        f"Please see https://aka.ms/arm-functions for usage details."
    )


def _text(function: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(function, "the type of its parameter is not valid, a string is expected")
    return value


def _number(function: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(function, "the type of its parameter is not valid, an integer is expected")
    return value


def as_string(value: Any) -> str:
    """What `string()` makes of a value: text as it is, booleans as .NET prints them, the rest compact JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "True" if value else "False"
    if value is None:
        return ""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _texts(function: str, values: tuple[Any, ...]) -> list[str]:
    if not values:
        raise _wrong(function, "at least one parameter is expected")
    return [_text(function, value) for value in values]


# -- strings ----------------------------------------------------------------------------------------------------------


def _concat(*values: Any) -> Any:
    if values and all(isinstance(value, list) for value in values):
        return [item for value in values for item in value]
    if any(isinstance(value, (list, dict)) or value is None for value in values):
        raise _wrong("concat", "all its parameters must be arrays, or all of them strings or numbers")
    return "".join(as_string(value) for value in values)


_WIDEST = 10_000
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(\d+)(?:,(-?\d+))?(?::([^{}]*))?\}")


def _format(pattern: str, *values: Any) -> str:
    """.NET composite formatting: `{0}`, `{0,8}`, and the numeric forms D, N, X and custom zeros."""

    def place(match: re.Match[str]) -> str:
        if match.group(0) in ("{{", "}}"):
            return match.group(0)[0]
        index = int(match.group(1))
        if index >= len(values):
            raise _wrong("format", f"the format item '{index}' has no argument")
        text = _formatted(values[index], match.group(3) or "")
        width = int(match.group(2) or 0)
        if abs(width) > _WIDEST:
            raise _wrong("format", f"the width '{width}' is larger than {_WIDEST}")
        return text.rjust(width) if width >= 0 else text.ljust(-width)

    return _PLACEHOLDER.sub(place, _text("format", pattern))


def _formatted(value: Any, style: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and style:
        kind, digits = style[0], style[1:]
        if set(style) == {"0"}:
            return f"{value:0{len(style)}d}"
        if kind in "Dd":
            return f"{value:0{int(digits or 0)}d}" if digits else str(value)
        if kind in "Nn":
            return f"{value:,.{int(digits) if digits else 2}f}"
        if kind in "Xx":
            return f"{value:0{int(digits or 1)}{kind}}"
    return as_string(value)


def _base64(value: str) -> str:
    return base64.b64encode(_text("base64", value).encode()).decode()


def _base64_to_string(value: str) -> str:
    try:
        return base64.b64decode(_text("base64ToString", value), validate=True).decode()
    except ValueError as error:
        raise _wrong("base64ToString", f"the value '{value}' is not base64") from error


def _json(value: str) -> Any:
    try:
        return json.loads(_text("json", value))
    except ValueError as error:
        raise _wrong("json", "the value is not a valid JSON string") from error


def _substring(value: str, start: int, length: int | None = None) -> str:
    text, first = _text("substring", value), _number("substring", start)
    count = len(text) - first if length is None else _number("substring", length)
    if first < 0 or count < 0 or first + count > len(text):
        raise _wrong(
            "substring",
            f"the index and length parameters must refer to a location within the string. The index parameter is '{first}', "
            f"the length parameter is '{count}', the length of the string parameter is '{len(text)}'",
        )
    return text[first : first + count]


def _split(value: str, by: Any) -> list[str]:
    marks = by if isinstance(by, list) else [by]
    return re.split("|".join(re.escape(_text("split", mark)) for mark in marks), _text("split", value))


def _join(values: list[Any], by: str) -> str:
    if not isinstance(values, list):
        raise _wrong("join", "its first parameter must be an array")
    return _text("join", by).join(as_string(value) for value in values)


def _pad_left(value: Any, width: int, fill: str = " ") -> str:
    if _number("padLeft", width) > LONGEST:
        raise too_long("padLeft")
    return as_string(value).rjust(width, fill)


def _trim(value: str) -> str:
    return _text("trim", value).strip()


def _uri(base: str, relative: str) -> str:
    return urljoin(_text("uri", base), _text("uri", relative))


# -- strings, arrays and objects alike --------------------------------------------------------------------------------


def _contains(container: Any, wanted: Any) -> bool:
    if isinstance(container, str):
        return as_string(wanted) in container
    if isinstance(container, Mapping):
        return str(wanted).lower() in {key.lower() for key in container}
    if isinstance(container, list):
        return any(equal(item, wanted) for item in container)
    raise _wrong("contains", "its first parameter must be a string, an array or an object")


def _length(value: Any) -> int:
    if not isinstance(value, (str, list, Mapping)):
        raise _wrong("length", "its parameter must be a string, an array or an object")
    return len(value)


def _empty(value: Any) -> bool:
    if value is not None and not isinstance(value, (str, list, Mapping)):
        raise _wrong("empty", "its parameter must be a string, an array or an object")
    return not value


def _end(function: str, at: int) -> Callable[[Any], Any]:
    def end(value: Any) -> Any:
        if not isinstance(value, (str, list)):
            raise _wrong(function, "its parameter must be a string or an array")
        if value:
            return value[at]
        return "" if isinstance(value, str) else None

    return end


def _skip(value: Any, count: int) -> Any:
    if not isinstance(value, (str, list)):
        raise _wrong("skip", "its first parameter must be a string or an array")
    return value[max(0, _number("skip", count)) :]


def _take(value: Any, count: int) -> Any:
    if not isinstance(value, (str, list)):
        raise _wrong("take", "its first parameter must be a string or an array")
    return value[: max(0, _number("take", count))]


def _index_of(value: Any, wanted: Any) -> int:
    if isinstance(value, list):
        return next((at for at, item in enumerate(value) if equal(item, wanted)), -1)
    return _text("indexOf", value).lower().find(_text("indexOf", wanted).lower())


def _last_index_of(value: Any, wanted: Any) -> int:
    if isinstance(value, list):
        return next((at for at in range(len(value) - 1, -1, -1) if equal(value[at], wanted)), -1)
    return _text("lastIndexOf", value).lower().rfind(_text("lastIndexOf", wanted).lower())


def _union(*values: Any) -> Any:
    if all(isinstance(value, Mapping) for value in values):
        merged: dict[str, Any] = {}
        for value in values:
            merged = _merged(merged, value)
        return merged
    _expect_lists("union", values)
    result: list[Any] = []
    for item in (item for value in values for item in value):
        if not any(equal(item, other) for other in result):
            result.append(item)
    return result


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(one)
    for name, value in other.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merged(merged[name], value) if both else value
    return merged


def _intersection(*values: Any) -> Any:
    first, *rest = values
    if all(isinstance(value, Mapping) for value in values):
        return {k: v for k, v in first.items() if all(k in other and equal(other[k], v) for other in rest)}
    _expect_lists("intersection", values)
    return [item for item in first if all(any(equal(item, o) for o in other) for other in rest)]


def _expect_lists(function: str, values: tuple[Any, ...]) -> None:
    if not values or not all(isinstance(value, list) for value in values):
        raise _wrong(function, "all its parameters must be arrays, or all of them objects")


def _flatten(values: list[Any]) -> list[Any]:
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


def _range(start: int, count: int) -> list[int]:
    if not 0 <= _number("range", count) <= 10_000:
        raise _wrong("range", "its count must be between 0 and 10000")
    return list(range(_number("range", start), start + count))


def _create_object(*values: Any) -> dict[str, Any]:
    if len(values) % 2:
        raise _wrong("createObject", "an even number of parameters is expected: names and values")
    return {_text("createObject", values[at]): values[at + 1] for at in range(0, len(values), 2)}


def _items(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value[key]} for key in sorted(value)]


def _try_get(value: Any, *path: Any) -> Any:
    for step in path:
        if isinstance(value, Mapping) and isinstance(step, str):
            value = next((v for k, v in value.items() if k.lower() == step.lower()), None)
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step] if 0 <= step < len(value) else None
        else:
            return None
    return value


# -- lambdas ----------------------------------------------------------------------------------------------------------


def _to_object(values: list[Any], key: Callable[..., Any], value: Callable[..., Any] | None = None) -> dict[str, Any]:
    return {str(key(item)): value(item) if value else item for item in values}


def _sorted(values: list[Any], before: Callable[..., Any]) -> list[Any]:
    from functools import cmp_to_key

    return sorted(values, key=cmp_to_key(lambda a, b: -1 if before(a, b) else 1 if before(b, a) else 0))


def _reduce(values: list[Any], start: Any, step: Callable[..., Any]) -> Any:
    for item in values:
        start = step(start, item)
    return start


# -- numbers and logic ------------------------------------------------------------------------------------------------


def equal(one: Any, other: Any) -> bool:
    """JSON equality: a boolean is no number, text is compared with its case."""
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    return bool(one == other)


def _int(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise _wrong("int", f"the value '{value}' cannot be converted to an integer") from error


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise _wrong("float", f"the value '{value}' cannot be converted to a number") from error


def _bool(value: Any) -> bool:
    if isinstance(value, (bool, int)):
        return bool(value)
    if isinstance(value, str) and value.lower() in ("true", "false", "1", "0"):
        return value.lower() in ("true", "1")
    raise _wrong("bool", f"the value '{value}' cannot be converted to a boolean")


def _not(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong("not", "its parameter must be a boolean")
    return not value


def _div(one: int, other: int) -> int:
    """Integer division that truncates towards zero, as .NET's does."""
    if _number("div", other) == 0:
        raise _wrong("div", "division by zero")
    quotient = abs(_number("div", one)) // abs(other)
    return quotient if (one < 0) == (other < 0) else -quotient


def _mod(one: int, other: int) -> int:
    return _number("mod", one) - _div(one, other) * other


def _extreme(function: str, choose: Callable[..., Any]) -> Callable[..., Any]:
    def extreme(*values: Any) -> Any:
        return choose(values[0] if len(values) == 1 and isinstance(values[0], list) else values)

    return extreme


def _compare(function: str, holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(one: Any, other: Any) -> bool:
        if type(one) is not type(other) or not isinstance(one, (int, str, float)):
            raise _wrong(function, "both its parameters must be numbers, or both strings")
        return holds(one, other)

    return compare


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


# -- dates and CIDR ---------------------------------------------------------------------------------------------------

_DURATION = re.compile(r"(-)?P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


def _date_add(base: str, duration: str, _format: str = "u") -> str:
    match = _DURATION.fullmatch(_text("dateTimeAdd", duration))
    if match is None:
        raise _wrong(
            "dateTimeAdd", f"the duration '{duration}' is not valid: weeks, days, hours, minutes and seconds are known"
        )
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups()[1:])
    delta = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    moment = _moment("dateTimeAdd", base) + (-delta if match.group(1) else delta)
    return moment.strftime("%Y-%m-%d %H:%M:%SZ" if _format == "u" else "%Y-%m-%dT%H:%M:%SZ")


def _moment(function: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(function, text).replace("Z", "+00:00"))
    except ValueError as error:
        raise _wrong(function, f"the value '{text}' is not a date") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _parse_cidr(text: str) -> dict[str, Any]:
    net = _network("parseCidr", text)
    known: dict[str, Any] = {
        "network": str(net.network_address),
        "netmask": str(net.netmask),
        "broadcast": str(net.broadcast_address),
        "firstUsable": str(net.network_address + (1 if net.num_addresses > 2 else 0)),
        "lastUsable": str(net.broadcast_address - (1 if net.num_addresses > 2 else 0)),
        "cidr": net.prefixlen,
    }
    if net.version == 6:
        del known["broadcast"]
    return known


def _cidr_subnet(text: str, length: int, index: int) -> str:
    net = _network("cidrSubnet", text)
    if not net.prefixlen <= _number("cidrSubnet", length) <= net.max_prefixlen:
        raise _wrong("cidrSubnet", f"the prefix length '{length}' does not fit in '{text}'")
    if not 0 <= _number("cidrSubnet", index) < 2 ** (length - net.prefixlen):
        raise _wrong("cidrSubnet", f"the index '{index}' is out of range for '{text}' and the prefix length '{length}'")
    return f"{net.network_address + index * 2 ** (net.max_prefixlen - length)}/{length}"


def _cidr_host(text: str, index: int) -> str:
    net = _network("cidrHost", text)
    if not 0 <= _number("cidrHost", index) < net.num_addresses - 1:
        raise _wrong("cidrHost", f"the index '{index}' is out of range for '{text}'")
    return str(net.network_address + 1 + index)


def _network(function: str, text: str) -> Any:
    try:
        return ip_network(_text(function, text), strict=False)
    except ValueError as error:
        raise _wrong(function, f"the value '{text}' is not a CIDR prefix") from error


FUNCTIONS: dict[str, Callable[..., Any]] = {
    # strings
    "base64": _base64,
    "base64tojson": lambda value: _json(_base64_to_string(value)),
    "base64tostring": _base64_to_string,
    "concat": _concat,
    "datauri": lambda value: f"data:text/plain;charset=utf8;base64,{_base64(value)}",
    "datauritostring": lambda value: _base64_to_string(_text("dataUriToString", value).partition(",")[2]),
    "endswith": lambda value, end: _text("endsWith", value).lower().endswith(_text("endsWith", end).lower()),
    "format": _format,
    "guid": lambda *values: template_guid(_texts("guid", values)),
    "join": _join,
    "json": _json,
    "padleft": _pad_left,
    "replace": lambda value, old, new: _text("replace", value).replace(_text("replace", old), _text("replace", new)),
    "split": _split,
    "startswith": lambda value, start: (
        _text("startsWith", value).lower().startswith(_text("startsWith", start).lower())
    ),
    "string": as_string,
    "substring": _substring,
    "tolower": lambda value: _text("toLower", value).lower(),
    "toupper": lambda value: _text("toUpper", value).upper(),
    "trim": _trim,
    "uniquestring": lambda *values: unique_string(_texts("uniqueString", values)),
    "uri": _uri,
    "uricomponent": lambda value: quote(_text("uriComponent", value), safe="!'()*"),
    "uricomponenttostring": lambda value: unquote(_text("uriComponentToString", value)),
    # strings, arrays and objects
    "array": lambda value: value if isinstance(value, list) else [value],
    "contains": _contains,
    "createarray": lambda *values: list(values),
    "createobject": _create_object,
    "empty": _empty,
    "first": _end("first", 0),
    "flatten": _flatten,
    "indexof": _index_of,
    "intersection": _intersection,
    "items": _items,
    "last": _end("last", -1),
    "lastindexof": _last_index_of,
    "length": _length,
    "null": lambda: None,
    "objectkeys": lambda value: sorted(value),
    "range": _range,
    "shallowmerge": lambda values: {k: v for value in values for k, v in value.items()},
    "skip": _skip,
    "take": _take,
    "tryget": _try_get,
    "union": _union,
    # lambdas
    "filter": lambda values, keep: [item for item in values if keep(item)],
    "map": lambda values, change: [change(item) for item in values],
    "mapvalues": lambda value, change: {k: change(v) for k, v in value.items()},
    "reduce": _reduce,
    "sort": _sorted,
    "toobject": _to_object,
    # numbers
    "add": lambda one, other: _number("add", one) + _number("add", other),
    "div": _div,
    "float": _float,
    "int": _int,
    "max": _extreme("max", max),
    "min": _extreme("min", min),
    "mod": _mod,
    "mul": lambda one, other: _number("mul", one) * _number("mul", other),
    "sub": lambda one, other: _number("sub", one) - _number("sub", other),
    # logic
    "bool": _bool,
    "coalesce": _coalesce,
    "equals": equal,
    "false": lambda: False,
    "greater": _compare("greater", lambda one, other: one > other),
    "greaterorequals": _compare("greaterOrEquals", lambda one, other: one >= other),
    "less": _compare("less", lambda one, other: one < other),
    "lessorequals": _compare("lessOrEquals", lambda one, other: one <= other),
    "not": _not,
    "true": lambda: True,
    # dates and networks
    "cidrhost": _cidr_host,
    "cidrsubnet": _cidr_subnet,
    "datetimeadd": _date_add,
    "datetimefromepoch": lambda value: datetime.fromtimestamp(_number("dateTimeFromEpoch", value), UTC).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    ),
    "datetimetoepoch": lambda value: int(_moment("dateTimeToEpoch", value).timestamp()),
    "parsecidr": _parse_cidr,
}
"""Name in lower case → the function."""

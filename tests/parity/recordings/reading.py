"""Recordings in both formats of Azure's SDK: vcrpy's YAML (up to 2021) and the test proxy's JSON, as one list of calls."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import yaml

HIDDEN_BY_VCR = frozenset(
    {"retry-after", "x-ms-request-id", "x-ms-correlation-request-id", "x-ms-routing-request-id", "client-request-id"}
)
"""Headers that azure-devtools' vcr filter took out of every answer: that they are not there says nothing."""


@dataclass(frozen=True)
class Reply:
    """What was answered; names of headers in lower case, `body` as JSON, None where there is none."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Call:
    """One request and its answer. `path` has no query; `query` is as it was sent."""

    number: int
    method: str
    host: str
    path: str
    query: str
    body: Any
    reply: Reply
    hidden: frozenset[str] = field(default=frozenset())
    """Headers that the recorder took out of answers."""

    @property
    def url(self) -> str:
        """Path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path


def read(name: str, content: bytes) -> list[Call]:
    """The calls of a recording, in order."""
    found = _test_proxy(content) if name.endswith(".json") else _vcr(content)
    return [_call(number, *parts) for number, parts in enumerate(found, 1)]


def _call(number: int, method: str, url: str, body: Any, reply: Reply, hidden: frozenset[str]) -> Call:
    split = urlsplit(url)
    return Call(number, method, split.netloc.split(":")[0], split.path, split.query, body, reply, hidden)


def _test_proxy(content: bytes) -> Iterator[tuple[str, str, Any, Reply, frozenset[str]]]:
    for entry in json.loads(content).get("Entries", ()):
        headers = {name.lower(): _one(value) for name, value in entry["ResponseHeaders"].items()}
        reply = Reply(entry["StatusCode"], headers, _lines(entry.get("ResponseBody")))
        yield entry["RequestMethod"], entry["RequestUri"], entry.get("RequestBody"), reply, frozenset()


def _vcr(content: bytes) -> Iterator[tuple[str, str, Any, Reply, frozenset[str]]]:
    for entry in yaml.load(content, Loader=yaml.CSafeLoader)["interactions"]:
        asked, told = entry["request"], entry["response"]
        headers = {name.lower(): _one(value) for name, value in told["headers"].items()}
        reply = Reply(told["status"]["code"], headers, _json((told.get("body") or {}).get("string")))
        yield asked["method"], asked["uri"], _json(_unquoted(asked.get("body"))), reply, HIDDEN_BY_VCR


def _one(value: Any) -> str:
    """The first value of a header that was recorded as a list."""
    return str(value[0]) if isinstance(value, list) else str(value)


def _lines(body: Any) -> Any:
    """The test proxy keeps a body that is an array as the lines of its text."""
    if isinstance(body, list) and all(isinstance(line, str) for line in body):
        return _json("".join(body))
    return None if body == "" else body


def _unquoted(body: Any) -> Any:
    """Some bodies were written down as Python shows bytes, even twice: `b'b\\'{…}\\''`."""
    while isinstance(body, (str, bytes)) and body[:2] in ("b'", 'b"', b"b'", b'b"'):
        body = ast.literal_eval(body if isinstance(body, str) else body.decode())
    return body


def _json(text: Any) -> Any:
    if text is None or text in ("", b""):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text if isinstance(text, str) else text.decode("utf-8", "replace")

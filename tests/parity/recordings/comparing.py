"""Two answers to one call, the recorded and ours, compared: status, headers, members, types, values and relations.

Volatile values are recognised by what they are (GUIDs, times, addresses that a cloud hands out), never by leaving a
subtree out. What is found is a list of differences, each at one path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Literal
from uuid import UUID

from parity.recordings.reading import Reply
from parity.recordings.scope import is_own

Kind = Literal["status", "code", "state", "header", "absent", "unexpected", "type", "value", "relation"]

HEADERS = (
    "azure-asyncoperation",
    "azure-asyncnotification",
    "location",
    "retry-after",
    "etag",
    "content-type",
    "x-ms-request-id",
    "x-ms-correlation-request-id",
    "x-ms-routing-request-id",
    "x-ms-arm-service-request-id",
)
"""What clients read, and the ids with which a support request is made. How much of a quota of requests is left, which
server answered and how answers are cached is not compared."""

OPERATIVE = ("azure-asyncoperation", "location", "retry-after", "etag")
"""Headers that must not be there where the recording has none: they change what a client does next."""

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_HEX = re.compile(r"\b[0-9a-f]{32}\b|(?<=_)[0-9a-f]{32}\b", re.IGNORECASE)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_STATE = re.compile(r"(^|\.)(provisioningState|peeringState|peeringSyncLevel|diskState|status)$|statuses\[\]\.code$")
_CODE = re.compile(r"(^|\.)error\.code$|details\[\]\.code$")
_ETAG = re.compile(r'W/"[^"]*"')
_MAC = re.compile(r"([0-9A-F]{2}-){5}[0-9A-F]{2}")
_SUFFIX = re.compile(r"[a-z0-9]{26}\.[a-z]{2,3}\.internal\.cloudapp\.net")

IMAGE_WORDS = {"exactVersion", "vmAgentVersion", "osName", "osVersion"}
"""Members that name a guest's software: another image takes the recorded one's place."""

DATA = {"currentValue", "limit", "changeNumber", "serviceTagChangeNumber", "systemService"}
"""Members of catalogues that are data of Azure's own: what a subscription has used and may use, versions of lists, names
of services inside."""


@dataclass(frozen=True)
class Difference:
    """At `path` (`[]` for each item of a list) the recording and our answer differ."""

    kind: Kind
    path: str
    recorded: str
    ours: str

    def __str__(self) -> str:
        return f"{self.kind} {self.path}: {self.recorded} → {self.ours}"


@dataclass
class Memory:
    """What answers so far have said, on one side: `guids` and bodies by id; `pairs`: the GUIDs that stand for each other."""

    groups: Iterable[str] = ()
    pairs: dict[str, str] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    networks: dict[Literal["recorded", "ours"], dict[str, str]] = field(
        default_factory=lambda: {"recorded": {}, "ours": {}}
    )
    """resourceGuid of each virtual network, by id in lower case."""


def compare(recorded: Reply, ours: Reply, memory: Memory, hidden: frozenset[str], route: str) -> list[Difference]:
    """Every difference. `hidden`: headers that the recorder left out. `route`: the path asked for."""
    if recorded.status != ours.status:
        told = json.dumps(ours.body)[:400] if ours.status >= 400 else ""
        return [Difference("status", "", str(recorded.status), f"{ours.status} {told}".strip())]
    found = list(_headers(recorded, ours, hidden))
    theirs, mine = own_items(recorded.body, memory.groups), own_items(ours.body, memory.groups)
    found += _Bodies(memory, route).compare(theirs, mine, "")
    found += _relations(recorded, ours, theirs, mine, memory)
    return list(dict.fromkeys(found))


def own_items(body: Any, groups: Iterable[str]) -> Any:
    """A list without what lies in other groups than the recording's."""
    if isinstance(body, dict) and isinstance(body.get("value"), list):
        return {**body, "value": [item for item in body["value"] if is_own(item, groups)]}
    return body


def _headers(recorded: Reply, ours: Reply, hidden: frozenset[str]) -> Iterator[Difference]:
    for name in HEADERS:
        theirs, mine = recorded.headers.get(name), ours.headers.get(name)
        if theirs is not None and mine is None:
            yield Difference("header", name, _masked_url(theirs), "absent")
        elif theirs is None and mine is not None and name in OPERATIVE and name not in hidden:
            yield Difference("header", name, "absent", _masked_url(mine))
        elif theirs is not None and mine is not None and _header_value(name, theirs) != _header_value(name, mine):
            yield Difference("header", name, _masked_url(theirs), _masked_url(mine))


def _header_value(name: str, value: str) -> str:
    """What of a header does not vary from call to call."""
    if name in ("azure-asyncoperation", "location"):
        return _masked_url(value).lower()
    if name == "retry-after":
        return "seconds" if re.fullmatch(r"\d+(\.\d+)?", value) else value
    if name.startswith("x-ms-"):
        return "id"
    return _GUID.sub("<guid>", value)


def _masked_url(value: str) -> str:
    """Without operation ids and the partition of Compute's operations (`p=`), which nobody but Azure reads."""
    masked = re.sub(r"([?&])p=[^&]*&?", r"\1", value)
    return re.sub(r"/(operations|operationresults|diskoperations)/[^/?]+", r"/\1/<id>", masked, flags=re.IGNORECASE)


class _Bodies:
    """Two JSON documents, member by member."""

    def __init__(self, memory: Memory, route: str) -> None:
        self.memory = memory
        self.catalogue = bool(re.search(r"/(usages|publishers|offers|skus|versions|vmSizes|serviceTags)$", route, re.I))
        """Lists of what a cloud offers, or limits: elements are compared where both have them."""

    def compare(self, theirs: Any, mine: Any, path: str) -> Iterator[Difference]:
        if isinstance(theirs, dict) and isinstance(mine, dict):
            yield from self.members(theirs, mine, path)
        elif isinstance(theirs, list) and isinstance(mine, list):
            yield from self.items(theirs, mine, path)
        elif _type(theirs) != _type(mine):
            yield Difference("type", path, _shown(theirs), _shown(mine))
        elif isinstance(theirs, (dict, list)):
            raise AssertionError("types were compared")
        elif not self.same(theirs, mine, path.rsplit(".", 1)[-1]):
            yield Difference(_kind(path, "value"), path, _shown(theirs), _shown(mine))

    def members(self, theirs: dict[str, Any], mine: dict[str, Any], path: str) -> Iterator[Difference]:
        for name in theirs.keys() | mine.keys():
            below = f"{path}.{name}" if path else name
            if name not in mine:
                yield Difference(_kind(below, "absent"), below, _shown(theirs[name]), "absent")
            elif name not in theirs:
                yield Difference(_kind(below, "unexpected"), below, "absent", _shown(mine[name]))
            else:
                yield from self.compare(theirs[name], mine[name], below)

    def items(self, theirs: list[Any], mine: list[Any], path: str) -> Iterator[Difference]:
        below = f"{path}[]"
        if not self.catalogue and not (_named_apart(theirs) and _named_apart(mine)):
            pairs = list(zip(theirs, mine, strict=False))
            lost, more = theirs[len(pairs) :], mine[len(pairs) :]
        else:
            known = {name: item for item in mine if (name := _name(item)) is not None}
            pairs = [(item, known[_name(item)]) for item in theirs if _name(item) in known]
            lost = [item for item in theirs if _name(item) not in known]
            here = {_name(item) for item in theirs}
            more = [item for item in mine if _name(item) not in here]
        for their, my in pairs:
            yield from self.compare(their, my, below)
        if self.catalogue:
            if theirs and isinstance(theirs[0], dict) and not pairs:
                yield Difference("absent", below, "a list", "nothing that the recording has, too")
        else:
            for item in lost:
                yield Difference("absent", below, _shown(item), "absent")
            for item in more:
                yield Difference("unexpected", below, "absent", _shown(item))

    def same(self, theirs: Any, mine: Any, name: str) -> bool:
        """Whether two plain values mean the same."""
        if name in DATA and self.catalogue:
            return True
        if not isinstance(theirs, str):
            return bool(theirs == mine)
        if theirs == mine or name in IMAGE_WORDS:
            return True
        for pattern in (_TIME, _ETAG, _MAC, _SUFFIX):
            if pattern.fullmatch(theirs):
                return pattern.fullmatch(mine) is not None
        if name == "ipAddress":
            return _is_address(theirs) and _is_address(mine)
        if _masked(theirs) != _masked(mine):
            return False
        return all(self.paired(a, b) for a, b in zip(_GUID.findall(theirs), _GUID.findall(mine), strict=True))

    def paired(self, theirs: str, mine: str) -> bool:
        """Whether a recorded GUID stands for the same of ours as before."""
        theirs, mine = theirs.lower(), mine.lower()
        return (
            self.memory.pairs.setdefault(theirs, mine) == mine and self.memory.taken.setdefault(mine, theirs) == theirs
        )


def _relations(recorded: Reply, ours: Reply, theirs: Any, mine: Any, memory: Memory) -> Iterator[Difference]:
    """What holds between parts of an answer, or between answers: told of both sides, compared."""
    told = dict(_told(recorded, theirs, memory.networks["recorded"]))
    found = dict(_told(ours, mine, memory.networks["ours"]))
    for name in told.keys() & found.keys():
        if told[name] != found[name]:
            yield Difference("relation", name, str(told[name]), str(found[name]))


def _told(reply: Reply, body: Any, networks: dict[str, str]) -> Iterator[tuple[str, bool]]:
    if not isinstance(body, dict):
        return
    if "etag" in reply.headers and "etag" in body:
        yield "header ETag = etag of the body", reply.headers["etag"] == body["etag"]
    if "etag" in body:
        for path, etag in _etags(body.get("properties"), "properties"):
            yield f"{path} = etag of the body", etag == body["etag"]
    properties = body.get("properties")
    if not isinstance(properties, dict) or "resourceGuid" not in properties:
        return
    id = str(body.get("id", "")).lower()
    if str(body.get("type", "")).lower() == "microsoft.network/virtualnetworks":
        networks[id] = properties["resourceGuid"]
    remote = properties.get("remoteVirtualNetwork")
    if remote is not None:
        ends = [networks.get(id.rsplit("/", 2)[0]), networks.get(str(remote.get("id", "")).lower())]
        if None not in ends:
            mixed = UUID(str(ends[0])).int ^ UUID(str(ends[1])).int
            yield "resourceGuid = the networks' XOR", UUID(properties["resourceGuid"]).int == mixed


def _etags(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name == "etag" and isinstance(item, str):
                yield f"{path}.etag", item
            else:
                yield from _etags(item, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from _etags(item, f"{path}[]")


def _kind(path: str, otherwise: Kind) -> Kind:
    if _CODE.search(path):
        return "code"
    return "state" if _STATE.search(path) else otherwise


def _named_apart(items: list[Any]) -> bool:
    """Whether every item has a name of its own; else they are compared by their place."""
    names = [_name(item) for item in items]
    return None not in names and len(set(names)) == len(names)


def _name(item: Any) -> str | None:
    """By what an item of a list is told from the others."""
    if not isinstance(item, Mapping):
        return None
    for member in ("id", "name", "lun", "addressPrefix"):
        value = item.get(member)
        if isinstance(value, list):
            value = ",".join(map(str, value))
        if isinstance(value, Mapping):
            value = value.get("value")
        if value is not None:
            return _masked(str(value))
    return None


def _masked(text: str) -> str:
    masked = _HEX.sub("<hex>", _GUID.sub("<guid>", text))
    # Ids are compared without case, as ARM compares them.
    return masked.lower() if masked.startswith("/") else masked


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return type(value).__name__


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _shown(value: Any) -> str:
    return json.dumps(value)[:300]

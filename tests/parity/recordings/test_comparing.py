"""What the comparison of two answers sees, and what it lets pass; which calls are in scope; both formats of recordings; their
archives."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from azlan.arm.registry import Registry
from parity.recordings import obtain
from parity.recordings import reviewed as reviewing
from parity.recordings.comparing import Difference, Memory, compare
from parity.recordings.preparing import Mapping, with_ubuntu_asked, with_ubuntu_shown
from parity.recordings.reading import HIDDEN_BY_VCR, Call, Reply, read
from parity.recordings.reviewed import unexplained
from parity.recordings.scope import judge

SUB = "/subscriptions/00000000-0000-0000-0000-000000000000"
GROUP = f"{SUB}/resourceGroups/rgname"
VNET = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/v"
ONE, TWO, THREE = (f"{n}{n}{n}{n}{n}{n}{n}{n}-0000-0000-0000-000000000000" for n in (1, 2, 3))
OURS = {ONE: "a" * 8 + ONE[8:], TWO: "b" * 8 + TWO[8:]}


def document() -> dict[str, Any]:
    return {
        "name": "v",
        "id": VNET,
        "etag": f'W/"{ONE}"',
        "type": "Microsoft.Network/virtualNetworks",
        "properties": {
            "provisioningState": "Succeeded",
            "resourceGuid": TWO,
            "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
            "subnets": [{"name": "s", "id": f"{VNET}/subnets/s", "etag": f'W/"{ONE}"'}],
            "timeCreated": "2023-01-11T06:37:28.6316736+00:00",
            "count": 3,
        },
    }


def reply(body: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def ours() -> dict[str, Any]:
    """The same, with GUIDs, times and letters of ids as another cloud has them."""
    text = json.dumps(document())
    for theirs, mine in OURS.items():
        text = text.replace(theirs, mine)
    text = text.replace("2023-01-11T06:37:28.6316736+00:00", "2026-01-01T00:00:00Z").replace("/rgname/", "/RGNAME/")
    found: dict[str, Any] = json.loads(text)
    return found


def differences(theirs: Any, mine: Any, memory: Memory | None = None) -> list[tuple[str, str]]:
    found = compare(reply(theirs), reply(mine), memory or Memory(["rgname"]), frozenset(), VNET)
    return sorted((difference.kind, difference.path) for difference in found)


def test_what_varies_from_cloud_to_cloud_is_the_same() -> None:
    assert differences(document(), ours()) == []


@pytest.mark.parametrize(
    ("path", "value", "kind"),
    [
        ("properties.provisioningState", "Updating", "state"),
        ("properties.addressSpace", {"addressPrefixes": ["10.1.0.0/16"]}, "value"),
        ("properties.count", "3", "type"),
        ("properties.count", 4, "value"),
        ("properties.timeCreated", "yesterday", "value"),
        ("properties.resourceGuid", "none", "value"),
        ("name", "w", "value"),
        ("id", VNET.replace("/v", "/w"), "value"),
    ],
)
def test_what_differs_is_seen(path: str, value: Any, kind: str) -> None:
    mine = ours()
    *way, last = path.split(".")
    at = mine
    for step in way:
        at = at[step]
    at[last] = value
    assert [found for found, _ in differences(document(), mine)] == [kind]


def test_members_and_items_that_are_not_there() -> None:
    mine = ours()
    del mine["properties"]["addressSpace"]
    mine["properties"]["more"] = None
    mine["properties"]["subnets"].append({"name": "t", "id": f"{VNET}/subnets/t"})
    assert differences(document(), mine) == [
        ("absent", "properties.addressSpace"),
        ("unexpected", "properties.more"),
        ("unexpected", "properties.subnets[]"),
    ]
    del mine["properties"]["provisioningState"]
    assert ("state", "properties.provisioningState") in differences(document(), mine)


def test_a_guid_goes_on_standing_for_the_same() -> None:
    memory = Memory(["rgname"])
    assert differences(document(), ours(), memory) == []
    mine = ours()
    mine["properties"]["resourceGuid"] = THREE
    assert differences(document(), mine, memory) == [("value", "properties.resourceGuid")]


def test_relations_within_an_answer() -> None:
    mine = ours()
    mine["properties"]["subnets"][0]["etag"] = f'W/"{THREE}"'
    assert differences(document(), mine) == [("relation", "properties.subnets[].etag = etag of the body")]
    found = compare(
        reply(document(), etag=f'W/"{ONE}"'), reply(ours(), etag=f'W/"{THREE}"'), Memory(), frozenset(), VNET
    )
    assert [str(difference) for difference in found] == ["relation header ETag = etag of the body: True → False"]


@pytest.mark.parametrize(("guid", "expected"), [("8", []), ("9", ["resourceGuid = the networks' XOR"])])
def test_the_guid_of_a_peering(guid: str, expected: list[str]) -> None:
    def network(name: str, digit: str) -> dict[str, Any]:
        body = deepcopy(document())
        body["id"] = VNET.replace("/v", f"/{name}")
        body["properties"] = {"resourceGuid": f"{digit * 8}-0000-0000-0000-000000000000"}
        return body

    def peering(digit: str) -> dict[str, Any]:
        remote = {"id": VNET.replace("/v", "/b")}
        return {
            "id": f"{VNET.replace('/v', '/a')}/virtualNetworkPeerings/p",
            "properties": {"resourceGuid": f"{digit * 8}-0000-0000-0000-000000000000", "remoteVirtualNetwork": remote},
        }

    memory = Memory()
    for name, theirs, mine in (("a", "1", "e"), ("b", "2", "6")):
        assert differences(network(name, theirs), network(name, mine), memory) == []
    assert [path for _, path in differences(peering("3"), peering(guid), memory)] == expected


def test_headers() -> None:
    operation = "https://management.azure.com/subscriptions/s/providers/P/locations/l/operations/{}?api-version=1"
    theirs = reply(None, azure_asyncoperation=operation.format("x"), retry_after="10", location="https://a/b")
    mine = reply(None, azure_asyncoperation=operation.format("y"), retry_after="1", etag="W/1")
    found = compare(theirs, mine, Memory(), frozenset(), VNET)
    assert sorted(str(difference) for difference in found) == [
        "header etag: absent → W/1",
        "header location: https://a/b → absent",
    ]
    unrecorded = reply(None, retry_after="1")
    assert compare(reply(None), unrecorded, Memory(), HIDDEN_BY_VCR, VNET) == []
    assert len(compare(reply(None), unrecorded, Memory(), frozenset(), VNET)) == 1


def test_another_status_is_all_there_is_to_say() -> None:
    found = compare(reply(document(), 201), reply({"error": {"code": "No"}}, 400), Memory(), frozenset(), VNET)
    assert [difference.kind for difference in found] == ["status"]
    codes = [reply({"error": {"code": code, "message": "m"}}, 400) for code in ("A", "B")]
    assert [difference.kind for difference in compare(*codes, Memory(), frozenset(), VNET)] == ["code"]


def test_lists_of_a_subscription_are_compared_by_what_the_recording_made() -> None:
    foreign = {"name": "x", "id": f"{SUB}/resourceGroups/other/providers/Microsoft.Network/virtualNetworks/x"}
    assert differences({"value": [foreign, document()]}, {"value": [ours()]}) == []
    assert differences({"value": [document()]}, {"value": []}) == [("absent", "value[]")]


def call(number: int, method: str, path: str, body: Any = None, status: int = 200, **more: Any) -> Call:
    headers = {name.replace("_", "-"): value for name, value in more.pop("headers", {}).items()}
    answer = Reply(status, headers, more.pop("answer", None))
    return Call(number, method, "management.azure.com", path, "api-version=2022-05-01", body, answer)


def test_scope() -> None:
    polled = f"{SUB}/providers/Microsoft.Network/locations/eastus/operations/1"
    told = {"azure_asyncoperation": f"https://management.azure.com{polled}?api-version=2022-05-01"}
    balancer = {"id": f"{GROUP}/providers/Microsoft.Network/loadBalancers/l/frontendIPConfigurations/f"}
    calls = [
        call(1, "PUT", VNET, {}, 201, headers=told),
        call(2, "GET", polled, answer={"status": "InProgress"}),
        call(3, "GET", polled, answer={"status": "Succeeded"}),
        call(4, "GET", f"{VNET}/subnets/s", answer={"properties": {"ipConfigurations": [balancer]}}),
        call(5, "PUT", f"{GROUP}/providers/Microsoft.Network/loadBalancers/l", {}, 201),
        call(6, "POST", f"{VNET}/listSomething"),
        call(7, "PUT", f"{VNET}2", {"properties": {"x": balancer}}, 201),
        call(8, "GET", f"{VNET}2/subnets/s"),
        call(9, "GET", f"{SUB}/providers/Microsoft.Network/locations/westus/usages"),
    ]
    reasons = [one.reason for one in judge(Registry.discover(), calls)]
    assert reasons == [None, "progress", None, "refers", "type", "action", "refers", "unmade", None]


def test_both_formats() -> None:
    uri = f"https://management.azure.com{VNET}?api-version=2022-05-01"
    answer = {"headers": {"ETag": ["a"]}, "status": {"code": 201}, "body": {"string": '{"a": 1}'}}
    asked = {"method": "PUT", "uri": uri, "body": "b'b\\'{\"b\": 2}\\''"}
    (old,) = read("r.yaml", yaml.safe_dump({"interactions": [{"request": asked, "response": answer}]}).encode())
    entry = {
        "RequestUri": uri,
        "RequestMethod": "PUT",
        "RequestBody": {"b": 2},
        "StatusCode": 201,
        "ResponseHeaders": {"ETag": "a"},
        "ResponseBody": {"a": 1},
    }
    (new,) = read("r.json", json.dumps({"Entries": [entry], "Variables": {}}).encode())
    assert old.hidden == HIDDEN_BY_VCR
    for found in (old, new):
        assert (found.method, found.path, found.query, found.body) == ("PUT", VNET, "api-version=2022-05-01", {"b": 2})
        assert found.reply == Reply(201, {"etag": "a"}, {"a": 1})
    entry["ResponseBody"] = ["[\r\n", "1\r\n", "]"]
    (listed,) = read("r.json", json.dumps({"Entries": [entry]}).encode())
    assert listed.reply.body == [1]


def test_names_are_mapped_and_mapped_back() -> None:
    calls = [call(1, "PUT", VNET, {"properties": {"x": f"{GROUP}/providers/A.B/c/d", "rgname": "rgname"}})]
    mapping = Mapping(calls, ["rgname"], "5" * 36, "https://localhost:1")
    (group,) = mapping.groups.values()
    assert mapping.url(calls[0]).startswith(f"/subscriptions/{'5' * 36}/resourceGroups/{group}/")
    assert mapping.body(calls[0])["properties"]["rgname"] == "rgname"
    assert mapping.answer(mapping.body(calls[0])) == calls[0].body


def test_windows_gives_way_to_ubuntu() -> None:
    image = {
        "publisher": "MicrosoftWindowsServer",
        "offer": "WindowsServer",
        "sku": "2016-Datacenter",
        "version": "latest",
    }
    body = {
        "tags": {"azsecpack": "nonprod", "own": "1"},
        "properties": {
            "storageProfile": {"imageReference": image, "osDisk": {"osType": "Windows", "diskSizeGB": 127}},
            "osProfile": {"computerName": "c", "windowsConfiguration": {}},
        },
    }
    asked, shown = with_ubuntu_asked(body), with_ubuntu_shown(body)
    assert asked["properties"]["storageProfile"]["imageReference"]["publisher"] == "Canonical"
    assert asked["properties"]["osProfile"] == shown["properties"]["osProfile"] == {"computerName": "c"}
    assert shown["properties"]["storageProfile"]["osDisk"] == {"osType": "Linux", "diskSizeGB": 30}
    assert shown["tags"] == {"own": "1"}


def test_only_what_was_reviewed_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    recording, path = "sdk-1/test.json", "properties.extra"
    entry = reviewing.Reviewed(
        title="An extra",
        kind="unexpected",
        paths=frozenset({path}),
        recorded=re.compile("absent"),
        ours=re.compile(r'\{"mode": "(One|Two)"\}'),
        calls={recording: (8, 10), "sdk-1/other.json": (8,)},
        reason="",
        evidence="",
    )
    monkeypatch.setattr(reviewing, "reviewed", lambda: (entry,))
    shown = Difference("unexpected", path, "absent", '{"mode": "One"}')
    assert unexplained(recording, [(8, shown), (10, shown)]) == ([], [])
    left, idle = unexplained(recording, [(8, shown)])
    assert (left, idle) == ([], [f"call 10: unexpected {path} (An extra)"])
    for call, difference in (
        (1, shown),
        (8, Difference("unexpected", path, "absent", '{"mode": "Three"}')),
        (8, Difference("value", path, "absent", shown.ours)),
        (8, Difference("unexpected", "properties.more", "absent", shown.ours)),
    ):
        left, _ = unexplained(recording, [(call, difference)])
        assert left == [f"call {call}: {difference}"]


def test_an_archive_that_is_not_whole_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"toy==1 --hash=sha256:{sha256(b'whole').hexdigest()}"
    fetched: list[str] = []

    def download(there: Path, asked: str) -> None:
        fetched.append(asked)
        (there / "toy-1.zip").write_bytes(b"whole")

    monkeypatch.setattr(obtain, "folder", lambda: tmp_path)
    monkeypatch.setattr(obtain, "packages", lambda: {"toy-1": line})
    monkeypatch.setattr(obtain, "_download", download)
    (tmp_path / "toy-1.zip").write_bytes(b"who")
    for _ in range(2):
        assert obtain.archives() == {"toy-1": tmp_path / "toy-1.zip"}
    assert fetched == [line]

"""Bodies: what is JSON, what a type knows, in whatever case it came, and Json.NET's words for the rest."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from azlan.arm.documents import conform, copy_json, leave_out, merge_patch, parse_json, walk
from azlan.base.errors import ArmError
from unit.arm import toys

TEMPLATE = b"""\xef\xbb\xbf{"properties": {"parameters": {}, "mode": "Incremental", template:{
  "$schema": "https://schema.management.azure.com/x#", // a comment, "with": quotes
  /* and one
     of two lines */
  "url": "http://a//b /* kept */", values: [1, 2, ],
  "text": "two
lines, and \\"quotes\\": kept",
}}}"""


def test_deployments_may_be_written_loosely() -> None:
    found = parse_json(TEMPLATE, tolerant=True)
    assert found["properties"]["template"] == {
        "$schema": "https://schema.management.azure.com/x#",
        "url": "http://a//b /* kept */",
        "values": [1, 2],
        "text": 'two\nlines, and "quotes": kept',
    }
    with pytest.raises(ArmError) as caught:
        parse_json(TEMPLATE)
    assert (caught.value.status, caught.value.code) == (400, "InvalidRequestContent")


@pytest.mark.parametrize(
    "raw", [b"{", b'{"a":NaN}', b'{"a":"\\ud800"}', b"\xff", b'{"a":1}}', b"[" * 100_000, b'{"a":' * 100_000, b"'a'"]
)
@pytest.mark.parametrize("tolerant", [True, False])
def test_what_is_no_json_is_refused(raw: bytes, tolerant: bool) -> None:
    with pytest.raises(ArmError) as caught:
        parse_json(raw, tolerant)
    assert caught.value.code == "InvalidRequestContent"
    assert caught.value.message.startswith("The request content was invalid and could not be deserialized: '")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_strict_json_reads_the_same_loosely(value: Any) -> None:
    raw = json.dumps(value).encode()
    assert parse_json(raw) == value
    assert parse_json(raw, tolerant=True) == value


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ArmError):
        parse_json(text.encode(errors="surrogatepass"), tolerant=True)


def test_an_empty_body_is_none() -> None:
    assert parse_json(b" \n") is None


def test_members_come_in_any_case_and_are_kept_in_the_specifications() -> None:
    given = {
        "Location": "East US",
        "TAGS": {"Kept": "As Written"},
        "PROPERTIES": {"SIZE": 3, "Label": None, "ProvisioningState": "Updating", "ReadBack": "ignored", "SERIAL": 1},
        "Id": "x",
        "etag": "y",
        "sku": {"Free": "Form"},
    }
    assert conform(toys.BOX, given, "2024-05-01") == {
        "location": "East US",
        "tags": {"Kept": "As Written"},
        "properties": {"size": 3},
        "sku": {"Free": "Form"},
    }
    assert given["PROPERTIES"]["SIZE"] == 3


def refused(body: dict[str, Any], api_version: str = "2024-05-01", declared: Any = toys.BOX, prefix: str = "") -> str:
    with pytest.raises(ArmError) as caught:
        conform(declared, body, api_version, prefix)
    error = caught.value
    assert (error.status, error.code, error.message) == (400, "InvalidRequestFormat", "Cannot parse the request.")
    assert error.details[0]["code"] == "InvalidJson"
    return str(error.details[0]["message"])


def test_unknown_members_are_refused_with_their_place() -> None:
    body = {"location": "eastus", "properties": {"size": 1, "colour": "red"}}
    position = len('{"location":"eastus","properties":{"size":1,"colour":')
    assert refused(body) == (
        "Could not find member 'colour' on object of type 'BoxProperties'. "
        f"Path 'properties.colour', line 1, position {position}."
    )
    assert "member 'sise' on object of type 'Box'" in refused({"sise": 1})


def test_the_place_of_an_inline_child_is_where_it_came() -> None:
    element = {"name": "s", "properties": {"wide": 1}}
    text = refused(element, declared=toys.SLOT, prefix="properties.slots[3].")
    assert "Path 'properties.slots[3].properties.wide'" in text


def test_a_member_is_unknown_before_its_version() -> None:
    body = {"properties": {"size": 1, "fresh": True}}
    assert conform(toys.BOX, body, "2024-01-01")["properties"]["fresh"] is True
    assert conform(toys.BOX, body, "2024-06-01-preview")["properties"]["fresh"] is True
    assert "Could not find member 'fresh'" in refused(body, "2022-01-01")


def test_values_of_another_type_are_refused() -> None:
    text = refused({"properties": {"size": "wide"}})
    assert text.startswith('Error converting value "wide".')
    assert text.endswith("Path 'properties.size'.")
    assert refused({}) == "Required property 'properties' not found in JSON. Path ''."


def test_tags_are_unknown_to_a_type_without_them() -> None:
    with pytest.raises(ArmError):
        conform(toys.SLOT, {"name": "s", "tags": {}}, "2024-05-01")


def test_walking_follows_lists() -> None:
    document = {"properties": {"Items": [{"id": "a", "Etag": 1}, {"id": "b"}, "odd"], "one": {"id": "c"}}}
    assert list(walk(document, "properties.items[].id")) == [
        ("properties.Items[0].id", "a"),
        ("properties.Items[1].id", "b"),
    ]
    assert list(walk(document, "properties.one.id")) == [("properties.one.id", "c")]
    assert list(walk(document, "properties.one[].id")) == []


class _Element(BaseModel):
    id: str | None = None


class _Inside(BaseModel):
    items: list[_Element] | None = None
    labels: dict[str, Any] | None = None
    free: Any = None


class _Whole(BaseModel):
    properties: _Inside | None = None


def test_read_only_members_are_left_out_wherever_they_lie() -> None:
    paths = ("properties.items[].etag", "properties.labels.secret", "properties.free.list[].etag", "properties.none.at")
    declared = replace(toys.BOX, model=_Whole, read_only=paths, since={})
    free = {"LIST": [{"etag": 1, "b": [1]}, "odd"], "etag": 2}
    body = {
        "properties": {
            "Items": [{"id": "a", "Etag": 1, "eTag": 2}, {"id": "b"}],
            "labels": {"Secret": 1, "other": {"secret": 2}},
            "free": free,
        }
    }
    before = copy_json(body)
    found = conform(declared, body, "2024-05-01")
    assert found == {
        "properties": {
            "items": [{"id": "a"}, {"id": "b"}],
            "labels": {"other": {"secret": 2}},
            "free": {"LIST": [{"b": [1]}, "odd"], "etag": 2},
        }
    }
    found["properties"]["free"]["LIST"][0]["b"].append(2)
    found["properties"]["labels"]["other"]["more"] = 1
    assert body == before


def test_a_read_only_member_of_items_is_unknown_where_there_is_one_item() -> None:
    declared = replace(toys.BOX, model=_Whole, read_only=("properties.free[].etag",), since={})
    assert conform(declared, {"properties": {"free": {"etag": 1}}}, "2024-05-01") == {
        "properties": {"free": {"etag": 1}}
    }


def test_merge_patch_is_rfc_7396_in_any_case() -> None:
    target = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert merge_patch(target, {"A": {"C": [3], "b": None}, "e": {"f": None, "g": 1}}) == {
        "a": {"c": [3]},
        "d": 1,
        "e": {"g": 1},
    }
    assert target == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


@given(JSON)
def test_a_copy_is_equal_and_shares_nothing(value: Any) -> None:
    copied = copy_json(value)
    assert copied == value
    if isinstance(value, (list, dict)):
        assert copied is not value


def test_members_are_left_out_by_their_paths() -> None:
    document = {"a": {"b": 1, "c": 2}, "list": [{"x": 1, "y": 2}, {"y": 3}, 4]}
    for path in ("a.b", "list[].x", "list[].z", "none.at.all", "a.c.d"):
        leave_out(document, path)
    assert document == {"a": {"c": 2}, "list": [{"y": 2}, {"y": 3}, 4]}

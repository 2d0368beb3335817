"""uniqueString and guid against values that Microsoft's own implementations give."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from azlan.template.hashing import murmur_hash_64, template_guid, unique_string


def test_the_vector_of_the_azapi_provider() -> None:
    assert unique_string(["/subscriptions/00000000-0000-0000-0000-000000000000", "resource-id"]) == "cwvxuqg24sifi"


def test_guid_is_a_version_5_uuid_of_azures_namespace() -> None:
    """The value that Terraform's uuidv5 gives for the namespace that Microsoft documents."""
    assert template_guid(["a", "b"]) == str(uuid.uuid5(uuid.UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830"), "a-b"))
    assert uuid.UUID(template_guid(["a"])).version == 5


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_unique_strings_are_thirteen_characters_of_base_32(values: list[str]) -> None:
    text = unique_string(values)
    assert len(text) == 13
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyz234567")
    assert unique_string(["-".join(values)]) == text


@given(st.binary(max_size=40))
def test_the_hash_has_64_bits(data: bytes) -> None:
    assert 0 <= murmur_hash_64(data) < 2**64

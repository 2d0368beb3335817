"""What is sealed shows nothing, and opens with its key in its place alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azlan.base.sealing import KEY_SIZE, Safe

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON)
def test_a_document_comes_back(document: object) -> None:
    assert Safe(bytes(KEY_SIZE)).open(Safe(bytes(KEY_SIZE)).seal(document, "/a"), "/a") == document


def test_nothing_is_shown_and_nothing_repeats() -> None:
    safe = Safe()
    one, other = (safe.seal({"password": "unmistakable"}, "/a") for _ in range(2))
    assert "unmistakable" not in one + other
    assert one != other


@pytest.mark.parametrize("change", ["key", "place", "text", "short"])
def test_another_key_place_or_text_does_not_open(change: str) -> None:
    safe = Safe()
    sealed = safe.seal("x", "/a")
    safes = {"key": Safe()}
    texts = {"text": sealed[:-1] + ("A" if sealed[-1] != "A" else "B"), "short": "sealed-1."}
    with pytest.raises(LookupError):
        safes.get(change, safe).open(texts.get(change, sealed), "/b" if change == "place" else "/a")

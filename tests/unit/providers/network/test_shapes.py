from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import ValidationError

from azlan.providers.network.shapes import API_VERSIONS, Item, Ref, Shape, fold, ref_key, settled


class Inner(Shape):
    dropped: ClassVar[frozenset[str]] = frozenset({"shown"})
    way: Annotated[Literal["In", "Out"], fold("In", "Out")] | None = None
    target: Ref | None = None
    shown: str | None = None


class Outer(Item):
    first: str | None = None
    properties: Inner | None = None


def test_settled_keeps_what_was_sent_in_the_order_of_the_specification() -> None:
    given = {
        "properties": {"target": {"id": "/x", "name": "expanded"}, "way": "OUT", "shown": "no"},
        "first": None,
        "etag": "W/",
        "name": "n",
    }
    assert settled(Outer.model_validate(given)) == {"name": "n", "properties": {"way": "Out", "target": {"id": "/x"}}}


def test_a_reference_without_an_id_is_none() -> None:
    assert settled(Inner.model_validate({"target": {"id": None}})) == {}
    assert ref_key({"id": None}) is None
    assert ref_key(None) is None
    assert ref_key({"id": "/Sub//Scriptions/X/"}) == "/sub/scriptions/x"


def test_unknown_members_and_values_are_refused() -> None:
    for wrong in ({"wya": "In"}, {"way": "Sideways"}):
        with pytest.raises(ValidationError):
            Inner.model_validate(wrong)


def test_versions_are_newest_first() -> None:
    assert list(API_VERSIONS) == sorted(set(API_VERSIONS), reverse=True)
    assert {"2025-07-01", "2024-07-01", "2023-11-01", "2022-01-01", "2015-06-15"} <= set(API_VERSIONS)

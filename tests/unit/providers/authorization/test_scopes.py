"""Scopes: what lists are asked for, what covers what, and the filters on them."""

from __future__ import annotations

import pytest

from azlan.base.errors import ArmError
from azlan.providers.authorization.scopes import covers, scope_of, scope_of_key, terms


def test_the_scope_of_a_path() -> None:
    assert scope_of({}) == ""
    assert scope_of({"subscription": "S"}) == "/subscriptions/s"
    assert scope_of({"subscription": "S", "group": "G"}) == "/subscriptions/s/resourcegroups/g"
    resource = {"subscription": "s", "group": "g", "namespace": "N", "type": "t", "resource": "r"}
    assert scope_of(resource) == "/subscriptions/s/resourcegroups/g/providers/n/t/r"
    assert scope_of({**resource, "childtype": "c", "child": "x"}).endswith("/t/r/c/x")


def test_the_scope_of_a_key() -> None:
    key = "/subscriptions/s/providers/microsoft.authorization/roleassignments/x"
    assert scope_of_key(key, "Microsoft.Authorization/roleAssignments") == "/subscriptions/s"


@pytest.mark.parametrize(
    ("scope", "other", "expected"),
    [("", "/a", True), ("/a", "/a", True), ("/a", "/a/b", True), ("/a", "/ab", False), ("/a/b", "/a", False)],
)
def test_covers(scope: str, other: str, expected: bool) -> None:
    assert covers(scope, other) is expected


def test_filters() -> None:
    known = ("rolename", "type", "atscope", "assignedto", "principalid")
    assert terms("", known) == {}
    assert terms("roleName eq 'It''s' and type eq 'CustomRole'", known) == {"rolename": "It's", "type": "CustomRole"}
    assert terms("atScope() and assignedTo('x')", known) == {"atscope": "", "assignedto": "x"}
    for text in ("color eq 'red'", "principalId ne 'x'", "((", "anything()"):
        with pytest.raises(ArmError, match="not supported"):
            terms(text, known)

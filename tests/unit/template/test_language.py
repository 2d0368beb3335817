"""The grammar of template expressions, lazy forms, and reducing to what can be stored."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azlan.template.functions import FUNCTIONS
from azlan.template.language import Call, Literal, TemplateError, defers, evaluate, parse, protect, reduce, resolve

DEFERRED = frozenset({"reference"})


def value(text: str, **more: Any) -> Any:
    return evaluate(parse(text), {**FUNCTIONS, **more})


def keep(call: Call) -> Call:
    return call


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("['it''s']", "it's"),
        ("[-3]", -3),
        ("[concat('a', 'b')]", "ab"),
        ("[ concat( 'a' ,'b' ) ]", "ab"),
        ("[createObject('a', createArray(1, 2)).a[1]]", 2),
        ("[createObject('Name', 'x').name]", "x"),
        ("[createObject('a', 1)['a']]", 1),
        ("[if(true(), 'yes', div(1, 0))]", "yes"),
        ("[and(false(), equals(div(1, 0), 1))]", False),
        ("[or(true(), equals(div(1, 0), 1))]", True),
        ("[CONCAT('case', 'less')]", "caseless"),
        ("[map(range(0, 3), lambda('x', mul(lambdaVariables('x'), 2)))]", [0, 2, 4]),
        ("[reduce(createArray(1, 2, 3), 0, lambda('a', 'b', add(lambdaVariables('a'), lambdaVariables('b'))))]", 6),
        ("[filter(range(0, 5), lambda('i', equals(mod(lambdaVariables('i'), 2), 0)))]", [0, 2, 4]),
        (
            "[map(createArray('a'), lambda('o', map(createArray('b'), lambda('i', "
            "concat(lambdaVariables('o'), lambdaVariables('i'))))))]",
            [["ab"]],
        ),
    ],
)
def test_evaluates(text: str, expected: Any) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[concat('a']", "expected token 'RightParenthesis' and actual 'EndOfData'"),
        ("[concat('a') 'b']", "expected token 'EndOfData' and actual 'Literal'"),
        ("[concat]", "expected token 'LeftParenthesis' and actual 'EndOfData'"),
        ("[concat(%)]", "is not expected"),
        ("[noSuch()]", "The template function 'noSuch' is not valid."),
        (
            "[createObject('a', 1).b]",
            "The language expression property 'b' doesn't exist, available properties are 'a'.",
        ),
        ("[createArray(1)[4]]", "array index '4' is out of bounds"),
        ("[if('x', 1, 2)]", "Boolean expected"),
        ("[if(true(), 1)]", "requires 3 argument(s) while 2 were provided"),
        ("[toLower()]", "'toLower'"),
    ],
)
def test_says_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(words)):
        value(text)


def test_resolves_a_document_and_leaves_escaped_text() -> None:
    document = {"[concat('k', 'ey')]": ["[add(1, 2)]", "plain"], "literal": "[[not this]", "open": "[half", "n": None}
    assert resolve(document, FUNCTIONS) == {"key": [3, "plain"], "literal": "[not this]", "open": "[half", "n": None}


def test_reducing_keeps_only_deferred_calls() -> None:
    text = "[concat(parameters('p'), reference('x').a, if(equals(1, 1), 'y', reference('z').b))]"
    functions = {**FUNCTIONS, "parameters": lambda _: "it's"}
    left = reduce(text, functions, DEFERRED, keep)
    assert left == "[concat('it''s', reference('x').a, 'y')]"
    assert not defers(reduce("[parameters('p')]", functions, DEFERRED, keep), DEFERRED)
    assert evaluate(parse(left), {**FUNCTIONS, "reference": lambda _: {"a": "-"}}) == "it's-y"


def test_reducing_rewrites_deferred_calls() -> None:
    left = reduce("[reference('n').a[0]]", FUNCTIONS, DEFERRED, lambda call: Call(call.name, (Literal("/full"),)))
    assert left == "[reference('/full').a[0]]"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(st.sampled_from("[]'ab ("), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=8,
)


@given(_JSON)
def test_what_is_protected_resolves_to_itself(document: Any) -> None:
    assert resolve(protect(document), FUNCTIONS) == document


@given(_JSON)
def test_constants_survive_reducing(document: Any) -> None:
    """A value that goes into an expression with a deferred call comes out of it again."""
    functions = {**FUNCTIONS, "value": lambda: document}
    left = reduce("[createArray(value(), reference('x'))]", functions, DEFERRED, keep)
    assert resolve(left, {**FUNCTIONS, "reference": lambda _: 0}) == [document, 0]

"""Every template function, with the examples of Microsoft's reference where it has them."""

from __future__ import annotations

from typing import Any

import pytest

from azlan.template.functions import FUNCTIONS
from azlan.template.language import TemplateError

CASES: list[tuple[str, tuple[Any, ...], Any]] = [
    ("base64", ("one, two, three",), "b25lLCB0d28sIHRocmVl"),
    ("base64tostring", ("b25lLCB0d28sIHRocmVl",), "one, two, three"),
    ("base64tojson", ("eyJvbmUiOiAiYSJ9",), {"one": "a"}),
    ("concat", ("p", "-", 5), "p-5"),
    ("concat", ([1], [2, 3]), [1, 2, 3]),
    ("contains", ("OneTwoThree", "Two"), True),
    ("contains", ("OneTwoThree", "two"), False),
    ("contains", ({"One": 1}, "one"), True),
    ("contains", ([1, 2], 3), False),
    ("datauri", ("Hello",), "data:text/plain;charset=utf8;base64,SGVsbG8="),
    ("datauritostring", ("data:;base64,SGVsbG8sIFdvcmxkIQ==",), "Hello, World!"),
    ("endswith", ("abcdef", "EF"), True),
    (
        "format",
        ("{0}, {1}. Formatted number: {2:N0}", "Hello", "User", 8175133),
        "Hello, User. Formatted number: 8,175,133",
    ),
    ("format", ("{{{0:D4}}}|{1,4}|{1,-3}|{2:X}|{3:000}", 7, "a", 255, 5), "{0007}|   a|a  |FF|005"),
    ("format", ("{0} {1}", True, None), "True "),
    ("indexof", ("abcdef", "CD"), 2),
    ("lastindexof", ("abcdeAB", "ab"), 5),
    ("indexof", ([1, 2, 1], 1), 0),
    ("lastindexof", ([1, 2, 1], 1), 2),
    ("join", (["a", 1, True], ", "), "a, 1, True"),
    ("json", ('{"a": [1, null]}',), {"a": [1, None]}),
    ("padleft", (7, 4, "0"), "0007"),
    ("replace", ("123-123-1234", "-", ""), "1231231234"),
    ("split", ("one;two,three", [",", ";"]), ["one", "two", "three"]),
    ("split", ("a.b", "."), ["a", "b"]),
    ("startswith", ("abcdef", "AB"), True),
    ("string", ({"a": [1, True]},), '{"a":[1,true]}'),
    ("string", (True,), "True"),
    ("substring", ("one two three", 4, 3), "two"),
    ("substring", ("one two", 4), "two"),
    ("tolower", ("ONE",), "one"),
    ("toupper", ("one",), "ONE"),
    ("trim", ("  a b ",), "a b"),
    ("uri", ("http://contoso.org/firstpath/", "myscript.sh"), "http://contoso.org/firstpath/myscript.sh"),
    ("uri", ("http://contoso.org/firstpath", "myscript.sh"), "http://contoso.org/myscript.sh"),
    ("uricomponent", ("http://a.b/c d",), "http%3A%2F%2Fa.b%2Fc%20d"),
    ("uricomponenttostring", ("a%2Fb",), "a/b"),
    ("array", ("a",), ["a"]),
    ("array", (["a"],), ["a"]),
    ("createarray", (1, "b"), [1, "b"]),
    ("createobject", ("a", 1, "b", [2]), {"a": 1, "b": [2]}),
    ("empty", ("",), True),
    ("empty", ({},), True),
    ("empty", ([0],), False),
    ("first", (["one", "two"],), "one"),
    ("first", ("",), ""),
    ("last", ("One Two",), "o"),
    ("flatten", ([[1], [2, 3], 4],), [1, 2, 3, 4]),
    ("intersection", ([1, 2, 3], [3, 2]), [2, 3]),
    ("intersection", ({"a": 1, "b": 2}, {"b": 2, "a": 3}), {"b": 2}),
    ("items", ({"b": 2, "a": 1},), [{"key": "a", "value": 1}, {"key": "b", "value": 2}]),
    ("length", ("One",), 3),
    ("max", ([0, 3, 2],), 3),
    ("min", (0, 3, 2), 0),
    ("null", (), None),
    ("objectkeys", ({"b": 1, "a": 1},), ["a", "b"]),
    ("range", (5, 3), [5, 6, 7]),
    ("shallowmerge", ([{"a": {"x": 1}}, {"a": {"y": 2}}],), {"a": {"y": 2}}),
    ("skip", (["a", "b", "c"], 2), ["c"]),
    ("skip", ("abc", -1), "abc"),
    ("take", ("abc", 2), "ab"),
    ("tryget", ({"A": [{"b": 1}]}, "a", 0, "b"), 1),
    ("tryget", ({"a": 1}, "x", "y"), None),
    ("union", ([1, 2], [2, 3]), [1, 2, 3]),
    ("union", ({"a": {"x": 1}}, {"a": {"y": 2}, "b": 3}), {"a": {"x": 1, "y": 2}, "b": 3}),
    ("add", (5, 3), 8),
    ("sub", (7, 3), 4),
    ("mul", (5, 3), 15),
    ("div", (-7, 2), -3),
    ("mod", (-7, 3), -1),
    ("int", ("42",), 42),
    ("float", ("3.5",), 3.5),
    ("bool", ("True",), True),
    ("bool", (0,), False),
    ("coalesce", (None, None, "x"), "x"),
    ("equals", (1, True), False),
    ("equals", ({"a": 1}, {"a": 1}), True),
    ("equals", ("A", "a"), False),
    ("greater", (2, 1), True),
    ("greaterorequals", ("b", "b"), True),
    ("less", (2, 1), False),
    ("lessorequals", (1, 1), True),
    ("not", (True,), False),
    ("cidrsubnet", ("10.144.0.0/20", 24, 0), "10.144.0.0/24"),
    ("cidrsubnet", ("10.0.0.0/16", 24, 255), "10.0.255.0/24"),
    ("cidrhost", ("10.144.3.0/24", 0), "10.144.3.1"),
    ("datetimeadd", ("2020-04-07 14:53:14Z", "P1DT2H"), "2020-04-08 16:53:14Z"),
    ("datetimefromepoch", (1683040573,), "2023-05-02T15:16:13Z"),
    ("datetimetoepoch", ("2023-05-02T15:16:13Z",), 1683040573),
    ("toobject", ([{"n": 1}], lambda item: f"k{item['n']}"), {"k1": {"n": 1}}),
    ("sort", ([3, 1, 2], lambda a, b: a < b), [1, 2, 3]),
    ("mapvalues", ({"a": 1}, lambda value: value + 1), {"a": 2}),
    ("true", (), True),
    ("false", (), False),
]


@pytest.mark.parametrize(("name", "args", "expected"), CASES)
def test_function(name: str, args: tuple[Any, ...], expected: Any) -> None:
    result = FUNCTIONS[name](*args)
    assert result == expected
    assert type(result) is type(expected)


def test_parse_cidr_tells_what_a_prefix_holds() -> None:
    assert FUNCTIONS["parsecidr"]("10.144.0.0/20") == {
        "network": "10.144.0.0",
        "netmask": "255.255.240.0",
        "broadcast": "10.144.15.255",
        "firstUsable": "10.144.0.1",
        "lastUsable": "10.144.15.254",
        "cidr": 20,
    }


WRONG: list[tuple[str, tuple[Any, ...]]] = [
    ("add", ("1", 2)),
    ("base64tostring", ("%",)),
    ("bool", ("maybe",)),
    ("cidrhost", ("10.0.0.0/30", 9)),
    ("cidrsubnet", ("10.0.0.0/16", 24, 256)),
    ("cidrsubnet", ("10.0.0.0/16", 8, 0)),
    ("cidrsubnet", ("x", 8, 0)),
    ("concat", ({}, "a")),
    ("contains", (1, 1)),
    ("createobject", ("a",)),
    ("datetimeadd", ("2020-01-01", "tomorrow")),
    ("datetimetoepoch", ("soon",)),
    ("div", (1, 0)),
    ("empty", (1,)),
    ("first", (1,)),
    ("format", ("{1}", "a")),
    ("greater", (1, "a")),
    ("guid", ()),
    ("int", ("x",)),
    ("intersection", ([1], {})),
    ("join", ("a", ",")),
    ("json", ("{",)),
    ("length", (1,)),
    ("not", (1,)),
    ("range", (0, 10_001)),
    ("substring", ("abc", 2, 5)),
    ("tolower", (1,)),
    ("uniquestring", (1,)),
]


@pytest.mark.parametrize(("name", "args"), WRONG)
def test_function_refuses(name: str, args: tuple[Any, ...]) -> None:
    with pytest.raises(TemplateError, match="Unable to evaluate template language function"):
        FUNCTIONS[name](*args)


def test_every_function_is_exercised() -> None:
    tried = {name for name, _, _ in CASES} | {name for name, _ in WRONG}
    elsewhere = {"filter", "map", "reduce", "parsecidr"}
    assert set(FUNCTIONS) - tried - elsewhere == set()

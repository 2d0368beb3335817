"""Nothing grows too long to be read, nothing is left undone, no test looks away."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES = 600
MOST_OF_A_FUNCTION = 80
OWN = Path(__file__)


def files(*folders: str, suffix: str = ".py") -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob(f"*{suffix}"))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_files_have_their_size() -> None:
    found = files("src", "tests", "bench") + files("src", suffix=".c") + files("src", suffix=".h")
    assert len(found) > 300
    long = {
        str(path.relative_to(ROOT)): count
        for path in found
        if (count := len(path.read_text().splitlines())) > MOST_LINES
    }
    assert long == {}


def test_functions_have_their_size() -> None:
    long = {}
    for path in files("src", "tests", "bench"):
        for function in functions(ast.parse(path.read_text())):
            length = (function.end_lineno or 0) - function.lineno + 1
            if length > MOST_OF_A_FUNCTION:
                long[f"{path.relative_to(ROOT)}:{function.name}"] = length
    assert long == {}


def test_every_module_says_what_it_promises() -> None:
    """But for those that have nothing in them."""
    silent = [
        str(path.relative_to(ROOT))
        for path in files("src", "bench")
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


@pytest.mark.parametrize("folder", ["src", "tests"])
def test_nothing_is_left_for_later(folder: str) -> None:
    words = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XXX|HACK)\b")
    assert [
        str(path.relative_to(ROOT)) for path in files(folder) if path != OWN and words.search(path.read_text())
    ] == []


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    """What needs root, az or a browser says so by a mark, and fails where that is missing."""
    looking_away = {"skip", "skipif", "xfail", "importorskip", "skipTest", "expectedFailure"}
    found = []
    for path in files("tests"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            if name in looking_away:
                found.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)} {name}")
    assert found == []


def test_every_test_can_fail() -> None:
    """A test asserts, or hands over to what does: it calls something."""
    empty = []
    for path in files("tests"):
        if not path.name.startswith("test_"):
            continue
        for function in functions(ast.parse(path.read_text())):
            if function.name.startswith("test_") and not any(
                isinstance(node, ast.Assert | ast.Call | ast.With | ast.AsyncWith) for node in ast.walk(function)
            ):
                empty.append(f"{path.relative_to(ROOT)}:{function.name}")
    assert empty == []

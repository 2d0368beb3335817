"""The expressions of ARM templates: `[concat('a', parameters('b').c[0])]` parsed once, evaluated against named functions.

Pure: knows the grammar and lazy forms (`if`, `and`, `or`, lambdas), not what any other function does. Follows
learn.microsoft.com "Syntax and expressions in ARM templates".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Json = Any
Functions = Mapping[str, Callable[..., Any]]
"""Function name in lower case → what it does with its evaluated arguments."""


class TemplateError(ValueError):
    """What is wrong with a template or an expression, in Azure's words and without the code around them."""


@dataclass(frozen=True, slots=True)
class Literal:
    value: str | int


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    """As written; a user-defined function has its namespace before a dot."""
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Property:
    target: Node
    name: str


@dataclass(frozen=True, slots=True)
class Index:
    target: Node
    index: Node


Node = Literal | Call | Property | Index

LONGEST = 4 * 1024 * 1024
"""Characters or items of one value: ARM's limit of a template in its final state."""

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<int>-?\d+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>[\[\](),.]))"
)
_SIGNS = {
    "[": "LeftSquareBracket",
    "]": "RightSquareBracket",
    "(": "LeftParenthesis",
    ")": "RightParenthesis",
    ",": "Comma",
    ".": "Dot",
}
_KINDS = {"string": "Literal", "int": "Integer", "name": "Identifier"}


def is_expression(text: str) -> bool:
    """Whether a JSON string is an expression: in brackets, and not escaped by a second opening one."""
    return text.startswith("[") and text.endswith("]") and not text.startswith("[[")


@lru_cache(maxsize=4096)
def parse(text: str) -> Node:
    """Parse the text of an expression, with its brackets. Raises TemplateError."""
    return _Parser(text[1:-1]).whole()


class _Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = self._tokenize(source)
        self.at = 0

    def _tokenize(self, source: str) -> list[tuple[str, str]]:
        tokens: list[tuple[str, str]] = []
        at = 0
        while source[at:].strip():
            match = _TOKEN.match(source, at)
            if match is None:
                raise TemplateError(
                    f"The language expression '{source}' is not valid: the string character "
                    f"'{source[at:].lstrip()[0]}' at position '{len(source) - len(source[at:].lstrip())}' is not expected."
                )
            kind = match.lastgroup or ""
            text = match.group(kind)
            tokens.append((_SIGNS[text] if kind == "sign" else _KINDS[kind], text))
            at = match.end()
        return tokens

    def _peek(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else "EndOfData"

    def _take(self, kind: str) -> str:
        if self._peek() != kind:
            raise TemplateError(
                f"Unable to parse language expression '{self.source}': expected token '{kind}' and actual '{self._peek()}'."
            )
        self.at += 1
        return self.tokens[self.at - 1][1]

    def whole(self) -> Node:
        node = self._expression()
        self._take_end()
        return node

    def _take_end(self) -> None:
        if self._peek() != "EndOfData":
            raise TemplateError(
                f"Unable to parse language expression '{self.source}': expected token 'EndOfData' and actual '{self._peek()}'."
            )

    def _expression(self) -> Node:
        node = self._primary()
        while self._peek() in ("Dot", "LeftSquareBracket"):
            if self._peek() == "Dot":
                self._take("Dot")
                node = Property(node, self._take("Identifier"))
            else:
                self._take("LeftSquareBracket")
                node = Index(node, self._expression())
                self._take("RightSquareBracket")
        return node

    def _primary(self) -> Node:
        kind = self._peek()
        if kind == "Literal":
            return Literal(self._take(kind)[1:-1].replace("''", "'"))
        if kind == "Integer":
            return Literal(int(self._take(kind)))
        name = self._take("Identifier")
        while self._peek() == "Dot":
            self._take("Dot")
            name += "." + self._take("Identifier")
        self._take("LeftParenthesis")
        args: list[Node] = []
        if self._peek() != "RightParenthesis":
            args.append(self._expression())
            while self._peek() == "Comma":
                self._take("Comma")
                args.append(self._expression())
        self._take("RightParenthesis")
        return Call(name, tuple(args))


@dataclass(frozen=True, slots=True)
class Lambda:
    """A `lambda('x', body)` on its way to `map` and its like: called with the values of its variables."""

    names: tuple[str, ...]
    body: Node
    functions: Functions

    def __call__(self, *values: Any) -> Any:
        bound = dict(zip((name.lower() for name in self.names), values, strict=False))
        outer = self.functions.get("lambdavariables")

        def variables(name: str) -> Any:
            if name.lower() in bound:
                return bound[name.lower()]
            if outer is None:
                raise TemplateError(f"The lambda variable '{name}' is not found.")
            return outer(name)

        return evaluate(self.body, {**self.functions, "lambdavariables": variables})


def evaluate(node: Node, functions: Functions) -> Any:
    """The value of a parsed expression. Raises TemplateError."""
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Property):
        return property_of(evaluate(node.target, functions), node.name)
    if isinstance(node, Index):
        return _indexed(evaluate(node.target, functions), evaluate(node.index, functions))
    return _call(node, functions)


def _call(node: Call, functions: Functions) -> Any:
    name = node.name.lower()
    if name == "if":
        _expect_count(node, 3)
        return evaluate(node.args[1 if _truth(node, evaluate(node.args[0], functions)) else 2], functions)
    if name == "and":
        return all(_truth(node, evaluate(arg, functions)) for arg in node.args)
    if name == "or":
        return any(_truth(node, evaluate(arg, functions)) for arg in node.args)
    if name == "lambda":
        if not node.args:
            _expect_count(node, 1)
        *names, body = node.args
        return Lambda(tuple(str(evaluate(n, functions)) for n in names), body, functions)
    function = functions.get(name)
    if function is None:
        raise TemplateError(
            f"The template function '{node.name}' is not valid. Please see https://aka.ms/arm-functions for usage details."
        )
    args = [evaluate(arg, functions) for arg in node.args]
    try:
        value = function(*args)
    except TemplateError:
        raise
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
        raise TemplateError(
            f"Unable to evaluate template language function '{node.name}'. The arguments are not those that the function "
            f"takes. Please see https://aka.ms/arm-functions for usage details."
        ) from error
    if isinstance(value, (str, list, dict)) and len(value) > LONGEST:
        raise too_long(node.name)
    return value


def too_long(name: str) -> TemplateError:
    """The error of a function whose value would be larger than a template may become."""
    return TemplateError(f"Unable to evaluate template language function '{name}': its value is longer than {LONGEST}.")


def _expect_count(node: Call, count: int) -> None:
    if len(node.args) != count:
        raise TemplateError(
            f"Unable to evaluate template language function '{node.name}': function requires {count} argument(s) "
            f"while {len(node.args)} were provided. Please see https://aka.ms/arm-functions for usage details."
        )


def _truth(node: Call, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TemplateError(
            f"Unable to evaluate template language function '{node.name}': the type of its condition is not valid. "
            f"Boolean expected. Please see https://aka.ms/arm-functions for usage details."
        )
    return value


def property_of(target: Any, name: str) -> Any:
    """A member of an object; where no member has the exact case, the one that differs in case alone."""
    if isinstance(target, Mapping):
        if name in target:
            return target[name]
        for key, value in target.items():
            if key.lower() == name.lower():
                return value
        available = ", ".join(target)
        raise TemplateError(
            f"The language expression property '{name}' doesn't exist, available properties are '{available}'."
        )
    raise TemplateError(
        f"The language expression property '{name}' can't be evaluated: the value it is asked of is no object."
    )


def _indexed(target: Any, index: Any) -> Any:
    if isinstance(index, str):
        return property_of(target, index)
    if isinstance(target, list) and isinstance(index, int) and not isinstance(index, bool):
        if 0 <= index < len(target):
            return target[index]
        raise TemplateError(
            f"The language expression property array index '{index}' is out of bounds. The size of the array is '{len(target)}'."
        )
    raise TemplateError(f"The language expression property '{index}' can't be evaluated.")


def resolve(value: Json, functions: Functions) -> Json:
    """A JSON value with every expression in it evaluated. `copy` members of objects are not looked at here."""
    if isinstance(value, str):
        if is_expression(value):
            return evaluate(parse(value), functions)
        return value[1:] if value.startswith("[[") and value.endswith("]") else value
    if isinstance(value, list):
        return [resolve(item, functions) for item in value]
    if isinstance(value, dict):
        return {resolved_name(name, functions): resolve(item, functions) for name, item in value.items()}
    return value


def resolved_name(name: str, functions: Functions) -> str:
    return str(evaluate(parse(name), functions)) if is_expression(name) else name


def calls(value: Json) -> Iterator[Call]:
    """Every function call in the expressions of a JSON value."""
    if isinstance(value, str):
        if is_expression(value):
            yield from _calls_of(parse(value))
    elif isinstance(value, list):
        for item in value:
            yield from calls(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from calls(name)
            yield from calls(item)


def _calls_of(node: Node) -> Iterator[Call]:
    if isinstance(node, Call):
        yield node
        yield from _each(node.args)
    elif isinstance(node, Property):
        yield from _calls_of(node.target)
    elif isinstance(node, Index):
        yield from _each((node.target, node.index))


def _each(nodes: Sequence[Node]) -> Iterator[Call]:
    for node in nodes:
        yield from _calls_of(node)


def defers(value: Json, deferred: frozenset[str]) -> bool:
    """Whether any expression in a JSON value calls one of the deferred functions (names in lower case)."""
    return any(call.name.lower() in deferred for call in calls(value))


Rewrite = Callable[[Call], Call]
"""What becomes of a deferred call whose arguments have been reduced."""


def reduce(value: Json, functions: Functions, deferred: frozenset[str], rewrite: Rewrite) -> Json:
    """A JSON value with every expression evaluated, but for deferred calls: what remains around one stays as an
    expression that names no parameter, variable or copy loop any more, to be resolved later."""
    if isinstance(value, str):
        if not is_expression(value):
            return value
        node = parse(value)
        if not defers(value, deferred):
            return protect(evaluate(node, functions))
        return f"[{_unparse(_reduced(node, functions, deferred, rewrite))}]"
    if isinstance(value, list):
        return [reduce(item, functions, deferred, rewrite) for item in value]
    if isinstance(value, dict):
        return {
            resolved_name(name, functions): reduce(item, functions, deferred, rewrite) for name, item in value.items()
        }
    return value


def protect(value: Json) -> Json:
    """Text that looks like an expression, kept from being resolved a second time."""
    if isinstance(value, str):
        return f"[{value}" if value.startswith("[") and value.endswith("]") else value
    if isinstance(value, list):
        return [protect(item) for item in value]
    if isinstance(value, dict):
        return {name: protect(item) for name, item in value.items()}
    return value


def _reduced(node: Node, functions: Functions, deferred: frozenset[str], rewrite: Rewrite) -> Node:
    if not any(call.name.lower() in deferred or call.name.lower() == "lambdavariables" for call in _calls_of(node)):
        return _constant(evaluate(node, functions))
    if isinstance(node, Property):
        return Property(_reduced(node.target, functions, deferred, rewrite), node.name)
    if isinstance(node, Index):
        target = _reduced(node.target, functions, deferred, rewrite)
        return Index(target, _reduced(node.index, functions, deferred, rewrite))
    if isinstance(node, Literal):
        return node
    if node.name.lower() == "if" and len(node.args) == 3:
        condition = _reduced(node.args[0], functions, deferred, rewrite)
        if condition in (_TRUE, _FALSE):
            return _reduced(node.args[1 if condition == _TRUE else 2], functions, deferred, rewrite)
    call = Call(node.name, tuple(_reduced(arg, functions, deferred, rewrite) for arg in node.args))
    return rewrite(call) if call.name.lower() in deferred else call


_TRUE = Call("true", ())
_FALSE = Call("false", ())


def _constant(value: Any) -> Node:
    """An expression whose value is that JSON value."""
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if isinstance(value, (str, int)):
        return Literal(value)
    if value is None:
        return Call("null", ())
    return Call("json", (Literal(json.dumps(value)),))


def _unparse(node: Node) -> str:
    if isinstance(node, Literal):
        return "'" + node.value.replace("'", "''") + "'" if isinstance(node.value, str) else str(node.value)
    if isinstance(node, Property):
        return f"{_unparse(node.target)}.{node.name}"
    if isinstance(node, Index):
        return f"{_unparse(node.target)}[{_unparse(node.index)}]"
    return f"{node.name}({', '.join(_unparse(arg) for arg in node.args)})"

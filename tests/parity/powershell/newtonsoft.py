"""Newtonsoft.Json in the place of its model, by hand: the tab's real answers, and random spoilings of them, read by both.

    python -m parity.powershell.newtonsoft LIBRARIES DOTNET [COUNT]        as of clientruntime.py

Classes are made from models.yaml as the SDKs' are written: a name in JSON for each member, those below `properties` through
TransformationJsonConverter. Nothing of it is a test of `make test`.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from parity.powershell import player
from parity.powershell.clientruntime import Pipeline
from parity.powershell.models import SerializationException, _Member, read, tables

SPOILED = [
    *(None, "text", "", "5", "true", "TRUE", " true ", "Linux", "linux", "1", "2024-01-01T00:00:00Z"),
    *(5, 5.0, 5.5, -1, 0, True, False, [], {}, [1], {"a": 1}, ["x"], [None], [{}], [[]]),
]
"""What takes the place of a value."""


class Classes:
    """The models' classes, which .NET makes while it runs."""

    def __init__(self) -> None:
        from System import Array, Type
        from System.Reflection import AssemblyName, TypeAttributes
        from System.Reflection.Emit import AssemblyBuilder, AssemblyBuilderAccess

        assembly = AssemblyBuilder.DefineDynamicAssembly(AssemblyName("models"), AssemblyBuilderAccess.Run)
        self._module = assembly.DefineDynamicModule("models")
        self._public = TypeAttributes.Public
        self._generic = lambda name, *of: Type.GetType(f"System.{name}").MakeGenericType(Array[Type](list(of)))
        self._named = {name: self._module.DefineType(name, self._public) for name in ("object", *tables())}
        self._inner: list[Any] = []
        for name, table in tables().items():
            self._members(self._named[name], table)
        made = [builder.CreateTypeInfo().AsType() for builder in (*self._inner, *self._named.values())]
        self.by_name = dict(zip(self._named, made[len(self._inner) :], strict=True))

    def _members(self, builder: Any, table: dict[str, Any]) -> None:
        from Microsoft.Rest.Serialization import JsonTransformationAttribute
        from Newtonsoft.Json import JsonPropertyAttribute
        from System.Reflection import FieldAttributes

        flat = {name: _Member(given) for name, given in table.items()}
        below = flat.get("properties")
        if below is not None and below.members is not None:
            del flat["properties"]
            flat |= {f"properties.{name}": _Member(given) for name, given in below.members.items()}
            builder.SetCustomAttribute(_attribute(JsonTransformationAttribute))
        for name, member in flat.items():
            field = builder.DefineField(name.replace(".", "_"), self._type(member), FieldAttributes.Public)
            field.SetCustomAttribute(_attribute(JsonPropertyAttribute, name))

    def _type(self, member: _Member) -> Any:
        import clr
        import System

        if member.members is not None:
            builder = self._module.DefineType(f"Inner{len(self._inner)}", self._public)
            self._inner.append(builder)
            self._members(builder, member.members)
            return builder
        kind, string = member.type, clr.GetClrType(System.String)
        if kind.startswith("["):
            return self._generic("Collections.Generic.IList`1", self._type(_Member(kind[1:-1])))
        if kind in self._named or kind == "string":
            return self._named.get(kind, string)
        if kind == "map":
            return self._generic("Collections.Generic.IDictionary`2", string, string)
        values = {"int": System.Int32, "long": System.Int64, "bool": System.Boolean, "date": System.DateTime}
        value = clr.GetClrType(values[kind]) if kind in values else self._enumeration(kind)
        return self._generic("Nullable`1", value)

    def _enumeration(self, kind: str) -> Any:
        import clr
        import System
        from Newtonsoft.Json import JsonConverterAttribute
        from Newtonsoft.Json.Converters import StringEnumConverter

        self._enumerations = getattr(self, "_enumerations", 0) + 1
        made = self._module.DefineEnum(f"Enum{self._enumerations}", self._public, clr.GetClrType(System.Int32))
        for number, word in enumerate(kind.removeprefix("enum(").removesuffix(")").split(",")):
            made.DefineLiteral(word, System.Int32(number))
        made.SetCustomAttribute(_attribute(JsonConverterAttribute, clr.GetClrType(StringEnumConverter)))
        return made.CreateTypeInfo().AsType()


def _attribute(kind: Any, *arguments: Any) -> Any:
    import clr
    from System import Array, Object, String, Type
    from System.Reflection.Emit import CustomAttributeBuilder

    types = [clr.GetClrType(String if isinstance(argument, str) else Type) for argument in arguments]
    constructor = clr.GetClrType(kind).GetConstructor(Array[Type](types))
    return CustomAttributeBuilder(constructor, Array[Object](list(arguments)))


def _places(document: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    if isinstance(document, dict | list):
        for key, value in document.items() if isinstance(document, dict) else enumerate(document):
            yield from _places(value, (*at, key))


def spoiled(document: Any, chance: random.Random) -> Any:
    document = deepcopy(document)
    *way, last = chance.choice(list(_places(document)))
    at = document
    for key in way:
        at = at[key]
    at[last] = chance.choice(SPOILED)
    return document


async def answers() -> list[tuple[str, Any]]:
    """(model, document) of everything that the tab's cmdlets read, in both vintages."""
    from parity import test_powershell as tests

    seen: list[tuple[str, Any]] = []

    def reading(wanted: str, document: Any) -> Any:
        items = document["value"] if wanted.startswith("[") else document if wanted.startswith("array ") else [document]
        seen.extend((wanted.strip("[]").removeprefix("array "), deepcopy(item)) for item in items)
        return read(wanted, document)

    player.read = reading  # type: ignore[assignment]
    for vintage in tests.VINTAGES:
        with tempfile.TemporaryDirectory() as folder:
            async with tests.simulated(Path(folder), vintage) as (_, powershell):
                await tests.play(powershell)
    return seen


def main(libraries: Path, dotnet: Path, count: int) -> int:
    given = asyncio.run(answers())
    settings = Pipeline(libraries, dotnet).client("http://localhost", "-").DeserializationSettings
    classes = Classes().by_name
    from Newtonsoft.Json import JsonConvert

    def theirs(model: str, document: Any) -> str:
        try:
            JsonConvert.DeserializeObject(json.dumps(document), classes[model], settings)
        except Exception as error:  # .NET's, which has no common ancestor here
            return f"throws: {str(error).splitlines()[0]}"
        return "reads"

    def ours(model: str, document: Any) -> str:
        try:
            read(model, document)
        except SerializationException as error:
            return f"throws: {error}"
        return "reads"

    assert [pair for pair in given if theirs(*pair) != "reads"] == []
    differing = thrown = 0
    for seed in range(count):
        chance = random.Random(seed)
        model, document = chance.choice(given)
        document = spoiled(document, chance)
        both = theirs(model, document), ours(model, document)
        thrown += both[0] != "reads"
        if both[0][:5] != both[1][:5]:
            differing += 1
            print(seed, model, *both, sep="\n   ")
    print(f"{len(given)} answers are read; of {count} spoiled ones {thrown} throw, {differing} differ")
    return differing


if __name__ == "__main__":
    counted = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), counted) > 0)

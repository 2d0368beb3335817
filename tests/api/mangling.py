"""Things done to good documents: values of every kind in every place, members taken away, added, renamed, wrapped."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        [
            *(
                "",
                "*",
                "[",
                "[]",
                "[[x]",
                "[concat(",
                "[resourceGroup()]",
                "/",
                "//",
                "10.0.0.0/8",
                "0.0.0.0/0",
                "::/0",
                "fe80::1",
            ),
            *(
                "10.0.0.1",
                "999.1.1.1",
                "Static",
                "VirtualNetwork",
                "@/Microsoft.Network/virtualNetworks/vnet-1",
                "/subscriptions/x",
            ),
            *("a" * 300, "\x00", "\ud7ff", "é", "𝄞", "1e999", "-1", "65536", "22-21", "Succeeded", "azlan-sealed:0:/x"),
        ]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)

cidrs = st.sampled_from(
    [
        *("10.0.0.0/33", "10.0.0.0/-1", "10.0.0.1/24", "10.0.0.0", "10.0.0/24", "010.0.0.0/8", "10.0.0.0/024"),
        *("10.0.0.0/24 ", " 10.0.0.0/24", "10.0.0.0/24/24", "10.0.0.0/255.255.255.0", "10.0.0.0\n/24", "١٠.0.0.0/24"),
        *("::/0", "::1/128", "fe80::/64", "::ffff:10.0.0.0/104", "fd00::/64%eth0", "ff00::/8", "fd00::1/64"),
        *("0.0.0.0/0", "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "/", "/24"),
        *("168.63.129.16/32", "240.0.0.0/4", "10.0.0.0/31", "10.0.0.0/32", "4294967296/8", "0x0a000000/8", "1e1/8", ""),
    ]
)
"""Prefixes that are none, or that nobody may have, or that only just pass."""


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every member and item of a document."""
    found = []
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in entries:
        found.append((*at, key))
        found += places(item, (*at, key))
    return found


@st.composite
def mangled(draw: st.DrawFn, good: Any, most: int = 3) -> Any:
    """A copy of a good body with one to `most` things done to it."""
    body: Any = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, most))):
        found = places(body)
        if not found:
            break
        *way, last = draw(st.sampled_from(found))
        owner = body
        for key in way:
            owner = owner[key]
        match draw(st.sampled_from(("replace", "replace", "cidr", "remove", "add", "rename", "wrap", "double"))):
            case "replace":
                owner[last] = draw(junk)
            case "cidr":
                owner[last] = [draw(cidrs)] if isinstance(owner[last], list) else draw(cidrs)
            case "remove":
                del owner[last]
            case "add" if isinstance(owner, dict):
                owner[draw(st.text(max_size=10))] = draw(junk)
            case "rename" if isinstance(owner, dict):
                owner[str(last).upper()] = owner[last]
            case "double" if isinstance(owner, list):
                owner.append(copy.deepcopy(owner[last]))
            case _:
                owner[last] = [owner[last]]
    return body

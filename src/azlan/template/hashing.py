"""`uniqueString()` and `guid()`: the same text in, the same name out, as Azure computes it.

The hash is the 64-bit Murmur variant of Microsoft's Azure.Deployments.Expression, checked against the test vector of
Microsoft's own Go port (Azure/terraform-provider-azapi, unique_string_function_test.go). `guid` is a version 5 UUID.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

_MASK = 0xFFFFFFFF
_C1 = 0x239B961B
_C2 = 0xAB0E9789
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_GUID_NAMESPACE = uuid.UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830")


def unique_string(values: Sequence[str]) -> str:
    """13 characters of base 32."""
    number = murmur_hash_64("-".join(values).encode())
    return "".join(
        _ALPHABET[number >> shift & 31] if shift >= 0 else _ALPHABET[number << 1 & 31] for shift in range(59, -5, -5)
    )


def template_guid(values: Sequence[str]) -> str:
    return str(uuid.uuid5(_GUID_NAMESPACE, "-".join(values)))


def murmur_hash_64(data: bytes) -> int:
    """Two interleaved 32-bit lanes over blocks of eight bytes; the second lane is the upper half of the result."""
    one = two = 0
    whole = len(data) // 8 * 8
    for at in range(0, whole, 8):
        one ^= _mix(_word(data[at : at + 4]), _C1, 15, _C2)
        one = ((_rotate(one, 19) + two) * 5 + 0x561CCD1B) & _MASK
        two ^= _mix(_word(data[at + 4 : at + 8]), _C2, 17, _C1)
        two = ((_rotate(two, 13) + one) * 5 + 0x0BCAA747) & _MASK
    if tail := data[whole:]:
        one ^= _mix(_word(tail[:4]), _C1, 15, _C2)
        if len(tail) > 4:
            two ^= _mix(_word(tail[4:]), _C2, 17, _C1)
    one ^= len(data)
    two ^= len(data)
    one = (one + two) & _MASK
    two = (two + one) & _MASK
    one, two = _finish(one), _finish(two)
    one = (one + two) & _MASK
    two = (two + one) & _MASK
    return two << 32 | one


def _word(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _rotate(value: int, by: int) -> int:
    return (value << by | value >> 32 - by) & _MASK


def _mix(word: int, first: int, by: int, second: int) -> int:
    return _rotate(word * first & _MASK, by) * second & _MASK


def _finish(value: int) -> int:
    value = (value ^ value >> 16) * 0x85EBCA6B & _MASK
    value = (value ^ value >> 13) * 0xC2B2AE35 & _MASK
    return value ^ value >> 16

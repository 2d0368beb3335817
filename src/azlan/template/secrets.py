"""A guest's password: Azure's rules for it, its one-way hash, and how it travels through a deployment without being stored.

The moment a deployment is accepted its passwords become hashes in the deployment's state; resource bodies carry a token
in their place, which only the state of that deployment can resolve. Rules as Microsoft.Compute words them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any

from passlib.hash import sha512_crypt

from azlan.base.errors import ArmError

_ROUNDS = 5000
"""What crypt(5) takes for `$6$` without a count: guests' own `passwd` makes the same."""
_TOKEN = re.compile(r"azlan-sealed:([0-9a-f]{32}):(/.+)")
_KINDS = (r"[A-Z]", r"[a-z]", r"[0-9]", r"[^A-Za-z0-9]")
_COMMON = frozenset(
    {"abc@123", "P@$$w0rd", "P@ssw0rd", "P@ssword123", "Pa$$word", "pass@word1", "Password!", "Password1"}
)
_COMMON_OTHER = frozenset({"Password22", "iloveyou!"})


def hash_password(password: str) -> str:
    """crypt(5) text, SHA-512."""
    return str(sha512_crypt.using(rounds=_ROUNDS).hash(password))


def password_error(password: str) -> ArmError | None:
    """What Microsoft.Compute answers to a password that a Linux guest may not have."""
    kinds = sum(bool(re.search(kind, password)) for kind in _KINDS)
    if not 6 <= len(password) <= 72 or kinds < 3 or re.search(r"[\x00-\x1f\x7f]", password):
        return ArmError(
            400,
            "InvalidParameter",
            "The supplied password must be between 6-72 characters long and must satisfy at least 3 of password complexity "
            "requirements from the following:\r\n1) Contains an uppercase character\r\n2) Contains a lowercase character\r\n"
            "3) Contains a numeric digit\r\n4) Contains a special character\r\n5) Control characters are not allowed",
            target="adminPassword",
        )
    if password in _COMMON or password in _COMMON_OTHER:
        return ArmError(400, "InvalidParameter", "The supplied password is not allowed.", target="adminPassword")
    return None


def seal(password: str, owner: str, into: dict[str, Any]) -> str:
    """A token for `password`; what it stands for goes into `into`, kept in the state of the row with key `owner`."""
    if _TOKEN.fullmatch(password):
        return password
    nonce = secrets.token_hex(16)
    error = password_error(password)
    into[nonce] = {"error": error.message} if error else {"hash": hash_password(password)}
    return f"azlan-sealed:{nonce}:{owner}"


def sealed_owner(text: str) -> str | None:
    """Key of the row whose state resolves a token; None for any other text."""
    match = _TOKEN.fullmatch(text)
    return match.group(2) if match else None


def unseal(text: str, sealed: Mapping[str, Any]) -> str:
    """The hash a token stands for. Raises ArmError where the password broke a rule, or the token stands for nothing."""
    match = _TOKEN.fullmatch(text)
    entry = sealed.get(match.group(1)) if match else None
    if entry is None:
        raise ArmError(400, "InvalidParameter", "The supplied password is not allowed.", target="adminPassword")
    if "error" in entry:
        raise ArmError(400, "InvalidParameter", entry["error"], target="adminPassword")
    return str(entry["hash"])

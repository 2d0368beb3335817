"""Passwords: Azure's rules, hashes that crypt(5) knows, and tokens that stand for them."""

from __future__ import annotations

import pytest
from passlib.hash import sha512_crypt

from azlan.base.errors import ArmError
from azlan.template.secrets import hash_password, password_error, seal, sealed_owner, unseal


def test_a_hash_is_of_the_password_and_salted() -> None:
    one, other = hash_password("Passw0rd!23456"), hash_password("Passw0rd!23456")
    assert one != other
    assert one.startswith("$6$")
    assert sha512_crypt.verify("Passw0rd!23456", one)


@pytest.mark.parametrize("password", ["Passw0rd!23456", "abcDEF123", "abc-123-xyz", "ABC-123-XYZ", "aB1" * 24])
def test_good_passwords(password: str) -> None:
    assert password_error(password) is None


@pytest.mark.parametrize("password", ["", "aB1-x", "abcdef", "abcdef1", "aB1-" * 19, "aB1\tcdefg"])
def test_bad_passwords(password: str) -> None:
    error = password_error(password)
    assert error is not None
    assert (error.status, error.code, error.target) == (400, "InvalidParameter", "adminPassword")
    assert error.message.startswith(
        "The supplied password must be between 6-72 characters long and must satisfy at least 3"
    )


@pytest.mark.parametrize("password", ["P@ssw0rd", "Password1", "pass@word1"])
def test_common_passwords_are_refused(password: str) -> None:
    error = password_error(password)
    assert error is not None
    assert error.message == "The supplied password is not allowed."


def test_a_token_stands_for_the_hash_in_its_owners_state() -> None:
    kept: dict[str, object] = {}
    token = seal("Passw0rd!23456", "/subscriptions/s/x", kept)
    assert "Passw0rd" not in token
    assert "Passw0rd" not in repr(kept)
    assert sealed_owner(token) == "/subscriptions/s/x"
    assert sha512_crypt.verify("Passw0rd!23456", unseal(token, kept))
    assert seal(token, "/other", kept) == token


def test_a_weak_password_is_told_when_it_is_used() -> None:
    kept: dict[str, object] = {}
    token = seal("weak", "/o", kept)
    with pytest.raises(ArmError, match="6-72 characters"):
        unseal(token, kept)


def test_a_token_that_stands_for_nothing() -> None:
    assert sealed_owner("Passw0rd!23456") is None
    with pytest.raises(ArmError, match="not allowed"):
        unseal(f"azlan-sealed:{'0' * 32}:/o", {})

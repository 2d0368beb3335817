"""Documents that are stored but must not be readable in the store: encrypted under a key that is kept elsewhere.

AES-256-GCM (NIST SP 800-38D) with a random nonce; a sealed text opens in the place it was sealed for alone.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_SIZE = 32
_NONCE = 12
_PREFIX = "sealed-1."


class Safe:
    """Seals with one key; without one given, with a key that is gone with this object."""

    def __init__(self, key: bytes | None = None) -> None:
        self._cipher = AESGCM(key if key is not None else os.urandom(KEY_SIZE))

    def seal(self, document: Any, place: str) -> str:
        """A JSON document as text without a secret."""
        nonce = os.urandom(_NONCE)
        text = json.dumps(document, separators=(",", ":")).encode()
        sealed = nonce + self._cipher.encrypt(nonce, text, place.encode())
        return _PREFIX + base64.b85encode(sealed).decode()

    def open(self, text: str, place: str) -> Any:
        """Raises LookupError where the text was sealed with another key or for another place."""
        try:
            sealed = base64.b85decode(text.removeprefix(_PREFIX))
            return json.loads(self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], place.encode()))
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise LookupError(f"what was sealed for {place} cannot be opened") from error

"""Endpoints' secrets at rest: AES-256-GCM under a versioned key, each bound to its row."""

import base64
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
SECRET_BYTES: Final = 32
"""The specification asks for 24 to 64."""
PREFIX: Final = "whsec_"
_NONCE_BYTES: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptedSecret:
    """A secret as it is stored: encrypted, and bound to its row's *id*."""

    id: UUID
    key_version: int
    ciphertext: bytes


class EncryptionKeysError(ValueError):
    """The setting holds no keys that can encrypt."""


class SecretCipher:
    """Encrypts under the key of the highest version, and decrypts with any."""

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        self._ciphers = {version: AESGCM(key) for version, key in keys.items()}
        self._current = max(keys)

    def new_secret(self) -> str:
        """Return a new secret in the form of the specification."""
        return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()

    def encrypt(self, secret_id: UUID, secret: str) -> EncryptedSecret:
        """Return *secret* as it may be stored in the row *secret_id*."""
        nonce = os.urandom(_NONCE_BYTES)
        text = self._ciphers[self._current].encrypt(nonce, secret.encode(), _bound_to(secret_id, self._current))
        return EncryptedSecret(id=secret_id, key_version=self._current, ciphertext=nonce + text)

    def decrypt(self, encrypted: EncryptedSecret) -> str:
        """Return the secret again; raises KeyError for an unknown key, InvalidTag where it is another row's."""
        nonce, text = encrypted.ciphertext[:_NONCE_BYTES], encrypted.ciphertext[_NONCE_BYTES:]
        bound_to = _bound_to(encrypted.id, encrypted.key_version)
        return self._ciphers[encrypted.key_version].decrypt(nonce, text, bound_to).decode()


def parse_keys(setting: str) -> dict[int, bytes]:
    """Return version to key of `version:base64,…`; raise EncryptionKeysError, which never tells a key."""
    keys: dict[int, bytes] = {}
    for part in setting.split(","):
        version, _, encoded = part.strip().partition(":")
        try:
            number, key = int(version), base64.b64decode(encoded, validate=True)
        except ValueError:
            raise EncryptionKeysError("an encryption key is version:base64") from None
        if number < 1 or number in keys or len(key) != KEY_BYTES:
            raise EncryptionKeysError(f"each encryption key has {KEY_BYTES} bytes and a version of its own from 1")
        keys[number] = key
    return keys


def _bound_to(secret_id: UUID, key_version: int) -> bytes:
    # These bytes are part of every secret that is stored: they stay.
    return f"endpoint_secret|sealed|{secret_id}|{key_version}".encode()

"""API keys as text: `wpk_<id>_<secret>_<checksum>`, 87 characters.

The id is a UUIDv7 as 32 lower-case hexadecimal digits, the secret 256 bits as 43 base62 digits, the checksum the
CRC-32 over all that stands before its underscore as 6 base62 digits. Base62 digits are `0-9A-Za-z`, most significant
first. A secret of 256 random bits needs no salt and no pepper: whoever has the digest checks a key and can make none.
"""

import hashlib
import re
import zlib
from dataclasses import dataclass
from typing import Final
from uuid import UUID

PREFIX: Final = "wpk_"
SECRET_BYTES: Final = 32
KEY_CHARACTERS: Final = 87

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}
_BASE: Final = len(_DIGITS)
_SECRET_DIGITS: Final = 43
_CHECKSUM_DIGITS: Final = 6
_ID_VERSION: Final = 7
_KEY: Final = re.compile(r"(wpk_([0-9a-f]{32})_([0-9A-Za-z]{43}))_([0-9A-Za-z]{6})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What a key proves: *digest* is the SHA-256 over the 16 bytes of *id* and the 32 of the secret."""

    id: UUID
    digest: bytes


def make_key(key_id: UUID, secret: bytes) -> str:
    """Return the text of the key *key_id* (a UUIDv7) with *secret* (32 random bytes)."""
    assert key_id.version == _ID_VERSION, "a key's id is a UUIDv7"
    assert len(secret) == SECRET_BYTES, "a key's secret has 256 bits"
    body = f"{PREFIX}{key_id.hex}_{_base62(int.from_bytes(secret), _SECRET_DIGITS)}"
    return f"{body}_{_checksum(body)}"


def digest_of(key_id: UUID, secret: bytes) -> bytes:
    """Return what is stored and published of a key: the SHA-256 over id and secret."""
    return hashlib.sha256(key_id.bytes + secret).digest()


def parse_key(text: str) -> ApiKey | None:
    """Return the id and digest of the key that *text* is; returns None if it is none or its checksum is wrong."""
    if len(text) != KEY_CHARACTERS:
        return None
    match = _KEY.fullmatch(text)
    if match is None or _checksum(match[1]) != match[4]:
        return None
    key_id, secret = UUID(hex=match[2]), _number(match[3])
    if key_id.version != _ID_VERSION or secret.bit_length() > SECRET_BYTES * 8:
        return None
    return ApiKey(key_id, digest_of(key_id, secret.to_bytes(SECRET_BYTES)))


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), _CHECKSUM_DIGITS)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, value = divmod(number, _BASE)
        digits.append(_DIGITS[value])
    assert number == 0, "the width holds the number"
    return "".join(reversed(digits))


def _number(digits: str) -> int:
    number = 0
    for digit in digits:
        number = number * _BASE + _VALUES[digit]
    return number

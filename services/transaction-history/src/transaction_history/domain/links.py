"""Links to files: a token names a link and its tenant, and cannot be made up."""

import base64
import hashlib
import hmac
from typing import Final, NamedTuple
from uuid import UUID

EXPIRES_IN_S_MAX: Final = 3_600
_ID_BYTES: Final = 16
_TAG_BYTES: Final = 32
TOKEN_CHARACTERS: Final = 86
"""Of 64 bytes in base64 without padding."""


class LinkName(NamedTuple):
    """Which link a token is."""

    tenant_id: UUID
    link_id: UUID


def link_token(key: bytes, name: LinkName) -> str:
    """Return the token of *name* under *key*."""
    named = name.tenant_id.bytes + name.link_id.bytes
    return _spelt(named + _tag(key, named))


def named_by(key: bytes, token: str) -> LinkName | None:
    """Return which link *token* is, None where it was not made under *key*."""
    if len(token) != TOKEN_CHARACTERS:
        return None
    try:
        raw = base64.b64decode(f"{token}==", altchars=b"-_", validate=True)
    except ValueError:
        return None
    named, tag = raw[:-_TAG_BYTES], raw[-_TAG_BYTES:]
    if not hmac.compare_digest(tag, _tag(key, named)) or _spelt(raw) != token:
        return None
    return LinkName(UUID(bytes=named[:_ID_BYTES]), UUID(bytes=named[_ID_BYTES:]))


def _spelt(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _tag(key: bytes, named: bytes) -> bytes:
    return hmac.digest(key, b"download\0" + named, hashlib.sha256)

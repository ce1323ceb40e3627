"""Terms: keyed hashes that entries are found again by, without the index knowing a word. Pure.

A term is the first eight bytes of HMAC-SHA-256 over tenant, field and value. A new key is another index.
"""

import hmac
from collections.abc import Iterator
from typing import Final
from uuid import UUID

from contracts.events import Private
from transaction_history.domain.words import normalised, words_of

TERMS_MAX: Final = 40
"""An entry has no more: what is least important is left out."""
PREFIX_CHARACTERS: Final = 3
KEPT_MAX: Final = 65_536
"""Types, owners and everyday words come again and again: remembered, one costs a tenth."""
TENANTS_KEPT_MAX: Final = 256
_BYTES: Final = 8
_RANGE: Final = 1 << 64
_SIGN: Final = 1 << 63


class Field:
    """What a term's value is of; it is hashed with the value, so the names never change."""

    TYPE: Final = "type"
    TRANSACTION_TYPE: Final = "transaction_type"
    OWNER: Final = "owner"
    WALLET: Final = "wallet"
    COUNTERPARTY_WALLET: Final = "counterparty_wallet"
    COUNTERPARTY_OWNER: Final = "counterparty_owner"
    COUNTERPARTY_ACCOUNT: Final = "counterparty_account"
    TRANSACTION: Final = "transaction"
    HOLD: Final = "hold"
    ID: Final = "id"
    REFERENCE: Final = "reference"
    METADATA: Final = "metadata"
    WORD: Final = "word"
    PREFIX: Final = "prefix"


_SEEN_ONCE: Final = frozenset({Field.TRANSACTION, Field.HOLD, Field.ID, Field.REFERENCE})
"""Values that hardly come again are not remembered."""


class Hasher:
    """Makes the terms of tenants under *key*."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._tenants: dict[UUID, TenantHasher] = {}

    def of(self, tenant_id: UUID) -> "TenantHasher":
        """Return what makes the terms of a tenant."""
        known = self._tenants.get(tenant_id)
        if known is None:
            if len(self._tenants) >= TENANTS_KEPT_MAX:
                self._tenants.clear()
            known = self._tenants[tenant_id] = TenantHasher(self._key, tenant_id)
        return known


class TenantHasher:
    """Makes the terms of one tenant."""

    def __init__(self, key: bytes, tenant_id: UUID) -> None:
        self._key = key
        self._tenant = tenant_id.bytes
        self._kept: dict[str, int] = {}

    def term(self, field: str, value: str) -> int:
        """Return the term of *value* as a signed integer of 64 bits."""
        named = f"{field}\0{value}"
        known = self._kept.get(named)
        if known is None:
            material = self._tenant + named.encode("utf-8", "surrogatepass")
            number = int.from_bytes(hmac.digest(self._key, material, "sha256")[:_BYTES])
            known = number - _RANGE if number & _SIGN else number
            if field not in _SEEN_ONCE:
                if len(self._kept) >= KEPT_MAX:
                    self._kept.clear()
                self._kept[named] = known
        return known


def metadata_value(key: str, value: str) -> str:
    """Return what a pair of metadata is hashed and compared as."""
    return f"{normalised(key)}\0{normalised(value)}"


def texts_of(private: Private) -> Iterator[str]:
    """Yield the texts whose words are indexed, the most important first."""
    for text in (private.reference, private.description, private.label, private.destination):
        if text:
            yield text
    yield from (private.metadata or {}).values()


def terms_of_text(hasher: TenantHasher, private: Private) -> Iterator[int]:
    """Yield the terms of an entry's free text in their order of importance.

    That is the exact reference, each pair of metadata, every word, and the first characters of every word.
    """
    if private.reference:
        yield hasher.term(Field.REFERENCE, normalised(private.reference))
    for key, value in (private.metadata or {}).items():
        yield hasher.term(Field.METADATA, metadata_value(key, value))
    words = dict.fromkeys(word for text in texts_of(private) for word in words_of(text))
    for word in words:
        yield hasher.term(Field.WORD, word)
    for word in words:
        if len(word) >= PREFIX_CHARACTERS:
            yield hasher.term(Field.PREFIX, word[:PREFIX_CHARACTERS])

"""Ids and shards.

What needs an id in Python takes it here, but for the committer, whose ids are of the driver's own type. A journal row's
event id is PostgreSQL's, and a fraud decision's follows from what it was decided at.
"""

import hashlib
from typing import Final
from uuid import UUID

from uuid_utils import uuid7 as fast_uuid7
from uuid_utils.compat import uuid7

SHARDS: Final = 64
"""The number of logical shards, which never changes: a power of two, so that partitions divide it."""

_SHARD_MASK: Final = SHARDS - 1
_LAST_BYTES: Final = tuple(bytes((value,)) for value in range(256))
_UUID_TEXT_LENGTH: Final = 36


def new_id() -> UUID:
    """Return a new UUIDv7: its first bits are the time, its last ones random."""
    return uuid7()


def new_id_text() -> str:
    """Return a new UUIDv7 as text, for where only the text is needed: a seventh of the cost of writing one out."""
    return str(fast_uuid7())


def shard_of(wallet_id: UUID) -> int:
    """Return the wallet's shard, 0 to 63: the low six bits of its last byte.

    Ids of what a wallet is the home of (transactions, holds …) carry its shard in the same place.
    """
    return wallet_id.bytes[-1] & _SHARD_MASK


def home_shard(tenant_id: UUID, group: str) -> int:
    """Return the shard of the tenant's placement *group*, 0 to 63: wallets of one group are in one shard.

    It never changes: the low six bits of the last byte of the SHA-256 of the tenant's 16 bytes and the group's UTF-8.
    """
    return hashlib.sha256(tenant_id.bytes + group.encode()).digest()[-1] & _SHARD_MASK


def id_bytes_in(shard: int) -> bytes:
    """Return the 16 bytes of a new UUIDv7 whose shard is *shard*."""
    made = fast_uuid7().bytes
    return made[:-1] + _LAST_BYTES[made[-1] & ~_SHARD_MASK | shard]


def digest_id_in(shard: int, material: bytes) -> UUID:
    """Return the stable id of *material* whose shard is *shard*."""
    made = digest_id(material).bytes
    return UUID(bytes=made[:-1] + _LAST_BYTES[made[-1] & ~_SHARD_MASK | shard])


def digest_id(material: bytes) -> UUID:
    """Return the stable id of *material*: a UUIDv8 over its SHA-256, pinned by test vectors."""
    value = int.from_bytes(hashlib.sha256(material).digest()[:16], "big")
    value = value & ~(0xF << 76) | (0x8 << 76)  # version 8: application-defined
    value = value & ~(0x3 << 62) | (0x2 << 62)  # RFC 9562 variant
    return UUID(int=value)


def partition_of(shard: int, partitions: int) -> int:
    """Return the Kafka partition of *shard* in a topic of *partitions*, which must divide 64."""
    assert SHARDS % partitions == 0, f"{partitions} partitions do not divide {SHARDS} shards"
    return shard % partitions


def parse_id(text: str) -> UUID | None:
    """Return the id that *text* writes in its canonical form, or None: no braces, no URN, hyphens in place."""
    if len(text) != _UUID_TEXT_LENGTH:
        return None
    try:
        parsed = UUID(text)
    except ValueError:
        return None
    return parsed if str(parsed) == text.lower() else None

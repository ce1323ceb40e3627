"""References are found by a keyed hash: without the key nobody can tell which ones exist."""

import hashlib
import hmac
from uuid import UUID

from wallet.application.plan import HashReference

_HASH_BYTES = 16


def reference_hasher(key: bytes) -> HashReference:
    """Return the hash under *key*; the tenant is part of what is hashed."""

    def hash_reference(tenant_id: UUID, reference: str) -> bytes:
        return hmac.new(key, tenant_id.bytes + reference.encode(), hashlib.sha256).digest()[:_HASH_BYTES]

    return hash_reference

"""Who asks: every request, query and idempotency key carries a `Principal`."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from uuid import UUID

from servicekit.settings import Mode, ServiceSettings

Headers = Sequence[tuple[bytes, bytes]]
PrincipalOf = Callable[[Headers], "Principal"]


SERVICE_SUBJECTS: Final = frozenset({"fraud", "notifications", "operator", "transaction-history", "wallet"})
"""Subjects of our own processes, whose keys no request may take and whose name no request may act under."""


class PrincipalError(Exception):
    """The request names no acceptable principal: 401."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The one who asks. *client* scopes idempotency keys: it follows tenant and subject, never the credential.

    Raises PrincipalError for a subject of our own processes, whatever its case.
    """

    tenant_id: UUID
    subject: str
    client: UUID

    def __post_init__(self) -> None:
        if self.subject.casefold() in SERVICE_SUBJECTS:
            raise PrincipalError(f"The subject {self.subject} is reserved for the platform's own processes.")


@lru_cache(maxsize=4096)
def client_of(tenant_id: UUID, subject: str) -> UUID:
    """Return the stable id of tenant and subject: a UUIDv8 over their SHA-256, pinned by test vectors."""
    digest = hashlib.sha256(tenant_id.bytes + subject.encode()).digest()
    value = int.from_bytes(digest[:16], "big")
    value = value & ~(0xF << 76) | (0x8 << 76)  # version 8: application-defined
    value = value & ~(0x3 << 62) | (0x2 << 62)  # RFC 9562 variant
    return UUID(int=value)


def principals(settings: ServiceSettings) -> PrincipalOf:
    """Return the function that names the principal of a request from its headers.

    In development it is always the one of the settings. Outside development it raises PrincipalError: settings are no
    credential.
    """
    if settings.mode is not Mode.DEVELOPMENT:
        return _refuse
    tenant_id, subject = settings.default_tenant_id, settings.development_subject
    principal = Principal(tenant_id, subject, client_of(tenant_id, subject))
    return lambda _headers: principal


def _refuse(_headers: Headers) -> Principal:
    raise PrincipalError("No credentials are accepted yet: settings name a principal in development only.")

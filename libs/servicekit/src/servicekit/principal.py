"""Who asks: every request, query and idempotency key carries a `Principal`."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from uuid import UUID

from contracts.access import subject_id
from contracts.scopes import Kind

SERVICE_SUBJECTS: Final = frozenset({"access", "fraud", "notifications", "operator", "transaction-history", "wallet"})
"""Subjects of our own processes, whose keys no request may take and whose name no request may act under."""


class ReservedSubject(ValueError):
    """The subject is one of our own processes'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The one who asks, made once per credential and shared by its requests.

    *subject* is `<issuer's name>|<sub>` of a token, `svc:<id>` of a service account. *client* scopes idempotency keys:
    it follows tenant and subject, never the credential. *scopes* are the bits of `contracts.scopes`. *acts_for* are
    the owners whose wallets it may debit and read, None for every owner of the tenant. *credential_id* names the key,
    or the issuer's key that signed the token.

    Raises ReservedSubject for a subject of our own processes, whatever its case.
    """

    tenant_id: UUID
    subject: str
    client: UUID
    kind: Kind
    scopes: int
    acts_for: frozenset[str] | None
    credential_id: str

    def __post_init__(self) -> None:
        if self.subject.casefold() in SERVICE_SUBJECTS:
            raise ReservedSubject(f"The subject {self.subject} is reserved for the platform's own processes.")

    @property
    def owners(self) -> tuple[str, ...] | None:
        """*acts_for* in one order, for what is compared by its text, such as the query that a cursor belongs to."""
        return None if self.acts_for is None else tuple(sorted(self.acts_for))

    def acts_for_owner(self, owner_id: str) -> bool:
        """Tell whether it may read and debit the owner's wallets."""
        return self.acts_for is None or owner_id in self.acts_for


@lru_cache(maxsize=4096)
def client_of(tenant_id: UUID, subject: str) -> UUID:
    """Return the stable id that scopes the idempotency keys of a tenant's subject."""
    return subject_id(tenant_id, subject)

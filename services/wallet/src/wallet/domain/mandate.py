"""On whose behalf a command is decided: a tenant, and the owners in it that its sender acts for."""

from typing import Final
from uuid import UUID

import msgspec

from contracts.scopes import Kind

NOBODY: Final = UUID(int=0)
"""The client of the platform's own processes."""


class Mandate(msgspec.Struct, frozen=True, gc=False):
    """What the sender of a command may reach: wallets of *tenant_id*; to debit and to see, those of *owners* alone.

    *owners* is None for every owner of the tenant. *client* is the sender itself: what it made it may change.
    """

    tenant_id: UUID
    kind: Kind
    owners: frozenset[str] | None = None
    client: UUID = NOBODY

    def covers(self, owner_id: str) -> bool:
        """Tell whether it may debit, close and see the owner's wallets."""
        return self.owners is None or owner_id in self.owners

    @property
    def sees_restrictions(self) -> bool:
        """Whether it may be told who restricted a wallet, and why: staff alone."""
        return self.kind is Kind.OPERATOR


def platform_mandate(tenant_id: UUID) -> Mandate:
    """Return the mandate of the platform's own processes, within one tenant."""
    return Mandate(tenant_id, Kind.OPERATOR)

"""Authorities for tests that are not about who asks."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from contracts.scopes import Kind, mask_for
from servicekit.access.admission import UNLIMITED, Access, Admission, Cost, require_access
from servicekit.client_address import Client
from servicekit.health import Check
from servicekit.principal import Principal, client_of

TENANT = UUID("00000000-0000-7000-8000-000000000001")
"""The tenant of tests that need but one."""


def principal_of(
    subject: str = "developer",
    *,
    tenant_id: UUID = TENANT,
    kind: Kind = Kind.OPERATOR,
    scopes: int | None = None,
    acts_for: frozenset[str] | None = None,
) -> Principal:
    """Return a principal of *kind*, with every scope its kind may hold unless *scopes* says otherwise."""
    return Principal(
        tenant_id=tenant_id,
        subject=subject,
        client=client_of(tenant_id, subject),
        kind=kind,
        scopes=mask_for(kind) if scopes is None else scopes,
        acts_for=acts_for,
        credential_id="test",
    )


class Whole:
    """A database that was never restored: whatever is behind a connection may be changed."""

    async def require(self, connection: object, /) -> None:
        """Refuse nothing."""


ANYBODY_MAY: Final = Access(None, None, Cost.COMMAND)
"""What routes of tests ask of their callers."""


class AdmitsAs:
    """Admits every request as one principal, whom a test may change; what the route asks is required."""

    def __init__(self, principal: Principal | None = None) -> None:
        self.principal = principal or principal_of()

    def check(self) -> Mapping[str, Check]:
        """Return nothing: it knows one principal."""
        return {}

    async def admit(self, _headers: Mapping[bytes, bytes], _client: Client, access: Access, /) -> Admission:
        """Return the principal, without limits; raises NotAllowed as `require_access` does."""
        require_access(self.principal, access)
        return Admission(self.principal, UNLIMITED, [])

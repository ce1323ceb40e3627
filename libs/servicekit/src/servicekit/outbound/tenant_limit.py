"""A limit per tenant: what one of them waits for, no other does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID


@dataclass(slots=True)
class _Tenant:
    semaphore: asyncio.Semaphore
    users: int = 0


class TenantLimit:
    """Lets *per_tenant* of each tenant's callers in at once; the others of that tenant wait."""

    def __init__(self, per_tenant: int) -> None:
        self._per_tenant = per_tenant
        self._tenants: dict[UUID, _Tenant] = {}

    @asynccontextmanager
    async def place(self, tenant_id: UUID) -> AsyncIterator[None]:
        """Run the body when the tenant has a place free."""
        tenant = self._tenants.setdefault(tenant_id, _Tenant(asyncio.Semaphore(self._per_tenant)))
        tenant.users += 1
        try:
            async with tenant.semaphore:
                yield
        finally:
            tenant.users -= 1
            if tenant.users == 0:
                del self._tenants[tenant_id]

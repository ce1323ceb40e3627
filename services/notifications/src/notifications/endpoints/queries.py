"""What owners ask of their endpoints."""

from collections.abc import Sequence
from uuid import UUID

from notifications.domain.endpoints import Endpoint, EndpointUnknown
from notifications.endpoints.store_postgres import find_endpoint, find_endpoints
from servicekit.tenant_pool import TenantPool


class EndpointQueries:
    """Answers for one tenant at a time."""

    def __init__(self, tenants: TenantPool) -> None:
        self._tenants = tenants

    async def endpoints(self, tenant_id: UUID, *, before: UUID | None, limit: int) -> Sequence[Endpoint]:
        """Return up to *limit* endpoints, newest first, older than *before*."""
        async with self._tenants.reading(tenant_id) as connection:
            return await find_endpoints(connection, tenant_id, before=before, limit=limit)

    async def endpoint(self, tenant_id: UUID, endpoint_id: UUID) -> Endpoint | EndpointUnknown:
        async with self._tenants.reading(tenant_id) as connection:
            return await find_endpoint(connection, tenant_id, endpoint_id) or EndpointUnknown()

"""What owners ask of their endpoints and deliveries."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from notifications.application.ports import Deliveries, DeliveryFilter, Endpoints
from notifications.application.rows import Attempt, Delivery
from notifications.domain.endpoints import DeliveryUnknown, Endpoint, EndpointUnknown
from servicekit.postgres import Pool


@dataclass(frozen=True, slots=True)
class Attempted:
    """A delivery and its attempts that are kept, newest first."""

    delivery: Delivery
    attempts: Sequence[Attempt]


class Queries:
    """Answers for one tenant at a time."""

    def __init__(self, pool: Pool, endpoints: Endpoints, deliveries: Deliveries) -> None:
        self._pool = pool
        self._endpoints = endpoints
        self._deliveries = deliveries

    async def endpoints(self, tenant_id: UUID, *, before: UUID | None, limit: int) -> Sequence[Endpoint]:
        """Return up to *limit* endpoints, newest first, older than *before*."""
        async with self._pool.connection() as connection:
            return await self._endpoints.page(connection, tenant_id, before=before, limit=limit)

    async def endpoint(self, tenant_id: UUID, endpoint_id: UUID) -> Endpoint | EndpointUnknown:
        """Return an endpoint."""
        async with self._pool.connection() as connection:
            return await self._endpoints.get(connection, tenant_id, endpoint_id) or EndpointUnknown()

    async def deliveries(
        self, tenant_id: UUID, wanted: DeliveryFilter, *, before: UUID | None, limit: int
    ) -> Sequence[Delivery]:
        """Return up to *limit* deliveries, newest first, older than *before*."""
        async with self._pool.connection() as connection:
            return await self._deliveries.page(connection, tenant_id, wanted, before=before, limit=limit)

    async def delivery(self, tenant_id: UUID, delivery_id: UUID) -> Attempted | DeliveryUnknown:
        """Return a delivery with its attempts."""
        async with self._pool.connection() as connection:
            found = await self._deliveries.get(connection, tenant_id, delivery_id)
            if found is None:
                return DeliveryUnknown()
            return Attempted(found, await self._deliveries.attempts(connection, tenant_id, found.id))

"""What owners ask of their deliveries."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from notifications.deliveries.rows import Attempt, Delivery
from notifications.deliveries.store_postgres import DeliveryFilter, find_attempts, find_deliveries, find_delivery
from notifications.domain.endpoints import DeliveryUnknown
from servicekit.tenant_pool import TenantPool


@dataclass(frozen=True, slots=True)
class Attempted:
    """A delivery and its attempts that are kept, newest first."""

    delivery: Delivery
    attempts: Sequence[Attempt]


class DeliveryQueries:
    """Answers for one tenant at a time."""

    def __init__(self, tenants: TenantPool) -> None:
        self._tenants = tenants

    async def deliveries(
        self, tenant_id: UUID, wanted: DeliveryFilter, *, before: UUID | None, limit: int
    ) -> Sequence[Delivery]:
        """Return up to *limit* deliveries, newest first, older than *before*."""
        async with self._tenants.reading(tenant_id) as connection:
            return await find_deliveries(connection, tenant_id, wanted, before=before, limit=limit)

    async def delivery(self, tenant_id: UUID, delivery_id: UUID) -> Attempted | DeliveryUnknown:
        """Return a delivery with its attempts."""
        async with self._tenants.reading(tenant_id) as connection:
            found = await find_delivery(connection, tenant_id, delivery_id)
            if found is None:
                return DeliveryUnknown()
            return Attempted(found, await find_attempts(connection, tenant_id, found.id))

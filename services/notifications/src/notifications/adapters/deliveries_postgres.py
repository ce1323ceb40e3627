"""Deliveries as their owners see them, in PostgreSQL."""

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from notifications.application.ports import DeliveryFilter
from notifications.application.rows import Attempt, Delivery
from notifications.domain.outcomes import DeliveryStatus, Outcome
from servicekit.conditions import where
from servicekit.postgres import Connection, Transaction

_SELECT: Final = """
    select d.id, d.endpoint_id, d.message_id, d.type, m.wallet_id, d.status, d.attempts, d.next_attempt_at,
           d.created_at, d.delivered_at
    from notifications.delivery as d join notifications.message as m on m.id = d.message_id"""
# A row that is leased is being attempted: it is left alone, or its attempt could not be settled.
_DUE_NOW: Final = "status = 'pending', next_attempt_at = now(), failures = 0, lease_token = null, settled_at = null"
_IS_FREE: Final = "(lease_token is null or next_attempt_at <= now())"


class PostgresDeliveries:
    """Reads deliveries, and has them attempted again."""

    async def get(self, connection: Connection, tenant_id: UUID, delivery_id: UUID) -> Delivery | None:
        """Read as `Deliveries.get` says."""
        row = await connection.fetchrow(f"{_SELECT} where d.id = $1 and d.tenant_id = $2", delivery_id, tenant_id)
        return None if row is None else _delivery(row)

    async def attempts(self, connection: Connection, tenant_id: UUID, delivery_id: UUID) -> list[Attempt]:
        """Read as `Deliveries.attempts` says."""
        rows = await connection.fetch(
            """select number, started_at, outcome, duration_ms, status_code, error, response_head
               from notifications.attempt
               where delivery_id = (select id from notifications.delivery where id = $1 and tenant_id = $2)
               order by number desc""",
            delivery_id,
            tenant_id,
        )
        return [Attempt(**{**dict(row), "outcome": Outcome(row["outcome"])}) for row in rows]

    async def page(
        self, connection: Connection, tenant_id: UUID, wanted: DeliveryFilter, *, before: UUID | None, limit: int
    ) -> list[Delivery]:
        """Read as `Deliveries.page` says; ids are made in the order of time."""
        asked = where(wanted, prefix="d.", tenant_id=tenant_id)
        asked.before(("id",), None if before is None else (before,))
        rows = await connection.fetch(f"{_SELECT} {asked} order by d.id desc limit {asked.value(limit)}", *asked.values)
        return [_delivery(row) for row in rows]

    async def make_due(self, tx: Transaction, tenant_id: UUID, delivery_id: UUID) -> None:
        """Write as `Deliveries.make_due` says."""
        await tx.connection.execute(
            f"update notifications.delivery set {_DUE_NOW} where id = $1 and tenant_id = $2 and {_IS_FREE}",
            delivery_id,
            tenant_id,
        )

    async def recover(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID, since: datetime, *, limit: int) -> int:
        """Write as `Deliveries.recover` says, oldest first."""
        tag = await tx.connection.execute(
            f"""update notifications.delivery set {_DUE_NOW}
                where id in (
                    select id from notifications.delivery
                    where endpoint_id = $1 and tenant_id = $4 and created_at >= $2 and {_IS_FREE}
                      and (status = 'exhausted' or (status = 'pending' and failures > 0))
                    order by id limit $3 for update skip locked)""",
            endpoint_id,
            since,
            limit,
            tenant_id,
        )
        return _count(tag)

    async def cancel(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID, *, limit: int) -> int:
        """Write as `Deliveries.cancel` says."""
        tag = await tx.connection.execute(
            """update notifications.delivery set status = 'cancelled', settled_at = now(), lease_token = null
               where id in (select id from notifications.delivery
                            where endpoint_id = $1 and tenant_id = $3 and status = 'pending' limit $2)""",
            endpoint_id,
            limit,
            tenant_id,
        )
        return _count(tag)


def _count(tag: str) -> int:
    return int(tag.rpartition(" ")[2])


def _delivery(row: "asyncpg.Record") -> Delivery:
    return Delivery(**{**dict(row), "status": DeliveryStatus(row["status"])})

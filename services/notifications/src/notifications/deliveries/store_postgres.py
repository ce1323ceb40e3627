"""Deliveries as their owners see them, in PostgreSQL."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from notifications.deliveries.rows import Attempt, Delivery
from notifications.domain.outcomes import AttemptOutcome, DeliveryStatus
from servicekit.conditions import where
from servicekit.postgres import Connection, Transaction

_SELECT: Final = """
    select d.id, d.endpoint_id, d.message_id, d.type, m.wallet_id, d.status, d.attempts, d.next_attempt_at,
           d.created_at, d.delivered_at
    from notifications.delivery as d join notifications.message as m on m.id = d.message_id"""
# A row that is leased is being attempted: it is left alone, or its attempt could not be settled.
_DUE_NOW: Final = "status = 'pending', next_attempt_at = now(), failures = 0, lease_token = null, settled_at = null"
_IS_FREE: Final = "(lease_token is null or next_attempt_at <= now())"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Which deliveries are asked for; None means any."""

    endpoint_id: UUID | None
    status: DeliveryStatus | None
    type: str | None


async def find_delivery(connection: Connection, tenant_id: UUID, delivery_id: UUID) -> Delivery | None:
    row = await connection.fetchrow(f"{_SELECT} where d.id = $1 and d.tenant_id = $2", delivery_id, tenant_id)
    return None if row is None else _delivery(row)


async def find_deliveries(
    connection: Connection, tenant_id: UUID, wanted: DeliveryFilter, *, before: UUID | None, limit: int
) -> list[Delivery]:
    """Return up to *limit* deliveries, newest first: ids are made in the order of time."""
    asked = where(wanted, prefix="d.", tenant_id=tenant_id)
    asked.before(("id",), None if before is None else (before,))
    rows = await connection.fetch(f"{_SELECT} {asked} order by d.id desc limit {asked.value(limit)}", *asked.values)
    return [_delivery(row) for row in rows]


async def find_attempts(connection: Connection, tenant_id: UUID, delivery_id: UUID) -> list[Attempt]:
    """Return the attempts of a delivery that are kept, newest first."""
    rows = await connection.fetch(
        """select number, started_at, outcome, duration_ms, status_code, error, response_head
           from notifications.attempt
           where delivery_id = (select id from notifications.delivery where id = $1 and tenant_id = $2)
           order by number desc""",
        delivery_id,
        tenant_id,
    )
    return [Attempt(**{**dict(row), "outcome": AttemptOutcome(row["outcome"])}) for row in rows]


async def make_due(tx: Transaction, tenant_id: UUID, delivery_id: UUID) -> None:
    """Have a delivery attempted now, whatever became of it, unless that is under way."""
    await tx.connection.execute(
        f"update notifications.delivery set {_DUE_NOW} where id = $1 and tenant_id = $2 and {_IS_FREE}",
        delivery_id,
        tenant_id,
    )


async def recover(tx: Transaction, tenant_id: UUID, endpoint_id: UUID, since: datetime, *, limit: int) -> int:
    """Have failed or exhausted deliveries made since then attempted now, the oldest *limit*; return how many."""
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
    return int(tag.rpartition(" ")[2])


def _delivery(row: "asyncpg.Record") -> Delivery:
    return Delivery(**{**dict(row), "status": DeliveryStatus(row["status"])})

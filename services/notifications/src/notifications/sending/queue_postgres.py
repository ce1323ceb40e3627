"""Deliveries as workers take and settle them, in PostgreSQL; every instant is the database's clock."""

from collections.abc import Sequence
from typing import Any, Final, assert_never
from uuid import UUID

import asyncpg

from notifications.domain.outcomes import Delivered, DeliveryStatus, DisabledReason, Exhausted, RetryLater, Step
from notifications.domain.sharing import QUICK_NEEDED, Candidate, Grant, is_slow
from notifications.endpoints.encryption import EncryptedSecret
from notifications.sending.rows import AttemptResult, Lease, Settled, Settlement
from servicekit.postgres import Connection, Transaction

CANDIDATES_MAX: Final = 500
ATTEMPTS_KEPT: Final = 50
"""Of one delivery: a schedule has fewer, but a delivery can be resent for ever."""
SECRETS_PER_ENDPOINT_MAX: Final = 5

# Endpoint by endpoint, so that none is read past another's backlog. However many a tenant has, the first of each
# tenant come first, of those that lag and of the others.
CANDIDATES: Final = f"""
    with ready as materialized (
        select e.id, e.tenant_id, e.failing_since is not null as is_failing, e.slowness > 0 as is_slow,
               row_number() over (
                   partition by e.tenant_id, e.failing_since is not null or e.slowness > 0 order by random()) as place
        from notifications.endpoint as e
        cross join lateral (
            select from notifications.delivery as d
            where d.endpoint_id = e.id and d.status = 'pending' and d.next_attempt_at <= now()
            order by d.next_attempt_at, d.id limit 1) as oldest
        where e.status = 'active'
        order by place, random() limit {CANDIDATES_MAX}
    )
    select ready.id as endpoint_id, ready.tenant_id, ready.is_failing, ready.is_slow,
           (select count(*) from (
               select from notifications.delivery as d
               where d.endpoint_id = ready.id and d.status = 'pending' and d.next_attempt_at <= now()
               order by d.next_attempt_at, d.id limit $1) as first) as due,
           (select count(*) from notifications.delivery as d
            where d.endpoint_id = ready.id and d.lease_token is not null and d.next_attempt_at > now()) as held
    from ready order by ready.place"""

_LEASE: Final = f"""
    select * from notifications.lease_deliveries(
        $1, $2, $3, $4, $5, {ATTEMPTS_KEPT}, {SECRETS_PER_ENDPOINT_MAX})"""

# Nothing is written where the token is another's: a worker that stood still has no say any more.
_SETTLE: Final = """
    with settled as (
        update notifications.delivery
        set status = $3, failures = $4, lease_token = null,
            next_attempt_at = now() + make_interval(secs => $5::float8 / 1000),
            delivered_at = case when $3 = 'delivered' then coalesce(delivered_at, now()) else delivered_at end,
            settled_at = case when $3 = 'pending' then null else now() end
        where id = $1 and lease_token = $2
        returning id, endpoint_id
    ), attempted as (
        update notifications.attempt as a
        set outcome = $7, duration_ms = $8, status_code = $9, error = $10, response_head = $11
        from settled where a.delivery_id = settled.id and a.number = $6
    ), health as (
        update notifications.endpoint as e
        set failing_since = case when $7 = 'delivered' then null else coalesce(e.failing_since, now()) end,
            slowness = case when $12 then $13 else greatest(0, e.slowness - 1) end
        from settled where e.id = settled.endpoint_id and (
            (e.failing_since is null) <> ($7 = 'delivered') or e.slowness <> case when $12 then $13 else 0 end)
    )
    select now() as at,
           case when $7 = 'delivered' then null else coalesce(
               (select e.failing_since from notifications.endpoint as e where e.id = settled.endpoint_id), now())
           end as failing_since
    from settled"""


class PostgresQueue:
    """Leases and settles deliveries."""

    async def candidates(self, connection: Connection, *, per_endpoint: int) -> list[Candidate]:
        """Return endpoints that have something due (counted up to *per_endpoint*), a random choice of each tenant's."""
        return [Candidate(**dict(row)) for row in await connection.fetch(CANDIDATES, per_endpoint)]

    async def lease(
        self, connection: Connection, token: UUID, grants: Sequence[Grant], *, lease_s: float
    ) -> list[Lease]:
        """Take the oldest due deliveries of *grants* for *lease_s* seconds, none that another worker is about to take.

        No endpoint gets more over all workers than its grant says.
        """
        given = {grant.endpoint_id: grant for grant in grants}
        rows = await connection.fetch(
            _LEASE,
            token,
            lease_s,
            list(given),
            [grant.attempts for grant in given.values()],
            [grant.attempts_max for grant in given.values()],
        )
        return [_lease(token, row, is_lagging=given[row["endpoint_id"]].is_lagging) for row in rows]

    async def settle(
        self, connection: Connection, lease: Lease, result: AttemptResult, settlement: Settlement
    ) -> Settled | None:
        """Write how the attempt went in one statement, or nothing (None) where the lease is another's by now."""
        status, delay_ms = _columns_of(settlement.step)
        row = await connection.fetchrow(
            _SETTLE,
            lease.delivery_id,
            lease.token,
            status,
            settlement.failures,
            delay_ms,
            lease.attempt,
            result.outcome,
            result.duration_ms,
            result.status_code,
            result.error,
            result.response_head,
            is_slow(result.outcome, result.held_ms),
            QUICK_NEEDED,
        )
        return None if row is None else Settled(at=row["at"], failing_since=row["failing_since"])

    async def disable(self, tx: Transaction, endpoint_id: UUID, reason: DisabledReason) -> bool:
        """Disable an active endpoint; return whether it was one."""
        done = await tx.connection.fetchval(
            """update notifications.endpoint set status = 'disabled', disabled_reason = $2, updated_at = now()
               where id = $1 and status = 'active' returning true""",
            endpoint_id,
            reason,
        )
        return bool(done)


def _columns_of(step: Step) -> tuple[DeliveryStatus, int]:
    """Return the status after *step*, and after how many milliseconds the delivery is due again."""
    match step:
        case Delivered():
            return DeliveryStatus.DELIVERED, 0
        case RetryLater(delay_ms=delay_ms):
            return DeliveryStatus.PENDING, delay_ms
        case Exhausted():
            return DeliveryStatus.EXHAUSTED, 0
        case _:
            assert_never(step)


def _lease(token: UUID, row: "asyncpg.Record", *, is_lagging: bool) -> Lease:
    secrets: Any = zip(row["secret_ids"] or (), row["key_versions"] or (), row["sealed"] or (), strict=True)
    return Lease(
        token=token,
        delivery_id=row["id"],
        attempt=row["attempt"],
        failures=row["failures"],
        tenant_id=row["tenant_id"],
        endpoint_id=row["endpoint_id"],
        is_lagging=is_lagging,
        url=row["url"],
        secrets=tuple(EncryptedSecret(id=i, key_version=version, ciphertext=text) for i, version, text in secrets),
        message_id=row["message_id"],
        type=row["type"],
        wallet_id=row["wallet_id"],
        body=row["body"],
        traceparent=row["traceparent"],
    )

"""Deliveries as workers take and settle them, in PostgreSQL; every instant is the database's clock."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from notifications.application.ports import Backlog, Settled, Settlement
from notifications.application.rows import Lease, Result, SealedSecret
from notifications.domain.sharing import QUICK_NEEDED, Candidate, Grant, is_slow
from servicekit.postgres import Connection, Transaction

CANDIDATES_MAX: Final = 500
ATTEMPTS_KEPT: Final = 50
"""Of one delivery: a schedule has fewer, but a delivery can be resent for ever."""
SECRETS_PER_ENDPOINT_MAX: Final = 5
BACKLOG_COUNTED_MAX: Final = 100_000
"""Of all endpoints together."""

# Endpoint by endpoint, so that none is read past another's backlog. However many a tenant has, the first of each
# tenant come first, of those that lag and of the others.
CANDIDATES: Final = f"""
    WITH ready AS MATERIALIZED (
        SELECT e.id, e.tenant_id, e.failing_since IS NOT NULL AS is_failing, e.slowness > 0 AS is_slow,
               row_number() OVER (
                   PARTITION BY e.tenant_id, e.failing_since IS NOT NULL OR e.slowness > 0 ORDER BY random()) AS place
        FROM notifications.endpoint AS e
        CROSS JOIN LATERAL (
            SELECT FROM notifications.delivery AS d
            WHERE d.endpoint_id = e.id AND d.status = 'pending' AND d.next_attempt_at <= now()
            ORDER BY d.next_attempt_at, d.id LIMIT 1) AS oldest
        WHERE e.status = 'active'
        ORDER BY place, random() LIMIT {CANDIDATES_MAX}
    )
    SELECT ready.id AS endpoint_id, ready.tenant_id, ready.is_failing, ready.is_slow,
           (SELECT count(*) FROM (
               SELECT FROM notifications.delivery AS d
               WHERE d.endpoint_id = ready.id AND d.status = 'pending' AND d.next_attempt_at <= now()
               ORDER BY d.next_attempt_at, d.id LIMIT $1) AS first) AS due,
           (SELECT count(*) FROM notifications.delivery AS d
            WHERE d.endpoint_id = ready.id AND d.lease_token IS NOT NULL AND d.next_attempt_at > now()) AS held
    FROM ready ORDER BY ready.place"""

_LEASE: Final = f"""
    SELECT * FROM notifications.lease_deliveries(
        $1, $2, $3, $4, $5, {ATTEMPTS_KEPT}, {SECRETS_PER_ENDPOINT_MAX})"""

# Nothing is written where the token is another's: a worker that stood still has no say any more.
_SETTLE: Final = """
    WITH settled AS (
        UPDATE notifications.delivery
        SET status = $3, failures = $4, lease_token = NULL,
            next_attempt_at = now() + make_interval(secs => $5::float8 / 1000),
            delivered_at = CASE WHEN $3 = 'delivered' THEN coalesce(delivered_at, now()) ELSE delivered_at END,
            settled_at = CASE WHEN $3 = 'pending' THEN NULL ELSE now() END
        WHERE id = $1 AND lease_token = $2
        RETURNING id, endpoint_id
    ), told AS (
        UPDATE notifications.attempt AS a
        SET outcome = $7, duration_ms = $8, status_code = $9, error = $10, response_head = $11
        FROM settled WHERE a.delivery_id = settled.id AND a.number = $6
    ), health AS (
        UPDATE notifications.endpoint AS e
        SET failing_since = CASE WHEN $7 = 'delivered' THEN NULL ELSE coalesce(e.failing_since, now()) END,
            slowness = CASE WHEN $12 THEN $13 ELSE greatest(0, e.slowness - 1) END
        FROM settled WHERE e.id = settled.endpoint_id AND (
            (e.failing_since IS NULL) <> ($7 = 'delivered') OR e.slowness <> CASE WHEN $12 THEN $13 ELSE 0 END)
    )
    SELECT now() AS at,
           CASE WHEN $7 = 'delivered' THEN NULL ELSE coalesce(
               (SELECT e.failing_since FROM notifications.endpoint AS e WHERE e.id = settled.endpoint_id), now())
           END AS failing_since
    FROM settled"""

# Counted up to a bound over all endpoints; the oldest is the first of some endpoint.
BACKLOG: Final = f"""
    SELECT
        (SELECT count(*) FROM (
            SELECT FROM notifications.endpoint AS e CROSS JOIN LATERAL (
                SELECT FROM notifications.delivery AS d
                WHERE d.endpoint_id = e.id AND d.status = 'pending' AND d.next_attempt_at <= now()
                ORDER BY d.next_attempt_at, d.id LIMIT {BACKLOG_COUNTED_MAX}) AS due
            WHERE e.status = 'active' LIMIT {BACKLOG_COUNTED_MAX}) AS counted) AS due,
        (SELECT coalesce(greatest(0, extract(epoch FROM now() - min(first.next_attempt_at))), 0)::float8
         FROM notifications.endpoint AS e CROSS JOIN LATERAL (
            SELECT d.next_attempt_at FROM notifications.delivery AS d
            WHERE d.endpoint_id = e.id AND d.status = 'pending' AND d.next_attempt_at <= now()
            ORDER BY d.next_attempt_at, d.id LIMIT 1) AS first
         WHERE e.status = 'active') AS oldest_s"""


class PostgresQueue:
    """Leases, settles and measures deliveries."""

    async def candidates(self, connection: Connection, *, per_endpoint: int) -> list[Candidate]:
        """Read as `DeliveryQueue.candidates` says."""
        return [Candidate(**dict(row)) for row in await connection.fetch(CANDIDATES, per_endpoint)]

    async def lease(
        self, connection: Connection, token: UUID, grants: Sequence[Grant], *, lease_s: float
    ) -> list[Lease]:
        """Lease as `DeliveryQueue.lease` says, in one statement."""
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
        self, connection: Connection, lease: Lease, result: Result, settlement: Settlement
    ) -> Settled | None:
        """Write as `DeliveryQueue.settle` says."""
        row = await connection.fetchrow(
            _SETTLE,
            lease.delivery_id,
            lease.token,
            settlement.status,
            settlement.failures,
            settlement.delay_ms or 0,
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

    async def disable(self, tx: Transaction, endpoint_id: UUID, reason: str) -> bool:
        """Disable as `DeliveryQueue.disable` says."""
        done = await tx.connection.fetchval(
            """UPDATE notifications.endpoint SET status = 'disabled', disabled_reason = $2, updated_at = now()
               WHERE id = $1 AND status = 'active' RETURNING true""",
            endpoint_id,
            reason,
        )
        return bool(done)

    async def backlog(self, connection: Connection) -> Backlog:
        """Measure as `DeliveryQueue.backlog` says."""
        row = await connection.fetchrow(BACKLOG)
        counts = await connection.fetch("SELECT status, count(*) AS n FROM notifications.endpoint GROUP BY status")
        assert row is not None
        endpoints = {count["status"]: count["n"] for count in counts}
        return Backlog(due=row["due"], oldest_s=row["oldest_s"], endpoints=endpoints)


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
        secrets=tuple(SealedSecret(id=i, key_version=version, sealed=sealed) for i, version, sealed in secrets),
        message_id=row["message_id"],
        type=row["type"],
        wallet_id=row["wallet_id"],
        body=row["body"],
        traceparent=row["traceparent"],
    )

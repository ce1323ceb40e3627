"""Endpoints in PostgreSQL."""

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from notifications.application.rows import Endpoint, SealedSecret
from servicekit.postgres import Connection, Transaction

_LOCK_CLASS: Final = 11
"""Of the advisory locks that count a tenant's endpoints."""
_COLUMNS: Final = """
    e.id, e.tenant_id, e.url, e.description, e.event_types, e.status, e.disabled_reason, e.failing_since,
    e.created_at, e.updated_at, e.paid_until,
    ARRAY(SELECT wallet_id FROM notifications.endpoint_wallet WHERE endpoint_id = e.id ORDER BY 1) AS wallet_ids
"""


class PostgresEndpoints:
    """Reads and writes endpoints. *projection* is the one whose progress a new endpoint begins at."""

    def __init__(self, projection: str) -> None:
        self._projection = projection

    async def clock(self, tx: Transaction) -> datetime:
        """Read as `Endpoints.clock` says."""
        now: datetime = await tx.connection.fetchval("SELECT now()")
        return now

    async def claim_place(self, tx: Transaction, tenant_id: UUID) -> int:
        """Count as `Endpoints.claim_place` says."""
        await tx.connection.execute(
            "SELECT pg_advisory_xact_lock($1, hashtext($2::uuid::text))", _LOCK_CLASS, tenant_id
        )
        count: int = await tx.connection.fetchval(
            "SELECT count(*) FROM notifications.endpoint WHERE tenant_id = $1 AND status <> 'deleted'", tenant_id
        )
        return count

    async def add(self, tx: Transaction, endpoint: Endpoint) -> None:
        """Add as `Endpoints.add` says: what the checkpoints cover already was before its time."""
        await tx.connection.execute(
            """INSERT INTO notifications.endpoint
                   (id, tenant_id, url, description, event_types, has_wallets, status, from_seqs, created_at,
                    updated_at)
               SELECT $1, $2, $3, $4, $5, $6, $7,
                      array_agg(coalesce(c.last_seq, 0) ORDER BY s.shard), $8, $8
               FROM generate_series(0, 63) AS s (shard)
               LEFT JOIN servicekit.checkpoint AS c ON c.projection = $9 AND c.shard = s.shard""",
            endpoint.id,
            endpoint.tenant_id,
            endpoint.url,
            endpoint.description,
            endpoint.event_types,
            bool(endpoint.wallet_ids),
            endpoint.status,
            endpoint.created_at,
            self._projection,
        )
        await self._add_wallets(tx, endpoint)

    async def get(
        self, connection: Connection, tenant_id: UUID, endpoint_id: UUID, *, lock: bool = False
    ) -> Endpoint | None:
        """Read as `Endpoints.get` says."""
        row = await connection.fetchrow(
            f"""SELECT {_COLUMNS} FROM notifications.endpoint AS e
                WHERE e.id = $1 AND e.tenant_id = $2 AND e.status <> 'deleted'
                {"FOR NO KEY UPDATE OF e" if lock else ""}""",
            endpoint_id,
            tenant_id,
        )
        return None if row is None else _endpoint(row)

    async def page(self, connection: Connection, tenant_id: UUID, *, before: UUID | None, limit: int) -> list[Endpoint]:
        """Read as `Endpoints.page` says; ids are made in the order of time."""
        rows = await connection.fetch(
            f"""SELECT {_COLUMNS} FROM notifications.endpoint AS e
                WHERE e.tenant_id = $1 AND e.status <> 'deleted' AND ($2::uuid IS NULL OR e.id < $2)
                ORDER BY e.id DESC LIMIT $3""",
            tenant_id,
            before,
            limit,
        )
        return [_endpoint(row) for row in rows]

    async def update(self, tx: Transaction, endpoint: Endpoint) -> None:
        """Write as `Endpoints.update` says."""
        await tx.connection.execute(
            """UPDATE notifications.endpoint
               SET url = $2, description = $3, event_types = $4, has_wallets = $5, status = $6, disabled_reason = $7,
                   failing_since = $8, updated_at = $9
               WHERE id = $1 AND tenant_id = $10""",
            endpoint.id,
            endpoint.url,
            endpoint.description,
            endpoint.event_types,
            bool(endpoint.wallet_ids),
            endpoint.status,
            endpoint.disabled_reason,
            endpoint.failing_since,
            endpoint.updated_at,
            endpoint.tenant_id,
        )
        await tx.connection.execute(
            "DELETE FROM notifications.endpoint_wallet WHERE endpoint_id = $1 AND wallet_id <> ALL ($2)",
            endpoint.id,
            endpoint.wallet_ids,
        )
        await self._add_wallets(tx, endpoint)

    async def keep_paid(self, tx: Transaction, endpoint_id: UUID, paid_until: datetime) -> None:
        """Write as `Endpoints.keep_paid` says."""
        await tx.connection.execute(
            "UPDATE notifications.endpoint SET paid_until = $2 WHERE id = $1", endpoint_id, paid_until
        )

    async def delete(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> None:
        """Take out of use as `Endpoints.delete` says; the row stays, so that its history can be told."""
        await tx.connection.execute("DELETE FROM notifications.endpoint_secret WHERE endpoint_id = $1", endpoint_id)
        await tx.connection.execute("DELETE FROM notifications.endpoint_wallet WHERE endpoint_id = $1", endpoint_id)
        await tx.connection.execute(
            """UPDATE notifications.endpoint SET status = 'deleted', disabled_reason = NULL, updated_at = now()
               WHERE id = $1 AND tenant_id = $2""",
            endpoint_id,
            tenant_id,
        )

    async def add_secret(
        self, tx: Transaction, endpoint_id: UUID, secret: SealedSecret, *, now: datetime, expires_others_at: datetime
    ) -> None:
        """Add as `Endpoints.add_secret` says."""
        await tx.connection.execute(
            """UPDATE notifications.endpoint_secret SET expires_at = least(expires_at, $2) WHERE endpoint_id = $1""",
            endpoint_id,
            expires_others_at,
        )
        await tx.connection.execute(
            """INSERT INTO notifications.endpoint_secret (id, endpoint_id, key_version, sealed, created_at)
               VALUES ($1, $2, $3, $4, $5)""",
            secret.id,
            endpoint_id,
            secret.key_version,
            secret.sealed,
            now,
        )

    async def _add_wallets(self, tx: Transaction, endpoint: Endpoint) -> None:
        await tx.connection.execute(
            """INSERT INTO notifications.endpoint_wallet (tenant_id, wallet_id, endpoint_id)
               SELECT $1, wallet_id, $3 FROM unnest($2::uuid[]) AS new (wallet_id) ON CONFLICT DO NOTHING""",
            endpoint.tenant_id,
            endpoint.wallet_ids,
            endpoint.id,
        )


def _endpoint(row: "asyncpg.Record") -> Endpoint:
    columns = dict(row)
    return Endpoint(**columns | {name: tuple(columns[name]) for name in ("event_types", "wallet_ids")})

"""Endpoints in PostgreSQL, always of one tenant; a deleted one is not found."""

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from notifications.domain.endpoints import Endpoint
from notifications.domain.outcomes import DisabledReason, EndpointStatus
from notifications.endpoints.encryption import EncryptedSecret
from servicekit.postgres import Connection, Transaction

CANCELLED_MAX: Final = 5_000
"""In the request that deletes an endpoint; the workers cancel the rest."""
_LOCK_CLASS: Final = 11
"""Of the advisory locks that count a tenant's endpoints."""
_COLUMNS: Final = """
    e.id, e.tenant_id, e.url, e.description, e.event_types, e.status, e.disabled_reason, e.failing_since,
    e.created_at, e.updated_at, e.paid_until,
    array(select wallet_id from notifications.endpoint_wallet where endpoint_id = e.id order by 1) as wallet_ids
"""
_SELECT_ONE: Final = f"""
    select {_COLUMNS} from notifications.endpoint as e
    where e.id = $1 and e.tenant_id = $2 and e.status <> 'deleted'"""


class PostgresEndpoints:
    """Reads and writes endpoints. *projection* is the one whose progress a new endpoint begins at."""

    def __init__(self, projection: str) -> None:
        self._projection = projection

    async def clock(self, tx: Transaction) -> datetime:
        """Return the database's time of *tx*."""
        now: datetime = await tx.connection.fetchval("select now()")
        return now

    async def claim_place(self, tx: Transaction, tenant_id: UUID) -> int:
        """Return how many endpoints the tenant has; until *tx* ends nobody else adds one."""
        await tx.connection.execute(
            "select pg_advisory_xact_lock($1, hashtext($2::uuid::text))", _LOCK_CLASS, tenant_id
        )
        count: int = await tx.connection.fetchval(
            "select count(*) from notifications.endpoint where tenant_id = $1 and status <> 'deleted'", tenant_id
        )
        return count

    async def add(self, tx: Transaction, endpoint: Endpoint) -> None:
        """Add an endpoint that wants what is projected from now on: what the checkpoints cover was before its time."""
        await tx.connection.execute(
            """insert into notifications.endpoint
                   (id, tenant_id, url, description, event_types, has_wallets, status, from_seqs, created_at,
                    updated_at)
               select $1, $2, $3, $4, $5, $6, $7,
                      array_agg(coalesce(c.last_seq, 0) order by s.shard), $8, $8
               from generate_series(0, 63) as s (shard)
               left join servicekit.checkpoint as c on c.projection = $9 and c.shard = s.shard""",
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

    async def locked(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> Endpoint | None:
        """Return an endpoint, whose row nobody else writes until *tx* ends."""
        row = await tx.connection.fetchrow(f"{_SELECT_ONE} for no key update of e", endpoint_id, tenant_id)
        return None if row is None else _endpoint(row)

    async def update(self, tx: Transaction, endpoint: Endpoint) -> None:
        """Write what commands can change; the caller holds the row."""
        await tx.connection.execute(
            """update notifications.endpoint
               set url = $2, description = $3, event_types = $4, has_wallets = $5, status = $6, disabled_reason = $7,
                   failing_since = $8, updated_at = $9
               where id = $1 and tenant_id = $10""",
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
            "delete from notifications.endpoint_wallet where endpoint_id = $1 and wallet_id <> all ($2)",
            endpoint.id,
            endpoint.wallet_ids,
        )
        await self._add_wallets(tx, endpoint)

    async def keep_paid(self, tx: Transaction, endpoint: Endpoint) -> None:
        """Write until when its paced commands are paid for; the caller holds the row."""
        await tx.connection.execute(
            "update notifications.endpoint set paid_until = $2 where id = $1", endpoint.id, endpoint.paid_until
        )

    async def delete(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> None:
        """Take the endpoint out of use, and cancel up to CANCELLED_MAX of its pending deliveries.

        Its row stays, so that its history can be told.
        """
        await tx.connection.execute("delete from notifications.endpoint_secret where endpoint_id = $1", endpoint_id)
        await tx.connection.execute("delete from notifications.endpoint_wallet where endpoint_id = $1", endpoint_id)
        await tx.connection.execute(
            """update notifications.endpoint set status = 'deleted', disabled_reason = null, updated_at = now()
               where id = $1 and tenant_id = $2""",
            endpoint_id,
            tenant_id,
        )
        await tx.connection.execute(
            """update notifications.delivery set status = 'cancelled', settled_at = now(), lease_token = null
               where id in (select id from notifications.delivery
                            where endpoint_id = $1 and tenant_id = $3 and status = 'pending' limit $2)""",
            endpoint_id,
            CANCELLED_MAX,
            tenant_id,
        )

    async def add_secret(
        self, tx: Transaction, endpoint_id: UUID, secret: EncryptedSecret, *, now: datetime, expires_others_at: datetime
    ) -> None:
        """Add the secret that signs first from now on; the others sign until *expires_others_at* at most."""
        await tx.connection.execute(
            """update notifications.endpoint_secret set expires_at = least(expires_at, $2) where endpoint_id = $1""",
            endpoint_id,
            expires_others_at,
        )
        await tx.connection.execute(
            """insert into notifications.endpoint_secret (id, endpoint_id, key_version, sealed, created_at)
               values ($1, $2, $3, $4, $5)""",
            secret.id,
            endpoint_id,
            secret.key_version,
            secret.ciphertext,
            now,
        )

    async def _add_wallets(self, tx: Transaction, endpoint: Endpoint) -> None:
        await tx.connection.execute(
            """insert into notifications.endpoint_wallet (tenant_id, wallet_id, endpoint_id)
               select $1, wallet_id, $3 from unnest($2::uuid[]) as new (wallet_id) on conflict do nothing""",
            endpoint.tenant_id,
            endpoint.wallet_ids,
            endpoint.id,
        )


async def find_endpoint(connection: Connection, tenant_id: UUID, endpoint_id: UUID) -> Endpoint | None:
    row = await connection.fetchrow(_SELECT_ONE, endpoint_id, tenant_id)
    return None if row is None else _endpoint(row)


async def find_endpoints(connection: Connection, tenant_id: UUID, *, before: UUID | None, limit: int) -> list[Endpoint]:
    """Return up to *limit* endpoints, newest first: ids are made in the order of time."""
    rows = await connection.fetch(
        f"""select {_COLUMNS} from notifications.endpoint as e
            where e.tenant_id = $1 and e.status <> 'deleted' and ($2::uuid is null or e.id < $2)
            order by e.id desc limit $3""",
        tenant_id,
        before,
        limit,
    )
    return [_endpoint(row) for row in rows]


def _endpoint(row: "asyncpg.Record") -> Endpoint:
    reason = row["disabled_reason"]
    typed = {
        "event_types": tuple(row["event_types"]),
        "wallet_ids": tuple(row["wallet_ids"]),
        "status": EndpointStatus(row["status"]),
        "disabled_reason": None if reason is None else DisabledReason(reason),
    }
    return Endpoint(**{**dict(row), **typed})

"""API keys in PostgreSQL."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from access.domain.keys import ApiKey
from access.domain.outcomes import Entity, Unknown
from servicekit.postgres import Connection, Transaction

_COLUMNS = """
    id, tenant_id, service_account_id, scopes, acts_for, ranges, digest, created_at, expires_at, ends_at, is_revoked,
    replaced_by"""


async def insert_key(tx: Transaction, key: ApiKey) -> None:
    """Add a key."""
    await tx.connection.execute(
        f"insert into access.api_key ({_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        key.id,
        key.tenant_id,
        key.service_account_id,
        key.scopes,
        key.acts_for,
        key.ranges,
        key.digest,
        key.created_at,
        key.expires_at,
        key.ends_at,
        key.is_revoked,
        key.replaced_by,
    )


async def update_key(tx: Transaction, key: ApiKey) -> None:
    """Write what can change; the caller holds the account's row."""
    await tx.connection.execute(
        "update access.api_key set ends_at = $2, is_revoked = $3, replaced_by = $4 where id = $1",
        key.id,
        key.ends_at,
        key.is_revoked,
        key.replaced_by,
    )


async def locked_keys(tx: Transaction, account_id: UUID) -> Sequence[ApiKey]:
    """Return the keys of an account whose row the caller holds, oldest first: nobody else writes them."""
    rows = await tx.connection.fetch(
        f"select {_COLUMNS} from access.api_key where service_account_id = $1 order by id", account_id
    )
    return [_key(row) for row in rows]


async def find_key(connection: Connection, tenant_id: UUID, key_id: UUID) -> ApiKey | Unknown:
    """Return a key of the tenant."""
    row = await connection.fetchrow(
        f"select {_COLUMNS} from access.api_key where id = $1 and tenant_id = $2", key_id, tenant_id
    )
    return Unknown(Entity.API_KEY) if row is None else _key(row)


async def find_keys(
    connection: Connection, tenant_id: UUID, account_id: UUID, *, before: UUID | None, limit: int
) -> Sequence[ApiKey]:
    """Return up to *limit* keys of the tenant's account older than *before*, newest first."""
    rows = await connection.fetch(
        f"""select {_COLUMNS} from access.api_key
            where service_account_id = $1 and tenant_id = $2 and ($3::uuid is null or id < $3)
            order by id desc limit $4""",
        account_id,
        tenant_id,
        before,
        limit,
    )
    return [_key(row) for row in rows]


def _key(row: "asyncpg.Record") -> ApiKey:
    acts_for = row["acts_for"]
    typed = {
        "scopes": tuple(row["scopes"]),
        "acts_for": None if acts_for is None else tuple(acts_for),
        "ranges": tuple(row["ranges"]),
    }
    return ApiKey(**{**dict(row), **typed})

"""Tenants: their rows, and what is done with them, each in a transaction that its caller has opened."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from access.domain.outcomes import Entity, Refused, Unknown
from access.domain.tenants import Tenant, TenantStatus, decide_status
from access.identities.recording import Done, Recorder
from contracts.ids import new_id
from servicekit.postgres import Connection, Transaction

_COLUMNS = "id, name, status, created_at, updated_at"


class Tenants:
    """Commands on tenants."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def create(self, tx: Transaction, name: str, tenant_id: UUID | None = None) -> Done[Tenant]:
        """Make a tenant, with a new id unless one is given."""
        now = await self._recorder.now(tx)
        tenant = Tenant(id=tenant_id or new_id(), name=name, status=TenantStatus.ACTIVE, created_at=now, updated_at=now)
        await insert_tenant(tx, tenant)
        return Done(tenant, await self._recorder.record(tx, tenant, now=now))

    async def set_status(
        self, tx: Transaction, tenant_id: UUID, wanted: TenantStatus, *, caller: UUID
    ) -> Done[Tenant] | Unknown | Refused:
        """Suspend or resume a tenant; where it is so already nothing changes. *caller* is the caller's tenant."""
        tenant = await locked_tenant(tx, tenant_id)
        if tenant is None:
            return Unknown(Entity.TENANT)
        now = await self._recorder.now(tx)
        changed = decide_status(tenant, wanted, caller=caller, now=now)
        if isinstance(changed, Refused):
            return changed
        if changed == tenant:
            return Done(tenant)
        await update_tenant(tx, changed)
        return Done(changed, await self._recorder.record(tx, changed, now=now))


async def insert_tenant(tx: Transaction, tenant: Tenant) -> None:
    """Add a tenant."""
    await tx.connection.execute(
        f"insert into access.tenant ({_COLUMNS}) values ($1, $2, $3, $4, $5)",
        tenant.id,
        tenant.name,
        tenant.status,
        tenant.created_at,
        tenant.updated_at,
    )


async def update_tenant(tx: Transaction, tenant: Tenant) -> None:
    """Write what can change; the caller holds the row."""
    await tx.connection.execute(
        "update access.tenant set name = $2, status = $3, updated_at = $4 where id = $1",
        tenant.id,
        tenant.name,
        tenant.status,
        tenant.updated_at,
    )


async def locked_tenant(tx: Transaction, tenant_id: UUID) -> Tenant | None:
    """Return a tenant whose row nobody else writes until *tx* ends; returns None if there is none."""
    row = await tx.connection.fetchrow(f"select {_COLUMNS} from access.tenant where id = $1 for update", tenant_id)
    return None if row is None else _tenant(row)


async def is_tenant(connection: Connection, tenant_id: UUID) -> bool:
    """Tell whether there is a tenant of that id, suspended or not: tenants are never deleted."""
    found: bool = await connection.fetchval("select exists (select from access.tenant where id = $1)", tenant_id)
    return found


async def find_tenants(
    connection: Connection, *, only: UUID | None, before: UUID | None, limit: int
) -> Sequence[Tenant]:
    """Return up to *limit* tenants older than *before*, newest first; *only* one, or all."""
    rows = await connection.fetch(
        f"""select {_COLUMNS} from access.tenant
            where ($1::uuid is null or id = $1) and ($2::uuid is null or id < $2) order by id desc limit $3""",
        only,
        before,
        limit,
    )
    return [_tenant(row) for row in rows]


def _tenant(row: "asyncpg.Record") -> Tenant:
    return Tenant(**{**dict(row), "status": TenantStatus(row["status"])})

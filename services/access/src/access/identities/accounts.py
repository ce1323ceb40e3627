"""Service accounts: their rows, and what is done with them, each in a transaction that its caller has opened."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from access.domain.accounts import AccountStatus, ServiceAccount, decide_create, decide_delete, decide_rename
from access.domain.grants import Grantor
from access.domain.keys import decide_revoke
from access.domain.outcomes import Entity, Forbidden, Refused, Unknown
from access.identities.events import Keyed
from access.identities.key_rows import locked_keys, update_key
from access.identities.recording import Done, Recorder
from contracts.ids import new_id
from contracts.scopes import Kind
from servicekit.postgres import Connection, Transaction

_LOCK_CLASS = 21
"""Of the advisory locks that count a tenant's accounts."""
_COLUMNS = "id, tenant_id, name, kind, status, created_at, updated_at"


class Accounts:
    """Commands on service accounts."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def create(
        self, tx: Transaction, tenant_id: UUID, name: str, kind: Kind, *, grantor: Grantor
    ) -> Done[ServiceAccount] | Refused | Forbidden:
        """Make an account without keys."""
        count = await _claim_place(tx, tenant_id)
        now = await self._recorder.now(tx)
        account = decide_create(
            name, kind, grantor=grantor, account_id=new_id(), tenant_id=tenant_id, count=count, now=now
        )
        if not isinstance(account, ServiceAccount):
            return account
        await insert_account(tx, account)
        return Done(account, await self._recorder.record(tx, account, now=now))

    async def rename(
        self, tx: Transaction, tenant_id: UUID, account_id: UUID, name: str
    ) -> Done[ServiceAccount] | Unknown:
        """Give an account another name."""
        account = await locked_account(tx, tenant_id, account_id)
        if account is None:
            return Unknown(Entity.SERVICE_ACCOUNT)
        now = await self._recorder.now(tx)
        renamed = decide_rename(account, name, now=now)
        if renamed == account:
            return Done(account)
        await update_account(tx, renamed)
        return Done(renamed, await self._recorder.record(tx, renamed, now=now))

    async def delete(self, tx: Transaction, tenant_id: UUID, account_id: UUID) -> Done[ServiceAccount] | Unknown:
        """Take an account out of use, and revoke its keys that are not."""
        account = await locked_account(tx, tenant_id, account_id)
        if account is None:
            return Unknown(Entity.SERVICE_ACCOUNT)
        now = await self._recorder.now(tx)
        deleted = decide_delete(account, now=now)
        revoked = [decide_revoke(key, now=now) for key in await locked_keys(tx, account_id) if key.is_live(now)]
        for key in revoked:
            await update_key(tx, key)
        await update_account(tx, deleted)
        told = [Keyed(key, deleted) for key in revoked]
        return Done(deleted, await self._recorder.record(tx, *told, deleted, now=now))


async def _claim_place(tx: Transaction, tenant_id: UUID) -> int:
    """Return how many accounts the tenant has; until *tx* ends nobody else adds one."""
    await tx.connection.execute("select pg_advisory_xact_lock($1, hashtext($2::uuid::text))", _LOCK_CLASS, tenant_id)
    count: int = await tx.connection.fetchval(
        "select count(*) from access.service_account where tenant_id = $1 and status <> 'deleted'", tenant_id
    )
    return count


async def insert_account(tx: Transaction, account: ServiceAccount) -> None:
    """Add an account."""
    await tx.connection.execute(
        f"insert into access.service_account ({_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7)",
        account.id,
        account.tenant_id,
        account.name,
        account.kind,
        account.status,
        account.created_at,
        account.updated_at,
    )


async def update_account(tx: Transaction, account: ServiceAccount) -> None:
    """Write what can change; the caller holds the row."""
    await tx.connection.execute(
        "update access.service_account set name = $2, status = $3, updated_at = $4 where id = $1",
        account.id,
        account.name,
        account.status,
        account.updated_at,
    )


async def locked_account(tx: Transaction, tenant_id: UUID, account_id: UUID) -> ServiceAccount | None:
    """Return an account whose row nobody else writes until *tx* ends; returns None if the tenant has none of that id.

    Whoever makes or changes a key holds its account: so two changes of one account's keys follow one another.
    """
    row = await tx.connection.fetchrow(
        f"""select {_COLUMNS} from access.service_account
            where id = $1 and tenant_id = $2 and status <> 'deleted' for update""",
        account_id,
        tenant_id,
    )
    return None if row is None else _account(row)


async def find_account(connection: Connection, tenant_id: UUID, account_id: UUID) -> ServiceAccount | Unknown:
    """Return an account of the tenant."""
    row = await connection.fetchrow(
        f"""select {_COLUMNS} from access.service_account
            where id = $1 and tenant_id = $2 and status <> 'deleted'""",
        account_id,
        tenant_id,
    )
    return Unknown(Entity.SERVICE_ACCOUNT) if row is None else _account(row)


async def account_named(tx: Transaction, tenant_id: UUID, name: str) -> UUID | None:
    """Return the id of the tenant's first active account of that name; returns None if there is none."""
    found: UUID | None = await tx.connection.fetchval(
        """select id from access.service_account
           where tenant_id = $1 and name = $2 and status = 'active' order by id limit 1""",
        tenant_id,
        name,
    )
    return found


async def find_accounts(
    connection: Connection, tenant_id: UUID, *, before: UUID | None, limit: int
) -> Sequence[ServiceAccount]:
    """Return up to *limit* accounts of the tenant older than *before*, newest first."""
    rows = await connection.fetch(
        f"""select {_COLUMNS} from access.service_account
            where tenant_id = $1 and status <> 'deleted' and ($2::uuid is null or id < $2)
            order by id desc limit $3""",
        tenant_id,
        before,
        limit,
    )
    return [_account(row) for row in rows]


def _account(row: "asyncpg.Record") -> ServiceAccount:
    return ServiceAccount(**{**dict(row), "kind": Kind(row["kind"]), "status": AccountStatus(row["status"])})

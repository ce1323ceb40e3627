"""Connections that see the rows of one tenant at a time, by row-level security: what APIs read through.

They log in as a service's reader role, whose policies compare each row's tenant with the session's `app.tenant_id`;
unset it is no tenant's. That guards against a statement that lacks its predicate, not against one that sets it itself.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, cast
from uuid import UUID

from servicekit.postgres import Connection, Pool, TenantConnection

_IS_EXEMPT: Final = "select rolsuper or rolbypassrls from pg_roles where rolname = current_user"


class ReaderExemptError(Exception):
    """The pool's role bypasses row-level security: it is not the reader's."""


class TenantPool:
    """Lends the connections of *pool*, each for one tenant."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def reading(self, tenant_id: UUID) -> AsyncIterator[Connection]:
        """Lend a connection that sees the rows of *tenant_id* alone; raises as `Pool.connection` does.

        Where it was lent for another tenant before, or for none, that is one round trip more.
        """
        async with self._pool.connection() as connection:
            # The proxy that a pool lends passes on what it does not know itself.
            await cast("TenantConnection", connection).show_tenant(tenant_id)
            yield connection

    def reading_shared(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection for tables that are no tenant's, as `Pool.connection` does.

        Of tenants' tables it shows the rows of whomever it was lent for last, or nothing.
        """
        return self._pool.connection()


async def open_tenants(pool: Pool) -> TenantPool:
    """Return *pool* as one that lends for tenants; raises ReaderExemptError where its role would see all of them.

    Raises Unavailable if the database cannot be reached.
    """
    async with pool.connection() as connection:
        await refuse_exempt(connection)
    return TenantPool(pool)


async def refuse_exempt(connection: Connection) -> None:
    """Raise ReaderExemptError where the role of *connection* would see all tenants. Driver errors pass as they are."""
    if await connection.fetchval(_IS_EXEMPT):
        raise ReaderExemptError("the reader's address names a role that row-level security does not bind")

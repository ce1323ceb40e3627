"""Reads whose predicate on the tenant is planted away: what row-level security alone is left to stop."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast
from uuid import UUID

from servicekit.postgres import Connection
from servicekit.tenant_pool import TenantPool

_PREDICATE: Final = re.compile(r"\b(?:\w+\.)?tenant_id = (\$\d+)")


class WithoutPredicates:
    """A connection that runs each statement without its comparison of tenants."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)
        if name not in {"fetch", "fetchrow", "fetchval"}:
            return method
        # The parameter stays in use, so that its type is known.
        return lambda query, *arguments: method(_PREDICATE.sub(r"\1::uuid is not null", query), *arguments)


class PlantedPool(TenantPool):
    """Lends connections that run statements without their predicates."""

    @asynccontextmanager
    async def reading(self, tenant_id: UUID) -> AsyncIterator[Connection]:
        """Lend such a connection."""
        async with super().reading(tenant_id) as connection:
            yield cast("Connection", WithoutPredicates(connection))

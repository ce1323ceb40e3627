"""What one answer is read from: one connection, so that how fresh it is and what it says are of one server."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from contracts.ids import SHARDS
from servicekit.conditions import Where
from servicekit.consumer.checkpoints import Progress
from servicekit.postgres import Connection
from servicekit.principal import Principal
from servicekit.read_model.projected import Freshness, Projected, freshness
from servicekit.tenant_pool import TenantPool
from transaction_history.projection.read_model_postgres import SCHEMA

EVERY_SHARD: Final = range(SHARDS)
_PARKED_SHOWN: Final = 10
_PARKED: Final = f"""
    select w.wallet_id from servicekit.parked_subject as p join {SCHEMA}.wallet as w on w.wallet_id = p.subject
    where p.projection = $1 and w.tenant_id = $2 order by 1 limit $3"""
_PARKED_MAX: Final = 1_000
"""How many parked wallets of a tenant are looked for: beyond, its answers lack so much that the number says little."""


@dataclass(frozen=True, slots=True)
class Parked:
    """The tenant's wallets that an answer lacks: how many, and the first ten."""

    count: int
    wallet_ids: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class View:
    """The read model for one answer to *caller*: what is not of its tenant and of owners it acts for is not there."""

    caller: Principal
    connection: Connection
    _projected: Projected
    _progress: Mapping[int, Progress]
    _min_position: Mapping[int, int]

    def asked(self, **columns: object) -> Where:
        """Return conditions on rows of the caller's tenant in which *columns* have their values."""
        return Where({"tenant_id": self.caller.tenant_id, **columns})

    async def fetch(self, query: str, asked: Where) -> list[asyncpg.Record]:
        """Return the rows of *query*, whose placeholders are those of *asked*."""
        rows: list[asyncpg.Record] = await self.connection.fetch(query, *asked.values)
        return rows

    async def refuse_parked(self, wallet_ids: Sequence[UUID]) -> None:
        """Raise SubjectParked if one of *wallet_ids* is parked."""
        await self._projected.refuse_parked_on(self.connection, wallet_ids)

    async def parked(self) -> Sequence[UUID]:
        """Return the parked wallets of the caller's tenant."""
        rows = await self.connection.fetch(_PARKED, SCHEMA, self.caller.tenant_id, _PARKED_MAX)
        return [row["wallet_id"] for row in rows]

    def freshness(self, shards: Iterable[int] = EVERY_SHARD) -> Freshness:
        """Return how fresh an answer about *shards* is."""
        return freshness(self._progress, [*self._min_position, *shards])


def told_parked(wallet_ids: Sequence[UUID]) -> Parked:
    """Return what an answer that lacks *wallet_ids* says of them."""
    return Parked(len(wallet_ids), wallet_ids[:_PARKED_SHOWN])


class Views:
    """Opens a view for each answer."""

    def __init__(self, tenants: TenantPool, projected: Projected) -> None:
        self._tenants = tenants
        self._projected = projected

    @asynccontextmanager
    async def open(self, caller: Principal, min_position: Mapping[int, int] | None = None) -> AsyncIterator[View]:
        """Give *caller* a view of no less than *min_position*; raises as `Projected.progress_after` does."""
        wanted = min_position or {}
        await self._projected.wait_for(wanted)
        async with self._tenants.reading(caller.tenant_id) as connection:
            progress = await self._projected.progress_on(connection)
            yield View(caller, connection, self._projected, progress, wanted)

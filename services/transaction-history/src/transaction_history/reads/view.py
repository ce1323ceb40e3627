"""What one answer is read from: one connection, so that how fresh it is and what it says are of one server."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

import asyncpg

from contracts.ids import SHARDS
from contracts.positions import covers
from servicekit.conditions import Where
from servicekit.consumer.checkpoints import Progress
from servicekit.failures import OperationalError
from servicekit.postgres import Connection
from servicekit.principal import Principal
from servicekit.read_model.projected import Freshness, Projected, freshness
from servicekit.read_model.waiting import PositionNotReached
from transaction_history.domain.targets import Choice, Why
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.reads.conditions import settle
from transaction_history.reads.targets import Target, Targets

Answer = TypeVar("Answer")

EVERY_SHARD: Final = range(SHARDS)
_REPLICA_FIRST: Final = 0.5
_PRIMARY_AFTERWARDS: Final = 1 - _REPLICA_FIRST
"""Shares of the bound of a wait for a position: together they are no longer than one at the primary alone."""
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

    async def answer(self, ask: Callable[["View"], Awaitable[Answer]]) -> Answer:
        """Return what *ask* finds here; raises NotModified where the caller has it, before anything is asked."""
        await settle(self.connection, self.caller, self._progress)
        return await ask(self)

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
        return await parked_wallets(self.connection, self.caller.tenant_id)

    def has_reached(self, position: Mapping[int, int]) -> bool:
        """Return whether what is read here saw no less than *position*."""
        return covers({shard: found.last_seq for shard, found in self._progress.items()}, position)

    def freshness(self, shards: Iterable[int] = EVERY_SHARD) -> Freshness:
        """Return how fresh an answer about *shards* is."""
        return freshness(self._progress, [*self._min_position, *shards])


async def parked_wallets(connection: Connection, tenant_id: UUID) -> Sequence[UUID]:
    """Return the parked wallets of a tenant."""
    rows = await connection.fetch(_PARKED, SCHEMA, tenant_id, _PARKED_MAX)
    return [row["wallet_id"] for row in rows]


def told_parked(wallet_ids: Sequence[UUID]) -> Parked:
    """Return what an answer that lacks *wallet_ids* says of them."""
    return Parked(len(wallet_ids), wallet_ids[:_PARKED_SHOWN])


class Views:
    """Opens a view for each answer: on a replica where one is near enough, else on the primary."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    async def answer(
        self, caller: Principal, min_position: Mapping[int, int], ask: Callable[[View], Awaitable[Answer]]
    ) -> Answer:
        """Return what *ask* finds in *caller*'s view of no less than *min_position*.

        It only reads, for it is called again on the primary where a replica cannot finish. Raises as
        `Projected.progress_after`, `View.answer` and *ask* do.
        """
        choice = self._targets.choose(min_position)
        if choice.replica is None:
            return await self._answer_of_primary(caller, min_position, ask, why=choice.why)
        try:
            return await self._answer_of_replica(caller, min_position, ask, choice)
        except PositionNotReached:
            why = Why.NONE_COVERS
        except OperationalError:
            why = Why.REPLICA_FAILED
        share = _PRIMARY_AFTERWARDS if choice.waits else 1.0
        return await self._answer_of_primary(caller, min_position, ask, why=why, share=share)

    async def _answer_of_primary(
        self,
        caller: Principal,
        wanted: Mapping[int, int],
        ask: Callable[[View], Awaitable[Answer]],
        *,
        why: Why,
        share: float = 1.0,
    ) -> Answer:
        primary = self._targets.primary
        self._targets.count(primary, why)
        await primary.projected.wait_for(wanted, share=share)
        async with _opened(primary, caller, wanted) as view:
            return await view.answer(ask)

    async def _answer_of_replica(
        self, caller: Principal, wanted: Mapping[int, int], ask: Callable[[View], Awaitable[Answer]], choice: Choice
    ) -> Answer:
        assert choice.replica is not None, "the primary is no replica"
        replica = self._targets.replica(choice.replica)
        if choice.waits:
            await replica.projected.wait_for(wanted, share=_REPLICA_FIRST)
        async with _opened(replica, caller, wanted) as view:
            if not view.has_reached(wanted):  # another server than the one that was probed
                raise PositionNotReached
            self._targets.count(replica, choice.why)
            return await view.answer(ask)


@asynccontextmanager
async def _opened(target: Target, caller: Principal, wanted: Mapping[int, int]) -> AsyncIterator[View]:
    async with target.tenants.reading(caller.tenant_id) as connection:
        progress = await target.projected.progress_on(connection)
        yield View(caller, connection, target.projected, progress, wanted)

"""What reads on a projection share: they may wait for a position, report how fresh they are, refuse what is parked."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from contracts.ids import SHARDS
from servicekit.consumer import checkpoints, parking
from servicekit.consumer.checkpoints import Progress
from servicekit.consumer.watermarks import complete_until
from servicekit.postgres import Connection, Pool
from servicekit.read_model.waiting import PositionWaiter


class SubjectParked(Exception):
    """A subject that the answer touches is parked: what is stored of it is behind, for longer than any lag shows."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """Up to where the answer saw the journal, by shard, and how far that is behind.

    What occurred up to *complete_until* is all in it, as far as it is of the shards that were asked about; None where
    that is not known.
    """

    position: Mapping[int, int]
    lag_ms: int
    complete_until: datetime | None = None


def freshness(progress: Mapping[int, Progress], shards: Iterable[int]) -> Freshness:
    """Return how fresh an answer about *shards* is, which was read after *progress*."""
    asked = sorted(set(shards))
    seen = {shard: progress[shard] for shard in asked if shard in progress}
    lag_ms = max((shard.lag_ms for shard in seen.values()), default=0)
    reads = [seen[shard].read_at if shard in seen else None for shard in asked]
    position = {shard: found.last_seq for shard, found in seen.items() if found.last_seq}
    return Freshness(position, lag_ms, complete_until(reads))


class Projected(AbstractAsyncContextManager["Projected"]):
    """The projection *name* in the database of *pool*, as its readers see it.

    As a context manager it ends its polling on the way out.
    """

    def __init__(self, pool: Pool, name: str) -> None:
        self._pool = pool
        self._name = name
        self._waiter = PositionWaiter(self._reached)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._waiter.close()

    async def progress_after(self, min_position: Mapping[int, int]) -> Mapping[int, Progress]:
        """Wait for *min_position*; return the progress as of before anything else is read: the answer saw no less.

        Raises PositionNotReached, and Overloaded where too many wait.
        """
        await self.wait_for(min_position)
        return await self._progress()

    async def wait_for(self, min_position: Mapping[int, int], *, share: float = 1.0) -> None:
        """Wait for *min_position*, empty for none, for a *share* of the bound; raises as `progress_after` does."""
        if min_position:
            await self._waiter.wait_for(min_position, share=share)

    async def progress_on(self, connection: Connection) -> Mapping[int, Progress]:
        """Return the progress as *connection* sees it: what is read on it afterwards saw no less."""
        return await checkpoints.progress(connection, self._name)

    async def refuse_parked_on(self, connection: Connection, subjects: Sequence[UUID]) -> None:
        """Raise SubjectParked if one of *subjects* is."""
        if subjects and await parking.is_parked(connection, self._name, subjects):
            raise SubjectParked

    async def refuse_parked(self, subjects: Sequence[UUID]) -> None:
        """Raise SubjectParked if one of *subjects* is."""
        async with self._pool.connection() as connection:
            await self.refuse_parked_on(connection, subjects)

    async def freshness(self) -> Freshness:
        """Return how fresh an answer about every shard is."""
        return freshness(await self._progress(), range(SHARDS))

    async def _progress(self) -> Mapping[int, Progress]:
        async with self._pool.connection() as connection:
            return await self.progress_on(connection)

    async def _reached(self, shards: Collection[int]) -> Mapping[int, int]:
        async with self._pool.connection() as connection:
            return await checkpoints.reached(connection, self._name, shards)

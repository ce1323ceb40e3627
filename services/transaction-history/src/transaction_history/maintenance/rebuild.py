"""Rebuilding the read model blue/green: a second schema from the topic's beginning, compared, and switched to.

The live projection goes on meanwhile. Its checkpoints are locked for moments: first until a transaction sees both
schemas at one position, in which whole tables are hashed while the live projection is far ahead again; then, for the
switch, until the few rows that were written since are compared key by key. Reads are answered all the time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import asyncpg
from prometheus_client import CollectorRegistry

from servicekit.clock import monotonic_s
from servicekit.consumer import checkpoints
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.consumer.records import Received
from servicekit.consumer.topic_reader import TopicReader
from servicekit.postgres import Connection, Pool, connect
from transaction_history.maintenance.comparing import parsed_event
from transaction_history.maintenance.folds import disagreements, is_current
from transaction_history.maintenance.hashes import TableHash, table_hashes
from transaction_history.maintenance.second_schema import Rebuildable, Schemas
from transaction_history.maintenance.sessions import READING, READING_TIMEOUT_S
from transaction_history.maintenance.tails import Tail, differing_tables

LIVE_CATCHES_UP_S: Final = 60.0
TAIL_EVENTS: Final = 2_000
"""Of so many events the rows are compared in a moment, under the lock."""
TAIL_ROUNDS: Final = 4
"""Each leaves fewer; where events come too fast for that, what is left by then is compared under the lock."""
TAIL_EVENTS_MAX: Final = 2_000_000
"""Their keys are kept in memory."""
_POLL_S: Final = 0.1


class RebuildError(Exception):
    """The rebuild cannot be finished; the live read model was not touched."""


class Unusable(RebuildError):
    """What was filled is of no use any more: the next rebuild begins anew."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The hashes of both schemas at the same checkpoints, by table; *disagreements* are what must not differ beside.

    Where the live tables are those of the release before, their hashes differ, and *disagreements* are all that counts.
    *held_s* is how long the live projection waited at most.
    """

    live: Mapping[str, TableHash]
    rebuilt: Mapping[str, TableHash]
    is_outdated: bool
    disagreements: Mapping[str, int]
    is_switched: bool = False
    held_s: float = 0.0

    @property
    def is_equal(self) -> bool:
        """Whether every table has the same rows, or, of another release's, all agrees that must."""
        return not self.disagreements and (self.is_outdated or self.live == self.rebuilt)


@dataclass(frozen=True, slots=True)
class Progress:
    """How many records are read, of this run and of those before it, and how many there are left."""

    read: int
    left: int


async def fill(
    what: Rebuildable, schema: str, reader: TopicReader, *, pool: Pool, told: Callable[[Progress], None]
) -> None:
    """Apply all that *reader* gives to *schema*, and tell how far that is; raises Unusable where events are missing."""
    processor = _processor(what, schema, pool)
    async with pool.connection() as connection:
        read = sum((await checkpoints.read_to(connection, schema)).values())
    left = await reader.left()
    told(Progress(read, left))
    async for received in reader.to_end():
        await _apply(processor, received)
        read, left = read + len(received), max(0, left - len(received))
        told(Progress(read, left))


class Rebuild:
    """Compares *schema*, which is filled, through a pool of the app role; *tail_events* is for tests."""

    def __init__(
        self,
        what: Rebuildable,
        schemas: Schemas,
        *,
        pool: Pool,
        schema: str,
        tail_events: int = TAIL_EVENTS,
    ) -> None:
        self._what = what
        self._schemas = schemas
        self._pool = pool
        self._filled = schema
        self._tail_events = tail_events
        self._processor = _processor(what, schema, pool)
        self._tail: Tail | None = None
        self._ahead: list[Received] = []
        self._held_s = 0.0

    async def run(self, owner: Connection, owner_dsn: str, reader: TopicReader, *, switch: bool) -> Comparison:
        """Compare what was filled, and switch where that is asked for and all is equal; else it is gone after.

        Raises RebuildError if the topic lacks events, events cannot be applied, or the live projection stays behind.
        """
        try:
            await self._schemas.make_indexes(owner)
            await self._catch_up(reader)
            if self._what.may_be_outdated and not await is_current(owner, self._what.name):
                comparison = await self._compare_outdated(owner, reader, switch=switch)
            else:
                comparison = await self._compare(owner, owner_dsn, reader, switch=switch)
        except Unusable:
            await self._schemas.drop_next(owner)
            raise
        if not comparison.is_switched:
            await self._schemas.drop_next(owner)
        return replace(comparison, held_s=self._held_s)

    async def go_back(self, owner: Connection, reader: TopicReader) -> float:
        """Bring what was live before up to date, and exchange it with what is live; return for how long that waited."""
        await self._catch_up(reader)
        async with self._holding(owner, reader):
            await self._schemas.switch_back(owner)
        return self._held_s

    async def _catch_up(self, reader: TopicReader) -> None:
        """Apply what has come since, and wait until the live projection has as well."""
        async for received in self._polled(reader):
            await self._process(received)
        try:
            async with asyncio.timeout(LIVE_CATCHES_UP_S):
                while not await self._is_live_as_far():  # noqa: ASYNC110  the event is in the database
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise RebuildError("the live projection is behind the topic: is the projector running?") from None

    async def _process(self, received: Sequence[Received]) -> None:
        await _apply(self._processor, received)
        if self._tail is not None:
            parsed = [event for record in received if (event := parsed_event(record)) is not None]
            self._tail.add(len(received), self._what.keys(parsed))
            if self._tail.events > TAIL_EVENTS_MAX:
                raise RebuildError("more was written during the comparison than can be kept in mind: try again later")

    async def _polled(self, reader: TopicReader) -> AsyncIterator[list[Received]]:
        """Give what was read and not applied, for the live projection was not as far, and all that has come since."""
        ahead, self._ahead = self._ahead, []
        yield ahead
        async for received in reader.to_end():
            yield received

    async def _is_live_as_far(self) -> bool:
        async with self._pool.connection() as connection:
            live = await checkpoints.progress(connection, self._what.name)
            rebuilt = await checkpoints.progress(connection, self._filled)
        return all(shard in live and live[shard].last_seq >= come.last_seq for shard, come in rebuilt.items())

    @asynccontextmanager
    async def _holding(self, owner: Connection, reader: TopicReader) -> AsyncIterator[None]:
        """Hold the live checkpoints, with both schemas at them, while the body runs."""
        began_s = monotonic_s()
        async with owner.transaction():
            live = await _lock_live(owner, self._what.name)
            ahead: list[Received] = []
            async for received in self._polled(reader):
                await self._process([record for record in received if record.sequence <= live.get(record.shard, 0)])
                ahead += [record for record in received if record.sequence > live.get(record.shard, 0)]
            self._ahead = ahead
            await self._require_same_position(owner, live)
            yield
        self._held_s = max(self._held_s, monotonic_s() - began_s)

    async def _require_same_position(self, owner: Connection, live: Mapping[int, int]) -> None:
        rebuilt = {shard: come.last_seq for shard, come in (await checkpoints.progress(owner, self._filled)).items()}
        if rebuilt != {shard: seq for shard, seq in live.items() if seq > 0}:
            raise Unusable("the topic does not reach the live projection's checkpoints")
        parked = await owner.fetchval(
            "select count(*) from servicekit.parked_subject where projection = $1", self._filled
        )
        if parked:
            raise Unusable(f"{parked} wallets have events that this release cannot project")

    async def _compare_outdated(self, owner: Connection, reader: TopicReader, *, switch: bool) -> Comparison:
        """Compare with the tables of the release before, all of it under the lock: their rows have other columns."""
        name, filled = self._what.name, self._filled
        async with self._holding(owner, reader):
            comparison = Comparison(
                await self._hashes(owner, name),
                await self._hashes(owner, filled),
                is_outdated=True,
                disagreements=await disagreements(owner, name, filled),
            )
            if switch and comparison.is_equal:
                await self._schemas.switch(owner)
                comparison = replace(comparison, is_switched=True)
        return comparison

    async def _compare(self, owner: Connection, owner_dsn: str, reader: TopicReader, *, switch: bool) -> Comparison:
        """Hash the tables as of one position, and compare what was written behind it until little is left."""
        name, filled = self._what.name, self._filled
        async with self._seeing_both(owner, owner_dsn, reader) as (seen, _):
            comparison = Comparison(
                await self._hashes(seen, name), await self._hashes(seen, filled), is_outdated=False, disagreements={}
            )
        if not switch or not comparison.is_equal:
            return comparison
        await self._catch_up(reader)
        for _ in range(TAIL_ROUNDS):
            if self._tail is None or self._tail.events <= self._tail_events:
                break
            async with self._seeing_both(owner, owner_dsn, reader) as (seen, tail):
                found = await differing_tables(seen, tail, name, filled)
            if found:
                return replace(comparison, disagreements=found)
            await self._catch_up(reader)
        async with self._holding(owner, reader):
            assert self._tail is not None, "it is kept since both were seen"
            found = await differing_tables(owner, self._tail, name, filled)
            if not found:
                await self._schemas.switch(owner)
        return replace(comparison, disagreements=found, is_switched=not found)

    @asynccontextmanager
    async def _seeing_both(
        self, owner: Connection, owner_dsn: str, reader: TopicReader
    ) -> AsyncIterator[tuple[Connection, Tail]]:
        """Give a connection that sees both schemas at one position, and what was written since the one before."""
        seen = await connect(
            owner_dsn, application_name="rebuild-reads", command_timeout_s=READING_TIMEOUT_S, session=READING
        )
        try:
            async with seen.transaction(isolation="repeatable_read", readonly=True):
                async with self._holding(owner, reader):
                    await seen.execute("select 1")  # what is seen is of the first statement
                    tail, self._tail = self._tail or Tail(), Tail()
                yield seen, tail
        finally:
            await seen.close()

    async def _hashes(self, connection: Connection, schema: str) -> dict[str, TableHash]:
        return await table_hashes(connection, schema, leaving_out=self._what.uncompared)


def _processor(what: Rebuildable, schema: str, pool: Pool) -> Processor:
    return Processor(what.projecting(schema), pool, ConsumerMetrics(ConsumerFamilies(CollectorRegistry()), schema))


async def _apply(processor: Processor, received: Sequence[Received]) -> None:
    if received and await processor.process(received):
        raise Unusable("the topic lacks events: write the journal to a topic anew and rebuild from that")


async def _lock_live(owner: Connection, name: str) -> dict[int, int]:
    rows: list[asyncpg.Record] = await owner.fetch(
        """select shard, last_seq from servicekit.checkpoint where projection = $1 order by shard for no key update""",
        name,
    )
    return {row["shard"]: row["last_seq"] for row in rows}

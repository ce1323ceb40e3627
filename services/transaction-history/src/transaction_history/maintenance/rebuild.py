"""Rebuilding the read model blue/green: a second schema from the topic's beginning, compared, and switched to.

The live projection goes on meanwhile. Only for the comparison, and the switch with it, are its checkpoints locked: it
waits, and reads are answered all the time.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import asyncpg
from prometheus_client import CollectorRegistry

from servicekit.consumer import checkpoints
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.consumer.projection import Projection
from servicekit.consumer.records import Received
from servicekit.consumer.topic_reader import TopicReader
from servicekit.migrations import MigrationSource, Roles, for_roles, read_functions, read_source
from servicekit.postgres import Connection, Pool, connect
from transaction_history.maintenance.folds import disagreements, is_current
from transaction_history.maintenance.hashes import TableHash, table_hashes
from transaction_history.maintenance.sessions import COMMAND_TIMEOUT_S, SESSION

LIVE_CATCHES_UP_S: Final = 60.0
_POLL_S: Final = 0.1


class RebuildError(Exception):
    """The rebuild cannot be finished; the live read model was not touched."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The hashes of both schemas at the same checkpoints, by table.

    Where the live tables are those of the release before, their hashes differ: *disagreements* are then what must not.
    """

    live: Mapping[str, TableHash]
    rebuilt: Mapping[str, TableHash]
    is_outdated: bool
    disagreements: Mapping[str, int]
    is_switched: bool = False

    @property
    def is_equal(self) -> bool:
        """Whether every table has the same rows, or, of another release's, all agrees that must."""
        return not self.disagreements if self.is_outdated else self.live == self.rebuilt


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuildable:
    """A projection that can be built a second time: *name* is its own and its schema's, *source* makes its tables.

    *projecting* makes the one that writes to a schema, and is named as it. *uncompared* are tables that do not come
    from events alone. *names_itself*: functions of *source* name the schema in their text, and are applied anew where
    it is renamed. *may_be_outdated*: the live tables may be of the release before.
    """

    name: str
    source: MigrationSource
    projecting: Callable[[str], Projection]
    uncompared: frozenset[str] = frozenset()
    names_itself: bool = False
    may_be_outdated: bool = False

    @property
    def next_name(self) -> str:
        """The name while it is built."""
        return f"{self.name}_next"

    @property
    def old_name(self) -> str:
        """The name of what it has replaced."""
        return f"{self.name}_old"


class Rebuild:
    """One rebuild, over a connection of the owner role and a pool of the app role."""

    def __init__(self, what: Rebuildable, *, owner_dsn: str, roles: Roles, pool: Pool) -> None:
        self._what = what
        self._owner_dsn = owner_dsn
        self._roles = roles
        self._pool = pool
        metrics = ConsumerMetrics(ConsumerFamilies(CollectorRegistry()), what.next_name)
        self._processor = Processor(what.projecting(what.next_name), pool, metrics)

    async def run(self, reader: TopicReader, *, switch: bool) -> Comparison:
        """Build, compare, and where *switch* is asked for and all is equal, switch; the second schema is gone after.

        Raises RebuildError if the topic lacks events, events cannot be applied, or the live projection stays behind.
        """
        owner = await connect(
            self._owner_dsn, application_name="rebuild", command_timeout_s=COMMAND_TIMEOUT_S, session=SESSION
        )
        try:
            await self._clear(owner)
            await self._make_schema(owner)
            async for received in reader.to_end():
                await self._process(received)
            await self._until_live_is_as_far()
            comparison = await self._compare(owner, reader, switch=switch)
            await self._clear(owner)
        finally:
            await owner.close()
        return comparison

    async def _clear(self, owner: Connection) -> None:
        async with owner.transaction():
            await owner.execute(f"drop schema if exists {self._what.next_name} cascade")
            await owner.execute(f"drop schema if exists {self._what.old_name} cascade")
            await _forget_parked(owner, self._what.next_name)
            await owner.execute("delete from servicekit.checkpoint where projection = $1", self._what.next_name)

    async def _make_schema(self, owner: Connection) -> None:
        async with owner.transaction():
            migrations, functions = read_source(self._what.source), read_functions(self._what.source)
            name = re.compile(rf"\b{self._what.name}\b")
            for sql in (*(each.sql for each in migrations), *(each.sql for each in functions)):
                await owner.execute(for_roles(name.sub(self._what.next_name, sql), self._roles))

    async def _process(self, received: Sequence[Received]) -> None:
        if received and await self._processor.process(received):
            raise RebuildError("the topic lacks events: write the journal to a topic anew and rebuild from that")

    async def _until_live_is_as_far(self) -> None:
        try:
            async with asyncio.timeout(LIVE_CATCHES_UP_S):
                while not await self._is_live_as_far():  # noqa: ASYNC110  the event is in the database
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise RebuildError("the live projection is behind the topic: is the projector running?") from None

    async def _is_live_as_far(self) -> bool:
        async with self._pool.connection() as connection:
            live = await checkpoints.progress(connection, self._what.name)
            rebuilt = await checkpoints.progress(connection, self._what.next_name)
        return all(shard in live and live[shard].last_seq >= come.last_seq for shard, come in rebuilt.items())

    async def _compare(self, owner: Connection, reader: TopicReader, *, switch: bool) -> Comparison:
        async with owner.transaction():
            live = await _lock_live(owner, self._what.name)
            async for received in reader.to_end():
                await self._process([record for record in received if record.sequence <= live.get(record.shard, 0)])
            await self._require_same_position(owner, live)
            name, next_name = self._what.name, self._what.next_name
            is_outdated = self._what.may_be_outdated and not await is_current(owner, name)
            comparison = Comparison(
                await self._hashes(owner, name),
                await self._hashes(owner, next_name),
                is_outdated,
                await disagreements(owner, name, next_name) if is_outdated else {},
            )
            if switch and comparison.is_equal:
                await self._switch(owner)
                comparison = replace(comparison, is_switched=True)
        return comparison

    async def _hashes(self, owner: Connection, schema: str) -> dict[str, TableHash]:
        return await table_hashes(owner, schema, leaving_out=self._what.uncompared)

    async def _switch(self, owner: Connection) -> None:
        """Give the rebuilt tables the live name. Sessions resolve names anew: no read fails, and nothing is locked."""
        await owner.execute(f"alter schema {self._what.name} rename to {self._what.old_name}")
        await owner.execute(f"alter schema {self._what.next_name} rename to {self._what.name}")
        if self._what.names_itself:
            for function in read_functions(self._what.source):
                await owner.execute(for_roles(function.sql, self._roles))

    async def _require_same_position(self, owner: Connection, live: Mapping[int, int]) -> None:
        rebuilt = {
            shard: come.last_seq for shard, come in (await checkpoints.progress(owner, self._what.next_name)).items()
        }
        if rebuilt != {shard: seq for shard, seq in live.items() if seq > 0}:
            raise RebuildError("the topic does not reach the live projection's checkpoints")
        parked = await owner.fetchval(
            "select count(*) from servicekit.parked_subject where projection = $1", self._what.next_name
        )
        if parked:
            raise RebuildError(f"{parked} wallets have events that this release cannot project")


async def _lock_live(owner: Connection, name: str) -> dict[int, int]:
    rows: list[asyncpg.Record] = await owner.fetch(
        """select shard, last_seq from servicekit.checkpoint where projection = $1 order by shard for no key update""",
        name,
    )
    return {row["shard"]: row["last_seq"] for row in rows}


async def _forget_parked(owner: Connection, projection: str) -> None:
    await owner.execute("delete from servicekit.parked_subject where projection = $1", projection)

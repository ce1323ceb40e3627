"""A rebuild, joined."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing import get_context
from typing import Final

from contracts.topics import WALLET_EVENTS
from servicekit.consumer import checkpoints
from servicekit.consumer.topic_reader import TopicReader, open_topic
from servicekit.migrations import Roles
from servicekit.postgres import Connection, connect, open_pool
from transaction_history.bootstrap.parts import history_source, index_source, make_index_projection, make_projection
from transaction_history.config import HistoryOwnerSettings, HistorySettings
from transaction_history.indexing.projection import INDEX
from transaction_history.maintenance.folds import is_current
from transaction_history.maintenance.rebuild import (
    TAIL_EVENTS,
    Comparison,
    Progress,
    Rebuild,
    RebuildError,
    Unusable,
    fill,
)
from transaction_history.maintenance.second_schema import Rebuildable, Schemas
from transaction_history.maintenance.sessions import COMMAND_TIMEOUT_S, SESSION
from transaction_history.maintenance.tails import index_keys, ledger_keys
from transaction_history.projection.read_model_postgres import SCHEMA

_TELL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Owning:
    """What is rebuilt, its schemas, and a connection of their owner."""

    what: Rebuildable
    schemas: Schemas
    connection: Connection


class Rebuilt(StrEnum):
    """Which projection is rebuilt."""

    LEDGER = "ledger"
    INDEX = "index"


def rebuildable(settings: HistorySettings, what: Rebuilt) -> Rebuildable:
    """Return a projection as it is built a second time."""
    if what is Rebuilt.LEDGER:
        return Rebuildable(
            name=SCHEMA,
            source=history_source(),
            projecting=lambda schema: make_projection(settings, schema),
            keys=ledger_keys,
            may_be_outdated=True,
        )
    return Rebuildable(
        name=INDEX,
        source=index_source(),
        projecting=lambda schema: make_index_projection(settings, schema),
        keys=index_keys,
        # Segments are made ahead, and minutes are forgotten.
        uncompared=frozenset({"search_segment", "minute_total"}),
        names_itself=True,
    )


@asynccontextmanager
async def _owning(settings: HistorySettings, owner: HistoryOwnerSettings, what: Rebuilt) -> AsyncIterator[_Owning]:
    """Give what works on the schemas of a projection."""
    rebuilt = rebuildable(settings, what)
    roles = Roles(owner.transaction_history_app_role, owner.transaction_history_reader_role)
    connection = await connect(
        owner.transaction_history_owner_database_url,
        application_name="rebuild",
        command_timeout_s=COMMAND_TIMEOUT_S,
        session=SESSION,
    )
    try:
        yield _Owning(rebuilt, Schemas(rebuilt, roles), connection)
    finally:
        await connection.close()


async def rebuild(
    settings: HistorySettings,
    owner: HistoryOwnerSettings,
    *,
    switch: bool,
    what: Rebuilt = Rebuilt.LEDGER,
    partitions: int = WALLET_EVENTS.partitions,
    processes: int = 1,
    told: Callable[[Progress], None] = lambda _: None,
    tail_events: int = TAIL_EVENTS,
) -> Comparison:
    """Build a projection a second time from the topic, compare, and switch where asked; *told* hears how far it is.

    One that was ended on its way goes on from there. *tail_events* is for tests. Raises RebuildError.
    """
    async with await open_pool(settings.rebuilding) as pool, _owning(settings, owner, what) as own:
        await own.schemas.begin(own.connection)
        rebuilding = Rebuild(own.what, own.schemas, pool=pool, schema=own.what.next_name, tail_events=tail_events)
        try:
            await _fill_all(settings, own.what.next_name, partitions, what, processes=processes, told=told)
        except Unusable:
            await own.schemas.drop_next(own.connection)
            raise
        async with _reading(settings, own.connection, own.what.next_name, partitions) as reader:
            dsn = owner.transaction_history_owner_database_url
            return await rebuilding.run(own.connection, dsn, reader, switch=switch)


async def switch_back(
    settings: HistorySettings,
    owner: HistoryOwnerSettings,
    *,
    what: Rebuilt = Rebuilt.LEDGER,
    partitions: int = WALLET_EVENTS.partitions,
    processes: int = 1,
    told: Callable[[Progress], None] = lambda _: None,
) -> float:
    """Bring the tables that were live before up to date, and exchange them with those that are.

    Returns for how many seconds the live projection waited. Raises RebuildError.
    """
    async with await open_pool(settings.rebuilding) as pool, _owning(settings, owner, what) as own:
        old = own.what.old_name
        if not await own.schemas.has_old(own.connection):
            raise RebuildError("there is nothing to switch back to")
        if own.what.may_be_outdated and not await is_current(own.connection, old):
            raise RebuildError("what was live before is of the release before, which alone can bring it up to date")
        going_back = Rebuild(own.what, own.schemas, pool=pool, schema=old)
        await _fill_all(settings, old, partitions, what, processes=processes, told=told)
        async with _reading(settings, own.connection, old, partitions) as reader:
            return await going_back.go_back(own.connection, reader)


async def drop_old(settings: HistorySettings, owner: HistoryOwnerSettings, *, what: Rebuilt = Rebuilt.LEDGER) -> bool:
    """Drop the tables that were live before a switch; return whether they were there."""
    async with _owning(settings, owner, what) as own:
        return await own.schemas.drop_old(own.connection)


async def _fill(
    settings: HistorySettings, schema: str, partitions: range, what: Rebuilt, told: Callable[[Progress], None]
) -> None:
    """Apply to *schema* what the topic has in *partitions*."""
    async with await open_pool(settings.rebuilding) as pool:
        async with pool.connection() as connection:
            offsets = await checkpoints.read_to(connection, schema)
        async with open_topic(settings.brokers, settings.transaction_history_topic, partitions, offsets) as reader:
            await fill(rebuildable(settings, what), schema, reader, pool=pool, told=told)


def _fill_apart(settings: HistorySettings, schema: str, partitions: range, what: Rebuilt) -> None:
    """Do as `_fill`, in a process of its own."""
    asyncio.run(_fill(settings, schema, partitions, what, lambda _: None))


async def _fill_all(
    settings: HistorySettings,
    schema: str,
    partitions: int,
    what: Rebuilt,
    *,
    processes: int,
    told: Callable[[Progress], None],
) -> None:
    """Apply to *schema* what the topic has, in so many *processes*: applying is their work more than the database's."""
    if processes == 1:
        await _fill(settings, schema, range(partitions), what, told)
        return
    loop = asyncio.get_running_loop()
    async with await open_pool(settings.rebuilding) as pool, pool.connection() as connection:
        async with _reading(settings, connection, schema, partitions) as reader:
            left = await reader.left()
        began = await _read(connection, schema)
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as executor:
            filling = {
                loop.run_in_executor(executor, _fill_apart, settings, schema, range(lane, partitions, processes), what)
                for lane in range(processes)
            }
            pending = filling
            while pending:
                _, pending = await asyncio.wait(pending, timeout=_TELL_S)
                read = await _read(connection, schema)
                told(Progress(read, max(0, began + left - read)))
        for each in filling:
            each.result()


async def _read(connection: Connection, schema: str) -> int:
    return sum((await checkpoints.read_to(connection, schema)).values())


@asynccontextmanager
async def _reading(
    settings: HistorySettings, connection: Connection, schema: str, partitions: int
) -> AsyncIterator[TopicReader]:
    """Give the topic from where *schema* was filled to."""
    offsets = await checkpoints.read_to(connection, schema)
    async with open_topic(settings.brokers, settings.transaction_history_topic, partitions, offsets) as reader:
        yield reader

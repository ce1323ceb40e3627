"""The index's tables, from events as its consumer is given them."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope
from contracts.ids import shard_of
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.maintenance.jobs import JobRun
from servicekit.postgres import Pool
from testkit.databases import Database
from testkit.events import Stream, received, wallet_in
from transaction_history import bootstrap
from transaction_history.config import HistorySettings, Segment
from transaction_history.indexing.projection import INDEX
from transaction_history.maintenance.hashes import table_hashes
from transaction_history.maintenance.index_jobs import index_jobs

pytestmark = pytest.mark.integration

TABLES = ("search_entry", "wallet_hour", "counterparty", "day_total", "minute_total", "shard_total", "wallet_held")


async def feed(indexer: Processor, *events: Envelope) -> None:
    assert not await indexer.process([received(event, event.sequence) for event in events])


def life(stream: Stream, *shards: int) -> list[Envelope]:
    """Return what happens to two wallets of these shards."""
    ours, theirs = (wallet_in(shard) for shard in shards)
    events = [stream.opened(ours), stream.opened(theirs), *stream.deposit(ours, 1_000)]
    events += [*stream.transfer(ours, theirs, 30), *stream.held(ours, theirs)]
    return events


async def rows(pool: Pool, query: str, *values: object) -> list[Mapping[str, Any]]:
    async with pool.connection() as connection:
        return [dict(row) for row in await connection.fetch(query, *values)]


def indexer_of(pool: Pool, segment: Segment) -> Processor:
    settings = HistorySettings(transaction_history_database_url="unused", transaction_history_search_segment=segment)
    metrics = ConsumerMetrics(ConsumerFamilies(CollectorRegistry()), "index")
    return Processor(bootstrap.make_index_projection(settings), pool, metrics)


async def hashes(database: Database) -> Mapping[str, object]:
    connection = await asyncpg.connect(database.dsn_owner)
    try:
        return {name: each for name, each in (await table_hashes(connection, INDEX)).items() if name in TABLES}
    finally:
        await connection.close()


async def test_events_fed_again_into_empty_tables_make_equal_rows(
    database: Database, pool: Pool, indexer: Processor
) -> None:
    events = life(Stream(), 3, 4)
    await feed(indexer, *events)
    whole = await hashes(database)
    owner = await asyncpg.connect(database.dsn_owner)
    await owner.execute(f"truncate {', '.join(f'{INDEX}.{table}' for table in TABLES)}")
    await owner.execute("delete from servicekit.checkpoint where projection = $1", INDEX)
    await owner.close()

    for event in events:
        await feed(indexer, event)
        await feed(indexer, event)  # what the broker repeats is skipped

    assert await hashes(database) == whole
    assert len(await rows(pool, f"select from {INDEX}.search_entry")) == 8


async def test_two_indexers_write_no_row_together(pool: Pool) -> None:
    streams = [life(Stream(), 3, 5), life(Stream(), 4, 6)]

    await asyncio.gather(*(feed(indexer_of(pool, Segment.WEEK), *events) for events in streams))

    for table in ("day_total", "minute_total", "shard_total"):
        found = await rows(pool, f"select shard, count(*) from {INDEX}.{table} group by shard")
        assert {row["shard"] for row in found} <= {3, 4, 5, 6}
    totals = await rows(pool, f"select shard, wallets, posted from {INDEX}.shard_total order by shard")
    assert [(row["shard"], row["wallets"], int(row["posted"])) for row in totals] == [
        (3, 1, 969),
        (4, 1, 969),
        (5, 1, 31),
        (6, 1, 31),
    ]


async def test_a_segment_is_made_before_what_it_is_for(pool: Pool, indexer: Processor) -> None:
    stream, wallet = Stream(), wallet_in(3)
    opened, early, late = stream.opened(wallet), stream.deposited(wallet), stream.deposited(wallet)
    late = msgspec.structs.replace(late, time=late.time + timedelta(days=20))

    await feed(indexer, opened, early, late)

    segments = await rows(pool, f"select * from {INDEX}.search_segment order by begins_at")
    assert [(row["begins_at"].date().isoformat(), row["is_used"]) for row in segments] == [
        ("2025-12-29", True),
        ("2026-01-19", True),
    ]
    assert {(row["ends_at"] - row["begins_at"]).days for row in segments} == {7}


async def test_a_segment_of_another_width_is_what_is_left_of_it(pool: Pool) -> None:
    stream, wallet = Stream(), wallet_in(3)
    events = [stream.opened(wallet), *(stream.deposited(wallet) for _ in range(3))]
    for event, days, segment in zip(events[1:], (10, 3, 25), (Segment.WEEK, Segment.MONTH, Segment.MONTH), strict=True):
        moved = msgspec.structs.replace(event, time=event.time + timedelta(days=days))
        await feed(indexer_of(pool, segment), *([events[0]] if days == 10 else []), moved)

    segments = await rows(pool, f"select begins_at::date as begins, ends_at::date as ends from {INDEX}.search_segment")
    assert sorted((row["begins"].isoformat(), row["ends"].isoformat()) for row in segments) == [
        ("2026-01-01", "2026-01-05"),
        ("2026-01-05", "2026-01-12"),
        ("2026-01-12", "2026-02-01"),
    ]


async def test_what_is_dated_ahead_parks_its_wallet_and_no_other(pool: Pool, indexer: Processor) -> None:
    stream, ours, theirs = Stream(), wallet_in(3), wallet_in(3)
    opened = [stream.opened(ours), stream.opened(theirs)]
    ahead = stream.deposited(ours)
    ahead = msgspec.structs.replace(ahead, time=ahead.time + timedelta(days=10_000))

    await feed(indexer, *opened, ahead, stream.deposited(theirs))

    (parked,) = await rows(pool, "select projection, subject, reason from servicekit.parked_subject")
    assert (parked["projection"], parked["subject"]) == (INDEX, ours)
    assert "DatedAhead" in parked["reason"]
    assert [row["wallet_id"] for row in await rows(pool, f"select wallet_id from {INDEX}.search_entry")] == [theirs]


async def test_the_app_role_makes_segments_and_nothing_else(database: Database) -> None:
    app = await asyncpg.connect(database.dsn_app)
    try:
        for width, days, error in (
            ("year", 0, asyncpg.InvalidParameterValueError),
            ("day", 101, asyncpg.DatetimeFieldOverflowError),
        ):
            with pytest.raises(error):
                await app.fetch(
                    f"select {INDEX}.ensure_search_segments(array[clock_timestamp() + $1::interval], $2, true)",
                    timedelta(days=days),
                    width,
                )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(f"create table {INDEX}.mine ()")
    finally:
        await app.close()


async def test_the_indexer_makes_segments_ahead_and_forgets_old_minutes(pool: Pool, indexer: Processor) -> None:
    await feed(indexer, *life(Stream(), 3, 4))
    query = f"""insert into {INDEX}.minute_total
                select tenant_id, clock_timestamp() - make_interval(days => $1), currency, type, shard, 1, 1, 0, 0
                from {INDEX}.day_total limit 1"""
    async with pool.connection() as connection:
        for days in (7, 9):
            await connection.execute(query, days)
        jobs = {job.name: job for job in index_jobs(Segment.WEEK)}
        run = JobRun(connection, None)

        assert await jobs["forget_minutes"].run(run) == 1
        assert await jobs["ensure_search_segments"].run(run) in {13, 14}
        assert await jobs["ensure_search_segments"].run(run) == 0
    assert len(await rows(pool, f"select from {INDEX}.minute_total")) == 1
    assert len(await rows(pool, f"select from {INDEX}.search_segment where is_used")) == 1


async def test_counted_rows_change_in_place(pool: Pool, indexer: Processor) -> None:
    stream, wallet = Stream(), wallet_in(3)
    assert shard_of(wallet) == 3
    await feed(indexer, stream.opened(wallet))
    for _ in range(20):
        await feed(indexer, stream.deposited(wallet))

    (day,) = await rows(pool, f"select entries, credits from {INDEX}.day_total")
    assert (day["entries"], int(day["credits"])) == (20, 2_000)
    await rows(pool, "select pg_stat_force_next_flush()")
    updates = await rows(
        pool,
        """select relname, n_tup_upd, n_tup_hot_upd from pg_stat_user_tables
           where schemaname = $1 and n_tup_upd > 0 and relname <> 'search_segment'""",
        INDEX,
    )
    assert {row["relname"] for row in updates} == {"wallet_hour", "counterparty", "day_total", "shard_total"}
    assert all(row["n_tup_upd"] == row["n_tup_hot_upd"] for row in updates)

"""What a rebuild keeps: a half-filled schema, what was live before; and what it compares last."""

import asyncio
import os
import random
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope
from contracts.events import parse_data
from servicekit.consumer import checkpoints
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.migrations import Roles
from servicekit.postgres import Connection
from testkit.databases import Database
from testkit.events import Stream, received, wallet_in
from testkit.topic_bench import TopicBench
from testkit.waiting import eventually
from transaction_history import bootstrap
from transaction_history.bootstrap import Rebuilt
from transaction_history.config import HistoryOwnerSettings, HistorySettings
from transaction_history.maintenance.rebuild import Comparison, Progress, RebuildError
from transaction_history.maintenance.second_schema import Schemas
from transaction_history.maintenance.tails import Tail, differing_tables
from transaction_history.projection.read_model_postgres import SCHEMA

pytestmark = pytest.mark.integration


@dataclass(kw_only=True)
class Bench(TopicBench):
    settings: HistorySettings
    owner: HistoryOwnerSettings

    async def rebuild(self, **more: Any) -> Comparison:
        return await bootstrap.rebuild(
            self.settings, self.owner, **{"switch": False, "partitions": self.partitions, **more}
        )

    async def switch_back(self, *, what: Rebuilt) -> None:
        await bootstrap.switch_back(self.settings, self.owner, what=what, partitions=self.partitions)

    async def begin(self, owner: Connection, what: Rebuilt) -> None:
        """Make the second schema, empty."""
        roles = Roles(self.owner.transaction_history_app_role, self.owner.transaction_history_reader_role)
        assert not await Schemas(bootstrap.rebuildable(self.settings, what), roles).begin(owner)


@pytest.fixture
def bench(topic_bench: TopicBench, topic_settings: HistorySettings, owner_settings: HistoryOwnerSettings) -> Bench:
    return Bench(**vars(topic_bench), settings=topic_settings, owner=owner_settings)


def some(stream: Stream, seed: int) -> list[Envelope]:
    """Return what happens to a few wallets."""
    dice = random.Random(seed)
    wallets = [wallet_in(dice.randrange(64)) for _ in range(8)]
    events = [stream.opened(wallet) for wallet in wallets]
    for _ in range(30):
        one, two = dice.sample(wallets, 2)
        events += [*stream.deposit(one, 500), *stream.transfer(one, two, 70)]
    return events


async def write_until(ended: asyncio.Event, bench: Bench, wallet: UUID) -> None:
    while not ended.is_set():
        await bench.publish([bench.stream.deposited(wallet)])


def dated_later(event: Envelope) -> Envelope:
    """Return it in a partition that is still to be made."""
    return msgspec.structs.replace(event, time=event.time + timedelta(days=60))


@pytest.mark.parametrize("what", Rebuilt)
async def test_what_was_live_is_kept_brought_up_to_date_and_switched_back_to(bench: Bench, what: Rebuilt) -> None:
    what_is_built = bootstrap.rebuildable(bench.settings, what)
    projection = what_is_built.projecting(what_is_built.name)
    events = some(bench.stream, 6)
    async with bench.projecting(projection):
        await bench.publish(events)
        await eventually(lambda: bench.all_applied(events, projection.name))
        assert (await bench.rebuild(switch=True, what=what)).is_switched
        later = [*bench.stream.deposit(events[0].subject), dated_later(bench.stream.deposited(events[0].subject))]
        await bench.publish(later)
        await eventually(lambda: bench.all_applied([*events, *later], projection.name))
        async with bench.pool.connection() as connection:
            before = await oid_of(connection, projection.name)

        await bench.switch_back(what=what)
        last = msgspec.structs.replace(bench.stream.deposited(events[0].subject), time=later[-1].time)
        await bench.publish([last])
        await eventually(lambda: bench.all_applied([*events, *later, last], projection.name))

        assert (await bench.rebuild(what=what)).is_equal
    async with bench.pool.connection() as connection:
        assert await oid_of(connection, f"{projection.name}_old") == before
        assert await checkpoints.reached(connection, f"{projection.name}_old", range(64))
    assert await bootstrap.drop_old(bench.settings, bench.owner, what=what)
    assert not await bootstrap.drop_old(bench.settings, bench.owner, what=what)
    with pytest.raises(RebuildError, match="nothing to switch back to"):
        await bench.switch_back(what=what)


async def oid_of(connection: Connection, schema: str) -> int | None:
    oid: int | None = await connection.fetchval("select to_regnamespace($1)::oid", schema)
    return oid


async def test_a_rebuild_that_was_killed_goes_on_where_it_was(bench: Bench) -> None:
    events = some(bench.stream, 7)
    await bench.publish(events)
    command = [sys.executable, "-m", "transaction_history", "projections", "rebuild"]
    environment = {
        "TRANSACTION_HISTORY_DATABASE_URL": bench.settings.transaction_history_database_url,
        "TRANSACTION_HISTORY_OWNER_DATABASE_URL": bench.owner.transaction_history_owner_database_url,
        "TRANSACTION_HISTORY_TOPIC": bench.settings.transaction_history_topic,
        "KAFKA_BOOTSTRAP_SERVERS": bench.settings.kafka_bootstrap_servers,
    }
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment}, stderr=pipe)
    await eventually(lambda: is_filled(bench), within_s=60)
    process.kill()
    await process.communicate()
    more = [bench.stream.opened(wallet_in(5))]
    heard: list[Progress] = []
    async with bench.projecting(bootstrap.make_projection(bench.settings)):
        await bench.publish(more)
        await eventually(lambda: bench.all_applied([*events, *more], SCHEMA))

        comparison = await bench.rebuild(told=heard.append)

    assert comparison.is_equal
    assert heard[0].read > 0
    assert heard[0].read + heard[0].left == len(events) + len(more)
    assert heard[-1].left == 0


async def test_a_topic_that_lacks_events_leaves_nothing_behind(bench: Bench) -> None:
    events = some(bench.stream, 10)
    await bench.publish(events[:3] + events[4:])

    with pytest.raises(RebuildError, match="lacks events"):
        await bench.rebuild(processes=2)

    async with bench.pool.connection() as connection:
        assert await oid_of(connection, f"{SCHEMA}_next") is None
    assert await bench.reached(f"{SCHEMA}_next") == {}


async def is_filled(bench: Bench) -> bool:
    """Return whether something of the topic is in the second schema."""
    return bool(await bench.reached(f"{SCHEMA}_next"))


async def test_a_half_filled_schema_of_other_tables_is_begun_anew(bench: Bench, database: Database) -> None:
    owner = await asyncpg.connect(database.dsn_owner)
    await owner.execute("create schema transaction_history_next; create table transaction_history_next.foreign_one ()")
    await owner.execute("""comment on schema transaction_history_next is '{"digest": "other", "indexes": []}'""")
    await owner.close()
    events = some(bench.stream, 8)
    async with bench.projecting(bootstrap.make_projection(bench.settings)):
        await bench.publish(events)
        await eventually(lambda: bench.all_applied(events, SCHEMA))

        comparison = await bench.rebuild(switch=True, processes=2)

    assert comparison.is_switched
    async with bench.pool.connection() as connection:
        indexes = """select replace(indexdef, $1 || '.', '') from pg_indexes where schemaname = $1 order by 1"""
        made = [await connection.fetch(indexes, schema) for schema in (SCHEMA, f"{SCHEMA}_old")]
        invalid = await connection.fetchval("select count(*) from pg_index where not indisvalid")
    assert len(made[0]) == len(made[1]) > 0
    assert invalid == 0


async def test_what_is_written_while_tables_are_hashed_is_compared_before_the_switch(bench: Bench) -> None:
    wallet = wallet_in(9)
    events = [*some(bench.stream, 9), bench.stream.opened(wallet)]
    ended = asyncio.Event()
    async with bench.projecting(bootstrap.make_projection(bench.settings)):
        await bench.publish(events)
        await eventually(lambda: bench.all_applied(events, SCHEMA))
        writing = asyncio.create_task(write_until(ended, bench, wallet))

        comparison = await bench.rebuild(switch=True, tail_events=1)
        ended.set()
        await writing

    assert comparison.is_switched


@pytest.mark.parametrize("what", Rebuilt)
async def test_a_row_of_the_newest_events_that_differs_is_found_by_its_key(
    bench: Bench, database: Database, what: Rebuilt
) -> None:
    what_is_built = bootstrap.rebuildable(bench.settings, what)
    name = what_is_built.name
    wallet, other = wallet_in(3), wallet_in(4)
    events = [bench.stream.opened(wallet), bench.stream.opened(other), *bench.stream.deposit(wallet, 1_000)]
    events += bench.stream.held(wallet, other)
    owner = await asyncpg.connect(database.dsn_owner)
    await bench.begin(owner, what)
    for schema in (name, f"{name}_next"):
        metrics = ConsumerMetrics(ConsumerFamilies(CollectorRegistry()), schema)
        processor = Processor(what_is_built.projecting(schema), bench.pool, metrics)
        assert not await processor.process([received(event, event.sequence) for event in events])
    tail = Tail()
    tail.add(len(events), what_is_built.keys([(event, parse_data(event.type, event.data)) for event in events]))

    assert await differing_tables(owner, tail, name, f"{name}_next") == {}
    for table in tail.keys:
        column = COUNTED.get(table, "amount_minor")
        await owner.execute(f"update {name}.{table} set {column} = {column} + 1")
        assert list(await differing_tables(owner, tail, name, f"{name}_next"))[-1] == f"newest rows of {table}"
    await owner.close()


COUNTED = {
    "wallet": "version",
    "state_change": "seq",
    "transaction": "entries_seen",
    "balance_day": "entries",
    "wallet_hour": "entries",
    "counterparty": "entries",
    "day_total": "entries",
    "shard_total": "wallets",
    "wallet_held": "held_minor",
}

"""The projector on a real topic, and a rebuild beside it: the same rows, hash for hash, and no read that fails."""

import asyncio
import random
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope
from servicekit.consumer.projection import Projection
from servicekit.migrations import Roles, for_roles, read_source
from servicekit.postgres import open_pool
from servicekit.read_model.projected import Projected
from servicekit.tenant_pool import TenantPool
from testkit.access import principal_of
from testkit.databases import Database
from testkit.events import Stream, wallet_in
from testkit.topic_bench import TopicBench
from testkit.waiting import eventually
from transaction_history import bootstrap
from transaction_history.bootstrap import Rebuilt
from transaction_history.config import HistoryOwnerSettings, HistorySettings
from transaction_history.indexing.projection import INDEX
from transaction_history.maintenance.folds import ReadModelOutdated
from transaction_history.maintenance.hashes import table_hashes
from transaction_history.maintenance.rebuild import Comparison
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.reads.targets import Target, Targets
from transaction_history.reads.view import Views
from transaction_history.reads.wallets import WalletUnknown, known_wallet

pytestmark = pytest.mark.integration


@dataclass(kw_only=True)
class Bench(TopicBench):
    settings: HistorySettings
    owner: HistoryOwnerSettings

    async def rebuild(self, *, switch: bool = False, what: Rebuilt = Rebuilt.LEDGER) -> Comparison:
        return await bootstrap.rebuild(self.settings, self.owner, switch=switch, what=what, partitions=self.partitions)


@pytest.fixture
def bench(topic_bench: TopicBench, topic_settings: HistorySettings, owner_settings: HistoryOwnerSettings) -> Bench:
    return Bench(**vars(topic_bench), settings=topic_settings, owner=owner_settings)


def projecting(bench: Bench, projection: Projection | None = None) -> AbstractAsyncContextManager[None]:
    return bench.projecting(projection or bootstrap.make_projection(bench.settings))


def day(stream: Stream, seed: int) -> list[Envelope]:
    dice = random.Random(seed)
    wallets = [wallet_in(dice.randrange(64)) for _ in range(20)]
    events = [stream.opened(wallet) for wallet in wallets]
    for _ in range(200):
        one, two = dice.sample(wallets, 2)
        events += [*stream.deposit(one, 500), *stream.transfer(one, two, 70)]
    return events


async def test_every_event_becomes_a_row_and_a_rebuild_makes_the_same(bench: Bench) -> None:
    events = day(bench.stream, 1)
    async with projecting(bench):
        await bench.publish(events)
        await eventually(lambda: all_applied(bench, events))

        comparison = await bench.rebuild()

    assert comparison.is_equal
    assert not comparison.is_switched
    assert {name: table.rows for name, table in comparison.live.items()} == {
        "wallet": 20,
        "state_change": 20,
        "entry": 600,
        "system_entry": 200,
        "transaction": 400,
        "hold": 0,
        "balance_day": 20,
    }
    assert await schemas(bench) == {"transaction_history"}


async def test_what_changes_of_a_wallet_later_is_the_same_in_a_rebuild(bench: Bench) -> None:
    """In a poll of its own: the wallet is known, so its row is changed."""
    wallet = wallet_in(7)
    opened, terms = [bench.stream.opened(wallet)], bench.stream.terms(wallet)
    async with projecting(bench):
        for events in (opened, terms):
            await bench.publish(events)
            await eventually(lambda events=events: all_applied(bench, events))  # type: ignore[misc]  # this turn's

        comparison = await bench.rebuild()

    assert comparison.is_equal


async def all_applied(bench: Bench, events: list[Envelope], projection: str = SCHEMA) -> bool:
    return await bench.all_applied(events, projection)


async def schemas(bench: Bench) -> set[str]:
    async with bench.pool.connection() as connection:
        rows = await connection.fetch("select nspname from pg_namespace where nspname like 'transaction_history%'")
    return {row["nspname"] for row in rows}


async def test_a_row_that_was_tampered_with_shows_in_the_hash(bench: Bench) -> None:
    events = day(bench.stream, 2)
    async with projecting(bench):
        await bench.publish(events)
        await eventually(lambda: all_applied(bench, events))
        async with bench.pool.connection() as connection:
            await connection.execute("update transaction_history.wallet set posted_minor = posted_minor + 1")

        comparison = await bench.rebuild(switch=True)

    assert [name for name, live in comparison.live.items() if comparison.rebuilt[name] != live] == ["wallet"]
    assert not comparison.is_switched


async def test_a_switch_under_load_fails_no_read_and_the_projection_goes_on(bench: Bench) -> None:
    events = day(bench.stream, 3)
    wallet = wallet_in(9)
    ended = asyncio.Event()
    async with (
        projecting(bench),
        await open_pool(bench.settings.api.pool) as pool,
        Projected(pool, SCHEMA) as projected,
    ):
        primary = Target("primary", TenantPool(pool), projected)
        views = Views(Targets(primary, [], lag_ms_max=1_000, registry=CollectorRegistry()))
        await bench.publish([*events, bench.stream.opened(wallet)])
        await eventually(lambda: known(views, wallet))
        reading = asyncio.create_task(read_until(ended, views, wallet))
        writing = asyncio.create_task(write_until(ended, bench, wallet))

        comparison = await bench.rebuild(switch=True)
        ended.set()
        count, written = await reading, await writing
        last = bench.stream.deposited(wallet)
        await bench.publish([last])
        await eventually(lambda: all_applied(bench, [*events, *written, last]))

    assert comparison.is_switched
    assert count > 0
    async with bench.pool.connection() as connection:
        assert (await table_hashes(connection, SCHEMA))["entry"].rows == 600 + len(written) + 1


async def known(views: Views, wallet: UUID) -> bool:
    try:
        await views.answer(principal_of(), {}, lambda view: known_wallet(view, wallet))
    except WalletUnknown:
        return False
    return True


async def read_until(ended: asyncio.Event, views: Views, wallet: UUID) -> int:
    count = 0
    while not ended.is_set():
        assert await known(views, wallet)
        count += 1
    return count


async def write_until(ended: asyncio.Event, bench: Bench, wallet: UUID) -> list[Envelope]:
    written: list[Envelope] = []
    while not ended.is_set():
        event = bench.stream.deposited(wallet)
        written.append(event)
        await bench.publish([event])
    return written


async def make_outdated(bench: Bench, database: Database) -> None:
    """Give the live model the tables of the release before, with the rows that it would have."""
    source = bootstrap.history_source()
    roles = Roles(bench.owner.transaction_history_app_role, bench.owner.transaction_history_reader_role)
    before = [for_roles(migration.sql, roles) for migration in read_source(source)[:4]]
    connection = await asyncpg.connect(database.dsn_owner)
    async with connection.transaction():
        await connection.execute("alter schema transaction_history rename to made")
        for sql in before:
            await connection.execute(sql)
        for table in ("wallet", "entry", "system_entry", "state_change"):
            columns = await connection.fetchval(
                """select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
                   where attrelid = ('transaction_history.' || $1::text)::regclass and attnum > 0
                     and attname <> 'held_minor_after' or attrelid = 'transaction_history.entry'::regclass
                     and $1 = 'entry' and attname = 'held_minor_after'""",
                table,
            )
            counted = " where entry_index is not null" if table == "entry" else ""
            await connection.execute(
                f"insert into transaction_history.{table} ({columns}) select {columns} from made.{table}{counted}"
            )
        await connection.execute("drop schema made cascade")
    await connection.close()


async def test_a_model_of_the_release_before_is_refused_and_a_rebuild_replaces_it(
    bench: Bench, database: Database
) -> None:
    events = day(bench.stream, 4)
    async with projecting(bench):
        await bench.publish(events)
        await eventually(lambda: all_applied(bench, events))
    await make_outdated(bench, database)
    with pytest.raises(ReadModelOutdated):
        await bootstrap.refuse_outdated_model(bench.settings)
    async with bench.pool.connection() as connection:
        await connection.execute("update transaction_history.wallet set held_minor = held_minor + 1")
        assert (await bench.rebuild(switch=True)).disagreements == {"wallets that differ": 20}
        await connection.execute("update transaction_history.wallet set held_minor = held_minor - 1")

    comparison = await bench.rebuild(switch=True)

    assert comparison.is_outdated
    assert comparison.is_switched
    await bootstrap.refuse_outdated_model(bench.settings)
    assert (await bench.rebuild()).is_equal


async def test_a_projector_of_the_release_before_writes_nothing_and_tries_again(bench: Bench) -> None:
    async with bench.pool.connection() as connection:
        with pytest.raises(asyncpg.SerializationError):
            await connection.execute(
                """insert into transaction_history.wallet (wallet_id, tenant_id, owner_id, currency, status,
                       restrictions, overdraft_limit_minor, posted_minor, held_minor, version, opened_at, last_at)
                   values ($1, $1, 'ann', 'USD', 'open', '[]', 0, 0, 0, 1, now(), now())""",
                wallet_in(3),
            )


async def test_the_index_is_rebuilt_the_same_and_goes_on_behind_a_switch(bench: Bench) -> None:
    events = day(bench.stream, 5)
    async with projecting(bench, bootstrap.make_index_projection(bench.settings)):
        await bench.publish(events)
        await eventually(lambda: all_applied(bench, events, INDEX))

        comparison = await bench.rebuild(switch=True, what=Rebuilt.INDEX)
        later = dated_later(bench.stream.deposited(wallet_of(events)))
        await bench.publish([later])
        await eventually(lambda: all_applied(bench, [*events, later], INDEX))

    assert comparison.is_switched
    assert comparison.live["search_entry"].rows == 600
    assert {"search_segment", "minute_total"}.isdisjoint(comparison.live)
    async with bench.pool.connection() as connection:
        assert await connection.fetchval("select count(*) from history_index.search_entry") == 601
        functions = await connection.fetch(
            "select prosrc from pg_proc join pg_namespace n on n.oid = pronamespace where nspname = 'history_index'"
        )
    assert not [function for function in functions if "history_index_next" in function["prosrc"]]


def wallet_of(events: list[Envelope]) -> UUID:
    return events[0].subject


def dated_later(event: Envelope) -> Envelope:
    """Return it in a segment that is still to be made, through a function of the rebuilt schema."""
    return msgspec.structs.replace(event, time=event.time + timedelta(days=60))

"""Drift on a real topic: the walk over it, what it remembers, the index's counters, and the command."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from contracts import events
from contracts.envelope import Envelope
from contracts.ids import new_id
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.consumer.topic_reader import open_topic
from servicekit.maintenance.jobs import JobRun
from servicekit.telemetry import Telemetry, Tracing
from testkit.events import Stream, wallet_in
from testkit.topic_bench import TopicBench
from transaction_history import bootstrap
from transaction_history.bootstrap import Rebuilt
from transaction_history.config import HistoryOwnerSettings, HistorySettings
from transaction_history.domain.drift import MISSING, UNEXPECTED
from transaction_history.maintenance.drift import Drift, Range
from transaction_history.maintenance.repair import RepairError

pytestmark = pytest.mark.integration

WALLETS = [wallet_in(shard) for shard in (0, 1, 2, 33, 34, 63)]


@dataclass(kw_only=True)
class Bench(TopicBench):
    settings: HistorySettings
    owner: HistoryOwnerSettings
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    async def project(self, told: Sequence[Envelope]) -> None:
        """Publish *told*, and apply all that is in the topic to both projections."""
        await self.publish(told)
        metrics = ConsumerMetrics(ConsumerFamilies(CollectorRegistry()), "probe")
        made = (bootstrap.make_projection(self.settings), bootstrap.make_index_projection(self.settings))
        processors = [Processor(each, self.pool, metrics) for each in made]
        async with open_topic(self.settings.brokers, self.topic, self.partitions) as reader:
            async for polled in reader.to_end():
                for processor in processors:
                    await processor.process(polled)

    async def plant(self, statement: str) -> None:
        owner = await asyncpg.connect(self.owner.transaction_history_owner_database_url)
        try:
            assert await owner.execute(statement) not in {"UPDATE 0", "DELETE 0", "INSERT 0 0"}
        finally:
            await owner.close()

    @asynccontextmanager
    async def walks(self) -> AsyncIterator[list[Drift]]:
        """Give what a worker looks for drift with: of the ledger, and of the index."""
        telemetry = Telemetry("transaction_history", "worker", "1", CollectorRegistry(), Tracing("test", 0.0))
        self.registry = telemetry.registry
        ledger, index = bootstrap.drifts(self.settings, telemetry)
        async with ledger, index:
            yield [ledger, index]

    async def round(self, walk: Drift, projection: str) -> int:
        """Have *walk* go on to the end of a round; return how many events it compared."""
        async with self.pool.connection() as connection:
            query, compared = "select coalesce(max(rounds), 0) from history_jobs.drift where projection = $1", 0
            before = await connection.fetchval(query, projection)
            for _ in range(100):
                compared += await walk.run(JobRun(connection, None))
                if await connection.fetchval(query, projection) > before:
                    return compared
        raise AssertionError("the round has no end")

    def counted(self, table: str, projection: str) -> float:
        labels = {"projection": projection, "table": table}
        return self.registry.get_sample_value("history_drift_differences_total", labels) or 0.0

    async def by_hand(self, wanted: Range = Range(), *, what: Rebuilt = Rebuilt.LEDGER) -> set[tuple[str, str]]:  # noqa: B008  frozen
        return {
            (each.table, each.column)
            async for compared in bootstrap.drift(self.settings, wanted, what=what)
            for each in compared.differences
        }


@pytest.fixture
def bench(topic_bench: TopicBench, topic_settings: HistorySettings, owner_settings: HistoryOwnerSettings) -> Bench:
    return Bench(**vars(topic_bench), settings=topic_settings, owner=owner_settings)


def day(stream: Stream, transfers: int = 30) -> list[Envelope]:
    dice = random.Random(1)
    told = [stream.opened(wallet) for wallet in WALLETS]
    for wallet in WALLETS:
        told += stream.deposit(wallet, 10_000)
    for _ in range(transfers):
        source, destination = dice.sample(WALLETS, 2)
        told += stream.transfer(source, destination)
    return [*told, *stream.held(WALLETS[0], WALLETS[1])]


async def test_a_round_over_the_topic_compares_every_event_and_begins_anew(bench: Bench) -> None:
    told = day(Stream())
    await bench.project(told)

    async with bench.walks() as walks:
        for walk, projection in zip(walks, ("transaction_history", "history_index"), strict=True):
            assert await bench.round(walk, projection) == len(told)
            await bench.plant("update history_index.day_total set credits = credits + 1")
            await bench.plant("update transaction_history.wallet set held_minor = held_minor + 1")
            with capture_logs() as logs:
                assert await bench.round(walk, projection) == len(told)
            table = {"transaction_history": "wallet", "history_index": "day_total"}[projection]
            assert {(log["table"], log["log_level"]) for log in logs if log["event"] == "history.drift"} == {
                (table, "error")
            }
            assert bench.counted(table, projection) > 0


async def test_another_worker_goes_on_where_one_ended(bench: Bench) -> None:
    told = day(Stream())
    await bench.project(told)
    async with bench.walks() as (ledger, _), bench.pool.connection() as connection:
        first = await ledger.run(JobRun(connection, None))

    async with bench.walks() as (ledger, index):
        rest = await bench.round(ledger, "transaction_history")
        assert await bench.round(index, "history_index") == len(told)

    assert 0 < first < len(told)
    assert first + rest == len(told)


async def test_what_the_topic_has_no_more_is_passed_over_and_said(bench: Bench) -> None:
    told = day(Stream())
    await bench.project(told)
    async with bench.walks() as (ledger, index), bench.pool.connection() as connection:
        await forget(bench, 0)
        with capture_logs() as logs:
            compared = await bench.round(ledger, "transaction_history")
            await bench.round(index, "history_index")
        assert await connection.fetchval("select next_offset from history_jobs.drift limit 1") == 0

    assert 0 < compared < len(told)
    assert {log["partition"] for log in logs if log["event"] == "history.drift_skipped"} == {0}
    assert not [log for log in logs if log["event"] == "history.drift"]


async def forget(bench: Bench, partition: int) -> None:
    """Have the broker delete the first half of *partition*, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bench.kafka_bootstrap)
    await admin.start()
    part = TopicPartition(bench.topic, partition)
    try:
        await admin.delete_records({part: RecordsToDelete(before_offset=20)})
    finally:
        await admin.close()


INDEX_PLANTED = {
    "update history_index.search_entry set amount_minor = 1 where seq = 2": ("search_entry", "amount_minor"),
    "update history_index.search_entry set terms = '{}'": ("search_entry", "terms"),
    "delete from history_index.search_entry where seq = 2": ("search_entry", MISSING),
    "update history_index.wallet_hour set entries = entries + 1": ("wallet_hour", "entries"),
    "update history_index.counterparty set first_at = first_at - interval '1 s'": ("counterparty", "first_at"),
    "delete from history_index.counterparty": ("counterparty", MISSING),
    "update history_index.day_total set transactions = transactions + 1": ("day_total", "transactions"),
    "insert into history_index.day_total select tenant_id, day + 1, currency, type, shard, 1, 1, 1, 1"
    " from history_index.day_total": ("day_total", UNEXPECTED),
    "update history_index.shard_total set posted = posted + 1": ("shard_total", "posted_minor"),
    "update history_index.wallet_held set held_minor = 1": ("wallet_held", "held_minor"),
}


async def test_each_planted_wrong_row_of_the_index_is_named(bench: Bench) -> None:
    await bench.project(day(Stream()))
    assert await bench.by_hand(what=Rebuilt.INDEX) == set()

    for planted, named in INDEX_PLANTED.items():
        await bench.plant(planted)
        assert named in await bench.by_hand(what=Rebuilt.INDEX), planted


async def test_by_hand_a_range_of_sequences_is_looked_at_alone(bench: Bench) -> None:
    await bench.project(day(Stream()))
    await bench.plant("update transaction_history.entry set amount_minor = 1 where shard = 33 and seq = 2")

    assert ("entry", "amount_minor") in await bench.by_hand()
    assert ("entry", "amount_minor") in await bench.by_hand(Range(shard=33, from_seq=2, to_seq=2))
    assert await bench.by_hand(Range(shard=33, from_seq=4)) == set()
    assert await bench.by_hand(Range(shard=34)) == set()
    assert await bench.by_hand(Range(shard=5)) == set()


WRONG = (
    "update transaction_history.entry set amount_minor = 1 where shard = 0 and seq = 2",
    "delete from transaction_history.entry where shard = 0 and seq = 4",
    "update transaction_history.entry set debits_after = debits_after + 1 where wallet_id = '{0}' and amount_minor < 0",
    "update transaction_history.transaction set refunded_minor = 10, refundable_minor = 10 where type = 'capture'",
    "update transaction_history.hold set captured_minor = captured_minor + 1, transactions = '{{}}'",
    "update transaction_history.balance_day set posted_minor = posted_minor + 1 where wallet_id = '{0}'",
    "update transaction_history.wallet set posted_minor = posted_minor + 1 where wallet_id = '{0}'",
    "delete from history_index.search_entry where wallet_id = '{0}'",
    "update history_index.wallet_hour set entries = 0 where wallet_id = '{0}'",
    "update history_index.day_total set credits = credits + 1 where shard = 0",
)


async def test_a_repaired_wallet_is_what_a_rebuild_makes(bench: Bench) -> None:
    await bench.project(day(Stream()))
    wallet = WALLETS[0]
    for statement in WRONG:
        await bench.plant(statement.format(wallet))
    named = {what: await bench.by_hand(what=what) for what in Rebuilt}

    repaired = await bootstrap.repair(bench.settings, bench.owner, wallet, operator="ann")

    assert {
        ("entry", "amount_minor"),
        ("entry", MISSING),
        ("entry", "debits_after"),
        ("transaction", "refunded_minor"),
        ("hold", "captured_minor"),
        ("balance_day", "posted_minor"),
        ("wallet", "posted_minor"),
    } <= named[Rebuilt.LEDGER]
    assert {("search_entry", MISSING), ("wallet_hour", "entries"), ("day_total", "credits_minor")} <= named[
        Rebuilt.INDEX
    ]
    assert repaired.has_totals
    for what in Rebuilt:
        assert await bench.by_hand(what=what) == set()
        assert (
            await bootstrap.rebuild(bench.settings, bench.owner, switch=False, what=what, partitions=bench.partitions)
        ).is_equal
    async with bench.pool.connection() as connection:
        (row,) = await connection.fetch("select wallet_id, events, repaired_by from history_jobs.repair")
    assert tuple(row) == (wallet, repaired.events, "ann")


async def test_what_cannot_be_repaired_is_left_as_it_is(bench: Bench) -> None:
    stream = Stream()
    told = day(stream)
    parked = stream.event(events.FUNDS_DEPOSITED, WALLETS[0], b"{}", entry=(new_id(), 0))
    await bench.project([*told, parked])
    await bench.plant("update transaction_history.entry set amount_minor = 1 where seq = 2")

    for wallet, reason in ((WALLETS[0], "parked"), (wallet_in(1), "no event"), (wallet_in(7), "projected")):
        with pytest.raises(RepairError, match=reason):
            await bootstrap.repair(bench.settings, bench.owner, wallet, operator="ann")

    assert ("entry", "amount_minor") in await bench.by_hand(Range(shard=1))
    assert (await bootstrap.repair(bench.settings, bench.owner, WALLETS[1], operator="ann")).has_totals
    assert await bench.by_hand(Range(shard=1)) == set()


async def test_a_wallet_beside_a_parked_one_is_repaired_and_the_totals_of_its_shard_are_left(bench: Bench) -> None:
    stream, ours, theirs = Stream(), wallet_in(5), wallet_in(5)
    told = [stream.opened(ours), *stream.deposit(ours), stream.opened(theirs)]
    await bench.project([*told, stream.event(events.FUNDS_DEPOSITED, theirs, b"{}", entry=(new_id(), 0))])
    await bench.plant("delete from transaction_history.entry")

    repaired = await bootstrap.repair(bench.settings, bench.owner, ours, operator="ann")

    assert not repaired.has_totals
    assert await bench.by_hand() == set()
    assert await bench.by_hand(what=Rebuilt.INDEX) == set()

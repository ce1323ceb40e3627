"""The projection on a real topic and a real database: repeats, poison, rebuilds and rules that change underneath."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from contracts.decisions import DecisionMade
from contracts.envelope import Envelope
from contracts.event_types import EventType
from contracts.events import FUNDS_SENT
from fraud import bootstrap
from fraud.application.metrics import FraudMetrics
from fraud.config import MILLENNIUM_S, FraudSettings
from fraud.domain.rules import RulesRefused
from fraud.projection.projection import PROJECTION, FraudProjection
from fraud.rules import rules_postgres
from fraud.rules.store import RuleStore
from servicekit.brokers import Brokers
from servicekit.consumer import checkpoints, operations
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.consumer.projection import Projection
from servicekit.consumer.topic_reader import open_topic
from servicekit.consumer.unparking import Unparked, unpark
from servicekit.lifecycle import Shutdown
from servicekit.migrations import migrate
from servicekit.postgres import Pool, PoolSettings, Transaction, open_pool
from servicekit.service.consuming import make_runner
from servicekit.telemetry import Telemetry, Tracing
from testkit.databases import Database, TemplateDatabase
from testkit.events import Stream, publish, wallet_in
from testkit.pytest_plugin import MakeTopic
from testkit.waiting import eventually

pytestmark = pytest.mark.integration

PARTITIONS = 4
RULES = """
version: "1"
rules:
  - {name: burst, type: velocity_count, events: [sent], window: 1m, max_count: 9, outcome: block, mode: live,
     cool_down: 30s}
  - {name: ratio, type: amount_ratio, events: [sent], min_history: 5, max_ratio: "3", min_amount: {USD: "1"},
     outcome: review, mode: shadow, cool_down: 0s}
"""
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Bench:
    settings: FraudSettings
    pool: Pool
    stream: Stream
    rules: Path

    async def publish(self, events: Sequence[Envelope]) -> None:
        await publish(self.settings.kafka_bootstrap_servers, self.settings.fraud_events_topic, PARTITIONS, events)

    async def reached(self) -> dict[int, int]:
        async with self.pool.connection() as connection:
            progress = await checkpoints.progress(connection, PROJECTION)
        return {shard: come.last_seq for shard, come in progress.items()}

    async def unpark(self, wallet_id: UUID) -> Unparked:
        projection = bootstrap.make_projection(self.settings)
        return await unpark(self.pool, projection, wallet_id, brokers=self.settings.brokers)

    async def parked(self) -> dict[UUID, str]:
        async with self.pool.connection() as connection:
            return {each.subject: each.reason for each in await operations.parked_subjects(connection, PROJECTION)}


@pytest.fixture
async def bench(database: Database, pool: Pool, kafka_bootstrap: str, make_topic: MakeTopic, tmp_path: Path) -> Bench:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    settings = FraudSettings(
        fraud_database_url=database.dsn_app,
        kafka_bootstrap_servers=kafka_bootstrap,
        fraud_events_topic=await make_topic(PARTITIONS),
        fraud_rules_file=rules,
        fraud_live_for_s=MILLENNIUM_S,  # the events of tests are of a day long ago
    )
    return Bench(settings, pool, Stream(), rules)


@asynccontextmanager
async def projecting(
    bench: Bench, wrap: Callable[[FraudProjection], Projection] = lambda each: each
) -> AsyncIterator[RuleStore]:
    """Run the projector's parts in this process until the body ends."""
    telemetry = Telemetry("fraud", "projector", "1", CollectorRegistry(), Tracing("test", 0.0))
    rule_store = bootstrap.make_rule_store(bench.settings, bench.pool, FraudMetrics(telemetry.registry))
    await rule_store.start()
    projection = wrap(bootstrap.make_projection(bench.settings, in_force=rule_store))
    runner = make_runner(
        bench.settings.projector.consumer,
        projection=projection,
        telemetry=telemetry,
        families=ConsumerFamilies(telemetry.registry),
        pool=bench.pool,
    )
    shutdown = Shutdown()
    tasks = [asyncio.create_task(runner.run(shutdown)), asyncio.create_task(rule_store.run(shutdown))]
    try:
        yield rule_store
    finally:
        shutdown.request()
        await asyncio.gather(*tasks)


async def all_applied(bench: Bench, events: Sequence[Envelope]) -> bool:
    wanted: dict[int, int] = {}
    for event in events:
        wanted[event.shard] = max(event.sequence, wanted.get(event.shard, 0))
    return await bench.reached() == wanted


def day(stream: Stream, seed: int) -> list[Envelope]:
    """Return the events of wallets that pay each other: some often, some much."""
    dice = random.Random(seed)
    wallets = [wallet_in(dice.randrange(64)) for _ in range(20)]
    events = [stream.opened(wallet) for wallet in wallets]
    for _ in range(300):
        one, two = dice.sample(wallets, 2)
        events += [*stream.deposit(one, 500), *stream.transfer(one, two, dice.choice((70, 80, 900)))]
        events += [stream.restricted(two, lifted=True)] if dice.random() < 0.05 else []
    for _ in range(60):
        events += stream.transfer(wallets[0], wallets[1], 10)
    return events


async def state(pool: Pool) -> dict[str, list[tuple[object, ...]]]:
    """Return everything that a rebuild has to make again, to the bit."""
    async with pool.connection() as connection:
        return {
            "profiles": [tuple(row) for row in await connection.fetch("select * from fraud.profile order by 1")],
            "decisions": [tuple(row) for row in await connection.fetch("select * from fraud.decision order by 1")],
            "outbox": [
                tuple(row) for row in await connection.fetch("select * from servicekit.outbox order by shard, seq")
            ],
        }


async def test_every_event_three_times_and_the_whole_again_changes_nothing(bench: Bench) -> None:
    events = day(bench.stream, 1)
    async with projecting(bench):
        await bench.publish(events)
        await eventually(lambda: all_applied(bench, events))
        once = await state(bench.pool)

        await bench.publish([event for event in events for _ in range(3)])
        await bench.publish(events)
        last = bench.stream.opened(wallet_in(0))
        await bench.publish([last])
        await eventually(lambda: all_applied(bench, [*events, last]))

    again = await state(bench.pool)
    assert len(once["decisions"]) > 5
    assert again["decisions"] == once["decisions"]
    assert again["outbox"] == once["outbox"]
    assert [row for row in again["profiles"] if row[0] != last.subject] == once["profiles"]


async def test_a_rebuild_from_nothing_makes_the_same_profiles_and_the_same_decisions(
    bench: Bench, database_template: TemplateDatabase
) -> None:
    events = day(bench.stream, 2)
    async with projecting(bench):
        await bench.publish(events)
        await eventually(lambda: all_applied(bench, events))
    first = await state(bench.pool)

    async with (
        database_template.database() as other,
        await open_pool(PoolSettings(dsn=other.dsn_app, application_name="test")) as pool,
    ):
        await rebuild(bench, pool)
        second = await state(pool)

    assert second == first


async def rebuild(bench: Bench, pool: Pool) -> None:
    """Process the topic from its beginning, in other polls than the projector's."""
    rule_store = bootstrap.make_rule_store(bench.settings, pool)
    await rule_store.start()
    projection = bootstrap.make_projection(bench.settings, in_force=rule_store)
    processor = Processor(projection, pool, ConsumerMetrics(ConsumerFamilies(CollectorRegistry()), PROJECTION))
    brokers, topic = bench.settings.kafka_bootstrap_servers, bench.settings.fraud_events_topic
    async with open_topic(Brokers(brokers), topic, PARTITIONS) as reader:
        async for received in reader.to_end():
            for begin in range(0, len(received), 7):
                assert await processor.process(received[begin : begin + 7]) == []


class Crashing:
    """A projection whose handler crashes at one wallet's events."""

    def __init__(self, inner: FraudProjection, wallet_id: UUID) -> None:
        self._inner, self._wallet_id = inner, wallet_id
        self.name, self.topic = inner.name, inner.topic

    async def apply(self, tx: Transaction, events: Sequence[Envelope]) -> None:
        if any(event.subject == self._wallet_id for event in events):
            raise ZeroDivisionError
        await self._inner.apply(tx, events)


async def test_poison_parks_its_wallet_and_the_others_flow(bench: Bench) -> None:
    stream = bench.stream
    bad_json, unknown_type, wrong_version, crashing, sound = (wallet_in(shard) for shard in (1, 5, 1, 5, 1))
    events = [stream.opened(wallet) for wallet in (bad_json, unknown_type, wrong_version, crashing, sound)]
    events.append(stream.event(FUNDS_SENT, bad_json, b"{"))
    events.append(stream.event(EventType(99, "wallet.teleported.v1", type(None)), unknown_type, b"{}"))  # type: ignore[arg-type]
    stream.event(FUNDS_SENT, wrong_version, b"{}")  # a version that is never published…
    stream._sequences[1] -= 1  # …though no sequence is missing
    events.append(stream.deposited(wrong_version))
    for wallet in (bad_json, unknown_type, wrong_version, crashing, sound):
        events += [stream.transfer(wallet, wallet_in(9))[0] for _ in range(12)]
    async with projecting(bench, wrap=lambda inner: Crashing(inner, crashing)):
        await bench.publish(events)
        await eventually(lambda: all_applied(bench, events))

        parked = await bench.parked()
    assert set(parked) == {bad_json, unknown_type, wrong_version, crashing}
    assert "unknown event type" in parked[unknown_type]
    assert "does not follow" in parked[wrong_version]
    assert "ZeroDivisionError" in parked[crashing]
    assert await decided(bench) == {sound}

    done = await bench.unpark(crashing)
    still = await bench.unpark(bad_json)

    assert (done.applied, done.failure) == (13, None)
    assert (still.applied, still.failure is None) == (0, False)
    assert await decided(bench) == {sound, crashing}
    assert crashing not in await bench.parked()


async def decided(bench: Bench) -> set[UUID]:
    async with bench.pool.connection() as connection:
        return {row["wallet_id"] for row in await connection.fetch("select wallet_id from fraud.decision")}


@pytest.mark.parametrize(("live_for_s", "mode"), [(3_600, "shadow"), (MILLENNIUM_S, "live")])
async def test_what_is_decided_about_the_distant_past_is_never_acted_on(
    bench: Bench, live_for_s: int, mode: str
) -> None:
    bench.settings = bench.settings.model_copy(update={"fraud_live_for_s": live_for_s})
    wallet = wallet_in(1)
    events = [bench.stream.opened(wallet), *(bench.stream.transfer(wallet, wallet_in(9))[0] for _ in range(12))]

    async with projecting(bench):
        await bench.publish(events)
        await eventually(lambda: all_applied(bench, events))

    async with bench.pool.connection() as connection:
        recorded = await connection.fetch("select distinct mode from fraud.decision")
        published = await connection.fetch("select payload from servicekit.outbox")
    told = [msgspec.json.decode(row["payload"], type=DecisionMade) for row in published]
    assert [row["mode"] for row in recorded] == [mode]
    assert {decision.mode.value for decision in told} == {mode}
    assert all(decision.reasons for decision in told)


async def test_a_decision_carries_its_trace_and_its_cause(bench: Bench) -> None:
    wallet = wallet_in(3)
    events = [bench.stream.opened(wallet)]
    events += [traced(bench.stream.transfer(wallet, wallet_in(9))[0]) for _ in range(10)]
    async with projecting(bench):
        await bench.publish(events)
        await eventually(lambda: all_applied(bench, events))

    async with bench.pool.connection() as connection:
        row = await connection.fetchrow("select * from servicekit.outbox")
    assert row is not None
    assert (row["traceparent"], row["causation_id"]) == (TRACEPARENT, events[-1].event_id)
    assert (row["subject"], row["occurred_at"]) == (wallet, events[-1].time)


def traced(event: Envelope) -> Envelope:
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return Envelope(**{**fields, "traceparent": TRACEPARENT})


async def test_a_changed_file_is_in_force_without_a_restart_and_a_broken_one_is_not(bench: Bench) -> None:
    async with projecting(bench) as rule_store:
        first = rule_store.current.version
        bench.rules.write_text(RULES.replace("max_count: 9", "max_count: none"))
        rule_store.request_reload()
        await eventually(lambda: is_refused(bench))
        assert rule_store.current.version == first

        bench.rules.write_text(RULES.replace("max_count: 9", "max_count: 2"))
        await eventually(lambda: is_in_force(bench, rule_store, other_than=first))
        wallet = wallet_in(3)
        events = [bench.stream.opened(wallet)]
        events += [bench.stream.transfer(wallet, wallet_in(9))[0] for _ in range(3)]
        await bench.publish(events)
        await eventually(lambda: all_applied(bench, events))

        assert await decided(bench) == {wallet}
        assert not await is_refused(bench)
    async with bench.pool.connection() as connection:
        assert await connection.fetchval("select count(*) from fraud.rules_version") == 2


async def is_refused(bench: Bench) -> bool:
    async with bench.pool.connection() as connection:
        stored = await rules_postgres.in_force(connection)
    assert stored is not None
    return stored.refusal is not None and stored.refusal.startswith("rules.yaml:4: rules[0].max_count: ")


async def is_in_force(bench: Bench, rule_store: RuleStore, *, other_than: str) -> bool:
    async with bench.pool.connection() as connection:
        stored = await rules_postgres.in_force(connection)
    assert stored is not None
    return stored.version == rule_store.current.version != other_than


async def test_a_broken_file_at_the_start_leaves_the_rules_that_were_in_force(bench: Bench) -> None:
    bench.rules.write_text("version: 1")
    with pytest.raises(RulesRefused):
        await bootstrap.make_rule_store(bench.settings, bench.pool).start()

    bench.rules.write_text(RULES)
    before = bootstrap.make_rule_store(bench.settings, bench.pool)
    await before.start()
    bench.rules.unlink()
    after = bootstrap.make_rule_store(bench.settings, bench.pool)
    await after.start()

    assert after.current == before.current
    async with bench.pool.connection() as connection:
        stored = await rules_postgres.in_force(connection)
    assert stored is not None
    assert stored.refusal is not None


async def test_migrations_can_be_applied_again(database: Database) -> None:
    sources = bootstrap.migration_sources()

    assert await migrate(database.dsn_owner, sources, app_role="fraud_app", reader_role="fraud_reader") == []

"""The projection on a real broker: what is repeated makes nothing twice, what is poison parks its wallet alone."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope
from contracts.event_types import EventType
from contracts.events import FUNDS_DEPOSITED, WalletClosed
from notifications import bootstrap
from notifications.config import NotificationsSettings
from notifications.deliveries.projection import NAME, DeliveryProjection
from notifications.deliveries.recording_postgres import PostgresRecorder
from servicekit.brokers import Brokers
from servicekit.consumer import checkpoints, operations
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.projection import Projection
from servicekit.consumer.runner import ConsumerRunner
from servicekit.consumer.settings import ConsumerSettings
from servicekit.consumer.unparking import unpark
from servicekit.postgres import Pool, Transaction
from servicekit.telemetry import Tracing
from testkit.events import publish, wallet_in
from testkit.notifications_api import Bench
from testkit.pytest_plugin import MakeTopic
from testkit.running import running

pytestmark = pytest.mark.integration

PARTITIONS = 2
URL = "http://127.0.0.1:1/never-called"


@dataclass
class Consuming:
    """A topic of this test and its consumer."""

    bootstrap_servers: str
    topic: str
    pool: Pool

    async def publish(self, events: Sequence[Envelope]) -> None:
        await publish(self.bootstrap_servers, self.topic, PARTITIONS, events)

    @asynccontextmanager
    async def consumer(self, projection: Projection) -> AsyncIterator[None]:
        runner = ConsumerRunner(
            ConsumerSettings(
                brokers=Brokers(self.bootstrap_servers),
                client_id="test",
                session_timeout_ms=6_000,
                housekeeping_every_s=0.05,
                backoff_s_max=0.5,
            ),
            projection=projection,
            pool=self.pool,
            metrics=ConsumerMetrics(ConsumerFamilies(CollectorRegistry()), NAME),
            tracing=Tracing("test", 0.0),
            jitter=random.Random(1),
        )
        async with running(runner):
            yield

    async def reached(self, wanted: dict[int, int]) -> None:
        """Return when every shard has come so far."""
        async with asyncio.timeout(60):
            while True:
                async with self.pool.connection() as connection:
                    progress = await checkpoints.progress(connection, NAME)
                if {shard: found.last_seq for shard, found in progress.items()} == wanted:
                    return
                await asyncio.sleep(0.05)

    async def rows(self) -> list[tuple[object, ...]]:
        async with self.pool.connection() as connection:
            rows = await connection.fetch(
                """select d.id, d.endpoint_id, m.id, m.type, m.body from notifications.delivery as d
                   join notifications.message as m on m.id = d.message_id order by d.id"""
            )
        return [tuple(row) for row in rows]


@pytest.fixture
async def consuming(kafka_bootstrap: str, make_topic: MakeTopic, pool: Pool) -> Consuming:
    return Consuming(kafka_bootstrap, await make_topic(PARTITIONS), pool)


def projection_of(consuming: Consuming) -> DeliveryProjection:
    settings = NotificationsSettings(notifications_database_url="unused", notifications_topic=consuming.topic)
    return bootstrap.make_projection(settings)


async def test_what_comes_three_times_and_from_the_start_again_is_recorded_once(
    bench: Bench, consuming: Consuming
) -> None:
    await bench.client.endpoint(URL)
    await bench.client.endpoint(URL, event_types=["wallet.opened.v1"])
    wallets = [wallet_in(shard) for shard in range(4)]
    events = [bench.stream.opened(wallet) for wallet in wallets]
    events += [event for wallet in wallets for event in bench.stream.deposit(wallet)]

    async with consuming.consumer(projection_of(consuming)):
        for _ in range(3):
            await consuming.publish(events)
        await consuming.reached(dict.fromkeys(range(4), 3))
        once = await consuming.rows()
        async with consuming.pool.connection() as connection:
            for shard in range(4):
                assert await operations.rewind(connection, NAME, shard, offset=0)
        # And as if nobody had ever applied anything.
        async with consuming.pool.connection() as connection:
            await connection.execute(
                "update servicekit.checkpoint set last_seq = 0, last_event_id = null, kafka_offset = 0, seek_to = 0"
            )
        await consuming.reached(dict.fromkeys(range(4), 3))

        async with consuming.pool.connection() as connection:
            assert await operations.parked_subjects(connection, NAME) == []

    assert len(once) == 4 * 2 + 4
    assert await consuming.rows() == once


async def test_poison_parks_its_wallet_and_unparking_delivers(bench: Bench, consuming: Consuming) -> None:
    unheard_of = EventType(99, "wallet.unheard_of.v1", WalletClosed)
    torn, unknown, sound, leaping = [wallet_in(1) for _ in range(4)]
    await bench.client.endpoint(URL)
    closing = WalletClosed(wallet_id="", owner_id="", balance=None, private=None)  # type: ignore[arg-type]  # poison
    events = [
        bench.stream.event(FUNDS_DEPOSITED, torn, b"{not json"),
        bench.stream.event(unheard_of, unknown, closing),
        bench.stream.opened(sound),
        bench.stream.opened(torn),
        bench.stream.opened(leaping),
        msgspec.structs.replace(bench.stream.deposited(leaping), wallet_version=9),
    ]

    async with consuming.consumer(projection_of(consuming)):
        await consuming.publish(events)
        await consuming.reached({1: 6})

    async with consuming.pool.connection() as connection:
        parked = {row.subject: row.events for row in await operations.parked_subjects(connection, NAME)}
    assert parked == {torn: 2, unknown: 1, leaping: 1}
    assert {row[2] for row in await consuming.rows()} == {events[2].event_id, events[4].event_id}
    again = await unpark(consuming.pool, projection_of(consuming), torn, brokers=Brokers(consuming.bootstrap_servers))
    assert (again.applied, again.failure is None) == (0, False)


class Crashing(DeliveryProjection):
    """A projection with a bug that one wallet meets."""

    def __init__(self, topic: str) -> None:
        super().__init__(PostgresRecorder(), topic=topic)
        self.victim: object = None

    async def apply(self, tx: Transaction, events: Sequence[Envelope]) -> None:
        await super().apply(tx, events)
        if any(event.subject == self.victim for event in events):
            raise ZeroDivisionError


async def test_what_a_bug_parked_is_delivered_once_it_is_mended(bench: Bench, consuming: Consuming) -> None:
    await bench.client.endpoint(URL)
    victim, other = wallet_in(1), wallet_in(1)
    events = [bench.stream.opened(victim), bench.stream.opened(other), bench.stream.deposited(victim)]
    crashing = Crashing(consuming.topic)
    crashing.victim = victim

    async with consuming.consumer(crashing):
        await consuming.publish(events)
        await consuming.reached({1: 3})
    assert [row[2] for row in await consuming.rows()] == [events[1].event_id]

    mended = await unpark(
        consuming.pool, projection_of(consuming), victim, brokers=Brokers(consuming.bootstrap_servers)
    )
    assert (mended.applied, mended.failure) == (2, None)
    assert {row[2] for row in await consuming.rows()} == {event.event_id for event in events}

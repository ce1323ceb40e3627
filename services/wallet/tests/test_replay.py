"""`wallet replay`: the journal again, in a fresh topic, event for event."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

import asyncpg
import pytest

from contracts.envelope import Envelope
from contracts.ids import SHARDS, partition_of
from contracts.registry import TYPES_BY_NUMBER
from servicekit.brokers import Brokers
from servicekit.consumer.records import Received
from servicekit.consumer.topic_reader import open_topic
from servicekit.relay.journal import SqlJournal
from servicekit.relay.publisher import Publisher, PublishError
from servicekit.relay.topic_positions import BrokenTopic, UnknownTopic
from testkit.databases import Database
from testkit.pytest_plugin import MakeTopic
from testkit.wallet_api import Client
from wallet.bootstrap.operating import FOLDING, replay_journal
from wallet.config import WalletSettings
from wallet.maintenance.archive_postgres import open_archiver
from wallet.maintenance.replay_kafka import Replay, ReplayError, ReplaySettings
from wallet.maintenance.terminal.archiving import show_archiving
from wallet.maintenance.terminal.replaying import show_replay

pytestmark = pytest.mark.integration

PARTITIONS = 16
SCHEMAS = "https://schemas.example/"
Fill = Callable[[int], Awaitable[None]]


class FailingPublisher(Publisher):
    """Fails after every other send: the records are in the topic, and nobody was told."""

    sends = 0

    async def publish(self, events: Iterable[Envelope], *, timeout_s: float) -> None:
        await super().publish(events, timeout_s=timeout_s)
        self.sends += 1
        if self.sends % 2:
            raise PublishError("Planted")


class GivingUpPublisher(Publisher):
    """Takes one chunk and then nothing any more."""

    taken = False

    async def publish(self, events: Iterable[Envelope], *, timeout_s: float) -> None:
        if self.taken:
            raise PublishError("Planted")
        self.taken = True
        await super().publish(events, timeout_s=timeout_s)


@pytest.fixture
async def topic(make_topic: MakeTopic) -> str:
    """Give a fresh topic."""
    return await make_topic(PARTITIONS)


@pytest.fixture
def replaying(database: Database, kafka_bootstrap: str, topic: str) -> ReplaySettings:
    """Give a replay to it."""
    return ReplaySettings(
        dsn=database.dsn_app,
        brokers=Brokers(kafka_bootstrap),
        topic=topic,
        live_topic="wallet.events",
        source="/wallet",
        schema_base=SCHEMAS,
    )


def no_progress(_rows: int) -> None:
    """Tell nobody."""


async def journal_of(database: Database) -> dict[tuple[int, int], Envelope]:
    """Return every event of a journal that nothing was archived of."""
    journal = SqlJournal(table="wallet.journal", types=TYPES_BY_NUMBER, source="/wallet", subject_column="account_id")
    connection = await asyncpg.connect(database.dsn_app)
    events = await journal.read(connection, dict.fromkeys(range(SHARDS), 0), 1_000)
    await connection.close()
    return {(event.shard, event.sequence): event for event in events}


async def records_of(brokers: Brokers, topic: str) -> list[Received]:
    async with open_topic(brokers, topic, PARTITIONS) as reader:
        return [record async for received in reader.to_end() for record in received]


def require_same(records: list[Received], journal: dict[tuple[int, int], Envelope]) -> None:
    """Require that first occurrences ascend without a gap, and that each is the journal's event."""
    last = dict.fromkeys(range(SHARDS), 0)
    for record in records:
        event = journal[record.shard, record.sequence]
        assert (record.event, record.partition) == (event, partition_of(event.shard, PARTITIONS))
        if record.sequence > last[record.shard]:
            assert record.sequence == last[record.shard] + 1
            last[record.shard] = record.sequence
    assert sum(last.values()) == len(journal)


async def test_a_fresh_topic_gets_the_whole_journal(
    database: Database, fill: Fill, kafka_bootstrap: str, topic: str
) -> None:
    await fill(40)
    settings = WalletSettings(
        wallet_database_url=database.dsn_app, kafka_bootstrap_servers=kafka_bootstrap, wallet_schema_url=SCHEMAS
    )

    assert await replay_journal(settings, topic, resume=False, without_missing=False)

    records = await records_of(Brokers(kafka_bootstrap), topic)
    assert len(records) == SHARDS * 40
    require_same(records, await journal_of(database))


async def test_archived_partitions_are_replayed_too(
    database: Database, fill: Fill, replaying: ReplaySettings, small_partitions: int
) -> None:
    await fill(75)
    journal = await journal_of(database)
    async with open_archiver(database.dsn_owner, FOLDING) as archiver:
        assert await show_archiving(archiver, keep=0, dry_run=True) == 2
        assert await show_archiving(archiver, keep=0) == 2
    seen: list[int] = []

    replay = Replay(replaying)
    holds = await show_replay(replay.count, lambda _progress: replay.run(seen.append), replaying.topic)

    assert holds
    assert sum(seen) == len(journal) > 2 * small_partitions * SHARDS
    require_same(await records_of(replaying.brokers, replaying.topic), journal)


async def test_sends_that_fail_leave_repeats_only(
    client: Client, database: Database, replaying: ReplaySettings
) -> None:
    await asyncio.gather(*(client.open(deposit="5") for _ in range(30)))

    replay = Replay(replaying, publisher_class=FailingPublisher, events_per_read_max=40, backoff_s=0)
    told = await replay.run(no_progress)

    records = await records_of(replaying.brokers, replaying.topic)
    assert told.events == 90
    assert len(records) > 90
    require_same(records, await journal_of(database))


async def test_a_replay_that_gave_up_is_resumed(client: Client, database: Database, replaying: ReplaySettings) -> None:
    await asyncio.gather(*(client.open(deposit="5") for _ in range(20)))
    with pytest.raises(ReplayError, match="run again with --resume"):
        await Replay(replaying, publisher_class=GivingUpPublisher, events_per_read_max=10, backoff_s=0).run(no_progress)
    await client.open(deposit="5")

    with pytest.raises(ReplayError, match="has records"):
        await Replay(replaying).run(no_progress)
    told = await Replay(replace(replaying, resume=True)).run(no_progress)

    records = await records_of(replaying.brokers, replaying.topic)
    assert 0 < told.events < len(records) == 63
    require_same(records, await journal_of(database))


async def test_what_is_published_meanwhile_is_told(
    client: Client, database: Database, replaying: ReplaySettings
) -> None:
    await client.open(deposit="5")
    connection = await asyncpg.connect(database.dsn_admin)
    await connection.execute("update servicekit.relay_lease set cursor = 7 where shard = 9")
    heads = await connection.fetchval("select coalesce(max(seq), 0) from wallet.journal where shard = 9")
    await connection.close()

    told = await Replay(replaying).run(no_progress)

    assert told == (3, 7 - heads)


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("wallet.events", "is the topic the relay publishes to"),
        ("nobody.made.this", "no topic nobody.made.this"),
    ],
)
async def test_a_topic_that_must_not_be_written_is_refused(
    database: Database, kafka_bootstrap: str, topic: str, reason: str
) -> None:
    settings = WalletSettings(wallet_database_url=database.dsn_app, kafka_bootstrap_servers=kafka_bootstrap)
    with pytest.raises((ReplayError, UnknownTopic), match=reason):
        await replay_journal(settings, topic, resume=False, without_missing=False)


async def test_partitions_must_divide_the_shards(replaying: ReplaySettings, make_topic: MakeTopic) -> None:
    with pytest.raises(ReplayError, match="3 partitions"):
        await Replay(replace(replaying, topic=await make_topic(3))).run(no_progress)


async def test_another_journals_topic_is_not_resumed(
    client: Client, database: Database, replaying: ReplaySettings
) -> None:
    await client.open(deposit="5")
    await Replay(replaying).run(no_progress)
    connection = await asyncpg.connect(database.dsn_admin)
    await connection.execute("update wallet.journal set event_id = uuidv7()")
    await connection.close()

    with pytest.raises(ReplayError, match="holds another journal"):
        await Replay(replace(replaying, resume=True)).run(no_progress)


async def test_a_missing_archived_partition_stops_it_unless_passed_by(
    database: Database, fill: Fill, replaying: ReplaySettings, small_partitions: int
) -> None:
    await fill(75)
    journal = await journal_of(database)
    async with open_archiver(database.dsn_owner, FOLDING) as archiver:
        await show_archiving(archiver, keep=0)
    owner = await asyncpg.connect(database.dsn_owner)
    await owner.execute("alter table wallet.archived_journal detach partition wallet.journal_0")
    await owner.execute("alter table wallet.journal_0 set schema public")
    await owner.close()

    with pytest.raises(ReplayError, match="archived partition 0 is not there"):
        await Replay(replaying).run(no_progress)
    await Replay(replace(replaying, without_missing=True)).run(no_progress)

    records = await records_of(replaying.brokers, replaying.topic)
    assert {(record.shard, record.sequence) for record in records} == {
        (shard, seq) for shard, seq in journal if seq >= small_partitions
    }


async def test_a_gap_in_the_topic_is_named(client: Client, database: Database, replaying: ReplaySettings) -> None:
    await client.open(deposit="5")
    journal = list((await journal_of(database)).values())
    publisher = Replay(replaying)._publisher
    await publisher.publish([journal[0], journal[2]], timeout_s=10)
    await publisher.close()

    with pytest.raises(BrokenTopic, match="1 is followed by 3"):
        await Replay(replace(replaying, resume=True)).run(no_progress)

"""A service's own outbox: dense per shard whatever rolls back or runs side by side, and read by the relay as it is."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import pytest

from contracts.decisions import DECISION_MADE, DECISION_STREAM
from contracts.ids import SHARDS, new_id
from contracts.notices import ENDPOINT_DISABLED, EndpointDisabled
from contracts.registry import PUBLISHED_TYPES
from contracts.schema_files import read_sample, sample_files
from servicekit.lifecycle import Shutdown
from servicekit.migrations import migrate, servicekit_source
from servicekit.postgres import Pool, open_pool
from servicekit.relay import relay_source
from servicekit.relay.outbox import OutboxEvent, append, outbox_journal, outbox_source
from servicekit.relay.waking import Wakeup
from servicekit.service import relay_pool_settings
from testkit.databases import Server, TemplateDatabase
from testkit.events import wallet_in

pytestmark = pytest.mark.integration

TENANT = UUID("01890000-0000-7000-8000-000000000001")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def publisher_template(postgres_server: Server) -> TemplateDatabase:
    async def run(dsn_owner: str) -> None:
        await migrate(dsn_owner, [servicekit_source(), relay_source(), outbox_source()], app_role="publisher_app")

    return TemplateDatabase(postgres_server, service="publisher", migrate=run)


@pytest.fixture
async def pool(publisher_template: TemplateDatabase) -> AsyncIterator[Pool]:
    async with (
        publisher_template.database() as database,
        await open_pool(relay_pool_settings(database.dsn_app, application_name="test")) as opened,
    ):
        yield opened


def notice(subject: UUID) -> OutboxEvent:
    data = EndpointDisabled(endpoint_id=str(subject), reason="gone")
    return OutboxEvent(
        event_id=new_id(), tenant_id=TENANT, subject=subject, type=ENDPOINT_DISABLED, data=data, occurred_at=NOON
    )


async def append_all(pool: Pool, events: list[OutboxEvent], *, fails: bool = False) -> None:
    async with pool.transaction() as tx:
        await append(tx, events)
        if fails:
            raise ZeroDivisionError


async def sequences(pool: Pool) -> dict[int, list[int]]:
    async with pool.connection() as connection:
        rows = await connection.fetch(
            "select shard, array_agg(seq order by seq) as seqs from servicekit.outbox group by 1"
        )
    return {row["shard"]: row["seqs"] for row in rows}


async def test_numbers_are_dense_per_shard_and_follow_the_order_given(pool: Pool) -> None:
    events = [notice(wallet_in(shard)) for shard in (3, 5, 3, 3, 5)]

    await append_all(pool, events[:2])
    await append_all(pool, events[2:])

    assert await sequences(pool) == {3: [1, 2, 3], 5: [1, 2]}
    async with pool.connection() as connection:
        read = await outbox_journal("/publisher").read(connection, {3: 0, 5: 0}, 10)
    assert [event.event_id for event in read if event.shard == 3] == [
        events[0].event_id,
        events[2].event_id,
        events[3].event_id,
    ]


async def test_who_appends_wakes_the_relay(pool: Pool) -> None:
    wakeup, shutdown = Wakeup(pool, outbox_journal("/test").channel), Shutdown()
    await wakeup.listen()
    await wakeup.sleep(0.001, shutdown)

    await append_all(pool, [notice(wallet_in(1))])

    await wakeup.sleep(3_600, shutdown)
    wakeup.close()


async def test_what_rolls_back_leaves_no_gap(pool: Pool) -> None:
    await append_all(pool, [notice(wallet_in(7))])
    with pytest.raises(ZeroDivisionError):
        await append_all(pool, [notice(wallet_in(7))], fails=True)
    await append_all(pool, [notice(wallet_in(7))])

    assert await sequences(pool) == {7: [1, 2]}


async def test_writers_side_by_side_never_repeat_or_skip_a_number(pool: Pool) -> None:
    await asyncio.gather(
        *(append_all(pool, [notice(wallet_in((first + step) % SHARDS)) for step in range(20)]) for first in range(12))
    )

    by_shard = await sequences(pool)
    assert sum(map(len, by_shard.values())) == 12 * 20
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in by_shard.values())


async def test_nothing_is_appended_for_no_events(pool: Pool) -> None:
    await append_all(pool, [])

    assert await sequences(pool) == {}


async def test_the_relay_reads_what_was_written_as_it_stands(pool: Pool) -> None:
    sample = read_sample(sample_files(PUBLISHED_TYPES[DECISION_MADE.name])[0])
    decision = DECISION_STREAM.parse(DECISION_MADE.name, json.dumps(sample["data"]).encode())
    cause, wallet = new_id(), wallet_in(9)
    event = OutboxEvent(
        event_id=new_id(),
        tenant_id=TENANT,
        subject=wallet,
        type=DECISION_MADE,
        data=decision,
        occurred_at=NOON,
        causation_id=cause,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )

    await append_all(pool, [event])

    async with pool.connection() as connection:
        (read,) = await outbox_journal("/fraud").read(connection, {9: 0}, 10)
    assert (read.event_id, read.subject, read.causation_id, read.time) == (event.event_id, wallet, cause, NOON)
    assert (read.type, read.source, read.traceparent) == (DECISION_MADE.name, "/fraud", event.traceparent)
    assert DECISION_STREAM.parse(read.type, read.data) == decision

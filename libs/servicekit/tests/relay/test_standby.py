"""With a synchronous standby that is cut off, what only the primary has is not published."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from engines.postgres import PostgresServer
from servicekit.migrations import MigrationSource, migrate, servicekit_source
from servicekit.postgres import Pool, open_pool
from servicekit.relay import relay_source
from servicekit.relay.relay import Relay
from servicekit.relay.settings import WatermarkSettings
from servicekit.service import relay_pool_settings
from testkit.databases import Server, TemplateDatabase
from testkit.pytest_plugin import MakeTopic
from testkit.relay_bench import PARTITIONS, Bench
from testkit.running import running
from testkit.waiting import eventually
from testkit.watermarks import read_watermarks

pytestmark = pytest.mark.integration

UTC_MIN = datetime.min.replace(tzinfo=UTC)
SETTINGS = {"synchronous_commit": "off"}
"""What the relay and the writer commit waits for no standby, so that it is on the primary alone."""


@pytest.fixture
async def admin(own_postgres: PostgresServer) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(own_postgres.admin_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def own_pool(own_postgres: PostgresServer) -> AsyncIterator[Pool]:
    outbox = MigrationSource("outbox", Path(__file__).parent / "sql")

    async def run(dsn_owner: str) -> None:
        await migrate(dsn_owner, [servicekit_source(), relay_source(), outbox], app_role="outbox_app")

    template = TemplateDatabase(Server(own_postgres.admin_dsn), service="outbox", migrate=run)
    async with template.database() as database:
        settings = relay_pool_settings(database.dsn_app, application_name="test")
        async with await open_pool(replace(settings, session={**settings.session, **SETTINGS})) as opened:
            yield opened


@pytest.fixture
async def own_bench(own_pool: Pool, kafka_bootstrap: str, make_topic: MakeTopic) -> Bench:
    return Bench(own_pool, kafka_bootstrap, await make_topic(PARTITIONS))


async def name_standbys(admin: asyncpg.Connection, names: str) -> None:
    await admin.execute(f"alter system set synchronous_standby_names = '{names}'")
    await admin.execute("select pg_reload_conf()")


async def waiting_sessions(admin: asyncpg.Connection) -> list[int]:
    rows = await admin.fetch("select pid from pg_stat_activity where wait_event = 'SyncRep' order by pid")
    return [row["pid"] for row in rows]


async def test_what_the_standby_has_not_is_not_published(own_bench: Bench, admin: asyncpg.Connection) -> None:
    bench, relay = own_bench, own_bench.relay("a", lease_s=4.0)
    async with running(relay):
        await bench.write([1], 1, 5)
        await eventually(lambda: bench.has_published(5))
        assert relay._barrier._connection is None
        await name_standbys(admin, "absent")
        await eventually(lambda: knows(relay))

        await bench.write([1], 6, 9)
        await eventually(lambda: another_waits(admin, []))
        assert len(await bench.topic_events()) == 5

        barrier = await waiting_sessions(admin)
        await admin.execute("select pg_cancel_backend($1)", barrier[0])  # answered with a warning: no confirmation
        await eventually(lambda: another_waits(admin, barrier))
        assert len(await bench.topic_events()) == 5

        await name_standbys(admin, "")
        await eventually(lambda: bench.has_published(9))


async def test_nothing_is_told_as_complete_while_commits_wait_for_the_standby(
    own_bench: Bench, admin: asyncpg.Connection, make_topic: MakeTopic
) -> None:
    bench, topic = own_bench, await make_topic()
    relay = bench.relay("a", lease_s=4.0, watermarks=WatermarkSettings(topic=topic, every_s=0.05))
    async with running(relay):
        await eventually(lambda: tells_of(bench, topic, UTC_MIN))
        await name_standbys(admin, "absent")
        await eventually(lambda: knows(relay))
        since = await admin.fetchval("select clock_timestamp()")
        await eventually(lambda: another_waits(admin, []))  # nothing is there to be published: a watermark is due
        until = await admin.fetchval("select clock_timestamp()")
        await name_standbys(admin, "")
        await eventually(lambda: tells_of(bench, topic, until))

    told = await read_watermarks(bench.bootstrap, topic)
    assert [watermark for watermark in told if since < watermark.read_at < until] == []


async def tells_of(bench: Bench, topic: str, instant: datetime) -> bool:
    return any(watermark.read_at > instant for watermark in await read_watermarks(bench.bootstrap, topic))


async def knows(relay: Relay) -> bool:
    return relay._waits_for_standby


async def another_waits(admin: asyncpg.Connection, before: list[int]) -> bool:
    waiting = await waiting_sessions(admin)
    return len(waiting) == 1 and waiting != before

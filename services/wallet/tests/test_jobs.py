"""What the wallet's processes do by themselves: partitions ahead of the journal, keys forgotten, a halt obeyed."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from contracts.ids import shard_of
from servicekit.maintenance import Job, JobRun
from servicekit.telemetry import Telemetry
from testkit.databases import Database
from testkit.waiting import eventually
from testkit.wallet_api import Client, deposit_of
from wallet.adapters import partitions_postgres
from wallet.adapters.forgetting_postgres import CHUNK_ROWS, FORGET
from wallet.application.metrics import JournalMetrics
from wallet.bootstrap import jobs

pytestmark = pytest.mark.integration

WIDTH = 262_144
AHEAD = partitions_postgres.PARTITIONS_AHEAD


@pytest.fixture
async def app(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Give a session of the app role."""
    connection = await asyncpg.connect(database.dsn_app)
    yield connection
    await connection.close()


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Give a session that may do anything."""
    connection = await asyncpg.connect(database.dsn_admin)
    yield connection
    await connection.close()


async def one_chunk(job: Job, connection: asyncpg.Connection) -> int:
    """Do one chunk of *job*, as if this instance led it."""
    return await job.run(JobRun(connection, None))


async def partitions(admin: asyncpg.Connection) -> int:
    count: int = await admin.fetchval("select count(*) from pg_inherits where inhparent = 'wallet.journal'::regclass")
    return count


async def test_partitions_are_made_ahead_by_the_app_role(
    client: Client, app: asyncpg.Connection, admin: asyncpg.Connection
) -> None:
    wallet_id = await client.open()
    await admin.execute("update wallet.journal set seq = $1 where account_id = $2", WIDTH - 1, wallet_id)
    await client.post("/v1/deposits", deposit_of(wallet_id, "1"))
    await one_chunk(jobs.make_partitions(), app)

    assert await partitions(admin) == 2 + AHEAD
    assert await partitions_postgres.journal_headroom(app) == (2 + AHEAD) * WIDTH - (WIDTH + 1)
    assert await partitions_postgres.make_partitions(app) == 0


async def test_how_full_the_ledger_is_is_told(client: Client, app: asyncpg.Connection) -> None:
    registry = CollectorRegistry()
    await client.open()

    await one_chunk(jobs.measure_journal(JournalMetrics(registry)), app)

    assert registry.get_sample_value("wallet_journal_headroom_sequences") == (1 + AHEAD) * WIDTH - 1
    assert registry.get_sample_value("wallet_journal_partitions", {"state": "attached"}) == 1 + AHEAD
    assert registry.get_sample_value("wallet_journal_partitions", {"state": "archived"}) == 0
    assert registry.get_sample_value("wallet_idempotency_rows") == 0, "as the statistics have it, until an analyze"


async def test_too_many_partitions_are_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (await client.get("/health/deep")).json()["checks"]["journal"]
    monkeypatch.setattr(partitions_postgres, "ATTACHED_MAX", AHEAD)

    after = (await client.get("/health/deep")).json()["checks"]["journal"]

    assert (before["ok"], after["ok"]) == (True, False)
    assert f"in {1 + AHEAD} partitions" in after["detail"]


async def test_a_command_that_finds_no_partition_has_them_made(
    client: Client, admin: asyncpg.Connection, telemetry: Telemetry
) -> None:
    hot = await client.open()
    others = [await client.open() for _ in range(20)]
    await admin.execute("revoke execute on function wallet.ensure_journal_partitions from public")
    last = (1 + AHEAD) * WIDTH - 1
    await admin.execute(
        "update wallet.journal set seq = $1 where account_id = $2 and shard = $3", last, hot, shard_of(UUID(hot))
    )

    answers = await client.post_all([("/v1/deposits", deposit_of(each, "1")) for each in [hot, *others] * 5])

    assert {answer.status_code for answer in answers} == {201}
    assert await client.posted(hot) == "5.00"
    assert telemetry.registry.get_sample_value("wallet_batch_failures_total", {"failure": "data"}) == 0


async def test_keys_are_forgotten_after_their_time(
    client: Client, app: asyncpg.Connection, admin: asyncpg.Connection
) -> None:
    wallet_id = await client.open()
    await client.post("/v1/deposits", deposit_of(wallet_id, "1"), key="old")
    await admin.execute("update wallet.idempotency set created_at = now() - interval '31 days' where key = 'old'")
    forget = jobs.forget_keys(30)

    assert await one_chunk(forget, app) == 1
    assert await one_chunk(forget, app) == 0
    await client.post("/v1/deposits", deposit_of(wallet_id, "1"), key="old")
    assert await client.posted(wallet_id) == "2.00"


async def test_full_lots_go_on_from_where_the_last_one_ended(
    app: asyncpg.Connection, admin: asyncpg.Connection
) -> None:
    await _old_keys(admin, 2 * CHUNK_ROWS + 1)
    forget = jobs.forget_keys(30)

    assert [await one_chunk(forget, app) for _ in range(4)] == [CHUNK_ROWS, CHUNK_ROWS, 1, 0]
    assert await app.fetchval("select count(*) from wallet.idempotency") == 0


async def test_old_keys_are_found_by_their_index(app: asyncpg.Connection, admin: asyncpg.Connection) -> None:
    await _old_keys(admin, 1_000, days=1)
    statement = await app.prepare(FORGET)
    since = await app.fetchval("select '-infinity'::timestamptz")

    plan = await statement.explain(since, 30, CHUNK_ROWS)

    nodes = list(_nodes(plan[0]["Plan"]))
    by_index = [node for node in nodes if node.get("Index Name") == "idempotency_by_age"]
    assert "created_at < " in str(by_index[0]["Index Cond"])
    assert not any(node["Node Type"] == "Seq Scan" for node in nodes)


def _nodes(node: dict[str, object]) -> list[dict[str, object]]:
    children = node.get("Plans", [])
    assert isinstance(children, list)
    return [node, *(below for child in children for below in _nodes(child))]


async def _old_keys(admin: asyncpg.Connection, count: int, *, days: int = 31) -> None:
    await admin.execute(
        """insert into wallet.idempotency (client, key, part, fingerprint, status, body, shard, created_at)
           select '00000000-0000-7000-8000-000000000001', n::text, 0, '', 201, '', n % 64,
                  now() - make_interval(days => $2) - make_interval(secs => n % 100)
             from generate_series(1, $1) n""",
        count,
        days,
    )


async def test_a_halt_of_the_relay_is_seen(app: asyncpg.Connection, admin: asyncpg.Connection) -> None:
    halt = jobs.Halt()
    look = jobs.look_for_halt(halt)
    await one_chunk(look, app)
    before = halt.is_halted
    await admin.execute(
        "insert into servicekit.relay_halt (topic, topic_partition, kafka_offset, shard, seq, event_id)"
        " values ('wallet.events', 0, 1, 0, 1, uuidv7())"
    )

    await one_chunk(look, app)

    assert (before, halt.is_halted) == (False, True)


async def test_an_api_shows_that_the_ledger_is_halted(client: Client, admin: asyncpg.Connection) -> None:
    before = (await client.get("/metrics")).text
    await admin.execute(
        "insert into servicekit.relay_halt (topic, topic_partition, kafka_offset, shard, seq, event_id)"
        " values ('wallet.events', 0, 1, 0, 1, uuidv7())"
    )

    async def is_shown() -> bool:
        return "\nrelay_halted 1.0\n" in (await client.get("/metrics")).text

    assert "\nrelay_halted 0.0\n" in before
    await eventually(is_shown)


async def test_an_instance_is_ready_while_every_connection_for_reads_is_busy(
    client: Client, database: Database, admin: asyncpg.Connection
) -> None:
    wallet_id = await client.open()
    reader = await asyncpg.connect(database.dsn_reader)  # a role sees what its own sessions wait for
    await admin.execute("begin; lock table wallet.wallet in access exclusive mode")
    reads = [asyncio.create_task(client.get(f"/v1/wallets/{wallet_id}")) for _ in range(20)]
    try:
        await asyncio.sleep(0)
        async with asyncio.timeout(30):
            while await reader.fetchval(_WAITING) < 8:  # noqa: ASYNC110 - the sessions wait in the database
                await asyncio.sleep(0.02)
        ready = await client.get("/health/ready")
    finally:
        await admin.execute("rollback")
        await asyncio.gather(*reads)
        await reader.close()

    assert ready.status_code == 200, ready.text


_WAITING = "select count(*) from pg_stat_activity where application_name = 'wallet-api' and wait_event_type = 'Lock'"

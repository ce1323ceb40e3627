"""Upkeep: partitions ahead of the journal, keys forgotten, a halt obeyed."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from servicekit.postgres import Pool, PoolSettings, open_pool
from testkit.databases import Database
from testkit.wallet_api import Client, deposit_of
from wallet.adapters import upkeep_postgres

pytestmark = pytest.mark.integration


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    """Give a pool of the app role."""
    async with await open_pool(PoolSettings(dsn=database.dsn_app, application_name="test")) as opened:
        yield opened


async def as_admin(database: Database, statement: str, *arguments: object) -> None:
    connection = await asyncpg.connect(database.dsn_admin)
    try:
        await connection.execute(statement, *arguments)
    finally:
        await connection.close()


async def test_partitions_are_made_ahead_by_the_app_role(client: Client, database: Database, pool: Pool) -> None:
    wallet_id = await client.open()
    await as_admin(database, "update wallet.journal set seq = 262143 where account_id = $1", wallet_id)
    before = await upkeep_postgres.journal_headroom(pool)

    await client.post("/v1/deposits", deposit_of(wallet_id, "1"))
    made = await upkeep_postgres.make_partitions(pool)

    assert before == 262_145
    assert made == 1
    assert await upkeep_postgres.journal_headroom(pool) == 3 * 262_144 - 262_145
    assert await upkeep_postgres.make_partitions(pool) == 0


async def test_keys_are_forgotten_after_their_time(client: Client, database: Database, pool: Pool) -> None:
    wallet_id = await client.open()
    await client.post("/v1/deposits", deposit_of(wallet_id, "1"), key="old")
    await as_admin(database, "update wallet.idempotency set created_at = now() - interval '31 days' where key = 'old'")

    assert await upkeep_postgres.forget_keys(pool, 30) == 1
    assert await upkeep_postgres.forget_keys(pool, 30) == 0
    await client.post("/v1/deposits", deposit_of(wallet_id, "1"), key="old")
    assert await client.posted(wallet_id) == "2.00"


async def test_a_halt_of_the_relay_is_seen(database: Database, pool: Pool) -> None:
    before = await upkeep_postgres.is_halted(pool)
    await as_admin(
        database,
        "insert into servicekit.relay_halt (topic, topic_partition, kafka_offset, shard, seq, event_id)"
        " values ('wallet.events', 0, 1, 0, 1, uuidv7())",
    )

    assert (before, await upkeep_postgres.is_halted(pool)) == (False, True)

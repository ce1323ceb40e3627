"""A database in which a former release kept copies of parked events: each wallet keeps its place."""

import shutil
from importlib import resources
from pathlib import Path

import asyncpg
import pytest

from local_stack import databases
from servicekit.consumer import consumer_source, operations
from servicekit.migrations import MigrationSource, migrate, servicekit_source
from testkit.databases import Server, TemplateDatabase
from testkit.events import wallet_in

pytestmark = pytest.mark.integration


async def test_a_parked_wallet_begins_at_the_first_copy_that_was_left(postgres_server: Server, tmp_path: Path) -> None:
    shutil.copy(str(resources.files("servicekit") / "sql" / "consumer" / "0001_consumer.sql"), tmp_path)
    former = MigrationSource("servicekit.consumer", tmp_path)
    app_role, wallet = databases.app_role("parked"), wallet_in(3)

    async def run(dsn_owner: str) -> None:
        await migrate(dsn_owner, [servicekit_source(), former], app_role=app_role)

    async with TemplateDatabase(postgres_server, service="parked", migrate=run).database() as database:
        connection = await asyncpg.connect(database.dsn_owner)
        await connection.execute(
            "INSERT INTO servicekit.parked_wallet (projection, wallet_id, shard, seq, reason)"
            " VALUES ('p', $1, 3, 5, '')",
            wallet,
        )
        await connection.executemany(
            "INSERT INTO servicekit.parked_event VALUES ('p', $1, $2, '{}', '{}', NULL)", [(wallet, 8), (wallet, 9)]
        )
        await migrate(database.dsn_owner, [servicekit_source(), consumer_source()], app_role=app_role)
        (parked,) = await operations.parked_wallets(connection, "p")
        await connection.close()

    assert (parked.seq, parked.events) == (8, 2)

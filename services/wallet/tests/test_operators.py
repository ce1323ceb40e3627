"""What operators run, as processes: sentences and exit codes."""

import asyncio
import os
import sys

import asyncpg
import pytest

from testkit.databases import Database
from testkit.wallet_api import Client

pytestmark = pytest.mark.integration


async def wallet(database: Database, *arguments: str) -> tuple[int, str]:
    """Return the exit code of `python -m wallet …` and all that it said."""
    environment = {
        **os.environ,
        "WALLET_DATABASE_URL": database.dsn_app,
        "WALLET_OWNER_DATABASE_URL": database.dsn_owner,
        "COLUMNS": "200",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wallet", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_archive_says_why_a_partition_stays(client: Client, database: Database) -> None:
    await client.open(deposit="5")

    code, said = await wallet(database, "archive", "--keep", "0")

    assert code == 0
    assert "Partition 0 stays attached: shard" in said


async def test_rebuild_ends_with_1_where_a_row_differs(client: Client, database: Database) -> None:
    wallet_id = await client.open(deposit="5")
    equal = await wallet(database, "rebuild")
    admin = await asyncpg.connect(database.dsn_admin)
    await admin.execute("update wallet.wallet set stamp = stamp + 1, posted_minor = 7")
    await admin.close()

    code, said = await wallet(database, "rebuild")
    refused, why = await wallet(database, "rebuild", "--repair", "--operator", "ann")
    unnamed, _ = await wallet(database, "rebuild", "--repair")

    assert equal[0] == 0
    assert code == 1
    assert all(word in said for word in (wallet_id, "posted_minor", "7", "500"))
    assert (refused, unnamed) == (1, 2)
    assert "a committer is connected" in why


async def test_who_finds_the_journal_busy_is_told(database: Database) -> None:
    admin = await asyncpg.connect(database.dsn_admin)
    await admin.execute("select pg_advisory_lock(7, 2)")

    answers = [await wallet(database, command) for command in ("verify", "rebuild", "archive")]
    await admin.close()

    assert [code for code, _ in answers] == [1, 1, 1]
    assert all("try again afterwards" in said for _, said in answers)


async def test_replay_refuses_the_live_topic(database: Database) -> None:
    code, said = await wallet(database, "replay", "--to", "wallet.events")

    assert code == 1
    assert "replay to a fresh one" in said

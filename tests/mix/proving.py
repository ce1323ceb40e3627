"""What is proved of the ledger and its history once the players have gone, before and after an archiving."""

import asyncio
from typing import Final

import asyncpg
from tests.chaos.judge.draining import drained
from tests.chaos.platform.platform import Platform

from wallet.adapters.partitions_postgres import PARTITIONS_AHEAD

DRAINED_WITHIN_S: Final = 900.0
FOLDED_WITHIN_S: Final = 120.0
POLL_S: Final = 0.2
_NARROW: Final = """
    select pg_advisory_xact_lock(7, 1);
    lock table wallet.journal in access exclusive mode;
    drop table {};
    create or replace function wallet.partition_width() returns bigint
    language sql immutable parallel safe as 'select {}::bigint';
    select wallet.ensure_journal_partitions({})"""
_BEHIND: Final = """
    select count(*) from wallet.system_account_fold f
     where f.seq < (select coalesce(max(j.seq), 0) from wallet.journal j where j.shard = f.shard)"""


async def narrow_partitions(dsn_owner: str, width: int) -> None:
    """Make partitions of *width* numbers, before anything is written, so that some can be archived."""
    tables = ", ".join(f"wallet.journal_{number}" for number in range(1 + PARTITIONS_AHEAD))
    connection = await asyncpg.connect(dsn_owner)
    await connection.execute(_NARROW.format(tables, width, PARTITIONS_AHEAD))
    await connection.close()


async def prove(platform: Platform) -> None:
    """Verify the ledger, rebuild its rows and rebuild the history; raise AssertionError with what one of them says."""
    await drained(platform, DRAINED_WITHIN_S)
    print(_last(await platform.operate("wallet", "verify")))
    print(_last(await platform.operate("wallet", "rebuild")))
    print(_last(await platform.operate("transaction_history", "projections", "rebuild")))


async def archive(platform: Platform) -> None:
    """Archive every partition that is complete; raise AssertionError where there is none."""
    async with platform.connections() as connections, asyncio.timeout(FOLDED_WITHIN_S):
        while await connections["wallet"].fetchval(_BEHIND):  # noqa: ASYNC110 - in the database
            await asyncio.sleep(POLL_S)
    await platform.operate("wallet", "archive", "--keep", "0")
    async with platform.connections() as connections:
        archived = await connections["wallet"].fetchval("select count(*) from wallet.archived_partition")
    assert archived, "no shard came to the end of a partition"
    print(f"{archived} partitions archived")


def _last(said: str) -> str:
    return said.strip().rsplit("\n", 1)[-1]

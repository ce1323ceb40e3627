"""That rows which every event changes are changed within their pages: no index has a column of theirs that changes."""

from collections.abc import Sequence
from typing import Final

import asyncpg
import pytest

from contracts.envelope import Envelope
from servicekit.postgres import Pool
from testkit.databases import Database
from testkit.events import wallet_in
from testkit.read_api import ReadApi

pytestmark = pytest.mark.integration

DEPOSITS: Final = 40
_UPDATED: Final = """
    select relname, n_tup_upd, n_tup_hot_upd from pg_stat_user_tables
    where schemaname = 'transaction_history' and relname = any ($1)"""


async def test_wallets_and_their_days_are_updated_within_their_pages(
    bench: ReadApi, database: Database, pool: Pool
) -> None:
    wallet = wallet_in(3)
    await bench.project(bench.stream.opened(wallet))
    for _ in range(DEPOSITS):
        deposit: Sequence[Envelope] = bench.stream.deposit(wallet)
        await bench.project(*deposit)

    async with pool.connection() as connection:  # the pool lends the one that has written: what it counted is told
        await connection.execute("select pg_stat_force_next_flush()")
    admin = await asyncpg.connect(database.dsn_admin)
    told = await admin.fetch(_UPDATED, ["wallet", "balance_day"])
    await admin.close()

    assert {row["relname"]: row["n_tup_hot_upd"] for row in told} == {row["relname"]: row["n_tup_upd"] for row in told}
    assert min(row["n_tup_upd"] for row in told) >= DEPOSITS - 1

"""System accounts: folded in the background, exact at every moment."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from servicekit.maintenance import JobRun
from servicekit.postgres import Pool, PoolSettings, open_pool
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import TENANT
from testkit.databases import Database
from testkit.wallet_api import Client, deposit_of
from wallet.adapters import system_accounts_postgres as system_accounts
from wallet.adapters.system_accounts_postgres import SystemAccountBalance
from wallet.application.metrics import FoldMetrics
from wallet.bootstrap import jobs
from wallet.bootstrap.housekeeping import open_maintenance
from wallet.config import WalletSettings
from wallet.maintenance.verify_postgres import verify

pytestmark = pytest.mark.integration

EXPECTED = [SystemAccountBalance("external:JPY", "JPY", -500), SystemAccountBalance("external:USD", "USD", -2_600)]


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    """Give a pool of the app role."""
    async with await open_pool(PoolSettings(dsn=database.dsn_app, application_name="test")) as opened:
        yield opened


async def fold(pool: Pool, **bounds: int) -> int:
    async with pool.connection() as connection:
        return await system_accounts.fold(connection, **bounds)


async def lag_rows(pool: Pool) -> int:
    async with pool.connection() as connection:
        return await system_accounts.lag_rows(connection)


async def some_money(client: Client) -> None:
    """Bring 30.00 USD and 500 JPY in, and take 4.00 USD out."""
    first, second = await client.open(deposit="10"), await client.open(deposit="20")
    await client.open(currency="JPY", deposit="500")
    for wallet_id in (first, second, second, second):
        await client.post("/v1/withdrawals", deposit_of(wallet_id, "1"))


async def test_a_balance_is_exact_however_far_the_totals_are_folded(client: Client, pool: Pool) -> None:
    await some_money(client)
    tenant_id = TENANT

    told = [await system_accounts.balances(pool, tenant_id)]
    while await fold(pool, rows_per_shard=2):
        told.append(await system_accounts.balances(pool, tenant_id))

    assert all(balances == EXPECTED for balances in told)
    assert await lag_rows(pool) == 0


async def test_what_comes_after_the_fold_counts_at_once(client: Client, pool: Pool) -> None:
    wallet_id = await client.open(deposit="10")
    await fold(pool)

    await client.post("/v1/deposits", deposit_of(wallet_id, "5"))

    assert await system_accounts.balances(pool, TENANT) == [("external:USD", "USD", -1_500)]


async def test_many_instances_fold_each_row_once(client: Client, pool: Pool, database: Database) -> None:
    await some_money(client)

    async def until_folded() -> None:
        while await lag_rows(pool):
            await fold(pool, rows_per_shard=1)

    await asyncio.gather(*(until_folded() for _ in range(6)))

    assert (await verify(database.dsn_app, lambda _rows: None)).holds


@pytest.mark.parametrize(
    "tampering",
    [
        "update wallet.system_account_total set total_minor = total_minor + 1 where system_account = 'external:JPY'",
        "delete from wallet.system_account_total where system_account = 'external:JPY'",
        "update wallet.system_account_fold set seq = seq + 1 where seq > 0",
    ],
)
async def test_a_wrong_total_is_named(client: Client, pool: Pool, database: Database, tampering: str) -> None:
    await some_money(client)
    while await fold(pool):
        pass
    connection = await asyncpg.connect(database.dsn_admin)
    await connection.execute(tampering)
    await connection.close()

    report = await verify(database.dsn_app, lambda _rows: None)

    assert {finding.invariant for finding in report.findings} == {"I2"}
    assert "system account" in report.findings[0].place


async def test_maintenance_folds_and_tells_how_far_it_is(client: Client, pool: Pool, settings: WalletSettings) -> None:
    await some_money(client)
    house = Telemetry("wallet", "house", "0", CollectorRegistry(), Tracing("wallet", 0.0))

    async with open_maintenance(settings, house), asyncio.timeout(30):
        while await lag_rows(pool):  # noqa: ASYNC110 - the job works in its own task
            await asyncio.sleep(0.05)

    page = (await client.get("/health/deep")).json()
    assert page["checks"]["system_accounts"] == {"ok": True, "detail": "totals are 0 rows behind the journal"}
    assert house.registry.get_sample_value("wallet_system_account_fold_lag_rows") == 0


async def test_to_fold_nothing_writes_nothing(client: Client, pool: Pool) -> None:
    await some_money(client)
    job = jobs.fold_system_accounts(FoldMetrics(CollectorRegistry()))
    async with pool.connection() as connection:
        assert await job.run(JobRun(connection, None)) > 0
        async with connection.transaction():
            assert await job.run(JobRun(connection, None)) == 0
            assert await connection.fetchval("select pg_current_xact_id_if_assigned()") is None

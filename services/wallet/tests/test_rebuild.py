"""`wallet rebuild`: the rows derived again, compared and, by an operator's decision, set right."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import httpx2
import pytest
from prometheus_client import CollectorRegistry

from servicekit.telemetry import Telemetry, Tracing
from testkit.access import AdmitsAs
from testkit.databases import Database
from testkit.wallet_api import Client, deposit_of, transfer_of
from wallet.adapters.ledger_postgres import COMMITTER
from wallet.bootstrap.api import open_api
from wallet.bootstrap.operating import FOLDING
from wallet.config import WalletSettings
from wallet.maintenance.archive_postgres import open_archiver
from wallet.maintenance.rebuild import RebuildReport
from wallet.maintenance.rebuild_postgres import RepairRefusedError, count_rows, rebuild, repair
from wallet.maintenance.terminal.archiving import show_archiving
from wallet.maintenance.terminal.rebuilding import show_rebuild
from wallet.maintenance.verify_postgres import verify

pytestmark = pytest.mark.integration

TAMPERINGS = {
    "posted_minor": "posted_minor = posted_minor + 7",
    "version": "version = version + 1",
    "status": "status = 1",
    "restrictions": "restrictions = null",
    "owner_id": "owner_id = 'thief'",
    "last_at": "last_at = last_at + interval '1 s'",
    "private": "private = null",
}


@asynccontextmanager
async def an_api(settings: WalletSettings) -> AsyncIterator[Client]:
    """Give a client of an API that ends with the block."""
    telemetry = Telemetry("wallet", "test", "0", CollectorRegistry(), Tracing("wallet", 0.0))
    async with open_api(settings, telemetry, authority=AdmitsAs()) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://wallet") as http:
            yield Client(http)


async def some_life(client: Client) -> str:
    """Live through every change of state; return a wallet with a label, restrictions and money."""
    opened = await client.post(
        "/v1/wallets", {"owner_id": "owner", "currency": "USD", "label": "rent", "metadata": {"a": "b"}}
    )
    wallet_id: str = opened.json()["id"]
    other, third = await client.open(deposit="9"), await client.open(currency="JPY", deposit="500")
    await client.post("/v1/deposits", deposit_of(wallet_id, "100", reference="r"))
    await client.post("/v1/transfers", transfer_of(wallet_id, other, "12.34"))
    await client.post(f"/v1/wallets/{other}/freeze", {"reason": "asked", "scope": "all"})
    await client.post(f"/v1/wallets/{other}/unfreeze", {})
    await client.post("/v1/withdrawals", deposit_of(third, "500", "JPY"))
    await client.post(f"/v1/wallets/{third}/close", {})
    await client.post(f"/v1/wallets/{wallet_id}/freeze", {"reason": "asked", "scope": "debits"})
    frozen = await client.post(f"/v1/wallets/{wallet_id}/freeze", {"reason": "asked again", "scope": "all"})
    assert frozen.is_success
    return wallet_id


async def tamper(database: Database, statement: str) -> None:
    connection = await asyncpg.connect(database.dsn_admin)
    assert not (await connection.execute(statement)).endswith(" 0")
    await connection.close()


async def until_no_committer(database: Database) -> None:
    connection = await asyncpg.connect(database.dsn_admin)
    async with asyncio.timeout(10):
        while await connection.fetchval(_COMMITTERS, COMMITTER):  # noqa: ASYNC110 - its session ends by itself
            await asyncio.sleep(0.02)
    await connection.close()


_COMMITTERS = "select 1 from pg_stat_activity where datname = current_database() and application_name = $1"


async def compared(database: Database) -> RebuildReport:
    return await rebuild(database.dsn_app, FOLDING, lambda _rows: None)


async def test_an_honest_ledger_rebuilds_to_what_it_is(client: Client, database: Database) -> None:
    await some_life(client)
    seen: list[int] = []

    report = await rebuild(database.dsn_app, FOLDING, seen.append)

    assert report.is_equal, report.differences
    assert report.wallets == 3
    assert sum(seen) == report.rows == await count_rows(database.dsn_app)


@pytest.mark.parametrize("column", sorted(TAMPERINGS))
async def test_a_changed_column_is_named(client: Client, database: Database, column: str) -> None:
    wallet_id = await some_life(client)
    await tamper(database, f"update wallet.wallet set stamp = stamp + 1, {TAMPERINGS[column]} where id = '{wallet_id}'")

    report = await compared(database)

    assert [(str(found.name), found.column) for found in report.differences] == [(wallet_id, column)]
    assert not report.is_equal
    assert "rent" not in repr(report.differences)


async def test_missing_and_invented_rows_are_named(client: Client, database: Database) -> None:
    wallet_id = await some_life(client)
    await tamper(
        database,
        f"update wallet.wallet set id = '0190b5a4-0000-7000-8000-000000000001' where id = '{wallet_id}'",
    )

    report = await compared(database)

    assert sorted((found.column, found.live, found.derived) for found in report.differences) == [
        ("row", "a row", "none"),
        ("row", "none", "a row"),
    ]


async def test_a_repair_sets_rows_to_what_the_journal_says(settings: WalletSettings, database: Database) -> None:
    async with an_api(settings) as client:
        wallet_id = await some_life(client)
        before = await client.wallet(wallet_id)
    for change in TAMPERINGS.values():
        await tamper(database, f"update wallet.wallet set stamp = stamp + 1, {change} where id = '{wallet_id}'")
    await until_no_committer(database)

    holds = await show_rebuild(
        lambda: count_rows(database.dsn_app),
        lambda progress: repair(database.dsn_app, FOLDING, progress, operator="ann"),
    )

    assert holds
    assert (await compared(database)).is_equal
    assert (await verify(database.dsn_app, lambda _rows: None)).holds
    async with an_api(settings) as client:
        assert await client.wallet(wallet_id) == before
    connection = await asyncpg.connect(database.dsn_app)
    (kept,) = await connection.fetch("select wallet_id, operator, was::text from wallet.wallet_repair")
    await connection.close()
    assert (str(kept["wallet_id"]), kept["operator"]) == (wallet_id, "ann")
    assert "thief" in kept["was"]


async def test_a_repair_is_refused_beside_a_committer(client: Client, database: Database) -> None:
    await some_life(client)

    with pytest.raises(RepairRefusedError, match="stop every `wallet api`"):
        await repair(database.dsn_app, FOLDING, lambda _rows: None, operator="ann")


async def test_nothing_is_repaired_from_a_journal_that_contradicts_itself(
    settings: WalletSettings, database: Database
) -> None:
    async with an_api(settings) as client:
        wallet_id = await some_life(client)
    await tamper(database, "update wallet.wallet set stamp = stamp + 1, posted_minor = posted_minor + 1")
    await tamper(
        database,
        f"update wallet.journal set posted_delta = posted_delta + 1 where account_id = '{wallet_id}' and version = 2",
    )
    await until_no_committer(database)

    with pytest.raises(RepairRefusedError, match="contradicts itself"):
        await repair(database.dsn_app, FOLDING, lambda _rows: None, operator="ann")

    report = await compared(database)
    assert (report.breaches_total, report.differing) == (1, 2)


async def test_a_rebuild_starts_from_what_was_archived(
    client: Client, database: Database, fill: Callable[[int], Awaitable[None]]
) -> None:
    await some_life(client)
    await fill(70)
    before = await compared(database)
    async with open_archiver(database.dsn_owner, FOLDING) as archiver:
        assert await show_archiving(archiver, keep=0) == 2

    report = await compared(database)

    assert (before.is_equal, report.is_equal) == (True, True), report.differences
    assert report.wallets == before.wallets
    assert report.rows < before.rows
    assert report.rows == await count_rows(database.dsn_app)

"""`wallet verify` names what was tampered with."""

import asyncpg
import pytest

from testkit.databases import Database
from testkit.wallet_api import Client, deposit_of, transfer_of
from wallet.maintenance.verify import Report
from wallet.maintenance.verify_postgres import count_rows, verify

pytestmark = pytest.mark.integration


async def some_life(client: Client) -> tuple[str, str]:
    payer, payee = await client.open(deposit="100"), await client.open()
    for _ in range(5):
        await client.post("/v1/transfers", transfer_of(payer, payee, "3"))
    await client.post("/v1/withdrawals", deposit_of(payee, "2"))
    return payer, payee


async def tamper(database: Database, statement: str, *arguments: object) -> None:
    connection = await asyncpg.connect(database.dsn_admin)
    try:
        changed = await connection.execute(statement, *arguments)
    finally:
        await connection.close()
    assert not changed.endswith(" 0"), "the tampering must bite"


async def verified(database: Database) -> Report:
    return await verify(database.dsn_app, lambda _rows: None)


def found(report: Report) -> set[str]:
    return {finding.invariant for finding in report.findings}


async def test_an_honest_ledger_holds(client: Client, database: Database) -> None:
    await some_life(client)
    seen: list[int] = []

    report = await verify(database.dsn_app, seen.append)

    assert report.holds, report.findings
    assert (report.rows, report.wallets, report.transactions) == (16, 2, 7)
    assert report.system_totals_minor == {"external:USD": -9_800}
    assert sum(seen) == await count_rows(database.dsn_app) == report.rows


async def test_a_changed_balance_is_named(client: Client, database: Database) -> None:
    payer, _ = await some_life(client)
    await tamper(database, "update wallet.wallet set posted_minor = posted_minor + 1 where id = $1", payer)

    report = await verified(database)

    assert found(report) == {"I2"}
    assert payer in report.findings[0].place


async def test_a_changed_amount_is_named(client: Client, database: Database) -> None:
    payer, _ = await some_life(client)
    await tamper(
        database,
        "update wallet.journal set posted_delta = posted_delta - 1 where account_id = $1 and version = 4",
        payer,
    )

    report = await verified(database)

    assert found(report) == {"I1", "I2"}


async def test_a_deleted_row_is_named(client: Client, database: Database) -> None:
    payer, _ = await some_life(client)
    await tamper(database, "delete from wallet.journal where account_id = $1 and version = 4", payer)

    report = await verified(database)

    assert found(report) >= {"I1", "I4"}


async def test_a_forgotten_wallet_is_named(client: Client, database: Database) -> None:
    payer, _ = await some_life(client)
    await tamper(database, "delete from wallet.wallet where id = $1", payer)

    report = await verified(database)

    assert found(report) == {"I2"}


async def test_the_app_role_cannot_change_the_journal(client: Client, database: Database) -> None:
    await some_life(client)
    connection = await asyncpg.connect(database.dsn_app)
    try:
        for statement in ("update wallet.journal set posted_delta = 0", "delete from wallet.journal"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("truncate wallet.journal")
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "tampering",
    [
        "update wallet.state set used_minor = used_minor - 1 where kind = 3",
        "update wallet.state set used_minor = used_minor + 1 where kind = 3",
        "delete from wallet.state where kind = 3",
        """update wallet.state set body = convert_to(jsonb_set(convert_from(body, 'utf8')::jsonb, '{refunds,0}',
               to_jsonb(gen_random_uuid()))::text, 'utf8') where kind = 3""",
    ],
)
async def test_a_refunded_transaction_that_its_events_do_not_make_is_named(
    client: Client, database: Database, tampering: str
) -> None:
    wallet = await client.open()
    deposit = (await client.post("/v1/deposits", deposit_of(wallet, "9"))).json()["id"]
    refund = {"reason": "back", "amount": {"amount": "2", "currency": "USD"}}
    assert (await client.post(f"/v1/transactions/{deposit}/refunds", refund)).status_code == 201
    assert (await verified(database)).holds
    await tamper(database, tampering)

    report = await verified(database)

    assert found(report) == {"I11"}
    assert {finding.place for finding in report.findings} == {f"transaction {deposit}"}

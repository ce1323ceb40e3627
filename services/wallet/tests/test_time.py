"""Time is the database's clock, raised by wallet: who is ahead of it takes nobody along."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx2
import pytest

from testkit.databases import Database
from testkit.wallet_api import Client, deposit_of, transfer_of
from wallet.application.speculation import Speculation
from wallet.maintenance.verify_postgres import verify

NOW = datetime(2026, 1, 1, tzinfo=UTC)
pytestmark = pytest.mark.integration


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Give a session that may do anything."""
    connection = await asyncpg.connect(database.dsn_admin)
    yield connection
    await connection.close()


async def put_ahead(admin: asyncpg.Connection, wallet_id: str, ahead: timedelta) -> None:
    """Leave *wallet_id* as a batch leaves it that met a clock which was *ahead*."""
    await admin.execute(
        "update wallet.journal set occurred_at = now() + $2 where account_id = $1 and version is not null",
        wallet_id,
        ahead,
    )
    await admin.execute(
        "update wallet.wallet set stamp = stamp + 1, last_at = now() + $2 where id = $1", wallet_id, ahead
    )


async def last_at(admin: asyncpg.Connection, wallet_id: str) -> datetime:
    at: datetime = await admin.fetchval("select last_at from wallet.wallet where id = $1", wallet_id)
    return at


async def clock(admin: asyncpg.Connection) -> datetime:
    now: datetime = await admin.fetchval("select clock_timestamp()")
    return now


async def deposit(client: Client, wallet_id: str, key: str | None = None) -> httpx2.Response:
    return await client.post("/v1/deposits", deposit_of(wallet_id, "1"), key=key)


async def test_a_wallet_a_little_ahead_keeps_its_time_and_takes_nobody_along(
    client: Client, admin: asyncpg.Connection, database: Database
) -> None:
    ahead, other = await client.open(deposit="10"), await client.open(deposit="10")
    await put_ahead(admin, ahead, timedelta(seconds=8))
    at = await last_at(admin, ahead)

    transfer = await client.post("/v1/transfers", transfer_of(ahead, other, "1"))
    answers = await client.post_all([("/v1/deposits", deposit_of(each, "1")) for each in (other, ahead, other)])

    assert {answer.status_code for answer in (transfer, *answers)} == {201}
    assert await last_at(admin, ahead) == at
    assert await last_at(admin, other) <= await clock(admin)
    told = (await client.get(transfer.headers["location"])).json()
    assert datetime.fromisoformat(told["created_at"]) == at
    assert told["created_at"] == transfer.json()["created_at"]
    assert (await verify(database.dsn_app, lambda _rows: None)).holds


async def test_the_money_of_a_wallet_far_ahead_stands_still(client: Client, admin: asyncpg.Connection) -> None:
    ahead, other = await client.open(deposit="10"), await client.open(deposit="10")
    await put_ahead(admin, ahead, timedelta(days=365))

    refused = [
        await deposit(client, ahead, key="later"),
        await client.post("/v1/transfers", transfer_of(other, ahead, "1")),
    ]
    passed = [await deposit(client, other) for _ in range(3)]
    frozen = await client.post(f"/v1/wallets/{ahead}/freeze", {"reason": "asked", "scope": "debits"})

    assert [(each.status_code, each.json()["code"]) for each in refused] == [(503, "wallet_ahead_of_clock")] * 2
    assert "retry-after" in refused[0].headers
    assert {each.status_code for each in (*passed, frozen)} <= {200, 201}
    assert await last_at(admin, other) <= await clock(admin)
    assert await admin.fetchval("select max(created_at) <= clock_timestamp() from wallet.idempotency")

    await admin.execute("update wallet.wallet set stamp = stamp + 1, last_at = now() where id = $1", ahead)
    assert (await deposit(client, ahead, key="later")).status_code == 201


async def test_an_atomic_batch_with_such_a_wallet_does_nothing(client: Client, admin: asyncpg.Connection) -> None:
    ahead, other = await client.open(deposit="10"), await client.open(deposit="10")
    await put_ahead(admin, ahead, timedelta(hours=1))
    commands = [{"type": "deposit", **deposit_of(each, "1")} for each in (other, ahead)]

    refused = await client.post("/v1/batches", {"mode": "atomic", "commands": commands})

    assert (refused.status_code, refused.json()["code"]) == (503, "wallet_ahead_of_clock")
    assert await client.posted(other) == "10.00"


def test_a_clock_that_was_set_back_is_followed_and_an_error_of_the_reckoning_is_not() -> None:
    known = Speculation()
    known.read_clock(NOW, 0.0)

    known.read_clock(NOW + timedelta(seconds=0.9), 1.0)
    little = known.time_at(1.0)
    known.read_clock(NOW - timedelta(hours=1), 2.0)
    back = known.time_at(2.0)

    assert little == NOW + timedelta(seconds=1)
    assert back == NOW - timedelta(hours=1)
    assert known.time_at(3.5) is None, "read too long ago"

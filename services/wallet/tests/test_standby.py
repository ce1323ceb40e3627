"""Acknowledged means replicated: with a synchronous standby that is away nothing is answered, repeats included."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import httpx2
import pytest

from engines.postgres import PostgresServer
from servicekit.settings import Mode
from servicekit.telemetry import Telemetry
from testkit.access import AdmitsAs
from testkit.databases import Database, Server, migrated_template
from testkit.standby import name_standbys
from testkit.waiting import eventually
from testkit.wallet_api import Client
from wallet.adapters.durability_postgres import unsafe_settings
from wallet.adapters.ledger_postgres import COMMITTER
from wallet.bootstrap import migration_sources
from wallet.bootstrap.api import open_api
from wallet.bootstrap.committing import MoneyUnsafe, refuse_unsafe_money
from wallet.config import WalletSettings

pytestmark = pytest.mark.integration

_COMMITTERS = "select pid, wait_event from pg_stat_activity where application_name = $1"


@pytest.fixture
async def own_database(own_postgres: PostgresServer) -> AsyncIterator[Database]:
    """Give a database on a server of its own, whose standbys are this test's to name."""
    async with migrated_template(Server(own_postgres.admin_dsn), "wallet", migration_sources()).database() as made:
        yield made


@pytest.fixture
async def admin(own_postgres: PostgresServer) -> AsyncIterator[asyncpg.Connection]:
    """Give a session of the superuser."""
    connection = await asyncpg.connect(own_postgres.admin_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def own_client(own_database: Database, telemetry: Telemetry) -> AsyncIterator[Client]:
    """Give a client of the API on that database; its commands wait for a second at most."""
    settings = WalletSettings(
        wallet_database_url=own_database.dsn_app,
        wallet_reader_database_url=own_database.dsn_reader,
        wallet_command_deadline_s=1.0,
    )
    async with open_api(settings, telemetry, authority=AdmitsAs()) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://wallet") as http:
            yield Client(http)


async def cut_short(admin: asyncpg.Connection, how: str) -> None:
    """Have every commit that waits for the standby end its wait, once there is one."""

    async def has_cut() -> bool:
        waiting = [row["pid"] for row in await admin.fetch(_COMMITTERS, COMMITTER) if row["wait_event"] == "SyncRep"]
        for pid in waiting:
            await admin.execute(f"select {how}($1)", pid)
        return bool(waiting)

    await eventually(has_cut)


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
async def test_a_commit_whose_wait_was_cut_short_is_not_acknowledged(
    own_client: Client, admin: asyncpg.Connection, how: str
) -> None:
    await own_client.open()
    await name_standbys(admin, "away")

    async def open_wallet() -> httpx2.Response:
        # A repeat of it locks no row: nothing but the barrier waits for the standby.
        return await own_client.post("/v1/wallets", {"owner_id": "ann", "currency": "USD"}, key="k")

    first = asyncio.create_task(open_wallet())
    await cut_short(admin, how)
    unknown = [await first, await open_wallet(), await open_wallet()]
    visible = (await own_client.get("/v1/wallets", owner_id="ann")).json()["data"]
    await name_standbys(admin, "")
    answers: list[httpx2.Response] = []

    async def is_settled() -> bool:
        answers.append(await open_wallet())
        return answers[-1].status_code != 503

    await eventually(is_settled)

    assert [each.status_code for each in unknown] == [503] * 3
    assert unknown[0].json()["code"] == "outcome_unknown"
    assert len(visible) == 1, "the commit is visible on the primary alone: that is what the barrier is for"
    assert answers[-1].headers["idempotency-replayed"] == "true"
    assert answers[-1].json()["id"] == visible[0]["id"]


@pytest.mark.parametrize(
    ("unsafe", "names"),
    [
        ("synchronous_commit = off", ["synchronous_commit = off"]),
        ("synchronous_commit = local", ["synchronous_commit = local"]),
        ("synchronous_commit = remote_apply", []),
    ],
)
async def test_outside_development_money_is_refused_where_it_would_be_unsafe(
    own_database: Database, unsafe: str, names: list[str]
) -> None:
    settings = WalletSettings(
        wallet_database_url=own_database.dsn_app, wallet_reader_database_url=own_database.dsn_reader
    )
    in_production = settings.model_copy(update={"mode": Mode.PRODUCTION})
    owner = await asyncpg.connect(own_database.dsn_admin)
    await refuse_unsafe_money(in_production)
    await owner.execute(f"alter role wallet_app in database {own_database.name} set {unsafe}")
    await owner.close()

    session = await asyncpg.connect(own_database.dsn_app)
    assert await unsafe_settings(session) == names
    await session.close()
    await refuse_unsafe_money(settings)
    if names:
        with pytest.raises(MoneyUnsafe, match=names[0]):
            await refuse_unsafe_money(in_production)
    else:
        await refuse_unsafe_money(in_production)


async def test_unsafe_settings_of_the_server_are_named_by_the_deep_page(client: Client) -> None:
    page = (await client.get("/health/deep")).json()

    assert "fsync = off, full_page_writes = off" in page["checks"]["durability"]["detail"]

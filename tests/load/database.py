"""The database that every cell of the benchmark writes to: durable, sized for load, one server for the whole run."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import asyncpg

from local_stack import accounts, postgres
from local_stack.postgres import PostgresServer
from servicekit.migrations import migrate
from testkit import engines
from testkit.databases import Database, Server, TemplateDatabase
from wallet.bootstrap import migration_sources

FOR_LOAD = {
    **postgres.DURABLE,
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
}
WALLETS = 1_000
PREPARE = "tests/load/pgbench/prepare.sql"


@dataclass(frozen=True, slots=True)
class Bench:
    """A migrated database with `WALLETS` funded wallets."""

    server: PostgresServer
    database: Database
    wallet_ids: list[str]


@contextmanager
def server() -> Iterator[PostgresServer]:
    """Run the benchmark's PostgreSQL."""
    home = accounts.home_for(accounts.unprivileged_account())
    with engines.run_folder(home) as folder, engines.running_postgres(folder, settings=FOR_LOAD) as running:
        yield running


@asynccontextmanager
async def prepared(running: PostgresServer) -> AsyncIterator[Bench]:
    """Give a fresh database with the wallets and the function that pgbench uses."""

    async def build(owner_dsn: str) -> None:
        await migrate(owner_dsn, migration_sources(), app_role="wallet_app")

    template = TemplateDatabase(Server(running.admin_dsn), service="wallet", migrate=build)
    async with template.database() as database:
        connection = await asyncpg.connect(database.dsn_admin)
        try:
            with open(PREPARE, encoding="utf-8") as script:  # noqa: ASYNC230, PTH123 - once, before anything is timed
                await connection.execute(script.read())
            rows = await connection.fetch(
                "select md5('w' || n)::uuid::text as id from generate_series(1, $1::int) n order by n", WALLETS
            )
        finally:
            await connection.close()
        yield Bench(running, database, [row["id"] for row in rows])


async def row_sizes(dsn: str) -> tuple[int, int]:
    """Return the average bytes of a journal payload and of a stored body, for pgbench to write as much."""
    connection = await asyncpg.connect(dsn)
    try:
        payload = await connection.fetchval("select avg(octet_length(payload))::int from wallet.journal where type = 4")
        body = await connection.fetchval("select avg(octet_length(body))::int from wallet.idempotency")
    finally:
        await connection.close()
    assert payload is not None, "the committer's cell runs first: its rows tell the sizes"
    return payload, body

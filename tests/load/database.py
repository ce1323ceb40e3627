"""The database that every cell of the benchmark writes to: durable, sized for load, one server for the whole run."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg

import transaction_history.bootstrap
import wallet.bootstrap
from engines import accounts, postgres, temporary
from engines.postgres import PostgresServer
from testkit.databases import Database, Server, TemplateDatabase, migrated_template

FOR_LOAD = {
    **postgres.DURABLE,
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
}
WALLETS = 1_000
PARTITIONS_AHEAD = 4
_PREPARE = "tests/load/pgbench/prepare.sql"
_ADD_FUNDED = """
    insert into wallet.wallet (id, tenant_id, owner_id, currency, status, posted_minor, held_minor,
                               overdraft_limit_minor, version, opened_at, last_at, operator_version, stamp)
    select uuidv7(), $1, 'bench', 'USD', 0, 1000000000000, 0, 0, 1, now(), now(), 0, random(0, 9223372036854775807)
      from generate_series(1, $2::int)
    returning id"""


@dataclass(frozen=True, slots=True)
class Bench:
    """A migrated database with `WALLETS` funded wallets."""

    server: PostgresServer
    database: Database
    wallet_ids: list[str]


@contextmanager
def server() -> Iterator[PostgresServer]:
    """Run the benchmark's PostgreSQL."""
    with run_folder() as folder, temporary.running_postgres(folder, settings=FOR_LOAD) as running:
        yield running


@contextmanager
def run_folder() -> Iterator[Path]:
    """Give a folder that PostgreSQL's account can enter, removed at the end."""
    with temporary.run_folder(accounts.home_for(accounts.unprivileged_account())) as folder:
        yield folder


def wallet_template(running: PostgresServer) -> TemplateDatabase:
    """Return what makes empty ledgers."""
    return migrated_template(Server(running.admin_dsn), "wallet", wallet.bootstrap.migration_sources())


def history_template(running: PostgresServer) -> TemplateDatabase:
    """Return what makes empty read models."""
    sources = transaction_history.bootstrap.migration_sources()
    return migrated_template(Server(running.admin_dsn), "transaction_history", sources)


@asynccontextmanager
async def prepared(running: PostgresServer) -> AsyncIterator[Bench]:
    """Give a fresh database with the wallets and the function that pgbench uses."""
    async with wallet_template(running).database() as database:
        yield Bench(running, database, await add_wallets(database.dsn_admin))


async def add_wallets(dsn: str) -> list[str]:
    """Add the wallets and the function that pgbench uses; return the wallets' ids."""
    async with connected(dsn) as connection:
        await connection.execute(Path(_PREPARE).read_text())  # noqa: ASYNC240 - once, before anything is timed
        return await wallet_ids(connection)


async def wallet_ids(connection: asyncpg.Connection) -> list[str]:
    """Return the ids of the wallets that `add_wallets` adds."""
    rows = await connection.fetch(
        "select md5('w' || n)::uuid::text as id from generate_series(1, $1::int) n order by n", WALLETS
    )
    return [row["id"] for row in rows]


async def add_funded_wallets(dsn: str, tenant_id: UUID, count: int) -> list[UUID]:
    """Add *count* funded wallets that no process has seen; return their ids."""
    async with connected(dsn) as connection:
        rows = await connection.fetch(_ADD_FUNDED, tenant_id, count)
        await connection.execute("vacuum (analyze) wallet.wallet")
    return [row["id"] for row in rows]


async def make_room(dsn: str) -> None:
    """Make the journal's next partitions, as the API does while it runs."""
    async with connected(dsn) as connection:
        await connection.execute("select wallet.ensure_journal_partitions($1)", PARTITIONS_AHEAD)


async def row_sizes(dsn: str) -> tuple[int, int]:
    """Return the average bytes of a journal payload and of a stored body, for pgbench to write as much."""
    async with connected(dsn) as connection:
        payload = await connection.fetchval("select avg(octet_length(payload))::int from wallet.journal where type = 4")
        body = await connection.fetchval("select avg(octet_length(body))::int from wallet.idempotency")
    assert payload is not None, "the committer goes first: its rows tell the sizes"
    return payload, body


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection whose transactions may take their time: making ten million rows takes longer than a command."""
    connection = await asyncpg.connect(dsn, server_settings={"transaction_timeout": "0"})
    try:
        yield connection
    finally:
        await connection.close()

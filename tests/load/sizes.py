"""What a transfer costs on journals of growing size, with idempotency records grown alike.

The databases are filled by the server, once: true rows of the committer's, repeated under new ids and random keys, then
vacuumed. They stay below the `bench` folder for the next run. A clone is measured, so that a small journal stays small;
the largest is too dear to clone, grows by what is measured, and is made anew once it has grown by a quarter.

After a checkpoint each page's first change writes the whole page into the log, and a random key falls on any page of
the keys' index: so transfers are made until that is over, and the rate is that of the time between checkpoints.
"""

import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
from rich.console import Console
from tests.load import committing
from tests.load.database import FOR_LOAD, add_wallets, connected, make_room, wallet_ids
from tests.load.series import Series

import wallet.bootstrap
from engines import accounts, databases, locks, postgres
from engines.ports import free_ports
from engines.postgres import PostgresServer
from servicekit.clock import monotonic_s
from servicekit.migrations import migrate
from testkit.databases import PASSWORD, Server
from wallet.adapters.ledger_postgres import PostgresLedger

SERVICE: Final = "wallet"
CHECKPOINTED: Final = "after a checkpoint"
"""The series of the first seconds behind a checkpoint."""
TRUE_TRANSFERS: Final = 2_048
CLONED_ROWS_MAX: Final = 1_000_000
GROWN_MAX: Final = 1.25
TOUCHES_PER_PAGE: Final = 3
"""Of random keys, so that 95 of 100 pages of their index have been touched."""
ROW_BYTES: Final = 2_000
"""Of a journal row with its half of an idempotency record and the indexes, rounded up."""
SPARE_BYTES: Final = 12 * 2**30
"""For the write-ahead log, and for the machine."""

_FILL_SHARD: Final = """
    with head as (select coalesce(max(seq), 0) as seq from wallet.journal where shard = $1),
         sample as (select * from wallet.journal where type = 4 limit 1),
         made as (select n, uuidv7() as transaction_id from generate_series(1, $3::int) n)
    insert into wallet.journal (shard, seq, event_id, tenant_id, account_id, version, transaction_id, entry_index,
                                entry_count, type, currency, posted_delta, held_delta, posted_after, held_after,
                                occurred_at, actor, payload)
    select $1, head.seq + 2 * made.n - 1 + entry.index, uuidv7(), sample.tenant_id, $2, made.n, made.transaction_id,
           entry.index, 2, sample.type, sample.currency, sample.posted_delta, 0, sample.posted_after, 0,
           sample.occurred_at, sample.actor, sample.payload
      from made cross join (values (0), (1)) entry (index) cross join head cross join sample"""
_FILL_KEYS: Final = """
    insert into wallet.idempotency (client, key, part, fingerprint, status, body, resource_id, positions, shard,
                                    created_at)
    select sample.client, made.key, 0, sha256(made.key::bytea), sample.status, sample.body, uuidv7(), sample.positions,
           sample.shard, now()
      from (select encode(uuid_send(gen_random_uuid()), 'hex') as key from generate_series(1, $1::int) order by 1) made
      cross join (select * from wallet.idempotency limit 1) sample"""
_KEY_PAGES: Final = "select pg_relation_size('wallet.idempotency_pkey') / current_setting('block_size')::int"
_JOURNAL_ROWS: Final = """
    select coalesce(sum(head.seq), 0)
      from generate_series(0, 63) shards (shard)
     cross join lateral (select seq from wallet.journal j where j.shard = shards.shard order by seq desc limit 1)
           head"""
_SHARDS: Final = """
    select distinct on (1) (get_byte(uuid_send(id), 15) & 63)::smallint as shard, id from wallet.wallet order by 1, 2"""


async def measure(sizes: Sequence[int], series: Series, *, rounds: int, seconds: float, console: Console) -> None:
    """Measure every size in every round; one whose database does not fit on the disk is left out, and told."""
    with _kept_server() as server:
        fitting = [rows for rows in sorted(sizes) if await _prepared(server, rows, console)]
        for number in range(1, rounds + 1):
            console.print(f"sizes: round {number} of {rounds}")
            for rows in fitting:
                async with _database(server, rows) as dsn:
                    await _measure_one(server, dsn, series, rows, seconds)


async def _measure_one(server: PostgresServer, name: str, series: Series, rows: int, seconds: float) -> None:
    dsns = _Dsns(server, name)
    await make_room(dsns.admin)
    async with connected(dsns.admin) as connection:
        ids = await wallet_ids(connection)
        pages = await connection.fetchval(_KEY_PAGES)
    first = await committing.rate(PostgresLedger(dsns.app), ids, hot=False, ahead=True, seconds=seconds)
    series.add(f"{CHECKPOINTED} {rows}", first)
    async with committing.committer(PostgresLedger(dsns.app)) as queue:
        touches = TOUCHES_PER_PAGE * pages
        await committing.transfers(queue, ids, hot=False, is_enough=lambda done: done >= touches)
    rate = await committing.rate(PostgresLedger(dsns.app), ids, hot=False, ahead=True, seconds=seconds)
    series.add(f"sizes {rows}", rate)


@dataclass(frozen=True, slots=True)
class _Dsns:
    server: PostgresServer
    database: str

    @property
    def admin(self) -> str:
        return self.server.dsn(self.database, postgres.SUPERUSER, self.server.password)

    @property
    def owner(self) -> str:
        return Server(self.server.admin_dsn).dsn(self.database, databases.owner_role(SERVICE), PASSWORD)

    @property
    def app(self) -> str:
        return Server(self.server.admin_dsn).dsn(self.database, databases.app_role(SERVICE), PASSWORD)


@contextmanager
def _kept_server() -> Iterator[PostgresServer]:
    """Run the server whose databases stay."""
    account = accounts.unprivileged_account()
    home = accounts.home_for(account) / "bench"
    accounts.make_passable(home)
    with locks.waiting(home / "lock"):
        (port,) = free_ports(1)
        server = PostgresServer(
            folder=home / "postgres",
            port=port,
            log=home / "postgres.log",
            binaries=postgres.find_binaries(account),
            settings=FOR_LOAD,
        )
        server.start()
        try:
            yield server
        finally:
            server.stop()


async def _prepared(server: PostgresServer, rows: int, console: Console) -> bool:
    """Make the database of *rows* unless it is there; return whether there is one."""
    dsns = _Dsns(server, _name(rows))
    async with connected(server.admin_dsn) as admin:
        await databases.ensure_service_roles(admin, SERVICE, dict.fromkeys(databases.service_roles(SERVICE), PASSWORD))
        is_there = await admin.fetchval("select 1 from pg_database where datname = $1", dsns.database) is not None
        if is_there and await _has_outgrown(dsns, rows):
            await databases.drop_database(admin, dsns.database)
            is_there = False
        if not is_there:
            if not _fits(server, rows, console):
                return False
            began_s = monotonic_s()
            await _build(server, admin, rows)
            console.print(f"{rows:,} rows made in {monotonic_s() - began_s:.0f} s")
    await _migrate(dsns)
    return True


async def _migrate(dsns: _Dsns) -> None:
    app, reader = databases.app_role(SERVICE), databases.reader_role(SERVICE)
    await migrate(dsns.owner, wallet.bootstrap.migration_sources(), app_role=app, reader_role=reader)


def _fits(server: PostgresServer, rows: int, console: Console) -> bool:
    needed = rows * ROW_BYTES * (2 if rows <= CLONED_ROWS_MAX else 1) + SPARE_BYTES
    free = shutil.disk_usage(server.folder).free
    if free < needed:
        console.print(f"{rows:,} rows: {needed / 2**30:.0f} GiB are needed, {free / 2**30:.0f} are free: left out")
    return free >= needed


async def _has_outgrown(dsns: _Dsns, rows: int) -> bool:
    async with connected(dsns.admin) as connection:
        found: int = await connection.fetchval(_JOURNAL_ROWS)
        return found > rows * GROWN_MAX


async def _build(server: PostgresServer, admin: asyncpg.Connection, rows: int) -> None:
    """Make the database under another name, which it loses when it is whole."""
    dsns = _Dsns(server, f"{_name(rows)}_unfinished")
    await databases.drop_database(admin, dsns.database)
    await databases.create_database(admin, dsns.database, SERVICE)
    await _migrate(dsns)
    ids = await add_wallets(dsns.admin)
    async with committing.committer(PostgresLedger(dsns.app)) as queue:
        await committing.transfers(queue, ids, hot=False, is_enough=lambda done: done >= TRUE_TRANSFERS)
    async with connected(dsns.admin) as connection:
        await _fill(connection, rows)
    await admin.execute(f"alter database {dsns.database} rename to {_name(rows)}")


async def _fill(connection: asyncpg.Connection, rows: int) -> None:
    """Fill up to *rows* in the journal and half as many keys."""
    shards = await connection.fetch(_SHARDS)
    missing = rows - await connection.fetchval("select count(*) from wallet.journal")
    for row in shards:
        await connection.execute(_FILL_SHARD, row["shard"], row["id"], missing // 2 // len(shards))
    await connection.execute("set work_mem = '256MB'")
    keys = rows // 2 - await connection.fetchval("select count(*) from wallet.idempotency")
    await connection.execute(_FILL_KEYS, keys)
    await connection.execute("vacuum (analyze)")
    await connection.execute("checkpoint")


@asynccontextmanager
async def _database(server: PostgresServer, rows: int) -> AsyncIterator[str]:
    """Give the name of a clone, dropped afterwards, or of the database itself where it is too large for that."""
    if rows > CLONED_ROWS_MAX:
        yield _name(rows)
        return
    clone = f"{_name(rows)}_clone"
    async with connected(server.admin_dsn) as admin:
        await databases.drop_database(admin, clone)
        await databases.create_database(admin, clone, SERVICE, template=_name(rows))
        try:
            yield clone
        finally:
            await databases.drop_database(admin, clone)


def _name(rows: int) -> str:
    return f"bench_{rows}"

"""How fast workers close periods, and one makes files of them: `python -m tests.load.closing 50000 20 2`.

The figures are wallets, entries of each, and workers that close.
"""

import asyncio
import sys
import time
from tempfile import TemporaryDirectory
from typing import Final

import asyncpg
from prometheus_client import CollectorRegistry
from tests.load.database import FOR_LOAD

from engines import accounts, temporary
from servicekit.lifecycle import Shutdown
from servicekit.maintenance import JobRun
from servicekit.postgres import BY_INDEX, PoolSettings, connect, open_pool
from servicekit.tenant_pool import TenantPool
from testkit.access import TENANT
from testkit.databases import Database, Server, migrated_template
from testkit.watermarks import complete
from transaction_history import bootstrap
from transaction_history.domain.closing import FileFormat
from transaction_history.domain.private_text import ClearText
from transaction_history.jobs.objects import Objects
from transaction_history.statements.accounts_postgres import CHUNK_WALLETS, Enrolling
from transaction_history.statements.closing_postgres import Closing, ask_ahead
from transaction_history.statements.files_postgres import FileQueue
from transaction_history.statements.lines_postgres import LineReader
from transaction_history.statements.making import StatementMaker
from transaction_history.statements.metrics import StatementMetrics
from transaction_history.statements.renderer import Renderer

SECONDS_MAX: Final = 1_800
RENDERED_S: Final = 10
FILES: Final = 20_000
"""More than are made meanwhile."""
_ID: Final = "overlay(md5((n)::text) placing '7' from 13)::uuid"
_PARTITIONS: Final = """
    select transaction_history.make_partitions(
        array(select generate_series(date '2025-01-01', '2026-02-01', '1 month')::date), '{}')"""
_WALLETS: Final = f"""
    insert into transaction_history.wallet
    select {_ID}, $1, 'owner-' || n, 'USD', 'open', '[]', 0, $3::bigint * 100, 0, 1 + $3::bigint, '2026-01-01', now(),
           null, get_byte(uuid_send({_ID}), 15) & 63, $3::bigint, $3::bigint * 100, 0, 0, '2026-01-01T01:00:00Z',
           '2026-01-01T01:00:00Z'::timestamptz + ($3::bigint - 1) * interval '1 hour'
    from generate_series(1, $2::bigint) as n"""
_ENTRIES: Final = f"""
    insert into transaction_history.entry (wallet_id, version, seq, event_id, tenant_id, owner_id, type, transaction_id,
        transaction_type, entry_index, entry_count, currency, amount_minor, posted_minor_after, held_minor_after,
        counterparty_account, occurred_at, is_forced, shard, entries_after, credits_after, debits_after, fees_after)
    select {_ID}, 1 + v, n * $3 + v, uuidv7(), $1, 'owner-' || n, 'wallet.funds_deposited.v1', uuidv7(),
           case when v % 3 = 0 then 'deposit' else 'transfer' end, 0, 2, 'USD', 100, v * 100, 0, 'external:USD',
           '2026-01-01T01:00:00Z'::timestamptz + (v - 1) * interval '1 hour', false,
           get_byte(uuid_send({_ID}), 15) & 63, v, v * 100, 0, 0
    from generate_series(1, $3::bigint) as v, generate_series(1, $2::bigint) as n"""
_SETTING: Final = """
    insert into history_jobs.statement_setting
    values ($1, '', uuidv7(), 'Europe/Berlin', 'en', 'monthly', array['pdf', 'csv'], now())"""


async def measure(database: Database, wallets: int, entries: int, workers: int) -> None:
    """Close the January of *wallets*, by *workers* side by side, and print what it took."""
    owner = await asyncpg.connect(database.dsn_admin)
    await owner.execute(_PARTITIONS)
    await owner.execute(_WALLETS, TENANT, wallets, entries, timeout=SECONDS_MAX)
    await owner.execute(_ENTRIES, TENANT, wallets, entries, timeout=SECONDS_MAX)
    await owner.execute(_SETTING, TENANT)
    await complete(owner, None)
    await owner.execute("vacuum analyze transaction_history.entry")
    await owner.execute("vacuum analyze transaction_history.wallet")
    # Nothing is due behind January.
    await owner.execute("update servicekit.watermark set known_at = '2026-02-10', covered_at = '2026-02-10'")

    async def work(run: JobRun) -> int:
        closing, lots = Closing(StatementMetrics(CollectorRegistry())), 0
        while await closing.close_due(run):
            lots += 1
        return lots

    connections = [await connect(database.dsn_app, application_name="load") for _ in range(workers)]
    runs = [JobRun(connection, None) for connection in connections]
    began_s, enrolling = time.monotonic(), Enrolling()
    while await enrolling.enrol(runs[0]) >= CHUNK_WALLETS:
        pass
    enrolled_s = time.monotonic() - began_s
    began_s = time.monotonic()
    lots = await asyncio.gather(*(work(run) for run in runs))
    took_s = time.monotonic() - began_s
    made = await owner.fetchval("select count(*) from history_jobs.statement")
    print(
        f"enrolled {wallets:,} in {enrolled_s:.1f} s; closed {made:,} of {entries} entries in {took_s:.1f} s by "
        f"{workers} workers in {sum(lots)} lots: {made / took_s:,.0f} statements/s"
    )
    await render(database)
    for connection in (*connections, owner):
        await connection.close()


async def render(database: Database) -> None:
    """Make documents and tables for some seconds as a worker does, and print how many."""
    registry, shutdown = CollectorRegistry(), Shutdown()
    async with (
        await open_pool(PoolSettings(dsn=database.dsn_app, application_name="load")) as pool,
        await open_pool(PoolSettings(dsn=database.dsn_reader, application_name="load", session=BY_INDEX)) as reads,
    ):
        # January ended long ago: what a closing asks for is asked for here.
        async with pool.transaction() as tx:
            rows = await tx.connection.fetch("select id, tenant_id from history_jobs.statement limit $1", FILES // 2)
            kinds = [kind.value for kind in FileFormat]
            await ask_ahead(tx, [(row["id"], 1, kind, 1, row["tenant_id"]) for row in rows for kind in kinds])
        with TemporaryDirectory() as folder:
            maker = StatementMaker(LineReader(TenantPool(reads), ClearText()), Objects(folder, {}))
            renderer = Renderer(FileQueue(pool, kept_days=7), maker, StatementMetrics(registry), drain_s=1.0)
            running = asyncio.create_task(renderer.run(shutdown))
            await asyncio.sleep(RENDERED_S)
            shutdown.request()
            await running
    for kind in FileFormat:
        made = registry.get_sample_value(
            "history_statement_files_total", {"format": kind.value, "outcome": "succeeded"}
        )
        print(f"{kind.value}: {(made or 0) / RENDERED_S:.0f} files/s, half of them of the other format")


def main(wallets: int, entries: int, workers: int) -> None:
    """Start a server for it, and end it."""
    with (
        temporary.run_folder(accounts.home_for(accounts.unprivileged_account())) as folder,
        temporary.running_postgres(folder, settings=FOR_LOAD) as postgres,
    ):
        server = Server(postgres.admin_dsn)
        template = migrated_template(server, "transaction_history", bootstrap.migration_sources())

        async def run() -> None:
            async with template.database() as database:
                await measure(database, wallets, entries, workers)

        asyncio.run(run())


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:4]))

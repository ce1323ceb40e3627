"""How fast a worker makes files, and in how much memory: `python -m tests.load.exporting 1000000 csv xlsx`."""

import asyncio
import resource
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

import asyncpg
import psutil
from prometheus_client import CollectorRegistry
from tests.load.database import FOR_LOAD

from engines import accounts, temporary
from servicekit.lifecycle import Shutdown
from servicekit.postgres import open_pool, transaction
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import TENANT, principal_of
from testkit.databases import Database, Server, migrated_template
from transaction_history import bootstrap
from transaction_history.config import HistorySettings
from transaction_history.domain.exports import ExportFilters, ExportRequest, Format, request_text
from transaction_history.domain.jobs import Kind
from transaction_history.exports.datasets import ENTRIES
from transaction_history.jobs.commands import JobCommands
from transaction_history.jobs.rows import Job

SECONDS_MAX: Final = 1_800
_MADE: Final = """
    insert into transaction_history.entry (wallet_id, version, seq, event_id, tenant_id, owner_id, type, transaction_id,
        transaction_type, entry_index, entry_count, currency, amount_minor, posted_minor_after, held_minor_after,
        counterparty_account, private, occurred_at, is_forced, shard, entries_after, credits_after, debits_after,
        fees_after)
    select overlay(md5((n % 5000)::text) placing '7' from 13)::uuid, 2 + n / 5000, n, uuidv7(), $1,
           'owner-' || n % 5000, 'wallet.funds_deposited.v1', uuidv7(), 'deposit', 0, 2, 'USD', 1 + n % 100000, n, 0,
           'external:USD', '{"key_id":null,"reference":"order-' || n || '","description":"A thing",'
               || '"metadata":{"shop":"north"},"label":null,"destination":null,"reason":null}',
           '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 second', false, 0, 1 + n / 5000, n, 0, 0
    from generate_series(1, $2::bigint) as n"""
_PARTITION: Final = "select transaction_history.make_partitions(array['2026-01-01'::date], '{}'::date[])"
"""A million seconds are twelve days."""
_REACHED: Final = """
    insert into servicekit.checkpoint (projection, shard, last_seq, topic_partition)
    select 'transaction_history', shard, $1, 0 from generate_series(0, 63) as shard"""


class Memory:
    """The most that this process held while the body ran, sampled."""

    def __init__(self) -> None:
        self.most_bytes = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _sample(self) -> None:
        process = psutil.Process()
        while not self._is_over.wait(0.05):
            self.most_bytes = max(self.most_bytes, process.memory_info().rss)


async def measure(database: Database, folder: Path, rows: int, formats: list[str]) -> None:
    """Make *rows*, export them in each of *formats*, and print what it took."""
    owner = await asyncpg.connect(database.dsn_admin)
    await owner.execute(_PARTITION)
    await owner.execute(_MADE, TENANT, rows, timeout=SECONDS_MAX)
    await owner.execute(_REACHED, rows)
    await owner.execute("vacuum analyze transaction_history.entry")
    await owner.close()
    settings = HistorySettings(
        transaction_history_database_url=database.dsn_app,
        transaction_history_reader_database_url=database.dsn_reader,
        transaction_history_objects_url=str(folder / "objects"),
    )
    telemetry = Telemetry("transaction_history", "worker", "1", CollectorRegistry(), Tracing("load", 0.0))
    shutdown = Shutdown()
    async with (
        await open_pool(settings.worker.pool) as pool,
        bootstrap.open_worker(settings, telemetry, pool) as worker,
    ):
        running = asyncio.create_task(worker.run(shutdown))
        for name in formats:
            request = ExportRequest(
                dataset=ENTRIES.name,
                filters=ExportFilters(),
                columns=tuple(column.name for column in ENTRIES.columns),
                format=Format(name.removesuffix(".gz")),
                time_zone="UTC",
                gzip=name.endswith(".gz"),
            )
            async with pool.connection() as connection, transaction(connection) as tx:
                asked = await JobCommands().submit(tx, principal_of(), Kind.EXPORT, request_text(request))
            assert isinstance(asked, Job)
            began_s, before = time.monotonic(), psutil.Process().memory_info().rss / 2**20
            with Memory() as memory:
                found = None
                while found is None or found["status"] in ("queued", "running"):
                    await asyncio.sleep(0.1)
                    async with pool.connection() as connection:
                        found = await connection.fetchrow("select * from history_jobs.job where id = $1", asked.id)
                    assert found is not None
            took_s = time.monotonic() - began_s
            print(
                f"{name}: {found['status']}, {found['file_rows']:,} rows, {found['size_bytes']:,} bytes, "
                f"{took_s:.1f} s, {rows / took_s:,.0f} rows/s, {before:.0f} to {memory.most_bytes / 2**20:.0f} MB"
            )
        shutdown.request()
        await running
    print(f"most resident in all: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def main(rows: int, formats: list[str]) -> None:
    """Start a server for it, and end it."""
    with (
        temporary.run_folder(accounts.home_for(accounts.unprivileged_account())) as folder,
        temporary.running_postgres(folder, settings=FOR_LOAD) as postgres,
        TemporaryDirectory() as files,
    ):
        server = Server(postgres.admin_dsn)
        template = migrated_template(server, "transaction_history", bootstrap.migration_sources())

        async def run() -> None:
            async with template.database() as database:
                await measure(database, Path(files), rows, formats)

        asyncio.run(run())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])

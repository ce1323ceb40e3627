"""The process that keeps house: what the ledger needs done beside commands, by one process or several."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from servicekit.lifecycle import Shutdown
from servicekit.maintenance import InvariantMetrics, Job
from servicekit.postgres import open_pool
from servicekit.service import processes
from servicekit.telemetry import Telemetry
from wallet.application.metrics import FoldMetrics, JournalMetrics
from wallet.bootstrap import SERVICE, jobs, maintaining
from wallet.bootstrap.rates import open_refresh
from wallet.config import WalletSettings
from wallet.rates.refreshing import RateRefresh

Jobs = Callable[[Sequence[Job]], Sequence[Job]]


async def run_maintenance(
    settings: WalletSettings, shutdown: Shutdown, *, jobs_as: Jobs = lambda wanted: wanted
) -> None:
    """Run the maintenance process until *shutdown*; *jobs_as* may put others in the place of its jobs."""
    async with (
        processes.open_process(settings, SERVICE, "maintenance", dsn=settings.wallet_database_url) as telemetry,
        await open_pool(settings.maintenance.pool) as pool,
        open_maintenance(settings, telemetry, jobs_as=jobs_as),
    ):
        telemetry.pools.watch("maintenance", pool)
        await processes.run_beside_pages(
            settings,
            shutdown,
            telemetry=telemetry,
            name="maintenance",
            port=settings.maintenance.port,
            pool=pool,
            work=_until_the_end,
        )


@asynccontextmanager
async def open_maintenance(
    settings: WalletSettings, telemetry: Telemetry, *, jobs_as: Jobs = lambda wanted: wanted
) -> AsyncIterator[None]:
    """Run the maintenance process's jobs while the body runs."""
    async with (
        open_refresh(settings, telemetry) as refresh,
        maintaining(settings, "maintenance", telemetry, jobs_as(_jobs(settings, telemetry, refresh))),
    ):
        yield


def _jobs(settings: WalletSettings, telemetry: Telemetry, refresh: RateRefresh | None) -> list[Job]:
    journal = JournalMetrics(telemetry.registry)
    return [
        jobs.make_partitions(),
        *([] if refresh is None else [jobs.refresh_rates(refresh, settings.wallet_rates_every_s)]),
        *jobs.verify(InvariantMetrics(telemetry.registry), settings.wallet_verify_rows_per_s),
        jobs.fold_system_accounts(FoldMetrics(telemetry.registry)),
        jobs.measure_journal(journal),
        jobs.remind_to_archive(journal),
        jobs.forget_keys(settings.wallet_idempotency_days),
        jobs.forget_quotes(),
    ]


async def _until_the_end(shutdown: Shutdown) -> None:
    await shutdown.wait()

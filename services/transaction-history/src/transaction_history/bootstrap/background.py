"""The projector, the indexer and the worker, joined."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from servicekit.consumer.metrics import ConsumerFamilies
from servicekit.consumer.projection import Projection
from servicekit.consumer.runner import ConsumerRunner
from servicekit.health import Check
from servicekit.lifecycle import Shutdown, run_together
from servicekit.maintenance import Job
from servicekit.postgres import Pool, open_pool
from servicekit.read_model.projected import Projected
from servicekit.relay.outbox import outbox_journal
from servicekit.service import processes
from servicekit.service.consuming import make_runner
from servicekit.telemetry import Telemetry
from servicekit.tenant_pool import open_tenants
from transaction_history.bootstrap.drifting import drifts
from transaction_history.bootstrap.parts import (
    SERVICE,
    SOURCE,
    make_index_projection,
    make_projection,
    open_objects,
    refuse_outdated_model,
)
from transaction_history.config import HistorySettings
from transaction_history.dashboard.ledger_figures import LedgerFigures
from transaction_history.dashboard.refreshing import dashboard_jobs
from transaction_history.domain.exports import PART_ROWS
from transaction_history.domain.jobs import Kind
from transaction_history.domain.private_text import ClearText
from transaction_history.exports.making import FileMaker
from transaction_history.exports.planned import ExportOrders
from transaction_history.exports.reading_postgres import ExportReader
from transaction_history.exports.source import Orders
from transaction_history.jobs.maintaining_postgres import JobKeeping
from transaction_history.jobs.metrics import JobMetrics
from transaction_history.jobs.objects import Objects, objects_check
from transaction_history.jobs.queue_postgres import JobQueue
from transaction_history.jobs.worker import Worker
from transaction_history.jobs.working import JobKind
from transaction_history.maintenance.drift import drifting
from transaction_history.maintenance.index_jobs import index_jobs
from transaction_history.maintenance.ledger_jobs import ledger_jobs, partitions_check
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.reads.targets import PRIMARY, Target, Targets, open_targets
from transaction_history.rendering import check_fonts
from transaction_history.reports.orders import ReportOrders
from transaction_history.statements.accounts_postgres import Enrolling
from transaction_history.statements.closing_postgres import Closing
from transaction_history.statements.files_postgres import FileQueue
from transaction_history.statements.lines_postgres import LineReader
from transaction_history.statements.making import StatementMaker
from transaction_history.statements.metrics import StatementMetrics
from transaction_history.statements.renderer import FileKeeping, Renderer


async def run_projector(
    settings: HistorySettings,
    shutdown: Shutdown,
    *,
    projection: Projection | None = None,
    runner_class: type[ConsumerRunner] = ConsumerRunner,
) -> None:
    """Run the projector process until *shutdown*, or until its consumer cannot go on; raises ReadModelOutdated."""
    await refuse_outdated_model(settings)
    await processes.run_consumer(
        settings,
        shutdown,
        service=SERVICE,
        process=settings.projector,
        projection=projection or make_projection(settings),
        runner_class=runner_class,
    )


async def run_indexer(
    settings: HistorySettings,
    shutdown: Shutdown,
    *,
    projection: Projection | None = None,
    runner_class: type[ConsumerRunner] = ConsumerRunner,
) -> None:
    """Run the indexer process until *shutdown*, or until its consumer cannot go on.

    It knows no identities: a revocation must not wait for a large poll to be folded.
    """
    process = settings.indexer
    async with (
        processes.open_process(settings, SERVICE, process.name, dsn=process.pool.dsn) as telemetry,
        await open_pool(process.pool) as pool,
    ):
        telemetry.pools.watch(process.name, pool)
        runner = make_runner(
            process.consumer,
            projection=projection or make_index_projection(settings),
            telemetry=telemetry,
            families=ConsumerFamilies(telemetry.registry),
            pool=pool,
            runner_class=runner_class,
        )
        jobs = index_jobs(settings.transaction_history_search_segment)
        async with processes.maintaining(
            jobs, dsn=process.pool.dsn, service=SERVICE, process=process.name, telemetry=telemetry
        ):
            await processes.run_beside_pages(
                settings,
                shutdown,
                telemetry=telemetry,
                name=process.name,
                port=process.port,
                pool=pool,
                work=runner.run,
                deep=runner.check,
                brokers=process.consumer.brokers,
            )


async def run_worker(
    settings: HistorySettings, shutdown: Shutdown, *, objects: Objects | None = None, part_rows: int = PART_ROWS
) -> None:
    """Run the process that carries jobs out, closes statements and tells of both; raises FontsUnusable.

    *objects* and *part_rows* are for tests.
    """
    check_fonts()
    process, objects = settings.worker, objects or open_objects(settings)
    async with (
        processes.open_process(settings, SERVICE, "worker", dsn=process.pool.dsn) as telemetry,
        await open_pool(process.pool) as pool,
        await open_pool(process.relaying) as relaying,
        drifting(drifts(settings, telemetry)) as comparing,
        open_worker(settings, telemetry, pool, objects=objects, part_rows=part_rows, beside=comparing) as worker,
    ):
        relay = processes.make_relay(process.relay, telemetry=telemetry, pool=relaying, journal=outbox_journal(SOURCE))

        async def deep() -> Mapping[str, Check]:
            return {
                **await relay.check(),
                **await objects_check(objects),
                "partitions": await partitions_check(pool),
            }

        await processes.run_beside_pages(
            settings,
            shutdown,
            telemetry=telemetry,
            name="worker",
            port=process.port,
            pool=pool,
            work=lambda end: run_together(end, worker.run, relay.run),
            deep=deep,
            brokers=settings.brokers,
        )


@dataclass(frozen=True, slots=True)
class Working:
    """What a worker process does: jobs, and files of statements beside them."""

    worker: Worker
    renderer: Renderer

    async def run(self, shutdown: Shutdown) -> None:
        """Work until the end is requested."""
        await run_together(shutdown, self.worker.run, self.renderer.run)


@asynccontextmanager
async def open_worker(
    settings: HistorySettings,
    telemetry: Telemetry,
    pool: Pool,
    *,
    objects: Objects | None = None,
    part_rows: int = PART_ROWS,
    beside: Sequence[Job] = (),
) -> AsyncIterator[Working]:
    """Give what works, writing through *pool*, its maintenance and what is done *beside* it at work.

    *objects* and *part_rows* are for tests.
    """
    process, objects = settings.worker, objects or open_objects(settings)
    metrics = JobMetrics(telemetry.registry)
    keeping = JobKeeping(
        objects,
        metrics,
        lease_s=settings.transaction_history_job_lease_s,
        keys_days=settings.transaction_history_idempotency_days,
    )
    statements = StatementMetrics(telemetry.registry)
    closing = Closing(statements, settled=settings.statements_settled)
    telemetry.pools.watch("worker", pool)
    house = [
        *(*keeping.jobs(), *ledger_jobs()),
        *(*closing.jobs(), *Enrolling().jobs(), *FileKeeping(objects).jobs()),
        *beside,
    ]
    async with await open_pool(process.reads) as reads, Projected(reads, SCHEMA) as projected:
        primary = Target(PRIMARY, await open_tenants(reads), projected)
        house += dashboard_jobs(primary.tenants, LedgerFigures(telemetry.registry))
        async with (
            open_targets(primary, process.replicas, telemetry) as targets,
            processes.maintaining(
                house,
                dsn=settings.transaction_history_database_url,
                service=SERVICE,
                process="worker",
                telemetry=telemetry,
            ),
        ):
            working = process.working
            yield Working(
                Worker(
                    working,
                    queue=JobQueue(pool, lease_s=working.lease_s),
                    kinds=_kinds(targets, objects, part_rows=part_rows),
                    metrics=metrics,
                ),
                Renderer(
                    FileQueue(pool, kept_days=working.kept_days),
                    StatementMaker(LineReader(primary.tenants, ClearText()), objects),
                    statements,
                    drain_s=working.drain_s,
                ),
            )


def _kinds(targets: Targets, objects: Objects, *, part_rows: int) -> Mapping[str, JobKind]:
    """Return what carries jobs out, by kind."""
    reader, private = ExportReader(targets), ClearText()
    orders: Mapping[Kind, Orders] = {
        Kind.EXPORT: ExportOrders(reader, private),
        Kind.REPORT: ReportOrders(targets.primary.tenants, reader, private),
    }
    return {kind: FileMaker(each, objects, part_rows=part_rows) for kind, each in orders.items()}

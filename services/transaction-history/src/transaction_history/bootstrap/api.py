"""The API, joined."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from servicekit.access.admission import Authority
from servicekit.access.opening import open_authority
from servicekit.health import Check
from servicekit.http.app import create_app
from servicekit.http.edge.outermost import Edge
from servicekit.http.routes.keyed import KeyedCommands
from servicekit.idempotency import Once
from servicekit.lifecycle import Shutdown
from servicekit.postgres import Pool, open_pool
from servicekit.read_answers import lag_check
from servicekit.read_model.projected import Projected
from servicekit.service import processes
from servicekit.service.processes import database_check, health_pool_settings
from servicekit.telemetry import Telemetry
from servicekit.tenant_pool import TenantPool, open_tenants
from transaction_history.bootstrap.parts import (
    SERVICE,
    open_objects,
    refuse_outdated_model,
)
from transaction_history.config import HistorySettings
from transaction_history.dashboard.answers import Answers
from transaction_history.domain.private_text import ClearText
from transaction_history.domain.terms import Hasher
from transaction_history.entrypoints.balance_routes import balance_routes
from transaction_history.entrypoints.conditional import conditional
from transaction_history.entrypoints.dashboard_routes import dashboard_routes
from transaction_history.entrypoints.downloads import downloads_page
from transaction_history.entrypoints.entry_routes import entry_routes
from transaction_history.entrypoints.export_handlers import ExportHandlers
from transaction_history.entrypoints.export_routes import export_routes, link_routes
from transaction_history.entrypoints.file_jobs import FileJobs
from transaction_history.entrypoints.job_routes import job_routes
from transaction_history.entrypoints.report_routes import report_routes
from transaction_history.entrypoints.search import search_routes
from transaction_history.entrypoints.statement_handlers import StatementHandlers
from transaction_history.entrypoints.statement_routes import statement_routes
from transaction_history.entrypoints.total_routes import total_routes
from transaction_history.entrypoints.transaction_routes import transaction_routes
from transaction_history.entrypoints.wallet_routes import wallet_routes
from transaction_history.indexing.projection import INDEX
from transaction_history.jobs.commands import JobCommands
from transaction_history.jobs.objects import objects_check
from transaction_history.jobs.queries import JobQueries
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.reads.search import SearchQueries
from transaction_history.reads.targets import PRIMARY, Target, Targets, open_targets
from transaction_history.reads.totals import CountedReads
from transaction_history.reads.view import Views
from transaction_history.statements.commands import StatementCommands
from transaction_history.statements.queries import StatementQueries


async def serve_api(settings: HistorySettings, shutdown: Shutdown) -> None:
    """Run the API process until *shutdown*; raises ReadModelOutdated."""
    await refuse_outdated_model(settings)
    await processes.serve_api(
        settings,
        shutdown,
        service=SERVICE,
        port=settings.api.port,
        dsn=settings.transaction_history_database_url,
        open_app=lambda telemetry: open_api(settings, telemetry),
    )


@asynccontextmanager
async def open_api(
    settings: HistorySettings, telemetry: Telemetry, *, authority: Authority | None = None
) -> AsyncIterator[Edge]:
    """Give the API's application; *authority* replaces its own."""
    pools = settings.api.pool
    async with (
        await open_pool(pools) as pool,
        await open_pool(settings.commands) as commands,
        await open_pool(health_pool_settings(pools)) as health,
    ):
        telemetry.pools.watch("reads", pool)
        telemetry.pools.watch("commands", commands)
        async with (
            Projected(pool, SCHEMA) as projected,
            Projected(pool, INDEX) as index,
            _open_search(settings, telemetry, projected) as search,
            open_authority(settings.knowing, telemetry.registry, authority) as admitting,
            processes.depending(telemetry, health),
        ):
            tenants = await open_tenants(pool)
            exporting = _export_handlers(settings, commands, tenants)
            primary = Target(PRIMARY, tenants, projected)
            async with open_targets(primary, settings.replicas, telemetry) as targets:
                yield _app(
                    settings,
                    telemetry,
                    admitting,
                    targets=targets,
                    health=health,
                    index=index,
                    search=search,
                    exporting=exporting,
                    statements=_statement_handlers(settings, exporting, tenants),
                )


def _export_handlers(settings: HistorySettings, commands: Pool, tenants: TenantPool) -> ExportHandlers:
    return ExportHandlers(
        pool=commands,
        jobs=FileJobs(
            keyed=KeyedCommands(Once(commands, table="history_jobs.idempotency")),
            commands=JobCommands(),
            queries=JobQueries(tenants),
            objects=open_objects(settings),
        ),
        link_key=settings.link_key,
    )


def _statement_handlers(settings: HistorySettings, exporting: ExportHandlers, tenants: TenantPool) -> StatementHandlers:
    return StatementHandlers(
        pool=exporting.pool,
        keyed=exporting.jobs.keyed,
        commands=StatementCommands(settings.statements_settled),
        queries=StatementQueries(tenants),
        objects=exporting.jobs.objects,
    )


@asynccontextmanager
async def _open_search(
    settings: HistorySettings, telemetry: Telemetry, ledger: Projected
) -> AsyncIterator[SearchQueries]:
    """Give what searches, over connections of its own: they plan otherwise, and nobody else waits for them."""
    async with await open_pool(settings.searching) as pool, Projected(pool, INDEX) as index:
        telemetry.pools.watch("search", pool)
        yield SearchQueries(
            await open_tenants(pool),
            index=index,
            ledger=ledger,
            private_text=ClearText(),
            hasher=Hasher(settings.search_key),
        )


def _app(
    settings: HistorySettings,
    telemetry: Telemetry,
    authority: Authority,
    *,
    targets: Targets,
    search: SearchQueries,
    health: Pool,
    index: Projected,
    exporting: ExportHandlers,
    statements: StatementHandlers,
) -> Edge:
    async def deep() -> Mapping[str, Check]:
        objects = await objects_check(exporting.jobs.objects)
        lags = {**await lag_check(targets.primary.projected), **await lag_check(index, name="index")}
        return {**await database_check(health), **lags, **objects, **targets.check()}

    views, private_text = Views(targets), ClearText()
    return create_app(
        title="Transaction history",
        description="The query side: what happened to wallets, read from the events alone.",
        settings=settings,
        telemetry=telemetry,
        authority=authority,
        routes=[
            *conditional(
                [
                    *entry_routes(views, search, private_text),
                    *transaction_routes(views, private_text),
                    *balance_routes(views),
                    *wallet_routes(views, private_text),
                    *total_routes(views, CountedReads(index)),
                    *dashboard_routes(Answers(targets.primary.tenants, exporting.pool, views)),
                    *search_routes(search),
                ],
                release=SERVICE.version,
            ),
            *job_routes(exporting.jobs),
            *export_routes(exporting),
            *link_routes(exporting),
            *report_routes(exporting.jobs),
            *statement_routes(statements),
        ],
        readiness=lambda: database_check(health),
        deep=deep,
        public_pages=(downloads_page(exporting.jobs.queries, exporting.jobs.objects, exporting.link_key),),
    )

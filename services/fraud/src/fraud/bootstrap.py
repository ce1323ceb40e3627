"""The one place where the service's parts are joined, by hand, from arguments."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Final

from contracts.decisions import DecisionMode, DecisionOutcome
from contracts.events import EVENT_TYPES
from contracts.topics import WALLET_EVENTS
from fraud.application.backtest import Backtest, run_backtest
from fraud.application.metrics import FraudMetrics
from fraud.config import BacktestSettings, FraudSettings, packaged_rules
from fraud.domain.judge import Decision
from fraud.domain.rules import RuleSet
from fraud.entrypoints.routes import decision_routes, rule_routes, wallet_routes
from fraud.projection.projection import PROJECTION, FraudProjection, RulesInForce
from fraud.projection.store_postgres import PostgresStore
from fraud.reads.queries import RiskQueries
from fraud.reads.reads_postgres import RiskReads
from fraud.rules import rules_postgres
from fraud.rules.file import decoded, parse_rules
from fraud.rules.rules_postgres import RulesFromDatabase
from fraud.rules.schema import RULES_MAX
from fraud.rules.store import RuleStore
from servicekit.access.admission import Authority
from servicekit.access.opening import open_authority
from servicekit.access.projection import access_source
from servicekit.consumer import consumer_source
from servicekit.consumer.projection import Projection
from servicekit.consumer.runner import ConsumerRunner
from servicekit.consumer.topic_reader import open_topic
from servicekit.health import Check
from servicekit.http.app import create_app
from servicekit.http.edge.outermost import Edge
from servicekit.lifecycle import Shutdown
from servicekit.limits import limits_source
from servicekit.migrations import MigrationSource, servicekit_source
from servicekit.postgres import Pool, open_pool
from servicekit.read_answers import lag_check
from servicekit.read_model.projected import Projected
from servicekit.relay import relay_source
from servicekit.relay.outbox import outbox_journal, outbox_source
from servicekit.service import Service, own_migrations, processes
from servicekit.service.consuming import make_consuming
from servicekit.service.metrics import API, CONSUMER, RELAY, Bounded, ServiceMetrics
from servicekit.service.processes import database_check, health_pool_settings
from servicekit.telemetry import Telemetry
from servicekit.tenant_pool import TenantPool, open_tenants

SERVICE: Final = Service(name="fraud", version=metadata.version("fraud"))
SOURCE: Final = "/fraud"
"""The `ce_source` of every event of this service."""


def migration_sources() -> list[MigrationSource]:
    """Return what `migrate` applies, in order: servicekit's tables, consumer's, relay's and outbox, the service's."""
    own = own_migrations("fraud", __file__)
    return [
        servicekit_source(),
        consumer_source(),
        access_source(),
        relay_source(),
        outbox_source(),
        limits_source(),
        own,
    ]


_RULE: Final = {"rule": Bounded("the rules in force", RULES_MAX)}
METRICS: Final = ServiceMetrics(
    service=SERVICE,
    processes={"api": API, "projector": (*CONSUMER, FraudMetrics), "relay": RELAY},
    labels={
        "fraud_events_folded_total": {"type": Bounded("the types of `wallet.events`", len(EVENT_TYPES))},
        "fraud_decisions_total": {**_RULE, "outcome": tuple(DecisionOutcome), "mode": tuple(DecisionMode)},
        "fraud_decision_seconds": {**_RULE, "mode": tuple(DecisionMode)},
        "fraud_rules_info": {"version": Bounded("the version in force", 1)},
    },
)
"""The metrics of its processes, and what may stand in their labels."""


def make_projection(
    settings: FraudSettings, *, in_force: RulesInForce | None = None, metrics: FraudMetrics | None = None
) -> FraudProjection:
    """Return the projection, judging by *in_force*: without it, by the rules that the projector left in force."""
    return FraudProjection(
        PostgresStore(),
        in_force=in_force or RulesFromDatabase(),
        topic=settings.fraud_events_topic,
        live_for=timedelta(seconds=settings.fraud_live_for_s),
        metrics=metrics,
    )


async def serve_api(settings: FraudSettings, shutdown: Shutdown) -> None:
    """Run the API process until *shutdown*."""
    await processes.serve_api(
        settings,
        shutdown,
        service=SERVICE,
        port=settings.api.port,
        dsn=settings.fraud_database_url,
        open_app=lambda telemetry: open_api(settings, telemetry),
    )


@asynccontextmanager
async def open_api(
    settings: FraudSettings, telemetry: Telemetry, *, authority: Authority | None = None
) -> AsyncIterator[Edge]:
    """Give the API's application; *authority* replaces its own."""
    pools = settings.api.pool
    async with await open_pool(pools) as pool, await open_pool(health_pool_settings(pools)) as health:
        telemetry.pools.watch("reads", pool)
        async with (
            Projected(pool, PROJECTION) as projected,
            open_authority(settings.knowing, telemetry.registry, authority) as admitting,
            processes.depending(telemetry, health),
        ):
            yield _app(
                settings, telemetry, admitting, tenants=await open_tenants(pool), health=health, projected=projected
            )


def _app(
    settings: FraudSettings,
    telemetry: Telemetry,
    authority: Authority,
    *,
    tenants: TenantPool,
    health: Pool,
    projected: Projected,
) -> Edge:
    async def deep() -> Mapping[str, Check]:
        return {**await database_check(health), **await lag_check(projected)}

    queries = RiskQueries(RiskReads(tenants), projected, rules_of=rules_postgres.rules_of)
    return create_app(
        title="Fraud",
        description="What the rules make of wallets, from the events alone.",
        settings=settings,
        telemetry=telemetry,
        authority=authority,
        routes=[*wallet_routes(queries), *decision_routes(queries), *rule_routes(queries)],
        readiness=lambda: database_check(health),
        deep=deep,
    )


def make_rule_store(settings: FraudSettings, pool: Pool, metrics: FraudMetrics | None = None) -> RuleStore:
    """Return the store of the rules in force."""
    return RuleStore(
        settings.fraud_rules_file or packaged_rules(),
        time_compression=settings.fraud_time_compression,
        is_shadow=settings.fraud_shadow,
        pool=pool,
        metrics=metrics,
    )


async def run_projector(
    settings: FraudSettings,
    shutdown: Shutdown,
    *,
    projection_of: Callable[[FraudProjection], Projection] = lambda projection: projection,
    runner_class: type[ConsumerRunner] = ConsumerRunner,
) -> None:
    """Run the projector process until *shutdown*, or until its consumer cannot go on; SIGHUP reloads the rules.

    *projection_of* may wrap the projection. Raises RulesRefused if no valid rules are to be had.
    """
    process = settings.projector
    async with (
        processes.open_process(settings, SERVICE, process.name, dsn=process.pool.dsn) as telemetry,
        await open_pool(process.pool) as pool,
    ):
        telemetry.pools.watch(process.name, pool)
        metrics = FraudMetrics(telemetry.registry)
        rule_store = make_rule_store(settings, pool, metrics)
        await rule_store.start()
        projection = projection_of(make_projection(settings, in_force=rule_store, metrics=metrics))
        consuming = make_consuming(
            settings,
            service=SERVICE,
            process=process,
            projection=projection,
            telemetry=telemetry,
            pool=pool,
            runner_class=runner_class,
        )

        async def work(shutdown: Shutdown) -> None:
            async with _reloaded_by_signal(rule_store), asyncio.TaskGroup() as tasks:
                tasks.create_task(rule_store.run(shutdown), name="rules")
                tasks.create_task(consuming.run(shutdown), name="runner")

        await processes.run_beside_pages(
            settings,
            shutdown,
            telemetry=telemetry,
            name=process.name,
            port=process.port,
            pool=pool,
            work=work,
            deep=consuming.check,
            brokers=process.consumer.brokers,
        )


@asynccontextmanager
async def _reloaded_by_signal(rule_store: RuleStore) -> AsyncIterator[None]:
    """Have SIGHUP reload the rules at once while the body runs."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, rule_store.request_reload)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


async def run_relay(settings: FraudSettings, shutdown: Shutdown) -> None:
    """Run the process that publishes decisions until *shutdown*, or until it must not go on."""
    await processes.run_relay(
        settings, shutdown, service=SERVICE, process=settings.relay, journal=outbox_journal(SOURCE)
    )


def read_rules(path: Path, *, time_compression: int, is_shadow: bool = False) -> RuleSet:
    """Return the rules in the file at *path*; raises RulesRefused and OSError."""
    text = decoded(path.read_bytes(), source=path.name)
    return parse_rules(text, source=path.name, time_compression=time_compression, is_shadow=is_shadow)


async def backtest(
    settings: BacktestSettings,
    backtest: Backtest,
    *,
    events_max: int,
    on_decision: Callable[[Decision], None],
    progress: Callable[[Backtest], None],
    partitions: int = WALLET_EVENTS.partitions,
) -> bool:
    """Judge the topic's events from its beginning to its present end; return whether all of them were judged."""
    topic = settings.fraud_events_topic
    async with open_topic(settings.brokers, topic, partitions) as reader:
        return await run_backtest(
            backtest, reader.to_end(), events_max=events_max, on_decision=on_decision, progress=progress
        )

"""The processes beside the API: the relay, and what acts on fraud decisions."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from contracts.registry import TYPES_BY_NUMBER
from contracts.topics import WALLET_EVENTS
from servicekit.consumer.projection import Projection
from servicekit.lifecycle import Shutdown
from servicekit.relay.journal import SqlJournal
from servicekit.relay.publisher import Publisher
from servicekit.relay.relay import Relay
from servicekit.service import Port, processes
from servicekit.service.processes import ConsumerProcess, RelayProcess
from servicekit.telemetry import Telemetry
from wallet.application.metrics import DecisionMetrics
from wallet.bootstrap import SERVICE, SOURCE, maintaining
from wallet.bootstrap.committing import open_committer
from wallet.bootstrap.jobs import Halt, look_for_halt
from wallet.config import WalletSettings
from wallet.decisions.log_postgres import PostgresDecisionLog
from wallet.decisions.projection import DecisionsProjection

_DECISIONS_PER_POLL_MAX: Final = 256
"""All of a poll's commands fit into one batch, and are done well before the consumer's transaction would time out."""


async def run_relay(
    settings: WalletSettings,
    shutdown: Shutdown,
    *,
    publisher_class: type[Publisher] = Publisher,
    relay_class: type[Relay] = Relay,
) -> None:
    """Run the relay process until *shutdown*; where the relay must not go on, the process ends with its code."""
    await processes.run_relay(
        settings,
        shutdown,
        service=SERVICE,
        process=RelayProcess(
            port=Port(settings.wallet_relay_port, "WALLET_RELAY_PORT"),
            dsn=settings.wallet_database_url,
            bootstrap_servers=settings.kafka_bootstrap_servers,
            topic=replace(WALLET_EVENTS, name=settings.wallet_events_topic),
            schema_base=settings.wallet_schema_url,
            lease_s=settings.wallet_relay_lease_s,
        ),
        journal=SqlJournal(
            table="wallet.journal",
            types=TYPES_BY_NUMBER,
            source=SOURCE,
            subject_column="account_id",
            archive="wallet.archived_journal",
        ),
        publisher_class=publisher_class,
        relay_class=relay_class,
    )


async def run_decisions(
    settings: WalletSettings,
    shutdown: Shutdown,
    *,
    projection_of: Callable[[DecisionsProjection], Projection] = lambda projection: projection,
) -> None:
    """Run the process that acts on fraud decisions until *shutdown*, or until it cannot go on.

    *projection_of* may wrap the projection.
    """
    process = ConsumerProcess(
        name="decisions",
        port=Port(settings.wallet_decisions_port, "WALLET_DECISIONS_PORT"),
        dsn=settings.wallet_database_url,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        records_per_poll_max=_DECISIONS_PER_POLL_MAX,
    )
    async with (
        processes.process_telemetry(settings, SERVICE, process.name) as telemetry,
        open_decisions(settings, telemetry, shutdown=shutdown) as projection,
    ):
        await processes.consume(
            settings,
            shutdown,
            service=SERVICE,
            process=process,
            telemetry=telemetry,
            projection=projection_of(projection),
        )


@asynccontextmanager
async def open_decisions(
    settings: WalletSettings, telemetry: Telemetry, *, shutdown: Shutdown | None = None
) -> AsyncIterator[DecisionsProjection]:
    """Give what acts on fraud decisions, with a committer of its own at work, whose end requests *shutdown*."""
    halt = Halt()
    async with (
        open_committer(settings, telemetry, halt, shutdown=shutdown) as (queue, _),
        maintaining(settings, "decisions", telemetry, [look_for_halt(halt)]),
    ):
        yield DecisionsProjection(
            queue.submit,
            PostgresDecisionLog(),
            topic=settings.wallet_decisions_topic,
            deadline_s=settings.wallet_command_deadline_s,
            metrics=DecisionMetrics(telemetry.registry),
        )

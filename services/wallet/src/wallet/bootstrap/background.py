"""The processes beside the API: the relay, and what acts on fraud decisions."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from contracts.event_types import EventType
from contracts.registry import TYPES_BY_NUMBER
from servicekit.consumer.projection import Projection
from servicekit.lifecycle import Shutdown
from servicekit.relay.journal import SqlJournal
from servicekit.relay.publisher import Publisher
from servicekit.relay.relay import Relay
from servicekit.service import processes
from servicekit.telemetry import Telemetry
from wallet.application.metrics import FraudDecisionMetrics
from wallet.bootstrap import SERVICE, SOURCE, maintaining
from wallet.bootstrap.committing import open_committer
from wallet.bootstrap.jobs import Halt, look_for_halt
from wallet.config import WalletSettings
from wallet.fraud_restrictions.log_postgres import PostgresDecisionLog
from wallet.fraud_restrictions.projection import FraudRestrictions


async def run_relay(
    settings: WalletSettings,
    shutdown: Shutdown,
    *,
    publisher_class: type[Publisher] = Publisher,
    relay_class: type[Relay] = Relay,
    types: Mapping[int, EventType] = TYPES_BY_NUMBER,
) -> None:
    """Run the relay process until *shutdown*, which publishes events of *types*.

    Where the relay must not go on, the process ends with its code.
    """
    await processes.run_relay(
        settings,
        shutdown,
        service=SERVICE,
        process=settings.relay,
        journal=SqlJournal(
            table="wallet.journal",
            types=types,
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
    projection_of: Callable[[FraudRestrictions], Projection] = lambda projection: projection,
) -> None:
    """Run the process that acts on fraud decisions until *shutdown*, or until it cannot go on.

    *projection_of* may wrap the projection.
    """
    process = settings.decisions
    async with (
        processes.open_process(settings, SERVICE, process.name, dsn=process.pool.dsn) as telemetry,
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
) -> AsyncIterator[FraudRestrictions]:
    """Give what acts on fraud decisions, with a committer of its own at work, whose end requests *shutdown*."""
    halt = Halt()
    async with (
        open_committer(settings, telemetry, halt, shutdown=shutdown) as (queue, _),
        maintaining(settings, "decisions", telemetry, [look_for_halt(halt)]),
    ):
        yield FraudRestrictions(
            queue.submit,
            PostgresDecisionLog(),
            topic=settings.wallet_decisions_topic,
            deadline_s=settings.wallet_command_deadline_s,
            metrics=FraudDecisionMetrics(telemetry.registry),
        )

"""The one place where the wallet's parts are joined, by hand, from arguments; here, what all of them share."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from importlib import metadata
from typing import Final

import wallet
from servicekit.access.projection import access_source
from servicekit.consumer import consumer_source
from servicekit.limits import limits_source
from servicekit.maintenance import Job, maintenance_source
from servicekit.migrations import MigrationSource, servicekit_source
from servicekit.relay import relay_source
from servicekit.service import Service, own_migrations, processes
from servicekit.telemetry import Telemetry
from wallet.config import WalletSettings

SERVICE: Final = Service(
    name="wallet", version=metadata.version("wallet"), journals=("wallet.journal", "wallet.archived_journal")
)
SOURCE: Final = "/wallet"
"""The `ce_source` of every event of this service."""


def migration_sources() -> list[MigrationSource]:
    """Return what `migrate` applies, in order: servicekit's tables of each kind, then the ledger's."""
    return [
        servicekit_source(),
        relay_source(),
        consumer_source(),
        access_source(),
        maintenance_source(),
        limits_source(),
        own_migrations("wallet", wallet.__file__),
    ]


def maintaining(
    settings: WalletSettings, process: str, telemetry: Telemetry, jobs: Sequence[Job]
) -> AbstractAsyncContextManager[None]:
    """Run *jobs* of *process* while the body runs."""
    return processes.maintaining(
        jobs, dsn=settings.wallet_database_url, service=SERVICE, process=process, telemetry=telemetry
    )

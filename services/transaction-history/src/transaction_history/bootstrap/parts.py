"""What several processes are joined of."""

from importlib import metadata
from typing import Final

import transaction_history
from servicekit.access.projection import access_source
from servicekit.consumer import consumer_source
from servicekit.limits import limits_source
from servicekit.maintenance import maintenance_source
from servicekit.migrations import MigrationSource, servicekit_source
from servicekit.postgres import open_pool
from servicekit.relay import relay_source
from servicekit.relay.outbox import outbox_source
from servicekit.service import Service, own_migrations
from transaction_history.config import HistorySettings
from transaction_history.domain.private_text import ClearText
from transaction_history.domain.terms import Hasher
from transaction_history.indexing.index_postgres import PostgresIndex
from transaction_history.indexing.projection import INDEX, IndexProjection
from transaction_history.jobs.objects import Objects
from transaction_history.maintenance.folds import ReadModelOutdated, is_current
from transaction_history.projection.projection import HistoryProjection
from transaction_history.projection.read_model_postgres import SCHEMA, PostgresReadModel

SOURCE: Final = "/transaction-history"
"""The `ce_source` of every event of this service."""
SERVICE: Final = Service(name="transaction_history", version=metadata.version("transaction-history"))


def history_source() -> MigrationSource:
    """Return the read model's own migrations."""
    return own_migrations("transaction_history", transaction_history.__file__)


def jobs_source() -> MigrationSource:
    """Return the migrations of what does not come from events, which no rebuild makes anew."""
    own = history_source()
    return MigrationSource("history_jobs", own.folder / "jobs")


def index_source() -> MigrationSource:
    """Return the index's migrations and functions, which a rebuild of the read model leaves alone."""
    folder = history_source().folder / "index"
    return MigrationSource(INDEX, folder, folder / "functions")


def migration_sources() -> list[MigrationSource]:
    """Return what `migrate` applies, in order: servicekit's tables, the read model, its index, the jobs."""
    return [
        servicekit_source(),
        maintenance_source(),
        consumer_source(),
        access_source(),
        relay_source(),
        outbox_source(),
        limits_source(),
        history_source(),
        index_source(),
        jobs_source(),
    ]


def make_projection(settings: HistorySettings, schema: str = SCHEMA) -> HistoryProjection:
    """Return the live projection, or the one that a rebuild writes to *schema* with."""
    return HistoryProjection(PostgresReadModel(schema), name=schema, topic=settings.transaction_history_topic)


def make_index_projection(settings: HistorySettings, schema: str = INDEX) -> IndexProjection:
    """Return the live projection of the index, or the one that a rebuild writes to *schema* with."""
    return IndexProjection(
        PostgresIndex(schema, segment=settings.transaction_history_search_segment),
        private_text=ClearText(),
        hasher=Hasher(settings.search_key),
        name=schema,
        topic=settings.transaction_history_topic,
    )


async def refuse_outdated_model(settings: HistorySettings) -> None:
    """Raise ReadModelOutdated where the tables are those of the release before, which only a rebuild replaces."""
    async with await open_pool(settings.rebuilding) as pool, pool.connection() as connection:
        if not await is_current(connection, SCHEMA):
            raise ReadModelOutdated("the read model is of the release before: run `projections rebuild --switch` first")


def open_objects(settings: HistorySettings) -> Objects:
    """Return where files of jobs are kept."""
    return Objects(settings.objects_url, settings.objects_options)

"""The service's settings: all of its environment."""

from dataclasses import replace
from enum import StrEnum
from typing import Final

from pydantic import Field, SecretStr

from servicekit.access.opening import Knowing
from servicekit.consumer.settings import RECORDS_PER_POLL, ConsumerSettings
from servicekit.postgres import BY_INDEX, PoolSettings
from servicekit.service import ApiProcess, ConsumerProcess, Port, consumer_pool_settings
from servicekit.service.settings import (
    ApiPort,
    PortNumber,
    ProjectorPort,
    ReadConnections,
    ReaderDatabaseUrl,
    RecordsPerPoll,
    required_by_api,
)
from servicekit.settings import SecretKey, ServiceSettings
from transaction_history.reads.search_index import SESSION as SEARCHING

DEVELOPMENT_SEARCH_KEY: Final = "development-search-key"


class Segment(StrEnum):
    """How much time a partition of the index has."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class HistorySettings(ServiceSettings):
    """What the service's processes take from the environment, besides what every process takes."""

    transaction_history_database_url: str = Field(repr=False, description="Where the app role reaches the database.")
    transaction_history_reader_database_url: ReaderDatabaseUrl = None
    transaction_history_topic: str = Field(
        default="wallet.events", description="The topic whose events the projector applies."
    )
    transaction_history_api_port: ApiPort = 8111
    transaction_history_projector_port: ProjectorPort = 8112
    transaction_history_read_connections: ReadConnections = 8
    transaction_history_records_per_poll: RecordsPerPoll = RECORDS_PER_POLL
    transaction_history_indexer_port: PortNumber = Field(
        default=8113, description="The port of the indexer's health and metrics."
    )
    transaction_history_index_linger_ms: int = Field(
        default=300,
        ge=0,
        le=10_000,
        description="How long the indexer waits for more events, in milliseconds: a large poll becomes few rows.",
    )
    transaction_history_search_key: SecretKey = Field(
        default=SecretStr(DEVELOPMENT_SEARCH_KEY),
        min_length=16,
        description="The key under which words are hashed to be found again; another key is a rebuild of the index. "
        "The default is for development and refused elsewhere.",
    )
    transaction_history_search_segment: Segment = Field(
        default=Segment.WEEK,
        description="How much time a new partition of the index has, `day`, `week` or `month`: aim at a million "
        "entries.",
    )
    transaction_history_search_connections: int = Field(
        default=8, ge=1, le=200, description="Connections of one API process that search."
    )

    @property
    def knowing(self) -> Knowing:
        """Where the API knows identities from."""
        return Knowing(
            dsn=self.transaction_history_database_url,
            service="transaction-history",
            stale_s=self.access_stale_s,
            mode=self.mode,
        )

    @property
    def api(self) -> ApiProcess:
        """How the API is run: it finds its rows through indexes."""
        return ApiProcess(
            port=Port(self.transaction_history_api_port, "TRANSACTION_HISTORY_API_PORT"),
            pool=PoolSettings(
                dsn=required_by_api(
                    self.transaction_history_reader_database_url, "TRANSACTION_HISTORY_READER_DATABASE_URL"
                ),
                application_name="transaction-history-api",
                max_size=self.transaction_history_read_connections,
                session=BY_INDEX,
            ),
        )

    @property
    def projector(self) -> ConsumerProcess:
        """How the projector is run."""
        name = "transaction-history-projector"
        return ConsumerProcess(
            name="projector",
            port=Port(self.transaction_history_projector_port, "TRANSACTION_HISTORY_PROJECTOR_PORT"),
            pool=consumer_pool_settings(self.transaction_history_database_url, application_name=name),
            consumer=ConsumerSettings(
                brokers=self.brokers,
                client_id=name,
                records_per_poll_max=self.transaction_history_records_per_poll,
            ),
        )

    @property
    def indexer(self) -> ConsumerProcess:
        """How the indexer is run: it yields to what clients wait for, by rare large polls."""
        name = "transaction-history-indexer"
        return ConsumerProcess(
            name="indexer",
            port=Port(self.transaction_history_indexer_port, "TRANSACTION_HISTORY_INDEXER_PORT"),
            pool=consumer_pool_settings(self.transaction_history_database_url, application_name=name),
            consumer=ConsumerSettings(
                brokers=self.brokers,
                client_id=name,
                records_per_poll_max=self.transaction_history_records_per_poll,
                poll_s_min=self.transaction_history_index_linger_ms / 1_000,
                full_records=self.transaction_history_records_per_poll,
            ),
        )

    @property
    def searching(self) -> PoolSettings:
        """How the API searches: over connections of its own, which plan otherwise."""
        return replace(
            self.api.pool,
            application_name="transaction-history-search",
            max_size=self.transaction_history_search_connections,
            session=SEARCHING,
        )

    @property
    def search_key(self) -> bytes:
        """The key of terms."""
        return self.transaction_history_search_key.get_secret_value().encode()

    @property
    def rebuilding(self) -> PoolSettings:
        """How a rebuild reaches the database."""
        return consumer_pool_settings(
            self.transaction_history_database_url, application_name="transaction-history-rebuild"
        )


class HistoryOwnerSettings(ServiceSettings):
    """What `migrate` and `projections rebuild` take from the environment."""

    transaction_history_owner_database_url: str = Field(
        repr=False, description="Where the owner role migrates the database."
    )
    transaction_history_app_role: str = Field(
        default="transaction_history_app", description="The role the service's processes use."
    )
    transaction_history_reader_role: str = Field(
        default="transaction_history_reader", description="The role that the API reads as."
    )

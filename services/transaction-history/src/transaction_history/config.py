"""The service's settings: all of its environment."""

from pydantic import Field

from servicekit.access.opening import Knowing
from servicekit.consumer.settings import RECORDS_PER_POLL, ConsumerSettings
from servicekit.postgres import BY_INDEX, PoolSettings
from servicekit.service import ApiProcess, ConsumerProcess, Port, consumer_pool_settings
from servicekit.service.settings import (
    ApiPort,
    ProjectorPort,
    ReadConnections,
    ReaderDatabaseUrl,
    RecordsPerPoll,
    WatermarksTopic,
    required_by_api,
)
from servicekit.settings import ServiceSettings


class HistorySettings(ServiceSettings):
    """What the service's processes take from the environment, besides what every process takes."""

    transaction_history_database_url: str = Field(repr=False, description="Where the app role reaches the database.")
    transaction_history_reader_database_url: ReaderDatabaseUrl = None
    transaction_history_topic: str = Field(
        default="wallet.events", description="The topic whose events the projector applies."
    )
    transaction_history_watermarks_topic: WatermarksTopic = "wallet.watermarks"
    transaction_history_api_port: ApiPort = 8111
    transaction_history_projector_port: ProjectorPort = 8112
    transaction_history_read_connections: ReadConnections = 8
    transaction_history_records_per_poll: RecordsPerPoll = RECORDS_PER_POLL

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
                watermarks_topic=self.transaction_history_watermarks_topic,
                records_per_poll_max=self.transaction_history_records_per_poll,
            ),
        )

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

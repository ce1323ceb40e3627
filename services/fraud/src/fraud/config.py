"""The service's settings: all of its environment."""

from importlib import resources
from pathlib import Path
from typing import Final

from pydantic import Field

from servicekit.access.opening import Knowing
from servicekit.consumer.settings import RECORDS_PER_POLL, ConsumerSettings
from servicekit.postgres import PoolSettings
from servicekit.relay.settings import LEASE_S, PublisherSettings, RelaySettings
from servicekit.service import (
    ApiProcess,
    ConsumerProcess,
    Port,
    RelayProcess,
    consumer_pool_settings,
    relay_pool_settings,
)
from servicekit.service.settings import (
    ApiPort,
    ProjectorPort,
    ReadConnections,
    ReaderDatabaseUrl,
    RecordsPerPoll,
    RelayPort,
    SchemaUrl,
    WatermarksTopic,
    required_by_api,
)
from servicekit.settings import ServiceSettings

MILLENNIUM_S: Final = 1_000 * 365 * 86_400
"""Longer than any event is old."""
RELAY_IDLE_S_MAX: Final = 0.010
"""Decisions are rare and each is urgent: the relay is idle most of the time, and a frozen wallet waits for it."""
_POLL_S_MIN: Final = 0.04
"""Delays a decision by as much at most, and lets more events share the cost of a poll."""


def packaged_rules() -> Path:
    """Return the rules that come with the service: beside its sources in a checkout, inside it once it is installed."""
    beside_sources = Path(__file__).parents[2] / "rules" / "default.yaml"
    return beside_sources if beside_sources.is_file() else Path(str(resources.files("fraud") / "rules/default.yaml"))


class BacktestSettings(ServiceSettings):
    """What `backtest` takes from the environment: it needs no database."""

    fraud_events_topic: str = Field(default="wallet.events", description="The topic whose events the rules judge.")
    fraud_time_compression: int = Field(
        default=1,
        ge=1,
        le=1_000_000,
        description="What every window and cool-down of the rules is divided by, so that a "
        "demonstration plays a day in minutes.",
    )


class FraudSettings(BacktestSettings):
    """What the service's processes take from the environment, besides what every process takes."""

    fraud_database_url: str = Field(repr=False, description="Where the app role reaches the database.")
    fraud_reader_database_url: ReaderDatabaseUrl = None
    fraud_watermarks_topic: WatermarksTopic = "wallet.watermarks"
    fraud_decisions_topic: str = Field(
        default="fraud.decisions", description="The topic that the relay publishes decisions to."
    )
    fraud_api_port: ApiPort = 8131
    fraud_projector_port: ProjectorPort = 8132
    fraud_relay_port: RelayPort = 8133
    fraud_read_connections: ReadConnections = 8
    fraud_records_per_poll: RecordsPerPoll = RECORDS_PER_POLL
    fraud_relay_lease_s: float = Field(
        default=LEASE_S, ge=1, le=300, description="How long the relay owns a shard without renewing, in seconds."
    )
    fraud_schema_url: SchemaUrl = "http://127.0.0.1:8131/schemas/"
    fraud_rules_file: Path | None = Field(
        default=None,
        description="The rule file; it is read again when it changes. Unset: the rules that come with the service.",
    )
    fraud_live_for_s: int = Field(
        default=3_600,
        ge=60,
        le=MILLENNIUM_S,
        description="Decisions at events older than this many seconds are made in shadow mode: "
        "the ledger does not act on them.",
    )
    fraud_shadow: bool = Field(
        default=False,
        description="Run every rule in shadow mode: decisions are made and published, and the ledger "
        "acts on none of them.",
    )

    @property
    def knowing(self) -> Knowing:
        """Where the API knows identities from."""
        return Knowing(dsn=self.fraud_database_url, service="fraud", stale_s=self.access_stale_s, mode=self.mode)

    @property
    def api(self) -> ApiProcess:
        """How the API is run."""
        return ApiProcess(
            port=Port(self.fraud_api_port, "FRAUD_API_PORT"),
            pool=PoolSettings(
                dsn=required_by_api(self.fraud_reader_database_url, "FRAUD_READER_DATABASE_URL"),
                application_name="fraud-api",
                max_size=self.fraud_read_connections,
            ),
        )

    @property
    def projector(self) -> ConsumerProcess:
        """How the projector is run."""
        name = "fraud-projector"
        return ConsumerProcess(
            name="projector",
            port=Port(self.fraud_projector_port, "FRAUD_PROJECTOR_PORT"),
            pool=consumer_pool_settings(self.fraud_database_url, application_name=name),
            consumer=ConsumerSettings(
                brokers=self.brokers,
                client_id=name,
                watermarks_topic=self.fraud_watermarks_topic,
                records_per_poll_max=self.fraud_records_per_poll,
                poll_s_min=_POLL_S_MIN,
            ),
        )

    @property
    def relay(self) -> RelayProcess:
        """How the relay is run."""
        name = "fraud-relay"
        publisher = PublisherSettings(
            brokers=self.brokers,
            topic=self.fraud_decisions_topic,
            client_id=name,
            schema_base=self.fraud_schema_url,
        )
        return RelayProcess(
            port=Port(self.fraud_relay_port, "FRAUD_RELAY_PORT"),
            pool=relay_pool_settings(self.fraud_database_url, application_name=name),
            relay=RelaySettings(publisher=publisher, lease_s=self.fraud_relay_lease_s, idle_s_max=RELAY_IDLE_S_MAX),
        )


class FraudOwnerSettings(ServiceSettings):
    """What `migrate` takes from the environment."""

    fraud_owner_database_url: str = Field(repr=False, description="Where the owner role migrates the database.")
    fraud_app_role: str = Field(default="fraud_app", description="The role the service's processes use.")
    fraud_reader_role: str = Field(default="fraud_reader", description="The role that the API reads as.")

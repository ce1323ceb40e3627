"""The wallet service's settings: all of its environment."""

from dataclasses import replace
from typing import Final, Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from servicekit.access.opening import Knowing
from servicekit.consumer.settings import ConsumerSettings
from servicekit.postgres import PoolSettings
from servicekit.relay.settings import LEASE_S, PublisherSettings, RelaySettings, WatermarkSettings
from servicekit.service import (
    ApiProcess,
    ConsumerProcess,
    Port,
    RelayProcess,
    consumer_pool_settings,
    relay_pool_settings,
)
from servicekit.service.settings import (
    ReaderDatabaseUrl,
    RelayLease,
    RelayPort,
    SchemaUrl,
    WatermarksTopic,
    required_by_api,
)
from servicekit.settings import SecretKey, ServiceSettings
from wallet.application.committer import CommitterSettings
from wallet.application.queue import AGE_MAX_S, COMMANDS_MAX, QueueLimits

DEVELOPMENT_REFERENCE_KEY: Final = "development-reference-key"
_DECISIONS_PER_POLL_MAX: Final = 256
"""All of a poll's commands fit into one batch, and are done well before the consumer's transaction would time out."""


class WalletSettings(ServiceSettings):
    """What the wallet's processes take from the environment, besides what every process takes."""

    model_config = SettingsConfigDict(env_prefix="", frozen=True, extra="ignore", hide_input_in_errors=True)

    wallet_database_url: str = Field(repr=False, description="Where the app role reaches the wallet's database.")
    wallet_reader_database_url: ReaderDatabaseUrl = None
    wallet_events_topic: str = Field(default="wallet.events", description="The topic that the relay publishes to.")
    wallet_watermarks_topic: WatermarksTopic = "wallet.watermarks"
    wallet_relay_watermark_s: float = Field(
        default=1.0,
        gt=0,
        le=60,
        description="How often the relay tells up to where its topic is complete, in seconds: readers take one that is "
        "older than 3 s for a lag.",
    )
    wallet_api_port: int = Field(default=8101, ge=0, le=65_535, description="The port of the wallet's API.")
    wallet_relay_port: RelayPort = 8102
    wallet_decisions_port: int = Field(
        default=8103, ge=0, le=65_535, description="The port of the health and metrics of the decisions process."
    )
    wallet_maintenance_port: int = Field(
        default=8105, ge=0, le=65_535, description="The port of the health and metrics of the maintenance process."
    )
    wallet_verify_rows_per_s: int = Field(
        default=20_000,
        ge=100,
        le=200_000,
        description="How many journal rows a second are verified anew, over and over, beside those that are new.",
    )
    wallet_decisions_topic: str = Field(
        default="fraud.decisions", description="The topic whose decisions restrict wallets."
    )
    wallet_read_connections: int = Field(
        default=8, ge=1, le=200, description="Connections of one API process for reads and dry runs."
    )
    wallet_batch_commands: int = Field(default=512, ge=1, le=4_096, description="Commands in one commit at most.")
    wallet_queue_commands: int = Field(
        default=COMMANDS_MAX, ge=1, description="Commands waiting in one process at most; one more is answered 503."
    )
    wallet_queue_age_s: float = Field(
        default=AGE_MAX_S,
        gt=0,
        description="A new command is answered 503 while the oldest waiting one is older than this many seconds.",
    )
    wallet_command_deadline_s: float = Field(
        default=2.0, gt=0, description="How long a command may take from its arrival to its answer, in seconds."
    )
    wallet_clock_ahead_s: float = Field(
        default=10.0,
        ge=0,
        description="How far a wallet's newest event may be ahead of the database's clock, in seconds: commands to a "
        "wallet farther ahead are answered 503 `wallet_ahead_of_clock` until the clock has caught up.",
    )
    wallet_commit_lock: bool = Field(
        default=True,
        description="Whether a batch takes one lock of the whole database before it locks a row: several instances "
        "then wait for each other holding nothing.",
    )
    wallet_pipelining: bool = Field(
        default=True,
        description="Whether the next batch is decided while the database writes the last one, on rows that are not "
        "locked and that the database checks.",
    )
    wallet_idempotency_days: int = Field(
        default=30, ge=1, description="How long an idempotency key is remembered, in days."
    )
    wallet_sweep_every_s: float = Field(
        default=1.0, gt=0, le=60, description="How often is looked for what is due, such as holds that end."
    )
    wallet_rates_url: str | None = Field(
        default=None,
        description="Where exchange rates come from: an https URL at a public address, or `file:` and an absolute "
        "path. Unset: there are none, and no quotes.",
    )
    wallet_rates_format: Literal["ecb", "json"] = Field(
        default="json", description="What stands there: `ecb`, the reference rates in XML, or `json`."
    )
    wallet_rates_every_s: float = Field(
        default=300.0, gt=0, le=86_400, description="How often rates are fetched, by one instance for all, in seconds."
    )
    wallet_rates_age_max_s: float = Field(
        default=345_600.0,
        gt=0,
        description="How old the rate of a quote may be, in seconds: reference rates skip weekends.",
    )
    wallet_rates_jump_ppm: int = Field(
        default=200_000,
        ge=0,
        description="How far a rate may move from the one before, in parts per million of it; one that jumps further "
        "is refused and alarmed until this is raised.",
    )
    wallet_reference_key: SecretKey = Field(
        default=SecretStr(DEVELOPMENT_REFERENCE_KEY),
        min_length=16,
        description="The key under which references are hashed to be found again; never changed once used. The default "
        "is for development and refused elsewhere.",
    )
    wallet_schema_url: SchemaUrl = "http://127.0.0.1:8101/schemas/"
    wallet_relay_lease_s: RelayLease = LEASE_S

    @property
    def knowing(self) -> Knowing:
        """Where the API knows identities from."""
        return Knowing(dsn=self.wallet_database_url, service="wallet", stale_s=self.access_stale_s, mode=self.mode)

    @property
    def api(self) -> ApiProcess:
        """How the API is run; the pool is of reads and dry runs."""
        return ApiProcess(
            port=Port(self.wallet_api_port, "WALLET_API_PORT"),
            pool=replace(
                self.reading("api"), dsn=required_by_api(self.wallet_reader_database_url, "WALLET_READER_DATABASE_URL")
            ),
        )

    @property
    def queue(self) -> QueueLimits:
        """The bounds of what waits for the committer."""
        return QueueLimits(commands_max=self.wallet_queue_commands, age_max_s=self.wallet_queue_age_s)

    @property
    def committer(self) -> CommitterSettings:
        """How batches are made and committed."""
        return CommitterSettings(
            batch_commands_max=self.wallet_batch_commands,
            pipelining=self.wallet_pipelining,
            # Without the lock, a batch sent behind another looks at its rows before that one has moved them on.
            in_flight_max=2 if self.wallet_commit_lock else 1,
        )

    @property
    def relay(self) -> RelayProcess:
        """How the relay is run."""
        name = "wallet-relay"
        publisher = PublisherSettings(
            brokers=self.brokers,
            topic=self.wallet_events_topic,
            client_id=name,
            schema_base=self.wallet_schema_url,
        )
        return RelayProcess(
            port=Port(self.wallet_relay_port, "WALLET_RELAY_PORT"),
            pool=relay_pool_settings(self.wallet_database_url, application_name=name),
            relay=RelaySettings(
                publisher=publisher,
                lease_s=self.wallet_relay_lease_s,
                watermarks=WatermarkSettings(topic=self.wallet_watermarks_topic, every_s=self.wallet_relay_watermark_s),
            ),
        )

    @property
    def decisions(self) -> ConsumerProcess:
        """How what acts on fraud decisions is run."""
        name = "wallet-decisions"
        return ConsumerProcess(
            name="decisions",
            port=Port(self.wallet_decisions_port, "WALLET_DECISIONS_PORT"),
            pool=consumer_pool_settings(self.wallet_database_url, application_name=name),
            consumer=ConsumerSettings(
                brokers=self.brokers,
                client_id=name,
                records_per_poll_max=_DECISIONS_PER_POLL_MAX,
            ),
        )

    @property
    def maintenance(self) -> ApiProcess:
        """How the process that keeps house is run; the pool is that of its pages, its jobs have connections."""
        return ApiProcess(
            port=Port(self.wallet_maintenance_port, "WALLET_MAINTENANCE_PORT"),
            pool=replace(self.reading("maintenance"), max_size=1),
        )

    def reading(self, process: str) -> PoolSettings:
        """Return how *process* reads the whole ledger, as the app role."""
        return PoolSettings(
            dsn=self.wallet_database_url,
            application_name=f"wallet-{process}",
            max_size=self.wallet_read_connections,
        )


class WalletOwnerSettings(ServiceSettings):
    """What `migrate` and `archive` take from the environment."""

    wallet_owner_database_url: str = Field(repr=False, description="Where the owner role migrates the database.")
    wallet_app_role: str = Field(default="wallet_app", description="The role the service's processes use.")
    wallet_reader_role: str = Field(default="wallet_reader", description="The role that the API reads as.")

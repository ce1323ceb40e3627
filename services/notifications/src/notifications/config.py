"""The service's settings: all of its environment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from pydantic import Field, SecretStr, model_validator

from notifications.domain.outcomes import Policy
from notifications.endpoints.commands import EndpointLimits
from notifications.endpoints.encryption import parse_keys
from notifications.maintenance.jobs import Retention
from notifications.sending.sender_http import Timeouts
from notifications.sending.worker import WorkerSettings
from servicekit.access.opening import Knowing
from servicekit.consumer.settings import ConsumerSettings
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
    ReaderDatabaseUrl,
    RecordsPerPoll,
    RelayLease,
    RelayPort,
    SchemaUrl,
    WatermarksTopic,
    required_by_api,
)
from servicekit.settings import Mode, ServiceSettings

DEVELOPMENT_KEY: Final = "ZGV2ZWxvcG1lbnQtb25seS1zZWFsaW5nLWtleS0wMDE="
"""Known to everybody: refused outside development, under any version."""
DEVELOPMENT_SECRET_KEYS: Final = f"1:{DEVELOPMENT_KEY}"
LEASE_MARGIN_S: Final = 5.0
"""For DNS, the head of the response and the settling write."""

_DRAIN_SHARE: Final = 0.7
"""Of the process's drain, for attempts under way: the rest is for closing what stands behind them."""
_POLL_S_MIN: Final = 0.15
"""A webhook travels for longer than that; what a poll costs is shared by what comes meanwhile."""

_SECOND: Final = 1
_MINUTE: Final = 60
_HOUR: Final = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProcess:
    """How a process that sends is run: *pool* is its database's."""

    port: Port
    pool: PoolSettings
    sending: WorkerSettings


class NotificationsSettings(ServiceSettings):
    """What the service's processes take from the environment, besides what every process takes."""

    notifications_database_url: str = Field(repr=False, description="Where the app role reaches the database.")
    notifications_reader_database_url: ReaderDatabaseUrl = None
    notifications_topic: str = Field(default="wallet.events", description="The topic that is told to endpoints.")
    notifications_watermarks_topic: WatermarksTopic = "wallet.watermarks"
    notifications_events_topic: str = Field(
        default="notifications.events", description="The topic that the relay publishes to."
    )
    notifications_schema_url: SchemaUrl = "http://127.0.0.1:8121/schemas/"
    notifications_api_port: ApiPort = 8121
    notifications_projector_port: ProjectorPort = 8122
    notifications_worker_port: int = Field(
        default=8123, ge=0, le=65_535, description="The port of the worker's health and metrics."
    )
    notifications_relay_port: RelayPort = 8124
    notifications_api_connections: int = Field(
        default=8, ge=1, le=200, description="Database connections of one API process for commands."
    )
    notifications_read_connections: int = Field(
        default=8, ge=1, le=200, description="Database connections of one API process for reads."
    )
    notifications_worker_connections: int = Field(
        default=8, ge=2, le=200, description="Database connections of one worker process."
    )
    notifications_records_per_poll: RecordsPerPoll = 2_000
    notifications_relay_lease_s: RelayLease = LEASE_S
    notifications_secret_keys: SecretStr = Field(
        default=SecretStr(DEVELOPMENT_SECRET_KEYS),
        description="The keys that encrypt endpoints' secrets, `version:base64 of 32 bytes,…`: the highest version "
        "encrypts, all of them decrypt. The default is for development and refused elsewhere.",
    )
    notifications_allow_loopback: bool = Field(
        default=False,
        description="Whether webhooks may go to this machine, without TLS too; refused outside development.",
    )
    notifications_dns_servers: str = Field(
        default="",
        description="The name servers that endpoints' hosts are looked up at, `address:port,…`; none: the system's. "
        "The hosts file comes first.",
    )
    notifications_endpoints_max: int = Field(
        default=100, ge=1, le=1_000, description="Endpoints of one tenant at most."
    )
    notifications_rotation_overlap_s: int = Field(
        default=24 * _HOUR, ge=0, description="How long a rotated secret goes on signing, in seconds."
    )
    notifications_retry_delays_s: tuple[int, ...] = Field(
        default=(
            5 * _SECOND,
            5 * _MINUTE,
            30 * _MINUTE,
            2 * _HOUR,
            5 * _HOUR,
            10 * _HOUR,
            14 * _HOUR,
            20 * _HOUR,
            24 * _HOUR,
        ),
        min_length=1,
        max_length=40,
        description="The longest wait after each failure of a delivery, in seconds (a JSON list); the wait is a random "
        "part of it, and after the last one the delivery is exhausted.",
    )
    notifications_time_divisor: int = Field(
        default=1,
        ge=1,
        le=1_000_000,
        description="What retry delays and `NOTIFICATIONS_DISABLE_AFTER_S` are divided by: a day played in minutes.",
    )
    notifications_disable_after_s: int = Field(
        default=5 * 24 * _HOUR,
        ge=1,
        description="How long an endpoint may fail without one success before it is disabled, in seconds.",
    )
    notifications_worker_attempts: int = Field(
        default=128, ge=1, le=2_000, description="Attempts under way in one worker process at most."
    )
    notifications_endpoint_attempts: int = Field(
        default=16, ge=1, le=200, description="Attempts under way to one endpoint at most, over all workers."
    )
    notifications_connect_timeout_s: float = Field(
        default=5.0, gt=0, le=30, description="How long a receiver may take to accept a connection, in seconds."
    )
    notifications_attempt_timeout_s: float = Field(
        default=15.0, gt=0, le=60, description="How long an attempt may take from DNS to the status, in seconds."
    )
    notifications_lease_s: float = Field(
        default=45.0,
        gt=0,
        description="How long a worker owns a delivery it has taken, in seconds; longer than an attempt.",
    )
    notifications_retention_days: int = Field(
        default=30, ge=1, description="How long settled deliveries and their attempts are kept, in days."
    )
    notifications_idempotency_days: int = Field(
        default=30, ge=1, description="How long an idempotency key is remembered, in days."
    )

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.notifications_lease_s < self.notifications_attempt_timeout_s + LEASE_MARGIN_S:
            raise ValueError(f"NOTIFICATIONS_LEASE_S must be {LEASE_MARGIN_S} s longer than an attempt may take")
        if self.mode is Mode.DEVELOPMENT:
            return self
        if DEVELOPMENT_KEY in self.notifications_secret_keys.get_secret_value():
            raise ValueError("NOTIFICATIONS_SECRET_KEYS holds the key that is for development")
        if self.notifications_allow_loopback:
            raise ValueError("NOTIFICATIONS_ALLOW_LOOPBACK is for development")
        return self

    @property
    def knowing(self) -> Knowing:
        """Where the API knows identities from."""
        return Knowing(
            dsn=self.notifications_database_url, service="notifications", stale_s=self.access_stale_s, mode=self.mode
        )

    @property
    def api(self) -> ApiProcess:
        """How the API is run; the pool is of commands."""
        return ApiProcess(
            port=Port(self.notifications_api_port, "NOTIFICATIONS_API_PORT"),
            pool=PoolSettings(
                dsn=self.notifications_database_url,
                application_name="notifications-api",
                max_size=self.notifications_api_connections,
            ),
        )

    @property
    def reads(self) -> PoolSettings:
        """How the API reads, besides the pool of its commands."""
        return PoolSettings(
            dsn=required_by_api(self.notifications_reader_database_url, "NOTIFICATIONS_READER_DATABASE_URL"),
            application_name="notifications-api-reads",
            max_size=self.notifications_read_connections,
        )

    @property
    def projector(self) -> ConsumerProcess:
        """How the projector is run."""
        name = "notifications-projector"
        return ConsumerProcess(
            name="projector",
            port=Port(self.notifications_projector_port, "NOTIFICATIONS_PROJECTOR_PORT"),
            pool=consumer_pool_settings(self.notifications_database_url, application_name=name),
            consumer=ConsumerSettings(
                brokers=self.brokers,
                client_id=name,
                watermarks_topic=self.notifications_watermarks_topic,
                records_per_poll_max=self.notifications_records_per_poll,
                poll_s_min=_POLL_S_MIN,
            ),
        )

    @property
    def relay(self) -> RelayProcess:
        """How the relay, which publishes the service's own events, is run."""
        name = "notifications-relay"
        publisher = PublisherSettings(
            brokers=self.brokers,
            topic=self.notifications_events_topic,
            client_id=name,
            schema_base=self.notifications_schema_url,
        )
        return RelayProcess(
            port=Port(self.notifications_relay_port, "NOTIFICATIONS_RELAY_PORT"),
            pool=relay_pool_settings(self.notifications_database_url, application_name=name),
            relay=RelaySettings(publisher=publisher, lease_s=self.notifications_relay_lease_s),
        )

    @property
    def worker(self) -> WorkerProcess:
        """How a worker is run. A lease or a settlement that a crash of the database loses is a repeat, no loss.

        What is published of it is flushed all the same: the outbox sees to that.
        """
        return WorkerProcess(
            port=Port(self.notifications_worker_port, "NOTIFICATIONS_WORKER_PORT"),
            pool=PoolSettings(
                dsn=self.notifications_database_url,
                application_name="notifications-worker",
                max_size=self.notifications_worker_connections,
                session={"synchronous_commit": "off"},
            ),
            sending=WorkerSettings(
                attempts_max=self.notifications_worker_attempts,
                endpoint_attempts_max=self.notifications_endpoint_attempts,
                lease_s=self.notifications_lease_s,
                timeouts=Timeouts(
                    connect_s=self.notifications_connect_timeout_s, attempt_s=self.notifications_attempt_timeout_s
                ),
                policy=self._policy,
                drain_s=self.drain_s * _DRAIN_SHARE,
            ),
        )

    @property
    def endpoint_limits(self) -> EndpointLimits:
        """What bounds the commands on endpoints."""
        return EndpointLimits(
            endpoints_max=self.notifications_endpoints_max,
            rotation_overlap=timedelta(seconds=self.notifications_rotation_overlap_s),
        )

    @property
    def retention(self) -> Retention:
        """How long what is settled is kept."""
        return Retention(
            deliveries_days=self.notifications_retention_days, keys_days=self.notifications_idempotency_days
        )

    @property
    def secret_keys(self) -> Mapping[int, bytes]:
        """The keys that encrypt secrets, by version. Raises EncryptionKeysError."""
        return parse_keys(self.notifications_secret_keys.get_secret_value())

    @property
    def dns_servers(self) -> Sequence[str]:
        """Where hosts are looked up; none: the system's name servers."""
        return [server.strip() for server in self.notifications_dns_servers.split(",") if server.strip()]

    @property
    def _policy(self) -> Policy:
        divisor = self.notifications_time_divisor
        return Policy(
            delays_ms=tuple(delay_s * 1_000 // divisor for delay_s in self.notifications_retry_delays_s),
            disable_after=timedelta(seconds=self.notifications_disable_after_s) / divisor,
        )


class NotificationsOwnerSettings(ServiceSettings):
    """What `migrate` takes from the environment."""

    notifications_owner_database_url: str = Field(repr=False, description="Where the owner role migrates the database.")
    notifications_app_role: str = Field(
        default="notifications_app", description="The role the service's processes use."
    )
    notifications_reader_role: str = Field(
        default="notifications_reader", description="The role that the API reads as."
    )

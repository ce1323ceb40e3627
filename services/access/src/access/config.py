"""The service's settings: all of its environment."""

from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator

from servicekit.access.opening import Knowing
from servicekit.postgres import PoolSettings
from servicekit.relay.settings import LEASE_S, PublisherSettings, RelaySettings
from servicekit.service import ApiProcess, Port, RelayProcess, relay_pool_settings
from servicekit.service.settings import (
    ApiPort,
    ReaderDatabaseUrl,
    RelayLease,
    RelayPort,
    SchemaUrl,
    required_by_api,
)
from servicekit.settings import Mode, ServiceSettings


class AccessSettings(ServiceSettings):
    """What the service's processes take from the environment, besides what every process takes."""

    access_database_url: str = Field(repr=False, description="Where the app role reaches the database.")
    access_reader_database_url: ReaderDatabaseUrl = None
    access_schema_url: SchemaUrl = "http://127.0.0.1:8141/schemas/"
    access_api_port: ApiPort = 8141
    access_relay_port: RelayPort = 8142
    access_worker_port: int = Field(
        default=8143, ge=0, le=65_535, description="The port of the worker's health and metrics."
    )
    access_api_connections: int = Field(
        default=8, ge=1, le=200, description="Database connections of one API process for commands."
    )
    access_read_connections: int = Field(
        default=8, ge=1, le=200, description="Database connections of one API process for reads."
    )
    access_relay_lease_s: RelayLease = LEASE_S
    access_allow_loopback: bool = Field(
        default=False,
        description="Whether issuers' keys may be fetched from this machine, without TLS too; refused outside "
        "development.",
    )
    access_dns_servers: str = Field(
        default="",
        description="The name servers that issuers' hosts are looked up at, `address:port,…`; none: the system's. The "
        "hosts file comes first.",
    )
    access_fetch_timeout_s: float = Field(
        default=5.0, gt=0, le=9, description="How long fetching a key set may take from DNS to its end, in seconds."
    )
    access_idempotency_days: int = Field(
        default=30, ge=1, description="How long an idempotency key is remembered, in days."
    )

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.mode is not Mode.DEVELOPMENT and self.access_allow_loopback:
            raise ValueError("ACCESS_ALLOW_LOOPBACK is for development")
        return self

    @property
    def dns_servers(self) -> Sequence[str]:
        """Where hosts are looked up; none: the system's name servers."""
        return [server.strip() for server in self.access_dns_servers.split(",") if server.strip()]

    @property
    def knowing(self) -> Knowing:
        """Where the API knows identities from: it is their source."""
        return Knowing(
            dsn=self.access_database_url, service="access", stale_s=self.access_stale_s, mode=self.mode, is_source=True
        )

    @property
    def reads(self) -> PoolSettings:
        """How the API reads, besides the pool of its commands."""
        return PoolSettings(
            dsn=required_by_api(self.access_reader_database_url, "ACCESS_READER_DATABASE_URL"),
            application_name="access-api-reads",
            max_size=self.access_read_connections,
        )

    @property
    def api(self) -> ApiProcess:
        """How the API is run; the pool is of commands."""
        return ApiProcess(
            port=Port(self.access_api_port, "ACCESS_API_PORT"),
            pool=PoolSettings(
                dsn=self.access_database_url,
                application_name="access-api",
                max_size=self.access_api_connections,
            ),
        )

    @property
    def relay(self) -> RelayProcess:
        """How the relay, which publishes what changed, is run."""
        name = "access-relay"
        publisher = PublisherSettings(
            brokers=self.brokers,
            topic=self.access_topic,
            client_id=name,
            schema_base=self.access_schema_url,
        )
        return RelayProcess(
            port=Port(self.access_relay_port, "ACCESS_RELAY_PORT"),
            pool=relay_pool_settings(self.access_database_url, application_name=name),
            relay=RelaySettings(publisher=publisher, lease_s=self.access_relay_lease_s),
        )

    @property
    def worker(self) -> ApiProcess:
        """How a worker is run."""
        return ApiProcess(
            port=Port(self.access_worker_port, "ACCESS_WORKER_PORT"),
            pool=PoolSettings(dsn=self.access_database_url, application_name="access-worker", max_size=4),
        )

    @property
    def operating_pool(self) -> PoolSettings:
        """How operators' commands reach the database: one asks beside its transaction whether the database is whole."""
        return PoolSettings(dsn=self.access_database_url, application_name="access-operator", max_size=2)


class AccessOwnerSettings(ServiceSettings):
    """What `migrate` takes from the environment."""

    access_owner_database_url: str = Field(repr=False, description="Where the owner role migrates the database.")
    access_app_role: str = Field(default="access_app", description="The role the service's processes use.")
    access_reader_role: str = Field(default="access_reader", description="The role that the API reads as.")

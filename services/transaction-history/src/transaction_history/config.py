"""The service's settings: all of its environment."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final, Self

from pydantic import Field, SecretStr, model_validator

from servicekit.access.opening import Knowing
from servicekit.consumer.settings import RECORDS_PER_POLL, ConsumerSettings
from servicekit.postgres import BY_INDEX, PoolSettings
from servicekit.relay.settings import LEASE_S, PublisherSettings, RelaySettings
from servicekit.service import ApiProcess, ConsumerProcess, Port, consumer_pool_settings, relay_pool_settings
from servicekit.service.settings import (
    ApiPort,
    PortNumber,
    ProjectorPort,
    ReadConnections,
    ReaderDatabaseUrl,
    RecordsPerPoll,
    RelayLease,
    SchemaUrl,
    SettingsError,
    WatermarksTopic,
    required_by_api,
)
from servicekit.settings import Mode, SecretKey, ServiceSettings
from transaction_history.domain.closing import SETTLED
from transaction_history.jobs.worker import WorkerSettings
from transaction_history.reads.search_index import SESSION as SEARCHING
from transaction_history.reads.targets import ReplicaSettings
from transaction_history.statements.renderer import SIDE_BY_SIDE as FILES_SIDE_BY_SIDE

DEVELOPMENT_SEARCH_KEY: Final = "development-search-key"
DEVELOPMENT_LINK_KEY: Final = "development-only-key-of-links-to-files"
"""Known to everybody: refused outside development."""
DEVELOPMENT_OBJECTS: Final = ".local/data/history-objects"
_LINK_KEY_CHARACTERS_MIN: Final = 32
_DRAIN_SHARE: Final = 0.7
"""Of the process's drain, for jobs under way to be given back: the rest is for closing what stands behind them."""
_REPLICAS_MAX: Final = 8
_REPLICA_ACQUIRE_S: Final = 0.5
_REPLICA_COMMAND_S: Final = 1.5
"""With that the primary has the rest of a request's deadline."""
_WORKER_CONNECTIONS: Final = 6
"""For each of two jobs one writes, and one takes and extends; two are for files of statements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProcess:
    """How a worker is run: *pool* writes jobs, *reads* reads rows, *relaying* is the pool of its *relay*.

    Rows may be read from *replicas*, too.
    """

    port: Port
    pool: PoolSettings
    reads: PoolSettings
    replicas: ReplicaSettings
    working: WorkerSettings
    relaying: PoolSettings
    relay: RelaySettings


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
    transaction_history_watermarks_topic: WatermarksTopic = "wallet.watermarks"
    transaction_history_api_port: ApiPort = 8111
    transaction_history_projector_port: ProjectorPort = 8112
    transaction_history_read_connections: ReadConnections = 8
    transaction_history_records_per_poll: RecordsPerPoll = RECORDS_PER_POLL
    transaction_history_replica_urls: list[str] = Field(
        default=[],
        max_length=_REPLICAS_MAX,
        repr=False,
        description="Where the reader role reaches replicas of the database, a JSON list of addresses: API and "
        "workers read from them where they are near enough.",
    )
    transaction_history_replica_lag_ms_max: int = Field(
        default=1_000, ge=1, description="A replica whose replay is this far behind is not read from, in milliseconds."
    )
    transaction_history_worker_port: int = Field(
        default=8114, ge=0, le=65_535, description="The port of the worker's health and metrics."
    )
    transaction_history_command_connections: int = Field(
        default=4, ge=1, le=200, description="Database connections of one API process for what it writes."
    )
    transaction_history_worker_jobs: int = Field(
        default=2, ge=1, le=8, description="Jobs under way in one worker process at most."
    )
    transaction_history_job_lease_s: float = Field(
        default=30.0, ge=0.5, description="How long a worker owns a job without extending, in seconds."
    )
    transaction_history_files_days: int = Field(
        default=7, ge=1, le=90, description="How long files of jobs are kept, in days."
    )
    transaction_history_statements_settled_s: float = Field(
        default=SETTLED.total_seconds(),
        ge=0,
        le=86_400,
        description="How far beyond its end the ledger must be complete before a period is closed, in seconds: what "
        "comes later stands in the next statement.",
    )
    transaction_history_idempotency_days: int = Field(
        default=30, ge=1, description="How long an idempotency key is remembered, in days."
    )
    transaction_history_objects_url: str = Field(
        default=DEVELOPMENT_OBJECTS,
        description="Where files of jobs are kept, the same for every API and worker process: a folder, or "
        "`s3://bucket/prefix`. The default is for development: API and worker refuse it elsewhere.",
    )
    transaction_history_objects_options: SecretStr | None = Field(
        default=None,
        description="What else there is to say of a bucket, a JSON object of texts: `endpoint`, `region`, "
        "`access_key_id`, `secret_access_key`, `allow_http` (`true`).",
    )
    transaction_history_link_key: SecretStr = Field(
        default=SecretStr(DEVELOPMENT_LINK_KEY),
        description="The key that links to files are signed with, 32 characters or more. Another one makes "
        "every link void. The default is for development and refused elsewhere.",
    )
    transaction_history_events_topic: str = Field(
        default="history.events", description="The topic that the relay in workers publishes to."
    )
    transaction_history_drift_events_per_s: int = Field(
        default=2_000,
        ge=2,
        le=100_000,
        description="How many events a second workers compare with their rows at most, for the ledger's tables and the "
        "index together.",
    )
    transaction_history_schema_url: SchemaUrl = "http://127.0.0.1:8111/schemas/"
    transaction_history_relay_lease_s: RelayLease = LEASE_S

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

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        key = self.transaction_history_link_key.get_secret_value()
        if len(key) < _LINK_KEY_CHARACTERS_MIN:
            raise ValueError(f"TRANSACTION_HISTORY_LINK_KEY has fewer than {_LINK_KEY_CHARACTERS_MIN} characters")
        if self.mode is Mode.DEVELOPMENT:
            return self
        if key == DEVELOPMENT_LINK_KEY:
            raise ValueError("TRANSACTION_HISTORY_LINK_KEY is the key that is for development")
        return self

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
    def replicas(self) -> ReplicaSettings:
        """How the API reaches replicas."""
        return self._replicas_of(self.api.pool)

    def _replicas_of(self, pool: PoolSettings) -> ReplicaSettings:
        """Return how replicas are reached beside *pool*. Nobody waits long for one: the primary is there."""
        pools = [
            replace(
                pool,
                dsn=dsn,
                min_size=0,
                acquire_timeout_s=_REPLICA_ACQUIRE_S,
                connect_timeout_s=_REPLICA_ACQUIRE_S,
                command_timeout_s=_REPLICA_COMMAND_S,
            )
            for dsn in self.transaction_history_replica_urls
        ]
        return ReplicaSettings(pools=pools, lag_ms_max=self.transaction_history_replica_lag_ms_max)

    @property
    def statements_settled(self) -> timedelta:
        """How far beyond its end the ledger must be complete before a period is closed."""
        return timedelta(seconds=self.transaction_history_statements_settled_s)

    @property
    def commands(self) -> PoolSettings:
        """How the API writes, besides the pool of its reads."""
        return PoolSettings(
            dsn=self.transaction_history_database_url,
            application_name="transaction-history-api-commands",
            max_size=self.transaction_history_command_connections,
        )

    @property
    def worker(self) -> WorkerProcess:
        """How a worker is run. It reads as the API does: of one tenant at a time, through indexes."""
        name = "transaction-history-worker"
        publisher = PublisherSettings(
            brokers=self.brokers,
            topic=self.transaction_history_events_topic,
            client_id=name,
            schema_base=self.transaction_history_schema_url,
        )
        reads = PoolSettings(
            dsn=required_by_api(
                self.transaction_history_reader_database_url, "TRANSACTION_HISTORY_READER_DATABASE_URL"
            ),
            application_name=f"{name}-reads",
            max_size=self.transaction_history_worker_jobs + FILES_SIDE_BY_SIDE + 1,  # one for answers that are kept
            session=BY_INDEX,
        )
        return WorkerProcess(
            port=Port(self.transaction_history_worker_port, "TRANSACTION_HISTORY_WORKER_PORT"),
            pool=PoolSettings(
                dsn=self.transaction_history_database_url, application_name=name, max_size=_WORKER_CONNECTIONS
            ),
            reads=reads,
            replicas=self._replicas_of(reads),
            working=WorkerSettings(
                jobs_max=self.transaction_history_worker_jobs,
                lease_s=self.transaction_history_job_lease_s,
                drain_s=self.drain_s * _DRAIN_SHARE,
                kept_days=self.transaction_history_files_days,
            ),
            relaying=relay_pool_settings(self.transaction_history_database_url, application_name=f"{name}-relay"),
            relay=RelaySettings(publisher=publisher, lease_s=self.transaction_history_relay_lease_s),
        )

    @property
    def objects_options(self) -> Mapping[str, str]:
        """What else there is to say of the store of files."""
        given = self.transaction_history_objects_options
        options: dict[str, str] = {} if given is None else json.loads(given.get_secret_value())
        return options

    @property
    def objects_url(self) -> str:
        """Where files of jobs are kept. Raises SettingsError outside development where nobody said so."""
        if self.mode is not Mode.DEVELOPMENT and self.transaction_history_objects_url == DEVELOPMENT_OBJECTS:
            raise SettingsError("TRANSACTION_HISTORY_OBJECTS_URL is not set: its default is for development")
        return self.transaction_history_objects_url

    @property
    def link_key(self) -> bytes:
        """The key that links to files are signed with."""
        return self.transaction_history_link_key.get_secret_value().encode()

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
                watermarks_topic=self.transaction_history_watermarks_topic,
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

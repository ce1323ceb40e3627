"""The wallet service's settings: all of its environment."""

from typing import Final

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from servicekit.settings import ServiceSettings

DEVELOPMENT_REFERENCE_KEY: Final = "development-reference-key"


class WalletSettings(ServiceSettings):
    """What the wallet's processes take from the environment, besides what every process takes."""

    model_config = SettingsConfigDict(env_prefix="", frozen=True, extra="ignore", hide_input_in_errors=True)

    wallet_database_url: str = Field(repr=False, description="Where the app role reaches the wallet's database.")
    kafka_bootstrap_servers: str = Field(default="127.0.0.1:19092", description="The brokers, `host:port,…`.")
    wallet_events_topic: str = Field(default="wallet.events", description="The topic that the relay publishes to.")
    wallet_api_port: int = Field(default=8101, ge=0, le=65_535, description="The port of the wallet's API.")
    wallet_relay_port: int = Field(
        default=8102, ge=0, le=65_535, description="The port of the relay's health and metrics."
    )
    wallet_decisions_port: int = Field(
        default=8103, ge=0, le=65_535, description="The port of the health and metrics of what acts on fraud decisions."
    )
    wallet_decisions_topic: str = Field(
        default="fraud.decisions", description="The topic whose decisions restrict wallets."
    )
    wallet_read_connections: int = Field(
        default=8, ge=1, le=200, description="Connections of one API process for reads and dry runs."
    )
    wallet_batch_commands: int = Field(default=512, ge=1, le=4_096, description="Commands in one commit at most.")
    wallet_queue_commands: int = Field(
        default=8_192, ge=1, description="Commands waiting in one process at most: one more is answered 503."
    )
    wallet_queue_age_s: float = Field(
        default=1.0, gt=0, description="When the oldest waiting command is older, a new one is answered 503."
    )
    wallet_command_deadline_s: float = Field(
        default=2.0, gt=0, description="How long a command may take from its arrival to its answer, in seconds."
    )
    wallet_clock_ahead_s: float = Field(
        default=10.0,
        ge=0,
        description="How far a wallet's newest event may be ahead of the database's clock, in seconds: beyond, its "
        "money stands still (503 `wallet_ahead_of_clock`) until the clock has caught up.",
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
    wallet_reference_key: SecretStr = Field(
        default=SecretStr(DEVELOPMENT_REFERENCE_KEY),
        min_length=16,
        description="The key under which references are hashed to be found again; never changed once used. The default "
        "is for development and refused elsewhere.",
    )
    wallet_schema_url: str = Field(
        default="http://127.0.0.1:8101/schemas/",
        description="The URL below which subscribers find each event type's JSON Schema (`ce_dataschema`).",
    )
    wallet_relay_lease_s: float = Field(
        default=10.0, gt=0, description="How long a relay owns a shard without renewing, in seconds."
    )


class WalletOwnerSettings(ServiceSettings):
    """What `migrate` takes from the environment."""

    wallet_owner_database_url: str = Field(repr=False, description="Where the owner role migrates the database.")
    wallet_app_role: str = Field(default="wallet_app", description="The role the service's processes use.")

"""The service's settings: all of its environment."""

from importlib import resources
from pathlib import Path
from typing import Final

from pydantic import Field

from servicekit.settings import ServiceSettings

MILLENNIUM_S: Final = 1_000 * 365 * 86_400
"""Longer than any event is old."""


def packaged_rules() -> Path:
    """Return the rules that come with the service: beside its sources in a checkout, inside it once it is installed."""
    beside_sources = Path(__file__).parents[2] / "rules" / "default.yaml"
    return beside_sources if beside_sources.is_file() else Path(str(resources.files("fraud") / "rules/default.yaml"))


class BacktestSettings(ServiceSettings):
    """What `backtest` takes from the environment: it needs no database."""

    kafka_bootstrap_servers: str = Field(default="127.0.0.1:19092", description="The brokers, `host:port,…`.")
    fraud_events_topic: str = Field(default="wallet.events", description="The topic that is judged.")
    fraud_time_compression: int = Field(
        default=1,
        ge=1,
        le=1_000_000,
        description="Divides every window and cool-down of the rules: a demonstration plays a day in minutes.",
    )


class FraudSettings(BacktestSettings):
    """What the service's processes take from the environment, besides what every process takes."""

    fraud_database_url: str = Field(repr=False, description="Where the app role reaches the database.")
    fraud_decisions_topic: str = Field(default="fraud.decisions", description="The topic that decisions go to.")
    fraud_api_port: int = Field(default=8131, ge=0, le=65_535, description="The port of the API.")
    fraud_projector_port: int = Field(
        default=8132, ge=0, le=65_535, description="The port of the projector's health and metrics."
    )
    fraud_relay_port: int = Field(
        default=8133, ge=0, le=65_535, description="The port of the relay's health and metrics."
    )
    fraud_read_connections: int = Field(default=8, ge=1, le=200, description="Connections of one API process.")
    fraud_records_per_poll: int = Field(
        default=5_000, ge=1, le=20_000, description="Records that the projector applies in one transaction at most."
    )
    fraud_relay_lease_s: float = Field(
        default=10.0, ge=1, le=300, description="How long the relay owns a shard without renewing."
    )
    fraud_schema_url: str = Field(
        default="http://127.0.0.1:8131/schemas/",
        description="The URL below which subscribers find each event type's JSON Schema (`ce_dataschema`).",
    )
    fraud_rules_file: Path | None = Field(
        default=None,
        description="The rule file; it is read again when it changes. Unset: the rules that come with the service.",
    )
    fraud_live_for_s: int = Field(
        default=3_600,
        ge=60,
        le=MILLENNIUM_S,
        description="Decisions at events older than this many seconds are made in shadow: none is acted on.",
    )
    fraud_shadow: bool = Field(
        default=False, description="Put every rule in shadow: decisions are made and published, none is acted on."
    )


class FraudOwnerSettings(ServiceSettings):
    """What `migrate` takes from the environment."""

    fraud_owner_database_url: str = Field(repr=False, description="Where the owner role migrates the database.")
    fraud_app_role: str = Field(default="fraud_app", description="The role the service's processes use.")

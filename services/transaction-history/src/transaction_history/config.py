"""The service's settings: all of its environment."""

from pydantic import Field

from servicekit.settings import ServiceSettings


class HistorySettings(ServiceSettings):
    """What the service's processes take from the environment, besides what every process takes."""

    transaction_history_database_url: str = Field(repr=False, description="Where the app role reaches the database.")
    kafka_bootstrap_servers: str = Field(default="127.0.0.1:19092", description="The brokers, `host:port,…`.")
    transaction_history_topic: str = Field(default="wallet.events", description="The topic that is projected.")
    transaction_history_api_port: int = Field(default=8111, ge=0, le=65_535, description="The port of the API.")
    transaction_history_projector_port: int = Field(
        default=8112, ge=0, le=65_535, description="The port of the projector's health and metrics."
    )
    transaction_history_read_connections: int = Field(
        default=8, ge=1, le=200, description="Connections of one API process."
    )
    transaction_history_records_per_poll: int = Field(
        default=5_000, ge=1, le=20_000, description="Records that the projector applies in one transaction at most."
    )


class HistoryOwnerSettings(ServiceSettings):
    """What `migrate` and `projections rebuild` take from the environment."""

    transaction_history_owner_database_url: str = Field(
        repr=False, description="Where the owner role migrates the database."
    )
    transaction_history_app_role: str = Field(
        default="transaction_history_app", description="The role the service's processes use."
    )

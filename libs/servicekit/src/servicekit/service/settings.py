"""The settings that services share, declared once; each service gives them a name of its own, and its default."""

from typing import Annotated

from pydantic import Field

PortNumber = Annotated[int, Field(ge=0, le=65_535)]
ApiPort = Annotated[PortNumber, Field(description="The port of the API.")]
ProjectorPort = Annotated[PortNumber, Field(description="The port of the projector's health and metrics.")]
RelayPort = Annotated[PortNumber, Field(description="The port of the relay's health and metrics.")]
RecordsPerPoll = Annotated[
    int, Field(ge=1, le=20_000, description="Records that the projector applies in one transaction at most.")
]
ReadConnections = Annotated[int, Field(ge=1, le=200, description="Connections of one API process.")]
ReaderDatabaseUrl = Annotated[
    str | None,
    Field(
        repr=False,
        description="Where the API reads, as the reader role, which sees one tenant at a time: the API does not start "
        "without it, no other process needs it. A pooler between must not be in transaction mode.",
    ),
]
SchemaUrl = Annotated[
    str, Field(description="The URL below which subscribers find each event type's JSON Schema (`ce_dataschema`).")
]
RelayLease = Annotated[float, Field(gt=0, description="How long a relay owns a shard without renewing, in seconds.")]
WatermarksTopic = Annotated[
    str, Field(description="The topic that tells up to when `wallet.events` is complete; brokers need not have it.")
]


class SettingsError(Exception):
    """A setting that this process cannot do without is missing."""


def required_by_api(address: str | None, setting: str) -> str:
    """Return *address*; raises SettingsError, which names *setting*, where there is none."""
    if not address:
        raise SettingsError(f"{setting} is not set: the API reads as a role of its own")
    return address

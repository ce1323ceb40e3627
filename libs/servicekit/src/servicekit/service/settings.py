"""The settings that services share, declared once; each service gives them a name of its own, and its default."""

from typing import Annotated, Final

from pydantic import Field

BOOTSTRAP_SERVERS: Final = "127.0.0.1:19092"

BootstrapServers = Annotated[str, Field(description="The brokers, `host:port,…`.")]
PortNumber = Annotated[int, Field(ge=0, le=65_535)]
ApiPort = Annotated[PortNumber, Field(description="The port of the API.")]
ProjectorPort = Annotated[PortNumber, Field(description="The port of the projector's health and metrics.")]
RelayPort = Annotated[PortNumber, Field(description="The port of the relay's health and metrics.")]
RecordsPerPoll = Annotated[
    int, Field(ge=1, le=20_000, description="Records that the projector applies in one transaction at most.")
]
ReadConnections = Annotated[int, Field(ge=1, le=200, description="Connections of one API process.")]
SchemaUrl = Annotated[
    str, Field(description="The URL below which subscribers find each event type's JSON Schema (`ce_dataschema`).")
]
RelayLease = Annotated[float, Field(gt=0, description="How long a relay owns a shard without renewing, in seconds.")]

"""Telemetry: logs, metrics and traces of one process, opened together in its bootstrap."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from opentelemetry.trace import SpanKind
from prometheus_client import CollectorRegistry

from servicekit.dependencies import Dependencies
from servicekit.health import Check, HealthCheck
from servicekit.settings import ServiceSettings
from servicekit.telemetry.attributes import DEPLOYMENT_ENVIRONMENT_NAME, SERVICE_INSTANCE_ID, SERVICE_VERSION
from servicekit.telemetry.exporting import span_processor
from servicekit.telemetry.logs import configure_logs, get_logger
from servicekit.telemetry.metrics import LATENCY_BUCKETS_S, Pools, open_registry
from servicekit.telemetry.tracing import (
    Tracing,
    current_traceparent,
    mark_failed,
    parse_traceparent,
    traceparent_of,
    unsampled,
)

__all__ = [
    "LATENCY_BUCKETS_S",
    "Pools",
    "SpanKind",
    "Telemetry",
    "Tracing",
    "current_traceparent",
    "get_logger",
    "mark_failed",
    "open_telemetry",
    "parse_traceparent",
    "traceparent_of",
    "unsampled",
]


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What a process reports through: pass it to whatever counts or traces.

    *checks* are what its parts have to say at `/health/deep`.
    """

    service: str
    process: str
    version: str
    registry: CollectorRegistry
    tracing: Tracing
    pools: Pools = field(init=False)
    dependencies: Dependencies = field(init=False)
    checks: list[HealthCheck] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Register what every process shows."""
        object.__setattr__(self, "pools", Pools(self.registry))
        object.__setattr__(self, "dependencies", Dependencies(self.registry))

    async def checked(self) -> Mapping[str, Check]:
        """Return, for a deep look, what the process's parts have to say of themselves."""
        told: dict[str, Check] = {}
        for check in self.checks:
            told.update(await check())
        return told

    def close(self) -> None:
        """Hand on the spans that are still held back."""
        self.tracing.close()


def open_telemetry(settings: ServiceSettings, *, service: str, process: str, version: str) -> Telemetry:
    """Configure the process's logs and return its registry and tracing; the caller closes it last."""
    configure_logs(service, process, settings.log_level)
    version = f"{version}+{settings.release}" if settings.release else version
    tracing = Tracing(
        service,
        settings.trace_sample_ratio,
        span_processor(settings),
        client_traces_per_s=settings.client_traces_per_s,
        resource={
            SERVICE_VERSION: version,
            # A container, or a pod, is found by its host's name; a process on a machine by its id.
            SERVICE_INSTANCE_ID: f"{socket.gethostname()}:{os.getpid()}",
            DEPLOYMENT_ENVIRONMENT_NAME: settings.mode.value,
        },
    )
    return Telemetry(service, process, version, open_registry(service, process, version), tracing)

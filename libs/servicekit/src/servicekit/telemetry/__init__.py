"""Telemetry: logs, metrics and traces of one process, opened together in its bootstrap."""

from dataclasses import dataclass

from opentelemetry.trace import SpanKind
from prometheus_client import CollectorRegistry

from servicekit.settings import ServiceSettings
from servicekit.telemetry.exporting import span_processor
from servicekit.telemetry.logs import configure_logs, get_logger
from servicekit.telemetry.metrics import LATENCY_BUCKETS_S, PoolCollector, open_registry
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
    "PoolCollector",
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
    """What a process reports through: pass it to whatever counts or traces."""

    service: str
    process: str
    version: str
    registry: CollectorRegistry
    tracing: Tracing

    def close(self) -> None:
        """Hand on the spans that are still held back."""
        self.tracing.close()


def open_telemetry(settings: ServiceSettings, *, service: str, process: str, version: str) -> Telemetry:
    """Configure the process's logs and return its registry and tracing; the caller closes it last."""
    configure_logs(service, process, settings.log_level)
    tracing = Tracing(
        service,
        settings.trace_sample_ratio,
        span_processor(settings),
        client_traces_per_s=settings.client_traces_per_s,
    )
    return Telemetry(service, process, version, open_registry(service, process, version), tracing)

"""Where spans go: an OTLP endpoint when one is set, else a bounded file of JSON lines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from servicekit.settings import ServiceSettings

FILE_BYTES_MAX: Final = 64 * 1024 * 1024
"""A traces file beyond this is moved to `<name>.1`, replacing the one before: two of them are the bound."""


class JsonLinesExporter(SpanExporter):
    """Appends spans to *path*, one JSON object per line. Several processes may share the file."""

    def __init__(self, path: Path, bytes_max: int = FILE_BYTES_MAX) -> None:
        self._path = path
        self._bytes_max = bytes_max

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append *spans* in one write; a full disk loses spans, never a request."""
        lines = b"".join(msgspec.json.encode(_line(span)) + b"\n" for span in spans)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._rotate()
            with self._path.open("ab", buffering=0) as file:
                file.write(lines)
        except OSError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def _rotate(self) -> None:
        if self._path.exists() and self._path.stat().st_size >= self._bytes_max:
            self._path.replace(self._path.with_name(self._path.name + ".1"))


def span_processor(settings: ServiceSettings) -> SpanProcessor:
    """Return the processor that the settings ask for; it works in a thread of its own, with a bounded queue."""
    if settings.otel_exporter_otlp_endpoint is not None:
        endpoint = settings.otel_exporter_otlp_endpoint.rstrip("/") + "/v1/traces"
        return BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=5))
    return BatchSpanProcessor(JsonLinesExporter(settings.traces_file), schedule_delay_millis=500)


def _line(span: ReadableSpan) -> dict[str, object]:
    assert span.context is not None
    assert span.start_time is not None
    assert span.end_time is not None
    return {
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
        "parent_span_id": f"{span.parent.span_id:016x}" if span.parent is not None else None,
        "service": span.resource.attributes.get("service.name"),
        "name": span.name,
        "kind": span.kind.name,
        "start_unix_ns": span.start_time,
        "duration_ns": span.end_time - span.start_time,
        "status": span.status.status_code.name,
        "attributes": dict(span.attributes or {}),
        "events": [{"name": event.name, "attributes": dict(event.attributes or {})} for event in span.events],
        "links": [f"{link.context.trace_id:032x}-{link.context.span_id:016x}" for link in span.links],
    }

"""Traces: contexts are parsed strictly, handed on only when sampled, and written as bounded JSON lines."""

import json
import threading
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from servicekit.settings import ServiceSettings
from servicekit.telemetry import Tracing, current_traceparent, parse_traceparent
from servicekit.telemetry.exporting import JsonLinesExporter, span_processor

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        SAMPLED.upper(),
        SAMPLED + "-00",
        f"ff-{TRACE_ID}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
    ],
)
def test_a_malformed_context_is_ignored(text: str) -> None:
    assert parse_traceparent(text) is None


def test_a_sampled_trace_goes_on_from_process_to_process(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "traces.jsonl"
    tracing = Tracing("probe", 0.0, SimpleSpanProcessor(JsonLinesExporter(path)))

    with tracing.start_span_from(SAMPLED, "consume", SpanKind.CONSUMER, {"shard": 3}) as span:
        handed_on = current_traceparent()

    assert span is not None
    assert handed_on is not None
    assert handed_on.split("-")[1] == TRACE_ID
    line = json.loads(path.read_text())
    assert (line["trace_id"], line["parent_span_id"]) == (TRACE_ID, "b7ad6b7169203331")
    assert (line["service"], line["name"], line["kind"], line["attributes"]) == (
        "probe",
        "consume",
        "CONSUMER",
        {"shard": 3},
    )
    tracing.close()


class _AwayCollector(SpanProcessor):
    """Hands nothing on before somebody answers, as one does whose collector is away."""

    def __init__(self) -> None:
        self.answered = threading.Event()

    def shutdown(self) -> None:
        self.answered.wait()


def test_a_collector_that_is_away_holds_no_process_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servicekit.telemetry.tracing.CLOSE_S", 0.01)
    processor = _AwayCollector()

    Tracing("probe", 1.0, processor).close()

    assert not processor.answered.is_set()
    processor.answered.set()


@pytest.mark.parametrize("traceparent", [None, SAMPLED[:-1] + "0", "nonsense"])
def test_an_unsampled_trace_is_never_started(tmp_path: Path, traceparent: str | None) -> None:
    tracing = Tracing("probe", 0.0, SimpleSpanProcessor(JsonLinesExporter(tmp_path / "traces.jsonl")))

    with tracing.start_span_from(traceparent, "consume", SpanKind.CONSUMER) as span:
        assert span is None
        assert current_traceparent() is None

    assert not (tmp_path / "traces.jsonl").exists()
    tracing.close()


def test_a_process_describes_itself_and_its_operator_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging,cloud.region=eu-1")
    exporter = InMemorySpanExporter()
    resource = {"service.version": "1.2", "service.instance.id": "a:1", "deployment.environment.name": "development"}
    tracing = Tracing("probe", 1.0, SimpleSpanProcessor(exporter), resource=resource)

    with tracing.span(None, "work", SpanKind.INTERNAL):
        pass
    tracing.close()

    (span,) = exporter.get_finished_spans()
    described = {name: value for name, value in span.resource.attributes.items() if not name.startswith("telemetry.")}
    assert described == {
        "cloud.region": "eu-1",
        "deployment.environment.name": "staging",
        "service.instance.id": "a:1",
        "service.name": "probe",
        "service.version": "1.2",
    }


def test_an_error_turns_its_span_red_and_keeps_its_text_to_itself() -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing("probe", 1.0, SimpleSpanProcessor(exporter))

    with pytest.raises(ValueError, match="alice"), tracing.span(None, "work", SpanKind.INTERNAL):
        raise ValueError("alice has 4.00 USD")
    tracing.close()

    (span,) = exporter.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes == {"error.type": "ValueError"}
    assert "alice" not in span.to_json()


def test_the_file_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    tracing = Tracing("probe", 1.0, SimpleSpanProcessor(JsonLinesExporter(path, bytes_max=1)))

    for _ in range(3):
        with tracing.span(None, "work", SpanKind.INTERNAL):
            pass

    assert len(path.read_text().splitlines()) == 1
    assert len(path.with_name("traces.jsonl.1").read_text().splitlines()) == 1
    tracing.close()


def test_a_disk_that_refuses_loses_spans_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    tracing = Tracing("probe", 1.0, SimpleSpanProcessor(JsonLinesExporter(tmp_path / "file" / "traces.jsonl")))

    with tracing.span(None, "work", SpanKind.INTERNAL):
        pass

    tracing.close()


def test_spans_are_written_by_the_time_tracing_is_closed(tmp_path: Path) -> None:
    settings = ServiceSettings(traces_file=tmp_path / "traces.jsonl")
    tracing = Tracing("probe", 1.0, span_processor(settings))

    with tracing.span(None, "work", SpanKind.INTERNAL):
        pass
    tracing.close()

    assert json.loads(settings.traces_file.read_text())["name"] == "work"

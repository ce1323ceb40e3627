"""Traces: a span where a request is sampled, nothing at all where it is not.

The decision comes first and costs one comparison: a caller's sampled `traceparent` is followed, an unsampled one is
respected, and without one a share of the requests is chosen. What a client wishes to have sampled is granted within a
bound: beyond it the trace goes on unsampled, under the same ids. An expected refusal never turns a span red.
"""

import random
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue

from servicekit.clock import unix_s
from servicekit.telemetry.attributes import ERROR_TYPE, SERVICE_NAME

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_NS_PER_S: Final = 1_000_000_000

CLIENT_TRACES_PER_S: Final = 50
CLOSE_S: Final = 2.0
"""A collector that is away must not have a process killed that was asked to end."""


def parse_traceparent(text: str) -> SpanContext | None:
    """Return the context that a W3C `traceparent` names, or None if it is malformed."""
    match = _TRACEPARENT.fullmatch(text)
    if match is None or match[1] == _NO_TRACE or match[2] == _NO_SPAN or text.startswith("ff"):
        return None
    flags = TraceFlags(int(match[3], 16) & TraceFlags.SAMPLED)
    return SpanContext(int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=flags)


def traceparent_of(span: Span) -> str | None:
    """Return the `traceparent` that hands *span* on, or None if it is not sampled."""
    context = span.get_span_context()
    if not context.is_valid or not context.trace_flags.sampled:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


def unsampled(traceparent: str | None) -> str | None:
    """Return *traceparent* with its ids and without the wish to be sampled, None if it names no trace."""
    context = None if traceparent is None else parse_traceparent(traceparent)
    return None if context is None else f"00-{context.trace_id:032x}-{context.span_id:016x}-00"


def current_traceparent() -> str | None:
    """Return the `traceparent` of the span in force, or None if nothing is sampled here."""
    return traceparent_of(trace.get_current_span())


class Tracing:
    """Makes spans and hands them to *processors*; without any it never samples. The process's bootstrap holds one."""

    def __init__(
        self,
        service: str,
        ratio: float,
        *processors: SpanProcessor,
        client_traces_per_s: int = CLIENT_TRACES_PER_S,
        resource: Mapping[str, AttributeValue] = MappingProxyType({}),
    ) -> None:
        """Make spans of *service*, described by *resource* and by what the operator's environment says of it.

        `OTEL_RESOURCE_ATTRIBUTES` has the last word.
        """
        described = Resource.create({SERVICE_NAME: service, **resource}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=described, shutdown_on_exit=False)
        for processor in processors:
            self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("servicekit")
        self._ratio = ratio if processors else 0.0
        self._records = bool(processors)
        self._client_traces_per_s = client_traces_per_s
        self._second = 0
        self._granted = 0

    def is_sampled(self, traceparent: str | None) -> bool:
        """Return whether a span is to be made for work that came with *traceparent*."""
        if traceparent is None:
            return self._ratio > 0.0 and random.random() < self._ratio  # noqa: S311  a sample is no secret
        if not self._records:
            return False
        parent = parse_traceparent(traceparent)
        return parent.trace_flags.sampled if parent is not None else self.is_sampled(None)

    def is_granted(self, traceparent: str | None, now_s: float) -> bool:
        """Return whether sampled work of a client's is traced at *now_s* (monotonic), within the bound a second.

        A trace of our own choice always is.
        """
        if traceparent is None or parse_traceparent(traceparent) is None:
            return True
        if int(now_s) != self._second:
            self._second, self._granted = int(now_s), 0
        self._granted += 1
        return self._granted <= self._client_traces_per_s

    @contextmanager
    def span(
        self,
        traceparent: str | None,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, AttributeValue] | None = None,
    ) -> Iterator[Span]:
        """Make a span for the body, child of *traceparent* where given, and put it in force.

        An exception that leaves the body turns the span red; call `is_sampled` first.
        """
        context = _context_of(traceparent)
        # The error's text may quote rows: it stays in the log, where what is private is cut off.
        with self._tracer.start_as_current_span(
            name, context, kind, attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except Exception as error:
                mark_failed(span, type(error).__name__)
                raise

    @contextmanager
    def start_span_from(
        self,
        traceparent: str | None,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, AttributeValue] | None = None,
    ) -> Iterator[Span | None]:
        """Continue the sampled trace of *traceparent* for the body, or run it without a span: never starts a trace."""
        if traceparent is None or not self.is_sampled(traceparent):
            yield None
            return
        with self.span(traceparent, name, kind, attributes) as span:
            yield span

    def record(
        self, traceparent: str, name: str, kind: SpanKind, attributes: Mapping[str, AttributeValue], *, seconds: float
    ) -> None:
        """Make a span, where the trace of *traceparent* is sampled, of what ended just now and took *seconds*."""
        if self.is_sampled(traceparent):
            begun_ns = int((unix_s() - seconds) * _NS_PER_S)
            self._tracer.start_span(name, _context_of(traceparent), kind, attributes, start_time=begun_ns).end()

    def close(self) -> None:
        """Hand on what is still held back; what nobody has taken within CLOSE_S is lost, and holds nobody up."""
        closing = threading.Thread(target=self._provider.shutdown, name="tracing-close", daemon=True)
        closing.start()
        closing.join(CLOSE_S)


def _context_of(traceparent: str | None) -> Context | None:
    parent = parse_traceparent(traceparent) if traceparent is not None else None
    return trace.set_span_in_context(NonRecordingSpan(parent)) if parent is not None else None


def trace_id_of(traceparent: str) -> str:
    """Return the trace's id of a valid *traceparent*, in hexadecimal."""
    return traceparent.split("-")[1]


def mark_failed(span: Span, error_type: str) -> None:
    """Turn *span* red for an unexpected failure; *error_type*, its class or its status, is of a closed set."""
    span.set_attribute(ERROR_TYPE, error_type)
    span.set_status(Status(StatusCode.ERROR))

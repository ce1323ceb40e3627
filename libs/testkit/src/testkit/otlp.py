"""Spans as a collector gets them: OTLP over HTTP, decoded."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from testkit.receiver import Post

Value = str | bool | int | float
TRACES: Final = "/v1/traces"
"""Where spans are sent, behind the collector's address."""


@dataclass(frozen=True, slots=True)
class Exported:
    """One span, its ids in hexadecimal, *parent_span_id* empty where it has none; *kind* is `SERVER` and its like."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: str
    attributes: Mapping[str, Value]
    resource: Mapping[str, Value]

    @property
    def service(self) -> Value:
        """The name of the service that made it."""
        return self.resource["service.name"]


def spans_of(posts: Iterable[Post]) -> Iterator[Exported]:
    """Yield the spans in what was posted to a collector; raises DecodeError for what is none of OTLP's."""
    for post in posts:
        assert (post.path, post.headers["content-type"]) == (TRACES, "application/x-protobuf")
        for process in ExportTraceServiceRequest.FromString(post.body).resource_spans:
            resource = _values(process.resource.attributes)
            for scope in process.scope_spans:
                yield from (_exported(span, resource) for span in scope.spans)


def _exported(span: Span, resource: Mapping[str, Value]) -> Exported:
    return Exported(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        attributes=_values(span.attributes),
        resource=resource,
    )


def _values(attributes: Iterable[KeyValue]) -> Mapping[str, Value]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: AnyValue) -> Value:
    told: Value = getattr(value, value.WhichOneof("value") or "string_value")
    return told

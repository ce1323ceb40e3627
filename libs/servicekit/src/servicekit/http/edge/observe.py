"""What every request leaves behind: a metric always, a line and a span where somebody will look."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from opentelemetry.trace import Span, SpanKind
from prometheus_client import CollectorRegistry, Histogram

from servicekit.clock import monotonic_s
from servicekit.settings import AccessLog
from servicekit.telemetry import LATENCY_BUCKETS_S, Telemetry, get_logger, mark_failed, traceparent_of, unsampled

SLOW_S: Final = 1.0
"""A request slower than this is worth a line."""
UNMATCHED: Final = "unmatched"
"""The route of a request that no route takes: a path of the client's choice is no label."""
LINES_PER_S_MAX: Final = 50
"""Under overload the metric counts what no longer gets a line: writing would cost more than refusing."""
_STATUS_FAILED: Final = 500


class RouteSeries:
    """The figures of one method and route: a child per status, looked up without a lock."""

    def __init__(self, histogram: Histogram, method: str, route: str) -> None:
        self.method = method
        self.route = route
        self._histogram = histogram
        self._children: dict[int, Histogram] = {}

    def count(self, status: int, duration_s: float) -> None:
        """Count one answer."""
        child = self._children.get(status)
        if child is None:
            child = self._histogram.labels(self.method, self.route, str(status))
            self._children[status] = child
        child.observe(duration_s)


class Observer:
    """Counts, traces and logs the requests of one application."""

    def __init__(self, telemetry: Telemetry, access_log: AccessLog) -> None:
        self.tracing = telemetry.tracing
        self._histogram = request_histogram(telemetry.registry)
        self._all = access_log is AccessLog.ALL
        self._series: dict[tuple[str, str], RouteSeries] = {}
        self._second = 0
        self._lines = 0

    def series(self, method: str, route: str) -> RouteSeries:
        """Return the figures of *route*, whose number is bounded by the application's routes."""
        series = self._series.get((method, route))
        if series is None:
            series = self._series[method, route] = RouteSeries(self._histogram, method, route)
        return series

    def finish(
        self,
        series: RouteSeries,
        status: int,
        started_s: float,
        request_id: bytes,
        *,
        path: str,
        span: Span | None,
        error: BaseException | None,
    ) -> None:
        """Count the answer; write its canonical line where it failed, was slow or is traced (or all lines are wanted).

        *error* is what made it fail, and is logged here, once: a bug with its traceback, always.
        """
        duration_s = monotonic_s() - started_s
        series.count(status, duration_s)
        if span is not None:
            _close_span(span, status, request_id)
        if status < _STATUS_FAILED and duration_s < SLOW_S and span is None and not self._all:
            return
        if status != _STATUS_FAILED and not self._all and not self._may_write(started_s + duration_s):
            return
        fields: dict[str, object] = {
            "method": series.method,
            "route": series.route,
            "path": path,
            "status": status,
            "duration_ms": round(duration_s * 1000, 3),
            "request_id": request_id.decode("ascii"),
        }
        if status == _STATUS_FAILED:
            fields["exc_info"] = error
        elif status > _STATUS_FAILED and error is not None:
            fields["error"] = f"{type(error).__name__}: {error}"
        log = get_logger()
        (log.error if status >= _STATUS_FAILED else log.info)("http.request", **fields)

    def _may_write(self, now_s: float) -> bool:
        """Tell whether this second still has a line to spare."""
        if int(now_s) != self._second:
            self._second, self._lines = int(now_s), 0
        self._lines += 1
        return self._lines <= LINES_PER_S_MAX

    def traced(
        self, traceparent: str | None, method: str, route: str, path: str, now_s: float
    ) -> AbstractContextManager[tuple[Span | None, str | None]]:
        """Make the server span of a sampled request where its client's wish is granted, as `span` does.

        Where it is not granted there is no span, and what is handed on is unsampled.
        """
        if self.tracing.is_granted(traceparent, now_s):
            return self.span(traceparent, method, route, path)
        return nullcontext((None, unsampled(traceparent)))

    @contextmanager
    def span(self, traceparent: str | None, method: str, route: str, path: str) -> Iterator[tuple[Span, str | None]]:
        """Make the server span of a sampled request; yield it and the `traceparent` to hand on."""
        attributes = {"http.request.method": method, "http.route": route, "url.path": path}
        with self.tracing.span(traceparent, f"{method} {route}", SpanKind.SERVER, attributes) as span:
            yield span, traceparent_of(span)


def request_histogram(registry: CollectorRegistry) -> Histogram:
    """Register and return the histogram of every request; its `_count` is the number of requests by status."""
    return Histogram(
        "http_request_duration_seconds",
        "Time from a request's headers to its answer.",
        ["method", "route", "status"],
        buckets=LATENCY_BUCKETS_S,
        registry=registry,
    )


def traceparent_in(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the caller's `traceparent` header as text, or None."""
    raw = headers.get(b"traceparent")
    return None if raw is None else raw.decode("ascii", "replace")


def _close_span(span: Span, status: int, request_id: bytes) -> None:
    span.set_attribute("http.response.status_code", status)
    span.set_attribute("request.id", request_id.decode("ascii"))
    if status >= _STATUS_FAILED:
        mark_failed(span, f"answered {status}")

"""What every request leaves behind: a metric always, a line and a span where somebody will look."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final
from urllib.parse import quote

import msgspec
from opentelemetry.trace import Span, SpanKind, format_trace_id
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from contracts.problems import PROBLEM_CODES
from servicekit.clock import monotonic_s
from servicekit.http.edge.matching import PARAMETER
from servicekit.settings import AccessLog
from servicekit.telemetry import LATENCY_BUCKETS_S, Telemetry, get_logger, mark_failed, traceparent_of, unsampled
from servicekit.telemetry.attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
    METHOD_OTHER,
    REQUEST_ID,
    URL_PATH,
    URL_SCHEME,
)

SLOW_S: Final = 1.0
"""A request slower than this is worth a line."""
UNMATCHED: Final = "unmatched"
"""The route of a request that no route takes: a path of the client's choice is no label."""
LINES_PER_S_MAX: Final = 50
"""Under overload the metric counts what no longer gets a line: writing would cost more than refusing."""
OTHER: Final = "OTHER"
METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", OTHER)
STATUSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")
_STATUS_FAILED: Final = 500
_OWNER: Final = "owner_id"
"""The one id that is a client's, and may name a person."""


class RequestMetrics:
    """The families of every request.

    `status` is the class of the status (`2xx`): a histogram per route and exact status would be thousands of series,
    and what was wrong is told exactly by the codes of problems.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.durations = Histogram(
            "http_request_duration_seconds",
            "Time from a request's headers to its answer.",
            ["method", "route", "status"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.problems = Counter(
            "http_problems_total",
            "Requests answered with a problem document, by its code.",
            ["route", "code"],
            registry=registry,
        )
        self.in_flight = Gauge("http_requests_in_flight", "Requests that are not answered yet.", registry=registry)


class RouteSeries:
    """The figures of one method and route: a child per class of status, looked up without a lock."""

    def __init__(self, metrics: RequestMetrics, method: str, route: str) -> None:
        self.method = method
        self.route = route
        self._metrics = metrics
        self._children: dict[int, Histogram] = {}
        self._problems: dict[str, Counter] = {}

    def count(self, status: int, duration_s: float, trace_id: str | None) -> None:
        """Count one answer, with the trace it can be looked up by."""
        number = status // 100
        child = self._children.get(number)
        if child is None:
            child = self._metrics.durations.labels(self.method, self.route, f"{number}xx")
            self._children[number] = child
        child.observe(duration_s, None if trace_id is None else {"trace_id": trace_id})

    def count_problem(self, code: str) -> None:
        """Count one answer that was a problem document."""
        child = self._problems.get(code)
        if child is None:
            child = self._problems[code] = self._metrics.problems.labels(self.route, code)
        child.inc()


class Observer:
    """Counts, traces and logs the requests of one application."""

    def __init__(self, telemetry: Telemetry, access_log: AccessLog) -> None:
        self.tracing = telemetry.tracing
        self.in_flight = 0
        self._metrics = RequestMetrics(telemetry.registry)
        self._metrics.in_flight.set_function(lambda: self.in_flight)
        self._all = access_log is AccessLog.ALL
        self._series: dict[tuple[str, str], RouteSeries] = {}
        self._second = 0
        self._lines = 0

    def series(self, method: str, route: str) -> RouteSeries:
        """Return the figures of *route*, whose number is bounded by the application's routes."""
        series = self._series.get((method, route))
        if series is None:
            series = self._series[method, route] = RouteSeries(self._metrics, method, route)
        return series

    def finish(
        self,
        series: RouteSeries,
        status: int,
        started_s: float,
        request_id: bytes,
        *,
        path_params: Mapping[str, object],
        span: Span | None,
        error: BaseException | None,
        problem: str | None,
    ) -> None:
        """Count the answer; write its canonical line where it failed, was slow or is traced (or all lines are wanted).

        *path_params* is the text of the parameters in the route. *problem* is the code of the problem document that it
        was. *error* is what made it fail, and is logged here, once: a bug with its traceback, always.
        """
        duration_s = monotonic_s() - started_s
        series.count(status, duration_s, None if span is None else _trace_id(span))
        if problem is not None:
            series.count_problem(problem)
        if span is not None:
            _close_span(span, series, path_params, status, request_id)
        if status < _STATUS_FAILED and duration_s < SLOW_S and span is None and not self._all:
            return
        if status != _STATUS_FAILED and not self._all and not self._may_write(started_s + duration_s):
            return
        fields: dict[str, object] = {
            "method": series.method,
            "route": series.route,
            "path": told_path(series.route, path_params),
            "status": status,
            "duration_ms": round(duration_s * 1000, 3),
            "request_id": request_id.decode("ascii"),
        }
        if status == _STATUS_FAILED:
            get_logger().error("http.request", exc_info=error, **fields)
        elif status > _STATUS_FAILED:
            get_logger().warning("http.request", error=None if error is None else _told(error), **fields)
        else:
            get_logger().info("http.request", **fields)

    def _may_write(self, now_s: float) -> bool:
        """Tell whether this second still has a line to spare."""
        if int(now_s) != self._second:
            self._second, self._lines = int(now_s), 0
        self._lines += 1
        return self._lines <= LINES_PER_S_MAX

    def traced(
        self, traceparent: str | None, method: str, scheme: str, now_s: float
    ) -> AbstractContextManager[tuple[Span | None, str | None]]:
        """Make the server span of a sampled request where its client's wish is granted, as `span` does.

        Where it is not granted there is no span, and what is handed on is unsampled.
        """
        if self.tracing.is_granted(traceparent, now_s):
            return self.span(traceparent, method, scheme)
        return nullcontext((None, unsampled(traceparent)))

    @contextmanager
    def span(self, traceparent: str | None, method: str, scheme: str) -> Iterator[tuple[Span, str | None]]:
        """Make the server span of a sampled request; yield it and the `traceparent` to hand on.

        `finish` adds what is known in the end: its route among it.
        """
        attributes = {HTTP_REQUEST_METHOD: METHOD_OTHER if method == OTHER else method, URL_SCHEME: scheme}
        with self.tracing.span(traceparent, _span_name(method), SpanKind.SERVER, attributes) as span:
            yield span, traceparent_of(span)


def told_path(route: str, path_params: Mapping[str, object]) -> str | None:
    """Return the path of a request for *route* as logs and traces tell it; None where no route took it.

    What fills a parameter is told where it is an id of the platform's making. Anything else may be a credential, or
    name a person: `{token}` and `{owner_id}` are told as such.
    """
    if route == UNMATCHED:
        return None
    return PARAMETER.sub(
        lambda found: quote(str(path_params[found[1]]), safe="") if _is_told(found[1], path_params) else found[0], route
    )


def _is_told(name: str, path_params: Mapping[str, object]) -> bool:
    return name.endswith("_id") and name != _OWNER and name in path_params


def problem_in(body: bytes) -> str | None:
    """Return the code of the problem document that *body* is; None for anything else."""
    try:
        code = _code_in(body).code
    except msgspec.MsgspecError:
        return None
    return code if code in PROBLEM_CODES else None


def traceparent_in(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the caller's `traceparent` header as text, or None."""
    raw = headers.get(b"traceparent")
    return None if raw is None else raw.decode("ascii", "replace")


def _close_span(
    span: Span, series: RouteSeries, path_params: Mapping[str, object], status: int, request_id: bytes
) -> None:
    path = told_path(series.route, path_params)
    if path is not None:
        span.update_name(f"{_span_name(series.method)} {series.route}")
        span.set_attribute(HTTP_ROUTE, series.route)
        span.set_attribute(URL_PATH, path)
    span.set_attribute(HTTP_RESPONSE_STATUS_CODE, status)
    span.set_attribute(REQUEST_ID, request_id.decode("ascii"))
    if status >= _STATUS_FAILED:
        mark_failed(span, str(status))


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _span_name(method: str) -> str:
    return "HTTP" if method == OTHER else method


def _trace_id(span: Span) -> str:
    return format_trace_id(span.get_span_context().trace_id)


class _Coded(msgspec.Struct):
    code: str


_code_in: Final = msgspec.json.Decoder(_Coded).decode

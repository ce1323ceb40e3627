"""Command routes: ASGI endpoints on msgspec, with the request id, errors, metrics, limits and tracing of any route.

One costs a fraction of an ordinary route because its path is looked up in a dict, its body is decoded straight into a
struct, and nothing is built that is not sent: no contextvar, log line or span for a request that is not traced.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any, Final, Generic, TypeVar

import msgspec
from starlette.types import Receive, Scope, Send

from servicekit.access.admission import Admission, Allowance, Limited, RawHeaders
from servicekit.clock import monotonic_s
from servicekit.http.edge.admitting import Admitting
from servicekit.http.edge.body import ClientDisconnected, check_content_type, read_body
from servicekit.http.edge.context import check_head, dry_run_of, idempotency_key_of, request_id_of
from servicekit.http.edge.decoding import decode_body, refuse_body
from servicekit.http.edge.matching import RouteTable
from servicekit.http.edge.observe import Observer, problem_in, traceparent_in
from servicekit.http.edge.security import security_headers
from servicekit.http.problems import PROBLEM_TYPE, is_problem, problem_from
from servicekit.http.route import Engine, Route
from servicekit.principal import Principal

S = TypeVar("S")

_JSON_HEADER: Final = (b"content-type", b"application/json")
_PROBLEM_HEADER: Final = (b"content-type", PROBLEM_TYPE)


class CommandRequest(msgspec.Struct, Generic[S], frozen=True):
    """A command as its handler gets it. *path* is the request's, the `instance` of its problems."""

    body: S
    """None where the route takes none."""
    idempotency_key: str | None
    """None only where `dry_run` is true: a dry run needs no key."""
    dry_run: bool
    principal: Principal
    allowance: Allowance
    request_id: str
    traceparent: str | None
    """What to hand on: None unless the request is traced."""
    received_s: float
    """When the request came, on the monotonic clock: deadlines start here."""
    path: str
    path_params: Mapping[str, str]
    """The text of each `{…}` in the route's path."""


class CommandResponse(msgspec.Struct, frozen=True):
    """An answer whose bytes stand: a body of status 400 and above is a problem document."""

    status: int
    body: bytes
    headers: RawHeaders


class CommandEndpoint:
    """One command route at work."""

    def __init__(self, route: Route, observer: Observer, admitting: Admitting) -> None:
        self.route = route
        self._observer = observer
        self._series = observer.series(route.method, route.path)
        self._is_sampled = observer.tracing.is_sampled
        self._admitting = admitting
        self._decode = _decoding(route.request)

    async def __call__(self, scope: Scope, receive: Receive, send: Send, path_params: Mapping[str, str]) -> None:
        """Answer one request; every error becomes a problem document."""
        received_s = monotonic_s()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = request_id_of(headers.get(b"request-id"))
        traceparent = traceparent_in(headers)
        path: str = scope["path"]
        error: Exception | None = None
        told: RawHeaders = []
        scoped = (
            self._observer.traced(traceparent, self.route.method, scope["scheme"], received_s)
            if self._is_sampled(traceparent)
            else _UNTRACED
        )
        with scoped as (span, handed_on):
            try:
                check_head(scope, headers)
                admission = await self._admitting.admit(scope, headers, self.route.access)
                told = admission.headers
                request = await self._read(
                    scope,
                    receive,
                    headers,
                    admission,
                    request_id=request_id,
                    traceparent=handed_on,
                    received_s=received_s,
                    path_params=path_params,
                )
                response = await self.route.handler(request)
            except ClientDisconnected:
                return
            except Exception as caught:  # noqa: BLE001  the boundary: whatever it is, the client gets a document
                error = caught
                response = _refusal(caught, path)
                if isinstance(caught, Limited):
                    told = []  # the refusal tells of the limit itself
            await _send(send, response, request_id, security_headers(scope), told)
            self._observer.finish(
                self._series,
                response.status,
                received_s,
                request_id,
                path_params=path_params,
                span=span,
                error=error,
                problem=problem_in(response.body) if is_problem(response.status) else None,
            )

    async def _read(
        self,
        scope: Scope,
        receive: Receive,
        headers: dict[bytes, bytes],
        admission: Admission,
        *,
        request_id: bytes,
        traceparent: str | None,
        received_s: float,
        path_params: Mapping[str, str],
    ) -> CommandRequest[Any]:
        dry_run = dry_run_of(scope["query_string"])
        raw_key = headers.get(b"idempotency-key")
        key = None if dry_run and raw_key is None else idempotency_key_of(raw_key)
        body = await read_body(receive, self.route.body_max_bytes, headers.get(b"content-length"))
        if body:
            check_content_type(headers)
        return CommandRequest(
            self._decode(body),
            key,
            dry_run,
            admission.principal,
            admission.allowance,
            request_id.decode("ascii"),
            traceparent,
            received_s,
            scope["path"],
            path_params,
        )


CommandRoutes = RouteTable[CommandEndpoint]


def command_routes(routes: Iterable[Route], observer: Observer, admitting: Admitting) -> CommandRoutes:
    """Return the table of those of *routes* whose engine is that for commands."""
    return RouteTable(
        (route, CommandEndpoint(route, observer, admitting)) for route in routes if route.engine is Engine.COMMAND
    )


def _decoding(request: type[S] | None) -> Callable[[bytes], S | None]:
    return refuse_body if request is None else partial(decode_body, msgspec.json.Decoder(request))


_UNTRACED: Final[Any] = nullcontext((None, None))


def _refusal(error: Exception, path: str) -> CommandResponse:
    problem = problem_from(error)
    return CommandResponse(problem.code.status, problem.render(path), problem.headers)


async def _send(
    send: Send, response: CommandResponse, request_id: bytes, security: RawHeaders, told: RawHeaders
) -> None:
    headers = [
        _PROBLEM_HEADER if is_problem(response.status) else _JSON_HEADER,
        (b"content-length", b"%d" % len(response.body)),
        (b"request-id", request_id),
        *security,
        *told,
        *response.headers,
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})

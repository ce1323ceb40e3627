"""Hot routes: ASGI endpoints on msgspec, with the request id, errors, metrics, limits and tracing of any route.

A hot route costs a fraction of an ordinary one because its path is looked up in a dict, its body is decoded straight
into a struct, and nothing is built that is not sent: no contextvar, log line or span for a request that is not traced.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

import msgspec
from starlette.types import Receive, Scope, Send

from contracts.problems import ProblemCode
from servicekit.clock import monotonic_s
from servicekit.http.edge.body import BODY_BYTES_MAX, ClientDisconnected, check_content_type, read_body
from servicekit.http.edge.context import check_head, dry_run_of, idempotency_key_of, request_id_of
from servicekit.http.edge.decoding import decode_body
from servicekit.http.edge.observe import Observer, traceparent_in
from servicekit.http.openapi.answers import Link
from servicekit.http.problems import PROBLEM_TYPE, RawHeaders, is_problem, problem_from
from servicekit.principal import Principal, PrincipalOf

S = TypeVar("S")

_JSON_HEADER: Final = (b"content-type", b"application/json")
_PROBLEM_HEADER: Final = (b"content-type", PROBLEM_TYPE)


class HotRequest(msgspec.Struct, Generic[S], frozen=True):
    """A command as its handler gets it. *path* is the request's, the `instance` of its problems."""

    body: S
    idempotency_key: str | None
    """None only where `dry_run` is true: a dry run needs no key."""
    dry_run: bool
    principal: Principal
    request_id: str
    traceparent: str | None
    """What to hand on: None unless the request is traced."""
    received_s: float
    """When the request came, on the monotonic clock: deadlines start here."""
    path: str
    path_id: str | None
    """The id in the path of a route with a `{…}`, as written."""


class HotResponse(msgspec.Struct, frozen=True):
    """An answer whose bytes stand: a body of status 400 and above is a problem document."""

    status: int
    body: bytes
    headers: RawHeaders


@dataclass(frozen=True, slots=True, kw_only=True)
class HotRoute(Generic[S]):
    """A command's route: *path* is exact or has one `{id}`; *request* is its body, decoded as it stands.

    *response* and *problems* tell the OpenAPI document what is answered: the type with *status*, and refusals.
    """

    method: str = "POST"
    path: str
    request: type[S]
    handler: Callable[[HotRequest[S]], Awaitable[HotResponse]]
    operation_id: str
    summary: str
    description: str = ""
    tags: Sequence[str] = ()
    status: int = 201
    response: type[msgspec.Struct] | None = None
    problems: Sequence[ProblemCode] = ()
    body_max_bytes: int = BODY_BYTES_MAX
    response_headers: Mapping[str, str] = field(default_factory=dict)
    """Header name to its description, for the OpenAPI document."""
    links: Sequence[Link] = ()
    """Where its answer leads, for the OpenAPI document."""


class HotEndpoint:
    """One hot route at work."""

    def __init__(self, route: HotRoute[Any], observer: Observer, principal_of: PrincipalOf) -> None:
        self.route = route
        self._observer = observer
        self._series = observer.series(route.method, route.path)
        self._is_sampled = observer.tracing.is_sampled
        self._principal_of = principal_of
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(route.request)

    async def __call__(self, scope: Scope, receive: Receive, send: Send, path_id: str | None) -> None:
        """Answer one request; every error becomes a problem document."""
        received_s = monotonic_s()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = request_id_of(headers.get(b"request-id"))
        traceparent = traceparent_in(headers)
        path: str = scope["path"]
        error: Exception | None = None
        scoped = (
            self._observer.traced(traceparent, self.route.method, self.route.path, path, received_s)
            if self._is_sampled(traceparent)
            else _UNTRACED
        )
        with scoped as (span, handed_on):
            try:
                request = await self._read(
                    scope,
                    receive,
                    headers,
                    request_id=request_id,
                    traceparent=handed_on,
                    received_s=received_s,
                    path_id=path_id,
                )
                response = await self.route.handler(request)
            except ClientDisconnected:
                return
            except Exception as caught:  # noqa: BLE001  the boundary: whatever it is, the client gets a document
                error = caught
                response = _refusal(caught, path)
            await _send(send, response, request_id)
            self._observer.finish(
                self._series, response.status, received_s, request_id, path=path, span=span, error=error
            )

    async def _read(
        self,
        scope: Scope,
        receive: Receive,
        headers: dict[bytes, bytes],
        *,
        request_id: bytes,
        traceparent: str | None,
        received_s: float,
        path_id: str | None,
    ) -> HotRequest[Any]:
        check_head(scope, headers)
        principal = self._principal_of(scope["headers"])
        dry_run = dry_run_of(scope["query_string"])
        raw_key = headers.get(b"idempotency-key")
        key = None if dry_run and raw_key is None else idempotency_key_of(raw_key)
        body = await read_body(receive, self.route.body_max_bytes, headers.get(b"content-length"))
        if body:
            check_content_type(headers)
        return HotRequest(
            decode_body(self._decoder, body),
            key,
            dry_run,
            principal,
            request_id.decode("ascii"),
            traceparent,
            received_s,
            scope["path"],
            path_id,
        )


class HotRoutes:
    """Finds the endpoint of a request: exact paths by one look-up, those with an id by their pattern."""

    def __init__(self, endpoints: Sequence[HotEndpoint]) -> None:
        self._exact: dict[tuple[str, str], HotEndpoint] = {}
        self._patterns: list[tuple[str, re.Pattern[str], HotEndpoint]] = []
        for endpoint in endpoints:
            route = endpoint.route
            if "{" in route.path:
                pattern = re.compile(re.sub(r"\\\{\w+\\\}", "([^/]+)", re.escape(route.path)))
                self._patterns.append((route.method, pattern, endpoint))
            else:
                assert (route.method, route.path) not in self._exact, route.path
                self._exact[route.method, route.path] = endpoint

    def find(self, method: str, path: str) -> tuple[HotEndpoint, str | None] | None:
        """Return the endpoint that takes *method* and *path* with the id in the path, or None."""
        endpoint = self._exact.get((method, path))
        if endpoint is not None:
            return endpoint, None
        for wanted, pattern, candidate in self._patterns:
            if wanted == method and (match := pattern.fullmatch(path)) is not None:
                return candidate, match[1]
        return None

    def methods_of(self, path: str) -> set[str]:
        """Return the methods that *path* takes here: what a 405 names in `Allow`."""
        exact = {method for method, known in self._exact if known == path}
        return exact | {method for method, pattern, _ in self._patterns if pattern.fullmatch(path)}


_UNTRACED: Final[Any] = nullcontext((None, None))


def _refusal(error: Exception, path: str) -> HotResponse:
    problem = problem_from(error)
    return HotResponse(problem.code.status, problem.render(path), problem.headers)


async def _send(send: Send, response: HotResponse, request_id: bytes) -> None:
    headers = [
        _PROBLEM_HEADER if is_problem(response.status) else _JSON_HEADER,
        (b"content-length", b"%d" % len(response.body)),
        (b"request-id", request_id),
        *response.headers,
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})

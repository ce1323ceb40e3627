"""The outermost application: sends a request to its command route, or observes and guards it on its way to FastAPI.

What FastAPI serves begins to be answered by a deadline: a database that no longer speaks must not hold a client for as
long as a statement may take. Command routes keep deadlines of their own.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any, Final

from opentelemetry.trace import Span
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts import problems
from servicekit.access.admission import RawHeaders
from servicekit.clock import monotonic_s
from servicekit.failures import Overloaded
from servicekit.http.edge.admitting import Admitting
from servicekit.http.edge.body import BODILESS, ClientDisconnected, check_content_type, read_body
from servicekit.http.edge.command import CommandRoutes
from servicekit.http.edge.context import CONTEXT_KEY, RequestContext, check_head, request_id_of
from servicekit.http.edge.decoding import check_json, refuse_nul
from servicekit.http.edge.matching import RouteTable, instance_of, routed_path
from servicekit.http.edge.observe import METHODS, OTHER, UNMATCHED, Observer, problem_in, traceparent_in
from servicekit.http.edge.security import security_headers
from servicekit.http.problems import PROBLEM_TYPE, Problem, is_problem, problem_from
from servicekit.http.route import BODY_BYTES_MAX, Route

_METHODS: Final = frozenset(METHODS)


class Edge:
    """Takes every request of an API: a command route answers itself, the rest goes to *inner* observed and guarded."""

    def __init__(
        self,
        inner: ASGIApp,
        commands: CommandRoutes,
        ordinary: RouteTable[Route],
        observer: Observer,
        *,
        admitting: Admitting,
        deadline_s: float,
    ) -> None:
        self._inner = inner
        self._commands = commands
        self._ordinary = ordinary
        self._observer = observer
        self._admitting = admitting
        self._deadline_s = deadline_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        self._observer.in_flight += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self._observer.in_flight -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._commands.find(scope)
        if found is not None:
            endpoint, path_params = found
            await endpoint(scope, receive, send, path_params)
        elif scope["method"] == "HEAD":
            await self._serve({**scope, "method": "GET"}, receive, bodiless(send))
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_s, path = monotonic_s(), instance_of(scope["path"])
        headers: dict[bytes, bytes] = dict(scope["headers"])
        traceparent = traceparent_in(headers)
        response = TrackedResponse(send, request_id_of(headers.get(b"request-id")), security_headers(scope))
        error: Exception | None = None
        with self._span(scope, traceparent, started_s) as (span, handed_on):
            context = scope[CONTEXT_KEY] = RequestContext(
                request_id=response.request_id.decode("ascii"), path=path, received_s=started_s, traceparent=handed_on
            )
            try:
                check_head(scope, headers)
                _refuse_newline(scope["path"])
                route = self._route_of(scope)
                if route is not None:
                    context.admission = await self._admitting.admit(scope, headers, route.access)
                    response.headers = context.admission.headers
                scope["path"] = routed_path(scope)
                bytes_max = BODY_BYTES_MAX if route is None else route.body_max_bytes
                received = await guarded(scope["method"], headers, receive, bytes_max)
                async with response.begins_within(self._deadline_s):
                    await self._inner(scope, received, response.send)
            except ClientDisconnected:
                return
            except Exception as caught:  # noqa: BLE001  the boundary: whatever it is, the client gets a document
                error = context.error or caught
                await response.refuse(caught, path)
            error = error or context.error
            self._finish(scope, response, started_s, span, error)

    def _route_of(self, scope: Scope) -> Route | None:
        """Return the ordinary route that the request is for; None for a public page, or where there is no route."""
        found = self._ordinary.find(scope)
        return None if found is None else found[0]

    def _span(
        self, scope: Scope, traceparent: str | None, now_s: float
    ) -> AbstractContextManager[tuple[Span | None, str | None]]:
        if not self._observer.tracing.is_sampled(traceparent):
            return nullcontext((None, None))
        return self._observer.traced(traceparent, _method_label(scope), scope["scheme"], now_s)

    def _finish(
        self, scope: Scope, response: "TrackedResponse", started_s: float, span: Span | None, error: Exception | None
    ) -> None:
        method, route = _method_label(scope), getattr(scope.get("route"), "path_format", UNMATCHED)
        series = self._observer.series(method, route)
        self._observer.finish(
            series,
            response.status,
            started_s,
            response.request_id,
            path_params=scope.get("path_params", {}),
            span=span,
            error=error,
            problem=response.problem,
        )


class TrackedResponse:
    """Passes a response on with its request id and what is told for *security*.

    It remembers its status, and the code of the problem that it is.
    """

    def __init__(self, send: Send, request_id: bytes, security: RawHeaders) -> None:
        self._send = send
        self._security = security
        self.request_id = request_id
        self.status = 0
        self.problem: str | None = None
        self.headers: RawHeaders = []
        """What every answer to this request carries besides its id."""
        self._deadline: asyncio.Timeout | None = None

    @asynccontextmanager
    async def begins_within(self, seconds: float) -> AsyncIterator[None]:
        """Raise Overloaded where the body has begun no answer in time; one that has begun may take longer."""
        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                self._deadline = deadline
                yield
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise Overloaded("The request took too long and was given up.") from error
        finally:
            self._deadline = None

    async def send(self, message: Message) -> None:
        """Pass *message* on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._deadline is not None:
                self._deadline.reschedule(None)
            own = [*message.get("headers", ())]
            told = {name for name, _ in own}
            security = [each for each in self._security if each[0] not in told]  # a public file may be kept
            message["headers"] = [*own, *security, (b"request-id", self.request_id), *self.headers]
        elif is_problem(self.status) and self.problem is None:
            self.problem = problem_in(message.get("body", b""))
        await self._send(message)

    async def refuse(self, error: Exception, path: str) -> None:
        """Answer *error* with its problem document, unless an answer is under way already."""
        if self.status != 0:
            return
        problem = problem_from(error)
        body = problem.render(path)
        headers = [(b"content-type", PROBLEM_TYPE), (b"content-length", b"%d" % len(body)), *problem.headers]
        await self.send({"type": "http.response.start", "status": problem.code.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


async def guarded(method: str, headers: dict[bytes, bytes], receive: Receive, bytes_max: int) -> Receive:
    """Return a receive that replays a body already checked: its size, its content type, its JSON, no NUL."""
    if method in BODILESS:
        return receive
    body = await read_body(receive, bytes_max, headers.get(b"content-length"))
    if body:
        check_content_type(headers)
        tree = check_json(body)
        if b"\\u0000" in body:
            refuse_nul(tree)
    return replay(body, receive)


def bodiless(send: Send) -> Send:
    """Return a send that passes an answer on without its body: a HEAD is answered as a GET is, headers and all."""

    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head


def _refuse_newline(path: str) -> None:
    """Raise Problem `not_found` where *path* ends with a newline: the router's patterns would let it through."""
    if path.endswith("\n"):
        raise Problem(problems.NOT_FOUND, "There is no such path.")


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a receive that gives *body* once and then what comes after it."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return pending.pop() if pending else await receive()

    return receive_again


def _method_label(scope: Scope) -> Any:
    return scope["method"] if scope["method"] in _METHODS else OTHER

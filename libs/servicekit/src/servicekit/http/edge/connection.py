"""Connections: how many there are, how long a request may take to arrive and an answer to be taken; what is no HTTP.

All of it comes before any route and any credential. A request that arrives at once, as nearly all do, arms no timer.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from uvicorn._types import HTTPScope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from contracts import problems
from contracts.ids import new_id_text
from servicekit.http.edge.corked import CorkedProtocol
from servicekit.http.edge.security import headers_for
from servicekit.http.problems import PROBLEM_TYPE, Problem

_SURPLUS_S: Final = 1.0
"""How long a connection too many may take to say what it will be refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What one process grants a connection.

    *request_s* is from its first moment, or a later request's first byte, to the end of the request's body; an answer
    is taken within *answer_s* of filling the buffers.
    """

    connections_max: int = 8_192
    request_s: float = 15.0
    answer_s: float = 15.0
    head_bytes_max: int = 64 * 1024
    url_bytes_max: int = 16 * 1024


class LimitedProtocol(CorkedProtocol):
    """HTTP/1.1 within *limits*: what is beyond them is answered where it can be, and closed."""

    def __init__(self, *args: Any, limits: ConnectionLimits, **named: Any) -> None:
        super().__init__(*args, **named)
        self._limits = limits
        self._is_surplus = False
        self._watched: HTTPScope | None = None
        self._head_bytes = 0  # of the watched request
        self._refused: Problem | None = None
        self._request_deadline: asyncio.TimerHandle | None = None
        self._answer_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # a TCP connection's
        """Begin a connection: its first request is awaited from now on."""
        super().connection_made(transport)
        self._is_surplus = len(self.connections) > self._limits.connections_max
        self._arm(_SURPLUS_S if self._is_surplus else self._limits.request_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection."""
        self._disarm()
        self._taken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        if self._is_surplus:
            self._refuse(Problem(problems.OVERLOADED, "The process has as many connections as it may."))
            return
        super().data_received(data)
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.more_body or cycle.scope is not self.scope or cycle.response_complete:
            self._watch(len(data))
        elif self._request_deadline is not None:
            self._disarm()  # a request is there as a whole

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's URL."""
        self.url += url
        if len(self.url) > self._limits.url_bytes_max:
            self._refused = Problem(problems.URI_TOO_LONG, f"The URL may have {self._limits.url_bytes_max} bytes.")
            raise self._refused  # out of the parser, which tells `send_400_response`

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refused; *msg* is the parser's, the same for all of it."""
        self._refuse(self._refused or Problem(problems.MALFORMED_HTTP, msg))

    def pause_writing(self) -> None:
        """Note that the client does not take its answers as fast as they are made."""
        super().pause_writing()
        if self._answer_deadline is None:
            self._answer_deadline = self.loop.call_later(self._limits.answer_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that the client has taken what was written."""
        super().resume_writing()
        self._taken()

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection; what its client has not taken by now is thrown away."""
        self.transport.abort()

    def _taken(self) -> None:
        if self._answer_deadline is not None:
            self._answer_deadline.cancel()
            self._answer_deadline = None

    def _watch(self, received: int) -> None:
        """Look after what is not a whole request yet, *received* more bytes of it or of nothing between requests."""
        if self.transport.is_closing():
            return
        if self._request_deadline is None:
            self._arm(self._limits.request_s)
        if self._watched is not self.scope:
            self._watched, self._head_bytes = self.scope, 0
        if not self._has_head:
            self._head_bytes += received
            if self._head_bytes > self._limits.head_bytes_max:
                detail = f"The head may have {self._limits.head_bytes_max} bytes."
                self._refuse(Problem(problems.HEAD_TOO_LARGE, detail))

    @property
    def _has_head(self) -> bool:
        """Whether the head of the last request that began is complete."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and cycle.scope is self.scope

    @property
    def _is_answering(self) -> bool:
        """Whether a request is there as a whole that has yet to be answered."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def _arm(self, seconds: float) -> None:
        self._request_deadline = self.loop.call_later(seconds, self._expire)

    def _disarm(self) -> None:
        if self._request_deadline is not None:
            self._request_deadline.cancel()
            self._request_deadline = None

    def _expire(self) -> None:
        """End a connection whose request has not arrived in time, and tell its client where it has begun one."""
        self._request_deadline = None
        begun: HTTPScope | None = self.scope
        is_between = self._has_head and self.cycle.response_complete
        if self._is_answering:
            self._arm(self._limits.request_s)  # the request before this one comes first
        elif self._is_surplus or begun is None or is_between:
            self.transport.close()
        else:
            detail = f"The request has not arrived within {self._limits.request_s:g} s."
            self._refuse(Problem(problems.REQUEST_TIMEOUT, detail))

    def _refuse(self, problem: Problem) -> None:
        """Answer *problem* unless an answer has begun, and close.

        Behind a request that is being answered nothing is said: it would be taken for that one's answer.
        """
        self._disarm()
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and self._is_answering:
            cycle.keep_alive = False  # its end closes the connection
            self.flow.pause_reading()
            return
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(_rendered(problem, self.scheme))
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True  # nobody is left to answer
            cycle.message_event.set()
        self.transport.close()


def _rendered(problem: Problem, scheme: str | None) -> bytes:
    body = problem.render("/")
    headers = [
        (b"content-type", PROBLEM_TYPE),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        (b"request-id", new_id_text().encode()),
        *headers_for(scheme),
        *problem.headers,
    ]
    head = b"".join(b"%s: %s\r\n" % header for header in headers)
    return STATUS_LINE[problem.code.status] + head + b"\r\n" + body

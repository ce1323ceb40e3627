"""A lean HTTP/1.1 client: a pool of kept-alive connections to one address, made for loading an API from one core."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final, cast

import httptools

ANSWER_WITHIN_S: Final = 30.0  # a command's own deadline is 2 s; a stopped process answers nothing at all


@dataclass(slots=True)
class Response:
    """One response. Header names are lower case; *seconds* is from sending to the last byte."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0


class _Connection(asyncio.Protocol):
    """One connection with one request under way at most."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[Response] | None = None
        self._answer = Response()
        self._parser = httptools.HttpResponseParser(self)
        self.is_usable = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own are not derived from it
        self.is_usable = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_usable = False
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionError(str(exc or "closed before the answer was complete")))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"no HTTP: {error}")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._answer.body += body

    def on_message_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self.is_usable = False
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(self._answer)

    async def exchange(self, request: bytes) -> Response:
        """Send *request* and return its answer; raise ConnectionError, after which the connection is not usable."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        self._answer = Response()
        self._answered = loop.create_future()
        timer = loop.call_later(ANSWER_WITHIN_S, self._fail, f"no answer within {ANSWER_WITHIN_S:.0f} s")
        begun = perf_counter()
        self._transport.write(request)
        try:
            answer = await self._answered
        finally:
            timer.cancel()
        answer.seconds = perf_counter() - begun
        return answer

    def _fail(self, why: str) -> None:
        self.close()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionError(why))

    def close(self) -> None:
        self.is_usable = False
        if self._transport is not None:
            self._transport.abort()


class HttpPool:
    """At most *connections* connections to one address, under one *credential*. Call `close` at the end."""

    def __init__(self, url: str, *, connections: int, credential: str) -> None:
        scheme, _, rest = url.partition("://")
        host, _, port = rest.rstrip("/").partition(":")
        assert scheme == "http", "the local stack speaks plain HTTP on the loopback address"
        self._host, self._port = host, int(port or 80)
        self._credential = credential
        self._free = asyncio.Semaphore(connections)
        self._idle: list[_Connection] = []

    async def post(self, path: str, key: str, body: bytes) -> Response:
        """Post a command under *key*; raise ConnectionError if its outcome is not known."""
        return await self.command("POST", path, key, body)

    async def command(
        self, method: str, path: str, key: str, body: bytes, *, credential: str | None = None
    ) -> Response:
        """Send a command under *key*, with *credential* in the place of the pool's where that is given.

        Raises ConnectionError if its outcome is not known.
        """
        authorization = f"Bearer {credential or self._credential}"
        headers = {"content-type": "application/json", "authorization": authorization, "idempotency-key": key}
        return await self.request(method, path, headers, body)

    async def get(self, path: str) -> Response:
        """Read *path*; raise ConnectionError."""
        return await self.request("GET", path, {"authorization": f"Bearer {self._credential}"})

    async def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Response:
        """Send what is given and nothing of the pool's own, its credential neither; raise ConnectionError."""
        length = {"content-length": str(len(body))} if body else {}
        named = {"host": f"{self._host}:{self._port}", **headers, **length}
        head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        return await self._exchange(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body)

    def close(self) -> None:
        """Close every idle connection."""
        while self._idle:
            self._idle.pop().close()

    async def _exchange(self, request: bytes) -> Response:
        async with self._free:
            connection = await self._usable()
            try:
                return await connection.exchange(request)
            finally:
                if connection.is_usable:
                    self._idle.append(connection)
                else:
                    connection.close()

    async def _usable(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(_Connection, self._host, self._port)
        except OSError as error:
            raise ConnectionError(str(error)) from error
        return connection

"""A tiny HTTP client: one kept connection per address, every exchange within a deadline."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from engines.ports import LOOPBACK
from testkit.identities import CLIENTS_HEADERS

REQUEST_S_MAX = 4.0
_LINE_ENDS = b"\r\n\r\n"


class Unanswered(Exception):
    """No answer came: whether the command happened is not known."""


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body parsed."""
        return json.loads(self.body)

    def told(self) -> tuple[int, bytes, str | None, str | None]:
        """Return what a repeat under the same key must tell again."""
        return self.status, self.body, self.headers.get("location"), self.headers.get("ledger-position")


class HttpClient:
    """Speaks to one port, one request at a time; a connection that failed is made anew.

    *authorization* is the header of each request, *address* the loopback address that it comes from.
    """

    def __init__(
        self,
        port: int,
        *,
        within_s: float = REQUEST_S_MAX,
        authorization: str = CLIENTS_HEADERS["authorization"],
        address: str = LOOPBACK,
    ) -> None:
        self.port = port
        self._within_s = within_s
        self._authorization = authorization
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Response:
        """Send and return the answer; raise Unanswered."""
        try:
            async with asyncio.timeout(self._within_s):
                return await self._exchange(_rendered(method, path, body, key=key, authorization=self._authorization))
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            self.close()
            raise Unanswered(type(error).__name__) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()

    async def _exchange(self, request: bytes) -> Response:
        if self._streams is None:
            self._streams = await asyncio.open_connection(LOOPBACK, self.port, local_addr=(self._address, 0))
        reader, writer = self._streams
        writer.write(request)
        status, headers = parsed_head((await reader.readuntil(_LINE_ENDS)).decode("latin-1"))
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Response(status, headers, body)


def parsed_head(head: str) -> tuple[int, dict[str, str]]:
    """Return the status and the headers of an answer's head."""
    status_line, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    return int(status_line.split(" ", 2)[1]), headers


def _rendered(method: str, path: str, body: Any, *, key: str | None, authorization: str) -> bytes:
    payload = b"" if body is None else json.dumps(body).encode()
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: wallet",
        f"Authorization: {authorization}",
        f"Content-Length: {len(payload)}",
    ]
    if body is not None:
        lines.append("Content-Type: application/json")
    if key is not None:
        lines.append(f"Idempotency-Key: {key}")
    return "\r\n".join(lines).encode() + _LINE_ENDS + payload

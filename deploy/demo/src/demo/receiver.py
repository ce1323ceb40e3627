"""The subscriber's server: `python -m demo.receiver FILE` takes webhooks, verifies each signature, and keeps what came.

It prints its port, learns `path secret` lines from its standard input, and ends with it; FILE is an SQLite database.
"""

import asyncio
import sqlite3
import sys
from pathlib import Path
from time import time  # noqa: TID251  a program of its own, whose clock is the only one
from typing import Any, Final, cast

import httptools
import msgspec
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

FLUSH_S: Final = 0.2
_SCHEMA: Final = """
    pragma journal_mode = off;
    pragma synchronous = off;
    create table received (
        path text not null, webhook_id text not null, event_id text, wallet_id text, arrived_at_s real not null,
        occurred_at text, is_verified integer not null);
"""
_OK: Final = b"HTTP/1.1 204 No Content\r\n\r\n"
_REFUSED: Final = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"


class _Data(msgspec.Struct):
    event_id: str | None = None
    wallet_id: str | None = None


class _Message(msgspec.Struct):
    timestamp: str
    data: _Data


class Inbox:
    """What came, on its way to the file."""

    def __init__(self, file: Path) -> None:
        file.unlink(missing_ok=True)
        self._database = sqlite3.connect(file, isolation_level=None)
        self._database.executescript(_SCHEMA)
        self._pending: list[tuple[object, ...]] = []
        self._parse = msgspec.json.Decoder(_Message).decode
        self.verifiers: dict[str, Webhook] = {}

    def take(self, path: str, headers: dict[str, str], body: bytes) -> bool:
        """Keep one request; return whether its signature is right."""
        try:
            self.verifiers[path].verify(body, headers)
        except (KeyError, WebhookVerificationError):
            self._pending.append((path, headers.get("webhook-id", ""), None, None, time(), None, 0))
            return False
        message = self._parse(body)
        data = message.data
        row = (path, headers["webhook-id"], data.event_id, data.wallet_id, time(), message.timestamp, 1)
        self._pending.append(row)
        return True

    def flush(self) -> None:
        """Write what is pending."""
        rows, self._pending = self._pending, []
        self._database.execute("begin")
        self._database.executemany("insert into received values (?, ?, ?, ?, ?, ?, ?)", rows)
        self._database.execute("commit")


class Connection(asyncio.Protocol):
    """One kept-alive connection of a sender."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember whom to answer."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._path, self._headers, self._body = "", dict[str, str](), b""

    def on_url(self, url: bytes) -> None:
        """Take a part of the path."""
        self._path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Answer."""
        is_right = self._inbox.take(self._path, self._headers, self._body)
        self._transport.write(_OK if is_right else _REFUSED)


async def serve(file: Path) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    inbox = Inbox(file)
    server = await loop.create_server(lambda: Connection(inbox), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    lines: Any = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    learning = asyncio.create_task(_learn(lines, inbox))
    while not learning.done():
        await asyncio.wait([learning], timeout=FLUSH_S)
        inbox.flush()
    server.close()


async def _learn(lines: asyncio.StreamReader, inbox: Inbox) -> None:
    while line := await lines.readline():
        path, secret = line.decode().split()
        inbox.verifiers[path] = Webhook(secret)
        print("learnt", flush=True)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))

"""A receiver of webhooks under a test's control: answers, hangs, floods, redirects."""

import asyncio
import base64
import hashlib
import hmac
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

_REQUEST_BYTES_MAX: Final = 1024 * 1024
_FLOOD: Final = b"x" * 65_536


@dataclass(frozen=True, slots=True)
class Post:
    """One request as it came. Header names are lower-case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def webhook_id(self) -> str:
        """The id that every attempt of a delivery carries."""
        return self.headers["webhook-id"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered. *hangs*: nothing, ever; *floods*: a body without an end; *after*: not before this.

    *raw* is written unchanged, in place of all the rest.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    hangs: bool = False
    floods: bool = False
    after: asyncio.Event | None = None
    raw: bytes | None = None


Respond = Callable[[Post], Reply]


class Receiver:
    """An HTTP server; `receiving` starts one. *answer* may be replaced at any time."""

    def __init__(self, answer: Respond) -> None:
        self.answer = answer
        self.posts: list[Post] = []
        self.port = 0
        self._arrived = asyncio.Event()

    def url(self, path: str = "/hooks", *, host: str = "127.0.0.1", scheme: str = "http") -> str:
        """Return where it listens."""
        return f"{scheme}://{host}:{self.port}{path}"

    def ids(self) -> list[str]:
        """Return the webhook ids in the order they came."""
        return [post.webhook_id for post in self.posts]

    async def wait_for(self, count: int, *, within_s: float = 30.0) -> list[Post]:
        """Return the posts once there are *count*; raise TimeoutError."""
        async with asyncio.timeout(within_s):
            while len(self.posts) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.posts

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request."""
        try:
            post = await _read(reader)
            self.posts.append(post)
            reply = self.answer(post)
            self._arrived.set()
            await _reply(reader, writer, reply)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the sender has gone
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


@asynccontextmanager
async def receiving(
    answer: Respond = lambda _post: Reply(), *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """Give a receiver on a free port of this machine."""
    receiver = Receiver(answer)
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await receiver.serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the end of the test
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _read(reader: asyncio.StreamReader) -> Post:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    path = head[0].split(" ")[1]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    length = int(headers.get("content-length", "0"))
    assert length <= _REQUEST_BYTES_MAX, "more than any webhook has"
    return Post(path, headers, await reader.readexactly(length))


async def _reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply) -> None:
    if reply.hangs:
        await reader.read()  # until the sender gives up
        return
    if reply.after is not None:
        await reply.after.wait()
    lines = [f"HTTP/1.1 {reply.status} Because", *(f"{name}: {value}" for name, value in reply.headers.items())]
    if not reply.floods:
        lines.append(f"content-length: {len(reply.body)}")
    composed = "\r\n".join([*lines, "connection: close", "", ""]).encode() + reply.body
    writer.write(composed if reply.raw is None else reply.raw)
    await writer.drain()
    while reply.floods:
        writer.write(_FLOOD)
        await writer.drain()


def signatures_of(post: Post, secret: str) -> tuple[str, list[str]]:
    """Return the signature that the specification asks for, and those that came."""
    signed = b".".join([post.webhook_id.encode(), post.headers["webhook-timestamp"].encode(), post.body])
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return expected, post.headers["webhook-signature"].split(" ")

"""Servers behind a gateway that tell what reached them, and a client that sends exactly what a test says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from engines.ports import free_ports

CLIENT_S = 10.0


@dataclass
class Backend:
    """An API in a test's hands: *reached* are the requests that came, each as its lines; *drops* the next ones."""

    name: str
    port: int
    reached: list[list[str]] = field(default_factory=list)
    drops: int = 0
    server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def head(self) -> dict[str, str]:
        """Return the headers of the request that came last."""
        pairs = (line.split(": ", 1) for line in self.reached[-1][1:])
        return {name.lower(): value for name, value in pairs}

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        assert self.server is not None
        self.server.close()
        await self.server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.reached.append(head.decode().split("\r\n")[:-2])
                await reader.readexactly(int(self.head.get("content-length", "0")))
                if self.drops:
                    self.drops -= 1
                    return
                body = self.name.encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the gateway lets go of connections as it likes
        finally:
            writer.close()


@asynccontextmanager
async def backends(*names: str) -> AsyncIterator[list[Backend]]:
    async with AsyncExitStack() as stack:
        started = []
        for name, port in zip(names, free_ports(len(names)), strict=True):
            backend = Backend(name, port)
            await backend.start()
            stack.push_async_callback(backend.stop)
            started.append(backend)
        yield started


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str


@dataclass
class Client:
    """One connection to the gateway, on which requests are sent byte by byte as a test wants them."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, target: str, *headers: str, method: str = "GET", body: bytes = b"") -> Answer:
        length = [f"Content-Length: {len(body)}"] if body else []
        lines = [f"{method} {target} HTTP/1.1", "Host: wallets.example", *length, *headers]
        return await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def send(self, raw: bytes) -> Answer:
        self.writer.write(raw)
        async with asyncio.timeout(CLIENT_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            pairs = (line.split(": ", 1) for line in head[1:] if line)
            headers = {name.lower(): value for name, value in pairs}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(head[0].split()[1]), headers, body.decode())


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()

"""A network between processes and a server: it takes its time, resets connections, or leaves them half open."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engines.ports import LOOPBACK

_CHUNK_BYTES = 65_536
_RESET = struct.pack("ii", 1, 0)
"""Linger for no time: closing then sends a reset."""


class Proxy:
    """Passes bytes on, each *delay_s* after it came; a connection that is cut swallows them."""

    def __init__(self, port: int, host: str = LOOPBACK) -> None:
        self._target = (host, port)
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self.delay_s = 0.0
        self.is_cut = False
        """Whether a connection that is made now swallows all bytes too."""
        self.accepted = 0
        self.swallowed = 0
        """Bytes that went nowhere."""

    def redirect(self, port: int) -> None:
        """Lead connections that are made from now on to *port*."""
        self._target = (self._target[0], port)

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Serve during the body; all connections are closed afterwards."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        try:
            yield
        finally:
            self._server.close()
            self.reset()

    def reset(self) -> int:
        """Reset every connection on both sides; return how many there were."""
        connections = list(self._connections)
        for each in connections:
            each.reset()
        return len(connections)

    def cut(self) -> int:
        """Leave every connection half open; return how many there were."""
        for each in self._connections:
            each.is_cut = True
        return len(self._connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        client = (reader, writer)
        try:
            connection = _Connection(self, client, await asyncio.open_connection(*self._target))
        except OSError:
            writer.close()
            return
        connection.is_cut = self.is_cut
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)


_Side = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Connection:
    """Both sides of one connection, and what is under way between them."""

    def __init__(self, proxy: Proxy, client: _Side, server: _Side) -> None:
        self._proxy = proxy
        self._sides = (client, server)
        self.is_cut = False

    async def run(self) -> None:
        """Pass bytes on until either side ends."""
        (client, to_client), (server, to_server) = self._sides
        pumps = [asyncio.create_task(self._pump(client, to_server)), asyncio.create_task(self._pump(server, to_client))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            to_client.close()
            to_server.close()

    def reset(self) -> None:
        """Send a reset to both sides."""
        for _, writer in self._sides:
            own = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while chunk := await _read(reader):
            if self.is_cut:
                self._proxy.swallowed += len(chunk)
            elif self._proxy.delay_s:
                loop.call_later(self._proxy.delay_s, self._pass, writer, chunk)
            else:
                self._pass(writer, chunk)
        if self._proxy.delay_s:
            await asyncio.sleep(self._proxy.delay_s)  # what is under way arrives before the end

    def _pass(self, writer: asyncio.StreamWriter, chunk: bytes) -> None:
        if self.is_cut:
            self._proxy.swallowed += len(chunk)
        elif not writer.transport.is_closing():
            writer.write(chunk)


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(_CHUNK_BYTES)
    except OSError:
        return b""

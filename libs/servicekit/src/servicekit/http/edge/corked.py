"""One write per answer: the server's protocol with its head held back until the body, or the loop's next turn, comes.

The protocol writes an answer's head and its body apart, and each write is a system call of its own: the dearest thing a
small request pays for.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CLOSE_S: Final = 15.0


class CorkedTransport:
    """A transport that joins the first write with the second, where that follows in the same turn of the loop."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: bytes | None = None

    def write(self, data: bytes) -> None:
        """Hold *data* back, or write it behind what is held."""
        held, self._held = self._held, None
        if held is not None:
            self._transport.write(held + data)
        else:
            self._held = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Write what is held, then close; what the client has not taken `CLOSE_S` later is thrown away."""
        self._flush()
        self._transport.close()
        if self._transport.get_write_buffer_size() > 0:
            self._loop.call_later(CLOSE_S, self._transport.abort)

    def _flush(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._transport.write(held)

    def __getattr__(self, name: str) -> Any:
        """Leave everything else to the transport itself."""
        return getattr(self._transport, name)


class CorkedProtocol(HttpToolsProtocol):
    """HTTP/1.1 on httptools, through a corked transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # a TCP connection's
        """Begin a connection."""
        super().connection_made(CorkedTransport(transport, self.loop))  # type: ignore[arg-type]  # it quacks like one

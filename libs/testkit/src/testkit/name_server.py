"""A name server under a test's control: answers A records, denies, or never answers."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import Final

Resolve = Callable[[str], list[str] | None]
"""Returns the IPv4 addresses of a name: an empty list if there is no such name, None to never answer."""

_HEADER: Final = struct.Struct("!HHHHHH")
_QUESTION: Final = struct.Struct("!HH")
_A: Final = 1
_RECORD: Final = struct.Struct("!HHHIH")
_RESPONSE: Final = 0x8180
_NO_SUCH_NAME: Final = 3
_POINTER_TO_NAME: Final = 0xC00C
_HEADER_BYTES: Final = 12


class NameServer(asyncio.DatagramProtocol):
    """Answers by UDP; `serving_names` starts one. *asked* has every name in the order it was asked for."""

    def __init__(self, answer: Resolve) -> None:
        self._answer = answer
        self.asked: list[str] = []
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # it is one
        """Take the socket."""
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a question."""
        name, end = _name(data)
        self.asked.append(name)
        found = self._answer(name)
        if found is None:
            return
        assert self._transport is not None
        kind, _ = _QUESTION.unpack_from(data, end)
        addresses = [IPv4Address(text).packed for text in found] if kind == _A else []
        flags = _RESPONSE if found else _RESPONSE | _NO_SUCH_NAME
        header = _HEADER.pack(int.from_bytes(data[:2], "big"), flags, 1, len(addresses), 0, 0)
        question = data[_HEADER_BYTES : end + _QUESTION.size]
        records = b"".join(_RECORD.pack(_POINTER_TO_NAME, _A, 1, 0, len(each)) + each for each in addresses)
        self._transport.sendto(header + question + records, addr)


def _name(data: bytes) -> tuple[str, int]:
    """Return the name that is asked for, and where it ends."""
    labels, at = [], _HEADER_BYTES
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode("ascii").lower())
        at += 1 + data[at]
    return ".".join(labels), at + 1


@asynccontextmanager
async def serving_names(answer: Resolve) -> AsyncIterator[NameServer]:
    """Give a name server on a free port of this machine."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(answer), local_addr=("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()

"""The network does what it is told to: it passes bytes on, late, or not at all."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from engines.ports import LOOPBACK
from testkit.proxy import Proxy


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(100):
        writer.write(chunk)
    writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(_echo, LOOPBACK, 0)
    proxy = Proxy(server.sockets[0].getsockname()[1])
    async with proxy.listening():
        yield proxy
    server.close()


async def _asked(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection that was answered once."""
    reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
    writer.write(b"one")
    assert await reader.readexactly(3) == b"one"
    return reader, writer


async def test_bytes_are_passed_on_late_in_their_order(proxy: Proxy) -> None:
    reader, writer = await _asked(proxy)
    proxy.delay_s = 0.05
    began_s = time.monotonic()

    writer.write(b"two")
    await asyncio.sleep(0.01)
    writer.write(b"three")

    assert await reader.readexactly(8) == b"twothree"
    assert time.monotonic() - began_s >= 0.1
    writer.close()


async def test_a_reset_reaches_the_client(proxy: Proxy) -> None:
    reader, _ = await _asked(proxy)

    assert proxy.reset() == 1

    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)


async def test_a_cut_connection_swallows_all_for_ever_and_a_new_one_does_not(proxy: Proxy) -> None:
    reader, writer = await _asked(proxy)
    assert proxy.cut() == 1

    writer.write(b"four")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readexactly(4), 0.1)

    assert proxy.swallowed == 4
    _, other = await _asked(proxy)
    writer.close()
    other.close()

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from demo.figures import PlayFigures
from demo.http_client import HttpPool
from demo.wire import Request, send_until_settled

Serve = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
REQUEST = Request("/v1/deposits", "key-1", b'{"a":1}')


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[str]:
    """Run a server that gives *serve* the head of each request; its address."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                await serve(head + await reader.readexactly(length), writer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


def answer(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def test_a_command_is_sent_with_its_key_and_the_answer_read_in_pieces() -> None:
    seen = []

    async def serve(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        whole = answer("201 Created", b'{"id":"x"}', "Location: /v1/x", "Ledger-Position: 3-7")
        for begin in range(0, len(whole), 7):
            writer.write(whole[begin : begin + 7])
            await writer.drain()

    async with server(serve) as url:
        pool = HttpPool(url, connections=1, credential="test")
        first = await pool.post(REQUEST.path, REQUEST.key, REQUEST.body)
        second = await pool.get("/v1/x")
        pool.close()

    assert (first.status, first.body, second.body) == (201, b'{"id":"x"}', b'{"id":"x"}')
    assert (first.headers["location"], first.headers["ledger-position"]) == ("/v1/x", "3-7")
    assert seen[0].startswith(b"POST /v1/deposits HTTP/1.1\r\n")
    assert seen[0].endswith(b"idempotency-key: key-1\r\ncontent-length: 7\r\n\r\n" + REQUEST.body)


async def test_a_request_carries_its_senders_credential_or_that_of_the_pool_or_none() -> None:
    seen = []

    async def serve(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        writer.write(answer("200 OK", b"{}"))

    async with server(serve) as url:
        pool = HttpPool(url, connections=1, credential="test")
        await pool.command("POST", REQUEST.path, REQUEST.key, REQUEST.body, credential="owner")
        await pool.post(REQUEST.path, REQUEST.key, REQUEST.body)
        await pool.request("GET", "/v1/x", {})
        pool.close()

    assert [b"authorization: Bearer owner\r\n" in each for each in seen] == [True, False, False]
    assert [b"authorization: Bearer test\r\n" in each for each in seen] == [False, True, False]
    assert [b"authorization" in each for each in seen] == [True, True, False]


async def test_a_command_is_repeated_under_its_key_until_it_is_settled() -> None:
    answers = [
        b"",  # the connection is closed without an answer
        answer("503 Service Unavailable", b'{"code":"overloaded"}', "Retry-After: 0"),
        answer("409 Conflict", b'{"code":"in_flight"}', "Retry-After: 0"),
        answer("429 Too Many Requests", b'{"code":"rate_limited"}', "Retry-After: 0"),
        answer("409 Conflict", b'{"code":"insufficient_funds"}'),
    ]
    seen = []

    async def serve(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        writer.write(answers[len(seen) - 1])
        if len(seen) == 1:
            writer.close()

    figures = PlayFigures()
    async with server(serve) as url:
        pool = HttpPool(url, connections=2, credential="test")
        settled = await send_until_settled(pool, REQUEST, figures)
        pool.close()

    assert settled.status == 409
    assert len(set(seen)) == 1
    assert (len(seen), figures.requests, figures.broken_connections) == (5, 4, 1)
    assert (figures.busy, figures.limited) == (2, 1)


async def test_an_independent_batch_is_repeated_while_one_of_its_commands_is_open() -> None:
    results = [
        b'{"results":[{"status":201,"body":{},"problem":null},{"status":503,"body":null,"problem":{"code":"x"}}]}',
        b'{"results":[{"status":201,"body":{},"problem":null},{"status":409,"body":null,"problem":{"code":"in_flight"}}]}',
        b'{"results":[{"status":201,"body":{},"problem":null},{"status":409,"body":null,"problem":{"code":"x"}}]}',
    ]
    left = list(results)

    async def serve(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer("200 OK", left.pop(0), "Retry-After: 0"))

    figures = PlayFigures()
    async with server(serve) as url:
        pool = HttpPool(url, connections=1, credential="test")
        request = Request("/v1/batches", "key-1", b"{}", is_independent=True)
        settled = await send_until_settled(pool, request, figures)
        pool.close()

    assert settled.body == results[-1]
    assert figures.busy == 2


async def test_no_more_connections_are_opened_than_the_pool_has() -> None:
    open_now, most = 0, 0

    async def serve(_: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0)
        open_now -= 1
        writer.write(answer("200 OK", b""))

    async with server(serve) as url:
        pool = HttpPool(url, connections=3, credential="test")
        await asyncio.gather(*(pool.get("/") for _ in range(20)))
        pool.close()

    assert most <= 3


async def test_what_is_no_http_and_who_is_not_there_are_connection_errors() -> None:
    async def serve(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\r\n\r\n")

    async with server(serve) as url:
        pool = HttpPool(url, connections=1, credential="test")
        with pytest.raises(ConnectionError, match="no HTTP"):
            await pool.get("/")
    with pytest.raises(ConnectionError):
        await pool.get("/")

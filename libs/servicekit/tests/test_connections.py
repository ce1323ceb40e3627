"""Connections are bounded in number and time, and what is no HTTP is answered with a problem document."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from servicekit.http.app import create_app
from servicekit.http.edge.command import CommandRequest, CommandResponse
from servicekit.http.edge.connection import ConnectionLimits
from servicekit.http.route import Engine, Route
from servicekit.lifecycle import Shutdown
from servicekit.serving import serve_http
from servicekit.settings import ServiceSettings
from servicekit.telemetry import Telemetry, Tracing
from servicekit.telemetry.metrics import open_registry
from testkit.access import ANYBODY_MAY, AdmitsAs

LIMITS = ConnectionLimits(connections_max=4, request_s=0.3, answer_s=0.3)
HEAD = b"POST %s HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\nContent-Length: 50\r\n"
READY = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE_BYTES = 8 * 1024 * 1024


class Command(msgspec.Struct):
    name: str


async def ordinary() -> str:
    return "done"


async def large() -> str:
    return "x" * LARGE_BYTES


async def command(_request: CommandRequest[Command]) -> CommandResponse:
    return CommandResponse(200, b'"done"', [])


ROUTES = (
    Route(
        method="POST",
        path="/v1/ordinary",
        handler=ordinary,
        access=ANYBODY_MAY,
        operation_id="ordinary",
        summary="Act.",
    ),
    Route(method="GET", path="/large", handler=large, access=ANYBODY_MAY, operation_id="large", summary="Answer much."),
    Route(
        engine=Engine.COMMAND,
        method="POST",
        path="/v1/command",
        request=Command,
        handler=command,
        access=ANYBODY_MAY,
        operation_id="command",
        summary="Act.",
    ),
)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    telemetry = Telemetry("probe", "api", "1", open_registry("probe", "api", "1"), Tracing("probe", 0.0))
    app = create_app(title="P", authority=AdmitsAs(), settings=ServiceSettings(), telemetry=telemetry, routes=ROUTES)
    shutdown, ready = Shutdown(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve_http(
            app, host="127.0.0.1", port=0, shutdown=shutdown, drain_s=1, on_ready=ready.set_result, limits=LIMITS
        )
    )
    yield await ready
    shutdown.request()
    await serving


async def exchange(port: int, *parts: bytes) -> bytes:
    """Send *parts* and return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def code_of(answer: bytes) -> Any:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json\r\n" in head, answer
    assert b"connection: close\r\n" in head + b"\r\n"
    document = json.loads(body)
    assert head.startswith(b"HTTP/1.1 %d " % document["status"])
    return document["code"]


async def test_a_connection_that_says_nothing_is_closed(port: int) -> None:
    assert await exchange(port) == b""


@pytest.mark.parametrize("route", [b"/v1/command", b"/v1/ordinary"])
@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([HEAD[:20]], id="part of a line"),
        pytest.param([HEAD], id="half a head"),
        pytest.param([HEAD + b"\r\n"], id="a head alone"),
        pytest.param([HEAD + b"\r\n{"], id="a byte of a body"),
    ],
)
async def test_a_request_that_does_not_arrive_is_told_so_and_closed(
    port: int, route: bytes, parts: Sequence[bytes]
) -> None:
    assert code_of(await exchange(port, *(part.replace(b"%s", route) for part in parts))) == "request_timeout"


class Dribbling(asyncio.Protocol):
    """Knows at once that an answer has come: who writes on to a closed connection may lose it."""

    def __init__(self) -> None:
        self.answer = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.answer += data

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.ended.set_result(None)


@pytest.mark.parametrize("route", [b"/v1/command", b"/v1/ordinary"])
async def test_a_request_that_dribbles_has_no_more_time(port: int, route: bytes) -> None:
    transport, dribbling = await asyncio.get_running_loop().create_connection(Dribbling, "127.0.0.1", port)
    transport.write(HEAD.replace(b"50", b"100000") % route + b"\r\n{")
    while not dribbling.answer:
        transport.write(b" ")
        await asyncio.sleep(0.02)
    await dribbling.ended
    transport.close()

    assert code_of(dribbling.answer) == "request_timeout"


async def test_empty_lines_keep_no_connection(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(READY)
    await reader.readuntil(b'"ok"')

    async def dribble() -> None:
        while True:
            writer.write(b"\r\n")
            await asyncio.sleep(0.02)

    dribbling = asyncio.create_task(dribble())
    await reader.read()
    dribbling.cancel()
    writer.close()


async def test_a_connection_may_rest_between_requests(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        writer.write(READY)
        await reader.readuntil(b"\r\n\r\n")
        await reader.read(4096)
        await asyncio.sleep(LIMITS.request_s * 1.5)

    assert not reader.at_eof()
    writer.close()


async def test_a_second_request_has_a_deadline_of_its_own(port: int) -> None:
    answer = await exchange(port, READY + HEAD % b"/v1/command" + b"\r\n")

    first, _, second = answer.partition(b"HTTP/1.1 408")
    assert first.startswith(b"HTTP/1.1 200")
    assert code_of(b"HTTP/1.1 408" + second) == "request_timeout"


async def test_a_connection_too_many_is_answered_503(port: int) -> None:
    served = [await asyncio.open_connection("127.0.0.1", port) for _ in range(LIMITS.connections_max)]
    for reader, writer in served:
        writer.write(READY)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")

    refused = await exchange(port, READY)
    silent = await exchange(port)
    served[0][1].close()
    await served[0][1].wait_closed()
    answers = [refused]
    while answers[-1].startswith(b"HTTP/1.1 503"):
        answers.append(await exchange(port, READY.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))

    assert code_of(refused) == "overloaded"
    assert b"retry-after: 1\r\n" in refused
    assert silent == b""
    assert answers[-1].startswith(b"HTTP/1.1 200")
    for _, writer in served:
        writer.close()


async def test_a_client_that_takes_no_answer_is_cut_off(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a TCP connection's
    writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(LIMITS.answer_s * 3)
    writer.transport.resume_reading()  # type: ignore[attr-defined]  # a TCP connection's

    try:
        taken = len(await reader.read())
    except ConnectionResetError:
        taken = 0

    assert taken < LARGE_BYTES
    writer.close()


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (b"nonsense\r\n\r\n", "malformed_http"),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", "malformed_http"),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n", "malformed_http"),
        (b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", "uri_too_long"),
        (b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", "uri_too_long"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 4_000_000, "head_too_large"),
        (HEAD % b"/v1/command" + b"Content-Length: 50\r\n\r\n", "malformed_http"),
        (HEAD % b"/v1/command" + b"Transfer-Encoding: chunked\r\n\r\n", "malformed_http"),
    ],
)
async def test_what_is_no_http_is_answered_with_a_problem_document(port: int, request_bytes: bytes, code: str) -> None:
    answer = await exchange(port, request_bytes)

    assert answer == b"" or code_of(answer) == code
    assert answer or len(request_bytes) > LIMITS.head_bytes_max  # what is sent on is sent into a closed connection


@pytest.mark.parametrize("behind", [b"nonsense\r\n\r\n", b"GET /" + b"a" * 17_000, b"POST / HTTP/1.1\r\nbad\r\n\r\n"])
async def test_what_is_wrong_behind_a_request_is_not_taken_for_its_answer(port: int, behind: bytes) -> None:
    body = b'{"name":"a"}'
    request_bytes = HEAD.replace(b"50", b"%d" % len(body)) % b"/v1/command" + b"\r\n" + body

    answer = await exchange(port, request_bytes + behind)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b'"done"')
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("hosts", [b"", b"Host: x\r\nHost: y\r\n"])
async def test_a_request_has_one_host(port: int, hosts: bytes) -> None:
    answer = await exchange(port, b"GET /health/live HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")

    assert code_of(answer) in {"malformed_http", "repeated_header"}


async def test_head_is_answered_as_get_is(port: int) -> None:
    answer = await exchange(port, b"HEAD /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")


def test_a_process_makes_room_for_its_connections() -> None:
    program = """
import resource
from servicekit.serving import make_room_for
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 1_000))
told = []
for connections in (200, 100, 2_000):
    make_room_for(connections)
    told.append(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
print(*told)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert told.stdout.split() == ["456", "456", "1000"]

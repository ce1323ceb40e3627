"""The open loop does not wait for answers, the closed one does; what came of each request is told."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.chaos.faults.load import Level, answer_of, less, told_of, untold
from tests.chaos.load.exchanges import RETRYABLE
from tests.chaos.load.flood import Asked, Flood, FloodPlan

from engines.ports import LOOPBACK

ANSWER_S = 0.05
_CREATED = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}"
_REFUSED = json.dumps({"code": "overloaded"})


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split()[0]))
            await asyncio.sleep(ANSWER_S)
            writer.write(_CREATED)
    except asyncio.IncompleteReadError:
        writer.close()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    server = await asyncio.start_server(_serve, LOOPBACK, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def flooded(port: int, folder: Path, *, connections: int, per_s: float | None) -> Flood:
    plan = FloodPlan(
        ports=[port],
        wallets=["anna", "bert"],
        prefix="test",
        seconds=0.5,
        connections=connections,
        per_s=per_s,
        answers=str(folder / "answers.jsonl"),
    )
    flood = Flood(plan)
    await flood.run()
    return flood


async def test_an_open_loop_sends_what_is_due_and_counts_what_finds_no_connection(port: int, tmp_path: Path) -> None:
    flood = await flooded(port, tmp_path, connections=4, per_s=200)

    assert {told_of(answer_of(each)) for each in flood.asked} == {""}
    assert len({each.key for each in flood.asked}) == len(flood.asked)
    assert flood.not_sent > 0
    assert 90 <= len(flood.asked) + flood.not_sent <= 100


async def test_a_closed_loop_sends_as_much_as_is_answered(port: int, tmp_path: Path) -> None:
    flood = await flooded(port, tmp_path, connections=4, per_s=None)

    assert flood.not_sent == 0
    assert 4 < len(flood.asked) <= 4 * 11


def level(goodput: float, **counts: int) -> Level:
    return Level(3.0, 8, goodput, Counter(counts), 0, 0.1)


def test_goodput_below_nine_tenths_of_the_peak_is_found() -> None:
    assert not list(less(level(900.0), 1000.0))
    assert list(less(level(899.0), 1000.0))


def test_what_is_no_refusal_to_come_again_after_is_found() -> None:
    assert not list(untold(level(1.0, **dict.fromkeys(RETRYABLE, 1))))
    assert list(untold(level(1.0, internal_error=1)))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("", "no answer"),
        (f"HTTP/1.1 503 \r\nretry-after: 1\r\n\r\n{_REFUSED}", "overloaded"),
        (f"HTTP/1.1 503 \r\n\r\n{_REFUSED}", "overloaded without Retry-After"),
    ],
)
def test_a_refusal_is_told_by_its_code_and_its_time_to_come_again(answer: str, expected: str) -> None:
    assert told_of(answer_of(Asked("key", "anna", "bert", 0.0, 0.1, answer))) == expected

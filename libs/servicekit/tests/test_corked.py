"""One write per answer, and nothing is ever kept back for long."""

import asyncio
from typing import cast

import pytest

from servicekit.http.edge.corked import CorkedTransport


class RecordingTransport:
    """Remembers what was written, and whether it was closed."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture
def recorded() -> RecordingTransport:
    return RecordingTransport()


@pytest.fixture
async def corked(recorded: RecordingTransport) -> CorkedTransport:
    return CorkedTransport(cast("asyncio.Transport", recorded), asyncio.get_running_loop())


async def test_head_and_body_are_one_write(corked: CorkedTransport, recorded: RecordingTransport) -> None:
    corked.write(b"head ")
    corked.write(b"body")
    await asyncio.sleep(0)

    assert recorded.written == [b"head body"]


async def test_a_head_whose_body_is_late_does_not_wait_for_it(
    corked: CorkedTransport, recorded: RecordingTransport
) -> None:
    corked.write(b"head")
    await asyncio.sleep(0)
    corked.write(b"late")
    await asyncio.sleep(0)

    assert recorded.written == [b"head", b"late"]


async def test_answers_in_a_row_keep_their_order(corked: CorkedTransport, recorded: RecordingTransport) -> None:
    for part in (b"1", b"2", b"3", b"4", b"5"):
        corked.write(part)
    await asyncio.sleep(0)

    assert b"".join(recorded.written) == b"12345"


async def test_closing_writes_what_is_held(corked: CorkedTransport, recorded: RecordingTransport) -> None:
    corked.write(b"last words")
    corked.close()

    assert recorded.written == [b"last words"]
    assert corked.is_closing()

"""The clients that read: every wallet at every port, again and again, whatever comes of it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

from tests.chaos.load.reading import READERS, reading
from tests.chaos.load.workload import Bank
from tests.chaos.run import Run

from engines.ports import LOOPBACK
from testkit.waiting import eventually

WALLETS = [f"wallet-{number}" for number in range(READERS)]
_FOUND = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@dataclass
class Api:
    """Answers every request once *answers* is set; the first *drops* of them lose their connection instead."""

    drops: int = 0
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.asked.append(head.decode().partition(" HTTP")[0])
                if len(self.asked) <= self.drops:
                    return
                await self.answers.wait()
                writer.write(_FOUND)
        except asyncio.IncompleteReadError:
            pass  # the client has gone
        finally:
            writer.close()

    async def was_asked(self, times: int) -> bool:
        return len(self.asked) >= times


@asynccontextmanager
async def listening(api: Api) -> AsyncIterator[int]:
    server = await asyncio.start_server(api.serve, LOOPBACK, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


def run_at(port: int, *, history: int | None = None) -> Run:
    bank = Bank(seed=1, ports=[port], wallets=[*WALLETS, "one more"])
    return cast("Run", SimpleNamespace(bank=bank, platform=SimpleNamespace(port={"history": history}.get)))


async def test_every_reader_reads_a_wallet_at_every_port_and_is_waited_for() -> None:
    one, other = Api(), Api()
    async with (
        listening(one) as here,
        listening(other) as there,
        reading(run_at(here, history=there), [here, there]) as found,
    ):
        await eventually(lambda: one.was_asked(READERS))
        await eventually(lambda: other.was_asked(READERS))
        assert found == [], "nobody was answered yet"
        one.answers.set()
        other.answers.set()

    for api, path in ((one, "/v1/wallets"), (other, "/v1/history/wallets")):
        assert sorted(api.asked) == sorted(f"GET {path}/{wallet}" for wallet in WALLETS)
    assert [(each.status, each.told) for each in found] == [(200, "")] * 2 * READERS


async def test_a_reader_goes_on_and_what_it_was_not_answered_is_told() -> None:
    api = Api(drops=READERS)
    api.answers.set()
    async with listening(api) as port, reading(run_at(port), [port]) as found:
        await eventually(lambda: api.was_asked(3 * READERS))

    counts = Counter((each.status, each.told) for each in found)
    assert counts == {(None, "IncompleteReadError"): READERS, (200, ""): len(api.asked) - READERS}

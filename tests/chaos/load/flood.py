"""Transfers at a rate that does not wait for answers, or as fast as they come: `python -m tests.chaos.load.flood`.

A process of its own on bare protocols, so that it takes little from those it loads. It writes one JSON line for each
request: what was asked, what was answered, or that no answer came.
"""

import asyncio
import json
import random
import re
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import uvloop

from engines.ports import LOOPBACK
from testkit.identities import CLIENTS_HEADERS

TICK_S = 0.002
LAST_ANSWERS_WITHIN_S = 4.0
PATH = "/v1/transfers"
_HEAD_ENDS = b"\r\n\r\n"
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
PAIRS = 4_096
"""Of payers and payees, chosen before time counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FloodPlan:
    """What is sent for *seconds*: *per_s* requests each second, or as many as are answered where that is None.

    At most *connections* are open: what is due beyond is not sent, and counted. *authorization* is the header of each.
    """

    ports: Sequence[int]
    wallets: Sequence[str]
    prefix: str
    seconds: float
    connections: int
    per_s: float | None
    answers: str
    """Where the answers are written; `.begun` stands beside it once every connection is open."""
    authorization: str = CLIENTS_HEADERS["authorization"]


@dataclass(slots=True)
class Asked:
    """One request, sent and answered at these seconds of the flood, and the answer as it came: empty if none did."""

    key: str
    source: str
    destination: str
    sent_s: float
    answered_s: float = 0.0
    answer: str = ""


class _Connection(asyncio.Protocol):
    """One request at a time; tells the flood when it is free."""

    def __init__(self, flood: "Flood") -> None:
        self._flood = flood
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._asked: Asked | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own has no such base
        self._flood.free.append(self)

    def send(self, asked: Asked, request: bytes) -> None:
        assert self._transport is not None
        self._asked = asked
        self._transport.write(request)

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        ends = self._received.find(_HEAD_ENDS)
        if ends < 0:
            return
        found = _LENGTH.search(self._received, 0, ends)
        body_ends = ends + len(_HEAD_ENDS) + (int(found[1]) if found is not None else 0)
        if len(self._received) < body_ends:
            return
        received, self._received = self._received, self._received[body_ends:]
        asked, self._asked = self._asked, None
        assert asked is not None
        asked.answered_s = self._flood.elapsed_s
        asked.answer = received[:body_ends].decode()
        self._flood.freed(self)

    def connection_lost(self, _: Exception | None) -> None:
        self._flood.lost(self)


def body_of(source: str, destination: str) -> dict[str, Any]:
    """Return the transfer that every request asks for: of one minor unit."""
    amount = {"amount": "0.01", "currency": "USD"}
    return {"source_wallet_id": source, "destination_wallet_id": destination, "amount": amount}


class _Pair:
    """A payer and a payee, with all of a request between them but its key."""

    def __init__(self, source: str, destination: str, authorization: str) -> None:
        self.source = source
        self.destination = destination
        body = json.dumps(body_of(source, destination), separators=(",", ":"))
        self._before = (
            f"POST {PATH} HTTP/1.1\r\nHost: wallet\r\nContent-Type: application/json\r\n"
            f"Authorization: {authorization}\r\n"
            f"Content-Length: {len(body)}\r\nIdempotency-Key: "
        )
        self._after = f"\r\n\r\n{body}"

    def rendered(self, key: str) -> bytes:
        """Return the request under *key*."""
        return f"{self._before}{key}{self._after}".encode()


class Flood:
    """Sends by a plan and keeps what came of it."""

    def __init__(self, plan: FloodPlan) -> None:
        self._plan = plan
        chance = random.Random(plan.prefix)
        drawn = (chance.sample(plan.wallets, 2) for _ in range(PAIRS))
        self._pairs = [_Pair(payer, payee, plan.authorization) for payer, payee in drawn]
        self._is_over = False
        self._began_s = 0.0
        self._open: set[_Connection] = set()
        self.free: deque[_Connection] = deque()
        self.asked: list[Asked] = []
        self.not_sent = 0

    @property
    def elapsed_s(self) -> float:
        """The seconds since the first request."""
        return time.monotonic() - self._began_s

    async def run(self) -> None:
        """Open the connections, send, and wait for the last answers."""
        await asyncio.gather(*(self._connect(number) for number in range(self._plan.connections)))
        Path(f"{self._plan.answers}.begun").touch()  # noqa: ASYNC240  before time counts
        self._began_s = time.monotonic()
        due = 0
        while (elapsed_s := self.elapsed_s) < self._plan.seconds:
            if self._plan.per_s is None:
                self._send(len(self.free))
            else:
                self._send(int(elapsed_s * self._plan.per_s) - due)
                due = int(elapsed_s * self._plan.per_s)
            await asyncio.sleep(TICK_S)
        self._is_over = True
        await self._last_answers()
        for connection in self._open:
            connection.close()

    async def _connect(self, number: int) -> None:
        port = self._plan.ports[number % len(self._plan.ports)]
        _, connection = await asyncio.get_running_loop().create_connection(lambda: _Connection(self), LOOPBACK, port)
        self._open.add(connection)

    async def _last_answers(self) -> None:
        until_s = time.monotonic() + LAST_ANSWERS_WITHIN_S
        while len(self.free) < len(self._open) and time.monotonic() < until_s:  # noqa: ASYNC110  two conditions at once
            await asyncio.sleep(TICK_S)

    def _send(self, count: int) -> None:
        for _ in range(count):
            if not self.free:
                self.not_sent += 1
                continue
            self._ask(self.free.popleft())

    def _ask(self, connection: _Connection) -> None:
        pair = self._pairs[len(self.asked) % PAIRS]
        asked = Asked(f"{self._plan.prefix}-{len(self.asked)}", pair.source, pair.destination, self.elapsed_s)
        self.asked.append(asked)
        connection.send(asked, pair.rendered(asked.key))

    def freed(self, connection: _Connection) -> None:
        """Use *connection* again at once where the next request waits for an answer, else when one is due."""
        if self._plan.per_s is None and not self._is_over:
            self._ask(connection)
        else:
            self.free.append(connection)

    def lost(self, connection: _Connection) -> None:
        """Forget a connection that the server has ended."""
        self._open.discard(connection)
        if connection in self.free:
            self.free.remove(connection)


def main() -> None:
    """Carry out the plan on standard input; print how many requests were due and not sent."""
    plan = FloodPlan(**json.load(sys.stdin))
    flood = Flood(plan)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(flood.run())
    lines = (json.dumps(asdict(asked)) for asked in flood.asked)
    Path(plan.answers).write_text("\n".join(lines))
    print(flood.not_sent)


if __name__ == "__main__":
    main()

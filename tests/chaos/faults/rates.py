"""The source of rates is down, stale, wrong or slow: no quote beyond the bounds, and open quotes convert."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.chaos.faults.overtaking import settled_at
from tests.chaos.load.client import HttpClient, Response
from tests.chaos.load.history import OK, Command
from tests.chaos.load.workload import MIX
from tests.chaos.platform.product import APIS
from tests.chaos.run import Bite, Fault, Run

from engines.ports import LOOPBACK
from servicekit.clock import utc_now

AGE_MAX_S = 4
EVERY_S = 1
TRIED_S = 8.0
"""For how long quotes are asked for under each trouble: longer than a rate is fresh."""
ASK_EVERY_S = 0.2
FRESH_WITHIN_S = 30.0
GOOD = "1.25"
WRONG = ("NaN", "-1.25", "12.50", "1" * 1_000)
"""What a source may say that no quote may be made of: the third jumps."""


@dataclass
class Source:
    """A source of rates, in one mood at a time."""

    mood: str = "good"
    port: int = 0
    _wrong: int = field(default=0)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a request as the mood is."""
        await reader.readuntil(b"\r\n\r\n")
        if self.mood == "slow":
            await asyncio.sleep(TRIED_S)
        elif self.mood != "down":
            body = self._document().encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
        writer.close()

    def _document(self) -> str:
        as_of, rate = utc_now(), GOOD
        if self.mood == "stale":
            as_of -= timedelta(hours=1)
        elif self.mood == "wrong":
            self._wrong += 1
            rate = WRONG[self._wrong % len(WRONG)]
        return json.dumps({"base": "EUR", "as_of": as_of.isoformat(), "rates": {"USD": rate}})


_SOURCES: dict[int, Source] = {}
"""The source of each run under way, by its seed: what stands beside a fault cannot hand it anything."""


@asynccontextmanager
async def a_source_of_rates(run: Run) -> AsyncIterator[None]:
    """Have the API's instances fetch their rates from a source of our own."""
    source = _SOURCES[run.seed] = Source()
    server = await asyncio.start_server(source.answer, LOOPBACK, 0)
    source.port = server.sockets[0].getsockname()[1]
    env = {
        "WALLET_RATES_URL": f"http://{LOOPBACK}:{source.port}/rates",
        "WALLET_RATES_FORMAT": "json",
        "WALLET_RATES_EVERY_S": str(EVERY_S),
        "WALLET_RATES_AGE_MAX_S": str(AGE_MAX_S),
    }
    async with server:
        for name in (*APIS, "maintenance"):
            await run.platform.start(name, env=env)
        yield


async def trouble_rates(run: Run) -> Bite:
    """F36: while the source is in each of four troubles, quotes are made of fresh and sound rates alone."""
    source, wallets = _SOURCES[run.seed], [await _opened(run, currency) for currency in ("EUR", "USD")]
    await settled_at(run, _deposit(run, wallets[0]), run.bank.ports[0])
    await settled_at(run, _offer(run), run.bank.ports[0])
    asked, given, breaches = 0, 0, list[str]()
    for mood in ("down", "stale", "wrong", "slow"):
        source.mood = "good"
        open_quotes = [await _fresh(run, port) for port in run.bank.ports]
        source.mood = mood
        until_s = asyncio.get_running_loop().time() + TRIED_S
        while asyncio.get_running_loop().time() < until_s:
            for port in run.bank.ports:
                answer = await _asked(run, port)
                asked, given = asked + 1, given + (answer.status in OK)
                breaches += _breaches(answer, mood)
            await asyncio.sleep(ASK_EVERY_S)
        for quote, port in zip(open_quotes, run.bank.ports, strict=True):
            told = (await settled_at(run, _conversion(run, quote, wallets), port)).answer
            if told.status not in OK:
                breaches.append(f"while {mood}: an open quote was answered {told.status} {told.body[:120]!r}")
    what = f"{asked} quotes asked for under four troubles, {given} given"
    return Bite(what=what, count=asked, recovery_s=0.0, breaches=breaches)


def _breaches(answer: Response, mood: str) -> list[str]:
    told = answer.json()
    if answer.status in OK:
        age_s = (utc_now() - datetime.fromisoformat(told["as_of"])).total_seconds()
        is_sound = told["mid_rate"] == GOOD and age_s <= AGE_MAX_S + EVERY_S
        return [] if is_sound else [f"while {mood}: a quote of {told['mid_rate'][:20]}, {age_s:.1f} s old"]
    is_told = (answer.status, told["code"]) == (503, "rate_unavailable") and "retry-after" in answer.headers
    return [] if is_told else [f"while {mood}: {answer.status} {told['code']}"]


async def _fresh(run: Run, port: int) -> str:
    """Return a quote, once there is a fresh rate again."""
    async with asyncio.timeout(FRESH_WITHIN_S):
        while (answer := await _asked(run, port)).status not in OK:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(ASK_EVERY_S)
    quote_id: str = answer.json()["id"]
    return quote_id


async def _asked(run: Run, port: int) -> Response:
    client = HttpClient(port)
    body = {"source_currency": "EUR", "destination_currency": "USD", "source_amount": "1.00", "valid_s": 300}
    try:
        return await client.request("POST", "/v1/fx/quotes", body, key=run.bank.key("quote"))
    finally:
        client.close()


async def _opened(run: Run, currency: str) -> str:
    body = {"owner_id": "owner-fx", "currency": currency}
    command = Command("open", run.bank.key("open"), "/v1/wallets", body)
    opened: str = (await settled_at(run, command, run.bank.ports[0])).answer.json()["id"]
    return opened


def _deposit(run: Run, wallet: str) -> Command:
    body = {"wallet_id": wallet, "amount": {"amount": "100.00", "currency": "EUR"}}
    return Command("deposit", run.bank.key("deposit"), "/v1/deposits", body, (((wallet, 10_000),),))


def _offer(run: Run) -> Command:
    return run.bank.policy("fx", {"pairs": [{"source_currency": "EUR", "destination_currency": "USD"}]})


def _conversion(run: Run, quote: str, wallets: list[str]) -> Command:
    source, destination = wallets
    body = {"quote_id": quote, "source_wallet_id": source, "destination_wallet_id": destination}
    entries = (((source, -100), (destination, 125)),)
    return Command("conversion", run.bank.key("conversion"), "/v1/conversions", body, entries)


FAULTS = (
    Fault(
        id="F36",
        title="rates down, stale, wrong and slow",
        inflict=trouble_rates,
        beside=a_source_of_rates,
        mix={kind: weight for kind, weight in MIX.items() if kind != "convert"},
    ),
)

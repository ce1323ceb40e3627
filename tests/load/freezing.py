"""How soon a wallet that trips a rule refuses its next debit, on the whole platform."""

import asyncio
import statistics
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from contracts.ids import new_id_text
from servicekit.clock import monotonic_s

RULES: Final = """
version: "bench-1"
rules:
  - name: fourth_debit
    type: velocity_count
    events: [withdrawn]
    window: 1h
    max_count: 3
    outcome: block
    mode: live
    cool_down: 1h
"""
TRIPPING: Final = 4
AT_ONCE: Final = 4
ASK_EVERY_S: Final = 0.005
FROZEN_WITHIN_S: Final = 30.0
_CREATED, _CONFLICT = 201, 409


@dataclass(frozen=True, slots=True)
class Freezing:
    """From the answer to the tripping debit to the first debit that is refused, in milliseconds."""

    wallets: int
    p50_ms: float
    p99_ms: float


async def measure(wallet_url: str, credential: str, wallets: int) -> Freezing:
    """Trip the rule with *wallets* wallets, a few at a time; the platform judges by `RULES`."""
    async with httpx2.AsyncClient(base_url=wallet_url, headers={"authorization": f"Bearer {credential}"}) as http:
        await _time_one(http)  # the first one pays for every plan and page
        places = asyncio.Semaphore(AT_ONCE)
        times_ms = await asyncio.gather(*(_in_turn(places, http) for _ in range(wallets)))
    return Freezing(wallets, statistics.median(times_ms), sorted(times_ms)[min(wallets - 1, int(wallets * 0.99))])


async def _in_turn(places: asyncio.Semaphore, http: httpx2.AsyncClient) -> float:
    async with places:
        return await _time_one(http)


async def _time_one(http: httpx2.AsyncClient) -> float:
    opened = await _command(http, "/v1/wallets", {"owner_id": "bench", "currency": "USD"})
    wallet_id = opened.json()["id"]
    await _command(http, "/v1/deposits", _money(wallet_id, "100"))
    for _ in range(TRIPPING):
        await _command(http, "/v1/withdrawals", _money(wallet_id, "0.01"))
    tripped_s = monotonic_s()
    async with asyncio.timeout(FROZEN_WITHIN_S):
        while not await _is_refused(http, wallet_id):  # noqa: ASYNC110  the event is in another process
            await asyncio.sleep(ASK_EVERY_S)
    return (monotonic_s() - tripped_s) * 1_000


async def _is_refused(http: httpx2.AsyncClient, wallet_id: str) -> bool:
    answer = await _send(http, "/v1/withdrawals", _money(wallet_id, "0.01"))
    return answer.status_code == _CONFLICT


async def _command(http: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> httpx2.Response:
    answer = await _send(http, path, body)
    assert answer.status_code == _CREATED, answer.text
    return answer


async def _send(http: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> httpx2.Response:
    return await http.post(path, json=body, headers={"Idempotency-Key": new_id_text()})


def _money(wallet_id: str, amount: str) -> dict[str, Any]:
    return {"wallet_id": wallet_id, "amount": {"amount": amount, "currency": "USD"}}

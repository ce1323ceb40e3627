"""How soon a transfer can be read, on the whole platform under load: from its answer to the history showing it.

Samples are transfers of their own, beside the load. Each is read by its id with its `Ledger-Position` as
`Min-Position`, as a client does that must see what it did.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx2
from tests.load import generator
from tests.load.generator import Load
from tests.load.usage import Usage

from contracts.ids import new_id_text
from demo.stack import Platform
from servicekit.clock import monotonic_s

WALLETS: Final = 1_000
CONNECTIONS: Final = 128
SAMPLE_EVERY_S: Final = 0.05
VISIBLE_WITHIN_S: Final = 30.0
"""A sample that is not visible by then counts as if it had become so."""
_SETTLING_SHARE: Final = 0.2
_COMMANDS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Visible:
    """From a transfer's answer to the answer that shows it, in milliseconds, at *per_s* transfers a second.

    *cpu_us* is what a transfer takes of the cores in each part of the platform, and of what loads it.
    """

    samples: int
    refused: int
    wanted_per_s: float
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: Mapping[str, float]


async def measure(platform: Platform, per_s: float, seconds: float) -> Visible:
    """Run *per_s* transfers a second for *seconds*, and sample once they have settled."""
    headers = {"authorization": f"Bearer {platform.credential}"}
    async with (
        httpx2.AsyncClient(base_url=platform.wallet_url, timeout=VISIBLE_WITHIN_S, headers=headers) as commands,
        httpx2.AsyncClient(base_url=platform.history_url, timeout=VISIBLE_WITHIN_S, headers=headers) as reads,
    ):
        wallet_ids = await _open(commands)
        load = Load(
            wallet_ids=wallet_ids,
            connections=CONNECTIONS,
            seconds=seconds,
            per_s=per_s,
            may_be_refused=True,
            callers=[f"Authorization: Bearer {platform.credential}\r\n"],
        )
        before = Usage.now()
        loading = asyncio.create_task(generator.run([platform.wallet_url], load))
        await asyncio.sleep(seconds * _SETTLING_SHARE)
        sampling: list[asyncio.Task[float | None]] = []
        while not loading.done():
            sampling.append(asyncio.create_task(_sample(commands, reads, wallet_ids)))
            await asyncio.wait([loading], timeout=SAMPLE_EVERY_S)
        sent = loading.result()
        cpu_s = {**Usage.now().since(before), "the generator and the samples": sent.cpu_share * sent.seconds}
        samples = await asyncio.gather(*sampling)
    times_ms = sorted(time_ms for time_ms in samples if time_ms is not None)
    count = len(times_ms)
    return Visible(
        samples=count,
        refused=sent.refused + len(samples) - count,
        wanted_per_s=per_s,
        per_s=sent.commands / sent.seconds,
        p50_ms=times_ms[count // 2],
        p99_ms=times_ms[min(count - 1, int(count * 0.99))],
        cpu_us={part: 1e6 * seconds / sent.commands for part, seconds in cpu_s.items()},
    )


async def _open(http: httpx2.AsyncClient) -> list[str]:
    """Open the wallets and fund them."""
    opened = await _batch(
        http, [{"type": "open_wallet", "owner_id": f"bench-{number}", "currency": "USD"} for number in range(WALLETS)]
    )
    wallet_ids = [each["body"]["id"] for each in opened]
    money = {"amount": "1000000.00", "currency": "USD"}
    await _batch(http, [{"type": "deposit", "wallet_id": each, "amount": money} for each in wallet_ids])
    return wallet_ids


async def _batch(http: httpx2.AsyncClient, commands: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    assert len(commands) <= _COMMANDS_MAX
    answer = await http.post(
        "/v1/batches",
        json={"mode": "independent", "commands": list(commands)},
        headers={"Idempotency-Key": new_id_text()},
    )
    assert answer.is_success, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    assert all(each["body"] is not None for each in results), results[0]
    return results


async def _sample(commands: httpx2.AsyncClient, reads: httpx2.AsyncClient, wallet_ids: Sequence[str]) -> float | None:
    """Return the milliseconds; None if the transfer was refused for load."""
    source, destination = random.sample(wallet_ids, 2)
    body = {
        "source_wallet_id": source,
        "destination_wallet_id": destination,
        "amount": {"amount": "1.00", "currency": "USD"},
    }
    answer = await commands.post("/v1/transfers", json=body, headers={"Idempotency-Key": new_id_text()})
    if not answer.is_success:
        return None
    answered_s = monotonic_s()
    path = f"/v1/history/transactions/{answer.json()['id']}"
    headers = {"Min-Position": answer.headers["Ledger-Position"]}
    while monotonic_s() < answered_s + VISIBLE_WITHIN_S:
        if (await reads.get(path, headers=headers)).is_success:
            break
    return (monotonic_s() - answered_s) * 1_000

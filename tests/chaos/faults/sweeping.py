"""Holds end once, whoever ends them: two sweepers at work, one killed over its lot, and a clock that jumps."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from tests.chaos.faults.clock import clock_of_its_own, wrong
from tests.chaos.judge.draining import nothing_due
from tests.chaos.load.workload import Client
from tests.chaos.platform import signals
from tests.chaos.platform.gate import Action
from tests.chaos.platform.gated_ledger import WRITTEN
from tests.chaos.platform.plant import admin
from tests.chaos.platform.product import APIS
from tests.chaos.run import Bite, Fault, Run

HOLDS = 60
WALLETS = 10
LASTS = timedelta(seconds=4)
LONG = timedelta(hours=12)
JUMP = timedelta(days=1)
TAKEN_OVER_WITHIN_S = 60.0
RELEASED_WITHIN_S = 10.0
"""After what was broken is whole again."""
READ_ANEW_S = 1.2
POLL_S = 0.05
_LEADER = "select owner from servicekit.lease where name = 'sweep' and expires_at > clock_timestamp()"
_OPEN = "select count(*) from wallet.state where kind = 2 and status = 0 and id::text = any ($1)"
_RELEASES = """
    select convert_from(payload, 'UTF8')::json -> 'hold' ->> 'id' as id, count(*) as times
      from wallet.journal where type = 22 group by 1"""


async def sweep_twice(run: Run) -> Bite:
    """F34: the leader is stopped past its lease while holds come due; later another is killed over its lot."""
    first = await _placed(run, LASTS)
    stopped = await _leader(run)
    os.kill(run.platform.pid(stopped), signal.SIGSTOP)
    try:
        await signals.stopped(run.platform.pid(stopped))
        await _another_leads(run, stopped)
    finally:
        os.kill(run.platform.pid(stopped), signal.SIGCONT)
    second = await _placed(run, LASTS)
    hold_id, due_us = second[0]
    run.platform.gate.arm(WRITTEN, Action.KILL, key=f"hold:{hold_id}:expired:{due_us}")
    killed = await run.platform.gate.wait_reached(WRITTEN, within_s=TAKEN_OVER_WITHIN_S)
    await run.platform.start(run.platform.name_of(killed.pid), gated=True)
    healed_s = time.monotonic()
    breaches = await _ended(run, [*first, *second])
    return Bite(
        what=f"{len(first)} holds swept by two, {len(second)} over a sweeper that was killed",
        count=len(first) + len(second),
        recovery_s=time.monotonic() - healed_s,
        breaches=breaches,
    )


async def jump(run: Run) -> Bite:
    """F35: the database's clock is a day on, then an hour back: what is due by it ends, and once."""
    wallets = [await run.bank.open_wallet() for _ in range(WALLETS)]
    client = Client(run.bank, run.chance)
    for wallet in wallets:
        await client.settle(run.bank.deposit(wallet, 100))
    client.close()
    async with run.bank.paused(), admin(run.platform.databases["wallet"]) as clock:
        holds = await _placed(run, LONG, wallets)
        await nothing_due(run.platform)
        async with wrong(clock, JUMP):
            early = await _ended(run, holds)
        await asyncio.sleep(READ_ANEW_S)
        async with wrong(clock, -timedelta(hours=1)):
            await asyncio.sleep(READ_ANEW_S)
        later = await _ended(run, holds)
    return Bite(
        what=f"{len(holds)} holds due by a clock a day on", count=len(holds), recovery_s=0.0, breaches=[*early, *later]
    )


async def _placed(run: Run, lasts: timedelta, wallets: Sequence[str] = ()) -> Sequence[tuple[str, int]]:
    """Place holds that nobody settles; return each one's id and its end in microseconds."""
    client = Client(run.bank, run.chance)
    placed = []
    for number in range(HOLDS):
        of = wallets or run.bank.wallets
        wallet = of[number % len(of)]
        done = await client.settle(run.bank.hold(wallet, 1, lasts=lasts))
        assert done is not None, "a hold was not placed"
        body = done.answer.json()
        if "expires_at" in body:
            until = datetime.fromisoformat(body["expires_at"])
            placed.append((body["id"], int(until.timestamp() * 1_000_000)))
    client.close()
    assert placed, "no hold was placed"
    return placed


@asynccontextmanager
async def every_clock_of_its_own(run: Run) -> AsyncIterator[None]:
    """Give the instances of the API, their jobs' statements too, a clock of the ledger that can be set."""
    database = run.platform.databases["wallet"]
    async with clock_of_its_own(run), admin(database) as connection:
        name = await connection.fetchval("select current_database()")
        await connection.execute(f'alter database "{name}" set search_path = chaos, pg_catalog, public')
        for api in APIS:
            await run.platform.start(api)
        await connection.execute(f'alter database "{name}" reset search_path')
        yield


async def _leader(run: Run) -> str:
    """Return the name of the instance that sweeps."""
    async with run.platform.connections() as connections, asyncio.timeout(TAKEN_OVER_WITHIN_S):
        while True:
            owner: str | None = await connections["wallet"].fetchval(_LEADER)
            for name in APIS:
                if owner is not None and f":{run.platform.pid(name)}" in owner:
                    return name
            await asyncio.sleep(POLL_S)


async def _another_leads(run: Run, before: str) -> None:
    async with asyncio.timeout(TAKEN_OVER_WITHIN_S):
        while await _leader(run) == before:  # noqa: ASYNC110  in other processes
            await asyncio.sleep(POLL_S)


async def _ended(run: Run, holds: Sequence[tuple[str, int]]) -> list[str]:
    """Wait until *holds* have ended; return those that did not in time, and those that were released otherwise."""
    ids = [hold_id for hold_id, _ in holds]
    breaches = []
    async with run.platform.connections() as connections:
        until_s = time.monotonic() + LASTS.total_seconds() + RELEASED_WITHIN_S
        while count := await connections["wallet"].fetchval(_OPEN, ids):
            if time.monotonic() > until_s:
                breaches.append(f"{count} holds are still open {RELEASED_WITHIN_S} s past due")
                break
            await asyncio.sleep(POLL_S)
        times = {row["id"]: row["times"] for row in await connections["wallet"].fetch(_RELEASES)}
    otherwise = {hold_id: times.get(hold_id, 0) for hold_id in ids if times.get(hold_id) != 1}
    return [*breaches, *(f"hold {hold_id} was released {count} times" for hold_id, count in otherwise.items())]


FAULTS = (
    Fault(
        id="F34",
        title="two sweepers on one lot, one stopped past its lease, one killed over what it sent",
        inflict=sweep_twice,
        gated=frozenset(APIS),
    ),
    Fault(
        id="F35",
        title="holds under a clock a day on, then an hour back",
        inflict=jump,
        beside=every_clock_of_its_own,
    ),
)

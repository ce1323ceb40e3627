"""A row of the history's tables that somebody wrote to: it is named, counted, and written anew."""

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Final

import asyncpg
from tests.chaos.judge.draining import caught_up
from tests.chaos.platform.product import HISTORY, INDEXER, PROJECTIONS
from tests.chaos.run import Bite, Fault, Run

WORKER: Final = "history-worker-1"
ALARMED_WITHIN_S = 60.0
POLL_S = 0.2
_COUNTED: Final = "history_drift_differences_total"
_OF_ENTRY: Final = ("entry.amount_minor",)
_OF_WALLET: Final = ("wallet.credits_total", "entry.credits_after")
_DRIFT: Final = ("projections", "drift")
_LOCK: Final = "select from servicekit.checkpoint where projection = $1 for no key update"
"""The projector reads wallets behind this, and would write over what is planted in between."""
_PLANT_AMOUNT: Final = """
    update transaction_history.entry set amount_minor = amount_minor + 1
    where (wallet_id, occurred_at, version) = (
        select e.wallet_id, e.occurred_at, e.version from transaction_history.entry e
        where e.wallet_id = any ($1::text[]::uuid[]) and e.entry_index is not null
        order by md5(e.event_id::text || $2) limit 1)
    returning shard, seq, wallet_id::text"""
_PLANT_TOTAL: Final = """
    update transaction_history.wallet w set credits_total = credits_total + 1
    where wallet_id = $1::text::uuid
    returning shard, (select max(e.seq) from transaction_history.entry e where e.wallet_id = w.wallet_id) as seq,
              wallet_id::text"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """What is wrong, *names* of table and column by which it shows, and of which wallet.

    *seq* is that of the event that made the row; a wallet's total has many, and its later entries continue it.
    """

    names: tuple[str, ...]
    shard: int
    seq: int
    wallet_id: str


async def plant_wrong_row(run: Run) -> Bite:
    """F53: an entry's amount (odd seeds), or a wallet's total (even ones), is another than the events say."""
    planted = await _plant(run)
    began_s = time.monotonic()
    breaches = await _alarmed(run, planted)
    named = await run.platform.operate(HISTORY.service, *_DRIFT, "--shard", str(planted.shard), exits=1)
    found = [line for line in named.splitlines() if _names(planted, line)]
    if not found:
        breaches.append(f"drift does not name {planted}: {named[-500:]}")
    if others := _of_others(planted, named):
        breaches.append(f"drift also names {others[:3]}")
    repaired = await run.platform.operate(HISTORY.service, "projections", "repair", "--wallet", planted.wallet_id)
    recovery_s = await run.recovery_s(began_s)
    what = f"{planted.names[0]} of a row changed; drift names it {len(found)} times; {repaired.splitlines()[-1]}"
    return Bite(what=what, count=len(found), recovery_s=recovery_s, breaches=breaches)


async def _plant(run: Run) -> Planted:
    wallets = run.bank.wallets[len(run.bank.wallets) // 2 :]
    async with run.platform.connections() as connections:
        await caught_up(connections, HISTORY)
        history = connections["transaction_history"]
        async with history.transaction():
            await history.execute(_LOCK, HISTORY.group)
            if run.seed % 2:
                return _planted(_OF_ENTRY, await history.fetchrow(_PLANT_AMOUNT, wallets, str(run.seed)))
            return _planted(_OF_WALLET, await history.fetchrow(_PLANT_TOTAL, run.chance.choice(wallets)))


def _planted(names: tuple[str, ...], row: asyncpg.Record | None) -> Planted:
    assert row is not None, "there is a row to be changed"
    return Planted(names=names, **dict(row))


def _names(planted: Planted, line: str) -> bool:
    """Return whether *line* names table and column, and the event's place where there is one."""
    place = f"shard {planted.shard} seq {planted.seq} " if planted.names == _OF_ENTRY else f"shard {planted.shard} seq "
    is_named = any(f" {name} " in line for name in planted.names) and line.endswith(f"wallet {planted.wallet_id}")
    return line.startswith(place) and is_named


def _of_others(planted: Planted, told: str) -> list[str]:
    """Return the lines that name rows of other wallets; a transaction is of several."""
    lines = [line for line in told.splitlines() if re.match(r"shard \d+ seq", line)]
    return [line for line in lines if " transaction." not in line and planted.wallet_id not in line]


async def _alarmed(run: Run, planted: Planted) -> list[str]:
    """Wait until the worker, which looks for ever, has counted a difference of the table."""
    until_s = time.monotonic() + ALARMED_WITHIN_S
    tables = "|".join(name.partition(".")[0] for name in planted.names)
    wanted = re.compile(rf'^{_COUNTED}{{.*table="({tables})".*}} [1-9]', re.MULTILINE)
    while time.monotonic() < until_s:
        if wanted.search(await run.platform.page(WORKER, "/metrics")):
            return []
        await asyncio.sleep(POLL_S)
    return [f"the worker counts no difference of {tables}"]


async def is_clean(run: Run, bite: Bite) -> None:
    """See that nothing differs any more, in both projections and over the whole topic."""
    async with run.platform.connections() as connections:
        for consumer in PROJECTIONS:
            await caught_up(connections, consumer)
    for name in ("ledger", "index"):
        told = await run.platform.operate(HISTORY.service, *_DRIFT, "--projection", name, exits=None)
        if not told.rstrip().endswith(" 0 differences"):
            bite.breaches.append(f"after the repair drift of the {name} tells {told[-500:]}")
        bite.what += f"; {name}: {told.splitlines()[-1]}"


FAULTS = (
    Fault(
        id="F53",
        title="a wrong row in the history: named, alarmed, repaired",
        inflict=plant_wrong_row,
        settle=is_clean,
        also=INDEXER | {WORKER},
    ),
)

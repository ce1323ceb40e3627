"""Faults of the stream that last: a silent broker, a stop inside a transaction, a storm, a slow one, a snapshot."""

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import asyncpg
from tests.chaos.faults.pausing import pausing
from tests.chaos.faults.replay import deliver_from_start, fresh_databases, hashes
from tests.chaos.judge import observe
from tests.chaos.judge.draining import POLL_S, caught_up
from tests.chaos.load.webhooks import subscribed
from tests.chaos.platform.gate import SLOW_S
from tests.chaos.platform.platform import Connections
from tests.chaos.platform.product import HISTORY, INDEXER, PROJECTIONS, WEBHOOKS, Consumer
from tests.chaos.run import Bite, Fault, Run

from contracts.registry import TYPES_BY_NUMBER
from servicekit.postgres import BY_INDEX
from servicekit.relay.journal import BYTES_UNBOUNDED, SqlJournal

BROKER_SILENT_S = 5.0
"""Beyond the producer's request timeout of 3 s."""
ENDED_WITHIN_S = 15.0
STORMS = 3
SLOW_PER_EVENT_S = 0.005
SLOW_FOR_S = 8.0
RSS_GROWTH_KIB_MAX = 64 * 1024
SNAPSHOT_S = 8.0
BLOCKS_MORE = 1.5
"""An index that grew by a level reads so much more; one that keeps dead rows reads many times as much."""
_BACKEND = "select state from pg_stat_activity where pid = $1"
_DEAD = "select n_dead_tup from pg_stat_user_tables where schemaname = 'wallet' and relname = 'wallet'"


async def silence_broker(run: Run) -> Bite:
    """F11: no partition has a leader that answers, for longer than a request may take; the producer is replaced."""
    platform = run.platform
    before = await _metric(run, "relay", "relay_producers_total")
    bitten_s = time.monotonic()
    await platform.site.keep(platform.kafka.daemon.pause)
    try:
        await asyncio.sleep(BROKER_SILENT_S)
    finally:
        await platform.site.keep(platform.kafka.daemon.resume)
    recovery_s = await run.recovery_s(bitten_s)
    replaced = round(await _metric(run, "relay", "relay_producers_total") - before)
    what = f"broker silent for {BROKER_SILENT_S:.0f} s, producers replaced: {replaced}"
    return Bite(what=what, count=replaced, recovery_s=recovery_s)


async def _metric(run: Run, process: str, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", await run.platform.page(process, "/metrics"), re.MULTILINE)
    assert found is not None, f"{process} does not tell {name}"
    return float(found[1])


async def stop_in_transaction(run: Run) -> Bite:
    """F13: a projection stands still between its writes and COMMIT; the database ends that, and another goes on."""
    async with pausing(run, "uncommitted") as projector:
        states = await _states_until_ended(run, projector.facts["backend"])
        ended_s = time.monotonic() - projector.since_s
        recovery_s = await run.recovery_s(projector.since_s)
    await run.recovery_s(time.monotonic())
    name, events = projector.name, projector.facts["events"]
    is_ready = bool(await run.platform.page(name, "/health/ready"))
    return Bite(
        what=f"{name} stopped with {events} events uncommitted, the database ended it after {ended_s:.1f} s",
        count=events if "idle in transaction" in states else 0,
        recovery_s=recovery_s,
        breaches=[] if is_ready else [f"{name} is not ready after it stood still"],
    )


async def _states_until_ended(run: Run, backend: int) -> set[str]:
    """Wait until the database has ended *backend*; return the states it was seen in."""
    states: set[str] = set()
    async with run.platform.connections() as connections, asyncio.timeout(ENDED_WITHIN_S):
        while state := await connections[HISTORY.service].fetchval(_BACKEND, backend):
            states.add(state)
            await asyncio.sleep(POLL_S)
    return states


async def storm(run: Run) -> Bite:
    """F14: a second projector joins and leaves, again and again; the model goes on all the while."""
    before = _rebalances(run)
    bitten_s = time.monotonic()
    breaches = []
    async with run.platform.connections() as connections:
        for _ in range(STORMS):
            reached = await _reached(connections, HISTORY)
            await run.platform.stop("projector-2")
            await run.platform.start("projector-2")
            if await _reached(connections, HISTORY) <= reached:
                breaches.append("nothing was projected while a projector left and joined")
    recovery_s = await run.recovery_s(bitten_s)
    count = _rebalances(run) - before
    return Bite(what=f"{count} rebalances", count=count, recovery_s=recovery_s, breaches=breaches)


def _rebalances(run: Run) -> int:
    return run.platform.kafka.log.read_text(errors="replace").count(f"Preparing to rebalance group {HISTORY.group} ")


async def _reached(connections: Connections, consumer: Consumer) -> int:
    return sum((await observe.checkpoints(connections, consumer)).values())


async def rebuild_alike(run: Run, bite: Bite) -> None:
    """F14, afterwards: the model is what a rebuild makes of the events."""
    before = await hashes(run, [HISTORY])
    await run.platform.stop("projector-2")
    async with fresh_databases(run, [HISTORY]):
        await deliver_from_start(run, [HISTORY])
        if await hashes(run, [HISTORY]) != before:
            bite.breaches.append("the read model is not what a rebuild makes")


async def slow_one(run: Run) -> Bite:
    """F17: the read model's projector takes its time over each event; the webhooks' one does not notice."""
    await run.platform.stop("projector")
    await run.platform.start("projector", gated=True, env={SLOW_S: str(SLOW_PER_EVENT_S)})
    (other,) = (each for each in run.platform.consumers if each is not HISTORY)
    rss_kib = _rss_kib(run.platform.pid("projector"))
    slow, fast = [], []
    until_s = time.monotonic() + SLOW_FOR_S
    async with run.platform.connections() as connections:
        while time.monotonic() < until_s:
            slow.append(await _lag(connections, HISTORY))
            fast.append(await _lag(connections, other))
            await asyncio.sleep(0.25)
    grown_kib = _rss_kib(run.platform.pid("projector")) - rss_kib
    bitten_s = time.monotonic()
    await run.platform.stop("projector")
    await run.platform.start("projector")
    recovery_s = await run.recovery_s(bitten_s)
    breaches = [] if max(fast) * 2 < max(slow) else [f"{other.group} was {max(fast)} events behind too"]
    if grown_kib > RSS_GROWTH_KIB_MAX:
        breaches.append(f"the slow projector grew by {grown_kib} KiB")
    what = f"{max(slow)} events behind and {grown_kib / 1024:.0f} MiB more; {other.group} {max(fast)} at most"
    return Bite(what=what, count=max(slow) - slow[0], recovery_s=recovery_s, breaches=breaches)


async def _lag(connections: Connections, consumer: Consumer) -> int:
    reached = await _reached(connections, consumer)
    return max(0, sum((await observe.heads(connections, consumer)).values()) - reached)


def _rss_kib(pid: int) -> int:
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None, "every process has a size"
    return int(found[1])


async def hold_snapshot(run: Run) -> Bite:
    """F25: a snapshot stays open while the journal grows and wallets change; what a relay's read costs stays flat."""
    bitten_s = time.monotonic()
    async with run.platform.connections() as ours, run.platform.connections() as theirs:
        async with (
            theirs["wallet"].transaction(isolation="repeatable_read", readonly=True),
            theirs[HISTORY.service].transaction(isolation="repeatable_read", readonly=True),
        ):
            await theirs["wallet"].fetchval("select count(*) from wallet.journal")
            await theirs[HISTORY.service].fetchval("select count(*) from transaction_history.wallet")
            early = await _blocks_read(ours["wallet"])
            await asyncio.sleep(SNAPSHOT_S)
            await ours["wallet"].execute("vacuum wallet.wallet")
            late, dead = await _blocks_read(ours["wallet"]), await ours["wallet"].fetchval(_DEAD)
            for each in PROJECTIONS:
                await caught_up(ours, each)
        recovery_s = await run.recovery_s(bitten_s)
    breaches = [] if late <= early * BLOCKS_MORE else [f"a relay's read took {early} blocks and then {late}"]
    what = f"{dead} dead rows kept by the snapshot; a relay's read took {early} blocks early and {late} late"
    return Bite(what=what, count=dead, recovery_s=recovery_s, breaches=breaches)


async def _blocks_read(wallet: "asyncpg.Connection[asyncpg.Record]") -> int:
    """Return how many blocks the relay's own statement touches at the heads of all shards."""
    heads = await wallet.fetch("select shard, max(seq) as seq from wallet.journal group by shard")
    statement = SqlJournal(
        table="wallet.journal", types=TYPES_BY_NUMBER, source="/wallet", subject_column="account_id"
    )._read
    await wallet.execute("; ".join(f"set {name} = {value}" for name, value in BY_INDEX.items()))
    plan: Any = await wallet.fetchval(
        f"explain (analyze, buffers, format json) {statement}",
        [row["shard"] for row in heads],
        [row["seq"] for row in heads],
        1_000,
        BYTES_UNBOUNDED,
    )
    top = json.loads(plan)[0]["Plan"]
    return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])


FAULTS = (
    Fault(id="F11", title="broker silent beyond the request timeout", inflict=silence_broker),
    Fault(
        id="F13",
        title="SIGSTOP a projector inside its transaction",
        inflict=stop_in_transaction,
        also=frozenset({"projector-2"}),
        gated=frozenset({"projector"}),
    ),
    Fault(
        id="F13-index",
        title="SIGSTOP an indexer inside its transaction",
        inflict=stop_in_transaction,
        also=INDEXER,
        gated=INDEXER,
    ),
    Fault(
        id="F14",
        title="rebalance storm",
        inflict=storm,
        settle=rebuild_alike,
        also=frozenset({"projector-2"}),
    ),
    Fault(
        id="F17",
        title="one slow consumer",
        inflict=slow_one,
        beside=subscribed,
        also=WEBHOOKS,
        is_alone=True,
    ),
    Fault(id="F25", title="a long snapshot stays open", inflict=hold_snapshot, also=INDEXER),
)

"""Faults of the stream's processes: relay, broker, consumer."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from functools import partial

from tests.chaos.judge import observe
from tests.chaos.platform.broker import group_offsets
from tests.chaos.platform.gate import Action
from tests.chaos.platform.product import HISTORY, INDEX, INDEXER, Consumer
from tests.chaos.run import Bite, Fault, Run

from contracts.ids import SHARDS
from servicekit.consumer.checkpoints import progress
from servicekit.read_model.projected import Freshness, freshness

REACHED_WITHIN_S = 30.0
BROKER_AWAY_S = 3.0
RELAY_LEASE_S = 4
"""The next relay waits for the dead one's leases to end."""
APPLIED_WITHIN_S = 3.0
NOBODY_S = 6.0
GROWN_MS_MIN = 4_000
_APPLIED = """
    select topic_partition, max(kafka_offset) as applied from servicekit.checkpoint where projection = $1 group by 1"""
_LATE = """
    select count(*) from wallet.journal as j
    left join unnest($2::smallint[], $3::bigint[]) as p (shard, seq) using (shard)
    where j.occurred_at <= $1 and j.seq > coalesce(p.seq, 0)"""


async def kill_relay(run: Run) -> Bite:
    """F6: the relay dies when its records are acknowledged and no cursor has moved; the next one repeats them."""
    run.platform.gate.arm("acknowledged", Action.KILL)
    told = await run.platform.gate.wait_reached("acknowledged", within_s=REACHED_WITHIN_S)
    bitten_s = time.monotonic()
    await run.platform.start("relay")
    recovery_s = await run.recovery_s(bitten_s)
    records = observe.parse(await observe.raw_records(run.platform.kafka.bootstrap_servers))
    repeats = sum(count - 1 for count in Counter((record.shard, record.seq) for record in records).values())
    what = f"killed with {told.facts['records']} records acknowledged, {repeats} published again"
    return Bite(what=what, count=repeats, recovery_s=recovery_s)


async def stop_only_relay(run: Run) -> Bite:
    """F51: nobody publishes while the journal grows: the lag grows with the clock, and what is complete stands."""
    await run.platform.stop("relay")
    bitten_s = time.monotonic()
    await asyncio.sleep(APPLIED_WITHIN_S)  # what is published already
    before = await _fresh(run)
    await asyncio.sleep(NOBODY_S)
    after = await _fresh(run)
    late = await _late(run, after)
    await run.platform.start("relay")
    recovery_s = await run.recovery_s(bitten_s)
    grown_ms = after.lag_ms - before.lag_ms
    breaches = [f"{late} events occurred before what was told to be complete, and came later"] if late else []
    if before.complete_until is None or after.complete_until != before.complete_until:
        breaches.append(f"complete until {before.complete_until}, then {after.complete_until}")
    if after.position != before.position:
        breaches.append("somebody publishes")
    what = f"no relay for {NOBODY_S:.0f} s, lag grew from {before.lag_ms} ms by {grown_ms} ms"
    return Bite(what=what, count=max(0, grown_ms - GROWN_MS_MIN), recovery_s=recovery_s, breaches=breaches)


async def _fresh(run: Run) -> Freshness:
    """Return how fresh an answer about every shard is."""
    async with run.platform.connections() as connections:
        return freshness(await progress(connections[HISTORY.service], HISTORY.group), range(SHARDS))


async def _late(run: Run, told: Freshness) -> int:
    """Return how many events of the journal are up to when *told* is complete, and not in it."""
    async with run.platform.connections() as connections:
        late: int = await connections["wallet"].fetchval(_LATE, told.complete_until, *_columns(told.position))
    return late


def _columns(position: Mapping[int, int]) -> tuple[list[int], list[int]]:
    return list(position), list(position.values())


async def lose_broker(run: Run) -> Bite:
    """F9: the broker dies (odd seeds) or is stopped, and stays away while the journal grows."""
    platform = run.platform
    how, end = ("killed", platform.kafka.kill) if run.seed % 2 else ("stopped", platform.kafka.stop)
    bitten_s = time.monotonic()
    await platform.site.keep(end)
    async with platform.connections() as connections:
        before = sum((await observe.heads(connections, HISTORY)).values())
        await asyncio.sleep(BROKER_AWAY_S)
        now = sum((await observe.heads(connections, HISTORY)).values())
        behind = now - sum((await observe.checkpoints(connections, HISTORY)).values())
        grown = now - before
    await platform.site.keep(platform.kafka.start)
    recovery_s = await run.recovery_s(bitten_s)
    what = f"broker {how} for {BROKER_AWAY_S:.0f} s, journal grew by {grown}, {behind} events behind"
    return Bite(what=what, count=min(grown, behind), recovery_s=recovery_s)


async def kill_consumer(run: Run, *, consumer: Consumer = HISTORY) -> Bite:
    """F12: a projection dies when its database has committed a poll that the broker was not told of."""
    run.platform.gate.arm("applied", Action.KILL)
    told = await run.platform.gate.wait_reached("applied", within_s=REACHED_WITHIN_S)
    bitten_s = time.monotonic()
    ahead = await _ahead_of_group(run, consumer)
    await run.platform.start(consumer.process)
    recovery_s = await run.recovery_s(bitten_s)
    what = f"killed behind a poll of {told.facts['records']}, {ahead} applied records delivered again"
    return Bite(what=what, count=ahead, recovery_s=recovery_s)


async def _ahead_of_group(run: Run, consumer: Consumer) -> int:
    """Return how many records are applied that the consumer group has not committed."""
    told = await group_offsets(run, consumer.group)
    async with run.platform.connections() as connections:
        rows = await connections[consumer.service].fetch(_APPLIED, consumer.group)
    return sum(max(0, row["applied"] - told.get(row["topic_partition"], 0)) for row in rows)


FAULTS = (
    Fault(
        id="F6",
        title="kill -9 relay between acknowledgement and cursor",
        inflict=kill_relay,
        gated=frozenset({"relay"}),
        env={"WALLET_RELAY_LEASE_S": str(RELAY_LEASE_S)},
    ),
    Fault(id="F51", title="no relay, and lag that grows", inflict=stop_only_relay),
    Fault(id="F9", title="kill or stop the broker", inflict=lose_broker),
    Fault(
        id="F12",
        title="kill -9 consumer between its commit and the offset commit",
        inflict=kill_consumer,
        gated=frozenset({"projector"}),
    ),
    Fault(
        id="F12-index",
        title="the same of the index",
        inflict=partial(kill_consumer, consumer=INDEX),
        also=INDEXER,
        gated=INDEXER,
    ),
)

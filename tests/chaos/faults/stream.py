"""Faults of the stream's processes: relay, broker, consumer."""

import asyncio
import time
from collections import Counter

from tests.chaos.judge import observe
from tests.chaos.platform.broker import group_offsets
from tests.chaos.platform.gate import Action
from tests.chaos.platform.product import HISTORY
from tests.chaos.run import Bite, Fault, Run

REACHED_WITHIN_S = 30.0
BROKER_AWAY_S = 3.0
RELAY_LEASE_S = 4
"""The next relay waits for the dead one's leases to end."""


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


async def kill_consumer(run: Run) -> Bite:
    """F12: the projector dies when its database has committed a poll that the broker was not told of."""
    run.platform.gate.arm("applied", Action.KILL)
    told = await run.platform.gate.wait_reached("applied", within_s=REACHED_WITHIN_S)
    bitten_s = time.monotonic()
    ahead = await _ahead_of_group(run)
    await run.platform.start("projector")
    recovery_s = await run.recovery_s(bitten_s)
    what = f"killed behind a poll of {told.facts['records']}, {ahead} applied records delivered again"
    return Bite(what=what, count=ahead, recovery_s=recovery_s)


async def _ahead_of_group(run: Run) -> int:
    """Return how many records are applied that the consumer group has not committed."""
    told = await group_offsets(run, HISTORY.group)
    async with run.platform.connections() as connections:
        rows = await connections[HISTORY.service].fetch(
            "select topic_partition, max(kafka_offset) as applied from servicekit.checkpoint group by 1"
        )
    return sum(max(0, row["applied"] - told.get(row["topic_partition"], 0)) for row in rows)


FAULTS = (
    Fault(
        id="F6",
        title="kill -9 relay between acknowledgement and cursor",
        inflict=kill_relay,
        gated=frozenset({"relay"}),
        env={"WALLET_RELAY_LEASE_S": str(RELAY_LEASE_S)},
    ),
    Fault(id="F9", title="kill or stop the broker", inflict=lose_broker),
    Fault(
        id="F12",
        title="kill -9 consumer between its commit and the offset commit",
        inflict=kill_consumer,
        gated=frozenset({"projector"}),
    ),
)

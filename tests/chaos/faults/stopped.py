"""Faults of the stream's processes that stand still while another of their kind goes on."""

import asyncio
import time
from collections import Counter

from tests.chaos.faults.pausing import pausing
from tests.chaos.judge import observe
from tests.chaos.judge.draining import POLL_S
from tests.chaos.platform import signals
from tests.chaos.platform.product import HISTORY
from tests.chaos.run import Bite, Fault, Run

STOPPED_S = 15.0
RELAY_LEASE_S = 4
STILL_S = 3.0
TAKEN_OVER_WITHIN_S = 60.0
_OWNED = """
    select count(*) from servicekit.relay_lease
    where owner not like '%:' || $1 || '#%' and expires_at > clock_timestamp()"""
SHARDS = 64


async def stop_relay(run: Run) -> Bite:
    """F7: a relay stands still behind its acknowledgements until the other has its shards; then it ends."""
    async with pausing(run, "acknowledged") as relay:
        await _taken_over(run, relay.pid)
        recovery_s = await run.recovery_s(relay.since_s)
        await asyncio.sleep(max(0.0, relay.since_s + STOPPED_S - time.monotonic()))
    await signals.gone(relay.pid)
    lost = "relay.leases_lost" in run.platform.log(relay.name)
    await run.platform.start(relay.name)
    records = observe.parse(await observe.raw_records(run.platform.kafka.bootstrap_servers))
    repeats = sum(count - 1 for count in Counter((record.shard, record.seq) for record in records).values())
    name, acknowledged = relay.name, relay.facts["records"]
    what = f"{name} stopped with {acknowledged} records acknowledged, the other took over, {name} ended itself"
    return Bite(
        what=f"{what}; {repeats} published again",
        count=min(repeats, acknowledged),
        recovery_s=recovery_s,
        breaches=[] if lost else [f"{name} does not tell that it lost its leases"],
    )


async def _taken_over(run: Run, pid: int) -> None:
    """Wait until the other relay owns every shard."""
    async with run.platform.connections() as connections, asyncio.timeout(TAKEN_OVER_WITHIN_S):
        while await connections["wallet"].fetchval(_OWNED, str(pid)) < SHARDS:  # noqa: ASYNC110  in other processes
            await asyncio.sleep(POLL_S)


async def stop_projector(run: Run) -> Bite:
    """F7: a projector stands still behind its commit, beyond its session; the other takes over; then it goes on."""
    async with pausing(run, "applied") as projector:
        stood = await _unmoved(run)
        recovery_s = await run.recovery_s(projector.since_s)
        await asyncio.sleep(max(0.0, projector.since_s + STOPPED_S - time.monotonic()))
    await run.recovery_s(time.monotonic())
    name, polled = projector.name, projector.facts["records"]
    is_ready = bool(await run.platform.page(name, "/health/ready"))
    what = f"{name} stopped behind a poll of {polled}, {len(stood)} shards stood until the other had them"
    breaches = [] if is_ready else [f"{name} is not ready after it stood still"]
    return Bite(what=what, count=len(stood), recovery_s=recovery_s, breaches=breaches)


async def _unmoved(run: Run) -> set[int]:
    """Return the shards that stand still though there are events for them: they are the stopped process's."""
    async with run.platform.connections() as connections:
        before = await observe.checkpoints(connections, HISTORY)
        await asyncio.sleep(STILL_S)
        now, heads = await observe.checkpoints(connections, HISTORY), await observe.heads(connections, HISTORY)
    return {shard for shard, seq in heads.items() if now.get(shard, 0) == before.get(shard, 0) < seq}


FAULTS = (
    Fault(
        id="F7-relay",
        title="SIGSTOP a relay beyond its leases",
        inflict=stop_relay,
        also=frozenset({"relay-2"}),
        gated=frozenset({"relay"}),
        env={"WALLET_RELAY_LEASE_S": str(RELAY_LEASE_S)},
    ),
    Fault(
        id="F7-projector",
        title="SIGSTOP a projector beyond its session",
        inflict=stop_projector,
        also=frozenset({"projector-2"}),
        gated=frozenset({"projector"}),
    ),
)

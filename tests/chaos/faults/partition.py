"""Faults of the topic beneath the relay: a partition without a leader, and records that others have written."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from uuid import UUID

from aiokafka import AIOKafkaProducer
from tests.chaos.judge import observe
from tests.chaos.judge.draining import reached
from tests.chaos.judge.observed import PARTITIONS
from tests.chaos.platform.gate import Action
from tests.chaos.platform.product import FRAUD, HISTORY, WEBHOOKS
from tests.chaos.run import Bite, Fault, Run

from contracts.ids import shard_of

AWAY_S = 6.0
"""Longer than a send may take: what waits for the partition is given up and tried again."""
OTHERS_WITHIN_S = 15.0
LEADERLESS = "leaderless"
FOREIGN: Sequence[tuple[bytes | None, list[tuple[str, bytes | None]]]] = (
    (b"{}", [("added", None)]),
    (b"{}", [("ce_specversion", b"1.0"), ("ce_shard", b"70000"), ("ce_sequence", b"1")]),
    (b"{}", [("ce_specversion", b"1.0"), ("ce_shard", b"-1"), ("ce_sequence", b"9" * 30), ("x\0y", b"\xff")]),
    (None, []),
)
"""The last one, a tombstone, stays the end of a partition that is quiet."""
_CURSORS = "select shard, cursor from servicekit.relay_lease"


async def lose_leader(run: Run) -> Bite:
    """F41: one partition takes nothing for a while; its shards wait, all others flow, nothing is sent twice."""
    partition = shard_of(UUID(run.bank.wallets[0])) % PARTITIONS
    run.platform.gate.arm(LEADERLESS, Action.OWN, key=str(partition))
    began_s = time.monotonic()
    await asyncio.sleep(AWAY_S)
    async with run.platform.connections() as connections:
        wanted = await observe.heads(connections, HISTORY)
        others = {shard: seq for shard, seq in wanted.items() if shard % PARTITIONS != partition}
        breaches = []
        try:
            await reached(connections, HISTORY, others, OTHERS_WITHIN_S)
        except TimeoutError as error:
            breaches.append(f"shards of other partitions do not go on: {error}")
        cursors = {row["shard"]: row["cursor"] for row in await connections["wallet"].fetch(_CURSORS)}
    waiting = sum(seq - cursors[shard] for shard, seq in wanted.items() if shard % PARTITIONS == partition)
    run.platform.gate.take(LEADERLESS, {"keys": [str(partition)]})
    ended_s = time.monotonic()
    recovery_s = await run.recovery_s(ended_s)
    what = f"partition {partition} away for {ended_s - began_s:.0f} s, {waiting} events waited, the others flowed"
    return Bite(what=what, count=waiting, recovery_s=recovery_s, breaches=breaches)


async def write_foreign_records(run: Run) -> Bite:
    """F44: somebody else writes to every partition of every topic what is no event; all processes live on."""
    pids = {name: run.platform.pid(name) for name in run.platform.processes}
    began_s = time.monotonic()
    for topic in run.platform.topics:
        await _produce(run, topic.name)
    counted = await _counted(run)
    for relay in ("relay", "fraud-relay"):  # which begin by reading the topic's ends
        await run.platform.stop(relay)
        await _produce(run, observe.TOPIC)
        await run.platform.start(relay)
    recovery_s = await run.recovery_s(began_s)
    breaches = [
        f"{name} was started again"
        for name, pid in pids.items()
        if name not in {"relay", "fraud-relay"} and run.platform.pid(name) != pid
    ]
    breaches += [f"{name} is not ready" for name in pids if not await run.platform.page(name, "/health/ready")]
    breaches += [f"{name} does not tell" for name in counted if await run.platform.page(name, "/health/deep")]
    what = "records without a place passed over: " + ", ".join(f"{n} by {name}" for name, n in counted.items())
    return Bite(what=what, count=min(counted.values()), recovery_s=recovery_s, breaches=breaches)


async def _produce(run: Run, topic: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=run.platform.kafka.bootstrap_servers)
    await producer.start()
    try:
        for partition in await producer.partitions_for(topic):
            for value, headers in FOREIGN:
                await producer.send(topic, value, key=observe.FOREIGN_KEY, partition=partition, headers=headers)
        await producer.flush()
    finally:
        await producer.stop()


async def _counted(run: Run) -> Mapping[str, int]:
    """Wait until each consumer has counted what it passed over; return how much."""
    return {each.process: await _unreadable(run, each.process) for each in run.platform.consumers}


async def _unreadable(run: Run, process: str) -> int:
    """Return how much a process's consumer of the larger topic has passed over; that of identities has its own."""
    expected = PARTITIONS * len(FOREIGN)
    counted = 0
    async with asyncio.timeout(OTHERS_WITHIN_S):
        while counted < expected:
            lines = (await run.platform.page(process, "/metrics")).splitlines()
            told = [line for line in lines if line.startswith("consumer_unreadable_total{")]
            counted = max((int(float(line.rpartition(" ")[2])) for line in told), default=0)
            await asyncio.sleep(0.1)
    return counted


FAULTS = (
    Fault(
        id="F41",
        title="one partition without a leader",
        inflict=lose_leader,
        gated=frozenset({"relay"}),
        repeats_nothing=True,
    ),
    Fault(
        id="F44",
        title="foreign records on the topics",
        inflict=write_foreign_records,
        also=WEBHOOKS | FRAUD,
    ),
)

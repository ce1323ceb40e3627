"""Faults of the records: lost ones."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from aiokafka import ConsumerRecord
from confluent_kafka import TopicPartition
from tests.chaos.judge import observe
from tests.chaos.judge.draining import POLL_S, reached
from tests.chaos.judge.observed import PARTITIONS
from tests.chaos.load.client import HttpClient
from tests.chaos.platform.broker import REQUEST_S, asked, produce
from tests.chaos.platform.product import INDEXER, PROJECTIONS, Consumer
from tests.chaos.run import Bite, Fault, Run

from engines import topics

REACHED_WITHIN_S = 30.0
PARTITIONS_CUT = 2
REPLAYED = "wallet.events.replayed"
_STOPPED = "select shard from servicekit.checkpoint where projection = $1 and stopped = 'gap'"


async def cut_topic(run: Run) -> Bite:
    """F10: records vanish before they were consumed; their shards stop with an alarm until they are brought back.

    The processes that stopped them go on by themselves then (odd seeds); such as were started since need one rewind of
    each partition.
    """
    platform = run.platform
    processes = [each.process for each in PROJECTIONS]
    await asyncio.gather(*map(platform.kill, processes))
    await asyncio.sleep(1.5)  # what is published meanwhile is what will be missing
    bitten_s = time.monotonic()
    raw = await observe.raw_records(platform.kafka.bootstrap_servers)
    run.captured = observe.parse(raw)
    unread = await _unconsumed(run, raw)
    partitions = run.chance.sample(sorted({record.partition for record in unread}), PARTITIONS_CUT)
    lost = [record for record in unread if record.partition in partitions]
    await _delete(run, raw, partitions)
    await asyncio.gather(*map(platform.start, processes))
    stopped = {each.group: await _stopped_shards(run, each, partitions) for each in PROJECTIONS}
    breaches = [found for each in PROJECTIONS for found in await _others_flow(run, each, partitions)]
    if is_replaced := run.seed % 2 == 0:
        await asyncio.gather(*map(platform.kill, processes))
        await asyncio.gather(*map(platform.start, processes))
    await _restore(run, {(record.shard, record.seq) for record in observe.parse(lost)})
    if is_replaced:
        for each in PROJECTIONS:
            await _rewind(run, each, stopped[each.group])
    recovery_s = await run.recovery_s(bitten_s)
    counts = [len(shards) for shards in stopped.values()]
    what = f"{len(lost)} unread records of {PARTITIONS_CUT} partitions deleted, "
    what += f"shards stopped by a gap: {', '.join(f'{len(shards)} of {group}' for group, shards in stopped.items())}"
    what += ", rewound once" if is_replaced else ""
    return Bite(what=what, count=min(len(lost), *counts), recovery_s=recovery_s, breaches=breaches)


async def _unconsumed(
    run: Run, records: "Sequence[ConsumerRecord[bytes, bytes]]"
) -> "list[ConsumerRecord[bytes, bytes]]":
    """Return the records that a projection has not applied."""
    async with run.platform.connections() as connections:
        told = [await observe.checkpoints(connections, each) for each in PROJECTIONS]
    parsed = zip(records, observe.parse(records), strict=True)
    return [raw for raw, record in parsed if any(record.seq > each.get(record.shard, 0) for each in told)]


async def _delete(run: Run, raw: "Sequence[ConsumerRecord[bytes, bytes]]", partitions: Sequence[int]) -> None:
    ends = {
        partition: max(record.offset for record in raw if record.partition == partition) for partition in partitions
    }
    wanted = [TopicPartition(observe.TOPIC, partition, offset + 1) for partition, offset in ends.items()]
    await asked(run, lambda admin: admin.delete_records(wanted, request_timeout=REQUEST_S))


async def _stopped_shards(run: Run, consumer: Consumer, partitions: Sequence[int]) -> list[int]:
    """Wait until a shard of each of *partitions* has stopped at its gap; return those that have."""
    async with run.platform.connections() as connections, asyncio.timeout(REACHED_WITHIN_S):
        while True:
            rows = await connections[consumer.service].fetch(_STOPPED, consumer.group)
            if {row["shard"] % PARTITIONS for row in rows} >= set(partitions):
                break
            await asyncio.sleep(POLL_S)
    page = await HttpClient(run.platform.port(consumer.process)).request("GET", "/metrics")
    alarms = [line for line in page.body.decode().splitlines() if line.startswith("consumer_shards_stopped{")]
    assert any('reason="gap"' in line and not line.endswith(" 0.0") for line in alarms), alarms
    return [row["shard"] for row in rows]


async def _restore(run: Run, lost: set[tuple[int, int]]) -> None:
    """Bring the lost records back, as an operator does: from a replay of the journal; they stand behind later ones."""
    platform = run.platform
    async with topics.admin_client(platform.kafka.bootstrap_servers) as admin:
        await topics.create_topic(admin, REPLAYED, PARTITIONS)
    await platform.stop("relay")
    await platform.operate("wallet", "replay", "--to", REPLAYED)
    await platform.start("relay")
    raw = await observe.raw_records(platform.kafka.bootstrap_servers, REPLAYED)
    parsed = zip(raw, observe.parse(raw), strict=True)
    found = [replace(record, topic=observe.TOPIC) for record, told in parsed if (told.shard, told.seq) in lost]
    assert len(found) == len(lost), f"the replay has {len(found)} of {len(lost)} lost records"
    await produce(run, found)


async def _rewind(run: Run, consumer: Consumer, stopped: Sequence[int]) -> None:
    """Rewind each partition of *stopped* shards once, as an operator does."""
    for shard in {shard % PARTITIONS: shard for shard in stopped}.values():
        await run.platform.operate(consumer.service, consumer.commands, "rewind", "--shard", str(shard))


async def _others_flow(run: Run, consumer: Consumer, partitions: Sequence[int]) -> list[str]:
    async with run.platform.connections() as connections:
        wanted = await observe.heads(connections, consumer)
        others = {shard: seq for shard, seq in wanted.items() if shard % PARTITIONS not in partitions}
        try:
            await reached(connections, consumer, others)
        except TimeoutError:
            return [f"shards of {consumer.group} without a gap do not go on"]
    return []


FAULTS = (Fault(id="F10", title="topic truncated", inflict=cut_topic, also=INDEXER),)

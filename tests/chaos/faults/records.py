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
from tests.chaos.platform.product import HISTORY
from tests.chaos.run import Bite, Fault, Run

from engines import topics

REACHED_WITHIN_S = 30.0
PARTITIONS_CUT = 2
REPLAYED = "wallet.events.replayed"
_STOPPED = "select shard from servicekit.checkpoint where stopped = 'gap'"


async def cut_topic(run: Run) -> Bite:
    """F10: records vanish before they were consumed; their shards stop with an alarm until they are brought back.

    The projector that stopped them goes on by itself then (odd seeds); one that was started since needs one rewind of
    each partition.
    """
    platform = run.platform
    await platform.kill("projector")
    await asyncio.sleep(1.5)  # what is published meanwhile is what will be missing
    bitten_s = time.monotonic()
    raw = await observe.raw_records(platform.kafka.bootstrap_servers)
    run.captured = observe.parse(raw)
    unread = await _unconsumed(run, raw)
    partitions = run.chance.sample(sorted({record.partition for record in unread}), PARTITIONS_CUT)
    lost = [record for record in unread if record.partition in partitions]
    await _delete(run, raw, partitions)
    await platform.start("projector")
    stopped = await _stopped_shards(run, partitions)
    breaches = await _others_flow(run, partitions)
    if is_replaced := run.seed % 2 == 0:
        await platform.kill("projector")
        await platform.start("projector")
    await _restore(run, {(record.shard, record.seq) for record in observe.parse(lost)})
    if is_replaced:
        await _rewind(run, stopped)
    recovery_s = await run.recovery_s(bitten_s)
    what = f"{len(lost)} unread records of {PARTITIONS_CUT} partitions deleted, {len(stopped)} shards stopped by a gap"
    what += ", rewound once" if is_replaced else ""
    return Bite(what=what, count=min(len(lost), len(stopped)), recovery_s=recovery_s, breaches=breaches)


async def _unconsumed(
    run: Run, records: "Sequence[ConsumerRecord[bytes, bytes]]"
) -> "list[ConsumerRecord[bytes, bytes]]":
    async with run.platform.connections() as connections:
        checkpoints = await observe.checkpoints(connections, HISTORY)
    parsed = zip(records, observe.parse(records), strict=True)
    return [raw for raw, record in parsed if record.seq > checkpoints.get(record.shard, 0)]


async def _delete(run: Run, raw: "Sequence[ConsumerRecord[bytes, bytes]]", partitions: Sequence[int]) -> None:
    ends = {
        partition: max(record.offset for record in raw if record.partition == partition) for partition in partitions
    }
    wanted = [TopicPartition(observe.TOPIC, partition, offset + 1) for partition, offset in ends.items()]
    await asked(run, lambda admin: admin.delete_records(wanted, request_timeout=REQUEST_S))


async def _stopped_shards(run: Run, partitions: Sequence[int]) -> list[int]:
    """Wait until a shard of each of *partitions* has stopped at its gap; return those that have."""
    async with run.platform.connections() as connections, asyncio.timeout(REACHED_WITHIN_S):
        while True:
            rows = await connections[HISTORY.service].fetch(_STOPPED)
            if {row["shard"] % PARTITIONS for row in rows} >= set(partitions):
                break
            await asyncio.sleep(POLL_S)
    page = await HttpClient(run.platform.port("projector")).request("GET", "/metrics")
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


async def _rewind(run: Run, stopped: Sequence[int]) -> None:
    """Rewind each partition of *stopped* shards once, as an operator does."""
    for shard in {shard % PARTITIONS: shard for shard in stopped}.values():
        await run.platform.operate(HISTORY.service, "projections", "rewind", "--shard", str(shard))


async def _others_flow(run: Run, partitions: Sequence[int]) -> list[str]:
    async with run.platform.connections() as connections:
        wanted = await observe.heads(connections, HISTORY)
        others = {shard: seq for shard, seq in wanted.items() if shard % PARTITIONS not in partitions}
        try:
            await reached(connections, HISTORY, others)
        except TimeoutError:
            return ["shards without a gap do not go on"]
    return []


FAULTS = (Fault(id="F10", title="topic truncated", inflict=cut_topic),)

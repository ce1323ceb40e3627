"""Faults of the records: lost, repeated, and such as a projection cannot take."""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress

from aiokafka import ConsumerRecord
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from tests.chaos import observe
from tests.chaos.broker import GROUP, REQUEST_S, asked, group_offsets, produce
from tests.chaos.client import HttpClient
from tests.chaos.gate import POISON
from tests.chaos.observed import PARTITIONS
from tests.chaos.run import DRAINED_WITHIN_S, POLL_S, Bite, Fault, Run, reached

REACHED_WITHIN_S = 30.0
PARTITIONS_CUT = 2
REWINDS_MAX = 5
REWOUND_S = 3.0
POISONS = ("json", "type", "version", "crash")
_STOPPED = "SELECT shard FROM servicekit.checkpoint WHERE stopped = 'gap'"
_PARKED = "SELECT wallet_id::text AS id FROM servicekit.parked_wallet"


async def cut_topic(run: Run) -> Bite:
    """F10: records vanish before they were consumed; the shards stop with an alarm, and a rewind repairs them."""
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
    # An operator brings the lost records back from elsewhere; they stand behind later ones now.
    await produce(run, lost)
    await _rewind(run)
    recovery_s = await run.recovery_s(bitten_s)
    what = f"{len(lost)} unread records of {PARTITIONS_CUT} partitions deleted, {len(stopped)} shards stopped by a gap"
    return Bite(what=what, count=min(len(lost), len(stopped)), recovery_s=recovery_s, breaches=breaches)


async def _unconsumed(
    run: Run, records: "Sequence[ConsumerRecord[bytes, bytes]]"
) -> "list[ConsumerRecord[bytes, bytes]]":
    async with run.platform.databases() as (_, history):
        checkpoints = await observe.checkpoints(history)
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
    async with run.platform.databases() as (_, history), asyncio.timeout(REACHED_WITHIN_S):
        while True:
            rows = await history.fetch(_STOPPED)
            if {row["shard"] % PARTITIONS for row in rows} >= set(partitions):
                break
            await asyncio.sleep(POLL_S)
    page = await HttpClient(run.platform.port("projector")).request("GET", "/metrics")
    alarms = [line for line in page.body.decode().splitlines() if line.startswith("consumer_shards_stopped{")]
    assert any('reason="gap"' in line and not line.endswith(" 0.0") for line in alarms), alarms
    return [row["shard"] for row in rows]


async def _rewind(run: Run) -> None:
    """Rewind what stands at a gap, as an operator does, until all is read: the first may come before all is back."""
    async with run.platform.databases() as (wallet, history):
        for _ in range(REWINDS_MAX):
            stopped = [row["shard"] for row in await history.fetch(_STOPPED)]
            for shard in {shard % PARTITIONS: shard for shard in stopped}.values():
                await run.platform.operate("projections", "rewind", "--shard", str(shard), "--offset", "0")
            with suppress(TimeoutError):
                await reached(history, await observe.heads(wallet), REWOUND_S)
                return


async def _others_flow(run: Run, partitions: Sequence[int]) -> list[str]:
    async with run.platform.databases() as (wallet, history):
        wanted = await observe.heads(wallet)
        others = {shard: seq for shard, seq in wanted.items() if shard % PARTITIONS not in partitions}
        try:
            await reached(history, others)
        except TimeoutError:
            return ["shards without a gap do not go on"]
    return []


async def copy_events(run: Run) -> Bite:
    """F16, under load: every record that is there is delivered two more times, in order or each one thrice at once."""
    raw = await observe.raw_records(run.platform.kafka.bootstrap_servers)
    bitten_s = time.monotonic()
    copies = [record for record in raw for _ in range(2)] if run.seed % 2 else [*raw, *raw]
    await produce(run, copies)
    return Bite(what=f"{len(raw)} records three times", count=len(raw), recovery_s=await run.recovery_s(bitten_s))


async def replay_events(run: Run, bite: Bite) -> None:
    """F16, afterwards: all of the topic again to the same read model, and to a fresh one; the hash stays."""
    platform = run.platform
    async with platform.databases() as (_, history):
        before = await observe.read_model_hash(history)
    await _deliver_from_start(run)
    async with platform.databases() as (_, history):
        again = await observe.read_model_hash(history)
    own = platform.history_database
    async with platform.site.histories.database() as fresh:
        platform.history_database = fresh
        try:
            await _deliver_from_start(run)
            async with platform.databases() as (_, history):
                replayed = await observe.read_model_hash(history)
        finally:
            platform.history_database = own
            await platform.kill("projector")
    bite.breaches += _differences(before, again, replayed)
    bite.what += ", then all from the start, also into a fresh read model"


def _differences(before: str, again: str, replayed: str) -> list[str]:
    same = {"a redelivery changed the read model": again, "a fresh read model is another one": replayed}
    return [breach for breach, digest in same.items() if digest != before]


async def _deliver_from_start(run: Run) -> None:
    """Have the projector, on the history database of now, read the topic from its beginning to its end."""
    await run.platform.stop("projector")
    offsets = [TopicPartition(observe.TOPIC, partition, 0) for partition in range(PARTITIONS)]
    wanted = [ConsumerGroupTopicPartitions(GROUP, offsets)]
    await asked(run, lambda admin: admin.alter_consumer_group_offsets(wanted, request_timeout=REQUEST_S))
    await run.platform.start("projector")
    async with run.platform.databases() as (wallet, history):
        await reached(history, await observe.heads(wallet))
    await _told(run, await _ends(run))


async def _ends(run: Run) -> dict[int, int]:
    raw = await observe.raw_records(run.platform.kafka.bootstrap_servers)
    ends: dict[int, int] = {}
    for record in raw:
        ends[record.partition] = record.offset + 1
    return ends


async def _told(run: Run, ends: dict[int, int]) -> None:
    """Wait until the consumer group has committed *ends*: all of it was delivered."""
    until_s = time.monotonic() + DRAINED_WITHIN_S
    while True:
        told = await group_offsets(run)
        if all(told.get(partition, 0) >= end for partition, end in ends.items()):
            return
        if time.monotonic() > until_s:
            raise TimeoutError(f"the group is at {told}, the ends are {ends}")
        await asyncio.sleep(0.2)


async def poison_wallets(run: Run) -> Bite:
    """F18: a projector that cannot take four wallets' events, each for a reason of its own; then a sound one."""
    platform = run.platform
    victims = dict(zip(run.chance.sample(run.bank.wallets[4:], len(POISONS)), POISONS, strict=True))
    await platform.stop("projector")
    bitten_s = time.monotonic()
    await platform.start("projector", gated=True, env={POISON: json.dumps(victims)})
    await _parked(run, set(victims))
    breaches = await _reads_tell(run, victims)
    await platform.stop("projector")
    await platform.start("projector")
    for wallet_id in victims:
        await platform.operate("projections", "unpark", "--wallet", wallet_id)
    recovery_s = await run.recovery_s(bitten_s)
    what = f"{len(victims)} wallets parked ({', '.join(POISONS)}), the others flowed, all unparked"
    return Bite(what=what, count=len(victims), recovery_s=recovery_s, breaches=breaches)


async def _parked(run: Run, victims: set[str]) -> None:
    """Wait until exactly *victims* are parked and every shard has gone on beyond them."""
    async with run.platform.databases() as (wallet, history):
        async with asyncio.timeout(REACHED_WITHIN_S):
            while {row["id"] for row in await history.fetch(_PARKED)} != victims:  # noqa: ASYNC110  in another process
                await asyncio.sleep(POLL_S)
        await reached(history, await observe.heads(wallet))


async def _reads_tell(run: Run, victims: dict[str, str]) -> list[str]:
    """Ask for a parked wallet's entries and for another's."""
    http = HttpClient(run.platform.port("history"))
    parked = await http.request("GET", f"/v1/history/wallets/{next(iter(victims))}/entries")
    sound = await http.request("GET", f"/v1/history/wallets/{run.bank.wallets[0]}/entries")
    http.close()
    statuses = (parked.status, sound.status)
    return [] if statuses == (503, 200) else [f"reads of a parked and a sound wallet answer {statuses}"]


FAULTS = (
    Fault(id="F10", title="topic truncated", inflict=cut_topic),
    Fault(id="F16", title="every event three times, then all again", inflict=copy_events, settle=replay_events),
    Fault(id="F18", title="events that cannot be projected", inflict=poison_wallets),
)

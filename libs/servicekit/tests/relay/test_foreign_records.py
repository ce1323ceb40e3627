"""Records at a topic's end that are no events of the platform stop no relay."""

import pytest
from aiokafka import AIOKafkaProducer

from contracts.ids import SHARDS
from servicekit.lifecycle import Shutdown
from servicekit.relay import halts
from servicekit.relay.errors import TopicAhead
from servicekit.relay.topic_end import FIRST_STEP
from testkit.relay_bench import PARTITIONS, Bench
from testkit.running import running
from testkit.waiting import eventually

pytestmark = pytest.mark.integration

FOREIGN: dict[str, tuple[bytes | None, list[tuple[str, bytes | None]]]] = {
    "a tombstone": (None, []),
    "a null header": (b"{}", [("ce_id", None), ("ce_shard", None)]),
    "a header that is no text": (b"{}", [("ce_shard", b"\xff")]),
    "a shard out of range": (b"{}", [("ce_specversion", b"1.0"), ("ce_shard", b"70000"), ("ce_sequence", b"1")]),
}


async def add(bench: Bench, kind: str, count: int) -> None:
    value, headers = FOREIGN[kind]
    producer = AIOKafkaProducer(bootstrap_servers=bench.bootstrap)
    await producer.start()
    try:
        for partition in range(PARTITIONS):
            for _ in range(count):
                await producer.send(bench.topic, value, key=b"k", partition=partition, headers=headers)
        await producer.flush()
    finally:
        await producer.stop()


@pytest.mark.parametrize("kind", FOREIGN)
async def test_what_is_no_event_at_the_end_is_stepped_over(bench: Bench, kind: str) -> None:
    await bench.write(range(SHARDS), 1, 5)
    async with running(bench.relay("a")):
        await eventually(lambda: bench.has_cursors(dict.fromkeys(range(SHARDS), 5)))
    await add(bench, kind, 1)

    async with running(bench.relay("b")):
        await bench.write(range(SHARDS), 6, 9)
        await eventually(lambda: bench.has_cursors(dict.fromkeys(range(SHARDS), 9)))


async def test_a_restore_behind_many_records_that_are_no_events_is_seen(bench: Bench) -> None:
    await bench.write([7], 1, 20)
    async with running(bench.relay("a")):
        await eventually(lambda: bench.has_cursors({7: 20}))
    await add(bench, "a tombstone", 2 * FIRST_STEP)
    async with bench.pool.connection() as connection:
        await connection.execute("delete from outbox.journal where seq > 15")
        await connection.execute("update servicekit.relay_lease set cursor = 15 where shard = 7")

    with pytest.raises(TopicAhead):
        await bench.relay("b").run(Shutdown())

    async with bench.pool.connection() as connection:
        assert [(halt.shard, halt.sequence) for halt in await halts.active(connection)] == [(7, 20)]

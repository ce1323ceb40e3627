"""Watermarks as a relay writes them, and what is in a topic of them."""

from collections.abc import Iterable
from datetime import datetime

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from contracts.watermarks import Watermark, from_record, to_record
from servicekit.postgres import Connection


async def write_watermarks(bootstrap_servers: str, topic: str, watermarks: Iterable[Watermark]) -> None:
    """Write *watermarks* in their order."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all")
    await producer.start()
    try:
        for watermark in watermarks:
            key, value = to_record(watermark)
            await producer.send_and_wait(topic, value, key=key, partition=0)
    finally:
        await producer.stop()


async def read_watermarks(bootstrap_servers: str, topic: str) -> list[Watermark]:
    """Return what *topic* has, in its order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False)
    await consumer.start()
    try:
        part = TopicPartition(topic, 0)
        end = (await consumer.end_offsets([part]))[part]
        consumer.assign([part])
        consumer.seek(part, 0)
        found = []
        while await consumer.position(part) < end:
            polled = await consumer.getmany(timeout_ms=100)
            found += [from_record(record.value) for record in polled.get(part, ())]
        return found
    finally:
        await consumer.stop()


_COMPLETE = """
    insert into servicekit.watermark (projection, shard, known_seq, known_at, covered_seq, covered_at)
    select 'transaction_history', s, 0, t.at, 0, t.at
    from generate_series(0, 63) as s, (select coalesce($1::timestamptz, now()) as at) as t
    on conflict (projection, shard) do update
        set known_seq = 0, known_at = excluded.known_at, covered_seq = 0, covered_at = excluded.covered_at"""


async def complete(connection: Connection, until: datetime | None = None) -> None:
    """Have every shard of the history be read at *until*, None for now: it is complete up to 20 s before."""
    await connection.execute(_COMPLETE, until)

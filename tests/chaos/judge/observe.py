"""Looking at what is there, with statements and a Kafka reader of our own."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from tests.chaos.judge.observed import PARTITIONS, Observed, Projected, Record, Row, Samples, Wallet
from tests.chaos.platform.platform import Connections
from tests.chaos.platform.product import Consumer

TOPIC = "wallet.events"
FOREIGN_KEY = b"foreign"
"""The key of what a run itself writes to a topic that is no event."""
POLL_MS = 500
EMPTY_POLLS_MAX = 20

_JOURNAL = """
    select shard, seq, event_id::text, account_id::text as wallet_id, system_account, version,
           transaction_id::text, currency, posted_delta, posted_after, payload, held_delta, held_after
    from wallet.journal order by shard, seq"""
_WALLETS = """
    select id::text, posted_minor, version, -overdraft_limit_minor as floor_minor, held_minor from wallet.wallet"""
_OPEN_HOLDS = """
    select wallet_id::text, sum(cap_minor - used_minor)::bigint as held_minor from wallet.state
     where kind = 2 and status = 0 group by wallet_id"""
_KEYS = "select key, part, resource_id::text from wallet.idempotency"
_READ_ROWS = """
    select seq, event_id::text, case when transaction_id is not null then amount_minor end as amount_minor
    from transaction_history.entry
    union all select seq, event_id::text, amount_minor from transaction_history.system_entry
    union all select seq, event_id::text, null from transaction_history.state_change"""
_CONSTRAINTS = "select conname from pg_constraint where connamespace = 'wallet'::regnamespace"
_REFUSAL = re.compile(r'violates \w+ constraint "(\w+)"')
_CHECKPOINTS = "select shard, last_seq from servicekit.checkpoint where projection = $1"
# One statement, so one snapshot.
_TOTALS = """
    select (select coalesce(sum(posted_minor), 0) from wallet.wallet)::bigint as wallets,
           (select coalesce(sum(posted_delta), 0) from wallet.journal
            where system_account is not null)::bigint as system"""


async def observe(connections: Connections, records: list[Record], samples: Samples) -> Observed:
    """Read the ledger and the read model; *records* are what the topic holds, or held."""
    wallet, history = connections["wallet"], connections["transaction_history"]
    journal = [Row(**dict(row)) for row in await wallet.fetch(_JOURNAL)]
    read_wallets = await history.fetch("select wallet_id::text, posted_minor, version from transaction_history.wallet")
    return Observed(
        wallets={
            row["id"]: Wallet(row["posted_minor"], row["version"], row["floor_minor"], row["held_minor"])
            for row in await wallet.fetch(_WALLETS)
        },
        journal=journal,
        keys={(row["key"], row["part"]): row["resource_id"] for row in await wallet.fetch(_KEYS)},
        records=records,
        read_wallets={row["wallet_id"]: Wallet(row["posted_minor"], row["version"]) for row in read_wallets},
        read_rows=[Projected(**dict(row)) for row in await history.fetch(_READ_ROWS)],
        samples=samples,
        open_holds={row["wallet_id"]: row["held_minor"] for row in await wallet.fetch(_OPEN_HOLDS)},
    )


async def heads(connections: Connections, consumer: Consumer) -> dict[int, int]:
    """Return the highest sequence of each shard that has one, of what *consumer* is to reach."""
    service, table = consumer.heads
    rows = await connections[service].fetch(f"select shard, max(seq) as seq from {table} group by shard")
    return {row["shard"]: row["seq"] for row in rows}


async def checkpoints(connections: Connections, consumer: Consumer) -> dict[int, int]:
    """Return how far *consumer* is in each shard."""
    rows = await connections[consumer.service].fetch(_CHECKPOINTS, consumer.group)
    return {row["shard"]: row["last_seq"] for row in rows}


async def sample(connections: Connections, consumers: Sequence[Consumer], samples: Samples) -> None:
    """Take one sample of totals and checkpoints."""
    row = await connections["wallet"].fetchrow(_TOTALS)
    assert row is not None
    samples.total(row["wallets"], row["system"])
    for consumer in consumers:
        for shard, last_seq in (await checkpoints(connections, consumer)).items():
            samples.checkpoint(consumer.group, shard, last_seq)


async def state_hash(connection: asyncpg.Connection, tables: Sequence[str]) -> str:
    """Return a digest of every column of every row of *tables*."""
    digest = hashlib.sha256()
    for table in tables:
        rows = await connection.fetch(f"select t::text as row from {table} as t order by 1")
        digest.update(table.encode() + b"".join(row["row"].encode() + b"\n" for row in rows))
    return digest.hexdigest()


async def refusals(connections: Connections, log: str) -> dict[str, int]:
    """Return how often each constraint of the ledger's tables has refused something, from the server's *log*."""
    own = {row["conname"] for row in await connections["wallet"].fetch(_CONSTRAINTS)}
    return {name: count for name, count in Counter(_REFUSAL.findall(log)).items() if name in own}


async def raw_records(
    bootstrap_servers: str, topic: str = TOPIC, partitions: int = PARTITIONS
) -> list["ConsumerRecord[bytes, bytes]"]:
    """Return every record that *topic* holds now, in the order of each partition, but what is foreign to it."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False)
    await consumer.start()
    try:
        parts = [TopicPartition(topic, number) for number in range(partitions)]
        begins, ends = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
        consumer.assign(parts)
        for partition in parts:
            consumer.seek(partition, begins[partition])
        return await _read_to(consumer, {part: end for part, end in ends.items() if end > begins[part]})
    finally:
        await consumer.stop()


async def _read_to(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> list["ConsumerRecord[bytes, bytes]"]:
    found: list[ConsumerRecord[bytes, bytes]] = []
    empty_polls = 0
    while any([await consumer.position(partition) < end for partition, end in ends.items()]):
        polled = await consumer.getmany(*ends, timeout_ms=POLL_MS)
        empty_polls = 0 if polled else empty_polls + 1
        assert empty_polls < EMPTY_POLLS_MAX, "the topic cannot be read to its end"
        for partition, records in polled.items():
            found.extend(record for record in records if record.offset < ends[partition] and record.key != FOREIGN_KEY)
    return found


def parse(records: Sequence["ConsumerRecord[bytes, bytes]"]) -> list[Record]:
    """Return the records with what their headers say."""
    return [_parse(record) for record in records]


def _parse(record: "ConsumerRecord[bytes, bytes]") -> Record:
    headers = {name: value.decode() for name, value in record.headers}
    version = headers.get("ce_walletversion")
    return Record(
        partition=record.partition,
        offset=record.offset,
        shard=int(headers["ce_shard"]),
        seq=int(headers["ce_sequence"]),
        event_id=headers["ce_id"],
        wallet_id=headers["ce_subject"],
        version=None if version is None else int(version),
        payload=record.value or b"",
    )

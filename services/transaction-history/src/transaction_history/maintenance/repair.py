"""Repair: what is stored of one wallet is written anew from the topic, while no projection writes.

The wallet's own rows are deleted and made again from its events. What it shares with others is told again:

- a transaction from the entries of all its wallets as they are stored, this one's being right by then;
- the index's totals of the wallet's shard from every event of that shard.

Totals by minute are left alone: they are forgotten soon.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import structlog

from contracts.ids import new_id, shard_of
from servicekit.brokers import Brokers
from servicekit.consumer import checkpoints, operations
from servicekit.consumer.records import Received
from servicekit.consumer.topic_reader import PartitionReader, open_partition
from servicekit.postgres import Connection, Transaction, connect, transaction, trial
from transaction_history.domain.folds import Rows, fold
from transaction_history.domain.index import fold as fold_index
from transaction_history.domain.index_drift import Totals
from transaction_history.domain.private_text import PrivateText
from transaction_history.domain.rows import WalletRow
from transaction_history.domain.terms import Hasher
from transaction_history.domain.touched import Parsed, taken_back
from transaction_history.indexing.index_postgres import PostgresIndex
from transaction_history.indexing.projection import INDEX, sealed
from transaction_history.maintenance.comparing import distinct, parsed_event
from transaction_history.maintenance.drift_reads import stored_transactions, told_of
from transaction_history.maintenance.folds import is_current
from transaction_history.maintenance.index_comparing import LATEST
from transaction_history.maintenance.sessions import COMMAND_TIMEOUT_S, SESSION
from transaction_history.projection.projection import write
from transaction_history.projection.read_model_postgres import SCHEMA, PostgresReadModel

EVENTS_MAX: Final = 200_000
"""Of one wallet: they are kept in memory. A larger one is a rebuild."""
CATCHES_UP_S: Final = 60.0
_POLL_S: Final = 0.1
_PORTION: Final = 5_000

_log = structlog.get_logger(__name__)

_LOCK: Final = """
    select projection, shard, last_seq from servicekit.checkpoint where projection = any ($1::text[])
    order by projection, shard for no key update"""
_SHARED: Final = f"""
    select transaction_id as id from {SCHEMA}.entry where wallet_id = $1 and transaction_id is not null
    union select related_transaction_id from {SCHEMA}.entry where wallet_id = $1 and refund_minor is not null"""
_RECORD: Final = """
    insert into history_jobs.repair (id, wallet_id, events, as_of_seq, repaired_by, repaired_at)
    values ($1, $2, $3, $4, $5, clock_timestamp())"""

# What clients have of rows that are written anew is not what is there, though nothing has happened.
_ADD_GENERATION: Final = """
    insert into history_jobs.generation as g (projection, number) select unnest($1::text[]), 1
    on conflict (projection) do update set number = g.number + 1"""


class RepairError(Exception):
    """The wallet cannot be repaired; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair did: from how many of the wallet's events, and how many transactions it told again.

    *has_totals*: the shard's totals were written too, which they are not while one of its wallets is parked.
    """

    events: int
    transactions: int
    has_totals: bool


@dataclass(slots=True)
class _Read:
    """What was read of the wallet's shard: up to *come*, before *offset*."""

    come: int = 0
    offset: int = 0
    events: list[Parsed] = field(default_factory=list)


class Repair:
    """Repairs one wallet, over a connection of the owner role."""

    def __init__(
        self, wallet_id: UUID, *, index: PostgresIndex, private_text: PrivateText, hasher: Hasher, operator: str
    ) -> None:
        self._wallet_id = wallet_id
        self._shard = shard_of(wallet_id)
        self._index = index
        self._private_text = private_text
        self._hasher = hasher
        self._operator = operator
        self._model = PostgresReadModel(SCHEMA)
        self._read = _Read()
        self._totals = Totals(0)
        self._has_totals = True

    async def run(self, owner_dsn: str, *, brokers: Brokers, topic: str, dry_run: bool = False) -> Repaired:
        """Read the shard's events, write the wallet's rows anew, and record it; a *dry_run* takes all of it back.

        Raises RepairError where the topic lacks events, the wallet is parked, or a projection stays behind.
        """
        owner = await connect(
            owner_dsn, application_name="repair", command_timeout_s=COMMAND_TIMEOUT_S, session=SESSION
        )
        try:
            partition = await checkpoints.partition_of_shard(owner, SCHEMA, self._shard)
            if partition is None or not await is_current(owner, SCHEMA):
                raise RepairError("nothing of the wallet's shard was projected by this release")
            await self._look_at_parked(owner)
            async with open_partition(brokers, topic, partition) as reader:
                await self._read_on(reader, None)
                await self._until_projected(owner)
                async with (trial if dry_run else transaction)(owner) as tx:
                    return await self._repair(tx, reader)
        finally:
            await owner.close()

    async def _read_on(self, reader: PartitionReader, until: Mapping[str, int] | None) -> None:
        """Take what the topic has more of the shard; with *until*, a sequence by projection, no more than that."""
        await reader.seek(self._read.offset)
        while polled := await reader.next_poll():
            self._read.offset = polled[-1].offset + 1
            of_shard = [record for record in distinct(polled) if record.shard == self._shard]
            wanted = [r for r in of_shard if until is None or r.sequence <= max(until.values())]
            await self._take(wanted, None if until is None else until[INDEX])

    async def _take(self, records: Sequence[Received], counted_until: int | None) -> None:
        counted: list[Parsed] = []
        for record in records:
            if record.sequence <= self._read.come:
                continue
            if record.sequence > self._read.come + 1:
                raise RepairError(f"the topic lacks sequence {self._read.come + 1} of shard {self._shard}")
            self._read.come = record.sequence
            parsed = parsed_event(record)
            if parsed is None:
                continue
            if record.subject == self._wallet_id:
                self._read.events.append(parsed)
            if self._has_totals and (counted_until is None or record.sequence <= counted_until):
                counted.append(parsed)
        if len(self._read.events) > EVENTS_MAX:
            raise RepairError(f"the wallet has more than {EVENTS_MAX} events: rebuild instead")
        texts = await self._private_text.opened([sealed(*each) for each in counted])
        known = [(event, data, text) for (event, data), text in zip(counted, texts, strict=True)]
        self._totals.add(fold_index(known, self._totals.held, self._hasher, now=LATEST))

    async def _until_projected(self, connection: Connection) -> None:
        """Wait until both projections have come to what was read."""
        try:
            async with asyncio.timeout(CATCHES_UP_S):
                while not all(  # noqa: ASYNC110  the event is in the database
                    [await self._reached(connection, name) >= self._read.come for name in (SCHEMA, INDEX)]
                ):
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise RepairError("a projection is behind the topic: are projector and indexer running?") from None

    async def _reached(self, connection: Connection, projection: str) -> int:
        return (await checkpoints.reached(connection, projection, [self._shard])).get(self._shard, 0)

    async def _repair(self, tx: Transaction, reader: PartitionReader) -> Repaired:
        locked = await tx.connection.fetch(_LOCK, [SCHEMA, INDEX])
        until = {row["projection"]: row["last_seq"] for row in locked if row["shard"] == self._shard}
        await self._look_at_parked(tx.connection)
        await self._read_on(reader, until)
        if self._read.come < max(until.values()):
            raise RepairError("the topic does not reach the projections' checkpoints")
        if not self._read.events:
            raise RepairError("the topic has no event of this wallet")
        transactions = await self._write_ledger(tx, until[SCHEMA])
        await self._write_index(tx, until[INDEX])
        count = len(self._read.events)
        await tx.connection.execute(_ADD_GENERATION, [SCHEMA, INDEX])
        await tx.connection.execute(_RECORD, new_id(), self._wallet_id, count, until[SCHEMA], self._operator)
        _log.info("history.wallet_repaired", wallet_id=str(self._wallet_id), events=count, as_of_seq=until[SCHEMA])
        return Repaired(count, transactions, self._has_totals)

    async def _look_at_parked(self, connection: Connection) -> None:
        """Raise RepairError where the wallet is parked; where another one of the shard is, leave its totals alone."""
        parked = {
            each.subject for name in (SCHEMA, INDEX) for each in await operations.parked_subjects(connection, name)
        }
        if self._wallet_id in parked:
            raise RepairError("the wallet is parked: unpark it first")
        self._has_totals = self._has_totals and all(shard_of(subject) != self._shard for subject in parked)

    async def _write_ledger(self, tx: Transaction, until: int) -> int:
        """Write the wallet's rows anew, and tell its transactions again; return how many these are."""
        events = [each for each in self._read.events if each[0].sequence <= until]
        shared = {row["id"] for row in await tx.connection.fetch(_SHARED, self._wallet_id)}
        shared |= {event.transaction_id for event, _ in events if event.transaction_id is not None}
        await tx.connection.execute(
            f"delete from {SCHEMA}.system_entry where wallet_id = $1 and transaction_id = any ($2::uuid[])",
            self._wallet_id,
            list(shared),
        )
        for table in ("entry", "state_change", "hold", "balance_day", "wallet"):
            await tx.connection.execute(f"delete from {SCHEMA}.{table} where wallet_id = $1", self._wallet_id)
        known: dict[UUID, WalletRow] = {}
        for begin in range(0, len(events), _PORTION):
            rows = fold(events[begin : begin + _PORTION], known)
            told = await write(self._model, tx, rows, known)
            shared |= {row.transaction_id for row in told}
            known = {wallet.wallet_id: wallet for wallet in rows.wallets}
        ordered = sorted(shared)
        for begin in range(0, len(ordered), _PORTION):
            await self._tell_again(tx, set(ordered[begin : begin + _PORTION]))
        return len(shared)

    async def _tell_again(self, tx: Transaction, ids: set[UUID]) -> None:
        """Write the transactions *ids* as their entries, and those of what takes them back, tell them."""
        stored = await stored_transactions(tx.connection, ids)
        refunds = {each for row in stored.values() for each in row.refunds}
        refunds |= {
            event.transaction_id
            for event, data in self._read.events
            if event.transaction_id is not None and taken_back(data) in ids
        }
        told = Rows()
        for row in await told_of(tx.connection, ids | refunds):
            told.add(row)
        await tx.connection.execute(f"delete from {SCHEMA}.transaction where transaction_id = any ($1)", list(ids))
        await self._model.tell_transactions(tx, [row for row in told.transactions if row.transaction_id in ids])

    async def _write_index(self, tx: Transaction, until: int) -> None:
        events = [each for each in self._read.events if each[0].sequence <= until]
        texts = await self._private_text.opened([sealed(*each) for each in events])
        known = [(event, data, text) for (event, data), text in zip(events, texts, strict=True)]
        rows = fold_index(known, {}, self._hasher, now=LATEST)
        for table in ("search_entry", "wallet_hour", "counterparty", "wallet_held"):
            await tx.connection.execute(f"delete from {INDEX}.{table} where wallet_id = $1", self._wallet_id)
        rows.days, rows.shards = {}, {}
        if self._has_totals:
            for table in ("day_total", "shard_total"):
                await tx.connection.execute(f"delete from {INDEX}.{table} where shard = $1", self._shard)
            rows.days, rows.shards = self._totals.counters.days, self._totals.counters.shards
        await self._index.add(tx, rows)

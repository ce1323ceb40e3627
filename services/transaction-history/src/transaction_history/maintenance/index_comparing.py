"""Comparing the index with the topic: its entries run by run, its counters where a whole partition is added up."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from contracts.envelope import Envelope
from contracts.events import EventData
from contracts.ids import shard_of
from servicekit.consumer import checkpoints, operations
from servicekit.consumer.records import Received
from servicekit.consumer.topic_reader import PartitionReader
from servicekit.postgres import Connection
from transaction_history.domain.drift import in_order
from transaction_history.domain.index import AHEAD_MAX, fold
from transaction_history.domain.index_drift import (
    Counters,
    Held,
    Totals,
    counter_differences,
    search_differences,
)
from transaction_history.domain.index_rows import (
    Counterparty,
    IndexRows,
    Opposite,
    SearchRow,
    ShardTotal,
    Traffic,
    WalletHour,
)
from transaction_history.domain.private_text import PrivateText
from transaction_history.domain.terms import Hasher
from transaction_history.domain.touched import touched
from transaction_history.indexing.index_postgres import SEARCH_COLUMNS
from transaction_history.indexing.projection import INDEX, sealed
from transaction_history.maintenance.comparing import DIFFERENCES_MAX, Compared, distinct, parsed_event

TAIL_MAX: Final = 5_000
"""Events that came while a partition was gone through, added up at once."""
WALLETS_AT_ONCE: Final = 500
LATEST: Final = datetime.max.replace(tzinfo=UTC) - AHEAD_MAX
"""No minute is kept, and nothing is dated ahead: what is compared was indexed."""
_SEARCH: Final = f"""
    select {", ".join(f"r.{name}" for name in SEARCH_COLUMNS)}
    from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) as w (id, since, until)
    join {INDEX}.search_entry r on r.wallet_id = w.id and r.occurred_at between w.since and w.until"""
_OF_WALLETS: Final = "select * from {table} where wallet_id = any ($1::uuid[])"
_OF_SHARDS: Final = "select * from {table} where shard = any ($1::smallint[])"


class IndexComparing:
    """Compares the index: it begins each partition at its beginning, for the counters are of all events."""

    name = INDEX
    resumes = False

    def __init__(self, private_text: PrivateText, hasher: Hasher) -> None:
        self._private_text = private_text
        self._hasher = hasher
        self.begin(0)

    def begin(self, turn: int) -> None:
        """Forget what was added up."""
        self._totals = Totals(turn)
        self._come: dict[int, int] = {}
        self._broken: set[int] = set()
        self._next_offset = 0

    async def compare(self, connection: Connection, received: Sequence[Received]) -> Compared:
        """Compare the entries of *received* records as of one instant, and add their counters up."""
        records = distinct(received)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            reached = await checkpoints.reached(connection, INDEX, {record.shard for record in records})
            parked = await _parked(connection)
            rows = await self._add(records, parked)
            compared = [
                event
                for record in records
                if record.sequence <= reached.get(record.shard, 0)
                and record.subject not in parked
                and (event := parsed_event(record)) is not None
            ]
            seen = touched(compared)
            windows = [(key, each.since, each.until) for key, each in seen.windows.items()]
            columns = [list(column) for column in zip(*windows, strict=True)] or [[], [], []]
            stored = [SearchRow(**dict(row)) for row in await connection.fetch(_SEARCH, *columns)]
        expected = [row for row in rows.search if row.seq <= reached.get(row.shard, 0)]
        found = in_order(search_differences(expected, stored, seen))[:DIFFERENCES_MAX]
        return Compared(len(compared), len(records) - len(compared), found)

    async def end(self, connection: Connection, reader: PartitionReader) -> Compared:
        """Compare the counters of each shard whose events are all added up, up to where the index has come to."""
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            reached = await checkpoints.reached(connection, INDEX, self._come)
            parked = await _parked(connection)
            await self._add_tail(reader, reached, parked)
            left = self._left_out(reached, {shard_of(subject) for subject in parked})
            positions = {shard: seq for shard, seq in self._come.items() if shard not in left}
            stored = await self._stored(connection, positions)
        found = in_order(counter_differences(self._totals.counters, stored, positions, shard_of))
        notes = [f"counters of shard {shard}: {reason}" for shard, reason in sorted(left.items())]
        return Compared(differences=found[:DIFFERENCES_MAX], notes=notes)

    def _left_out(self, reached: Mapping[int, int], parked: Collection[int]) -> dict[int, str]:
        """Return the shards whose counters cannot be compared, each with why."""
        left = {}
        for shard, seq in self._come.items():
            if shard in self._broken:
                left[shard] = "the topic lacks events of it"
            elif shard in parked:
                left[shard] = "it has parked wallets"
            elif reached.get(shard, 0) != seq:
                left[shard] = "the index is not where the topic was read to"
            elif self._totals.is_too_wide:
                left[shard] = "there are too many"
        return left

    async def _add_tail(self, reader: PartitionReader, reached: Mapping[int, int], parked: Collection[UUID]) -> None:
        """Add up what came since the partition's end was looked at."""
        await reader.seek(self._next_offset)
        left = TAIL_MAX
        while left > 0 and any(reached.get(shard, 0) > seq for shard, seq in self._come.items()):
            polled = await reader.next_poll(records_max=left)
            if not polled:
                return
            left -= len(polled)
            due = [record for record in distinct(polled) if record.sequence <= reached.get(record.shard, 0)]
            await self._add(due, parked)

    async def _add(self, records: Sequence[Received], parked: Collection[UUID]) -> IndexRows:
        """Add up *records* that continue their shards; return their rows."""
        following = []
        for record in records:
            self._next_offset = max(self._next_offset, record.offset + 1)
            come = self._come.setdefault(record.shard, 0)
            if record.sequence > come + 1:
                self._broken.add(record.shard)
            if record.sequence <= come:
                continue
            self._come[record.shard] = record.sequence
            event = parsed_event(record)
            if record.subject not in parked and event is not None:
                following.append(event)
        rows = await self._folded(following)
        self._totals.add(rows)
        return rows

    async def _folded(self, parsed: Sequence[tuple[Envelope, EventData]]) -> IndexRows:
        texts = await self._private_text.opened([sealed(event, data) for event, data in parsed])
        known = [(event, data, text) for (event, data), text in zip(parsed, texts, strict=True)]
        return fold(known, self._totals.held, self._hasher, now=LATEST)

    async def _stored(self, connection: Connection, positions: Mapping[int, int]) -> Counters:
        stored, shards = Counters(), list(positions)
        for row in await connection.fetch(_OF_SHARDS.format(table=f"{INDEX}.day_total"), shards):
            key = (row["tenant_id"], row["day"], row["currency"], row["type"], row["shard"])
            stored.days[key] = Traffic(**_flow(row), transactions=row["transactions"])
        for row in await connection.fetch(_OF_SHARDS.format(table=f"{INDEX}.shard_total"), shards):
            total = ShardTotal(int(row["wallets"]), int(row["posted"]), int(row["held"]))
            stored.shards[row["tenant_id"], row["currency"], row["shard"]] = total
        wallets = [wallet_id for wallet_id in self._totals.wallets if shard_of(wallet_id) in positions]
        for begin in range(0, len(wallets), WALLETS_AT_ONCE):
            await _add_wallets(connection, stored, wallets[begin : begin + WALLETS_AT_ONCE])
        return stored


async def _add_wallets(connection: Connection, stored: Counters, wallets: Sequence[UUID]) -> None:
    for row in await connection.fetch(_OF_WALLETS.format(table=f"{INDEX}.wallet_hour"), wallets):
        stored.hours[row["wallet_id"], row["hour"]] = WalletHour(**_flow(row), **_of_wallet(row))
    for row in await connection.fetch(_OF_WALLETS.format(table=f"{INDEX}.counterparty"), wallets):
        opposite = Opposite(row["counterparty_wallet_id"], row["counterparty_account"])
        stored.counterparties[row["wallet_id"], opposite] = Counterparty(
            **_flow(row),
            **_of_wallet(row),
            counterparty_owner_id=row["counterparty_owner_id"],
            first_at=row["first_at"],
            last_at=row["last_at"],
        )
    for row in await connection.fetch(_OF_WALLETS.format(table=f"{INDEX}.wallet_held"), wallets):
        stored.held[row["wallet_id"]] = Held(row["held_minor"])


async def _parked(connection: Connection) -> set[UUID]:
    return {each.subject for each in await operations.parked_subjects(connection, INDEX)}


def _flow(row: Any) -> dict[str, Any]:
    return {
        "entries": row["entries"],
        "credits_minor": int(row["credits"]),
        "debits_minor": int(row["debits"]),
    }


def _of_wallet(row: Any) -> dict[str, Any]:
    return {name: row[name] for name in ("shard", "tenant_id", "owner_id", "currency")}

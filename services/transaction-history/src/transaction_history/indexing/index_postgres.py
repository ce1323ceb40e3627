"""The index's writing side in PostgreSQL: one statement per table, whatever the number of rows."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from msgspec.structs import astuple

from contracts.ids import shard_of
from servicekit.postgres import Transaction
from transaction_history.domain.index_rows import IndexRows, SearchRow, Traffic

SEARCH_COLUMNS: Final = SearchRow.__struct_fields__


class PostgresIndex:
    """Writes to the tables in *schema*. *segment* is the width of the partitions it makes: day, week or month."""

    def __init__(self, schema: str, *, segment: str) -> None:
        self._schema = schema
        self._segment = segment
        self._hours = _adding(
            f"{schema}.wallet_hour",
            {"wallet_id": "uuid", "hour": "timestamptz"},
            {"shard": "smallint", "tenant_id": "uuid", "owner_id": "text", "currency": "text"},
            _FLOW,
        )
        self._counterparties = _adding(
            f"{schema}.counterparty",
            {"wallet_id": "uuid", "counterparty_wallet_id": "uuid", "counterparty_account": "text"},
            {
                "counterparty_owner_id": "text",
                "shard": "smallint",
                "tenant_id": "uuid",
                "owner_id": "text",
                "currency": "text",
            },
            {**_FLOW, "first_at": "least", "last_at": "greatest"},
        )
        by_time = {"currency": "text", "type": "text", "shard": "smallint"}
        traffic = {"transactions": "bigint", **_FLOW}
        self._days = _adding(f"{schema}.day_total", {"tenant_id": "uuid", "day": "date", **by_time}, {}, traffic)
        self._minutes = _adding(
            f"{schema}.minute_total", {"tenant_id": "uuid", "minute": "timestamptz", **by_time}, {}, traffic
        )
        self._shards = _adding(
            f"{schema}.shard_total",
            {"tenant_id": "uuid", "currency": "text", "shard": "smallint"},
            {},
            {"wallets": "bigint", "posted": "bigint", "held": "bigint"},
        )
        self._held = f"select wallet_id, held_minor from {schema}.wallet_held where wallet_id = any ($1::uuid[])"
        self._keep_held = f"""
            insert into {schema}.wallet_held (wallet_id, shard, held_minor)
            select * from unnest($1::uuid[], $2::smallint[], $3::bigint[])
            on conflict (wallet_id) do update set held_minor = excluded.held_minor"""

    async def now(self, tx: Transaction) -> datetime:
        """Return the database's time."""
        now: datetime = await tx.connection.fetchval("select clock_timestamp()")
        return now

    async def held(self, tx: Transaction, wallet_ids: Collection[UUID]) -> dict[UUID, int]:
        """Return what is held of those of *wallet_ids* that ever had something held."""
        records = await tx.connection.fetch(self._held, list(wallet_ids))
        return {record["wallet_id"]: record["held_minor"] for record in records}

    async def add(self, tx: Transaction, rows: IndexRows) -> None:
        """Write *rows*, their partitions first: a missing one would park every wallet of the poll."""
        await self._add_entries(tx, rows.search)
        await _execute(tx, self._hours, [(*key, *_of_wallet(each), *_flow(each)) for key, each in rows.hours.items()])
        others = [
            (
                wallet_id,
                *opposite,
                each.counterparty_owner_id,
                *_of_wallet(each),
                *_flow(each),
                each.first_at,
                each.last_at,
            )
            for (wallet_id, opposite), each in rows.counterparties.items()
        ]
        await _execute(tx, self._counterparties, others)
        await _execute(tx, self._days, _traffic(rows.days))
        await _execute(tx, self._minutes, _traffic(rows.minutes))
        await _execute(tx, self._shards, [(*key, *astuple(each)) for key, each in rows.shards.items()])
        held = [(wallet_id, shard_of(wallet_id), minor) for wallet_id, minor in rows.held.items()]
        await _execute(tx, self._keep_held, held)

    async def _add_entries(self, tx: Transaction, rows: Sequence[SearchRow]) -> None:
        if not rows:
            return
        days = {row.occurred_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) for row in rows}
        await tx.connection.execute(
            f"select {self._schema}.ensure_search_segments($1, $2, true)", sorted(days), self._segment
        )
        await tx.connection.copy_records_to_table(
            "search_entry", schema_name=self._schema, columns=SEARCH_COLUMNS, records=map(astuple, rows)
        )


_FLOW: Final = {"entries": "bigint", "credits": "bigint", "debits": "bigint"}


def _adding(table: str, key: Mapping[str, str], fixed: Mapping[str, str], counted: Mapping[str, str]) -> str:
    """Return the statement that adds to the rows of *table* by their *key*, in one order whoever writes.

    The values of *fixed* are those of the row's first event; of *counted*, `least` and `greatest` keep an instant.
    """
    kept = {"least": "timestamptz", "greatest": "timestamptz"}
    types = {**key, **fixed, **{name: kept.get(kind, kind) for name, kind in counted.items()}}
    arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(types.values(), start=1))
    names = ", ".join(types)
    changes = ", ".join(
        f"{name} = {kind}(t.{name}, excluded.{name})" if kind in kept else f"{name} = t.{name} + excluded.{name}"
        for name, kind in counted.items()
    )
    return f"""
        insert into {table} as t ({names})
        select * from unnest({arrays}) as n ({names}) order by {", ".join(key)}
        on conflict ({", ".join(key)}) do update set {changes}"""


async def _execute(tx: Transaction, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Run *statement* on the columns of *rows*, if there are any."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    if columns:
        await tx.connection.execute(statement, *columns)


def _of_wallet(row: Any) -> tuple[Any, ...]:
    return row.shard, row.tenant_id, row.owner_id, row.currency


def _flow(row: Any) -> tuple[int, int, int]:
    return row.entries, row.credits_minor, row.debits_minor


def _traffic(rows: Mapping[Any, Traffic]) -> list[tuple[Any, ...]]:
    return [(*key, each.transactions, *_flow(each)) for key, each in rows.items()]

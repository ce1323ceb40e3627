"""The lines of a statement, read from the ledger some thousands at a time, each time in a transaction of its own."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Final

from contracts.events import Private
from servicekit.tenant_pool import TenantPool
from transaction_history.domain.closing import Statement
from transaction_history.domain.private_text import PrivateText, Sealed, stored_private
from transaction_history.domain.statement import StatementLine
from transaction_history.projection.read_model_postgres import SCHEMA

if TYPE_CHECKING:
    import asyncpg

CHUNK_ROWS: Final = 2_500
# By what the wallet's totals count: a line's number is the wallet's entries with it less those before the statement.
_LINES: Final = f"""
    select version, occurred_at, transaction_type, type, private, counterparty_wallet_id, counterparty_account,
           amount_minor, posted_minor_after, fees_after
    from {SCHEMA}.entry
    where wallet_id = $1 and tenant_id = $2 and owner_id = $3 and occurred_at < $4 and version between $5 and $6
      and (occurred_at, version) > ($7, $8) and entries_after between $9 and $10 and entry_index is not null
    order by occurred_at, version limit {CHUNK_ROWS}"""
# The last day that ended before a line: how far into a long statement its later volumes begin.
_DAY: Final = f"""
    select day from {SCHEMA}.balance_day
    where wallet_id = $1 and tenant_id = $2 and owner_id = $3 and day >= $4 and entries < $5
    order by day desc limit 1"""


class LineReader:
    """Reads lines of one tenant at a time; free text is read through *private*."""

    def __init__(self, tenants: TenantPool, private: PrivateText) -> None:
        self._tenants = tenants
        self._private = private

    async def label(self, statement: Statement) -> str | None:
        """Return what the wallet was called when the statement was closed."""
        sealed = Sealed(statement.tenant_id, statement.owner_id, stored_private(statement.private))
        (private,) = await self._private.opened([sealed])
        return private.label

    async def chunks(self, statement: Statement, after: int, upto: int) -> AsyncIterator[Sequence[StatementLine]]:
        """Yield the lines behind the first *after*, up to number *upto*, some at a time, oldest first."""
        before, last = statement.entries_before + after, min(statement.entries, upto) + statement.entries_before
        fees = statement.fees_before if after == 0 else None  # else those of the line before, which is read too
        at, version = await self._begin(statement, before) if after else statement.lines_from, 0
        owned = (statement.wallet_id, statement.tenant_id, statement.owner_id, statement.to_instant)
        while True:
            values = (*owned, statement.first_version, statement.last_version, at, version)
            least = before + 1 if fees is not None else before
            async with self._tenants.reading(statement.tenant_id) as connection:
                rows = await connection.fetch(_LINES, *values, least, last)
            is_over = len(rows) < CHUNK_ROWS
            if fees is None and rows:
                fees, rows = int(rows[0]["fees_after"]), rows[1:]
            if rows:
                assert fees is not None, "it is known from the first row on"
                yield _lines(rows, await self._opened(statement, rows), fees)
                fees, at, version = int(rows[-1]["fees_after"]), rows[-1]["occurred_at"], rows[-1]["version"]
            if is_over:
                return

    async def day_before(self, statement: Statement, before: int) -> date | None:
        """Return the last day of the statement that ended before the wallet's entry number *before*, if one did."""
        values = (statement.wallet_id, statement.tenant_id, statement.owner_id, statement.lines_from.date(), before)
        async with self._tenants.reading(statement.tenant_id) as connection:
            found: date | None = await connection.fetchval(_DAY, *values)
        return found

    async def _begin(self, statement: Statement, before: int) -> datetime:
        """Return an instant that no line behind the first *before* entries of the wallet occurred before."""
        day = await self.day_before(statement, before)
        return statement.lines_from if day is None else max(datetime.combine(day, time(), UTC), statement.lines_from)

    async def _opened(self, statement: Statement, rows: Sequence["asyncpg.Record"]) -> Sequence[Private]:
        owned = (statement.tenant_id, statement.owner_id)
        return await self._private.opened([Sealed(*owned, stored_private(row["private"])) for row in rows])


def _lines(rows: Sequence["asyncpg.Record"], texts: Sequence[Private], fees: int) -> list[StatementLine]:
    lines = []
    for row, text in zip(rows, texts, strict=True):
        other = row["counterparty_wallet_id"]
        lines.append(
            StatementLine(
                version=row["version"],
                occurred_at=row["occurred_at"],
                transaction_type=row["transaction_type"],
                event_type=row["type"],
                description=text.description,
                reference=text.reference,
                counterparty=row["counterparty_account"] if other is None else str(other),
                amount=row["amount_minor"],
                balance_after=row["posted_minor_after"],
                fee=int(row["fees_after"]) - fees,
            )
        )
        fees = int(row["fees_after"])
    return lines

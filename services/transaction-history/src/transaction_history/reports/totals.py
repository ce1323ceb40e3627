"""A tenant's totals by day as a source of files: as the index has counted them."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial
from typing import Final

import msgspec

from contracts.ids import SHARDS
from contracts.money import format_minor
from servicekit.consumer import checkpoints
from servicekit.read_model.projected import freshness
from servicekit.tenant_pool import TenantPool
from transaction_history.domain.jobs import Reason
from transaction_history.domain.reports import ReportRequest
from transaction_history.domain.tables import Cell, CellKind, Head
from transaction_history.exports.source import Chunk
from transaction_history.indexing.projection import INDEX
from transaction_history.jobs.working import JobRefused, Work

CHUNK_DAYS: Final = 31
_HEADS: Final = (
    *(Head(name, CellKind.CODE) for name in ("day", "currency", "type")),
    *(Head(name, CellKind.NUMBER) for name in ("transactions", "entries")),
    *(Head(name, CellKind.DECIMAL) for name in ("credits", "debits")),
)
_TOTALS: Final = f"""
    select day, currency, type, sum(transactions), sum(entries), sum(credits), sum(debits)
    from {INDEX}.day_total where tenant_id = $1 and day >= $2 and day < $3
    group by day, currency, type order by day, currency, type"""


class LedgerTotals:
    """The totals of whole UTC days, some days to a chunk."""

    heads: Sequence[Head] = _HEADS

    def __init__(self, tenants: TenantPool, work: Work, request: ReportRequest) -> None:
        assert request.since is not None
        assert request.until is not None
        self._tenants = tenants
        self._tenant_id = work.job.tenant_id
        self._until = request.until
        self._days = request.since.date(), request.until.date()

    async def chunk(self, after: str | None, room: int) -> Chunk:  # noqa: ARG002  days are a bound of their own
        """Return the rows of the days behind *after*; raises JobRefused where the index is not there yet."""
        first = self._days[0] if after is None else msgspec.json.decode(after, type=date)
        behind = min(first + timedelta(days=CHUNK_DAYS), self._days[1])
        async with self._tenants.reading(self._tenant_id) as connection:
            fresh = freshness(await checkpoints.progress(connection, INDEX), range(SHARDS))
            if fresh.complete_until is None or fresh.complete_until < self._until:
                raise JobRefused(Reason.NOT_COMPLETE)
            records = await connection.fetch(_TOTALS, self._tenant_id, first, behind)
        has_more = behind < self._days[1]
        return Chunk(
            len(records),
            partial(_rows, [tuple(record) for record in records]),
            msgspec.json.encode(behind).decode() if has_more else None,
        )


def _rows(records: Sequence[tuple[date, str, str, int, int, int, int]]) -> list[list[Cell]]:
    return [
        [
            day.isoformat(),
            currency,
            type_,
            int(transactions),
            int(entries),
            format_minor(int(credits_), currency),
            format_minor(int(debits), currency),
        ]
        for day, currency, type_, transactions, entries, credits_, debits in records
    ]

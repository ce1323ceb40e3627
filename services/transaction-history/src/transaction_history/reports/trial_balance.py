"""The trial balance as a source of files: what wallets and system accounts stand at, summed at an instant."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from contracts.money import format_minor
from servicekit.clock import monotonic_s
from transaction_history.domain.exports import ExportFilters
from transaction_history.domain.months import MADE_AROUND, first_id
from transaction_history.domain.reports import ReportRequest
from transaction_history.domain.tables import Cell, CellKind, Head
from transaction_history.exports.dataset import AS_OF
from transaction_history.exports.plan import Plan
from transaction_history.exports.reading_postgres import CHUNK_ROWS, ExportReader
from transaction_history.exports.source import Chunk
from transaction_history.jobs.rows import Snapshot
from transaction_history.jobs.working import Work
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.reports.datasets import BALANCES_AT

WALLETS: Final = "wallets"
"""The account that all wallets of a currency are."""
TOTAL: Final = "total"
_HEADS: Final = (
    *(Head(name, CellKind.CODE) for name in ("currency", "account")),
    *(Head(name, CellKind.DECIMAL) for name in ("debit", "credit", "balance")),
)
SPAN_MIN: Final = timedelta(seconds=1)
_FIRST_SPAN: Final = timedelta(hours=1)
SPAN_MAX: Final = timedelta(days=31)
QUICK_S: Final = 0.2
SLOW_S: Final = 1.0
_OPENED: Final = f"select min(opened_at) as opened_at from {SCHEMA}.wallet where tenant_id = $1"
_SIDES: Final = f"""
    select s.account, s.currency, sum(s.amount_minor)::numeric as amount from {SCHEMA}.system_entry as s
    where s.tenant_id = $1 and s.transaction_id >= $2 and s.transaction_id < $3 and s.occurred_at < $4
      and {AS_OF.format(alias="s").format(as_of="$5")}
    group by 1, 2"""

Balances = defaultdict[tuple[str, str], int]
"""Minor units by currency and account."""


class TrialBalance:
    """The balance of each account, and of each currency's accounts together, in one chunk."""

    heads: Sequence[Head] = _HEADS

    def __init__(self, reader: ExportReader, work: Work, request: ReportRequest, seen: Snapshot) -> None:
        assert request.until is not None
        self._reader = reader
        self._work = work
        self._tenant_id = work.job.tenant_id
        self._until = request.until
        self._seen = seen

    async def chunk(self, after: str | None, room: int) -> Chunk:  # noqa: ARG002  it is a few rows, whatever is asked
        """Return all rows."""
        balances: Balances = defaultdict(int)
        await self._add_wallets(balances)
        await self._add_system_accounts(balances)
        rows = _rows(balances)
        return Chunk(len(rows), partial(list, rows), None)

    async def _add_wallets(self, balances: Balances) -> None:
        posted = BALANCES_AT.column("balance_posted")
        assert posted is not None
        plan = Plan(
            BALANCES_AT,
            [posted],
            ExportFilters(),
            tenant_id=self._tenant_id,
            owners=None,
            seen=self._seen,
            given={"until": self._until},
        )
        after: str | None = None
        while True:
            self._work.go_on()
            records, after = await self._reader.chunk(self._tenant_id, plan, after, CHUNK_ROWS)
            for record in records:
                balances[record["currency_of_row"], WALLETS] += record["c0"]
            self._work.done_rows += len(records)
            if after is None:
                return

    async def _add_system_accounts(self, balances: Balances) -> None:
        """Add up the system accounts' sides, as many at a time as a short statement can."""
        (first,) = await self._reader.fetch(self._tenant_id, self._seen, _OPENED, (self._tenant_id,))
        if first["opened_at"] is None:
            return
        begin: datetime = first["opened_at"] - MADE_AROUND
        span, end = _FIRST_SPAN, self._until + MADE_AROUND
        while begin < end:
            self._work.go_on()
            behind, began = min(begin + span, end), monotonic_s()
            ids = first_id(begin), first_id(behind)
            values = (self._tenant_id, *ids, self._until, list(self._seen.as_of))
            sides = await self._reader.fetch(self._tenant_id, self._seen, _SIDES, values)
            for account, currency, amount in sides:
                balances[currency, account] += int(amount)
            took, begin = monotonic_s() - began, behind
            if took < QUICK_S:
                span = min(span * 2, SPAN_MAX)
            elif took > SLOW_S:
                span = max(span / 2, SPAN_MIN)


def _rows(balances: Balances) -> list[list[Cell]]:
    """Return a row per account, wallets first, and behind those of a currency their sum."""
    rows: list[list[Cell]] = []
    for currency in sorted({currency for currency, _ in balances}):
        accounts = sorted((account != WALLETS, account) for found, account in balances if found == currency)
        amounts = {account: balances[currency, account] for _, account in accounts}
        rows += [_row(currency, account, max(-minor, 0), max(minor, 0)) for account, minor in amounts.items()]
        debit, credit = (sum(max(sign * minor, 0) for minor in amounts.values()) for sign in (-1, 1))
        rows.append(_row(currency, TOTAL, debit, credit))
    return rows


def _row(currency: str, account: str, debit: int, credit: int) -> list[Cell]:
    return [currency, account, *(format_minor(minor, currency) for minor in (debit, credit, credit - debit))]

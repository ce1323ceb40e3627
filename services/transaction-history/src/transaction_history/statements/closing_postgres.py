"""Closing: lots of wallets, each lot in one transaction, whatever else is killed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from contracts.envelope import rfc3339
from contracts.history import STATEMENT_READY, StatementReady
from contracts.ids import new_id
from contracts.money import money
from servicekit.consumer import checkpoints
from servicekit.consumer.watermarks import complete_until
from servicekit.maintenance import Job as MaintenanceJob
from servicekit.maintenance import JobRun
from servicekit.postgres import Connection, Transaction
from servicekit.relay import outbox
from servicekit.relay.outbox import OutboxEvent
from transaction_history.domain.closing import (
    SETTLED,
    USUAL,
    Closed,
    Seen,
    Statement,
    Terms,
    added,
    close,
    files_ahead,
    timed,
)
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.rendering import LINES_PER_VOLUME
from transaction_history.statements import looking_postgres as looking
from transaction_history.statements.accounts_postgres import advance, keep_summed, retime
from transaction_history.statements.looking_postgres import Looked
from transaction_history.statements.metrics import StatementMetrics
from transaction_history.statements.rows import COLUMNS, column

_EVERY_S: Final = 1.0

_TYPES: Final = {
    **dict.fromkeys(("id", "tenant_id", "wallet_id"), "uuid[]"),
    **dict.fromkeys(("owner_id", "time_zone", "locale", "currency", "private"), "text[]"),
    **dict.fromkeys(("number", "holds_left_out", "issue"), "int[]"),
    **dict.fromkeys(("period_from", "period_to"), "date[]"),
    **dict.fromkeys(("from_instant", "to_instant", "lines_from", "complete_until", "closed_at"), "timestamptz[]"),
    **dict.fromkeys(("first_version", "last_version", "opening", "closing", "entries", "entries_before"), "bigint[]"),
    **dict.fromkeys(("credits", "debits", "fees", "fees_before"), "text[]::numeric[]"),
    **dict.fromkeys(("by_type", "holds"), "text[]::jsonb[]"),
}
_ADD: Final = f"""
    insert into history_jobs.statement ({", ".join(COLUMNS)})
    select * from unnest({", ".join(f"${place}::{_TYPES[name]}" for place, name in enumerate(COLUMNS, 1))})"""
_ASK: Final = """
    insert into history_jobs.statement_file (statement_id, issue, format, volume, tenant_id, status, due_at)
    select statement_id, issue, format, volume, tenant_id, 'queued', now()
    from unnest($1::uuid[], $2::smallint[], $3::text[], $4::int[], $5::uuid[])
        as n (statement_id, issue, format, volume, tenant_id)"""
_SERVE: Final = """
    insert into history_jobs.statement_tenant (tenant_id, served_at)
    select tenant_id, '-infinity' from unnest($1::uuid[]) as n (tenant_id) on conflict do nothing"""


class TooManyEntries(Exception):
    """The period has more entries than one transaction adds up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one transaction does: *wallets* are closed, whose *entries* are added up by type, a fraction of a second.

    Of a wallet with more than *summed* so many are added up at a time, and what they come to is kept.
    """

    wallets: int = 1_000
    entries: int = 100_000
    summed: int = 20_000


BOUNDS: Final = Bounds()


@dataclass(slots=True)
class _Lot:
    """What a transaction writes."""

    closed: list[tuple[Closed, Terms]] = field(default_factory=list)
    retimed: list[Looked] = field(default_factory=list)
    late: int = 0
    busy: int = 0

    @property
    def done(self) -> int:
        """How many wallets have come further."""
        return len(self.closed) + len(self.retimed) + self.busy


class Closing:
    """Closes periods that have ended; any number of processes do so side by side, each wallet once.

    The ledger is complete *settled* beyond their ends.
    """

    def __init__(self, metrics: StatementMetrics, *, settled: timedelta = SETTLED, bounds: Bounds = BOUNDS) -> None:
        self._metrics = metrics
        self._settled = settled
        self._bounds = bounds

    def jobs(self) -> list[MaintenanceJob]:
        """Return what is done every so often: as long as there is anything due, lot after lot."""
        return [MaintenanceJob(name="close_statements", interval_s=_EVERY_S, run=self.close_due, chunk_rows=1)]

    async def close_due(self, run: JobRun) -> int:
        """Close a lot of wallets whose periods have ended; return how many have come further."""
        horizons = await horizons_of(run.connection, self._settled)
        if not horizons:
            return 0
        async with run.transaction() as tx:
            lot = await self._divided(tx, await looking.due(tx, horizons, self._bounds.wallets))
            await _write(tx, lot)
        self._metrics.closed(len(lot.closed), lot.late)
        return lot.done

    async def _divided(self, tx: Transaction, found: Sequence[Looked]) -> _Lot:
        """Return what is done with the wallets that were *found* due; what is left is found again.

        They are as many as a transaction can add up the entries of.
        """
        lot, chosen, entries, bounds = _Lot(), [], 0, self._bounds
        for looked in found:
            if looked.is_retimed:
                lot.retimed.append(looked)
            elif looked.unsummed > bounds.summed:
                if entries + bounds.summed <= bounds.entries:
                    totals, place = await looking.next_types(tx, looked, bounds.summed)
                    await keep_summed(tx, looked.account.wallet_id, added(looked.summed, totals), place)
                    entries, lot.busy = entries + bounds.summed, lot.busy + 1
            elif entries + looked.unsummed <= bounds.entries:
                chosen.append(looked)
                entries += looked.unsummed
        await _close(tx, chosen, lot, self._settled)
        return lot


async def horizons_of(connection: Connection, settled: timedelta) -> Mapping[int, datetime]:
    """Return by shard up to when periods may end that are closed now; shards that say nothing are left out."""
    progress = await checkpoints.progress(connection, SCHEMA)
    found = {shard: complete_until([seen.read_at]) for shard, seen in progress.items()}
    return {shard: until - settled for shard, until in found.items() if until is not None}


async def close_named(tx: Transaction, looked: Looked, settled: timedelta) -> Statement:
    """Close the period of one wallet at *looked*'s end, the last thing that *tx* does; raises TooManyEntries."""
    if looked.unsummed > BOUNDS.entries:
        raise TooManyEntries
    lot = _Lot()
    await _close(tx, [looked], lot, settled)
    await _write(tx, lot)
    return lot.closed[0][0].statement


async def ask_ahead(tx: Transaction, files: Sequence[tuple[UUID, int, str, int, UUID]]) -> None:
    """Have *files* made, nobody waiting: each a statement, an issue, a format, a volume, and the tenant."""
    if files:
        await tx.connection.execute(_ASK, *map(list, zip(*files, strict=True)))
        await tx.connection.execute(_SERVE, sorted({tenant_id for *_, tenant_id in files}))


async def _close(tx: Transaction, chosen: Sequence[Looked], lot: _Lot, settled: timedelta) -> None:
    """Decide the statements of *chosen*."""
    types, holds = await looking.types(tx, chosen), await looking.holds(tx, chosen)
    now: datetime = await tx.connection.fetchval("select now()")
    for looked in chosen:
        wallet_id = looked.account.wallet_id
        held, left_out = holds.get(wallet_id, ((), 0))
        seen = Seen(
            currency=looked.currency,
            private=looked.private,
            closed_at=looked.closed_at,
            complete_until=looked.horizon + settled,
            standing=looked.standing,
            by_type=added(looked.summed, types.get(wallet_id, ())),
            holds=held,
            holds_left_out=left_out,
        )
        terms = looked.terms or USUAL
        closed = close(looked.account, terms, seen, looked.ends_at, statement_id=new_id(), now=now.astimezone(UTC))
        lot.closed.append((closed, terms))
        lot.late += looked.late


async def _write(tx: Transaction, lot: _Lot) -> None:
    """Write what was decided, and tell of it."""
    if lot.retimed:
        terms = [looked.terms or USUAL for looked in lot.retimed]
        accounts = [timed(looked.account, each) for looked, each in zip(lot.retimed, terms, strict=True)]
        await retime(tx, accounts, [each.setting_id for each in terms])
    if not lot.closed:
        return
    statements = [closed.statement for closed, _ in lot.closed]
    await tx.connection.execute(_ADD, *(column(statements, name) for name in COLUMNS))
    await advance(tx, [closed.account for closed, _ in lot.closed], [terms.setting_id for _, terms in lot.closed])
    ahead = [
        (statement.id, statement.issue, kind, volume, statement.tenant_id)
        for statement, (_, terms) in zip(statements, lot.closed, strict=True)
        for kind, volume in files_ahead(statement, terms.formats, lines_per_volume=LINES_PER_VOLUME)
    ]
    await ask_ahead(tx, ahead)
    await outbox.append(tx, [_told(statement) for statement in statements])


def _told(statement: Statement) -> OutboxEvent:
    wallet_id = UUID(int=statement.wallet_id.int)
    return OutboxEvent(
        event_id=new_id(),
        tenant_id=statement.tenant_id,
        subject=wallet_id,
        type=STATEMENT_READY,
        data=StatementReady(
            statement_id=str(statement.id),
            wallet_id=str(wallet_id),
            owner_id=statement.owner_id,
            number=statement.number,
            period_from=statement.period_from.isoformat(),
            period_to=statement.period_to.isoformat(),
            to_instant=rfc3339(statement.to_instant),
            entries=statement.entries,
            opening=money(statement.opening, statement.currency),
            closing=money(statement.closing, statement.currency),
        ),
        occurred_at=statement.closed_at,
    )

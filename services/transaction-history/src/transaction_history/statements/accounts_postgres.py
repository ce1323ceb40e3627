"""How far wallets are closed: written by closings, and for wallets that are new or whose settings have changed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from servicekit.clock import monotonic_s
from servicekit.maintenance import Job as MaintenanceJob
from servicekit.maintenance import JobRun
from servicekit.postgres import Transaction
from transaction_history.domain.closing import Account, timed
from transaction_history.domain.statement import TypeTotal
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.statements.looking_postgres import BY_KEYS, Place
from transaction_history.statements.rows import json_of, terms_of

if TYPE_CHECKING:
    import asyncpg

CHUNK_WALLETS: Final = 5_000
"""Looked at by one statement: some ten milliseconds."""
_EVERY_S: Final = 15.0
_WHOLE_S: Final = 600.0
_NEW: Final = timedelta(minutes=20)
"""Ids ascend with time: between looks at all wallets those are looked at that were made so recently."""
_BEGINNING: Final = UUID(int=0)

_ADVANCE: Final = """
    update history_jobs.statement_account a
    set setting_id = n.setting_id, number = n.number, ended_at = n.ended_at, due_at = n.due_at, is_ended = n.is_ended,
        version = n.version, occurred_at = n.occurred_at, posted_minor = n.posted_minor, held_minor = n.held_minor,
        entries = n.entries, credits = n.credits, debits = n.debits, fees = n.fees,
        summed = '[]', summed_entries = 0, summed_at = null, summed_version = null
    from unnest($1::uuid[], $2::uuid[], $3::int[], $4::timestamptz[], $5::timestamptz[], $6::boolean[], $7::bigint[],
                $8::timestamptz[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[]::numeric[],
                $13::text[]::numeric[], $14::text[]::numeric[])
        as n (wallet_id, setting_id, number, ended_at, due_at, is_ended, version, occurred_at, posted_minor, held_minor,
              entries, credits, debits, fees)
    where a.wallet_id = n.wallet_id"""
_RETIME: Final = """
    update history_jobs.statement_account a
    set setting_id = n.setting_id, due_at = n.due_at,
        summed = '[]', summed_entries = 0, summed_at = null, summed_version = null
    from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) as n (wallet_id, setting_id, due_at)
    where a.wallet_id = n.wallet_id"""
_KEEP_SUMMED: Final = """
    update history_jobs.statement_account
    set summed = $2::text::jsonb, summed_entries = $3, summed_at = $4, summed_version = $5 where wallet_id = $1"""
# A closing that went on meanwhile has timed the wallet itself.
_ENROL: Final = """
    insert into history_jobs.statement_account as a
        (wallet_id, tenant_id, owner_id, shard, setting_id, ended_at, due_at)
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::smallint[], $5::uuid[], $6::timestamptz[],
                         $7::timestamptz[])
    on conflict (wallet_id) do update
        set setting_id = excluded.setting_id, due_at = excluded.due_at,
            summed = '[]', summed_entries = 0, summed_at = null, summed_version = null
        where a.ended_at = excluded.ended_at and not a.is_ended"""
_OPEN: Final = f"""
    insert into history_jobs.statement_account (wallet_id, tenant_id, owner_id, shard, ended_at)
    select wallet_id, tenant_id, owner_id, shard, opened_at from {SCHEMA}.wallet where wallet_id = $1
    on conflict do nothing"""
_NEWEST: Final = "select max(id::text)::uuid as setting_id, now() as now from history_jobs.statement_setting"
# Wallets that have no account, or one that was timed by other settings, where there are any for them.
_STALE: Final = f"""
    with w as materialized (
        select wallet_id, tenant_id, owner_id, shard, opened_at from {SCHEMA}.wallet
        where wallet_id > $1 order by wallet_id limit $2)
    select looked.count, looked.newest, stale.*
    from (select count(*) as count, max(wallet_id::text)::uuid as newest from w) as looked
    left join lateral (
        select w.*, a.ended_at, s.id, s.time_zone, s.locale, s.schedule, s.formats
        from w
        cross join lateral (
            select o.* from history_jobs.statement_setting o
            where o.tenant_id = w.tenant_id and o.owner_id in (w.owner_id, '') order by o.owner_id desc limit 1) as s
        left join history_jobs.statement_account a on a.wallet_id = w.wallet_id
        where a.wallet_id is null or a.setting_id is distinct from s.id and not a.is_ended) as stale on true"""


async def advance(tx: Transaction, accounts: Sequence[Account], settings: Sequence[UUID | None]) -> None:
    """Write how far *accounts* are closed, timed by *settings*."""
    standings = [each.standing for each in accounts]
    await tx.connection.execute(
        _ADVANCE,
        [each.wallet_id for each in accounts],
        settings,
        [each.number for each in accounts],
        [each.ended_at for each in accounts],
        [each.due_at for each in accounts],
        [each.is_ended for each in accounts],
        [each.version for each in standings],
        [each.occurred_at for each in standings],
        [each.posted_minor for each in standings],
        [each.held_minor for each in standings],
        [each.entries for each in standings],
        [str(each.credits_minor) for each in standings],
        [str(each.debits_minor) for each in standings],
        [str(each.fees_minor) for each in standings],
    )


async def retime(tx: Transaction, accounts: Sequence[Account], settings: Sequence[UUID | None]) -> None:
    """Write when the periods of *accounts*, whose rows are held, end by *settings*."""
    ids, ends = [each.wallet_id for each in accounts], [each.due_at for each in accounts]
    await tx.connection.execute(_RETIME, ids, settings, ends)


async def keep_summed(tx: Transaction, wallet_id: UUID, totals: Sequence[TypeTotal], place: Place) -> None:
    """Keep what a busy wallet's entries come to up to *place*."""
    await tx.connection.execute(
        _KEEP_SUMMED, wallet_id, json_of(totals), place.entries, place.occurred_at, place.version
    )


async def open_account(tx: Transaction, wallet_id: UUID) -> None:
    """Give the wallet an account where it has none."""
    await tx.connection.execute(_OPEN, wallet_id)


class Enrolling:
    """Has every wallet timed by the settings that hold for it, also those that are new or were parked.

    All of them are looked at when settings have changed, and every ten minutes; else those that are new.
    """

    def __init__(self) -> None:
        self._after = _BEGINNING
        self._setting_id: UUID | None = None
        self._whole_at_s = 0.0

    def jobs(self) -> list[MaintenanceJob]:
        """Return what is done every so often: wallets are looked at, so many at a time."""
        return [
            MaintenanceJob(
                name="enrol_wallets", interval_s=_EVERY_S, run=self.enrol, chunk_rows=CHUNK_WALLETS, has_leader=True
            )
        ]

    async def enrol(self, run: JobRun) -> int:
        """Time the next wallets; return how many were looked at."""
        async with run.transaction() as tx:
            row = await tx.connection.fetchrow(_NEWEST)
            assert row is not None
            if row["setting_id"] is None:
                return 0
            self._begin(row["setting_id"])
            await tx.connection.execute(BY_KEYS)
            rows = await tx.connection.fetch(_STALE, self._after, CHUNK_WALLETS)
            stale = [row for row in rows if row["wallet_id"] is not None]
            if stale:
                await _enrol(tx, stale)
        looked: int = rows[0]["count"]
        self._after = rows[0]["newest"] if looked >= CHUNK_WALLETS else first_id(row["now"] - _NEW)
        return looked

    def _begin(self, setting_id: UUID) -> None:
        """Begin with the first wallet where settings have changed, or all were looked at long ago."""
        if setting_id != self._setting_id or monotonic_s() >= self._whole_at_s:
            self._after, self._setting_id = _BEGINNING, setting_id
            self._whole_at_s = monotonic_s() + _WHOLE_S


def first_id(instant: datetime) -> UUID:
    """Return the least id that may have been made at *instant*."""
    return UUID(int=int(instant.timestamp() * 1_000) << 80)


async def _enrol(tx: Transaction, stale: Sequence["asyncpg.Record"]) -> None:
    accounts = [
        timed(
            Account(
                wallet_id=row["wallet_id"],
                tenant_id=row["tenant_id"],
                owner_id=row["owner_id"],
                opened_at=row["opened_at"],
                ended_at=row["ended_at"] or row["opened_at"],
            ),
            terms_of(row),
        )
        for row in stale
    ]
    await tx.connection.execute(
        _ENROL,
        [each.wallet_id for each in accounts],
        [each.tenant_id for each in accounts],
        [each.owner_id for each in accounts],
        [row["shard"] for row in stale],
        [row["id"] for row in stale],
        [each.ended_at for each in accounts],
        [each.due_at for each in accounts],
    )

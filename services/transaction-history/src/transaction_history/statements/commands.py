"""What callers do with statements, each command in a transaction that its caller has opened."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from contracts.ids import new_id, shard_of
from contracts.zones import midnight
from servicekit.conditions import Where
from servicekit.consumer.parking import is_parked
from servicekit.postgres import Transaction
from servicekit.principal import Principal
from transaction_history.domain.closing import SETTLED, FileFormat, Statement, Terms, files_ahead
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.rendering import LINES_PER_VOLUME
from transaction_history.statements import files_postgres
from transaction_history.statements.accounts_postgres import open_account
from transaction_history.statements.closing_postgres import TooManyEntries, ask_ahead, close_named, horizons_of
from transaction_history.statements.looking_postgres import named
from transaction_history.statements.queries import (
    ISSUES_MAX,
    SETTING_COLUMNS,
    Setting,
    StatementUnknown,
    Told,
    setting_on,
    statement_on,
    told_on,
)
from transaction_history.statements.rows import terms_of

_PUT: Final = f"""
    insert into history_jobs.statement_setting
        (tenant_id, owner_id, id, time_zone, locale, schedule, formats, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, now())
    on conflict (tenant_id, owner_id) do update
        set id = excluded.id, time_zone = excluded.time_zone, locale = excluded.locale, schedule = excluded.schedule,
            formats = excluded.formats, updated_at = excluded.updated_at
    returning {SETTING_COLUMNS}"""
_REISSUE: Final = "update history_jobs.statement set issue = issue + 1 where id = $1 and tenant_id = $2"
_ADD_ISSUE: Final = """
    insert into history_jobs.statement_issue (statement_id, issue, tenant_id, locale, subject, issued_at)
    values ($1, $2, $3, $4, $5, now())"""


@dataclass(frozen=True, slots=True)
class WalletUnknown:
    """The caller has no such wallet."""


@dataclass(frozen=True, slots=True)
class WalletParked:
    """The wallet is parked: what is known of it is behind."""


@dataclass(frozen=True, slots=True)
class OpenedLater:
    """The wallet was opened at *opened_at*, not before the end that is asked for."""

    opened_at: datetime


@dataclass(frozen=True, slots=True)
class NotOver:
    """The end is not past, or not all that occurred before it may be there: up to *closable_until* it is."""

    closable_until: datetime | None
    is_past: bool


@dataclass(frozen=True, slots=True)
class ClosedAlready:
    """A statement covers the end that is asked for: the last one ended at *ended_at*; *is_last*: the wallet's last."""

    ended_at: datetime
    is_last: bool


@dataclass(frozen=True, slots=True)
class TooLong:
    """The period has more entries than a request adds up."""


@dataclass(frozen=True, slots=True)
class TooManyIssues:
    """The statement was told anew as often as it may be."""


Refused = WalletUnknown | WalletParked | OpenedLater | NotOver | ClosedAlready | TooLong


class StatementCommands:
    """Commands on statements and their settings; the ledger is complete *settled* beyond the end of a period."""

    def __init__(self, settled: timedelta = SETTLED) -> None:
        self._settled = settled

    async def put_setting(self, tx: Transaction, caller: Principal, owner_id: str, wanted: Terms) -> Setting:
        """Have the periods of an owner's wallets end by *wanted*, or of all wallets that have no settings."""
        values = (wanted.time_zone, wanted.locale, wanted.schedule, list(wanted.formats))
        row = await tx.connection.fetchrow(_PUT, caller.tenant_id, owner_id, new_id(), *values)
        assert row is not None
        return Setting(terms=terms_of(row), is_own=True, updated_at=row["updated_at"])

    async def close(self, tx: Transaction, caller: Principal, wallet_id: UUID, to: date | datetime) -> Told | Refused:
        """Close a wallet's period at *to*: an instant, or the beginning of a day in the owner's time zone."""
        asked = Where({"tenant_id": caller.tenant_id, "wallet_id": wallet_id})
        asked.owners(caller.owners)
        wallet = await tx.connection.fetchrow(f"select owner_id, opened_at from {SCHEMA}.wallet {asked}", *asked.values)
        if wallet is None:
            return WalletUnknown()
        setting = await setting_on(tx.connection, caller.tenant_id, wallet["owner_id"])
        end = to if isinstance(to, datetime) else midnight(setting.terms.time_zone, to)
        if end <= wallet["opened_at"]:
            return OpenedLater(wallet["opened_at"])
        until = (await horizons_of(tx.connection, self._settled)).get(shard_of(wallet_id))
        if until is None or until < end:
            return NotOver(until, is_past=await tx.connection.fetchval("select $1 <= now()", end))
        if await is_parked(tx.connection, SCHEMA, [wallet_id]):
            return WalletParked()
        return await self._close(tx, wallet_id, end, until)

    async def reissue(
        self, tx: Transaction, caller: Principal, statement_id: UUID
    ) -> Told | StatementUnknown | TooManyIssues:
        """Have a statement told anew, in the language that holds now; its other issues stay."""
        found = await statement_on(tx.connection, caller, statement_id, locking="for no key update")
        if isinstance(found, StatementUnknown):
            return found
        if found.issue >= ISSUES_MAX:
            return TooManyIssues()
        terms = (await setting_on(tx.connection, found.tenant_id, found.owner_id)).terms
        issue = found.issue + 1
        await tx.connection.execute(_REISSUE, found.id, found.tenant_id)
        await tx.connection.execute(_ADD_ISSUE, found.id, issue, found.tenant_id, terms.locale, caller.subject)
        ahead = files_ahead(found, terms.formats, lines_per_volume=LINES_PER_VOLUME)
        await ask_ahead(tx, [(found.id, issue, kind, volume, found.tenant_id) for kind, volume in ahead])
        again = await statement_on(tx.connection, caller, statement_id)
        assert isinstance(again, Statement), "its row is held"
        return await told_on(tx.connection, again)

    async def ask_file(self, tx: Transaction, statement: Statement, issue: int, kind: FileFormat, volume: int) -> bool:
        """Have a file made that somebody waits for; return whether it will be."""
        return await files_postgres.ask(tx, statement, issue, kind, volume)

    async def _close(
        self, tx: Transaction, wallet_id: UUID, end: datetime, horizon: datetime
    ) -> Told | ClosedAlready | TooLong:
        await open_account(tx, wallet_id)
        looked = await named(tx, wallet_id, end, horizon)
        assert looked is not None, "it has an account by now"
        account = looked.account
        if account.is_ended or end <= account.ended_at:
            return ClosedAlready(account.ended_at, is_last=account.is_ended)
        try:
            statement = await close_named(tx, looked, self._settled)
        except TooManyEntries:
            return TooLong()
        return await told_on(tx.connection, statement)

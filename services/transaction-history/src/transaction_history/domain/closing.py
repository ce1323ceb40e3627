"""How a wallet's period is closed: from what was closed before and what the ledger has now. Pure."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from contracts.zones import UTC_ZONE
from transaction_history.domain.periods import Schedule, local_days, period_end
from transaction_history.domain.statement import OpenHold, TypeTotal
from transaction_history.domain.totals import NOTHING, Standing, movement

SETTLED: Final = timedelta(seconds=60)
"""How far the ledger must usually be complete beyond a period's end: what comes later stands in the next statement."""
RENDERED_WITHIN: Final = timedelta(days=40)
"""Files of periods that ended longer ago are made when somebody asks: a first schedule closes years at once."""
VOLUMES_AHEAD: Final = 20
"""Volumes of a statement that are made before anybody asks."""


class Locale(StrEnum):
    """The language of a statement."""

    EN = "en"
    DE = "de"
    AR = "ar"


class FileFormat(StrEnum):
    """What a statement's file is."""

    PDF = "pdf"
    CSV = "csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How an owner's wallets are closed; *setting_id* names the settings, None where nobody has said anything."""

    setting_id: UUID | None
    time_zone: str
    locale: Locale
    schedule: Schedule
    formats: tuple[FileFormat, ...]


USUAL: Final = Terms(
    setting_id=None,
    time_zone=UTC_ZONE,
    locale=Locale.EN,
    schedule=Schedule.NONE,
    formats=(FileFormat.PDF, FileFormat.CSV),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """How far a wallet is closed: *number* statements, up to *ended_at*, with *standing* as their last entry left it.

    Before the first, *ended_at* is when it was opened. *due_at* is when the next period ends, None where none does;
    *is_ended*: the wallet was closed, and has its last statement.
    """

    wallet_id: UUID
    tenant_id: UUID
    owner_id: str
    opened_at: datetime
    number: int = 0
    ended_at: datetime
    standing: Standing = NOTHING
    due_at: datetime | None = None
    is_ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the ledger has of a wallet up to a period's end: *standing* is that of its last entry before.

    *closed_at* is when the wallet was closed, None while it is open; *private* is JSON. All that occurred up to
    *complete_until* is there.
    """

    currency: str
    private: str | None
    closed_at: datetime | None
    complete_until: datetime
    standing: Standing
    by_type: tuple[TypeTotal, ...]
    holds: tuple[OpenHold, ...]
    holds_left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A closed period: opening + credits - debits = closing.

    It covers versions: *last_version* is *first_version* - 1 where nothing happened. No entry of it occurred before
    *lines_from*. *entries_before* and *fees_before* are the wallet's totals before it; *issue* is the newest.
    """

    id: UUID
    tenant_id: UUID
    owner_id: str
    wallet_id: UUID
    number: int
    period_from: date
    period_to: date
    from_instant: datetime
    to_instant: datetime
    time_zone: str
    locale: Locale
    currency: str
    private: str | None
    first_version: int
    last_version: int
    lines_from: datetime
    opening: int
    closing: int
    credits: int
    debits: int
    fees: int
    entries: int
    entries_before: int
    fees_before: int
    by_type: tuple[TypeTotal, ...]
    holds: tuple[OpenHold, ...]
    holds_left_out: int
    issue: int
    complete_until: datetime
    closed_at: datetime


@dataclass(frozen=True, slots=True)
class Closed:
    """A statement, and how far the wallet is closed with it."""

    statement: Statement
    account: Account


def timed(account: Account, terms: Terms) -> Account:
    """Return *account* with the end of its next period by *terms*."""
    if account.is_ended:
        return replace(account, due_at=None)
    return replace(account, due_at=period_end(terms.schedule, terms.time_zone, account.ended_at))


def close(account: Account, terms: Terms, seen: Seen, to: datetime, *, statement_id: UUID, now: datetime) -> Closed:
    """Return the statement of the period that ends at *to*, which is behind where the last one ended."""
    assert not account.is_ended, "a closed wallet has one last statement"
    assert to > account.ended_at, "periods ascend"
    before, after = account.standing, seen.standing
    moved = movement(before, after)
    period_from, period_to = local_days(terms.time_zone, account.ended_at, to)
    statement = Statement(
        id=statement_id,
        tenant_id=account.tenant_id,
        owner_id=account.owner_id,
        wallet_id=account.wallet_id,
        number=account.number + 1,
        period_from=period_from,
        period_to=period_to,
        from_instant=account.ended_at,
        to_instant=to,
        time_zone=terms.time_zone,
        locale=terms.locale,
        currency=seen.currency,
        private=seen.private,
        first_version=before.version + 1,
        last_version=after.version,
        lines_from=before.occurred_at or account.opened_at,
        opening=moved.opening_minor,
        closing=moved.closing_minor,
        credits=moved.credits_minor,
        debits=moved.debits_minor,
        fees=moved.fees_minor,
        entries=moved.entries,
        entries_before=before.entries,
        fees_before=before.fees_minor,
        by_type=seen.by_type,
        holds=seen.holds,
        holds_left_out=seen.holds_left_out,
        issue=1,
        complete_until=seen.complete_until,
        closed_at=now,
    )
    is_ended = seen.closed_at is not None and seen.closed_at < to
    further = replace(account, number=statement.number, ended_at=to, standing=after, is_ended=is_ended)
    return Closed(statement, timed(further, terms))


def files_ahead(
    statement: Statement, formats: tuple[FileFormat, ...], *, lines_per_volume: int
) -> list[tuple[str, int]]:
    """Return the files that are made before anybody asks: each a format and a volume."""
    if statement.to_instant < statement.closed_at - RENDERED_WITHIN:
        return []
    return [
        (kind.value, volume)
        for kind in formats
        for volume in range(1, min(volumes_of(statement.entries, kind, lines_per_volume), VOLUMES_AHEAD) + 1)
    ]


def volumes_of(entries: int, kind: FileFormat, lines_per_volume: int) -> int:
    """Return how many volumes a statement of *entries* has: tables of any length are one."""
    return 1 if kind is FileFormat.CSV else max(1, -(-entries // lines_per_volume))


def added(some: tuple[TypeTotal, ...], more: tuple[TypeTotal, ...]) -> tuple[TypeTotal, ...]:
    """Return the totals of both, by type in alphabetical order."""
    found: dict[str, TypeTotal] = {}
    for each in (*some, *more):
        known = found.get(each.transaction_type)
        found[each.transaction_type] = (
            each
            if known is None
            else TypeTotal(
                transaction_type=each.transaction_type,
                entries=known.entries + each.entries,
                credits=known.credits + each.credits,
                debits=known.debits + each.debits,
            )
        )
    return tuple(found[kind] for kind in sorted(found))

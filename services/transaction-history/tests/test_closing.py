"""Closing, as rules: numbers are dense and figures join, whatever comes late and whatever is changed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import new_id
from transaction_history.domain.closing import (
    RENDERED_WITHIN,
    USUAL,
    VOLUMES_AHEAD,
    Account,
    FileFormat,
    Seen,
    Statement,
    Terms,
    added,
    close,
    files_ahead,
    timed,
    volumes_of,
)
from transaction_history.domain.periods import Schedule
from transaction_history.domain.statement import TypeTotal
from transaction_history.domain.totals import NOTHING, Standing

WALLET, TENANT = new_id(), UUID(int=1)
OPENED = datetime(2026, 1, 5, 12, tzinfo=UTC)
BOTH = (FileFormat.CSV, FileFormat.PDF)
terms = st.builds(
    lambda zone, schedule: replace(USUAL, time_zone=zone, schedule=schedule),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo"]),
    st.sampled_from([Schedule.WEEKLY, Schedule.MONTHLY, Schedule.QUARTERLY]),
)


def opened() -> Account:
    return Account(wallet_id=WALLET, tenant_id=TENANT, owner_id="owner", opened_at=OPENED, ended_at=OPENED)


def seen(standing: Standing, **changes: Any) -> Seen:
    usual: dict[str, Any] = {"by_type": (), "holds": (), "holds_left_out": 0, "closed_at": None}
    given = {"currency": "USD", "private": None, "complete_until": OPENED, **usual, **changes}
    return Seen(**given, standing=standing)


def closed(account: Account, terms: Terms, found: Seen, to: datetime) -> tuple[Statement, Account]:
    done = close(account, terms, found, to, statement_id=new_id(), now=to + timedelta(minutes=2))
    return done.statement, done.account


class Ledger:
    """A wallet's entries as they come, each at its own time, which never goes back."""

    def __init__(self) -> None:
        self.standings = [NOTHING]

    def add(self, at: datetime, amount: int) -> None:
        last = self.standings[-1]
        self.standings.append(
            Standing(
                version=last.version + 1,
                occurred_at=max(at, last.occurred_at or OPENED),
                posted_minor=last.posted_minor + amount,
                entries=last.entries + 1,
                credits_minor=last.credits_minor + max(amount, 0),
                debits_minor=last.debits_minor + max(-amount, 0),
            )
        )

    def before(self, to: datetime, account: Account) -> Standing:
        """Return where the wallet stood with its last entry before *to* that no statement has."""
        newer = self.standings[account.standing.version + 1 :]
        within = [each for each in newer if each.occurred_at is not None and each.occurred_at < to]
        return within[-1] if within else account.standing


steps = st.lists(
    st.tuples(terms, st.lists(st.tuples(st.integers(-40, 100), st.integers(-500, 500)), max_size=4)), max_size=12
)


@given(steps)
def test_statements_join_whatever_comes_late_and_whatever_is_changed(
    steps: list[tuple[Terms, list[tuple[int, int]]]],
) -> None:
    """Entries come some days before or behind where the last period ended: those before are late."""
    ledger, account, statements = Ledger(), opened(), []
    for by, entries in steps:
        for days, amount in entries:
            ledger.add(account.ended_at + timedelta(days=days), amount)
        account = timed(account, by)
        assert account.due_at is not None
        statement, account = closed(account, by, seen(ledger.before(account.due_at, account)), account.due_at)
        statements.append(statement)

    told = [version for each in statements for version in range(each.first_version, each.last_version + 1)]
    assert [each.number for each in statements] == list(range(1, len(statements) + 1))
    assert told == list(range(1, account.standing.version + 1))
    for each in statements:
        within = ledger.standings[each.first_version : each.last_version + 1]
        assert each.entries == len(within)
        assert each.opening == ledger.standings[each.first_version - 1].posted_minor
        assert each.closing == each.opening + each.credits - each.debits
        assert all(each.lines_from <= (line.occurred_at or OPENED) < each.to_instant for line in within)
    for before, after in pairwise(statements):
        assert (after.opening, after.from_instant) == (before.closing, before.to_instant)
        assert after.first_version == before.last_version + 1


def test_a_period_without_entries_has_a_statement() -> None:
    to = datetime(2026, 2, 1, tzinfo=UTC)
    statement, account = closed(opened(), replace(USUAL, schedule=Schedule.MONTHLY), seen(NOTHING), to)

    assert (statement.first_version, statement.last_version, statement.entries) == (1, 0, 0)
    assert (account.number, account.due_at) == (1, datetime(2026, 3, 1, tzinfo=UTC))


def test_a_closed_wallet_has_one_last_statement() -> None:
    to = datetime(2026, 2, 1, tzinfo=UTC)
    by = replace(USUAL, schedule=Schedule.MONTHLY)

    _, later = closed(opened(), by, seen(NOTHING, closed_at=to), to)
    _, ended = closed(later, by, seen(NOTHING, closed_at=to), datetime(2026, 3, 1, tzinfo=UTC))

    assert not later.is_ended
    assert (ended.is_ended, ended.due_at) == (True, None)
    assert timed(ended, by).due_at is None
    with pytest.raises(AssertionError):
        closed(ended, by, seen(NOTHING), datetime(2026, 4, 1, tzinfo=UTC))


def test_files_are_made_ahead_of_young_periods_and_of_so_many_volumes() -> None:
    statement, _ = closed(opened(), USUAL, seen(Standing(version=99, entries=99)), datetime(2026, 2, 1, tzinfo=UTC))
    old = replace(statement, closed_at=statement.to_instant + RENDERED_WITHIN + timedelta(seconds=1))

    assert files_ahead(statement, BOTH, lines_per_volume=40) == [("csv", 1), ("pdf", 1), ("pdf", 2), ("pdf", 3)]
    assert len(files_ahead(statement, (FileFormat.PDF,), lines_per_volume=1)) == VOLUMES_AHEAD
    assert files_ahead(old, BOTH, lines_per_volume=40) == []
    assert [volumes_of(entries, FileFormat.PDF, 10) for entries in (0, 1, 10, 11)] == [1, 1, 1, 2]


totals = st.lists(
    st.builds(
        TypeTotal,
        transaction_type=st.sampled_from(["deposit", "fee", "transfer"]),
        entries=st.integers(1, 9),
        credits=st.integers(0, 10**20),
        debits=st.integers(0, 10**20),
    ),
    unique_by=lambda total: total.transaction_type,
    max_size=3,
).map(tuple)


@given(totals, totals)
def test_totals_by_type_add_up(some: tuple[TypeTotal, ...], more: tuple[TypeTotal, ...]) -> None:
    both = added(some, more)

    kinds = [each.transaction_type for each in both]
    assert kinds == sorted({each.transaction_type for each in (*some, *more)})
    assert added(more, some) == both
    for name in ("entries", "credits", "debits"):
        assert sum(getattr(each, name) for each in both) == sum(getattr(each, name) for each in (*some, *more))
